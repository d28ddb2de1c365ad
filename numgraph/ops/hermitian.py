"""Singular values of complex matrices, and eigenvalues of Hermitian ones.

Gradients as of real matrices (`spectral`), with conjugates: what arrives, dC/dx - i dC/dy, is the conjugate of the
gradient. A vector may be turned by any phase; that of the vectors is right where the cost does not depend on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.op import OPS, Kernel, Op, real, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.complexes import conj
from numgraph.ops.define import f
from numgraph.ops.matrices import (
    SQUARE,
    column,
    count,
    definite_hermitian,
    hermitian_gradient,
    identity,
    line,
    product,
    sample,
    transposed,
)
from numgraph.ops.spectral import (
    CONVERGE,
    RECTANGLES,
    eigh_value,
    reciprocals,
    svd_parts,
    svd_shape,
    svd_value,
)
from numgraph.types import COMPLEX

__all__: list[str] = []

Samples = list[tuple[list[Any], dict[str, Any]]]

# in another precision vectors may be turned
_DOUBLE = ("complex128",)


# -- eigenvalues of Hermitian matrices --------------------------------------------------------------------------------


def _eigh_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    w, rows = f.real(out[..., 0, :]), out[..., 1:, :]
    gw, grows = f.real(g[..., 0, :]), conj(g[..., 1:, :])
    turned = f.masked_mul(product(conj(rows), transposed(grows)), reciprocals(column(w), line(w)))
    inner = f.add(turned, f.mul(line(gw), identity(a, ln.dim(a, -1))))
    return (hermitian_gradient(conj(product(transposed(rows), inner, conj(rows)))),)


def _eigvalsh_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    rows = apply(OPS["complex_eigh"], [a])[..., 1:, :]
    return (hermitian_gradient(conj(product(f.mul(transposed(rows), line(g)), conj(rows)))),)


def _hermitian() -> Samples:
    return [([definite_hermitian(*s)], {}) for s in ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))]


Op(
    "complex_eigh",
    ("a",),
    "As eigh, of Hermitian matrices: a row of the eigenvalues, and a row for each eigenvector.",
    same,
    eigh_value,
    _eigh_grad,
    kernel=Kernel("hermitian.complex_eigh", lambda a: (count(a), a.shape[-1]), routines=("heevd",), fails=CONVERGE),
    batch=over_stacks("complex_eigh"),
    shape=lambda a: (*a.shape[:-2], a.shape[-1] + 1, a.shape[-1]),
    checks=(SQUARE,),
    complex=True,
    dtypes=_DOUBLE,
    samples=_hermitian,
    cost=60,
    says="eigh",
)
Op(
    "complex_eigvalsh",
    ("a",),
    "As eigvalsh, of Hermitian matrices.",
    real,
    np.linalg.eigvalsh,
    _eigvalsh_grad,
    kernel=Kernel("hermitian.complex_eigvalsh", lambda a: (count(a), a.shape[-1]), routines=("heevd",), fails=CONVERGE),
    batch=over_stacks("complex_eigvalsh"),
    shape=lambda a: a.shape[:-1],
    checks=(SQUARE,),
    complex=True,
    dtypes=COMPLEX,
    samples=_hermitian,
    cost=60,
    says="eigvalsh",
)

# -- singular values ---------------------------------------------------------------------------------------------------


def _rectangles() -> Samples:
    return [([sample(*s) + 1j * sample(*s, seed=1)], {}) for s in RECTANGLES]


def _values_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    u, _, v = svd_parts(apply(OPS["complex_svd"], [a]), a, False)
    return (conj(product(f.mul(transposed(u), line(g)), transposed(v))),)


def _svd_op(name: str, full: bool) -> None:
    Op(
        name, ("a",), "As svd, of complex matrices: u.T, s and vt.T one behind the other.", same,
        lambda a: svd_value(a, full), None,
        no_grad="vectors of complex matrices may be turned by any phase: use svdvals, or eigh(conj(a.T) @ a)",
        kernel=Kernel(
            "hermitian.complex_svd", lambda a: (count(a), *a.shape[-2:], int(full)), routines=("gesdd",),
            fails=CONVERGE,
        ),
        shape=lambda a: svd_shape(a, full), complex=True, dtypes=_DOUBLE, samples=_rectangles, cost=80, says="svd",
    )  # fmt: skip


_svd_op("complex_svd", False)
_svd_op("complex_svd_full", True)
Op(
    "complex_svdvals",
    ("a",),
    "As svdvals, of complex matrices.",
    real,
    lambda a: np.linalg.svd(a, compute_uv=False),
    _values_grad,
    kernel=Kernel(
        "hermitian.complex_singular_values",
        lambda a: (count(a), *a.shape[-2:]),
        routines=("gesdd",),
        fails=CONVERGE,
    ),
    batch=over_stacks("complex_svdvals"),
    shape=lambda a: (*a.shape[:-2], dims.minimum(*a.shape[-2:])),
    complex=True,
    dtypes=COMPLEX,
    samples=_rectangles,
    cost=80,
    says="svdvals",
)
