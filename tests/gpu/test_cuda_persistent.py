"""Scans that one kernel goes through by itself: the same numbers as by launches for each step, by one block and by
several that wait for one another; what is left to launches, and why; what fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda import compiler, target
from numgraph.cuda.loading import loaded
from numgraph.cuda.passes import printed_for_grid
from numgraph.errors import IndexOutOfRange, KernelError
from numgraph.loops.grid import program
from numgraph.loops.grid.kernel import Geometry, Kernel, flat
from numgraph.loops.grid.persistent import Persistent
from numgraph.loops.program import Call, Do, Number, Statement
from numgraph.schedule.persistent import LINES, RULES
from tests.gpu.test_cuda_code import PtxDevice
from tests.ptx import instructions

Array = np.ndarray[Any, Any]
# Inputs, outputs, updates, shared variables, arguments of some calls.
Case = tuple[list[Any], list[Any], Any, list[Any], list[tuple[Any, ...]]]

needs_compiler = pytest.mark.skipif(
    compiler.missing("compile") is not None, reason=str(compiler.missing("compile")).partition("\n")[0]
)


def draw(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    return (np.random.default_rng(seed).normal(size=shape) * 0.5).astype(dtype)


class AllBlocks(Persistent):
    """As if a step were too much for one block; as many blocks as there may be."""

    def __post_init__(self) -> None:
        self.alone, self.blocks = False, self.most


@pytest.fixture(params=["one block", "all blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How many blocks go through the steps."""
    if request.param == "all blocks":
        monkeypatch.setattr(program, "Persistent", AllBlocks)
    else:
        monkeypatch.setattr(program, "few_enough", lambda *about: True)
    return str(request.param)


def ran(case: Callable[[], Case], name: str) -> tuple[list[list[Array]], ng.Function]:
    """What the calls give, with the values of shared variables behind, and the function."""
    inputs, outputs, updates, shared, calls = case()
    f = ng.function(inputs, outputs, updates=updates, target=name, on_unused_input="ignore")
    return [[*map(np.asarray, f(*call)), *(v.get_value() for v in shared)] for call in calls], f


def kernels_of(f: ng.Function) -> list[Kernel]:
    """Those of the simulated device."""
    return [kernel for stage in f.executor.variants[0].module.kernels for kernel in flat(stage)]


# -- programs ---------------------------------------------------------------------------------------------------------


def of_taps() -> Case:
    x, first = ng.matrix("x"), ng.matrix("first")
    s, _ = ng.scan(lambda v, a, b: ng.tanh(v + a * 0.5 - b), x, dict(initial=first, taps=[-1, -3]))
    X, F = draw(6, 9, dtype="float64"), draw(3, 9, seed=1, dtype="float64")
    return [x, first], [s, s[-1], ng.grad(ng.sum(s * s), first)], None, [], [(X, F), (X[:1], F)]


def of_states_that_change_places() -> Case:
    a, b, n = ng.vector("a"), ng.matrix("b"), ng.lscalar("n")
    (p, q, r, c), _ = ng.scan(
        lambda p, q, r, c: (q, p + 1, ng.sum(r, axis=0) * r * 0.25, c + 1), outputs_info=[a, a * 2, b, np.int32(0)],
        n_steps=n,
    )  # fmt: skip
    return [a, b, n], [p, q[-1], r[-1], c, r], None, [], [(draw(5), draw(4, 3), 4), (draw(5), draw(4, 3), 1)]


def of_no_steps() -> Case:
    x, h0 = ng.matrix("x", "float32"), ng.vector("h0", "float32")
    h, _ = ng.scan(lambda v, h: ng.exp(-h) * v, x, h0)
    return [x, h0], [h, ng.grad(ng.sum(h), h0)], None, [], [(draw(0, 4), draw(4)), (draw(3, 4), draw(4))]


def weights() -> list[Any]:
    shapes = {"W": (3, 20), "U": (5, 20), "b": (20,)}
    return [ng.shared(draw(*shape, seed=k), name) for k, (name, shape) in enumerate(shapes.items())]


def lstm(x: Any, W: Any, U: Any, b: Any) -> Any:
    """A layer of five units: all its values."""

    def step(v: Any, h: Any, c: Any) -> Any:
        z = v @ W + h @ U + b
        i, f, o, g = (z[:, 5 * k : 5 * k + 5] for k in range(4))
        c = ng.sigmoid(f) * c + ng.sigmoid(i) * ng.tanh(g)
        return ng.sigmoid(o) * ng.tanh(c), c

    zeros = ng.zeros((x.shape[1], 5), "float32")
    (h, _), _ = ng.scan(step, x, [zeros, zeros])
    return h


def of_a_layer_that_is_trained() -> Case:
    x, shared = ng.tensor3("x", "float32"), weights()
    cost = ng.mean(ng.sqr(lstm(x, *shared)[-1] - 1))
    updates = [(v, v - np.float32(0.5) * g) for v, g in zip(shared, ng.grad(cost, shared), strict=True)]
    return [x], [cost], updates, shared, [(draw(4, 6, 3),), (draw(2, 1, 3),)]


def of_a_window_of_rows() -> Case:
    data, i, shared = ng.shared(draw(20, 2, 3), "data"), ng.lscalar("i"), weights()
    x = ng.tensor3("x", "float32")
    h = ng.clone(lstm(x, *shared)[-1], {x: data[i * 4 : (i + 1) * 4]})
    return [i], [h], None, [], [(0,), (3,), (4,)]


def of_products_of_all_kinds() -> Case:
    A, B, v, x = ng.matrix("A"), ng.tensor3("B"), ng.vector("v"), ng.matrix("x")

    def step(row: Any, h: Any, s: Any, u: Any) -> Any:
        return ng.tanh(h @ A.T + row), ng.tanh(s @ B), ng.tanh(A @ u) + h[0]

    outputs, _ = ng.scan(step, x, [x[:2] * 0, ng.ones_like(B), v])
    gradients = ng.grad(sum(ng.sum(ng.sqr(o)) for o in outputs), [A, B, v])
    values = draw(6, 6, dtype="float64"), draw(2, 3, 3, dtype="float64"), draw(6, dtype="float64")
    return [A, B, v, x], [*outputs, *gradients], None, [], [(*values, draw(4, 6, dtype="float64"))]


def of_rows_and_sums() -> Case:
    x, w = ng.tensor3("x", "float32"), ng.vector("w", "float32")

    def step(v: Any, h: Any, total: Any) -> Any:
        p = ng.softmax(v + h, axis=1)
        return p - ng.mean(p, axis=0), total + ng.sum(p * w) + ng.cast(ng.argmax(v, axis=1).sum(), "float32")

    (h, total), _ = ng.scan(step, x, [x[0] * 0, np.float32(0)])
    return [x, w], [h, total, ng.grad(total[-1], w)], None, [], [(draw(3, 4, 70), draw(70))]


def of_random_numbers() -> Case:
    rng, x = ng.random.RandomStream(seed=3), ng.vector("x", "float32")
    h, updates = ng.scan(lambda h: ng.tanh(h) + rng.normal(size=x.shape, dtype="float32"), outputs_info=x, n_steps=5)
    return [x], [h], updates, [], [(draw(11),), (draw(11),)]


def of_a_state_that_is_written_over() -> Case:
    x, i, a = ng.vector("x"), ng.lvector("i"), ng.matrix("a")
    s, _ = ng.scan(lambda v, k, s: ng.inc_subtensor(s[k], v), [x, i], a)
    return [x, i, a], [s[-1]], None, [], [(draw(4), [0, 2, 2, 1], draw(3, 9)), (draw(1), [1], draw(3, 9))]


def of_a_condition() -> Case:
    x, h0 = ng.matrix("x"), ng.vector("h0")
    h, _ = ng.scan(lambda v, h: (h + v * v, ng.until(ng.sum(h) > 3)), x, h0)
    X = np.ones((6, 3))
    calls = [(X, np.zeros(3)), (X * 0, np.zeros(3)), (X, np.ones(3) * 2), (X[:0], np.zeros(3))]
    return [x, h0], [h, h.shape[0], ng.grad(ng.sum(h), h0)], None, [], calls


def of_a_condition_in_one_phase() -> Case:
    x, h0 = ng.matrix("x"), ng.vector("h0")
    h, _ = ng.scan(lambda v, h: (h + v, ng.until(v[0] > 1)), x, h0)
    X = draw(6, 19, dtype="float64")
    X[4, 0] = 2
    return [x, h0], [h, h[-1]], None, [], [(X, X[0]), (X[:3], X[0])]


def of_states_that_are_kept() -> Case:
    x, w = ng.matrix("x"), ng.vector("w")
    h, _ = ng.scan(lambda v, h, w: ng.tanh(h * w + v), x, x[0] * 0, non_sequences=w, checkpoint=3)
    return [x, w], [ng.sum(h[-1]), *ng.grad(ng.sum(h[-1]), [x, w])], None, [], [
        (draw(n, 5, dtype="float64"), draw(5, dtype="float64")) for n in (8, 3, 1)
    ]  # fmt: skip


def of_truth_values() -> Case:
    x = ng.matrix("x")
    (seen, count), _ = ng.scan(lambda v, seen, n: (seen | (v > 0.5), n + ng.cast(seen, "int8")), x,
                               [x[0] > 9, ng.cast(x[0] * 0, "int8")])  # fmt: skip
    return [x], [seen, count], None, [], [(draw(5, 13, dtype="float64"),)]


CASES = [
    of_taps, of_states_that_change_places, of_no_steps, of_a_layer_that_is_trained, of_a_window_of_rows,
    of_products_of_all_kinds, of_rows_and_sums, of_random_numbers, of_a_state_that_is_written_over, of_a_condition,
    of_a_condition_in_one_phase, of_states_that_are_kept, of_truth_values,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_same_as_by_launches(case: Callable[[], Case], blocks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, f = ran(case, "cuda-sim")
    assert any(k.scan is not None and k.scan.whole for k in kernels_of(f)), f.source
    assert any(k.together for k in kernels_of(f)) == (blocks == "all blocks")
    monkeypatch.setattr(program, "why_launched", lambda facts: "a test wants it")
    launched, g = ran(case, "cuda-sim")
    assert "; a test wants it" in g.source and g.stats.launches > f.stats.launches
    wanted, _ = ran(case, "reference")
    for call in zip(wanted, launched, found, strict=True):
        for want, other, got in zip(*call, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape) == (other.dtype, other.shape)
            rough = 2e-5 if want.dtype == np.float32 else 1e-11
            np.testing.assert_allclose(got, want, rtol=rough, atol=rough)
            np.testing.assert_allclose(got, other, rtol=rough, atol=rough)


def test_more_blocks_make_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(program, "Persistent", AllBlocks)
    for together in (1, 2, 3):
        geometry = Geometry(**{**vars(target.SIMULATED), "together": together})
        monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda name, g=geometry: (target.SimulatedDevice(), g))
        found.append(ran(of_a_layer_that_is_trained, "cuda-sim")[0])
    for other in found[1:]:
        for call in zip(found[0], other, strict=True):
            for a, b in zip(*call, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_layer_is_one_launch() -> None:
    """Of T steps of two kernels."""
    x, shared = ng.tensor3("x", "float32"), weights()
    f = ng.function([x], lstm(x, *shared), target="cuda-sim")
    (scan,) = (k for k in kernels_of(f) if k.scan is not None)
    counts = []
    for steps in (3, 30):
        before = f.stats.launches
        f(draw(steps, 2, 3))
        counts.append(f.stats.launches - before)
    others = [k for k in kernels_of(f) if k.scan is None and k not in scan.inner]
    assert len(scan.inner) == 1 and counts == [len(others) + 1] * 2


def test_sweeps_over_the_number_of_steps(blocks: str) -> None:
    n, w = ng.lscalar("n"), ng.shared(np.arange(20) / 20, "w")
    found = []
    for name in ("reference", "cuda-sim"):
        w.set_value(np.arange(20) / 20)
        h, _ = ng.scan(lambda h: ng.tanh(h * 2 + w), outputs_info=w, n_steps=n)
        (a, b), _ = ng.scan(lambda a, b: (b, a + 1), outputs_info=[w, w * 2], n_steps=n)
        f = ng.function([n], [h[-1].sum(), a[-1].sum(), b[-1].sum()], updates=[(w, w * 0.5 + h[-1])], target=name)
        found.append([*map(np.asarray, f.sweep(n=[1, 3, 2, 2, 5, 1])), w.get_value()])
    for want, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


# -- what fails -------------------------------------------------------------------------------------------------------


def picking(x: Any, i: Any, h0: Any, phases: int) -> Any:
    """States made of elements that indices say, in a step of one phase or of two."""

    def step(k: Any, h: Any) -> Any:
        h = h[k] + x
        return h if phases == 1 else h - ng.sum(h) * 0.5

    return ng.scan(step, i, h0)[0]


@pytest.mark.parametrize("phases", [1, 2])
def test_an_index_that_a_step_refuses(phases: int, blocks: str) -> None:
    x, i, h0 = ng.vector("x"), ng.lmatrix("i"), ng.vector("h0")
    n = ng.shared(np.int64(0), "n")
    s = picking(x, i, h0, phases)
    g, f = (
        ng.function([x, i, h0], [s, s[-1]], updates=[(n, n + 1)], target=name) for name in ("reference", "cuda-sim")
    )
    X, H, good = draw(17, dtype="float64"), draw(17, seed=1, dtype="float64"), np.arange(51).reshape(3, 17) % 17
    wanted = g(X, good, H)
    for bad in ((0, 16), (1, 3), (2, 0)):
        indices = good.copy()
        indices[bad] = 17
        with pytest.raises(IndexOutOfRange):
            f(X, indices, H)
        assert n.get_value() == 1
        for got, want in zip(f(X, good, H), wanted, strict=True):
            np.testing.assert_allclose(got, want)
        n.set_value(np.int64(1))
    assert any(k.together for k in kernels_of(f)) == (blocks == "all blocks")


def test_an_index_that_is_refused_before_a_condition_ends_the_scan(blocks: str) -> None:
    x, i = ng.vector("x"), ng.lvector("i")
    s, _ = ng.scan(lambda k, h: (h + x[k], ng.until(h + x[k] > 5)), i, ng.constant(0.0))
    f = ng.function([x, i], [s, s.shape[0], s[-1]], target="cuda-sim")
    X = np.array([1.0, 2, 3])
    assert [np.asarray(v).tolist() for v in f(X, [0, 1, 2, 9])] == [[1, 3, 6], 3, 6]
    with pytest.raises(IndexOutOfRange):
        f(X, [0, 9, 2, 2])
    assert [np.asarray(v).tolist() for v in f(X, [2, 2])] == [[3, 6], 2, 6]


def test_a_sweep_ends_where_a_step_refuses_an_index(blocks: str) -> None:
    i, w, rows = ng.lscalar("i"), ng.shared(np.zeros(3), "w"), ng.shared(np.array([[0, 1], [2, 2], [1, 3]]), "rows")
    s, _ = ng.scan(lambda k, h: h + h[k], rows[i], w + 1)
    f = ng.function([i], ng.sum(s[-1]), updates=[(w, w + s[-1])], target="cuda-sim")
    with pytest.raises(IndexOutOfRange):
        f.sweep(i=[0, 1, 2, 0])
    assert w.get_value().tolist() == [24, 24, 24]


def test_the_simulator_finds_phases_without_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "phases", lambda task, division, buffers: [task.nests])
    with pytest.raises(KernelError, match="no barrier between them"):
        ran(of_a_layer_that_is_trained, "cuda-sim")


def test_the_simulator_finds_blocks_that_leave_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a step of one phase, blocks have to wait twice: the next step may refuse an index while some still look for
    that of this one."""

    class Hasty(AllBlocks):
        def _waiting(self) -> Statement:
            self.blocks += 1
            return super()._waiting() if self.blocks == self.most + 1 else Do(Call("int64", (Number(0),)))

    monkeypatch.setattr(program, "Persistent", Hasty)
    x, i, h0 = ng.vector("x"), ng.lmatrix("i"), ng.vector("h0")
    f = ng.function([x, i, h0], picking(x, i, h0, 1), target="cuda-sim")
    indices = np.zeros((3, 17), "int64")
    indices[1, 0] = 17
    with pytest.raises(KernelError, match="no barrier between them"):
        f(draw(17, dtype="float64"), indices, draw(17, dtype="float64"))


# -- what is launched step by step ------------------------------------------------------------------------------------


def many(h: Any) -> Any:
    """A long chain."""
    for k in range(LINES):
        h = ng.sin(h + k)
    return h


T, V, M = ng.lscalar("T"), ng.vector("V"), ng.matrix("M")
LAUNCHED: dict[str, Callable[[], Any]] = {
    "it makes one step at most": lambda: ng.ifelse(T > 1, ng.exp(V), V),
    "a step has a loop in it": lambda: ng.scan(lambda v, h: ng.scan(lambda h: h * v, outputs_info=h, n_steps=T)[0][-1],
                                               V, np.float64(1))[0],
    "a step calls a kernel": lambda: ng.scan(lambda h: ng.sort(h) * 2, outputs_info=V, n_steps=T)[0],
    "a length changes from step to step": lambda: ng.scan(lambda k, h: h + ng.sum(V[:k]), ng.arange(T), V)[0],
    "a step has conditions on lengths": lambda: ng.scan(lambda k, h: h + V[k : k + 3], ng.arange(T), ng.zeros(3))[0],
    "a product of a step is large": lambda: ng.scan(
        lambda h: h @ ng.shared(np.zeros((1024, 1024))), outputs_info=ng.zeros((64, 1024)), n_steps=T)[0],
    "a step has many elements": lambda: ng.scan(lambda h: h + 1, outputs_info=ng.zeros((1024, 1024)), n_steps=T)[0],
    "a step has many operations": lambda: ng.scan(many, outputs_info=V, n_steps=T)[0],
    "a sum of a step is large": lambda: ng.scan(
        lambda h: ng.sum(ng.shared(np.zeros((4096, 8))) * h, axis=0), outputs_info=ng.zeros(8), n_steps=T)[0],
}  # fmt: skip


@pytest.mark.parametrize("why", LAUNCHED)
def test_why_steps_are_launched(why: str) -> None:
    f = ng.function([T, V, M], LAUNCHED[why](), target="cuda-sim", on_unused_input="ignore")
    text = printed_for_grid(f.program, Geometry()).module.text
    assert f"; {why}\n" in text, [line for line in text.splitlines() if "each step of" in line or "all steps" in line]


def test_there_is_a_case_for_each_rule() -> None:
    assert {why for _, why in RULES} == set(LAUNCHED)


# -- the code ---------------------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("units", [4, 256])
def test_what_a_layer_is_compiled_to(units: int) -> None:
    """A whole training step's loops: one kernel each, in registers, with a barrier of one block or of all of them."""
    X, h0 = ng.shared(np.zeros((50, 8, 3), "float32"), "X"), ng.zeros((8, units), "float32")
    W, U = (ng.shared(np.zeros((n, units), "float32")) for n in (3, units))
    h, _ = ng.scan(lambda v, h: ng.tanh(v @ W + h @ U), X, h0)
    cost = ng.sum(ng.sqr(h[-1]))
    f = ng.function([], cost, updates=[(v, v - ng.grad(cost, v)) for v in (W, U)], target="cuda-sim")
    module = printed_for_grid(f.program, Geometry()).module
    made = loaded(module.text)
    scans = [k for stage in module.kernels for k in flat(stage) if k.scan is not None]
    assert len(scans) == 3 and all(k.scan is not None and k.scan.whole and len(k.inner) == 1 for k in scans)
    for kernel in (k.inner[0] for k in scans):
        cubin = compiler.compile_cubin(made[kernel.code], kernel.signature, (9, 0), max_threads=kernel.threads)
        found = instructions(cubin.ptx)
        assert (cubin.spill_bytes, cubin.stack_bytes) == (0, 0) and cubin.ptx.count(".entry") == 1
        assert "bar.sync" in found and ".f64" not in cubin.ptx and cubin.registers <= 255
        # what other blocks write is not read through a cache that is never emptied
        assert not any(op.startswith("ld.global.nc") for op in found)
        waits = units == 256
        assert kernel.together == waits == ("atom.add.acq_rel.gpu.u32" in found) == ("ld.acquire.gpu.u32" in found)


@needs_compiler
@pytest.mark.parametrize("case", [of_a_layer_that_is_trained, of_a_condition])
def test_the_code_does_what_the_source_says(
    case: Callable[[], Case], blocks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = ran(case, "cuda-sim")
    monkeypatch.setattr("numgraph.cuda.passes.device_for", lambda name: (PtxDevice(), target.SIMULATED))
    found, _ = ran(case, "cuda-sim")
    for call in zip(wanted, found, strict=True):
        for want, got in zip(*call, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_setting_launches_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a device on which one kernel fails, or is slower."""
    x = ng.matrix("x")
    made = {}
    for loops in (True, False):
        monkeypatch.setattr(ng.config, "cuda_loops", loops)
        f = ng.function([x], ng.scan(lambda v, h: ng.tanh(v + h), x, ng.zeros(3))[0], target="cuda-sim")
        made[loops] = f.source, f(np.linspace(-1, 1, 12).reshape(4, 3))
    assert "all steps of" in made[True][0] and "cuda_loops is off" in made[False][0]
    np.testing.assert_array_equal(made[True][1], made[False][1])
