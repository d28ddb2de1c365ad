"""A program as data, and as the text that is run and printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.differential.values import fill

if TYPE_CHECKING:
    from tests.differential.loops import Body

Array = np.ndarray[Any, Any]
_NAME = re.compile(r"\b[xst]\d+\b")


def names_in(code: str) -> list[str]:
    """The inputs (x0), shared variables (s0) and steps (t0) that a piece of source reads."""
    return list(dict.fromkeys(_NAME.findall(code)))


@dataclass
class Source:
    """An input or a shared variable. shape: names of lengths, or numbers; known: the axes whose length the type has.

    flavour: which values it is filled with. label: the name that numgraph is told. passed: whether it is an argument.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    known: tuple[int | None, ...]
    flavour: str
    label: str | None
    passed: bool = True

    def sizes(self, lengths: dict[str, int]) -> tuple[int, ...]:
        return tuple(n if isinstance(n, int) else lengths[n] for n in self.shape)

    def filled(self, lengths: dict[str, int], seed: int) -> Array:
        return fill(self.sizes(lengths), self.dtype, self.flavour, seed + int(self.name[1:]))


@dataclass
class Step:
    """One line. mode: what may be asked of its value, see `grades`. slope: (cost, variable) of a gradient; body: of a
    scan."""

    name: str
    code: str
    mode: str
    kind: str
    slope: tuple[str, str] | None = None
    body: Body | None = None

    @property
    def uses(self) -> list[str]:
        return names_in(self.code)


@dataclass
class Action:
    """what: call, sweep, set_value, remake. The arrays are made when the program is written down."""

    what: str
    arrays: list[Array] = field(default_factory=list)
    layouts: list[str] = field(default_factory=list)
    number: int = 0
    how: str = ""


@dataclass
class Program:
    seed: int
    inputs: list[Source] = field(default_factory=list)
    shared: list[Source] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    updates: list[tuple[str, str]] = field(default_factory=list)
    givens: list[tuple[str, str]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    threads: int = 1
    # whether loops and kernels are divided among threads, however little work they are
    divided: bool = False
    # floatX of when the function is compiled, which is not that of when the expressions were written
    floats: str = "float64"
    title: str | None = None
    # whether shared variables keep arrays that are given to them, which lie side by side in one block of memory
    lent: bool = False
    # how many names there are within loops
    loop_names: int = 0

    @property
    def arguments(self) -> list[Source]:
        return [v for v in self.inputs if v.passed]

    @property
    def kinds(self) -> set[str]:
        return {step.kind for step in self.steps}

    def needed(self) -> set[str]:
        """The names that outputs, updates and givens depend on."""
        steps = {step.name: step for step in self.steps}
        todo = self.outputs + [n for pair in self.updates + self.givens for n in pair]
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += steps[name].uses if name in steps else []
        return seen


def literal(array: Array) -> str:
    """An array as source."""
    values = array.tolist()
    return f"np.array({values!r}, {array.dtype.name!r})" + (f".reshape({array.shape})" if not array.size else "")


def text(program: Program, shown: Callable[[Array], str] = literal) -> str:
    """The function `run(target)` that builds the program, acts, and returns the outcomes."""
    lines = ["def run(target):", f"    ng.config.threads, ng.config.floatX = {program.threads}, 'float64'"]
    put = lines.append
    if program.divided:
        lines += ["    import numgraph.schedule.chunks", "    numgraph.schedule.chunks.GRAIN = 1"]
    for v in program.inputs:
        put(f"    {v.name} = ng.tensor({v.label!r}, dtype={v.dtype!r}, shape={v.known})")
    lines += ["    block = Block()"] * program.lent
    for v, array in zip(program.shared, program.values, strict=True):
        value = f"block.holding({shown(array)})" if program.lent else shown(array)
        put(f"    {v.name} = ng.shared({value}, {v.label!r}{', borrow=True' * program.lent})")
    lines += [f"    {step.name} = {step.code}" for step in program.steps]
    pairs = ["[" + ", ".join(f"({a}, {b})" for a, b in p) + "]" for p in (program.updates, program.givens)]
    lines += [f"    ng.config.floatX = {program.floats!r}"] * (program.floats != "float64")
    put(f"    f = ng.function([{', '.join(v.name for v in program.arguments)}], [{', '.join(program.outputs)}],")
    put(f"        updates={pairs[0]}, givens={pairs[1]}, name={program.title!r},")
    put("        target=target, on_unused_input='ignore')")
    put(f"    session = Session(f, [{', '.join(v.name for v in program.shared)}]{', block' * program.lent})")
    lines += [f"    session.{written(action, shown)}" for action in program.actions]
    put("    return session.outcomes")
    return "\n".join(lines)


def written(action: Action, shown: Callable[[Array], str]) -> str:
    """An action as source. An array that occurs twice is the same object."""
    if action.what == "remake":
        return f"remake({action.how!r})"
    arrays = [shown(a) for a in action.arrays]
    if action.what == "set_value":
        return f"set_value({action.number}, {arrays[0]})"
    laid = [a if how == "plain" else f"arranged({a}, {how!r})" for a, how in zip(arrays, action.layouts, strict=True)]
    return f"{action.what}({', '.join(laid)})"
