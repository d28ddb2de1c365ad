"""The machine code of generated kernels: registers, spills, float64, 64-bit offsets; and that it computes what they
say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from test_cuda_training import Logistic

import numgraph as ng
from numgraph.cuda import compiler, looking, target
from numgraph.cuda.passes import DeviceTarget, printed_for_grid
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.loops.grid.kernel import Geometry, Kernel
from tests.compiler.test_golden import compare, logistic_regression
from tests.ptx import Program, instructions, occupancy
from tests.ptx_run import run_ptx

# Instructions that take dozens of others.
DIVISIONS = [f"{name}.{sign}64" for name in ("div", "rem") for sign in "su"]

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


def chain_of_arguments() -> ng.Function:
    """Matrices whose lengths are known at the call, all in one order."""
    x, y = ng.fmatrix("x"), ng.fmatrix("y")
    return ng.function([x, y], ng.tanh(x) * y, target="cuda-sim", name="chain")


def momentum() -> ng.Function:
    """Elementwise updates of matrices."""
    w, v, g = (ng.shared(np.zeros((784, 500), "float32"), name=name) for name in "wvg")
    velocity = np.float32(0.9) * v - np.float32(0.1) * g
    return ng.function([], [], updates=[(v, velocity), (w, w + velocity)], target="cuda-sim", name="momentum")


def biased() -> ng.Function:
    """A row that is added to each row of a matrix."""
    x, b, y = (ng.shared(np.zeros(n, "float32"), name=k) for k, n in (("x", (600, 500)), ("b", 500), ("y", (600, 500))))
    return ng.function([], [], updates=[(y, ng.tanh(x + b))], target="cuda-sim", name="biased")


# Loads and stores of four elements.
FOURS = [("chain_of_arguments", 2, 1), ("momentum", 3, 2), ("biased", 2, 1)]
PROGRAMS = {"logistic": logistic, "layers": layers, "wide_softmax": wide_softmax, "functions": functions,
            "indices": indices, "chain_of_arguments": chain_of_arguments, "momentum": momentum,
            "biased": biased}  # fmt: skip
# The most instructions of kernels that are no products, in all, and the least occupancy of one.
BOUNDS = {"logistic": (820, 0.5), "layers": (1650, 0.5), "wide_softmax": (1350, 0.62), "functions": (430, 1),
          "indices": (590, 0.62), "chain_of_arguments": (160, 1), "momentum": (85, 1), "biased": (180, 1)}  # fmt: skip


def compiled(name: str) -> list[tuple[Kernel, compiler.Cubin]]:
    """The kernels of a program, with their machine code."""
    return list(looking.kernels_of(printed_for_grid(PROGRAMS[name]().program, Geometry()).module, (9, 0)))


@needs_compiler
@pytest.mark.parametrize("name", PROGRAMS)
def test_code(name: str) -> None:
    for kernel, cubin in compiled(name):
        assert (cubin.stack_bytes, cubin.spill_bytes) == (0, 0), kernel.name
        assert cubin.shared_bytes <= 48 * 1024
        assert cubin.registers <= 168
        assert ".f64" not in cubin.ptx, f"{kernel.name} computes in float64"
        assert not Program(cubin.ptx).narrow(), f"{kernel.name} has offsets of 32 bits"


@needs_compiler
@pytest.mark.parametrize("name", BOUNDS)
def test_few_instructions(name: str) -> None:
    """Bounds a little above what there is: a loop that counts its rounds first, or whose counters are divided, has a
    third more."""
    most, least = BOUNDS[name]
    count = 0
    for kernel, cubin in compiled(name):
        found = instructions(cubin.ptx)
        assert not [op for op in found if op in DIVISIONS], f"{kernel.name} divides"
        if "product" in kernel.shapes:
            continue
        count += len(found)
        if kernel.grid == [(1, 1, 1)]:
            # a single block
            continue
        held = occupancy(cubin.registers, cubin.shared_bytes, kernel.threads)
        assert held >= least, f"{kernel.name}: {held:.0%} of the threads, {cubin.registers} registers"
    assert count <= most


@needs_compiler
@pytest.mark.parametrize(
    ("name", "reads", "writes"), [("chain_of_arguments", 2, 1), ("momentum", 3, 2), ("biased", 2, 1)]
)
def test_four_elements_at_a_time(name: str, reads: int, writes: int) -> None:
    """What adjoins is read and written 16 bytes at a time, and by one where that cannot be."""
    ((_, cubin),) = compiled(name)
    moves = [op.removesuffix(".f32") for op in instructions(cubin.ptx) if ".global" in op]
    assert moves.count("ld.global.v4") == moves.count("ld.global") == reads
    assert moves.count("st.global.v4") == moves.count("st.global") == writes


@needs_compiler
def test_costly_elements_have_a_thread_each() -> None:
    """Their code would be there five times."""
    ((_, cubin),) = compiled("functions")
    assert not [op for op in instructions(cubin.ptx) if ".v4" in op]


@needs_compiler
@pytest.mark.parametrize("begin", [0, 1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "complex64"])
def test_elements_in_fours_are_right(monkeypatch: pytest.MonkeyPatch, dtype: str, begin: int) -> None:
    """Windows that do and do not begin at a multiple of 16 bytes, an end that is none, a row added to all rows; in the
    simulator and compiled."""
    values = np.arange(6 * 40).reshape(6, 40).astype(dtype)
    row = values[1] if dtype != "bool" else values[0]

    def results() -> list[Any]:
        x, b, start = ng.shared(values.copy(), name="x"), ng.shared(row, name="b"), ng.lscalar("start")
        y = ng.shared(values.copy(), name="y")
        part = ng.reshape(x, (-1,))[start : start + 150]
        f = ng.function(
            [start], [part + part, ng.not_equal(part[1:], part[:-1])], updates=[(y, y + b)], target="cuda-sim"
        )
        return [*map(np.asarray, f(begin)), y.get_value()]

    flat = values.ravel()[begin : begin + 150]
    want = [flat + flat, flat[1:] != flat[:-1], values + row]
    for found, wanted in zip(results(), want, strict=True):
        np.testing.assert_array_equal(found, wanted)
    if dtype != "complex64":
        monkeypatch.setattr(target, "device_for", lambda name: (PtxDevice(), target.SIMULATED))
        monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda name: (PtxDevice(), target.SIMULATED))
        for found, wanted in zip(results(), want, strict=True):
            np.testing.assert_array_equal(found, wanted)


@needs_compiler
def test_sums_meet_twice() -> None:
    """Lanes of a warp join their sums by shuffles, and warps with one barrier before and one behind it."""
    x = ng.shared(np.zeros((1000, 1000), "float32"), name="x")
    f = ng.function([], ng.sum(x, axis=1), target="cuda-sim")
    ((_, cubin),) = looking.kernels_of(printed_for_grid(f.program, Geometry()).module, (9, 0))
    found = [op.split(".")[0] for op in instructions(cubin.ptx)]
    assert (found.count("bar"), found.count("shfl")) == (2, 5)


def test_source(update_golden: bool) -> None:
    """The kernels of the tutorial's step, as people see them."""
    module = printed_for_grid(logistic_regression().program, Geometry()).module
    compare("logistic_regression_cuda.py", module.text, update_golden)


class PtxDevice(SimulatedDevice):
    """Runs what the compiler makes of kernels, instruction by instruction."""

    name = "PTX"

    def load(self, function: Any, signature: tuple[str, ...], *limits: Any) -> Any:
        kernel = super().load(function, signature, *limits)
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
