"""Sequences of a scan: one and several, taps, directions, lengths that differ, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from tests.scans import both, check

rng = np.random.default_rng(3)


def test_one_sequence_with_a_state() -> None:
    x, w = ng.vector("x"), ng.scalar("w")
    h, updates = ng.scan(lambda x_t, h, w: w * h + x_t, sequences=x, outputs_info=0.0, non_sequences=w)
    values, state, wanted = rng.normal(size=7), 0.0, []
    for v in values:
        state = 0.5 * state + v
        wanted.append(state)
    (got,) = both([x, w], [h], (values, 0.5))
    assert_allclose(got, wanted)
    assert not updates and isinstance(updates, dict)


def test_the_shortest_of_several_sequences_says_how_many_steps() -> None:
    x, y, k = ng.vector("x"), ng.matrix("y"), ng.lscalar("k")
    s, _ = ng.scan(lambda a, b: a * b.sum(), sequences=[x, y])
    fewer, _ = ng.scan(lambda a, b: a * b.sum(), sequences=[x, y], n_steps=k)
    X, Y = rng.normal(size=6), rng.normal(size=(9, 2))
    calls: list[Any] = [(X, Y[:n], m) for n, m in ((9, 2), (4, 3), (6, 100), (0, 1), (1, 0))]
    for (a, b, m), got in zip(calls, both([x, y, k], [s, fewer], *calls), strict=True):
        n = min(len(a), len(b))
        wanted = a[:n] * b[:n].sum(axis=1)
        assert_allclose(got[0], wanted)
        assert_allclose(got[1], wanted[:m])


@pytest.mark.parametrize("taps", [[-1, 0, 1], [0], [2], [-3], [1, -1], [-2, -1], [3, 1]])
def test_taps_of_a_sequence(taps: list[int]) -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda *v: ng.stack(v), sequences={"input": x, "taps": taps})
    calls = [(np.arange(1.0, 1 + n),) for n in (8, 4, 3, 1, 0)]
    for (values,), (got,) in zip(calls, both([x], [s], *calls, exact=True), strict=True):
        # t goes over the positions for which every tap, and the element itself, are there
        low, high = min(*taps, 0), max(*taps, 0)
        wanted = [[values[t + k] for k in taps] for t in range(-low, len(values) - high)]
        assert_array_equal(got, np.reshape(wanted, (-1, len(taps))))


def test_the_values_of_theanos_taps() -> None:
    x = ng.lvector("x")
    s, _ = ng.scan(lambda a, b, c: a + 10 * b + 100 * c, sequences=dict(input=x, taps=[-1, 0, 1]))
    n = ng.iscalar("n")
    fib, _ = ng.scan(
        lambda a, b: a + b, outputs_info=dict(initial=ng.constant(np.array([1, 1])), taps=[-2, -1]), n_steps=n
    )
    back, _ = ng.scan(lambda v, h: v + h, sequences=x, outputs_info=ng.constant(np.int64(0)), go_backwards=True)
    got = both([x, n], [s, fib, back], ([1, 2, 3, 4], 5), ([1, 2, 3], 0))
    assert [v.tolist() for v in got[0]] == [[321, 432], [2, 3, 5, 8, 13], [4, 7, 9, 10]]
    assert [v.tolist() for v in got[1]] == [[321], [], [3, 5, 6]]


def test_a_tap_of_one_sequence_beside_another_sequence() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    s, _ = ng.scan(lambda a, b, c: a * b + c, sequences=[dict(input=x, taps=[0, 2]), y])
    X, Y = np.arange(6.0), np.arange(10.0, 19.0)
    (got,) = both([x, y], [s], (X, Y), exact=True)
    assert_array_equal(got, X[:4] * X[2:] + Y[:4])


def test_a_sequence_as_a_dict_a_tuple_an_array_or_a_list() -> None:
    x = ng.vector("x")
    data = np.arange(3.0)
    made = [
        ng.scan(lambda a: a * 2, sequences=given)[0]
        for given in (dict(input=x), dict(input=x, taps=0), dict(input=x, taps=None), (x,), [x], data)
    ]
    for got in both([x], made, (data,)):
        assert_array_equal(got, data * 2)


def test_backwards_with_several_sequences_taps_and_gradients() -> None:
    def build(x: Any, y: Any) -> Any:
        s, _ = ng.scan(
            lambda a, b, c, h: ng.tanh(a * b - c + h),
            sequences=[dict(input=x, taps=[-1, 1]), y],
            outputs_info=ng.zeros((2,)),
            go_backwards=True,
        )
        return s

    X, Y = rng.normal(size=(6, 2)), rng.normal(size=(4, 2))
    x, y = ng.matrix("x"), ng.matrix("y")
    (got,) = both([x, y], [build(x, y)], (X, Y))
    h, wanted = np.zeros(2), []
    for t in reversed(range(1, 5)):
        h = np.tanh(X[t - 1] * X[t + 1] - Y[t - 1] + h)
        wanted.append(h)
    assert_allclose(got, wanted)
    check(build, X, Y)


def test_sequences_of_every_dtype_and_of_no_elements() -> None:
    dtypes = ("float32", "int64", "int8", "uint8", "bool")
    inputs = [ng.tensor(f"x{k}", dtype=dtype, shape=(None, None)) for k, dtype in enumerate(dtypes)]
    s, _ = ng.scan(lambda *v: list(v), sequences=inputs)
    arrays = [rng.integers(0, 2, (4, 3)).astype(dtype) for dtype in dtypes]
    empty = [a[:, :0] for a in arrays]
    none = [a[:0] for a in arrays]
    for given, got in zip((arrays, empty, none), both(inputs, s, arrays, empty, none, exact=True), strict=True):
        for a, b in zip(given, got, strict=True):
            assert_array_equal(a, b)


def test_arguments_that_are_not_contiguous() -> None:
    x = ng.matrix("x")
    s, _ = ng.scan(lambda v, h: v * 2 + h, sequences=x, outputs_info=x[0])
    whole = rng.normal(size=(6, 8))
    calls = [(whole[::-1, ::2],), (whole.T,), (whole[1::2, ::-1],), (np.asfortranarray(whole),)]
    for (a,), (got,) in zip(calls, both([x], [s], *calls), strict=True):
        assert_allclose(got, np.cumsum(a * 2, axis=0) + a[0])


def test_names_of_what_a_step_gets() -> None:
    seen: list[str | None] = []
    x, h = ng.vector("x"), ng.vector("h")

    def step(*given: Any) -> Any:
        seen.extend(v.name for v in given)
        return given[0] + given[-2]

    ng.scan(step, dict(input=x, taps=[-1, 0]), dict(initial=h, taps=[-1, -2]), ng.scalar("w"))
    assert seen == ["x[t-1]", "x[t]", "h[t-1]", "h[t-2]", "w"]


@pytest.mark.parametrize(
    ("sequences", "error", "words"),
    [
        (lambda: ng.scalar("s"), ng.InputError, "scan: sequence 0 has no axis to go along"),
        (lambda: dict(taps=[0]), ng.InputError, "a dict for a sequence needs 'input'"),
        (lambda: dict(input=ng.vector(), tap=[0]), ng.InputError, r"sequences has an entry with \['tap'\]"),
        (lambda: dict(input=ng.vector(), taps=[]), ng.OptionError, "different whole numbers, not \\[\\]"),
        (lambda: dict(input=ng.vector(), taps=[1, 1]), ng.OptionError, "different whole numbers"),
        (lambda: dict(input=ng.vector(), taps=[0.5]), ng.OptionError, "different whole numbers"),
        (lambda: None, ng.InputError, "number of steps is not known: give sequences or n_steps"),
    ],
)
def test_what_is_no_sequence(sequences: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ng.scan(lambda *v: v[0] if v else 1, sequences=sequences())
