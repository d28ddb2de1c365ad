"""Streams: which calls draw anew, what shares a draw, where the state is, and what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.random import RandomStream

pytestmark = pytest.mark.usefixtures("target")

WAYS = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy}
again = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)


def fresh(seed: Any = 1, size: Any = 5) -> tuple[RandomStream, Any]:
    rng = RandomStream(seed)
    return rng, rng.uniform(size=size)


def values(*seeds: Any) -> list[Any]:
    return [ng.function([], fresh(seed)[1])().tolist() for seed in seeds]


# -- calls and draws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floatX", "p", "bits"),
    [("float32", 0.7, 32), ("float64", 0.7, 64), ("float64", np.float32(0.7), 32), ("float32", np.float64(0.7), 64)],
)
def test_bernoulli_draws_in_the_dtype_of_p(
    target: str, monkeypatch: pytest.MonkeyPatch, floatX: str, p: Any, bits: int
) -> None:
    monkeypatch.setattr(ng.config, "floatX", floatX)
    drawn = ng.function([], RandomStream(1).bernoulli(p, size=(3, 40)))
    u = ng.function([], RandomStream(1).uniform(size=(3, 40), dtype=f"float{bits}"))
    for _ in range(2):
        np.testing.assert_array_equal(drawn(), u() < np.array(p, f"float{bits}"))
    if target == "cpu":
        assert f"uniform_f{bits}(" in drawn.source and f"uniform_f{96 - bits}(" not in drawn.source


def test_each_call_draws_anew_and_a_seed_repeats() -> None:
    _, u = fresh()
    f, g = ng.function([], u), ng.function([], fresh()[1])
    first, second = f(), f()
    assert not np.isin(first, second).any()
    np.testing.assert_array_equal(first, g())
    np.testing.assert_array_equal(second, g())


def test_a_variable_is_one_draw_and_two_calls_are_two() -> None:
    rng, u = fresh()
    v = rng.uniform(size=5)
    a, b, c = ng.function([], [u, u + 1, v])()
    np.testing.assert_array_equal(a + 1, b)
    assert not np.isin(a, c).any()


def test_a_draw_is_the_same_in_a_cost_and_its_gradient() -> None:
    rng, x = RandomStream(2), ng.vector("x")
    y = rng.dropout(x, 0.3)
    out, slope = ng.function([x], [y, ng.grad(y.sum(), x)])(np.ones(50))
    np.testing.assert_array_equal(out, slope)
    assert {0.0, 1 / 0.7} == {*map(float, out)}


def test_functions_of_one_draw_share_its_state() -> None:
    _, u = fresh()
    f, g = ng.function([], u), ng.function([], u * 2)
    _, v = fresh()
    h = ng.function([], v)
    expected = [h(), h(), h()]
    np.testing.assert_array_equal(f(), expected[0])
    np.testing.assert_array_equal(g(), expected[1] * 2)
    np.testing.assert_array_equal(f(), expected[2])


def test_default_updates_may_be_left_out() -> None:
    rng, u = fresh()
    v = rng.uniform(size=5)
    still = ng.function([], [u, v], no_default_updates=True)
    np.testing.assert_array_equal(still(), still())
    one = ng.function([], [u, v], no_default_updates=[rng.state_updates[0][0]])
    (a, b), (c, d) = one(), one()
    np.testing.assert_array_equal(a, c)
    assert not np.isin(b, d).any()


def test_updates_may_be_written_out() -> None:
    rng, u = fresh()
    f = ng.function([], u, updates=rng.state_updates, no_default_updates=True)
    g = ng.function([], fresh()[1])
    for _ in range(3):
        np.testing.assert_array_equal(f(), g())


def test_an_update_draws_too() -> None:
    rng, n = RandomStream(3), ng.shared(np.zeros(4), "n")
    step = ng.function([], updates={n: n + rng.normal(size=4)})
    step()
    first = n.get_value()
    step()
    assert (first != 0).all() and not np.isclose(n.get_value(), 2 * first).any()


def test_a_draw_that_givens_replace_stays_where_it_is() -> None:
    rng, u = fresh()
    f = ng.function([], u + 0.0, givens={u: np.zeros(5)})
    np.testing.assert_array_equal(f(), np.zeros(5))
    assert rng.state_updates[0][0].get_value()[1] == 0


def test_a_failed_call_leaves_the_state() -> None:
    rng, x = RandomStream(1), ng.vector("x")
    f = ng.function([x], rng.uniform(size=3) + x)
    state = rng.state_updates[0][0]
    f(np.zeros(3))
    with pytest.raises(ng.ShapeError):
        f(np.zeros(4))
    assert state.get_value()[1] == 1


def test_steps_of_a_sweep_are_calls() -> None:
    i = ng.scalar("i", "int64")
    f, g = (ng.function([i], fresh(4, 3)[1] + i) for _ in range(2))
    np.testing.assert_array_equal(f.sweep(range(5)), [g(k) for k in range(5)])
    np.testing.assert_array_equal(f(5), g(5))


# -- seeds and states -----------------------------------------------------------------------------------------------


def test_seeds_differ() -> None:
    seeds = [0, 1, 2, 2**64, 2**64 + 1, [1, 2], [2, 1]]
    drawn = values(*seeds)
    assert len({tuple(v) for v in drawn}) == len(seeds)
    assert values(*seeds) == drawn
    assert values(None) != values(None)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", [1, -2]])
def test_wrong_seeds(seed: Any) -> None:
    with pytest.raises(ng.OptionError, match="seed must be a whole number"):
        RandomStream(seed)


def test_a_stream_may_be_seeded_again() -> None:
    rng, u = fresh(7)
    v = rng.normal(size=2)
    f = ng.function([], [u, v])
    first = f()
    f()
    rng.seed(8)
    other = f()
    rng.seed(7)
    for a, b, c in zip(first, other, f(), strict=True):
        np.testing.assert_array_equal(a, c)
        assert not np.isin(a, b).any()


def test_a_state_is_a_key_and_a_position() -> None:
    rng, u = fresh()
    ((state, _),) = rng.state_updates
    f = ng.function([], u)
    drawn = [f() for _ in range(3)]
    key, position = state.get_value()
    assert state.dtype == "uint64" and position == 3
    state.set_value(np.array([key, 1], np.uint64))
    np.testing.assert_array_equal(f(), drawn[1])


def test_split_streams_are_independent_and_repeat() -> None:
    def drawn() -> list[tuple[float, ...]]:
        rng = RandomStream(1)
        streams = [rng, *rng.split(3), *rng.split(1)]
        streams += streams[1].split(2)
        return [tuple(ng.function([], s.uniform(size=3))()) for s in streams]

    first = drawn()
    assert len(set(first)) == 7 and drawn() == first
    # seeded again a stream is a new one, whose splits begin anew
    rng = RandomStream(2)
    (child,) = rng.split(1)
    rng.seed(1)
    child.seed(1)
    assert tuple(ng.function([], child.uniform(size=3))()) == first[0]
    assert tuple(ng.function([], rng.split(1)[0].uniform(size=3))()) == first[1]


def test_splits_are_so_many() -> None:
    rng = RandomStream(1)
    assert rng.split(np.int64(0)) == []
    for wrong in (-1, 2.5, None):
        with pytest.raises(ng.OptionError, match="split: n is a number of streams"):
            rng.split(wrong)  # type: ignore[arg-type]


@again
def test_copies_keep_streams_draws_and_functions_together(again: Any) -> None:
    rng, u = fresh()
    f = ng.function([], u)
    f()
    rng2, u2, f2 = again((rng, u, f))
    expected = f()
    np.testing.assert_array_equal(f2(), expected)
    # the copies share one state, which is not the original's
    assert rng2.state_updates[0][0].get_value()[1] == 2
    following = ng.function([], u2)()
    np.testing.assert_array_equal(following, f())
    rng2.seed(1)
    np.testing.assert_array_equal(f2(), ng.function([], fresh()[1])())
    # a copy goes on with draws of its own
    np.testing.assert_array_equal(ng.function([], rng2.uniform(size=3))(), ng.function([], rng.uniform(size=3))())


def test_a_copied_function_shares_the_state() -> None:
    rng, u = fresh()
    f = ng.function([], u)
    g = f.copy()
    f(), g()
    assert rng.state_updates[0][0].get_value()[1] == 2


# -- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, (), 0, 1, 7, (3,), (2, 0), (3, 4), (2, 3, 2), np.array([2, 3])], ids=str)
def test_sizes(size: Any) -> None:
    shape = np.empty(() if size is None else size).shape
    rng = RandomStream(1)
    drawn = [rng.uniform(size=size), rng.normal(size=size), rng.integers(9, size=size), rng.gamma(2.0, size=size)]
    for v, got in zip(drawn, ng.function([], drawn)(), strict=True):
        assert got.shape == shape == v.type.shape


def test_elements_are_counted_in_C_order() -> None:
    shaped, flat = (ng.function([], fresh(1, size)[1])() for size in ((2, 3, 4), 24))
    np.testing.assert_array_equal(shaped.ravel(), flat)


def test_sizes_of_variables() -> None:
    x, n = ng.matrix("x"), ng.scalar("n", "int64")
    rng = RandomStream(1)
    drawn = [
        rng.uniform(size=x.shape),
        rng.uniform(size=(n, 3)),
        rng.uniform(size=n),
        rng.uniform(size=ng.stack(x.shape)),
    ]
    f = ng.function([x, n], drawn, on_unused_input="ignore")
    for rows, count in ((2, 0), (5, 1), (0, 4)):
        shapes = [v.shape for v in f(np.zeros((rows, 2)), count)]
        assert shapes == [(rows, 2), (count, 3), (count,), (rows, 2)]


def test_a_size_follows_givens() -> None:
    data, x, i = ng.shared(np.zeros((10, 2)), "data"), ng.matrix("x"), ng.scalar("i", "int64")
    f = ng.function([i], x + RandomStream(7).uniform(size=x.shape), givens={x: data[i * 4 : (i + 1) * 4]})
    assert [f(k).shape for k in range(3)] == [(4, 2), (4, 2), (2, 2)]


@pytest.mark.parametrize(
    "part",
    [
        lambda z: z[::2, 1],
        lambda z: z[::-1],
        lambda z: z.T,
        lambda z: z[1:][:, [3, 0, 3]],
        lambda z: z.reshape((4, 6)),
        lambda z: z[2, 3],
        lambda z: z.sum(axis=0),
        lambda z: z.max(axis=1),
        lambda z: z.dimshuffle(1, "x", 0),
        lambda z: z * z[:, :1],
    ],
)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_a_part_of_a_draw_has_the_numbers_of_the_whole(kind: str, part: Any) -> None:
    z = getattr(RandomStream(5), kind)(size=(6, 4))
    whole, got = ng.function([], [z, part(z)])()
    alone = ng.function([], part(getattr(RandomStream(5), kind)(size=(6, 4))))()
    expected = ng.function([(x := ng.matrix("x"))], part(x), target="reference")(whole)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    np.testing.assert_allclose(alone, expected, rtol=1e-13)


# -- parameters and errors ------------------------------------------------------------------------------------------


def test_parameters_broadcast_and_may_be_variables() -> None:
    mean, std = ng.vector("mean"), ng.matrix("std")
    z = RandomStream(1).normal(mean, std)
    plain = RandomStream(1).normal(size=(3, 4))
    m, s = np.arange(4.0), np.arange(3.0)[:, None] + 1
    got, unit = ng.function([mean, std], z)(m, s), ng.function([], plain)()
    np.testing.assert_allclose(got, m + s * unit, rtol=1e-15)


def test_parameters_must_broadcast_to_the_size() -> None:
    with pytest.raises(ng.ShapeError, match=r"normal: mean of shape \(3,\) does not broadcast to size \(4, 2\)"):
        RandomStream(1).normal(np.zeros(3), size=(4, 2))
    with pytest.raises(ng.ShapeError):
        RandomStream(1).normal(np.zeros((5, 4, 2)), size=(4, 2))
    x = ng.vector("x")
    f = ng.function([x], RandomStream(1).normal(x, size=(4, 2)))
    assert f(np.zeros(2)).shape == (4, 2)
    with pytest.raises(ng.ShapeError):
        f(np.zeros(3))


WRONG = [
    (lambda rng: rng.uniform(2.0, 1.0), "uniform: low must not be above high\n  low: 2.\n  high: 1."),
    (lambda rng: rng.normal(0.0, -1.0), "normal: std must not be negative\n  std: -1."),
    (lambda rng: rng.normal(0.0, np.nan), "normal: std must not be negative\n  std: nan"),
    (lambda rng: rng.truncated_normal(low=1.0, high=1.0), "truncated_normal: low must be below high"),
    (lambda rng: rng.exponential([1.0, -1.0]), "exponential: scale must not be negative\n  scale: [ 1., -1.]"),
    (lambda rng: rng.gamma(-1.0), "gamma: shape must not be negative"),
    (lambda rng: rng.beta(0.0, 1.0), "beta: a must be positive"),
    (lambda rng: rng.bernoulli(1.5), "bernoulli: p must lie in [0, 1]\n  p: 1.5"),
    (lambda rng: rng.binomial(-1, 0.5), "binomial: n must not be negative"),
    (lambda rng: rng.binomial(1, -0.5), "binomial: p must lie in [0, 1]"),
    (lambda rng: rng.poisson(-1.0), "poisson: lam must not be negative"),
    (lambda rng: rng.integers(3, 3), "integers: low must be below high\n  low: 3\n  high: 3"),
    (lambda rng: rng.integers(0), "integers: low must be below high"),
    (lambda rng: rng.integers(0, 300, dtype="uint8"), "low and high must fit dtype uint8 (0 to 255)"),
    (lambda rng: rng.categorical([0.5, -0.1]), "probabilities must not be negative, and their sum must be positive"),
    (lambda rng: rng.categorical([0.0, 0.0]), "their sum must be positive"),
    (lambda rng: rng.multinomial(3), "multinomial: pvals, the probabilities, are missing"),
    (lambda rng: rng.dropout(ng.vector("x"), 1.0), "dropout: p must lie in [0, 1)"),
]


@pytest.mark.parametrize(("wrong", "text"), WRONG, ids=[text.split("\n")[0] for _, text in WRONG])
def test_wrong_parameters(wrong: Any, text: str) -> None:
    with pytest.raises(ng.OptionError) as caught:
        wrong(RandomStream(1))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda rng: rng.uniform(size=-1), ng.ShapeError),
        (lambda rng: rng.uniform(size=2.5), ng.DtypeError),
        (lambda rng: rng.uniform(size=ng.scalar("x")), ng.DtypeError),
        (lambda rng: rng.uniform(dtype="int64"), ng.DtypeError),
        (lambda rng: rng.integers(3, dtype="float64"), ng.DtypeError),
        (lambda rng: rng.integers(2.5), ng.DtypeError),
        (lambda rng: rng.dropout(ng.vector("x", "int64")), ng.DtypeError),
        (lambda rng: rng.permutation(np.float64(3)), ng.ShapeError),
        (lambda rng: rng.choice(0), ng.ShapeError),
        (lambda rng: rng.choice(3, p=[0.5, 0.5]), ng.ShapeError),
        (lambda rng: rng.choice(3, size=4, replace=False), ng.ShapeError),
    ],
)
def test_wrong_sizes_and_dtypes(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong(RandomStream(1))


def test_a_negative_length_is_found_by_the_call() -> None:
    n = ng.scalar("n", "int64")
    with pytest.raises(ng.ShapeError, match="negative"):
        ng.function([n], RandomStream(1).uniform(size=n))(-1)


# -- gradients ------------------------------------------------------------------------------------------------------


def test_gradients_go_through_what_is_transformed() -> None:
    a, b = ng.scalars("a", "b")
    for make in (
        lambda rng: rng.uniform(a, b, size=9),
        lambda rng: rng.normal(a, b, size=9),
        lambda rng: rng.truncated_normal(a, b, size=9),
        lambda rng: rng.truncated_normal(low=a, high=b, size=9),
        lambda rng: a + rng.exponential(b, size=9),
        lambda rng: a + rng.gamma(3.0, b, size=9),
    ):
        cost = ng.sum(make(RandomStream(3)) ** 2)
        f = ng.function([a, b], [cost, *ng.grad(cost, [a, b])], no_default_updates=True)
        _, *slopes = f(0.3, 1.1)
        step = 1e-6
        for slope, (da, db) in zip(slopes, ((step, 0), (0, step)), strict=True):
            numeric = (f(0.3 + da, 1.1 + db)[0] - f(0.3 - da, 1.1 - db)[0]) / (2 * step)
            np.testing.assert_allclose(slope, numeric, rtol=2e-7)


def test_gradients_are_refused_or_cut_elsewhere() -> None:
    a, rng = ng.scalar("a"), RandomStream(1)
    for draw in (rng.gamma(a, size=3), rng.beta(a, 2.0, size=3)):
        with pytest.raises(
            ng.GradientError, match=r"random_gamma has no gradient: a gamma number does not follow shape"
        ):
            ng.grad(draw.sum(), a)
    for draw in (rng.bernoulli(a, size=3), rng.poisson(a, size=3), rng.binomial(5, a, size=3)):
        with pytest.raises(ng.DisconnectedError):
            ng.grad(ng.sum(draw * 1.0), a)


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_a_number_that_is_drawn_may_be_a_length(target: str) -> None:
    x = ng.vector("x")
    n = RandomStream(3).integers(1, 4)
    f = ng.function([x], [n, x[:n], x * ng.cast(n, "float64"), RandomStream(4).uniform(size=n)], target=target)
    lengths = set()
    for _ in range(8):
        count, first, scaled, drawn = f(np.arange(5.0))
        assert int(count) == len(first) == len(drawn)
        np.testing.assert_array_equal(scaled, np.arange(5.0) * int(count))
        lengths.add(int(count))
    assert lengths == {1, 2, 3}
