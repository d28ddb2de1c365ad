"""Machine code that is made while something else is being lowered."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.lower.emission import Emission
from numgraph.runtime import native
from numgraph.whole import COMPILING


@pytest.fixture
def alone() -> Iterator[None]:
    """Nothing waits, and nothing is left."""
    Emission.begin()
    Emission.settled()
    with COMPILING:
        yield
    assert not Emission.waiting and not Emission.under_way


def test_what_has_not_begun_is_made_when_it_is_asked_for(alone: None) -> None:
    found = Emission(lambda: threading.current_thread().name.encode())
    assert found.result() == threading.current_thread().name.encode() == found.result()


def test_what_has_begun_is_made_by_another_thread(alone: None) -> None:
    found = [Emission(lambda: threading.current_thread().name.encode()) for _ in range(3)]
    Emission.begin()
    assert [each.result() for each in found] == [b"numgraph emission"] * 3
    Emission.settled()
    assert [each.result() for each in found] == [b"numgraph emission"] * 3


def test_what_fails_fails_where_it_is_asked_for(alone: None) -> None:
    def broken() -> bytes:
        raise MemoryError("on purpose")

    found = Emission(broken)
    Emission.begin()
    Emission.settled()
    for _ in range(2):
        with pytest.raises(MemoryError, match="on purpose"):
            found.result()


def test_where_no_threads_can_be_started_it_waits(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    found = Emission(lambda: b"made")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        Emission.begin()
    assert not Emission.under_way and found.result() == b"made"


def test_products_are_made_while_a_program_is_lowered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bool] = []
    run = Emission._run

    def watched(self: Emission) -> None:
        # who forks, and who ends the process, waits until this is done
        free = COMPILING.acquire(blocking=False)
        seen.append(free)
        run(self)

    monkeypatch.setattr(config, "cache_dir", tmp_path)
    monkeypatch.setattr(native, "_unit", functools.cache(native._unit.__wrapped__))
    monkeypatch.setattr(Emission, "_run", watched)
    x, W = ng.matrix("x", dtype="float32"), ng.shared(np.ones((40, 50), np.float32))
    f = ng.function([x], ng.exp(x @ W - 40))
    assert seen and not any(seen) and not Emission.under_way
    np.testing.assert_allclose(f(np.ones((7, 40), np.float32)), np.ones((7, 50)), rtol=1e-6)
