"""Kinds with scans: loops over the values of a program, with bodies drawn by the same kinds, one inside another rarely.

A loop is a step whose source is one expression, `ng.scan(lambda e0, h1: (b2 := e0 * h1,  [b2])[-1], ...)`: e are
elements of sequences, h states, b what a step computes. `Body` has its parts, and says what the values are worth by
going through the steps with NumPy: once as they are, once with noise where something is rounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tests.differential import draws, grades, plain, users
from tests.differential.grades import Grade, Worth

Array = np.ndarray[Any, Any]
# Relative noise on what is rounded, and what it may become relative to the largest value: otherwise values may differ.
NOISE = {False: (1e-13, 1e-10), True: (3e-7, 1e-5)}
# Steps that are gone through, those of loops inside of loops with them.
MOST_STEPS = 1000
_INNER = re.compile(r"\b[xstehb]\d+\b")


def inner_names(code: str) -> list[str]:
    """The names that a part of a body reads."""
    return list(dict.fromkeys(_INNER.findall(code)))


@dataclass(frozen=True)
class Part:
    """A value of each step. body: of a loop inside of the loop."""

    name: str
    code: str
    mode: str
    body: Body | None = None


@dataclass(frozen=True)
class Body:
    """A scan. sequences: (name of the element, source); states: (names of the values before a step, from the last one
    on, first value, name of the next value); others: values of each step that are results; result: source of the value
    of the step, of the outputs `o`; sequences come with taps: several names for one source."""

    sequences: tuple[tuple[tuple[str, ...], str, tuple[int, ...]], ...]
    states: tuple[tuple[tuple[str, ...], str, str], ...]
    parts: tuple[Part, ...]
    others: tuple[str, ...]
    n_steps: str | None
    ends: str | None
    backwards: bool
    truncate: int
    result: str
    checkpoint: int | bool | None = None

    @property
    def code(self) -> str:
        """The source. Two blanks stand before each part, so that they can be told apart, see `plain.translated`."""
        elements = [name for names, _, _ in self.sequences for name in names]
        befores = [name for names, _, _ in self.states for name in names]
        outputs = ", ".join([*(new for _, _, new in self.states), *self.others])
        lines = [f"{p.name} := {p.code}" for p in self.parts]
        last = f"([{outputs}], ng.until({self.ends}))" if self.ends else f"[{outputs}]"
        sequences = [
            source if taps == (0,) else f"dict(input={source}, taps={list(taps)})" for _, source, taps in self.sequences
        ]
        info = [
            first if len(names) == 1 else f"dict(initial={first}, taps={list(range(-1, -len(names) - 1, -1))})"
            for names, first, _ in self.states
        ] + ["None"] * len(self.others)
        options = [f"n_steps={self.n_steps}"] if self.n_steps is not None else []
        options += ["go_backwards=True"] * self.backwards
        options += [f"truncate_gradient={self.truncate}"] * (self.truncate > 0)
        options += [f"checkpoint={self.checkpoint}"] * (self.checkpoint is not None)
        listed = ", ".join(
            [f"sequences=[{', '.join(sequences)}]", f"outputs_info=[{', '.join(info)}]", *options, "return_list=True"]
        )
        step = ",  ".join([*lines, last])
        return f"(lambda o: {self.result})(ng.scan(lambda {', '.join(elements + befores)}: ({step})[-1], {listed})[0])"

    def changed(self, swap: Callable[[str], str]) -> Body:
        """With other names for values of the program."""
        return replace(
            self,
            sequences=tuple((names, swap(source), taps) for names, source, taps in self.sequences),
            states=tuple((names, swap(first), new) for names, first, new in self.states),
            parts=tuple(replace(p, code=swap(p.code), body=p.body and p.body.changed(swap)) for p in self.parts),
            n_steps=None if self.n_steps is None else swap(self.n_steps),
        )

    def simpler(self) -> Iterator[Body]:
        """Bodies with less in them."""
        if self.result != "o[0]":
            yield replace(self, result="o[0]").pruned()
        outputs = len(self.states) + len(self.others)
        for k in range(len(self.others)):
            if outputs > 1:
                yield replace(self, others=self.others[:k] + self.others[k + 1 :], result="o[0]").pruned()
        for k in range(len(self.states)):
            if outputs > 1:
                yield replace(self, states=self.states[:k] + self.states[k + 1 :], result="o[0]").pruned()
        for k in range(len(self.sequences)):
            yield replace(self, sequences=self.sequences[:k] + self.sequences[k + 1 :])
        plainer = ("ends", None), ("backwards", False), ("truncate", 0), ("checkpoint", None)
        for new in (replace(self, **{name: value}) for name, value in plainer):
            if new != self:
                yield new.pruned()
        for part in self.parts:
            for operand in inner_names(part.code):
                yield self._bypassed(part.name, operand).pruned()
            if part.body is not None:
                for body in part.body.simpler():
                    new = replace(part, code=body.code, body=body)
                    yield replace(self, parts=tuple(new if p is part else p for p in self.parts)).pruned()

    def _bypassed(self, old: str, operand: str) -> Body:
        def swap(code: str) -> str:
            return re.sub(rf"\b{old}\b", operand, code)

        kept = tuple(p for p in self.parts if p.name != old)
        found = replace(self, parts=kept).changed(swap)
        return replace(
            found,
            states=tuple((names, first, swap(new)) for names, first, new in found.states),
            others=tuple(map(swap, found.others)),
            ends=None if found.ends is None else swap(found.ends),
        )

    def pruned(self) -> Body:
        """Without parts that nothing needs."""
        needed = {*(new for _, _, new in self.states), *self.others, self.ends}
        kept: list[Part] = []
        for part in reversed(self.parts):
            if part.name in needed:
                kept.append(part)
                needed.update(inner_names(part.code))
        return replace(self, parts=tuple(reversed(kept)))


# -- what it is worth ---------------------------------------------------------------------------------------------


def by_numpy(code: str, values: dict[str, Array]) -> Any:
    """A piece of source in NumPy."""
    space = {"np": np, "N": plain, "users": users.Twins, "draws": draws.Twins, **values}
    return eval(str(plain.translated(code)), space)


def worth_of(body: Body, worth: dict[str, Worth], array: Array, taken: list[None] | None = None) -> Worth:
    """The worth of a loop's value, which is `array`: UNSURE where noise on what is rounded shows.

    taken: the steps that loops around it have gone through.
    """
    given = {n: worth[n] for n in inner_names(body.code) if n in worth}
    taken = [] if taken is None else taken
    try:
        exact, noisy = (Walk(body, given, noise, taken).run() for noise in (False, True))
    except plain.NoSteps:
        return Worth(array, Grade.EXACT)
    except Exception:
        # what NumPy refuses and the reference does not: nothing is said
        return Worth(array, Grade.UNSURE)
    single = exact.single or array.dtype.name == "float32"
    if exact.grade == Grade.UNSURE or exact.array.shape != array.shape or noisy.array.shape != array.shape:
        return Worth(array, Grade.UNSURE)
    if exact.grade < Grade.EXACT:
        allowed = NOISE[single][1] * max(exact.scale, 1.0)
        if not np.allclose(exact.array, noisy.array, rtol=NOISE[single][1], atol=allowed, equal_nan=True):
            return Worth(array, Grade.UNSURE)
    return Worth(array, exact.grade, exact.scale, single)


class Walk:
    """One way through the steps of a loop."""

    def __init__(self, body: Body, given: dict[str, Worth], noise: bool, taken: list[None]) -> None:
        self.body, self.given, self.noise, self.taken = body, dict(given), noise, taken
        self.random = np.random.default_rng(1)
        self.worst, self.scale, self.single = Grade.EXACT, 0.0, False

    def run(self) -> Worth:
        """The value, with the worst grade of what it may be made of."""
        body = self.body
        known = {n: w.array for n, w in self.given.items()}
        for n in inner_names(body.code):
            if n in self.given:
                self._seen(self.given[n])
        wholes = [np.asarray(by_numpy(source, known)) for _, source, _ in body.sequences]
        elements = plain.elements(wholes, [taps for _, _, taps in body.sequences], body.backwards)
        steps = min([len(e) for e in elements] + self._count(known))
        states = [self._first(names, first, known) for names, first, _ in body.states]
        rows: list[list[Array]] = [[] for _ in (*body.states, *body.others)]
        for t in range(steps):
            self._step([e[t] for e in elements], states, rows)
            if body.ends is not None:
                # other steps are not made if the condition is another one
                self._strict(self.given[body.ends])
                if self.given[body.ends].array:
                    break
        if not steps:
            raise plain.NoSteps
        found = [np.stack(r) for r in rows]
        value = np.asarray(eval(body.result.replace("ng.", "N."), {"N": plain, "o": found}))
        mode = "sum" if "sum" in body.result else "move"
        judged = grades.grade(mode, [Worth(v, self.worst, self.scale, self.single) for v in found], value)
        return Worth(value, judged.grade, max(judged.scale, self.scale), self.single)

    def _count(self, known: dict[str, Array]) -> list[int]:
        if self.body.n_steps is None:
            return []
        for n in inner_names(self.body.n_steps):
            self._strict(self.given[n])
        return [int(by_numpy(self.body.n_steps, known))]

    def _first(self, names: Sequence[str], first: str, known: dict[str, Array]) -> list[Array]:
        value = np.asarray(by_numpy(first, known))
        return [value] if len(names) == 1 else plain.before(value, len(names))

    def _step(self, elements: list[Array], states: list[list[Array]], rows: list[list[Array]]) -> None:
        body = self.body
        self.taken.append(None)
        if len(self.taken) > MOST_STEPS:
            raise ValueError("too many steps")
        names = [name for own, _, _ in body.sequences for name in own]
        self.given |= {n: self._known(e) for n, e in zip(names, elements, strict=True)}
        for (names, _, _), values in zip(body.states, states, strict=True):
            self.given |= {n: self._known(v) for n, v in zip(names, values, strict=True)}
        for part in body.parts:
            self.given[part.name] = self._part(part)
        for row, name in zip(rows, [*(new for _, _, new in body.states), *body.others], strict=True):
            row.append(self.given[name].array)
        for (_, _, new), values in zip(body.states, states, strict=True):
            values.insert(0, self.given[new].array)
            values.pop()

    def _known(self, value: Array) -> Worth:
        """A value of a step, of the worst grade so far."""
        value = np.asarray(value)
        return Worth(value, self.worst, self.scale if value.dtype.kind == "f" else 0.0, self.single)

    def _part(self, part: Part) -> Worth:
        names = [n for n in inner_names(part.code) if n in self.given]
        try:
            value = np.asarray(by_numpy(part.code, {n: self.given[n].array for n in names}))
        except plain.NoSteps as error:
            raise ValueError("an inner loop without steps") from error
        operands = [self.given[n] for n in names]
        worth = (
            grades.grade(part.mode, operands, value)
            if part.body is None
            else worth_of(part.body, {n: self.given[n] for n in names}, value, self.taken)
        )
        self._seen(worth)
        if self.noise and worth.floating and worth.grade < Grade.EXACT:
            size = NOISE[worth.single][0] * max(1.0, grades.largest(value))
            noisy = value + size * self.random.normal(size=value.shape)
            worth = replace_array(worth, noisy.astype(value.dtype))
        return worth

    def _seen(self, worth: Worth) -> None:
        self.worst = min(self.worst, worth.grade)
        self.scale, self.single = max(self.scale, worth.scale), self.single or worth.single
        if self.worst == Grade.UNSURE:
            raise ValueError("nothing can be said")

    def _strict(self, worth: Worth) -> None:
        if worth.grade < Grade.EXACT:
            raise ValueError("depends on what is rounded")


def replace_array(worth: Worth, array: Array) -> Worth:
    return Worth(array, worth.grade, worth.scale, worth.single)
