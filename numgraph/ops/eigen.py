"""Eigenvalues and eigenvectors of general matrices, which are complex.

The gradient: C. Boeddeker et al., "On the computation of complex-valued gradients with application to statistically
optimum beamforming" (2017), section 4.6; as in PyTorch, with the length of the vectors, 1, and their largest part,
which is real, held as LAPACK has them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Variable, apply
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.complexes import absolute_square, conj
from numgraph.ops.create import eye
from numgraph.ops.define import f
from numgraph.ops.matrices import SQUARE, adjoint, column, count, identity, line, product, stacks, transposed
from numgraph.ops.reduce import max_or_lowest
from numgraph.ops.spectral import CONVERGE
from numgraph.types import COMPLEX, complex_of

__all__ = ["eig", "eigvals"]

Array = NDArray[Any]


def _value(a: Array) -> Array:
    w, v = np.linalg.eig(a)
    return np.concatenate([w[..., None, :], np.swapaxes(v, -1, -2)], axis=-2)


def _held(gv: Variable, v: Variable) -> Variable:
    """The gradient of vectors whose largest part is real, whatever turns them."""
    size = absolute_square(v)
    # the first of equal ones; of a matrix without elements none
    tied = f.eq(size, max_or_lowest(size, (v.ndim - 2,), keepdims=True))
    largest = f.and_(tied, f.eq(f.cumsum(tied, -2), 1))
    turn = f.imag(f.sum(f.mul(conj(gv), v), -2, keepdims=True))
    return f.add(gv, f.where(largest, f.true_div(f.complex(0.0, turn), f.where(largest, v, 1)), 0))


def _of_inner(v: Variable, inner: Variable) -> Variable:
    """v^-H @ inner @ v^H, as a cotangent: the conjugate."""
    turned = adjoint(v)
    return conj(f.solve(turned, product(inner, turned)))


def _grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    w, v = out[..., 0, :], transposed(out[..., 1:, :])
    gw, gv = conj(g[..., 0, :]), transposed(conj(g[..., 1:, :]))
    gv = _held(gv, v)
    turned = product(adjoint(v), gv)
    diagonal = eye(ln.dim(a, -1), dtype="bool")
    along = f.real(f.sum(f.where(diagonal, turned, 0), -1))
    turned = f.sub(turned, f.mul(product(adjoint(v), v), line(along)))
    apart = conj(f.where(diagonal, 1, f.sub(line(w), column(w))))
    inner = f.where(diagonal, f.mul(line(gw), identity(a, ln.dim(a, -1))), f.masked_div(turned, apart))
    return (_of_inner(v, inner),)


def _values_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    v = transposed(apply(OPS["eig"], [a])[..., 1:, :])
    return (_of_inner(v, f.mul(line(conj(g)), identity(a, ln.dim(a, -1)))),)


def _samples() -> list[tuple[list[Any], dict[str, Any]]]:
    rng = np.random.default_rng(4)
    shapes = ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))
    # far from one another, so that their order is the same everywhere
    apart = [np.diag(np.arange(1.0, s[-1] + 1) * (2 + 1j)) for s in shapes]
    return [
        ([d + 0.3 * (rng.normal(size=s) + 1j * rng.normal(size=s))], {}) for s, d in zip(shapes, apart, strict=True)
    ]


Op(
    "eig",
    ("a",),
    "Of complex matrices a row of the eigenvalues, and a row for each eigenvector.",
    same,
    _value,
    _grad,
    kernel=Kernel("eigen.eig", lambda a: (count(a), a.shape[-1], 1), routines=("geev",), fails=CONVERGE),
    batch=over_stacks("eig"),
    shape=lambda a: (*a.shape[:-2], a.shape[-1] + 1, a.shape[-1]),
    checks=(SQUARE,),
    complex=True,
    dtypes=COMPLEX,
    samples=_samples,
    cost=60,
)
Op(
    "eigvals",
    ("a",),
    "The eigenvalues of complex matrices.",
    same,
    np.linalg.eigvals,
    _values_grad,
    kernel=Kernel("eigen.eig", lambda a: (count(a), a.shape[-1], 0), routines=("geev",), fails=CONVERGE),
    batch=over_stacks("eigvals"),
    shape=lambda a: a.shape[:-1],
    checks=(SQUARE,),
    complex=True,
    dtypes=COMPLEX,
    samples=_samples,
    cost=60,
)


class Eig(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Variable
    eigenvectors: Variable


def _general(what: str, a: Any) -> Variable:
    (v,) = stacks(what, a)
    return f.cast(v, complex_of(v.type.dtype))


def eig(a: Any) -> Eig:
    """(eigenvalues [..., n], eigenvectors [..., n, n]) of general matrices, as np.linalg.eig, but always complex.

    a: floats or complex numbers [..., n, n]. The eigenvalues are in no order; column k of the eigenvectors belongs to
    eigenvalue k, has length 1, and its largest part is real. MatrixError when the function runs where the iteration
    does not converge. The gradient does not exist where there are fewer than n eigenvectors, and that of vectors of
    equal eigenvalues neither.
    """
    found = apply(OPS["eig"], [_general("eig", a)])
    return Eig(found[..., 0, :], transposed(found[..., 1:, :]))


def eigvals(a: Any) -> Variable:
    """The eigenvalues of general matrices, as np.linalg.eigvals, but always complex; see `eig`."""
    return apply(OPS["eigvals"], [_general("eigvals", a)])
