"""Normalisation against NumPy, on each target, its gradients, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.errors import AxisError, OptionError, ShapeError
from tests.language.test_matrices import value

RNG = np.random.default_rng(11)
X = RNG.normal(2.0, 3.0, (4, 6, 3, 2))
GAMMA, BETA = RNG.normal(size=6), RNG.normal(size=6)
WIDE_GAMMA, WIDE_BETA = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2))
E = 1e-5


def normal(x: Any, axes: tuple[int, ...]) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + E)


def channels(v: Any) -> Any:
    return v[:, None, None]


def grouped(x: Any, groups: int) -> Any:
    return normal(x.reshape(x.shape[0], groups, -1), (2,)).reshape(x.shape)


# what numgraph is asked, what NumPy says, and the parameters of both
CASES: dict[str, tuple[Callable[..., Any], Any, list[Any]]] = {
    "batch, by itself": (ng.batch_norm, normal(X, (0, 2, 3)), []),
    "batch": (ng.batch_norm, normal(X, (0, 2, 3)) * channels(GAMMA) + channels(BETA), [GAMMA, BETA]),
    "batch, channels last": (
        lambda x, g, b: ng.batch_norm(x.transpose(0, 2, 3, 1), g, b, axis=-1).transpose(0, 3, 1, 2),
        normal(X, (0, 2, 3)) * channels(GAMMA) + channels(BETA),
        [GAMMA, BETA],
    ),
    "batch, of training": (
        lambda x, g, b, m, v: ng.batch_norm(x, g, b, m, abs(v)),
        (X - channels(BETA)) / np.sqrt(np.abs(channels(GAMMA)) + E) * channels(GAMMA) + channels(BETA),
        [GAMMA, BETA, BETA, GAMMA],
    ),
    "layer": (ng.layer_norm, normal(X, (3,)), []),
    "layer, two axes": (
        lambda x, g, b: ng.layer_norm(x, g, b, axis=(-1, 2)), normal(X, (2, 3)) * WIDE_GAMMA + WIDE_BETA,
        [WIDE_GAMMA, WIDE_BETA],
    ),
    "rms": (
        lambda x, g: ng.rms_norm(x, g, axis=1), X / np.sqrt((X**2).mean(1, keepdims=True) + E) * channels(GAMMA),
        [GAMMA],
    ),
    "groups": (lambda x, g, b: ng.group_norm(x, 3, g, b), grouped(X, 3) * channels(GAMMA) + channels(BETA),
               [GAMMA, BETA]),
    "each channel": (lambda x: ng.group_norm(x, 6), normal(X, (2, 3)), []),
}  # fmt: skip


@pytest.mark.parametrize("target", ["cpu", "reference", "cuda-sim"])
@pytest.mark.parametrize("name", CASES)
def test_normalisation_is_numpys(name: str, target: str) -> None:
    build, want, parameters = CASES[name]
    np.testing.assert_allclose(value(build, X, *parameters, target=target), want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    build, _, parameters = CASES[name]
    x = X[:3, :, :2]
    parameters = [p[:2] if p.ndim == 2 else p for p in parameters]
    testing.verify_grad(build, [x, *parameters], n_tests=1)


def test_running_averages_are_updates() -> None:
    x = ng.matrix("x")
    mean, var = ng.shared(np.zeros(3), "mean"), ng.shared(np.ones(3), "var")
    m, v = ng.moments(x, axis=0)
    train = ng.function([x], ng.batch_norm(x), updates=[(mean, 0.9 * mean + 0.1 * m), (var, 0.9 * var + 0.1 * v)])
    use = ng.function([x], ng.batch_norm(x, mean=mean, var=var))
    data = RNG.normal(5.0, 2.0, (1000, 3))
    for _ in range(200):
        train(data)
    np.testing.assert_allclose(use(data), train(data), rtol=1e-4, atol=1e-4)


def test_integers_and_constants() -> None:
    got = value(lambda x: ng.layer_norm(x), np.array([[1, 3], [2, 2]]))
    np.testing.assert_allclose(got, [[-1, 1], [0, 0]], atol=1e-4)
    assert value(lambda x: ng.layer_norm(x, 2.0, 1.0), np.zeros((0, 3))).shape == (0, 3)
    assert value(ng.batch_norm, X.astype("float32")).dtype == "float32"


def test_what_is_refused() -> None:
    x = ng.tensor("x", shape=(None, 6, 2))
    with pytest.raises(OptionError, match="mean and var come together"):
        ng.batch_norm(x, mean=GAMMA)
    with pytest.raises(ShapeError, match=r"layer_norm: a parameter has 1 axes, one for each .* or none, not 2"):
        ng.layer_norm(x, WIDE_GAMMA)
    with pytest.raises(ShapeError, match="group_norm: 6 channels do not make 4 equal groups"):
        ng.group_norm(x, 4)
    with pytest.raises(ShapeError, match="group_norm: x needs an axis for the batch and one for channels"):
        ng.group_norm(ng.vector("v"), 1)
    with pytest.raises(OptionError, match="groups must be a number of at least 1, not 0"):
        ng.group_norm(x, 0)
    with pytest.raises(AxisError, match=r"batch_norm: axis 1 of .*v"):
        ng.batch_norm(ng.vector("v"))
    with pytest.raises(ShapeError):
        ng.function([y := ng.tensor3("y")], ng.group_norm(y, 4), target="reference")(np.zeros((1, 6, 2)))
