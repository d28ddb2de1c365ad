"""Forks while other threads are within calls or compile: the child computes, and sees whole values."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.runtime import native
from numgraph.whole import CALLS, _renew, apart
from tests.interrupts import Interrupts, all_free, places
from tests.waits import PATIENCE, ended, in_child, join

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


@contextmanager
def busy(*works: Callable[[], Any]) -> Iterator[None]:
    """Within the block, threads do something again and again."""
    stop = threading.Event()

    def again(work: Callable[[], Any]) -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=again, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        join(*threads)


def compiled_anew(k: int) -> bool:
    y = ng.vector("y")
    return bool(np.allclose(ng.function([y], ng.exp(y) * (1.25 + k))(np.zeros(3)), 1.25 + k))


def test_while_other_threads_are_within_calls() -> None:
    """Long calls, which let other threads run, among them one that updates in place."""
    x, w = ng.matrix("x"), ng.shared(np.zeros(300_000), "w")
    value = np.random.default_rng(0).normal(size=(300, 300))
    f = ng.function([x], [ng.sum(ng.tanh(x), axis=0), ng.sum(ng.dot(x, x.T))])
    step = ng.function([], updates=[(w, w + 1)])
    wanted = f(value)
    step()

    def child() -> bool:
        seen = w.get_value()
        step()
        right = all(np.allclose(a, b) for a, b in zip(f(value), wanted, strict=True))
        return right and bool((seen == seen[0]).all()) and bool((w.get_value() == seen[0] + 1).all())

    with busy(lambda: f(value), step, step):
        assert [in_child(child) for _ in range(4)] == [0] * 4
    assert in_child(child) == 0 and all_free()


def test_while_another_thread_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun, go_on = native.lower_source, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE)
        return real(*arguments)

    monkeypatch.setattr(native, "_load", lambda name: None)
    monkeypatch.setattr(native, "lower_source", slow)
    thread = threading.Thread(target=lambda: compiled_anew(0), daemon=True)
    thread.start()
    assert begun.wait(PATIENCE)
    timer = threading.Timer(0.1, go_on.set)
    timer.start()
    assert in_child(lambda: compiled_anew(1)) == 0
    join(thread)
    assert all_free()


def by_handlers(numbers: Iterable[int], run: Callable[[Interrupts], bool]) -> list[int]:
    """The exit codes of children that a signal handler forks at these places of `run`: 0 where that is true."""
    parent, children = os.getpid(), list[int]()
    try:
        for number in numbers:
            good = run(Interrupts([number], action=lambda: children.append(os.fork())))
            if os.getpid() != parent:
                os._exit(0 if good else 2)
            assert good
    finally:
        # also by an error, a child must not come back: it would go on as a second worker of pytest
        if os.getpid() != parent:
            os._exit(1)
    return [ended(child) for child in children]


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_by_a_signal_handler_within_a_call(target: str) -> None:
    """The thread that forks is itself in a call: child and parent both bring it to its end."""
    n, a, b = ng.shared(0, "n"), ng.shared(np.zeros(2), "a"), ng.shared(np.ones(2), "b")
    f = ng.function([], n * 1, updates=[(n, n + 1), (a, b), (b, a)], target=target)
    f()

    def run(interrupts: Interrupts) -> bool:
        n.set_value(0)
        a.set_value(np.zeros(2))
        b.set_value(np.ones(2))
        out = interrupts.run(f)
        return out == 0 and n.get_value() == 1 and a.get_value()[0] == 1 and b.get_value()[0] == 0 and all_free()

    count = places(f)
    codes = by_handlers(range(0, count, max(1, count // 15)), run)
    assert len(codes) > 10 and not any(codes)


def test_by_a_signal_handler_while_work_is_done_apart() -> None:
    """In the child there is no thread that does what has not begun: who waits for it does it."""

    def work() -> int:
        return apart(lambda: 7, CALLS)

    codes = by_handlers(range(places(work)), lambda interrupts: interrupts.run(work) == 7 and all_free())
    assert len(codes) > 5 and not any(codes) and all_free()


def test_a_lock_that_a_fork_did_not_wait_for() -> None:
    """An interrupt ended the wait for another thread's call: the child does not have that thread, its lock is free."""
    lock, held, leave = threading.RLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert leave.wait(PATIENCE)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert held.wait(PATIENCE)
    code = in_child(lambda: not _renew(lock) and lock.acquire(blocking=False))
    leave.set()
    join(thread)
    assert code == 0


_function: Any = None


def _call(k: int) -> float:
    return float(_function(float(k)))


def test_a_pool_of_forked_processes() -> None:
    global _function
    x, n = ng.scalar("x"), ng.shared(1.0, "n")
    _function = ng.function([x], x * n)
    big = ng.function([ng_x := ng.matrix("x")], ng.sum(ng.exp(ng_x)))
    value = np.zeros((500, 500))
    big(value)
    with busy(lambda: big(value)), multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_call, range(20)).get(PATIENCE) == [float(k) for k in range(20)]
