"""What is known about a value: that its bits do not depend on how it is computed, or how far it may be off.

A rewrite, another order of a sum or a fused multiply-add may change the last digit of a float. So a value has a grade:

EXACT: the same number in every order of computing. Inputs, whatever is moved from there, integers and booleans, and
    arithmetic of multiples of a power of two that are not large. Only the sign of a zero may depend on the order.
ROUNDED: a number of ordinary size, close to the reference's: within a tolerance times the largest value on its way, or
    within what the roundings before it can have made of it where the step makes more of them, as sin(1000 * x) does.
FINAL: made of NaN, infinities, huge or tiny values in one operation. The reference's value, to a relative tolerance;
    moved on, but no longer computed with, since `(x + y) - y` may be simplified.
UNSURE: what a comparison or a rounding makes of a value that is not exact. Nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# Beyond this, values are not of ordinary size: sums of them may lose bits, products overflow float32.
LARGE = 2.0**20
# Modes that round.
SMOOTH = ("smooth", "stable", "slope", "transform")
# Of these, those that are many operations.
MANY = ("slope", "transform")
# Modes whose results are rounded by digits of their own, not by those of larger values on the way.
RELATIVE = ("ring", "running", "smooth")
# Units in the last place that a step may be off by itself, and a slope or transform, which is many operations; and how
# often the error that is expected is allowed.
UNITS, OF_SLOPES, ALLOWED = 4.0, 64.0, 16.0


class Grade(IntEnum):
    UNSURE = 0
    FINAL = 1
    ROUNDED = 2
    EXACT = 3


@dataclass(eq=False)
class Worth:
    """A value with its grade. scale: the largest number on its way; single: whether float32 was rounded there.

    error: of a rounded value, by how much each element may be off. signed: whether the signs of its zeros are certain.
    """

    array: Array
    grade: Grade = Grade.EXACT
    scale: float = 0.0
    single: bool = False
    error: Array | float = 0.0
    signed: bool = True

    def resigned(self, direction: int) -> Array:
        """The value with zeros of either sign; with the other one for the other direction."""
        signs = np.random.default_rng(0).choice((-direction, direction), self.array.shape)
        return np.where(self.array == 0, np.copysign(self.array, signs), self.array)

    def settle(self, others: Sequence[Array]) -> None:
        """Nothing is known of it where it is not the same as those that are made of zeros of other signs."""
        if not all(np.all(same(self.array, other)) for other in others):
            self.grade = Grade.UNSURE

    def moved(self, direction: int) -> Array:
        """The value off by its error, up here and down there; the other way round for the other direction."""
        signs = np.random.default_rng(0).choice((-direction, direction), self.array.shape)
        return np.asarray(self.array + signs * self.error).astype(self.array.dtype)

    def spread(self, others: Sequence[Array]) -> None:
        """Add to the error what is between this value and those of operands that were off."""
        here = self.array.astype(np.float64)
        away = [np.where(same(here, other), 0.0, np.abs(here - other)) for other in others]
        self.error = np.maximum.reduce([np.zeros(here.shape), *away]) + self.error
        if not np.all(np.isfinite(self.error)):
            self.grade = Grade.UNSURE

    @property
    def floating(self) -> bool:
        return self.array.dtype.kind == "f"

    @property
    def tame(self) -> bool:
        """Whether it can be computed with."""
        return not self.floating or (self.grade >= Grade.ROUNDED and bool(np.all(np.abs(self.array) <= LARGE)))


def is_fine(array: Array, operands: Sequence[Worth]) -> bool:
    """Whether sums and products of such floats are exact: multiples of a power of two, not large.

    A result that was rounded can look like one that was not. So the binary places of the operands are looked at, too;
    those of one operand count twice, for it may be multiplied by itself.
    """
    single = array.dtype.name == "float32"
    most = 8 if single else 16
    places = [fraction_bits(w.array, most) for w in operands if w.floating]
    if sum(places) * (2 if len(places) == 1 else 1) > most:
        return False
    limit = 2.0 ** (22 if single else 46) / 2.0**most
    return bool(np.all(np.abs(array) < limit)) and fraction_bits(array, most) <= most


def same(here: Array, other: Array) -> Array:
    """Which elements are equal, or both NaN."""
    return (here == other) | (np.isnan(here) & np.isnan(other))


def fraction_bits(array: Array, most: int) -> int:
    """Binary places behind the point that the elements have, `most + 1` where they have more."""
    wide = array.astype(np.float64)
    return next((k for k in range(most + 1) if np.all(wide * 2.0**k == np.round(wide * 2.0**k))), most + 1)


def subnormal(array: Array) -> bool:
    """Whether there are numbers below the smallest normal one, of which slopes divide."""
    return bool(np.any((array != 0) & (np.abs(array) < np.finfo(array.dtype).smallest_normal)))


def tiny(array: Array) -> bool:
    return bool(np.any((array != 0) & (np.abs(array) < 1e-6)))


def digits(array: Array) -> int:
    """Binary digits that a product of all elements may have, and of any of them."""
    finite = np.abs(array[np.isfinite(array) & (array != 0)].astype(np.float64))
    whole = (np.frexp(finite)[0] * 2.0**53).astype(np.int64)
    lowest_bit = whole & -whole
    return int(np.sum(np.log2(whole // lowest_bit, dtype=np.float64).astype(int) + (whole != lowest_bit)))


def leaves_range(array: Array) -> bool:
    """Whether a product of some of the elements may overflow or underflow: then its order shows."""
    sizes = np.abs(array[np.isfinite(array) & (array != 0)].astype(np.float64))
    bits = np.log2(sizes)
    most = 100 if array.dtype.name == "float32" else 1000
    return bool(bits[bits > 0].sum() > most or bits[bits < 0].sum() < -most)


def strays(array: Array) -> bool:
    """Whether a product of some elements that adjoin along an axis may overflow or underflow."""
    sizes = np.abs(array.astype(np.float64))
    bits = np.log2(np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0))
    most = 100 if array.dtype.name == "float32" else 1000
    for axis in range(array.ndim):
        so_far = np.cumsum(bits, axis)
        if np.any(np.max(so_far, axis, initial=0.0) - np.min(so_far, axis, initial=0.0) > most):
            return True
    return False


def largest(array: Array) -> float:
    """The largest finite magnitude."""
    if array.dtype.kind == "f":
        return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))
    return float(np.max(np.abs(array.astype(np.float64)), initial=0.0))


def grade(mode: str, operands: Sequence[Worth], array: Array) -> Worth:
    """The worth of what a step makes of its operands. mode:

    move: elements stand elsewhere. ring: +, -, * and the like. sum: the order is free. product: of elements, likewise.
    running: products of the elements so far; a device multiplies adjoining ones first (docs/cuda.md).
    smooth: rounds. stable: several operations that round, for which a stable form may stand: of huge values that gives
    other results. slope: of many operations, whose parts may cancel out beside one that is NaN. transform: likewise of
    many; which of its values are NaN where one goes in that is infinite depends on the way of computing. strict: a
    comparison, a rounding, an order: whatever depends on the bits of its operands. shape: depends on lengths of floats.
    """
    lowest = min((w.grade for w in operands), default=Grade.EXACT)
    judged = _judged(mode, operands, lowest, array)
    scale = max([largest(array) if array.dtype.kind == "f" else 0.0, *(w.scale for w in operands)])
    if judged == Grade.FINAL and mode not in ("sum", "move", *MANY):
        scale = 0.0
    # what a step of several operations makes of float32 before it becomes float64 has the digits of float32
    within = mode in SMOOTH and any(w.array.dtype.name == "float32" for w in operands)
    single = within or any(w.single for w in operands) or array.dtype.name == "float32"
    error = rounding(mode, operands, array, single) if judged == Grade.ROUNDED else 0.0
    signed = array.dtype.kind != "f" or not np.any(array == 0) or (mode == "move" and all(w.signed for w in operands))
    return Worth(array, judged, scale, single, error, signed)


def rounding(mode: str, operands: Sequence[Worth], array: Array, single: bool) -> Array | float:
    """By how much a step itself may be off."""
    if mode == "move" or array.dtype.kind != "f":
        return 0.0
    sizes = np.where(np.isfinite(array), np.abs(array.astype(np.float64)), 0.0)
    if mode not in RELATIVE:
        sizes = np.maximum(sizes, max(map(largest, [array, *(w.array for w in operands if w.floating)])))
    units = OF_SLOPES if mode in MANY else UNITS
    return np.asarray(units * float(np.finfo(np.float32 if single else np.float64).eps) * sizes)


def _judged(mode: str, operands: Sequence[Worth], lowest: Grade, array: Array) -> Grade:
    if lowest == Grade.UNSURE or mode == "move":
        return lowest
    if mode == "shape":
        return Grade.EXACT
    if mode == "product":
        return _of_product(operands, lowest, array)
    if mode == "running" and any(w.floating and strays(w.array) for w in operands):
        return Grade.UNSURE
    if mode in ("stable", "transform") and not all(w.tame for w in operands):
        return Grade.UNSURE
    # SciPy takes some of them for zero: gammainc(1e-310, 1e-310) is 0 there, and 1 in truth
    if mode in ("stable", "slope") and any(w.floating and subnormal(w.array) for w in operands):
        return Grade.UNSURE
    exact = Grade.EXACT if lowest == Grade.EXACT else Grade.UNSURE
    if mode == "strict" or lowest == Grade.FINAL or array.dtype.kind != "f":
        return exact
    if any(not w.tame or (mode not in SMOOTH and w.floating and tiny(w.array)) for w in operands):
        ordered = mode == "sum" and any(w.scale > LARGE for w in operands)
        return Grade.UNSURE if ordered or lowest < Grade.EXACT else Grade.FINAL
    if mode not in SMOOTH and lowest == Grade.EXACT and is_fine(array, operands):
        return Grade.EXACT
    if bool(np.all(np.abs(array) <= LARGE)):
        return Grade.ROUNDED
    return Grade.FINAL if lowest == Grade.EXACT else Grade.UNSURE


def _of_product(operands: Sequence[Worth], lowest: Grade, array: Array) -> Grade:
    """As of a sum, where no part of the product overflows; exact only if no part of it is rounded, either."""
    if any(leaves_range(w.array) for w in operands):
        return Grade.UNSURE
    most = 22 if array.dtype.name == "float32" else 46
    rounds = array.dtype.kind == "f" and sum(digits(w.array) for w in operands) > most
    return min(_judged("sum", operands, lowest, array), Grade.ROUNDED if rounds else Grade.EXACT)


def check(worth: Worth, got: Array, what: str) -> None:
    """AssertionError where `got` is not what `worth` says."""
    wanted = worth.array
    assert got.dtype == wanted.dtype, f"{what}: dtype {got.dtype}, expected {wanted.dtype}"
    if worth.grade == Grade.UNSURE:
        return
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, expected {wanted.shape}"
    if worth.grade == Grade.EXACT:
        same = np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f")
    else:
        rtol = 1e-4 if worth.single else 1e-9
        tiniest = float(np.finfo(np.float32).tiny) if worth.single else 1e-300
        atol = np.maximum(
            rtol * max(worth.scale, 1.0 if worth.grade == Grade.ROUNDED else tiniest), ALLOWED * worth.error
        )
        same = bool(np.all(np.isclose(got, wanted, rtol=rtol, atol=atol, equal_nan=True)))
    assert same, f"{what}: values {shortened(got)}, expected {shortened(wanted)} ({worth.grade.name})"


def shortened(array: Array) -> str:
    listed = array.ravel().tolist()
    return repr(listed if len(listed) <= 12 else [*listed[:12], "..."])
