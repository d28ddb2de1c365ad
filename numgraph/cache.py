"""The folder of generated source and compiled code, addressed by content.

A file's name is the digest of what it holds or of what it was made from, so a file is never rewritten with other
content. Writing goes to a scratch file that is renamed into place: a reader sees all of it or none. What cannot be
read is ignored and made again.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
from functools import cache as remember
from pathlib import Path

from numgraph.config import config


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

    Where the cache folder cannot be written (read-only, full), the file goes to a folder of this process alone.
    """
    try:
        return _store(folder() / name, data)
    except OSError:
        return _store(private_folder() / name, data)


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
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
    return path


def load(name: str) -> bytes | None:
    """A file's content, None when there is none."""
    try:
        return (Path(config.cache_dir) / name).read_bytes()
    except OSError:
        return None


def discard(name: str) -> None:
    """Remove a file that turned out to be damaged."""
    with contextlib.suppress(OSError):
        (Path(config.cache_dir) / name).unlink(missing_ok=True)
