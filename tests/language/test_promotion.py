"""Result dtypes against Theano's table, which equals NumPy 2's but for what is listed here.

data/dt_float32.json was measured on Theano 1.0.5 with floatX=float32: "add int8 uint8" -> "int16".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
import numgraph.ops  # fills the table
from numgraph.config import config
from numgraph.errors import DtypeError, ValueOverflowError
from numgraph.graph import Variable
from numgraph.ops.define import f
from numgraph.tensor import matrix, vector
from numgraph.types import BOOL, COMPLEX, DISCRETE, DTYPES, FLOATS, HALF, INTEGERS, real_of

TABLE: dict[str, str] = json.loads((Path(__file__).parent / "data" / "dt_float32.json").read_text(encoding="utf-8"))
ERROR = "ERR TypeError"

BINARY: dict[str, Callable[..., Variable]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "truediv": lambda x, y: x / y,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "pow": lambda x, y: x**y,
    "max": lambda x, y: f.maximum(x, y),
    "lt": lambda x, y: x < y,
    "eq": lambda x, y: f.eq(x, y),
    "and": lambda x, y: x & y,
    "switch": lambda x, y: f.where(vector("c", BOOL), x, y),
    "dot": lambda x, y: f.dot(x, y),
    "join": lambda x, y: f.concatenate([x, y]),
}
UNARY = {
    "neg": "neg", "abs_": "abs", "sgn": "sign", "sqrt": "sqrt", "sqr": "square", "exp": "exp", "log": "log",
    "log1p": "log1p", "tanh": "tanh", "sin": "sin", "ceil": "ceil", "floor": "floor", "trunc": "trunc",
    "round": "round", "inv": "reciprocal", "invert": "invert", "isnan": "isnan", "isinf": "isinf", "erf": "erf",
    "sum": "sum", "prod": "prod", "mean": "mean", "var": "var", "std": "std", "max": "max", "min": "min",
    "argmax": "argmax", "argmin": "argmin", "any": "any", "all": "all", "cumsum": "cumsum", "cumprod": "cumprod",
    "sort": "sort", "argsort": "argsort", "zeros_like": "zeros_like", "ones_like": "ones_like",
    "nnet.sigmoid": "sigmoid", "nnet.softplus": "softplus", "nnet.relu": "relu", "nnet.elu": "elu",
}  # fmt: skip


# What Theano takes complex numbers for, and numgraph does not: no order, or no such function.
NOT_COMPLEX = "erf max min argmax argmin sort argsort nnet.sigmoid nnet.softplus nnet.relu nnet.elu".split()


def binary_exception(name: str, a: str, b: str) -> str | None:
    """numgraph's answer where it is not Theano's, with the reason; None where there is no exception."""
    pair = {a, b}
    if pair & set(COMPLEX):
        if name in ("floordiv", "mod", "max", "lt", "and"):
            # complex numbers have no order: NumPy refuses all but the largest and comparisons, Theano these
            return ERROR
        # as float32 beside an integer
        return "complex64" if name != "eq" and not pair & {"complex128", "float64"} else None
    discrete = pair <= set(DISCRETE)
    comparison = name in ("lt", "eq")
    if HALF in pair and pair & {BOOL, "int8", "uint8"}:
        return None
    if not discrete and pair & set(DISCRETE) and "float64" not in pair and not comparison and name != "and":
        # a float32 keeps its dtype beside an integer of any size, so that a loss divided by a length does
        return "float32"
    if "uint64" in pair and pair & {"int8", "int16", "int32", "int64"}:
        # NumPy 2 has no common integer type either; for bits it refuses, as numgraph does, and Theano does not
        return ERROR if name == "and" else None
    if pair == {BOOL} and name in ("floordiv", "mod", "pow"):
        # NumPy: int8; Theano: bool for // and %
        return "int8"
    if name == "and" and BOOL in pair and pair & set(INTEGERS):
        # NumPy allows a bool beside an integer, Theano does not
        return next(d for d in (a, b) if d != BOOL)
    return None


def unary_exception(name: str, dtype: str) -> str | None:
    """As `binary_exception`, for functions of one array."""
    if dtype in COMPLEX:
        if name in ("var", "std"):
            # as NumPy: mean squares of distances are real
            return real_of(dtype)
        if name == "sgn":
            # NumPy 2: x / abs(x)
            return dtype
        return ERROR if name in NOT_COMPLEX else None
    if dtype == HALF and name == "nnet.relu":
        # the larger of x and 0 needs no wider float
        return HALF
    if dtype not in DISCRETE:
        return None
    if name in ("ceil", "floor", "trunc", "round"):
        # NumPy 2 leaves whole numbers alone; Theano converts to float, and refuses to round
        return dtype
    if name == "inv":
        # as 1 / x, which is floatX
        return "float32"
    if name == "sqr" and dtype == BOOL:
        # NumPy: int8
        return "int8"
    if name in ("cumsum", "cumprod"):
        # NumPy accumulates as sum does
        return "uint64" if dtype.startswith("u") else "int64"
    if name == "nnet.relu":
        # the larger of x and 0 needs no float
        return dtype
    if name == "nnet.elu":
        # an integer beside the Python float alpha is floatX
        return "float32"
    return None


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float32")


def dtype_of(build: Callable[[], Variable]) -> str:
    try:
        return build().dtype
    except (DtypeError, TypeError):
        return ERROR


def binary_cases() -> Iterator[tuple[str, str, str, str]]:
    for key, expected in TABLE.items():
        name, *operands = key.split()
        if name in BINARY and len(operands) == 2 and set(operands) <= set(DTYPES):
            yield name, operands[0], operands[1], expected


@pytest.mark.parametrize("name", BINARY)
def test_two_arrays(name: str) -> None:
    wrong = []
    cases = [c for c in binary_cases() if c[0] == name]
    assert len(cases) == len(DTYPES) ** 2
    for _, a, b, theano in cases:
        make = matrix if name == "dot" else vector
        got = dtype_of(lambda a=a, b=b, make=make: BINARY[name](make("x", a), make("y", b)))
        expected = binary_exception(name, a, b) or theano
        if got != expected:
            wrong.append(f"{name} {a} {b}: {got}, expected {expected} (Theano: {theano})")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", UNARY)
def test_one_array(name: str) -> None:
    wrong = []
    for dtype in DTYPES:
        theano = TABLE[f"U {name} {dtype}"]
        got = dtype_of(lambda dtype=dtype: getattr(f, UNARY[name])(vector("x", dtype)))
        expected = unary_exception(name, dtype) or theano
        if got != expected:
            wrong.append(f"{name} {dtype}: {got}, expected {expected} (Theano: {theano})")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        ("float32", 0.1, "float32"),
        ("float32", 70000, "float32"),
        ("float64", 1, "float64"),
        ("uint8", 1, "uint8"),
        ("uint64", 1, "uint64"),
        ("int32", 0.1, "float32"),
        ("int64", 0.5, "float32"),
        ("bool", 1, "int64"),
        ("bool", 0.5, "float32"),
        ("float32", np.float64(0.1), "float64"),
        ("int32", np.int64(1), "int64"),
        ("float32", np.int64(1), "float32"),
        ("float32", np.array(0.5), "float64"),
    ],
)
def test_python_numbers_are_weak_and_numpy_numbers_are_not(dtype: str, number: Any, expected: str) -> None:
    assert (vector("x", dtype) + number).dtype == expected
    assert (number * vector("x", dtype)).dtype == expected


def test_a_python_integer_must_fit() -> None:
    for dtype, number in (("uint8", 300), ("int8", -129), ("uint8", -1)):
        with pytest.raises(ValueOverflowError, match=f"{number} does not fit dtype {dtype}"):
            vector("x", dtype) + number


@pytest.mark.parametrize("floatx", FLOATS)
def test_division_of_integers_is_floatx(floatx: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", floatx)
    n = vector("n", "int64")
    assert (n / 2).dtype == (1 / n).dtype == (n / n).dtype == (n * 0.5).dtype == floatx


@pytest.mark.parametrize("floatx", FLOATS)
def test_a_python_integer_alone_is_floatx_where_floats_are_made(floatx: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", floatx)
    x = vector("x", "float32")
    assert ng.sqrt(9).dtype == ng.exp(1).dtype == ng.arctan2(1, 2).dtype == ng.sqrt(9.0).dtype == floatx
    assert ng.clip(x, 0, ng.sqrt(9)).dtype == floatx and ng.sqrt(9).eval() == 3
    # beside an array it is the array's, and a number of NumPy keeps its dtype
    assert ng.arctan2(x, 2).dtype == "float32" and ng.sqrt(np.int64(9)).dtype == "float64"


@pytest.mark.parametrize("dtype", ["object", "datetime64[ns]", "nonsense"])
def test_unsupported_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(DtypeError, match="Supported: bool"):
        vector("x", "float64").astype(dtype)


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_floats_made_of_integers_are_those_of_when_the_expression_was_written(target: str) -> None:
    n, m = ng.vector("n", dtype="int64"), ng.vector("m", dtype="int32")
    before = ng.config.floatX
    try:
        made = {}
        for wide in ("float64", "float32"):
            ng.config.floatX = wide
            made[wide] = [n / m, n / 2, 1 / m, ng.reciprocal(n), ng.mean(n), ng.var(m), ng.inv(m)]
        for wide, other in (("float64", "float32"), ("float32", "float64")):
            ng.config.floatX = other
            f = ng.function([n, m], made[wide], target=target)
            results = f([1, 2, 7], np.array([3, 4, 5], "int32"))
            assert [np.asarray(r).dtype for r in results] == [v.type.dtype for v in made[wide]]
            assert {str(v.type.dtype) for v in made[wide][:4]} == {wide}
            np.testing.assert_array_equal(results[0], np.array([1, 2, 7], wide) / np.array([3, 4, 5], wide))
    finally:
        ng.config.floatX = before
