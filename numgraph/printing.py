"""Graphs and formulas as text."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from numgraph.errors import InputError
from numgraph.formula import FORMULA_NODES, formula, number_text
from numgraph.graph import Constant, Variable, label
from numgraph.program import Program
from numgraph.scanning.lean import kept
from numgraph.shared import SharedVariable
from numgraph.stable.readable import readable
from numgraph.text import encodable, printable

# Deeper levels are not indented further, but numbered: the text of a chain stays linear in its length.
INDENTED_LEVELS = 24


def debugprint(x: Any, file: TextIO | None = None) -> None:
    """Print the graph of a variable, of several, or of a function's outputs, updates and givens.

    One line per node: what it is, its number in this print-out, type, name, and the user's line; below it, indented,
    its operands. What was printed before is referred to by its number. Below it what a step of each loop computes.
    file: where to, standard output by default.
    """
    out = sys.stdout if file is None else file
    numbers: dict[Variable, int] = {}
    loops: dict[int, Variable] = {}
    waiting = [(heading, [root]) for heading, root in _roots(x, "debugprint")]
    while waiting:
        heading, roots = waiting.pop(0)
        if heading:
            out.write(encodable(heading + "\n", out))
        before = set(numbers)
        for root in roots:
            out.writelines(encodable(line, out) for line in _tree(root, numbers))
        for node in (v for v in list(numbers) if v not in before and v.op is not None and v.op.loop):
            if loops.setdefault(id(node.attrs["loop"]), node) is node:
                waiting.append(_step(node, numbers))


def pprint(x: Any, largest: int = FORMULA_NODES, names: Mapping[Variable, str] | None = None) -> str:
    """The formula of a variable, `2.0 * x + exp(-y)`, with no more parentheses than needed; a line for each of several,
    and of a function's outputs and updates.

    Formulas of more than `largest` parts are cut: `...` stands for operands far below. names: variables that are
    written as a name instead of their formula; of a function these are also the keys of `givens` and the gradients, and
    what they stand for follows, `given x: ...`, `where gW: ...`. A gradient is written as a person would write it,
    without masks and zeros; `debugprint` shows all of it. InputError for what is none of these.
    """
    if isinstance(x, Variable):
        return _formula(x if names else kept([x])[0], largest, names or {})
    roots = list(_roots(x, "pprint"))
    program = getattr(x, "program", None)
    known = names or {}
    if isinstance(program, Program):
        gradients = program.named_gradients()
        known = {**program.named_givens(), **gradients, **known}
        roots += [(f"where {name}:", gradient) for gradient, name in gradients.items()]
        # what a name stands for is written out once
        formulas = [_formula(root, largest, {v: n for v, n in known.items() if v is not root}) for _, root in roots]
    else:
        formulas = [_formula(root, largest, known) for _, root in roots]
    if len(roots) == 1:
        return formulas[0]
    return "\n".join(f"{heading} {text}".lstrip() for (heading, _), text in zip(roots, formulas, strict=True))


def _formula(x: Variable, largest: int, names: Mapping[Variable, str]) -> str:
    if x.hint is not None and x not in names:
        x, names = readable(x, names, largest)
    return formula(x, largest, names)


def _roots(x: Any, what: str) -> Iterator[tuple[str, Variable]]:
    """(heading, variable) of what is to be printed."""
    program = getattr(x, "program", None)
    if isinstance(program, Program):
        for k, output in enumerate(program.outputs):
            yield f"output {printable(program.keys[k]) if program.keys else k}:", output
        for target, value in program.updates:
            yield f"update of {label(target) if target.name else 'an unnamed shared variable'}:", value
        for key, value in program.givens:
            yield f"given {label(key)}:", value
    elif isinstance(x, list | tuple):
        for each in kept(x) if all(isinstance(v, Variable) for v in x) else x:
            yield from _roots(each, what)
    elif isinstance(x, Variable):
        # without what a gradient remembers
        yield "", kept([x])[0]
    else:
        raise InputError(f"{what}: expected a variable, a list of them, or a function, got {x!r}")


def _step(node: Variable, numbers: dict[Variable, int]) -> tuple[str, list[Variable]]:
    """(heading, variables) of a step of the loop that a variable is a result of."""
    loop = node.attrs["loop"]
    _, *operands = node.inputs
    said = [f"a step of {loop}:"]
    sequences, firsts, invariants = loop.parts(operands)
    for ps, sources, what in (
        (loop.sequences, sequences, "an element of"),
        (loop.states, firsts, "a state, at first"),
        (loop.invariants, invariants, "the same in each step,"),
    ):
        for p, source in zip(ps, sources, strict=True):
            numbers[p] = len(numbers)
            said.append(f"  {_title(p)} [{numbers[p]}] {p.type} is {what} [{numbers[source]}]")
    ends = [] if loop.until is None else [loop.until]
    return "\n".join(said), list(dict.fromkeys([*loop.nexts, *loop.values, *ends]))


def _tree(root: Variable, numbers: dict[Variable, int]) -> Iterator[str]:
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        margin = "  " * depth if depth <= INDENTED_LEVELS else "  " * INDENTED_LEVELS + f"(level {depth}) "
        if node in numbers:
            yield f"{margin}{_title(node)} [{numbers[node]}] printed above\n"
            continue
        numbers[node] = len(numbers)
        yield f"{margin}{_title(node)} [{numbers[node]}] {node.type}{_details(node)}\n"
        stack.extend((v, depth + 1) for v in reversed(node.inputs))


def _title(node: Variable) -> str:
    if node.op is not None:
        return node.op.name
    if isinstance(node, Constant):
        return f"constant {number_text(node)}"
    name = label(node) if node.name else ""
    return f"shared {name}".rstrip() if isinstance(node, SharedVariable) else name or "unnamed"


def _details(node: Variable) -> str:
    attrs = ", ".join(f"{k}={v}" for k, v in node.attrs.items())
    named = f"  '{label(node)}'" if node.op is not None and node.name else ""
    return f"{named}{f'  {attrs}' if attrs else ''}{f'  <- {node.line}' if node.line else ''}"
