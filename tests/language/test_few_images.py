"""What threads do with few images: they divide these, and rows of few rows, and results are as without threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.schedule import chunks

RNG = np.random.default_rng(11)
THREADS = (1, 2, 3, 7, 16)
# (images, filters, options): fewer images than threads, lines, filters, channels, elements of filters or none of them
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "a large image": ((1, 3, 40, 37), (4, 3, 5, 5), {"padding": "half"}),
    "an image of one channel": ((1, 1, 9, 70), (2, 1, 3, 4), {"padding": 1}),
    "three images": ((3, 2, 11, 6), (5, 2, 2, 3), {}),
    "many filters": ((1, 8, 5, 4), (200, 8, 3, 3), {"padding": 1}),
    "many channels": ((1, 30, 8, 9), (3, 30, 2, 2), {}),
    "steps": ((1, 2, 23, 18), (3, 2, 3, 2), {"stride": (2, 3), "dilation": (3, 2), "padding": ((2, 1), (0, 3))}),
    "groups": ((2, 6, 12, 9), (9, 2, 3, 3), {"groups": 3, "padding": "full"}),
    "a group for each channel": ((1, 5, 13, 8), (5, 1, 3, 3), {"groups": 5}),
    "filters of one pixel": ((1, 4, 6, 21), (7, 4, 1, 1), {}),
    "one pixel": ((1, 2, 1, 1), (3, 2, 1, 1), {}),
    "turned": ((1, 2, 10, 10), (3, 2, 4, 3), {"flip": True}),
    "no image": ((0, 2, 5, 5), (3, 2, 2, 2), {}),
    "no filter": ((1, 2, 5, 5), (0, 2, 2, 2), {}),
    "a line": ((1, 2, 300), (3, 2, 7), {"padding": 3}),
    "a line of steps": ((1, 1, 99), (2, 1, 5), {"stride": 2, "dilation": 3}),
    "planes": ((1, 2, 5, 7, 6), (3, 2, 2, 3, 3), {"padding": (1, 0, 2), "stride": (1, 2, 1)}),
}


@pytest.fixture(autouse=True)
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that can be divided is, into as many chunks as there are threads."""
    monkeypatch.setattr(chunks, "GRAIN", 1)
    monkeypatch.setattr(config, "threads", 1)


def for_threads(f: ng.Function, *values: Any) -> list[Any]:
    """What a function gives on any number of threads, which is the same."""
    found: list[Any] = []
    for threads in THREADS:
        config.threads = threads
        found.append(f(*values))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
    return list(found[0])


def all_three(ndim: int, options: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """A convolution of arrays of any lengths, and its gradients."""
    x, w = (ng.tensor(name, "float64", (None,) * ndim) for name in "xw")
    y = (ng.conv1d, ng.conv2d, ng.conv3d)[ndim - 3](x, w, **options)
    g = ng.tensor("g", "float64", (None,) * ndim)
    return [x, w, g], [y, *ng.grad(ng.sum(y * g), [x, w])]


@pytest.mark.parametrize("name", CASES)
def test_few_images_are_divided(name: str) -> None:
    images, filters, options = CASES[name]
    inputs, outputs = all_three(len(images), options)
    x, w = RNG.normal(size=images), RNG.normal(size=filters)
    g = RNG.normal(size=ng.function(inputs[:2], outputs[0], target="reference")(x, w).shape)
    wanted = ng.function(inputs, outputs, target="reference")(x, w, g)
    for got, want in zip(for_threads(ng.function(inputs, outputs), x, w, g), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_where_it_belongs(bad: float) -> None:
    inputs, outputs = all_three(4, {"padding": 1})
    x, w = RNG.normal(size=(1, 2, 30, 20)), RNG.normal(size=(3, 2, 3, 3))
    g = RNG.normal(size=(1, 3, 30, 20))
    x[0, 1, 17, 5] = g[0, 2, 4, 19] = bad
    wanted = ng.function(inputs, outputs, target="reference")(x, w, g)
    for got, want in zip(for_threads(ng.function(inputs, outputs), x, w, g), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)


def test_the_gradient_for_filters_of_a_large_image_has_parts() -> None:
    """Lines of it, which are cut where no line ends."""
    inputs, outputs = all_three(3, {})
    x, w, g = (RNG.normal(size=shape) for shape in ((1, 1, 70_001), (2, 1, 2), (1, 2, 70_000)))
    found = for_threads(ng.function(inputs, outputs), x, w, g)
    np.testing.assert_allclose(found[2][:, 0], [[g[0, k] @ x[0, 0, s : 70_000 + s] for s in (0, 1)] for k in (0, 1)])


def layered(x: Any) -> Any:
    return ng.pool2d(ng.relu(x + ng.arange(x.shape[1])[:, None, None]), 2)


def shuffled(x: Any) -> Any:
    """Parts one behind the other, and margins, along both of the first axes."""
    return ng.concatenate([ng.roll(x, 1, 0) * 2, ng.pad(x[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0)))], axis=1) + 1


ROWS: dict[str, Callable[[Any], Any]] = {
    "pooling": layered,
    "windows": lambda x: ng.sliding_window_view(x, 2, axis=-1) * 2,
    "upsampling": lambda x: ng.upsample2d(x, 2) + 1,
    "rows of rows": lambda x: ng.softmax(x, axis=-1),
    "means of channels": lambda x: x - ng.mean(x, axis=(2, 3), keepdims=True),
    "sums over channels": lambda x: ng.sum(x**3, axis=1),
    "places": lambda x: ng.argmax(x, axis=3),
    "index maps": shuffled,
    "gradient of pooling": lambda x: ng.grad(ng.sum(layered(x) ** 2), x),
    "neighbourhoods": lambda x: ng.images2neibs(x, (2, 2)),
}


@pytest.mark.parametrize("shape", [(1, 1, 4, 6), (1, 5, 4, 4), (2, 3, 2, 4), (5, 2, 4, 2), (3, 7, 2, 2)])
@pytest.mark.parametrize("name", ROWS)
def test_few_rows_are_divided(name: str, shape: tuple[int, ...]) -> None:
    x = ng.tensor4("x", dtype="float64")
    y, value = ROWS[name](x), RNG.normal(size=shape)
    wanted = ng.function([x], [y], target="reference")(value)
    for got, want in zip(for_threads(ng.function([x], [y]), value), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("threads", THREADS)
def test_each_row_is_one_chunks(threads: int) -> None:
    """Written in place, a row that two chunks have would be one more for each."""
    config.threads = threads
    x = ng.shared(np.zeros((2, 5, 3, 4)))
    f = ng.function([], updates={x: x + 1})
    assert "rows of rows" in f.source
    f()
    np.testing.assert_array_equal(x.get_value(), np.ones((2, 5, 3, 4)))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (3, 0, 4, 4), (2, 3, 0, 4)])
def test_no_rows(shape: tuple[int, ...]) -> None:
    x = ng.tensor4("x", dtype="float64")
    (got,) = for_threads(ng.function([x], [ng.upsample2d(ng.exp(x), 2)]), np.zeros(shape))
    assert got.shape == (*shape[:2], 2 * shape[2], 2 * shape[3])


def test_channels_of_one_image_are_chunks() -> None:
    x = ng.tensor4("x", dtype="float32")
    f = ng.function([x], layered(x))
    assert "rows of rows of this chunk" in f.source
    # where rows are known to be many, they alone are divided
    many = ng.shared(np.zeros((chunks.MANY_ROWS, 3, 4, 4), "float32"))
    assert "rows of rows" not in ng.function([], layered(many)).source
