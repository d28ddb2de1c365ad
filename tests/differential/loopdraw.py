"""Draws scans, see `loops`: what they go over, what a step computes, what of it is a result, and gradients of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numgraph as ng
from tests.differential import drawer as d
from tests.differential import elementwise, rows, scatter, shapes
from tests.differential.drawer import Drawer, computed
from tests.differential.grades import Grade, Worth
from tests.differential.loops import Body, Part, inner_names
from tests.differential.program import Program, names_in

Kind = Callable[[Drawer], str | None]
LONGEST = 40
# Of a value {y}.
COSTS = ("ng.sum(ng.sin({y}))", "ng.sum({y} * 2)", "ng.sum(ng.sqr({y}))")


def _of(kind: str) -> Kind:
    chosen = [r for r in elementwise.TABLE if r.kind == kind]
    return lambda g: elementwise.from_row(g, g.one_of(chosen))


KINDS: tuple[Kind, ...] = (
    *3 * (_of("arithmetic"),), *2 * (_of("smooth"),), *(_of(k) for k in ("comparison", "integers", "where")),
    rows.reduction, rows.product, rows.product, rows.softmax, rows.scan, shapes.part, shapes.part, shapes.transposed,
    shapes.reshaped, shapes.joined, scatter.write, scatter.write,
)  # fmt: skip


class Inner(Drawer):
    """Draws what a step computes. It sees the values of the program around it."""

    def __init__(self, outer: Drawer) -> None:
        self.random, self.lengths, self.small = outer.random, outer.lengths, outer.small
        self.program = Program(outer.program.seed, outer.program.inputs, outer.program.shared, outer.program.values)
        self.program.givens = outer.program.givens
        self.variables, self.worth = dict(outer.variables), dict(outer.worth)
        self.root: Drawer = getattr(outer, "root", outer)
        self.depth = getattr(outer, "depth", 0) + 1
        self.parts: list[Part] = []
        self.own: list[str] = []
        # an element that says which step it is
        self.counter: str | None = None

    def number(self) -> int:
        self.root.program.loop_names += 1
        return self.root.program.loop_names

    def stand_in(self, letter: str, array: np.ndarray, like: Any, row: bool) -> str:
        """A name for what each step gets."""
        name = f"{letter}{self.number()}"
        known = like.type.shape[1 if row else 0 :]
        self.variables[name] = ng.tensor(name, dtype=like.dtype, shape=known)
        self.worth[name] = Worth(np.asarray(array), Grade.EXACT)
        self.own.append(name)
        return name

    def pick(self, *wanted: d.Test) -> str | None:
        """Mostly of what belongs to the step."""
        fitting = [n for n in self.own if self.worth[n].grade > Grade.UNSURE and all(t(self.worth[n]) for t in wanted)]
        return str(self.one_of(fitting)) if fitting and self.chance(0.75) else super().pick(*wanted)

    def step(
        self, code: str, mode: str, kind: str, slope: tuple[str, str] | None = None, body: Body | None = None
    ) -> str | None:
        name = f"b{self.number()}"
        if "ng.grad(" in code:
            return None
        try:
            variable = self.built(code)
            worth = computed(variable, mode, inner_names(code), self.variables, self.worth, body)
        except Exception:
            return None
        if worth.grade == Grade.UNSURE or worth.array.size > 300 or worth.array.ndim > 3:
            return None
        self.variables[name], self.worth[name] = variable, worth
        self.parts.append(Part(name, code, mode, body))
        self.own.append(name)
        return name


def loop(g: Drawer) -> str | None:
    """A scan over some values."""
    return made(g, body(g))


def made(g: Drawer, found: Body | None) -> str | None:
    return None if found is None else g.step(found.code, "loop", "loop", body=found)


def slope(g: Drawer) -> str | None:
    """The gradient of a scan, by a leaf that it is made of, against differences where that can be."""
    name = loop(g)
    if name is None or isinstance(g, Inner) or not g.worth[name].floating or not g.worth[name].tame:
        return name
    leaves = below(g, name)
    if not leaves:
        return name
    x = g.one_of([n for n in leaves if n in g.program.steps[-1].uses] or leaves)
    form = g.one_of(COSTS)
    step = g.program.steps[-1]
    whole = form.format(y=step.code)
    smooth = g.array(x).dtype == "float64" and all(n[0] in "xs" for n in step.uses) and "truncate" not in whole
    code = f"ng.grad({form.format(y=name)}, {x}, disconnected_inputs='ignore')"
    return g.step(code, "slope", "gradient of loop", (whole, x) if smooth else None)


def curvature(g: Drawer) -> str | None:
    """The gradient of two gradients of a scan whose steps are not linear: each of them goes back over its states."""
    for _ in range(6):
        found = body(g, curved=True)
        name = made(g, found)
        if name is None or found is None:
            continue
        leaves = below(g, found.states[0][1])
        if not leaves or not g.worth[name].tame:
            return name
        x, y = g.one_of(leaves), g.one_of(leaves)
        first, second = (
            f"ng.grad({g.one_of(COSTS).format(y=name)}, {leaf}, disconnected_inputs='ignore')" for leaf in (x, y)
        )
        code = f"ng.grad(ng.sum({first} * 2.0) + ng.sum({second}), {x}, disconnected_inputs='ignore')"
        return g.step(code, "slope", "curvature of loop")
    return None


def below(g: Drawer, code: str) -> list[str]:
    """The leaves of floats that a value is made of."""
    steps = {step.name: step for step in g.program.steps}
    found, waiting = dict[str, None](), names_in(code)
    while waiting:
        n = waiting.pop()
        if n not in found:
            found[n] = None
            waiting += steps[n].uses if n in steps else []
    return [n for n in found if n[0] in "xs" and g.worth[n].floating and n not in dict(g.program.givens)]


def body(g: Drawer, curved: bool = False) -> Body | None:
    """What a loop is to do. curved: with a state of floats first, whose next value is not linear in it."""
    inner = Inner(g)
    fewest = 4 if curved else 1
    drawn = [counted(g, inner)] if not curved and g.chance(0.15) else []
    drawn += [sequence(g, inner, fewest) for _ in range(g.one_of((0, 1, 1, 2)))]
    sequences = [s for s in drawn if s is not None]
    n_steps = str(g.one_of((2, 3))) if curved else count(g) if not sequences or g.chance(0.2) else None
    if not sequences and n_steps is None:
        return None
    bent = bent_state(g, inner) if curved else None
    if curved and bent is None:
        return None
    more = range(g.one_of((0, 0, 1) if curved else (0, 1, 1, 1, 2)))
    begun = [s for s in (bent, *(state(g, inner) for _ in more)) if s is not None]
    for _ in range(2 if curved else 3 * g.one_of((1, 2, 3))):
        g.one_of(KINDS if curved or inner.depth > 1 or g.chance(0.93) else (loop,))(inner)
    if inner.counter is not None:
        by_counter(inner)
    states = []
    for names, first in begun:
        new = curved_value(inner, names[0]) if curved and not states else next_value(inner, names[0])
        if new is None:
            return None
        states.append((names, first, new))
    others = [n for n in inner.own if n[0] == "b" and n not in {new for _, _, new in states} and g.chance(0.4)]
    count_of = len(states) + len(others)
    if not count_of:
        others, count_of = inner.own[-1:], len(inner.own[-1:])
    if not count_of:
        return None
    ends = condition(inner)
    return Body(
        tuple(sequences), tuple(states), tuple(inner.parts), tuple(others), n_steps, ends,
        g.chance(0.2), 0 if curved else g.one_of((0,) * 6 + (1, 3)), result(g, 1 if curved else count_of),
        g.one_of((None, None, None, True, 1, 2, 3)),
    )  # fmt: skip


def sequence(g: Drawer, inner: Inner, fewest: int) -> tuple[tuple[str, ...], str, tuple[int, ...]] | None:
    x = g.pick(d.has_axes(1), lambda w: fewest <= w.array.shape[0] <= LONGEST and w.array.ndim <= 3)
    if x is None:
        return None
    taps = g.one_of(((0,),) * 5 + ((-1, 0), (0, 2), (1,)))
    names = tuple(inner.stand_in("e", g.array(x)[0], g.variables[x], True) for _ in taps)
    return names, x, taps


def counted(g: Drawer, inner: Inner) -> tuple[tuple[str, ...], str, tuple[int, ...]] | None:
    """The numbers of the steps, which may be places and lengths. How many they are is mostly known by a call alone."""
    steps = count(g)
    source = f"ng.arange({steps})"
    inner.counter = inner.stand_in("e", np.array(0), ng.arange(g.built(steps) if steps else 0), True)
    return (inner.counter,), source, (0,)


def by_counter(inner: Inner) -> None:
    """Values that a step reads, writes or cuts where it has counted to; some of them past the end."""
    k = inner.counter
    for _ in range(inner.one_of((1, 2))):
        x = inner.pick(d.has_axes(1), lambda w: w.array.ndim <= 2 and 0 < w.array.size <= 100)
        if x is None:
            return
        forms = (
            f"{x}[{k}]", f"ng.set_subtensor({x}[{k}], {x}[0])", f"ng.inc_subtensor({x}[{k}], 1)", f"ng.sum({x}[:{k}])",
            f"ng.sum({x}[{k}:])", f"ng.sum({x}[{k}:][:1] * {x}[:{k}][:1])", f"{x}[{k} : {k} + 2].reshape((2, -1))",
        )  # fmt: skip
        inner.step(inner.one_of(forms), "ring", "by counter")


def count(g: Drawer) -> str | None:
    i = shapes.symbolic(g) if g.chance(0.5) else None
    return f"ng.cast({i}, 'int64') % 5" if i is not None else str(g.choose(6))


def bent_state(g: Drawer, inner: Inner) -> tuple[tuple[str, ...], str] | None:
    """Of floats, mostly of a leaf's."""
    tests = (lambda w: w.array.ndim <= 2 and 0 < w.array.size <= 100, d.is_float, d.is_tame)
    x = (g.leaf(*tests) if g.chance(0.7) else None) or g.pick(*tests)
    if x is None:
        return None
    return (inner.stand_in("h", g.array(x), g.variables[x], False),), g.one_of((x, x, f"ng.sin({x})"))


def state(g: Drawer, inner: Inner) -> tuple[tuple[str, ...], str] | None:
    x = g.pick(lambda w: w.array.ndim <= 2 and w.array.size <= 100)
    if x is None:
        return None
    if g.array(x).ndim and len(g.array(x)) >= 2 and g.chance(0.3):
        depth = g.one_of((2, 2, 3)) if len(g.array(x)) > 2 else 2
        return tuple(inner.stand_in("h", g.array(x)[0], g.variables[x], True) for _ in range(depth)), x
    form = g.one_of(("{x}", "{x}", "ng.zeros_like({x})", "{x}[::-1]" if g.array(x).ndim else "{x}"))
    name = inner.stand_in("h", g.array(x), g.variables[x], False)
    return (name,), form.format(x=x)


def next_value(inner: Inner, h: str) -> str | None:
    """A value of the shape and dtype of a state, as many steps may make it."""
    array = inner.array(h)
    same = [
        n
        for n in inner.own
        if n[0] == "b" and inner.array(n).shape == array.shape and inner.array(n).dtype == array.dtype
    ]
    if same and inner.chance(0.7):
        return str(inner.one_of(same))
    value = inner.pick(d.broadcasts(array), lambda w: w.array.ndim <= array.ndim)
    if array.dtype == "bool":
        return inner.step(f"{h} ^ ng.cast({value or h}, 'bool')", "strict", "next")
    cast = f"ng.cast({value or h}, {array.dtype.name!r})"
    forms = (f"{h} + {cast}", f"{h} - {cast}", f"ng.maximum({h}, {cast})", f"{h} * 2 - {cast}")
    if array.dtype.kind == "f":
        forms += (f"{h} * 0.5 + {cast}",) * 3
    if value is not None and inner.array(value).dtype.kind == "f" and array.dtype.kind != "f":
        forms = (f"{h} + 1", f"{h} * 2")
    return inner.step(inner.one_of(forms), "ring", "next")


def curved_value(inner: Inner, h: str) -> str | None:
    """A value of the shape and dtype of a state, of its sine and the like."""
    array = inner.array(h)
    value = inner.pick(d.broadcasts(array), d.is_number, lambda w: w.array.ndim <= array.ndim)
    cast = f"ng.cast({value or h}, {array.dtype.name!r})"
    form = inner.one_of((f"ng.sin({h} + {cast})", f"ng.cos({h}) * ng.sin({cast})", f"ng.tanh({h} * {h} - {cast})"))
    return inner.step(form, "smooth", "next")


def condition(inner: Inner) -> str | None:
    if not inner.chance(0.02 if inner.small else 0.2):
        return None
    flags = [n for n in inner.own if n[0] == "b" and inner.array(n).dtype == "bool" and not inner.array(n).ndim]
    if flags and inner.chance(0.5):
        return str(inner.one_of(flags))
    x = inner.pick(d.is_exact, d.is_number, lambda w: w.array.ndim <= 1)
    return None if x is None else inner.step(f"ng.max({x}) > {inner.one_of((0, 2, 5))}", "strict", "condition")


def result(g: Drawer, outputs: int) -> str:
    k = g.choose(outputs)
    forms: Sequence[str] = (f"o[{k}]", f"o[{k}]", f"o[{k}]", f"o[{k}][-1]", f"o[{k}].sum(axis=0)")
    if outputs > 1:
        forms = (*forms, "sum(ng.sum(ng.cast(v, 'float64')) for v in o)")
    return str(g.one_of(forms))
