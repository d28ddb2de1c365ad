"""Which arrays lie in the same memory, or in the same part of a file that is mapped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
    """Bytes start to stop of a place: this machine's memory (""), a device's, or a file."""

    place: str
    start: int
    stop: int


def spans(array: NDArray[Any]) -> list[Span]:
    """Where a C-contiguous array lies: its addresses, and its part of a file that is mapped, perhaps more than once."""
    address = int(array.ctypes.data)
    found = [Span("", address, address + array.nbytes)]
    whole = _mapped(array)
    if whole is not None and isinstance(whole.filename, str | os.PathLike):
        offset = whole.offset + address - int(whole.ctypes.data)
        found.append(Span(os.path.realpath(whole.filename), offset, offset + array.nbytes))
    return found if array.nbytes else []


def _mapped(array: NDArray[Any]) -> np.memmap[Any, Any] | None:
    """The array that was made of a file and that this is a view of; None where writes do not reach the file."""
    found, mmap = None, sys.modules.get("mmap")
    base: Any = array
    while mmap is not None and isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            found = base
        base = base.base
    return None if found is None or found.mode == "c" else found


def overlapping(places: Sequence[tuple[Sequence[Span], bool]]) -> Iterator[tuple[int, int]]:
    """Pairs of numbers of arrays, each given by its spans and whether it is written: those that share bytes, of which
    at least one is written."""
    every = sorted((span, k) for k, (own, _) in enumerate(places) for span in own)
    open_: list[tuple[Span, int]] = []
    for span, k in every:
        open_ = [(other, j) for other, j in open_ if other.place == span.place and other.stop > span.start]
        for _, j in open_:
            if j != k and (places[j][1] or places[k][1]):
                yield min(j, k), max(j, k)
        open_.append((span, k))
