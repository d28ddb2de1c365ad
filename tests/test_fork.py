"""Forks while other threads are within calls or compile: the child computes, and sees whole values."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.runtime import native
from numgraph.whole import _renew
from tests.interrupts import Interrupts, all_free, places

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]
PATIENCE = 60


def ended(child: int) -> int:
    """The exit code of a child; -9 where it does not come to an end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -9


def in_child(work: Callable[[], bool]) -> int:
    """The exit code of a forked child that does `work`: 0 where that is true."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return ended(child)


@contextmanager
def busy(*works: Callable[[], Any]) -> Iterator[None]:
    """Within the block, threads do something again and again."""
    stop = threading.Event()

    def again(work: Callable[[], Any]) -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


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
    real, begun, go_on = native.compile_source, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(PATIENCE)
        return real(*arguments)

    monkeypatch.setattr(native, "_load", lambda name: None)
    monkeypatch.setattr(native, "compile_source", slow)
    thread = threading.Thread(target=lambda: compiled_anew(0))
    thread.start()
    assert begun.wait(PATIENCE)
    timer = threading.Timer(0.1, go_on.set)
    timer.start()
    assert in_child(lambda: compiled_anew(1)) == 0
    thread.join()
    assert all_free()


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_by_a_signal_handler_within_a_call(target: str) -> None:
    """The thread that forks is itself in a call: child and parent both bring it to its end."""
    n, a, b = ng.shared(0, "n"), ng.shared(np.zeros(2), "a"), ng.shared(np.ones(2), "b")
    f = ng.function([], n * 1, updates=[(n, n + 1), (a, b), (b, a)], target=target)
    f()
    children: list[int] = []
    for place in range(0, count := places(f), max(1, count // 15)):
        n.set_value(0)
        a.set_value(np.zeros(2))
        b.set_value(np.ones(2))
        out = Interrupts([place], action=lambda: children.append(os.fork())).run(f)
        good = out == 0 and n.get_value() == 1 and a.get_value()[0] == 1 and b.get_value()[0] == 0 and all_free()
        if children and children[-1] == 0:
            os._exit(0 if good else 1)
        assert good
    assert len(children) > 10
    assert [ended(child) for child in children] == [0] * len(children)


def test_a_lock_that_a_fork_did_not_wait_for() -> None:
    """An interrupt ended the wait for another thread's call: the child does not have that thread, its lock is free."""
    lock, held, leave = threading.RLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert leave.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    code = in_child(lambda: not _renew(lock) and lock.acquire(blocking=False))
    leave.set()
    thread.join()
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
