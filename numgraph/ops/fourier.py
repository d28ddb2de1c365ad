"""Discrete Fourier transforms along an axis: three ops on stacks [outer, n, inner], and NumPy's functions made of them.

Transforms are linear, and their gradients transforms: a matrix of exp(-2 pi i j k / n) is its own transpose. That of a
real line counts the numbers twice which stand for their conjugates, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Kernel, Op
from numgraph.ops import lengths as ln
from numgraph.ops.complexes import conj
from numgraph.ops.create import counting, zeros
from numgraph.ops.define import along_axis, f
from numgraph.ops.join import part
from numgraph.ops.lengths import Length
from numgraph.ops.shape import reshaped
from numgraph.types import COMPLEX, DISCRETE, complex_of, real_of

# Numbers are called by NumPy's names in `numgraph.fft`, and not in numgraph itself.
__all__: list[str] = []
INTERNAL = ["fft", "fftn", "hfft", "ifft", "ifftn", "ihfft", "irfft", "irfftn", "rfft", "rfftn"]

# Primes up to which lengths are transformed by butterflies, and from which length on a line is a matrix: as the kernel.
PRIMES, LONG = (2, 3, 5, 7, 11, 13), 4096
# By what sums are divided: nothing, the length, or its root.
AS_IT_IS, BY_LENGTH, BY_ROOT = 0, 1, 2
NORMS = {
    "backward": (AS_IT_IS, BY_LENGTH), "ortho": (BY_ROOT, BY_ROOT), "forward": (BY_LENGTH, AS_IT_IS),
}  # fmt: skip
_SCALES = {AS_IT_IS: "backward", BY_LENGTH: "forward", BY_ROOT: "ortho"}

# -- the memory of the kernel -----------------------------------------------------------------------------------------


def _is_smooth(n: int) -> bool:
    for p in PRIMES:
        while n > 1 and n % p == 0:
            n //= p
    return n <= 1


def _padded(n: int) -> int:
    m = max(2 * n - 1, 1)
    while not _is_smooth(m):
        m += 1
    return m


def _root(n: int) -> int:
    return next(k for k in range(int(n**0.5), 0, -1) if n % k == 0) if n > 0 else 1


def bytes_of(n: Dim, count: Dim) -> Dim:
    """Bytes in which the kernel works for lines of n numbers and a table of `count` roots; enough for float32 and
    float64, one line or several. Of a length that is not known as much as any takes."""
    if isinstance(n, int) and isinstance(count, int):
        m = n if _is_smooth(n) else _padded(n)
        blocks = 160 * m if n <= LONG else 32 * m
        matrix = 128 * (m // _root(m))
        tables = 16 * count + 24 * int(max(m, count) ** 0.5) + (32 * m + 16 * n if m != n else 0)
        return dims.aligned(blocks + matrix + tables + 1024)
    # at most, see `tests/language/test_fourier.py`
    most = n * 9 // 4 + 16
    return dims.aligned(dims.minimum(most, 3 * LONG) * 160 + most * 96 + count * 64 + 4096)


# -- the ops ----------------------------------------------------------------------------------------------------------


def _complex_dtype(dtypes: Sequence[str]) -> str:
    return complex_of(dtypes[0])


def _real_dtype(dtypes: Sequence[str]) -> str:
    return real_of(dtypes[0])


def _np_complex(x: NDArray[Any], inverse: int, scale: int) -> NDArray[Any]:
    # what scales an inverse in NumPy is called the other way around
    norms = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
    if not x.size:
        return np.asarray(x, complex_of(x.dtype.name))
    norm: Any = norms[_SCALES[scale]] if inverse else _SCALES[scale]
    return (np.fft.ifft if inverse else np.fft.fft)(x, axis=1, norm=norm)


def _np_real(x: NDArray[Any], scale: int) -> NDArray[Any]:
    if not x.size:
        return np.zeros((x.shape[0], x.shape[1] // 2 + 1, x.shape[2]), complex_of(x.dtype.name))
    norm: Any = _SCALES[scale]
    return np.fft.rfft(x, axis=1, norm=norm)


def _np_half(x: NDArray[Any], n: Any, scale: int) -> NDArray[Any]:
    if not x.size:
        return np.zeros((x.shape[0], int(n), x.shape[2]), real_of(x.dtype.name))
    norm: Any = {"backward": "forward", "forward": "backward", "ortho": "ortho"}[_SCALES[scale]]
    return np.fft.irfft(x, int(n), axis=1, norm=norm)


def _shares(m: Length, n: Length) -> Variable:
    """1, and 2 for what stands for its conjugate, too: of the first m of n numbers, [m, 1]."""
    k = counting(m)
    alone = f.or_(f.eq(k, 0), f.eq(f.mul(k, 2), n))
    shares: Variable = f.where(alone, 1.0, 2.0)[:, None]
    return shares


def _real_grad(g: Variable, out: Variable, x: Variable, scale: int) -> tuple[Any, ...]:
    n = ln.dim(x, 1)
    halved = f.true_div(conj(g), f.cast(_shares(ln.dim(out, 1), n), g.type.dtype))
    return (_half(halved, n, scale),)


def _half_grad(g: Variable, out: Variable, x: Variable, n: Variable, scale: int) -> tuple[Any, ...]:
    found = conj(apply(OPS["real_transform"], [g], scale=scale))
    return f.mul(found, f.cast(_shares(ln.dim(x, 1), ln.dim(out, 1)), found.type.dtype)), None


def _half(x: Variable, n: Length, scale: int) -> Variable:
    return apply(OPS["half_transform"], [x, *ln.operands([n])], scale=scale)


def _sizes(x: Any, n: Dim, *more: int) -> tuple[Any, ...]:
    return x.shape[0], n, x.shape[2], *more


_NOTHING = "a transform of {a} numbers: there must be at least {b}"
_STACKS = ((2, 4, 3), (1, 5, 1), (3, 1, 1), (1, 6, 2), (5, 8, 1), (2, 17, 1), (0, 3, 2), (2, 3, 0), (1, 30, 1))


def _samples(kind: str, **attrs: Any) -> Any:
    def draw() -> list[tuple[list[Any], dict[str, Any]]]:
        rng = np.random.default_rng(7)
        found: list[tuple[list[Any], dict[str, Any]]] = []
        for count, shape in enumerate(_STACKS):
            x: NDArray[Any] = rng.normal(size=shape)
            if kind == "complex":
                x = x + 1j * rng.normal(size=shape)
            more = {k: count % 3 if k == "scale" else count % 2 for k in attrs}
            found.append(([x], more))
        return found

    return draw


def _half_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    rng = np.random.default_rng(8)
    found: list[tuple[list[Any], dict[str, Any]]] = []
    for count, (outer, n, inner) in enumerate(_STACKS):
        shape = outer, n // 2 + 1, inner
        found.append(([rng.normal(size=shape) + 1j * rng.normal(size=shape), n], {"scale": count % 3}))
    return found


def _over_stacks(name: str) -> Any:
    """The new axis and that of the stacks become one, and are told apart again."""

    def batch(batched: Sequence[bool], x: Variable, *lengths: Variable, **attrs: Any) -> Variable | None:
        if any(batched[1:]):
            return None
        first, second, *others = ln.dims_of(x)
        found = apply(OPS[name], [reshaped(x, [ln.product([first, second]), *others]), *lengths], **attrs)
        return reshaped(found, [first, second, *ln.dims_of(found)[1:]])

    return batch


def _reach(counts: Variable | None, out: Variable, x: Variable, *lengths: Variable, **attrs: Any) -> tuple[Any, ...]:
    return (*along_axis(counts, out, x, axis=1), *(None for _ in lengths))


Op(
    "complex_transform",
    ("x",),
    "The Fourier transform of complex x [outer, n, inner] along its middle axis, or the inverse; sums are divided by "
    "nothing, n or its root.",
    _complex_dtype,
    _np_complex,
    lambda g, out, x, inverse, scale: (apply(OPS["complex_transform"], [g], inverse=inverse, scale=scale),),
    kernel=Kernel(
        "fourier.complex_lines", lambda x, inverse, scale: _sizes(x, x.shape[1], inverse, scale),
        own=lambda outer, n, inner, inverse, scale: bytes_of(n, n), multiplications=(0, 1, 2),
    ),
    shape=lambda x, inverse, scale: x.shape,
    checks=(Check("at_least", lambda x, **_: [(x.shape[1], 1)], _NOTHING),),
    reach=_reach, batch=_over_stacks("complex_transform"), complex=True, says="fft",
    dtypes=COMPLEX, samples=_samples("complex", inverse=0, scale=0), cost=30,
)  # fmt: skip
Op(
    "real_transform",
    ("x",),
    "The first n // 2 + 1 numbers of the Fourier transform of real x [outer, n, inner] along its middle axis.",
    _complex_dtype,
    _np_real,
    _real_grad,
    kernel=Kernel(
        "fourier.real_lines", lambda x, scale: _sizes(x, x.shape[1], scale),
        own=lambda outer, n, inner, scale: _real_bytes(n), multiplications=(0, 1, 2),
    ),
    shape=lambda x, scale: (x.shape[0], x.shape[1] // 2 + 1, x.shape[2]),
    checks=(Check("at_least", lambda x, **_: [(x.shape[1], 1)], _NOTHING),),
    reach=_reach, batch=_over_stacks("real_transform"), says="rfft",
    dtypes=("float32", "float64"), samples=_samples("real", scale=0), cost=30,
)  # fmt: skip
Op(
    "half_transform",
    ("x", "n"),
    "n real numbers along the middle axis: the inverse Fourier transform of lines of which x [outer, n // 2 + 1, "
    "inner] is the first half.",
    _real_dtype,
    _np_half,
    _half_grad,
    kernel=Kernel(
        "fourier.real_results", lambda x, n, scale: _sizes(x, n.value, scale),
        own=lambda outer, n, inner, scale: _real_bytes(n), multiplications=(0, 1, 2),
    ),
    shape=lambda x, n, scale: (x.shape[0], n.value, x.shape[2]),
    checks=(
        Check("at_least", lambda x, n, **_: [(n.value, 1)], _NOTHING),
        Check("equal", lambda x, n, **_: [(x.shape[1], n.value // 2 + 1)], "{a} numbers, where {b} are a half"),
    ),
    reach=_reach, batch=_over_stacks("half_transform"), complex=True, says="irfft",
    dtypes=COMPLEX, samples=_half_samples, cost=30,
)  # fmt: skip


def _real_bytes(n: Dim) -> Dim:
    """Of real lines: odd ones are complex lines, others of half the length, with a table of n roots."""
    if isinstance(n, int):
        return bytes_of(n, n) if n % 2 else bytes_of(n // 2, n)
    return bytes_of(n, n)


# -- along any axis ---------------------------------------------------------------------------------------------------


def resized(v: Variable, axis: int, n: Length) -> Variable:
    """v with n elements along an axis: the first ones, or zeros behind them."""
    old = ln.dim(v, axis)
    if ln.same_length(old, n):
        return v
    if isinstance(old, int) and isinstance(n, int) and n < old:
        return part(v, axis, None, n)
    lengths = ln.dims_of(v)
    lengths[axis] = n
    kept = ln.least(old, n)
    room = zeros([*lengths], v.type.dtype)
    return f.set_subtensor(part(room, axis, None, kept), part(v, axis, None, kept))


def _stacked(v: Variable, axis: int) -> Variable:
    """v as [outer, n, inner], n along the axis."""
    lengths = ln.dims_of(v)
    return reshaped(v, [ln.product(lengths[:axis]), lengths[axis], ln.product(lengths[axis + 1 :])])


def _along(v: Variable, axis: int, found: Variable) -> Variable:
    """What was made of `_stacked(v, axis)`, with v's axes."""
    lengths = ln.dims_of(v)
    lengths[axis] = ln.dim(found, 1)
    return reshaped(found, lengths)


def _operand(what: str, x: Any, to_complex: bool) -> Variable:
    v = as_variable(x)
    if v.ndim == 0:
        raise ShapeError(f"{what}: a scalar has no axis: {describe(v)}")
    if v.type.dtype in DISCRETE:
        v = f.cast(v, "float64")
    return f.cast(v, complex_of(v.type.dtype)) if to_complex else v


def _scale(what: str, norm: Any, inverse: bool) -> int:
    """How a transform is scaled; OptionError for another norm than those of NumPy."""
    if norm is not None and norm not in NORMS:
        raise OptionError(f'{what}: norm is "backward", "ortho" or "forward", not {norm!r}')
    return NORMS[norm or "backward"][int(inverse)]


def _length(what: str, n: Any, old: Length) -> Length:
    return old if n is None else ln.as_length(n, f"{what}: n", 1)


def _complex(what: str, x: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Variable:
    v = _operand(what, x, True)
    k = ln.axis_of(axis, v.ndim, what, v)
    v = resized(v, k, _length(what, n, ln.dim(v, k)))
    scale = _scale(what, norm, inverse)
    return _along(v, k, apply(OPS["complex_transform"], [_stacked(v, k)], inverse=int(inverse), scale=scale))


def fft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The discrete Fourier transform along an axis, complex, as np.fft.fft: sums of a[j] * exp(-2 pi i j k / n).

    n: how many elements of the axis, an integer or an integer scalar variable; fewer are followed by zeros. norm:
    "backward" (or None), "ortho", which divides by the root of n, or "forward", which divides by n. float32 and
    complex64 give complex64, others complex128. OptionError for another norm; AxisError; ShapeError for n below 1.
    """
    return _complex("fft", a, n, axis, norm, False)


def ifft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of `fft`, which divides by n unless `norm` says otherwise, as np.fft.ifft."""
    return _complex("ifft", a, n, axis, norm, True)


def rfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The first n // 2 + 1 numbers of `fft` of real a, as np.fft.rfft; the others would be their conjugates."""
    v = _operand("rfft", a, False)
    k = ln.axis_of(axis, v.ndim, "rfft", v)
    v = resized(v, k, _length("rfft", n, ln.dim(v, k)))
    return _along(v, k, apply(OPS["real_transform"], [_stacked(v, k)], scale=_scale("rfft", norm, False)))


def irfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of `rfft`, n real numbers, as np.fft.irfft; n is 2 * (length - 1) if it is None.

    The imaginary parts of the first number, and of the last one for an even n, are not looked at.
    """
    v = _operand("irfft", a, True)
    k = ln.axis_of(axis, v.ndim, "irfft", v)
    length = _length("irfft", n, ln.dim(v, k) * 2 - 2)
    v = resized(v, k, length // 2 + 1)
    return _along(v, k, _half(_stacked(v, k), length, _scale("irfft", norm, True)))


_SWAPPED = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The transform, n real numbers, of lines that are the conjugates of their reverse, of which `a` has the first
    half; as np.fft.hfft."""
    _scale("hfft", norm, False)
    return irfft(conj(a), n, axis, _SWAPPED[norm])


def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Variable:
    """The inverse of `hfft`, as np.fft.ihfft."""
    _scale("ihfft", norm, True)
    return conj(rfft(a, n, axis, _SWAPPED[norm]))


# -- along several axes -----------------------------------------------------------------------------------------------


def _axes(what: str, v: Variable, s: Any, axes: Any) -> list[tuple[int, Any]]:
    """The axes with the lengths that are wanted along them."""
    if axes is None:
        chosen = tuple(range(v.ndim)) if s is None else tuple(range(v.ndim - len(s), v.ndim))
    else:
        chosen = tuple(ln.axis_of(a, v.ndim, what, v) for a in axes)
    lengths = [None] * len(chosen) if s is None else list(s)
    if len(lengths) != len(chosen) or any(a < 0 for a in chosen):
        raise ShapeError(f"{what}: {len(lengths)} lengths for {len(chosen)} axes of {describe(v)}")
    if not chosen:
        raise ShapeError(f"{what}: there is no axis to transform: {describe(v)}")
    return list(zip(chosen, lengths, strict=True))


def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Variable:
    """`fft` along several axes, all if `axes` is None, as np.fft.fftn. s: the lengths along them, None for the whole
    axis."""
    v = _operand("fftn", a, True)
    for k, n in reversed(_axes("fftn", v, s, axes)):
        v = fft(v, n, k, norm)
    return v


def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Variable:
    """The inverse of `fftn`, as np.fft.ifftn."""
    v = _operand("ifftn", a, True)
    for k, n in reversed(_axes("ifftn", v, s, axes)):
        v = ifft(v, n, k, norm)
    return v


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Variable:
    """`rfft` along the last of several axes, then `fft` along the others, as np.fft.rfftn."""
    v = _operand("rfftn", a, False)
    *others, (last, length) = _axes("rfftn", v, s, axes)
    v = rfft(v, length, last, norm)
    for k, n in reversed(others):
        v = fft(v, n, k, norm)
    return v


def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Variable:
    """The inverse of `rfftn`, as np.fft.irfftn."""
    v = _operand("irfftn", a, True)
    *others, (last, length) = _axes("irfftn", v, s, axes)
    for k, n in others:
        v = ifft(v, n, k, norm)
    return irfft(v, length, last, norm)
