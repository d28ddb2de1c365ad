"""Random numbers inside expressions: `RandomStream`.

    rng = ng.random.RandomStream(seed=1)
    mask = rng.bernoulli(0.5, size=h.shape)
    f = ng.function([h], h * mask)           # each call draws anew

Element k of a draw is a function of three numbers: the key of the draw, which comes from the seed, its position, which
grows by one with each call, and k. So the numbers are the same on every target and for any number of threads, and are
made where they are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Constant, Variable, as_variable, describe, frozen
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.random import drawn, normal_quantile
from numgraph.ops.shape import stretch
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
        self._path: tuple[int, ...] = ()
        self._children = 0
        self._states: list[SharedVariable] = []
        self._entropy: Any = None
        self.seed(seed)

    def __repr__(self) -> str:
        return f"<RandomStream with {len(self._states)} draws>"

    # -- the state --------------------------------------------------------------------------------------------------

    def seed(self, seed: Any = None) -> None:
        """Begin anew: every draw of the stream, in the order in which they were made, as if it came from a new stream
        of this seed. Streams that were split off stay as they are.
        """
        self._entropy = _entropy(seed)
        for number, state in enumerate(self._states):
            state.set_value(self._first(number))

    def split(self, n: int = 2) -> list[RandomStream]:
        """n streams that are independent of this one and of each other; the same ones for the same seed and order."""
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
        given = [stretch(v, list(lengths)) if v.ndim else v for v in parameters]
        return drawn(name, state, lengths, *given, **attrs)

    # -- real numbers -----------------------------------------------------------------------------------------------

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Uniform in [low, high), where high itself may come out by rounding. Gradients go through low and high."""
        kind = _real("uniform", dtype)
        a, b = _typed(low, kind), _typed(high, kind)
        _check("uniform", "low must not be above high", lambda x, y: x <= y, low=a, high=b)
        u = self._draw("uniform", _lengths("uniform", size, a, b), dtype=kind)
        return _scaled(a, Constant(frozen(b.data - a.data)) if _both_known(a, b) else f.sub(b, a), u)

    def normal(self, mean: Any = 0.0, std: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Normal with the given mean and standard deviation, through both of which gradients go."""
        kind = _real("normal", dtype)
        a, b = _typed(mean, kind), _typed(std, kind)
        _check("normal", "std must not be negative", lambda x: x >= 0, std=b)
        return _scaled(a, b, self._draw("normal", _lengths("normal", size, a, b), dtype=kind))

    def truncated_normal(
        self, mean: Any = 0.0, std: Any = 1.0, low: Any = -2.0, high: Any = 2.0, size: Any = None, dtype: Any = None
    ) -> Variable:
        """Normal, within low and high standard deviations from the mean. Gradients go through all four.

        By the inverse of the distribution function, in float64, on the side where it is exact.
        """
        kind = _real("truncated_normal", dtype)
        a, b, p, q = _typed(mean, kind), _typed(std, kind), _typed(low, "float64"), _typed(high, "float64")
        _check("truncated_normal", "std must not be negative", lambda x: x >= 0, std=b)
        _check("truncated_normal", "low must be below high", lambda x, y: x < y, low=p, high=q)
        u = self._draw("uniform", _lengths("truncated_normal", size, a, b, p, q), dtype="float64")
        above = f.gt(p, 0.0)
        first, last = f.where(above, f.neg(q), p), f.where(above, f.neg(p), q)
        start = _below(first)
        z = f.clip(normal_quantile(f.add(start, f.mul(u, f.sub(_below(last), start)))), first, last)
        return _scaled(a, b, f.cast(f.where(above, f.neg(z), z), kind))

    def exponential(self, scale: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Exponential with the mean `scale`, through which gradients go."""
        kind = _real("exponential", dtype)
        b = _typed(scale, kind)
        _check("exponential", "scale must not be negative", lambda x: x >= 0, scale=b)
        return _times(b, self._draw("exponential", _lengths("exponential", size, b), dtype=kind))

    def gamma(self, shape: Any, scale: Any = 1.0, size: Any = None, dtype: Any = None) -> Variable:
        """Gamma with mean shape * scale. Gradients go through scale; for shape they are a GradientError."""
        kind = _real("gamma", dtype)
        a, b = _typed(shape, "float64"), _typed(scale, kind)
        _check("gamma", "shape must not be negative", lambda x: x >= 0, shape=a)
        _check("gamma", "scale must not be negative", lambda x: x >= 0, scale=b)
        return _times(b, f.cast(self._draw("gamma", _lengths("gamma", size, a, b), a), kind))

    def beta(self, a: Any, b: Any, size: Any = None, dtype: Any = None) -> Variable:
        """Beta, of two gamma numbers x and y as x / (x + y); NaN where both are 0, as happens for a and b near 0.

        No gradients go through a and b: GradientError.
        """
        kind = _real("beta", dtype)
        p, q = _typed(a, "float64"), _typed(b, "float64")
        _check("beta", "a must be positive", lambda x: x > 0, a=p)
        _check("beta", "b must be positive", lambda x: x > 0, b=q)
        lengths = _lengths("beta", size, p, q)
        x, y = self._draw("gamma", lengths, p), self._draw("gamma", lengths, q)
        return f.cast(f.true_div(x, f.add(x, y)), kind)  # type: ignore[no-any-return]

    # -- whole numbers ----------------------------------------------------------------------------------------------

    def bernoulli(self, p: Any = 0.5, size: Any = None, dtype: Any = "bool") -> Variable:
        """True with probability p: a bool, which keeps float32 in float32 where it multiplies. No gradient goes
        through p. A float32 p is met to 2^-24, a float64 one to 2^-53; one outside of [0, 1] acts as 0 or 1.
        """
        chance = _chance("bernoulli", p)
        u = self._draw("uniform", _lengths("bernoulli", size, chance), dtype=chance.dtype)
        return f.cast(f.lt(u, chance), dtype)  # type: ignore[no-any-return]

    def binomial(self, n: Any = 1, p: Any = 0.5, size: Any = None, dtype: Any = "int64") -> Variable:
        """How many of n trials succeed, each with probability p. No gradient goes through n and p."""
        trials, chance = _typed(n, "float64"), _typed(p, "float64")
        _check("binomial", "n must not be negative", lambda x: x >= 0, n=trials)
        _check("binomial", "p must lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), p=chance)
        return f.cast(self._draw("binomial", _lengths("binomial", size, trials, chance), trials, chance), dtype)  # type: ignore[no-any-return]

    def poisson(self, lam: Any = 1.0, size: Any = None, dtype: Any = "int64") -> Variable:
        """Poisson with mean lam, through which no gradient goes."""
        mean = _typed(lam, "float64")
        _check("poisson", "lam must not be negative", lambda x: x >= 0, lam=mean)
        return f.cast(self._draw("poisson", _lengths("poisson", size, mean), mean), dtype)  # type: ignore[no-any-return]

    def integers(self, low: Any, high: Any = None, size: Any = None, dtype: Any = "int64") -> Variable:
        """Uniform integers from low up to but without high, or from 0 up to `integers(high)`; bounds are int64.

        A probability is off by at most 2^-64. Where a call finds high not above low it gives low.
        """
        first, last = (0, low) if high is None else (low, high)
        a, b = (_whole("integers", v) for v in (first, last))
        kind = check_dtype(dtype)
        if kind not in INTEGERS:
            raise DtypeError(f"integers: dtype must be an integer, not {kind}")
        _check("integers", "low must be below high", lambda x, y: x < y, low=a, high=b)
        info = np.iinfo(kind)
        most = min(int(info.max) + 1, 2**63 - 1)
        fit = f"low and high must fit dtype {kind} ({info.min} to {info.max})"
        _check("integers", fit, lambda x, y: (x >= info.min) & (y <= most), low=a, high=b)
        return f.cast(self._draw("integer", _lengths("integers", size, a, b), a, b), kind)  # type: ignore[no-any-return]

    # -- of a list --------------------------------------------------------------------------------------------------

    def categorical(self, pvals: Any, size: Any = None, dtype: Any = "int64") -> Variable:
        """The number of a category, by its probability; pvals has them along its last axis.

        size: None is the shape of pvals without that axis, which broadcasts to every other size. Probabilities need
        not add up to 1: they are divided by their sum. No gradient goes through them.
        """
        p = _probabilities("categorical", pvals)
        lengths = _lengths("categorical", size, p[..., 0])
        u = self._draw("uniform", lengths, dtype="float64")
        return f.cast(_category(_sums(p, lengths), u), dtype)  # type: ignore[no-any-return]

    def multinomial(self, n: Any = 1, pvals: Any = None, size: Any = None, dtype: Any = "int64") -> Variable:
        """How often each category comes in n trials: an axis of categories behind those of `categorical`.

        n: a number or a scalar variable. Every trial is drawn: time grows with n times the number of categories.
        """
        p = _probabilities("multinomial", pvals)
        trials = ln.as_length(n, "multinomial")
        lengths = _lengths("multinomial", size, p[..., 0])
        u = self._draw("uniform", [*lengths, trials], dtype="float64")
        found = _category(f.expand_dims(_sums(p, lengths), -2), u)
        came = f.eq(f.expand_dims(found, -1), f.arange(ln.dim(p, -1)))
        return f.sum(came, axis=-2, dtype=dtype)  # type: ignore[no-any-return]

    def permutation(self, x: Any) -> Variable:
        """0 to n - 1 in random order for an int or an integer scalar n, else x with its rows (elements of its first
        axis) in random order. By sorting 64 random bits for each.
        """
        if isinstance(x, int | np.integer) or (isinstance(x, Variable) and x.ndim == 0):
            return f.argsort(self._draw("bits", [ln.as_length(x, "permutation")]))  # type: ignore[no-any-return]
        v = as_variable(x)
        if v.ndim == 0:
            raise ShapeError(f"permutation: a length or an array is needed, not {describe(v)}")
        return v[self.permutation(ln.dim(v, 0))]

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
        return f.take_along_axis(v, order, axis=-1)  # type: ignore[no-any-return]

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None) -> Variable:
        """Elements of the first axis of a, or of 0 to a - 1 for an int or an integer scalar.

        p: their probabilities, all alike if None. replace=False: each at most once; size is then at most their number,
        else a ShapeError when the function runs. With p, those with the least e / p are taken, e exponential: as if
        they were drawn one after the other (Efraimidis and Spirakis, Inf. Process. Lett. 97, 2006).
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
            found = self.categorical(_weights(n, p), size=tuple(lengths))
        return found if v is None else v[found]

    def _distinct(self, n: Length, lengths: Sequence[Length], p: Any) -> Variable:
        """The first of all numbers below n in random order."""
        if p is None:
            order = self.permutation(n)
        else:
            order = f.argsort(f.true_div(self.exponential(size=(n,), dtype="float64"), _weights(n, p)))
        wanted = ln.product(lengths)
        first = f.specify_shape(order[:wanted], (wanted,))
        return f.reshape(first, tuple(lengths))  # type: ignore[no-any-return]

    def dropout(self, x: Any, p: float = 0.5) -> Variable:
        """x with each element 0 with probability p, and divided by 1 - p otherwise, so that its mean stays.

        p: a number or a scalar variable, below 1. Gradients go through x where it was kept. The mask is not stored.
        """
        v = as_variable(x)
        if v.type.dtype not in FLOATS:
            raise DtypeError(f"dropout: {describe(v)} is not a float\n  fix: convert it with x.astype('float32')")
        chance = _typed(p, v.dtype)
        _check("dropout", "p must lie in [0, 1)", lambda x: (x >= 0) & (x < 1), p=chance)
        u = self._draw("uniform", ln.dims_of(v), dtype=v.dtype)
        return f.where(f.ge(u, chance), f.mul(v, f.reciprocal(f.sub(1.0, chance))), 0.0)  # type: ignore[no-any-return]


# -- parameters -----------------------------------------------------------------------------------------------------


def _entropy(seed: Any) -> Any:
    """What SeedSequence takes; OptionError for what is no seed."""
    try:
        given = np.random.SeedSequence(None if seed is None else seed)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"seed must be a whole number from 0 on, a sequence of such, or None, not {seed!r}"
        ) from error
    return given.entropy


def _real(what: str, dtype: Any) -> str:
    """The dtype of real numbers; None is floatX."""
    kind = check_dtype(config.floatX if dtype in (None, "floatX") else dtype)
    if kind not in FLOATS:
        raise DtypeError(f"{what}: dtype must be float32 or float64, not {kind}")
    return kind


def _typed(value: Any, dtype: str) -> Variable:
    """A parameter in a dtype; what is known stays a constant."""
    if type(value) in (bool, int, float):
        return Constant(frozen(np.array(value, dtype)))
    v = as_variable(value)
    if isinstance(v, Constant):
        return Constant(frozen(v.data.astype(dtype)), v.name, v.line)
    return f.cast(v, dtype)  # type: ignore[no-any-return]


def _whole(what: str, value: Any) -> Variable:
    """An integer parameter as int64; DtypeError for another one."""
    v = as_variable(value)
    if v.type.dtype not in INTEGERS:
        raise DtypeError(f"{what}: a bound must be an integer, not {describe(v)}\n  fix: use x.astype('int64')")
    return _typed(v, "int64")


def _chance(what: str, p: Any) -> Variable:
    """A probability, of its own float dtype, floatX for numbers and integers."""
    v = as_variable(p)
    chance = _typed(p, v.type.dtype if v.type.dtype in FLOATS else config.floatX)
    _check(what, "p must lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), p=chance)
    return chance


def _probabilities(what: str, pvals: Any) -> Variable:
    """Probabilities along the last axis, float64: in float32 many of them would not add up."""
    if pvals is None:
        raise OptionError(f"{what}: pvals, the probabilities, are missing")
    p = _typed(pvals, "float64")
    if p.ndim == 0:
        raise ShapeError(f"{what}: the probabilities need an axis, not {describe(p)}")
    ok = "probabilities must not be negative, and their sum must be positive"
    _check(what, ok, lambda x: (x >= 0).all() & (x.sum(-1) > 0).all() & np.isfinite(x).all(), pvals=p)
    return p


def _weights(n: Length, p: Any) -> Variable:
    """The probabilities of n elements."""
    found = _probabilities("choice", p)
    if found.ndim != 1:
        raise ShapeError(f"choice: p needs one axis, with a probability for each element, not {describe(found)}")
    return f.specify_shape(found, (n,))  # type: ignore[no-any-return]


def _check(what: str, problem: str, holds: Callable[..., Any], **parameters: Variable) -> None:
    """OptionError with the values where known parameters break a condition."""
    known = [v.data for v in parameters.values() if isinstance(v, Constant)]
    if len(known) < len(parameters) or np.all(holds(*known)):
        return
    listed = "".join(f"\n  {name}: {_shown(value)}" for name, value in zip(parameters, known, strict=True))
    raise OptionError(f"{what}: {problem}{listed}")


def _shown(value: Any) -> str:
    """The text of a value, on one line."""
    return " ".join(np.array2string(value, threshold=6, separator=", ").split())


def _lengths(what: str, size: Any, *parameters: Variable) -> list[Length]:
    """The lengths of a draw: those of `size`, else those that the parameters broadcast to."""
    if size is not None:
        return ln.as_lengths(size, what)
    rank = max((v.ndim for v in parameters), default=0)
    lengths: list[Length] = [1] * rank
    for v in parameters:
        for axis in range(v.ndim):
            k = rank - v.ndim + axis
            lengths[k] = ln.broadcast_length(lengths[k], ln.dim(v, axis))
    return lengths


def _both_known(a: Variable, b: Variable) -> bool:
    return isinstance(a, Constant) and isinstance(b, Constant)


# -- arithmetic -----------------------------------------------------------------------------------------------------


def _is(v: Variable, number: float) -> bool:
    """Whether a parameter is known to be one number."""
    return isinstance(v, Constant) and v.ndim == 0 and bool(v.data == number)


def _times(scale: Variable, x: Variable) -> Variable:
    return x if _is(scale, 1) else f.mul(scale, x)  # type: ignore[no-any-return]


def _scaled(mean: Variable, scale: Variable, z: Variable) -> Variable:
    spread = _times(scale, z)
    return spread if _is(mean, 0) else f.add(mean, spread)  # type: ignore[no-any-return]


def _below(x: Variable) -> Variable:
    """The probability that a normal number is below x."""
    return f.mul(0.5, f.erfc(f.mul(x, -math.sqrt(0.5))))  # type: ignore[no-any-return]


def _sums(p: Variable, lengths: Sequence[Length]) -> Variable:
    """The running sums of p along its last axis, for every element of a draw."""
    return stretch(f.cumsum(p, axis=-1), [*lengths, ln.dim(p, -1)])


def _category(sums: Variable, u: Variable) -> Variable:
    """How many of the running sums, along the last axis, are passed by u times the last one."""
    passed = f.le(sums, f.mul(f.expand_dims(u, -1), sums[..., -1:]))
    return f.minimum(f.sum(passed, axis=-1), ln.dim(sums, -1) - 1)  # type: ignore[no-any-return]
