"""Large products by cuBLAS: what numgraph asks of it, on a fake that takes matrices by columns as the library does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.cuda import blas, driver, target
from numgraph.cuda.array import from_host
from numgraph.cuda.blas import product_of
from numgraph.cuda.device import Device
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.errors import IndexOutOfRange, LaunchError
from numgraph.loops.grid.kernel import Geometry
from numgraph.schedule.gridproduct import LARGE
from tests.fakecublas import SPACE, FakeCublas, with_cublas
from tests.fakecuda import fake_device

rng = np.random.default_rng(5)


def draw(*shape: int, dtype: str = "float32") -> Any:
    return rng.standard_normal(shape).astype(dtype)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeCublas:
    """The simulated device has a cuBLAS, for products of 8 and more."""
    device = SimulatedDevice()
    made = with_cublas(device)
    found = device, replace(target.SIMULATED, large=8)
    monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda target: found)
    return made


def compiled(outputs: Any, updates: Any = (), inputs: Any = ()) -> Any:
    return ng.function(list(inputs), outputs, updates=list(updates), target="cuda-sim")


# -- the module by itself ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Device:
    if request.param == "fake":
        device = SimulatedDevice()
        with_cublas(device)
        return device
    real = driver.device()
    if real.blas is None:
        pytest.skip(f"cuBLAS is not there: {blas.INSTALL}")
    return real


def multiplied(device: Device, out: Any, left: Any, right: Any, factors: tuple[float, float], steps: Any) -> Any:
    """What becomes of `out`; steps: (m, n, k, strides, axes of a stack), in elements of what is uploaded."""
    arrays = [from_host(device, np.ascontiguousarray(v)) for v in (out, left, right)]
    product = product_of(out.dtype.name, [a.address for a in arrays], steps, factors)
    if product is not None:
        device.multiply(product)
    return np.asarray(arrays[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("factors", [(1.0, 0.0), (-0.5, 1.0), (2.0, 0.25)])
def test_layouts(device: Device, dtype: str, turned: tuple[bool, bool], factors: tuple[float, float]) -> None:
    m, n, k = 3, 5, 4
    # whole matrices are wider than the parts that are multiplied
    left, right = draw(*((k, m + 2) if turned[0] else (m, k + 2)), dtype=dtype), None
    right = draw(*((n, k + 1) if turned[1] else (k, n + 1)), dtype=dtype)
    a = left[:, :m].T if turned[0] else left[:, :k]
    b = right[:, :k].T if turned[1] else right[:, :n]
    strides = [s // left.itemsize for v in (a, b) for s in v.strides]
    out = draw(m, n, dtype=dtype) if factors[1] else np.full((m, n), np.nan, dtype)
    got = multiplied(device, out, left, right, factors, [m, n, k, *strides])
    want = factors[0] * (a.astype("float64") @ b.astype("float64")) + (factors[1] * out if factors[1] else 0)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("m, n, k", [(0, 3, 2), (3, 0, 2), (1, 1, 1), (4, 3, 0), (1, 5, 3), (5, 1, 3), (3, 3, 1)])
def test_short_and_empty(device: Device, m: int, n: int, k: int) -> None:
    left, right, out = draw(m, k), draw(k, n), draw(m, n)
    got = multiplied(device, out, left, right, (1.0, 0.5), [m, n, k, max(k, 1), 1, max(n, 1), 1])
    np.testing.assert_allclose(got, left @ right + 0.5 * out, rtol=1e-5, atol=1e-6)


def test_recordings_and_tf32(device: Device) -> None:
    a = draw(160, 160)
    x, out = from_host(device, a), from_host(device, np.zeros_like(a))
    sizes = [160, 160, 160, 160, 1, 160, 1]
    want = 4 * (a.astype("float64") @ a)
    errors = []
    for allowed in (False, True, False):
        asked: Any = product_of("float32", (out.address, x.address, x.address), sizes, (1.0, 1.0), allowed)
        device.clear(out.address, out.nbytes)
        device.multiply(asked)
        device.record(lambda asked=asked: device.multiply(asked)).replay(3)  # type: ignore[misc]
        errors.append(float(np.abs(np.asarray(out) - want).max() / np.abs(want).max()))
    assert errors[0] < 3e-6 < 3e-5 < errors[1] < 1e-2
    assert errors[2] == errors[0]


def test_stacks_of_either_order(device: Device) -> None:
    left, right, out = draw(3, 4, 5), draw(6, 3, 7), draw(3, 4, 6)
    # right is (3, 7, 6)
    got = multiplied(device, out, left, right, (1.0, 0.5), [4, 6, 5, 5, 1, 1, 21, 3, 20, 7])
    want = left @ right.transpose(1, 2, 0)[:, :5] + 0.5 * out
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert product_of("float32", [0, 0, 0], [4, 6, 5, 5, 1, 1, 21, 0, 20, 7]) is None


# -- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orientations_and_windows(library: FakeCublas, dtype: str) -> None:
    a, b = draw(20, 31, dtype=dtype), draw(31, 20, dtype=dtype)
    x, y = ng.shared(a, "x"), ng.shared(b, "y")
    pairs = [(x, y), (x.T, y.T), (x, x.T), (y, y.T), (x[3:15, 5:25], y[5:25, 2:17]), (x[::2], y[:, 1:12]),
             (x[4:13].T, y[:, :9].T)]  # fmt: skip
    values = [(a, b), (a.T, b.T), (a, a.T), (b, b.T), (a[3:15, 5:25], b[5:25, 2:17]), (a[::2], b[:, 1:12]),
              (a[4:13].T, b[:, :9].T)]  # fmt: skip
    f = compiled([ng.dot(*pair) for pair in pairs])
    for got, (left, right) in zip(f(), values, strict=True):
        np.testing.assert_allclose(got, left.astype("float64") @ right, rtol=1e-4, atol=1e-5)
    assert library.names() == ["sgemm" if dtype == "float32" else "dgemm"] * len(pairs)
    for call in ("(x, y; 20, 20, 31, 31, 1, 20, 1;", "(x + 98, y + 102; 12, 15, 20, 31, 1, 20, 1;"):
        assert f" = cublas.gemm{call} alpha 1.0, beta 0.0)" in f.source


def test_updates_in_place_are_recorded(library: FakeCublas) -> None:
    start, a, b = draw(9, 12), draw(9, 10), draw(10, 12)
    w, x, y = ng.shared(start, "w"), ng.shared(a, "x"), ng.shared(b, "y")
    f = compiled([], [(w, w - 0.5 * ng.dot(x, y))])
    for _ in range(4):
        f()
    assert "alpha -0.5, beta 1.0" in f.source
    want = start - 4 * 0.5 * (a.astype("float64") @ b)
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-5, atol=1e-5)
    assert library.names() == ["sgemm"] * 4
    # of the shared variables' memory
    w.set_value(start)
    f()
    np.testing.assert_allclose(w.get_value(), start - 0.5 * (a.astype("float64") @ b), rtol=1e-5, atol=1e-5)


def test_products_feed_what_follows_and_sweep(library: FakeCublas) -> None:
    a, b = draw(9, 10) / 5, draw(10, 9) / 5
    x, y, k = ng.shared(a, "x"), ng.shared(b, "y"), ng.lscalar("k")
    hidden = ng.tanh(ng.dot(x, y))
    f = compiled(ng.sum(ng.dot(hidden, hidden)) * k, [(x, x * 0.5)], [k])
    want = []
    for step in range(3):
        h = np.tanh(a.astype("float64") @ b)
        want.append((h @ h).sum() * step)
        a = a / 2
    np.testing.assert_allclose(f.sweep(k=[0, 1, 2]), want, rtol=1e-4, atol=1e-4)
    assert library.names() == ["sgemm"] * 6


def test_stacks_and_lengths_that_change(library: FakeCublas) -> None:
    """Not by the value of an argument: lengths of shared variables are read before a call."""
    a, b = draw(3, 9, 10, dtype="float64"), draw(3, 11, 10, dtype="float64")
    x, y = ng.shared(a, "x"), ng.shared(b, "y")
    outputs = [
        ng.batched_dot(x, ng.transpose(y, (0, 2, 1))),
        ng.matmul(x[1:], y[1, :, :].T),
        ng.dot(x[0, 1:].T, x[0, 1:]),
    ]
    f = compiled(outputs)
    for rows in (9, 16, 4, 1):
        x.set_value(a := draw(3, rows, 10, dtype="float64"))
        want = [a @ b.transpose(0, 2, 1), a[1:] @ b[1].T, a[0, 1:].T @ a[0, 1:]]
        for _ in range(2):
            for got, expected in zip(f(), want, strict=True):
                np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert {"dgemm_strided_batched", "dgemm"} == set(library.names())
    w = ng.shared(draw(20, 31), "w")
    g = compiled(ng.dot(w[2:12].T, w[2:12]))
    for rows in (20, 26, 7, 2):
        w.set_value(c := draw(rows, 31))
        library.calls.clear()
        np.testing.assert_allclose(g(), c[2:12].T @ c[2:12], rtol=1e-4, atol=1e-4)
        assert library.calls == [("sgemm", 0, 1, 31, 31, max(0, min(rows, 12) - 2), 1)]


# -- the choice -------------------------------------------------------------------------------------------------------


def test_not_by_cublas(library: FakeCublas) -> None:
    x, y, rate = ng.shared(draw(9, 30), "x"), ng.shared(draw(30, 9), "y"), ng.fscalar("rate")
    w, begin, u = ng.shared(draw(9, 9), "w"), ng.lscalar("begin"), ng.matrix("u", "float32")
    whole = ng.shared(np.ones((9, 9), "int64"), "whole")
    others = [
        compiled([ng.dot(x[:7], y), ng.dot(x, y[:, :3]), ng.dot(x[:, :5], y[:5])]),
        compiled([ng.dot(x[:, begin : begin + 9], y[begin : begin + 9])], inputs=[begin]),
        # the lengths are known, and not where the rows are
        compiled(ng.dot(u[2:12, 3:15], y[:12]), inputs=[u]),
        compiled(ng.dot(u, y), inputs=[u]),
        compiled([ng.dot(whole, whole)]),
        compiled([], [(w, w - rate * ng.dot(x, y))], [rate]),
    ]
    for f in others:
        assert "cublas" not in f.source
    others[0]()
    others[1](4)
    v = draw(14, 30)
    np.testing.assert_allclose(others[2](v), v[2:12, 3:15] @ y.get_value()[:12], rtol=1e-4, atol=1e-5)
    others[-1](0.5)
    assert not library.names()


def test_a_refused_index_leaves_an_update_by_cublas_alone(library: FakeCublas) -> None:
    start = draw(9, 9)
    w, x = ng.shared(start, "w"), ng.shared(draw(9, 9), "x")
    order = ng.shared(np.array([0, 40]), "order")
    f = compiled(ng.sum(x[order]), [(w, w + ng.dot(x, x))])
    for _ in range(3):
        with pytest.raises(IndexOutOfRange, match="40"):
            f()
    np.testing.assert_array_equal(w.get_value(), start)


def test_the_device_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    x = ng.shared(draw(LARGE, LARGE), "x")
    assert "cublas" not in compiled(ng.dot(x, x)).source
    device = SimulatedDevice()
    library = with_cublas(device)
    found = device, replace(target.SIMULATED, large=LARGE)
    monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda target: found)
    f = compiled(ng.dot(x, x))
    wide = x.get_value().astype("float64")
    np.testing.assert_allclose(f(), wide @ wide, rtol=1e-4, atol=1e-4)
    assert library.names() == ["sgemm"]
    assert compiled(ng.dot(x, x)).source == f.source


def test_tf32_only_when_asked_for(library: FakeCublas, monkeypatch: pytest.MonkeyPatch) -> None:
    a = draw(16, 16)
    x, y = ng.shared(a, "x"), ng.shared(a.astype("float64"), "y")
    exact = compiled([ng.dot(x, x), ng.dot(y, y)])
    monkeypatch.setattr(config, "cuda_tf32", True)
    fast = compiled([ng.dot(x, x), ng.dot(y, y)])
    want = a.astype("float64") @ a
    errors = []
    for f in (exact, fast, exact):
        single, double = f()
        errors.append(np.abs(single - want).max())
        np.testing.assert_allclose(double, want, rtol=1e-12, atol=1e-12)
    assert errors[0] < 1e-5 < 1e-4 < errors[1] < 0.1
    assert errors[2] == errors[0]
    assert library.names("mode") == ["set_math_mode"] * 2
    assert "TF32" not in exact.source
    assert fast.source.count("in TF32") == 1


# -- a CUDA device ----------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CudaDevice, FakeCublas]]:
    """What target="cuda" uses: what is asked for is done later, in order."""
    made = fake_device(stream=7)
    bindings: Any = made.bindings
    library = FakeCublas(lambda address: bindings.elements(address, "uint8"), bindings.later)
    monkeypatch.setattr(blas, "import_module", lambda name: library)
    monkeypatch.setitem(blas.WORKSPACE, 9, SPACE)
    monkeypatch.setattr(driver, "_OPEN", {})
    driver.adopt(made)
    target.device_for.cache_clear()
    yield made, library
    target.device_for.cache_clear()


def test_on_the_devices_own_stream(fake: tuple[CudaDevice, FakeCublas]) -> None:
    device, library = fake
    a, start = draw(LARGE, LARGE), draw(LARGE, LARGE)
    x, w = ng.shared(a, "x"), ng.shared(start, "w")
    f = ng.function([], [], updates=[(w, w - 0.5 * ng.dot(x, x))], target="cuda")
    assert target.device_for("cuda")[1] == Geometry(large=LARGE, together=4)
    for _ in range(3):
        f()
    want = start - 1.5 * (a.astype("float64") @ a)
    np.testing.assert_allclose(w.get_value(), want, rtol=1e-4, atol=1e-4)
    # once by itself, once into the recording, which is replayed
    assert library.calls == [("set_stream", 7), ("set_workspace", SPACE), *[("sgemm", 0, 0, *[LARGE] * 3, 1)] * 2]
    assert device.counts.launches == 3


def test_refusals_are_told(fake: tuple[CudaDevice, FakeCublas]) -> None:
    device, library = fake
    library.refuse = "CUBLAS_STATUS_EXECUTION_FAILED (13)"
    product: Any = product_of("float32", [device.allocate(64)] * 3, [2, 2, 2, 2, 1, 2, 1])
    with pytest.raises(LaunchError, match=r"a product by cuBLAS, \(2, 2\) @ .* failed: CUBLAS_STATUS_EXECUTION_FAILED"):
        device.multiply(product)


def test_where_there_is_no_cublas(monkeypatch: pytest.MonkeyPatch) -> None:
    device = fake_device(stream=7)
    asked: list[str] = []

    def absent(name: str) -> Any:
        asked.append(name)
        raise ImportError(name)

    monkeypatch.setattr(blas, "import_module", absent)
    assert device.blas is None
    assert asked == ["nvmath.bindings.cublas"]

    def create() -> int:
        raise RuntimeError("libcublas is not found")

    broken = SimpleNamespace(create=create, cuBLASError=FakeCublas.cuBLASError)
    monkeypatch.setattr(blas, "import_module", lambda name: broken)
    assert blas.find(device) is None
    assert blas.find(fake_device()) is None
