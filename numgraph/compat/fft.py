"""Theano's Fourier transforms: those of `theano.tensor.fft` have real and imaginary parts along a last axis."""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable, as_variable
from numgraph.ops.define import f

# what Theano calls norms, and what NumPy does
_FORWARD = {None: "backward", "ortho": "ortho", "no_norm": "backward"}
_INVERSE = {None: "backward", "ortho": "ortho", "no_norm": "forward"}


def _named(norms: dict[Any, str], norm: Any) -> str:
    if norm not in norms:
        raise ValueError(f"Invalid value {norm!r} for norm, must be None, 'ortho' or 'no_norm'")
    return norms[norm]


def fft(a: Any, n: Any = None, axis: int | None = None) -> Variable:
    """`theano.tensor.fourier.fft`: of real or complex numbers, complex; along the last axis without `axis`."""
    return f.fft(as_variable(a), n, -1 if axis is None else axis)


def rfft(inp: Any, norm: Any = None) -> Variable:
    """The Fourier transform of each of m real inputs of any number of axes, [m, ..., n]: [m, ..., n // 2 + 1, 2]."""
    v = as_variable(inp)
    found = f.rfftn(v, None, range(1, v.ndim), _named(_FORWARD, norm))
    return f.stack([f.real(found), f.imag(found)], axis=-1)


def irfft(inp: Any, norm: Any = None, is_odd: bool = False) -> Variable:
    """The inverse of `rfft`. is_odd: whether the last axis of the result has an odd length."""
    if is_odd not in (True, False):
        raise ValueError(f"Invalid value {is_odd!r} for is_odd, must be True or False")
    v = as_variable(inp)
    numbers = f.complex(v[..., 0], v[..., 1])
    lengths = [*f.shape(numbers)[1:]]
    lengths[-1] = (lengths[-1] - 1) * 2 + int(is_odd)
    return f.irfftn(numbers, lengths, range(1, numbers.ndim), _named(_INVERSE, norm))
