"""The methods. Their formulas are those of PyTorch's `torch.optim`, so that hyperparameters mean the same."""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable
from numgraph.ops.define import f
from numgraph.optim.common import Hyper, Method, Pairs, weighted, within


def sgd(cost_or_gradients: Any, params: Any, learning_rate: Hyper = 0.001) -> Pairs:
    """Gradient descent: w - learning_rate * g.

    cost_or_gradients: a float scalar, which is differentiated, or a list with a gradient for each parameter, in their
        order. params: a shared float variable, or a list of them.
    learning_rate, as all hyperparameters here: a number, a scalar expression (a shared variable that a program sets),
        or a function of the number of steps done so far, an int64 scalar, that returns one of these.

    Returns pairs for `function(updates=)`. What a method keeps from step to step are pairs among them: shared variables
    of the parameter's shape (as it is now), dtype and name, with what it is behind the name, `W_momentum`.

    InputError, DtypeError or RepeatedUpdateError for parameters that are none, OptionError for a hyperparameter,
    GradientError and DisconnectedError as `grad`, ShapeError for a gradient of another rank than its parameter.

    >>> w = ng.shared(3.0, name="w")
    >>> step = ng.function([], updates=ng.optim.sgd(w**2, [w], 0.25))
    >>> step(), w.get_value()
    (None, array(1.5))
    """
    method = Method("sgd", cost_or_gradients, params)
    rate = method.number("learning_rate", learning_rate)
    for w, g in method:
        method.update(w, w - within(rate, w) * g)
    return method.finished()


def momentum(cost_or_gradients: Any, params: Any, learning_rate: Hyper = 0.001, momentum: Hyper = 0.9) -> Pairs:
    """Gradient descent with a velocity: v = momentum * v + g; w - learning_rate * v. The rest as for `sgd`.

    Source: I. Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), with the
    learning rate outside the velocity, as in PyTorch.
    """
    return _with_velocity("momentum", cost_or_gradients, params, learning_rate, momentum, nesterov=False)


def nesterov(cost_or_gradients: Any, params: Any, learning_rate: Hyper = 0.001, momentum: Hyper = 0.9) -> Pairs:
    """Momentum that looks ahead: v = momentum * v + g; w - learning_rate * (g + momentum * v). The rest as for `sgd`.

    Source: Y. Nesterov (1983), in the form of I. Sutskever et al. (2013) that needs the gradient at w alone.
    """
    return _with_velocity("nesterov", cost_or_gradients, params, learning_rate, momentum, nesterov=True)


def _with_velocity(
    name: str, cost_or_gradients: Any, params: Any, learning_rate: Hyper, momentum: Hyper, nesterov: bool
) -> Pairs:
    method = Method(name, cost_or_gradients, params)
    rate = method.number("learning_rate", learning_rate)
    kept = method.number("momentum", momentum, high=1.0)
    for w, g in method:
        velocity = method.state(w, "velocity")
        new = within(kept, w) * velocity + g
        method.update(velocity, new)
        method.update(w, w - within(rate, w) * (g + within(kept, w) * new if nesterov else new))
    return method.finished()


def adagrad(
    cost_or_gradients: Any, params: Any, learning_rate: Hyper = 0.01, initial: float = 0.0, epsilon: Hyper = 1e-10
) -> Pairs:
    """Steps divided by the root of all squares so far: s = s + g**2; w - learning_rate * g / (sqrt(s) + epsilon).

    initial: of which s begins. The rest as for `sgd`. Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient
    Methods" (2011).
    """
    method = Method("adagrad", cost_or_gradients, params)
    rate, small = method.number("learning_rate", learning_rate), method.number("epsilon", epsilon)
    for w, g in method:
        squares = method.state(w, "squares", initial)
        new = squares + g * g
        method.update(squares, new)
        method.update(w, w - within(rate, w) * g / (f.sqrt(new) + within(small, w)))
    return method.finished()


def rmsprop(
    cost_or_gradients: Any,
    params: Any,
    learning_rate: Hyper = 0.01,
    rho: Hyper = 0.99,
    epsilon: Hyper = 1e-8,
    momentum: Hyper = 0.0,
    centered: bool = False,
) -> Pairs:
    """Steps divided by the root of the mean square: s = rho * s + (1 - rho) * g**2; w - learning_rate * g / (sqrt(s) +
    epsilon).

    centered: the root is of the variance, s - a**2 with a = rho * a + (1 - rho) * g. momentum: unless it is 0, the
    quotients are added to a velocity, as in `momentum`. The rest as for `sgd`. Source: T. Tieleman and G. Hinton,
    Lecture 6.5 of "Neural Networks for Machine Learning" (2012); centered: A. Graves, arXiv:1308.0850.
    """
    method = Method("rmsprop", cost_or_gradients, params)
    rate, small = method.number("learning_rate", learning_rate), method.number("epsilon", epsilon)
    kept, mean = method.number("momentum", momentum, high=1.0), method.number("rho", rho, high=1.0)
    for w, g in method:
        square = method.averaged(w, "square", g * g, mean)
        spread = square
        if centered:
            average = method.averaged(w, "mean", g, mean)
            # a variance that rounding makes negative
            spread = f.maximum(square - average * average, 0.0)
        change = g / (f.sqrt(spread) + within(small, w))
        if kept != 0.0:
            velocity = method.state(w, "velocity")
            change = within(kept, w) * velocity + change
            method.update(velocity, change)
        method.update(w, w - within(rate, w) * change)
    return method.finished()


def adadelta(
    cost_or_gradients: Any, params: Any, learning_rate: Hyper = 1.0, rho: Hyper = 0.9, epsilon: Hyper = 1e-6
) -> Pairs:
    """Steps of the size of the last ones: s = rho * s + (1 - rho) * g**2; d = sqrt(u + epsilon) / sqrt(s + epsilon) *
    g; u = rho * u + (1 - rho) * d**2; w - learning_rate * d.

    The rest as for `sgd`. Source: M. Zeiler, "ADADELTA", arXiv:1212.5701.
    """
    method = Method("adadelta", cost_or_gradients, params)
    rate, small = method.number("learning_rate", learning_rate), method.number("epsilon", epsilon)
    mean = method.number("rho", rho, high=1.0)
    for w, g in method:
        changes = method.state(w, "changes")
        square = method.averaged(w, "square", g * g, mean)
        change = f.sqrt(changes + within(small, w)) / f.sqrt(square + within(small, w)) * g
        method.update(changes, weighted(changes, change * change, mean, w))
        method.update(w, w - within(rate, w) * change)
    return method.finished()


def adam(
    cost_or_gradients: Any,
    params: Any,
    learning_rate: Hyper = 0.001,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
) -> Pairs:
    """Momentum divided by the root of the mean square, both without their bias to the zeros that they begin with.

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g**2; in step t, the first is 1,
    w - learning_rate / (1 - beta1**t) * m / (sqrt(v / (1 - beta2**t)) + epsilon). The rest as for `sgd`.

    Source: D. Kingma and J. Ba, "Adam", arXiv:1412.6980, algorithm 1.
    """
    return _adam("adam", cost_or_gradients, params, (learning_rate, beta1, beta2, epsilon), None)


def adamw(
    cost_or_gradients: Any,
    params: Any,
    learning_rate: Hyper = 0.001,
    beta1: Hyper = 0.9,
    beta2: Hyper = 0.999,
    epsilon: Hyper = 1e-8,
    weight_decay: Hyper = 0.01,
) -> Pairs:
    """As `adam`, and each step shrinks a parameter: what is stepped from is w * (1 - learning_rate * weight_decay).

    Source: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101, with the decay
    multiplied by the learning rate, as in PyTorch.
    """
    return _adam("adamw", cost_or_gradients, params, (learning_rate, beta1, beta2, epsilon), weight_decay)


def _adam(
    name: str, cost_or_gradients: Any, params: Any, numbers: tuple[Hyper, Hyper, Hyper, Hyper], decay: Hyper | None
) -> Pairs:
    method = Method(name, cost_or_gradients, params)
    rate, first, second, small = (
        method.number(what, value, high=high)
        for what, value, high in zip(
            ("learning_rate", "beta1", "beta2", "epsilon"), numbers, (float("inf"), 1.0, 1.0, float("inf")), strict=True
        )
    )
    shrinks = None if decay is None else 1.0 - rate * method.number("weight_decay", decay)
    # numbers of a step, in float64: in float32 little would be left of 1 - 0.999
    step = f.cast(method.steps + 1, "float64")
    size = rate / (1.0 - power(first, step))
    unbiased = 1.0 / f.sqrt(1.0 - power(second, step))
    for w, g in method:
        mean = method.averaged(w, "mean", g, first)
        square = method.averaged(w, "square", g * g, second)
        change = within(size, w) * mean / (f.sqrt(square) * within(unbiased, w) + within(small, w))
        method.update(w, (w if shrinks is None else w * within(shrinks, w)) - change)
    return method.finished()


def power(base: float | Variable, exponent: Variable) -> Variable:
    """base ** exponent, of float64 scalars."""
    result: Variable = f.pow(base, exponent)
    return result
