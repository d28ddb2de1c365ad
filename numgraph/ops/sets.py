"""Sets: which elements are in others, unions and the like; and comparisons of whole arrays.

The lengths of sets are known only at run time.
"""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable, as_operands, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.types import COMPLEX, DISCRETE, promote

__all__ = [
    "allclose", "array_equal", "in1d", "intersect1d", "isclose", "isin", "setdiff1d", "setxor1d", "union1d",
]  # fmt: skip


def isin(x: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Variable:
    """Whether each element of x is one of `test_elements`, bool of x's shape; with `invert` whether it is none. NaN is
    in nothing.
    """
    v, tested = as_operands(x, test_elements)
    dtype = promote([v.type.dtype, tested.type.dtype])
    v, line = f.cast(v, dtype), f.sort(f.flatten(f.cast(tested, dtype)), 0)
    found = f.lt(f.searchsorted(line, v, "left"), f.searchsorted(line, v, "right"))
    if dtype not in DISCRETE:
        found = f.and_(found, f.logical_not(f.isnan(v)))
    return f.logical_not(found) if invert else found


def in1d(x: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Variable:
    """`isin` of the flattened x."""
    return isin(f.flatten(as_variable(x)), test_elements, assume_unique, invert)


def union1d(x: Any, y: Any) -> Variable:
    """What is in x or in y, sorted, each once."""
    return f.unique(f.concatenate([f.flatten(v) for v in as_operands(x, y)]))


def _different(x: Variable, assume_unique: bool) -> Variable:
    return f.flatten(x) if assume_unique else f.unique(x)


def intersect1d(
    x: Any, y: Any, assume_unique: bool = False, return_indices: bool = False
) -> Variable | tuple[Variable, Variable, Variable]:
    """What is in x and in y, sorted, each once. return_indices: and where each occurs first in the flattened x and y.

    assume_unique: no element occurs twice in either.
    """
    a, b = as_operands(x, y)
    if not return_indices:
        found = _different(a, assume_unique)
        common = found[f.flatnonzero(isin(found, b))]
        return f.sort(common) if assume_unique else common
    values, first = f.unique(a, return_index=True)
    others, second = f.unique(b, return_index=True)
    mine, theirs = (f.flatnonzero(isin(v, w)) for v, w in ((values, others), (others, values)))
    return values[mine], first[mine], second[theirs]


def setdiff1d(x: Any, y: Any, assume_unique: bool = False) -> Variable:
    """What is in x and not in y, sorted, each once; with `assume_unique` in x's order."""
    a, b = as_operands(x, y)
    found = _different(a, assume_unique)
    return f.getitem(found, f.flatnonzero(isin(found, b, invert=True)))


def setxor1d(x: Any, y: Any, assume_unique: bool = False) -> Variable:
    """What is in exactly one of x and y, sorted, each once."""
    a, b = as_operands(x, y)
    return f.sort(f.concatenate([setdiff1d(a, b, assume_unique), setdiff1d(b, a, assume_unique)]))


def isclose(x: Any, y: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Variable:
    """Where abs(x - y) <= atol + rtol * abs(y), bool; infinities are close to themselves, NaN to NaN with
    `equal_nan`."""
    a, b = as_operands(x, y)
    apart = f.abs(f.sub(*(f.cast(v, "float64") if v.type.dtype in DISCRETE else v for v in (a, b))))
    size = f.abs(b if b.type.dtype in COMPLEX else f.cast(b, apart.type.dtype))
    near = f.le(apart, f.add(atol, f.mul(rtol, size)))
    close = f.or_(f.and_(f.isfinite(b), near), f.eq(a, b))
    return f.or_(close, f.and_(f.isnan(a), f.isnan(b))) if equal_nan else close


def allclose(x: Any, y: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Variable:
    """Whether all elements are close, a bool: see `isclose`."""
    return f.all(isclose(x, y, rtol, atol, equal_nan))


def array_equal(x: Any, y: Any, equal_nan: bool = False) -> Variable:
    """Whether x and y have one shape and the same elements, a bool. equal_nan: NaN is equal to NaN."""
    a, b = as_operands(x, y)
    if a.ndim != b.ndim:
        return as_variable(False)
    alike = as_variable(True)
    for k in range(a.ndim):
        alike = f.and_(alike, f.eq(ln.dim(a, k), ln.dim(b, k)))
    # where lengths differ, nothing is compared
    none = [f.where(alike, ln.dim(a, k), 0) for k in range(a.ndim)]
    a, b = (v[tuple(slice(None, n) for n in none)] if none else v for v in (a, b))
    same = f.eq(a, b)
    if equal_nan:
        same = f.or_(same, f.and_(f.isnan(a), f.isnan(b)))
    return f.and_(alike, f.all(same))
