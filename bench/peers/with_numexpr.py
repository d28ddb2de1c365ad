"""numexpr: elementwise expressions and sums of them, threaded, in blocks that stay in the cache."""

from __future__ import annotations

import numexpr
import numpy as np

from bench import problems
from bench.peers import NotOffered, Program
from bench.problems import Sizes

CHAIN = "2 * exp(-x * x) + 3 * tanh(y) * x"
EXPRESSIONS = {
    "chain": CHAIN,
    "scalar": CHAIN,
    "vector": CHAIN,
    "chain_sum": CHAIN,
    "sum_axis0": "sum(x, axis=0)",
    "sum_axis1": "sum(x, axis=1)",
}
# numexpr's names of its types: Python's float is the short one
TYPES = {"float32": float, "float64": np.float64}


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """An evaluation of a compiled expression."""
    if kind not in EXPRESSIONS:
        raise NotOffered("elementwise expressions and their sums only")
    numexpr.set_num_threads(threads)
    arrays = tuple(problems.data(kind, sizes))
    signature = [(name, TYPES[a.dtype.name]) for name, a in zip("xy", arrays, strict=False)]
    compiled = numexpr.NumExpr(EXPRESSIONS[kind], signature)
    if kind != "chain_sum":
        return Program(compiled, [arrays], "compiled once")
    out = np.empty_like(arrays[0])
    # numexpr's own sum of an expression runs in one thread
    return Program(lambda *a: np.sum(compiled(*a, out=out, ex_uses_vml=False)), [arrays], "compiled once, sum by NumPy")
