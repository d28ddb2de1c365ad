"""Matrix products of our own on one thread: a block of rows and columns of the result, which a launcher divides.

`sgemm_tile` and `dgemm_tile` do what OpenBLAS does for the products of a training step, without its threads (which
spin, and are awaited when the machine is busy) and faster where one length is small. The structure is that of GotoBLAS
and BLIS (Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34(3), 2008; Van Zee and
van de Geijn, BLIS, ACM TOMS 41(3), 2015): a micro-kernel keeps a tile of ROWS x 2 vectors of the result in registers
while it goes along k; blocks of k are so short that what a tile needs stays in the first-level cache; factors are
packed where the order in memory would miss it. What differs is for skinny shapes:

* Nothing is packed unless it pays: with few rows, or adjacent lines, vectors are loaded from where b lies, and the
  panel that follows is prefetched meanwhile. Its lines are seldom aligned and so take two lines of the cache, which
  is why blocks are shorter than in BLIS.
* There are no masks. 10 columns are two vectors of 8 that overlap: the columns in both are computed twice, to the same
  value. Widths of tiles are chosen such that none is narrower than a vector. Only where all of out is, on AVX-512, are
  vectors used in part (`parts`).
* Where out is narrow (784 x 10) and k long, vectors lie along its columns (out.T = b.T @ a.T) in a copy of out.
* Where out is narrow and rows of a and columns of b are contiguous, vectors lie along k (`dots`).

An element is the same chain of fused multiply-adds in the first ways, since blocks of k depend on k alone and a chain
of each block starts with 0; whether it is a dot product instead is asked of the whole product: chunks of any shape give
the same bits.

The limits are two vectors of multiply-adds a cycle, and memory. Measured in float32 with AVX2 on one core of a Zen 3
(L1 32 KiB, L2 512 KiB, a machine in use), operands in the caches as far as they fit. "Of the peak" is of what a loop of
multiply-adds in registers reaches, 95 GFLOP/s; "OpenBLAS" is the speed relative to np.matmul on one thread, which where
W is added to is spared the adding:

    product                     of the peak  OpenBLAS    product                     of the peak  OpenBLAS
    x[20,784] @ W[784,10]              0.59      1.62    x[600,784] @ W[784,10]             0.67      1.27
    W[784,10] += x.T @ d[20,10]        0.51      1.31    W[784,10] += x.T @ d[600,10]       0.77      1.50
    x[20,784] @ W[784,500]             0.78      1.15    x[600,784] @ W[784,500]            0.85      0.94
    W[784,500] += x.T @ d[20,500]      0.78      1.14    W[784,500] += x.T @ d[600,500]     0.88      0.98
    d[20,10] @ W.T[10,500]             0.53      1.47    d[600,10] @ W.T[10,500]            0.69      1.32
    x[1,784] @ W[784,10]               0.15      2.46    square 512                         0.84      0.95
    x[1,784] @ W[784,500]              0.27      0.83    square 1024                        0.85      0.92
    W[784,500] += x.T @ d[1,500]       0.14      9.56    square 2048                        0.92      0.90

The products of the first line are dot products where the rows are many (`dots`; 0.67 of the peak with x in the caches,
0.5 from memory). A row times a matrix is bound by the third-level cache. float64 is alike: 0.45 to 0.85 of the peak,
0.9 to 1.7 of OpenBLAS.
"""

import numpy as np
from numgraph.kernels.dots import PACE, SECOND, dot_blocks, exchange, pick, turn
from numgraph.kernels.micro_ir import CALL_RANK_ONE, CALL_TILE
from numgraph.kernels.primitives import DOTS as DOTS_AT
from numgraph.kernels.primitives import PARTS as PARTS_AT
from numgraph.kernels.simd import multiply_add
from numgraph.kernels.support import f32, f64, helper, i64, sized
from numgraph.kernels.tile_ir import CALL_CARRY, CALL_TOUCH, LINE, MACHINE, ROWS, WIDE, WIDEST
from numgraph.kernels.wrapping import wrapped

tile = wrapped("tile", CALL_TILE)
rank_one = wrapped("rank_one", CALL_RANK_ONE)
carry = wrapped("carry", CALL_CARRY)
touch = wrapped("touch", CALL_TOUCH)
dots_at = wrapped("tiles.dots_at")
parts_at = wrapped("tiles.parts_at")

VECTOR = MACHINE.vector
TILE = 2 * VECTOR

# The longest chains of multiply-adds; the sums of an element's chains are added to one another in out. 136 pairs of
# vectors, each in two lines of the cache, are half of 32 KiB. With a long k the factors are mostly packed: fewer passes
# over out count more.
K_BLOCK = 136
LONG_K = 1024
LONG_K_BLOCK = 320

# With more rows than these, lines of b are packed unless they adjoin, and rows of a are prefetched for narrow products.
_MANY_ROWS = 48
# Rows of a that a panel of b serves before the next panel; also the rows of a copy of out.
_SOME_ROWS = 48 // ROWS * ROWS
# Columns of b that are packed at a time, as bytes of a line.
_COLUMNS = 2048
# b's lines of one block of k, in bytes, up to which it is read again and again rather than the rows of out.
_SMALL = 64 * 1024

# Products of so many factors at most, with chains no longer than FEW_STEPS, are matrices of 2 to 4 rows: what comes
# before and behind a tile takes longer than they do.
FEW_PRODUCTS, FEW_STEPS = 64, 8

# The scratch memory: alpha and beta for the first block of k and for the later ones, a vector of 0, the copy of out,
# packed rows of a (behind the last of them whole vectors are written), packed columns of b.
_FIRST, _LATER = 0, SECOND
_ZEROS = 64
_COPY = 128
_COPY_ROW = _COLUMNS + 64  # not a power of two, whose multiples would compete for the same lines of the cache
_FACTORS = _COPY + _SOME_ROWS * _COPY_ROW
_FACTORS_BYTES = 128 * 1024
_LINES = _FACTORS + _FACTORS_BYTES + 64
SCRATCH_BYTES = 1024 * 1024
_LINES_BYTES = SCRATCH_BYTES - _LINES


@helper
def _k_block(k):
    """The length of the chains of a product: a function of k alone, so that the order of summation is one."""
    if k <= K_BLOCK:
        return max(k, 1)
    longest = K_BLOCK if k < LONG_K else LONG_K_BLOCK
    blocks = (k + longest - 1) // longest
    return ((k + blocks - 1) // blocks + 3) // 4 * 4


@helper
def _width(left):
    """The bytes of the next tile of a line: from one to two vectors, as long as the line has as many."""
    if left <= TILE:
        return left
    return TILE if left >= TILE + VECTOR else left - VECTOR


@sized
def _pack_lines(size, left, k, v, v_col, v_step, to, zeros):
    """Pack columns for micro-kernels: panels of TILE bytes x k, without gaps."""
    shift = 2 + size // 8
    lanes = VECTOR >> shift
    while left > 0:
        w = _width(left)
        last = w - VECTOR
        n = w >> shift
        if last < 0:
            # fewer columns than a vector: the rest of it is 0
            carry(0, size // 8, (k, zeros, 0, 0, to, TILE))
            pick(0, size // 8, (k, n, v, v_step, v_col, to, TILE, size))
        elif v_col == size:
            carry(0, size // 8, (k, v, v_step, last, to, TILE))
        elif v_step == size and k >= lanes:
            turn(0, size // 8, (k, v, v_col, lanes, to, TILE))
            turn(0, size // 8, (k, v + (last >> shift) * v_col, v_col, lanes, to + last, TILE))
        else:
            pick(0, size // 8, (k, n, v, v_step, v_col, to, TILE, size))
        v += n * v_col
        to += k * TILE
        left -= w


@sized
def _pack_factors(size, m, k, s, s_row, s_step, to):
    """Pack rows for micro-kernels: for each tile of rows, its elements for one p after those for the one before."""
    shift = 2 + size // 8
    lanes = VECTOR >> shift
    tiles = (m + ROWS - 1) // ROWS
    for t in range(tiles):
        rows = m // tiles + (1 if t < m % tiles else 0)
        step = rows * size
        if s_step == size and k >= lanes:
            # whole vectors are written: what goes beyond the rows is overwritten by what comes after
            first = (rows - 1) // lanes * lanes
            while first >= 0:
                turn(0, size // 8, (k, s + first * s_row, s_row, min(rows - first, lanes), to + first * size, step))
                first -= lanes
        elif s_row == size and rows >= 4:
            carry(1, size // 8, (k, s, s_step, step - 4 * size, to, step))
        else:
            pick(0, size // 8, (k, rows, s, s_step, s_row, to, step, size))
        s += rows * s_row
        to += k * step


@sized
def _block(size, parts, m, left, k, near, s, s_row, s_step, packed_s, v, v_step, packed_v, out, out_row, scalars):
    """The product of rows `s` and columns `v` over one block of k: out[m, left bytes of columns].

    parts: as in `units` of `sgemm_tile`. near: the address from which on memory is prefetched, PACE bytes each step
    along k; 0: columns are, before they are read.
    """
    if parts != 0 and left <= VECTOR:
        parts_at(parts, (m, k, left >> (2 + size // 8), s, s_row, s_step, v, v_step, out, out_row, scalars))
        return
    tiles = (m + ROWS - 1) // ROWS
    few = m // tiles
    large = m % tiles  # tiles of few + 1 rows; the others have `few`
    row = size if packed_s else s_row
    next_row = k * size if packed_s else s_row
    while left > 0:
        w = _width(left)
        kind = few - 1
        if m == 1 and not packed_v and left > (WIDEST - 1) * VECTOR and not 0 < left - WIDEST * VECTOR < VECTOR:
            w = min(left, WIDEST * VECTOR)
            kind = ROWS + 1
        elif m == 1 and not packed_v and (left == WIDE * VECTOR or left >= (WIDE + 1) * VECTOR):
            w = WIDE * VECTOR
            kind = ROWS
        last = max(w - VECTOR, 0)
        far, pace, leap = v + (k * TILE if packed_v else 2 * w - size), v_step, 0
        if near != 0:
            far, pace, leap = near, PACE, k * PACE
            near += tiles * leap
        head, target = s, out
        if large > 0:
            step = (few + 1) * size if packed_s else s_step
            next_s = (few + 1) * next_row
            tile(
                few, size // 8,
                (large, k, head, row, step, next_s, v, v_step, last, far, pace, leap, target, out_row, scalars),
            )  # fmt: skip
            far += large * leap
            head += large * next_s
            target += large * (few + 1) * out_row
        step = few * size if packed_s else s_step
        next_s = few * next_row
        tile(
            kind, size // 8,
            (tiles - large, k, head, row, step, next_s, v, v_step, last, far, pace, leap, target, out_row, scalars),
        )  # fmt: skip
        v += k * TILE if packed_v else w
        out += w
        left -= w


@sized
def _run(size, parts, rows, width, k, near, s, s_row, s_step, v, v_col, v_step, out, out_row, scratch):
    """out[rows, width bytes of columns] = alpha * s[rows, k] @ v[k, columns] + beta * out, in tiles of rows of `s` and
    vectors of `v`."""
    for z in range(VECTOR // 8):
        i64(scratch + _ZEROS)[z] = 0
    shift = 2 + size // 8
    if k == 1 and v_col == size and width >= VECTOR and rows > 1:
        rank_one(0, size // 8, (rows, s, s_row, v, width // VECTOR, width - VECTOR, out, out_row, scratch + _FIRST))
        return
    length = _k_block(k)
    packed_v = v_col != size or (width < VECTOR and parts == 0) or (rows > _MANY_ROWS and v_step > 4 * TILE)
    columns = width
    if packed_v and width > _COLUMNS:
        chunks = (width + _COLUMNS - 1) // _COLUMNS
        columns = ((width + chunks - 1) // chunks + TILE - 1) & -TILE
    panels = columns // TILE + 2
    end = max(k, 1)  # without products out is still multiplied by beta
    group = end
    if packed_v:
        group = length * max(1, _LINES_BYTES // (panels * TILE * length))
    packed_s = width >= 4 * TILE and k > 32 and (s_step != size or s_row % 1024 == 0)
    streamed = rows > _MANY_ROWS and width <= 2 * TILE and s_step == size
    some = _FACTORS_BYTES // (length * size * ROWS) * ROWS
    if width * length <= _SMALL:
        some = ROWS if streamed and (parts == 0 or width > VECTOR) else _SOME_ROWS
        if parts != 0 and width <= VECTOR and k <= length and not streamed:
            some = rows  # one pass over out
    if near != 0:
        # tiles of 5 or 6 rows take a quarter of what is to come; the last quarters, since the first are dots'
        passes = min((rows + ROWS - 1) // ROWS, 4)
        near = 0 if packed_v else v + near + k * v_step * (4 - passes) // 4
    j0 = 0
    while j0 < width:
        part = columns if width - j0 - columns >= VECTOR else width - j0
        g0 = 0
        while g0 < end:
            g1 = min(g0 + group, end)
            k0 = g0
            while k0 < g1 and packed_v:
                to = scratch + _LINES + (k0 - g0) * panels * TILE
                n = min(length, k - k0)
                _pack_lines(size, part, n, v + (j0 >> shift) * v_col + k0 * v_step, v_col, v_step, to, scratch + _ZEROS)
                k0 += length
            i0 = 0
            while i0 < rows:
                m = min(some, rows - i0)
                k0 = g0
                while k0 < g1:
                    n = min(length, k - k0)
                    head = s + i0 * s_row + k0 * s_step
                    if streamed:
                        # from memory, where 6 streams are more than the processor follows by itself
                        touch(0, size // 8, (some, (n * size + LINE - 1) // LINE, head + some * s_row, s_row))
                    if packed_s:
                        _pack_factors(size, m, n, head, s_row, s_step, scratch + _FACTORS)
                        head = scratch + _FACTORS
                    line, step = v + j0 + k0 * v_step, v_step
                    if packed_v:
                        line, step = scratch + _LINES + (k0 - g0) * panels * TILE, TILE
                    target = out + i0 * out_row + j0
                    scalars = scratch + (_FIRST if k0 == 0 else _LATER)
                    _block(
                        size,
                        parts,
                        m,
                        part,
                        n,
                        near,
                        head,
                        s_row,
                        s_step,
                        packed_s,
                        line,
                        step,
                        packed_v,
                        target,
                        out_row,
                        scalars,
                    )
                    k0 += length
                i0 += some
            g0 += group
        j0 += part


@sized
def _by_copy(size, parts, rows, width, k, s, s_row, s_step, v, v_col, v_step, out, out_row, out_col, is_read, scratch):
    """As `_run` for out with any strides: by way of a copy whose rows are contiguous; rows <= _SOME_ROWS."""
    shift = 2 + size // 8
    copy, copy_row = scratch + _COPY, np.int64(_COPY_ROW)
    left = width
    while left > 0:
        w = min(left, _COLUMNS)
        n = w >> shift
        if is_read:
            exchange(size, n, rows, out, out_col, out_row, copy, copy_row)
        _run(size, parts, rows, w, k, 0, s, s_row, s_step, v, v_col, v_step, copy, copy_row, scratch)
        if out_row == size:
            exchange(size, rows, n, copy, copy_row, size, out, out_col)
        else:
            pick(0, size // 8, (rows, n, copy, copy_row, size, out, out_row, out_col))
        v += n * v_col
        out += n * out_col
        left -= w


# How a product goes: vectors along the rows of out, the same by way of a copy of out, along the columns of out, always
# by way of a copy, or along the summed axis.
STRAIGHT, COPIED, TURNED, DOTS = 0, 1, 2, 3


@sized
def way(size, parts, m, n, k, a_row, b_col):
    """Which of the first three takes the least time for elements of `size` bytes, by an estimate; strides in bytes."""
    # in 1 / TILE of a cycle: multiply-adds, packing what vectors are loaded from, copying out
    straight = m * k * ((n * size + TILE - 1) & -TILE) + (0 if b_col == size else n * k * VECTOR)
    turned = n * k * ((m * size + TILE - 1) & -TILE) + (0 if a_row == size else m * k * VECTOR) + m * n * 2 * TILE
    narrow = n * size < VECTOR and parts == 0
    if m * size >= VECTOR and (narrow or (n <= _SOME_ROWS and turned < straight)):
        return TURNED
    return COPIED if narrow else STRAIGHT


@sized
def _product(
    size, dots, parts, blocks, m, n, k, near, a, a_row, a_col, b, b_row, b_col, is_read, out, out_row, scratch
):
    """out[m, n] in the way that is estimated to take the least time; of dot products where they have `blocks`."""
    chosen = DOTS if blocks else way(size, parts, m, n, k, a_row, b_col)
    if chosen == DOTS:
        dots_at(
            dots,
            (blocks, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scratch + _FIRST, scratch + _LINES),
        )
    elif chosen == TURNED:
        _by_copy(size, parts, n, m * size, k, b, b_col, b_row, a, a_row, a_col, out, size, out_row, is_read, scratch)
    elif chosen == COPIED:
        _by_copy(size, parts, m, n * size, k, a, a_row, a_col, b, b_col, b_row, out, out_row, size, is_read, scratch)
    else:
        _run(size, parts, m, n * size, k, near, a, a_row, a_col, b, b_col, b_row, out, out_row, scratch)


@helper
def _few_products(m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """out[m, n] of few elements, one after the other: the same chains as in tiles. Strides count elements."""
    for i in range(m):
        for j in range(n):
            total = multiply_add(a[i * a_row], b[j * b_col], alpha - alpha)
            for p in range(1, k):
                total = multiply_add(a[i * a_row + p * a_col], b[p * b_row + j * b_col], total)
            total = total * alpha
            out[i * out_row + j] = multiply_add(beta, out[i * out_row + j], total) if beta != 0 else total


@helper
def sgemm_tile(
    units, m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch
):
    """out[m0:m1, n0:n1] = alpha * a[m0:m1, :k] @ b[:k, n0:n1] + beta * out[m0:m1, n0:n1], float32.

    units: the address of three addresses: of this function, of `sdots` and of `sparts`; 0 instead of the second where
    no product that is told them can be one of dot products, and of the third where none has so few columns or the
    processor cannot do it.
    m, n: rows and columns of the whole product, of which this is a chunk. near: where one product after the other goes
    along the rows of the operand whose lines are contiguous and long, bytes from these rows to those of the next, half
    of which is prefetched; else 0.
    a, b, out: addresses of element [0, 0]; strides count elements and may be any numbers; rows of out are `out_row`
    apart, its columns adjacent, and it overlaps neither a nor b. scratch: the address of SCRATCH_BYTES of this thread's
    own, aligned to 64 bytes. alpha, beta: float32; the other arguments int64. Bounds may be empty; without products
    (k = 0) out is beta * out. With beta 0 out is only written: NaN in it does not matter. Otherwise NaN and infinities
    do as in plain loops, also where alpha is 0.

    Reads and writes nothing else, allocates nothing, raises nothing. Equal bits for any division into chunks. Error: at
    most `chain + k / chain + 4` roundings of alpha * sum |a| |b| + |beta out|, of chains as long as K_BLOCK says.
    """
    if 0 < k <= FEW_STEPS and m * n * k <= FEW_PRODUCTS:
        _few_products(
            m1 - m0, n1 - n0, k, alpha, f32(a + 4 * m0 * a_row), a_row, a_col, f32(b + 4 * n0 * b_col), b_row, b_col,
            beta, f32(out + 4 * (m0 * out_row + n0)), out_row,
        )  # fmt: skip
    elif m1 > m0 and n1 > n0:
        p = f32(scratch)
        p[0], p[1] = alpha if k > 0 else np.float32(0), beta
        p[4], p[5] = alpha, np.float32(1)
        dots, parts = i64(units)[DOTS_AT], i64(units)[PARTS_AT]
        blocks = dot_blocks(4, m, n, k, 4 * a_col, 4 * b_row) if dots != 0 else 0
        _product(
            np.int64(4), dots, parts, blocks, m1 - m0, n1 - n0, k, near, a + 4 * m0 * a_row, 4 * a_row, 4 * a_col,
            b + 4 * n0 * b_col, 4 * b_row, 4 * b_col, beta != 0, out + 4 * (m0 * out_row + n0), 4 * out_row, scratch,
        )  # fmt: skip


@helper
def dgemm_tile(
    units, m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch
):
    """As `sgemm_tile`, for float64."""
    if 0 < k <= FEW_STEPS and m * n * k <= FEW_PRODUCTS:
        _few_products(
            m1 - m0, n1 - n0, k, alpha, f64(a + 8 * m0 * a_row), a_row, a_col, f64(b + 8 * n0 * b_col), b_row, b_col,
            beta, f64(out + 8 * (m0 * out_row + n0)), out_row,
        )  # fmt: skip
    elif m1 > m0 and n1 > n0:
        p = f64(scratch)
        p[0], p[1] = alpha if k > 0 else 0.0, beta
        p[2], p[3] = alpha, 1.0
        dots, parts = i64(units)[DOTS_AT], i64(units)[PARTS_AT]
        blocks = dot_blocks(8, m, n, k, 8 * a_col, 8 * b_row) if dots != 0 else 0
        _product(
            np.int64(8), dots, parts, blocks, m1 - m0, n1 - n0, k, near, a + 8 * m0 * a_row, 8 * a_row, 8 * a_col,
            b + 8 * n0 * b_col, 8 * b_row, 8 * b_col, beta != 0, out + 8 * (m0 * out_row + n0), 8 * out_row, scratch,
        )  # fmt: skip
