"""What a kernel needs that goes through several phases by itself: a barrier of all its blocks, and products whose tiles
any number of blocks share."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numgraph.kernels.cuda.flat import quotient
from numgraph.kernels.cuda.registers import add_outer, start_of, totals_of
from numgraph.kernels.cuda.support import TYPES, WARP, cuda, generated, helper

# The bit of the word of a barrier that changes when all blocks have come.
TURN = 1 << 31
WORD = ir.IntType(32)


def _assembled(builder, result, text, constraints, *arguments):
    """The result of an instruction that orders memory: nothing moves across it."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(ir.InlineAsm(kind, text, f"{constraints},~{{memory}}", side_effect=True), arguments)


@intrinsic
def arrive_and_wait(typing, barrier, amount, first):
    """Where `first` holds, add `amount` to the word at `barrier`, and wait until its highest bit has changed."""

    def emit(context, builder, signature, arguments):
        pointer, added, here = arguments
        address = builder.ptrtoint(pointer, ir.IntType(64))
        with builder.if_then(here):
            more = builder.trunc(added, WORD)
            before = _assembled(builder, WORD, "atom.add.acq_rel.gpu.u32 $0, [$1], $2;", "=r,l,r", address, more)
            again, done = builder.append_basic_block("again"), builder.append_basic_block("done")
            builder.branch(again)
            builder.position_at_end(again)
            now = _assembled(builder, WORD, "ld.acquire.gpu.u32 $0, [$1];", "=r,l", address)
            turned = builder.and_(builder.xor(before, now), WORD(TURN))
            builder.cbranch(builder.icmp_unsigned("==", turned, WORD(0)), again, done)
            builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(barrier, types.int64, types.boolean), emit


def _arrive_and_wait(barrier, amount, first):
    # the simulator's barrier of all blocks, at which all threads wait
    cuda.cg.this_grid().sync()


arrive_and_wait.simulated = _arrive_and_wait


@helper
def all_blocks(barrier):
    """All threads of all blocks wait for one another, and see what the others have written before.

    barrier: uint32[1], 0 before its first use. The blocks add 2^31 to it in all, one of them what the others leave, so
    that any number of blocks may use it next: the way of CUDA's cooperative groups. All blocks must be on the device at
    the same time, which a cooperative launch makes sure of.
    """
    cuda.syncthreads()
    blocks = cuda.gridDim.x * cuda.gridDim.y * cuda.gridDim.z
    is_first = cuda.blockIdx.x + cuda.blockIdx.y + cuda.blockIdx.z == 0
    arrive_and_wait(barrier, TURN - (blocks - 1) if is_first else 1, cuda.threadIdx.x == 0)
    cuda.syncthreads()


_PRODUCT = """\
def shared_product(out, a, b, m, n, k, a_row, a_col, b_row, b_col, out_row, alpha, beta):
    cells = cuda.shared.array(size, kind)
    thread = cuda.threadIdx.x
    across = quotient(n + width - 1, width)
    count = quotient(m + rows - 1, rows) * across
    tile = cuda.blockIdx.x + 0 * m
    while tile < count:
        row0 = quotient(tile, across)
        col0 = (tile - row0 * across) * width
        row0 *= rows
        column = min(col0 + {column}, n - 1) * b_col
        sums = start()
        l = {begin} + 0 * k
        while l < k:
            sums = add_outer(sums, (b[l * b_row + column],), ({loads},))
            l += step
        store_totals(cells, {place}, sums, thread % lanes)
        cuda.syncthreads()
        place = thread + 0 * m
        while place < count_here:
            row = row0 + place % rows
            at = col0 + place // rows
            if row < m and at < n:
                value = cells[place]
                for part in range(1, parts):
                    value += cells[part * count_here + place]
                at += row * out_row
                out[at] = alpha * value if beta == 0 else alpha * value + beta * out[at]
            place += threads
        cuda.syncthreads()
        tile += cuda.gridDim.x
"""


def shared_product(dtype, rows=8, width=8, threads=256, along=False):
    """out[i, j] = alpha * sum over l of a[i, l] * b[l, j] + beta * out[i, j], by all blocks of a launch, however many.

    a: dtype, [m, k], element (i, l) at i * a_row + l * a_col; b: [k, n], likewise; out: [m, n], rows out_row apart, not
    overlapping a or b. A tile is of `rows` rows and `width` columns; blocks step over tiles. along: elements of b
    adjoin along k (b_row = 1), and a warp makes a column; else along n, and all threads divide the sums of `width`
    columns. width: a power of two, at most that of a warp; with `along` the number of warps. threads: of a block, a
    power of two up to 32 or a multiple of 32.
    Limit: b is read m / rows times, from the caches where it is small; each multiply-add takes 1 + 1 / rows loads.
    Error: chains of width * k / threads additions (along: k / 32), then a tree, then those of warps in order.
    """
    kind = TYPES[dtype]
    lanes = min(threads, WARP)
    warps = threads // lanes
    count = rows * width
    text = _PRODUCT.format(
        loads=", ".join(f"a[min(row0 + {r}, m - 1) * a_row + l * a_col]" for r in range(rows)),
        column="thread // lanes" if along else "thread % width",
        begin="thread % lanes" if along else "thread // width",
        place="thread // lanes * rows" if along else "thread // lanes * count_here + thread % width * rows",
    )
    names = dict(kind=kind, size=count * (1 if along else warps), rows=rows, width=width, threads=threads, lanes=lanes,
                 count_here=count, parts=1 if along else warps, step=lanes if along else threads // width,
                 start=start_of(dtype, rows), add_outer=add_outer, quotient=quotient,
                 store_totals=totals_of(lanes, 1 if along else width))  # fmt: skip
    return generated("shared_product", text, names)
