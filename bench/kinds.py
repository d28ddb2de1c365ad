"""What a kind of problem is, and NumPy's functions for the references in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = dict[str, int]


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    sizes: what the letters of the formulas mean, with their usual values. flops, bytes: arithmetic per call (an
    elementary function counts as one) and what has to come from or go to memory, parameters being in the cache.
    footprint: bytes that successive calls walk over; whether they stay in a cache decides the bandwidth. traffic:
    "read" or "copy", the pattern of access. rtol, atol: how close results must be to the reference.
    steps: the state changes from call to call. drawn: of a kind with random numbers, how close the last result, a
    summary of calls that draw for themselves, must be. text: what it is.
    """

    text: str
    sizes: Sizes
    flops: str
    bytes: str
    footprint: str
    traffic: str = "read"
    rtol: float = 1e-5
    atol: float = 1e-6
    steps: bool = False
    drawn: float = 0.0

    def work(self, formula: str, sizes: Sizes) -> int:
        """The value of one of the formulas."""
        return int(eval(formula, {"__builtins__": {}}, dict(sizes)))  # our own strings, above


class Plain:
    """NumPy's functions by the names that the formulas use."""

    exp, tanh, sin, sum, mean = np.exp, np.tanh, np.sin, np.sum, np.mean
    roll, where, fft = np.roll, np.where, np.fft

    @staticmethod
    def sigmoid(x: Array) -> Array:
        """The logistic function."""
        return 1 / (1 + np.exp(-x))

    @staticmethod
    def softmax(x: Array, axis: int) -> Array:
        """exp(x) over its sum, shifted by the maximum."""
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    @staticmethod
    def softplus(x: Array) -> Array:
        """log(1 + exp(x))."""
        return np.logaddexp(0, x)

    @staticmethod
    def answers(x: Array, W: Array) -> Array:
        """What the filters W [K, C, n, n] answer on images x [B, C, G, G]."""
        seen = sliding_window_view(x, W.shape[2:], (2, 3))
        return np.asarray(np.einsum("bcyxrs,kcrs->bkyx", seen, W, optimize=True))

    @staticmethod
    def halved(y: Array) -> Array:
        """The largest of each 2 x 2."""
        images, filters, rows, columns = y.shape
        return np.asarray(y.reshape(images, filters, rows // 2, 2, columns // 2, 2).max((3, 5)))

    @staticmethod
    def pooled(x: Array, W: Array) -> Array:
        """The largest of each 2 x 2 of what the filters answer."""
        return Plain.halved(Plain.answers(x, W))

    @staticmethod
    def surprise(scores: Array, y: Array) -> Any:
        """The mean of -log p(class), p the softmax of the scores."""
        return -np.log(Plain.softmax(scores, 1)[np.arange(len(y)), y]).mean()
