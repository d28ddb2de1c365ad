"""What ops on stacks of matrices share: the last two axes are a matrix, those before them count matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import Check
from numgraph.ops import lengths as ln
from numgraph.ops.complexes import conj
from numgraph.ops.create import counted_from, eye, less, shifts, tri, tril
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.shape import shuffled, stretch
from numgraph.types import float_of, promote

NOT_SQUARE = "a matrix of {a} rows and {b} columns is not square"
SQUARE = Check("equal", lambda a, *others, **_: [(a.shape[-2], a.shape[-1])], NOT_SQUARE)
SYSTEM = Check(
    "equal", lambda a, b, **_: [(a.shape[-2], b.shape[-2])], "a matrix of {a} rows for right-hand sides of {b}"
)
STACKS = Check(
    "equal", lambda a, b, **_: list(zip(a.shape[:-2], b.shape[:-2], strict=True)), "stacks of {a} and {b} matrices"
)
FLOAT = ("float32", "float64")
SINGULAR = "the matrix is singular"
# Real matrices of so many rows are factored and solved by loops (`kernels/small.py`); with several right-hand sides, of
# so many.
FEW, SEVERAL = 8, 32


def count(x: Any) -> Dim:
    """For sizes of kernels: how many matrices there are."""
    return dims.product(x.shape[:-2])


def is_small(n: int | None, k: int | None = 1) -> bool:
    """Whether a matrix of n rows, with k right-hand sides, is known to be too small for LAPACK."""
    return n is not None and n <= (SEVERAL if k is not None and k > 1 else FEW)


def stacks(what: str, *values: Any) -> list[Variable]:
    """Variables; ShapeError for one with fewer than two axes."""
    found = [as_variable(v) for v in values]
    for v in found:
        if v.ndim < 2:
            raise ShapeError(f"{what}: a matrix is needed, or a stack of them, not {describe(v)}")
    return found


def matrices(what: str, *values: Any, square: bool = False) -> list[Variable]:
    """Floats of one dtype with at least two axes each; integers become float64, small ones and bools float32.

    ShapeError for fewer axes, and with `square` where known lengths of the first one differ.
    """
    found = stacks(what, *values)
    if square:
        rows, columns = found[0].type.shape[-2:]
        if rows is not None and columns is not None and rows != columns:
            raise ShapeError(f"{what}: {NOT_SQUARE.format(a=rows, b=columns)}\n  {describe(found[0])}")
    wanted = float_of(promote([v.type.dtype for v in found]))
    return [v if v.type.dtype == wanted else f.cast(v, wanted) for v in found]


def together(a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Two stacks broadcast to the axes that both have before their last two."""
    lengths = [ln.dims_of(v)[:-2] for v in (a, b)]
    ndim = max(map(len, lengths))
    wide: list[list[Length]] = [[*[1] * (ndim - len(n)), *n] for n in lengths]
    stack = [ln.broadcast_length(n, m) for n, m in zip(*wide, strict=True)]
    one, other = (stretch(v, [*stack, *ln.dims_of(v)[-2:]]) for v in (a, b))
    return one, other


def system(what: str, a: Any, b: Any) -> tuple[Variable, Variable, bool]:
    """Stacks of matrices and right-hand sides that broadcast, and whether b is one vector."""
    right = as_variable(b)
    if right.ndim == 0:
        raise ShapeError(f"{what}: a right-hand side is a vector or a matrix, not {describe(right)}")
    vector = right.ndim == 1
    matrix, right = matrices(what, a, column(right) if vector else right, square=True)
    n, m = matrix.type.shape[-1], right.type.shape[-2]
    if n is not None and m is not None and n != m:
        raise ShapeError(
            f"{what}: {n} rows of the matrix for {m} of the right-hand side\n"
            f"  {describe(as_variable(a))}\n  {describe(as_variable(b))}"
        )
    return (*together(matrix, right), vector)


def transposed(x: Variable) -> Variable:
    """Each matrix transposed."""
    return shuffled(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def adjoint(x: Variable) -> Variable:
    """Each matrix transposed, and of complex ones the conjugate of that."""
    return conj(transposed(x))


def column(x: Variable) -> Variable:
    """A vector as a matrix of one column, `x[..., None]`."""
    return shuffled(x, (*range(x.ndim), -1))


def line(x: Variable) -> Variable:
    """A vector as a matrix of one row, `x[..., None, :]`."""
    return shuffled(x, (*range(x.ndim - 1), -1, x.ndim - 1))


def identity(x: Variable, n: Length) -> Variable:
    """A matrix with ones on the diagonal, of x's dtype."""
    return eye(n, dtype=x.type.dtype)


def product(*factors: Variable) -> Variable:
    """The product of matrices, from left to right."""
    result = factors[0]
    for v in factors[1:]:
        result = f.matmul(result, v)
    return result


def outer_gradient(gb: Variable, out: Variable, turned: bool) -> Variable:
    """The gradient with respect to a of the solutions of a @ out = b, or with `turned` of a.T @ out = b."""
    return f.neg(product(out, transposed(gb)) if turned else product(gb, transposed(out)))


def is_square(a: Variable) -> bool:
    """Whether matrices are known to be square."""
    return ln.same_length(ln.dim(a, -2), ln.dim(a, -1))


def diagonals(x: Variable, offset: Any = 0) -> Variable:
    """The diagonal `offset` places above the main one of each matrix, as vectors."""
    down, right = shifts(offset)
    n = ln.natural(ln.least(less(ln.dim(x, -2), down), less(ln.dim(x, -1), right)))
    return x[..., counted_from(down, n), counted_from(right, n)]  # type: ignore[no-any-return]


def of_triangle(x: Variable) -> Variable:
    """The lower triangle of x with half of its diagonal; zeros above.

    For a symmetric matrix x + x.T, what each element of the lower triangle stands for: twice that off the diagonal.
    """
    n, dtype = ln.dim(x, -1), x.type.dtype
    return f.mul(tril(x), f.sub(tri(n, dtype=dtype), f.mul(eye(n, dtype=dtype), 0.5)))


def hermitian_gradient(g: Variable) -> Variable:
    """What arrives at the lower triangle, which is read, of what arrives at all elements."""
    return of_triangle(f.add(g, adjoint(g)))


def symmetric_gradient(x: Variable) -> Variable:
    """The gradient with respect to a symmetric matrix of which the lower triangle is read, given one with respect to
    all elements."""
    return of_triangle(f.add(x, transposed(x)))


# -- samples ----------------------------------------------------------------------------------------------------------


def sample(*shape: int, seed: int = 0) -> NDArray[Any]:
    """A stack of matrices that are far from singular, with distinct singular values."""
    a = np.random.default_rng(seed).uniform(-1, 1, shape)
    rows, columns = shape[-2:]
    return a + np.eye(rows, columns) * np.arange(2.0, 2.0 + columns)


def definite(*shape: int, seed: int = 0) -> NDArray[Any]:
    """A stack of positive definite matrices with distinct eigenvalues; what is above the diagonal is not read."""
    a = np.random.default_rng(seed).uniform(-1, 1, shape)
    n = shape[-1]
    return a @ np.swapaxes(a, -1, -2) / max(n, 1) + np.diag(np.arange(1.0, n + 1))


def definite_hermitian(*shape: int) -> NDArray[Any]:
    """Complex ones, equal to their conjugate transposes."""
    drawn = 1j * np.tril(sample(*shape, seed=1), -1)
    return np.asarray(definite(*shape) + drawn - np.swapaxes(drawn, -1, -2))


def by_matrix(function: Any, stacks: Sequence[NDArray[Any]], shape: Sequence[int]) -> NDArray[Any]:
    """A function of matrices, one after the other, as a stack of results of lengths `shape`; for references."""
    lead = stacks[0].shape[:-2]
    dtype = np.result_type(*stacks)
    result = np.empty((*lead, *shape), dtype)
    for k in np.ndindex(*lead):
        result[k] = function(*(s[k] for s in stacks))
    return result
