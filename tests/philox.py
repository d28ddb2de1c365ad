"""Philox 4x32-10 by Python's integers, one counter at a time: what numgraph's two implementations are compared with."""

from __future__ import annotations

LOW = (1 << 32) - 1


def philox(key: int, position: int, index: int) -> list[int]:
    """The four words of the counter (index, position), 64 bits each. Written after figure 2 of Salmon and others."""
    left, right = [index & LOW, index >> 32], [position & LOW, position >> 32]
    for n in range(10):
        a, b = 0xD2511F53 * left[0], 0xCD9E8D57 * right[0]
        first, second = (key + n * 0x9E3779B9) & LOW, ((key >> 32) + n * 0xBB67AE85) & LOW
        left, right = [(b >> 32) ^ left[1] ^ first, b & LOW], [(a >> 32) ^ right[1] ^ second, a & LOW]
    return [*left, *right]
