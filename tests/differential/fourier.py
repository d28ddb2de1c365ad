"""Kinds of Fourier transforms: of reals and of complex numbers, along any axis, cut and filled, and their gradients.

Results are real, since that is what other kinds take; what is complex lies within a step. Devices have no transforms.
"""

from __future__ import annotations

from tests.differential import drawer as d
from tests.differential.drawer import Drawer
from tests.differential.grades import Worth

# {x} and {y}: arrays of one shape; {k}: an axis; {n}: a length; {norm}: how it is scaled.
OF_REALS = (
    "abs(ng.fft.rfft({x}, axis={k}, norm={norm!r}))",
    "ng.real(ng.fft.rfft({x}, {n}, {k}))",
    "ng.imag(ng.fft.fft({x}, axis={k}))",
    "ng.fft.irfft(ng.fft.rfft({x}, axis={k}), {x}.shape[{k}], {k})",
    "ng.fft.irfft(ng.fft.rfft({x}, axis={k}) * ng.fft.rfft({y}, axis={k}), {x}.shape[{k}], {k})",
    "ng.fft.irfft({x}, {n}, {k}, {norm!r})",
    "ng.fft.hfft({x}, {n}, {k})",
    "ng.imag(ng.fft.ihfft({x}, {n}, {k}))",
    "ng.real(ng.fft.fft({x}[::-1], {n}, -1)) * 2",
    "ng.real(ng.fft.fftshift(ng.fft.fft({x}, axis={k}), axes={k}))",
)
OF_COMPLEX = (
    "ng.real(ng.fft.fft(ng.complex({x}, {y}), {n}, {k}, {norm!r}))",
    "ng.imag(ng.fft.ifft(ng.complex({x}, {y}), axis={k}, norm={norm!r}))",
    "ng.real(ng.fft.ifft(ng.fft.fft(ng.complex({x}, {y}), axis={k}) * ng.exp(ng.complex(-abs({y}), {y})), axis={k}))",
    "ng.real(ng.conj(ng.fft.fft({x}, axis={k})) * ng.complex({y}, {x}))",
    "abs(ng.fft.fft(ng.complex({x}, {y}), axis={k}).sum(axis={k}))",
    "ng.fft.irfft(ng.complex({x}, {y}), {n}, {k})",
)
OF_PLANES = (
    "ng.real(ng.fft.fft2(ng.complex({x}, {y})))",
    "ng.imag(ng.fft.rfft2({x}, norm={norm!r}))",
    "ng.fft.irfft2(ng.fft.rfft2({x}), {x}.shape[-2:])",
    "ng.real(ng.fft.ifftn(ng.complex({x}, {y}), axes=(0, -1)))",
)


def is_small(w: Worth) -> bool:
    return 0 < w.array.size <= 400 and d.is_tame(w)


def transformed(g: Drawer) -> str | None:
    """The transform of a value."""
    text = None if g.small else _of(g, g.pick(d.is_float, d.has_axes(1), is_small))
    return None if text is None else g.step(text, "transform", "fourier")


def slope(g: Drawer) -> str | None:
    """A gradient through one; of a modulus only with a kink that no value is at."""
    x = None if g.small else g.leaf(is_small)
    text = _of(g, x)
    if text is None or "abs(" in text:
        return None
    cost = g.one_of(("ng.sum(({}) ** 2)", "ng.sum(ng.tanh({}))")).format(text)
    return g.step(f"ng.grad({cost}, {x})", "transform", "gradient of fourier")


def _of(g: Drawer, x: str | None) -> str | None:
    """A real expression of the transform of a value."""
    if x is None:
        return None
    ndim = g.array(x).ndim
    same = g.pick(d.is_float, is_small, lambda w: w.array.shape == g.array(x).shape)
    forms = OF_REALS + OF_COMPLEX + (OF_PLANES if ndim > 1 else ())
    places = {"x": x, "y": same or x, "k": g.one_of((0, -1)), "n": 2 + g.choose(12)}
    return g.one_of(forms).format(**places, norm=g.one_of((None, "ortho", "forward")))
