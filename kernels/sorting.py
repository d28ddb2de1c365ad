"""Sorting and searching: plain functions on flat indices, for pointers in compiled code and for NumPy arrays alike.

An array is passed as its elements in C order; `p[k]` is element k. An axis of `length` elements with `outer`
combinations of the axes before it and `inner` of those behind it has its element j at `(o * length + j) * inner + i`.
"""

from numba.extending import register_jitable

# Runs of this length are sorted by insertion before they are merged.
RUN = 8
# So many places are searched side by side.
SEARCHED = 64
# One int64 slot of the result holds two indices while it is being sorted: one in its low bits, one above them.
SHIFT = 31
LOW = (1 << SHIFT) - 1
# The longest axis that `argsort` takes.
MAX_LENGTH = LOW + 1


@register_jitable
def before(a, b):
    """Whether a sorts before b: NaN comes last, and before nothing."""
    return a < b or (b != b and a == a)


@register_jitable
def _sort_runs(out, x, base, length, inner):
    """Fill the line's slots with 0..length-1, each run of RUN of them sorted by insertion (stable)."""
    for begin in range(0, length, RUN):
        end = min(begin + RUN, length)
        for j in range(begin, end):
            value = x[base + j * inner]
            k = j
            while k > begin and before(value, x[base + out[base + (k - 1) * inner] * inner]):
                out[base + k * inner] = out[base + (k - 1) * inner]
                k -= 1
            out[base + k * inner] = j


@register_jitable
def _merge(out, x, base, inner, begin, middle, end, read, write):
    """Merge two sorted runs of indices from bits `read` of the slots into bits `write`, keeping the order of equals."""
    left, right = begin, middle
    keep = LOW << read
    for k in range(begin, end):
        from_left = left < middle
        if from_left and right < end:
            i = (out[base + left * inner] >> read) & LOW
            j = (out[base + right * inner] >> read) & LOW
            from_left = not before(x[base + j * inner], x[base + i * inner])
        source = left if from_left else right
        index = (out[base + source * inner] >> read) & LOW
        if from_left:
            left += 1
        else:
            right += 1
        slot = base + k * inner
        out[slot] = (out[slot] & keep) | (index << write)


def argsort(out, x, outer, length, inner):
    """out = the indices that sort x along one axis, stable, NaN last.

    out: int64, x: any dtype, both outer * length * inner elements; length at most MAX_LENGTH. A bottom-up merge sort,
    O(length * log(length)) comparisons per line. It needs no memory besides `out`: each slot holds two indices of 31
    bits, one of the runs that are read and one of the merged run that is written.
    """
    for line in range(outer * inner):
        base = line // inner * length * inner + line % inner
        _sort_runs(out, x, base, length, inner)
        read = 0
        width = RUN
        while width < length:
            for begin in range(0, length, 2 * width):
                middle = min(begin + width, length)
                end = min(begin + 2 * width, length)
                _merge(out, x, base, inner, begin, middle, end, read, SHIFT - read)
            read = SHIFT - read
            width *= 2
        for j in range(length):
            out[base + j * inner] = (out[base + j * inner] >> read) & LOW


@register_jitable
def _row_before(x, i, j, width):
    """Whether row i of x sorts before row j: the first element in which they differ decides."""
    for k in range(width):
        a = x[i * width + k]
        b = x[j * width + k]
        if before(a, b):
            return True
        if before(b, a):
            return False
    return False


def argsort_rows(out, x, length, width):
    """out = the order of the rows of x, stable: by their first elements, equal ones by the second, and so on, NaN last.

    out: int64, of `length` elements, at most MAX_LENGTH; x: any dtype, `length * width` elements. A bottom-up merge
    sort in the slots of `out`, as `argsort`.
    """
    for j in range(length):
        out[j] = j
    read = 0
    step = 1
    while step < length:
        write = SHIFT - read
        keep = LOW << read
        for begin in range(0, length, 2 * step):
            left, middle = begin, min(begin + step, length)
            right, end = middle, min(begin + 2 * step, length)
            for k in range(begin, end):
                i = (out[min(left, middle - 1)] >> read) & LOW
                j = (out[min(right, end - 1)] >> read) & LOW
                if left < middle and (right == end or not _row_before(x, j, i, width)):
                    left += 1
                else:
                    right += 1
                    i = j
                out[k] = (out[k] & keep) | (i << write)
        read = write
        step *= 2
    for j in range(length):
        out[j] = (out[j] >> read) & LOW


def nonzero(out, mask, length, count):
    """out = the first `count` positions at which the flat `mask` is not 0, in order. out: int64, of length count."""
    found = 0
    for k in range(length):
        if mask[k] != 0 and found < count:
            out[found] = k
            found += 1


def searchsorted(out, a, v, length, count, right):
    """out[k] = the number of elements of the sorted `a` that are before v[k], or with `right` not behind it.

    out: int64, of `count` elements as v; a: `length` elements of v's dtype. NaN is behind all.
    """
    for begin in range(0, count, SEARCHED):
        end = min(begin + SEARCHED, count)
        for k in range(begin, end):
            out[k] = 0
        # the place is among the first `left` + 1 from out[k]; both halves take as long, so nothing is to be guessed,
        # and the searches of a block do not wait for each other
        left = length
        while left > 0:
            half = (left + 1) >> 1
            for k in range(begin, end):
                low = out[k]
                value = v[k]
                element = a[low + half - 1]
                passed = before(element, value) | ((right != 0) & (not before(value, element)))
                out[k] = low + half if passed else low
            left = left - half
