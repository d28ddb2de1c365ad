"""Kinds of windows, pooling and convolution; images and filters are often windows of one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view as windows_of

from tests.differential import drawer as d
from tests.differential.drawer import Drawer
from tests.differential.grades import Worth


def is_small(w: Worth) -> bool:
    return w.array.size <= 400


def windowed(g: Drawer) -> str | None:
    """Windows along the last axis, and what is made of them."""
    x = g.pick(d.has_axes(1), is_small)
    if x is None or g.array(x).shape[-1] < 1:
        return None
    size = g.one_of([k for k in (1, 2, 3) if k <= g.array(x).shape[-1]])
    dilation = g.one_of([k for k in (1, 2) if (size - 1) * k < g.array(x).shape[-1]])
    text = f"ng.sliding_window_view({x}, {size}, -1, stride={g.one_of((1, 2, 3))}, dilation={dilation})"
    if g.chance(0.5) or not g.worth[x].tame:
        return g.step(text, "move", "windows")
    return g.step(f"ng.sum({text}, axis=-1)", "sum", "windows") if not d.is_bool(g.worth[x]) else None


def pooled(g: Drawer) -> str | None:
    """Pooling of one axis or two, also in windows that overlap or reach over the end."""
    x = g.pick(d.is_number, d.is_tame, d.has_axes(1), is_small)
    if x is None:
        return None
    axes = 2 if g.array(x).ndim > 1 and g.chance(0.6) else 1
    least = min(g.array(x).shape[-axes:])
    if least < 1:
        return None
    size = g.one_of([k for k in (1, 2, 3) if k <= least])
    mode = g.one_of(("max", "max", "sum", "mean")) if d.is_float(g.worth[x]) else g.one_of(("max", "sum"))
    margin = f", padding={size - 1}" if g.chance(0.3) else ""
    over = ", partial=True" if g.chance(0.3) else ""
    text = f"ng.pool{axes}d({x}, {size}, {g.one_of((1, 2, 3))}{margin}, mode={mode!r}{over})"
    if mode == "max" and d.is_float(g.worth[x]) and g.chance(0.4):
        return g.step(f"ng.grad(ng.sum({text}), {x}, disconnected_inputs='ignore')", "slope", "gradient of images")
    return g.step(text, {"max": "move", "sum": "sum", "mean": "smooth"}[mode], "pool")


def convolved(g: Drawer) -> str | None:
    """A convolution of an array with a part of it or of another one, or a gradient of one."""
    x = g.pick(d.is_float, d.is_tame, d.is_exact, d.has_axes(1), is_small)
    if x is None or 0 in g.array(x).shape:
        return None
    ndim = min(g.array(x).ndim, 4)
    part = {
        1: "[None, None, :{k}]", 2: "[None, None, :{k}, :{m}]", 3: "[None, :, :{k}, :{m}]", 4: "[:2, :, :{k}, :{m}]",
    }[ndim].format(k=g.one_of((1, 2, 3)), m=g.one_of((1, 2)))  # fmt: skip
    image = x + {1: "[None, None]", 2: "[None, None]", 3: "[None]", 4: ""}[ndim]
    options = [f"padding={g.one_of((0, 1, (2,), 'half', 'full'))!r}".replace("(2,)", "2")]
    options += [f"stride={g.one_of((1, 1, 2))}", f"flip={g.chance(0.3)}"]
    axes = 1 if ndim == 1 else 2
    if g.array(x).ndim > 4:
        return None
    text = f"ng.conv{axes}d({image}, {x}{part}, {', '.join(options)})"
    if g.chance(0.3):
        return g.step(f"ng.grad(ng.sum({text} ** 2), {x}, disconnected_inputs='ignore')", "slope", "gradient of images")
    return g.step(text, "sum", "convolution")


class Twins:
    """The same for arrays, by plain loops over places."""

    @staticmethod
    def sliding_window_view(x: Any, size: int, axis: int, stride: int, dilation: int) -> Any:
        found = windows_of(x, (size - 1) * dilation + 1, axis)
        return found[..., ::stride, ::dilation]

    @staticmethod
    def pool1d(x: Any, size: int, stride: int, padding: int = 0, mode: str = "max", partial: bool = False) -> Any:
        return _pooled(x, 1, size, stride, padding, mode, partial)

    @staticmethod
    def pool2d(x: Any, size: int, stride: int, padding: int = 0, mode: str = "max", partial: bool = False) -> Any:
        return _pooled(x, 2, size, stride, padding, mode, partial)

    @staticmethod
    def conv1d(x: Any, w: Any, padding: Any, stride: int, flip: bool) -> Any:
        return Twins.conv2d(x[:, :, None], w[:, :, None], ((0,), padding), (1, stride), flip)[:, :, 0]

    @staticmethod
    def conv2d(x: Any, w: Any, padding: Any, stride: Any, flip: bool) -> Any:
        if flip:
            w = w[:, :, ::-1, ::-1]
        each = padding if isinstance(padding, tuple) else (padding, padding)
        margins = [_margin(p, n) for p, n in zip(each, w.shape[2:], strict=True)]
        padded = np.pad(x, [(0, 0), (0, 0), *((m, m) for m in margins)])
        steps = stride if isinstance(stride, tuple) else (stride, stride)
        seen = windows_of(padded, w.shape[2:], (2, 3))[:, :, :: steps[0], :: steps[1]]
        return np.einsum("nchwrs,kcrs->nkhw", seen, w)


def _margin(padding: Any, n: int) -> int:
    named = {"half": n // 2, "full": n - 1}
    return named[padding] if isinstance(padding, str) else padding[0] if isinstance(padding, tuple) else padding


def _pooled(x: Any, axes: int, size: int, stride: int, padding: int, mode: str, partial: bool) -> Any:
    counts, lead = [], x.shape[: x.ndim - axes]
    for n in x.shape[x.ndim - axes :]:
        most = (n + 2 * padding - size) // stride + 1
        if partial:
            most = min(max(-(-(n + 2 * padding - size) // stride), 0) + 1, (n + padding - 1) // stride + 1)
        counts.append(max(most, 0))
    dtype = np.mean(x[..., :0], dtype=None).dtype if mode == "mean" else x.dtype
    function: Any = {"max": np.max, "sum": np.sum, "mean": np.mean}[mode]
    out = np.zeros((*lead, *counts), np.sum(x[:0]).dtype if mode == "sum" else dtype)
    for place in np.ndindex(*counts):
        at = tuple(slice(max(p * stride - padding, 0), max(p * stride - padding + size, 0)) for p in place)
        out[(..., *place)] = function(x[(..., *at)], axis=tuple(range(-axes, 0)))
    return out
