"""NumPy's array functions, compositions of ops, against NumPy: a row for each call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.testing import check_gradient, variables_for

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4, 5))
M, V, W = A[0], np.arange(4.0), np.array([7.0, 8.0, 9.0])
# NaN in one place, and all of a part
B = A.copy()
B[0, 1, 2], B[1], B[2, 0, 0] = np.nan, np.nan, np.inf
N = np.array([3, 1, 2, 3, 0, 7])
NN = np.array([[1, 7], [9, 3]])
XP, FP = np.array([0.0, 1.0, 2.5, 4.0]), np.array([3.0, -1.0, 5.0, 5.0])
AT = np.array([[-1.0, 0.0, 0.3, 1.0], [2.5, 3.3, 4.0, np.nan]])
AXES: tuple[Any, ...] = (None, 0, -1, (0, 2))
Row = tuple[Callable[[Any], Any], tuple[Any, ...]]
CALLS: list[Row] = []


def calls(names: str, *arrays: Any, **options: Any) -> None:
    """Rows of `np.name(*arrays, **options)`."""
    for name in names.split():
        CALLS.append((lambda m, *v, name=name: getattr(m, name)(*v, **options), arrays))


def call(build: Callable[..., Any], *arrays: Any) -> None:
    """A row: a function of the module, NumPy or numgraph, and of arrays."""
    CALLS.append((build, arrays))


# statistics
for axis in AXES:
    for keepdims in (False, True):
        options = {"axis": axis, "keepdims": keepdims}
        calls("count_nonzero nansum nanprod nanmean nanmax nanmin nanmedian median", B, **options)
        calls("median", A, **options)
        calls("nanvar nanstd", B[:, :, 1:], ddof=1, **options)
        call(lambda m, x, o=options: m.quantile(x, [0.0, 0.3, 1.0], **o), A)
        call(lambda m, x, o=options: m.nanquantile(x, 0.3, **o), B)
for method in ("linear", "lower", "higher", "nearest", "midpoint"):
    call(lambda m, x, method=method: m.quantile(x, [[0.1, 0.9], [0.5, 0.33]], axis=1, method=method), A)
    call(lambda m, x, method=method: m.nanquantile(x, [0.1, 0.9], axis=1, method=method), B[:, :, 1:])
calls("percentile nanpercentile", A, 30.0)
calls("nanargmax nanargmin", B[0])
calls("nan_to_num", B)
calls("nan_to_num", B, nan=3.0, posinf=7.0, neginf=-2.0)
calls("average", A)
call(lambda m, x, w: m.average(x, axis=1, weights=w, returned=True), A, V + 1)
call(lambda m, x: m.average(x, weights=abs(x)), A)
for arrays in ((M,), (M, M[1:3] * 2 + 1), (M[0],), (M[0], M[1])):
    calls("cov corrcoef", *arrays)
calls("cov corrcoef", M, rowvar=False)
calls("cov", M, bias=True)
call(lambda m, x, f, a: m.cov(x, fweights=f, aweights=a), M, np.array([1, 2, 1, 3, 1]), np.array([0.5, 1, 2, 1, 1]))
call(lambda m, x, a: m.cov(x, aweights=a), M, np.array([0.5, 1, 2, 1, 1]))
# sets and comparisons
calls("isin union1d intersect1d setdiff1d setxor1d array_equal isclose", N, NN[:, :1].ravel()[:1])
calls("isin union1d intersect1d setdiff1d setxor1d array_equal", N, NN)
calls("isin", N, NN, invert=True)
calls("isin", np.array([np.nan, 1.0]), np.array([1.0, np.nan, 2.0]))
calls("isin", N, NN[:0])
calls("intersect1d", N, NN, return_indices=True)
calls("setdiff1d", N, NN, assume_unique=True)
calls("isclose allclose", A, A + 1e-9)
calls("isclose array_equal", B, B, equal_nan=True)
calls("isclose allclose", A * 1j, A * (1j + 1e-9))
calls("array_equal", N, N[:3])
calls("array_equal", B, B)
# layout
for options in ({}, {"indexing": "ij"}, {"sparse": True}):
    calls("meshgrid", V, W, M[0], **options)
calls("broadcast_arrays", V[:, None], W, np.float64(2.0))
call(lambda m, x, a, b: x[m.ix_(a, b)], M, np.array([2, 0]), np.array([True, False, True, False, True]))
call(lambda m: m.indices((2, 3)))
call(lambda m: [m.mgrid[0:3, 1:4], m.mgrid[0:1:5j, -1:1:0.5], *m.ogrid[0:3, 2:4], m.mgrid[0:4:2]])
for k in (-1, 0, 2):
    call(lambda m, k=k: [*m.tril_indices(4, k, 3), *m.triu_indices(4, k, 5), *m.diag_indices(3)])
calls("fliplr flipud", A)
for k in range(-1, 5):
    calls("rot90", A, k=k, axes=(0, 2))
for k in range(-3, 4):
    calls("rollaxis", A, axis=1, start=k)
call(
    lambda m, a, b: [m.dstack([a, b]), m.column_stack([a, b]), m.append(a, b), m.diagflat(a, 1), m.vander(a, 3)],
    V,
    V + 1,
)
call(lambda m, a: m.vander(a, 4, increasing=True), N)
call(lambda m, a, b: m.append(a, b, axis=1), M, M)
call(lambda m, a, b: m.block([[a, b], [b, a]]), M, M + 1)
call(lambda m, a, b: m.block([a, b, 2.0]), V, W)
call(lambda m, a: [*m.array_split(a, 3, 1), *m.array_split(a, [1, 3], 1), *m.hsplit(a, 2), *m.dsplit(a, [2])], A)
call(lambda m, a: m.extract(a > 0, a), A)
for key in (2, -1, [0, 3], slice(1, 4, 2), [], np.array([True, False, False, True, True])):
    call(lambda m, a, key=key: m.delete(a, key, 1), M)
call(lambda m, a: m.delete(a, [0, 7]), M)
for key, values, axis in (
    (1, 9.0, None), (1, 9.0, 1), (1, V, 1), ([1, 3], 9.0, 1), ([1, 1], np.arange(8.0).reshape(4, 2), 1), (-1, 5.0, 0),
    ([2, 0], [[1.0], [2.0]], 0), (2, np.arange(10.0).reshape(2, 5), 0), (2, [1.0, 2.0, 3.0], None),
    (1, np.arange(8.0).reshape(2, 4), 1),
):  # fmt: skip
    call(lambda m, a, key=key, values=values, axis=axis: m.insert(a, key, values, axis), M)
call(lambda m, a: m.select([a > 1, a > 0], [a * 2, a * 3], -1.0), A)
call(lambda m, a: m.piecewise(a, [a < 0, a > 1], [lambda x: -x, lambda x: x**2]), A)
call(lambda m, a: m.piecewise(a, [a < 0], [0.0, lambda x: x + 1]), A)
call(lambda m, a: m.lexsort([a[0], a[1], a[0] // 1]), M % 0.3)
call(lambda m, a: m.where(a > 0), M)
# samples
calls("interp", AT[:1], XP, FP)
calls("interp", AT, XP, FP, left=-9.0, right=7.0)
calls("interp", AT, XP, FP, period=3.0)
calls("interp", N, XP, FP)
for n, k in ((5, 3), (3, 5), (4, 4), (5, 2), (2, 6), (1, 3)):
    for mode in ("full", "same", "valid"):
        calls("convolve correlate", RNG.normal(size=n), RNG.normal(size=k), mode=mode)
calls("convolve", N, N[:3])
calls("cross", M[:, :3], M[0, :3])
call(lambda m, a, b: m.cross(a, b, axis=0), M[:3], M[1:])
calls("ediff1d", A)
calls("ediff1d", A, to_end=[1.0, 2.0], to_begin=-3.0)
calls("diff", M, prepend=0.0, append=M[:, :2])
calls("trapezoid", A, axis=1, dx=0.5)
calls("trapezoid", A, np.array([0.0, 1, 3, 4, 9]))
call(lambda m, a, x: m.trapezoid(a, x, axis=0), A, A + 1)
for order in (1, 2):
    calls("gradient", A, edge_order=order)
    calls("gradient", A, edge_order=order, axis=(0, 2))
    calls("gradient", M[0], np.array([0.0, 1, 3, 4, 9]), edge_order=order)
    call(lambda m, a, o=order: m.gradient(a, 0.5, np.array([0.0, 1, 3, 4]), 2.0, edge_order=o), A)
calls("unwrap", np.cumsum(A * 4, -1) % 6.28)
calls("unwrap", np.array([0, 3, -3, 3, 0]), period=6)
calls("unwrap", A * 9, discont=4.0, axis=0)
# what other functions take beside
call(lambda m, a: [m.clip(a, None, 0.5), m.clip(a, 0.5, None)], M)
call(lambda m, a: m.mean(a * 9, axis=0, dtype="int64"), M)
call(lambda m, a: m.cumsum(a, dtype="int64"), NN)
call(lambda m, a: m.linspace(a, a * 2, 5, endpoint=False), V)
call(lambda m, a: [m.logspace(a, a * 2, 5), m.geomspace(a + 1, a + 2, 5)], V)
for offset in (-2, 0, 1, 4):
    call(lambda m, a, o=offset: [m.diagonal(a, o), m.diagonal(a, o, 2, 0), a.diagonal(o, 1, 2)], A)
call(lambda m, a: [a.trace(1), a.T.diagonal(), a.compress(np.array([True, False, True]), 1)], M)
call(lambda m, a: [m.matrix_transpose(a), a.mT], A)
for k in (-1, 0, 2):
    call(lambda m, a, k=k: [*m.tril_indices_from(a, k), *m.triu_indices_from(a, k)], M)
calls("vecdot", A, A)
if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
    calls("matvec", A, A[0, 0])
    calls("vecmat", A[:, :, 0], A)
else:
    # NumPy has neither: the same sums of products
    call(lambda m, a, v: m.matvec(a, v) if m is not np else np.einsum("...ij,...j->...i", a, v), A, A[0, 0])
    call(lambda m, v, a: m.vecmat(v, a) if m is not np else np.einsum("...i,...ij->...j", v, a), A[:, :, 0], A)
calls("isposinf isneginf fix", B)


@pytest.mark.parametrize("start", range(0, len(CALLS), 40))
def test_as_in_numpy(start: int) -> None:
    inputs, outputs, values, wanted = [], [], [], []
    for number, (build, arrays) in enumerate(CALLS[start : start + 40], start):
        variables = variables_for([np.asarray(a) for a in arrays])
        made = build(ng, *variables)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = build(np, *arrays)
        made, expected = (list(v) if isinstance(v, list | tuple) else [v] for v in (made, expected))
        assert len(made) == len(expected), number
        inputs += variables
        values += arrays
        outputs += made
        wanted += [(number, np.asarray(e)) for e in expected]
    got = ng.function(inputs, outputs, target="reference", on_unused_input="ignore")(*values)
    for array, (number, expected) in zip(got, wanted, strict=True):
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape), number
        np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-14, err_msg=f"row {number}")


COMPILED = ["cpu", "cuda-sim"]


@pytest.mark.parametrize("target", COMPILED)
def test_compiled(target: str) -> None:
    """Those with kernels of their own, and some of each kind."""
    x, m, k = ng.tensor3("x"), ng.matrix("m"), ng.iscalar("k")
    n, p = ng.lvector("n"), ng.vector("p")
    value = B * 300
    outputs = [
        *(f(x, axis) for axis in (0, 2) for f in (ng.cummax, ng.cummin, ng.logcumsumexp)), np.gcd(n, 12), ng.lcm(n, 4),
        ng.median(m, 1), ng.quantile(m, [0.1, 0.6], 0), ng.interp(p, XP, FP), m[::k, 1], m[0, 4:0:-k],
        ng.isin(n, [1, 7]), ng.cov(m), ng.one_hot(n, 4), ng.delete(m, [0, 2], 1), ng.insert(m, 1, 5.0, 0),
    ]  # fmt: skip
    got = ng.function([x, m, k, n, p], outputs, target=target)(value, M, 2, N, AT[0])
    with np.errstate(all="ignore"):
        wanted = [
            *(f.accumulate(value, axis) for axis in (0, 2) for f in (np.maximum, np.minimum, np.logaddexp)),
            np.gcd(N, 12), np.lcm(N, 4), np.median(M, 1), np.quantile(M, [0.1, 0.6], 0), np.interp(AT[0], XP, FP),
            M[::2, 1], M[0, 4:0:-2], np.isin(N, [1, 7]), np.cov(M), N[:, None] == np.arange(4.0),
            np.delete(M, [0, 2], 1), np.insert(M, 1, 5.0, 0),
        ]  # fmt: skip
    for number, (a, b) in enumerate(zip(got, wanted, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14, err_msg=str(number))


STEPPED = ["x[::k]", "x[:,::k,1]", "x[0,::k,::-k]", "x[...,1::k]", "x[:,None,3:0:k]", "x[1,None,-9::k,2]", "x[::k,1:]"]


def test_symbolic_steps() -> None:
    """As NumPy's slices; a part can be set."""
    x, k = ng.tensor3("x"), ng.iscalar("k")
    parts = [eval(key, {"x": x, "k": k}) for key in STEPPED]
    f = ng.function([x, k], parts + [ng.set_subtensor(part, -1.0) for part in parts], target="reference")
    for step in (1, 2, 7, -1, -2):
        got = f(A, step)
        for key, part, copy in zip(STEPPED, got, got[len(STEPPED) :], strict=False):
            np.testing.assert_array_equal(part, eval(key, {"x": A, "k": step}))
            changed = A.copy()
            exec(f"{key} = -1.0", {"x": changed, "k": step})
            np.testing.assert_array_equal(copy, changed)
    with pytest.raises(ng.AssertionFailed, match="the step of a slice is 0"):
        f(A, 0)
    with pytest.raises(ng.DtypeError, match="beside index arrays"):
        x[::k, [0, 1]]


@pytest.mark.parametrize("axis", [(0, 2), (2, 0), (1,), (0, 1, 2)])
def test_argmax_of_several_axes(axis: Any) -> None:
    x, v = ng.tensor3("x"), np.round(A)
    rest = [a for a in range(3) if a not in axis]
    lines = np.transpose(v, [*rest, *axis]).reshape([*(v.shape[a] for a in rest), -1])
    kept = [1 if a in axis else n for a, n in enumerate(v.shape)]
    got = ng.function([x], [ng.argmax(x, axis), ng.argmin(x, axis), ng.argmax(x, axis, True)], target="reference")(v)
    wanted = [np.argmax(lines, -1), np.argmin(lines, -1), np.argmax(lines, -1).reshape(kept)]
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batched_dot_of_all_ranks() -> None:
    shapes = [((3,), (3,)), ((3,), (3, 4)), ((3, 4), (3, 4)), ((3, 2, 4), (3, 4)), ((3, 2, 5, 4), (3, 4, 2))]
    shapes += [((3, 4), (3, 4, 2)), ((3, 2, 4), (3, 5, 4, 2))]
    pairs = [[RNG.normal(size=s) for s in pair] for pair in shapes]
    variables = [variables_for(pair) for pair in pairs]
    f = ng.function(
        [v for pair in variables for v in pair], [ng.batched_dot(*pair) for pair in variables], target="reference"
    )
    for got, (a, b) in zip(f(*(a for pair in pairs for a in pair)), pairs, strict=True):
        np.testing.assert_allclose(got, np.array([np.dot(x, y) for x, y in zip(a, b, strict=True)]), rtol=1e-12)


GRADIENTS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "interp": (ng.interp, [np.array([[-1.0, 0.2], [3.3, 9.0]]), XP, FP]),
    "median": (lambda x: ng.median(x, 1), [M]),
    "quantile": (lambda x: ng.quantile(x, [0.2, 0.77], 0), [M]),
    "nanmean": (lambda x: ng.nanmean(ng.where(x > 1, np.nan, x), 0), [M]),
    "cov": (ng.cov, [M]), "average": (lambda x, w: ng.average(x, weights=w), [M, np.abs(M)]),
    "cummax": (lambda x: ng.cummax(x, 1), [M]), "logcumsumexp": (lambda x: ng.logcumsumexp(x, 0), [M]),
    "convolve": (lambda x, w: ng.convolve(x, w, "same"), [M[0], M[1, :3]]),
    "cross": (ng.cross, [M[:, :3], M[0, 1:4]]), "trapezoid": (ng.trapezoid, [M, np.arange(5.0) ** 2]),
    "gradient": (lambda x: ng.gradient(x, axis=0, edge_order=2), [M]),
    "select": (lambda x: ng.select([x > 1, x > 0], [x**2, x**3], -x), [M]),
    "insert": (lambda x, y: ng.insert(x, 1, y, 0), [M, M[0]]),
    "put_along_axis": (lambda x, y: ng.put_along_axis(x, np.array([[1], [0], [3], [2]]), y, 1), [M, M[:, :1]]),
    "step": (lambda x: x[:: ng.as_tensor_variable(np.int64(2)) + 0], [M]),
    "modf": (lambda x: ng.modf(x)[0], [M]), "frexp": (lambda x: ng.frexp(x)[0], [M]),
    "gelu": (ng.gelu, [M]), "silu": (ng.silu, [M]), "mish": (ng.mish, [M]), "celu": (lambda x: ng.celu(x, 0.7), [M]),
    "glu": (lambda x: ng.glu(x, 0), [M]), "log_sigmoid": (ng.log_sigmoid, [M]), "softmin": (ng.softmin, [M]),
    "leaky_relu": (ng.leaky_relu, [M]), "hard_swish": (ng.hard_swish, [M]), "squareplus": (ng.squareplus, [M]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    build, arrays = GRADIENTS[name]
    check_gradient(build, arrays, order=1)


def test_parts_of_floats() -> None:
    values = [0.0, -0.0, 1.0, -1.5, 8.0, 5e-324, -2.2e-308, 1.79e308, np.inf, -np.inf, np.nan, 0.1, 1e-310, 0.5]
    for dtype in ("float64", "float32"):
        x = ng.vector("x", dtype)
        with np.errstate(all="ignore"):
            v = np.array(values).astype(dtype)
            wanted = [*np.frexp(v), *np.modf(v), np.spacing(v)]
        for got, expected in zip(ng.function([x], [*np.frexp(x), *np.modf(x), np.spacing(x)])(v), wanted, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)


def test_activations() -> None:
    """Closed forms, and what they are far from 0."""
    x = ng.vector("x")
    v = np.array([-1e3, -3.0, -0.5, 0.0, 0.5, 3.0, 1e3])
    names = "gelu silu mish log_sigmoid relu6 hard_tanh hard_swish leaky_relu celu squareplus".split()
    got = ng.function([x], [getattr(ng, name)(x) for name in names] + [ng.gelu(x, True)], target="reference")(v)
    with np.errstate(all="ignore"):
        s = 1 / (1 + np.exp(-v))
        wanted = [
            v * [math.erfc(-a / math.sqrt(2)) / 2 for a in v], v * s, v * np.tanh(np.logaddexp(v, 0)),
            -np.logaddexp(-v, 0), np.clip(v, 0, 6), np.clip(v, -1, 1),
            v * np.clip(v + 3, 0, 6) / 6, np.where(v < 0, 0.01 * v, v), np.where(v > 0, v, np.expm1(np.minimum(v, 0))),
            (v + np.sqrt(v * v + 4)) / 2,
        ]  # fmt: skip
    for name, array, expected in zip(names, got, wanted, strict=False):
        np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(got[-1], got[0], atol=5e-4)
    labels = ng.lvector("y")
    hot = ng.function([labels], [ng.one_hot(labels, 3), ng.one_hot(labels, 3, "int8", axis=0)], target="reference")
    np.testing.assert_array_equal(hot([0, 2, -1])[0], [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(hot([0, 2, -1])[1], hot([0, 2, -1])[0].T)


def test_join_and_split_dims() -> None:
    x = ng.tensor3("x")
    outputs = [ng.join_dims(x, 1), ng.join_dims(x, 0, 2), ng.join_dims(x, 1, 0), ng.split_dims(x, (2, -1), 1)]
    got = ng.function([x], outputs, target="reference")(A)
    assert [a.shape for a in got] == [(3, 20), (12, 5), (3, 1, 4, 5), (3, 2, 2, 5)]
    with pytest.raises(ng.ShapeError, match="join_dims: 3 axes"):
        ng.join_dims(x, 1, 3)


MISTAKES: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "quantile": (lambda x: ng.quantile(x, 1.5), ValueError, "q must lie"),
    "method": (lambda x: ng.quantile(x, 0.5, method="new"), ng.OptionError, "method must be one of linear"),
    "meshgrid": (lambda x: ng.meshgrid(x), ng.ShapeError, "vectors are needed"),
    "indexing": (lambda x: ng.meshgrid(indexing="yx"), ng.OptionError, "xy"),
    "average": (lambda x: ng.average(x, weights=x[0, 0]), ng.ShapeError, "weights are"),
    "vander": (lambda x: ng.vander(x), ng.ShapeError, "a vector is needed"),
    "select": (lambda x: ng.select([x > 0], []), ng.ShapeError, "1 conditions and 0 choices"),
    "block": (lambda x: ng.block([[x], x]), ng.ShapeError, "nested to one depth"),
    "diagonal": (lambda x: ng.diagonal(x, 0, 1, 1), ng.ShapeError, "two axes"),
    "interp": (lambda x: ng.interp(x, x, x), ng.ShapeError, "must be vectors"),
    "convolve": (lambda x: ng.convolve(x[0, 0, 0], x), ng.ShapeError, "vectors are needed"),
    "mode": (lambda x: ng.convolve(x[0, 0], x[0, 0], "all"), ng.OptionError, "full"),
    "gradient": (lambda x: ng.gradient(x, 1.0, 2.0), ng.ShapeError, "2 spacings for 3 axes"),
    "one_hot": (lambda x: ng.one_hot(x, 3), ng.DtypeError, "labels must be integers"),
    "gcd": (lambda x: ng.gcd(x, 2), ng.DtypeError, "gcd is defined for integers"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    build, error, text = MISTAKES[name]
    with pytest.raises(error, match=text):
        build(ng.tensor3("x"))
