"""Discrete Fourier transforms under NumPy's names: `ng.fft.rfft` for `np.fft.rfft`.

Arrays have any number of axes and lengths that may be known only when a function runs; any length is transformed in
n * log(n) steps. Everything has a gradient.
"""

from __future__ import annotations

from typing import Any

from numgraph.config import config
from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.create import counting
from numgraph.ops.define import f
from numgraph.ops.fourier import fft, fftn, hfft, ifft, ifftn, ihfft, irfft, irfftn, rfft, rfftn

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

LAST = (-2, -1)


def fft2(a: Any, s: Any = None, axes: Any = LAST, norm: str | None = None) -> Variable:
    """`fftn` along the last two axes, as np.fft.fft2."""
    return fftn(a, s, axes, norm)


def ifft2(a: Any, s: Any = None, axes: Any = LAST, norm: str | None = None) -> Variable:
    """The inverse of `fft2`."""
    return ifftn(a, s, axes, norm)


def rfft2(a: Any, s: Any = None, axes: Any = LAST, norm: str | None = None) -> Variable:
    """`rfftn` along the last two axes, as np.fft.rfft2."""
    return rfftn(a, s, axes, norm)


def irfft2(a: Any, s: Any = None, axes: Any = LAST, norm: str | None = None) -> Variable:
    """The inverse of `rfft2`."""
    return irfftn(a, s, axes, norm)


def fftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of what `fft` of n numbers gives, d apart: 0, 1, ... and then the negative ones, over n * d.

    Floats of `config.floatX`. n: an integer, or an integer scalar variable.
    """
    length = ln.as_length(n, "fftfreq: n", 1)
    k = counting(length)
    return _over(f.where(f.lt(k, (length + 1) // 2), k, f.sub(k, length)), length, d)


def rfftfreq(n: Any, d: Any = 1.0) -> Variable:
    """The frequencies of what `rfft` of n numbers gives, d apart: 0, 1, ... n // 2, over n * d."""
    length = ln.as_length(n, "rfftfreq: n", 1)
    return _over(counting(length // 2 + 1), length, d)


def _over(k: Variable, n: Any, d: Any) -> Variable:
    floats = f.cast(k, config.floatX)
    return f.true_div(floats, f.mul(f.cast(n, config.floatX), d))


def fftshift(x: Any, axes: Any = None) -> Variable:
    """x with frequency 0 in the middle of each of `axes`, all if None, as np.fft.fftshift."""
    return _shifted("fftshift", x, axes, True)


def ifftshift(x: Any, axes: Any = None) -> Variable:
    """The inverse of `fftshift`, which differs for odd lengths."""
    return _shifted("ifftshift", x, axes, False)


def _shifted(what: str, x: Any, axes: Any, ahead: bool) -> Variable:
    v = as_variable(x)
    chosen = range(v.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    for axis in chosen:
        k = ln.axis_of(axis, v.ndim, what, v)
        half = ln.dim(v, k) // 2
        v = f.roll(v, half if ahead else -half, k)
    return v
