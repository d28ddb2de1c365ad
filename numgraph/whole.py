"""What an interrupt or a fork must not tear apart.

A signal handler (Ctrl-C), like `PyThreadState_SetAsyncExc`, raises between two instructions of Python: after a call, at
the start of a function, at a jump backwards. It never does within a function written in C, nor in a thread other than
its own. So a change in several steps is made either by one chain of C functions (`at_once`), or in a thread of its own
(`apart`). Locks are taken by `with`, whose end no interrupt can skip; after `acquire()` one may come before the `try`.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import call, getitem
from threading import RLock
from types import FrameType
from typing import Any, TypeVar
from weakref import ref

Result = TypeVar("Result")
# A step of `at_once`: a call of a C function with its arguments, such as `partial(setattr, object, name, value)`.
Action = Callable[[], Any]

# Held while compiled code runs and while a value is replaced or copied: a call reads addresses first and uses them
# afterwards; functions share the table of their arguments among threads. Nothing runs in parallel for it: compiled code
# keeps the interpreter's lock anyway, unless it takes long.
CALLS = RLock()
# Held while LLVM, Numba or a device's compiler works: they are not made for interrupts, and their own locks would stay
# locked in the child of a fork. Who holds this one does not ask for CALLS.
COMPILING = RLock()
# Held while threads make machine code of what was lowered, see `lower.emission`: they go on when COMPILING is given
# back.
EMITTING = allocate_lock()

# What happens in several steps while CALLS is held, and what signal handlers of the same thread do in between: an item
# for each. Between two calls it is empty, or left so by an interrupt, which the next `begin` removes.
WITHIN: list[bool] = []


class Disturbed(Exception):
    """A signal handler has called a function, or set a value, between two steps of a call: it is to be begun anew."""


def held() -> bool:
    """Whether this thread holds CALLS already: what it begins is then done within a call. To be asked before it is
    taken."""
    # no public name tells who holds an RLock
    owned: bool = CALLS._is_owned()  # type: ignore[attr-defined]
    return owned


def begin(nested: bool) -> int:
    """Begin what takes several steps, with CALLS held; returns what `undisturbed` asks for. nested: what `held` said
    before."""
    if not nested:
        WITHIN.clear()
    WITHIN.append(True)
    return len(WITHIN)


def end(nested: bool) -> None:
    """End it."""
    if not nested:
        WITHIN.clear()


def disturb(nested: bool) -> None:
    """Say that something changes, with CALLS held."""
    if nested:
        WITHIN.append(True)


def undisturbed(begun: int, *actions: Action) -> Any:
    """`at_once(*actions)`; Disturbed, and nothing done, if something else was begun since `begin`."""
    found = at_once(partial(getitem, WITHIN, slice(begun, None)), *actions)
    if found.__class__ is list:
        raise Disturbed
    return found


def at_once(*actions: Action) -> Any:
    """Do `actions` in order, up to the first that gives something true; returns that, else None.

    Where the actions are C functions, no handler runs and no other thread sees anything between two of them.
    """
    return next(filter(None, map(call, actions)), None)


def uncollected(work: Callable[[], Result]) -> Result:
    """The result of `work`, which makes a lot and few cycles: Python does not look for them meanwhile.

    Where Numba has been loaded, it does not look at once afterwards either: a twentieth of the time to a first result.
    Nearly all that is new then is Numba's own modules, which stay.
    """
    was, known = gc.isenabled(), "numba" in sys.modules
    try:
        gc.disable()
        return work()
    finally:
        if was:
            loaded = not known and "numba" in sys.modules and not gc.get_freeze_count()
            # to the oldest generation, which Python looks at seldom; nothing of the user's is frozen, so nothing thaws
            at_once(*((gc.freeze, gc.unfreeze) if loaded else ()), gc.enable)


def apart(work: Callable[[], Result], lock: Any) -> Result:
    """The result of `work`, done while `lock` is held, in a thread that no signal reaches.

    An interrupt ends the wait for it. Work that has begun then goes on to its end, and whoever wants the lock waits for
    it; work that has not begun is not done. With the lock held by the caller already, the caller works itself, and so
    it does while the interpreter ends, in a finalizer: a new thread would begin (before Python 3.12) and never get on.
    """
    if lock._is_owned() or sys.is_finalizing():
        return work()
    waiting, done = allocate_lock(), allocate_lock()
    found: list[Any] = []
    # once the caller goes on, the thread, which may end later, keeps nothing alive
    begun = [work]

    def run() -> None:
        with lock:
            if waiting.acquire(False):
                # nobody waits any more
                return
            try:
                found.extend((begun.pop()(), None))
            except BaseException as error:
                found.extend((None, error))
            # the lock is still held: in a child that is forked later, nobody waits in vain
            done.release()

    done.acquire()
    _waits[id(done)] = done
    with waiting:
        try:
            start_new_thread(run, ())
        except RuntimeError:  # no threads any more: the interpreter ends
            with lock:
                return work()
        try:
            done.acquire()
        finally:
            _waits.pop(id(done), None)
    if not found:
        # this is the child of a fork by a signal handler, and the thread that was to work is the parent's
        return apart(work, lock)
    result, error = found
    found.clear()
    if error is not None:
        try:
            raise error
        finally:
            # its traceback leads here
            del error
    return result  # type: ignore[no-any-return]


# What `apart` waits for, by identity. A fork waits for work that has begun; who waits for other work must be told in
# the child that it does not begin there. An interrupt may leave a lock here for which nobody waits.
_waits: dict[int, Any] = {}


def _forsake() -> None:
    """In the child of a fork: nobody does what has not begun yet."""
    for done in _waits.values():
        if done.locked():
            done.release()


def compiled(work: Callable[[], Result]) -> Result:
    """`apart(work, COMPILING)`, for what calls LLVM or Numba.

    Their bindings take locks in Python, where an interrupt may leave one locked; then it is this thread's, although
    this thread is not within them. Where it is, for Numba compiles what calls numgraph, the caller works itself.
    """
    for lock in _foreign_locks():
        if lock._is_owned() and _called_by("numba", "llvmlite"):
            return work()
        while lock._is_owned():
            lock.release()

    def run() -> Result:
        while _ended:
            del _engines[id(_ended.popleft())]
        return work()

    return apart(run, COMPILING)


def kept(owner: Any, engine: Any) -> None:
    """Keep an object of LLVM's for as long as `owner` lives. What is compiled next gives it back: a finalizer would do
    so in any thread, where interrupts come."""
    known = ref(owner, _ended.append)
    _engines[id(known)] = known, engine


# by the identity of a weak reference to the owner: that, and the engine; and the references whose owners are gone
_engines: dict[int, tuple[ref[Any], Any]] = {}
_ended: deque[ref[Any]] = deque()


def _foreign_locks() -> list[Any]:
    """The locks of LLVM's bindings and of Numba's compiler, as far as these are loaded."""
    found = []
    places = {"llvmlite.binding.ffi": "lib._lock._lock", "numba.core.compiler_lock": "global_compiler_lock._lock"}
    for module, path in places.items():
        lock: Any = sys.modules.get(module)
        for name in path.split("."):
            lock = getattr(lock, name, None)
        if hasattr(lock, "_is_owned"):
            found.append(lock)
    return found


def _called_by(*packages: str) -> bool:
    """Whether a function of one of the packages is being executed in this thread."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            return True
        frame = frame.f_back
    return False


def _renew(lock: Any) -> None:
    """In the child of a fork: a lock that another thread of the parent may hold is nobody's."""
    if lock._is_owned():
        lock.release()
    else:
        lock._at_fork_reinit()


# A fork waits until no other thread is within a call or compiles: the child has no half-done updates, and no lock of a
# thread that it does not have. The last registered comes first: CALLS, COMPILING, then EMITTING. C functions: an
# interrupt at the start of a handler would leave the lock held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=EMITTING.acquire, after_in_parent=EMITTING.release, after_in_child=EMITTING.release)
    for _lock in (COMPILING, CALLS):
        os.register_at_fork(
            before=_lock.acquire,
            after_in_parent=_lock.release,
            after_in_child=partial(_renew, _lock),
        )
    os.register_at_fork(after_in_child=_forsake)
# LLVM must not be at work while the process ends
atexit.register(EMITTING.acquire)
atexit.register(COMPILING.acquire)
