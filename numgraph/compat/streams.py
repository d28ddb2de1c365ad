"""`MRG_RandomStreams` and `RandomStreams`: Theano's random streams, over the generator in `numgraph.compat.mrg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.compat.choosing import chosen_once, first_above, matrix_of
from numgraph.compat.dtypes import upcast
from numgraph.compat.mrg import DRAW, M1, M2, advanced, draw, streams
from numgraph.compat.variables import tag
from numgraph.config import config
from numgraph.errors import DtypeError
from numgraph.graph import Variable, as_variable
from numgraph.ops.define import f
from numgraph.shared import SharedVariable
from numgraph.storage import Storage
from numgraph.types import FLOATS

# As many streams as Theano takes for a size that it does not know, and at most
MOST_STREAMS = 60 * 256
# The standard deviation of a normal variable that is cut off at 2 of its own
TRUNCATED_STD = 0.87962566103423978


class RandomStateSharedVariable(SharedVariable):
    """The class of states of generators in Theano, for programs that ask; here `tag.is_rng` says it."""


class Draw(NamedTuple):
    """One random variable of a generator: its state, the state after a call, and what its streams depend on."""

    state: SharedVariable
    after: Variable
    size: Any
    nstreams: int | None


def guess_n_streams(size: Any, warn: bool = False) -> int:
    """How many streams a draw of this size has: a sixth of a size in plain integers, 15,360 at most and for others.

    So the numbers depend on whether a size is symbolic, as in Theano.
    """
    if isinstance(size, tuple | list) and all(isinstance(n, int) for n in size):
        total = math.prod(size)
        return min(total // 6 if total > 6 else total, MOST_STREAMS)
    return MOST_STREAMS


class MRG_RandomStreams:  # noqa: N801  # Theano's name
    """Random variables with Theano's own numbers; a function that reaches one advances its state after each call.

    seed: an integer from 1 to 2147462578, or six of them (the first three below 2147483647). ValueError for others.
    use_cuda: without effect, from older versions.

    >>> from numgraph.compat.theano.sandbox.rng_mrg import MRG_RandomStreams
    >>> rng = MRG_RandomStreams(1234)
    """

    def __init__(self, seed: Any = 12345, use_cuda: bool | None = None) -> None:
        self.state_updates: list[Draw] = []
        self.default_instance_seed = seed
        self.set_rstate(seed)

    def set_rstate(self, seed: Any) -> None:
        """Have the next random variables start from `seed`."""
        if isinstance(seed, int | np.integer):
            if not 0 < int(seed) < M2:
                raise ValueError(f"seed should be 1 to {M2 - 1}, not {seed}")
            seed = [int(seed)] * 6
        elif not isinstance(seed, Sequence | np.ndarray) or len(seed) != 6:
            raise TypeError(f"seed should be one integer or six of them, not {seed!r}")
        for part, limit in ((list(seed[:3]), M1), (list(seed[3:]), M2)):
            if not any(part) or not all(0 <= n < limit for n in part):
                raise ValueError(f"each half of the seed needs a number that is not 0, all below {limit}; got {part}")
        self.rstate: NDArray[Any] = np.array(seed, np.int32)

    def seed(self, seed: Any = None) -> None:
        """Start all random variables of this generator again, from `seed` or from the one that it was made with."""
        self.set_rstate(self.default_instance_seed if seed is None else seed)
        for old in self.state_updates:
            old.state.set_value(self.get_substream_rstates(old.nstreams or self.n_streams(old.size)))

    def updates(self) -> list[Draw]:
        """The random variables made so far: (state, state after a call, size, number of streams)."""
        return list(self.state_updates)

    def n_streams(self, size: Any) -> int:
        """See `guess_n_streams`."""
        return guess_n_streams(size)

    def inc_rstate(self) -> None:
        """Advance the start of the next random variable by 2^134 steps."""
        self.rstate = advanced(self.rstate.reshape(1, 6), DRAW)[0]

    def get_substream_rstates(self, n_streams: int, dtype: Any = None, inc_rstate: bool = True) -> NDArray[Any]:
        """The states int32[n_streams, 6] of the next random variable."""
        states = streams(self.rstate, n_streams)
        if inc_rstate:
            self.inc_rstate()
        return states

    def uniform(
        self,
        size: Any,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """Numbers from [low, high), of dtype floatX or wider; DtypeError for another than float32 and float64.

        size: a tuple of integers and scalar variables such as `x.shape`, or an integer vector (with `ndim=` where its
        length is not known). target: without effect. ValueError for a length that is not positive.
        """
        dtype = upcast(config.floatX, *(_dtype(v) for v in (low, high))) if dtype is None else str(np.dtype(dtype))
        if dtype not in FLOATS:
            raise DtypeError(f"uniform: dtype must be float32 or float64, not {dtype}")
        state = SharedVariable(Storage(self.get_substream_rstates(nstreams or self.n_streams(size))))
        sample, after = draw(state, _lengths(size, ndim), dtype)
        state.default_update = after
        # programs tell states of generators from parameters by it
        tag(state).is_rng = True
        self.state_updates.append(Draw(state, after, size, nstreams))
        if _is(low, 0) and _is(high, 1):
            return sample
        low, high = (f.cast(as_variable(v), dtype) for v in (low, high))
        result: Variable = sample * (high - low) + low
        return result

    def binomial(
        self,
        size: Any = None,
        n: int = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """1 with probability `p`, else 0. target: without effect. NotImplementedError for `n` above 1, as in Theano."""
        if n != 1:
            raise NotImplementedError("MRG_RandomStreams.binomial with n > 1")
        result: Variable = f.cast(self.uniform(size, ndim=ndim, nstreams=nstreams) < p, dtype)
        return result

    def normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        truncate: bool = False,
        target: Any = None,
    ) -> Variable:
        """Normal numbers, by the transformation of Box and Muller (1958). truncate: within two standard deviations."""
        dtype = upcast(config.floatX, *(_dtype(v) for v in (avg, std))) if dtype is None else str(np.dtype(dtype))
        lengths = _lengths(size, ndim)
        count: Any = math.prod(lengths)
        half = (count + count % 2) // 2
        # Theano works the number out in the graph, and so takes the streams of a size that it does not know
        pairs = self.uniform((2 * half,), dtype=dtype, nstreams=nstreams or MOST_STREAMS)
        radius, angle = f.sqrt(-2.0 * f.log(pairs[:half])), np.array(2 * np.pi, dtype) * pairs[half:]
        waves = f.cos(angle), f.sin(angle)
        if truncate:
            numbers = self._within_two([radius * wave for wave in waves], waves, dtype, nstreams)
        else:
            numbers = f.join(0, *(radius * wave for wave in waves))
        shaped = numbers[:count] if len(lengths) == 1 else f.reshape(numbers[:count], tuple(lengths))
        average, deviation = (f.cast(as_variable(v), dtype) for v in (avg, std))
        result: Variable = shaped * deviation + average
        return result

    def _within_two(self, numbers: Any, waves: Any, dtype: str, nstreams: int | None) -> Any:
        """The numbers within 2, then for the others new ones at the same angles, for each of the two halves."""
        good = [f.nonzero((z >= -2.0) & (z <= 2.0))[0] for z in numbers]
        bad = [f.nonzero(~((z >= -2.0) & (z <= 2.0)))[0] for z in numbers]
        first = bad[0].shape[0]
        again = self.uniform(
            (first + bad[1].shape[0],), float(np.e) ** -2, 1.0, dtype=dtype, nstreams=nstreams or MOST_STREAMS
        )
        radius = f.sqrt(-2.0 * f.log(again))
        return f.join(
            0,
            *(numbers[0][good[0]], radius[:first] * waves[0][bad[0]]),
            *(numbers[1][good[1]], radius[first:] * waves[1][bad[1]]),
        )

    def truncated_normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """Normal numbers cut off on both sides so that their standard deviation is `std`. target: without effect."""
        return self.normal(size, avg, std / TRUNCATED_STD, ndim, dtype, nstreams, truncate=True)

    def multinomial(
        self,
        size: Any = None,
        n: int = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """How often each column was chosen in `n` draws, for each row of the probabilities `pvals`. target: without
        effect."""
        if pvals is None:
            raise TypeError("multinomial: pvals, the matrix of probabilities, is needed")
        if size is not None or ndim is not None:
            raise ValueError("multinomial: MRG_RandomStreams does not use size and ndim; the shape is that of pvals")
        probabilities = matrix_of(pvals, "multinomial: pvals")
        rows, columns = probabilities.shape
        numbers = self.uniform((rows * n,), nstreams=nstreams or MOST_STREAMS)
        below = f.cumsum(f.cast(probabilities, "float64"), 1)
        total: Any = 0
        for k in range(n):
            chosen = first_above(below, numbers[k * rows : (k + 1) * rows])
            total = total + f.cast(f.eq(f.arange(columns), chosen[:, None]), dtype)
        result: Variable = total
        return result

    def choice(
        self,
        size: int = 1,
        a: Any = None,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        target: Any = None,
    ) -> Variable:
        """`size` different columns for each row of the probabilities `p`; without replacement alone, as in Theano.
        target: without effect."""
        if replace:
            raise NotImplementedError("MRG_RandomStreams.choice works without replacement alone: replace=False")
        if a is not None or ndim is not None or p is None:
            raise TypeError("choice: MRG_RandomStreams chooses among the columns of p, without a and ndim")
        left = matrix_of(p, "choice: p")
        rows = left.shape[0]
        numbers = self.uniform((rows * size,), nstreams=nstreams or MOST_STREAMS)
        return chosen_once(left, [numbers[k * rows : (k + 1) * rows] for k in range(size)], dtype)

    def multinomial_wo_replacement(
        self, size: Any = None, n: int = 1, pvals: Any = None, ndim: int | None = None, dtype: Any = "int64"
    ) -> Variable:
        """The older name of `choice`."""
        return self.choice(n, replace=False, p=pvals, ndim=ndim, dtype=dtype)


class RandomStreams(MRG_RandomStreams):
    """The interface of Theano's `RandomStreams`, over MRG31k3p: there NumPy's generator makes other numbers.

    seed: any integer, or None for one from the operating system.
    """

    def set_rstate(self, seed: Any) -> None:
        """Have the next random variables start from `seed`."""
        words = np.random.SeedSequence(seed).generate_state(6, np.uint64)
        super().set_rstate([int(n) % (M2 - 1) + 1 for n in words])

    def uniform(self, size: Any = (), *args: Any, **named: Any) -> Variable:
        """Numbers from [low, high)."""
        return super().uniform(() if size is None else size, *args, **named)

    def normal(self, size: Any = (), *args: Any, **named: Any) -> Variable:
        """Normal numbers with mean `avg` and standard deviation `std`."""
        return super().normal(() if size is None else size, *args, **named)

    def binomial(self, size: Any = (), n: int = 1, p: Any = 0.5, ndim: Any = None, dtype: Any = "int64") -> Variable:  # type: ignore[override]
        """How many of `n` trials succeed, each with probability `p`."""
        trials = (*_lengths(() if size is None else size, ndim), n)
        result: Variable = f.sum(f.cast(self.uniform(trials) < f.shape_padright(as_variable(p)), dtype), -1, dtype)
        return result

    def random_integers(
        self, size: Any = (), low: Any = 0, high: Any = 1, ndim: Any = None, dtype: Any = "int64"
    ) -> Variable:
        """Integers from `low` to `high`, both included."""
        unit = self.uniform(size, ndim=ndim, dtype="float64")
        result: Variable = f.cast(f.floor(unit * (as_variable(high) - low + 1)), dtype) + f.cast(low, dtype)
        return result

    def permutation(self, size: Any = (), n: int = 1, ndim: Any = None, dtype: Any = "int64") -> Variable:
        """The numbers below `n` in a random order, along a new last axis."""
        lengths = (*_lengths(() if size is None else size, ndim), n)
        result: Variable = f.cast(f.argsort(self.uniform(lengths, dtype="float64"), -1), dtype)
        return result

    def shuffle_row_elements(self, input: Any) -> Variable:
        """The rows of a matrix in a random order."""
        rows = as_variable(input)
        result: Variable = f.take(rows, f.argsort(self.uniform((rows.shape[0],), dtype="float64")), 0)
        return result

    def multinomial(  # type: ignore[override]
        self, size: Any = None, n: int = 1, pvals: Any = (0.5, 0.5), ndim: Any = None, dtype: Any = "int64"
    ) -> Variable:
        """How often each column was chosen in `n` draws, for each row of `pvals`; NotImplementedError with a size."""
        if size not in (None, ()):
            raise NotImplementedError("RandomStreams.multinomial: give the probabilities as a matrix, without a size")
        return super().multinomial(n=n, pvals=f.atleast_2d(as_variable(pvals)), dtype=dtype)

    def choice(  # type: ignore[override]
        self, size: Any = (), a: Any = 2, replace: bool = True, p: Any = None, ndim: Any = None, dtype: Any = "int64"
    ) -> Variable:
        """Numbers below `a`; NotImplementedError for other probabilities, or without replacement."""
        if not replace or p is not None:
            raise NotImplementedError(
                "RandomStreams.choice with p, or without replacement: use permutation(n=a), or "
                "MRG_RandomStreams.choice(size, replace=False, p=matrix)"
            )
        return self.random_integers(size, 0, as_variable(a) - 1, ndim, dtype)

    def poisson(self, *args: Any, **named: Any) -> Variable:
        """NotImplementedError: there is no such distribution yet."""
        raise NotImplementedError("RandomStreams.poisson is not there yet: draw with NumPy, and pass the numbers")


def _dtype(value: Any) -> str:
    """What a bound adds to the dtype of a draw: Python numbers add nothing."""
    return "int8" if isinstance(value, int | float) and not isinstance(value, np.generic) else as_variable(value).dtype


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def _lengths(size: Any, ndim: int | None) -> list[int | Variable]:
    """The lengths of a draw; TypeError or ValueError for what is no size."""
    if isinstance(size, Variable) and size.ndim == 1:
        length = size.type.shape[0]
        known = length if ndim is None else ndim
        if known is None:
            raise ValueError("the length of size is not known: say ndim=, the number of axes")
        return [size[k] for k in range(known)]
    items = list(size) if isinstance(size, tuple | list | np.ndarray) else [size]
    for n in items:
        if isinstance(n, Variable):
            if n.ndim:
                raise TypeError(f"size should consist of integers and scalars, and has {n!r}")
        elif not isinstance(n, int | np.integer):
            raise TypeError(f"size should be a tuple of integers or variables, not {size!r}")
        elif n <= 0:
            raise ValueError(f"size has a length that is not positive: {size!r}")
    return [n if isinstance(n, Variable) else int(n) for n in items]
