"""Lengths that depend on values, on the simulated device: as outputs, and of what updates change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

A = np.array([1, -1, 2, -2, 3], "float32")
MANY = np.tile(A, 50)


def agree(make: Callable[[str], tuple[Any, list[Any]]], *calls: Any) -> None:
    """Outputs and shared values after each call, or sweep (a dict), as by the reference."""
    found: list[list[Any]] = []
    for target in ("reference", "cuda-sim"):
        f, shared = make(target)
        told: list[Any] = []
        for call in calls:
            result = f.sweep(**call) if isinstance(call, dict) else f(*call)
            told += [np.asarray(r).tolist() for r in result] + [s.get_value().tolist() for s in shared]
        found.append(told)
    assert found[0] == found[1]


def positive(x: Any) -> Any:
    return ng.sum(ng.cast(x > 0, "int64"))


LENGTHS: dict[str, Callable[[Any], list[Any]]] = {
    "the length, too": lambda x: [positive(x), x[: positive(x)]],
    "the length last": lambda x: [x[: positive(x)], ng.exp(x[: positive(x)]) > 2, positive(x)],
    "the length of an output": lambda x: [ng.maximum(x, 0), x[: ng.cast(ng.maximum(x, 0)[-1], "int64")]],
    "lengths of lengths": lambda x: [positive(x[: positive(x)]), x[: positive(x[: positive(x)])], positive(x)],
    "masks": lambda x: [x[x > 0], ng.nonzero(x > 1)[0], x[x > 0][::2] * 2],
    "in arrays of more": lambda x: [positive(x) + ng.arange(3), x[positive(x) :], ng.zeros(positive(x))],
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_are_outputs(name: str) -> None:
    """A plan reads a length where a recording has left it, which is not where the output goes."""

    def make(target: str) -> tuple[Any, list[Any]]:
        x = ng.vector("x", "float32")
        return ng.function([x], LENGTHS[name](x), target=target), []

    agree(make, (A,), (MANY,), (A[:1],), (A,), (MANY,))


def test_lengths_as_outputs() -> None:
    """The number of the plan and the memory of the output are two parameters of a kernel."""

    def make(target: str) -> tuple[Any, list[Any]]:
        m = ng.matrix("m", "float32")
        outputs = [m.shape[0] + m.shape[1], m.shape[0], m.shape[0] * m.shape[1] * 2 + m.shape[1], m * m.shape[0]]
        return ng.function([m], outputs, target=target), []

    agree(make, (np.zeros((3, 4), "float32"),), (np.zeros((0, 2), "float32"),))


def slice_and_update(target: str) -> tuple[Any, list[Any]]:
    s, x = ng.shared(np.array([2, 3, 1]), "s"), ng.vector("x", "float32")
    outputs = [x[: s[-1]] * 2, ng.sum(x[s[0] : s[1]])]
    return ng.function([x], outputs, updates=[(s, s + 1)], target=target), [s]


def slice_by_the_new_value(target: str) -> tuple[Any, list[Any]]:
    s, x = ng.shared(np.array([2, 3, 1]), "s"), ng.vector("x", "float32")
    return ng.function([x], [x[: (s + 1)[0]], (s + 1)[1]], updates=[(s, s + 1)], target=target), [s]


def scatter_and_slice(target: str) -> tuple[Any, list[Any]]:
    s, x = ng.shared(np.array([4, 1, 2, 3]), "s"), ng.vector("x", "float32")
    changed = ng.inc_subtensor(s[s % 4], 1)
    return ng.function([x], [changed[: s[-1]], x[: s[0]]], updates=[(s, ng.inc_subtensor(s[1:], 1))], target=target), [
        s
    ]


@pytest.mark.parametrize("make", [slice_and_update, slice_by_the_new_value, scatter_and_slice])
def test_lengths_of_what_an_update_changes(make: Any) -> None:
    """A kernel reads them itself, and so before the update."""
    agree(make, (MANY,), (A,), (MANY,))


def test_sweeps_with_lengths_that_steps_change() -> None:
    """Their temporaries grow from step to step: no recording serves all."""

    def make(target: str) -> tuple[Any, list[Any]]:
        x, n = ng.shared(np.arange(300, dtype="float32") / 300, "x"), ng.shared(np.int64(2), "n")
        i = ng.lscalar("i")
        window = ng.exp(x[:n])
        outputs = [ng.cast(ng.sum(ng.sort(window)[i:]) + ng.max(window), "int64")]
        return ng.function([i], outputs, updates=[(n, n * 2)], target=target), [n]

    agree(make, {"i": [0, 1, 1, 0, 2, 1]}, {"i": [0]})


def test_what_the_host_works_out_wraps_around_as_in_kernels() -> None:
    """Else a kernel writes beyond the array that the host has made."""
    i, x, m = ng.lscalar("i"), ng.vector("x"), ng.tensor("m", dtype="int64", shape=(None, None))
    given = [i, x, m]
    outputs = [x[i * 8 :], x[: i + 1], x[i : i + 2].shape[0] + i, m[: ng.sum(m) + ng.sum(m), 1:]]
    f, g = (ng.function(given, outputs, target=target) for target in ("cuda-sim", "reference"))
    values, low = np.arange(4.0), -(2**63)
    for k in (2**61, 2**63 - 1, low, 2**62 + 1, 1):
        for rows in ([[0, low], [2**63 - 1, 3], [0, 3], [0, 1 + low]], [[1, 1], [0, 0]]):
            table = np.array(rows, "int64")
            for got, want in zip(f(k, values, table), g(k, values, table), strict=True):
                np.testing.assert_array_equal(np.asarray(got), want)


def test_kernels_of_one_thread_begin_where_a_window_does() -> None:
    b, v, k = ng.vector("b", dtype="bool"), ng.vector("v"), ng.lscalar("k")
    s = ng.shared(np.array([True, False, True, True, False]), "s")
    found = ng.sum(ng.cast(s, "int64"))
    outputs = [
        ng.flatnonzero(b[1:]), ng.flatnonzero(s[k:]), ng.flatnonzero(s[-found:]), ng.argsort(v[k:]),
        ng.cumsum(v[k:]), ng.cumprod(v[-found:]), ng.searchsorted(v[k:], v[1:]),
    ]  # fmt: skip
    f, g = (ng.function([b, v, k], outputs, target=target) for target in ("cuda-sim", "reference"))
    mask, values = np.array([False, True, False, True, True]), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    for start in (0, 2, 4, -1):
        for got, want in zip(f(mask, values, start), g(mask, values, start), strict=True):
            np.testing.assert_array_equal(np.asarray(got), want)


def test_lengths_from_constant_arrays() -> None:
    """The host reads elements of constants where it has them, at any index and of any dtype."""
    k, v = ng.lscalar("k"), ng.vector("v")
    s = ng.shared(np.array([6, 7], "int16"), "s")
    wide, narrow, real = (ng.constant(np.array([1, 0, 2], dtype)) for dtype in ("int64", "int8", "float32"))
    table = ng.constant(np.array([[1, 0], [2, 1]]))
    outputs = [
        v[: wide[k]], v[: narrow[k] * 2], v[ng.cast(real[k] / 2, "int64") :], v[: table[1, k % 2]], ng.zeros(wide[k]),
        s, s[: (ng.arange(s.shape[0]) * k)[-1]],
    ]  # fmt: skip
    f, g = (ng.function([k, v], outputs, target=target) for target in ("cuda-sim", "reference"))
    for index in (2, 0, -2, 2):
        for got, want in zip(f(index, np.arange(5.0)), g(index, np.arange(5.0)), strict=True):
            np.testing.assert_array_equal(np.asarray(got), want)
    swept = ng.function([k], ng.sum(s[: wide[k]]), target="cuda-sim").sweep(k=[0, 1, 2])
    np.testing.assert_array_equal(np.asarray(swept), [6, 0, 13])


def test_errors_of_lengths_that_depend_on_a_number_on_the_device() -> None:
    """A message says the lengths in the call, as far as the host knows them."""
    x, s = ng.vector("x"), ng.shared(np.int64(1), "s")
    f = ng.function([x], x[x > s][5], target="cuda-sim")
    assert float(f(np.arange(9.0))) == 7
    with pytest.raises(ng.IndexOutOfRange, match="index 5 is out of range for an axis of length 3"):
        f(np.arange(5.0))


def test_a_length_that_says_where_a_part_is_placed() -> None:
    """Rules replace the array that the length is counted of; the place of the second part is read from the new one."""

    def make(target: str) -> tuple[Any, list[Any]]:
        x = ng.matrix("x", "float32")
        slope = ng.grad(ng.sum(ng.prod(x, axis=-2, keepdims=True)), x)
        part = slope[: positive(slope)]
        return ng.function([x], ng.concatenate([part[::2], part, part[::-1]], axis=0), target=target), []

    agree(make, (A[:1, None],), (A[None],), (np.ones((4, 1), "float32"),))


LENGTHS_OF_FLOATS = {
    "ceil": lambda x, n: ng.arange(1.0, x.shape[0] + 1.0),
    "exp": lambda x, n: ng.exp(n),
    "rint, sqrt": lambda x, n: ng.rint(ng.sqrt(ng.cast(x.shape[0], "float64"))),
    "several": lambda x, n: ng.tanh(n) * 3 + ng.erf(n) + ng.log1p(ng.sigmoid(n)),
    "float32": lambda x, n: ng.ceil(ng.cast(n, "float32")) + ng.cast(n, "float32") ** 2,
}


@pytest.mark.parametrize("name", LENGTHS_OF_FLOATS)
def test_the_host_computes_lengths_with_every_function(name: str) -> None:
    """A plan's functions have the names that kernels' files give them, which the host does not import."""

    def make(target: str) -> tuple[Any, list[Any]]:
        x, n = ng.vector("x", "float32"), ng.scalar("n", "float64")
        length = LENGTHS_OF_FLOATS[name](x, n)
        part = length * x if length.ndim else x[: ng.cast(length, "int64")]
        return ng.function([x, n], part, target=target, on_unused_input="ignore"), []

    agree(make, (A, 1.2), (A, 0.3), (MANY, 1.0))
