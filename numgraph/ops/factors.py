"""The gradient of a Cholesky factor, by the terms that systems and determinants have in it.

What arrives at a factor L is mostly a sum of outer products, of systems that are solved with it, and of a diagonal, of
a determinant's logarithm. The lower triangle of `L.T @ g`, which the gradient needs, is known for these terms without a
product of n x n matrices:

- `L.T @ tril(G)` and `L.T @ G` have one lower triangle, for L.T has none,
- where G is `u @ x.T` with `u` the solution of `L.T @ u = z`, it is `z @ x.T`,
- of a diagonal it is the diagonal times L's.
"""

from __future__ import annotations

from numgraph.alike import alike
from numgraph.graph import Constant, Variable, apply
from numgraph.op import OPS
from numgraph.ops.define import f
from numgraph.ops.matrices import product, transposed

TURN = (1, 0)


def turned_product(factor: Variable, g: Variable) -> Variable:
    """`factor.T @ g` in the lower triangle, which alone is right; factor, g: [..., n, n], factor lower triangular."""
    found = _of_terms(factor, g) if factor.ndim == 2 else None
    return product(transposed(factor), g) if found is None else found


def _of_terms(factor: Variable, g: Variable) -> Variable | None:
    """The same for a sum of terms that are known; None with any other one, for then a product is due for all."""
    if _is(g, "add"):
        terms = [_of_terms(factor, v) for v in g.inputs]
        return None if None in terms else f.add(*terms)
    if _is(g, "neg"):
        term = _of_terms(factor, g.inputs[0])
        return None if term is None else f.neg(term)
    if _is_lower(g):
        return _of_terms(factor, g.inputs[1])
    return _of_outer(factor, g) or _of_diagonal(factor, g)


def _of_outer(factor: Variable, g: Variable) -> Variable | None:
    """Of `u @ x.T`, both solutions of systems with the factor: their lengths are its own, nothing broadcasts."""
    if not _is(g, "dot2") or not is_turned(g.inputs[1]):
        return None
    u, x = g.inputs[0], g.inputs[1].inputs[0]
    if not all(_is(v, "solve_triangular") and v.inputs[0] is factor for v in (u, x)):
        return None
    lower = {"upper": False, "transposed": True, "unit": False}
    return product(u.inputs[1], g.inputs[1]) if u.attrs == lower else None


def _of_diagonal(factor: Variable, g: Variable) -> Variable | None:
    """Of what is added to elements [i, i] of zeros; the same indices read the diagonal of the factor."""
    while is_turned(g):
        g = g.inputs[0]
    if not _is(g, "gather_update") or g.attrs["axes"] != (0, 1) or g.attrs["mode"] != "add":
        return None
    zeros, value, *indices = g.inputs
    if not _is_zero(zeros, factor) or not alike(indices[:1], indices[1:]):
        return None
    own = apply(OPS["gather"], [factor, *indices], axes=(0, 1), position=g.attrs["position"])
    return apply(OPS["gather_update"], [zeros, f.mul(value, own), *indices], **g.attrs)


def _is(v: Variable, name: str) -> bool:
    return v.op is not None and v.op.name == name


def is_turned(v: Variable) -> bool:
    """Whether it is a matrix transposed."""
    return _is(v, "dimshuffle") and bool(v.attrs["pattern"] == TURN)


def _is_constant(v: Variable, value: float) -> bool:
    return isinstance(v, Constant) and v.ndim == 0 and bool(v.data == value)


def _is_lower(v: Variable) -> bool:
    """Whether it is `tril(x)`, or what a gradient has in its place."""
    if not _is(v, "where") or not _is(v.inputs[0], "tri"):
        return False
    return _is_constant(v.inputs[0].inputs[2], 0) and _is_constant(v.inputs[2], 0)


def _is_zero(v: Variable, factor: Variable) -> bool:
    """Whether it is zeros of the factor's lengths, whichever way round."""
    if not _is(v, "fill") or not _is_constant(v.inputs[0], 0):
        return False

    def own(n: Variable) -> bool:
        if isinstance(n, Constant):
            return n.data.item() in factor.type.shape
        of = n.inputs[0] if _is(n, "length") else n
        return (of.inputs[0] if is_turned(of) else of) is factor

    return all(own(n) for n in v.inputs[1:])
