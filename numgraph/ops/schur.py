"""Schur forms of general matrices, and of pairs of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Check, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.define import f
from numgraph.ops.matrices import (
    NOT_SQUARE,
    SQUARE,
    STACKS,
    SYSTEM,
    count,
    matrices,
    sample,
    stacks,
    together,
    transposed,
)
from numgraph.ops.shape import reshaped
from numgraph.ops.spectral import CONVERGE
from numgraph.types import COMPLEX, complex_of

__all__ = ["ordqz", "qz", "schur"]

# which eigenvalues come first, by SciPy's names, and what the kernel is told
ORDERS = {"": 0, "lhp": 1, "rhp": 2, "iuc": 3, "ouc": 4}
# The circle for SciPy's schur, of an eigenvalue or its two parts: that of 1.13 looks at real parts alone.
_CIRCLE: dict[str, Callable[..., bool]] = {
    "iuc": lambda x, y=0.0: abs(x + 1j * y) <= 1.0, "ouc": lambda x, y=0.0: abs(x + 1j * y) > 1.0,
}  # fmt: skip


def _value(a: NDArray[Any], order: str) -> NDArray[Any]:
    from scipy import linalg

    scipys: Any = linalg.schur

    lead, n, by = a.shape[:-2], a.shape[-1], _CIRCLE.get(order, order or None)
    out = np.zeros((*lead, 2 * n * n + 1), a.dtype)
    for k in np.ndindex(*lead) if n else ():
        t, z, *first = scipys(a[k], "complex" if np.iscomplexobj(a) else "real", sort=by)
        out[k] = np.concatenate([t.T.ravel(), z.T.ravel(), first or [0]])
    return out


def _samples(whole: bool) -> list[tuple[list[Any], dict[str, Any]]]:
    shapes = ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))
    drawn = [sample(*s, seed=2) - 3.5 * np.eye(s[-1]) for s in shapes]
    turned = [1j * sample(*s, seed=3)[..., ::-1] if whole else 0 for s in shapes]
    return [([a + b], {"order": order}) for order in ("", "lhp", "ouc") for a, b in zip(drawn, turned, strict=True)]


def _schur_op(name: str, kernel: str, dtypes: tuple[str, ...], whole: bool) -> None:
    Op(
        name, ("a",), "Of a = z @ t @ conj(z.T): t, z, both by columns, and how many eigenvalues of `order` are in "
        "front, one behind the other.", same, _value, None,
        no_grad="it changes at once where eigenvalues meet: use eig, or functions of the matrix",
        kernel=Kernel(
            kernel, lambda a, order: (count(a), a.shape[-1], ORDERS[order]), routines=("gees", "trsen"), fails=CONVERGE
        ),
        batch=over_stacks(name), shape=lambda a, order: (*a.shape[:-2], 2 * a.shape[-1] * a.shape[-1] + 1),
        checks=(SQUARE,), dtypes=dtypes, complex=whole, samples=lambda: _samples(whole), cost=60, says="schur",
    )  # fmt: skip


# of a matrix in another precision the vectors may be turned
_schur_op("schur_real", "schur.schur", ("float64",), False)
_schur_op("schur_complex", "schur.complex_schur", ("complex128",), True)


# -- pairs -------------------------------------------------------------------------------------------------------------


def _pair_value(a: NDArray[Any], b: NDArray[Any], order: str, what: str = "") -> NDArray[Any]:
    from scipy import linalg

    lead, n = a.shape[:-2], a.shape[-1]
    whole = np.iscomplexobj(a)
    out = np.zeros((*lead, 4 * n * n + (2 if whole else 3) * n), np.result_type(a, b))
    scipys: Any = linalg.ordqz
    for k in np.ndindex(*lead) if n else ():
        if order:
            s, t, x, y, q, z = scipys(a[k], b[k], order, "complex" if whole else "real")
        else:
            # SciPy's qz keeps the eigenvalues to itself
            gges: Any = linalg.get_lapack_funcs("gges", (a[k], b[k]))
            s, t, _, *values, y, q, z, _, _ = gges(lambda *_: None, a[k], b[k], sort_t=0)
            x = values[0] if whole else values[0] + 1j * values[1]
        parts = (x, y) if whole else (np.real(x), np.imag(x), y)
        out[k] = np.concatenate([*(m.T.ravel() for m in (s, t, q, z)), *parts])
    return out


def _pair_samples(whole: bool) -> list[tuple[list[Any], dict[str, Any]]]:
    return [([a, sample(*a.shape, seed=7).astype(a.dtype)], attrs) for (a,), attrs in _samples(whole)]


def _pair_op(name: str, kernel: str, dtypes: tuple[str, ...], whole: bool) -> None:
    Op(
        name, ("a", "b"), "Of a = q @ s @ conj(z.T) and b = q @ t @ conj(z.T): s, t, q, z, by columns, eigenvalues, by "
        "their parts where matrices are real, and what they are divided by, one behind the other.", same,
        _pair_value, None,
        no_grad="it changes at once where eigenvalues meet: use functions of the matrices",
        kernel=Kernel(
            kernel, lambda a, b, order, **_: (count(a), a.shape[-1], ORDERS[order]), routines=("gges", "tgsen"),
            fails=CONVERGE,
        ),
        batch=over_stacks(name),
        shape=lambda a, b, order, **_: (
            *a.shape[:-2], 4 * a.shape[-1] * a.shape[-1] + (2 if whole else 3) * a.shape[-1],
        ),
        checks=(SQUARE, SYSTEM, STACKS, Check("equal", lambda a, b, **_: [(b.shape[-2], b.shape[-1])], NOT_SQUARE)),
        dtypes=dtypes, complex=whole, samples=lambda: _pair_samples(whole), cost=80, says="qz",
    )  # fmt: skip


_pair_op("qz_real", "pencils.qz", ("float64",), False)
_pair_op("qz_complex", "pencils.complex_qz", ("complex128",), True)

# -- what users call ---------------------------------------------------------------------------------------------------


def _output(what: str, output: str, *values: Any) -> list[Variable]:
    """Matrices of one dtype, complex where they are or are to be."""
    if output not in ("real", "complex", "r", "c"):
        raise OptionError(f'{what}: output is "real" or "complex", not {output!r}')
    found = stacks(what, *values)
    if output in ("complex", "c"):
        found = [f.cast(v, complex_of(v.type.dtype)) for v in found]
    return matrices(what, *found, square=True)


def schur(a: Any, output: str = "real", sort: str | None = None) -> tuple[Variable, ...]:
    """(t, z) with `a = z @ t @ conj(z.T)` for each matrix of a, [..., n, n], as scipy.linalg.schur.

    z is unitary. t is upper triangular, with the eigenvalues of a on its diagonal; that of a real matrix has a block of
    two rows and columns for each pair of complex ones, unless output is "complex", which makes all complex. sort:
    eigenvalues that come first: with a real part below 0 ("lhp") or not ("rhp"), within the unit circle ("iuc") or not
    ("ouc"); how many these are is then the third result, int64. MatrixError when the function runs where the iteration
    does not converge. There is no gradient.
    """
    if (sort or "") not in ORDERS:
        raise OptionError(f"schur: sort is one of lhp, rhp, iuc, ouc, not {sort!r}")
    (v,) = _output("schur", output, a)
    packed = apply(OPS["schur_complex" if v.type.dtype in COMPLEX else "schur_real"], [v], order=sort or "")
    lead, n = ln.dims_of(v)[:-2], ln.dim(v, -1)
    t, z = (transposed(reshaped(packed[..., k * n * n : (k + 1) * n * n], [*lead, n, n])) for k in (0, 1))
    return (t, z, f.cast(f.real(packed[..., -1]), "int64")) if sort else (t, z)


def qz(a: Any, b: Any, output: str = "real") -> tuple[Variable, ...]:
    """(s, t, q, z) with `a = q @ s @ conj(z.T)` and `b = q @ t @ conj(z.T)` for pairs of matrices, [..., n, n], as
    scipy.linalg.qz.

    q and z are unitary, t is upper triangular, and s as well, but for blocks of two where matrices are real, as of
    `schur`; axes in front broadcast. MatrixError when the function runs where the iteration does not converge. There is
    no gradient.
    """
    s, t, _, _, q, z = ordered_pairs("qz", a, b, "", output)
    return s, t, q, z


def ordqz(a: Any, b: Any, sort: str = "lhp", output: str = "real") -> tuple[Variable, ...]:
    """(s, t, alpha, beta, q, z) as scipy.linalg.ordqz: as `qz`, with the eigenvalues alpha / beta that `sort` says in
    front, as of `schur`. alpha: complex [..., n]; beta: [..., n], 0 where an eigenvalue is infinite."""
    if sort not in ORDERS or not sort:
        raise OptionError(f"ordqz: sort is one of lhp, rhp, iuc, ouc, not {sort!r}")
    return ordered_pairs("ordqz", a, b, sort, output)


def ordered_pairs(what: str, a: Any, b: Any, sort: str, output: str = "real") -> tuple[Variable, ...]:
    """As `ordqz`, for the function `what` of the user's, in the words of its errors."""
    v, w = together(*_output(what, output, a, b))
    whole = v.type.dtype in COMPLEX
    packed = apply(OPS["qz_complex" if whole else "qz_real"], [v, w], order=sort, what=what)
    lead, n = ln.dims_of(v)[:-2], ln.dim(v, -1)
    s, t, q, z = (transposed(reshaped(packed[..., k * n * n : (k + 1) * n * n], [*lead, n, n])) for k in range(4))
    parts = [packed[..., 4 * n * n + k * n : 4 * n * n + (k + 1) * n] for k in range(2 if whole else 3)]
    return s, t, parts[0] if whole else f.complex(*parts[:2]), parts[-1], q, z
