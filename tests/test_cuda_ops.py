"""Every op of the table on the simulated device, against NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

# Their samples have a hundred thousand elements, to show that sums are exact enough; test_cuda_programs has sums.
LONG = {"sum", "prod"}
CASES = [
    (op, dtype)
    for op in OPS.values()
    if op.name not in LONG
    # dtypes differ in little more than the functions that are called
    for dtype in [d for d in op.dtypes if d in FLOATS][:1] + [d for d in op.dtypes if d == "int64" and not op.scalar]
]


def simulated(inputs: Sequence[Any], outputs: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    f = ng.function(list(inputs), list(outputs), target="cuda-sim", on_unused_input="ignore")
    return [np.asarray(v) for v in f(*values)]


@pytest.mark.parametrize(("op", "dtype"), CASES, ids=lambda v: v.name if isinstance(v, Op) else str(v))
def test_value(op: Op, dtype: str) -> None:
    testing.check_op(op, simulated, dtypes=[dtype], gradient=False)
