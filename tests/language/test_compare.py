"""Comparisons of every pair of dtypes against NumPy 2, which compares integers exactly whatever their signs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.graph import Variable
from numgraph.types import DISCRETE, DTYPES

NAMES = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "neq": "not_equal"}
# about the limits of each dtype, and where float64 has no odd numbers any more
WHOLE = sorted(
    {s * 2**k + d for k in (0, 7, 8, 15, 16, 24, 31, 32, 53, 62, 63, 64) for d in (-1, 0, 1) for s in (-1, 1)}
)


def whole(dtype: str) -> np.ndarray[Any, Any]:
    """The numbers of WHOLE that the dtype has."""
    low, high = (0, 1) if dtype == "bool" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return np.array([n for n in WHOLE if low <= n <= high], dtype)


def all_comparisons(x: Any, y: Any) -> list[Variable]:
    return [getattr(ng, name)(x, y) for name in NAMES]


def numpy_comparisons(x: Any, y: Any) -> list[Any]:
    return [getattr(np, name)(x, y) for name in NAMES.values()]


def column(name: str, dtype: str) -> Variable:
    return ng.tensor(name, dtype, (None, 1))


def row(name: str, dtype: str) -> Variable:
    return ng.tensor(name, dtype, (1, None))


def check_pairs(pairs: list[tuple[str, str]]) -> None:
    variables = [(column("x", a), row("y", b)) for a, b in pairs]
    f = ng.function([v for pair in variables for v in pair], [v for x, y in variables for v in all_comparisons(x, y)])
    got = iter(f(*(v for a, b in pairs for v in (whole(a)[:, None], whole(b)[None]))))
    for a, b in pairs:
        for name, expected in zip(NAMES, numpy_comparisons(whole(a)[:, None], whole(b)), strict=True):
            np.testing.assert_array_equal(next(got), expected, f"{a} {name} {b}")


def test_integers_are_compared_exactly(target: str) -> None:
    check_pairs([("int64", "uint64"), ("uint64", "int64"), ("int8", "uint64"), ("uint64", "bool"), ("uint32", "int32")])


def test_all_pairs_of_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "target", "reference")
    check_pairs(list(itertools.product(DISCRETE, DISCRETE)))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint64"])
def test_python_integers_are_compared_exactly(dtype: str, target: str) -> None:
    """In both orders, also those that fit no dtype."""
    numbers = (-(2**80), -(2**63) - 1, -1, 300, 2**53 + 1, 2**63, 2**80)
    x = ng.vector("x", dtype)
    f = ng.function([x], [v for n in numbers for v in (*all_comparisons(x, n), n < x, ng.eq(n, x))])
    array = whole(dtype)
    got = iter(f(array))
    # NumPy itself refuses such an integer beside bools
    exact = array.astype(object)
    for n in numbers:
        for expected in (*numpy_comparisons(exact, n), np.less(n, exact), np.equal(n, exact)):
            np.testing.assert_array_equal(next(got), expected.astype(bool), f"{dtype} and {n}")


def test_floats_with_integers(target: str) -> None:
    """As NumPy has it the integers become floats, NaN differs from everything and -0.0 is 0."""
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.0**53, 2.0**63, 2.0**64, np.nan, np.inf, -np.inf])
    x = column("x", "float64")
    for dtype in ("int64", "uint64", "bool"):
        y = row("y", dtype)
        got = ng.function([x, y], all_comparisons(x, y))(special[:, None], whole(dtype)[None])
        for name, a, expected in zip(NAMES, got, numpy_comparisons(special[:, None], whole(dtype)), strict=True):
            np.testing.assert_array_equal(a, expected, f"float64 {name} {dtype}")


def test_shapes_and_constants(target: str) -> None:
    """A scalar, a constant and an empty array beside arrays of the other sign."""
    x, n = ng.matrix("x", "int64"), ng.scalar("n", "uint64")
    big = np.uint64(2**63)
    f = ng.function([x, n], [x < n, ng.eq(x, n), x < big, np.int64(-1) < n, ng.eq(np.int64(2**53 + 1), n)])
    less, same, below, above, exact = f([[-1, 2**53 + 1]], 2**53)
    assert less.tolist() == [[True, False]]
    assert same.tolist() == [[False, False]]
    assert below.tolist() == [[True, True]]
    assert above
    assert not exact
    assert [a.shape for a in f(np.zeros((0, 2), np.int64), 1)] == [(0, 2)] * 3 + [()] * 2


def test_gradients_pass_a_mixed_condition(target: str) -> None:
    x, i, n = ng.vector("x", "float64"), ng.vector("i", "int64"), ng.vector("n", "uint64")
    slope = ng.grad(ng.sum(ng.where(i < n, x * 2.0, x * 3.0)), x)
    got = ng.function([x, i, n], slope)([1.0, 1.0, 1.0], [-1, 2**53 + 1, 5], [0, 2**53, 6])
    assert got.tolist() == [2.0, 3.0, 2.0]


OTHERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "maximum": (ng.maximum, np.maximum),
    "minimum": (ng.minimum, np.minimum),
    "where": (lambda x, y: ng.where(ng.neq(x, 0), x, y), lambda x, y: np.where(x != 0, x, y)),
    "clip": (lambda x, y: ng.clip(x, y, y), lambda x, y: np.minimum(np.maximum(x, y), y)),
    "add": (ng.add, np.add),
    "mul": (ng.mul, np.multiply),
}


def test_what_is_no_comparison_follows_the_promotion(target: str) -> None:
    """The common dtype of a signed integer and uint64 is float64 there, rounding included."""
    x, y = column("x", "int64"), row("y", "uint64")
    a, b = whole("int64")[:, None], whole("uint64")[None]
    got = ng.function([x, y], [build(x, y) for build, _ in OTHERS.values()])(a, b)
    for name, value, (_, expected) in zip(OTHERS, got, OTHERS.values(), strict=True):
        wanted = expected(a, b)
        assert value.dtype == wanted.dtype == "float64"
        np.testing.assert_array_equal(value, wanted, name)


def test_dtype_of_a_comparison() -> None:
    real = [d for d in DTYPES if "complex" not in d]
    for a, b in itertools.product(real, real):
        assert (ng.vector("x", a) < ng.vector("y", b)).dtype == "bool"
