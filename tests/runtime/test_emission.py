"""Machine code that is made while something else is being lowered."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.lower import emission
from numgraph.lower.emission import Emission
from numgraph.runtime import native
from numgraph.whole import COMPILING, EMITTING
from tests.waits import PATIENCE, in_child


def at_rest() -> bool:
    """Whether no thread is at work, which who forks and who ends the process waits for."""
    free = EMITTING.acquire(timeout=PATIENCE)
    if free:
        EMITTING.release()
    return free and not Emission.waiting and not Emission.workers


@pytest.fixture
def alone() -> Iterator[None]:
    """Nothing waits, and nothing is left."""
    assert at_rest()
    with COMPILING:
        yield
    assert at_rest()


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(work: Callable[[], None], arguments: tuple[()]) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(emission, "start_new_thread", refused)


def name_of_thread() -> bytes:
    return str(threading.get_ident()).encode()


def test_parts_are_made_by_threads_and_by_who_asks(alone: None) -> None:
    """One thread makes the first; the second, which waits for the first, is left to who asks."""
    begun, go_on = threading.Event(), threading.Event()

    def first() -> bytes:
        begun.set()
        assert go_on.wait(PATIENCE)
        return name_of_thread()

    def second() -> bytes:
        go_on.set()
        return name_of_thread()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(config, "threads", 2)
        found = Emission([first])
        assert begun.wait(PATIENCE) and EMITTING.locked()
        other = Emission([second])
        assert other.result() == [name_of_thread()] == other.result()
    assert found.result() != [name_of_thread()] and found.result() == found.result()


def test_the_order_is_kept(alone: None) -> None:
    parts = [functools.partial(bytes, [k]) for k in range(40)]
    assert Emission(parts).result() == [bytes([k]) for k in range(40)]


def test_what_fails_fails_where_it_is_asked_for(alone: None) -> None:
    def broken() -> bytes:
        raise MemoryError("on purpose")

    found = Emission([lambda: b"made", broken])
    for _ in range(2):
        with pytest.raises(MemoryError, match="on purpose"):
            found.result()


def test_where_no_threads_can_be_started_it_waits(alone: None, no_threads: None) -> None:
    found = Emission([name_of_thread, lambda: b"made"])
    assert not Emission.workers and not EMITTING.locked()
    assert found.result() == [name_of_thread(), b"made"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_until_threads_are_done(alone: None) -> None:
    """The child has no thread that would make what has begun, nor one that holds a lock of LLVM's."""
    go_on, made = threading.Event(), []

    def slow() -> bytes:
        assert go_on.wait(PATIENCE)
        made.append(True)
        return b"slow"

    found = [Emission([slow]), Emission([lambda: b"quick"])]
    timer = threading.Timer(0.2, go_on.set)
    timer.start()

    def child() -> bool:
        right = [f.result() for f in found] == [[b"slow"], [b"quick"]]
        return right and made == [True] and Emission([lambda: b"more"]).result() == [b"more"] and at_rest()

    assert in_child(child) == 0
    assert [f.result() for f in found] == [[b"slow"], [b"quick"]]


def test_products_are_made_while_a_program_is_lowered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bool] = []
    run = emission._Job.run

    def watched(self: emission._Job) -> None:
        seen.append(EMITTING.locked())
        run(self)

    monkeypatch.setattr(config, "cache_dir", tmp_path)
    monkeypatch.setattr(config, "threads", 2)
    monkeypatch.setattr(native, "_unit", functools.cache(native._unit.__wrapped__))
    monkeypatch.setattr(emission._Job, "run", watched)
    x, W = ng.matrix("x", dtype="float32"), ng.shared(np.ones((40, 50), np.float32))
    f = ng.function([x], ng.exp(x @ W - 40))
    assert any(seen) and at_rest()
    np.testing.assert_allclose(f(np.ones((7, 40), np.float32)), np.ones((7, 50)), rtol=1e-6)
