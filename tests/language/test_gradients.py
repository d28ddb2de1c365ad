"""Gradients: every op against differences, and what `grad` promises."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph.ops  # noqa: F401  # fills the table
from numgraph import testing
from numgraph.errors import DisconnectedError, GradientError, ShapeError
from numgraph.grad import grad
from numgraph.graph import Variable, apply, toposort
from numgraph.op import OPS, Op
from numgraph.ops.define import f
from numgraph.reference import evaluate
from numgraph.shared import shared
from numgraph.tensor import matrix, scalar, tensor, tensor3, vector
from tests.counts import calls

EXECUTORS: dict[str, testing.Executor] = {"reference": testing.by_reference}
# Ops whose gradient is on purpose not their derivative.
CONTROL = ("disconnected_grad", "zero_grad", "grad_clip", "ruled")
# Ops that have none where vectors are not unique: see test_matrix_factors.
PARTLY = ("qr_complete", "svd_full")
DIFFERENTIABLE = [op for op in OPS.values() if op.grad is not None and op.name not in (*CONTROL, *PARTLY)]


def slopes(cost: Variable, *pairs: Any, **options: Any) -> list[Any]:
    """The gradients of `cost`: pairs of (variable, value); variables of value None are not differentiated for."""
    values = {v: np.asarray(a, v.dtype) for v, a in zip(pairs[::2], pairs[1::2], strict=True)}
    wrt = [v for v in values if v.dtype.startswith("float")]
    return evaluate(grad(cost, wrt, **options), values)


# -- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_first_and_second_derivative(op: Op, executor: str) -> None:
    if "float64" not in op.dtypes:
        pytest.skip(f"{op.name} is not for floats")
    for dtype in [d for d in ("float64", "complex128") if d in op.dtypes]:
        drawn = testing.draw(op, dtype)
        # no op knows of broadcasting: equal lengths, both operands broadcast, and numbers
        for arrays, attrs in drawn if op.samples is not None else [drawn[0], drawn[2], drawn[7]]:
            testing._check_op_gradient(op, arrays, attrs, EXECUTORS[executor], 2)


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.grad is None], ids=lambda op: op.name)
def test_a_missing_gradient_has_a_reason(op: Op) -> None:
    assert op.no_grad.strip()


COMPOSITIONS: dict[str, Callable[..., Variable]] = {
    "mean": lambda x: f.mean(x, axis=0),
    "mean all": lambda x: f.mean(x),
    "var": lambda x: f.var(x, axis=1, ddof=1),
    "std": lambda x: f.std(x, axis=0, keepdims=True),
    "norm": lambda x: f.norm(x, axis=1),
    "norm 3": lambda x: f.norm(x, 3, axis=0),
    "ptp": lambda x: f.ptp(x, axis=1),
    "logsumexp": lambda x: f.logsumexp(x, axis=1),
    "max of two axes": lambda x: f.max(x * 1.5),
    "prod of two axes": lambda x: f.prod(x),
    "digamma": lambda x: f.digamma(x),
    "gammaln": lambda x: f.gammaln(x + 4.0),
    "elu": lambda x: f.elu(x, 0.7),
    "sigmoid_binary_crossentropy": lambda x: f.sigmoid_binary_crossentropy(x, f.sigmoid(x * 0.3)),
    "binary_crossentropy": lambda x: f.binary_crossentropy(f.sigmoid(x), f.sigmoid(-x)),
    "categorical_crossentropy": lambda x: f.categorical_crossentropy(f.softmax(x), np.array([1, 0, 2])),
    "soft targets": lambda x: f.categorical_crossentropy(f.softmax(x), f.softmax(-x)),
    "chain": lambda x: f.tanh(f.exp(-x * x) / (1.0 + x**2)) ** 3,
    "row and column": lambda x: f.exp(x * f.sum(x, axis=1, keepdims=True) * 0.1) - f.mean(x, axis=0),
    "normalised": lambda x: (x - f.mean(x, axis=0)) / f.sqrt(f.var(x, axis=0) + 1e-3),
    "min and max": lambda x: f.minimum(f.maximum(x, 0.1), x * 2.0),
    "modulus": lambda x: x % 1.3 + 2.0 * (x // 1.3),
    "power of a power": lambda x: f.abs(x) ** f.sigmoid(x),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_composition(name: str) -> None:
    x = np.random.default_rng(3).normal(size=(3, 4)) + (1.5 if name in ("digamma",) else 0.0)
    testing.check_gradient(COMPOSITIONS[name], [np.abs(x) + 0.1 if name == "digamma" else x])


# -- broadcasting ---------------------------------------------------------------------------------------------------

SHAPES = [((4, 3), (3,)), ((4, 3), (1, 3)), ((1, 3), (4, 1)), ((), (4, 3)), ((1, 1), (4, 3)), ((2, 1, 3), (5, 1))]


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_broadcast_gradients_are_summed(a: tuple[int, ...], b: tuple[int, ...], static: bool) -> None:
    """Lengths of 1 are known from the type, or only at run time."""
    rng = np.random.default_rng(0)
    xv, yv = rng.normal(size=a), rng.normal(size=b)
    x, y = (tensor(n, shape=v.shape if static else (None,) * v.ndim) for n, v in (("x", xv), ("y", yv)))
    gx, gy = evaluate(grad(f.sum(x * y), [x, y]), {x: xv, y: yv})
    product = np.ones(np.broadcast_shapes(a, b))

    def undone(full: Any, shape: tuple[int, ...]) -> Any:
        full = full.sum(axis=tuple(range(full.ndim - len(shape))))
        return full.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1), keepdims=True)

    np.testing.assert_allclose(gx, undone(product * yv, a), rtol=1e-12)
    np.testing.assert_allclose(gy, undone(product * xv, b), rtol=1e-12)
    assert (gx.shape, gy.shape) == (a, b)


def uses(variable: Variable, name: str) -> int:
    return sum(v.op is not None and v.op.name == name for v in toposort([variable]))


def test_unbroadcast_only_where_types_cannot_tell() -> None:
    x, y, c = matrix("x"), matrix("y"), tensor("c", shape=(1, 3))
    assert uses(grad(f.sum(f.tanh(x * 2.0) * f.exp(x)), x), "unbroadcast") == 0
    assert uses(grad(f.sum(x * c), c), "unbroadcast") == 0
    assert uses(grad(f.sum(x * y), x), "unbroadcast") == 1


# -- points where a derivative needs a choice -----------------------------------------------------------------------


def test_ties_share_the_gradient() -> None:
    x, y = vector("x"), vector("y")
    np.testing.assert_allclose(slopes(f.max(x), x, [1, 3, 3])[0], [0, 0.5, 0.5])
    np.testing.assert_allclose(slopes(f.min(x), x, [1, 1, 1, 3])[0], [1 / 3, 1 / 3, 1 / 3, 0])
    for function, expected in ((f.maximum, [0.5, 1, 0]), (f.minimum, [0.5, 0, 1])):
        gx, gy = slopes(f.sum(function(x, y)), x, [2, 5, 1], y, [2, 1, 5])
        np.testing.assert_allclose(gx, expected)
        np.testing.assert_allclose(gx + gy, 1)
    m = matrix("m")
    got = slopes(f.sum(f.max(m, axis=0)), m, [[1, 5], [1, 2]])[0]
    np.testing.assert_allclose(got, [[0.5, 1], [0.5, 0]])
    s = scalar("s")
    for v in (5.0, -3.0):
        assert slopes(f.minimum(f.maximum(s, 0), s), s, v) == [1.0]


@pytest.mark.parametrize(
    ("build", "at", "expected"),
    [
        (lambda x: f.relu(x), [-1, 0, 2], [0, 0.5, 1]),
        (lambda x: f.abs(x), [-1, 0, 2], [-1, 0, 1]),
        (lambda x: f.clip(x, 0, 1), [-1, 0, 0.5, 1, 2], [0, 1, 1, 1, 0]),
        (lambda x: x // 2.0, [3, -3], [0, 0]),
        (lambda x: f.floor(x) + f.round(x) + f.sign(x) + f.ceil(x) + f.trunc(x), [0.2, -3.7], [0, 0]),
        (lambda x: x % 3.0, [4, -4], [1, 1]),
        (lambda x: 7.0 % x, [3, -2], [-2, 4]),
        (lambda x: x**0.0, [0, 2], [0, 0]),
        (lambda x: x**2, [0, -3], [0, -6]),
        (lambda x: 0.0**x, [0, 2], [0, 0]),
        (lambda x: f.sqrt(x), [0, 4], [np.inf, 0.25]),
        (lambda x: x + 0.1 * (x // 10.0), [1, 20], [1, 1]),
        (lambda x: x * (x > 1), [0.5, 2], [0, 1]),
        (lambda x: f.where(x > 0, f.log(x), 0.0), [0, -1, 2], [0, 0, 0.5]),
        (lambda x: f.where(x > 0, x / x, 0.0), [0, 1], [0, 0]),
        (lambda x: f.where(x < 80, f.exp(x), 0.0), [1000, 0], [0, 1]),
        (lambda x: f.where(f.isinf(x), 0.0, x * x), [np.inf, 3], [0, 6]),
        (lambda x: f.where(x > 0, f.sqrt(x) * f.sin(x), 0.0), [np.inf, 0, -np.inf], None),
        (lambda x: f.softmax(x), [0, 1, -np.inf], [0, 0, 0]),
        (lambda x: f.zero_grad(x) * 3.0, [1, 2], [0, 0]),
        (lambda x: f.grad_clip(x, -1.0, 2.0) * 5.0, [1], [2]),
        (lambda x: f.disconnected_grad(x) * x, [3], [3]),
    ],
)
def test_chosen_derivative(build: Any, at: Any, expected: Any) -> None:
    x = vector("x")
    got = slopes(f.sum(build(x)), x, at)[0]
    if expected is None:
        assert got[1:].tolist() == [0, 0]
    else:
        np.testing.assert_allclose(got, expected, atol=1e-15)


def test_unused_elements_bring_no_nan() -> None:
    s, w = scalar("s"), matrix("w")
    assert slopes(f.sqrt(s * np.array([4.0, 0.0]))[0], s, 1.0) == [1.0]
    t = f.sum(w * w, axis=1)
    cost = f.sum(f.where(t > 0, (1 - f.cos(t)) / t, 0.0))
    got = slopes(cost, w, [[0, 0], [0.5, -1.0]])[0]
    slope = np.sin(1.25) / 1.25 - (1 - np.cos(1.25)) / 1.25**2
    np.testing.assert_allclose(got, [[0, 0], [slope, -2 * slope]], rtol=1e-12)
    x = vector("x")
    overwritten = f.set_subtensor(f.log(x)[0], 1.0)
    np.testing.assert_allclose(slopes(f.sum(overwritten), x, [0.0, 2.0])[0], [0, 0.5])


def test_second_derivative_through_a_masked_branch() -> None:
    x = vector("x")
    slope = grad(f.sum(f.where(x > 0, f.log(x), x**3)), x)
    np.testing.assert_allclose(slopes(f.sum(slope), x, [0.0, -2.0, 2.0])[0], [0, -12, -0.25])


@pytest.mark.parametrize("row", [[2.0, 3, 4], [0.0, 3, 4], [0.0, 0, 4], [0.0, 0, 0]], ids=str)
def test_product_with_zeros(row: list[float]) -> None:
    x = vector("x")
    slope = grad(f.prod(x), x)
    others = [np.prod(np.delete(row, k)) for k in range(3)]
    np.testing.assert_allclose(evaluate([slope], {x: np.array(row)})[0], others)
    second = [[0 if i == j else np.prod(np.delete(row, [i, j])) for j in range(3)] for i in range(3)]
    got = [slopes(f.sum(slope * np.eye(3)[i]), x, row)[0] for i in range(3)]
    np.testing.assert_allclose(got, second)


# -- what grad accepts and returns ----------------------------------------------------------------------------------


def test_form_of_the_result() -> None:
    x, y = vector("x"), vector("y")
    cost = f.sum(x * y)
    assert isinstance(grad(cost, x), Variable)
    assert isinstance(grad(cost, [x]), list) and isinstance(grad(cost, (x, y)), tuple)
    assert grad(cost, cost).ndim == 0
    assert evaluate([grad(cost, cost)], {})[0] == 1.0


def test_dtype_of_the_result() -> None:
    x, d, n = vector("x", "float32"), vector("d", "float64"), vector("n", "int64")
    for cost in (f.sum(x * d), f.sum(x / n), f.sum(x * d.astype("float32")), f.mean(x * n)):
        assert grad(cost, x).dtype == "float32"
    h = x * 2.0
    assert grad(f.sum(f.exp(h) * d), h).dtype == "float32"


def test_intermediates_and_shared_variables() -> None:
    x, w = vector("x"), shared(np.array([2.0, 3.0]), "w")
    h = x * w
    cost = f.sum(h * h)
    gx, gh, gw = evaluate(grad(cost, [x, h, w]), {x: np.array([1.0, -1.0])})
    np.testing.assert_allclose((gx, gh, gw), ([8, -18], [4, -6], [4, 6]))


def test_what_is_held_constant_has_a_gradient_itself() -> None:
    x, y = scalar("x"), scalar("y")
    h = x * x
    found = grad(h * y * x, [x, h, y], consider_constant=[h, x])
    assert evaluate(found, {x: np.array(2.0), y: np.array(5.0)}) == [20, 10, 8]


def test_consider_constant_is_by_identity() -> None:
    x = vector("x")
    h = x * x
    for blocked in ([h], h, (h,)):
        np.testing.assert_allclose(slopes(f.sum(x * h), x, [2, 3], consider_constant=blocked)[0], [4, 9])
    np.testing.assert_allclose(slopes(f.sum(x * h), x, [2, 3], consider_constant=[x * x])[0], [12, 27])


def test_known_grads() -> None:
    x, g = vector("x"), vector("g")
    h = f.exp(x)
    for known in ({h: g}, [(h, g)]):
        result = grad(None, x, known_grads=known)
        np.testing.assert_allclose(evaluate([result], {x: np.zeros(2), g: np.array([3.0, 4.0])})[0], [3, 4])
    # with a cost above it, the known gradient stands for what would come from there
    result = grad(f.sum(h * h), x, known_grads={h: g})
    np.testing.assert_allclose(evaluate([result], {x: np.zeros(2), g: np.array([3.0, 4.0])})[0], [3, 4])
    # of integers it is a float, which is not cut to their dtype
    n = vector("n", dtype="int32")
    for wrt, expected in ((n, [0.6, -0.3]), (x, [0, 0])):
        known = {n: g} if wrt is n else {f.cast(x, "int32"): g}
        result = grad(None, wrt, known_grads=known, disconnected_inputs="ignore", integers="float")
        assert result.dtype == "float64"
        given = {g: np.array([0.6, -0.3]), wrt: np.zeros(2, wrt.dtype)}
        np.testing.assert_array_equal(evaluate([result], given)[0], expected)
    with pytest.raises(ShapeError, match="number of axes"):
        grad(None, x, known_grads={h: scalar("s")})
    with pytest.raises(GradientError, match="nothing to differentiate"):
        grad(None, x)


def test_disconnected() -> None:
    x, other = vector("x"), vector("other_w")
    cost = f.sum(x)
    with pytest.raises(DisconnectedError, match=r"other_w: float64\[\?\]  made at .*test_gradients.py"):
        grad(cost, [x, other])
    with pytest.warns(UserWarning, match="other_w"):
        zero = grad(cost, other, disconnected_inputs="warn")
    assert evaluate([zero], {other: np.ones(3)})[0].tolist() == [0, 0, 0]
    assert grad(cost, other, disconnected_inputs="ignore", return_disconnected="none") is None
    with pytest.raises(DisconnectedError, match="integers, comparisons"):
        grad(f.sum((x > 0).astype("float64")), x)
    for option in ({"disconnected_inputs": "no"}, {"return_disconnected": "no"}):
        with pytest.raises(ValueError, match="no"):
            grad(cost, x, **option)


def test_step_functions_are_connected() -> None:
    x = vector("x")
    assert slopes(f.sum(f.floor(x * 2.0)), x, [0.3, 0.9])[0].tolist() == [0, 0]


def test_add_names() -> None:
    x = vector("x")
    cost = f.sum(x**2)
    cost.name = "loss"
    assert grad(cost, x, add_names=True).name == "(dloss/dx)"
    assert grad(cost, x).name is None


def test_refused() -> None:
    x, n = vector("x"), vector("count_n", "int64")
    with pytest.raises(GradientError, match=r"count_n is not a float and has no gradient"):
        grad(f.sum(n * x), n)
    y = x * 2.0
    y.name = "result_y"
    with pytest.raises(GradientError, match=r"result_y has 1 axis"):
        grad(y, x)
    with pytest.raises(GradientError, match="must be a float"):
        grad(f.sum(n), x)
    with pytest.raises(GradientError, match="wrt must be"):
        grad(f.sum(x), [3])  # type: ignore[list-item]
    with pytest.raises(GradientError, match="cost must be a variable"):
        grad(3.0, x)  # type: ignore[arg-type]


def test_an_op_without_a_gradient_says_why() -> None:
    op = Op(
        "test_no_gradient",
        ("x",),
        "A test.",
        lambda d: d[0],
        np.exp,
        None,
        no_grad="nobody worked it out",
        scalar="exp(x)",
    )
    try:
        x = vector("x")
        line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
        y = apply(op, [x])
        with pytest.raises(GradientError, match=rf"test_no_gradient.*nobody worked it out\n.*test_gradients.py:{line}"):
            grad(f.sum(y), x)
        # off the path it does no harm
        assert grad(f.sum(x) + f.sum(apply(op, [vector("z")])), x) is not None
    finally:
        del OPS["test_no_gradient"]


def test_gradients_carry_the_line_of_the_op() -> None:
    x = vector("x")
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    y = f.exp(f.sin(x))
    cost = f.sum(y)
    made = [v for v in toposort([grad(cost, x)], stop=toposort([cost])) if v.op is not None]
    lines = {v.line.line for v in made if v.line}
    assert line in lines and lines <= {line, line + 1}
    assert all(v.line and v.line.file == __file__ for v in made)


def test_gather_adds_repeated_indices() -> None:
    x, i = vector("x"), vector("i", "int64")
    cost = f.sum(x[i] * np.array([1.0, 10, 100]))
    np.testing.assert_allclose(slopes(cost, x, np.zeros(3), i, [0, 0, 2])[0], [11, 0, 100])
    np.testing.assert_allclose(slopes(cost, x, np.zeros(3), i, [-1, 2, -3])[0], [100, 0, 11])


def test_softmax_with_a_mask_of_minus_infinity() -> None:
    a = matrix("a")
    mask = np.array([[0, 0, -np.inf, 0]])
    p = f.softmax(a + mask)
    av = np.array([[1.0, 2, 3, 0.5]])
    e = np.exp(av + mask)
    e /= e.sum()
    np.testing.assert_allclose(slopes(p[0, 1], a, av)[0], e[0, 1] * (np.array([[0, 1.0, 0, 0]]) - e), atol=1e-15)


def test_loss_of_a_batch() -> None:
    """A small network as in the tutorials, against differences."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 2, 1, 2])

    def loss(x: Variable, w: Variable, b: Variable, v: Variable) -> Variable:
        scores = f.dot(f.tanh(f.dot(x, w) + b), v)
        return f.mean(f.categorical_crossentropy(f.softmax(scores), labels)) + 0.01 * f.sum(w**2)

    testing.check_gradient(loss, [rng.normal(size=s) for s in ((4, 5), (5, 6), (6,), (6, 3))])


def test_empty_batch() -> None:
    x, b = tensor3("x"), vector("b")
    gx, gb = slopes(f.sum(x * b), x, np.zeros((0, 2, 3)), b, np.ones(3))
    assert gx.shape == (0, 2, 3) and gb.tolist() == [0, 0, 0]


# -- long graphs ----------------------------------------------------------------------------------------------------


def chain(length: int) -> tuple[Variable, Variable]:
    x = scalar("x")
    y = x
    for k in range(length // 2):
        y = f.sin(y) * (0.99 + 0.001 * (k % 7))
    return x, y


def test_long_chain() -> None:
    """20,000 ops, twenty times what Python calls within one another, are built, differentiated, pickled and copied."""
    x, y = chain(20_000)
    forward = toposort([y])
    assert len(toposort([grad(y, x)], stop=forward)) > 20_000
    for other_x, other in (pickle.loads(pickle.dumps((x, y))), copy.deepcopy((x, y))):
        nodes = toposort([other])
        assert other_x in nodes and x not in nodes and other is not y
        assert [v.op for v in nodes] == [v.op for v in forward]


def test_work_grows_linearly() -> None:
    def work(length: int) -> int:
        x, y = chain(length)
        return calls(lambda: grad(y, x))

    work(100)
    assert work(8_000) < 4.5 * work(2_000)


def test_copies_compute_the_same() -> None:
    x, y = chain(2_000)
    slope = grad(y, x)
    expected = evaluate([slope], {x: np.array(0.3)})[0]
    for other_x, other in (pickle.loads(pickle.dumps((x, slope))), copy.deepcopy((x, slope))):
        assert other_x is not x and other is not slope
        assert evaluate([other], {other_x: np.array(0.3)})[0] == expected


def test_many_uses_of_one_variable() -> None:
    x = vector("x")
    total = f.sum(x)
    for k in range(1200):
        total = total + f.sum(x * float(k % 5))
    got = slopes(total, x, [1.0, 2.0])[0]
    np.testing.assert_allclose(got, 1 + 240 * 10)
