"""Arrays of other libraries, borrowed and read-only memory, outputs in the caller's arrays, and other processes."""

from __future__ import annotations

import array
import fractions
import multiprocessing
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import numgraph as ng
from numgraph.errors import ArgumentShapeError, DtypeError, InputError, SizeError

Array = np.ndarray[Any, np.dtype[Any]]
GIB = 1 << 30


class ByInterface:
    """What gives its memory by `__array_interface__` alone."""

    def __init__(self, values: Array) -> None:
        self.values = values
        self.__array_interface__ = values.__array_interface__


class ByDLPack:
    """What gives its memory by DLPack alone."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


class Column:
    """As a column of Arrow: nulls are counted, and NumPy's array has NaN there."""

    def __init__(self, values: list[float | None]) -> None:
        self.values = values
        self.null_count = values.count(None)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array([np.nan if v is None else v for v in self.values])


class Frame(Column):
    """As a table of Polars: the number of nulls is asked for, and told for each column."""

    def __init__(self, values: list[float | None]) -> None:
        super().__init__(values)
        self.null_count: Any = lambda: np.array([[self.values.count(None)]])


class Table:
    """As a table of Arrow: its columns count their nulls."""

    def __init__(self, *columns: Column) -> None:
        self.columns = columns

    def itercolumns(self) -> Any:
        return iter(self.columns)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.stack([np.asarray(c) for c in self.columns], axis=1)


VALUES = np.array([1.0, 2.5, -3.0])
FORMS: dict[str, Callable[[Array], Any]] = {
    "interface": ByInterface,
    "DLPack": ByDLPack,
    "array.array": lambda v: array.array("d", v.tolist()),
    "memoryview": lambda v: memoryview(v),
    "column": lambda v: Column(v.tolist()),
    "frame": lambda v: Frame(v.tolist()),
}


@pytest.fixture(scope="module")
def double() -> ng.Function:
    x = ng.vector("x")
    return ng.function([x], x * 2, name="double")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_arrays_of_other_libraries(double: ng.Function, form: Callable[[Array], Any]) -> None:
    np.testing.assert_array_equal(double(form(VALUES)), VALUES * 2)
    np.testing.assert_array_equal(ng.shared(form(VALUES)).get_value(), VALUES)


@pytest.mark.parametrize("form", [ByInterface, ByDLPack, memoryview])
def test_borrowed_memory_of_other_libraries_is_updated(form: Callable[[Array], Any]) -> None:
    mine = VALUES.copy()
    w = ng.shared(form(mine), borrow=True)
    ng.function([], updates=[(w, w + 1)])()
    # NumPy before 2.1 takes what comes by DLPack alone for read-only, and a read-only array is copied
    lent = form is not ByDLPack or np.from_dlpack(form(mine)).flags.writeable
    np.testing.assert_array_equal(mine, VALUES + 1 if lent else VALUES)
    np.testing.assert_array_equal(w.get_value(), VALUES + 1)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy before 2.1 makes them read-only")
def test_arrays_by_dlpack_can_be_written() -> None:
    assert np.from_dlpack(ByDLPack(VALUES.copy())).flags.writeable


@pytest.mark.parametrize("value", [Column([1.0, None]), Frame([None, None]), Table(Column([1.0]), Column([None]))])
def test_missing_values_are_refused(value: Any) -> None:
    x = ng.tensor("x", dtype="float64", shape=(None,) * np.asarray(value).ndim)
    with pytest.raises(DtypeError, match=r"x: got a .*: [12] of its values (is|are) missing\n  x: .*\n  fix: fill"):
        ng.function([x], x, target="reference")(value)
    with pytest.raises(DtypeError, match=r"a .* cannot be part of an expression: [12] of its values (is|are) missing"):
        x * value


def test_columns_of_pandas(double: ng.Function) -> None:
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(double(pandas.Series(VALUES)), VALUES * 2)
    for dtype in ("Float64", "Int64", "boolean"):
        column = pandas.Series([1, 0, 1], dtype=dtype)
        np.testing.assert_array_equal(double(column), [2, 0, 2])
        with pytest.raises(DtypeError, match=r"got a pandas\.Series: 1 of its values is missing"):
            double(pandas.Series([1, None, 0], dtype=dtype))
    mixed = pandas.DataFrame({"a": pandas.array([1, 2], dtype="Int64"), "b": [0.5, 1.0]})
    np.testing.assert_array_equal(ng.shared(mixed).get_value(), [[1, 0.5], [2, 1]])
    for words in (pandas.Series(["a", "b"]), pandas.Series(["a", "b"], dtype="category")):
        with pytest.raises(DtypeError, match=r"got pandas.Series.* no array of numbers"):
            double(words)


class OnADevice:
    """As a tensor of PyTorch on a device, or one whose gradient is recorded."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise RuntimeError("call .detach() first")


def test_what_its_library_does_not_give(double: ng.Function) -> None:
    with pytest.raises(
        DtypeError, match=r"x: this \w+\.OnADevice gives no array: call .detach\(\) first\n  x: float64"
    ):
        double(OnADevice())


# -- memory that is read-only -------------------------------------------------------------------------------------


def read_only() -> Array:
    values = VALUES.copy()
    values.flags.writeable = False
    return values


def test_read_only_memory_is_kept_until_a_function_updates_it() -> None:
    values = read_only()
    w = ng.shared(values, "w", borrow=True)
    total = ng.function([], ng.sum(w))
    assert w.get_value(borrow=True) is values and total() == 0.5
    step = ng.function([], updates=[(w, w + 1)])
    assert w.get_value(borrow=True) is not values
    step()
    assert total() == 3.5
    # nor is it borrowed from then on
    w.set_value(values, borrow=True)
    step()
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(w.get_value(), VALUES + 1)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_value_that_comes_from_read_only_memory(target: str) -> None:
    """As the new value of another variable, exchanged, and as a state of a copied function."""
    values = read_only()
    v, w = ng.shared(values, "v", borrow=True), ng.shared(np.zeros(3), "w")
    ng.function([], updates=[(w, v)], target=target)()
    ng.function([], updates=[(w, w + 1)])()
    np.testing.assert_array_equal(w.get_value(), VALUES + 1)
    ng.function([], updates=[(w, v), (v, w)], target=target)()
    ng.function([], updates=[(w, w + 1), (v, v + 1)])()
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(v.get_value(), VALUES + 2)
    np.testing.assert_array_equal(w.get_value(), VALUES + 1)


def test_a_file_larger_than_memory(tmp_path: Path) -> None:
    """A file with a hole takes no room; nothing of it may be copied."""
    path = tmp_path / "data.bin"
    with path.open("wb") as file:
        file.truncate(256 * GIB)
        file.seek(255 * GIB)
        file.write(np.full(1000, 2, "float32").tobytes())
    rows = np.memmap(path, dtype="float32", mode="r", shape=(256 * GIB // 4000, 1000))
    data = ng.shared(rows, "data", borrow=True)
    batch, index = ng.fmatrix("batch"), ng.lscalar("index")
    f = ng.function([index], ng.sum(batch) + 1, givens={batch: data[index * 50 : (index + 1) * 50]})
    last = 255 * GIB // 4000 // 50
    assert f(0) == 1 and f(last) == 2001
    with pytest.raises(SizeError, match=r"data: its value is read-only, and a copy for the updates takes 274,877,"):
        ng.function([], updates=[(data, data + 1)])
    assert f(last) == 2001


# -- outputs in arrays of the caller's ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["cpu", "reference", "cuda-sim"])
def three(request: pytest.FixtureRequest) -> tuple[ng.Function, Any]:
    """Outputs of lengths that the compiler does not know, a number, and one found by a computed length."""
    x, n = ng.vector("x"), ng.lscalar("n")
    w = ng.shared(np.ones(3), "w")
    outputs = [x * w, ng.sum(x), x[: n * n]]
    return ng.function([x, n], outputs, updates=[(w, w + 1)], target=request.param, name="three"), w


def test_outputs_come_where_they_are_wanted(three: Any) -> None:
    f, w = three
    w.set_value(np.ones(3))
    x, arrays = np.arange(3.0), [np.empty(3), np.empty(()), np.empty(1)]
    got = f(x, 1, out=arrays)
    assert all(g is a for g, a in zip(got, arrays, strict=True))
    for array_, wanted in zip(arrays, ([0, 1, 2], 3, [0]), strict=True):
        np.testing.assert_array_equal(array_, wanted)
    # strided; some fresh; and an argument itself, which is read before it is written
    strided = np.empty(6)[::2]
    assert f(x, 1, out=(strided, None, None))[0] is strided
    np.testing.assert_array_equal(strided, [0, 2, 4])
    np.testing.assert_array_equal(f(x, 1, out=[x, None, None])[1], 3)
    np.testing.assert_array_equal(x, [0, 3, 6])
    np.testing.assert_array_equal(w.get_value(), [4, 4, 4])


def _bad_arrays() -> dict[str, tuple[Any, type[Exception], str]]:
    right, frozen, flat = np.zeros(3), read_only(), np.zeros(6)
    return {
        "too few": ([right], InputError, "got a list of 1, needs a list of 3 arrays"),
        "no list": (right, InputError, "got a ndarray, needs a list of 3 arrays"),
        "a list for an array": ([[1.0, 2, 3], None, None], InputError, "output 0 is a list, not a numpy.ndarray"),
        "length": ([np.empty(4), None, None], ArgumentShapeError, r"shape \(4,\), the output has \(3,\)"),
        "length found late": ([None, None, right], ArgumentShapeError, r"shape \(3,\), the output has \(1,\)"),
        "rank": ([None, np.empty(1), None], ArgumentShapeError, r"shape \(1,\), the output has 0 axes"),
        "dtype": ([right.astype("float32"), None, None], DtypeError, "dtype float32, the output has float64"),
        "byte order": (
            [right.astype(right.dtype.newbyteorder()), None, None],
            DtypeError,
            "float64 in another byte order",
        ),
        "read-only": ([frozen, None, None], InputError, "output 0 is read-only"),
        "one memory": ([flat[:3], None, flat[2:3]], InputError, "output 2 shares memory with that for output 0"),
        "one element": ([np.lib.stride_tricks.as_strided(right, (3,), (0,)), None, None], InputError, "share memory"),
    }


@pytest.mark.parametrize("bad", _bad_arrays())
def test_arrays_that_do_not_fit_change_nothing(three: Any, bad: str) -> None:
    f, w = three
    out, error, message = _bad_arrays()[bad]
    before = w.get_value()
    with pytest.raises(error, match=f"out: .*{message}"):
        f(np.arange(3.0), 1, out=out)
    np.testing.assert_array_equal(w.get_value(), before)


def test_the_memory_of_a_shared_variable_is_no_place_for_outputs() -> None:
    w = ng.shared(np.ones(3), "w")
    f = ng.function([], w * 2)
    with pytest.raises(InputError, match="output 0 shares memory with the shared variable w"):
        f(out=w.get_value(borrow=True))


def test_forms_of_out() -> None:
    x = ng.vector("x")
    both = ng.function([x], {"a": x + 1, "b": x * 2})
    place = np.empty(2)
    got = both([1.0, 2.0], out={"b": place})
    assert got["b"] is place and place.tolist() == [2, 4] and got["a"].tolist() == [2, 3]
    with pytest.raises(InputError, match="out: c is none of the outputs a, b"):
        both([1.0, 2.0], out={"c": place})
    with pytest.raises(InputError, match="out: got a ndarray, needs a list of 0 arrays"):
        ng.function([x], [], on_unused_input="ignore")([1.0], out=place)
    # an input of that name keeps its keyword
    out = ng.vector("out")
    assert ng.function([out], out * 2)(out=np.array([1.0])).tolist() == [2]


def test_all_of_an_array_of_the_callers_is_written(double: ng.Function) -> None:
    """Lengths that the compiler knows, and more than one chunk."""
    x = np.arange(100_000.0)
    place = np.full_like(x, np.nan)
    assert double(x, out=place) is place
    np.testing.assert_array_equal(place, x * 2)


# -- other processes ----------------------------------------------------------------------------------------------


def called(f: Any, value: float) -> float:
    return float(f(value))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_functions_go_to_other_processes(method: str) -> None:
    x, w = ng.scalar("x"), ng.shared(2.0, "w")
    f = ng.function([x], x * w, updates=[(w, w + 1)])
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.starmap(called, [(f, 1.0), (f, 3.0)], chunksize=1) == [2, 6]
    assert w.get_value() == 2


def test_functions_in_joblib() -> None:
    joblib = pytest.importorskip("joblib")
    x, w = ng.vector("x"), ng.shared(np.arange(3.0), "w")
    f = ng.function([x], ng.sum(x * w))
    for backend in ("loky", "threading"):
        found = joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(f)(np.full(3, k)) for k in range(4))
        assert list(map(float, found)) == [0, 3, 6, 9]


def test_values_that_hide_something_are_no_part_of_expressions() -> None:
    """NumPy makes an array of a masked one without a word of its mask."""
    x, masked = ng.vector("x"), np.ma.masked_array([1.0, 2.0], mask=[True, False])
    for attempt in (lambda: x + masked, lambda: ng.constant(masked), lambda: ng.where(x > 0, masked, x)):
        with pytest.raises(DtypeError, match=r"mask would be lost\n  fix: pass value\.filled"):
            attempt()


SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "@": operator.matmul, "*": operator.mul, "+": operator.add, "<": operator.lt, "%": operator.mod,
}  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS)
def test_operators_of_what_is_on_the_left(sign: str) -> None:
    """SciPy and masked arrays ask for the right operand's values: the error says what to do with the left one."""
    x, sparse = ng.matrix("x"), "ng.sparse.shared(matrix) for products with it"
    lefts: list[tuple[Any, str]] = [
        (scipy.sparse.csr_array([[1.0, 0.0]]), sparse), (scipy.sparse.coo_matrix([[1.0, 0.0]]), sparse),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]), "pass value.filled"),
    ]  # fmt: skip
    for left, fix in lefts:
        for attempt in (lambda left=left: SIGNS[sign](left, x), lambda left=left: SIGNS[sign](x, left)):
            with pytest.raises(TypeError, match=re.escape(f"fix: {fix}")):
                attempt()


def test_what_pandas_operators_do_with_a_variable() -> None:
    pandas, x = pytest.importorskip("pandas"), ng.vector("x")
    for left in (pandas.Series(VALUES), pandas.DataFrame({"a": VALUES}), pandas.Index(VALUES)):
        for sign in ("*", "+", "<", "%"):
            wanted = SIGNS[sign](np.asarray(left), np.full(3, 2.0))
            np.testing.assert_array_equal(ng.function([x], SIGNS[sign](left, x))([2.0] * 3), wanted)
    with pytest.raises(TypeError, match=r"operand on the left is of pandas.*\n  fix: left.to_numpy\(\)"):
        pandas.Series(VALUES) @ x


def test_a_library_that_asks_for_values_is_named() -> None:
    """As pandas does, which need not be there."""
    space: dict[str, Any] = {"__name__": "pandas.core.ops", "np": np}
    exec("def product(x): return np.asarray(x)\ndef rank(x): return np.ndim(x)", space)
    for asked in ("product", "rank"):
        with pytest.raises(TypeError, match="the operand on the left is of pandas"):
            space[asked](ng.vector("x"))
    with pytest.raises(TypeError, match=r"fix: use x\.ndim"):
        np.ndim(ng.vector("x"))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_products_of_numpys_matrices() -> None:
    """`*` of a numpy.matrix is a product in NumPy; element by element it would be another number, without a word."""
    x, matrix = ng.matrix("x"), np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for attempt in (lambda: matrix * x, lambda: x * matrix):
        with pytest.raises(TypeError, match=r"numpy.matrix is the product.*\n  fix: `@` for the product"):
            attempt()
    value = np.array([[1.0, 1.0], [0.0, 2.0]])
    found = ng.function([x], [matrix @ x, x @ matrix, matrix + x, ng.mul(matrix, x)])(value)
    plain = np.asarray(matrix)
    for got, wanted in zip(found, (plain @ value, value @ plain, plain + value, plain * value), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_what_to_do_with_values_that_are_no_arrays() -> None:
    x, i = ng.vector("x"), ng.lscalar("i")
    f, g = ng.function([x], x), ng.function([i], i)
    matrix = scipy.sparse.csr_array([[1.0, 0.0]])
    wanted: list[tuple[Callable[[], Any], str]] = [
        (lambda: f(v for v in (1.0, 2.0)), "fix: make a list of it"),
        (lambda: x + {1.0, 2.0}, "fix: make a list of it"),
        (lambda: g(2**70), r"fix: an integer is at least -2\*\*63"),
        (lambda: x + fractions.Fraction(1, 2), r"fix: pass float\(value\)"),
        (lambda: f(matrix), r"fix: ng\.sparse\.shared\(matrix\)"),
        (lambda: x @ matrix, r"fix: ng\.sparse\.shared\(matrix\)"),
        (lambda: f(np.array(["2020-01-01"], "M8[D]")), r"fix: pass value\.astype\('int64'\)"),
        (lambda: f(np.array(["a"])), "fix: pass numbers of a supported dtype"),
    ]
    for attempt, said in wanted:
        with pytest.raises(DtypeError, match=said):
            attempt()
