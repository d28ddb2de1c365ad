"""Kinds that compute element by element: arithmetic, integers at their limits, casts, comparisons, extremes."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.special

from numgraph.loops.scalar import is_missing
from numgraph.op import OPS, Op
from numgraph.scalars import DEVICE
from tests.differential import drawer as d
from tests.differential.drawer import Drawer, Test
from tests.differential.values import DTYPES


@dataclass(frozen=True)
class Row:
    """Steps of one kind. forms: source with {0}, {1}, ... for operands that broadcast; wanted: what each of them is."""

    kind: str
    mode: str
    wanted: tuple[tuple[Test, ...], ...]
    forms: tuple[str, ...]


def row(kind: str, mode: str, wanted: str, forms: str) -> Row:
    """wanted: a letter per operand, a key of OPERANDS; forms: one a line."""
    lines = tuple(line.strip() for line in forms.strip().splitlines())
    return Row(kind, mode, tuple(OPERANDS[letter] for letter in wanted), lines)


OPERANDS: dict[str, tuple[Test, ...]] = {
    "n": (d.is_number,), "t": (d.is_number, d.is_tame), "e": (d.is_number, d.is_exact), "i": (d.is_whole,),
    "f": (d.is_float,), "g": (d.is_float, d.is_tame), "x": (d.is_float, d.is_exact), "b": (d.is_bool,),
    "v": (d.is_exact,),
}  # fmt: skip

TABLE = (
    row("arithmetic", "ring", "tt", """{0} + {1}
        {0} - {1}
        {0} * {1}
        ng.maximum({0}, {1})
        ng.minimum({0}, {1})"""),
    row("arithmetic", "ring", "t", """{0} + 2
        {0} * 3
        {0} - 1
        {0} + {0}
        {0} * {0}
        -{0}
        {0} * 0.5
        ng.sqr({0}) + 1
        2 - {0}
        ng.maximum({0}, 0)"""),
    # conditions that hold for all numbers, NaN among them
    row("assertion", "strict", "e", """ng.assert_op({0}, ({0} <= 0) | ({0} > 0) | ng.neq({0}, {0}))
        ng.assert_op({0} * 2, ng.sum(ng.neq({0}, {0})) >= 0)"""),
    row("smooth", "stable", "g", """ng.tanh({0})
        ng.sigmoid({0})
        ng.exp(-{0} * {0})
        ng.sqrt(1 + {0} * {0})
        ng.log(1 + {0} * {0})
        {0} / (2 + {0} * {0})
        ng.cos({0})
        ng.softplus({0})
        1 / (1 + ng.exp({0}))
        ng.log1p(ng.exp({0} * 0.001))
        ng.sqr({0}) ** 0.5 + 1
        ng.erf({0})
        ng.expm1({0} * 0.01)
        ng.arctan({0})"""),
    row("integers", "ring", "ii", """{0} // {1}
        {0} % {1}
        {0} + {1}
        {0} - {1}
        {0} * {1}
        {0} & {1}
        {0} | {1}
        {0} ^ {1}
        ng.where({0} < {1}, {0}, {1})"""),
    row("integers", "ring", "i", """{0} // -1
        {0} % -1
        {0} // 0
        {0} % 3
        {0} // 2
        -{0}
        ng.abs({0})
        ~{0}
        {0} ** 2
        {0} ** 3
        {0} << 3
        {0} >> 2
        ng.sgn({0})
        ng.eq({0}, {0} // 7 * 7 + {0} % 7)
        {0} * 100 - 1"""),
    row("wrapping", "ring", "ii", """({0} - {1}) < 0
        ({0} + {1}) > {0}
        ng.maximum({0} + {1}, 0)
        ng.clip({0} - {1}, 0, 2)
        ng.eq({0} * {1}, 0)
        ({0} + {1} - {1}) <= {0}
        ({0} + 1 > {0}) & ({1} - 1 < {1})"""),
    row("wrapping", "ring", "i", """({0} * 2) // 2
        {0} + 1 > {0}
        {0} - 1 < {0}
        ng.maximum({0} + 1, 0)
        {0} * 3 // 3
        -{0} < 0
        ng.abs({0}) >= 0
        ng.eq({0} * 4 % 4, 0)"""),
    row("comparison", "strict", "ee", """{0} < {1}
        {0} <= {1}
        {0} > {1}
        {0} >= {1}
        ng.eq({0}, {1})
        ng.neq({0}, {1})"""),
    row("comparison", "strict", "e", """{0} > 0
        {0} <= 1
        ng.neq({0}, 0)
        ng.isnan({0})
        ng.isinf({0})"""),
    row("logic", "strict", "bb", """{0} & {1}
        {0} | {1}
        {0} ^ {1}
        {0} & ~{1}"""),
    row("rounding", "strict", "x", """ng.floor({0})
        ng.ceil({0})
        ng.round({0})
        ng.trunc({0})
        ng.sgn({0})
        ng.abs({0})
        ng.floor_div({0}, 2)
        {0} % 1.5"""),
    row("division", "smooth", "tt", """{0} / ({1} * {1} + 1)
        {0} / {1}"""),
    row("extremes", "smooth", "f", """ng.exp({0})
        ng.log({0})
        ng.sqrt({0})
        ng.tanh({0})
        ng.sigmoid({0})
        ng.softplus({0})
        ng.log1p({0})
        ng.expm1({0})
        1 / {0}
        {0} * {0}
        ng.erf({0})
        ng.erfc({0})
        ng.arctan({0})
        ng.arcsinh({0})
        ng.cosh({0})
        {0} * 0
        {0} - {0}
        ng.relu({0})
        ng.exp2({0})
        ng.clip({0}, -1, 1)"""),
    row("extremes", "smooth", "ff", """{0} / {1}
        {0} + {1}
        {0} * {1}
        ng.maximum({0}, {1})
        ng.minimum({0}, {1})
        ng.hypot({0}, {1})
        ng.logaddexp({0}, {1})"""),
    # the sign of a zero that was rounded is anybody's, and that of a NaN
    row("extremes", "smooth", "xx", """ng.arctan2({0}, {1})
        ng.copysign({0}, ng.where(ng.isnan({1}), 1, {1}))"""),
    row("where", "move", "bff", "ng.where({0}, {1}, {2})"),
    row("where", "move", "bii", "ng.where({0}, {1}, {2})"),
)  # fmt: skip


def _of_scipy() -> tuple[Op, ...]:
    """The ops of one or two floats that SciPy has under the same name and every target has: new ones come by
    themselves. Those that the table above has are left out."""
    drawn = {form.partition("(")[0] for r in TABLE for form in r.forms}
    found = (op for op in OPS.values() if op.scalar and len(op.args) <= 2 and not op.keeps)
    # devices have these for positive numbers only
    found = (op for op in found if op.name not in ("beta", "betaln"))
    found = (op for op in found if hasattr(scipy.special, op.name) and f"ng.{op.name}" not in drawn)
    return tuple(op for op in found if not is_missing(op, DEVICE))


SCIPY = _of_scipy()
ONE, TWO = (
    "\n".join(f"ng.{op.name}({form})" for op in SCIPY if len(op.args) == n) for n, form in ((1, "{0}"), (2, "{0}, {1}"))
)
# In some programs: they take Numba a while.
SPECIAL = (row("special", "stable", "g", ONE), row("special", "stable", "gg", TWO))

# Of a theme of its own: a program with them takes Numba seconds. Those in RAISING are not for devices.
USERS = (
    row("users", "smooth", "t", "users.bump({0})"),
    row("users", "smooth", "tt", "users.blend({0}, {1})"),
    row("users", "strict", "ii", "users.digits({0}, {1})"),
    row("users", "strict", "ee", "users.between({0}, {1})"),
)
RAISING = row("users", "smooth", "g", "users.guarded({0})")


# Random numbers with the lengths of a value, and a value of which some elements are dropped.
DRAWS = (
    row(
        "draws",
        "shape",
        "t",
        """draws.uniform(1, {0}, 'float32')
        draws.uniform(2, {0}, 'float64')
        draws.uniform(3, {0}, 'float64') < 0.5
        draws.integers(4, {0}, -5, 9)
        draws.integers(5, {0}, 0, 2**62)""",
    ),
    row("draws", "smooth", "t", "draws.normal(6, {0})"),
    row("draws", "move", "f", "draws.dropped(7, {0})"),
)

# Complex numbers between real ones. Each operation is several of real numbers: inf - inf, where these overflow.
COMPLEX = (
    row(
        "complex",
        "stable",
        "gg",
        """abs(ng.complex({0}, {1}))
        abs(ng.complex({0}, 0))
        ng.real(ng.arcsinh(ng.complex({0}, ng.tanh({1}))))
        ng.imag(ng.arccos(ng.complex(ng.tanh({0}), {1})))
        ng.real(ng.arctan(ng.complex({0}, ng.tanh({1}) / 2)))
        ng.imag(ng.log1p(ng.complex({0} * {0}, {1})))
        ng.real(ng.expm1(ng.complex(ng.tanh({0}), {1})))
        ng.real(ng.complex({0}, {1}) * ng.complex({1}, 2))
        ng.imag(ng.exp(ng.complex(-abs({0}), {1})))
        ng.real(ng.sin(ng.complex(ng.tanh({0}), ng.tanh({1}))))
        ng.imag(ng.complex(1, {0}) / ng.complex(2 + {1} * {1}, 1))
        ng.real(ng.sqrt(ng.complex(1 + {0} * {0}, {1})))
        ng.where({0} > 0, ng.complex({0}, 1), ng.conj(ng.complex({1}, 1))).imag""",
    ),
    row("complex", "move", "f", "ng.complex({0}, 1).conj().real"),
)


def steps(g: Drawer) -> str | None:
    """A user's function of a matrix."""
    name = g.pick(d.is_number, d.is_tame, lambda w: w.array.ndim == 2)
    function = ("steps", "evens")[g.choose(2)]
    return None if name is None else g.step(f"users.{function}({name})", "ring", "users")


def operands(g: Drawer, wanted: tuple[tuple[Test, ...], ...]) -> list[str] | None:
    """Names of values that broadcast with one another."""
    names: list[str] = []
    for tests in wanted:
        name = g.pick(*tests, d.broadcasts(*(g.array(n) for n in names)))
        if name is None:
            return None
        names.append(name)
    return names


def from_row(g: Drawer, chosen: Row) -> str | None:
    names = operands(g, chosen.wanted)
    if names is None:
        return None
    if chosen.kind == "where" and g.array(names[1]).dtype != g.array(names[2]).dtype:
        names[2] = names[1]
    return g.step(g.one_of(chosen.forms).format(*names), chosen.mode, chosen.kind)


def cast(g: Drawer) -> str | None:
    """Between all dtypes; what becomes an integer must be exact."""
    name = g.pick(d.is_exact)
    if name is None:
        return None
    to = g.one_of(DTYPES)
    return g.step(f"ng.cast({name}, {to!r})", "ring" if to.startswith("float") else "strict", "cast")
