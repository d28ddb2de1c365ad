"""The pattern that `config.verify` puts where a call has not written yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Not a number as float32 and, twice in a row, as float64; 2146950829 as an integer, which no index reaches.
WORD = 0x7FF7DEAD


def filled(array: NDArray[Any]) -> NDArray[Any]:
    """The contiguous array, all its bytes set to the pattern."""
    flat = array.reshape(-1).view(np.uint8)
    whole = flat.size // 4 * 4
    flat[:whole].view(np.uint32)[:] = WORD
    flat[whole:] = np.frombuffer(WORD.to_bytes(4, "little"), np.uint8)[: flat.size - whole]
    return array


def empty(shape: Any, dtype: Any) -> NDArray[Any]:
    """A new array that holds the pattern."""
    return filled(np.empty(shape, dtype))
