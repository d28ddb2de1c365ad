"""Training helpers: each method against its published formula in NumPy float64, clipping, schedules, and the generated
code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

Array = np.ndarray[Any, Any]
# Relative to the largest element, after STEPS steps.
TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
STEPS = 12
SHAPES: list[tuple[int, ...]] = [(3, 4), (), (1,), (0, 3), (2, 1, 2)]


class Formula:
    """What `torch.optim` documents, step by step, in float64. params: changed in place."""

    def __init__(self, params: list[Array], **hyper: float) -> None:
        self.params, self.hyper, self.t = params, hyper, 0
        self.kept: dict[tuple[str, int], Array] = {}

    def state(self, role: str, k: int, start: float = 0.0) -> Array:
        return self.kept.setdefault((role, k), np.full(self.params[k].shape, start))

    def step(self, rule: Callable[..., Array], gradients: list[Array]) -> None:
        self.t += 1
        for k, g in enumerate(gradients):
            self.params[k] = np.asarray(rule(self, k, self.params[k], g.astype(float), **self.hyper))

    def keep(self, role: str, k: int, value: Array) -> Array:
        self.kept[role, k] = value
        return value


def sgd(s: Formula, k: int, p: Array, g: Array, learning_rate: float) -> Array:
    return p - learning_rate * g


def momentum(s: Formula, k: int, p: Array, g: Array, learning_rate: float, momentum: float) -> Array:
    # the first buffer is the gradient itself
    b = s.keep("b", k, g if s.t == 1 else momentum * s.state("b", k) + g)
    return p - learning_rate * b


def nesterov(s: Formula, k: int, p: Array, g: Array, learning_rate: float, momentum: float) -> Array:
    b = s.keep("b", k, g if s.t == 1 else momentum * s.state("b", k) + g)
    return p - learning_rate * (g + momentum * b)


def adagrad(s: Formula, k: int, p: Array, g: Array, learning_rate: float, initial: float, epsilon: float) -> Array:
    total = s.keep("sum", k, s.state("sum", k, initial) + g**2)
    return p - learning_rate * g / (np.sqrt(total) + epsilon)


def rmsprop(
    s: Formula, k: int, p: Array, g: Array, learning_rate: float, rho: float, epsilon: float = 1e-8,
    centered: bool = False, momentum: float = 0.0,
) -> Array:  # fmt: skip
    v = s.keep("v", k, rho * s.state("v", k) + (1 - rho) * g**2)
    if centered:
        average = s.keep("a", k, s.state("a", k) * rho + (1 - rho) * g)
        v = v - average**2
    if momentum > 0:
        b = s.keep("b", k, momentum * s.state("b", k) + g / (np.sqrt(v) + epsilon))
        return p - learning_rate * b
    return p - learning_rate * g / (np.sqrt(v) + epsilon)


def adadelta(s: Formula, k: int, p: Array, g: Array, learning_rate: float, rho: float, epsilon: float) -> Array:
    v = s.keep("v", k, s.state("v", k) * rho + g**2 * (1 - rho))
    change = np.sqrt(s.state("u", k) + epsilon) / np.sqrt(v + epsilon) * g
    s.keep("u", k, s.state("u", k) * rho + change**2 * (1 - rho))
    return p - learning_rate * change


def adam(
    s: Formula, k: int, p: Array, g: Array, learning_rate: float, beta1: float, beta2: float, epsilon: float
) -> Array:
    m = s.keep("m", k, beta1 * s.state("m", k) + (1 - beta1) * g)
    v = s.keep("v", k, beta2 * s.state("v", k) + (1 - beta2) * g**2)
    return p - learning_rate * (m / (1 - beta1**s.t)) / (np.sqrt(v / (1 - beta2**s.t)) + epsilon)


def adamw(
    s: Formula, k: int, p: Array, g: Array, learning_rate: float, beta1: float, beta2: float, epsilon: float,
    weight_decay: float,
) -> Array:  # fmt: skip
    return adam(s, k, p - learning_rate * weight_decay * p, g, learning_rate, beta1, beta2, epsilon)


BETAS = {"learning_rate": 0.03, "beta1": 0.8, "beta2": 0.97, "epsilon": 1e-6}
METHODS: dict[str, tuple[Callable[..., Array], dict[str, Any]]] = {
    "sgd": (sgd, {"learning_rate": 0.1}),
    "momentum": (momentum, {"learning_rate": 0.1, "momentum": 0.7}),
    "nesterov": (nesterov, {"learning_rate": 0.1, "momentum": 0.7}),
    "adagrad": (adagrad, {"learning_rate": 0.1, "initial": 0.2, "epsilon": 1e-5}),
    "rmsprop": (rmsprop, {"learning_rate": 0.05, "rho": 0.9, "epsilon": 1e-4}),
    "rmsprop centered": (rmsprop, {"learning_rate": 0.05, "rho": 0.6, "epsilon": 0.1, "centered": True}),
    "rmsprop momentum": (rmsprop, {"learning_rate": 0.05, "rho": 0.9, "epsilon": 1e-4, "momentum": 0.5}),
    "adadelta": (adadelta, {"learning_rate": 0.9, "rho": 0.8, "epsilon": 1e-4}),
    "adam": (adam, BETAS),
    "adamw": (adamw, BETAS | {"weight_decay": 0.2}),
}


def given(dtype: str, shapes: list[tuple[int, ...]] = SHAPES) -> tuple[list[Any], list[Any], list[list[Array]]]:
    """Parameters, variables for their gradients, and gradients for each step."""
    rng = np.random.default_rng(3)
    params = [ng.shared(np.asarray(rng.normal(size=s), dtype), name=f"p{k}") for k, s in enumerate(shapes)]
    variables = [ng.tensor(f"g{k}", dtype, (None,) * len(s)) for k, s in enumerate(shapes)]
    steps = [[np.asarray(rng.normal(size=s), dtype) for s in shapes] for _ in range(STEPS)]
    # a step without any change, and very different sizes
    steps[4] = [np.zeros_like(g) for g in steps[4]]
    steps[7] = [np.asarray(g * 100, dtype) for g in steps[7]]
    return params, variables, steps


def method(name: str) -> Callable[..., Any]:
    return getattr(ng.optim, name.split()[0])  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", METHODS)
def test_methods_follow_their_formulas(name: str, dtype: str, target: str) -> None:
    rule, hyper = METHODS[name]
    params, variables, steps = given(dtype)
    formula = Formula([p.get_value().astype(float) for p in params], **hyper)
    train = ng.function(variables, updates=method(name)(variables, params, **hyper))
    for gradients in steps:
        train(*gradients)
        formula.step(rule, gradients)
        for p, want in zip(params, formula.params, strict=True):
            got = p.get_value()
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max(initial=1e-3))


@pytest.mark.parametrize("name", METHODS)
def test_hyperparameters_are_numbers_variables_or_functions(name: str, target: str) -> None:
    """A number, a shared scalar, an input, and a function of the steps give the same steps; float32 stays float32."""
    hyper = {k: v for k, v in METHODS[name][1].items() if k not in ("initial", "centered")}
    rest = {k: v for k, v in METHODS[name][1].items() if k not in hyper}
    kept = {k: ng.shared(v) for k, v in hyper.items()}
    inputs = {k: ng.scalar(k, dtype="float64") for k in hyper}
    forms = [hyper, kept, inputs, {k: lambda steps, v=v: v + 0 * steps for k, v in hyper.items()}]
    results = []
    for form in forms:
        params, variables, steps = given("float32", SHAPES[:1])
        extra = list(inputs.values()) if form is inputs else []
        train = ng.function(variables + extra, updates=method(name)(variables, params, **form, **rest))
        for gradients in steps[:5]:
            train(*gradients, *(hyper.values() if extra else ()))
        results.append([p.get_value() for p in params])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)


def test_a_shared_rate_changes_between_calls(target: str) -> None:
    w, rate = ng.shared(np.float32(1.0), name="w"), ng.shared(0.5)
    step = ng.function([], updates=ng.optim.sgd(3 * w, w, rate))
    step()
    assert w.get_value() == -0.5
    rate.set_value(0.25)
    step()
    assert w.get_value() == -1.25


SCHEDULES: list[tuple[Any, Callable[[int], float]]] = [
    (ng.optim.exponential_decay(0.1, 0.5, every=3), lambda t: 0.1 * 0.5 ** (t / 3)),
    (ng.optim.inverse_time_decay(0.1, 0.2), lambda t: 0.1 / (1 + 0.2 * t)),
    (ng.optim.cosine_decay(0.4, 5, final=0.1), lambda t: 0.1 + 0.15 * (1 + math.cos(math.pi * min(t / 5, 1)))),
    (ng.optim.piecewise([2, 4], [1.0, 0.5, 0.25]), lambda t: 1.0 if t < 2 else 0.5 if t < 4 else 0.25),
    (ng.optim.piecewise([], [0.3]), lambda t: 0.3),
    (ng.optim.warmup(4, 2.0), lambda t: 2.0 * min((t + 1) / 4, 1)),
    (ng.optim.warmup(4, ng.optim.inverse_time_decay(1, 1)), lambda t: min((t + 1) / 4, 1) / (1 + t)),
    (lambda steps: 0.1 / (1 + steps), lambda t: 0.1 / (1 + t)),
]


@pytest.mark.parametrize("case", range(len(SCHEDULES)))
def test_schedules(case: int, target: str) -> None:
    schedule, formula = SCHEDULES[case]
    w = ng.shared(0.0, name="w")
    updates = ng.optim.sgd(-1.0 * w, w, schedule)
    step = ng.function([], updates=updates)
    total = 0.0
    for t in range(8):
        step()
        total += formula(t)
        assert w.get_value() == pytest.approx(total, rel=1e-12)
    counters = [v for v, _ in updates if v is not w]
    assert [(v.name, int(v.get_value())) for v in counters] == [("sgd_steps", 8)]


def test_gradients_of_a_cost_and_given_ones_are_the_same() -> None:
    x = np.arange(6.0).reshape(2, 3)
    results = []
    for explicit in (False, True):
        W, b = ng.shared(np.ones((3, 2)), name="W"), ng.shared(np.zeros(2), name="b")
        cost = ng.sum((ng.dot(x, W) + b) ** 2)
        step = ng.function([], cost, updates=ng.optim.adam(ng.grad(cost, [W, b]) if explicit else cost, [W, b]))
        results.append([step(), step(), W.get_value(), b.get_value()])
    for a, c in zip(*results, strict=True):
        np.testing.assert_array_equal(a, c)


def test_states_are_named_and_counted() -> None:
    W, plain = ng.shared(np.ones((3, 2), "float32"), name="W"), ng.shared(np.ones(2))
    pairs = ng.optim.adam(ng.sum(W) + ng.sum(plain), [W, plain])
    states = [v for v, _ in pairs]
    assert [v.name for v in states] == ["W_mean", "W_square", "W", None, None, None, "adam_steps"]
    assert [v.get_value().shape for v in states] == [(3, 2)] * 3 + [(2,)] * 3 + [()]
    assert [v.dtype for v in states] == ["float32"] * 3 + ["float64"] * 3 + ["int64"]


@pytest.mark.parametrize("name", METHODS)
def test_not_a_number_stays_where_it_is(name: str, target: str) -> None:
    """NaN and infinities of a gradient reach their own elements and no others."""
    w, g = ng.shared(np.ones(5), name="w"), ng.vector("g")
    hyper = METHODS[name][1]
    step = ng.function([g], updates=method(name)([g], [w], **hyper))
    step([np.nan, np.inf, -np.inf, -0.0, 1.0])
    other = ng.shared(np.ones(2), name="w")
    ng.function([g], updates=method(name)([g], [other], **hyper))([0.0, 1.0])
    got = w.get_value()
    assert np.isnan(got[0])
    assert not np.isfinite(got[1]) or name not in ("sgd", "momentum", "nesterov")
    np.testing.assert_array_equal(got[3:], other.get_value())


# -- clipping -------------------------------------------------------------------------------------------------------


def clipped(function: Any, arrays: list[Array], limit: float) -> list[Array]:
    variables = [ng.tensor(dtype=a.dtype, shape=(None,) * a.ndim) for a in arrays]
    found = function(variables, limit)
    assert [v.dtype for v in found] == [v.dtype for v in variables]
    return ng.function(variables, found)(*arrays)  # type: ignore[no-any-return]


GRADIENTS = [np.array([[3.0, -4.0]], "float32"), np.array(12.0), np.zeros(0), np.zeros(3)]


@pytest.mark.parametrize("limit", [0.0, 1.5, 6.5, 100.0])
def test_clipping(limit: float, target: str) -> None:
    for got, g in zip(clipped(ng.optim.clip_by_value, GRADIENTS, limit), GRADIENTS, strict=True):
        np.testing.assert_allclose(got, np.clip(g, -limit, limit), rtol=1e-6)
    for got, g in zip(clipped(ng.optim.clip_by_norm, GRADIENTS, limit), GRADIENTS, strict=True):
        norm = np.linalg.norm(g)
        np.testing.assert_allclose(got, g * (limit / norm if norm > limit else 1.0), rtol=1e-6)
    for got, g in zip(clipped(ng.optim.clip_by_global_norm, GRADIENTS, limit), GRADIENTS, strict=True):
        np.testing.assert_allclose(got, g * min(limit / 13, 1.0), rtol=1e-6)


def test_squares_do_not_overflow(target: str) -> None:
    """The norm of large float32 gradients, the very ones that are clipped, is no infinity."""
    got = clipped(ng.optim.clip_by_global_norm, [np.array([3e30, -4e30], "float32")], 1.0)
    np.testing.assert_allclose(got[0], [0.6, -0.8], rtol=1e-6)


def test_clipping_of_what_is_not_finite(target: str) -> None:
    got = clipped(ng.optim.clip_by_global_norm, [np.array([1.0, np.inf]), np.array([2.0])], 1.0)
    np.testing.assert_array_equal(got[0], [0.0, np.nan])
    np.testing.assert_array_equal(got[1], [0.0])
    got = clipped(ng.optim.clip_by_global_norm, [np.array([3.0]), np.array([np.nan])], 1.0)
    assert got[0] == 3.0 and np.isnan(got[1])
    assert clipped(ng.optim.clip_by_global_norm, [], 1.0) == []
    limited = clipped(ng.optim.clip_by_value, [np.array([np.inf, -np.inf, np.nan])], 2.0)[0]
    np.testing.assert_array_equal(limited, [2.0, -2.0, np.nan])


# -- errors ---------------------------------------------------------------------------------------------------------


def test_errors() -> None:
    w, n = ng.shared(np.zeros(2), name="w"), ng.shared(np.zeros(2, "int64"), name="n")
    x, cost = ng.vector("x"), ng.sum(w)
    for wrong, kind, said in [
        (lambda: ng.optim.sgd(cost, [x]), ng.InputError, r"sgd: parameters are shared variables, got\n  x: float64"),
        (lambda: ng.optim.sgd(cost, [3.0]), ng.InputError, "got 3.0\n  fix: make them with ng.shared"),
        (lambda: ng.optim.adam(cost, n), ng.DtypeError, "adam: a parameter is a float\n  n: int64"),
        (lambda: ng.optim.adam(cost, [w, w]), ng.RepeatedUpdateError, "w is twice among the parameters"),
        (lambda: ng.optim.sgd(w, [w]), ng.GradientError, "the cost must be a scalar"),
        (lambda: ng.optim.sgd(3.0, [w]), ng.GradientError, "a scalar cost, or a list of gradients, not 3.0"),
        (lambda: ng.optim.sgd([x, x], [w]), ng.GradientError, "2 gradients for 1 parameters"),
        (lambda: ng.optim.sgd([ng.matrix("m")], [w]), ng.ShapeError, "another number of axes.*\n  m: float64"),
        (lambda: ng.optim.sgd(ng.sum(x), [w]), ng.DisconnectedError, "does not depend on w"),
        (lambda: ng.optim.sgd(cost, w, -1), ng.OptionError, "learning_rate must be at least 0.0 and below inf, not -1"),
        (lambda: ng.optim.sgd(cost, w, math.nan), ng.OptionError, "not nan"),
        (lambda: ng.optim.momentum(cost, w, 0.1, 1.0), ng.OptionError, "momentum must be .* below 1.0, not 1.0"),
        (lambda: ng.optim.adam(cost, w, beta2=1), ng.OptionError, "adam: beta2 must be"),
        (lambda: ng.optim.sgd(cost, w, x), ng.OptionError, "learning_rate is a number.*\n  x: float64"),
        (lambda: ng.optim.clip_by_value([x], -1), ng.OptionError, "must be at least 0, not -1"),
        (lambda: ng.optim.clip_by_norm([x], x), ng.OptionError, "the limit is a number or a scalar expression"),
        (lambda: ng.optim.piecewise([3, 1], [1, 2, 3]), ng.OptionError, "boundaries in order and one value more"),
        (lambda: ng.optim.warmup(0, 1.0), ng.OptionError, "warmup: steps must be more than 0"),
    ]:
        with pytest.raises(kind, match=said):
            wrong()


# -- the generated code ---------------------------------------------------------------------------------------------


def functions(source: str) -> dict[str, str]:
    """The text of each phase of a generated module."""
    found = re.findall(r"^def (phase_\w+)\(.*?\n(.*?)(?=^@|\Z)", source, re.MULTILINE | re.DOTALL)
    return dict(found)


STORED = {
    "sgd": ["W"],
    "momentum": ["W_velocity", "W"],
    "nesterov": ["W_velocity", "W"],
    "adagrad": ["W_squares", "W"],
    "rmsprop": ["W_square", "W"],
    "rmsprop centered": ["W_square", "W_mean", "W"],
    "rmsprop momentum": ["W_square", "W_velocity", "W"],
    "adadelta": ["W_square", "W_changes", "W"],
    "adam": ["W_mean", "W_square", "W"],
    "adamw": ["W_mean", "W_square", "W"],
}


@pytest.mark.parametrize("name", METHODS)
def test_one_loop_per_parameter_in_place(name: str) -> None:
    """The gradient is elementwise here, so the listing has one loop that reads and writes W and its states, each once
    and in their own memory, and no array of W's size beside them."""
    W, goal = ng.shared(np.ones((300, 7), "float32"), name="W"), ng.shared(np.zeros((300, 7), "float32"), name="goal")
    pairs = method(name)(ng.sum((W - goal) ** 2), W, **METHODS[name][1])
    step = ng.function([], updates=pairs, target="cpu")
    before = [v.get_value(borrow=True).ctypes.data for v, _ in pairs]
    step()
    assert [v.get_value(borrow=True).ctypes.data for v, _ in pairs] == before
    # bytes that calls allocate: numbers, no arrays
    room = re.findall(r"table\[AT_NEEDED\] = (.*?)  #", step.listing)
    assert not room or int(room[0]) < 300 * 7
    loops = {k: text for k, text in functions(step.listing).items() if "for " in text}
    assert len(loops) == 1, step.listing
    (text,) = loops.values()
    stores = re.findall(r"^        +(\w+)\[i.*?\] = ", text, re.MULTILINE)
    assert sorted(stores) == sorted(STORED[name]), text
    # from 3 axes of loops none is left: either one loop, or one in another
    assert text.count("for ") <= 2


def test_a_step_with_a_product_has_one_loop_for_each_parameter() -> None:
    """The product x.T @ dz is summed up on its own; what follows is one loop for W and one for b."""
    x = ng.matrix("x", dtype="float32")
    W, b = ng.shared(np.ones((40, 5), "float32"), name="W"), ng.shared(np.zeros(5, "float32"), name="b")
    cost = ng.mean(ng.tanh(ng.dot(x, W) + b) ** 2)
    step = ng.function([x], cost, updates=ng.optim.adam(cost, [W, b]), target="cpu")
    step(np.ones((8, 40), "float32"))
    (text,) = [t for t in functions(step.listing).values() if "W_square[" in t or "b_square[" in t]
    stores = re.findall(r"^( +)(\w+)\[[ij].*?\] = ", text, re.MULTILINE)
    assert stores == [(" " * 8, name) for name in ("W_mean", "W_square", "W", "b_mean", "b_square", "b")]
    assert text.count("for ") == 2, text


def test_on_a_simulated_device() -> None:
    W = ng.shared(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4), name="W")
    cost = ng.sum(ng.tanh(W) ** 2)
    step = ng.function([], cost, updates=ng.optim.adam(cost, W, ng.optim.warmup(3, 0.01)), target="cuda-sim")
    twin = ng.shared(W.get_value(), name="W")
    cost = ng.sum(ng.tanh(twin) ** 2)
    same = ng.function([], cost, updates=ng.optim.adam(cost, twin, ng.optim.warmup(3, 0.01)), target="reference")
    for _ in range(3):
        assert step() == pytest.approx(same(), rel=1e-5)
    np.testing.assert_allclose(W.get_value(), twin.get_value(), rtol=1e-5)
