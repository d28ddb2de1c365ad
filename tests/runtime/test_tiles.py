"""The matrix products of `kernels.tiles` against NumPy, at the edges of memory and in any division into chunks."""

from __future__ import annotations

import ctypes
import faulthandler
import itertools
import mmap
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numgraph.kernels import tiles

from numgraph.config import config
from numgraph.processor import available, processor
from numgraph.runtime import native
from numgraph.runtime.products import IN_PARTS, dots_source, parts_source
from tests.waits import in_child

DTYPES = ("float32", "float64")
# that dot products take at a time
COLUMNS = (1, 2, 3, 4, 5, 6)
# around the lengths of vectors, of tiles and of blocks of k
LENGTHS = (0, 1, 2, 5, 6, 7, 8, 9, 10, 13, 15, 16, 17, 23, 31, 33, 64, 65)
Product = Callable[..., None]


LEVELS = available()[1:]
# Compiled as generated code is: in one piece.
SOURCE = """
import numpy as np
from numgraph.kernels.support import entry, f64, i64, table_of
from numgraph.kernels.tiles import dgemm_tile, sgemm_tile


@entry
def enter(array, part):
    t = i64(table_of(array))
    x = f64(table_of(array))
    if t[0] == 4:
        sgemm_tile(
            t[20], t[1], t[2], t[3], t[4], t[17], t[18], t[5], t[19], np.float32(x[6]), t[7], t[8], t[9], t[10], t[11],
            t[12], np.float32(x[13]), t[14], t[15], t[16],
        )
    else:
        dgemm_tile(
            t[21], t[1], t[2], t[3], t[4], t[17], t[18], t[5], t[19], x[6], t[7], t[8], t[9], t[10], t[11], t[12],
            x[13], t[14], t[15], t[16],
        )
    return part
"""


def product_of(module: Any, folder: Path, in_parts: bool | None = None) -> Product:
    """A function `(a, b, out, alpha, beta, rows, columns, scratch)` of arrays, float32 or float64.

    in_parts: whether it uses parts of vectors; None: where programs do.
    """
    path = folder / f"product_{module.VECTOR}.py"
    path.write_text(SOURCE)
    symbol, code = native.compile_source(path, SOURCE)
    engine, address = native.link(symbol, code)
    table = np.zeros(22, np.int64)
    # of the addresses that products are told, those of dot products and of parts of vectors
    texts = [[dots_source(dtype, COLUMNS), parts_source(dtype)] for dtype in DTYPES]
    apart = [[native.link(*native.compile_source(path, text)) for text in pair] for pair in texts]
    in_parts = module.VECTOR == IN_PARTS if in_parts is None else in_parts
    units = np.array([[0, dots, parts if in_parts else 0] for (_, dots), (_, parts) in apart], np.int64)
    table[20:] = units[0].ctypes.data, units[1].ctypes.data
    enter = native.Native(address, path, 0.0, False).bind(table)
    space = np.zeros(module.SCRATCH_BYTES + 64, np.uint8)
    own = -(-space.ctypes.data // 64) * 64

    def product(
        a: Any, b: Any, out: Any, alpha: float = 1.0, beta: float = 0.0, rows: Any = None, columns: Any = None,
        scratch: int = own, near: int = 0, keep: Any = (engine, space, apart, units),
    ) -> None:  # fmt: skip
        (m, k), n, size = a.shape, b.shape[1], a.itemsize
        assert out.shape == (m, n) and (out.strides[1] == size or n < 2 or m == 0)
        table[:6] = size, *(rows or (0, m)), *(columns or (0, n)), k
        table[17:20] = m, n, near
        table[7:10] = a.ctypes.data, a.strides[0] // size, a.strides[1] // size
        table[10:13] = b.ctypes.data, b.strides[0] // size, b.strides[1] // size
        table[14:17] = out.ctypes.data, out.strides[0] // size, scratch
        table.view(np.float64)[[6, 13]] = alpha, beta
        enter(0)

    return product


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The product as this processor runs it."""
    return product_of(tiles, tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="module", params=["sse2", "avx2", "avx512f", *LEVELS])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product for another processor: one of the levels that this one has; or with vectors of other lengths, which
    LLVM turns into what there is, on any."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param in LEVELS:
            patch.setattr(config, "cpu", request.param)
        else:
            pretended = replace(processor(), has=frozenset({request.param}))
            patch.setattr(native, "processor", lambda: pretended)
        yield product_of(native.kernel_module("tiles"), tmp_path_factory.mktemp("foreign"))


def whole_numbers(rng: Any, dtype: str, rows: int, columns: int, transposed: bool) -> Any:
    """A matrix of small whole numbers, so that products of it have no rounding errors."""
    shape = (columns, rows) if transposed else (rows, columns)
    found = rng.integers(-4, 5, shape).astype(dtype)
    return found.T if transposed else found


def check_exact(product: Product, dtype: str, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m * 10000 + n * 100 + k)
    for turned_a, turned_b in itertools.product((False, True), repeat=2):
        a = whole_numbers(rng, dtype, m, k, turned_a)
        b = whole_numbers(rng, dtype, k, n, turned_b)
        out = np.full((m, n), np.nan, dtype)
        product(a, b, out)
        want = a.astype("float64") @ b.astype("float64")
        np.testing.assert_array_equal(out, want, f"{m} x {k} x {n}, transposed: {turned_a}, {turned_b}")
        product(a, b, out, -0.5, 2.0)
        np.testing.assert_array_equal(out, 1.5 * want, f"{m} x {k} x {n}, transposed: {turned_a}, {turned_b}, added")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [0, 1, 3, 8, 20, 137])
def test_lengths(product: Product, dtype: str, k: int) -> None:
    for m, n in itertools.product(LENGTHS, repeat=2):
        check_exact(product, dtype, m, n, k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (20, 10, 784), (784, 10, 600), (1, 500, 784), (1, 1, 1030), (600, 1, 137), (130, 530, 300), (49, 1030, 10),
        (1030, 9, 290), (3, 5, 1700), (300, 77, 1025), (50, 520, 1100),
        (600, 10, 785), (601, 1, 1001), (601, 2, 791), (31, 32, 3001), (33, 6, 64),
    ],
)  # fmt: skip
def test_blocks(product: Product, dtype: str, m: int, n: int, k: int) -> None:
    check_exact(product, dtype, m, n, k)


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_vectors(foreign: Product, dtype: str) -> None:
    for m, n, k in itertools.product((1, 5, 8, 17, 33, 65), (1, 3, 7, 10, 16, 31, 49, 130), (0, 1, 9, 140)):
        check_exact(foreign, dtype, m, n, k)
    check_exact(foreign, dtype, 70, 1030, 300)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), [(9, 10, 50), (60, 70, 400), (5, 500, 1500), (300, 10, 784)])
def test_rounding_errors(product: Product, dtype: str, m: int, n: int, k: int) -> None:
    """Chains are summed first and then each other: at most so many roundings of the sum of absolute products."""
    rng = np.random.default_rng(0)
    a, b, old = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n), (m, n)))
    out = old.copy()
    product(a, b, out, 0.3, 0.7)
    wide = np.longdouble
    alpha, beta = (wide(np.dtype(dtype).type(x)) for x in (0.3, 0.7))
    want = alpha * (a.astype(wide) @ b.astype(wide)) + beta * old
    size = alpha * (np.abs(a).astype(wide) @ np.abs(b).astype(wide)) + beta * np.abs(old)
    chain = min(k, tiles.LONG_K_BLOCK if k >= tiles.LONG_K else tiles.K_BLOCK)
    roundings = chain + k / chain + 4
    assert (np.abs(out - want) <= roundings * np.finfo(dtype).eps / 2 * size).all()


@given(data=st.data(), dtype=st.sampled_from(DTYPES), alpha=st.sampled_from([1.0, -0.3]), beta=st.sampled_from([0, 1]))
def test_shares_give_the_same_bits(product: Product, data: Any, dtype: str, alpha: float, beta: float) -> None:
    m, n = (data.draw(st.integers(1, 90)) for _ in range(2))
    k = data.draw(st.sampled_from([1, 7, 20, 136, 137, 500, 1100]))
    rng = np.random.default_rng(m * n)
    a = rng.standard_normal((k, m)).astype(dtype).T if data.draw(st.booleans()) else rng.standard_normal((m, k))
    b = rng.standard_normal((n, k)).astype(dtype).T if data.draw(st.booleans()) else rng.standard_normal((k, n))
    a, b = a.astype(dtype, order="K"), b.astype(dtype, order="K")
    start = rng.standard_normal((m, n)).astype(dtype)
    whole, shared = start.copy(), start.copy()
    product(a, b, whole, alpha, beta)
    cuts = [sorted({0, length, *data.draw(st.lists(st.integers(0, length), max_size=3))}) for length in (m, n)]
    for rows, columns in itertools.product(*(itertools.pairwise(c) for c in cuts)):
        before = shared.copy()
        product(a, b, shared, alpha, beta, rows, columns)
        before[slice(*rows), slice(*columns)] = shared[slice(*rows), slice(*columns)]
        np.testing.assert_array_equal(shared, before, "written outside of the chunk")
    np.testing.assert_array_equal(shared.view(np.uint8), whole.view(np.uint8))


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_of_vectors_give_the_same_bits(dtype: str, tmp_path: Path) -> None:
    """Also on processors where programs do not use them."""
    parts, packed = (product_of(tiles, tmp_path, in_parts) for in_parts in (True, False))
    rng = np.random.default_rng(5)
    # around the rows that are taken at a time, and the blocks of k
    for m, k in itertools.product((1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 49, 60), (0, 1, 20, 136, 137, 700, 1100)):
        for n in range(1, tiles.VECTOR // np.dtype(dtype).itemsize + 1):
            a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
            start = rng.standard_normal((m, n)).astype(dtype)
            start[0, 0] = -0.0
            for alpha, beta in ((1.0, 0.0), (-0.3, 1.0), (-0.0, 0.0)):
                found, expected = start.copy(), start.copy()
                parts(a, b, found, alpha, beta)
                packed(a, b, expected, alpha, beta)
                np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8), f"{m} x {k} x {n}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_strides(product: Product, dtype: str) -> None:
    rng = np.random.default_rng(1)
    space = rng.integers(-4, 5, (150, 150)).astype(dtype)
    views = [
        space[:40:3, 1:90:4], space[60:10:-1, 100:3:-2], space[::2, ::2].T, space[40:90, 7:20], space[7:20, 40:90].T,
        np.broadcast_to(space[3], (11, 150)), np.broadcast_to(space[3], (150, 150)).T,
    ]  # fmt: skip
    for a, b in itertools.product(views, repeat=2):
        k = min(a.shape[1], b.shape[0])
        a, b = a[:, :k], b[:k]
        out = np.full((a.shape[0], b.shape[1] + 3), 7, dtype)
        product(a, b, out[:, 1:-2])
        np.testing.assert_array_equal(out[:, 1:-2], a.astype("float64") @ b.astype("float64"))
        assert (out[:, [0, -2, -1]] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), [(7, 10, 5), (30, 3, 20), (13, 40, 200), (2, 3, 150), (30, 10, 153)])
def test_nan_and_infinity(product: Product, dtype: str, m: int, n: int, k: int) -> None:
    """As in plain loops: also where a factor is 0, and where alpha is; old values count unless beta is 0."""
    rng = np.random.default_rng(2)
    for turned_a, turned_b in itertools.product((False, True), repeat=2):
        a, b = whole_numbers(rng, dtype, m, k, turned_a), whole_numbers(rng, dtype, k, n, turned_b)
        a[0, k - 1], a[m - 1, 0], b[k // 2, n - 1], b[0, 0] = np.nan, np.inf, -np.inf, 0
        old = whole_numbers(rng, dtype, m, n, False)
        old[m - 1, n - 1], old[m // 2, 0] = np.nan, np.inf
        with np.errstate(invalid="ignore"):
            sums = (a.astype("float64")[:, :, None] * b.astype("float64")).sum(axis=1)
            for alpha, beta in ((1.0, 0.0), (2.0, 1.0), (0.0, 0.5), (1.0, np.nan)):
                out = old.copy()
                product(a, b, out, alpha, beta)
                want = alpha * sums + (beta * old.astype("float64") if beta != 0 else 0)
                np.testing.assert_array_equal(out, want, f"{turned_a}, {turned_b}, {alpha}, {beta}")


class Guarded:
    """Memory between two pages that nobody may touch."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        inner = -(-size // page) * page
        self.map = mmap.mmap(-1, inner + 2 * page)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + page
        self.end = self.start + inner
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for address in (self.start - page, self.end):
            assert protect(address, page, 0) == 0, os.strerror(ctypes.get_errno())

    def array(self, values: Any, at_end: bool) -> Any:
        """A copy of `values`, of the same order of axes, whose last (or first) element is beside the page."""
        turned = values.strides[0] < values.strides[1]
        source = values.T if turned else values
        address = self.end - source.nbytes if at_end else self.start
        memory = (ctypes.c_char * source.nbytes).from_address(address)
        found = np.frombuffer(memory, values.dtype).reshape(source.shape)
        found[...] = source
        return found.T if turned else found


def survives(action: Callable[[], object]) -> bool:
    """Whether a child process that does it ends as it should."""

    def quietly() -> bool:
        faulthandler.disable()
        action()
        return True

    with warnings.catch_warnings():
        # a child with one thread is all that is wanted
        warnings.simplefilter("ignore", DeprecationWarning)
        return in_child(quietly) == 0


needs_fork = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages and forks")


@needs_fork
def test_guard_pages_guard() -> None:
    guarded = Guarded(64)
    assert survives(lambda: ctypes.memset(guarded.end - 8, 1, 8))
    assert not survives(lambda: ctypes.memset(guarded.end - 8, 1, 9))
    assert not survives(lambda: ctypes.memset(guarded.start - 1, 1, 2))


@needs_fork
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_outside_is_touched(product: Product, dtype: str) -> None:
    blocks = [Guarded(1 << 22) for _ in range(3)]
    scratch = Guarded(tiles.SCRATCH_BYTES)
    aligned = scratch.end - tiles.SCRATCH_BYTES

    def check(m: int, n: int, k: int, at_end: bool) -> None:
        rng = np.random.default_rng(3)
        for turned_a, turned_b in itertools.product((False, True), repeat=2):
            a = blocks[0].array(whole_numbers(rng, dtype, m, k, turned_a), at_end)
            b = blocks[1].array(whole_numbers(rng, dtype, k, n, turned_b), at_end)
            old = whole_numbers(rng, dtype, m, n, False)
            out = blocks[2].array(old, at_end)
            product(a, b, out, 1.0, 1.0, scratch=aligned)
            np.testing.assert_array_equal(out, a.astype("float64") @ b.astype("float64") + old)

    def all_lengths() -> None:
        for m, n, k in itertools.product((1, 2, 5, 7, 9, 17, 60), (1, 3, 7, 8, 10, 17, 21, 70), (1, 3, 8, 9, 21, 140)):
            check(m, n, k, at_end=True)
            check(m, n, k, at_end=False)
        for m, n, k in ((60, 300, 800), (10, 530, 700), (530, 9, 130), (70, 1030, 30), (200, 260, 300)):
            check(m, n, k, at_end=True)

    assert survives(all_lengths)
