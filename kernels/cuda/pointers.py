"""Pointers to a part of what a pointer leads to."""

import copy

from numba import types
from numba.extending import intrinsic


@intrinsic
def advance(typing, pointer, count):
    """The pointer to element `count` of what `pointer` leads to."""

    def emit(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), emit


def _advance(pointer, count):
    moved = copy.copy(pointer)
    moved.begin -= count
    return moved


advance.simulated = _advance
