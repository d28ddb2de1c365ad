"""Files of object code in the cache: what they hold, and that it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_MAGIC = b"numgraph-object-2\n"


def pack(name: str, symbol: str, codes: Sequence[bytes]) -> bytes:
    """The content of a file: magic, checksum, its own name, symbol, the lengths of the codes, the codes."""
    lengths = " ".join(str(len(code)) for code in codes)
    body = b"\n".join([name.encode(), symbol.encode(), lengths.encode(), b"".join(codes)])
    return _MAGIC + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body


def unpack(name: str, data: bytes) -> tuple[str, list[bytes]] | None:
    """(symbol, codes) of a file; None when it is damaged, or was stored under another name."""
    if not data.startswith(_MAGIC):
        return None
    checksum, _, body = data[len(_MAGIC) :].partition(b"\n")
    if hashlib.blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    stored, symbol, lengths, rest = body.split(b"\n", 3)
    codes, begin = [], 0
    for length in map(int, lengths.split()):
        codes.append(rest[begin : begin + length])
        begin += length
    return (symbol.decode(), codes) if stored == name.encode() else None
