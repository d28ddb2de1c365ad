"""Kernels of rows on the simulated device, of any rank: values against the reference, and no races.

The simulator refuses what a card leaves undefined: elements that two threads use with no barrier between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda.kernel import checked_lengths
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.errors import IndexOutOfRange

Expression = Callable[[Any, int], Any]
rng = np.random.default_rng(11)


def agree(inputs: list[Any], outputs: list[Any], *values: np.ndarray) -> None:
    """The simulated device gives what the reference does."""
    want, got = (ng.function(inputs, outputs, target=target)(*values) for target in ("reference", "cuda-sim"))
    for w, g in zip(want, got, strict=True):
        np.testing.assert_allclose(np.asarray(g), w, rtol=2e-5, atol=1e-5)


def layer_norm(x: Any, axis: int) -> Any:
    centred = x - ng.mean(x, axis=axis, keepdims=True)
    return centred / ng.sqrt(ng.mean(centred**2, axis=axis, keepdims=True) + 1e-5)


ROWS: dict[str, Expression] = {
    "softmax": lambda x, axis: ng.softmax(x, axis=axis),
    "log softmax": lambda x, axis: ng.log(ng.softmax(x, axis=axis)),
    "layer norm": layer_norm,
    "gradient of softmax": lambda x, axis: ng.grad(ng.sum(ng.softmax(x, axis=axis) ** 2), x),
    "gradient of layer norm": lambda x, axis: ng.grad(ng.sum(ng.tanh(layer_norm(x, axis))), x),
    "of the largest": lambda x, axis: ng.exp(x - ng.max(x, axis=axis, keepdims=True)) * ng.argmin(x, axis=axis).sum(),
    "two rows at once": lambda x, axis: ng.exp(x) / ng.sum(ng.exp(x), axis=axis, keepdims=True) + ng.sin(ng.exp(x)),
}  # fmt: skip
SHAPES = [(2, 3, 4), (2, 9, 2), (1, 2, 3, 2), (2, 0, 3)]


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_any_rank(name: str) -> None:
    """Where an intermediate result of a row is kept, every row that is computed at the same time has its own."""
    for shape in SHAPES:
        x = ng.tensor("x", dtype="float32", shape=(None,) * len(shape))
        axes = [a for a in range(1, len(shape)) if shape[a]]
        value = rng.standard_normal(shape).astype("float32")
        agree([x], [ROWS[name](x, axis) for axis in axes], value)


@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 3, 2, 2)])
def test_rows_of_known_lengths(shape: tuple[int, ...]) -> None:
    """Short rows are a thread's each."""
    x = ng.shared(rng.standard_normal(shape).astype("float32"), "x")
    agree([], [ROWS[name](x, -1 % len(shape)) for name in ROWS])


def test_reductions_over_any_axes() -> None:
    x = ng.tensor("x", dtype="float32", shape=(None,) * 4)
    axes = [(k,) for k in range(4)] + [(0, 2), (1, 3), (0, 3), (1, 2), (2, 3), (0, 1, 3), (1, 2, 3), (0, 1, 2, 3)]
    value = rng.standard_normal((2, 3, 2, 2)).astype("float32")
    agree([x], [ng.max(x, axis=a) for a in axes], value)
    agree([x], [x - ng.mean(x, axis=a, keepdims=True) for a in axes], value)


def test_a_value_of_the_row_read_through_an_index() -> None:
    """One lane writes it, all read it: a barrier in between."""
    x, i = ng.tensor("x", dtype="float32", shape=(None, 1)), ng.matrix("i", "int64")
    y = ng.minimum(ng.mean(x), x)
    value = rng.standard_normal((5, 1)).astype("float32")
    agree([x, i], [y, y[:, i % 1 - 1]], value, np.arange(12).reshape(3, 4))


# -- indices that are refused -----------------------------------------------------------------------------------------


def refused(inputs: list[Any], outputs: list[Any], *values: np.ndarray) -> None:
    """The function's own check refuses an index. The simulator's words would be others: those of an access outside of
    an array, for which a card takes the whole program down."""
    f = ng.function(inputs, outputs, target="cuda-sim")
    for _ in range(2):
        with pytest.raises(IndexOutOfRange, match="is out of range"):
            f(*values)


def test_a_refused_index_reads_nothing() -> None:
    """Not even a first element in its place: there may be none."""
    x, m, i, k = ng.vector("x", "float32"), ng.matrix("m", "float32"), ng.lvector("i"), ng.lscalar("k")
    many = np.arange(20)
    refused([x, i], [ng.exp(x)[i % 5]], np.zeros(0, "float32"), many)
    refused([x, k], [x[k] * 2], np.zeros(0, "float32"), np.int64(0))
    refused([x, k], [x[2:][ng.zeros(3, "int64") + k]], np.zeros(2, "float32"), np.int64(0))
    refused([m, k], [ng.sum(m[k])], np.zeros((0, 9), "float32"), np.int64(0))
    refused([m, i], [m[i][:, i]], np.zeros((9, 3), "float32"), np.arange(9))


def test_an_index_that_two_checks_are_about() -> None:
    """One check of the rows that it picks, one of the columns; on the processor, too."""
    m, i = ng.matrix("m", "float32"), ng.lvector("i")
    for target in ("cpu", "cuda-sim"):
        f = ng.function([m, i], m[i][:, i], target=target)
        values = np.arange(12, dtype="float32").reshape(3, 4)
        np.testing.assert_array_equal(np.asarray(f(values, [2, -1, 0])), values[[2, -1, 0]][:, [2, -1, 0]])
        for index in ([0, 1 << 40], [1 << 40, 0], [0, 3]):
            with pytest.raises(IndexOutOfRange, match=f"index {max(index)} is out of range"):
                f(values, index)


def test_a_refused_index_in_every_loop_of_a_row() -> None:
    """A loop that reads the index again leaves out what the first has refused."""
    x, i = ng.matrix("x", "float32"), ng.lvector("i")
    values = np.zeros((7, 9), "float32")
    for index in (np.array([1, 9, 2]), np.array([-10] * 12), np.arange(40)):
        picked = x[:, i]
        refused(
            [x, i], [ng.softmax(picked, axis=1), ng.exp(picked - ng.max(picked, axis=1, keepdims=True))], values, index
        )
        refused([x, i], [layer_norm(x[i], 1)], values, index)
    refused([x], [ng.softmax(x[:, ng.arange(x.shape[0])], axis=1)], np.zeros((9, 4), "float32"))


def test_an_index_behind_an_index() -> None:
    x, i, j = ng.vector("x", "float32"), ng.lvector("i"), ng.lvector("j")
    values = np.arange(4, dtype="float32")
    agree([x, i, j], [x[i[j]]], values, np.array([3, 0]), np.array([1, 0, 1]))
    refused([x, i, j], [x[i[j]]], values, np.array([3, 4]), np.array([0, 1]))
    refused([x, i, j], [x[i[j]]], values, np.array([3, 0]), np.array([0, 2]))


def test_no_grid_is_beyond_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """All axes but the first end at 65,535 blocks; a tall product has more tiles."""
    grids: list[Any] = []

    def launch(self: SimulatedDevice, kernel: Any, grid: Any, block: Any, parameters: Any) -> None:
        checked_lengths(kernel.name, grid, block)
        grids.append(grid)

    monkeypatch.setattr(SimulatedDevice, "launch", launch)
    x, w = ng.matrix("x", "float32"), ng.matrix("w", "float32")
    f = ng.function([x, w], ng.dot(x, w), target="cuda-sim")
    for rows in (16 * 3, 16 * 65_535, 16 * 65_535 + 1, 1 << 21):
        f(np.zeros((rows, 1), "float32"), np.zeros((1, 1), "float32"))
        x_blocks, y_blocks, z_blocks = grids.pop()
        assert x_blocks == 1 and y_blocks * z_blocks * 16 >= rows > (z_blocks - 1) * y_blocks * 16
