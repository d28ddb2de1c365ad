"""Random numbers from counters, by NumPy: what the random ops are for the reference.

Each is a function of key (uint64), position (uint64) and index (int64), which broadcast; see `kernels.draws` for what
they mean and `kernels.rejection` for the methods. Written apart from those, in operations on whole arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MASK, WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
ROUNDS = 10
# The bits of an index that count an element's tries, and the counter of a number that belongs to none.
TRY_SHIFT, LAST = np.uint64(48), 0xFFFF
LARGE_MEAN, MOST_TRIES, MOST_STEPS = 10.0, 1000, 1000


def _parts(x: Any) -> tuple[Array, Array]:
    """The lower and the upper 32 bits."""
    whole = np.asarray(x).astype(np.uint64)
    return whole & MASK, whole >> WORD


def philox(key: Any, position: Any, index: Any) -> tuple[Array, ...]:
    """Four words below 2^32, uint64: Philox 4x32-10 of the counter (index, position), both of 64 bits."""
    (k0, k1), (c0, c1), (c2, c3) = _parts(key), _parts(index), _parts(position)
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (second >> WORD) ^ c1 ^ k0, second & MASK, (first >> WORD) ^ c3 ^ k1, first & MASK
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK, (k1 + KEY_STEPS[1]) & MASK
    return np.broadcast_arrays(c0, c1, c2, c3)


def _unit(high: Array, low: Array) -> Array:
    """Multiples of 2^-53 in [0, 1)."""
    bits: Array = ((high >> np.uint64(5)) << np.uint64(26)) | (low >> np.uint64(6))
    return bits.astype(np.float64) * 2.0**-53


def _above_zero(high: Array, low: Array) -> Array:
    """Numbers in (0, 1]."""
    return _unit(high, low) + 2.0**-54


def _above_zero_single(word: Array) -> Array:
    """Numbers in (0, 1] of one word, float32."""
    whole = (word >> np.uint64(1)).astype(np.float32)
    return whole * np.float32(2.0**-31) + np.float32(2.0**-32)


def uniform(key: Any, position: Any, index: Any, dtype: str = "float64") -> Array:
    """Uniform in [0, 1)."""
    high, low, _, _ = philox(key, position, index)
    if dtype == "float32":
        return (high >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    return _unit(high, low)


def exponential(key: Any, position: Any, index: Any, dtype: str = "float64") -> Array:
    """Exponential with mean 1."""
    high, low, _, _ = philox(key, position, index)
    u = _above_zero_single(high) if dtype == "float32" else _above_zero(high, low)
    return np.asarray(-np.log(u))


def _cosine(turns: Array) -> Array:
    """cos(2 pi turns): the sine of the exact distance to a quarter."""
    return np.sin(2 * np.pi * (np.abs(turns - 0.5) - 0.25))


def normal(key: Any, position: Any, index: Any, dtype: str = "float64") -> Array:
    """Normal with mean 0 and variance 1, by Box and Muller."""
    a, b, c, d = philox(key, position, index)
    if dtype != "float32":
        return _normal_of(_unit(a, b), _above_zero(c, d))
    length = np.sqrt(np.float32(-2) * np.log(_above_zero_single(c)))
    turns = (a >> np.uint64(8)).astype(np.float64) * 2.0**-24
    return np.asarray(length * _cosine(turns).astype(np.float32))


def _normal_of(turns: Array, u: Array) -> Array:
    return np.asarray(np.sqrt(-2.0 * np.log(u)) * _cosine(turns))


def bits(key: Any, position: Any, index: Any) -> Array:
    """64 random bits as int64."""
    high, low, _, _ = philox(key, position, index)
    return ((high << WORD) | low).astype(np.int64)


def integer(key: Any, position: Any, index: Any, low: Any, high: Any) -> Array:
    """int64 in [low, high), low where that is empty: the upper word of (high - low) times 64 random bits."""
    b1, b0, _, _ = philox(key, position, index)
    first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
    count = np.where(last > first, last.astype(np.uint64) - first.astype(np.uint64), np.uint64(0))
    n0, n1 = _parts(count)
    carried = (b0 * n0 >> WORD) + (b1 * n0 & MASK) + (b0 * n1 & MASK)
    upper = b1 * n1 + (b1 * n0 >> WORD) + (b0 * n1 >> WORD) + (carried >> WORD)
    return np.asarray((first.astype(np.uint64) + upper).astype(np.int64))


# -- rejection ------------------------------------------------------------------------------------------------------

# (words of the try, parameters ...) -> (values, which of them are accepted)
Try = Callable[..., tuple[Array, Array]]


def _words(key: Any, position: Any, index: Array, attempt: int) -> tuple[Array, ...]:
    tried = np.asarray(index).astype(np.uint64) | (np.uint64(attempt) << TRY_SHIFT)
    return philox(key, position, tried)


def _until_accepted(key: Any, position: Any, index: Any, parameters: tuple[Any, ...], attempt_of: Try) -> Array:
    """Tries for all elements at once, then for those that are left."""
    key, position, index, *given = np.broadcast_arrays(key, position, index, *parameters)
    result = np.full(index.shape, np.nan)
    left = np.ones(index.shape, bool)
    for attempt in range(MOST_TRIES):
        if not left.any():
            break
        words = _words(key[left], position[left], index[left], attempt)
        values, accepted = attempt_of(words, *(p[left] for p in given))
        places = np.flatnonzero(left)[accepted]
        result.flat[places] = values[accepted]
        left.flat[places] = False
    return result


def _gamma_try(words: Sequence[Array], shape: Array) -> tuple[Array, Array]:
    d = shape - 1 / 3
    x = _normal_of(words[0] * 2.0**-32, _above_zero(*words[2:]))
    v = 1 + x / np.sqrt(9 * d)
    cube = v**3
    return d * cube, (v > 0) & (np.log((words[1] + 0.5) * 2.0**-32) < 0.5 * x * x + d - d * cube + d * np.log(cube))


def gamma(key: Any, position: Any, index: Any, shape: Any) -> Array:
    """Gamma with scale 1, by Marsaglia and Tsang; below shape 1 that for shape + 1 times a power."""
    given = np.asarray(shape, np.float64)
    fits = (given > 0) & (given < np.inf)
    safe = np.where(fits, given, 1.0)
    found = _until_accepted(key, position, index, (np.where(safe < 1, safe + 1, safe),), _gamma_try)
    high, low, _, _ = _words(key, position, index, LAST)
    found = np.where(safe < 1, found * np.exp(np.log(_above_zero(high, low)) / safe), found)
    return np.where(fits, found, np.where(given == 0, 0.0, np.nan))


def _centred(words: Sequence[Array]) -> tuple[Array, Array, Array]:
    """u, its distance to the ends of [-1/2, 1/2], and v, of Hoermann's methods."""
    u, v = _above_zero(*words[:2]) - 0.5, _above_zero(*words[2:4])
    return u, 0.5 - np.abs(u) + 2.0**-54, v


def _poisson_try(words: Sequence[Array], mean: Array) -> tuple[Array, Array]:
    u, us, v = _centred(words)
    b = 0.931 + 2.53 * np.sqrt(mean)
    a = -0.059 + 0.02483 * b
    k = np.floor((2 * a / us + b) * u + mean + 0.43)
    ratio = np.log(v) + np.log(1.1239 + 1.1328 / (b - 3.4)) - np.log(a / (us * us) + b)
    inside = (k >= 0) & ((us >= 0.013) | (v <= us))
    below = ratio <= k * np.log(mean) - mean - _lgamma(k + 1)
    return k, ((us >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))) | (inside & below)


def _lgamma(x: Array) -> Array:
    return np.array([math.lgamma(v) if v > 0 else math.inf for v in x.ravel()]).reshape(x.shape)


def _counted(u: Array, first: Array, factor: Callable[[float], Array], most: Any) -> Array:
    """How many of the probabilities `first`, `first * factor(1)`, ... it takes to pass u."""
    left, p, k = u.copy(), first.copy(), np.zeros(u.shape)
    for step in range(1, MOST_STEPS + 1):
        going = (left >= p) & (k < most)
        if not going.any():
            break
        left, k = np.where(going, left - p, left), np.where(going, step, k)
        p = np.where(going, p * factor(float(step)), p)
    return k


def poisson(key: Any, position: Any, index: Any, mean: Any) -> Array:
    """Poisson, float64: by adding up probabilities for small means, else by Hoermann's PTRS."""
    given = np.asarray(mean, np.float64)
    fits, large = (given >= 0) & (given < np.inf), (given >= LARGE_MEAN) & (given < np.inf)
    high, low, _, _ = _words(key, position, index, 0)
    little = np.where(fits & ~large, given, 1.0)
    u, first = np.broadcast_arrays(_unit(high, low), np.exp(-little))
    counted = _counted(u, first, lambda k: little / k, np.inf)
    found = _until_accepted(key, position, index, (np.where(large, given, LARGE_MEAN),), _poisson_try)
    return np.where(large, found, np.where(fits, counted, np.nan))


def _binomial_try(words: Sequence[Array], n: Array, p: Array) -> tuple[Array, Array]:
    u, us, v = _centred(words)
    deviation = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    k = np.floor((2 * a / us + b) * u + n * p + 0.5)
    mode = np.floor((n + 1) * p)
    ratio = np.log(v * (2.83 + 5.1 / b) * deviation / (a / (us * us) + b))
    inside = (k >= 0) & (k <= n)
    shown = np.where(inside, k, mode)
    most = _lgamma(mode + 1) + _lgamma(n - mode + 1) + (shown - mode) * np.log(p / (1 - p))
    below = ratio <= most - _lgamma(shown + 1) - _lgamma(n - shown + 1)
    return k, ((us >= 0.07) & (v <= 0.92 - 4.2 / b)) | (inside & below)


def binomial(key: Any, position: Any, index: Any, n: Any, p: Any) -> Array:
    """Binomial, float64: by adding up probabilities for small means, else by Hoermann's BTRS."""
    trials, chance = np.floor(np.asarray(n, np.float64)), np.asarray(p, np.float64)
    fits = (trials >= 0) & (trials < np.inf) & (chance >= 0) & (chance <= 1)
    rare = np.where(fits, np.where(chance <= 0.5, chance, 1 - chance), 0.0)
    many = np.where(fits, trials, 0.0)
    large = many * rare >= LARGE_MEAN
    high, low, _, _ = _words(key, position, index, 0)
    little = np.where(large, 0.0, rare)
    u, first, _ = np.broadcast_arrays(_unit(high, low), np.exp(many * np.log1p(-little)), many)
    k = _counted(u, first, lambda k: little / (1 - little) * (many - k + 1) / k, many)
    found = _until_accepted(
        key, position, index, (np.where(large, many, 40.0), np.where(large, rare, 0.5)), _binomial_try
    )
    k = np.where(large, found, k)
    return np.where(fits, np.where(chance <= 0.5, k, many - k), np.nan)
