"""NumPy by hand: buffers made once, results written in place, gradients in closed form (`bench.byhand`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench import byhand, problems
from bench.peers import NotOffered, Program
from bench.problems import Array, Sizes


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """The program by hand. threads: of BLAS, set by the environment; NumPy's own loops use one."""
    if kind in byhand.STEPS:
        return _stepping(kind, sizes)
    arrays = problems.data(kind, sizes)
    if kind == "lstm":
        return _cell(sizes, arrays[0])
    if kind == "scalar":
        return Program(partial(problems.chain, np), [(0.3, 0.7)], "ufuncs on Python floats")
    if kind == "gradient":
        raise NotOffered("gradients are derived by hand")
    return Program(byhand.FUNCTIONS[kind](*arrays), [tuple(arrays)], "ufuncs into buffers made once")


def _stepping(kind: str, sizes: Sizes) -> Program:
    x, y = problems.data(kind, sizes)
    params = problems.start(kind, sizes)
    step = byhand.STEPS[kind](params, byhand.Part(x, y), sizes["B"], problems.RATES[kind])
    return _stateful(step, params, kind, sizes, sizes["R"] // sizes["B"])


def _cell(sizes: Sizes, xs: Array) -> Program:
    state = problems.start("lstm", sizes)
    cell = byhand.Cell(state, xs, *problems.cell_weights(sizes))
    return _stateful(cell, state, "lstm", sizes, sizes["T"])


def _stateful(step: Callable[[int], Any], state: list[Array], kind: str, sizes: Sizes, count: int) -> Program:
    def reset() -> None:
        for array, first in zip(state, problems.start(kind, sizes), strict=True):
            array[...] = first

    arguments = [(k,) for k in range(count)]
    made = Program(step, arguments, "by hand, in place", reset=reset, state=lambda: [p.copy() for p in state])
    return made.looped("loop over the step")
