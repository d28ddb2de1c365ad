"""The digits: 10,000 images of MNIST, or a file of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

DATA_FILE = "mnist10k.npz"
# Shares of the rows, in the file's order: training, validation; the rest is for the test.
TRAIN, VALID = 0.8, 0.1


@dataclass(frozen=True)
class Part:
    """Images float32[n, features] with values 0 to 1, and labels int32[n]."""

    x: NDArray[np.float32]
    y: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Digits:
    """A data set in three parts. classes: number of different labels."""

    train: Part
    valid: Part
    test: Part
    classes: int

    @property
    def features(self) -> int:
        """Number of pixels of an image."""
        return int(self.train.x.shape[1])


def load(path: str | Path | None = None) -> Digits:
    """The data set in the `.npz` file `path`, by default the digits that come with numgraph.

    The file holds `x`, images of any shape [n, ...] (integers are taken as grey levels 0 to 255, floats as they are),
    and `y`, labels 0, 1, ... [n]. The first 80 % of the rows are for training, the next 10 % for validation, the rest
    for the test. FileNotFoundError when there is no such file, ValueError for one of other content.
    """
    source = shipped() if path is None else Path(path)
    try:
        with np.load(source, allow_pickle=False) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (KeyError, TypeError, BadZipFile) as error:
        raise ValueError(
            f"{source}: expected an .npz file with the arrays 'x' (images) and 'y' (labels): {error}"
        ) from error
    _check(source, x, y)
    scale = np.float32(1 / 255) if x.dtype.kind in "iu" else np.float32(1)
    images = x.reshape(len(x), -1).astype(np.float32) * scale
    labels = y.astype(np.int32)
    a, b = int(len(y) * TRAIN), int(len(y) * TRAIN) + int(len(y) * VALID)
    train, valid, test = (Part(images[rows], labels[rows]) for rows in (slice(a), slice(a, b), slice(b, None)))
    return Digits(train, valid, test, classes=int(labels.max()) + 1)


def shipped() -> Path:
    """The path of the digits that come with numgraph: in `numgraph.data`, which is `bench/data` of the source tree."""
    try:
        return Path(str(files("numgraph.data"))) / DATA_FILE
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / "bench" / "data" / DATA_FILE


def _check(source: Path, x: NDArray[Any], y: NDArray[Any]) -> None:
    """ValueError for arrays that are no labelled images."""
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"{source}: x has shape {x.shape} and y {y.shape}; expected [n, ...] and [n]")
    if len(y) < 10:
        raise ValueError(
            f"{source}: {len(y)} rows cannot be split into training, validation and test; at least 10 are needed"
        )
    if y.dtype.kind not in "iu" or x.dtype.kind not in "iuf":
        raise ValueError(f"{source}: x is {x.dtype} and y {y.dtype}; expected numbers and integers")
    if y.min() < 0:
        raise ValueError(f"{source}: labels are counted from 0, found {y.min()}")
