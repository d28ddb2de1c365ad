"""Users' Numba functions of numbers in graphs: values, gradients, exceptions, where they are found again."""

from __future__ import annotations

import copy
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda import compiler
from numgraph.cuda.loading import loaded
from numgraph.cuda.passes import printed_for_grid
from numgraph.errors import DtypeError, FunctionError, GradientError, OptionError, ShapeError
from numgraph.loops.grid.kernel import Geometry

SCALE = 2.0
TABLE = np.array([1.0, 10.0, 100.0])
TARGETS = ("cpu", "reference", "cuda-sim")


@numba.njit
def squareplus(x: float) -> float:
    return 0.5 * (x + math.sqrt(x * x + 4.0))


def squareplus_slope(g: Any, x: Any) -> Any:
    return g * 0.5 * (1.0 + x / ng.sqrt(x * x + 4.0))


@numba.njit
def inverse(x: float, y: float) -> float:
    if x < 0:
        raise ValueError("negative")
    return y / (x + 1.0)


@numba.njit(error_model="numpy")
def ratio(x: float, y: float) -> float:
    return x / y


@numba.njit
def divided(x: float, y: float) -> float:
    return x / y


@numba.njit
def scaled(x: float) -> float:
    return squareplus(x) * SCALE + TABLE[1]


@numba.njit
def factorial(n: int) -> int:
    return 1 if n <= 1 else n * factorial(n - 1)


def plain(x: float) -> float:
    return 1.0 / x


def chosen(condition: bool, a: int, b: int) -> int:
    return a if condition else b


def below(x: float, y: float) -> bool:
    return x < y


@pytest.mark.parametrize("target", TARGETS)
def test_values(target: str) -> None:
    x, y = ng.vector("x"), ng.matrix("y")
    out = ng.elementwise(squareplus, x) + ng.sum(ng.elementwise(ratio, x, y), axis=0)
    f = ng.function([x, y], [out, ng.elementwise(scaled, y).T], target=target)
    a, b = np.array([1.0, -2.0, 0.0]), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, -6.0]])
    first, second = f(a, b)
    np.testing.assert_allclose(first, 0.5 * (a + np.sqrt(a * a + 4)) + (a / b).sum(axis=0))
    np.testing.assert_allclose(second, ((b + np.sqrt(b * b + 4)) + 10.0).T)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float32", "bool"])
def test_dtypes(target: str, dtype: str) -> None:
    c, a, b = ng.vector("c", dtype="bool"), ng.vector("a", dtype=dtype), ng.vector("b", dtype=dtype)
    out = ng.elementwise(chosen, c, a, b)
    assert out.dtype == dtype
    less = ng.elementwise(below, a, b)
    assert less.dtype == "bool"
    small = ng.elementwise(chosen, c, a, b, dtype="int32")
    assert small.dtype == "int32"
    f = ng.function([c, a, b], [out, less, small], target=target)
    where, first, second = np.array([True, False, True]), np.array([0, 1, 1], dtype), np.array([1, 0, 0], dtype)
    expected = np.where(where, first, second)
    got = f(where, first, second)
    np.testing.assert_array_equal(got[0], expected)
    np.testing.assert_array_equal(got[1], first < second)
    np.testing.assert_array_equal(got[2], expected.astype("int32"))


@pytest.mark.parametrize("target", TARGETS)
def test_nan_empty_and_strided(target: str) -> None:
    x = ng.vector("x")
    f = ng.function([x], ng.elementwise(plain, x, dtype="float64"), target=target)
    np.testing.assert_array_equal(f([np.nan, 0.0, -0.0, np.inf, 2.0]), [np.nan, np.inf, -np.inf, 0.0, 0.5])
    assert np.asarray(f(np.zeros(0))).shape == (0,)
    np.testing.assert_array_equal(f(np.arange(1.0, 9.0)[::-2]), 1 / np.arange(1.0, 9.0)[::-2])


def test_dtype_is_what_numba_says_or_what_is_asked_for() -> None:
    x = ng.vector("x", dtype="float32")
    assert ng.elementwise(squareplus, x).dtype == "float64"
    y = ng.elementwise(squareplus, x, dtype="float32")
    assert y.dtype == "float32"
    got = ng.function([x], y)(np.array([1, 2], "float32"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [1.618034, 2.4142137], rtol=1e-6)


def test_source_says_where_it_comes_from() -> None:
    x = ng.vector("x")
    f = ng.function([x], ng.elementwise(squareplus, x) + 1.0)
    found = re.search(r'^squareplus = users_function\("\w{20}", "(.+)", "squareplus"\)$', f.source, re.MULTILINE)
    assert found and found[1] == squareplus.__module__
    assert re.search(r"t0 = squareplus\(x\[i\]\) +# .+\.squareplus float64\[\?\]", f.source)
    assert "test_user_functions.py" in next(v for v in f.listing.splitlines() if v.startswith("squareplus = "))
    assert "test_user_functions.py" not in f.source
    assert ng.pprint(ng.elementwise(squareplus, x) * 2) == "squareplus(x) * 2.0"


def test_names_do_not_clash() -> None:
    """A function called as an op, as what generated code uses, or as a variable, is none of them."""

    def exp(x: float) -> float:
        return x + 1.0

    def table(x: float) -> float:
        return x * 3.0

    def phase_0(x: float) -> float:
        return x - 5.0

    exp_, table_, phase = ng.vector("exp"), ng.vector("table"), ng.vector("phase_0")
    log = ng.log(ng.elementwise(exp, exp_))
    f = ng.function(
        [exp_, table_, phase], [log, ng.elementwise(table, table_), ng.elementwise(phase_0, phase), ng.exp(phase)]
    )
    got = f([1.0], [1.0], [0.0])
    np.testing.assert_allclose(np.concatenate(got), [math.log(2.0), 3.0, -5.0, 1.0])
    lambdas = [ng.elementwise(lambda x, k=k: x + k, exp_) for k in (1.0, 2.0)]
    np.testing.assert_allclose(ng.function([exp_], lambdas)([0.0]), [[1.0], [2.0]])


def test_recursion_and_inner_functions() -> None:
    n = ng.vector("n", dtype="int64")
    np.testing.assert_array_equal(ng.function([n], ng.elementwise(factorial, n))([1, 5, 10]), [1, 120, 3628800])
    assert factorial(5) == 120


# -- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_gradient_that_was_given(target: str) -> None:
    x = ng.vector("x")
    cost = ng.sum(ng.elementwise(squareplus, x, grad=squareplus_slope) ** 2)
    slope = ng.grad(cost, x)
    f = ng.function([x], [slope, ng.grad(slope.sum(), x)], target=target)
    plainly = ng.sum((0.5 * (x + ng.sqrt(x * x + 4.0))) ** 2)
    expected = ng.function([x], [ng.grad(plainly, x), ng.grad(ng.grad(plainly, x).sum(), x)], target="reference")
    for got, want in zip(f([0.5, -1.0]), expected([0.5, -1.0]), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_gradient_with_broadcasting_and_without_a_part() -> None:
    x, w = ng.matrix("x"), ng.vector("w")
    out = ng.elementwise(ratio, x, w, grad=lambda g, x, w: [g / w, None])
    gx = ng.function([x, w], ng.grad(out.sum(), x))([[1.0, 2.0], [3.0, 4.0]], [2.0, 4.0])
    np.testing.assert_allclose(gx, [[0.5, 0.25]] * 2)
    both = ng.elementwise(ratio, x, w, grad=lambda g, x, w: [g / w, -g * x / w**2])
    gw = ng.function([x, w], ng.grad(both.sum(), w))([[1.0, 2.0], [3.0, 4.0]], [2.0, 4.0])
    np.testing.assert_allclose(gw, [-1.0, -6 / 16])


def test_gradient_with_too_few_axes() -> None:
    x = ng.vector("x")
    y = ng.elementwise(squareplus, x, grad=lambda g, x: [g.sum()])
    with pytest.raises(
        GradientError, match=r"(?s)gradient of .*squareplus has fewer axes than what it is for.* for: x"
    ):
        ng.grad(y.sum(), x)


def test_gradient_that_was_not_given() -> None:
    x = ng.vector("x")
    y = ng.elementwise(squareplus, x)
    with pytest.raises(
        GradientError, match=r"squareplus has no gradient: none was given.*\n.*made at .*\n  fix: .*grad="
    ):
        ng.grad(y.sum(), x)
    for given in (lambda g, x: [g, g], lambda g, x: []):
        with pytest.raises(GradientError, match="for each of its 1 inputs"):
            ng.grad(ng.elementwise(squareplus, x, grad=given).sum(), x)


# -- exceptions -----------------------------------------------------------------------------------------------------


def state(*shared: Any) -> list[np.ndarray]:
    return [s.get_value() for s in shared]


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_it_raises_leaves_shared_values(target: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "threads", threads)
    x = ng.vector("x")
    a, b, c = (ng.shared(np.ones(20_000), name=n) for n in "abc")
    m = ng.shared(np.ones((3, 3)), name="m")
    out = ng.elementwise(inverse, x, b)
    updates = [(a, a + 1), (b, ng.elementwise(inverse, x, a)), (c, c + out * a), (m, m + ng.dot(m, m) * out[0])]
    f = ng.function([x], out.sum(), updates=updates, target=target)
    good, bad = np.ones(20_000), np.ones(20_000)
    bad[19_000] = -7.0
    f(good)
    before = state(a, b, c, m)
    with pytest.raises(FunctionError, match=r"inverse: raised ValueError for \(-7.0, .*\): negative") as caught:
        f(bad)
    text = str(caught.value)
    assert "inverse called at" in text and "inverse is defined at" in text and "x: float64[20000]" in text
    assert isinstance(caught.value.__cause__, ValueError) and isinstance(caught.value, RuntimeError)
    for old, new in zip(before, state(a, b, c, m), strict=True):
        np.testing.assert_array_equal(old, new)
    f(good)
    np.testing.assert_array_equal(a.get_value(), np.full(20_000, 3.0))


def test_updates_that_may_raise_are_not_in_place() -> None:
    x, w, v = ng.vector("x"), ng.shared(np.ones(3), name="w"), ng.shared(np.ones(3), name="v")
    raising = ng.function([x], updates=[(w, ng.elementwise(inverse, x, w)), (v, v + x)])
    updates = {u.slot: (u.how, u.why) for u in raising.executor.variant.schedule.updates}  # type: ignore[attr-defined]
    assert sorted(updates.values()) == [
        ("fresh", "a function that may raise makes it"),
        ("in place", "each element is made of its own old value, or of none"),
    ]
    calm = ng.function([x], updates=[(w, ng.elementwise(ratio, x, w))])
    (update,) = calm.executor.variant.schedule.updates  # type: ignore[attr-defined]
    assert update.how == "in place"


@numba.njit
def activation(x: float) -> float:
    if x > 1e3:
        raise ValueError("large")
    return 1.0 / (1.0 + math.exp(-x))


def activation_slope(g: Any, x: Any) -> Any:
    return g * ng.sigmoid(x) * ng.sigmoid(-x)


@pytest.mark.parametrize("threads", [1, 2])
def test_in_a_phase_over_blocks_of_rows(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training step reads its rows once, with the function inside; the weights are written in place behind it."""
    monkeypatch.setattr(ng.config, "threads", threads)

    def made(target: str) -> tuple[Any, Any]:
        draw = np.random.default_rng(0).standard_normal
        data, w = ng.shared(draw((600, 30)), name="data"), ng.shared(draw((30, 8)), name="w")
        x, i, scale = ng.matrix("x"), ng.scalar("i", dtype="int64"), ng.scalar("scale")
        h = ng.elementwise(activation, ng.dot(x, w) * scale, grad=activation_slope)
        cost = ng.mean((h - 0.5) ** 2)
        f = ng.function(
            [i, scale], cost, updates=[(w, w - 10 * ng.grad(cost, w))], givens={x: data[i * 200 : (i + 1) * 200]},
            target=target,
        )  # fmt: skip
        return f, w

    f, w = made("cpu")
    variant = f.executor.variant
    first = variant.module.phases[0]
    assert (first.kind, first.fails, variant.module.sweeps) == ("rows", True, True)
    assert [u.how for u in variant.schedule.updates] == ["in place"]
    reference, other = made("reference")
    np.testing.assert_allclose(f.sweep(i=range(3), scale=[1.0] * 3), reference.sweep(i=range(3), scale=[1.0] * 3))
    np.testing.assert_allclose(w.get_value(), other.get_value(), rtol=1e-9)
    before = w.get_value()
    with pytest.raises(FunctionError, match="activation: raised ValueError"):
        f(0, 1e6)
    np.testing.assert_array_equal(before, w.get_value())


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_sweep_stops_where_it_raises(target: str) -> None:
    i, total = ng.scalar("i"), ng.shared(0.0, name="total")
    f = ng.function([i], ng.elementwise(inverse, i, 2.0), updates=[(total, total + i)], target=target)
    np.testing.assert_allclose(f.sweep(i=[0.0, 1.0, 3.0]), [2.0, 1.0, 0.5])
    with pytest.raises(FunctionError, match=r"\(-1.0, 2.0\)"):
        f.sweep(i=[1.0, 2.0, -1.0, 4.0])
    assert total.get_value() == 7.0


def test_division_by_zero_is_as_the_function_was_made() -> None:
    x = ng.vector("x")
    np.testing.assert_array_equal(ng.function([x], ng.elementwise(ratio, x, 0.0))([1.0]), [np.inf])
    np.testing.assert_array_equal(ng.function([x], ng.elementwise(plain, x))([0.0]), [np.inf])
    for target in ("cpu", "reference"):
        with pytest.raises(FunctionError, match="ZeroDivisionError"):
            ng.function([x], ng.elementwise(divided, x, 0.0), target=target)([1.0])


def test_in_lengths_and_givens() -> None:
    n, x, y = ng.scalar("n", dtype="int64"), ng.vector("x"), ng.vector("y")

    @numba.njit
    def twice(n: int) -> int:
        if n > 5:
            raise OverflowError("long")
        return n * 2

    f = ng.function([n], ng.zeros(ng.elementwise(twice, n)))
    assert f(2).shape == (4,)
    with pytest.raises(FunctionError, match="OverflowError"):
        f(6)
    w = ng.shared(np.arange(4.0), name="w")
    g = ng.function([x], y * 2, givens={y: ng.elementwise(squareplus, x) + w[1:3]})
    np.testing.assert_allclose(g([0.0, 0.0]), [4.0, 6.0])


# -- mistakes -------------------------------------------------------------------------------------------------------


@numba.njit
def untyped(x: Any) -> Any:
    return x.nothing


def test_mistakes_name_the_function_and_the_line() -> None:
    x, y = ng.tensor("x", shape=(3,)), ng.tensor("y", shape=(4,))
    with pytest.raises(TypeError, match=r"inverse\(x.*, y.*\) cannot be called with 1 input\n  x: .*\n  defined at"):
        ng.elementwise(inverse, x)
    with pytest.raises(TypeError, match="0 inputs"):
        ng.elementwise(inverse)
    where = r"untyped cannot be compiled by Numba for \(float64\)\n  x: .*\n  untyped called at .*test_user_functions"
    with pytest.raises(DtypeError, match=where):
        ng.elementwise(untyped, x)
    with pytest.raises(DtypeError, match=where):
        ng.function([x], ng.elementwise(untyped, x, dtype="float64"))
    for returned in (lambda x: (x, x), lambda x: None):
        with pytest.raises(DtypeError, match="no element of an array"):
            ng.elementwise(returned, x)
        with pytest.raises(DtypeError, match="no element of an array"):
            ng.function([x], ng.elementwise(returned, x, dtype="float64"))
    for wrong in (3, np.exp, "exp", numba.vectorize(lambda x: x)):
        with pytest.raises(OptionError, match="expected a function"):
            ng.elementwise(wrong, x)
    with pytest.raises(OptionError, match="parallel=True"):
        ng.elementwise(numba.njit(parallel=True)(plain), x)
    with pytest.raises(ShapeError, match="inverse: axis 0: lengths"):
        ng.elementwise(inverse, x, y)
    with pytest.raises(DtypeError, match="float16"):
        ng.elementwise(squareplus, x, dtype="float16")


@pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
def test_compiles_for_a_device() -> None:
    """What is called is called as it is written; nested functions and values of the closure, too."""
    x = ng.vector("x")
    program = ng.function([x], ng.elementwise(scaled, x), target="reference").program
    module = printed_for_grid(program, Geometry()).module
    (kernel,) = module.kernels[0]
    made = loaded(module.text)[kernel.name]
    assert "sqrt" in compiler.compile_cubin(made, kernel.signature, (9, 0)).ptx


def test_a_device_refuses_what_raises() -> None:
    x = ng.vector("x")
    with pytest.raises(FunctionError, match=r"inverse may raise .*\n  called at .*\n  defined at .*\n  fix"):
        ng.function([x], ng.elementwise(inverse, x, x), target="cuda-sim")


# -- pickling, values of the closure --------------------------------------------------------------------------------


def test_pickles_by_name() -> None:
    x = ng.vector("x")
    y = ng.elementwise(squareplus, x, grad=squareplus_slope)
    cost, source = pickle.loads(pickle.dumps((y.sum(), x)))
    f = ng.function([source], [cost, ng.grad(cost, source)])
    np.testing.assert_allclose(f([0.0])[1], [0.5])
    again = pickle.loads(pickle.dumps(f))
    np.testing.assert_allclose(again([0.0])[0], 1.0)
    assert copy.deepcopy(y).op is y.op and copy.copy(y).op is y.op
    hidden_too = ng.function([x], ng.elementwise(lambda x: x + 1.0, x))
    np.testing.assert_allclose(copy.deepcopy(hidden_too)([1.0]), [2.0])
    for hidden in (lambda x: x, numba.njit(lambda x: x)):
        with pytest.raises(FunctionError, match="cannot be pickled: it cannot be imported"):
            pickle.dumps(ng.elementwise(hidden, x))
    with pytest.raises(FunctionError, match="cannot be pickled"):
        pickle.dumps(ng.elementwise(squareplus, x, grad=lambda g, x: g))


def test_the_closure_is_that_of_the_moment() -> None:
    factor = 2.0

    @numba.njit
    def times(x: float) -> float:
        return x * factor

    x = ng.vector("x")
    assert times(1.0) == 2.0
    first = ng.elementwise(times, x)
    factor = 3.0
    second = ng.elementwise(times, x)
    np.testing.assert_array_equal(ng.function([x], [first, second])([1.0]), [[2.0], [3.0]])


@pytest.mark.parametrize("value", [2, 2.5, np.float32(1.5), (1.0, 2.0), True, np.arange(3.0)], ids=repr)
def test_equal_functions_are_one(value: Any) -> None:
    from numgraph.userfunctions.function import user_function

    def made(value: Any) -> Callable[[Any], Any]:
        return lambda x: (x, value)

    first, second = user_function(made(value)), user_function(made(copy.copy(value)))
    assert first is second
    assert user_function(made(3)).digest != first.digest


def test_where_exceptions_are_looked_for() -> None:
    from numgraph.userfunctions.function import user_function

    calm: list[Any] = [squareplus, ratio, plain, chosen, below, lambda x: x / 2.0, numba.njit(lambda x: x**2)]
    risky: list[Any] = [inverse, divided, scaled, numba.njit(lambda x, y: x % y), lambda x: TABLE[int(x)], untyped]
    assert [user_function(f).may_raise for f in calm] == [False] * len(calm)
    assert [user_function(f).may_raise for f in risky] == [True] * len(risky)
    assert user_function(inverse).says_raise and not user_function(divided).says_raise
