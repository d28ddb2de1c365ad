"""Pointers to a part of what a pointer leads to, and whether four elements can be read there at once."""

import copy

from llvmlite import ir
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


@intrinsic
def aligned(typing, pointer, index):
    """Whether element `index` begins at a multiple of 16 bytes, or of four elements if these are shorter."""
    mask = min(16, 4 * pointer.dtype.bitwidth // 8) - 1

    def emit(context, builder, signature, arguments):
        address = builder.ptrtoint(builder.gep(arguments[0], [arguments[1]]), ir.IntType(64))
        return builder.icmp_unsigned("==", builder.and_(address, address.type(mask)), address.type(0))

    return types.boolean(pointer, types.int64), emit


def _aligned(pointer, index):
    # as if memory began at a multiple
    return index % 4 == 0


aligned.simulated = _aligned
