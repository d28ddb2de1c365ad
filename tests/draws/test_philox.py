"""Philox and the numbers made of it: known answers, an implementation of another kind, and every executor's bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numgraph.kernels import draws
from scipy import special

from numgraph import randoms
from tests.philox import philox as philox_of

# Random123's known answers for philox4x32 with 10 rounds: counter, key, words.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def whole(low: int, high: int) -> int:
    return low | high << 32


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
@pytest.mark.parametrize("philox", [randoms.philox, draws.philox, philox_of], ids=["NumPy", "kernel", "integers"])
def test_known_answers(philox: Any, counter: str, key: str, expected: str) -> None:
    c, k = words(counter), words(key)
    number = int if philox is philox_of else np.uint64
    with np.errstate(over="ignore"):
        found = philox(*(number(n) for n in (whole(*k), whole(*c[2:]), whole(*c[:2]))))
    assert [int(w) for w in found] == words(expected)


def test_two_implementations_agree() -> None:
    rng = np.random.default_rng(0)
    for key, position, index in rng.integers(0, 2**64, (50, 3), np.uint64):
        expected = philox_of(int(key), int(position), int(index))
        assert [int(w) for w in randoms.philox(key, position, index)] == expected
        with np.errstate(over="ignore"):
            assert [int(w) for w in draws.philox(key, position, index)] == expected


def test_it_is_not_the_generator_of_numpy() -> None:
    """NumPy's Philox has words of 64 bits, 4x64-10: other numbers for the same key and counter, see docs/random.md."""
    other = np.random.Philox(key=0, counter=0).random_raw(4)
    assert not set(map(int, other)) & set(words(KNOWN[0][2]))


def test_uniform_numbers_are_multiples_of_their_unit() -> None:
    key, position, index = np.uint64(3), np.uint64(9), np.arange(1000)
    high, low, _, _ = (w.astype(object) for w in randoms.philox(key, position, index))
    double = [((int(a) << 32 | int(b)) >> 11) / 2**53 for a, b in zip(high, low, strict=True)]
    # 27 bits of the first word and 26 of the second
    exact = [((int(a) >> 5 << 26) | (int(b) >> 6)) / 2**53 for a, b in zip(high, low, strict=True)]
    single = [(int(a) >> 8) / 2**24 for a in high]
    np.testing.assert_array_equal(randoms.uniform(key, position, index), exact)
    np.testing.assert_array_equal(randoms.uniform(key, position, index, "float32"), single)
    np.testing.assert_allclose(exact, double, atol=2.0**-27)


@pytest.mark.parametrize("word", [0, 1, 2**31, 2**32 - 1])
def test_logarithms_are_finite(word: int) -> None:
    a = np.uint64(word)
    for u in (draws.above_zero_f32(a), draws.above_zero_f64(a, a), draws.above_zero_f64(a, np.uint64(0))):
        assert 0 < u <= 1
    assert draws.above_zero_f32(a).dtype == np.float32


def test_the_cosine() -> None:
    turns = np.concatenate([np.linspace(0, 1, 1001)[:-1], [0.25, 0.5, 0.75, 1 - 2.0**-53]])
    got = np.array([draws._cosine_f64(t) for t in turns])
    np.testing.assert_allclose(got, np.cos(2 * math.pi * turns), atol=4e-16)
    single = np.array([draws._cosine_f32(np.float32(t)) for t in turns])
    np.testing.assert_allclose(single, np.cos(2 * math.pi * turns.astype("float32").astype("float64")), atol=3e-7)
    assert draws._cosine_f64(0.25) == 0 == draws._cosine_f64(0.75)


def test_the_quantile() -> None:
    p = np.concatenate([np.logspace(-300, -1, 200), np.linspace(0.01, 0.99, 99), 1 - np.logspace(-15, -2, 50)])
    got = np.array([draws.quantile_f64(float(v)) for v in p])
    np.testing.assert_allclose(got, special.ndtri(p), rtol=1e-14, atol=1e-15)
    assert draws.quantile_f64(0.5) == 0


def test_a_bounded_integer_is_the_upper_word_of_a_product() -> None:
    key, position, index = np.uint64(5), np.uint64(0), np.arange(200)
    bits = [int(b) % 2**64 for b in randoms.bits(key, position, index)]
    for low, high in ((0, 10), (-3, 2**40 + 1), (-(2**63), 2**63 - 1), (7, 8)):
        expected = [low + (b * (high - low) >> 64) for b in bits]
        assert [int(v) for v in randoms.integer(key, position, index, low, high)] == expected
    assert (randoms.integer(key, position, index, 5, 5) == 5).all()
    assert (randoms.integer(key, position, index, 5, -5) == 5).all()


def test_small_and_large_means_meet() -> None:
    """Where one method takes over from the other, means and variances go on."""
    key, position, index = np.uint64(1), np.uint64(0), np.arange(40000)
    with np.errstate(all="ignore"):
        for mean in (9.999, 10.0):
            drawn = randoms.poisson(key, position, index, mean)
            assert abs(drawn.mean() - mean) < 0.06 and abs(drawn.var() - mean) < 0.3
        for n in (33.0, 34.0):
            drawn = randoms.binomial(key, position, index, n, 0.3)
            assert abs(drawn.mean() - 0.3 * n) < 0.06 and abs(drawn.var() - 0.21 * n) < 0.25
