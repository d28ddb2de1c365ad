"""The folder of generated source and compiled code, addressed by content.

A file's name is the digest of what it holds or of what it was made from, so a file is never rewritten with other
content. Writing goes to a scratch file that is renamed into place: a reader sees all of it or none. What cannot be
read is ignored and made again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
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


def folder() -> Path:
    """The cache folder, made when it is missing; a temporary one where it cannot be made."""
    path = Path(config.cache_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        path = Path(tempfile.gettempdir()) / f"numgraph-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
        path.mkdir(parents=True, exist_ok=True)
        config.cache_dir = path
    return path


def store(name: str, data: bytes) -> Path:
    """Write a file atomically, unless it is there already; returns its path."""
    path = folder() / name
    if not path.exists():
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=name, suffix=".tmp")
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
        return (folder() / name).read_bytes()
    except OSError:
        return None


def discard(name: str) -> None:
    """Remove a file that turned out to be damaged."""
    (folder() / name).unlink(missing_ok=True)
