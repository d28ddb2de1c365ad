"""An interrupt anywhere in a call leaves the updates all done or none, no lock held, and the function as it was."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.runtime import native
from numgraph.substitution import substitute
from numgraph.whole import CALLS
from tests.interrupts import Interrupts, all_free, everywhere, places
from tests.waits import PATIENCE, join

# what interrupts a finalizer, Python prints and forgets
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Values = dict[str, np.ndarray]


@dataclass
class Part:
    """Shared variables with updates of one kind. step: the new values; output: a number that depends on the old."""

    start: Values
    step: Callable[[Values], Values]
    updates: Callable[[dict[str, Any], Any], list[tuple[Any, Any]]]
    targets: tuple[str, ...] = ("cpu", "reference", "cuda-sim")


def _exchanged(names: str) -> Part:
    turned = names[1:] + names[0]
    return Part(
        {name: np.full(3, k) + np.arange(3.0) for k, name in enumerate(names)},
        lambda old: {a: old[b] for a, b in zip(names, turned, strict=True)},
        lambda s, ops: [(s[a], s[b]) for a, b in zip(names, turned, strict=True)],
    )


def _scattered(old: Values) -> Values:
    new = old["W"].copy()
    np.add.at(new, [2, 0, 2], 1.0)
    return {"W": new}


PARTS = {
    "a number in place": Part({"n": np.array(0)}, lambda o: {"n": o["n"] + 1}, lambda s, ops: [(s["n"], s["n"] + 1)]),
    "a vector in place": Part(
        {"V": np.arange(5.0)}, lambda o: {"V": o["V"] * 0.5 + 1}, lambda s, ops: [(s["V"], s["V"] * 0.5 + 1)]
    ),
    "scattered": Part(
        {"W": np.zeros(4)}, _scattered, lambda s, ops: [(s["W"], ng.inc_subtensor(s["W"][[2, 0, 2]], 1.0))]
    ),
    "two exchanged": _exchanged("AB"),
    "three exchanged": _exchanged("CDE"),
    "other lengths": Part(
        {"L": np.arange(2.0)},
        lambda o: {"L": np.concatenate([o["L"][-3:] + 1, [1.0]])},
        lambda s, ops: [(s["L"], ng.concatenate([s["L"][-3:] + 1, ng.ones(1)]))],
    ),
    "from another": Part(
        {"P": np.zeros(3), "Q": np.arange(3.0)},
        lambda o: {"P": o["Q"][::-1] + o["P"], "Q": o["P"] * 2 + 1},
        lambda s, ops: [(s["P"], s["Q"][::-1] + s["P"]), (s["Q"], s["P"] * 2 + 1)],
    ),
    "a length that is computed": Part(
        {"M": np.array([0.2, 0.9, 0.4])},
        lambda o: {"M": np.concatenate([o["M"][o["M"] > 0.3] * 0.8, [1.0]])},
        lambda s, ops: [(s["M"], ng.concatenate([s["M"][ng.nonzero(s["M"] > 0.3)[0]] * 0.8, ng.ones(1)]))],
        ("cpu", "reference"),
    ),
}  # fmt: skip


class Model:
    """A function with the updates of some parts, and what its shared variables must hold."""

    def __init__(self, names: list[str], target: str, state: bool = False) -> None:
        self.parts = [PARTS[name] for name in names]
        start = {name: value for part in self.parts for name, value in part.start.items()}
        self.shared = {name: ng.shared(value, name) for name, value in start.items()}
        updates = [pair for part in self.parts for pair in part.updates(self.shared, ng)]
        x = ng.scalar("x")
        total = sum((ng.sum(s) for s in self.shared.values()), x)
        # private state without a value: a call that is done gives it one
        inputs = [x, ng.In(s := ng.scalar("s"), value=None, update=s + 1)] if state else [x]
        self.function = ng.function(inputs, total, updates=updates, target=target)

    def step(self, old: Values) -> Values:
        return {name: value for part in self.parts for name, value in part.step(old).items()}

    def values(self) -> Values:
        return {name: s.get_value() for name, s in self.shared.items()}

    def check(self, before: Values, out: Any) -> Values:
        """The values now: those before, or, as there must be if a call came to its end, those after it."""
        now, after = self.values(), self.step(before)
        done = not isinstance(out, KeyboardInterrupt)
        if done:
            assert float(out) == pytest.approx(1.5 + sum(v.sum() for v in before.values()))
        assert same(now, after) or (not done and same(now, before)), f"{before} -> {now}, not {after}"
        return now


def same(a: Values, b: Values) -> bool:
    return all(a[name].shape == b[name].shape and np.allclose(a[name], b[name], rtol=1e-12) for name in b)


def drawn(seed: int, target: str) -> list[str]:
    """Some of the parts that a target has."""
    rng = np.random.default_rng(seed)
    known = [name for name, part in PARTS.items() if target in part.targets]
    return [str(name) for name in rng.choice(known, size=rng.integers(2, 5), replace=False)]


SINGLE = [(target, [name]) for name, part in PARTS.items() for target in part.targets]
SEVERAL = [(target, drawn(seed, target)) for seed in range(4) for target in ("cpu", "reference", "cuda-sim")]
MOST = {"cpu": 120, "reference": 20, "cuda-sim": 12}


@pytest.mark.parametrize(
    ("target", "names"), [*SINGLE, *SEVERAL], ids=lambda v: v if isinstance(v, str) else "+".join(v)
)
def test_a_call(target: str, names: list[str]) -> None:
    model = Model(names, target)
    state = model.check(model.values(), model.function(1.5))
    stopped = 0
    for place, out in everywhere(lambda: model.function(1.5), MOST[target]):
        if place == 0:
            # the count of places was a call, too
            state = model.step(state)
        state = model.check(state, out)
        stopped += isinstance(out, KeyboardInterrupt)
    assert stopped > 2
    assert all_free()
    model.check(state, model.function(1.5))


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_an_interrupt_while_another_is_handled(target: str) -> None:
    model = Model(["a number in place", "two exchanged", "other lengths"], target)
    state, rng = model.check(model.values(), model.function(1.5)), np.random.default_rng(3)
    count = places(lambda: model.function(1.5))
    state = model.step(state)
    for _ in range(100 if target == "cpu" else 12):
        twice = Interrupts([int(rng.integers(count)), int(rng.integers(3))])
        state = model.check(state, twice.run(lambda: model.function(1.5)))
    assert all_free()
    model.check(state, model.function(1.5))


@pytest.mark.parametrize(
    ("target", "names"),
    [*(pair for pair in SINGLE if pair[0] == "cpu"), *SEVERAL[:6]],
    ids=lambda v: v if isinstance(v, str) else "+".join(v),
)
def test_a_handler_that_calls_the_same_function(target: str, names: list[str]) -> None:
    """One call is done before the other, as in a program without signals."""
    model = Model(names, target)
    count = places(lambda: model.function(1.5))
    # a third of the places, others for other parts: each is two calls
    step = max(1, 3 * count // MOST[target])
    for place in range(SINGLE.index((target, names)) % step if len(names) == 1 else 0, count, step):
        before, inner = model.values(), []
        handled = Interrupts([place], action=lambda: inner.append(model.function(1.5)))  # noqa: B023
        outputs = [float(v) for v in (handled.run(lambda: model.function(1.5)), *inner)]
        states = [before]
        for _ in outputs:
            states.append(model.step(states[-1]))
        assert same(model.values(), states[-1])
        wanted = [1.5 + sum(v.sum() for v in state.values()) for state in states[:-1]]
        np.testing.assert_allclose(sorted(outputs), sorted(wanted))
    assert all_free()


def test_a_handler_that_sets_a_value_of_another_length() -> None:
    """Compiled code never works with lengths and addresses that a handler has changed."""
    s = ng.shared(np.ones(3), "s")
    f = ng.function([], s[s.nonzero()[0]] * 2.0)
    for place in range(places(f)):
        s.set_value(np.ones(3))
        handled = Interrupts([place], action=lambda: s.set_value(np.full(50_000, 7.0)))
        assert handled.run(f).tolist() in ([2.0] * 3, [14.0] * 50_000)
        assert len(f()) == (50_000 if handled.happened else 3)


@pytest.mark.parametrize("target", ["cpu", "reference", "cuda-sim"])
def test_private_state_has_a_value_when_the_call_is_done(target: str) -> None:
    def made() -> Model:
        return Model(["a number in place", "two exchanged"], target, state=True)

    model = made()
    twin = made()
    count = places(lambda: twin.function(1.5, 0.0))
    for place in range(0, count, max(1, count // 25)):
        f = model.function.copy()
        before = model.values()
        out = Interrupts([place]).run(lambda f=f: f(1.5, 4.0))  # type: ignore[misc]
        now = model.check(before, out)
        if same(now, before):
            with pytest.raises(KeyError, match="has no value"):
                f["s"]
        else:
            assert f["s"] == 5.0


@pytest.mark.parametrize("names", [["a vector in place"], ["other lengths", "two exchanged"]])
@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_a_sweep_does_whole_steps(target: str, names: list[str]) -> None:
    model, steps = Model(names, target), 3

    def work() -> Any:
        return model.function.sweep(1.5, steps=steps)

    count = places(work)
    for place in range(0, count, max(1, count // (60 if target == "cpu" else 8))):
        states = [model.values()]
        out = Interrupts([place]).run(work)
        for _ in range(steps):
            states.append(model.step(states[-1]))
        now = model.values()
        if isinstance(out, KeyboardInterrupt):
            assert any(same(now, state) for state in states)
        else:
            assert same(now, states[-1])
            np.testing.assert_allclose(out, [1.5 + sum(v.sum() for v in state.values()) for state in states[:-1]])
    assert all_free()


def test_setting_and_getting_a_value() -> None:
    s = ng.shared(np.zeros(2), "s")
    f = ng.function([], [ng.sum(s), s.shape[0]])

    def work(wanted: np.ndarray) -> np.ndarray:
        s.set_value(wanted)
        return s.get_value()

    for k in range(places(lambda: work(np.ones(3)))):
        before, wanted = s.get_value(), np.full(k % 7 + 1, float(k))
        out = Interrupts([k]).run(lambda v=wanted: work(v))  # type: ignore[misc]
        now = s.get_value()
        assert np.array_equal(now, wanted) or (isinstance(out, KeyboardInterrupt) and np.array_equal(now, before))
        assert [float(v) for v in f()] == [now.sum(), len(now)], "compiled code sees the same array"
    assert all_free()


def test_values_that_move_to_a_device_and_back() -> None:
    s = ng.shared(np.arange(3.0), "s")
    there = ng.function([], ng.sum(s), updates=[(s, s + 1)], target="cuda-sim")
    here = ng.function([], ng.sum(s), updates=[(s, s * 2)])

    def work() -> None:
        there()
        here()

    count = places(work)
    for place in range(0, count, max(1, count // 40)):
        s.set_value(start := np.arange(3.0))
        out = Interrupts([place]).run(work)
        allowed = [start, start + 1, (start + 1) * 2] if isinstance(out, KeyboardInterrupt) else [(start + 1) * 2]
        assert any(np.array_equal(s.get_value(), value) for value in allowed)
        assert float(here()) == float(s.get_value().sum()) / 2
    assert all_free()


# -- compiling --------------------------------------------------------------------------------------------------------


def recompiled() -> tuple[Any, Callable[[], Any]]:
    """A variable of shape (2, 2), and a function whose code assumes as much."""
    s = ng.shared(np.full((2, 2), 0.5), "s")
    f = ng.function([], s - ng.dot(s.T, s))
    f()
    return s, f


def good(s: Any, f: Callable[[], Any]) -> None:
    for n in (3, 2, 3):
        value = np.arange(float(n * n)).reshape(n, n)
        s.set_value(value)
        np.testing.assert_allclose(f(), value - value.T @ value)


def test_a_call_that_compiles_again() -> None:
    s, f = recompiled()
    s.set_value(np.ones((3, 3)))
    count = places(f, coarse=True)
    assert count > 100
    good(s, f)
    for place in range(0, count, max(1, count // 15)):
        s, f = recompiled()
        s.set_value(np.ones((3, 3)))
        out = Interrupts([place], coarse=True).run(f)
        assert isinstance(out, KeyboardInterrupt | np.ndarray)
        good(s, f)
    assert all_free()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("where", ["object_name", "lower_source", "link"])
def test_a_recompilation_that_fails(monkeypatch: pytest.MonkeyPatch, where: str, error: type[BaseException]) -> None:
    def broken(*_: Any) -> Any:
        raise error("on purpose")

    s, f = recompiled()
    s.set_value(np.ones((3, 3)))
    with monkeypatch.context() as patched:
        patched.setattr(native, "_load", lambda name: None)
        patched.setattr(native, where, broken)
        for _ in range(2):
            with pytest.raises(error, match="on purpose"):
                f()
    good(s, f)
    assert all_free()


def test_building_a_function() -> None:
    x, y, w = ng.vector("x"), ng.vector("y"), ng.shared(np.arange(3.0), "w")

    def work() -> Any:
        cost = ng.sum(ng.exp(y * w)) + ng.log(1 + ng.exp(ng.dot(w, y)))
        f = ng.function([x], cost, updates=[(w, w - 0.1 * ng.grad(cost, w))], givens={y: x * 2})
        return f, (w * 2).eval()

    count = places(work, coarse=True)
    for place in range(0, count, max(1, count // 20)):
        Interrupts([place], coarse=True).run(work)
        line = ng.scalar().line
        assert line is not None and line.file == __file__, "lines are those of the program again"
    f, doubled = work()
    np.testing.assert_array_equal(doubled, [0.0, 2.0, 4.0])
    assert float(f(np.zeros(3))) == pytest.approx(3 + np.log(2))
    assert all_free()


def test_lines_that_are_set_for_a_while() -> None:
    x = ng.vector("x")
    g = ng.grad(ng.sum(ng.tanh(x) * x), x)
    for _ in everywhere(lambda: substitute([g], {x: ng.exp(x)}), 60):
        line = ng.scalar().line
        assert line is not None and line.file == __file__ and line.function == "test_lines_that_are_set_for_a_while"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_interrupts_by_a_timer(target: str) -> None:
    model = Model(["a number in place", "two exchanged", "three exchanged", "other lengths"], target)
    rng, longest = np.random.default_rng(1), 0.001 if target == "cpu" else 0.05
    # how many calls have come to an end, and how many had when the last interrupt came
    done, then = [0], [-1]

    def hit(number: int, frame: object) -> None:
        if done[0] != then[0]:
            then[0] = done[0]
            raise KeyboardInterrupt

    before, states = signal.signal(signal.SIGALRM, hit), [model.values()]
    # hypothesis leaves one, too
    gc.callbacks.append(callback := lambda phase, about: None)
    try:
        for _ in range(300 if target == "cpu" else 40):
            with contextlib.suppress(KeyboardInterrupt):
                done[0] += 1
                # Python prints what is raised in a finalizer, or in a function that the collector calls, and goes on:
                # such an interrupt is lost. So it comes again and again, until the calls end.
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + rng.random() * longest, 0.01)
                while True:
                    model.function(1.5)
                    done[0] += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            now = model.values()
            while states[-1]["n"] < now["n"]:
                states.append(model.step(states[-1]))
            assert same(now, states[-1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks.remove(callback)
    assert len(states) > 20 and all_free()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals as on POSIX")
def test_a_call_that_waits_for_the_lock() -> None:
    """What ends the wait comes out as it is, and nothing is released that was not got."""
    n = ng.shared(0, "n")
    f = ng.function([], updates=[(n, n + 1)])
    main, held, leave = threading.get_ident(), threading.Event(), threading.Event()

    def waits() -> bool:
        return sys._current_frames()[main].f_code is f.__call__.__code__

    def hold() -> None:
        with CALLS:
            held.set()
            end = time.monotonic() + 30
            while not waits() and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(0.05)
            signal.pthread_kill(main, signal.SIGINT)
            leave.wait(30)

    thread, before = (
        threading.Thread(target=hold, daemon=True),
        signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        thread.start()
        assert held.wait(PATIENCE)
        with pytest.raises(KeyboardInterrupt):
            f()
        assert not CALLS._is_owned()  # type: ignore[attr-defined]
    finally:
        leave.set()
        join(thread)
        signal.signal(signal.SIGINT, before)
    f()
    assert n.get_value() == 1 and all_free()


def test_an_exported_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Numba does not keep what it has not optimised, and warns of that
    monkeypatch.delenv("NUMBA_OPT", raising=False)
    model = Model(["a number in place", "two exchanged", "other lengths"], "cpu")
    model.function.export(file := tmp_path / "step.py")
    spec = importlib.util.spec_from_file_location("step", file)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    step = next(v for v in vars(module).values() if hasattr(v, "shared") and hasattr(v, "entry"))
    step(1.5)
    for place in range(places(lambda: step(1.5))):
        before = {name: value.copy() for name, value in step.shared.items()}
        out = Interrupts([place]).run(lambda: step(1.5))
        assert same(step.shared, model.step(before)) or (
            isinstance(out, KeyboardInterrupt) and same(step.shared, before)
        )
