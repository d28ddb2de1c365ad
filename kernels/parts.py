"""Products whose rows are shorter than a vector, where the processor loads and stores parts of vectors: AVX-512.
AVX2 can do it too, but there are processors whose stores then take 20 cycles.

Without that, 10 columns of 16 lanes are packed with zeros, and the result is made in a copy, which takes longer than
the multiply-adds unless rows are many: x[1,784] @ W[784,10] 4.4 us, here 0.9; W[784,10] += x.T @ d[1,10] 5.6 us, here
0.4; with 20 rows 6.7 and 8.1 us, here 4.7 and 4.9 (float32 on one core of a Zen 4, operands in the caches; the
multiply-adds of the last two take 4.2 us). A product of one column and one row goes over out in whole vectors, if its
rows follow each other without gaps.

An element is the same chain of multiply-adds as in `tiles`.
"""

import numpy as np
from numgraph.kernels.part_ir import CALL_OUTER, CALL_PART
from numgraph.kernels.support import helper, sized
from numgraph.kernels.tile_ir import MACHINE
from numgraph.kernels.wrapping import wrapped

outer = wrapped("outer", CALL_OUTER)
part = wrapped("part", CALL_PART)


@sized
def _by_parts(size, m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars):
    """out[m, lanes] = alpha * s[m, k] @ v[k, lanes] + beta * out, one block of k. Addresses, and strides in bytes."""
    if k == 1 and s_row == size and out_row == lanes * size:
        whole = m & -(MACHINE.vector // size)
        outer(0, size // 8, (whole, s, v, lanes, out, scalars))
        m, s, out = m - whole, s + whole * s_row, out + whole * out_row
    # 8 rows at a time; the last ones by themselves unless they fill a tile nearly
    rest = m % 8 if m < 8 or m % 8 < 5 else 0
    most = m - rest
    part(3, size // 8, (most, k, s, s_row, s_step, v, v_step, lanes, out, out_row, scalars))
    head, target = s + most * s_row, out + most * out_row
    part(min(rest // 2, 2), size // 8, (rest, k, head, s_row, s_step, v, v_step, lanes, target, out_row, scalars))


@helper
def sparts(m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars):
    """As `_by_parts`, for float32."""
    _by_parts(np.int64(4), m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars)


@helper
def dparts(m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars):
    """As `_by_parts`, for float64."""
    _by_parts(np.int64(8), m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars)
