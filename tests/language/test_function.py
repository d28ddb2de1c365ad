"""`numgraph.function`: inputs, outputs, defaults, private state, and what a call gives back."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import numgraph as ng

pytestmark = pytest.mark.usefixtures("target")


# -- what is returned -----------------------------------------------------------------------------------------------


def test_a_single_output_is_an_array_even_when_0d() -> None:
    x = ng.vector("x")
    result = ng.function([x], ng.sum(x))([1, 2])
    assert type(result) is np.ndarray and result.shape == () and result == 3


@pytest.mark.parametrize("make", [list, tuple])
def test_lists_and_tuples_give_a_list(make: Any) -> None:
    x = ng.vector("x")
    result = ng.function([x], make([x + 1]))([1.0])
    assert type(result) is list and len(result) == 1
    np.testing.assert_array_equal(result[0], [2.0])


def test_no_outputs() -> None:
    x, n = ng.scalar("x"), ng.shared(0.0)
    assert ng.function([x], None, updates=[(n, x)])(3.0) is None
    assert ng.function([x], [], updates=[(n, x)])(4.0) == []
    assert n.get_value() == 4


def test_a_dict_gives_a_dict_in_its_order() -> None:
    x = ng.scalar("x")
    result = ng.function([x], {"twice": x * 2, "half": ng.Out(x / 2, borrow=True)})(3.0)
    assert list(result) == ["twice", "half"] and result["twice"] == 6 and result["half"] == 1.5


def test_outputs_are_fresh() -> None:
    x, s = ng.vector("x"), ng.shared(np.arange(3.0), "s")
    f = ng.function([x], [x, x, x + 1, x + 1, s, s[1:], s[::-1], ng.constant([1.0, 2.0])])
    value = np.array([1.0, 2.0])
    first = f(value)
    kept = [a.copy() for a in first]
    for a in first:
        a[...] = -1
    second = f(value)
    for a, b in zip(second, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    arrays = [*first, *second, value, s.get_value(borrow=True)]
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:k])


def test_constants_and_shared_variables_as_outputs() -> None:
    s = ng.shared(np.arange(2), "s")
    f = ng.function([], [s, ng.constant(3.0)])
    s.set_value([5, 6, 7])
    a, b = f()
    np.testing.assert_array_equal(a, [5, 6, 7])
    assert b == 3


# -- inputs ---------------------------------------------------------------------------------------------------------


def test_position_and_keyword() -> None:
    x, y = ng.scalars("x", "y")
    f = ng.function([x, ng.In(y, name="other")], x - y)
    assert f(5.0, 3.0) == f(5.0, other=3.0) == f(other=3.0, x=5.0) == 2


def test_an_intermediate_input_cuts_the_graph() -> None:
    x = ng.scalar("x")
    h = x * 2
    assert ng.function([h], h + 1)(10.0) == 11
    f = ng.function([x, h], h + x)
    assert f(1.0, 10.0) == 11


def test_an_intermediate_input_keeps_its_identity_under_givens() -> None:
    x, y = ng.scalars("x", "y")
    h = x * 2
    f = ng.function([h, y], h + x, givens={x: y + 1})
    assert f(10.0, 1.0) == 12


def test_unused_inputs() -> None:
    x, y = ng.scalars("x", "y")
    with pytest.raises(ng.UnusedInputError, match="y: float64"):
        ng.function([x, y], x)
    with pytest.warns(UserWarning, match="y: float64"):
        ng.function([x, y], x, on_unused_input="warn")
    assert ng.function([x, y], x, on_unused_input="ignore")(1.0, 2.0) == 1


def test_an_input_of_an_update_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    x, n = ng.scalar("x"), ng.shared(0.0)
    ng.function([x], [], updates={n: x})
    monkeypatch.setattr(ng.config, "on_unused_input", "ignore")
    ng.function([x], [])


def test_defaults_come_back_after_each_call() -> None:
    x, y = ng.scalars("x", "y")
    f = ng.function([x, ng.In(y, value=2.0)], x * y)
    assert f(3.0) == 6
    assert f(3.0, 5.0) == 15
    assert f(3.0, y=7.0) == 21
    with pytest.raises(ng.DtypeError):
        f(3.0, "no number")
    assert f(3.0) == 6
    assert f[y] == f["y"] == f[1] == 2
    f[y] = 4
    assert f(3.0) == 12


def test_a_default_is_a_copy() -> None:
    x = ng.vector("x")
    value = np.ones(2)
    f = ng.function([ng.In(x, value=value, mutable=True)], x * 2)
    value[0] = 9
    np.testing.assert_array_equal(f(), [2, 2])
    f[x][0] = 9
    np.testing.assert_array_equal(f(), [2, 2])


def test_private_state() -> None:
    x, total = ng.scalar("x"), ng.scalar("total")
    f = ng.function([x, ng.In(total, value=10.0, update=total + x)], total)
    assert [f(1.0), f(2.0), f(3.0)] == [10, 11, 13]
    assert f[total] == 16
    # an explicit value is used for the call, and the update starts from it
    assert f(1.0, 100.0) == 100 and f[total] == 101
    f["total"] = 0
    assert f(5.0) == 0 and f[total] == 5


def test_private_states_are_separate() -> None:
    total = ng.scalar("total")
    given = ng.In(total, value=0.0, update=total + 1)
    f, g = ng.function([given], total), ng.function([given], total)
    assert [f(), f(), g()] == [0, 1, 0]


def test_state_without_a_value_is_asked_for_once() -> None:
    total = ng.vector("total")
    f = ng.function([ng.In(total, update=total * 2)], total)
    with pytest.raises(ng.InputError, match="its state has no value yet"):
        f()
    with pytest.raises(KeyError):
        f[total]
    np.testing.assert_array_equal(f([1, 2]), [1, 2])
    np.testing.assert_array_equal(f(), [2, 4])


def test_a_state_read_while_it_is_overwritten() -> None:
    v = ng.vector("v")
    f = ng.function([ng.In(v, value=[1.0, 2.0, 3.0], update=v + v[::-1])], v * 1)
    f()
    np.testing.assert_array_equal(f(), [4, 4, 4])
    g = ng.function([ng.In(v, value=[1.0, 2.0, 3.0], update=v[::-1] - v)], [])
    g()
    np.testing.assert_array_equal(g[v], [2, 0, -2])


def test_in_options() -> None:
    x = ng.scalar("x")
    assert ng.In(x, mutable=True).borrow is True
    assert ng.In(x).borrow is False and ng.In(x).name == "x"
    with pytest.raises(ng.InputError, match="mutable=True implies borrow=True"):
        ng.In(x, mutable=True, borrow=False)


# -- conversion of arguments (SEMANTICS 2.2) ------------------------------------------------------------------------


class Subclass(np.ndarray):
    """An array of another class: its elements count, not its class."""


ACCEPTED: list[tuple[str, int, Any]] = [
    ("float32", 1, [0.5]),
    ("float32", 1, [1, 2]),
    ("float32", 1, np.array([1, -2], "int8")),
    ("float32", 1, np.array([0.5], ">f4")),
    ("float32", 1, np.array([0.5], "float16")),
    ("float32", 0, 0.1),
    ("float32", 0, np.float64(0.5)),
    ("float32", 0, float("nan")),
    ("float32", 0, float("inf")),
    ("float64", 1, np.array([1, 2])),
    ("float64", 0, 3),
    ("float64", 1, [float("nan"), 1.0]),
    ("float64", 2, [[1, 2], [3, 4]]),
    ("float64", 2, [np.array([1, 2], "int32"), np.array([3, 4], "int32")]),
    ("float64", 1, []),
    ("int64", 0, 3.0),
    ("int64", 0, True),
    ("int64", 1, np.array([True, False])),
    ("int32", 1, [1, 2]),
    ("int32", 1, []),
    ("int32", 0, np.int64(3)),
    ("uint8", 0, 255),
    ("bool", 0, 1),
    ("float64", 1, range(3)),
    ("float64", 2, np.ones((1, 2)).view(Subclass)),
]


@pytest.mark.parametrize(("dtype", "ndim", "value"), ACCEPTED)
def test_accepted_values(dtype: str, ndim: int, value: Any) -> None:
    x = ng.tensor("x", dtype, (None,) * ndim)
    result = ng.function([x], x)(value)
    assert result.dtype == dtype and type(result) is np.ndarray
    np.testing.assert_array_equal(result, np.asarray(value).astype(dtype))


REFUSED: list[tuple[str, int, Any]] = [
    ("float32", 1, [0.1]),
    ("float32", 1, np.array([0.5])),
    ("float32", 1, np.array([1, 2], "int32")),
    ("float32", 0, np.float64(0.1)),
    ("float32", 0, np.array(0.5)),
    ("float32", 0, 16777217),
    ("float32", 0, 1e300),
    ("float32", 0, 2**53 + 1),
    ("float64", 0, 2**70),
    ("float64", 1, np.array([1.0], "complex128")),
    ("float64", 0, 1j),
    ("int64", 0, 3.5),
    ("int64", 0, float("nan")),
    ("int32", 1, np.array([1, 2])),
    ("int32", 0, 2**40),
    ("uint8", 0, -1),
    ("uint8", 1, [1, 300]),
    ("uint64", 0, -1),
    ("bool", 0, 2),
    ("float64", 0, "3"),
    ("float64", 0, None),
    ("float64", 1, ["a"]),
    ("float64", 1, {"a": 1}),
    ("float64", 2, [[1, 2], [3]]),
    ("float64", 1, np.ma.masked_array([1.0, 2.0], mask=[0, 1])),
    ("float64", 1, np.zeros(2, [("a", "f8")])),
    ("float64", 1, np.array([1.0, None])),
    ("int64", 1, np.array(["2020-01-01"], "datetime64[D]")),
]


@pytest.mark.parametrize(("dtype", "ndim", "value"), REFUSED)
def test_refused_values_name_the_input(dtype: str, ndim: int, value: Any) -> None:
    x = ng.tensor("argument_x", dtype, (None,) * ndim)
    f = ng.function([x], x)
    with pytest.raises(ng.DtypeError, match="argument_x") as caught:
        f(value)
    assert dtype in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_allow_downcast() -> None:
    x, n = ng.vector("x", "float32"), ng.scalar("n", "int8")
    f = ng.function([ng.In(x, allow_downcast=True), n], x * 1, on_unused_input="ignore", allow_input_downcast=True)
    np.testing.assert_array_equal(f(np.array([0.1, 2]), 3.7), np.array([0.1, 2], "float32"))
    g = ng.function([n], n, allow_input_downcast=True)
    assert g(-3.7) == -3 and g(300) == 44
    s = ng.scalar("s", "float32")
    h = ng.function([ng.In(s, allow_downcast=False)], s, allow_input_downcast=True)
    assert h(0.5) == 0.5
    with pytest.raises(ng.DtypeError, match=r"0\.1"):
        h(0.1)
    # not even then: what is no number
    with pytest.raises(ng.DtypeError):
        f("abc", 1)
    with pytest.raises(ng.DtypeError):
        f(np.array([1j]), 1)


def test_strict() -> None:
    x = ng.vector("x", "float32")
    f = ng.function([ng.In(x, strict=True)], x)
    f(np.zeros(2, "float32"))
    for value in ([0.5], np.zeros(2, "int8"), np.float32(1)):
        with pytest.raises(ng.DtypeError, match="strict"):
            f(value)


def test_ranks_and_known_lengths() -> None:
    x, r = ng.tensor("x", "float64", (None, 3)), ng.row("r", "float64")
    f = ng.function([x, r], [x, r])
    f(np.zeros((0, 3)), np.zeros((1, 5)))
    for bad in (np.zeros(3), np.zeros((2, 2)), np.zeros((1, 2, 3))):
        with pytest.raises(ng.ArgumentShapeError, match="x: "):
            f(bad, np.zeros((1, 1)))
    with pytest.raises(ng.ArgumentShapeError, match="r: axis 0 has length 2"):
        f(np.zeros((2, 3)), np.zeros((2, 1)))
    assert issubclass(ng.ArgumentShapeError, TypeError) and issubclass(ng.ArgumentShapeError, ng.ShapeError)


def test_strided_empty_and_read_only_arguments() -> None:
    x = ng.matrix("x")
    f = ng.function([x], [x * 3 + 1, ng.sum(x, axis=0)])
    a = np.arange(24.0).reshape(4, 6)
    frozen = a.copy()
    frozen.flags.writeable = False
    odd = np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view("float64").reshape(4, 6)
    views = [a[::-1], a[:, ::2], a.T, np.asfortranarray(a), np.broadcast_to(a[0], (3, 6)), frozen, a[1:3, 2:5], odd]
    for v in [*views, a[:0], a[:, :0]]:
        p, q = f(v)
        np.testing.assert_array_equal(p, v * 3 + 1)
        np.testing.assert_array_equal(q, v.sum(0))


def test_an_argument_that_is_the_memory_of_an_updated_variable() -> None:
    s, x = ng.shared(np.arange(4.0), "s"), ng.vector("x")
    f = ng.function([x], x, updates=[(s, s + x[::-1])])
    np.testing.assert_array_equal(f(s.get_value(borrow=True)), np.arange(4.0))
    np.testing.assert_array_equal(s.get_value(), [3, 3, 3, 3])


# -- the function object --------------------------------------------------------------------------------------------


def test_attributes_and_stats() -> None:
    x, s, t = ng.vector("x"), ng.shared(np.zeros(4), "s"), ng.shared(0, "t")
    f = ng.function(
        [x, ng.In(ng.scalar("k"), value=1.0)], x + s, updates=[(t, t + 1)], name="f", on_unused_input="ignore"
    )
    assert f.name == "f" and [a.name for a in f.inputs] == ["x", "k"] and len(f.outputs) == 1
    assert f.updates[0][0] is t and f.get_shared() == [s, t]
    f(np.zeros(4))
    f(np.zeros(4))
    assert f.stats.calls == 2 and f.stats.bytes_out == 64 and f.stats.bytes_in >= 64
    assert f.stats.seconds > 0 and f.stats.bytes_allocated >= 64
    f.stats.calls = 0
    f(np.zeros(4))
    assert f.stats.calls == 1


def test_a_function_is_freed_without_the_garbage_collector() -> None:
    x = ng.vector("x")
    f = ng.function([x], x + 1)
    f([1.0])
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(f)
        del f
        assert gone() is None
    finally:
        gc.enable()


def test_copy_swaps_and_keeps_shared_variables() -> None:
    s, other, k = ng.shared(1.0, "s"), ng.shared(10.0, "other"), ng.scalar("k")
    f = ng.function([ng.In(k, value=0.0, update=k + 1)], s * 2 + k, updates=[(s, s + 1)], name="f")
    assert f() == 2
    g = f.copy()
    assert g.name == "f copy" and g() == 5 and s.get_value() == 3
    assert f[k] == 1 and g[k] == 2
    h = f.copy(swap={s: other}, name="h")
    assert h() == 21 and other.get_value() == 11 and s.get_value() == 3
    still = f.copy(delete_updates=True)
    assert still() == still() == 7 and s.get_value() == 3
    with pytest.raises(ng.OptionError, match="never"):
        f.copy(swap={ng.shared(0.0, "never"): other})
    with pytest.raises(ng.InputError, match="dtype int64"):
        f.copy(swap={s: ng.shared(0, "integer")})


def test_eval() -> None:
    x, y, s = ng.scalar("x"), ng.scalar("y"), ng.shared(2.0, "s")
    z = x * s + y
    assert z.eval({x: 3.0, y: 1.0}) == 7
    s.set_value(3.0)
    assert z.eval({y: 1.0, x: 3.0}) == 10
    assert s.eval() == 3 and ng.constant(4.0).eval() == 4 and x.eval({x: 5.0}) == 5
    with pytest.raises(ng.MissingInputError, match="y: float64"):
        z.eval({x: 1.0})
    assert z.eval({"x": 1.0, y: 2.0}) == 5 and x.eval({"x": 5.0}) == 5
    with pytest.raises(ng.InputError, match="keys"):
        z.eval({1: 1.0})
    with pytest.raises(ng.InputError, match="no variable has the name 'u'"):
        z.eval({"u": 1.0})
    with pytest.raises(ng.InputError, match="several variables have the name 'x'"):
        (z * ng.scalar("x")).eval({"x": 1.0})


def test_eval_keeps_no_graph_alive() -> None:
    x = ng.scalar("x")
    z = x * 2 + 1
    z.eval({x: 1.0})
    gone = weakref.ref(z)
    del z
    gc.collect()
    assert gone() is None


def test_clone() -> None:
    x, y, z = ng.scalars("xyz")
    kept = ng.exp(y)
    a, b = ng.clone([x * 2 + kept, kept], replace={x: z * 10})
    assert ng.function([z, y], a)(1.0, 0.0) == 21
    assert b is kept and ng.clone(x) is x
    with pytest.raises(ng.GivensError, match="dtype int64 for dtype float64"):
        ng.clone(x, {x: ng.lscalar("n")})


def test_modes_and_targets() -> None:
    x = ng.scalar("x")
    assert ng.function([x], x, mode="reference").target == "reference"
    assert ng.function([x], x, target="reference").target == "reference"
    assert ng.function([x], x, mode="FAST_RUN").target == ng.config.target
    for options in ({"mode": "quick"}, {"target": "abacus"}, {"mode": "reference", "target": "cpu"}):
        with pytest.raises(ng.OptionError):
            ng.function([x], x, **options)
    with pytest.raises(ng.OptionError):
        ng.function([x], x, on_unused_input="complain")


def test_harmless_options_of_theano() -> None:
    x = ng.scalar("x")
    assert ng.function([x], x, accept_inplace=True, profile=False, rebuild_strict=True)(1.0) == 1
