"""Cumulative sums and products along an axis.

The limit is memory: each element is read and written once, twice where rows are longer than a chunk. The order is
fixed: runs of a thread, a tree within each warp, then warps, then chunks; float32 sums are as good as those of a
tree, better than NumPy's, which are one chain. A product that overflows within a run, after a zero before the run, is
NaN rather than 0.
"""

from numgraph.kernels.cuda.support import FULL, TYPES, WARP, add, cuda, helper, multiply

# Adjoining elements that a thread scans by itself.
RUN = 4


def _op(op, dtype):
    """How two values are combined, the value that changes nothing, and the type of both.

    Integers are combined in 64 bits with a sign: the last bits of sums and products are those of any integer type, and
    shuffles take no others.
    """
    kind = TYPES[dtype if dtype.startswith(("float", "complex")) else "int64"]
    return (add, kind(0), kind) if op == "sum" else (multiply, kind(1), kind)


def rows(op, dtype, threads=256):
    """out[r, j] = x[r, 0] + .. + x[r, j], or their product, in chunks of RUN * threads; totals[r, c] = that of chunk c.

    out, totals: dtype; x: any dtype; out and x: [rows, length], totals: [rows, ceil(length / (RUN * threads))]. Rows of
    more than one chunk take three launches: this, this again for the totals (in place, their own totals elsewhere), and
    `carry`. Block: threads, a power of two up to 32 or a multiple of 32. Grid: chunks of a row, rows (at most 65,535,
    over which blocks step).
    """
    combine, start, kind = _op(op, dtype)
    chunk = RUN * threads
    # one more every 32, so that threads that read their runs use different banks
    size = chunk + chunk // WARP
    lanes = min(threads, WARP)
    warps = threads // lanes

    @helper
    def before(value, lane):
        """The values of the lanes before this one, combined."""
        step = 1
        while step < lanes:
            other = cuda.shfl_up_sync(FULL, value, step)
            if lane >= step:
                value = combine(other, value)
            step *= 2
        other = cuda.shfl_up_sync(FULL, value, 1)
        return other if lane > 0 else start

    def scan_rows(out, totals, x, rows, length):
        cells = cuda.shared.array(size, kind)
        sums = cuda.shared.array(warps, kind)
        thread = cuda.threadIdx.x
        lane = thread % lanes
        row = cuda.blockIdx.y + 0
        while row < rows:
            base = row * length + cuda.blockIdx.x * chunk
            count = min(length - cuda.blockIdx.x * chunk, chunk)
            for k in range(RUN):
                j = k * threads + thread
                cells[j + j // WARP] = kind(x[base + j]) if j < count else start
            cuda.syncthreads()
            first = thread * RUN
            value = start
            for k in range(first, first + RUN):
                value = combine(value, cells[k + k // WARP])
                cells[k + k // WARP] = value
            ahead = before(value, lane)
            if lane == lanes - 1:
                sums[thread // lanes] = combine(ahead, value)
            cuda.syncthreads()
            for w in range(thread // lanes):
                # warps before this one are combined first
                ahead = combine(sums[thread // lanes - 1 - w], ahead)
            for k in range(first, first + RUN):
                cells[k + k // WARP] = combine(ahead, cells[k + k // WARP])
            cuda.syncthreads()
            for k in range(RUN):
                j = k * threads + thread
                if j < count:
                    out[base + j] = cells[j + j // WARP]
            if thread == threads - 1:
                totals[row * cuda.gridDim.x + cuda.blockIdx.x] = cells[chunk - 1 + (chunk - 1) // WARP]
            cuda.syncthreads()
            row += cuda.gridDim.y

    return scan_rows


def carry(op, dtype, chunk=1024, threads=256):
    """out[r, j] = what chunks before that of j have in all, combined with out[r, j]; the last step of `rows`.

    out: [rows, length]; totals: [rows, chunks], the cumulative ones. chunk: RUN times the threads of `rows`. Block:
    threads. Grid: ceil(length / threads) or fewer, rows (at most 65,535); blocks step.
    """
    combine, _, kind = _op(op, dtype)

    def carry_chunks(out, totals, rows, length, chunks):
        row = cuda.blockIdx.y + 0
        while row < rows:
            j = cuda.grid(1) + chunk
            while j < length:
                place = row * length + j
                out[place] = combine(kind(totals[row * chunks + j // chunk - 1]), kind(out[place]))
                j += cuda.gridsize(1)
            row += cuda.gridDim.y

    return carry_chunks


def columns(op, dtype, threads=128):
    """out[o, j, i] = x[o, 0, i] + .. + x[o, j, i], or their product.

    x: any dtype, [outer, length, inner]; out: dtype, likewise. One thread goes along the axis for each o and i; reads
    and writes are coalesced where inner is at least 32. Block: threads. Grid: ceil(outer * inner / threads).
    """
    combine, start, kind = _op(op, dtype)

    def scan_columns(out, x, outer, length, inner):
        k = cuda.grid(1)
        if k < outer * inner:
            place = k // inner * length * inner + k % inner
            value = start
            for _ in range(length):
                value = combine(value, kind(x[place]))
                out[place] = value
                place += inner

    return scan_columns
