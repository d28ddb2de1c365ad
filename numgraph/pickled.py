"""What running picklers have listed: a graph is pickled as one flat list, never by recursion over it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any
from weakref import ref


class _Lists(threading.local):
    """For each list: what ends it, and the identities of the objects in it. The end is kept by the pickler alone: a
    list is void when pickling broke off."""

    def __init__(self) -> None:
        self.running: list[tuple[ref[Done], set[int]]] = []


_lists = _Lists()


class Done:
    """Pickled behind a list: forgets it."""

    def __reduce__(self) -> tuple[Any, ...]:
        _lists.running = [(done, ids) for done, ids in _lists.running if done() not in (None, self)]
        return _none, ()


def _none() -> None:
    return None


def listed(item: Any) -> bool:
    """Whether a running pickler of this thread has an object in a list."""
    return any(id(item) in ids for done, ids in _lists.running if done() is not None)


def begin(items: Iterable[Any]) -> Done:
    """Have objects listed; returns what is to be pickled behind them."""
    new = Done()
    running = [(done, ids) for done, ids in _lists.running if done() is not None]
    _lists.running = [*running, (ref(new), set(map(id, items)))]
    return new
