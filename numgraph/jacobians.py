"""Matrices of derivatives, row by row: a loop over the elements of what is differentiated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numgraph.errors import DisconnectedError, GradientError, ShapeError
from numgraph.grad import grad
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.scanning.api import scan
from numgraph.substitution import substitute

__all__ = ["Lop", "Rop", "hessian", "hessian_vector_product", "jacobian"]


def jacobian(
    expression: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivative of each element of `expression` for each variable in `wrt`.

    Of a vector of n elements and a variable of shape (k, m) it has the shape (n, k, m), of a matrix of shape (p, n) the
    shape (p, n, k, m), and so on; of a scalar it is the gradient. A list or tuple of variables gives a list or tuple.
    consider_constant, disconnected_inputs: as in `grad`. GradientError as `grad`.
    """
    if expression.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs=disconnected_inputs)
    several: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    elements = expression if expression.ndim == 1 else f.flatten(expression)

    def row(k: Variable) -> list[Variable]:
        found: list[Variable] = grad(elements[k], several, consider_constant, disconnected_inputs=disconnected_inputs)
        return found

    rows, _ = scan(row, f.arange(ln.dim(elements, 0)), name="jacobian", return_list=True)
    if expression.ndim > 1:
        lengths = ln.dims_of(expression)
        rows = [f.reshape(r, [*lengths, *ln.dims_of(v)]) for r, v in zip(rows, several, strict=True)]
    if isinstance(wrt, tuple):
        return tuple(rows)
    return rows if isinstance(wrt, list) else rows[0]


def hessian(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The matrix of second derivatives of a scalar for each variable in `wrt`, all vectors: (n, n) for one of n.

    A list or tuple of variables gives a list or tuple: derivatives for two of them are not among these.
    GradientError for a variable that is no vector, and as `grad`.
    """
    several: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    for v in several:
        if v.ndim != 1:
            raise GradientError(f"hessian: a vector is needed\n  {describe(v)}\n  fix: make it a reshaped vector's")
    firsts = grad(cost, several, consider_constant, disconnected_inputs=disconnected_inputs)
    rows = [
        jacobian(first, v, consider_constant, disconnected_inputs="ignore")
        for first, v in zip(firsts, several, strict=True)
    ]
    if isinstance(wrt, tuple):
        return tuple(rows)
    return rows if isinstance(wrt, list) else rows[0]


def hessian_vector_product(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    vectors: Any,
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The product of the matrix of all second derivatives of a scalar with a vector, without the matrix.

    wrt: variables of any shapes, of which all elements together are the axes of the matrix. vectors: for each a value
    or expression of its shape. The result is a variable of the shape of `wrt`, or a list or tuple of them: how the
    gradient changes along `vectors`, as the gradient of its product with them. It takes a few times as long as the
    gradient.

    GradientError for another number of vectors, ShapeError for one of another rank, and as `grad`.
    """
    several: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    given = list(vectors) if isinstance(wrt, list | tuple) else [vectors]
    along = tangents("hessian_vector_product", several, given)
    firsts = grad(cost, several, consider_constant, disconnected_inputs=disconnected_inputs)
    slope = inner(firsts, list(along))
    constant = [consider_constant] if isinstance(consider_constant, Variable) else list(consider_constant or ())
    found = substitute(grad(slope, several, [*constant, *along], disconnected_inputs="ignore"), along)
    if isinstance(wrt, tuple):
        return tuple(found)
    return found if isinstance(wrt, list) else found[0]


def tangents(name: str, variables: Sequence[Variable], given: Sequence[Any]) -> dict[Variable, Variable]:
    """Placeholders for the vectors, and the vector that belongs to each variable, in its dtype: what vectors are
    computed from stays out of the sweeps that use them, and derivatives of the result reach it."""
    if len(given) != len(variables):
        raise GradientError(f"{name}: {len(given)} vectors for {len(variables)} variables")
    found = [as_variable(v) for v in given]
    for variable, vector in zip(variables, found, strict=True):
        if vector.ndim != variable.ndim:
            raise ShapeError(
                f"{name}: a vector has another number of axes than its variable\n"
                f"  {describe(vector)}\n  {describe(variable)}"
            )
    # a vector may be one of the variables, and is another node then
    vectors = [f.identity(f.cast(v, x.type.dtype)) for v, x in zip(found, variables, strict=True)]
    return {Variable(v.type): v for v in vectors}


def inner(left: Sequence[Variable], right: Sequence[Variable]) -> Variable:
    """The sum of all products of elements, of complex ones of their parts."""
    products = [f.sum(f.real(f.mul(f.conj(a), b))) for a, b in zip(left, right, strict=True)]
    total: Variable = f.add(*products) if len(products) > 1 else products[0]
    return total


def Lop(
    outputs: Any,
    wrt: Any,
    vectors: Any,
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The product of vectors with a Jacobian: what `grad` gives when `vectors` arrive at `outputs`.

    outputs: an expression or a list of them, of any shapes; vectors: as many, of their shapes. Returns an expression of
    the shape of `wrt`, or a list or tuple. Raises as `grad`, and GradientError for another number of vectors.
    """
    ends: list[Any] = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    given: list[Any] = list(vectors) if isinstance(vectors, list | tuple) else [vectors]
    if len(given) != len(ends):
        raise GradientError(f"Lop: {len(given)} vectors for {len(ends)} outputs")
    # an output may be there twice
    known: dict[Variable, Variable] = {}
    for end, vector in zip(ends, map(as_variable, given), strict=True):
        known[end] = f.add(known[end], vector) if end in known else vector
    return grad(None, wrt, consider_constant, known, disconnected_inputs)


def Rop(outputs: Any, wrt: Any, vectors: Any, disconnected_outputs: str = "raise") -> Any:
    """The product of a Jacobian with vectors: how `outputs` change when `wrt` moves along `vectors`.

    wrt: a float variable or a list of them; vectors: as many, of their shapes. Returns an expression of the shape of
    `outputs`, or a list or tuple.

    What `Lop` gives is linear in the vectors that arrive, so its derivative with respect to these, along `vectors`, is
    the answer; nothing of the first sweep is left to be computed but what the derivative needs. So every op that has a
    second derivative has this product.

    An output that does not depend on `wrt` gives zeros. disconnected_outputs: what to do where none does: "raise"
    DisconnectedError, or "ignore". Raises as `grad`, GradientError for another number of vectors, ShapeError for one of
    another rank.

    Source: J. Townsend, "A new trick for calculating Jacobian vector products" (2017).
    """
    several = isinstance(outputs, list | tuple)
    ends: list[Any] = list(outputs) if several else [outputs]
    inputs: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    along = tangents("Rop", inputs, list(vectors) if isinstance(vectors, list | tuple) else [vectors])
    arriving = {end: Variable(end.type) for end in ends}
    pulled = grad(None, inputs, None, arriving, "ignore", return_disconnected="none")
    parts = [(p, v) for p, v in zip(pulled, along, strict=True) if p is not None]
    if not parts:
        if disconnected_outputs == "raise":
            listed = "".join(f"\n  {describe(v)}" for v in (*ends, *inputs))
            raise DisconnectedError(
                f"Rop: no output depends on what the vectors are for{listed}\n"
                '  fix: pass disconnected_outputs="ignore" for zeros'
            )
        zeros = [f.zeros_like(end) for end in ends]
        return type(outputs)(zeros) if several else zeros[0]
    slope = inner([p for p, _ in parts], [v for _, v in parts])
    moved = grad(slope, [arriving[end] for end in ends], [*along, *inputs], disconnected_inputs="ignore")
    # a gradient that is not linear in what arrives would have some of it left
    found = substitute(moved, along | {v: f.zeros_like(end) for end, v in arriving.items()})
    return type(outputs)(found) if several else found[0]
