"""Orthogonal factors.

Gradients: S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions" (2010), for wide matrices
with D. Roberts and L. Roberts, "QR and LQ decomposition matrix backpropagation algorithms for square, wide, and deep
matrices" (2020).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.op import OPS, Kernel, Op, int64, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import tril
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import FLOAT, by_matrix, count, is_square, line, matrices, product, transposed
from numgraph.ops.shape import reshaped
from numgraph.ops.spectral import rectangles, unasked
from numgraph.ops.triangular import triangular

__all__ = ["qr"]

NOT_FOUND = "the factors were not found"

# -- factors -----------------------------------------------------------------------------------------------------------


def _qr_lengths(a: Any, mode: str) -> tuple[Any, Any]:
    """(columns of q, rows of r) by the arithmetic of shapes."""
    least = dims.minimum(*a.shape[-2:])
    return {"reduced": (least, least), "complete": (a.shape[-2],) * 2, "r": (0, least)}[mode]


def _qr_value(a: NDArray[Any], mode: str) -> NDArray[Any]:
    lead = a.shape[:-2]
    # NumPy's stubs know each mode by itself, not a variable one
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
    return (_qr_rule(_qr_parts(g, a, "reduced"), _qr_parts(out, a, "reduced"), a),)


def _qr_rule(given: tuple[Variable, Variable], found: tuple[Variable, Variable], a: Variable) -> Variable:
    """Of a = [x, y], y what is wider than high: q, u = qr(x), and the rest of r is q.T @ y."""
    (gq, gr), (q, r) = given, found
    k = ln.least(ln.dim(a, -2), ln.dim(a, -1))
    u, gu, gv, y = r[..., :k], gr[..., :k], gr[..., k:], a[..., k:]
    gq = f.add(gq, product(y, transposed(gv)))
    inner = f.sub(product(u, transposed(gu)), product(transposed(gq), q))
    both = f.add(tril(inner), transposed(tril(inner, -1)))
    right = transposed(f.add(gq, product(q, both)))
    gx = transposed(triangular(u, right, upper=True))
    return f.concatenate([gx, product(q, gv)], axis=-1)


def _complete_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """As of the columns of q that belong to a; the others are not unique, and none may be asked for."""
    (q, r), (gq, gr) = _qr_parts(out, a, "complete"), _qr_parts(g, a, "complete")
    k = ln.least(ln.dim(a, -2), ln.dim(a, -1))
    checked = unasked(gr[..., :k, :], (gq[..., k:],), "qr", 'mode="reduced"')
    return (_qr_rule((gq[..., :k], checked), (q[..., :k], r[..., :k, :]), a),)


def _r_grad(g: Variable, a: Variable) -> tuple[Variable]:
    """As of both factors, of which q has no gradient."""
    rows, columns = ln.dims_of(a)[-2:]
    nothing = f.zeros((*ln.dims_of(a)[:-2], rows * ln.least(rows, columns)), a.type.dtype)
    return _qr_grad(f.concatenate([nothing, g], axis=-1), apply(OPS["qr"], [a]), a)


def _qr_op(name: str, doc: str, mode: str, grad: Any) -> None:
    Op(
        name, ("a",), f"Of a = q @ r: {doc}.", same, lambda a: _qr_value(a, mode), grad,
        kernel=Kernel(
            "spectral.qr", lambda a: (count(a), *a.shape[-2:], *_qr_lengths(a, mode)), routines=("gelqf", "orglq"),
            fails="the factors were not found",
        ),
        shape=lambda a: _qr_shape(a, mode), dtypes=FLOAT, samples=rectangles, cost=40, says="qr",
    )  # fmt: skip


_qr_op("qr", "q and r one behind the other, with as many columns and rows as can be", "reduced", _qr_grad)
_qr_op("qr_r", "r alone", "r", lambda g, out, a: _r_grad(g, a))
_qr_op("qr_complete", "q, which is square, and r one behind the other", "complete", _complete_grad)


# -- reflections, and an order of columns ------------------------------------------------------------------------------


def _raw_value(a: NDArray[Any]) -> NDArray[Any]:
    h, scales = np.linalg.qr(a, "raw")
    return np.concatenate([np.swapaxes(h, -1, -2).reshape(*a.shape[:-2], h.shape[-2] * h.shape[-1]), scales], -1)


Op(
    "qr_raw",
    ("a",),
    "Of a = q @ r: the matrix with r and, below its diagonal, the reflections that q is made of; and their scales.",
    same,
    _raw_value,
    None,
    no_grad='the reflections are a way to write q: use mode="reduced"',
    kernel=Kernel("spectral.reflections", lambda a: (count(a), *a.shape[-2:]), routines=("gelqf",), fails=NOT_FOUND),
    shape=lambda a: (*a.shape[:-2], a.shape[-2] * a.shape[-1] + dims.minimum(*a.shape[-2:])),
    dtypes=FLOAT,
    samples=rectangles,
    cost=40,
    says="qr",
)


def _order_value(a: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import qr as scipys

    n = a.shape[-1]
    found = by_matrix(lambda x: scipys(x, mode="r", pivoting=True)[-1] if x.size else np.arange(n), [a], (n,))
    return found.astype(np.int64)


Op(
    "order_of_columns",
    ("a",),
    "The order of columns in which the diagonal of r does not grow, for a[:, order] = q @ r.",
    int64,
    _order_value,
    None,
    no_grad="an order is no number",
    kernel=Kernel(
        "spectral.order_of_columns", lambda a: (count(a), *a.shape[-2:]), routines=("geqp3",), fails=NOT_FOUND
    ),
    batch=over_stacks("order_of_columns"),
    shape=lambda a: (*a.shape[:-2], a.shape[-1]),
    dtypes=FLOAT,
    samples=rectangles,
    cost=40,
    says="qr",
)


# -- what users call ---------------------------------------------------------------------------------------------------


class QR(NamedTuple):
    """What `qr` gives."""

    Q: Variable
    R: Variable


# modes, by what NumPy and SciPy call them
_MODES = {
    "reduced": "reduced",
    "economic": "reduced",
    "complete": "complete",
    "full": "complete",
    "r": "r",
    "raw": "raw",
}


def qr(a: Any, mode: str = "reduced", pivoting: bool = False) -> Any:
    """(q, r) with `a = q @ r` for each matrix of a, floats [..., m, n], as np.linalg.qr.

    q has orthonormal columns, r is upper triangular. mode: "reduced" ("economic" in SciPy) for [..., m, k] and [..., k,
    n], k = min(m, n); "complete" ("full") for [..., m, m] and [..., m, n]; "r" for r of "reduced" alone; "raw" for (h,
    tau), the reflections as LAPACK has them, h as in NumPy [..., n, m]. pivoting: the columns in an order in which r's
    diagonal does not grow, int64 [..., n], is the last result: `a[:, p] = q @ r`.

    Gradients: not of "raw"; MatrixError when the function runs where the first k columns are singular. A function whose
    cost depends on the columns of q that "complete" adds, which are not unique, ends with an AssertionFailed.
    """
    kind = _MODES.get(mode)
    if kind is None:
        raise OptionError(f"qr: mode is one of {', '.join(_MODES)}, not {mode!r}")
    (v,) = matrices("qr", a)
    if not pivoting:
        return _factors(v, kind)
    order = apply(OPS["order_of_columns"], [v])
    found = _factors(f.take_along_axis(v, line(order), -1), kind)
    return (*(found if isinstance(found, tuple) else (found,)), order)


def _factors(v: Variable, kind: str) -> Any:
    lead, (rows, columns) = ln.dims_of(v)[:-2], ln.dims_of(v)[-2:]
    if kind == "r":
        return reshaped(apply(OPS["qr_r"], [v]), [*lead, ln.least(rows, columns), columns])
    if kind == "raw":
        packed = apply(OPS["qr_raw"], [v])
        return transposed(reshaped(packed[..., : rows * columns], [*lead, rows, columns])), packed[
            ..., rows * columns :
        ]
    kind = "reduced" if is_square(v) else kind
    return QR(*_qr_parts(apply(OPS["qr" if kind == "reduced" else "qr_complete"], [v]), v, kind))
