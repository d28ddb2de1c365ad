"""PyTensor's convolutions of signals: those of `numgraph`, with SciPy's lengths."""

from __future__ import annotations

from typing import Any

from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f


def convolve1d(in1: Any, in2: Any, mode: str = "full") -> Variable:
    """As `numgraph.convolve`; "same" is as long as in1, in the middle of the full result."""
    x, w = as_variable(in1), as_variable(in2)
    if mode == "same":
        n = ln.dim(w, -1)
        x, mode = f.pad(x, [(0, 0)] * (x.ndim - 1) + [(n // 2, (n - 1) // 2)]), "valid"
    found: Variable = f.convolve(x, w, mode)
    return found


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, method: str = "auto"
) -> Variable:
    """As `numgraph.convolve2d`. method: "direct", "fft" or "auto", without effect; OptionError for another."""
    if method not in ("direct", "fft", "auto"):
        raise OptionError(f'convolve2d: method is "direct", "fft" or "auto", not {method!r}')
    found: Variable = f.convolve2d(in1, in2, mode, boundary, fillvalue)
    return found
