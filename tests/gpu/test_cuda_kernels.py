"""CUDA kernels in the simulator: products, reductions, softmax, against NumPy in float64, at odd lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numgraph.kernels.cuda.names import HALF
from scipy import special

from numgraph.cuda.simulator import Offset
from tests.cuda_run import empty, run

FLOATS = ["float32", "float64"]
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
# Beyond what 32 bits count.
FAR = 2**33
ONE, ZERO = np.float32(1), np.float32(0)


def draw(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_close(got: np.ndarray, want: Any, scale: float = 1.0) -> None:
    tolerance = TOLERANCE[str(got.dtype)] * scale
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype("float64")


# -- products --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(19, 21, 11), (16, 16, 4), (1, 1, 1), (3, 33, 5)])
def test_product(dtype: str, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    a, b = draw(m, k, dtype=dtype), draw(k, n, dtype=dtype, seed=1)
    kind = np.dtype(dtype).type
    out = empty((m, n), dtype)
    steps = dict(m=m, n=n, k=k, a_row=k, a_col=1, b_row=n, b_col=1, out_row=n)
    run("product", dtype, out=out, a=a, b=b, **steps, alpha=kind(1), beta=kind(0))
    assert_close(out, wide(a) @ wide(b), k)
    before = out.copy()
    run("product", dtype, out=out, a=a, b=b, **steps, alpha=kind(-0.5), beta=kind(2))
    assert_close(out, 2 * wide(before) - 0.5 * (wide(a) @ wide(b)), 4 * k)


def test_product_of_transposed_factors_into_a_wider_array() -> None:
    m, n, k = 7, 18, 9
    a, b, out = draw(k, m), draw(n, k, seed=1), empty((m, n + 3))
    run("product_b_along", sizes=dict(a_along=False), out=out, a=a, b=b, m=m, n=n, k=k, a_row=1, a_col=m, b_row=1,
        b_col=k, out_row=n + 3, alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    assert_close(out[:, :n], wide(a).T @ wide(b).T, k)
    assert np.isnan(out[:, n:]).all()


@pytest.mark.parametrize(("a_along", "b_along"), [(True, False), (False, True)])
def test_product_of_whole_tiles(a_along: bool, b_along: bool) -> None:
    m, n, k = 32, 16, 12
    a, b, out = draw(m, k), draw(k, n, seed=1), empty((m, n))
    stored = a if a_along else np.ascontiguousarray(a.T), np.ascontiguousarray(b.T) if b_along else b
    steps = dict(a_row=k, a_col=1) if a_along else dict(a_row=1, a_col=m)
    steps |= dict(b_row=1, b_col=k) if b_along else dict(b_row=n, b_col=1)
    run("product_whole_tiles", sizes=dict(a_along=a_along, b_along=b_along), out=out, a=stored[0], b=stored[1], m=m,
        n=n, k=k, **steps, out_row=n, alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    assert_close(out, wide(a) @ wide(b), k)


def test_product_takes_infinities_and_nan_where_they_are() -> None:
    a, b, out = draw(5, 6), draw(6, 7, seed=1), empty((5, 7))
    a[2, 3], b[4, 5] = np.inf, np.nan
    run("product", out=out, a=a, b=b, m=5, n=7, k=6, a_row=6, a_col=1, b_row=7, b_col=1, out_row=7, alpha=np.float32(1),
        beta=np.float32(0))  # fmt: skip
    with np.errstate(invalid="ignore"):
        assert_close(out, wide(a) @ wide(b), 6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "k"), [(5, 70), (4, 3), (1, 1)])
def test_skinny_product(dtype: str, m: int, k: int) -> None:
    kind = np.dtype(dtype).type
    x, w, out = draw(m, k + 2, dtype=dtype), draw(k, 3, dtype=dtype, seed=1), empty((m, 3), dtype)
    lengths = dict(m=m, k=k, x_row=k + 2, out_row=3)
    run("skinny_product", dtype, out=out, x=x, w=w, **lengths, w_row=3, w_col=1, alpha=kind(2), beta=kind(0))
    want = wide(x)[:, :k] @ wide(w)
    assert_close(out, 2 * want, k)
    turned = np.ascontiguousarray(w.T)
    run("skinny_product", dtype, out=out, x=x, w=turned, **lengths, w_row=1, w_col=k, alpha=kind(1), beta=kind(-1))
    assert_close(out, -want, 4 * k)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "k"), [(21, 9), (1, 4), (40, 1)])
def test_skinny_contraction_with_an_update(dtype: str, m: int, k: int) -> None:
    kind = np.dtype(dtype).type
    x, d, W = draw(m, k, dtype=dtype), draw(m, 3, dtype=dtype, seed=1), draw(k, 3, dtype=dtype, seed=2)
    want = wide(W) - 0.25 * (wide(x).T @ wide(d))
    run("skinny_contraction", dtype, out=W, x=x, d=d, m=m, k=k, part=m, x_row=k, d_row=3, out_row=3, out_part=0,
        alpha=kind(-0.25), beta=kind(1))  # fmt: skip
    assert_close(W, want, m)


def test_skinny_contraction_in_parts() -> None:
    m, k, part = 21, 9, 8
    x, d, parts, out = draw(m, k), draw(m, 3, seed=1), empty((3, k, 3)), empty((k, 3))
    run("skinny_contraction", out=parts, x=x, d=d, m=m, k=k, part=part, x_row=k, d_row=3, out_row=3, out_part=3 * k,
        alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    run("reduce_columns", out=out, x=parts, outer=1, length=3, inner=3 * k, part=3)
    assert_close(out, wide(x).T @ wide(d), m)


# -- reductions ------------------------------------------------------------------------------------------------------

REDUCE = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all}


def reduced(op: str, dtype: str) -> str:
    return "bool" if op in ("any", "all") else dtype


@pytest.mark.parametrize("op", REDUCE)
@pytest.mark.parametrize("name", ["reduce_rows", "reduce_long_rows"])
@pytest.mark.parametrize("length", [1, 37, 300])
def test_reduce_rows(op: str, name: str, length: int) -> None:
    x = draw(3, length)
    x[1] = 0
    x[2, 0] = 0
    # the table's kernel for any has another type of result than the one for sums
    kernel, sizes = ("reduce_any", None) if op in ("any", "all") else (name, None)
    out = empty(3, reduced(op, "float32"))
    run(kernel, op=op, sizes=sizes, out=out, x=x, rows=3, length=length, total=x.size)
    if out.dtype == bool:
        np.testing.assert_array_equal(out, REDUCE[op](x, axis=1))
    else:
        assert_close(out, REDUCE[op](wide(x), axis=1), length)


@pytest.mark.parametrize("op", ["sum", "max"])
def test_reduce_everything_in_two_launches(op: str) -> None:
    x = draw(1000)
    parts, out = empty(4), empty(1)
    run("reduce_long_rows", op=op, out=parts, x=x, rows=4, length=300, total=1000)
    run("reduce_long_rows", op=op, out=out, x=parts, rows=1, length=4, total=4)
    assert_close(out, REDUCE[op](wide(x)), 10)


@pytest.mark.parametrize("op", REDUCE)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_reduce_special_values(op: str, special: float) -> None:
    x = draw(4, 11)
    x[:, 7] = special
    x[1, 8] = -np.inf
    x[2, 1] = np.nan
    out = empty(4, reduced(op, "float32"))
    run("reduce_any" if op in ("any", "all") else "reduce_rows", op=op, out=out, x=x, rows=4, length=11, total=44)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(out, REDUCE[op](wide(x), axis=1), rtol=1e-5)


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", ["float64", "int64", "int32"])
def test_reduce_other_dtypes(op: str, dtype: str) -> None:
    x = (3 * draw(2, 13, dtype="float64")).astype(dtype)
    x[0, 3] = -7
    out = empty(2, dtype)
    run("reduce_rows", dtype, op, out=out, x=x, rows=2, length=13, total=26)
    np.testing.assert_allclose(out, REDUCE[op](x, axis=1), rtol=1e-13)


@pytest.mark.parametrize("op", REDUCE)
@pytest.mark.parametrize(("shape", "part"), [((2, 7, 5), 7), ((2, 7, 5), 3), ((1, 9, 1), 4), ((3, 1, 6), 1)])
def test_reduce_columns(op: str, shape: tuple[int, int, int], part: int) -> None:
    outer, length, inner = shape
    x = draw(*shape)
    x[0, 0, 0] = 0
    if op in ("any", "all"):
        x = (x > 0).astype("float32")
    parts = empty((outer, -(-length // part), inner))
    run("reduce_columns", op=op, out=parts, x=x, outer=outer, length=length, inner=inner, part=part)
    out = empty((outer, inner))
    count = parts.shape[1]
    run("reduce_columns", op=op, out=out, x=parts, outer=outer, length=count, inner=inner, part=count)
    assert_close(out, REDUCE[op](wide(x), axis=1), length)


def test_float32_sums_are_good() -> None:
    x = np.full((1, 4096), 0.1, "float32")
    x[0, 0] = 1000.0
    out = empty(1)
    run("reduce_long_rows", op="sum", out=out, x=x, rows=1, length=4096, total=4096)
    assert abs(out[0] - wide(x).sum()) < 3e-7 * out[0]


ARG = {"argmax": np.argmax, "argmin": np.argmin}


@pytest.mark.parametrize("op", ARG)
def test_arg_of_rows_and_columns(op: str) -> None:
    x = np.random.default_rng(0).integers(0, 4, size=(6, 19)).astype("float32")
    x[1, [5, 9]] = np.nan
    x[2] = np.inf
    x[3] = -np.inf
    x[4, 11] = np.nan
    want = ARG[op](x, axis=1)
    out = empty(6, "int64")
    run("arg_rows", op=op, out=out, x=x, ids=out.copy(), rows=6, length=19, total=x.size)
    np.testing.assert_array_equal(out, want)
    out = empty((1, 6), "int64")
    run("arg_columns", op=op, out=out, x=np.ascontiguousarray(x.T), outer=1, length=19, inner=6)
    np.testing.assert_array_equal(out[0], want)


@pytest.mark.parametrize("op", ARG)
def test_arg_of_everything_in_two_launches(op: str) -> None:
    x = np.random.default_rng(1).integers(0, 9, size=101).astype("float32")
    parts, out = empty(4, "int64"), empty(1, "int64")
    run("arg_rows", op=op, sizes=dict(stage="part"), out=parts, x=x, ids=parts.copy(), rows=4, length=30, total=101)
    run("arg_rows", op=op, sizes=dict(stage="ids"), out=out, x=x, ids=parts, rows=1, length=4, total=4)
    assert out[0] == ARG[op](x)


# -- softmax ---------------------------------------------------------------------------------------------------------


def logits() -> np.ndarray:
    x = 3 * draw(7, 13)
    x[1, 4] = -np.inf
    x[2] += 200
    x[3, 0] = 1e4
    x[4, 2] = np.nan
    x[5] = -np.inf
    x[6, 6] = np.inf
    return x


@pytest.mark.parametrize(
    ("name", "length"), [("softmax", 13), ("softmax", 1), ("log_softmax", 13), ("log_softmax", 100)]
)
def test_softmax(name: str, length: int) -> None:
    x = logits() if length == 13 else draw(7, length)
    out = empty(x.shape)
    run(name, out=out, x=x, rows=7, length=length)
    with np.errstate(all="ignore"):
        want = wide(x) - special.logsumexp(wide(x), axis=1, keepdims=True)
        want[~np.isfinite(x).any(1) | np.isposinf(x).any(1)] = np.nan
        assert_close(out, want if name == "log_softmax" else np.exp(want), 4)


def test_softmax_in_place() -> None:
    x = draw(3, 40)
    want = special.softmax(wide(x), axis=1)
    run("softmax", out=x, x=x, rows=3, length=40)
    assert_close(x, want)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("sizes", [None, dict(lanes=64, groups=1)])
def test_cross_entropy(in_place: bool, sizes: dict[str, int] | None) -> None:
    x = logits()
    y = np.array([3, 4, -1, 5, 0, 1, 2])
    loss, status = empty(7), np.zeros(1, "int32")
    with np.errstate(all="ignore"):
        log = wide(x) - special.logsumexp(wide(x), axis=1, keepdims=True)
        log[5:] = np.nan
        want = (np.exp(log) - np.eye(13)[y]) * 0.25
    gradient = x if in_place else empty(x.shape)
    run("cross_entropy", sizes=sizes, loss=loss, gradient=gradient, x=x, y=y, status=status, rows=7, length=13,
        scale=np.float32(0.25))  # fmt: skip
    assert_close(loss, -log[np.arange(7), y], 4)
    assert_close(gradient, want, 4)
    assert status[0] == 0


def test_cross_entropy_of_labels_outside() -> None:
    x, loss, gradient, status = draw(3, 5), empty(3), empty((3, 5)), np.zeros(1, "int32")
    run("cross_entropy", loss=loss, gradient=gradient, x=x, y=np.array([5, -6, 4]), status=status, rows=3, length=5,
        scale=np.float32(1))  # fmt: skip
    assert status[0] == 1
    np.testing.assert_array_equal(np.isnan(loss), [True, True, False])
    assert not np.isnan(gradient).any()


# -- offsets of more than 32 bits ----------------------------------------------------------------------------------


def test_rows_far_behind() -> None:
    x, out, length = draw(2, 16), empty(2), 16
    first = FAR // length
    run("reduce_rows", origin=(first // 2, 0, 0), out=Offset(out, first), x=Offset(x, FAR), rows=first + 2,
        length=length, total=FAR + 32)  # fmt: skip
    assert_close(out, wide(x).sum(1), 16)
    made = empty(x.shape)
    run("softmax", origin=(first // 2, 0, 0), out=Offset(made, FAR), x=Offset(x, FAR), rows=first + 2, length=length)
    assert_close(made, special.softmax(wide(x), axis=1))


def test_products_far_behind() -> None:
    a, b, out = draw(16, 4), draw(4, 16, seed=1), empty((16, 16))
    # the last block of the last of many turns of the second axis
    turns = FAR // 16**2 // HALF + 1
    m = 16 * HALF * turns
    run("product", origin=(0, HALF - 1, turns - 1), out=Offset(out, 16 * (m - 16)), a=Offset(a, 4 * (m - 16)), b=b, m=m,
        n=16, k=4, a_row=4, a_col=1, b_row=16, b_col=1, out_row=16, alpha=ONE, beta=ZERO)  # fmt: skip
    assert_close(out, wide(a) @ wide(b), 4)
    # far apart: a step of 2^33 elements from row to row
    x, made = draw(1, 5), empty((1, 3))
    run("skinny_product", origin=(1, 0, 0), sizes=dict(rows=1), out=Offset(made, FAR), x=Offset(x, FAR),
        w=(w := draw(5, 3)), m=2, k=5, x_row=FAR, w_row=3, w_col=1, out_row=FAR, alpha=np.float32(1),
        beta=np.float32(0))  # fmt: skip
    assert_close(made, wide(x) @ wide(w), 5)
