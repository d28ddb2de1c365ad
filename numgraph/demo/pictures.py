"""Pictures that the programs leave: panels side by side in a PNG file, drawn by matplotlib where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# What draws in the axes of matplotlib that it is given.
Panel = Callable[[Any], object]
HEIGHT = 4.0  # inches


def tiles(images: ArrayLike, columns: int, shape: tuple[int, int] = (28, 28), alike: bool = False) -> NDArray[Any]:
    """Images [n, height * width] as one picture, `columns` in a row, with lines between them. Each is stretched to 0 to
    1 by itself, unless they are `alike` and keep their values."""
    pixels = np.asarray(images, "float32").reshape(-1, *shape)
    if not alike:
        low, high = pixels.min((1, 2), keepdims=True), pixels.max((1, 2), keepdims=True)
        pixels = (pixels - low) / np.maximum(high - low, 1e-8)
    (height, width), rows = shape, -(-len(pixels) // columns)
    whole = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), 0.5, "float32")
    for k, image in enumerate(pixels):
        i, j = divmod(k, columns)
        whole[i * (height + 1) :, j * (width + 1) :][:height, :width] = image
    return whole


def image(pixels: ArrayLike) -> Panel:
    """A panel with a grey picture, values 0 (black) to 1."""
    whole = np.asarray(pixels)

    def draw(axes: Any) -> None:
        axes.imshow(whole, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        axes.set_axis_off()

    return draw


def curve(values: ArrayLike, along: str = "epoch") -> Panel:
    """A panel with a line through the values, which are counted from 1."""
    found = np.asarray(values)

    def draw(axes: Any) -> None:
        axes.plot(range(1, len(found) + 1), found, ".-")
        axes.set_xlabel(along)
        axes.xaxis.get_major_locator().set_params(integer=True)

    return draw


def save(path: str | Path, panels: Mapping[str, Panel], proportions: list[float] | None = None) -> bool:
    """Draw the panels, by their titles, and write the file; says where it is, or why there is none. proportions: how
    wide the panels are, in heights."""
    wide = proportions or [1.2] * len(panels)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path} is not drawn: that takes matplotlib (pip install matplotlib)")
        return False
    figure = Figure(figsize=(HEIGHT * sum(wide), HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(1, len(panels), squeeze=False, width_ratios=wide)[0]
    for axes, (title, draw) in zip(places, panels.items(), strict=True):
        draw(axes)
        axes.set_title(title)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        print(f"{path} is not written: {error}")
        return False
    print(f"picture: {path}")
    return True
