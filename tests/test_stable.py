"""Values, gradients and second derivatives of costs written out by hand, far from where plain arithmetic is right.

Expected values are closed forms in extended precision. All hold on every target, the reference included: what is
replaced is replaced before `grad`, and before any target sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

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
