"""Elements by their number in an array of several axes."""

from numba import types
from numba.extending import intrinsic


@intrinsic
def quotient(typing, a, b):
    """a // b of whole numbers that are not negative: Python's division is for others, too, and takes longer."""

    def emit(context, builder, signature, arguments):
        return builder.udiv(*arguments)

    return types.int64(types.int64, types.int64), emit


def _quotient(a, b):
    return a // b


quotient.simulated = _quotient
