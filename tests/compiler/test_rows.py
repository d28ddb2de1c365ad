"""Phases over tiles of rows: products, loops and sums over the same rows in one pass, against NumPy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import IndexOutOfRange
from numgraph.schedule import fuse

RATE = 0.3


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = ng.config.threads
    yield
    ng.config.threads = before


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phases over so few rows that the tests need little memory and time."""
    monkeypatch.setattr(fuse, "WORTH_ROWS", 96)


def data(rows: int, features: int, classes: int, dtype: str = "float32") -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(rows * 1000 + features * 10 + classes)
    x = rng.standard_normal((rows, features)).astype(dtype)
    W = (rng.standard_normal((features, classes)) / np.sqrt(features)).astype(dtype)
    return x, rng.integers(0, classes, rows).astype("int32"), W, rng.standard_normal(classes).astype(dtype)


def softmax_step(x: Any, y: Any, W: Any, b: Any) -> tuple[float, Any, Any]:
    """(cost, new W, new b) of a step of softmax regression, in float64."""
    x, W, b = (a.astype("float64") for a in (x, W, b))
    z = x @ W + b
    z -= z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    at = np.arange(len(y)), y
    dz = np.exp(log_p)
    dz[at] -= 1
    dz /= len(y)
    return -log_p[at].mean(), W - RATE * x.T @ dz, b - RATE * dz.sum(axis=0)


def window(array: Any, name: str, index: Any) -> Any:
    """Part `index` of resident data, as many rows as `array` has: that many are expected when code is made."""
    return ng.shared(array, name=name)[index * len(array) : (index + 1) * len(array)]


def cost_of(x: Any, y: Any, W: Any, b: Any) -> Any:
    log_p = ng.log(ng.softmax(ng.dot(x, W) + b, axis=1))
    return -ng.mean(log_p[ng.arange(y.shape[0]), y])


def training(x: Any, y: Any, W: Any, b: Any, batch: int) -> tuple[Any, Any, Any]:
    """(step, W, b), all resident."""
    index = ng.scalar("index", dtype="int64")
    xs, ys = ng.matrix("x", dtype=x.dtype.name), ng.vector("y", dtype="int32")
    Ws, bs = ng.shared(W, name="W"), ng.shared(b, name="b")
    cost = cost_of(xs, ys, Ws, bs)
    updates = [(p, p - RATE * g) for p, g in zip((Ws, bs), ng.grad(cost, [Ws, bs]), strict=True)]
    rows = slice(index * batch, (index + 1) * batch)
    givens = {xs: ng.shared(x, name="train_x")[rows], ys: ng.shared(y, name="train_y")[rows]}
    return ng.function([index], cost, updates=updates, givens=givens), Ws, bs


def kinds(f: Any) -> list[str]:
    return [phase.kind for phase in f.explain().phases]


@pytest.mark.parametrize(
    ("features", "classes", "count"),
    [(785, 10, 1), (785, 10, 2), (785, 10, 3), (1, 2, 2), (7, 1, 3), (64, 33, 2), (130, 13, 1)],
)
def test_softmax_regression(features: int, classes: int, count: int) -> None:
    """The last minibatch is shorter; blocks, pairs of rows and vectors leave a rest."""
    ng.config.threads = count
    x, y, W, b = data(231, features, classes)
    step, Ws, bs = training(x, y, W, b, 107)
    assert "tiles of rows" in kinds(step) or features * classes < 10
    for k in range(3):
        part = slice(k * 107, (k + 1) * 107)
        want, W64, b64 = softmax_step(x[part], y[part], Ws.get_value(), bs.get_value())
        np.testing.assert_allclose(step(k), want, rtol=2e-5)
        np.testing.assert_allclose(Ws.get_value(), W64, rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(bs.get_value(), b64, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("rows", [95, 96])
def test_few_rows_are_not_worth_it(rows: int) -> None:
    step, _, _ = training(*data(rows, 70, 10), rows)
    assert ("tiles of rows" in kinds(step)) == (rows == 96)


def test_float64() -> None:
    x, y, W, b = data(200, 70, 10, "float64")
    step, Ws, _ = training(x, y, W, b, 200)
    want, W64, _ = softmax_step(x, y, W, b)
    np.testing.assert_allclose(step(0), want, rtol=1e-13)
    np.testing.assert_allclose(Ws.get_value(), W64, rtol=1e-12, atol=1e-14)


@pytest.fixture(scope="module")
def gradient() -> Any:
    """Cost and gradients for a window of 400 rows, which ends where its array does."""
    x, y = ng.matrix("x", dtype="float32"), ng.vector("y", dtype="int32")
    W, b = ng.shared(data(1, 70, 10)[2], name="W"), ng.shared(data(1, 70, 10)[3], name="b")
    xs, ys = (ng.shared(a, name=n) for a, n in zip(data(1, 70, 10)[:2], "xy", strict=True))
    cost, index = cost_of(x, y, W, b), ng.lscalar("index")
    part = slice(index * 400, (index + 1) * 400)
    f = ng.function([index], [cost, *ng.grad(cost, [W, b])], givens={x: xs[part], y: ys[part]})
    assert "tiles of rows" in kinds(f)
    return f, W, b, xs, ys


@pytest.mark.parametrize("rows", [1, 15, 16, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 81, 300])
def test_any_number_of_rows(gradient: Any, rows: int) -> None:
    f, W, b, xs, ys = gradient
    x, y, _, _ = data(rows, 70, 10)
    xs.set_value(x)
    ys.set_value(y)
    want, W64, b64 = softmax_step(x, y, W.get_value(), b.get_value())
    cost, dW, db = f(0)
    np.testing.assert_allclose(cost, want, rtol=1e-5)
    np.testing.assert_allclose(dW, (W.get_value() - W64) / RATE, atol=3e-6)
    np.testing.assert_allclose(db, (b.get_value() - b64) / RATE, atol=3e-6)


def test_no_rows(gradient: Any) -> None:
    """A sum over no rows is 0; the mean of nothing is NaN."""
    gradient[3].set_value(np.zeros((0, 70), "float32"))
    gradient[4].set_value(np.zeros(0, "int32"))
    cost, dW, db = gradient[0](0)
    assert np.isnan(cost) and dW.shape == (70, 10) and not dW.any() and not db.any()


@pytest.mark.parametrize("count", [1, 3])
def test_same_bits(count: int) -> None:
    """In every run, and in a sweep."""
    ng.config.threads = count
    results = []
    for sweeps in (False, False, True):
        x, y, W, b = data(600, 100, 10)
        step, Ws, bs = training(x, y, W, b, 130)
        costs = step.sweep(index=range(5)) if sweeps else np.array([step(k) for k in range(5)])
        results.append([costs.tobytes(), Ws.get_value().tobytes(), bs.get_value().tobytes()])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("count", [1, 2])
def test_a_bad_label_changes_nothing(count: int) -> None:
    ng.config.threads = count
    x, y, W, b = data(400, 70, 10)
    y[377] = 10
    step, Ws, _ = training(x, y, W, b, 400)
    with pytest.raises(IndexOutOfRange, match="10"):
        step(0)
    np.testing.assert_array_equal(Ws.get_value(), W)


def test_nan_and_infinity_stay_in_their_rows() -> None:
    """What a block computes beside its rows, and lanes beside its columns, is never seen."""
    x, _, W, _ = data(100, 70, 3)
    x[17, 69], x[99, 0] = np.nan, np.inf
    index = ng.lscalar("index")
    s, w = window(x, "x", index), ng.shared(W, name="W")
    h = ng.tanh(ng.dot(s, w))
    f = ng.function([index], [ng.sum(h, axis=1), ng.dot(s.T, h)])
    assert "tiles of rows" in kinds(f)
    rows, product = f(0)
    with np.errstate(invalid="ignore"):
        want = np.tanh(x.astype("float64") @ W)
        np.testing.assert_allclose(rows, want.sum(axis=1), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(product, x.astype("float64").T @ want, rtol=1e-4, atol=1e-4)


def perceptron(x: Any, t: Any, V: Any, W: Any) -> Any:
    h = ng.tanh(ng.dot(x, V))
    return ng.sum((ng.dot(h, W) - t) ** 2) / x.shape[0]


@pytest.mark.parametrize(
    ("features", "hidden", "outputs", "count"), [(70, 40, 10, 1), (9, 130, 3, 2), (200, 300, 40, 2)]
)
def test_two_layers(features: int, hidden: int, outputs: int, count: int) -> None:
    """Products one after the other, one of them with a transpose; sums for both layers, the larger one apart."""
    ng.config.threads = count
    rng = np.random.default_rng(1)
    shapes = (173, features), (173, outputs), (features, hidden), (hidden, outputs)
    arrays = [(rng.standard_normal(s) / 8).astype("float32") for s in shapes]
    index = ng.lscalar("index")
    V, W = (ng.shared(a, name=n) for a, n in zip(arrays[2:], "VW", strict=True))
    cost = perceptron(window(arrays[0], "x", index), window(arrays[1], "t", index), V, W)
    dV, dW = ng.grad(cost, [V, W])
    f = ng.function([index], cost, updates=[(V, 0.9 * V - RATE * dV), (W, W - RATE * dW)])
    assert "tiles of rows" in kinds(f)
    got = f(0)
    x64, t64, V64, W64 = (a.astype("float64") for a in arrays)
    h = np.tanh(x64 @ V64)
    error = h @ W64 - t64
    np.testing.assert_allclose(got, (error**2).sum() / 173, rtol=1e-5)
    np.testing.assert_allclose(W.get_value(), W64 - RATE * 2 / 173 * h.T @ error, atol=2e-6)
    back = (2 / 173 * error @ W64.T) * (1 - h * h)
    np.testing.assert_allclose(V.get_value(), 0.9 * V64 - RATE * x64.T @ back, atol=2e-6)


def test_results_that_others_read() -> None:
    """An intermediate result that is an output too, or that is read behind the phase, is stored whole."""
    x, _, W, _ = data(150, 70, 10)
    index = ng.lscalar("index")
    s, w = window(x, "x", index), ng.shared(W, name="W")
    z = ng.dot(s, w)
    h = ng.tanh(z)
    centred = h - ng.mean(h, axis=0)
    f = ng.function([index], [z, ng.dot(s.T, h), centred])
    assert "tiles of rows" in kinds(f)
    z64 = x.astype("float64") @ W
    h64 = np.tanh(z64)
    for got, want in zip(f(0), (z64, x.T @ h64, h64 - h64.mean(axis=0)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def test_a_sum_over_rows_ends_a_phase() -> None:
    """What needs a sum over all rows runs behind the phase, also where a product follows."""
    x, _, W, _ = data(150, 70, 10)
    index = ng.lscalar("index")
    s, w = window(x, "x", index), ng.shared(W, name="W")
    h = ng.tanh(ng.dot(s, w))
    scaled = h / ng.sqrt(ng.sum(h * h, axis=0))
    f = ng.function([index], [ng.dot(s.T, scaled), ng.sum(scaled, axis=0)])
    assert "tiles of rows" in kinds(f)
    h64 = np.tanh(x.astype("float64") @ W)
    want = h64 / np.sqrt((h64 * h64).sum(axis=0))
    got = f(0)
    np.testing.assert_allclose(got[0], x.T @ want, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(got[1], want.sum(axis=0), rtol=1e-4, atol=2e-5)


def test_equal_lengths_confuse_nothing() -> None:
    """Rows, features and columns are as many: what is a row product and what a sum follows from what they read."""
    x, _, W, _ = data(100, 100, 100)
    index = ng.lscalar("index")
    s, w = window(x, "x", index), ng.shared(W, name="W")
    h = ng.tanh(ng.dot(s, w))
    f = ng.function([index], [ng.dot(s.T, h), ng.dot(h, w), ng.dot(h.T, s), ng.dot(w, h), ng.sum(h, axis=1)])
    h64 = np.tanh(x.astype("float64") @ W)
    for got, want in zip(f(0), (x.T @ h64, h64 @ W, h64.T @ x, W @ h64, h64.sum(axis=1)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_explained() -> None:
    """Which products run together with loops over their rows, and why the others do not."""
    rng = np.random.default_rng(0)
    V, W = (
        ng.shared(rng.standard_normal(s).astype("float32"), name=n) for s, n in (((900, 500), "V"), ((500, 9), "W"))
    )
    index = ng.lscalar("index")
    arrays = [(rng.standard_normal((200, n)).astype("float32"), name) for n, name in ((900, "x"), (9, "t"))]
    cost = perceptron(*(window(a, name, index) for a, name in arrays), V, W)
    f = ng.function([index], cost, updates=[(p, p - g) for p, g in zip((V, W), ng.grad(cost, [V, W]), strict=True)])
    details = {phase.makes[-1]: phase.details for phase in f.explain().phases}
    assert any("rows at a time" in d for d in details["W"])
    assert any("sums up W, 18,000 bytes" in d for d in details["W"])
    assert any("its sums, 1,800,000 bytes, would not stay in the cache" in d for d in details["V"])
    assert any("its weights, 1,800,000 bytes" in d for d in f.explain().phases[0].details)
    assert "for tiles of 32 rows of" in f.record.stages["schedule"]


def test_rows_that_are_not_known() -> None:
    """Products and loops are apart then, since few rows would not be worth it."""
    x, W = ng.matrix("x", dtype="float32"), ng.shared(np.ones((70, 10), "float32"), name="W")
    f = ng.function([x], ng.softmax(ng.dot(x, W)))
    details = f.explain(np.ones((500, 70), "float32")).phases[0].details
    assert "not together with loops over its rows: how many rows there are is known only at the call" in details


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_no_columns_beside_lengths_that_are_not_known(target: str) -> None:
    """Nothing times any number of bytes is a number, and says nothing about the other length."""
    x, a = ng.tensor("x", dtype="float32", shape=(200, None)), np.ones((200, 3), "float32")
    z, W = ng.tensor("z", dtype="float32", shape=(200, 0)), ng.tensor("W", dtype="float32", shape=(None, 0))
    h = ng.tanh(x)
    sums = ng.function([x, z], [ng.dot(h.T, z), h], target=target)
    assert [v.shape for v in sums(a, np.ones((200, 0), "float32"))] == [(3, 0), (200, 3)]
    rows = ng.function([x, W], [ng.tanh(ng.dot(h, W)), h], target=target)
    assert [v.shape for v in rows(a, np.ones((3, 0), "float32"))] == [(200, 0), (200, 3)]
