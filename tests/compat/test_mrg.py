"""The random streams: Theano's own numbers, which a few lines of Python integers give, too."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import numgraph as ng
from numgraph.compat import mrg
from numgraph.compat.streams import MOST_STREAMS, MRG_RandomStreams, RandomStreams, guess_n_streams

M1, M2 = 2147483647, 2147462579
# what Theano 1.0.5 prints for MRG_RandomStreams(1234).uniform(size=(5,)) with floatX=float32, call after call
GOLDEN = (
    [0.37257108, 0.6576858, 0.59250677, 0.31931472, 0.7797921],
    [0.3604643, 0.30029008, 0.87304795, 0.9761404, 0.7304188],
)


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "floatX", "float32")


def stepped(state: list[int]) -> Iterator[int]:
    """The numbers of one stream, by the recurrences as they are written in the article."""
    x, y = state[:3], state[3:]
    while True:
        x = [(4194304 * x[1] + 129 * x[2]) % M1, *x[:2]]
        y = [(32768 * y[0] + 32769 * y[2]) % M2, *y[:2]]
        yield (x[0] - y[0] + M1 if x[0] <= y[0] else x[0] - y[0])


def plain(states: NDArray[Any], calls: list[int]) -> list[NDArray[Any]]:
    """Draws of so many numbers each, in turn from the streams; every call begins at the first one."""
    each = [stepped([int(n) for n in row]) for row in states]
    return [np.array([next(each[i % len(each)]) for i in range(n)]) / 2.0**31 for n in calls]


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("where", ["cpu", "reference", "cuda-sim"])
def test_numbers_are_theanos(where: str) -> None:
    draw = ng.function([], MRG_RandomStreams(1234).uniform(size=(5,)), target=where)
    for wanted in GOLDEN:
        got = np.asarray(draw())
        assert got.dtype == "float32"
        np.testing.assert_array_equal(got, np.array(wanted, "float32"))


@pytest.mark.parametrize("where", ["cpu", "reference", "cuda-sim"])
@pytest.mark.parametrize("n", [1, 6, 7, 13, 30])
def test_float64_numbers_are_those_of_the_recurrences(n: int, where: str) -> None:
    rng = MRG_RandomStreams(77)
    draw = ng.function([], rng.uniform(size=(n,)), target=where)
    states = rng.state_updates[0].state.get_value()
    assert states.shape == (max(n // 6, 1) if n > 6 else n, 6)
    for wanted in plain(states, [n, n, n]):
        np.testing.assert_array_equal(np.asarray(draw()), wanted)


def test_a_symbolic_size_has_its_own_streams(target: str) -> None:
    x = ng.matrix("x")
    rng = MRG_RandomStreams(5)
    draw = ng.function([x], rng.uniform(size=x.shape))
    states = rng.state_updates[0].state.get_value()
    assert states.shape == (15360, 6)
    # 20 by 784 are more than the streams, so that some advance by two steps, the others by one
    for wanted in plain(states, [20 * 784, 12, 20 * 784])[:1]:
        np.testing.assert_array_equal(draw(np.zeros((20, 784))).reshape(-1), wanted)
    after = plain(states, [20 * 784, 12, 20 * 784])
    np.testing.assert_array_equal(draw(np.zeros((3, 4))).reshape(-1), after[1])
    np.testing.assert_array_equal(draw(np.zeros((20, 784))).reshape(-1), after[2])


def test_sizes_that_are_known_and_those_that_are_not_differ() -> None:
    n = ng.lscalar("n")
    known = ng.function([], MRG_RandomStreams(3).uniform((30,)))()
    symbolic = ng.function([n], MRG_RandomStreams(3).uniform((n,)))(30)
    assert known[0] == symbolic[0] and not np.array_equal(known, symbolic)
    same = ng.function([n], MRG_RandomStreams(3).uniform((n,), nstreams=5))(30)
    np.testing.assert_array_equal(known, same)


@pytest.mark.parametrize(
    ("size", "streams"),
    [((), 1), ((6,), 6), ((7,), 1), ((10, 6), 10), ((1000, 1000), 15360), ((np.int64(4),), 15360), (None, 15360)],
)
def test_number_of_streams(size: Any, streams: int) -> None:
    assert guess_n_streams(size) == streams


def test_streams_are_2_to_the_72_steps_apart() -> None:
    states = mrg.streams(np.full(6, 12345), 7)
    for k in range(6):
        np.testing.assert_array_equal(mrg.advanced(states[k : k + 1], 2**72)[0], states[k + 1])
    # steps add up, and one of them is the recurrence
    one = mrg.advanced(states[:1], 1)[0]
    assert [int(v) for v in one] == [
        (4194304 + 129) * 12345 % M1, 12345, 12345, (32768 + 32769) * 12345 % M2, 12345, 12345,
    ]  # fmt: skip
    np.testing.assert_array_equal(
        mrg.advanced(mrg.advanced(states, 10**6), 2**20 + 3), mrg.advanced(states, 10**6 + 2**20 + 3)
    )
    # the matrices of the article's implementation, SSJ
    assert mrg.power(0, 2**72)[0] == [1516919229, 758510237, 499121365]
    assert mrg.power(1, 2**134)[2] == [1401213391, 1178684362, 1431130166]


@pytest.mark.usefixtures("float32")
def test_binomial_is_a_comparison_with_the_same_numbers(target: str) -> None:
    x = ng.matrix("x", dtype="float32")
    p = ng.scalar("p", dtype="float32")
    drawn = ng.function([x, p], MRG_RandomStreams(9).binomial(size=x.shape, n=1, p=1 - p, dtype="float32") * x)
    numbers = ng.function([x], MRG_RandomStreams(9).uniform(size=x.shape))
    ones = np.ones((7, 11), "float32")
    for _ in range(3):
        got = drawn(ones, 0.3)
        np.testing.assert_array_equal(got, (numbers(ones) < np.float32(0.7)).astype("float32"))
    assert 0.5 < got.mean() < 0.9
    assert MRG_RandomStreams(9).binomial(size=(3,)).dtype == "int64"


@pytest.mark.parametrize("shape", [(10,), (3, 5), (2, 3, 4)])
def test_normal_is_box_and_mullers(target: str, shape: tuple[int, ...]) -> None:
    rng = MRG_RandomStreams(21)
    draw = ng.function([], rng.normal(size=shape, avg=1.0, std=2.0))
    count = int(np.prod(shape))
    half = (count + 1) // 2
    (u,) = plain(rng.state_updates[0].state.get_value(), [2 * half])
    radius, angle = np.sqrt(-2 * np.log(u[:half])), 2 * np.pi * u[half:]
    z = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    np.testing.assert_allclose(draw(), (1 + 2 * z).reshape(shape), rtol=1e-12)


def test_normal_takes_the_streams_of_an_unknown_size() -> None:
    rng = MRG_RandomStreams(21)
    rng.normal(size=(4,))
    assert rng.state_updates[0].state.get_value().shape == (MOST_STREAMS, 6)


def test_truncated_normal_stays_within(target: str) -> None:
    draw = ng.function([], MRG_RandomStreams(8).truncated_normal(size=(2001,), std=3.0))
    z = draw()
    assert z.shape == (2001,) and abs(z).max() <= 2 * 3.0 / 0.8796
    assert z.std() == pytest.approx(3.0, rel=0.05) and z.mean() == pytest.approx(0.0, abs=0.2)


def test_multinomial_counts_the_column_that_the_number_falls_into(target: str) -> None:
    rng = MRG_RandomStreams(4)
    pvals = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.7, 0.1, 0.2]])
    draw = ng.function([], rng.multinomial(pvals=pvals, n=4))
    (u,) = plain(rng.state_updates[0].state.get_value(), [12])
    wanted = np.zeros((3, 3), "int64")
    for k in range(4):
        for row in range(3):
            wanted[row, np.searchsorted(np.cumsum(pvals[row]), u[3 * k + row])] += 1
    got = draw()
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == "int64"


def test_choice_is_without_replacement(target: str) -> None:
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0]])
    chosen = ng.function([], MRG_RandomStreams(4).choice(size=2, replace=False, p=p))()
    assert len(set(chosen[0])) == 2 and sorted(chosen[1]) == [1, 2]
    with pytest.raises(NotImplementedError, match="replace=False"):
        MRG_RandomStreams(4).choice(size=2, p=p)


def test_low_and_high(target: str) -> None:
    low, unit = (ng.function([], MRG_RandomStreams(6).uniform((9,), *args)) for args in ((-2.0, 3.0), ()))
    np.testing.assert_allclose(low(), unit() * 5 - 2)


@pytest.mark.usefixtures("float32")
def test_dtypes() -> None:
    rng = MRG_RandomStreams(6)
    assert rng.uniform((2,)).dtype == "float32"
    assert rng.uniform((2,), 0, 5).dtype == "float32"
    assert rng.uniform((2,), np.float64(0.5), 1.0).dtype == "float64"
    assert rng.uniform((2,), dtype="float64").dtype == "float64"
    assert rng.normal((2,)).dtype == "float32"


@pytest.mark.parametrize("seed", [0, M2, -1, [0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 1, M2, 1, 1]])
def test_seeds_that_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed"):
        MRG_RandomStreams(seed)


def test_what_is_no_seed_or_size() -> None:
    with pytest.raises(TypeError, match="seed"):
        MRG_RandomStreams([1, 2, 3])
    rng = MRG_RandomStreams(1)
    with pytest.raises(ValueError, match="not positive"):
        rng.uniform((3, 0))
    with pytest.raises(TypeError, match="size"):
        rng.uniform((3, 2.5))
    with pytest.raises(ValueError, match="ndim"):
        rng.uniform(ng.lvector("size"))
    with pytest.raises(TypeError, match="float16"):
        rng.uniform((3,), dtype="float16")
    with pytest.raises(NotImplementedError, match="n > 1"):
        rng.binomial((3,), n=2)


def test_six_numbers_as_a_seed() -> None:
    rng = MRG_RandomStreams([1, 2, 3, 4, 5, 6])
    rng.uniform((2,))
    np.testing.assert_array_equal(rng.state_updates[0].state.get_value()[0], [1, 2, 3, 4, 5, 6])


def test_seed_starts_again(target: str) -> None:
    rng = MRG_RandomStreams(10)
    draw = ng.function([], [rng.uniform((3,)), rng.normal((3,))])
    first = draw()
    assert not np.array_equal(draw()[0], first[0])
    rng.seed()
    for got, wanted in zip(draw(), first, strict=True):
        np.testing.assert_array_equal(got, wanted)
    rng.seed(11)
    assert not np.array_equal(draw()[0], first[0])


def test_random_variables_of_one_generator_differ() -> None:
    rng = MRG_RandomStreams(10)
    a, b = ng.function([], [rng.uniform((5,)), rng.uniform((5,))])()
    assert not np.array_equal(a, b)


def test_one_variable_used_twice_is_one_draw(target: str) -> None:
    u = MRG_RandomStreams(10).uniform((5,))
    a, b = ng.function([], [u, 2 * u])()
    np.testing.assert_array_equal(2 * a, b)


def test_two_functions_share_a_stream_and_no_default_updates_repeats(target: str) -> None:
    u = MRG_RandomStreams(10).uniform((3,))
    f, g = ng.function([], u), ng.function([], u)
    still = ng.function([], u, no_default_updates=True)
    first, second = f(), g()
    assert not np.array_equal(first, second)
    third = still()
    np.testing.assert_array_equal(still(), third)
    np.testing.assert_array_equal(f(), third)


def test_a_size_as_a_vector(target: str) -> None:
    size = ng.lvector("size")
    draw = ng.function([size], MRG_RandomStreams(10).uniform(size, ndim=2))
    same = ng.function([size], MRG_RandomStreams(10).uniform(ng.stack([size[0], size[1]])))
    assert draw([2, 5]).shape == (2, 5)
    np.testing.assert_array_equal(draw([3, 3]), (same([2, 5]), same([3, 3]))[1])


def test_pickled_generators_go_on_alike() -> None:
    rng = MRG_RandomStreams(10)
    u = rng.uniform((3,))
    other, v = pickle.loads(pickle.dumps((rng, u)))
    np.testing.assert_array_equal(ng.function([], u)(), ng.function([], v)())
    other.seed(3)
    rng.seed(3)
    np.testing.assert_array_equal(ng.function([], u)(), ng.function([], v)())


def test_more_steps_than_the_table_has_are_an_error() -> None:
    n = ng.lscalar("n")
    draw = ng.function([n], MRG_RandomStreams(10).uniform((n,), nstreams=1))
    assert draw(mrg.MOST_STEPS).shape == (mrg.MOST_STEPS,)
    with pytest.raises(IndexError):
        draw(mrg.MOST_STEPS + 1)


def test_the_interface_of_numpys_generator(target: str) -> None:
    rng = RandomStreams(0)
    x = ng.matrix("x")
    drawn = ng.function(
        [x],
        [
            rng.uniform(), rng.normal((4,)), rng.binomial((50,), n=10, p=0.5), rng.random_integers((50,), 2, 4),
            rng.permutation(n=6), rng.shuffle_row_elements(x), rng.choice((20,), a=3), rng.multinomial(n=5),
        ],
    )  # fmt: skip
    rows = np.arange(12.0).reshape(4, 3)
    uniform, normal, binomial, integers, permutation, shuffled, choice, multinomial = drawn(rows)
    assert uniform.shape == () and normal.shape == (4,)
    assert 3 < binomial.mean() < 7 and binomial.max() <= 10 and binomial.dtype == "int64"
    assert set(integers) == {2, 3, 4} and set(choice) == {0, 1, 2}
    assert sorted(permutation) == list(range(6))
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, rows))
    assert multinomial.sum() == 5
    assert RandomStreams().rstate.shape == (6,)
    with pytest.raises(NotImplementedError, match="poisson"):
        rng.poisson()
    with pytest.raises(NotImplementedError, match="permutation"):
        rng.choice(a=3, replace=False)
