"""States and steps of a scan: first values, taps, dtypes and shapes, how many steps, and closures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from tests.scans import both, check

rng = np.random.default_rng(4)


def test_outputs_with_and_without_states() -> None:
    x, h0 = ng.matrix("x"), ng.vector("h0")
    (a, b, c), _ = ng.scan(
        lambda v, h, n: (h + v, v * h, n + 1), sequences=x, outputs_info=[h0, None, dict(initial=np.int64(0))]
    )
    X, H = rng.normal(size=(5, 3)), rng.normal(size=3)
    got = both([x, h0], [a, b, c, a[-1], c[-1], b[2]], (X, H))
    states = H + np.cumsum(X, axis=0)
    before = np.vstack([H, states[:-1]])
    for one, wanted in zip(got, (states, X * before, np.arange(1, 6), states[-1], 5, X[2] * before[2]), strict=True):
        assert_allclose(one, wanted)


@pytest.mark.parametrize("taps", [[-1], [-2], [-3, -1], [-1, -2], [-2, -4, -1]])
def test_taps_of_a_state(taps: list[int]) -> None:
    depth = -min(taps)
    weights = [0.5, -0.25, 0.75][: len(taps)]

    def build(x: Any, first: Any) -> Any:
        info = dict(initial=first, taps=taps) if taps != [-1] else first[0]
        s, _ = ng.scan(
            lambda v, *before: ng.tanh(v + sum(w * b for w, b in zip(weights, before, strict=True))), x, info
        )
        return s

    X, first = rng.normal(size=(6, 2)), rng.normal(size=(depth, 2))
    x, f = ng.matrix("x"), ng.matrix("first")
    values = list(first)
    for v in X:
        values.append(np.tanh(v + sum(w * values[t] for w, t in zip(weights, taps, strict=True))))
    whole = build(x, f)
    got, last = both([x, f], [whole, whole[-1]], (X, first))
    assert_allclose(got, values[depth:])
    assert_allclose(last, values[-1])
    check(build, X, first)


def test_first_values_of_which_the_oldest_is_used_first() -> None:
    s, _ = ng.scan(
        lambda h: h * 2, outputs_info=dict(initial=ng.constant(np.array([1, 10, 100])), taps=[-3]), n_steps=5
    )
    (got,) = both([], [s], ())
    assert got.tolist() == [2, 20, 200, 4, 40]


def test_first_values_that_are_python_numbers() -> None:
    x, i, b = ng.fvector("x"), ng.lvector("i"), ng.tensor("b", dtype="bool", shape=(None,))
    f32, _ = ng.scan(lambda v, h: h + v, sequences=x, outputs_info=0)
    i64, _ = ng.scan(lambda v, h: h + v, sequences=i, outputs_info=[1])
    f64, _ = ng.scan(lambda v, h: h * 0.5 + v, sequences=i, outputs_info=1)
    flags, _ = ng.scan(lambda v, h: h ^ v, sequences=b, outputs_info=True)
    made = [f32, i64, f64, flags]
    assert [v.dtype for v in made] == ["float32", "int64", "float64", "bool"]
    got = both([x, i, b], made, (np.ones(3, "float32"), [1, 2, 3], np.array([True, False, True])))
    assert [v.tolist() for v in got] == [[1, 2, 3], [2, 4, 7], [1.5, 2.75, 4.375], [False, False, True]]


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "uint8", "bool"])
def test_states_of_every_dtype(dtype: str) -> None:
    x = ng.tensor("x", dtype=dtype, shape=(None, None))
    step = (lambda v, h: v ^ h) if dtype == "bool" else lambda v, h: h * v + h
    s, _ = ng.scan(step, sequences=x, outputs_info=ng.ones((3,), dtype=dtype))
    X = rng.integers(0, 2, (7, 3)).astype(dtype)
    (got,) = both([x], [s], (X,), exact=True)
    h, wanted = np.ones(3, dtype), []
    for v in X:
        h = (v ^ h) if dtype == "bool" else h * v + h
        wanted.append(h)
    assert got.dtype == dtype
    assert_array_equal(got, wanted)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_constant_number_of_steps(n: int) -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda h: h * 2, outputs_info=x, n_steps=n)
    got, total, g = both([x], [s, s.sum(), ng.grad(s.sum(), x)], ([1.0, 3.0],))
    assert_array_equal(got, np.reshape([[2.0**k, 3 * 2.0**k] for k in range(1, n + 1)], (n, 2)))
    assert total == got.sum()
    assert_array_equal(g, np.full(2, 2.0 ** (n + 1) - 2))


def test_a_symbolic_number_of_steps(target: str) -> None:
    n = ng.lscalar("n")
    s, _ = ng.scan(lambda h: h * 2, outputs_info=1.0, n_steps=n)
    whole, last = ng.function([n], [s, s.shape[0]]), ng.function([n], s[-1])
    for k in (0, 1, 2, 10):
        assert_array_equal(whole(k)[0], 2.0 ** np.arange(1, k + 1))
        assert whole(k)[1] == k
    assert [last(k) for k in (1, 2, 10)] == [2, 4, 1024]
    with pytest.raises(IndexError):
        last(0)
    for f in (whole, last):
        with pytest.raises(IndexError, match=r"scan: a number of steps of -2, which is negative"):
            f(-2)
    assert last(3) == 8


def test_a_constant_number_of_steps_that_is_none() -> None:
    with pytest.raises(ng.IndexOutOfRange, match="scan: n_steps is -1, and there are no fewer steps than 0"):
        ng.scan(lambda h: h * 2, outputs_info=1.0, n_steps=-1)
    with pytest.raises(ng.NumgraphError, match="n_steps"):
        ng.scan(lambda h: h * 2, outputs_info=1.0, n_steps=2.5)


def test_the_last_of_no_steps(target: str) -> None:
    x = ng.matrix("x")
    s, _ = ng.scan(lambda v, h: v + h, sequences=x, outputs_info=ng.zeros((2,)))
    f, whole = ng.function([x], s[-1]), ng.function([x], s)
    assert whole(np.zeros((0, 2))).shape == (0, 2)
    with pytest.raises(IndexError):
        f(np.zeros((0, 2)))
    assert_array_equal(f(np.ones((3, 2))), [3, 3])


def test_a_step_may_use_other_variables_than_its_arguments() -> None:
    x, a, b = ng.vector("x"), ng.vector("a"), ng.scalar("b")
    w = ng.shared(rng.normal(size=(3, 3)), "w")

    def step(v: Any, h: Any) -> Any:
        return ng.tanh(h @ w + v * ng.exp(a).sum() + b)

    s, _ = ng.scan(step, sequences=x, outputs_info=a)
    X, A = rng.normal(size=5), rng.normal(size=3)
    (got,) = both([x, a, b], [s], (X, A, 0.25))
    h, wanted = A, []
    for v in X:
        h = np.tanh(h @ w.get_value() + v * np.exp(A).sum() + 0.25)
        wanted.append(h)
    assert_allclose(got, wanted)
    # what was closed over is seen by gradients, and its new value by calls
    f = ng.function([x, a, b], ng.grad(s.sum(), [w, a, b]), target="cpu")
    before = f(X, A, 0.25)[0]
    w.set_value(w.get_value() * 2)
    assert not np.allclose(f(X, A, 0.25)[0], before)


def test_strict_takes_shared_variables_from_non_sequences_only() -> None:
    x, w = ng.vector("x"), ng.shared(2.0, "w")
    with pytest.raises(ng.MissingInputError, match="scan: strict, and the step uses w, which is not in non_sequences"):
        ng.scan(lambda v: v * w, sequences=x, strict=True)
    s, _ = ng.scan(lambda v, u: v * w, sequences=x, non_sequences=w, strict=True)
    (got,) = both([x], [s], ([1.0, 2.0],))
    assert got.tolist() == [2, 4]


def test_states_that_exchange_their_values() -> None:
    a0, b0 = ng.vector("a0"), ng.vector("b0")
    (a, b), _ = ng.scan(lambda p, q: (q, p), outputs_info=[a0, b0], n_steps=3)
    (c, d), _ = ng.scan(lambda p, q: (q + p, a0[:2]), outputs_info=[a0, b0], n_steps=3)
    A, B = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    got = both([a0, b0], [a, b, a[-1], b[-1], c, d, ng.grad(c.sum(), a0)], (A, B))
    for one, wanted in zip(
        got, ([B, A, B], [A, B, A], B, A, [A + B, 2 * A + B, 3 * A + B], [A] * 3, [6, 6]), strict=True
    ):
        assert_array_equal(one, wanted)


def test_what_comes_back_of_several_outputs() -> None:
    x = ng.vector("x")
    one, _ = ng.scan(lambda v: v, x)
    listed, _ = ng.scan(lambda v: v, x, return_list=True)
    two, _ = ng.scan(lambda v: (v, v * 2), x)
    nested, _ = ng.scan(lambda v: [v, v * 2], x)
    none, updates = ng.scan(lambda v: None, x)
    assert isinstance(one, ng.Variable) and [type(v) for v in (listed, two, nested)] == [list] * 3
    assert none is None and not updates
    (got,) = both([x], [two[1] + nested[1] + listed[0]], ([1.0, 2.0],))
    assert got.tolist() == [5, 10]


def test_nan_and_infinities_go_on() -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda v, h: ng.maximum(h, v) + v, sequences=x, outputs_info=0.0)
    X = np.array([1.0, np.inf, -np.inf, 2.0, np.nan, 1.0])
    (got,) = both([x], [s], (X,), exact=True)
    h, wanted = 0.0, []
    with np.errstate(invalid="ignore"):
        for v in X:
            h = np.maximum(h, v) + v
            wanted.append(h)
    assert_array_equal(got, wanted)


def test_axes_without_elements() -> None:
    x = ng.tensor3("x")
    s, _ = ng.scan(lambda v, h: v * 2 + h, sequences=x, outputs_info=x[0])
    total = s.sum(axis=(1, 2))
    for shape in ((3, 0, 2), (3, 2, 0), (1, 0, 0)):
        whole, sums, g = both([x], [s, total, ng.grad(total.sum(), x)], (np.zeros(shape),))
        assert whole.shape == g.shape == shape and sums.tolist() == [0] * shape[0]


def test_a_shared_variable_or_an_argument_as_first_value_stays_as_it_is(target: str) -> None:
    h0, x = ng.shared(np.ones(3), "h0"), ng.vector("x")
    s, _ = ng.scan(lambda a, b: (ng.inc_subtensor(a[1], 5.0), b * 2), outputs_info=[h0, x], n_steps=4)
    f = ng.function([x], [s[0][-1], s[1][-1], s[0]])
    given = np.arange(3.0)
    for _ in range(2):
        got = f(given)
        assert [v.tolist() for v in got[:2]] == [[1, 21, 1], [0, 16, 32]]
        assert_array_equal(got[2][:, 1], [6, 11, 16, 21])
    assert_array_equal(h0.get_value(), np.ones(3))
    assert_array_equal(given, np.arange(3.0))


ERRORS: list[tuple[Any, Any, type[Exception], str]] = [
    (lambda h: h * 0.5, lambda: ng.constant(np.int64(1)), ng.DtypeError, "a step makes float64 of a state of int64"),
    (lambda h: h * np.float64(2), lambda: ng.fvector("h"), ng.DtypeError, r"initial.astype\('float64'\)"),
    (lambda h: ng.stack([h, h]), lambda: ng.vector("h"), ng.ShapeError, "a step changes the shape of a state"),
    (lambda h: ng.zeros((2, 3)), lambda: ng.ones((1, 3)), ng.ShapeError, "a step changes the shape of a state"),
    (lambda h: h, lambda: dict(initial=ng.scalar("s"), taps=[-2]), ng.ShapeError, r"taps \[-2\] need 2 first values"),
    (lambda h: h, lambda: dict(initial=ng.vector("s"), taps=[0]), ng.OptionError, "negative numbers, not \\[0\\]"),
    (lambda h: h, lambda: dict(taps=[-1]), ng.InputError, "taps without an initial value"),
    (lambda h: h, lambda: dict(initial=1.0, tap=[-1]), ng.InputError, r"outputs_info has an entry with \['tap'\]"),
    (lambda h: (h, h), lambda: 1.0, ng.InputError, "returns 2 outputs for 1 in outputs_info"),
    (lambda h, g: h, lambda: [1.0, 1.0], ng.InputError, "returns 1 output for 2 in outputs_info"),
    (lambda h: (h, ng.until(ng.vector("v") > 0)), lambda: 1.0, ng.ShapeError, "condition of until must be a scalar"),
]


@pytest.mark.parametrize(("step", "info", "error", "words"), ERRORS)
def test_what_is_no_state(step: Any, info: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ng.scan(step, outputs_info=info(), n_steps=2)


def test_the_errors_of_dtypes_are_type_errors_and_those_of_shapes_value_errors() -> None:
    with pytest.raises(TypeError, match="fix: start with"):
        ng.scan(lambda h: h * 0.5, outputs_info=ng.constant(np.int64(1)), n_steps=2)
    with pytest.raises(ValueError, match="fix: a first value of the shape"):
        ng.scan(lambda h: h[None], outputs_info=ng.vector("h"), n_steps=2)
    with pytest.raises(ng.OptionError, match="truncate_gradient is a number of steps, or -1 for all, not 0"):
        ng.scan(lambda h: h, outputs_info=1.0, n_steps=2, truncate_gradient=0)


def test_a_length_that_changes_from_step_to_step_is_refused(target: str) -> None:
    v, n = ng.vector("v"), ng.lscalar("n")
    s, _ = ng.scan(lambda h: ng.concatenate([h, h]), outputs_info=v, n_steps=n)
    t, _ = ng.scan(lambda h: h[:n], outputs_info=v, n_steps=2)
    with pytest.raises(ng.ShapeError, match=r"scan: a step changes the lengths? of a state"):
        ng.function([v, n], s)([1.0, 2.0], 2)
    f = ng.function([v, n], t)
    with pytest.raises(ng.ShapeError, match=r"scan: a step changes the lengths? of a state"):
        f([1.0, 2.0, 3.0], 2)
    assert f([1.0, 2.0], 2).tolist() == [[1, 2], [1, 2]]


def test_outputs_whose_length_varies_are_refused() -> None:
    v = ng.vector("v")
    s, _ = ng.scan(lambda t: v[:t], sequences=ng.arange(v.shape[0]))
    with pytest.raises(ng.ShapeError, match=r"scan: the length of a value varies from step to step(.|\n)*fix: keep"):
        ng.function([v], s, target="cpu")


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_of_no_steps_a_state_has_the_lengths_of_its_first_value(target: str) -> None:
    """Also where a step would make it another shape, which is refused where there is one."""
    s, x, k = ng.matrix("s"), ng.matrix("x"), ng.lscalar("k")
    h, _ = ng.scan(lambda h: ng.maximum(h, x), outputs_info=s, n_steps=k)
    last, _ = ng.foldl(lambda _, h: ng.maximum(h, x), ng.arange(k), s)
    f = ng.function([s, x, k], [last, ng.grad(h.sum(), s)], target=target)
    column, row = np.ones((2, 1)), np.ones((1, 2))
    assert [np.asarray(v).shape for v in f(column, row, 0)] == [(2, 1), (2, 1)]
    assert [np.asarray(v).shape for v in f(np.ones((2, 2)), row, 2)] == [(2, 2), (2, 2)]
    with pytest.raises(ng.ShapeError, match="a step changes the length"):
        f(column, row, 1)


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_of_no_steps_all_rows_of_a_state_have_the_lengths_of_its_first_value(target: str) -> None:
    """Whether or not a gradient asks for the states that steps begin with."""
    x, k = ng.vector("x"), ng.lscalar("k")
    h, _ = ng.scan(lambda h: h + ng.sin(ng.concatenate([h, h])), outputs_info=x, n_steps=k)
    alone = ng.function([x, k], h, target=target)
    both = ng.function([x, k], [h, ng.grad(ng.sqr(h).sum(), x)], target=target)
    assert [np.asarray(v).shape for v in (alone([2.0], 0), *both([2.0], 0))] == [(0, 1), (0, 1), (1,)]
    for f in (alone, both):
        with pytest.raises(ng.ShapeError, match="a step changes the length"):
            f([2.0], 1)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_operands_that_no_result_needs_are_not_computed(target: str) -> None:
    """Of a state that only an output depends on which nobody asks for, and what its steps take from outside."""
    w, y = ng.vector("w"), ng.vector("y")
    fails = y[ng.cast(w, "int64") + 100]

    def step(v: Any, a: Any, b: Any) -> Any:
        return [a + v, b + fails.sum() * y[100]]

    (needed, other), _ = ng.scan(step, w, [ng.constant(0.0), ng.constant(1.0) / y[7]])
    f = ng.function([w, y], needed, target=target, on_unused_input="ignore")
    assert f([0.0, 1.0, 2.0], [1.0]).tolist() == [0, 1, 3]
    with pytest.raises(IndexError):
        ng.function([w, y], other, target=target)([0.0], [1.0])
