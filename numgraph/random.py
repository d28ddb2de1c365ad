"""Random numbers inside expressions: `RandomStream`.

    rng = ng.random.RandomStream(seed=1)
    mask = rng.bernoulli(0.5, size=h.shape)
    f = ng.function([h], h * mask)           # each call draws anew

Element k of a draw is a function of three numbers: the key of the draw, which comes from the seed, its position, which
grows by one with each call, and k. So the numbers are the same on every target and for any number of threads, and are
made where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.parameters import (
    below,
    category,
    category_of_all,
    check,
    fitted,
    less,
    probabilities,
    probability,
    real_dtype,
    running_sums,
    scaled,
    times,
    typed,
    weights,
    whole,
)
from numgraph.ops.random import drawn, normal_quantile
from numgraph.shared import SharedVariable, shared
from numgraph.types import FLOATS, INTEGERS, check_dtype

__all__ = ["RandomStream"]

# What is added to a state, key and position, by a call.
STEP = np.array([0, 1], np.uint64)


class RandomStream:
    """Draws of random numbers for expressions.

    seed: a whole number from 0 on, or a sequence of such; None takes one from the system. Each method makes one draw:
    a variable, with a state of its own, whose default update has every call of a function draw anew. Used twice, in a
    cost and its gradient, it is the same draw; two calls of a method are two draws.

    size: an int, a scalar variable, or a sequence of these such as `x.shape`; None is the shape that the parameters
    have, () if they are numbers. Parameters are numbers, arrays or variables, and broadcast to the size. dtype: None
    is `config.floatX` for real numbers, int64 for whole ones.

    Raises OptionError for parameters outside of their range that are known now; what only a call tells is not checked,
    and gives NaN (integers: what a NaN is converted to) unless a method says otherwise. ShapeError for a negative
    length, and for parameters that do not broadcast to the size; DtypeError for a length or a dtype of the wrong kind.
    """

    def __init__(self, seed: Any = None) -> None:
        # what keys are made of: the seed, and which stream this is among those that were split off
        self._entropy: Any = None
        self._path: tuple[int, ...] = ()
        self._children = 0
        self._states: list[SharedVariable] = []
        self.seed(seed)

    def __repr__(self) -> str:
        return f"<RandomStream with {len(self._states)} draws>"

    # -- the state --------------------------------------------------------------------------------------------------

    def seed(self, seed: Any = None) -> None:
        """Begin anew: every draw of the stream, in the order in which they were made, as if it came from a new stream
        of this seed. Streams that were split off stay as they are.
        """
        self._entropy, self._path, self._children = _entropy(seed), (), 0
        for number, state in enumerate(self._states):
            state.set_value(self._first(number))

    def split(self, n: int = 2) -> list[RandomStream]:
        """n streams that are independent of this one and of each other; the same ones for the same seed and order.

        OptionError for no number of streams.
        """
        if not isinstance(n, int | np.integer) or n < 0:
            raise OptionError(f"split: n is a number of streams, not {n!r}")
        made = []
        for _ in range(n):
            child = RandomStream.__new__(RandomStream)
            child._path, child._children, child._states = (*self._path, 1, self._children), 0, []
            child._entropy = self._entropy
            self._children += 1
            made.append(child)
        return made

    @property
    def state_updates(self) -> list[tuple[SharedVariable, Variable]]:
        """(state, its value after a call) of every draw, in order. A state is uint64 [key, position]."""
        return [(s, s.default_update) for s in self._states if s.default_update is not None]

    def _first(self, number: int) -> Any:
        """The first state of a draw: its key, by NumPy's SeedSequence, and position 0."""
        sequence = np.random.SeedSequence(self._entropy, spawn_key=(*self._path, 0, number))
        return np.array([sequence.generate_state(1, np.uint64)[0], 0], np.uint64)

    def _draw(self, name: str, lengths: Sequence[Length], *parameters: Variable, **attrs: Any) -> Variable:
        """A draw of op `random_name`."""
        state = shared(self._first(len(self._states)), name=f"{name}_state")
        state.default_update = f.add(state, STEP)
        self._states.append(state)
        return drawn(name, state, lengths, *parameters, **attrs)

    # -- real numbers -----------------------------------------------------------------------------------------------

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Uniform in [low, high), where high itself may come out by rounding. Gradients go through low and high."""
        kind = real_dtype("uniform", dtype)
        a, b = typed(low, kind), typed(high, kind)
        check("uniform", "low must not be above high", lambda x, y: x <= y, low=a, high=b)
        lengths, (a, b) = fitted("uniform", size, low=a, high=b)
        u = self._draw("uniform", lengths, dtype=kind)
        return scaled(a, typed(less(b, a), kind), u)

    def normal(self, mean: Any = 0.0, std: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Normal with the given mean and standard deviation, through both of which gradients go."""
        kind = real_dtype("normal", dtype)
        a, b = typed(mean, kind), typed(std, kind)
        check("normal", "std must not be negative", lambda x: x >= 0, std=b)
        lengths, (a, b) = fitted("normal", size, mean=a, std=b)
        return scaled(a, b, self._draw("normal", lengths, dtype=kind))

    def truncated_normal(
        self, mean: Any = 0.0, std: Any = 1.0, low: Any = -2.0, high: Any = 2.0, size: Any = None, dtype: Any = None
    ) -> Variable:
        """Normal, within low and high standard deviations from the mean. Gradients go through all four.

        By the inverse of the distribution function, in float64, on the side where it is exact.
        """
        kind = real_dtype("truncated_normal", dtype)
        a, b, p, q = typed(mean, kind), typed(std, kind), typed(low, "float64"), typed(high, "float64")
        check("truncated_normal", "std must not be negative", lambda x: x >= 0, std=b)
        check("truncated_normal", "low must be below high", lambda x, y: x < y, low=p, high=q)
        lengths, (a, b, p, q) = fitted("truncated_normal", size, mean=a, std=b, low=p, high=q)
        u = self._draw("uniform", lengths, dtype="float64")
        above = f.gt(p, 0.0)
        first, last = f.where(above, f.neg(q), p), f.where(above, f.neg(p), q)
        start = below(first)
        z = f.clip(normal_quantile(f.add(start, f.mul(u, f.sub(below(last), start)))), first, last)
        return scaled(a, b, f.cast(f.where(above, f.neg(z), z), kind))

    def exponential(self, scale: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Exponential with the mean `scale`, through which gradients go."""
        kind = real_dtype("exponential", dtype)
        b = typed(scale, kind)
        check("exponential", "scale must not be negative", lambda x: x >= 0, scale=b)
        lengths, (b,) = fitted("exponential", size, scale=b)
        return times(b, self._draw("exponential", lengths, dtype=kind))

    def gamma(self, shape: Any, scale: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Gamma with mean shape * scale. Gradients go through scale; for shape they are a GradientError."""
        kind = real_dtype("gamma", dtype)
        a, b = typed(shape, "float64"), typed(scale, kind)
        check("gamma", "shape must not be negative", lambda x: x >= 0, shape=a)
        check("gamma", "scale must not be negative", lambda x: x >= 0, scale=b)
        lengths, (a, b) = fitted("gamma", size, shape=a, scale=b)
        return times(b, f.cast(self._draw("gamma", lengths, a), kind))

    def beta(self, a: Any, b: Any, size: Any = None, dtype: Any = None) -> Variable:
        """Beta, of two gamma numbers x and y as x / (x + y); NaN where both are 0, as happens for a and b near 0.

        No gradients go through a and b: GradientError.
        """
        kind = real_dtype("beta", dtype)
        p, q = typed(a, "float64"), typed(b, "float64")
        check("beta", "a must be positive", lambda x: x > 0, a=p)
        check("beta", "b must be positive", lambda x: x > 0, b=q)
        lengths, (p, q) = fitted("beta", size, a=p, b=q)
        x, y = self._draw("gamma", lengths, p), self._draw("gamma", lengths, q)
        return f.cast(f.true_div(x, f.add(x, y)), kind)

    # -- whole numbers ----------------------------------------------------------------------------------------------

    def bernoulli(self, p: Any = 0.5, size: Any = None, dtype: Any = "bool") -> Variable:
        """True with probability p: a bool, which keeps float32 in float32 where it multiplies. No gradient goes
        through p. A float32 p is met to 2^-24, a float64 one to 2^-53, and a Python number is of floatX; a p outside of
        [0, 1] acts as 0 or 1.
        """
        chance = probability("bernoulli", p)
        lengths, (chance,) = fitted("bernoulli", size, p=chance)
        u = self._draw("uniform", lengths, dtype=chance.dtype)
        return f.cast(f.lt(u, chance), dtype)

    def binomial(self, n: Any = 1, p: Any = 0.5, size: Any = None, dtype: Any = "int64") -> Variable:
        """How many of n trials succeed, each with probability p. No gradient goes through n and p."""
        trials, chance = typed(n, "float64"), typed(p, "float64")
        check("binomial", "n must not be negative", lambda x: x >= 0, n=trials)
        check("binomial", "p must lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), p=chance)
        lengths, given = fitted("binomial", size, n=trials, p=chance)
        return f.cast(self._draw("binomial", lengths, *given), dtype)

    def poisson(self, lam: Any = 1.0, size: Any = None, dtype: Any = "int64") -> Variable:
        """Poisson with mean lam, through which no gradient goes."""
        mean = typed(lam, "float64")
        check("poisson", "lam must not be negative", lambda x: x >= 0, lam=mean)
        lengths, given = fitted("poisson", size, lam=mean)
        return f.cast(self._draw("poisson", lengths, *given), dtype)

    def integers(self, low: Any, high: Any = None, size: Any = None, dtype: Any = "int64") -> Variable:
        """Uniform integers from low up to but without high, or from 0 up to `integers(high)`; bounds are int64.

        A probability is off by at most 2^-64. Where a call finds high not above low it gives low.
        """
        first, last = (0, low) if high is None else (low, high)
        a, b = (whole("integers", v) for v in (first, last))
        kind = check_dtype(dtype)
        if kind not in INTEGERS:
            raise DtypeError(f"integers: dtype must be an integer, not {kind}")
        check("integers", "low must be below high", lambda x, y: x < y, low=a, high=b)
        info = np.iinfo(kind)
        most = min(int(info.max) + 1, 2**63 - 1)
        fit = f"low and high must fit dtype {kind} ({info.min} to {info.max})"
        check("integers", fit, lambda x, y: (x >= info.min) & (y <= most), low=a, high=b)
        lengths, given = fitted("integers", size, low=a, high=b)
        return f.cast(self._draw("integer", lengths, *given), kind)

    # -- of a list --------------------------------------------------------------------------------------------------

    def categorical(self, pvals: Any, size: Any = None, dtype: Any = "int64") -> Variable:
        """The number of a category, by its probability; pvals has them along its last axis.

        size: None is the shape of pvals without that axis, which broadcasts to every other size. Probabilities need
        not add up to 1: they are divided by their sum. No gradient goes through them.
        """
        p = probabilities("categorical", pvals)
        lengths, _ = fitted("categorical", size, pvals=p[..., 0])
        u = self._draw("uniform", lengths, dtype="float64")
        found = category_of_all(p, u) if p.ndim == 1 else category(running_sums(p, lengths), u)
        return f.cast(found, dtype)

    def multinomial(self, n: Any = 1, pvals: Any = None, size: Any = None, dtype: Any = "int64") -> Variable:
        """How often each category comes in n trials: an axis of categories behind those of `categorical`.

        n: a number or a scalar variable. Every trial is drawn: time grows with n times the number of categories.
        """
        p = probabilities("multinomial", pvals)
        trials = ln.as_length(n, "multinomial")
        lengths, _ = fitted("multinomial", size, pvals=p[..., 0])
        u = self._draw("uniform", [*lengths, trials], dtype="float64")
        found = category(f.expand_dims(running_sums(p, lengths), -2), u)
        came = f.eq(f.expand_dims(found, -1), f.arange(ln.dim(p, -1)))
        return f.sum(came, axis=-2, dtype=dtype)

    def permutation(self, x: Any) -> Variable:
        """0 to n - 1 in random order for an int or an integer scalar n, else x with its rows (elements of its first
        axis) in random order. By sorting 64 random bits for each.
        """
        if isinstance(x, int | np.integer) or (isinstance(x, Variable) and x.ndim == 0):
            return f.argsort(self._draw("bits", [ln.as_length(x, "permutation")]))
        v = as_variable(x)
        if v.ndim == 0:
            raise ShapeError(f"permutation: a length or an array is needed, not {describe(v)}")
        return v[self.permutation(ln.dim(v, 0))]  # type: ignore[no-any-return]

    def shuffle_rows(self, x: Any) -> Variable:
        """x with its rows in random order."""
        v = as_variable(x)
        if v.ndim == 0:
            raise ShapeError(f"shuffle_rows: an array is needed, not {describe(v)}")
        return self.permutation(v)

    def shuffle_row_elements(self, x: Any) -> Variable:
        """x with the elements of each row (its last axis) in an order of their own."""
        v = as_variable(x)
        if v.ndim == 0:
            raise ShapeError(f"shuffle_row_elements: an array is needed, not {describe(v)}")
        order = f.argsort(self._draw("bits", ln.dims_of(v)), axis=-1)
        return f.take_along_axis(v, order, axis=-1)

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Variable:
        """Elements of the first axis of a, or of 0 to a - 1 for an int or an integer scalar.

        p: their probabilities, all alike if None. replace=False: each at most once; size is then at most their number,
        else a ShapeError when the function runs. With p, those with the least e / p are taken, e exponential: as if
        they were drawn one after the other (Efraimidis and Spirakis, Inf. Process. Lett. 97, 2006); those of
        probability 0 come last.
        """
        counts = isinstance(a, int | np.integer) or (isinstance(a, Variable) and a.ndim == 0)
        v = None if counts else as_variable(a)
        if v is not None and v.ndim == 0:
            raise ShapeError(f"choice: a number of elements or an array is needed, not {describe(v)}")
        n = ln.as_length(a, "choice", 1) if v is None else ln.dim(v, 0)
        lengths = [] if size is None else ln.as_lengths(size, "choice")
        if not replace:
            found = self._distinct(n, lengths, p)
        elif p is None:
            found = self.integers(0, n, size=tuple(lengths))
        else:
            found = self.categorical(weights(n, p), size=tuple(lengths))
        return found if v is None else v[found]

    def _distinct(self, n: Length, lengths: Sequence[Length], p: Any) -> Variable:
        """The first of all numbers below n in random order."""
        if p is None:
            order = self.permutation(n)
        else:
            order = f.argsort(f.true_div(self.exponential(size=(n,), dtype="float64"), weights(n, p)))
        wanted = ln.product(lengths)
        first = f.specify_shape(order[:wanted], (wanted,))
        return f.reshape(first, tuple(lengths))

    def dropout(self, x: Any, p: float = 0.5) -> Variable:
        """x times a mask: 0 with probability p, else 1 / (1 - p), so that the mean stays. The mask is not stored.

        p: numbers or a variable, in [0, 1). Gradients go through x where it was kept. As in every product NaN stays.
        """
        v = as_variable(x)
        if v.type.dtype not in FLOATS:
            raise DtypeError(f"dropout: {describe(v)} is not a float\n  fix: convert it with x.astype('float32')")
        chance = typed(p, v.dtype)
        check("dropout", "p must lie in [0, 1)", lambda x: (x >= 0) & (x < 1), p=chance)
        lengths, (chance,) = fitted("dropout", tuple(ln.dims_of(v)), p=chance)
        u = self._draw("uniform", lengths, dtype=v.dtype)
        # a product, since what `where` leaves out would be followed through the gradients
        mask = f.where(f.ge(u, chance), f.reciprocal(f.sub(1.0, chance)), 0.0)
        return f.mul(v, mask)


def _entropy(seed: Any) -> Any:
    """What SeedSequence takes; OptionError for what is no seed."""
    try:
        given = np.random.SeedSequence(None if seed is None else seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed must be a whole number from 0 on, a sequence of such, or None, not {seed!r}"
        ) from error
    return given.entropy
