"""What is done at once, or in a thread of its own, and what waits for it."""

from __future__ import annotations

import gc
import threading
from functools import partial
from threading import get_ident

import pytest

from numgraph.whole import CALLS, apart, at_once, compiled, kept, uncollected
from tests.interrupts import Interrupts, free, places
from tests.waits import python


def test_at_once_stops_at_the_first_that_is_true() -> None:
    done: list[int] = []
    assert at_once(partial(done.append, 1), partial(done.append, 2)) is None and done == [1, 2]
    assert at_once(partial(done.append, 3), partial(int, 7), partial(done.append, 4)) == 7 and done == [1, 2, 3]
    with pytest.raises(IndexError):
        at_once(partial([].pop), partial(done.append, 5))
    assert done == [1, 2, 3]


def test_at_once_is_not_interrupted() -> None:
    done: list[int] = []
    actions = [partial(done.append, k) for k in range(20)]
    for place in range(places(lambda: at_once(*actions))):
        done.clear()
        assert isinstance(Interrupts([place]).run(lambda: at_once(*actions)), KeyboardInterrupt)
        assert len(done) in (0, 20)


def test_work_apart() -> None:
    lock = threading.RLock()
    seen = apart(lambda: (threading.get_ident(), lock._is_owned()), lock)  # type: ignore[attr-defined]
    assert seen[0] != threading.get_ident() and seen[1]
    with lock:
        assert apart(threading.get_ident, lock) == threading.get_ident(), "who has the lock does it itself"

    def fail() -> None:
        raise error

    error = KeyError("on purpose")
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            apart(fail, lock)
        assert caught.value is error
    assert free(lock)


AT_THE_END = """
import sys
from numgraph.whole import CALLS, apart

class Last:
    def __init__(self):
        self.apart, self.sys, self.print = apart, sys, print

    def __del__(self):
        self.print(self.sys.is_finalizing(), self.apart(lambda: 3, CALLS), flush=True)

last = Last()
"""


def test_work_apart_while_the_interpreter_ends() -> None:
    """What a finalizer asks for: a thread that is started then never gets on."""
    done = python("-c", AT_THE_END)
    assert (done.stdout, done.stderr) == ("True 3\n", "")


def test_interrupted_work_is_done_as_a_whole_or_not_at_all() -> None:
    """Whoever has the lock afterwards sees all of it, or nothing of it ever."""
    done: list[int] = []

    def work() -> None:
        done.append(1)
        done.append(2)

    counts = set()
    for place in range(places(lambda: apart(work, CALLS))):
        done.clear()
        out = Interrupts([place]).run(lambda: apart(work, CALLS))
        with CALLS:
            now = list(done)
        assert now in ([], [1, 2]) and (now or isinstance(out, KeyboardInterrupt))
        counts.add(len(now))
    assert counts == {0, 2}


def test_locks_that_an_interrupt_has_left_locked() -> None:
    """Those of LLVM's bindings and Numba's compiler are taken in Python; the thread that has them frees them."""
    from llvmlite.binding.ffi import lib
    from numba.core.compiler_lock import global_compiler_lock

    locks = [lib._lock._lock, global_compiler_lock._lock]
    for lock in locks:
        lock.acquire()
        lock.acquire()
    assert compiled(lambda: [lock.acquire(timeout=30) and not lock.release() for lock in locks]) == [True, True]
    assert all(free(lock) for lock in locks)


def test_what_numba_calls_compiles_itself() -> None:
    from numba.core.compiler_lock import global_compiler_lock

    lock = global_compiler_lock._lock
    seen: list[int] = []
    # as Numba's compiler would call it
    namespace = {"__name__": "numba.core.typing", "compiled": compiled, "work": lambda: seen.append(get_ident())}
    with lock:
        exec("compiled(work)", namespace)
        assert lock._is_owned()
    assert seen == [get_ident()]


def test_engines_are_given_back_by_what_is_compiled_next() -> None:
    class Engine:
        def __del__(self) -> None:
            gone.append(get_ident())

    class Owner:
        pass

    gone: list[int] = []
    owner = Owner()
    kept(owner, Engine())
    compiled(gc.collect)
    assert not gone
    del owner
    gc.collect()
    assert not gone
    compiled(int)
    assert len(gone) == 1 and gone[0] != get_ident()


def test_cycles_are_looked_for_again_afterwards() -> None:
    assert not uncollected(gc.isenabled) and gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        uncollected(lambda: 1 / 0)
    assert gc.isenabled()
    gc.disable()
    try:
        assert not uncollected(gc.isenabled) and not gc.isenabled()
    finally:
        gc.enable()


LOADS_NUMBA = """
import gc, sys
from types import ModuleType
from numgraph.whole import uncollected

def kept(objects):
    def work():
        objects.extend([] for _ in range(5000))
        sys.modules["numba"] = ModuleType("numba")
    uncollected(work)
    return objects[0]

def is_oldest(thing):
    return any(thing is other for other in gc.get_objects(generation=2))

assert is_oldest(kept([])) and gc.get_freeze_count() == 0 and gc.isenabled()
assert not is_oldest(kept([])), "it was loaded already"
del sys.modules["numba"]
gc.freeze()
assert not is_oldest(kept([])) and gc.get_freeze_count(), "the user's objects stay frozen"
"""


def test_what_comes_with_numba_is_not_looked_at_at_once() -> None:
    done = python("-c", LOADS_NUMBA)
    assert done.returncode == 0, done.stderr
