"""Convolution and correlation of sampled signals, by NumPy's and SciPy's names.

What slides stands still at its margins: zeros around the first operand say which part of the whole result is computed,
so nothing is computed to be cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_operands, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.types import BOOL, COMPLEX, DISCRETE, promote

__all__ = ["convolve", "convolve2d", "correlate"]

MODES = ("full", "same", "valid")
# what SciPy calls the ways in which a signal goes on, and what `pad` does
BOUNDARIES = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}

Margins = Sequence[tuple[Length, Length]]


def convolve(a: Any, v: Any, mode: str = "full") -> Variable:
    """The convolution of two signals along the last axis: all of it, of the longer one's length ("same"), or where both
    overlap ("valid"); as np.convolve, and axes in front broadcast.

    Integers give integers. OptionError for another mode, ShapeError for a scalar, and for an empty signal.

    >>> import numgraph as ng
    >>> x = ng.vector("x")
    >>> ng.convolve(x, [1.0, -1.0], "valid").eval({x: [1.0, 4.0, 9.0]})
    array([3., 5.])
    """
    x, w = (_filled(s, "convolve") for s in _signals("convolve", a, v, mode, 1))
    return _slid(x, f.flip(w, -1), [_margins(ln.dim(x, -1), ln.dim(w, -1), mode, False)])


def correlate(a: Any, v: Any, mode: str = "valid") -> Variable:
    """The correlation of two signals along the last axis, sums of a[k + n] * conj(v[n]): all of it, of the longer one's
    length ("same"), or where both overlap ("valid"); as np.correlate. Axes in front and errors as for `convolve`."""
    x, w = (_filled(s, "correlate") for s in _signals("correlate", a, v, mode, 1))
    return _slid(x, f.conj(w), [_margins(ln.dim(x, -1), ln.dim(w, -1), mode, True)])


def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Variable:
    """The convolution of two signals along the last two axes, as scipy.signal.convolve2d; axes in front broadcast.

    mode: all of it ("full"), as much as in1 has ("same"), or where both overlap ("valid"), which may be along an axis
    where in1 is the longer one and along another where it is the shorter one. boundary: how in1 goes on outside: with
    `fillvalue` ("fill"), at its other end ("wrap"), or mirrored at its border ("symm"). OptionError for others,
    ShapeError for fewer than two axes.
    """
    x, w = _signals("convolve2d", in1, in2, mode, 2)
    if boundary not in BOUNDARIES:
        raise OptionError(f"convolve2d: boundary is one of {', '.join(BOUNDARIES)}, not {boundary!r}")
    margins = [_margins_of_first(ln.dim(x, k), ln.dim(w, k), mode) for k in (-2, -1)]
    zeros = boundary == "fill" and isinstance(fillvalue, int | float) and fillvalue == 0
    if mode != "valid" and not zeros:
        value = {"constant_values": fillvalue} if boundary == "fill" else {}
        x = f.pad(x, [(0, 0)] * (x.ndim - 2) + margins, BOUNDARIES[boundary], **value)
        margins = [(0, 0)] * 2
    return _slid(x, f.flip(w, (-2, -1)), margins)


def _signals(what: str, a: Any, v: Any, mode: str, count: int) -> list[Variable]:
    """Both of one dtype, with at least `count` axes."""
    if mode not in MODES:
        raise OptionError(f'{what}: mode must be "full", "same" or "valid", not {mode!r}')
    given = as_operands(a, v)
    for w in given:
        if w.ndim < count:
            raise ShapeError(f"{what}: {('vectors', 'matrices')[count - 1]} are needed, not {describe(w)}")
    dtype = promote([w.type.dtype for w in given])
    return [f.cast(w, "int64" if dtype == BOOL else dtype) for w in given]


def _filled(v: Variable, what: str) -> Variable:
    """A signal that is refused where it is empty, as in NumPy."""
    found: Variable = f.with_elements(v, [v.ndim - 1], what, f"{what}: a signal is empty")
    return found


def _margins(n: Length, k: Length, mode: str, mirrored: bool) -> tuple[Length, Length]:
    """Zeros before and behind a signal of length n along which one of length k slides, so that the part of a mode is
    the result. mirrored: NumPy takes the part from behind where the first one is shorter."""
    if mode == "full":
        return k - 1, k - 1
    if mode == "valid":
        # where the other one is longer, it is the one that slides
        return ln.most(k - n, 0), ln.most(k - n, 0)
    least, most = ln.least(n, k), ln.most(n, k)
    cut = (least - 1) // 2
    if mirrored:
        cut = f.where(f.lt(n, k), least - 1 - cut, cut)
    return k - 1 - cut, cut + most - n


def _margins_of_first(n: Length, k: Length, mode: str) -> tuple[Length, Length]:
    """As `_margins`; "same" is as long as the first one, as in SciPy."""
    return (k // 2, (k - 1) // 2) if mode == "same" else _margins(n, k, mode, False)


def _slid(x: Variable, w: Variable, margins: Margins) -> Variable:
    """Sums of products wherever w fits into x with its margins of zeros, along the last axes."""
    count = len(margins)
    if w.ndim > count or x.type.dtype in (*DISCRETE, *COMPLEX):
        return _of_windows(x, w, margins)
    lead = ln.dims_of(x)[: x.ndim - count]
    images = f.reshape(x, [ln.product(lead), 1, *ln.dims_of(x)[-count:]])
    found = (f.conv1d, f.conv2d)[count - 1](images, f.shape_padleft(w, 2), padding=list(margins))
    return f.reshape(found, [*lead, *ln.dims_of(found)[2:]])


def _of_windows(x: Variable, w: Variable, margins: Margins) -> Variable:
    """Of integers, which stay exact, complex numbers, and where each signal has its own to slide along it."""
    count = len(margins)
    padded = f.pad(x, [(0, 0)] * (x.ndim - count) + list(margins))
    inside = tuple(range(-count, 0))
    windows = f.sliding_window_view(padded, ln.dims_of(w)[-count:], tuple(k + x.ndim for k in inside))
    places = f.expand_dims(w, tuple(k - count for k in inside))
    return f.sum(f.mul(windows, places), inside, dtype=x.type.dtype)
