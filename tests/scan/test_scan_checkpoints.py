"""Gradients of scans that keep states before chunks of steps alone: the same as those that keep everything, and less
memory.

What is summed over steps is summed chunk by chunk, so values are compared to 1e-9 (float64) of the largest one.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from numgraph.compile import scheduled
from numgraph.graph import Variable
from numgraph.scanning.lean import kept
from tests.scans import both, check

rng = np.random.default_rng(5)
Build = Callable[..., Any]
WEIGHTS = (rng.normal(size=(2, 3)), rng.normal(size=(3, 3)) * 0.5, rng.normal(size=3))


def recurrent(x: Any, W: Any, U: Any, b: Any, checkpoint: Any = 2) -> Any:
    h0 = ng.zeros((x.shape[1], 3))
    return ng.scan(
        lambda v, h: ng.tanh(ng.dot(v, W) + ng.dot(h, U) + b), sequences=x, outputs_info=h0, checkpoint=checkpoint
    )[0]


def alike(build: Build, variables: Sequence[Variable], *calls: Sequence[Any], order: int = 1, every: Any = 2) -> None:
    """The gradients of `build(*variables, checkpoint)` are those of a scan that keeps everything, by the reference and
    compiled; order 2: those of the sines of its gradients, too, by the reference alone, since compiling takes long."""
    floats = [v for v in variables if v.dtype == "float64"]
    found = []
    for checkpoint in (False, every):
        cost = ng.sum(ng.sqr(build(*variables, checkpoint)))
        outputs = ng.grad(cost, floats, disconnected_inputs="ignore")
        first = both(variables, [cost, *outputs], *calls)
        found.append(first if len(calls) > 1 else [first])
        if order == 2:
            sides = sum((ng.sum(ng.sin(g)) for g in outputs), ng.constant(0.0))
            seconds = ng.grad(sides, floats, disconnected_inputs="ignore")
            f = ng.function(variables, seconds, target="reference", on_unused_input="ignore")
            found[-1] = [[*a, *f(*call)] for a, call in zip(found[-1], calls, strict=True)]
    for wanted, got in zip(*found, strict=True):
        for a, b in zip(wanted, got, strict=True):
            assert_allclose(b, a, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(a).max(initial=0)))


@pytest.mark.parametrize("every", [1, 3, 50, True])
def test_any_number_of_steps(every: Any) -> None:
    """None, one, whole chunks, and a last chunk with fewer steps, by the same function."""
    variables = ng.tensor3("x"), ng.matrix("W"), ng.matrix("U"), ng.vector("b")
    calls = [(rng.normal(size=(n, 2, 2)), *WEIGHTS) for n in (0, 1, 2, 3, 4, 7)]
    alike(recurrent, variables, *calls, every=every)


@pytest.mark.parametrize(("steps", "order"), [(1, 1), (5, 2)])
def test_against_differences(steps: int, order: int) -> None:
    check(recurrent, rng.normal(size=(steps, 2, 2)), *WEIGHTS, order=order)


def test_several_states_and_taps() -> None:
    """A state two steps back, an output that no step needs, an integer; taps, closures, what is passed."""

    def build(x: Any, h0: Any, w: Any, c: Any, checkpoint: Any = 2) -> Any:
        def step(v: Any, last: Any, h1: Any, h2: Any, k: Any, w: Any) -> Any:
            new = ng.tanh(h1 * w + h2 * v + c * last)
            return new, k + 1, new * v * k

        (h, _, y), _ = ng.scan(
            step, sequences=dict(input=x, taps=[0, -1]), outputs_info=[dict(initial=h0, taps=[-1, -2]), 0, None],
            non_sequences=w, checkpoint=checkpoint,
        )  # fmt: skip
        return h.sum(axis=0) * y[-1] + y[1:].sum(axis=0)

    arrays = rng.normal(size=(6, 3)), rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=())
    variables = ng.matrix("x"), ng.matrix("h0"), ng.vector("w"), ng.scalar("c")
    alike(build, variables, arrays, (arrays[0][:2], *arrays[1:]), order=2)


def test_a_number_of_steps_without_sequences_and_backwards() -> None:
    def build(x: Any, n: Any, checkpoint: Any) -> Any:
        h, _ = ng.scan(lambda h: ng.sin(h) * 1.1 + x, outputs_info=x, n_steps=n, checkpoint=checkpoint)
        return h[-1]

    alike(build, (ng.vector("x"), ng.lscalar("n")), *((rng.normal(size=3), n) for n in (1, 5, 8)), order=2)

    def turned(x: Any, h0: Any, checkpoint: Any) -> Any:
        return ng.scan(
            lambda v, h: ng.tanh(h + v * h), x, h0, go_backwards=True, n_steps=5, checkpoint=checkpoint
        )[0]  # fmt: skip

    alike(turned, (ng.matrix("x"), ng.vector("h0")), (rng.normal(size=(7, 3)), rng.normal(size=3)), order=2, every=True)


def test_until() -> None:
    def build(x: Any, h0: Any, checkpoint: Any) -> Any:
        h, _ = ng.scan(
            lambda v, h: (h * v, ng.until(ng.max(h) > 30)), sequences=x, outputs_info=h0, checkpoint=checkpoint
        )
        return ng.concatenate([h[-1], h.sum(axis=0)])

    X = np.full((9, 2), 1.7) + rng.uniform(size=(9, 2))
    alike(build, (ng.matrix("x"), ng.vector("h0")), (X, [0.1, 0.2]), (X, [20.0, 0.2]), (X[:1], [0.1, 0.1]), order=2)


@pytest.mark.parametrize("limit", [1, 3, 6])
def test_cut_gradients(limit: int) -> None:
    def build(x: Any, h0: Any, w: Any, checkpoint: Any) -> Any:
        return ng.scan(
            lambda v, h: ng.tanh(h @ w + v), x, h0, truncate_gradient=limit, checkpoint=checkpoint
        )[0].sum(axis=0)  # fmt: skip

    variables = ng.matrix("x"), ng.vector("h0"), ng.matrix("w")
    calls = [(rng.normal(size=(n, 3)), rng.normal(size=3), rng.normal(size=(3, 3))) for n in (1, 3, 6, 8)]
    alike(build, variables, *calls)


def test_cut_gradients_with_until_keep_everything() -> None:
    def build(x: Any, h0: Any, checkpoint: Any) -> Any:
        h, _ = ng.scan(
            lambda v, h: (h * v, ng.until(h > 9)), x, h0, truncate_gradient=2, checkpoint=checkpoint
        )  # fmt: skip
        return h[-1]

    alike(build, (ng.vector("x"), ng.scalar("h0")), (np.full(6, 2.0), 1.0), order=2)


def test_random_numbers_are_drawn_again() -> None:
    """The steps that are made again see the numbers that the first ones saw, and the stream goes on once."""
    x, w = ng.vector("x"), ng.scalar("w")
    found = []
    for checkpoint in (False, 2):
        stream = ng.random.RandomStream(3)
        h, updates = ng.scan(
            lambda v, h, s=stream: ng.tanh(h * w + v * s.normal(size=2)), x, ng.zeros((2,)), checkpoint=checkpoint
        )
        f = ng.function([x, w], [h, *ng.grad(h.sum(), [x, w])], updates=updates)
        found.append([f(np.arange(1.0, 8), 0.7) for _ in range(2)])
    for wanted, got in zip(*found, strict=True):
        for a, b in zip(wanted, got, strict=True):
            assert_allclose(b, a, rtol=1e-12)
    assert not np.array_equal(found[1][0][0], found[1][1][0])


def test_scans_within_scans() -> None:
    """Chunks of an inner scan, of an outer one, and of both."""

    def build(inside: Any, outside: Any) -> Build:
        def made(x: Any, w: Any, h0: Any, checkpoint: Any) -> Any:
            def step(row: Any, h: Any) -> Any:
                inner, _ = ng.scan(
                    lambda v, s: ng.tanh(s * w + v), row, h, checkpoint=inside if checkpoint else False
                )  # fmt: skip
                return inner[-1] + inner[0] * 0.5

            return ng.scan(step, x, h0, checkpoint=outside if checkpoint else False)[0]

        return made

    variables = ng.matrix("x"), ng.scalar("w"), ng.scalar("h0")
    for inside, outside in ((2, False), (False, 2), (2, 3)):
        alike(build(inside, outside), variables, (rng.normal(size=(5, 5)), 0.7, 0.3), (rng.normal(size=(1, 1)), 0.7, 1))


def test_a_state_that_is_written_to() -> None:
    def build(x: Any, s0: Any, checkpoint: Any) -> Any:
        s, _ = ng.scan(
            lambda k, v, s: ng.set_subtensor(s[k], s[k - 1] * v + s[0]), [ng.arange(1, 6), x], s0, checkpoint=checkpoint
        )
        return s[-1]

    alike(build, (ng.vector("x"), ng.vector("s0")), (rng.normal(size=5), rng.normal(size=6)), order=2)


def test_in_float32_on_both_targets() -> None:
    """float32 stays; within 1e-4, since sums are taken in another order."""
    x, w = ng.ftensor3("x"), ng.fmatrix("w")
    X, W = rng.normal(size=(7, 2, 3)).astype("float32"), rng.normal(size=(3, 3)).astype("float32")
    found = []
    for checkpoint, target in ((False, "cpu"), (3, "cpu"), (3, "cuda-sim")):
        h, _ = ng.scan(lambda v, h: ng.tanh(h @ w + v), x, ng.zeros((x.shape[1], 3), "float32"), checkpoint=checkpoint)
        found.append(ng.function([x, w], ng.grad((h**2).sum(), [x, w]), target=target)(X, W))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.asarray(b).dtype == np.float32
            assert_allclose(np.asarray(b), a, rtol=1e-4, atol=1e-4)


def planned(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> int:
    """The bytes of the buffers of a call, where all lengths are known."""
    found = ng.function(list(inputs), list(outputs)).executor.target.program
    (size,) = scheduled(found).schedule.arena_bytes
    assert isinstance(size, int)
    return size


@pytest.mark.parametrize("of_inputs", [False, True])
def test_memory(of_inputs: bool) -> None:
    """Of 400 steps what the gradient needs of 32 is kept, and 13 states."""
    shapes = (400, 8, 16), (16, 32), (32, 32)
    x, w, u = (ng.tensor(k, dtype="float64", shape=s) for k, s in zip("xwu", shapes, strict=True))
    used = []
    for checkpoint in (False, True):
        h, _ = ng.scan(lambda v, h: ng.tanh(v @ w + h @ u) * ng.sigmoid(h), x, ng.zeros((8, 32)), checkpoint=checkpoint)
        used.append(planned([x, w, u], ng.grad(h[-1].sum(), [x, w, u] if of_inputs else [w, u])))
    state = 8 * 32 * 8
    # without: states, two functions, a product before the loop
    assert used[0] > 4 * 400 * state
    # of each step of a chunk about twelve arrays; the gradient of x is a state with a first value
    assert used[1] < 13 * state + 12 * 32 * state + (2 * 400 * 8 * 16 * 8 if of_inputs else 0)


def test_memory_of_second_gradients() -> None:
    x, w, used = ng.tensor("x", dtype="float64", shape=(900, 64)), ng.tensor("w", dtype="float64", shape=(64,)), []
    for checkpoint in (False, True):
        h, _ = ng.scan(lambda v, h: ng.tanh(v * w + ng.sin(h)), x, ng.zeros((64,)), checkpoint=checkpoint)
        (first,) = ng.grad(h[-1].sum(), [w])
        used.append(planned([x, w], [ng.grad(ng.sum(ng.sqr(first)), w)]))
    assert used[1] < used[0] / 4


def test_scan_checkpoints() -> None:
    """Outputs after every third step, and after the last one, of a state and of what is none."""
    x, h0 = ng.matrix("x"), ng.vector("h0")

    def step(v: Any, h: Any) -> Any:
        new = ng.tanh(h + v)
        return new, new.sum() * 2

    (h, y), updates = ng.scan_checkpoints(step, x, [h0, None], save_every_N=3)
    (whole, sums), _ = ng.scan(step, x, [h0, None])
    assert not updates
    f = ng.function([x, h0], [h, y, whole, sums])
    slopes = ng.function([x, h0], [*ng.grad(h[-1].sum() + y.sum(), [x, h0])])
    for n in (1, 2, 3, 7, 9):
        X, first = rng.normal(size=(n, 2)), rng.normal(size=2)
        got_h, got_y, all_h, all_y = f(X, first)
        chosen = np.minimum(np.arange(3, n + 3, 3), n) - 1
        assert_array_equal(got_h, all_h[chosen])
        assert_array_equal(got_y, all_y[chosen])
        picked = ng.constant(chosen)
        wanted = ng.function([x, h0], ng.grad(whole[-1].sum() + sums[picked].sum(), [x, h0]))(X, first)
        for a, b in zip(wanted, slopes(X, first), strict=True):
            assert_allclose(b, a, rtol=1e-9)
    assert f(np.zeros((0, 2)), [1.0, 2.0])[0].shape == (0, 2)
    with pytest.raises(ng.OptionError, match="save_every_N is a number of steps, not 0"):
        ng.scan_checkpoints(step, x, [h0, None], save_every_N=0)


def recurrent_gradients(target: str = "cpu", name: str | None = None) -> ng.Function:
    """A function of x whose shared variables come in another order where the scan's steps do all the work."""
    weights = np.random.default_rng(1)
    b, U = ng.shared(weights.normal(size=32), "b"), ng.shared(weights.normal(size=(32, 32)) * 0.1, "U")
    W, x = ng.shared(weights.normal(size=(16, 32)) * 0.1, "W"), ng.tensor3("x")
    h, _ = ng.scan(lambda v, h: ng.tanh(v @ W + b + h @ U), x, ng.zeros((x.shape[1], 32)))
    cost = ng.mean(h[-1] ** 2)
    return ng.function([x], [cost, *ng.grad(cost, [W, U, b])], target=target, name=name)


@pytest.fixture
def little_memory() -> Any:
    before = ng.config.scan_memory
    ng.config.scan_memory = 1 << 20
    yield
    ng.config.scan_memory = before


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
@pytest.mark.usefixtures("little_memory")
def test_a_call_that_takes_too_much_memory_has_checkpoints(target: str) -> None:
    long, short = rng.normal(size=(300, 4, 16)), rng.normal(size=(5, 4, 16))
    wanted = recurrent_gradients("reference")
    if target != "cpu":
        ng.config.scan_memory = 1 << 17
    f = recurrent_gradients(target)
    for call, variants in ((short, 1), (long, 2), (short, 2)) if target == "cpu" else ((long[:40], 2),):
        for a, b in zip(wanted(call), f(call), strict=True):
            assert_allclose(np.asarray(b), a, rtol=1e-9, atol=1e-12)
        assert len(f.executor.variants) == variants
    if target == "cpu":
        (note,) = (n for n in f.explain(long).notes if n.startswith("temporaries"))
        assert int(note.split(", ")[1].split()[0].replace(",", "")) < 1 << 20


@pytest.mark.usefixtures("little_memory")
def test_memory_that_is_known_when_a_function_is_made() -> None:
    x, w = ng.tensor("x", dtype="float64", shape=(3000, 64)), ng.vector("w")
    h, _ = ng.scan(lambda v, h: ng.tanh(v * w + h), x, ng.zeros((64,)))
    f = ng.function([x, w], ng.grad(h[-1].sum(), w))
    assert scheduled(f.program).schedule.arena_bytes[0] < 1 << 20
    kept, _ = ng.scan(lambda v, h: ng.tanh(v * w + h), x, ng.zeros((64,)), checkpoint=False)
    assert scheduled(ng.function([x, w], ng.grad(kept[-1].sum(), w)).program).schedule.arena_bytes[0] > 1 << 20
    ng.config.scan_memory = 0
    assert scheduled(f.program).schedule.arena_bytes[0] > 1 << 20


@pytest.mark.usefixtures("little_memory")
def test_second_gradients_givens_and_updates_within_memory() -> None:
    """What is substituted and what is updated is the same in the variant that keeps less."""
    data = ng.shared(rng.normal(size=(1200, 64)), "data")
    found = []
    for limit in (0, 1 << 20):
        ng.config.scan_memory = limit
        x, w = ng.matrix("x"), ng.shared(np.full(64, 0.3), "w")
        n = ng.iscalar("n")
        h, _ = ng.scan(lambda v, h, w=w: ng.tanh(v * w + ng.sin(h)), x, ng.zeros((64,)), n_steps=n)
        slope = ng.grad(h[-1].sum(), w)
        f = ng.function([n], ng.grad(ng.sum(slope**2), w), updates=[(w, w - 0.01 * slope)], givens={x: data})
        found.append([*(f(k) for k in (3, 1100, 4)), w.get_value()])
        assert len(f.executor.variants) == (2 if limit else 1)
    for a, b in zip(*found, strict=True):
        assert_allclose(b, a, rtol=1e-8, atol=1e-10)


def test_what_gradients_remember_is_copied_and_pickled() -> None:
    f = pickle.loads(pickle.dumps(recurrent_gradients()))
    assert f.program.remembered and f.program.leaner().results != f.program.results
    x = ng.vector("x")
    cost = ng.scan(lambda v, h: h * v, x, 1.0)[0][-1]
    assert ng.pprint(ng.grad(cost, x)) == ng.pprint(kept([ng.grad(cost, x)])[0])


@pytest.mark.parametrize("wrong", [0, -2, 1.5, "yes"])
def test_wrong_values(wrong: Any) -> None:
    with pytest.raises(ng.OptionError, match="checkpoint is True, False, None or a number of steps"):
        ng.scan(lambda v: v, ng.vector("x"), checkpoint=wrong)


def test_zero_steps_give_zeros() -> None:
    x, h0 = ng.matrix("x"), ng.vector("h0")
    s, _ = ng.scan(lambda v, h: h * v, x, h0, checkpoint=True)
    got = both([x, h0], ng.grad(s.sum() + h0.sum(), [x, h0]), (np.zeros((0, 2)), [1.0, 2.0]))
    assert got[0].shape == (0, 2)
    assert_array_equal(got[1], [1, 1])


def test_copies_of_programs_that_keep_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy with other shared variables has them in the program that keeps less, too."""
    x, w = ng.vector("x"), ng.shared(0.5, name="w")
    states, _ = ng.scan(lambda v, h: ng.tanh(v + w * h), sequences=x, outputs_info=ng.constant(0.0))
    f = ng.function([x], ng.grad(states[-1], w))
    other = ng.shared(0.25, name="w")
    expected = f.copy(swap={w: other})(np.ones(300))
    monkeypatch.setattr(ng.config, "scan_memory", 1000)
    assert (f.copy(swap={w: other})(np.ones(300)) == expected).all()


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_what_turns_out_not_to_vary_with_the_steps_around(target: str, length: int) -> None:
    """Running products of one element are it, and then some results of a scan within the chunks' scan are those of no
    chunk: they are made in a scan of their own, before."""

    def build(where: str) -> Any:
        x = ng.shared(np.linspace(0.4, 0.7, length), "x")
        h, _ = ng.scan(lambda h: ng.cumprod(h) * h, outputs_info=ng.sin(x), n_steps=3, checkpoint=2)
        first = ng.grad(ng.sum(ng.sin(h)), x)
        return ng.function([], ng.grad(ng.sum(first), x), target=where)()

    assert_allclose(np.asarray(build(target)), build("reference"), rtol=1e-10)


def test_third_derivatives_of_no_steps() -> None:
    """There is no chunk of steps whose gradients could be given back to a sequence."""
    x, h0 = ng.matrix("x"), ng.matrix("h0")
    s, _ = ng.scan(
        lambda v, h: ng.cos(h) * v,
        sequences=[dict(input=x, taps=[2])],
        outputs_info=[h0],
        n_steps=3,
        checkpoint=2,
    )
    first = ng.grad(ng.sum(ng.sin(s)), h0)
    second = ng.grad(ng.sum(first * 2), h0)
    third = ng.grad(ng.sum(second * 2), x)
    calls = [(np.ones((n, 1)), np.ones((5, 1))) for n in (1, 2, 3, 5)]
    got = both([x, h0], [third], *calls)
    assert not got[0][0].any() and not got[1][0].any() and got[2][0].any()


@pytest.mark.parametrize("target", ["reference", "cpu"])
@pytest.mark.parametrize("checkpoint", [None, 2])
def test_a_sequence_that_ends_before_the_steps_has_second_derivatives(target: str, checkpoint: int | None) -> None:
    """As many steps are made as the sequence has; the chunk of them has a state for each, and needs no element more."""
    s = ng.shared(np.array([1.25]), "s")
    states, _ = ng.scan(lambda x, h: ng.sin(h + x), sequences=[s], outputs_info=[s], n_steps=3, checkpoint=checkpoint)
    slope = ng.grad(ng.sum(ng.sqr(states)), s)
    f = ng.function([], [slope, ng.grad(ng.sum(slope**2), s)], target=target)
    # d sin(2s)^2 = 2 sin(4s), and d of its square = 32 sin(4s) cos(4s)
    np.testing.assert_allclose(f(), [[2 * np.sin(5.0)], [32 * np.sin(5.0) * np.cos(5.0)]], rtol=1e-12)
