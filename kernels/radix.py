"""Sorting along an axis by the digits of its elements, in memory of its own.

An element becomes a key, an integer that sorts as the element does: NaN has the largest, -0.0 that of 0.0. Keys are
distributed by one byte after the other, from the lowest on, which keeps the order of equal ones; bytes in which all are
alike are passed over (radix sort, see D. Knuth, The Art of Computer Programming 3, 5.2.5). A key of up to four bytes is
sorted in one word with its position, when positions are wanted. Short lines are sorted by insertion.

The arguments are addresses and numbers, so that there is one machine code for all dtypes. `outer` times `length` times
`inner` elements of `size` bytes lie in C order, and a line is those that differ in the middle index. kind: what they
are, UNSIGNED, SIGNED or FLOATING. rows: the length of the result's first axis, of which rows `begin` to `end` are this
chunk: as much of the lines is sorted. memory: as many bytes as `numgraph.ops.sort` says. Of the positions the first
`count` of a line are wanted; the bits of `turned` are those of a key that count the other way: none, or all, for the
largest elements first.
"""

from numba.extending import register_jitable
from numgraph.kernels.support import i64, sized, u8, u16, u32

UNSIGNED, SIGNED, FLOATING = 0, 1, 2
# Lines up to this length are sorted by insertion: the counts of all digits take as long to add up as that.
SHORT = 48
# Where no more than this part of a line's positions is wanted, they are looked for in a heap.
_HEAPED = 8
# As many elements are passed over at a time if there is none among them that belongs into the heap.
_BLOCK = 32
# 256 counts for each of 8 bytes, as words.
_COUNTS = 256 * 8
# The largest key of 8 bytes, which is that of NaN, and the smallest number.
_MOST = 0x7FFFFFFFFFFFFFFF
_LEAST = -0x7FFFFFFFFFFFFFFF - 1


@register_jitable
def _bits(x, k, size):
    """Element k at an address, as an integer: without a sign for less than 8 bytes."""
    if size == 4:
        return u32(x)[k] + 0
    if size == 8:
        return i64(x)[k]
    if size == 2:
        return u16(x)[k] + 0
    return u8(x)[k] + 0


@register_jitable
def _put(x, k, size, bits):
    """Write element k."""
    if size == 4:
        u32(x)[k] = bits
    elif size == 8:
        i64(x)[k] = bits
    elif size == 2:
        u16(x)[k] = bits
    else:
        u8(x)[k] = bits


@register_jitable
def _key(bits, size, kind):
    """What an element sorts by: a number with a sign for 8 bytes, else one without. Without branches, so that loops
    of it are loops over vectors."""
    floating = -1 if kind == FLOATING else 0
    if size == 8:
        number = bits ^ (_LEAST if kind == UNSIGNED else 0)
        magnitude = number & (_MOST | ~floating)
        sign = (number >> 63) & floating
        key = (magnitude ^ sign) - sign
        return _MOST if magnitude > (0x7FF0000000000000 if kind == FLOATING else _MOST) else key
    half = 1 << (8 * size - 1)
    number = bits ^ (half if kind == SIGNED else 0)
    magnitude = number & (half - 1 | ~floating)
    sign = (0 - (number >> (8 * size - 1))) & floating
    key = (magnitude ^ sign) - sign + (half & floating)
    # of float32, and of float16
    infinite = 0x7F800000 if size == 4 else 0x7C00
    return 2 * half - 1 if magnitude > (infinite if kind == FLOATING else _MOST) else key


@register_jitable
def _element(key, size, kind):
    """The bits of an element with a key: a quiet NaN for that of NaN, 0.0 for that of zeros."""
    if size == 8:
        if kind == UNSIGNED:
            return key ^ _LEAST
        if kind == SIGNED or key >= 0:
            return 0x7FF8000000000000 if kind == FLOATING and key == _MOST else key
        return -key | _LEAST
    half = 1 << (8 * size - 1)
    if kind == UNSIGNED:
        return key
    if kind == SIGNED:
        return key ^ half
    if key == 2 * half - 1:
        return 0x7FC00000 if size == 4 else 0x7E00
    return key - half if key >= half else (half - key) | half


@register_jitable
def _is_negative_zero(bits, size, kind):
    return kind == FLOATING and bits == (_LEAST if size == 8 else 1 << (8 * size - 1))


@register_jitable
def _digit(key, byte):
    """A byte of a key; of the highest one the sign counts the other way."""
    return ((key >> (8 * byte)) & 255) ^ (128 if byte == 7 else 0)


@register_jitable
def _count(counts, key, first, end):
    """Count a key's bytes from `first` up to `end`."""
    for byte in range(first, end):
        at = 256 * byte + _digit(key, byte)
        counts[at] = counts[at] + 1


@register_jitable
def _starts(counts, byte):
    """Where the keys with each digit begin, in place of how many they are."""
    total = 0
    for at in range(256 * byte, 256 * byte + 256):
        count = counts[at]
        counts[at] = total
        total += count


@register_jitable
def _clear_counts(counts, first, end):
    for at in range(256 * first, 256 * end):
        counts[at] = 0


@sized
def _sorted_keys(size, a, b, length, counts, first, end):
    """Sort the keys at a by their bytes from `first` up to `end`, which are counted; returns the address where they are
    then, a or b."""
    width = 8 if size == 8 else 4
    for byte in range(first, end):
        if counts[256 * byte + _digit(_bits(a, 0, width), byte)] != length:
            _starts(counts, byte)
            for j in range(length):
                key = _bits(a, j, width)
                at = 256 * byte + _digit(key, byte)
                _put(b, counts[at], width, key)
                counts[at] = counts[at] + 1
            a, b = b, a
    return a


@sized
def _sort_line(size, out, x, base, inner, length, kind, memory):
    """Sort one line."""
    width = 8 if size == 8 else 4
    counts = i64(memory)
    keys = memory + 8 * _COUNTS
    short = length <= SHORT
    if not short:
        _clear_counts(counts, 0, size)
    negative = 0
    for j in range(length):
        bits = _bits(x, base + j * inner, size)
        negative += 1 if _is_negative_zero(bits, size, kind) else 0
        key = _key(bits, size, kind)
        k = j
        if short:
            while k > 0 and _bits(keys, k - 1, width) > key:
                _put(keys, k, width, _bits(keys, k - 1, width))
                k -= 1
        else:
            _count(counts, key, 0, size)
        _put(keys, k, width, key)
    if not short:
        keys = _sorted_keys(size, keys, keys + 8 * length, length, counts, 0, size)
    for j in range(length):
        _put(out, base + j * inner, size, _element(_bits(keys, j, width), size, kind))
    if negative > 0:
        _put_zeros(size, out, x, base, inner, length, kind)


@sized
def _put_zeros(size, out, x, base, inner, length, kind):
    """Give the zeros of a sorted line the signs that they had, in the order that they had."""
    zero = _key(0, size, kind)
    low, high = 0, length
    while low < high:
        middle = (low + high) >> 1
        if _key(_bits(out, base + middle * inner, size), size, kind) < zero:
            low = middle + 1
        else:
            high = middle
    for j in range(length):
        bits = _bits(x, base + j * inner, size)
        if _key(bits, size, kind) == zero:
            _put(out, base + low * inner, size, bits)
            low += 1


def sort_lines(out, x, outer, length, inner, rows, size, kind, begin, end, memory):
    """out = x sorted along its middle axis, stable."""
    for line in range(outer * inner * begin // rows, outer * inner * end // rows):
        base = line // inner * length * inner + line % inner
        if size == 4:
            _sort_line(4, out, x, base, inner, length, kind, memory)
        elif size == 8:
            _sort_line(8, out, x, base, inner, length, kind, memory)
        elif size == 2:
            _sort_line(2, out, x, base, inner, length, kind, memory)
        else:
            _sort_line(1, out, x, base, inner, length, kind, memory)


@sized
def _argsort_line(size, out, to, x, base, inner, length, kind, count, turned, memory):
    """The first positions of one line of elements of less than 8 bytes."""
    counts, keys = i64(memory), memory + 8 * _COUNTS
    words = i64(keys)
    short = length <= SHORT
    if not short:
        _clear_counts(counts, 4, 4 + size)
    for j in range(length):
        word = (((_key(_bits(x, base + j * inner, size), size, kind) ^ turned) - 0x80000000) << 32) | j
        k = j
        if short:
            while k > 0 and words[k - 1] > word:
                words[k] = words[k - 1]
                k -= 1
        else:
            _count(counts, word, 4, 4 + size)
        words[k] = word
    if not short:
        keys = _sorted_keys(8, keys, keys + 8 * length, length, counts, 4, 4 + size)
    for j in range(count):
        out[to + j * inner] = i64(keys)[j] & 0xFFFFFFFF


@register_jitable
def _argsort_long(out, to, x, base, inner, length, kind, count, turned, memory):
    """The first positions of one line of elements of 8 bytes."""
    counts, keys = i64(memory), i64(memory + 8 * _COUNTS)
    places, others = i64(memory + 8 * (_COUNTS + length)), i64(memory + 8 * (_COUNTS + 2 * length))
    other_places = i64(memory + 8 * (_COUNTS + 3 * length))
    short = length <= SHORT
    if not short:
        _clear_counts(counts, 0, 8)
    for j in range(length):
        key = _key(_bits(x, base + j * inner, 8), 8, kind) ^ turned
        k = j
        if short:
            while k > 0 and keys[k - 1] > key:
                keys[k], places[k] = keys[k - 1], places[k - 1]
                k -= 1
        else:
            _count(counts, key, 0, 8)
        keys[k], places[k] = key, j
    for byte in range(0 if short else 8):
        if counts[256 * byte + _digit(keys[0], byte)] != length:
            _starts(counts, byte)
            for j in range(length):
                at = 256 * byte + _digit(keys[j], byte)
                k = counts[at]
                others[k], other_places[k] = keys[j], places[j]
                counts[at] = k + 1
            keys, others = others, keys
            places, other_places = other_places, places
    for j in range(count):
        out[to + j * inner] = places[j]


@register_jitable
def _sift(keys, places, root, end, key, place):
    """Put an element into a heap whose place `root` is free, or further down. The last in order is at the root."""
    child = 2 * root + 1
    while child < end:
        if child + 1 < end:
            a, b = keys[child], keys[child + 1]
            child += 1 if a < b or (a == b and places[child] < places[child + 1]) else 0
        if keys[child] < key or (keys[child] == key and places[child] < place):
            child = end
        else:
            keys[root], places[root] = keys[child], places[child]
            root = child
            child = 2 * root + 1
    keys[root], places[root] = key, place


@register_jitable
def _first_key(size, x, begin, end, kind, turned):
    """The smallest key of neighbouring elements."""
    least = _key(_bits(x, begin, size), size, kind) ^ turned
    for k in range(begin + 1, end):
        key = _key(_bits(x, k, size), size, kind) ^ turned
        least = key if key < least else least
    return least


@sized
def _few_of_line(size, out, to, x, base, inner, length, kind, count, turned, memory):
    """The first positions of one line, of which a heap has those that were found so far (see D. Knuth, The Art of
    Computer Programming 3, 5.2.3)."""
    keys, places = i64(memory), i64(memory + 8 * count)
    for j in range(count):
        keys[j], places[j] = _key(_bits(x, base + j * inner, size), size, kind) ^ turned, j
    for root in range(count // 2 - 1, -1, -1):
        _sift(keys, places, root, count, keys[root], places[root])
    for begin in range(count, length, _BLOCK):
        end = min(begin + _BLOCK, length)
        # of equal elements the first ones are there
        if inner > 1 or _first_key(size, x, base + begin, base + end, kind, turned) < keys[0]:
            for j in range(begin, end):
                key = _key(_bits(x, base + j * inner, size), size, kind) ^ turned
                if key < keys[0]:
                    _sift(keys, places, 0, count, key, j)
    for end in range(count - 1, -1, -1):
        out[to + end * inner] = places[0]
        _sift(keys, places, 0, end, keys[end], places[end])


@sized
def _positions(size, out, to, x, base, inner, length, kind, count, turned, memory):
    """The first positions of one line."""
    if count * _HEAPED <= length:
        _few_of_line(size, out, to, x, base, inner, length, kind, count, turned, memory)
    elif size == 8:
        _argsort_long(out, to, x, base, inner, length, kind, count, turned, memory)
    else:
        _argsort_line(size, out, to, x, base, inner, length, kind, count, turned, memory)


def argsort_lines(out, x, outer, length, inner, rows, size, kind, count, turned, begin, end, memory):
    """out = the positions, int64, of the first `count` elements of x sorted along its middle axis, stable; a line has
    at most 2**31."""
    for line in range(outer * inner * begin // rows, outer * inner * end // rows):
        base = line // inner * length * inner + line % inner
        to = line // inner * count * inner + line % inner
        if size == 8:
            _positions(8, i64(out), to, x, base, inner, length, kind, count, turned, memory)
        elif size == 4:
            _positions(4, i64(out), to, x, base, inner, length, kind, count, turned, memory)
        elif size == 2:
            _positions(2, i64(out), to, x, base, inner, length, kind, count, turned, memory)
        else:
            _positions(1, i64(out), to, x, base, inner, length, kind, count, turned, memory)
