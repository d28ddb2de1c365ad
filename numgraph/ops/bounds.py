"""Arithmetic on lengths that generated code does in one statement. Users do not call these."""

from __future__ import annotations

import numpy as np

from numgraph.op import Op, boolean, int64

__all__: list[str] = []

slice_bound = Op(
    name="slice_bound",
    args=("bound", "length"),
    doc="A bound of a slice with positive step as a position in [0, length]: negative bounds count from the end.",
    dtype=int64,
    numpy=lambda bound, length: np.minimum(np.maximum(np.where(bound < 0, bound + length, bound), 0), length),
    grad=None,
    no_grad="a position is an integer",
    scalar="minimum(maximum(bound + length if bound < 0 else bound, 0), length)",
    dtypes=("int64",),
)

BEFORE = Op(
    name="before",
    args=("index", "cut"),
    doc="Whether an index is below the place where an index map begins to read elsewhere: loops are cut there.",
    dtype=boolean,
    numpy=np.less,
    grad=None,
    no_grad="an index is an integer",
    scalar="index < cut",
    dtypes=("int64",),
)

align64 = Op(
    name="align64",
    args=("size",),
    doc="A number of bytes rounded up to a multiple of 64, a cache line.",
    dtype=int64,
    numpy=lambda size: (size + 63) // 64 * 64,
    grad=None,
    no_grad="a size is an integer",
    scalar="((size + 63) >> 6) << 6",
    dtypes=("int64",),
)
