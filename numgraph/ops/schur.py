"""Schur forms of general matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.define import f
from numgraph.ops.matrices import SQUARE, count, matrices, sample, stacks, transposed
from numgraph.ops.shape import reshaped
from numgraph.ops.spectral import CONVERGE
from numgraph.types import COMPLEX, complex_of

__all__ = ["schur"]

# which eigenvalues come first, by SciPy's names, and what the kernel is told
ORDERS = {"": 0, "lhp": 1, "rhp": 2, "iuc": 3, "ouc": 4}


def _value(a: NDArray[Any], order: str) -> NDArray[Any]:
    from scipy import linalg

    scipys: Any = linalg.schur

    lead, n = a.shape[:-2], a.shape[-1]
    out = np.zeros((*lead, 2 * n * n + 1), a.dtype)
    for k in np.ndindex(*lead) if n else ():
        t, z, *first = scipys(a[k], "complex" if np.iscomplexobj(a) else "real", sort=order or None)
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


def schur(a: Any, output: str = "real", sort: str | None = None) -> tuple[Variable, ...]:
    """(t, z) with `a = z @ t @ conj(z.T)` for each matrix of a, [..., n, n], as scipy.linalg.schur.

    z is unitary. t is upper triangular, with the eigenvalues of a on its diagonal; that of a real matrix has a block of
    two rows and columns for each pair of complex ones, unless output is "complex", which makes all complex. sort:
    eigenvalues that come first: with a real part below 0 ("lhp") or not ("rhp"), within the unit circle ("iuc") or not
    ("ouc"); how many these are is then the third result, int64. MatrixError when the function runs where the iteration
    does not converge. There is no gradient.
    """
    if output not in ("real", "complex", "r", "c"):
        raise OptionError(f'schur: output is "real" or "complex", not {output!r}')
    if (sort or "") not in ORDERS:
        raise OptionError(f"schur: sort is one of lhp, rhp, iuc, ouc, not {sort!r}")
    (v,) = stacks("schur", a)
    if output in ("complex", "c"):
        v = f.cast(v, complex_of(v.type.dtype))
    if v.type.dtype not in COMPLEX:
        (v,) = matrices("schur", v, square=True)
    packed = apply(OPS["schur_complex" if v.type.dtype in COMPLEX else "schur_real"], [v], order=sort or "")
    lead, n = ln.dims_of(v)[:-2], ln.dim(v, -1)
    t, z = (transposed(reshaped(packed[..., k * n * n : (k + 1) * n * n], [*lead, n, n])) for k in (0, 1))
    return (t, z, f.cast(f.real(packed[..., -1]), "int64")) if sort else (t, z)
