"""The kernels of `kernels.convolutions` against plain loops, at the edges of memory and in any division into chunks."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numgraph.kernels import patches, tiles

from numgraph.convention import Products
from numgraph.ops import convolve as ops
from numgraph.runtime.products import product_address
from numgraph.runtime.units import unit_address, unit_source
from tests.runtime.test_tiles import Guarded, needs_fork, survives

Triple = tuple[int, int, int]
# chosen to reach: images that share a panel, pieces of a line, several blocks of rows, more filters than the product
# takes without a copy, patches that are the image, margins on all sides, planes
SHAPES: dict[str, dict[str, Any]] = {
    "one line": {"c": 2, "k": 3, "image": (1, 1, 9), "window": (1, 1, 4)},
    "a long line": {"images": 1, "c": 3, "k": 60, "image": (1, 1, 700), "window": (1, 1, 50)},
    "lines that are cut": {"images": 1, "c": 130, "k": 50, "image": (1, 3, 90), "window": (1, 2, 3)},
    "few pixels": {"images": 7, "c": 3, "k": 5, "image": (1, 4, 4), "window": (1, 3, 2)},
    "one pixel": {"images": 90, "c": 2, "k": 3, "image": (1, 2, 2), "window": (1, 2, 2)},
    "patches are the image": {"images": 2, "c": 5, "k": 7, "image": (1, 9, 8), "window": (1, 1, 1)},
    "patches of few pixels are": {"images": 9, "c": 5, "k": 7, "image": (1, 2, 3), "window": (1, 1, 1)},
    "margins": {"c": 2, "k": 2, "image": (2, 5, 6), "window": (2, 3, 3), "low": (1, 2, 1), "high": (1, 0, 2)},
    "steps": {"c": 2, "k": 2, "image": (3, 9, 8), "window": (2, 3, 2), "stride": (1, 2, 3), "dilation": (2, 1, 2)},
    "groups": {"groups": 3, "c": 2, "k": 4, "image": (1, 6, 7), "window": (1, 3, 3), "low": (0, 1, 1)},
    "groups of few pixels": {"images": 5, "groups": 2, "c": 1, "k": 2, "image": (1, 3, 3), "window": (1, 2, 2)},
    "many filters": {"c": 40, "k": 70, "image": (1, 12, 11), "window": (1, 5, 3), "low": (0, 2, 1), "high": (0, 2, 1)},
    "one channel": {"images": 1, "c": 1, "k": 2, "image": (1, 1, 150), "window": (1, 1, 5), "low": (0, 0, 2)},
    "filters that are divided": {"images": 1, "c": 3, "k": 90, "image": (1, 5, 4), "window": (1, 2, 3)},
    "channels that are divided": {"images": 1, "c": 24, "k": 2, "image": (1, 7, 9), "window": (1, 3, 3)},
    "a plane of two images": {
        "images": 2,
        "c": 1,
        "k": 3,
        "image": (3, 5, 40),
        "window": (2, 3, 2),
        "low": (1, 2, 0),
        "high": (1, 1, 3),
    },
    "an image of one pixel": {"images": 1, "c": 2, "k": 3, "image": (1, 1, 1), "window": (1, 1, 1)},
    "margins beyond": {"images": 1, "c": 1, "k": 2, "image": (2, 3, 3), "window": (2, 2, 2), "low": (3, 4, 5)},
    "one image that is its patches": {"images": 1, "c": 3, "k": 4, "image": (2, 5, 17), "window": (1, 1, 1)},
    "no image": {"images": 0, "c": 2, "k": 3, "image": (1, 4, 4), "window": (1, 2, 2)},
    "no channel": {"c": 0, "k": 3, "image": (1, 4, 4), "window": (1, 2, 2)},
    "no filter": {"c": 2, "k": 0, "image": (1, 4, 4), "window": (1, 2, 2)},
}


# Parts of the gradient for the filters: of 7 images and more, of 3 each one; lines of fewer are divided.
PARTS_OF = {1: 4, 90: 16}


@dataclass
class Case:
    """A convolution of small whole numbers, whose sums are exact in both dtypes."""

    image: Triple
    window: Triple
    c: int
    k: int
    images: int = 3
    groups: int = 1
    low: Triple = (0, 0, 0)
    high: Triple = (0, 0, 0)
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    x: Any = field(init=False)
    w: Any = field(init=False)
    g: Any = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        padded = [a + n + b for a, n, b in zip(self.low, self.image, self.high, strict=True)]
        self.result = tuple(
            (n - (r - 1) * d - 1) // s + 1
            for n, r, d, s in zip(padded, self.window, self.dilation, self.stride, strict=True)
        )
        self.x = rng.integers(-3, 4, (self.images, self.groups * self.c, *self.image)).astype("float64")
        self.w = rng.integers(-3, 4, (self.groups * self.k, self.c, *self.window)).astype("float64")
        self.g = rng.integers(-3, 4, (self.images, self.groups * self.k, *self.result)).astype("float64")

    def plain(self) -> tuple[Any, Any, Any]:
        """The result, and the gradients for images and filters of sum(g * result), by plain loops over places."""
        padded = np.pad(self.x, [(0, 0), (0, 0), *zip(self.low, self.high, strict=True)])
        out, dx, dw = np.zeros_like(self.g), np.zeros_like(padded), np.zeros_like(self.w)
        for place in np.ndindex(*self.result):
            at = tuple(
                slice(p * s, p * s + (r - 1) * d + 1, d)
                for p, s, r, d in zip(place, self.stride, self.window, self.dilation, strict=True)
            )
            for j in range(self.groups):
                own, mine = slice(j * self.c, (j + 1) * self.c), slice(j * self.k, (j + 1) * self.k)
                seen, g = padded[(slice(None), own, *at)], self.g[(slice(None), mine, *place)]
                out[(slice(None), mine, *place)] = np.einsum("nctrs,kctrs->nk", seen, self.w[mine])
                dx[(slice(None), own, *at)] += np.einsum("nk,kctrs->nctrs", g, self.w[mine])
                dw[mine] += np.einsum("nk,nctrs->kctrs", g, seen)
        inner = tuple(slice(a, a + n) for a, n in zip(self.low, self.image, strict=True))
        return out, dx[(slice(None), slice(None), *inner)], dw

    @property
    def sizes(self) -> tuple[int, ...]:
        """What the kernels are told."""
        geometry = (*self.image, *self.window, *self.result, *self.stride, *self.dilation, *self.low)
        return (self.images, self.groups, self.c, self.k, *geometry)

    def summed(self, parts: Any) -> Any:
        """The gradient for the filters, of what parts of the images add up."""
        whole = parts.sum(axis=0).reshape(self.groups, self.c, *self.window, self.k)
        return whole.transpose(0, 5, 1, 2, 3, 4).reshape(self.w.shape)


@dataclass
class Runs:
    """Calls of the kernels. chunks: how many; only: the one that runs; before: what the memory of results holds, which
    is what nobody has written; place: where arrays lie."""

    dtype: str
    memory: int
    chunks: int = 1
    only: int | None = None
    before: float = math.nan
    place: Any = lambda values: values

    def run(self, name: str, operands: list[Any], out: Any, sizes: tuple[int, ...]) -> None:
        """Call a kernel for each chunk of `out`."""
        address = unit_address(f"convolutions.{name}", self.dtype, 3)
        given = [a.ctypes.data for a in (out, *operands)]
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * (len(given) + len(sizes) + 4))
        out[...] = self.before
        for chunk in range(self.chunks) if self.only is None else [self.only]:
            kind(address)(*given, *sizes, product_address(Products(self.dtype)), chunk, self.chunks, self.memory)

    def made(self, case: Case) -> tuple[Any, Any, Any]:
        """What the three kernels make of a case, the gradient for the filters in parts."""
        x, w, g = (self.place(v.astype(self.dtype)) for v in (case.x, case.w, case.g))
        parts, rows = PARTS_OF.get(case.images, 3), case.c * math.prod(case.window)
        out, dx = (self.place(np.zeros_like(v, self.dtype)) for v in (case.g, case.x))
        dw = self.place(np.zeros((parts, case.groups, rows, case.k), self.dtype))
        self.run("convolve", [x, w], out, case.sizes)
        self.run("image_gradient", [g, w], dx, case.sizes)
        self.run("filter_gradient", [x, g], dw, (*case.sizes, parts))
        return out, dx, dw

    def results(self, case: Case) -> tuple[Any, Any, Any]:
        """The result and both gradients."""
        out, dx, dw = self.made(case)
        return out, dx, case.summed(dw)


@pytest.fixture(scope="module")
def memory() -> Any:
    """Memory that the kernels work in, full of what is no number."""
    space = np.full(patches.OWN_BYTES + 64, 0xFF, np.uint8)
    return space


def own(space: Any) -> int:
    """The aligned address in it."""
    return int(-(-space.ctypes.data // 64) * 64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_against_plain_loops(name: str, dtype: str, memory: Any) -> None:
    case = Case(**SHAPES[name])
    for chunks in (1, 2, 3, 8):
        for got, wanted in zip(Runs(dtype, own(memory), chunks).results(case), case.plain(), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", SHAPES)
def test_chunks_write_what_is_theirs(name: str, memory: Any) -> None:
    """Each element is one chunk's, which alone touches it: chunks run at the same time."""
    nobodys = float(1 << 20)
    for chunks in (2, 3, 8):
        times = [np.zeros_like(v) for v in Runs("float64", own(memory)).made(Case(**SHAPES[name]))]
        for chunk in range(chunks):
            runs = Runs("float64", own(memory), chunks, chunk, nobodys)
            for count, found in zip(times, runs.made(Case(**SHAPES[name])), strict=True):
                assert np.all(np.isfinite(found))
                count += found != nobodys
        for count in times:
            assert np.all(count == 1)


@pytest.mark.parametrize("name", SHAPES)
def test_the_number_of_chunks_changes_no_bit(name: str, memory: Any) -> None:
    case, rng = Case(**SHAPES[name]), np.random.default_rng(2)
    case.x, case.w, case.g = (rng.standard_normal(v.shape) for v in (case.x, case.w, case.g))
    first = Runs("float32", own(memory)).made(case)
    for chunks in (2, 3, 5, 16):
        for got, wanted in zip(Runs("float32", own(memory), chunks).made(case), first, strict=True):
            np.testing.assert_array_equal(got, wanted)


@settings(max_examples=60)
@given(st.data())
def test_any_geometry(data: st.DataObject) -> None:
    def triple(least: int, most: int) -> Triple:
        found = data.draw(st.tuples(*[st.integers(least, most)] * 3))
        return found[0], found[1], found[2]

    window, dilation, low, high = triple(1, 3), triple(1, 2), triple(0, 2), triple(0, 2)
    reach = [(r - 1) * d + 1 for r, d in zip(window, dilation, strict=True)]
    least = [max(r - a - b, 1) for r, a, b in zip(reach, low, high, strict=True)]
    more = triple(0, 9)
    image = (least[0] + more[0] // 3, least[1] + more[1], least[2] + more[2])
    counts = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 2), st.integers(1, 4), st.integers(1, 6)))
    images, groups, c, k = counts
    case = Case(image, window, c, k, images, groups, low, high, triple(1, 3), dilation)
    space = np.full(patches.OWN_BYTES + 64, 0xFF, np.uint8)
    chunks = data.draw(st.integers(1, 9))
    for got, wanted in zip(Runs("float32", own(space), chunks).results(case), case.plain(), strict=True):
        np.testing.assert_array_equal(got, wanted)


@needs_fork
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_outside_is_touched(dtype: str) -> None:
    blocks = [Guarded(1 << 21) for _ in range(6)]
    space = Guarded(patches.OWN_BYTES)
    # compiled before the child is made
    Runs(dtype, space.end - patches.OWN_BYTES).results(Case(**SHAPES["one line"]))

    def all_shapes() -> None:
        for at_end in (True, False):
            for options in SHAPES.values():
                left = list(blocks)

                def place(values: Any, left: list[Guarded] = left, at_end: bool = at_end) -> Any:
                    flat = left.pop().array(values.reshape(1, -1), at_end)
                    return flat.reshape(values.shape)

                case = Case(**options)
                found = Runs(dtype, space.end - patches.OWN_BYTES, 3, place=place).results(case)
                for got, wanted in zip(found, case.plain(), strict=True):
                    np.testing.assert_array_equal(got, wanted)

    assert survives(all_shapes)


def test_what_is_said_twice_is_the_same() -> None:
    assert patches.OWN_BYTES == ops.OWN_BYTES
    assert patches.PIECE == ops.PIECE
    assert patches.PANEL == tiles.SCRATCH_BYTES
    assert patches.SHARED - patches.PANEL == 8 * patches.PANEL_ELEMENTS
    assert patches.GEOMETRY - patches.SHARED == 8 * patches.SHARED_ELEMENTS


def test_a_unit_says_what_it_is() -> None:
    text = unit_source("convolutions.convolve", "float64", 3)
    assert text.startswith('"""numgraph: convolve of float64, for all functions"""')
    assert "convolve(f64(out), f64(x), f64(w), images, groups, c, k" in text
