"""The folder of generated source and compiled code, addressed by content.

A file's name is the digest of what it holds or of what it was made from, so a file is never rewritten with other
content. Writing goes to a scratch file that is renamed into place: a reader sees all of it or none. What cannot be
read, a pipe for one, is ignored and made again, so any file may be removed at any time, also by another process.

The time of a file says when it was last used, to within a day. What was not used for longest goes first when the folder
grows beyond `config.cache_limit`; a process looks after it has written a file, never when it only reads.
What cannot be written is kept by this process.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path

from numgraph.config import config

# Generated source, machine code, what is kept of whole programs, and scratch files of these.
_OURS = re.compile(r"(k_[0-9a-f]{20}|p_[0-9a-f]{20})(\.py|\.ll|\.bin|_[0-9a-f]{20}\.(?:o|cubin))(\w{8}\.tmp)?")
_KINDS = {".py": "source", ".ll": "source", ".bin": "program"}
DAY = 86400.0
# A scratch file this old was left behind by a process that died; a younger one is being written.
SCRATCH_AGE = 3600.0
# What a process may write before it looks again whether the folder is too large, and what is left then, as parts of the
# limit.
_CHECKED, _LEFT = 1 / 64, 0.8
# Files that the cache folder did not take: where they are instead, or what is in them.
_elsewhere: dict[Path, Path | bytes] = {}
_warned: set[str] = set()


def digest(*parts: str | bytes) -> str:
    """A name for content: 20 hexadecimal digits of its BLAKE2 hash."""
    state = hashlib.blake2b(digest_size=10)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


@remember
def private_folder() -> Path:
    """A folder of this process alone, for where nothing can be kept."""
    path = tempfile.mkdtemp(prefix="numgraph-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


def folder() -> Path:
    """The cache folder, made when it is missing."""
    path = Path(config.cache_dir)
    path.mkdir(parents=True, exist_ok=True)
    return path


def store(name: str, data: bytes) -> Path:
    """Write a file atomically, unless it is there with just this content; returns its path.

    Where the cache folder cannot be written (read-only, full, no folder), a warning says so once, and the file goes to
    a folder of this process alone; where nothing can be written, it is kept in memory: `load` knows it.
    """
    try:
        path, written = _store(folder() / name, data)
        if written:
            _growth.add(len(data))
        return path
    except OSError as error:
        _warn(error)
    try:
        path, _ = _store(private_folder() / name, data)
        _elsewhere[_wanted(name)] = path
    except OSError:
        path = _wanted(name)
        _elsewhere[path] = data
    return path


def _wanted(name: str) -> Path:
    """Where a file should be."""
    return Path(config.cache_dir) / name


def _warn(error: OSError) -> None:
    """Say once for each cache folder that it keeps nothing."""
    where = str(config.cache_dir)
    if where not in _warned:
        _warned.add(where)
        warnings.warn(
            f"numgraph: compiled code cannot be kept in {where} ({error.strerror or error}): each process compiles "
            "anew\n  fix: make room, or set NUMGRAPH_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=2,
        )


def _store(path: Path, data: bytes) -> tuple[Path, bool]:
    """The path, and whether the file was written."""
    try:
        if _read(path) == data:
            _mark_used(path)
            return path, False
    except OSError:
        pass
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(scratch).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(scratch).unlink()
        raise
    return path, True


def load(name: str) -> bytes | None:
    """A file's content, None when there is none."""
    for place in _places(name):
        try:
            if isinstance(place, bytes):
                return place
            data = _read(place)
            _mark_used(place)
            return data
        except OSError:
            pass
    return None


def find(name: str) -> Path | None:
    """Where a file is; None where there is none."""
    return next((place for place in _places(name) if isinstance(place, Path) and place.is_file()), None)


def _places(name: str) -> list[Path | bytes]:
    """Where a file may be, or what is in it."""
    wanted = _wanted(name)
    other = _elsewhere.get(wanted)
    return [wanted] if other is None else [wanted, other]


def _read(path: Path) -> bytes:
    """A file's content; OSError where there is none, or something else than a file, which is not waited for."""
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _mark_used(path: Path) -> None:
    """Set a file's time to now, once a day."""
    with contextlib.suppress(OSError):
        if abs(time.time() - path.stat().st_mtime) > DAY:
            os.utime(path)


def discard(name: str) -> None:
    """Remove a file that turned out to be damaged."""
    kept = _elsewhere.pop(_wanted(name), None)
    for path in (_wanted(name), kept):
        if isinstance(path, Path):
            with contextlib.suppress(OSError):
                path.unlink()


# -- what is in the folder ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file of numgraph's in the cache folder.

    source: the name of the generated source that it is or was made from, without its ending; of a program its own.
    kind: "source", "code", "program" or "scratch". size: bytes. used: when it was last used, to within a day, in
    seconds since 1970.
    """

    path: Path
    source: str
    kind: str
    size: int
    used: float


def files() -> list[File]:
    """Every file of numgraph's in the cache folder, sorted by name: no symbolic links, folders or files of others."""
    found = []
    try:
        entries = list(os.scandir(config.cache_dir))
    except OSError:
        return []
    for entry in entries:
        match = _OURS.fullmatch(entry.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):  # removed meanwhile
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                kind = "scratch" if match[3] else _KINDS.get(match[2], "code")
                found.append(File(Path(entry.path), match[1], kind, status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: file.path.name)


def clear(older_than: float | None = None) -> tuple[int, int]:
    """Remove numgraph's files from the cache folder; returns their number and bytes.

    older_than: keep what was used within so many days. Scratch files of the last hour always stay: a process is
    writing them. Other processes make again what they miss.
    """
    now = time.time()
    bound = now if older_than is None else now - older_than * DAY
    there = files()
    used = _last_uses(there)
    removed = [
        file
        for file in there
        if (file.used < now - SCRATCH_AGE if file.kind == "scratch" else older_than is None or used[file.path] < bound)
    ]
    return _remove(removed)


def _last_uses(there: Iterable[File]) -> dict[Path, float]:
    """When each file was last used; a source also when its code was."""
    newest: dict[str, float] = {}
    for file in there:
        newest[file.source] = max(file.used, newest.get(file.source, file.used))
    return {file.path: newest[file.source] if file.kind == "source" else file.used for file in there}


def _remove(chosen: Iterable[File]) -> tuple[int, int]:
    count = size = 0
    for file in chosen:
        with contextlib.suppress(OSError):  # gone already, or held open (Windows)
            file.path.unlink()
            count, size = count + 1, size + file.size
    return count, size


def trim(limit: int) -> tuple[int, int]:
    """Where the files take more than `limit` bytes, remove the least recently used ones until four fifths are left.

    Returns the number and bytes of the removed files.
    """
    there = files()
    total = sum(file.size for file in there)
    if total <= limit:
        return 0, 0
    used = _last_uses(there)
    # code before its source, which is worthless without it
    oldest = sorted(there, key=lambda file: (used[file.path], file.kind == "source"))
    chosen = []
    for file in oldest:
        if total <= limit * _LEFT:
            break
        if file.kind != "scratch" or file.used < time.time() - SCRATCH_AGE:
            chosen.append(file)
            total -= file.size
    return _remove(chosen)


class _Growth:
    """Counts what this process writes, and trims the folder at its first file and then from time to time."""

    def __init__(self) -> None:
        self.unchecked: float | None = None

    def add(self, size: int) -> None:
        """`size` bytes were written."""
        limit = config.cache_limit
        self.unchecked = None if self.unchecked is None else self.unchecked + size
        if limit and (self.unchecked is None or self.unchecked > limit * _CHECKED):
            self.unchecked = 0.0
            trim(limit)


_growth = _Growth()
