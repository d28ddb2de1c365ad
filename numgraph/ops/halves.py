"""Numbers of float16 as compiled code computes with them: float32 numbers that are halves.

Arrays of float16 are arrays of 16-bit codes to code: `half_value` reads them, `half_code` writes them, and what an op
with a result of float16 computes is `half_rounded`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.op import Op, floating
from numgraph.types import FLOATS

__all__: list[str] = []

MADE = "it is made when a function is compiled"


def _codes() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([np.array([0, 1, 1023, 1024, 15360, 31743, 31744, 32256, 32768, 48128, 64512], np.float32)], {})]


def _halves() -> list[tuple[list[Any], dict[str, Any]]]:
    # the last three: the smallest half, less than half of it, and the least number that is rounded to infinity
    numbers = [0.0, -0.0, 0.1, -1.5, 2049.0, 2051.0, 65519.0, np.inf, -np.inf, np.nan, 6e-8, -2.9e-8, 65520.0]
    return [([np.array(numbers, np.float32)], {})]


ROUNDED = Op(
    "half_rounded", ("x",), "x rounded to the nearest number of float16.", floating,
    lambda x: x.astype("float16").astype(x.dtype), None, no_grad=MADE, scalar="half_rounded(x)", dtypes=FLOATS, cost=4,
    samples=_halves,
)  # fmt: skip
CODE = Op(
    "half_code", ("x",), "The 16 bits of the number of float16 nearest to x, as a whole number.", floating,
    lambda x: x.astype("float16").view("uint16").astype("float32"), None, no_grad=MADE, scalar="half_code(x)",
    dtypes=("float32",), cost=5, samples=_halves,
)  # fmt: skip
VALUE = Op(
    "half_value", ("code",), "The number of float16 with these 16 bits.", floating,
    lambda code: code.astype("uint16").view("float16").astype("float32"), None, no_grad=MADE,
    scalar="half_value(code)", dtypes=("float32",), cost=5, samples=_codes,
)  # fmt: skip
