"""Eigenvalues, singular values and orthogonal factors.

An op has one result, so those of one factorisation lie in one array, of which users get the parts. Gradients: of `eigh`
M. Giles, "Collected matrix derivative results" (2008); of `svd` J. Townsend, "Differentiating the singular value
decomposition" (2016), eq. 36; of `qr` S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra
functions" (2010), for wide matrices with D. Roberts and L. Roberts, "QR and LQ decomposition matrix backpropagation
algorithms for square, wide, and deep matrices" (2020).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import eye, tril
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import (
    SQUARE,
    column,
    count,
    definite,
    identity,
    line,
    matrices,
    product,
    sample,
    symmetric_gradient,
    transposed,
)
from numgraph.ops.shape import reshaped
from numgraph.ops.solve import FLOAT

__all__ = ["eigh", "eigvalsh", "qr", "svd", "svdvals"]

CONVERGE = "the iteration did not converge (are there NaN or infinities?)"

# -- eigenvalues ------------------------------------------------------------------------------------------------------


def _reciprocals(a: Variable, b: Variable) -> Variable:
    """1 / (b - a), and 0 on the diagonal."""
    apart = f.sub(b, a)
    diagonal = eye(ln.dim(apart, -1), dtype="bool")
    return f.where(diagonal, 0, f.true_div(1, f.where(diagonal, 1, apart)))


def _eigh_value(a: NDArray[Any]) -> NDArray[Any]:
    w, v = np.linalg.eigh(a)
    return np.concatenate([w[..., None, :], np.swapaxes(v, -1, -2)], axis=-2)


def _eigh_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """v @ (diag(gw) + (v.T @ gv) / (w[j] - w[i])) @ v.T; vectors that nobody asked for bring no infinities."""
    w, rows = out[..., 0, :], out[..., 1:, :]
    gw, grows = g[..., 0, :], g[..., 1:, :]
    turned = f.masked_mul(product(rows, transposed(grows)), _reciprocals(column(w), line(w)))
    inner = f.add(turned, f.mul(line(gw), identity(a, ln.dim(a, -1))))
    return (symmetric_gradient(product(transposed(rows), inner, rows)),)


def _eigenvalues_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    rows = apply(OPS["eigh"], [a])[..., 1:, :]
    return (symmetric_gradient(product(f.mul(transposed(rows), line(g)), rows)),)


def _symmetric() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([definite(*s)], {}) for s in ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))]


Op(
    "eigh",
    ("a",),
    "Of symmetric matrices, of which the lower triangle is read: a row of the eigenvalues, and a row for each "
    "eigenvector.",
    same,
    _eigh_value,
    _eigh_grad,
    kernel=Kernel("spectral.eigh", lambda a: (count(a), a.shape[-1], 1), routines=("syevd",), fails=CONVERGE),
    batch=over_stacks("eigh"),
    shape=lambda a: (*a.shape[:-2], a.shape[-1] + 1, a.shape[-1]),
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=_symmetric,
    cost=40,
)
Op(
    "eigvalsh",
    ("a",),
    "The eigenvalues of symmetric matrices, of which the lower triangle is read, ascending.",
    same,
    np.linalg.eigvalsh,
    _eigenvalues_grad,
    kernel=Kernel("spectral.eigh", lambda a: (count(a), a.shape[-1], 0), routines=("syevd",), fails=CONVERGE),
    batch=over_stacks("eigvalsh"),
    shape=lambda a: a.shape[:-1],
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=_symmetric,
    cost=40,
)


class Eigh(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Variable
    eigenvectors: Variable


def _one_triangle(what: str, a: Any, UPLO: str) -> Variable:
    if UPLO not in ("L", "U", "l", "u"):
        raise OptionError(f'{what}: UPLO is "L" or "U", not {UPLO!r}')
    (v,) = matrices(what, a, square=True)
    return transposed(v) if UPLO in "Uu" else v


def eigh(a: Any, UPLO: str = "L") -> Eigh:
    """(eigenvalues [..., n], eigenvectors [..., n, n]) of symmetric matrices, as np.linalg.eigh.

    a: floats [..., n, n], of which the lower triangle is read (UPLO="U": the upper one). The eigenvalues ascend;
    column k of the eigenvectors belongs to eigenvalue k, and has length 1. MatrixError when the function runs where the
    iteration does not converge. The gradient of vectors of equal eigenvalues does not exist, and is NaN or infinite.
    """
    found = apply(OPS["eigh"], [_one_triangle("eigh", a, UPLO)])
    return Eigh(found[..., 0, :], transposed(found[..., 1:, :]))


def eigvalsh(a: Any, UPLO: str = "L") -> Variable:
    """The eigenvalues of symmetric matrices, as np.linalg.eigvalsh; see `eigh`."""
    return apply(OPS["eigvalsh"], [_one_triangle("eigvalsh", a, UPLO)])


# -- singular values --------------------------------------------------------------------------------------------------


def _svd_lengths(a: Any, full: bool) -> tuple[Any, Any, Any]:
    """(columns of u, number of singular values, rows of vt) by the arithmetic of shapes."""
    rows, columns = a.shape[-2:]
    least = dims.minimum(rows, columns)
    return (rows, least, columns) if full else (least, least, least)


def _svd_value(a: NDArray[Any], full: bool) -> NDArray[Any]:
    u, s, vt = np.linalg.svd(a, full_matrices=full)
    lead = a.shape[:-2]
    parts = (np.swapaxes(u, -1, -2), s, np.swapaxes(vt, -1, -2))
    lengths = [int(np.prod(p.shape[len(lead) :])) for p in parts]
    return np.concatenate([p.reshape(*lead, n) for p, n in zip(parts, lengths, strict=True)], -1)


def _svd_shape(a: Any, full: bool) -> tuple[Any, ...]:
    left, least, right = _svd_lengths(a, full)
    return (*a.shape[:-2], left * a.shape[-2] + least + a.shape[-1] * right)


def _svd_parts(packed: Variable, a: Variable, full: bool) -> tuple[Variable, Variable, Variable]:
    """u.T, s and vt.T of the op's result, or of its gradient."""
    lead, (rows, columns) = ln.dims_of(a)[:-2], ln.dims_of(a)[-2:]
    least = ln.least(rows, columns)
    left, right = (rows, columns) if full else (least, least)
    begin = left * rows
    u = reshaped(packed[..., :begin], [*lead, left, rows])
    s = packed[..., begin : begin + least]
    v = reshaped(packed[..., begin + least :], [*lead, columns, right])
    return u, s, v


def _is_square(a: Variable) -> bool:
    """Whether matrices are known to be square."""
    return ln.same_length(ln.dim(a, -2), ln.dim(a, -1))


def _svd_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """Townsend's eq. 36, with u, v and their gradients as rows."""
    ut, s, v = _svd_parts(out, a, False)
    gut, gs, gv = _svd_parts(g, a, False)
    u, gu, vt = transposed(ut), transposed(gut), transposed(v)
    gaps = _reciprocals(column(f.sqr(s)), line(f.sqr(s)))
    inverse = f.true_div(1, s)

    def turned(rows: Variable, gradient: Variable) -> Variable:
        inner = product(rows, gradient)
        return f.masked_mul(f.sub(inner, transposed(inner)), gaps)

    inner = f.add(f.mul(turned(ut, gu), line(s)), f.mul(column(s), turned(vt, gv)))
    inner = f.add(inner, f.mul(line(gs), identity(a, ln.dim(s, -1))))
    outside = f.sub(gu, product(u, ut, gu))
    beside = f.sub(gv, product(v, vt, gv))
    parts = (
        product(u, inner, vt),
        product(f.masked_mul(outside, line(inverse)), vt),
        product(u, transposed(f.masked_mul(beside, line(inverse)))),
    )
    return (f.add(f.add(*parts[:2]), parts[2]),)


def _singular_values_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    u, _, v = _svd_parts(apply(OPS["svd"], [a]), a, False)
    return (product(f.mul(transposed(u), line(g)), transposed(v)),)


_RECTANGLES = ((3, 2), (2, 4), (2, 3, 3), (1, 1), (3, 0), (2, 0, 2), (0, 2, 2))


def _rectangles() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([sample(*s)], {}) for s in _RECTANGLES]


def _svd_op(name: str, doc: str, full: bool, grad: Any, no_grad: str = "") -> None:
    Op(
        name, ("a",), f"Of a = u @ diag(s) @ vt: u.T, s and vt.T one behind the other; {doc}.", same,
        lambda a: _svd_value(a, full), grad, no_grad,
        kernel=Kernel(
            "spectral.svd", lambda a: (count(a), *a.shape[-2:], int(full), 1), routines=("gesdd",), fails=CONVERGE
        ),
        shape=lambda a: _svd_shape(a, full), dtypes=FLOAT, samples=_rectangles, cost=60, says="svd",
    )  # fmt: skip


_svd_op("svd", "u has as many columns, and vt as many rows, as there are singular values", False, _svd_grad)
_svd_op("svd_full", "u and vt are square", True, None,
        "the vectors that full_matrices=True adds are not unique: use svd(a, full_matrices=False)")  # fmt: skip
Op(
    "svdvals",
    ("a",),
    "The singular values of each matrix, descending.",
    same,
    lambda a: np.linalg.svd(a, compute_uv=False),
    _singular_values_grad,
    kernel=Kernel("spectral.svd", lambda a: (count(a), *a.shape[-2:], 0, 0), routines=("gesdd",), fails=CONVERGE),
    batch=over_stacks("svdvals"),
    shape=lambda a: (*a.shape[:-2], dims.minimum(*a.shape[-2:])),
    dtypes=FLOAT,
    samples=_rectangles,
    cost=60,
)


class SVD(NamedTuple):
    """What `svd` gives."""

    U: Variable
    S: Variable
    Vh: Variable


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, vt) with `a = (u * s) @ vt` for each matrix of a, floats [..., m, n], as np.linalg.svd.

    s: [..., k], descending, k = min(m, n). u: [..., m, m] and vt: [..., n, n], or with full_matrices=False [..., m, k]
    and [..., k, n]; only these have gradients where m and n are not known to be equal. compute_uv: False for s alone.
    MatrixError when the function runs where the iteration does not converge. The gradient of vectors of equal singular
    values does not exist, and is NaN or infinite.
    """
    (v,) = matrices("svd", a)
    if not compute_uv:
        return apply(OPS["svdvals"], [v])
    full = bool(full_matrices) and not _is_square(v)
    u, s, vectors = _svd_parts(apply(OPS["svd_full" if full else "svd"], [v]), v, full)
    return SVD(transposed(u), s, transposed(vectors))


def svdvals(a: Any) -> Variable:
    """The singular values of each matrix of a, descending, as np.linalg.svdvals."""
    return apply(OPS["svdvals"], matrices("svdvals", a))


# -- orthogonal factors -----------------------------------------------------------------------------------------------


def _qr_lengths(a: Any, mode: str) -> tuple[Any, Any]:
    """(columns of q, rows of r) by the arithmetic of shapes."""
    least = dims.minimum(*a.shape[-2:])
    return {"reduced": (least, least), "complete": (a.shape[-2],) * 2, "r": (0, least)}[mode]


def _qr_value(a: NDArray[Any], mode: str) -> NDArray[Any]:
    lead = a.shape[:-2]
    found: Any = np.linalg.qr(a, mode)  # type: ignore[call-overload]
    parts = (found,) if mode == "r" else found
    sizes = [int(np.prod(p.shape[len(lead) :])) for p in parts]
    return np.concatenate([p.reshape(*lead, n) for p, n in zip(parts, sizes, strict=True)], -1)


def _qr_shape(a: Any, mode: str) -> tuple[Any, ...]:
    columns, rows = _qr_lengths(a, mode)
    return (*a.shape[:-2], a.shape[-2] * columns + rows * a.shape[-1])


def _qr_parts(packed: Variable, a: Variable, mode: str) -> tuple[Variable, Variable]:
    lead, (rows, columns) = ln.dims_of(a)[:-2], ln.dims_of(a)[-2:]
    wide: Length = rows if mode == "complete" else ln.least(rows, columns)
    begin = rows * wide
    q = reshaped(packed[..., :begin], [*lead, rows, wide])
    return q, reshaped(packed[..., begin:], [*lead, wide, columns])


def _qr_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """Of a = [x, y], y what is wider than high: q, u = qr(x), and the rest of r is q.T @ y."""
    q, r = _qr_parts(out, a, "reduced")
    gq, gr = _qr_parts(g, a, "reduced")
    k = ln.least(ln.dim(a, -2), ln.dim(a, -1))
    u, gu, gv, y = r[..., :k], gr[..., :k], gr[..., k:], a[..., k:]
    gq = f.add(gq, product(y, transposed(gv)))
    inner = f.sub(product(u, transposed(gu)), product(transposed(gq), q))
    both = f.add(tril(inner), transposed(tril(inner, -1)))
    right = transposed(f.add(gq, product(q, both)))
    gx = transposed(apply(OPS["solve_triangular"], [u, right], upper=True, transposed=False, unit=False))
    return (f.concatenate([gx, product(q, gv)], axis=-1),)


def _r_grad(g: Variable, a: Variable) -> tuple[Variable]:
    """As of both factors, of which q has no gradient."""
    rows, columns = ln.dims_of(a)[-2:]
    nothing = f.zeros((*ln.dims_of(a)[:-2], rows * ln.least(rows, columns)), a.type.dtype)
    return _qr_grad(f.concatenate([nothing, g], axis=-1), apply(OPS["qr"], [a]), a)


def _qr_op(name: str, doc: str, mode: str, grad: Any, no_grad: str = "") -> None:
    Op(
        name, ("a",), f"Of a = q @ r: {doc}.", same, lambda a: _qr_value(a, mode), grad, no_grad,
        kernel=Kernel(
            "spectral.qr", lambda a: (count(a), *a.shape[-2:], *_qr_lengths(a, mode)), routines=("gelqf", "orglq"),
            fails="the factors were not found",
        ),
        shape=lambda a: _qr_shape(a, mode), dtypes=FLOAT, samples=_rectangles, cost=40, says="qr",
    )  # fmt: skip


_qr_op("qr", "q and r one behind the other, with as many columns and rows as can be", "reduced", _qr_grad)
_qr_op("qr_r", "r alone", "r", lambda g, out, a: _r_grad(g, a))
_qr_op("qr_complete", "q, which is square, and r one behind the other", "complete", None,
       'the columns that mode="complete" adds are not unique: use mode="reduced"')  # fmt: skip


class QR(NamedTuple):
    """What `qr` gives."""

    Q: Variable
    R: Variable


def qr(a: Any, mode: str = "reduced") -> Any:
    """(q, r) with `a = q @ r` for each matrix of a, floats [..., m, n], as np.linalg.qr.

    q has orthonormal columns, r is upper triangular. mode: "reduced" for [..., m, k] and [..., k, n], k = min(m, n);
    "complete" for [..., m, m] and [..., m, n]; "r" for r of "reduced" alone. Gradients: of "complete" only where m and
    n are known to be equal; MatrixError when the function runs where the first k columns are singular.
    """
    if mode not in ("reduced", "complete", "r"):
        raise OptionError(f'qr: mode is "reduced", "complete" or "r", not {mode!r}')
    (v,) = matrices("qr", a)
    if mode == "r":
        packed = apply(OPS["qr_r"], [v])
        rows, columns = ln.dims_of(v)[-2:]
        return reshaped(packed, [*ln.dims_of(v)[:-2], ln.least(rows, columns), columns])
    mode = "reduced" if _is_square(v) else mode
    return QR(*_qr_parts(apply(OPS["qr" if mode == "reduced" else "qr_complete"], [v]), v, mode))
