"""What is drawn: distributions by statistical tests of fixed seeds, and the same numbers from every executor."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import numgraph as ng
from numgraph.random import RandomStream
from numgraph.schedule import chunks

COUNT = 20_000
# The least probability that a test may give; the seeds are fixed, so that it does so always or never.
LEAST = 1e-3
Draw = Callable[[RandomStream, Any], ng.Variable]

# name -> (draw, distribution)
REAL: dict[str, tuple[Draw, Any]] = {
    "uniform": (lambda rng, n: rng.uniform(-1.0, 3.0, size=n), stats.uniform(-1, 4)),
    "uniform32": (lambda rng, n: rng.uniform(size=n, dtype="float32"), stats.uniform()),
    "normal": (lambda rng, n: rng.normal(1.0, 2.0, size=n), stats.norm(1, 2)),
    "normal32": (lambda rng, n: rng.normal(size=n, dtype="float32"), stats.norm()),
    "truncated": (lambda rng, n: rng.truncated_normal(1.0, 2.0, -1.0, 0.5, size=n), stats.truncnorm(-1, 0.5, 1, 2)),
    "far tail": (lambda rng, n: rng.truncated_normal(low=8.0, high=9.0, size=n), stats.truncnorm(8, 9)),
    "one side": (lambda rng, n: rng.truncated_normal(low=1.0, high=np.inf, size=n), stats.truncnorm(1, np.inf)),
    "exponential": (lambda rng, n: rng.exponential(2.0, size=n), stats.expon(0, 2)),
    "exponential32": (lambda rng, n: rng.exponential(size=n, dtype="float32"), stats.expon()),
    "gamma": (lambda rng, n: rng.gamma(2.5, 3.0, size=n), stats.gamma(2.5, 0, 3)),
    "small gamma": (lambda rng, n: rng.gamma(0.2, size=n), stats.gamma(0.2)),
    "large gamma": (lambda rng, n: rng.gamma(1e6, size=n, dtype="float64"), stats.gamma(1e6)),
    "beta": (lambda rng, n: rng.beta(2.0, 0.5, size=n), stats.beta(2, 0.5)),
}
THREE = stats.rv_discrete(values=([0, 1, 2], [1 / 8, 3 / 8, 1 / 2]))
WHOLE: dict[str, tuple[Draw, Any]] = {
    "bernoulli": (lambda rng, n: rng.bernoulli(0.3, size=n, dtype="int8"), stats.bernoulli(0.3)),
    "binomial": (lambda rng, n: rng.binomial(10, 0.3, size=n), stats.binom(10, 0.3)),
    "unfair binomial": (lambda rng, n: rng.binomial(20, 0.9, size=n), stats.binom(20, 0.9)),
    "large binomial": (lambda rng, n: rng.binomial(1000, 0.6, size=n), stats.binom(1000, 0.6)),
    "poisson": (lambda rng, n: rng.poisson(2.5, size=n), stats.poisson(2.5)),
    "large poisson": (lambda rng, n: rng.poisson(30.0, size=n), stats.poisson(30)),
    "integers": (lambda rng, n: rng.integers(-5, 12, size=n), stats.randint(-5, 12)),
    "categorical": (lambda rng, n: rng.categorical([1.0, 3.0, 4.0], size=n), THREE),
    "choice": (lambda rng, n: rng.choice(np.array([0, 2, 1]), size=n), stats.randint(0, 3)),
    "first of two": (lambda rng, n: rng.multinomial(7, [0.3, 0.7], size=n)[:, 0], stats.binom(7, 0.3)),
}
OTHERS: dict[str, Draw] = {
    "integers of 64 bits": lambda rng, n: rng.integers(-(2**62), 2**62, size=n),
    "integers by bounds": lambda rng, n: rng.integers(np.arange(n), np.arange(n) * 3 + 1),
    "gamma by shape": lambda rng, n: rng.gamma(np.linspace(0.0, 3.0, n)),
    "poisson by mean": lambda rng, n: rng.poisson(np.linspace(0.0, 40.0, n)),
    "binomial by n and p": lambda rng, n: rng.binomial(np.arange(n) * 5, np.linspace(0.0, 1.0, n)),
    "multinomial": lambda rng, n: rng.multinomial(5, np.ones((n, 3))),
    "permutation": lambda rng, n: rng.permutation(n),
    "rows": lambda rng, n: rng.shuffle_rows(np.arange(3 * n).reshape(n, 3)),
    "row elements": lambda rng, n: rng.shuffle_row_elements(np.arange(3 * n).reshape(3, n)),
    "choice without": lambda rng, n: rng.choice(n, size=3, replace=False),
    "weighed choice": lambda rng, n: rng.choice(n, size=3, replace=False, p=np.arange(n) + 1.0),
    "dropout": lambda rng, n: rng.dropout(ng.ones((2, n), "float32"), 0.25),
}


def drawn(draw: Draw, n: int = COUNT, seed: int = 11, **options: Any) -> Any:
    return ng.function([], draw(RandomStream(seed), n), **options)()


@pytest.mark.parametrize("name", REAL)
def test_real_numbers_follow_their_distribution(name: str) -> None:
    draw, distribution = REAL[name]
    got = drawn(draw)
    assert got.dtype == ("float32" if name.endswith("32") else "float64")
    assert stats.kstest(got, distribution.cdf).pvalue > LEAST
    # neighbours do not depend on each other
    assert abs(np.corrcoef(got[1:], got[:-1])[0, 1]) < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_follow_their_distribution(name: str) -> None:
    draw, distribution = WHOLE[name]
    got = drawn(draw)
    support = np.arange(got.min(), got.max() + 1)
    expected = COUNT * distribution.pmf(support)
    counts = np.array([(got == k).sum() for k in support])
    often = expected >= 10
    rest = COUNT - expected[often].sum()
    observed, wanted = list(counts[often]), list(expected[often])
    if rest > 1e-6 * COUNT:
        observed.append(COUNT - sum(observed))
        wanted.append(rest)
    assert stats.chisquare(observed, np.array(wanted) * sum(observed) / sum(wanted)).pvalue > LEAST


def test_tails_of_float64() -> None:
    """Of a million normal numbers as many are beyond 4 standard deviations as should be."""
    z = drawn(lambda rng, n: rng.normal(size=n), 1_000_000)
    beyond = (abs(z) > 4).sum()
    assert stats.poisson(1e6 * 2 * stats.norm.sf(4)).cdf(beyond) > LEAST
    assert stats.poisson(1e6 * 2 * stats.norm.sf(4)).sf(beyond) > LEAST


def test_single_and_double_are_one_draw() -> None:
    for draw in (RandomStream.uniform, RandomStream.normal, RandomStream.exponential):
        single, double = (ng.function([], draw(RandomStream(2), size=COUNT, dtype=d))() for d in ("float32", "float64"))
        # least exact is a normal number whose radius is near 0
        np.testing.assert_allclose(single, double, rtol=1e-5, atol=4e-4)


def test_permutations_are_permutations_and_all_alike() -> None:
    rng = RandomStream(1)
    f = ng.function([], rng.permutation(3))
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(1200):
        order = tuple(map(int, f()))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6 and stats.chisquare(list(counts.values())).pvalue > LEAST
    rows = drawn(OTHERS["rows"], 50)
    np.testing.assert_array_equal(np.sort(rows[:, 0]), np.arange(50) * 3)
    np.testing.assert_array_equal(rows - rows[:, :1], np.broadcast_to([0, 1, 2], (50, 3)))
    elements = drawn(OTHERS["row elements"], 50)
    np.testing.assert_array_equal(np.sort(elements), np.arange(150).reshape(3, 50))
    assert not np.array_equal(elements[0], elements[1] - 50)


def test_choices_without_replacement_are_distinct() -> None:
    f = ng.function([], RandomStream(1).choice(4, size=(2, 1), replace=False, p=[0.4, 0.3, 0.3, 0.0]))
    first = []
    for _ in range(1500):
        got = f()
        assert got.shape == (2, 1) and got[0, 0] != got[1, 0] and 3 not in got
        first.append(int(got[0, 0]))
    assert stats.chisquare(np.bincount(first), np.array([0.4, 0.3, 0.3]) * 1500).pvalue > LEAST


def test_there_is_no_choice_among_nothing() -> None:
    p = ng.vector("p")
    rng = RandomStream(1)
    for draw in (rng.categorical(p), rng.choice(p.shape[0], size=1, p=p), rng.multinomial(2, p)):
        with pytest.raises(ng.ShapeError, match="a length is 0, not 1"):
            ng.function([p], draw)([])
    with pytest.raises(ng.ShapeError, match="categorical: there are no probabilities in"):
        rng.categorical(np.zeros((2, 0)))


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("categories", [3, 16, 17, 200])
def test_categories_are_the_same_counted_and_searched(categories: int, target: str) -> None:
    """One vector of weights is searched where it is long; a matrix of the same rows is counted."""
    w = np.random.default_rng(categories).uniform(size=categories)
    w[categories // 2] = 0.0
    p, ps = ng.vector("p"), ng.matrix("ps")
    known = RandomStream(1).categorical(w, size=(70, 5))
    given = RandomStream(1).categorical(p, size=(70, 5))
    counted = RandomStream(1).categorical(ps[:, None], size=(70, 5))
    f = ng.function([p, ps], [known, given, counted], target=target)
    first, second, third = f(w, np.tile(w, (70, 1)))
    np.testing.assert_array_equal(first, third)
    np.testing.assert_array_equal(second, third)
    assert categories // 2 not in first and first.min() >= 0 and first.max() < categories
    for at in (0.0, 1.0):
        # the first and the last category that there are, whatever is drawn
        alone = np.zeros(categories)
        alone[int(at * (categories - 1))] = 2.0
        assert (f(alone, np.tile(w, (70, 1)))[1] == at * (categories - 1)).all()


def test_a_search_in_many_categories_takes_no_time_for_each() -> None:
    f = ng.function([], RandomStream(1).categorical(np.ones(20_000), size=1000), target="cpu")
    assert "searchsorted" in f.source


def test_many_vectors_of_categories_need_no_loop() -> None:
    p, ps = ng.vector("p"), ng.matrix("ps")
    w = np.random.default_rng(0).uniform(size=(3, 40))
    draw = RandomStream(1).categorical(p, size=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        several = ng.vectorize(draw, {p: ps})
    each = ng.function([p], draw, no_default_updates=True)
    got = ng.function([ps], several, no_default_updates=True)(w)
    np.testing.assert_array_equal(got, [each(row) for row in w])


def test_multinomial_counts_add_up() -> None:
    n = ng.scalar("n", "int64")
    f = ng.function([n], RandomStream(1).multinomial(n, [[0.5, 0.5, 0.0], [0.0, 0.1, 0.9]]))
    for count in (0, 1, 30):
        got = f(count)
        assert got.shape == (2, 3) and (got.sum(axis=1) == count).all()
        assert got[0, 2] == 0 == got[1, 0]


def test_parameters_of_a_call_that_are_out_of_range() -> None:
    a = ng.vector("a")
    rng = RandomStream(1)
    gamma, low = rng.gamma(a), rng.integers(ng.cast(a, "int64"), 0)
    for target in ("cpu", "reference"):
        f = ng.function([a], [gamma, low, rng.bernoulli(a)], target=target)
        first, second, third = f([-1.0, 0.0, np.inf, np.nan])
        np.testing.assert_array_equal(first, [np.nan, 0, np.nan, np.nan])
        assert (second[1:2] == 0).all() and second[0] == -1
        assert third.tolist() == [False, False, True, False]


# -- executors ------------------------------------------------------------------------------------------------------

EVERY = {name: draw for name, (draw, _) in {**REAL, **WHOLE}.items()} | OTHERS
# Those with logarithms and the like differ in the last digits.
ROUNDED = {
    "normal", "normal32", "truncated", "far tail", "one side", "exponential", "exponential32", "gamma", "small gamma",
    "large gamma", "beta", "gamma by shape",
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_targets_agree(name: str) -> None:
    got = drawn(EVERY[name], 40, target="cpu")
    for target in ("reference", "cuda-sim"):
        other = drawn(EVERY[name], 40, target=target)
        assert other.dtype == got.dtype
        if name in ROUNDED:
            # a normal number is small where its factors are not
            np.testing.assert_allclose(other, got, *((3e-6, 1e-6) if name.endswith("32") else (1e-13, 1e-14)))
        else:
            np.testing.assert_array_equal(other, got)


def test_standard_passes_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    found = []
    for standard in (False, True):
        monkeypatch.setattr(ng.config, "standard_passes", standard)
        monkeypatch.setattr(ng.config, "cache_dir", tmp_path / str(standard))
        rng = RandomStream(4)
        some = ("uniform", "normal", "normal32", "exponential", "gamma", "large poisson", "large binomial", "integers")
        found.append(ng.function([], [EVERY[name](rng, 33) for name in some])())
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 3])
def test_numbers_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, threads: int) -> None:
    def run() -> list[Any]:
        rng = RandomStream(4)
        x = ng.ones((101, 7))
        return list(ng.function([], [rng.normal(size=(101, 7)), rng.dropout(x), rng.poisson(20.0, size=(101, 7))])())

    expected = run()
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    monkeypatch.setattr(chunks, "GRAIN", 1)
    monkeypatch.setattr(ng.config, "threads", threads)
    for a, b in zip(run(), expected, strict=True):
        np.testing.assert_array_equal(a, b)


# -- the code -------------------------------------------------------------------------------------------------------


def loop(f: ng.Function) -> str:
    """The first phase of a function's source, without comments."""
    text = f.source[f.source.index("def phase_0") :].split("\n\n\n")[0]
    return "\n".join(line.partition("#")[0].rstrip() for line in text.splitlines())


def test_a_mask_is_made_in_the_loop_and_not_stored() -> None:
    x = ng.matrix("x", "float32")
    rng = RandomStream(1)
    out = rng.dropout(ng.relu(x))
    f = ng.function([x], [out, ng.grad(ng.sum(out * out), x)])
    assert loop(f).count("uniform_f32(key, position, i * n1 + j)") == 1
    # in two loops it is made twice
    mask = rng.bernoulli(np.float32(0.5), size=x.shape)
    g = ng.function([x], mask * (x * mask).sum())
    assert g.source.count("uniform_f32(key") == 2
    assert "TEMPORARIES" not in f.source


@pytest.mark.parametrize("threads", [1, 3])
def test_training_with_dropout_and_noise(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, threads: int) -> None:
    """Blocks of rows, of which several threads take their share, draw the numbers of the whole."""
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    monkeypatch.setattr(ng.config, "threads", threads)
    monkeypatch.setattr(chunks, "GRAIN", 1)
    found = []
    for target in ("cpu", "reference"):
        rng, values = RandomStream(3), np.random.default_rng(0)
        data = ng.shared(values.normal(size=(450, 6)).astype("float32"), "data")
        W, V = (ng.shared(values.normal(size=n).astype("float32"), k) for k, n in (("W", (6, 9)), ("V", (9, 2))))
        x, i = ng.fmatrix("x"), ng.lscalar("i")
        noisy = x + rng.normal(0.0, 0.1, size=x.shape, dtype="float32")
        h = rng.dropout(ng.tanh(ng.dot(noisy, W)), 0.4)
        cost = ng.mean(ng.sqr(ng.dot(h, V) - x[:, :2]))
        updates = [(v, v - 0.1 * g) for v, g in zip((W, V), ng.grad(cost, [W, V]), strict=True)]
        f = ng.function([i], cost, updates=updates, givens={x: data[i * 200 : (i + 1) * 200]}, target=target)
        found.append([*(f(k) for k in range(3)), W.get_value()])
        if target == "cpu":
            assert "uniform_f32(key" in f.source and "tile" in f.source
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_what_is_drawn_once_for_many_elements_is_stored() -> None:
    x = ng.matrix("x")
    f = ng.function([x], x + RandomStream(1).uniform(size=(1, 500)))
    assert not re.search(r"for i .*\n.*for j .*\n(.*\n)*.*uniform_f64", loop(f))


@pytest.mark.parametrize("kind", ["uniform", "normal", "exponential"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loops_are_vectorised(kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    u = getattr(RandomStream(1), kind)(size=10_000, dtype=dtype)
    text = ng.function([], u).record.stages["llvm"]
    # the products of the rounds, in lanes of 64 bits
    assert len(re.findall(r"mul (?:nuw )?(?:nsw )?<\d+ x i64>", text)) >= 20
    assert not {"log", "logf", "cos", "cosf"} & set(re.findall(r"call [^@\n]*@(\w+)\(", text))


def test_a_draw_has_a_formula() -> None:
    u = RandomStream(1).uniform(size=(2, 3))
    assert ng.pprint(u) == "uniform(size=(2, 3))"
