"""Convolution, pooling and windows as users call them, against NumPy; on each target."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial as partial_of
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.config import config
from tests.language.test_matrices import value

TARGETS = ("cpu", "reference", "cuda-sim")
RNG = np.random.default_rng(7)
X, W = RNG.normal(size=(3, 4, 7, 6)), RNG.normal(size=(5, 4, 3, 2))


def convolved(x: Any, w: Any, **options: Any) -> Any:
    """What a convolution gives, of arrays of unknown lengths."""
    return value(lambda a, b: ng.conv2d(a, b, **options), x, w)


def correlated(x: Any, w: Any) -> Any:
    """`conv2d` of SciPy's correlations."""
    return np.stack([[sum(map(_correlate, image, filters)) for filters in w] for image in x])


def _correlate(a: Any, b: Any) -> Any:
    from scipy import signal  # takes seconds

    return signal.correlate(a, b, "valid")


@pytest.mark.parametrize("target", TARGETS)
def test_convolution_is_scipys_correlation(target: str) -> None:
    got = value(ng.conv2d, X, W, target=target)
    np.testing.assert_allclose(got, correlated(X, W), rtol=1e-12, atol=1e-12)
    flipped = value(lambda a, b: ng.conv2d(a, b, flip=True), X, W, target=target)
    np.testing.assert_allclose(flipped, correlated(X, W[:, :, ::-1, ::-1]), rtol=1e-12, atol=1e-12)


def test_padding_stride_dilation_and_groups_are_what_they_say() -> None:
    padded = np.pad(X, [(0, 0), (0, 0), (1, 1), (1, 1)])
    np.testing.assert_allclose(convolved(X, W, padding="half"), correlated(padded, W), atol=1e-12)
    np.testing.assert_allclose(convolved(X, W, padding=1), correlated(padded, W), atol=1e-12)
    full = np.pad(X, [(0, 0), (0, 0), (2, 2), (1, 1)])
    np.testing.assert_allclose(convolved(X, W, padding="full"), correlated(full, W), atol=1e-12)
    uneven = np.pad(X, [(0, 0), (0, 0), (0, 2), (3, 1)])
    np.testing.assert_allclose(convolved(X, W, padding=((0, 2), (3, 1))), correlated(uneven, W), atol=1e-12)
    np.testing.assert_allclose(convolved(X, W, stride=(2, 3)), correlated(X, W)[..., ::2, ::3], atol=1e-12)
    wide = np.zeros((5, 4, 5, 4))
    wide[..., ::2, ::3] = W
    np.testing.assert_allclose(convolved(X, W, dilation=(2, 3)), correlated(X, wide), atol=1e-12)
    both = convolved(X, W[:4, :2], groups=2)
    parts = [correlated(X[:, :2], W[:2, :2]), correlated(X[:, 2:], W[2:4, :2])]
    np.testing.assert_allclose(both, np.concatenate(parts, axis=1), atol=1e-12)


def test_one_and_three_axes() -> None:
    line = value(ng.conv1d, X[:, :, 0], W[:, :, 0])
    np.testing.assert_allclose(line, correlated(X[:, :, :1], W[:, :, :1])[:, :, 0], atol=1e-12)
    cube, filters = RNG.normal(size=(2, 3, 4, 5, 6)), RNG.normal(size=(2, 3, 2, 3, 2))
    np.testing.assert_allclose(value(ng.conv3d, cube, filters), correlated(cube, filters), atol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"stride": (2, 3)}, {"padding": 1, "dilation": 2}, {"flip": True, "stride": 2}]
)
def test_transposed_convolution_is_the_adjoint(options: dict[str, Any]) -> None:
    y = convolved(X, W, **options)
    g = RNG.normal(size=y.shape)
    back = value(lambda a, b: ng.conv_transpose2d(a, b, output_shape=(7, 6), **options), g, W)
    np.testing.assert_allclose(np.sum(back * X), np.sum(y * g), rtol=1e-10)
    least = value(lambda a, b: ng.conv_transpose2d(a, b, **options), g, W)
    assert least.shape[2] <= 7 and least.shape[3] <= 6 and convolved(least, W, **options).shape == y.shape


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
@pytest.mark.parametrize(
    "options", [{}, {"padding": (2, 1), "stride": (2, 1)}, {"dilation": (1, 2), "flip": True}, {"groups": 2}]
)
def test_gradients_on_each_target(target: str, options: dict[str, Any]) -> None:
    filters = W[:4, :2] if options.get("groups") else W
    found = []
    for where in ("reference", target):
        x, w = ng.tensor("x", "float64", (None,) * 4), ng.tensor("w", "float64", (None,) * 4)
        cost = ng.sum(ng.tanh(ng.conv2d(x, w, **options)))
        first = ng.grad(cost, [x, w])
        second = ng.grad(ng.sum(first[0] ** 2) + ng.sum(first[1] ** 3), [x, w])
        found.append(ng.function([x, w], [*first, *second], target=where)(X, filters))
    for wanted, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_results_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = RNG.normal(size=(40, 3, 12, 12)).astype("float32"), RNG.normal(size=(9, 3, 5, 5)).astype("float32")
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(config, "threads", threads)

        def all_three(a: Any, b: Any) -> Any:
            y = ng.conv2d(a, b)
            return (y, *ng.grad(ng.sum(y**2), [a, b]))

        found.append(value(all_three, x, w))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_number_that_is_none_reaches_what_looks_at_it() -> None:
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    got = convolved(x, np.ones((1, 1, 2, 2)))[0, 0]
    assert np.isnan(got[0, 0]) and np.isinf(got[2, 2]) and np.all(got.ravel()[1:-1] == 4)
    # a margin is zeros, and nothing else
    assert np.isinf(convolved(x, np.ones((1, 1, 1, 1)), padding=1)[0, 0, 4, 4])


def test_images_are_resident_and_sliced() -> None:
    data, filters = RNG.normal(size=(20, 1, 8, 8)), ng.shared(RNG.normal(size=(2, 1, 3, 3)), name="filters")
    images, x, i = ng.shared(data, name="images"), ng.tensor4("x", dtype="float64"), ng.lscalar("i")
    cost = ng.mean(ng.conv2d(x, filters) ** 2)
    step = ng.function(
        [i], cost, updates=[(filters, filters - 0.1 * ng.grad(cost, filters))], givens={x: images[i * 4 : (i + 1) * 4]}
    )
    before = filters.get_value()
    np.testing.assert_allclose(step(3), np.mean(correlated(data[12:16], before) ** 2), rtol=1e-10)
    assert not np.array_equal(before, filters.get_value())
    # another number of images compiles nothing anew
    images.set_value(data[:18])
    np.testing.assert_allclose(step(4), np.mean(correlated(data[16:18], filters.get_value()) ** 2), rtol=1)
    assert len(step.executor.variants) == 1


def test_a_convolution_in_the_steps_of_a_scan() -> None:
    x, w = ng.tensor4("x", dtype="float64"), ng.tensor4("w", dtype="float64")
    states, _ = ng.scan(lambda h: ng.tanh(ng.conv2d(h, w, padding="half")), outputs_info=x, n_steps=3)
    start, filters = RNG.normal(size=(2, 2, 5, 5)), RNG.normal(size=(2, 2, 3, 3))
    last, gradient = ng.function([x, w], [states[-1], ng.grad(ng.sum(states[-1]), w)])(start, filters)
    h = start
    for _ in range(3):
        h = np.tanh(correlated(np.pad(h, [(0, 0), (0, 0), (1, 1), (1, 1)]), filters))
    np.testing.assert_allclose(last, h, rtol=1e-10)
    unrolled = x
    for _ in range(3):
        unrolled = ng.tanh(ng.conv2d(unrolled, w, padding="half"))
    wanted = ng.function([x, w], ng.grad(ng.sum(unrolled), w), target="reference")(start, filters)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda x, w: ng.conv2d(x, w, padding="same"), ng.OptionError, '"valid", "half", "full"'),
        (lambda x, w: ng.conv2d(x, w, stride=0), ng.OptionError, "stride must be an integer or 2 of them, 1 or more"),
        (lambda x, w: ng.conv2d(x, w, padding=(1, 2, 3)), ng.OptionError, "a number, or a pair, for each of 2 axes"),
        (lambda x, w: ng.conv2d(x[0], w), ng.ShapeError, r"conv2d takes images \(images, channels, height, width\)"),
        (lambda x, w: ng.conv3d(x, w), ng.ShapeError, "depth, height, width"),
        (lambda x, w: ng.pool2d(x, 2, mode="median"), ng.OptionError, "max, mean, sum"),
        (lambda x, w: ng.pool2d(x, 2, padding=2), ng.OptionError, "padding is less than a window"),
        (lambda x, w: ng.sliding_window_view(x, 3, (0, 1)), ng.ShapeError, "1 lengths for 2 axes"),
    ],
)
def test_what_is_refused_when_it_is_built(call: Callable[..., Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(ng.tensor4("x"), ng.tensor4("w"))


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_what_is_refused_when_it_runs(target: str) -> None:
    with pytest.raises(ng.ShapeError, match="images of 4 channels, filters for 3"):
        value(ng.conv2d, X, W[:, :3], target=target)
    with pytest.raises(ng.ShapeError, match=r"an axis of 2 pixels.*shorter than a filter, 3"):
        value(ng.conv2d, X[:, :, :2], W, target=target)
    with pytest.raises(ng.ShapeError, match="a filter of 0 pixels"):
        value(ng.conv2d, X, W[:, :, :0], target=target)
    with pytest.raises(ng.ShapeError, match="cannot be divided among the groups"):
        value(lambda a, b: ng.conv2d(a, b, groups=2), X, W[:, :2], target=target)
    with pytest.raises(ng.ShapeError, match="an axis of 6 elements is shorter than a window, 7"):
        value(lambda a: ng.pool2d(a, 7), X, target=target)


# -- windows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_sliding_windows_are_numpys(target: str) -> None:
    view = np.lib.stride_tricks.sliding_window_view
    for window, axis in ((3, 2), ((2, 4), (3, 2)), ((1, 2, 3, 2), None)):
        got = value(lambda a, w=window, x=axis: ng.sliding_window_view(a, w, x), X, target=target)
        np.testing.assert_array_equal(got, view(X, window, axis))
    apart = value(lambda a: ng.sliding_window_view(a, (2, 2), (2, 3), stride=3, dilation=2), X, target=target)
    np.testing.assert_array_equal(apart, view(X, (3, 3), (2, 3))[:, :, ::3, ::3, ::2, ::2])


def test_windows_are_not_stored() -> None:
    v = ng.vector("v", dtype="float64")
    smooth = ng.function([v], ng.sliding_window_view(v, 3).mean(axis=-1))
    assert "f64(table[AT_TEMPORARIES]" not in smooth.source
    np.testing.assert_allclose(smooth(np.arange(6.0)), [1, 2, 3, 4])


def test_gradient_of_windows_of_any_stride() -> None:
    for stride, dilation, window in ((1, 1, 3), (2, 1, 3), (3, 2, 2), (4, 1, 3), (2, 1, 2)):

        def cost(x: Any, s: int = stride, d: int = dilation, w: int = window) -> Any:
            return ng.sliding_window_view(x, w, stride=s, dilation=d) ** 3

        testing.check_gradient(cost, [RNG.normal(size=11)])


# -- pooling -----------------------------------------------------------------------------------------------------------


def pooled(x: Any, size: Any, stride: Any, low: Any, high: Any, function: Any, fill: float) -> Any:
    """Pooling of the last two axes by plain loops; `function` gets the pixels of a window."""
    padded = np.pad(x, [(0, 0), (0, 0), (low[0], high[0]), (low[1], high[1])], constant_values=fill)
    counts = [(n - k) // s + 1 for n, k, s in zip(padded.shape[2:], size, stride, strict=True)]
    out = np.zeros((*x.shape[:2], *counts))
    for i, j in np.ndindex(*counts):
        a, b = i * stride[0], j * stride[1]
        out[:, :, i, j] = function(padded[:, :, a : a + size[0], b : b + size[1]], axis=(2, 3))
    return out


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mode", ["max", "sum", "mean"])
def test_pooling(mode: str, target: str) -> None:
    function, fill = {"max": (np.max, -np.inf), "sum": (np.sum, 0), "mean": (np.nanmean, np.nan)}[mode]
    for size, stride, padding in (
        ((2, 2), None, 0),
        ((3, 2), (1, 2), 0),
        ((2, 3), (2, 2), (1, 2)),
        ((1, 1), (3, 2), 0),
    ):
        got = value(lambda a, k=size, s=stride, p=padding: ng.pool2d(a, k, s, p, mode), X, target=target)
        low = (padding,) * 2 if isinstance(padding, int) else padding
        np.testing.assert_allclose(got, pooled(X, size, stride or size, low, low, function, fill), rtol=1e-12)


@pytest.mark.parametrize("mode", ["max", "sum", "mean"])
@pytest.mark.parametrize("sizes", [((2, 2), (2, 2)), ((3, 4), (2, 3)), ((2, 2), (3, 3)), ((5, 5), (5, 5))])
def test_windows_that_reach_over_the_end(mode: str, sizes: Any) -> None:
    size, stride = sizes
    function, fill = {"max": (np.max, -np.inf), "sum": (np.sum, 0), "mean": (np.nanmean, np.nan)}[mode]
    over = [-(n - k) % s if n >= k else k - n for n, k, s in zip(X.shape[2:], size, stride, strict=True)]
    # a window begins inside
    over = [o if o < k else 0 for o, k in zip(over, size, strict=True)]
    got = value(lambda a: ng.pool2d(a, size, stride, mode=mode, partial=True), X)
    np.testing.assert_allclose(got, pooled(X, size, stride, (0, 0), over, function, fill), rtol=1e-12)


def test_a_mean_may_count_the_padding() -> None:
    got = value(lambda a: ng.pool2d(a, 2, padding=1, mode="mean", count_padding=True), X)
    np.testing.assert_allclose(got, pooled(X, (2, 2), (2, 2), (1, 1), (1, 1), np.mean, 0.0), rtol=1e-12)


def test_pooling_of_one_and_three_axes_and_of_integers() -> None:
    np.testing.assert_array_equal(value(lambda a: ng.pool1d(a, 3), X), X.reshape(3, 4, 7, 2, 3).max(axis=-1))
    cube = X[:, :, :6].reshape(3, 4, 3, 4, 3)
    got = value(lambda a: ng.pool3d(a, (1, 2, 3)), cube)
    np.testing.assert_array_equal(got, cube.reshape(3, 4, 3, 2, 2, 3).max(axis=(4, 5))[..., None])
    whole = np.arange(16).reshape(4, 4)
    assert value(lambda a: ng.pool2d(a, 2), whole).tolist() == [[5, 7], [13, 15]]
    assert value(lambda a: ng.pool2d(a, 2, padding=1), -whole)[0, 0] == 0
    assert value(lambda a: ng.pool2d(a, 2, mode="mean"), whole).tolist() == [[2.5, 4.5], [10.5, 12.5]]


@pytest.mark.parametrize("target", TARGETS)
def test_the_largest_of_a_window_share_the_gradient(target: str) -> None:
    tied = np.array([[[[1.0, 1.0, 5.0], [0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]]])

    def gradient(x: Any) -> Any:
        return ng.grad(ng.sum(ng.pool2d(x, 2, partial=True) * 3.0), x)

    wanted = [[1.0, 1.0, 3.0], [0.0, 1.0, 0.0], [1.5, 1.5, 3.0]]
    np.testing.assert_allclose(value(gradient, tied, target=target)[0, 0], wanted)


def test_gradient_of_pooling_by_differences() -> None:
    for mode in ("max", "mean", "sum"):
        for options in ({}, {"stride": 1}, {"padding": 1}, {"partial": True}, {"size": (2, 4), "stride": 3}):
            chosen = {"size": 2, "mode": mode, **options}
            testing.check_gradient(lambda x, o=chosen: ng.pool2d(x, **o) ** 2, [RNG.normal(size=(1, 2, 5, 6))])


# -- neighbourhoods, and more pixels -----------------------------------------------------------------------------------


def test_neighbourhoods_and_back() -> None:
    x = np.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    rows = value(lambda a: ng.images2neibs(a, (2, 3)), x)
    wanted = [x[n, c, i : i + 2, j : j + 3].ravel() for n in range(2) for c in range(3) for i in (0, 2) for j in (0, 3)]
    np.testing.assert_array_equal(rows, wanted)
    np.testing.assert_array_equal(value(lambda a: ng.neibs2images(a, (2, 3), (2, 3, 4, 6)), rows), x)
    assert value(lambda a: ng.images2neibs(a, 3, 1, mode="half"), x).shape == (2 * 3 * 4 * 6, 9)
    assert value(lambda a: ng.images2neibs(a, (2, 2), (1, 1), mode="full"), x).shape == (2 * 3 * 5 * 7, 4)


@pytest.mark.parametrize("target", TARGETS[:2])
def test_sizes_and_strides_that_a_call_gives(target: str) -> None:
    """They are what numbers are, also a stride beside a known size and the other way round."""
    image = np.random.default_rng(1).normal(size=(2, 1, 7, 6))
    x, k, s, both = ng.tensor4("x"), ng.lscalar("k"), ng.lscalar("s"), ng.lvector("both")
    made: list[Callable[..., Any]] = []
    for mode in ("max", "mean", "sum"):
        for partial in (False, True):
            made.append(partial_of(ng.pool2d, mode=mode, partial=partial))
    made += [lambda v, size, stride: ng.pool2d(v, size, stride, padding=1, mode="mean"),
             lambda v, size, stride: ng.images2neibs(v, size, stride),
             lambda v, size, stride: ng.images2neibs(v, size, stride, "half")]  # fmt: skip
    sizes: list[tuple[Any, Any, int, int]] = [
        ((k, 2), (s, 1), 3, 2),
        (k, None, 3, 1),
        (both, (2, s), 3, 2),
        (2, s, 3, 3),
    ]
    for call in made:
        for size, stride, a, b in sizes:
            fixed = [[{k: a, s: b}.get(n, n) for n in v] if isinstance(v, tuple) else {k: a, s: b}.get(v, v)
                     for v in ((3, 2) if size is both else size, stride)]  # fmt: skip
            out = call(x, size, stride)
            f = ng.function([x, k, s, both], [out, ng.grad((out**2).sum(), x)], target=target, on_unused_input="ignore")
            wanted = call(x, *fixed)
            g = ng.function([x], [wanted, ng.grad((wanted**2).sum(), x)], target=target)
            for got, want in zip(f(image, a, b, [3, 2]), g(image), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    strided = ng.function([x, s], ng.pool2d(x, 2, s), target=target)
    with pytest.raises(ng.AssertionFailed, match="the step from window to window is below 1"):
        strided(image, 0)
    sized = ng.function([x, k], ng.pool2d(x, k), target=target)
    for size, said in ((0, "a window of 0 elements"), (8, "an axis of 7 elements is shorter than a window, 8")):
        with pytest.raises(ng.ShapeError, match=said):
            sized(image, size)


def test_upsampling_and_its_gradient() -> None:
    got = value(lambda a: ng.upsample2d(a, (2, 3)), X)
    np.testing.assert_array_equal(got, X.repeat(2, axis=2).repeat(3, axis=3))
    testing.check_gradient(lambda x: ng.upsample1d(x, 3) ** 2, [RNG.normal(size=(2, 4))])
    assert value(lambda a: ng.upsample3d(a, 2), X).shape == (3, 8, 14, 12)


@pytest.mark.filterwarnings("ignore:.*Cannot cache compiled function")  # which it does not where nothing is optimised
def test_exported_module_computes_convolutions(tmp_path: Any) -> None:
    x, w = ng.tensor4("x", dtype="float32"), ng.shared(W.astype("float32"), name="w")
    f = ng.function([x], [ng.pool2d(ng.conv2d(x, w), 2)], name="exported")
    f.export(tmp_path / "images.py")
    space: dict[str, Any] = {"__name__": "images", "__file__": str(tmp_path / "images.py")}
    exec(compile((tmp_path / "images.py").read_text(), str(tmp_path / "images.py"), "exec"), space)
    for got, wanted in zip(space["step"](X.astype("float32")), f(X.astype("float32")), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_a_filter_that_reaches_too_far_is_refused(target: str) -> None:
    """Kernels of devices count the pixels that a filter reaches over in 32 bits."""
    x, w = ng.tensor4("x", dtype="float32"), ng.tensor4("w", dtype="float32")
    y = ng.conv2d(x, w, padding="half", dilation=(1, 1 << 29))
    f = ng.function([x, w], y, target=target)
    with pytest.raises(ng.ShapeError, match="may reach over 1073741824 pixels at most"):
        f(np.zeros((1, 1, 1, 3), "float32"), np.zeros((1, 1, 1, 3), "float32"))


@pytest.mark.parametrize("target", ["reference", "cpu"])
@pytest.mark.parametrize("mode", ["max", "mean", "sum"])
def test_pooling_of_no_pixels_with_a_margin_is_refused(target: str, mode: str) -> None:
    """A window would have nothing but margin in it, of which there is no largest pixel."""
    x = ng.matrix("x")
    f = ng.function([x], ng.pool1d(x, 3, 1, padding=2, mode=mode, partial=True), target=target)
    assert f(np.ones((2, 4))).shape == (2, 6)
    with pytest.raises(ng.ShapeError, match="pool: a length is 0, not 1"):
        f(np.ones((2, 0)))
    with pytest.raises(ng.ShapeError, match="images without pixels"):
        ng.pool1d(ng.tensor("x", dtype="float64", shape=(0,)), 3, 1, padding=2, mode=mode)
