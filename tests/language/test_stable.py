"""Values, gradients and second derivatives of costs written out by hand, far from where plain arithmetic is right.

Expected values are closed forms in extended precision. All hold on every target, the reference included: what is
replaced is replaced before `grad`, and before any target sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import numgraph as ng
from numgraph.graph import toposort
from numgraph.op import OPS
from numgraph.stable.engine import stabilised

Array = Any
L = np.longdouble
TARGETS = ("reference", "cpu")
DTYPES = ("float64", "float32")
# How far a result may be off: relatively, and in absolute terms.
CLOSE = {"float64": (1e-11, 1e-14), "float32": (3e-5, 1e-6)}


def points(dtype: str) -> Array:
    """Ordinary, tiny and huge values of both signs; squares of the largest overflow, as exp of most does."""
    tiny, huge = (1e-200, 1e200) if dtype == "float64" else (1e-30, 1e30)
    sizes = [0.0, tiny, 1e-3, 1.0, 50.0, 100.0, 1000.0, huge]
    return np.array([*sizes, *(-v for v in sizes)], dtype)


def sigmoid(x: Array) -> Array:
    return np.where(x >= 0, 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x))))


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def bell(x: Array) -> Array:
    """The second derivative of softplus."""
    return sigmoid(x) * sigmoid(-x)


def xlogx(p: Array, log: Array) -> Array:
    return np.where(p == 0, 0, p * np.where(p == 0, 0, log))


def sech2(x: Array) -> Array:
    return 4 * np.exp(-2 * abs(x)) / (1 + np.exp(-2 * abs(x))) ** 2


def p_of(x: Any) -> Any:
    return 1 / (1 + ng.exp(-x))


def tanh_of(x: Any) -> Any:
    return (ng.exp(x) - ng.exp(-x)) / (ng.exp(x) + ng.exp(-x))


# name: (cost, its value, first and second derivative)
Family = tuple[Callable[[Any], Any], Callable[[Array], tuple[Array, Array, Array]]]
EVERYWHERE: dict[str, Family] = {
    "log(1 + exp(x))": (lambda x: ng.log(1 + ng.exp(x)), lambda x: (softplus(x), sigmoid(x), bell(x))),
    "log1p(exp(-x))": (lambda x: ng.log1p(ng.exp(-x)), lambda x: (softplus(-x), -sigmoid(-x), bell(x))),
    "logistic": (p_of, lambda x: (sigmoid(x), bell(x), bell(x) * -np.tanh(x / 2))),
    "logistic, exp(x) above": (
        lambda x: ng.exp(x) / (1 + ng.exp(x)),
        lambda x: (sigmoid(x), bell(x), bell(x) * -np.tanh(x / 2)),
    ),
    "power of -1": (lambda x: (1 + ng.exp(-x)) ** -1, lambda x: (sigmoid(x), bell(x), bell(x) * -np.tanh(x / 2))),
    "log of a logistic": (lambda x: ng.log(p_of(x)), lambda x: (-softplus(-x), sigmoid(-x), -bell(x))),
    "log of 1 - logistic": (lambda x: ng.log(1 - p_of(x)), lambda x: (-softplus(x), -sigmoid(x), -bell(x))),
    "cross-entropy": (
        lambda x: -(0.3 * ng.log(p_of(x)) + 0.7 * ng.log(1 - p_of(x))),
        lambda x: (0.3 * softplus(-x) + 0.7 * softplus(x), sigmoid(x) - L("0.3"), bell(x)),
    ),
    "cross-entropy by choice": (
        lambda x: -ng.log(ng.where(x > 0, p_of(x), 1 - p_of(x))),
        lambda x: (softplus(-abs(x)), np.where(x > 0, -1, 1) * sigmoid(-abs(x)), bell(x)),
    ),
    "log2 of a logistic": (
        lambda x: ng.log2(p_of(x)),
        lambda x: tuple(v / np.log(L(2)) for v in (-softplus(-x), sigmoid(-x), -bell(x))),
    ),
    "log(2 + exp(x))": (
        lambda x: ng.log(2 + ng.exp(x)),
        lambda x: (softplus(x - np.log(L(2))) + np.log(L(2)), sigmoid(x - np.log(L(2))), bell(x - np.log(L(2)))),
    ),
    "log(exp(x) + exp(-x))": (
        lambda x: ng.log(ng.exp(x) + ng.exp(-x)),
        lambda x: (abs(x) + np.log1p(np.exp(-2 * abs(x))), np.tanh(x), sech2(x)),
    ),
    "log(cosh(x))": (
        lambda x: ng.log(ng.cosh(x)),
        lambda x: (abs(x) + np.log1p(np.exp(-2 * abs(x))) - np.log(L(2)), np.tanh(x), sech2(x)),
    ),
    "tanh": (tanh_of, lambda x: (np.tanh(x), sech2(x), -2 * np.tanh(x) * sech2(x))),
    "tanh of a half": (
        lambda x: (1 - ng.exp(-x)) / (1 + ng.exp(-x)),
        lambda x: (np.tanh(x / 2), sech2(x / 2) / 2, -np.tanh(x / 2) * sech2(x / 2) / 2),
    ),
    "log odds": (
        lambda x: ng.log(p_of(x) / (1 - p_of(x))),
        lambda x: (x, np.ones_like(x), np.zeros_like(x)),
    ),
    "logaddexp": (lambda x: ng.logaddexp(x, 0.0), lambda x: (softplus(x), sigmoid(x), bell(x))),
    "arctan": (ng.arctan, lambda x: (np.arctan(x), 1 / (1 + x * x), -2 * x / (1 + x * x) ** 2)),
    "arcsinh": (ng.arcsinh, lambda x: (np.arcsinh(x), 1 / np.hypot(1, x), -x / np.hypot(1, x) / (1 + x * x))),
    "hypot": (
        lambda x: ng.hypot(x, 3.0),
        lambda x: (np.hypot(x, 3), x / np.hypot(x, 3), 9 / np.hypot(x, 3) / (x * x + 9)),
    ),
    "arctan2": (
        lambda x: ng.arctan2(x, 2.0),
        lambda x: (np.arctan2(x, 2), 2 / (4 + x * x), -4 * x / (4 + x * x) ** 2),
    ),
    "arctan2, turned": (
        lambda x: ng.arctan2(2.0, x),
        lambda x: (np.arctan2(2, x), -2 / (4 + x * x), 4 * x / (4 + x * x) ** 2),
    ),
}


def derivatives(cost: Any, x: Any, weights: Any = 1.0) -> list[Any]:
    """A cost's value, its gradient, and the gradient of that in the direction `weights`."""
    slope = ng.grad(ng.sum(cost), x)
    return [cost, slope, ng.grad(ng.sum(slope * weights), x, disconnected_inputs="ignore")]


def check(names: Any, got: Any, expected: Any, at: Array, dtype: str) -> None:
    rtol, atol = CLOSE[dtype]
    with np.errstate(all="ignore"):
        for k, name in enumerate(names):
            for j, what in enumerate(("value", "gradient", "second derivative")):
                wanted = np.asarray(expected[name][j]).astype(dtype)
                np.testing.assert_allclose(
                    got[3 * k + j], wanted, rtol, atol, err_msg=f"{what} of {name} at {at}, {dtype}"
                )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_written_out(dtype: str, target: str) -> None:
    x, at = ng.vector("x", dtype=dtype), points(dtype)
    outputs = [v for cost, _ in EVERYWHERE.values() for v in derivatives(cost(x), x)]
    with np.errstate(all="ignore"):
        got = ng.function([x], outputs, target=target)(at)
        expected = {name: closed(at.astype(L)) for name, (_, closed) in EVERYWHERE.items()}
    check(EVERYWHERE, got, expected, at, dtype)


# -- rows of logits -------------------------------------------------------------------------------------------------

WEIGHTS = np.array([0.5, -1.0, 2.0])
OTHER = np.array([0.0, 1.0, -2.0])


def logs(z: Array) -> Array:
    """log(softmax(z)) of each row."""
    shifted = z - z.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def turned(p: Array, w: Array) -> Array:
    """The derivative of softmax in the direction w."""
    return p * (w - (p * w).sum(1, keepdims=True))


def of_label(z: Array) -> tuple[Array, Array, Array]:
    p = np.exp(logs(z))
    return -logs(z)[:, 0], p - np.eye(3)[0], turned(p, WEIGHTS)


def of_entropy(z: Array) -> tuple[Array, Array, Array]:
    ls = logs(z)
    p = np.exp(ls)
    h = -xlogx(p, ls).sum(1, keepdims=True)
    slope = -np.where(p == 0, 0, p * (ls + h))
    p1, ls1 = turned(p, WEIGHTS), WEIGHTS - (p * WEIGHTS).sum(1, keepdims=True)
    second = -np.where(p == 0, 0, p1 * (ls + h) + p * (ls1 + (slope * WEIGHTS).sum(1, keepdims=True)))
    return h[:, 0], slope, second


def of_divergence(z: Array) -> tuple[Array, Array, Array]:
    ls = logs(z)
    p, ratio = np.exp(ls), ls - logs(OTHER[None].astype(L))
    kl = xlogx(p, ratio).sum(1, keepdims=True)
    slope = np.where(p == 0, 0, p * (ratio - kl))
    p1, ls1 = turned(p, WEIGHTS), WEIGHTS - (p * WEIGHTS).sum(1, keepdims=True)
    second = np.where(p == 0, 0, p1 * (ratio - kl) + p * (ls1 - (slope * WEIGHTS).sum(1, keepdims=True)))
    return kl[:, 0], slope, second


def of_sum(shift: Any, offset: Any = 0.0) -> Any:
    def closed(z: Array) -> tuple[Array, Array, Array]:
        z = z + np.asarray(shift).astype(L)
        p, high = np.exp(logs(z)), z.max(1)
        return high + np.log(np.exp(z - high[:, None]).sum(1)) + offset, p, turned(p, WEIGHTS)

    return closed


def e_over_sum(z: Any) -> Any:
    e = ng.exp(z)
    return e / e.sum(axis=1)[:, None]


ROWS: dict[str, Family] = {
    "label, e / sum(e)": (lambda z: -ng.log(ng.exp(z) / ng.exp(z).sum(axis=1, keepdims=True))[:, 0], of_label),
    "label, picked before the log": (lambda z: -ng.log(e_over_sum(z)[:, 0]), of_label),
    "label, by index arrays": (
        lambda z: -ng.log(e_over_sum(z))[ng.arange(z.shape[0]), ng.zeros_like(z[:, 0], "int64")],
        of_label,
    ),
    "label, product with a one-hot row": (lambda z: -(ng.log(e_over_sum(z)) * np.eye(3)[0]).sum(axis=1), of_label),
    "entropy": (lambda z: -(e_over_sum(z) * ng.log(e_over_sum(z))).sum(axis=1), of_entropy),
    "entropy of softmax": (lambda z: -(ng.softmax(z) * ng.log(ng.softmax(z))).sum(axis=1), of_entropy),
    "divergence": (
        lambda z: (e_over_sum(z) * ng.log(e_over_sum(z) / ng.softmax(ng.constant(OTHER[None].astype(z.dtype))))).sum(
            axis=1
        ),
        of_divergence,
    ),
    "log(sum(exp))": (lambda z: ng.log(ng.exp(z).sum(axis=1)), of_sum(0.0)),
    "log(mean(exp))": (lambda z: ng.log(ng.exp(z).mean(axis=1)), of_sum(0.0, -np.log(L(3)))),
    "sum of three exponentials": (
        lambda z: ng.log(ng.exp(z[:, 0]) + ng.exp(z[:, 1]) + ng.exp(z[:, 2])),
        of_sum(0.0),
    ),
    "mixture": (
        lambda z: ng.log((ng.softmax(ng.constant(OTHER[None].astype(z.dtype))) * ng.exp(z)).sum(axis=1)),
        of_sum(logs(OTHER[None].astype(L))),
    ),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows(dtype: str, target: str) -> None:
    z = ng.matrix("z", dtype=dtype)
    at = points(dtype)[:, None] * np.array([[1.0, 0.0, -0.5]], dtype)
    outputs = [v for cost, _ in ROWS.values() for v in derivatives(cost(z), z, WEIGHTS.astype(dtype))]
    with np.errstate(all="ignore"):
        got = ng.function([z], outputs, target=target)(at)
        expected = {name: closed(at.astype(L)) for name, (_, closed) in ROWS.items()}
    check(ROWS, got, expected, at[:, 0], dtype)


@pytest.mark.parametrize("target", TARGETS)
def test_entropy_with_probabilities_of_zero(target: str) -> None:
    """Logits of -inf take an element out of softmax: the entropy and its derivatives are those of the others."""
    z = ng.matrix("z")
    outputs = derivatives(ROWS["entropy of softmax"][0](z), z, WEIGHTS)
    got = ng.function([z], outputs, target=target)([[1.0, -np.inf, 2.0], [-np.inf, 0.5, -np.inf]])
    far = ng.function([z], outputs, target=target)([[1.0, -1e5, 2.0], [-1e5, 0.5, -1e5]])
    for a, b in zip(got, far, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


# -- roots and tails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tails(dtype: str, target: str) -> None:
    """1 - erf(x), log(erfc(x)), log(1 - exp(x)) and what is made of them, against SciPy and closed forms."""
    x = ng.vector("x", dtype=dtype)
    tiny = 1e-20 if dtype == "float64" else 1e-12
    at = np.array([-100, -20, -3, -1, -0.5, 0.0, 0.3, 1, 3, 5, 7.9, 8.1, 10, 30, 1000], dtype)
    below = np.array([-tiny, -1e-4, -0.1, -0.6931, -0.6932, -1, -5, -30, -80, -1000], dtype)
    root = np.sqrt(2)
    outputs = [
        *derivatives(ng.log(ng.erfc(x)), x), 1 - ng.erf(x), 1 + ng.erf(x), 1 - ng.erfc(x),
        *derivatives(ng.log(0.5 * (1 - ng.erf(x / root))), x), ng.log10(0.5 * ng.erfc(-x / root)),
    ]  # fmt: skip
    got = ng.function([x], outputs, target=target)(at)
    wide = at.astype(float)
    slope = -2 / np.sqrt(np.pi) / scipy.special.erfcx(wide)
    normal = scipy.special.log_ndtr(-wide)
    first = -np.exp(-wide * wide / 2 - normal) / np.sqrt(2 * np.pi)
    first = np.where(wide > 5, -np.sqrt(2 / np.pi) / scipy.special.erfcx(wide / root), first)
    with np.errstate(all="ignore"):
        logs = np.where(wide > 0, np.log(scipy.special.erfcx(wide)) - wide * wide, np.log(scipy.special.erfc(wide)))
    expected = [
        logs,
        slope, None, scipy.special.erfc(wide), scipy.special.erfc(-wide), scipy.special.erf(wide),
        normal, first, None, scipy.special.log_ndtr(wide) / np.log(10),
    ]  # fmt: skip
    rtol = 1e-11 if dtype == "float64" else 3e-5
    for k, (array, wanted) in enumerate(zip(got, expected, strict=True)):
        assert np.isfinite(array).all()
        if wanted is not None:
            # the logarithm of what is next to 1 is as exact as that
            atol = np.finfo(dtype).tiny * 10 if 1 <= k < 6 else np.finfo(dtype).eps
            np.testing.assert_allclose(array, wanted, rtol=rtol, atol=atol)
    # the second derivative of log(erfc) goes to -2, that of the logarithm of the normal tail to -1
    np.testing.assert_allclose([got[2][-1], got[8][-1]], [-2, -1], rtol=1e-5)
    forms = (ng.log(1 - ng.exp(x)), ng.log1p(-ng.exp(x)), ng.log(-ng.expm1(x)), ng.log1mexp(x))
    found = ng.function([x], [d for form in forms for d in derivatives(form, x)], target=target)(below)
    v = below.astype(L)
    with np.errstate(all="ignore"):
        value = np.where(v > -np.log(L(2)), np.log(-np.expm1(v)), np.log1p(-np.exp(v)))
        wanted = [w.astype(dtype) for w in (value, -1 / np.expm1(-v), -np.exp(-v) / np.expm1(-v) ** 2)]
    for k, array in enumerate(found):
        np.testing.assert_allclose(array, wanted[k % 3], rtol=max(rtol, 1e-10))


@pytest.mark.parametrize("target", TARGETS)
def test_squares_of_norms_at_zero(target: str) -> None:
    """A smooth function has derivatives at 0, also where it is written as the square of one that has none."""
    x, eye = ng.vector("x"), np.eye(2)
    costs = [ng.norm(x) ** 2, ng.square(ng.norm(x)), ng.norm(x) * ng.norm(x), ng.sqrt(ng.sum(x**2)) ** 2]
    outputs = []
    for cost in costs:
        slope = ng.grad(cost, x)
        outputs += [slope, *(ng.grad(ng.sum(slope * row), x) for row in eye)]
    got = ng.function([x], outputs, target=target)([0.0, 0.0])
    assert [g.tolist() for g in got] == [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]] * 4
    # a root that may be of something negative stays one
    y = ng.scalar("y")
    assert np.isnan(ng.function([y], ng.sqrt(y) ** 2, target=target)(-1.0))


# -- where it stops -------------------------------------------------------------------------------------------------


def test_elements_that_are_moved() -> None:
    x = ng.scalar("x")
    moved = ng.log(ng.specify_shape(ng.reshape(ng.full((2, 3), ng.sigmoid(x)), (3, 2))[1:], (2, 2)))
    np.testing.assert_allclose(ng.function([x], moved)(-800.0), np.full((2, 2), -800.0))


def test_variables_that_are_asked_for_stay() -> None:
    """Nothing is replaced across a variable to differentiate for, to hold constant, or with a known gradient."""
    x = ng.vector("x")
    z = 1 + ng.exp(x)
    p = 1 / z
    cost = ng.sum(ng.log(z) + ng.log(p))
    at = np.array([0.5, -1.0])
    e = np.exp(at)
    f = ng.function([x], ng.grad(cost, [z, p, x]))
    for got, wanted in zip(f(at), [0 / at, 1 + e, 0 * at], strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-15)
    q = ng.log(z)
    held = ng.function([x], ng.grad(ng.sum(q * ng.log(z)), x, consider_constant=[q]))
    np.testing.assert_allclose(held(at), np.log(1 + e) * e / (1 + e))
    known = ng.function([x], ng.grad(None, x, known_grads={z: ng.ones_like(x)}))
    np.testing.assert_allclose(known(at), e)
    s = ng.sqrt(x * x)
    root = ng.function([x], ng.grad(ng.sum(s**2 + x), [s, x]))
    np.testing.assert_allclose(root(at), [2 * abs(at), 2 * at + 1])


def test_equal_expressions_are_one_for_rules() -> None:
    """`exp(x @ w)` written twice is two variables, and softmax all the same; another operand is another expression."""
    x, w = ng.matrix("x"), ng.matrix("w")
    written = ng.exp(x @ w) / ng.exp(x @ w).sum(axis=1, keepdims=True)
    other = ng.exp(x @ w) / ng.exp(w @ x).sum(axis=1, keepdims=True)
    assert stabilised([written])[0].op is OPS["softmax"]
    assert stabilised([other])[0].op is not OPS["softmax"]
    columns = ng.exp(x) / ng.exp(x).sum(axis=0)[:, None]
    assert not any(v.op is OPS["softmax"] for v in toposort(stabilised([columns])))


def test_a_long_chain_takes_no_recursion() -> None:
    x = ng.vector("x")
    v: Any = x
    for _ in range(1000):
        v = ng.log(1 + ng.exp(v)) - 0.5
    assert ng.grad(ng.sum(v), x).ndim == 1


# -- givens and inputs that name a variable of the cost ----------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_givens_of_a_result_reach_the_gradient(target: str) -> None:
    """What is below a replaced part is a copy in the gradient, which stands for the user's variable."""
    x, w, other = ng.vectors("x", "w", "other")
    p = 1 / (1 + ng.exp(-x))
    h = p * w
    cost = ng.sum(h**3)
    slope = ng.grad(cost, w)
    f = ng.function([x, w, other], [cost, slope], givens={h: other}, target=target)
    got = f([0.0, 1.0], [1.0, 2.0], [3.0, 5.0])
    np.testing.assert_allclose(got[0], 27 + 125)
    np.testing.assert_allclose(got[1], 3 * np.array([9.0, 25.0]) / (1 + np.exp([-0.0, -1.0])))
    cut = ng.function([h, x, w], slope, target=target)
    np.testing.assert_allclose(cut([3.0, 5.0], [0.0, 1.0], [0.0, 0.0]), got[1])


def test_givens_of_what_a_gradient_no_longer_contains() -> None:
    x, other = ng.vectors("x", "other")
    z = 1 + ng.exp(x)
    z.name = "partition"
    cost = ng.sum(ng.log(z))
    slope = ng.grad(cost, x)
    with pytest.raises(ng.GivensError, match=r"partition cannot be replaced in a gradient.*\n.*\n.*\n.*ng\.clone"):
        ng.function([x, other], slope, givens={z: other})
    with pytest.raises(ng.GivensError, match="partition"):
        ng.function([z, x], slope)
    replaced = ng.clone(cost, {z: other * x})
    f = ng.function([x, other], ng.grad(replaced, x))
    np.testing.assert_allclose(f([2.0], [3.0]), [0.5])


# -- on a device ------------------------------------------------------------------------------------------------------

SAMPLE = ("log(1 + exp(x))", "cross-entropy", "log(cosh(x))", "tanh of a half", "arctan2", "hypot")


@pytest.mark.parametrize("dtype", DTYPES)
def test_on_a_simulated_device(dtype: str) -> None:
    x, z, at = ng.vector("x", dtype=dtype), ng.matrix("z", dtype=dtype), points(dtype)[[0, 1, 3, 6, 7, 11, 14, 15]]
    rows = at[:, None] * np.array([[1.0, 0.0, -0.5]], dtype)
    outputs = [v for name in SAMPLE for v in derivatives(EVERYWHERE[name][0](x), x)[:2]]
    outputs += derivatives(ROWS["entropy"][0](z), z)[:2] + derivatives(ng.where(x > 0, ng.log(x), 0.0), x)[1:]
    outputs += derivatives(ng.log(ng.erfc(x)), x)[:2]
    inputs = [x, z]
    found = [ng.function(inputs, outputs, target=target)(at, rows) for target in ("reference", "cuda-sim")]
    rtol, atol = CLOSE[dtype]
    for wanted, got in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=rtol, atol=atol)
