"""Arrays that users of an exported module put into `step.shared`, which updates write into."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import partial
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from tests.waits import PATIENCE, in_child, join, together


def imported(f: ng.Function, folder: Path) -> ModuleType:
    """The module that `f` is exported to."""
    f.export(folder / "exported.py")
    spec = importlib.util.spec_from_file_location("exported", folder / "exported.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A program that updates `a` and `b` and reads `c`."""
    a, b, c = ng.shared(np.zeros(3), "a"), ng.shared(np.zeros(3), "b"), ng.shared(np.ones(3), "c")
    x = ng.vector("x")
    f = ng.function([x], c.sum(), updates=[(a, a + c[0] + x), (b, b + a)])
    return imported(f, tmp_path_factory.mktemp("memory"))


@pytest.fixture
def step(exported: ModuleType) -> Any:
    """Its function, of fresh arrays."""
    exported.step.shared |= {"a": np.zeros(3), "b": np.zeros(3), "c": np.ones(3)}
    return exported.step


def test_a_file_that_is_read_only_is_copied_for_updates(step: Any, tmp_path: Path) -> None:
    np.zeros(3).tofile(tmp_path / "a.bin")
    step.shared["a"] = np.memmap(tmp_path / "a.bin", np.float64, "r", shape=(3,))
    step(np.ones(3))
    assert step.shared["a"].tolist() == [2.0] * 3
    assert np.fromfile(tmp_path / "a.bin").tolist() == [0.0] * 3


def test_a_read_only_array_stays_as_it_is(step: Any) -> None:
    fixed, read = np.zeros(3), np.ones(3)
    fixed.flags.writeable = read.flags.writeable = False
    step.shared |= {"a": fixed, "c": read}
    for _ in range(2):
        step(np.ones(3))
    assert fixed.tolist() == [0.0] * 3 and step.shared["a"].tolist() == [4.0] * 3
    assert step.shared["c"] is read, "what is only read may be larger than memory: it is not copied"


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a", "c"), ("c", "b")])
def test_arrays_that_share_memory_with_one_that_is_updated_are_refused(one: str, other: str, step: Any) -> None:
    both = np.zeros(5)
    step.shared |= {one: both[:3], other: both[2:]}
    with pytest.raises(ValueError, match="share memory, and an update"):
        step(np.ones(3))
    assert both.tolist() == [0.0] * 5


def test_an_array_off_its_alignment_is_copied(step: Any) -> None:
    off = np.zeros(25, np.uint8)[1:].view(np.float64)
    step.shared["a"] = off
    step(np.ones(3))
    assert step.shared["a"].tolist() == [2.0] * 3 and step.shared["a"].flags.aligned


def test_threads_call_it_one_after_the_other(tmp_path: Path) -> None:
    """They share the table of addresses: the arrays of one call were those of another, or freed already."""
    x = ng.vector("x")
    step = imported(ng.function([x], [x * 2, x.sum()]), tmp_path).step
    wrong: list[Any] = []

    def calls(number: int) -> None:
        for k in range(1500):
            length = 1 + (k * 7 + number * 131) % 3000
            doubled, total = step(np.full(length, float(number)))
            if doubled.shape != (length,) or (doubled != 2 * number).any() or total != number * length:
                wrong.append((number, k))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        together(*(partial(calls, number) for number in range(4)))
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_child_that_is_forked_while_a_thread_calls_may_call(step: Any) -> None:
    held, done = Event(), Event()

    def hold() -> None:
        with step.lock:
            held.set()
            assert done.wait(PATIENCE)

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    code = in_child(lambda: step(np.ones(3)) == 3.0 and step.shared["a"].tolist() == [2.0] * 3)
    done.set()
    join(thread)
    assert code == 0
