"""Theano's products of blocks of a matrix that indices choose, and columns before a matrix."""

from __future__ import annotations

from typing import Any

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f


def sparse_block_gemv(o: Any, W: Any, h: Any, inputIdx: Any, outputIdx: Any) -> Variable:
    """o[b, j] + sum over i of h[b, i] @ W[inputIdx[b, i], outputIdx[b, j]].

    o: (batch, chosen outputs, size), W: (input blocks, output blocks, input size, size), h: (batch, chosen inputs,
    input size); the indices are integers (batch, chosen).
    """
    rows, columns = as_variable(inputIdx), as_variable(outputIdx)
    chosen = as_variable(W)[rows[:, :, None], columns[:, None, :]]
    found: Variable = f.add(o, f.einsum("bik,bijkl->bjl", h, chosen))
    return found


def sparse_block_outer(o: Any, x: Any, y: Any, xIdx: Any, yIdx: Any, alpha: Any = 1) -> Variable:
    """o, with alpha times the outer product of x[b, i] and y[b, j] added at [xIdx[b, i], yIdx[b, j]].

    o: (x blocks, y blocks, x size, y size), x: (batch, chosen, x size), y: (batch, chosen, y size).
    """
    rows, columns = as_variable(xIdx), as_variable(yIdx)
    outer = f.mul(f.einsum("bik,bjl->bijkl", x, y), alpha)
    found: Variable = f.inc_subtensor(as_variable(o)[rows[:, :, None], columns[:, None, :]], outer)
    return found


def sparse_block_dot(W: Any, h: Any, inputIdx: Any, b: Any, outputIdx: Any) -> Variable:
    """`sparse_block_gemv` onto the rows of the bias b, (output blocks, size), that `outputIdx` chooses; without axes of
    a batch there is one of length 1. ShapeError where the indices have not one axis less than h."""
    v, rows, columns = as_variable(h), as_variable(inputIdx), as_variable(outputIdx)
    if rows.ndim != v.ndim - 1 or columns.ndim != rows.ndim:
        raise ShapeError(f"sparse_block_dot: indices have one axis less than\n  {describe(v)}\n  {describe(rows)}")
    if v.ndim == 2:
        v, rows, columns = (f.shape_padleft(a) for a in (v, rows, columns))
    return sparse_block_gemv(as_variable(b)[columns], W, v, rows, columns)


class _Made:
    """An op of Theano's class, which is made without arguments that matter and called."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, inplace: bool = False) -> Any:
        """The function."""
        return self.function


def prepend_scalar_to_each_row(val: Any, mat: Any) -> Variable:
    """A matrix with a column in front, of which each element is the scalar `val`."""
    m = as_variable(mat)
    if m.ndim != 2:
        raise ShapeError(f"prepend_scalar_to_each_row: a matrix is needed, not {describe(m)}")
    column = f.full((ln.dim(m, 0), 1), f.cast(val, m.type.dtype), m.type.dtype)
    found: Variable = f.concatenate([column, m], 1)
    return found


class PrependConstant:
    """`prepend_scalar_to_each_row` with one number."""

    def __init__(self, val: Any = 0) -> None:
        self.val = val

    def __call__(self, mat: Any) -> Variable:
        """The matrix with the column."""
        return prepend_scalar_to_each_row(self.val, mat)


BLOCKS = {
    "sparse_block_gemv": sparse_block_gemv, "sparse_block_outer": sparse_block_outer,
    "sparse_block_dot": sparse_block_dot, "SparseBlockGemv": _Made(sparse_block_gemv),
    "SparseBlockOuter": _Made(sparse_block_outer),
}  # fmt: skip
COLUMNS = {
    "prepend_scalar_to_each_row": prepend_scalar_to_each_row,
    "prepend_0_to_each_row": PrependConstant(0.0),
    "prepend_1_to_each_row": PrependConstant(1.0),
    "Prepend_scalar_constant_to_each_row": PrependConstant,
    "Prepend_scalar_to_each_row": _Made(prepend_scalar_to_each_row),
}
