"""Eigenvalues of symmetric matrices, and singular values.

An op has one result, so those of one factorisation lie in one array, of which users get the parts. Gradients: of `eigh`
M. Giles, "Collected matrix derivative results" (2008); of `svd` J. Townsend, "Differentiating the singular value
decomposition" (2016), eq. 36.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import eye
from numgraph.ops.define import f
from numgraph.ops.matrices import (
    FLOAT,
    SQUARE,
    column,
    count,
    definite,
    identity,
    is_square,
    line,
    matrices,
    product,
    sample,
    symmetric_gradient,
    transposed,
)
from numgraph.ops.shape import reshaped
from numgraph.types import COMPLEX

__all__ = ["eigh", "eigvalsh", "svd", "svdvals"]

CONVERGE = "the iteration did not converge (are there NaN or infinities?)"

# -- eigenvalues ------------------------------------------------------------------------------------------------------


def reciprocals(a: Variable, b: Variable) -> Variable:
    """1 / (b - a), and 0 on the diagonal."""
    apart = f.sub(b, a)
    diagonal = eye(ln.dim(apart, -1), dtype="bool")
    return f.where(diagonal, 0, f.true_div(1, f.where(diagonal, 1, apart)))


def eigh_value(a: NDArray[Any]) -> NDArray[Any]:
    w, v = np.linalg.eigh(a)
    return np.concatenate([w[..., None, :], np.swapaxes(v, -1, -2)], axis=-2)


def _eigh_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """v @ (diag(gw) + (v.T @ gv) / (w[j] - w[i])) @ v.T; vectors that nobody asked for bring no infinities."""
    w, rows = out[..., 0, :], out[..., 1:, :]
    gw, grows = g[..., 0, :], g[..., 1:, :]
    turned = f.masked_mul(product(rows, transposed(grows)), reciprocals(column(w), line(w)))
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
    eigh_value,
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
    return f.conj(transposed(v)) if UPLO in "Uu" else v


def _applied(name: str, v: Variable) -> Variable:
    """The op of that name, or the one of complex matrices."""
    return apply(OPS[f"complex_{name}" if v.type.dtype in COMPLEX else name], [v])


def eigh(a: Any, UPLO: str = "L") -> Eigh:
    """(eigenvalues [..., n], eigenvectors [..., n, n]) of symmetric matrices, or complex Hermitian ones, as
    np.linalg.eigh.

    a: [..., n, n], of which the lower triangle is read (UPLO="U": the upper one). The eigenvalues ascend;
    column k of the eigenvectors belongs to eigenvalue k, and has length 1. MatrixError when the function runs where the
    iteration does not converge. The gradient of vectors of equal eigenvalues does not exist, and is NaN or infinite.
    """
    v = _one_triangle("eigh", a, UPLO)
    if v.type.dtype in COMPLEX:
        found = apply(OPS["complex_eigh"], [v])
        return Eigh(f.real(found[..., 0, :]), transposed(found[..., 1:, :]))
    found = apply(OPS["eigh"], [v])
    return Eigh(found[..., 0, :], transposed(found[..., 1:, :]))


def eigvalsh(a: Any, UPLO: str = "L") -> Variable:
    """The eigenvalues of symmetric matrices, as np.linalg.eigvalsh; see `eigh`."""
    return _applied("eigvalsh", _one_triangle("eigvalsh", a, UPLO))


# -- singular values --------------------------------------------------------------------------------------------------


def _svd_lengths(a: Any, full: bool) -> tuple[Any, Any, Any]:
    """(columns of u, number of singular values, rows of vt) by the arithmetic of shapes."""
    rows, columns = a.shape[-2:]
    least = dims.minimum(rows, columns)
    return (rows, least, columns) if full else (least, least, least)


def svd_value(a: NDArray[Any], full: bool) -> NDArray[Any]:
    u, s, vt = np.linalg.svd(a, full_matrices=full)
    lead = a.shape[:-2]
    parts = (np.swapaxes(u, -1, -2), s, np.swapaxes(vt, -1, -2))
    lengths = [int(np.prod(p.shape[len(lead) :])) for p in parts]
    return np.concatenate([p.reshape(*lead, n) for p, n in zip(parts, lengths, strict=True)], -1)


def svd_shape(a: Any, full: bool) -> tuple[Any, ...]:
    left, least, right = _svd_lengths(a, full)
    return (*a.shape[:-2], left * a.shape[-2] + least + a.shape[-1] * right)


def svd_parts(packed: Variable, a: Variable, full: bool) -> tuple[Variable, Variable, Variable]:
    """u.T, s and vt.T of the op's result, or of its gradient."""
    lead, (rows, columns) = ln.dims_of(a)[:-2], ln.dims_of(a)[-2:]
    least = ln.least(rows, columns)
    left, right = (rows, columns) if full else (least, least)
    begin = left * rows
    u = reshaped(packed[..., :begin], [*lead, left, rows])
    s = packed[..., begin : begin + least]
    v = reshaped(packed[..., begin + least :], [*lead, columns, right])
    return u, s, v


def _svd_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    return (_svd_rule(svd_parts(g, a, False), svd_parts(out, a, False), a),)


def _svd_full_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """As of the vectors that belong to singular values; the others are not unique, and none may be asked for."""
    given, found = svd_parts(g, a, True), svd_parts(out, a, True)
    k = ln.least(*ln.dims_of(a)[-2:])
    checked = unasked(given[1], (given[0][..., k:, :], given[2][..., k:]), "svd", "full_matrices=False")
    wanted = (given[0][..., :k, :], checked, given[2][..., :k])
    return (_svd_rule(wanted, (found[0][..., :k, :], found[1], found[2][..., :k]), a),)


def unasked(v: Variable, gradients: Sequence[Variable], what: str, instead: str) -> Variable:
    """v, in a function that fails unless gradients of vectors that are not unique are 0: then the cost has none."""
    said = f"{what}: the cost depends on vectors that are not unique, so it has no gradient: use {instead}"
    return f.assert_op(v, *(f.all(f.eq(g, 0)) for g in gradients), message=said)


Parts = tuple[Variable, Variable, Variable]


def _svd_rule(given: Parts, found: Parts, a: Variable) -> Variable:
    """Townsend's eq. 36, with u, v and their gradients as rows."""
    (gut, gs, gv), (ut, s, v) = given, found
    u, gu, vt = transposed(ut), transposed(gut), transposed(v)
    gaps = reciprocals(column(f.sqr(s)), line(f.sqr(s)))
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
    return f.add(f.add(*parts[:2]), parts[2])


def _singular_values_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    u, _, v = svd_parts(apply(OPS["svd"], [a]), a, False)
    return (product(f.mul(transposed(u), line(g)), transposed(v)),)


RECTANGLES = ((3, 2), (2, 4), (2, 3, 3), (1, 1), (3, 0), (2, 0, 2), (0, 2, 2))


def rectangles() -> list[tuple[list[Any], dict[str, Any]]]:
    """Samples of matrices of all shapes."""
    return [([sample(*s)], {}) for s in RECTANGLES]


def _svd_op(name: str, doc: str, full: bool, grad: Any) -> None:
    Op(
        name, ("a",), f"Of a = u @ diag(s) @ vt: u.T, s and vt.T one behind the other; {doc}.", same,
        lambda a: svd_value(a, full), grad,
        kernel=Kernel(
            "spectral.svd", lambda a: (count(a), *a.shape[-2:], int(full), 1), routines=("gesdd",), fails=CONVERGE
        ),
        shape=lambda a: svd_shape(a, full), dtypes=FLOAT, samples=rectangles, cost=60, says="svd",
    )  # fmt: skip


_svd_op("svd", "u has as many columns, and vt as many rows, as there are singular values", False, _svd_grad)
_svd_op("svd_full", "u and vt are square", True, _svd_full_grad)
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
    samples=rectangles,
    cost=60,
)


class SVD(NamedTuple):
    """What `svd` gives."""

    U: Variable
    S: Variable
    Vh: Variable


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, vt) with `a = (u * s) @ vt` for each matrix of a, [..., m, n], as np.linalg.svd.

    s: [..., k], descending, k = min(m, n). u: [..., m, m] and vt: [..., n, n], or with full_matrices=False [..., m, k]
    and [..., k, n]. compute_uv: False for s alone. MatrixError when the function runs where the iteration does not
    converge. The gradient of vectors of equal singular values does not exist, and is NaN or infinite; a function whose
    cost depends on the vectors that full_matrices adds, which are not unique, ends with an AssertionFailed. Vectors of
    complex matrices have no gradient; s has one by `svdvals`.
    """
    (v,) = matrices("svd", a)
    if not compute_uv:
        return _applied("svdvals", v)
    full = bool(full_matrices) and not is_square(v)
    u, s, vectors = svd_parts(_applied("svd_full" if full else "svd", v), v, full)
    return SVD(transposed(u), f.real(s), transposed(vectors))


def svdvals(a: Any) -> Variable:
    """The singular values of each matrix of a, descending, as np.linalg.svdvals."""
    return _applied("svdvals", *matrices("svdvals", a))
