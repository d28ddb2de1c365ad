"""Products of matrices, sorting and running sums against NumPy; the whole family compiled."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from test_shapes import check, value, variable

import numgraph as ng
from numgraph import testing
from numgraph.errors import ShapeError
from numgraph.reference import evaluate

# -- products -------------------------------------------------------------------------------------------------------

SHAPES = [
    ((), (2, 3)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3, 4)),
    ((2, 5, 3), (3, 4)),
    ((2, 5, 3), (3,)),
    ((2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((2, 1, 3), (5, 3, 4)),
    ((2, 0), (0, 2)),
    ((0, 3), (3, 2)),
]


def operands(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Any, Any]:
    # small integers: every order of summation gives the same
    return np.arange(1.0, 1 + np.prod(a)).reshape(a), np.arange(2.0, 2 + np.prod(b)).reshape(b)


@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_dot(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = operands(a, b)
    check(ng.dot, np.dot(x, y), x, y)
    for dtype in ("int32", "bool", "uint8"):
        check(ng.dot, np.dot(x.astype(dtype), y.astype(dtype)), x.astype(dtype), y.astype(dtype))
    if 0 not in (*a, *b):
        testing.check_gradient(lambda p, q: ng.dot(p, q) * 0.1, [x / 10, y / 10])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (3, 4)),
        ((3,), (3,)),
        ((4, 2, 3), (3, 5)),
        ((2, 3), (4, 3, 5)),
        ((4, 2, 3), (4, 3, 5)),
        ((1, 2, 3), (4, 3, 5)),
        ((6, 1, 2, 3), (4, 3, 5)),
        ((3,), (4, 3, 5)),
        ((4, 2, 3), (3,)),
    ],
    ids=str,
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = operands(a, b)
    check(lambda p, q: p @ q, x @ y, x, y)
    testing.check_gradient(lambda p, q: p @ q, [x / 10, y / 10], order=1)


@pytest.mark.parametrize(
    ("b", "axes"),
    [
        ((3, 4, 2), 0),
        ((4, 3), 1),
        ((3, 4, 2), 2),
        ((3, 4, 2), ([2, 1], [1, 0])),
        ((3, 4, 2), ([0], [2])),
        ((3, 4, 2), (2, 1)),
    ],
    ids=str,
)
def test_tensordot(b: tuple[int, ...], axes: Any) -> None:
    x, y = operands((2, 3, 4), b)
    check(lambda p, q: ng.tensordot(p, q, axes), np.tensordot(x, y, axes), x, y)


def test_other_products() -> None:
    x, y = operands((4, 2, 3), (4, 3, 5))
    check(ng.batched_dot, x @ y, x, y)
    check(ng.batched_dot, np.einsum("bij,bj->bi", x, y[:, :, 0]), x, y[:, :, 0])
    check(ng.batched_dot, np.einsum("bj,bj->b", x[:, 0], y[:, :, 0]), x[:, 0], y[:, :, 0])
    check(lambda p, q: ng.batched_tensordot(p, q, 1), x @ y, x, y)
    check(ng.outer, np.outer(x[0], y[0]), x[0], y[0])
    check(ng.inner, np.inner(x, x[0]), x, x[0])
    check(ng.vdot, np.vdot(x[0], x[1]), x[0], x[1])
    check(lambda p, q: ng.matrix_dot(p, q, q.T), x[0] @ y[0] @ y[0].T, x[0], y[0])


# Each product by its labels: axes with the same one are as long as each other.
LABELLED: dict[str, Any] = {
    "ij,jk->ik": ng.dot,
    "ij,kj->ik": ng.inner,
    "ab,ba->": lambda p, q: ng.tensordot(p, q, [[0, 1], [1, 0]]),
    "bij,bjk->bik": ng.batched_dot,
    "iab,abk->ik": lambda p, q: ng.tensordot(p, q, 2),
    "bia,bka->bik": lambda p, q: ng.batched_tensordot(p, q, [[2], [2]]),
    "bac,bac->b": lambda p, q: ng.batched_tensordot(p, q, [[1, 2], [1, 2]]),
    **{
        text: lambda *v, text=text: ng.einsum(text, *v)
        for text in ("ij,jl->il", "ji,jl->li", "abi,ab->i", "abi,bak->ik", "bij,bj->bi", "ij,il,lk->jk")
    },
}


@pytest.mark.parametrize("text", LABELLED)
@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_every_length_of_a_pair_is_compared(text: str, target: str) -> None:
    """Also where an axis of length 0 makes all products of lengths alike, or two axes together are as long as two."""
    terms = text.split("->")[0].split(",")
    xs = [ng.tensor(f"x{k}", "float64", [None] * len(term)) for k, term in enumerate(terms)]
    f = ng.function(xs, LABELLED[text](*xs), target=target)
    draw, refused = np.random.default_rng(7), 0
    for _ in range(60):
        lengths = {k: int(draw.integers(0, 4)) for k in sorted({*text} - {*",->"})}
        shapes = [[lengths[k] for k in term] for term in terms]
        if draw.random() < 0.7:
            draw.shuffle(shapes[-1])
        if draw.random() < 0.3:
            shapes[0][-1] = 0
        arrays = [draw.integers(-3, 4, shape).astype(float) for shape in shapes]
        pairs = {(k, n) for term, shape in zip(terms, shapes, strict=True) for k, n in zip(term, shape, strict=True)}
        if len(pairs) == len({k for k, _ in pairs}):
            np.testing.assert_array_equal(f(*arrays), np.einsum(text, *arrays))
        else:
            refused += 1
            with pytest.raises(ShapeError):
                f(*arrays)
    assert 5 < refused < 55


def test_products_of_lengths_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"lengths 3 .* and 2 .*\n  first.*\n  second"):
        ng.dot(variable((4, 3), name="first"), variable((2, 4), name="second"))
    for product in (ng.dot, ng.matmul, lambda a, b: ng.tensordot(a, b, 1)):
        with pytest.raises(ShapeError):
            value(product(ng.matrix("a"), ng.matrix("b")), a=np.ones((2, 3)), b=np.ones((2, 3)))
    # nothing is broadcast: a vector of length 1 has no product with a longer one
    with pytest.raises(ShapeError):
        value(ng.dot(ng.vector("a"), ng.vector("b")), a=np.ones(1), b=np.ones(3))
    with pytest.raises(ShapeError):
        value(ng.tensordot(ng.matrix("a"), ng.matrix("b"), 2), a=np.ones((2, 3)), b=np.ones((3, 2)))
    with pytest.raises(ShapeError):
        ng.matmul(ng.vector("x"), 2.0)


# -- sorting and running sums ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_sorting(axis: int | None) -> None:
    x = np.array([[3.0, np.nan, 1.0, 3.0], [-np.inf, 2.0, 1.0, np.nan]])
    check(lambda v: ng.sort(v, axis), np.sort(x, axis, kind="stable"), x)
    check(lambda v: ng.argsort(v, axis), np.argsort(x, axis, kind="stable"), x)
    flags = np.array([[True, False], [False, True]])
    check(lambda v: v.sort(axis), np.sort(flags, axis), flags)
    distinct = np.random.default_rng(0).permutation(np.arange(12.0)).reshape(3, 4)
    testing.check_gradient(
        lambda v: ng.sort(v, axis) ** 2 * np.arange(12.0).reshape(np.sort(distinct, axis).shape), [distinct]
    )


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_running_sums_and_products(axis: int | None) -> None:
    x = np.array([[2.0, -1.5, 0.5], [0.0, 3.0, -2.0], [1.0, 0.0, 0.0]])
    check(lambda v: ng.cumsum(v, axis), np.cumsum(x, axis), x)
    check(lambda v: ng.cumprod(v, axis), np.cumprod(x, axis), x)
    for dtype in ("int8", "uint8", "bool", "float32"):
        small = (np.abs(x) > 1).astype(dtype) * np.ones((), dtype)
        check(lambda v: v.cumsum(axis), np.cumsum(small, axis), small)
        check(lambda v: v.cumprod(axis), np.cumprod(small, axis), small)
    testing.check_gradient(lambda v: ng.cumsum(v, axis) ** 2, [x])
    # zeros are no exception: nothing is divided by them
    testing.check_gradient(lambda v: ng.cumprod(v, axis), [x])


def test_running_sums_of_nothing() -> None:
    for function in (ng.cumsum, ng.cumprod, ng.sort, ng.argsort):
        assert value(function(ng.vector("x")), x=np.zeros(0)).shape == (0,)
    x = ng.vector("x")
    assert value(ng.grad(ng.cumprod(x).sum(), x), x=np.zeros(0)).shape == (0,)
    with pytest.raises(ShapeError):
        ng.sort(ng.scalar("s"))


# -- compiled -------------------------------------------------------------------------------------------------------


def test_compiled() -> None:
    x, y, n = ng.matrix("x"), ng.matrix("y"), ng.lscalar("n")
    inputs = [x, y, n]
    outputs = [
        ng.concatenate([x, y], 1), ng.tile(x, (2, n)), ng.sort(x, 0), ng.argsort(x), ng.cumsum(x, 1), ng.cumprod(y, 0),
        x.reshape((-1, n)).T, ng.broadcast_to(x[:1], (n, x.shape[1])), ng.eye(n, k=1), ng.tril(x), ng.roll(x, n, 1),
        ng.dot(x.T, y), ng.tensordot(x, y, ([0], [0])), ng.diag(x[0]), ng.arange(n, 0, -2), ng.outer(x[0], y[0]),
        ng.batched_dot(ng.stack([x, x]), ng.stack([x.T, x.T])), ng.grad(ng.cumprod(x, 1).sum(), x),
        ng.stack([n, n * 2]),
    ]  # fmt: skip
    function = ng.function(inputs, outputs)
    for rows, nv in ((4, 2), (2, 4)):
        values = [np.random.default_rng(0).integers(-3, 4, (rows, k)).astype("float64") for k in (4, 3)] + [
            np.int64(nv)
        ]
        for output, got, expected in zip(
            outputs, function(*values), evaluate(outputs, dict(zip(inputs, values, strict=True))), strict=True
        ):
            assert got.dtype == expected.dtype and got.shape == expected.shape, output
            assert np.array_equal(got, expected), output


def test_stacks_are_multiplied_where_they_lie() -> None:
    """Lengths that broadcast are taken for equal ones, as those of elementwise operations, until a call has others."""
    x, y = ng.tensor3("x"), ng.tensor3("y")
    q, k = ng.tensor4("q"), ng.tensor4("k")
    f = ng.function([x, y], ng.matmul(x, y))
    g = ng.function([q, k], ng.exp(ng.matmul(q, k.transpose(0, 1, 3, 2))))
    for program, phases in ((f, 1), (g, 2)):
        assert program.source.count("\n@divided") == phases and "gemm(" in loops_of_phase(program, 0)
    rng = np.random.default_rng(3)
    for a, b in itertools.product((0, 1, 2, 5), repeat=2):
        left, right = rng.normal(size=(a, 3, 4)), rng.normal(size=(b, 4, 2))
        if 1 not in (a, b) and a != b:
            with pytest.raises(ng.ShapeError, match=r"an axis of length \d cannot be stretched to \d"):
                f(left, right)
            continue
        np.testing.assert_allclose(f(left, right), left @ right, rtol=1e-12)
        four = [np.stack([m, 2 * m]) for m in (left, right.transpose(0, 2, 1))]
        np.testing.assert_allclose(g(*four), np.exp(four[0] @ four[1].transpose(0, 1, 3, 2)), rtol=1e-12)


def loops_of_phase(program: ng.Function, number: int) -> str:
    """Its loops, and what is in them."""
    return program.source.partition(f"def phase_{number}")[2].partition("\n@")[0].partition("    for ")[2]
