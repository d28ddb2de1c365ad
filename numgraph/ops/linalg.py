"""Products of vectors, matrices and stacks of matrices.

All end in two ops: `dot2`, matrix times matrix, and `batched_dot`, one such product for each element of a leading axis.
Products of integers and bools are NumPy's: bools give bool, integers wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.errors import ShapeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe
from numgraph.op import OPS, Check, Op, same
from numgraph.ops import formula
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import diagonals
from numgraph.ops.shape import DIMSHUFFLE, reshaped, shuffled, stretch

__all__ = [
    "batched_dot", "batched_tensordot", "dot", "inner", "matmul", "matrix_dot", "outer", "tensordot", "trace",
    "vdot",
]  # fmt: skip

INNER = "the inner lengths {a} and {b} differ"


def _matrix(n: int, m: int, *lead: int) -> Any:
    return np.linspace(-1, 1, n * m * int(np.prod(lead)), dtype=np.float64).reshape(*lead, n, m)


GEMM = Op(
    "gemm",
    ("c", "a", "b", "alpha", "beta"),
    "beta * c + alpha * a @ b, for matrices a and b and scalars alpha and beta.",
    same,
    lambda c, a, b, alpha, beta: beta * c + alpha * np.matmul(a, b),
    None,
    no_grad="it is made by a rewrite, after gradients",
    product=True,
    accumulates=True,
    shape=lambda c, a, b, alpha, beta: c.shape,
    dtypes=("float32", "float64"),
    samples=lambda: [([_matrix(2, 4), _matrix(2, 3), _matrix(3, 4), np.float64(-0.5), np.float64(1.5)], {})],
    cost=10,
    says="dot",
)

Op(
    "dot2",
    ("a", "b"),
    "The product of two matrices.",
    same,
    np.matmul,
    lambda g, out, a, b: (dot2(g, shuffled(b, (1, 0))), dot2(shuffled(a, (1, 0)), g)),
    product=True,
    into=GEMM,
    show=formula.product,
    batch=lambda batched, a, b: matmul(a, b),
    shape=lambda a, b: (a.shape[0], b.shape[1]),
    checks=(Check("equal", lambda a, b: [(a.shape[1], b.shape[0])], INNER),),
    samples=lambda: [([_matrix(2, 3), _matrix(3, 4)], {})],
    cost=10,
    complex=True,
    says="dot",
)

Op(
    "batched_dot",
    ("a", "b"),
    "The products of the matrices in two stacks of equal length.",
    same,
    np.matmul,
    lambda g, out, a, b: (_batched(g, shuffled(b, (0, 2, 1))), _batched(shuffled(a, (0, 2, 1)), g)),
    product=True,
    show=formula.product,
    batch=lambda batched, a, b: matmul(a, b),
    shape=lambda a, b: (ln.equal_dims(a.shape[0], b.shape[0]), a.shape[1], b.shape[2]),
    checks=(
        Check("equal", lambda a, b: [(a.shape[0], b.shape[0])], "stacks of {a} and {b} matrices"),
        Check("equal", lambda a, b: [(a.shape[2], b.shape[1])], INNER),
    ),
    samples=lambda: [([_matrix(2, 3, 4), _matrix(3, 2, 4)], {})],
    cost=10,
    complex=True,
)


def dot2(a: Variable, b: Variable) -> Variable:
    """The product of two matrices."""
    return apply(OPS["dot2"], [a, b])


def _batched(a: Variable, b: Variable) -> Variable:
    return apply(OPS["batched_dot"], [a, b])


def _check_inner(what: str, a: Variable, b: Variable, axis_a: int, axis_b: int) -> None:
    """ShapeError where two known lengths differ that must be equal."""
    n, m = a.type.shape[axis_a], b.type.shape[axis_b]
    if n is not None and m is not None and n != m:
        raise ShapeError(
            f"{what}: lengths {n} (axis {axis_a % a.ndim} of the first) and {m} (axis {axis_b % b.ndim} of the second) "
            "differ\n"
            f"  {describe(a)}\n  {describe(b)}\n  fix: make them equal, or transpose one with .T"
        )


def dot(a: Any, b: Any) -> Variable:
    """The product of a and b, as np.dot: along the last axis of a and the last but one of b (the only one of a vector).

    Two vectors give a scalar, matrix and vector a vector, two matrices a matrix; a scalar multiplies. Other axes of a
    come before other axes of b. ShapeError where the lengths differ.
    """
    x, y = as_operands(a, b)
    if x.ndim == 0 or y.ndim == 0:
        return f.mul(x, y)
    axis = -2 if y.ndim > 1 else -1
    _check_inner("dot", x, y, -1, axis)
    rows = shuffled(x, (-1, 0)) if x.ndim == 1 else _rows(x)
    moved = shuffled(y, (0, -1)) if y.ndim == 1 else shuffled(y, (y.ndim - 2, *range(y.ndim - 2), y.ndim - 1))
    columns = moved if y.ndim <= 2 else reshaped(moved, [ln.dim(moved, 0), ln.product(ln.dims_of(moved)[1:])])
    product = dot2(rows, columns)
    if x.ndim <= 2 and y.ndim <= 2:
        kept = (*((0,) if x.ndim == 2 else ()), *((1,) if y.ndim == 2 else ()))
        return shuffled(product, kept)
    others = [n for k, n in enumerate(ln.dims_of(y)) if k - y.ndim != axis]
    return reshaped(product, [*ln.dims_of(x)[:-1], *others])


def _rows(x: Variable) -> Variable:
    """x as a matrix: all axes but the last as one."""
    return x if x.ndim == 2 else reshaped(x, [ln.product(ln.dims_of(x)[:-1]), ln.dim(x, -1)])


def matmul(a: Any, b: Any) -> Variable:
    """`a @ b`, as np.matmul: matrices in the last two axes, other axes broadcast; a vector is a row or a column.

    ShapeError for scalars, and where lengths differ.
    """
    x, y = as_operands(a, b)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"matmul: a scalar has no matrix product, use *\n  {describe(x)}\n  {describe(y)}")
    if (x.ndim <= 2 and y.ndim <= 2) or y.ndim == 1:
        return dot(x, y)
    _check_inner("matmul", x, y, -1, -2)
    if y.ndim == 2:
        return dot(x, y)
    left = shuffled(x, (-1, 0)) if x.ndim == 1 else x
    batch = _common_batch(ln.dims_of(left)[:-2], ln.dims_of(y)[:-2])
    result = reshaped(_batched(_stacked(left, batch), _stacked(y, batch)), [*batch, ln.dim(left, -2), ln.dim(y, -1)])
    kept = [k for k in range(result.ndim) if x.ndim > 1 or k != result.ndim - 2]
    return shuffled(result, tuple(kept))


def _common_batch(a: Sequence[Length], b: Sequence[Length]) -> list[Length]:
    ndim = max(len(a), len(b))
    wide: list[list[Length]] = [[*[1] * (ndim - len(n)), *n] for n in (a, b)]
    return [ln.broadcast_length(n, m) for n, m in zip(*wide, strict=True)]


def _stacked(x: Variable, batch: list[Length]) -> Variable:
    """x broadcast to the lengths `batch` in front of its last two axes, and these as one axis. Of transposed matrices
    the transposed ones: a product reads them where they lie."""
    if x.op is DIMSHUFFLE and x.attrs["pattern"] == (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2):
        return shuffled(_stacked(x.inputs[0], batch), (0, 2, 1))
    inside = ln.dims_of(x)[-2:]
    return reshaped(stretch(x, [*batch, *inside]), [ln.product(batch), *inside])


def batched_dot(a: Any, b: Any) -> Variable:
    """For each element of the first axis, which a and b share, `dot` of what is behind it: numbers, vectors, matrices,
    or more axes, of which the last of a and the last but one of b are summed over. ShapeError for a scalar."""
    x, y = as_operands(a, b)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"batched_dot: a first axis is needed\n  {describe(x)}\n  {describe(y)}")
    if x.ndim == 1 or y.ndim == 1:
        _check_inner("batched_dot", x, y, 0, 0)
        ndim = max(x.ndim, y.ndim)
        x, y = (f.matched(v, [ln.dim(w, 0), *v.type.shape[1:]], "batched_dot") for v, w in ((x, y), (y, x)))
        return f.mul(*(f.shape_padright(v, ndim - v.ndim) for v in (x, y)))
    if x.ndim > 3 or y.ndim > 3:
        return f.batched_tensordot(x, y, [[x.ndim - 1], [max(1, y.ndim - 2)]])
    _check_inner("batched_dot", x, y, 0, 0)
    _check_inner("batched_dot", x, y, -1, 1)
    left = shuffled(x, (0, -1, 1)) if x.ndim == 2 else x
    right = shuffled(y, (0, 1, -1)) if y.ndim == 2 else y
    kept = (0, *((1,) if x.ndim == 3 else ()), *((2,) if y.ndim == 3 else ()))
    return shuffled(_batched(left, right), kept)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """The sum of products over pairs of axes: the last n of a with the first n of b, or those in a pair of lists.

    Other axes of a come before other axes of b. ShapeError where lengths of a pair differ.
    """
    x, y = as_operands(a, b)
    first, second = _paired_axes("tensordot", x, y, axes)
    y = _with_lengths_of("tensordot", x, y, first, second)
    free_a = [k for k in range(x.ndim) if k not in first]
    free_b = [k for k in range(y.ndim) if k not in second]
    lengths_a, lengths_b = ln.dims_of(x), ln.dims_of(y)
    size = [
        ln.product(lengths[k] for k in chosen)
        for lengths, chosen in ((lengths_a, free_a), (lengths_a, first), (lengths_b, second), (lengths_b, free_b))
    ]
    left = reshaped(shuffled(x, (*free_a, *first)), size[:2])
    right = reshaped(shuffled(y, (*second, *free_b)), size[2:])
    return reshaped(dot2(left, right), [*(lengths_a[k] for k in free_a), *(lengths_b[k] for k in free_b)])


def _with_lengths_of(what: str, x: Variable, y: Variable, first: Sequence[int], second: Sequence[int]) -> Variable:
    """y, refused when the function runs if an axis of a pair is not as long as that of x."""
    for k, m in zip(first, second, strict=True):
        _check_inner(what, x, y, k, m)
    # a product would compare only how many elements there are along all pairs together
    return f.as_long(x, y, first, second, what) if len(first) > 1 else y


def _paired_axes(what: str, x: Variable, y: Variable, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(axes, int | np.integer):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ShapeError(f"{what}: {axes} axes of\n  {describe(x)}\n  {describe(y)}")
        return tuple(range(x.ndim - int(axes), x.ndim)), tuple(range(int(axes)))
    first, second = (ln.axes_of(part, v.ndim, what, v) for part, v in zip(axes, (x, y), strict=True))
    if len(first) != len(second):
        raise ShapeError(f"{what}: {len(first)} axes of the first and {len(second)} of the second: {axes}")
    return first, second


def batched_tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """`tensordot` for each element of the first axis, which a and b share; axes count as in a and b, from 1."""
    x, y = as_operands(a, b)
    _check_inner("batched_tensordot", x, y, 0, 0)
    if isinstance(axes, int | np.integer):
        n = int(axes)
        if not 0 <= n < min(x.ndim, y.ndim):
            raise ShapeError(f"batched_tensordot: {n} axes of\n  {describe(x)}\n  {describe(y)}")
        axes = (tuple(range(x.ndim - n, x.ndim)), tuple(range(1, n + 1)))
    first, second = _paired_axes("batched_tensordot", x, y, axes)
    y = _with_lengths_of("batched_tensordot", x, y, first, second)
    free_a = [k for k in range(1, x.ndim) if k not in first]
    free_b = [k for k in range(1, y.ndim) if k not in second]
    lengths_a, lengths_b = ln.dims_of(x), ln.dims_of(y)
    left = reshaped(
        shuffled(x, (0, *free_a, *first)),
        [lengths_a[0], ln.product(lengths_a[k] for k in free_a), ln.product(lengths_a[k] for k in first)],
    )
    right = reshaped(
        shuffled(y, (0, *second, *free_b)),
        [lengths_b[0], ln.product(lengths_b[k] for k in second), ln.product(lengths_b[k] for k in free_b)],
    )
    return reshaped(
        _batched(left, right), [lengths_a[0], *(lengths_a[k] for k in free_a), *(lengths_b[k] for k in free_b)]
    )


def outer(a: Any, b: Any) -> Variable:
    """`a[i] * b[j]` of the flattened a and b."""
    x, y = (f.flatten(v) for v in as_operands(a, b))
    return f.mul(shuffled(x, (0, -1)), shuffled(y, (-1, 0)))


def inner(a: Any, b: Any) -> Variable:
    """The sum of products along the last axes of a and b, as np.inner."""
    x, y = as_operands(a, b)
    if x.ndim == 0 or y.ndim == 0:
        return f.mul(x, y)
    return tensordot(x, y, ([x.ndim - 1], [y.ndim - 1]))


def vdot(a: Any, b: Any) -> Variable:
    """The sum of products of all elements of a, conjugates of complex ones, and b."""
    x, y = as_operands(a, b)
    return dot(f.conj(f.flatten(x)), f.flatten(y))


def matrix_dot(*matrices: Any) -> Variable:
    """The product of several matrices, from left to right."""
    result = as_variable(matrices[0])
    for other in matrices[1:]:
        result = dot(result, other)
    return result


def trace(x: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum along the diagonal `offset` places above the main one of two axes, as np.trace: of a matrix a scalar."""
    v = as_variable(x)
    first, second = ln.axes_of((axis1, axis2), v.ndim, "trace", v)
    others = [k for k in range(v.ndim) if k not in (first, second)]
    return f.sum(diagonals(shuffled(v, (*others, first, second)), offset), -1)
