"""Reductions: sum, product, maximum, minimum, any, all, and the index of the largest or smallest element.

All are done in a fixed order, in the dtype of the result: no atomics, no float64 for float32. A long reduction takes
two launches: parts of fixed length first, then the parts, by the same kernels. The limit is memory: each element is
read once, n * itemsize / bandwidth (3.35 TB/s on an H100: 1.2 ms for 10^9 float32).

A float32 sum of a row goes through chains of at most length / (4 * lanes) additions and then a tree of 2 + log2(lanes)
levels, one rounding each; in two launches through two of these. 10^9 elements in parts of 32,768 by 256 lanes: 32 +
10 + 30 + 10 roundings, at most 5e-6 of the sum of absolute values, as a rule some 1e-7. NumPy's pairwise sum has 16 +
23.
"""

from numgraph.kernels.cuda.support import (
    TYPES,
    add,
    both,
    cuda,
    either,
    helper,
    larger,
    lowest,
    multiply,
    smaller,
    total_of,
)

OPS = ("sum", "prod", "max", "min", "any", "all")


def _combine(op):
    return {"sum": add, "prod": multiply, "max": larger, "min": smaller, "any": either, "all": both}[op]


def _start(op, dtype):
    """The value that changes nothing."""
    if op in ("any", "all"):
        return int(op == "all")
    if op in ("sum", "prod"):
        return TYPES[dtype](op == "prod")
    low = lowest(dtype)
    return low if op == "max" else -low if dtype.startswith("float") else 1 if dtype == "bool" else ~low


def _reading(op, dtype):
    """A helper that turns an element into a value to be combined."""
    if op in ("any", "all"):

        @helper
        def read(value):
            return 1 if value != 0 else 0
    else:
        kind = TYPES[dtype]

        @helper
        def read(value):
            return kind(value)

    return read


def _kind(op, dtype):
    return TYPES["int64"] if op in ("any", "all") else TYPES[dtype]


def rows(op, dtype, lanes=256, groups=1):
    """out[r] = the elements r * length .. min((r + 1) * length, total) of x, combined.

    out: dtype (bool for any and all), `rows` elements. x: any dtype, `total` elements. lanes threads work on each
    row: a power of two up to 32, for rows shorter than about 1,000, or a multiple of 32 with groups=1. groups: rows
    of a block. Block: lanes * groups threads. Grid: ceil(rows / groups). Four loads of each thread are in flight.
    """
    start, combine, read = _start(op, dtype), _combine(op), _reading(op, dtype)
    kind = _kind(op, dtype)
    total_value = total_of(combine, kind, lanes)

    def reduce_rows(out, x, rows, length, total):
        lane = cuda.threadIdx.x % lanes
        row = cuda.blockIdx.x * groups + cuda.threadIdx.x // lanes
        end = min((row + 1) * length, total) if row < rows else 0
        j = row * length + lane
        a, b, c, d = kind(start), kind(start), kind(start), kind(start)
        while j + 3 * lanes < end:
            a = combine(a, read(x[j]))
            b = combine(b, read(x[j + lanes]))
            c = combine(c, read(x[j + 2 * lanes]))
            d = combine(d, read(x[j + 3 * lanes]))
            j += 4 * lanes
        while j < end:
            a = combine(a, read(x[j]))
            j += lanes
        value = total_value(combine(combine(a, b), combine(c, d)))
        if lane == 0 and row < rows:
            out[row] = value

    return reduce_rows


def columns(op, dtype, lanes=32, groups=8):
    """out[o, p, i] = x[o, j, i] combined over j in part p of the middle axis: p * part .. min((p + 1) * part, length).

    x: any dtype, [outer, length, inner]; out: dtype, [outer, ceil(length / part), inner]. One part gives the result; of
    several this kernel makes the result in a second launch with x = parts and part = length.
    Block: lanes * groups threads, lanes along the last axis, where reads are coalesced. Grid: ceil(inner / lanes),
    parts (at most 65,535), at most 65,535 along the first axis, over which blocks step.
    """
    start, combine, read = _start(op, dtype), _combine(op), _reading(op, dtype)
    kind = _kind(op, dtype)

    def reduce_columns(out, x, outer, length, inner, part):
        cells = cuda.shared.array((groups, lanes), kind)
        lane = cuda.threadIdx.x % lanes
        group = cuda.threadIdx.x // lanes
        i = cuda.blockIdx.x * lanes + lane
        p = cuda.blockIdx.y
        o = cuda.blockIdx.z + 0
        while o < outer:
            a, b = kind(start), kind(start)
            if i < inner:
                end = min((p + 1) * part, length)
                j = p * part + group
                while j + groups < end:
                    a = combine(a, read(x[(o * length + j) * inner + i]))
                    b = combine(b, read(x[(o * length + j + groups) * inner + i]))
                    j += 2 * groups
                if j < end:
                    a = combine(a, read(x[(o * length + j) * inner + i]))
            cells[group, lane] = combine(a, b)
            cuda.syncthreads()
            if group == 0 and i < inner:
                value = cells[0, lane]
                for g in range(1, groups):
                    value = combine(value, cells[g, lane])
                out[(o * cuda.gridDim.y + p) * inner + i] = value
            cuda.syncthreads()
            o += cuda.gridDim.z

    return reduce_columns


# -- where the largest or the smallest element is --------------------------------------------------------------------


def _beating(op):
    """A helper: whether value w at index j goes before value v at index i. NaN goes before all, the first of equals."""
    if op == "argmax":

        @helper
        def beats(w, j, v, i):
            better = w > v or (w != w and v == v)
            return better or ((w == v or (w != w and v != v)) and j < i)
    else:

        @helper
        def beats(w, j, v, i):
            better = w < v or (w != w and v == v)
            return better or ((w == v or (w != w and v != v)) and j < i)

    return beats


# The index of no element: behind all others.
NONE = (1 << 63) - 1


def arg_rows(op, dtype, lanes=256, stage="row"):
    """out[r] = the place of the largest ("argmax") or smallest ("argmin") element of row r of x, as NumPy has it.

    Rows are those of `rows`. stage "row": places count from the row's begin. "part": from the begin of x; "ids": x is
    looked at where ids[j] says, for j in the row, and out is one of ids, which makes a result of parts in a second
    launch. out: int64, ids: int64 (anything for the other stages). x: dtype. Each row has at least one element.
    Block: lanes threads, a power of two. Grid: rows.
    """
    beats = _beating(op)
    some = lowest(dtype)
    kind = TYPES[dtype]
    int64 = TYPES["int64"]
    through, relative = stage == "ids", stage == "row"

    def arg_of_rows(out, x, ids, rows, length, total):
        values = cuda.shared.array(lanes, kind)
        places = cuda.shared.array(lanes, int64)
        lane = cuda.threadIdx.x
        row = cuda.blockIdx.x
        end = min((row + 1) * length, total)
        value, place = kind(some), NONE
        j = row * length + lane
        while j < end:
            candidate = ids[j] if through else j
            if place == NONE or beats(x[candidate], candidate, value, place):
                value, place = x[candidate], candidate
            j += lanes
        values[lane] = value
        places[lane] = place
        cuda.syncthreads()
        half = lanes // 2
        while half > 0:
            if lane < half:
                other = places[lane + half]
                mine = places[lane]
                if other != NONE and (mine == NONE or beats(values[lane + half], other, values[lane], mine)):
                    values[lane] = values[lane + half]
                    places[lane] = other
            cuda.syncthreads()
            half //= 2
        if lane == 0:
            out[row] = places[0] - (row * length if relative else 0)

    return arg_of_rows


def arg_columns(op, dtype, threads=128):
    """out[o, i] = the place along the middle axis of the largest or smallest element of x[o, :, i], as NumPy has it.

    x: dtype, [outer, length, inner], length at least 1. out: int64, [outer, inner]. One thread for each result goes
    along the axis; reads are coalesced where inner is at least 32. Block: threads. Grid: ceil(outer * inner / threads).
    """
    beats = _beating(op)

    def arg_of_columns(out, x, outer, length, inner):
        k = cuda.grid(1)
        if k < outer * inner:
            base = k // inner * length * inner + k % inner
            value, place = x[base], 0
            for j in range(1, length):
                if beats(x[base + j * inner], j, value, place):
                    value, place = x[base + j * inner], j
            out[k] = place

    return arg_of_columns
