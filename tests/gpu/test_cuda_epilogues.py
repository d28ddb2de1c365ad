"""What the launch of a product does, too: loops over the part of each block, sums of these, and small loops beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from test_cuda_code import PtxDevice, needs_compiler

import numgraph as ng
from bench.peers import with_numgraph
from numgraph.cuda import target
from numgraph.cuda.passes import printed_for_grid
from numgraph.errors import IndexOutOfRange
from numgraph.loops.grid.kernel import Geometry

Functions = Sequence[ng.Function]
DIGITS = {"R": 6000, "F": 784, "C": 10, "H": 500}


def kinds(f: ng.Function, geometry: Geometry | None = None) -> list[str]:
    """How the kernels of a function are divided, on a card unless said otherwise."""
    return [kernel.kind for kernel in printed_for_grid(f.program, geometry or Geometry()).module.kernels[0]]


@pytest.mark.parametrize(("kind", "batch", "most"), [
    ("logreg", 20, 3), ("logreg", 600, 3), ("logreg", 6000, 3), ("mlp", 20, 6), ("mlp", 600, 6), ("mlp", 6000, 7),
])  # fmt: skip
def test_launches_of_training_steps(kind: str, batch: int, most: int) -> None:
    """The benchmark's models, with squared weights in the cost of the perceptron."""
    step = with_numgraph.build(kind, DIGITS | {"B": batch}, 1, "cuda-sim").call
    assert isinstance(step, ng.Function)
    assert len(kinds(step)) <= most


def draw(*shape: int, dtype: str = "float32") -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


def layer(where: str, rows: int, columns: int) -> ng.Function:
    """An activation, sums over its rows, and a small update that has nothing to do with either."""
    x, w = ng.shared(draw(rows, 7), "x"), ng.shared(draw(7, columns), "w")
    b, c = ng.shared(draw(columns), "b"), ng.shared(draw(5), "c")
    h = ng.tanh(ng.dot(x, w) + b)
    return ng.function([], [h, ng.sum(h, axis=0), ng.sum(h * h, axis=0)], updates=[(c, c * 2)], target=where)


def rows_of_few(where: str, rows: int, columns: int) -> ng.Function:
    """What depends on whole rows of a product with few columns."""
    x, w = ng.shared(draw(rows, 9), "x"), ng.shared(draw(9, columns), "w")
    p = ng.softmax(ng.dot(x, w))
    return ng.function([], [p, ng.argmax(p, axis=1), ng.sum(p, axis=0)], target=where)


def penalised(where: str, rows: int, columns: int) -> ng.Function:
    """A sum of all there is, which other blocks than those of the product could do."""
    x, w = ng.shared(draw(rows, 30), "x"), ng.shared(draw(30, columns), "w")
    large = ng.shared(draw(150, 120), "large")
    return ng.function([], [ng.exp(-ng.sqr(ng.dot(x, w))), ng.sum(ng.sqr(large))], target=where)


CASES: list[tuple[Callable[..., ng.Function], int, int]] = [
    (layer, 50, 40), (layer, 33, 70), (layer, 1, 40), (layer, 500, 33), (rows_of_few, 30, 5), (rows_of_few, 700, 3),
    (penalised, 40, 40), (penalised, 40, 4),
]  # fmt: skip


@pytest.mark.parametrize(("make", "rows", "columns"), CASES)
def test_as_on_the_processor(make: Callable[..., ng.Function], rows: int, columns: int) -> None:
    there, here = make("cuda-sim", rows, columns), make("cpu", rows, columns)
    for found, wanted in zip(there(), here(), strict=True):
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=2e-5, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize(("make", "rows", "columns"), [(layer, 33, 40), (rows_of_few, 30, 5), (penalised, 20, 40)])
def test_compiled(make: Callable[..., ng.Function], rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = make("cuda-sim", rows, columns)()
    monkeypatch.setattr(target, "device_for", lambda name: (PtxDevice(), target.SIMULATED))
    monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda name: (PtxDevice(), target.SIMULATED))
    for found, wanted in zip(make("cuda-sim", rows, columns)(), simulated, strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-5, atol=1e-6)


def test_what_goes_with_a_product() -> None:
    assert kinds(layer("cuda-sim", 500, 400)) == ["product, flat, sums", "joins"]
    assert kinds(rows_of_few("cuda-sim", 700, 3)) == ["product, rows", "sums"]
    assert kinds(penalised("cuda-sim", 400, 400)) == ["product, flat, sums", "joins"]


def test_many_results_are_joined_by_many_blocks() -> None:
    """What one block would be long at is a launch of its own."""
    x = ng.shared(np.zeros((4000, 3000), "float32"), "x")
    f = ng.function([], [ng.sum(x, axis=0), ng.sum(x * x)], target="cuda-sim")
    assert kinds(f) == ["sums", "sums", "joins", "joins"]
    grids = [kernel.grid for kernel in printed_for_grid(f.program, Geometry()).module.kernels[0]]
    assert grids[2] != [(1, 1, 1)]


def test_with_cublas_a_product_is_alone() -> None:
    x, w = ng.shared(draw(400, 300), "x"), ng.shared(draw(300, 200), "w")
    f = ng.function([], ng.tanh(ng.dot(x, w)), target="cuda-sim")
    assert kinds(f) == ["product, flat"]
    assert kinds(f, Geometry(large=128)) == ["product", "flat"]


def test_what_a_product_reads_is_not_written_beside_it() -> None:
    """The new value of x goes where the old one is, which blocks still read."""
    x, w = ng.shared(draw(40, 40), "x"), ng.shared(draw(40, 40), "w")
    f = ng.function([], updates=[(x, ng.tanh(ng.dot(x, w)))], target="cuda-sim")
    before = x.get_value()
    f()
    np.testing.assert_allclose(x.get_value(), np.tanh(before @ w.get_value()), rtol=1e-5, atol=1e-6)


def test_what_blocks_still_read_keeps_its_memory() -> None:
    """Each layer is as large as the one before, whose last reader is a product that other blocks are still at."""
    x, w = ng.shared(draw(40, 40), "x"), ng.shared(draw(40, 40) / 6, "w")
    h, want = x, x.get_value()
    for _ in range(4):
        h, want = ng.tanh(ng.dot(h, w)), np.tanh(want @ w.get_value())
    f = ng.function([], h, target="cuda-sim")
    assert kinds(f) == ["product, flat"] * 4
    np.testing.assert_allclose(np.asarray(f()), want, rtol=1e-4, atol=1e-5)


def test_elements_at_other_places_of_a_product_wait_for_it() -> None:
    x, w = ng.shared(draw(40, 6), "x"), ng.shared(draw(6, 40), "w")
    z = ng.dot(x, w)
    f = ng.function([], ng.exp(z[::-1]) + z.T, target="cuda-sim")
    assert kinds(f) == ["product", "flat"]
    want = x.get_value() @ w.get_value()
    np.testing.assert_allclose(np.asarray(f()), np.exp(want[::-1]) + want.T, rtol=1e-4)


def test_an_index_that_is_refused_beside_a_product() -> None:
    """No block uses it, and no shared variable changes."""
    x, w, t = ng.shared(draw(40, 6), "x"), ng.shared(draw(6, 40), "w"), ng.shared(draw(40), "t")
    rows = ng.lvector("rows")
    h = ng.tanh(ng.dot(x, w))
    f = ng.function([rows], ng.sum(h, axis=1) * t[rows], updates=[(w, w + 1)], target="cuda-sim")
    before = w.get_value()
    with pytest.raises(IndexOutOfRange):
        np.asarray(f(np.full(40, 99)))
    np.testing.assert_array_equal(w.get_value(), before)
    want = np.tanh(x.get_value() @ before).sum(axis=1) * t.get_value()[::-1]
    np.testing.assert_allclose(np.asarray(f(np.arange(40)[::-1].copy())), want, rtol=1e-4, atol=1e-5)


def test_sums_go_behind_a_launch_that_does_not_read_them() -> None:
    """The sum of `s`, whose length an update changes, is read beside the copy of a product."""
    n = ng.scalar("n", dtype="int64")
    v = ng.vector("v", dtype="float32")
    s = ng.shared(np.array([[[1.0, 2.25]]], "float32"), "s")
    t = ng.shared(np.array([[-2.75], [0.75]]), "t")
    h, _ = ng.scan(lambda h: h, outputs_info=ng.specify_shape(v, (1,)), n_steps=3)
    rows, _ = ng.scan(lambda: ng.dimshuffle(h, 0, "x", 1), n_steps=n % 5)
    twice = ng.repeat(s[n], 2, axis=0)
    p, total = ng.dot(twice, twice), ng.sum(ng.cast(s > 0, "int64"))
    updates = [(t, t + ng.cast(total, "float64")), (s, ng.logsumexp(rows, axis=1))]
    f = ng.function([n, v], [p, p], updates=updates, target="cuda-sim")
    want = np.array([[3.25, 7.3125]] * 2, "float32")
    for found in f(0, np.array([-2.75], "float32")):
        np.testing.assert_allclose(np.asarray(found), want)
    np.testing.assert_array_equal(t.get_value(), [[-0.75], [2.75]])
