"""Every op of the table against NumPy: values, dtypes, broadcasting, special values, errors."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

import numgraph.ops  # noqa: F401  # fills the table
from numgraph import testing
from numgraph.errors import DtypeError, IndexOutOfRange, NumgraphError, ShapeError
from numgraph.graph import Variable, apply, as_variable
from numgraph.op import FUNCTIONS, OPS, Op, reference, same
from numgraph.ops.define import f
from numgraph.reference import converted, evaluate
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.tensor import matrix, scalar, vector
from numgraph.types import FLOATS

EXECUTORS: dict[str, testing.Executor] = {"reference": testing.by_reference}
ELEMENTWISE = [op for op in OPS.values() if op.scalar]
CASES = [(op, dtype) for op in OPS.values() for dtype in op.dtypes]


def name_of(value: Any) -> str:
    return value.name if isinstance(value, Op) else str(value)


def value(output: Any, **values: Any) -> Any:
    """The value of `output`, given the values of its inputs by name."""
    by_variable = {v: np.asarray(values[v.name], v.dtype) for v in leaves(output)}
    return evaluate([output], by_variable)[0]


def leaves(output: Variable) -> list[Variable]:
    from numgraph.graph import toposort

    return [v for v in toposort([output]) if v.op is None and v.name and not hasattr(v, "data")]


# -- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(("op", "dtype"), CASES, ids=name_of)
def test_value(op: Op, dtype: str, executor: str) -> None:
    testing.check_op(op, EXECUTORS[executor], dtypes=[dtype], gradient=False)


class Choices(ast.NodeTransformer):
    """`a if c else b` as a call that NumPy knows."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        parts = [self.visit(part) for part in (node.test, node.body, node.orelse)]
        return ast.Call(func=ast.Name("where", ast.Load()), args=parts, keywords=[])


def scalar_form(op: Op, arrays: list[Any], dtype: str) -> Any:
    """The op's expression, evaluated by NumPy."""
    assert op.scalar is not None
    tree = Choices().visit(ast.parse(op.scalar, mode="eval"))
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    names = {n: OPS["pow"].numpy if n == "power" else SCALAR_FUNCTIONS[n].numpy for n in called}
    code = compile(ast.fix_missing_locations(tree), op.name, "eval")
    with np.errstate(all="ignore"):
        result = eval(code, {**names, **dict(zip(op.args, arrays, strict=True))})
    return np.asarray(result).astype(dtype)


@pytest.mark.parametrize(("op", "dtype"), [c for c in CASES if c[0].scalar and not c[0].conversion], ids=name_of)
def test_scalar_form_is_the_reference(op: Op, dtype: str) -> None:
    """What compiled code prints and what NumPy computes are two texts: here they meet without a compiler."""
    for arrays, attrs in testing.draw(op, dtype, seed=1):
        result = apply(op, testing.variables_for(arrays), **attrs).dtype
        operands = converted(op, arrays, result)
        got = scalar_form(op, operands, result)
        testing.assert_close(got, reference(op, operands, attrs, result), f"{op.name} {op.scalar}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", [op for op in ELEMENTWISE if len(op.args) <= 2 and not op.conversion], ids=name_of)
def test_special_values(op: Op, dtype: str) -> None:
    if dtype not in op.dtypes:
        pytest.skip(f"{op.name} is not for floats")
    arrays = testing.special_operands(op, dtype)
    attrs = op.samples()[0][1] if op.samples else {}
    for executor in EXECUTORS.values():
        testing.check_value(op, arrays, attrs, executor)
    expected = testing.expected_value(op, arrays, attrs, apply(op, testing.variables_for(arrays), **attrs).dtype)
    got = scalar_form(op, arrays, expected.dtype.name)
    testing.assert_close(got, expected, f"{op.name} {op.scalar}")


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.moves or op.uniform], ids=name_of)
def test_facts(op: Op) -> None:
    """What an op's record says of its result holds for the reference."""
    for dtype in op.dtypes:
        for (x, *others), attrs in testing.draw(op, dtype):
            if op.moves:
                assert np.isin(op.numpy(x, *others, **attrs), x).all()
            if op.uniform:
                assert (op.numpy(np.full_like(x, 1), *others, **attrs) == 1).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_documented(name: str) -> None:
    assert FUNCTIONS[name].__doc__


def test_a_wrong_op_is_found() -> None:
    wrong: dict[str, Any] = {"args": ("x",), "doc": "Wrong.", "dtype": same, "scalar": "x", "dtypes": ("float64",)}
    value_op = Op("test_wrong_value", numpy=lambda x: x * 2, grad=None, no_grad="a test", **wrong)
    slope_op = Op("test_wrong_slope", numpy=lambda x: x, grad=lambda g, out, x: (f.mul(g, 2.0),), **wrong)
    try:
        with pytest.raises(AssertionError, match=r"test_wrong_slope.*derivative 1 for operand 0"):
            testing.check_op(slope_op)

        def once(inputs: Any, outputs: Any, values: Any) -> Any:
            return [np.asarray(values[0])]

        with pytest.raises(AssertionError, match="test_wrong_value"):
            testing.check_op(value_op, executor=once)
    finally:
        del OPS["test_wrong_value"], OPS["test_wrong_slope"]


# -- integers and bools ---------------------------------------------------------------------------------------------


def test_integers_wrap_as_in_numpy() -> None:
    x = vector("x", "uint8")
    v = np.array([1, 2, 255], "uint8")
    for got, expected in ((x + 1, v + np.uint8(1)), ((x + 1) // 2, (v + np.uint8(1)) // np.uint8(2)), (-x, -v)):
        assert got.dtype == "uint8"
        np.testing.assert_array_equal(value(got, x=v), expected)
    assert value(abs(vector("x", "int8")), x=[-128]) == -128


def test_division_by_zero_of_integers_is_zero() -> None:
    x, y = vector("x", "int32"), vector("y", "int32")
    np.testing.assert_array_equal(value(x // y, x=[7, -7, -7], y=[0, 2, -2]), [0, -4, 3])
    np.testing.assert_array_equal(value(x % y, x=[7, -7, 7], y=[0, 2, -2]), [0, 1, -1])
    np.testing.assert_array_equal(value(x / y, x=[1, 0], y=[2, 1]), [0.5, 0.0])


def test_integer_power() -> None:
    x, y = vector("x", "int64"), vector("y", "int64")
    got = value(x**y, x=[2, 2, 1, -1, -1, 0, -3], y=[10, -1, -5, -3, -4, 0, 3])
    np.testing.assert_array_equal(got, [1024, 0, 1, -1, 1, 1, -27])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_shifts_past_the_end(dtype: str) -> None:
    x, y = vector("x", dtype), vector("y", dtype)
    xs = np.array([1, 100, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    for n in (0, 1, 7, 8, 63, 64, 100):
        ys = np.full(4, n, dtype)
        np.testing.assert_array_equal(value(x << y, x=xs, y=ys), np.left_shift(xs, ys))
        np.testing.assert_array_equal(value(x >> y, x=xs, y=ys), np.right_shift(xs, ys))


def test_bool_arithmetic() -> None:
    x, y = vector("x", "bool"), vector("y", "bool")
    both = {"x": [True, True, False], "y": [True, False, False]}
    assert value(x + y, **both).tolist() == [True, True, False]
    assert value(x * y, **both).tolist() == [True, False, False]
    assert value(~x, x=both["x"]).tolist() == [False, False, True]
    assert value(abs(x), x=both["x"]).dtype == bool
    for wrong in (lambda: x - y, lambda: -x, lambda: f.sign(x)):
        with pytest.raises(DtypeError, match=r"bool.*x: bool\[\?\]  made at .*test_ops.py"):
            one_line(wrong)


def one_line(call: Any) -> None:
    """Run `call`, its error's text joined to one line."""
    try:
        call()
    except NumgraphError as error:
        raise type(error)(str(error).replace("\n", " ")) from None


def test_bits_of_floats_are_refused() -> None:
    x = vector("x", "float32")
    for wrong in (lambda: x & 1, lambda: x | 1, lambda: x ^ 1, lambda: ~x, lambda: x << 1, lambda: x >> 1):
        with pytest.raises(DtypeError, match="x: float32"):
            one_line(wrong)


def test_rounding_keeps_integers() -> None:
    n, x = vector("n", "int32"), vector("x", "float32")
    for function in (f.floor, f.ceil, f.trunc, f.round):
        assert function(n) is n
    np.testing.assert_array_equal(value(f.round(x), x=[0.5, 1.5, 2.5, -0.5]), [0, 2, 2, -0.0])


def test_where_takes_any_condition() -> None:
    n, x = vector("n", "int64"), vector("x", "float32")
    chosen = f.where(n, x, 0)
    assert chosen.dtype == "float32"
    np.testing.assert_array_equal(value(chosen, n=[0, 2, -1], x=[1, np.nan, 3]), [0, np.nan, 3])


def test_comparison_with_a_number_that_does_not_fit() -> None:
    x = vector("x", "uint8")
    assert value(f.lt(x, 300), x=[0, 255]).all()
    assert not value(x < -1, x=[0, 255]).any()


def test_cast() -> None:
    x = vector("x", "float64")
    assert f.cast(x, "float64") is x
    np.testing.assert_array_equal(value(x.astype("int32"), x=[-1.7, 2.9999]), [-1, 2])
    np.testing.assert_array_equal(value(x.astype("bool"), x=[0.5, 0.0, np.nan]), [True, False, True])
    with pytest.raises(DtypeError, match="datetime64"):
        f.cast(x, "datetime64[s]")


def test_clip_and_logic() -> None:
    x = vector("x", "float64")
    np.testing.assert_array_equal(value(f.clip(x, 0, 1), x=[-1, 0.5, 2, np.nan]), [0, 0.5, 1, np.nan])
    assert value(f.logical_and(x, x > 1), x=[0, 1, 2]).tolist() == [False, False, True]
    assert value(f.logical_xor(x, x > 1), x=[0, 1, 2]).tolist() == [False, True, False]
    assert value(f.isfinite(x), x=[1, np.inf, np.nan]).tolist() == [True, False, False]


def test_many_operands_are_added() -> None:
    x = vector("x")
    assert value(f.add(x, 1, x, 2.5), x=[1.0]) == 5.5
    assert value(f.mul(x, 2, x), x=[3.0]) == 18.0


def test_gammaln_beyond_all_floats() -> None:
    x = vector("x")
    assert value(f.gammaln(x), x=[1e306, np.inf, 0.0, -2.0]).tolist() == [np.inf] * 4


def test_digamma() -> None:
    from scipy.special import digamma

    x = vector("x")
    xs = np.array([0.05, 0.5, 1.0, 1.4616, 7.3, 100.0, -0.5, -3.7])
    np.testing.assert_allclose(value(f.digamma(x), x=xs), digamma(xs), rtol=1e-12, atol=1e-13)


# -- reductions -----------------------------------------------------------------------------------------------------

AXES = [None, 0, -1, (0, 2), (2, 0), (), [1]]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "any", "all", "var", "std", "ptp"])
def test_reduction_axes(name: str, axis: Any, keepdims: bool) -> None:
    x = matrix("x").dimshuffle(0, "x", 1)
    v = np.random.default_rng(0).normal(size=(3, 1, 4))
    at = tuple(axis) if isinstance(axis, list) else axis
    got = value(getattr(f, name)(x, axis=axis, keepdims=keepdims), x=v[:, 0])
    expected = getattr(np, name)(v, axis=at, keepdims=keepdims)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert got.shape == np.shape(expected)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_position(name: str) -> None:
    x, function = matrix("x"), getattr(np, name)
    for v in ([[1, 3, 3], [0, -1, -1]], [[np.nan, 1, np.nan], [5, np.nan, 7]], [[-np.inf] * 3, [np.inf] * 3]):
        for axis in (None, 0, 1):
            for keepdims in (False, True):
                got = value(getattr(f, name)(x, axis, keepdims), x=v)
                np.testing.assert_array_equal(got, function(np.array(v), axis, keepdims=keepdims))
                assert got.dtype == np.int64


def test_reductions_of_nothing() -> None:
    x = vector("x")
    assert value(f.sum(x), x=[]) == 0
    assert value(f.prod(x), x=[]) == 1
    assert np.isnan(value(f.mean(x), x=[]))
    assert not value(f.any(x), x=[])
    assert value(f.all(x), x=[])
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match=rf"{name}: axis 0 is empty.*{name} called at .*test_ops.py"):
            one_line(lambda name=name: value(getattr(f, name)(x), x=[]))


def test_reduction_dtypes() -> None:
    for dtype, total, mean in (("bool", "int64", "float64"), ("uint8", "uint64", "float64"), ("float32",) * 3):
        x = vector("x", dtype)
        assert (f.sum(x).dtype, f.prod(x).dtype, f.mean(x).dtype) == (total, total, mean)
        assert f.max(x).dtype == dtype
    x = vector("x", "int8")
    assert f.mean(x, dtype="float32").dtype == "float32"
    assert f.sum(x, dtype="float64").dtype == "float64"
    assert value(f.mean(x, dtype="int32"), x=[1, 2, 2, 2]).dtype == "int32"


def test_float32_sums_accumulate_in_float64() -> None:
    x = vector("x", "float32")
    v = np.full(1_000_000, 0.1, "float32")
    assert value(f.sum(x), x=v) == np.float32(v.astype("float64").sum())


def test_wrong_axes() -> None:
    x = matrix("weights")
    for axis in (2, -3, (0, 5)):
        with pytest.raises(IndexOutOfRange, match=r"weights: float64\[\?,\?\].*2 axes"):
            f.sum(x, axis=axis)
    with pytest.raises(ShapeError, match="twice"):
        f.sum(x, axis=(0, -2))
    with pytest.raises(TypeError, match="axis must be"):
        f.sum(x, axis="rows")


@pytest.mark.parametrize("ord", [None, 2, 1, 3, np.inf, -np.inf, 0])
def test_norm(ord: Any) -> None:
    v = np.array([[1.0, -2.0, 0.0], [3.0, 4.0, -1.0]])
    got = value(f.norm(matrix("x"), ord, axis=1), x=v)
    np.testing.assert_allclose(got, np.linalg.norm(v, ord, axis=1), rtol=1e-14)


def test_logsumexp() -> None:
    x = matrix("x")
    v = [[1000.0, 1000.0], [-np.inf, 2.0], [-np.inf, -np.inf], [np.inf, 0.0]]
    np.testing.assert_allclose(value(f.logsumexp(x, 1), x=v), [1000 + np.log(2), 2, -np.inf, np.inf])
    assert value(f.logsumexp(x), x=[[0.0, 0.0]]) == np.log(2)


# -- neural networks ------------------------------------------------------------------------------------------------


def test_softmax_is_stable() -> None:
    x = matrix("x", "float32")
    v = [[0, 1000, -1000]]
    np.testing.assert_allclose(value(f.softmax(x), x=v), [[0, 1, 0]], atol=1e-30)
    np.testing.assert_allclose(value(f.log_softmax(x), x=v), [[-1000, 0, -2000]])
    np.testing.assert_allclose(value(f.softmax(x), x=[[0, -np.inf, 0]]), [[0.5, 0, 0.5]])
    assert value(f.softmax(x), x=np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_allclose(value(f.softmax(matrix("x", "bool")), x=[[True, True]]), [[0.5, 0.5]])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "product_of_others", "searchsorted"])
def test_expansion_is_the_reference(name: str) -> None:
    op = OPS[name]
    composition = op.composition(grid=True)
    assert composition is not None and op.samples is not None
    for arrays, attrs in op.samples():
        inputs = testing.variables_for(arrays)
        got = testing.by_reference(inputs, [composition(*inputs, **attrs)], arrays)[0]
        np.testing.assert_allclose(got, op.numpy(*arrays, **attrs), rtol=1e-12, atol=1e-15)


def test_cross_entropies() -> None:
    p, y, t = matrix("p"), vector("y", "int32"), matrix("t")
    probabilities = np.array([[0.25, 0.75, 0.0], [0.1, 0.2, 0.7]])
    by_label = value(f.categorical_crossentropy(p, y), p=probabilities, y=[1, 2])
    np.testing.assert_allclose(by_label, -np.log([0.75, 0.7]))
    one_hot = value(f.categorical_crossentropy(p, t), p=probabilities, t=np.eye(3)[[1, 2]])
    np.testing.assert_allclose(one_hot, by_label)
    binary = value(f.binary_crossentropy(p, t), p=[[0.25, 1.0, 0.0]], t=[[1, 1, 0]])
    np.testing.assert_allclose(binary, [[-np.log(0.25), 0, 0]])
    scores = value(f.sigmoid_binary_crossentropy(p, t), p=[[-1000.0, 1000.0, 0.5]], t=[[1, 1, 0]])
    np.testing.assert_allclose(scores, [[1000, 0, np.log1p(np.exp(0.5))]])
    with pytest.raises(DtypeError, match="labels are integers"):
        f.categorical_crossentropy(p, vector("y"))
    with pytest.raises(ShapeError, match="a label for each row"):
        f.categorical_crossentropy(p, scalar("y", "int32"))


# -- the reference executor -----------------------------------------------------------------------------------------


def test_lengths_that_do_not_fit_name_lines() -> None:
    x, y = vector("x"), vector("y")
    with pytest.raises(ShapeError) as caught:
        value(x + y, x=np.ones(3), y=np.ones(4))
    text = str(caught.value)
    assert text.startswith("add: ") and "x: float64[3]  made at" in text and "y: float64[4]  made at" in text
    assert "add called at" in text and "test_ops.py" in text


def test_outputs_are_fresh() -> None:
    x, constant = vector("x"), as_variable(np.arange(3.0))
    given = np.arange(2.0)
    outputs = evaluate([x, constant, f.identity(x), x], {x: given})
    for k, a in enumerate(outputs):
        assert a.flags.writeable and a.flags.c_contiguous and not np.shares_memory(a, given)
        assert all(not np.shares_memory(a, b) for b in outputs[:k])


def test_the_graph_is_cut_at_given_variables() -> None:
    x = vector("x")
    h = x * 2
    assert evaluate([h + 1], {h: np.array([5.0])})[0] == 6.0
    with pytest.raises(NumgraphError, match="no value for x"):
        evaluate([h], {})
