"""Stable sorting by keys along an axis: sorted keys and the indices that sort, NaN last, as NumPy has them.

A merge sort by ranks: the place of an element in a merged pair of runs is its place in its own run plus the number of
elements of the other run that go before it, found by bisection. So each element is moved by a thread of its own,
whatever the data, and equal keys keep their order. `blocks` sorts runs in shared memory, `merge` doubles their length.

The limit is memory: ceil(log2(length / run)) launches of `merge`, each reads and writes keys and indices, and bisects
in the caches. For 10^6 float32: 10 launches of 24 MB.
Source: Cole, Parallel merge sort, SIAM J. Comput. 17, 1988, for merging by ranks.
"""

from numgraph.kernels.cuda.support import TYPES, cuda, helper


@helper
def before(a, b):
    """Whether a sorts before b: NaN comes last, and before nothing."""
    return a < b or (b != b and a == a)


@helper
def merged_place(cells, begin, key, p, width, length):
    """Where element p of a line goes, when its runs of `width` elements are merged in pairs.

    cells: the line is at begin .. begin + length - 1; key: its element p. Elements of the other run that go before the
    key are counted by bisection; of equals, the first run's go first.
    """
    left = p // (2 * width) * (2 * width)
    middle = min(left + width, length)
    second = p >= middle
    other = left if second else middle
    low = other
    high = middle if second else min(left + 2 * width, length)
    while low < high:
        at = (low + high) // 2
        ahead = not before(key, cells[begin + at]) if second else before(cells[begin + at], key)
        low = at + 1 if ahead else low
        high = high if ahead else at
    return p + low - other - (width if second else 0)


def blocks(dtype, run=512):
    """Sorts runs: keys[line, p] = the p-th key of its run, ids[line, p] = where it was along the axis.

    x: dtype, [outer, length, inner]; keys: dtype, ids: int64, both [outer * inner, length]: the axis comes last. Runs
    are positions p // run of a line. run: a power of two. Block: run threads. Grid: ceil(length / run), lines (at
    most 65,535, over which blocks step).
    """
    kind = TYPES[dtype]
    int32 = TYPES["int32"]
    size = 2 * run

    def sort_blocks(keys, ids, x, outer, length, inner):
        # two halves: from one, runs are merged into the other
        cells = cuda.shared.array(size, kind)
        places = cuda.shared.array(size, int32)
        t = cuda.threadIdx.x + 0 * length
        begin = cuda.blockIdx.x * run
        count = min(length - begin, run)
        line = cuda.blockIdx.y + 0
        while line < outer * inner:
            if t < count:
                cells[t] = x[(line // inner * length + begin + t) * inner + line % inner]
                places[t] = int32(t)
            cuda.syncthreads()
            half = 0
            width = 1
            while width < run:
                if t < count:
                    key = cells[half + t]
                    place = merged_place(cells, half, key, t, width, count)
                    cells[run - half + place] = key
                    places[run - half + place] = places[half + t]
                cuda.syncthreads()
                half = run - half
                width *= 2
            if t < count:
                keys[line * length + begin + t] = cells[half + t]
                ids[line * length + begin + t] = begin + places[half + t]
            cuda.syncthreads()
            line += cuda.gridDim.y

    return sort_blocks


def merge(dtype, threads=256):
    """Merges pairs of sorted runs of `width` elements into runs of twice that, in each line.

    new_keys, keys: dtype, new_ids, ids: int64, all [lines, length]. Block: threads. Grid: ceil(length / threads),
    lines (at most 65,535, over which blocks step).
    """

    def merge_runs(new_keys, new_ids, keys, ids, lines, length, width):
        p = cuda.grid(1)
        line = cuda.blockIdx.y + 0
        while line < lines and p < length:
            base = line * length
            key = keys[base + p]
            place = merged_place(keys, base, key, p, width, length)
            new_keys[base + place] = key
            new_ids[base + place] = ids[base + p]
            line += cuda.gridDim.y

    return merge_runs
