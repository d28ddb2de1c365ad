"""Moving elements: transposition, gathering rows, adding rows into rows.

Their limit is memory: (bytes read + bytes written) / bandwidth, 3.35 TB/s on an H100.
"""

from numgraph.kernels.cuda.support import TYPES, cuda, helper


def transpose(dtype, tile=32, groups=8):
    """out[b, j, i] = x[b, i, j].

    x: dtype, [batches, rows, columns]; out: [batches, columns, rows], another array. A tile of tile x tile elements
    goes through shared memory, so that reads and writes are both coalesced; its rows are one longer, so that its
    columns lie in different banks. Block: (tile, groups), groups dividing tile. Grid: ceil(columns / tile), ceil(rows
    / tile) and batches; blocks step over rows and batches where a grid's limit of 65,535 is too few.
    """
    kind = TYPES[dtype]
    shape = (tile, tile + 1)

    def transpose_tiles(out, x, batches, rows, columns):
        cells = cuda.shared.array(shape, kind)
        tx = cuda.threadIdx.x
        ty = cuda.threadIdx.y
        column = cuda.blockIdx.x * tile
        batch = cuda.blockIdx.z + 0
        while batch < batches:
            row = cuda.blockIdx.y * tile
            while row < rows:
                for k in range(0, tile, groups):
                    if row + ty + k < rows and column + tx < columns:
                        cells[ty + k, tx] = x[(batch * rows + row + ty + k) * columns + column + tx]
                cuda.syncthreads()
                for k in range(0, tile, groups):
                    if row + tx < rows and column + ty + k < columns:
                        out[(batch * columns + column + ty + k) * rows + row + tx] = cells[tx, ty + k]
                cuda.syncthreads()
                row += cuda.gridDim.y * tile
            batch += cuda.gridDim.z

    return transpose_tiles


@helper
def wrapped(index, length):
    """A negative index counts from the end."""
    return index + length if index < 0 else index


def gather(dtype, lanes=32, groups=8):
    """out[r, :] = x[ids[r], :].

    out: dtype, [count, columns]; x: dtype, [length, columns]; ids: integers, [count], from -length to length - 1. For
    one that is outside, nothing is written and `status[0]` (int32) becomes 1. lanes threads along a row, 1 for a
    vector. Block: (lanes, groups). Grid: ceil(columns / (4 * lanes)) or fewer, ceil(count / groups), at most 65,535;
    blocks step.
    """

    def gather_rows(out, x, ids, status, count, length, columns):
        r = cuda.blockIdx.y * groups + cuda.threadIdx.y
        while r < count:
            source = wrapped(ids[r], length)
            if source < 0 or source >= length:
                status[0] = 1
            else:
                c = cuda.grid(1)
                while c < columns:
                    out[r * columns + c] = x[source * columns + c]
                    c += cuda.gridsize(1)
            r += cuda.gridDim.y * groups

    return gather_rows


def positions(dtype, threads=256):
    """out[r] = ids[r] counted from the begin, for `scatter_add`: negative ones count from the end.

    out: int64; ids: dtype, integers; both of length count. One that is outside of -length .. length - 1 becomes length,
    which is behind all rows, and `status[0]` (int32) becomes 1. Block: threads. Grid: ceil(count / threads).
    """

    def positions_of(out, ids, status, count, length):
        k = cuda.grid(1)
        if k < count:
            row = wrapped(ids[k], length)
            inside = row >= 0 and row < length
            if not inside:
                status[0] = 1
            out[k] = row if inside else length

    return positions_of


def scatter_add(dtype, lanes=32, groups=8):
    """out[keys[p], :] += x[order[p], :] for p = 0, 1, ..: repeated targets are added to in this order.

    out: dtype, [length, columns]; x: dtype, [count, columns]. keys: int64, ascending, from `positions`, sorted with
    their indices by the kernels of `sorting`; order: those int64 indices. Keys from length on are left out. One
    thread adds all that goes to an element: no atomics, one order. It takes as long as the most frequent target
    needs, about 0.5 us a row when rows come from memory. Block: (lanes, groups). Grid: ceil(columns / lanes) or
    fewer, ceil(count / groups), at most 65,535; blocks step.
    """

    def scatter_add_rows(out, x, keys, order, count, length, columns):
        p = cuda.blockIdx.y * groups + cuda.threadIdx.y
        while p < count:
            target = keys[p]
            first = target < length and (p == 0 or keys[max(p - 1, 0)] != target)
            c = cuda.grid(1) if first else columns
            while c < columns:
                value = out[target * columns + c]
                q = p
                while q < count and keys[min(q, count - 1)] == target:
                    value += x[order[q] * columns + c]
                    q += 1
                out[target * columns + c] = value
                c += cuda.gridsize(1)
            p += cuda.gridDim.y * groups

    return scatter_add_rows
