"""Softmax over the last axis, its logarithm, and cross-entropy with the gradient of the logits.

One pass over a row for its maximum, one for the sum of exponentials, one to write; a row of up to some 10,000 elements
stays in the caches between them, so the limit is (bytes read + bytes written) / bandwidth. NaN in a row makes all of it
NaN, and so does +inf or a row of -inf alone; -inf beside finite values has probability 0, as in NumPy's formulas.
"""

import math

from numgraph.kernels.cuda.support import TYPES, add, cuda, helper, larger, lowest, total_of


def _row_helpers(kind, start, lanes):
    """Helpers: the maximum of a row's elements, and the sum of their exponentials relative to it."""
    row_max = total_of(larger, kind, lanes)
    row_sum = total_of(add, kind, lanes)

    @helper
    def top_of(x, begin, end):
        """The largest of x[begin], x[begin + lanes], .., over all lanes of the group."""
        value = kind(start)
        j = begin
        while j < end:
            value = larger(value, x[j])
            j += lanes
        return row_max(value)

    @helper
    def weight_of(x, begin, end, top):
        """The sum of exp(x - top), likewise."""
        value = kind(0)
        j = begin
        while j < end:
            value += math.exp(x[j] - top)
            j += lanes
        return row_sum(value)

    return top_of, weight_of


def rows(dtype, lanes=256, groups=1, logarithm=False):
    """out[r, :] = softmax(x[r, :]), or its logarithm.

    out, x: dtype, [rows, length]; out may be x. lanes threads work on a row: a power of two up to 32 (then groups
    rows a block) or a multiple of 32 with groups=1. Block: lanes * groups threads. Grid: ceil(rows / groups).
    """
    kind = TYPES[dtype]
    top_of, weight_of = _row_helpers(kind, lowest(dtype), lanes)

    def softmax_rows(out, x, rows, length):
        row = cuda.blockIdx.x * groups + cuda.threadIdx.x // lanes
        end = (row + 1) * length if row < rows else 0
        begin = row * length + cuda.threadIdx.x % lanes
        top = top_of(x, begin, end)
        weight = weight_of(x, begin, end, top)
        j = begin
        if logarithm:
            shift = math.log(weight)
            while j < end:
                out[j] = (x[j] - top) - shift
                j += lanes
        else:
            while j < end:
                out[j] = math.exp(x[j] - top) / weight
                j += lanes

    return softmax_rows


def cross_entropy(dtype, lanes=32, groups=8):
    """loss[r] = -log(softmax(x[r, :]))[y[r]] and gradient[r, :] = (softmax(x[r, :]) - [column is y[r]]) * scale.

    gradient, x: dtype, [rows, length]; gradient may be x. loss: dtype, [rows]. y: integers, [rows], from -length to
    length - 1; `status[0]` becomes 1 if one is outside, whose loss is NaN. status: int32. lanes, groups, block and grid
    as for `rows`; 32 lanes suit rows of 10 to 1,000 classes.
    """
    kind = TYPES[dtype]
    none = kind(float("nan"))
    top_of, weight_of = _row_helpers(kind, lowest(dtype), lanes)

    def cross_entropy_rows(loss, gradient, x, y, status, rows, length, scale):
        row = cuda.blockIdx.x * groups + cuda.threadIdx.x // lanes
        lane = cuda.threadIdx.x % lanes
        end = (row + 1) * length if row < rows else 0
        begin = row * length
        top = top_of(x, begin + lane, end)
        weight = weight_of(x, begin + lane, end, top)
        if row < rows:
            label = y[row] + (length if y[row] < 0 else 0)
            inside = label >= 0 and label < length
            # the gradient may take the place of x, so the loss is read first, by the thread that will write there
            if inside and label % lanes == lane:
                loss[row] = math.log(weight) - (x[begin + label] - top)
            if not inside and lane == 0:
                loss[row] = none
                status[0] = 1
            j = begin + lane
            while j < end:
                gradient[j] = (math.exp(x[j] - top) / weight - (kind(1) if j - begin == label else kind(0))) * scale
                j += lanes

    return cross_entropy_rows
