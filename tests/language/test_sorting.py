"""sort and argsort: every dtype, lines of all kinds, threads, gradients and devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import numgraph as ng
from numgraph.schedule import chunks
from numgraph.testing import verify_grad

DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)
# lines that are sorted by insertion and by digits, that lie side by side or apart, of which there is one, or nothing
LINES = (
    ((5,), 0), ((700,), 0), ((0,), 0), ((1,), 0), ((7, 90), 1), ((90, 7), 0), ((3, 60, 4), 1), ((3, 5, 70), 2),
    ((70, 3, 5), 0), ((0, 4), 0), ((4, 0), 1),
)  # fmt: skip
RNG = np.random.default_rng(11)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """So many threads, which divide every line of two rows."""
    monkeypatch.setattr(chunks, "GRAIN", 1)
    before, ng.config.threads = ng.config.threads, request.param
    yield request.param
    ng.config.threads = before


def drawn(dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Numbers with many equal ones, the least and the most; NaN, infinities, zeros of both signs."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return RNG.random(shape) > 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        found = RNG.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        special: tuple[Any, ...] = (info.min, info.max, 3)
    else:
        found = RNG.normal(size=shape).astype(dtype)
        least = np.finfo(dtype).smallest_subnormal
        special = (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, least, -least, np.finfo(dtype).max)
    for value in special:
        found[RNG.random(shape) < 0.1] = value
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_line_of_every_dtype(dtype: str, threads: int) -> None:
    made = [(drawn(dtype, shape), axis) for shape, axis in LINES]
    shared = [ng.shared(array) for array, _ in made]
    both = [(ng.sort(s, axis), ng.argsort(s, axis)) for s, (_, axis) in zip(shared, made, strict=True)]
    found = ng.function([], [v for pair in both for v in pair])()
    for k, (array, axis) in enumerate(made):
        order = np.argsort(array, axis=axis, kind="stable")
        np.testing.assert_array_equal(found[2 * k + 1], order, err_msg=f"{array.shape} {axis}")
        want = np.take_along_axis(array, order, axis)
        np.testing.assert_array_equal(found[2 * k], want, err_msg=f"{array.shape} {axis}")
        if array.dtype.kind == "f":
            zeros = want == 0
            np.testing.assert_array_equal(np.signbit(found[2 * k][zeros]), np.signbit(want[zeros]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_a_line_of_any_length_with_any_digits(dtype: str) -> None:
    """Bytes in which all keys are alike are passed over; lengths about those at which the way changes."""
    x = ng.vector("x", dtype=dtype)
    f = ng.function([x], [ng.sort(x), ng.argsort(x)])
    for length in (2, 3, 47, 48, 49, 50, 255, 256, 257, 3000):
        for spread in (0, 1, 200, 10**6):
            array = (RNG.integers(-spread, spread + 1, length) * (0.5 if dtype[0] == "f" else 1)).astype(dtype)
            found, order = f(array)
            np.testing.assert_array_equal(order, np.argsort(array, kind="stable"))
            np.testing.assert_array_equal(found, np.sort(array))


def test_a_shared_value_is_sorted_in_place_of_itself() -> None:
    s = ng.shared(drawn("float32", (4, 60)))
    want = np.sort(s.get_value(), axis=0)
    ng.function([], updates=[(s, ng.sort(s, 0))])()
    np.testing.assert_array_equal(s.get_value(), want)


def test_the_gradient_goes_where_elements_came_from() -> None:
    rng = np.random.default_rng(2)
    x = ng.matrix("x")
    weights = rng.normal(size=(5, 4))
    for axis in (0, 1):
        point = rng.permuted(np.arange(20.0)).reshape(5, 4)
        verify_grad(lambda v, axis=axis: (ng.sort(v, axis) * weights).sum(), [point])
        g = ng.grad((ng.sort(x, axis) ** 2 * weights).sum(), x)
        ng.function([x], ng.grad((g**2).sum(), x))(rng.normal(size=(5, 4)))


def test_a_device_sorts_alike() -> None:
    a = drawn("float32", (6, 9))
    x = ng.matrix("x", dtype="float32")
    outputs = [ng.sort(x, 0), ng.argsort(x, 1), ng.grad((ng.sort(x, 1) * 2).sum(), x)]
    for got, want in zip(ng.function([x], outputs, target="cuda-sim")(a), ng.function([x], outputs)(a), strict=True):
        np.testing.assert_array_equal(got, want)


def test_lines_are_sorted_in_the_steps_of_a_scan() -> None:
    x = ng.matrix("x")
    last, _ = ng.scan(lambda row, before: ng.sort(row + before), sequences=[x], outputs_info=[ng.zeros(60)])
    array = RNG.normal(size=(5, 60))
    want = np.zeros(60)
    for row in array:
        want = np.sort(row + want)
    np.testing.assert_allclose(ng.function([x], last[-1])(array), want, rtol=1e-15)
