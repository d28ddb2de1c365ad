"""The machine code of generated kernels: registers, spills, float64, 64-bit offsets; and that it computes what they
say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from test_cuda_training import Logistic

import numgraph as ng
from numgraph.cuda import compiler, target
from numgraph.cuda.loading import loaded
from numgraph.cuda.passes import DeviceTarget, printed_for_grid
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.loops.grid.kernel import Geometry
from tests.compiler.test_golden import compare, logistic_regression
from tests.ptx import Program
from tests.ptx_run import run_ptx

needs_compiler = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))


def logistic() -> ng.Function:
    """The tutorial's step at its real size."""
    return large(784, 10, 600)


def layers() -> ng.Function:
    """A hidden layer: products that are large on both sides."""
    return large(784, 10, 600, hidden=500)


def large(features: int, classes: int, batch: int, hidden: int = 0) -> ng.Function:
    sizes = [features, *([hidden] if hidden else []), classes]
    data = ng.shared(np.zeros((3 * batch, features), "float32"), "train_x")
    labels = ng.shared(np.zeros(3 * batch, "int32"), "train_y")
    weights = [ng.shared(np.zeros(s, "float32"), "W") for s in pairwise(sizes)]
    biases = [ng.shared(np.zeros(n, "float32"), "b") for n in sizes[1:]]
    x, y, index = ng.matrix("x", "float32"), ng.vector("y", "int32"), ng.lscalar("index")
    h = x
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h = ng.dot(h, w) + b
        h = ng.tanh(h) if k + 1 < len(weights) else ng.softmax(h)
    cost = -ng.mean(ng.log(h)[ng.arange(y.shape[0]), y])
    every = weights + biases
    updates = [(w, w - np.float32(0.1) * g) for w, g in zip(every, ng.grad(cost, every), strict=True)]
    window = slice(index * batch, (index + 1) * batch)
    return ng.function([index], cost, updates, {x: data[window], y: labels[window]}, target="cuda-sim", name="train")


def wide_softmax() -> ng.Function:
    """Rows that a block of threads shares, sums over both axes, where the largest is."""
    x = ng.fmatrix("x")
    outputs = [ng.softmax(x), ng.sum(x * x, axis=0), ng.argmax(x, axis=1), ng.max(x), ng.mean(x)]
    return ng.function([x], outputs, target="cuda-sim", name="rows")


def functions() -> ng.Function:
    """A chain of functions that kernels have versions of their own for."""
    x, y = ng.fvector("x"), ng.fvector("y")
    z = ng.sigmoid(x) + ng.floor(y) % 3 + ng.round(x) // 2 + ng.erf(x) + ng.softplus(y) * ng.trunc(y) + ng.log2(abs(x))
    return ng.function([x, y], [2 * ng.exp(-x * x) + 3 * ng.tanh(y) * x, z], target="cuda-sim", name="chain")


def indices() -> ng.Function:
    """Reads and writes where integers say."""
    table, rows = ng.shared(np.zeros((600, 64), "float32"), name="table"), ng.lvector("rows")
    picked = table[rows]
    new = ng.inc_subtensor(picked, -0.5 * picked)
    return ng.function([rows], ng.sum(picked), updates=[(table, new)], target="cuda-sim", name="embed")


PROGRAMS = {"logistic": logistic, "layers": layers, "wide_softmax": wide_softmax, "functions": functions,
            "indices": indices}  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("name", PROGRAMS)
def test_code(name: str) -> None:
    module = printed_for_grid(PROGRAMS[name]().program, Geometry()).module
    source = loaded(module.text)
    for kernel in module.kernels[0]:
        signature = tuple(p.dtype for p in kernel.parameters.values())
        cubin = compiler.compile_cubin(source[kernel.code], signature, (9, 0), max_threads=kernel.threads)
        assert (cubin.stack_bytes, cubin.spill_bytes) == (0, 0), kernel.name
        assert cubin.shared_bytes <= 48 * 1024
        assert cubin.registers <= 168
        assert ".f64" not in cubin.ptx, f"{kernel.name} computes in float64"
        assert not Program(cubin.ptx).narrow(), f"{kernel.name} has offsets of 32 bits"


def test_source(update_golden: bool) -> None:
    """The kernels of the tutorial's step, as people see them."""
    module = printed_for_grid(logistic_regression().program, Geometry()).module
    compare("logistic_regression_cuda.py", module.text, update_golden)


class PtxDevice(SimulatedDevice):
    """Runs what the compiler makes of kernels, instruction by instruction."""

    name = "PTX"

    def load(self, function: Any, signature: tuple[str, ...], max_threads: int | None = None) -> Any:
        kernel = super().load(function, signature, max_threads)
        kernel.function = compiler.compile_cubin(function, signature, self.capability).ptx
        return kernel

    def _simulate(self, kernel: Any, grid: Any, block: Any, passed: list[Any]) -> None:
        grids = grid if isinstance(grid, tuple) else (grid,)
        blocks = block if isinstance(block, tuple) else (block,)
        numbers = [np.int64(v) if isinstance(v, int) else v for v in passed]
        run_ptx(kernel.function, (*grids, 1, 1)[:3], (*blocks, 1, 1)[:3], numbers)


@needs_compiler
def test_the_code_does_what_the_source_says(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = Logistic("cuda-sim")
    monkeypatch.setattr(target, "device_for", lambda name: (PtxDevice(), target.SIMULATED))
    monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda name: (PtxDevice(), target.SIMULATED))
    compiled = Logistic("cuda-sim")
    assert isinstance(compiled.train.executor.target, DeviceTarget)
    for k in (0, 2):
        assert float(compiled.train(k)) == pytest.approx(float(simulated.train(k)), rel=1e-5)
    for a, b in zip(compiled.values(), simulated.values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
