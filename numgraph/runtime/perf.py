"""`config.perf`: the names of functions in memory, where Linux's `perf` looks for them.

It reads /tmp/perf-PID.map: a line for each function, its address and its size in hex digits, and its name. The sizes
are those of the object's symbols (ELF, 64 bits, little-endian); where it lies in memory the linker says of one of them.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import cache as remember
from pathlib import Path
from typing import NamedTuple

_SYMBOLS, _FUNCTION, _ELF = 2, 2, b"\x7fELF\x02\x01"


class Symbol(NamedTuple):
    """A function in an object. section: where it lies. offset, size: bytes, from the section's begin. known: whether
    others know its name."""

    name: str
    section: int
    offset: int
    size: int
    known: bool


def symbols(code: bytes) -> list[Symbol]:
    """The functions in an object, those that only it knows included; none where it is of another kind."""
    if not code.startswith(_ELF):
        return []
    table, size, count = struct.unpack_from("<Q", code, 40)[0], *struct.unpack_from("<HH", code, 58)
    # of each section: name, kind, flags, address, offset, size, link, info, alignment, size of an entry
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * k) for k in range(count)]
    found = []
    for _, kind, _, _, offset, length, link, _, _, each in sections:
        if kind != _SYMBOLS or not each:
            continue
        names = sections[link][4]
        for at in range(offset, offset + length, each):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", code, at)
            if info & 15 == _FUNCTION and section and size:
                end = code.index(b"\0", names + name)
                found.append(Symbol(code[names + name : end].decode(errors="replace"), section, value, size, info > 15))
    return found


def lines(code: bytes, address: Callable[[str], int]) -> list[str]:
    """The lines for the functions of an object. address: where a symbol of it that others know lies in memory;
    functions of other sections are left out."""
    found = symbols(code)
    base = next((s for s in found if s.known), None)
    if base is None:
        return []
    start = address(base.name) - base.offset
    return [f"{start + s.offset:x} {s.size:x} {s.name}" for s in found if s.section == base.section]


def path() -> Path:
    """The file of this process."""
    return Path(f"/tmp/perf-{os.getpid()}.map")


_said: list[str] = []


def tell(codes: Sequence[bytes], address: Callable[[str], int]) -> None:
    """Add the functions of objects that have been loaded to the file; see `lines`."""
    _renewed()
    made = [line for code in codes for line in lines(code, address)]
    _said.extend(made)
    _append(made)


def _append(made: list[str]) -> None:
    # Python's own names (-X perf) may be in it; what others have put there in its place is not written to
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.open(path(), flags, 0o644)
        try:
            os.write(file, "".join(f"{line}\n" for line in made).encode())
        finally:
            os.close(file)
    except OSError as error:
        warnings.warn(f"numgraph: perf is not told the names of functions: {error}", RuntimeWarning, stacklevel=2)


@remember
def _renewed() -> None:
    """The child of a fork has a file of its own."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: _append(_said))
