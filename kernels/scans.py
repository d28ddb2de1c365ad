"""Running sums, products and linear recurrences along an axis; plain functions on flat indices.

An array is passed as its elements in C order; `p[k]` is element k. An axis of `length` elements with `outer`
combinations of the axes before it and `inner` of those behind it has its element j at `(o * length + j) * inner + i`.
The innermost loop runs over `inner`, whose elements lie side by side.
"""


def cumsum(out, x, outer, length, inner):
    """out[j] = x[0] + ... + x[j] along the axis, added in this order in out's dtype, as np.cumsum."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = x[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = out[row - inner + i] + x[row + i]


def cumprod(out, x, outer, length, inner):
    """out[j] = x[0] * ... * x[j] along the axis, multiplied in this order in out's dtype, as np.cumprod."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = x[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = out[row - inner + i] * x[row + i]


def recurrence(out, a, b, outer, length, inner):
    """out[0] = b[0] and out[j] = a[j] * out[j - 1] + b[j] along the axis; all three arrays have one shape and dtype."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = b[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = a[row + i] * out[row - inner + i] + b[row + i]
