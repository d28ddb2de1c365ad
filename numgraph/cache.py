"""The folder of generated source and compiled code, addressed by content.

A file's name is the digest of what it holds or of what it was made from, so a file is never rewritten with other
content. Writing goes to a scratch file that is renamed into place: a reader sees all of it or none. What cannot be
read is ignored and made again. What cannot be written is kept by this process.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
import warnings
from functools import cache as remember
from pathlib import Path

from numgraph.config import config

# Files that the cache folder did not take: where they are instead, or what is in them.
_elsewhere: dict[str, Path | bytes] = {}
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
    a folder of this process alone; where nothing can be written, it is kept in memory: `content` knows it.
    """
    try:
        return _store(folder() / name, data)
    except OSError as error:
        _warn(error)
    try:
        path = _store(private_folder() / name, data)
        _elsewhere[name] = path
    except OSError:
        path = Path(config.cache_dir) / name
        _elsewhere[name] = data
    return path


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


def _store(path: Path, data: bytes) -> Path:
    try:
        if path.read_bytes() == data:
            return path
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
    return path


def load(name: str) -> bytes | None:
    """A file's content, None when there is none."""
    for path in (Path(config.cache_dir) / name, _elsewhere.get(name)):
        try:
            if path is not None:
                return path if isinstance(path, bytes) else path.read_bytes()
        except OSError:
            pass
    return None


def content(path: Path) -> bytes:
    """What was stored under a path that `store` returned; OSError when it is gone."""
    try:
        return path.read_bytes()
    except OSError:
        kept = _elsewhere.get(path.name)
        if isinstance(kept, bytes):
            return kept
        raise


def discard(name: str) -> None:
    """Remove a file that turned out to be damaged."""
    kept = _elsewhere.pop(name, None)
    for path in (Path(config.cache_dir) / name, kept):
        if isinstance(path, Path):
            with contextlib.suppress(OSError):
                path.unlink()
