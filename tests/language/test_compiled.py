"""Every op of the table, compiled, against NumPy; `test_compiled_gradients` has their gradients.

All samples of an op are outputs of one function, so that each op is compiled once, not a hundred times.
"""

from __future__ import annotations

from typing import Any

import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

Sample = tuple[list[Variable], Variable, list[Any], Any]


def samples(op: Op, dtype: str) -> list[Sample]:
    """(variables, output, arrays, expected) for each drawn sample, and for special values of elementwise ops."""
    drawn = testing.draw(op, dtype)
    if op.samples is None and dtype != "float64":
        # broadcasting is the same for every dtype
        drawn = [drawn[1]]
    elif op.samples is not None:
        # each sample is compiled: all of them in float64, the first ones in the other dtypes
        drawn = drawn[:12] if dtype == "float64" else drawn[:2]
    elif len(op.args) == 1:
        # nothing to broadcast: in a loop and outside of one, beside a vector of special values
        drawn = [drawn[0], drawn[7]]
    else:
        drawn = [drawn[0], drawn[2], drawn[5], drawn[7]]
    if op.samples is None and op.scalar and len(op.args) <= 2 and dtype in FLOATS and not op.keeps:
        drawn = [*drawn, (testing.special_operands(op, dtype), {})]
    result = []
    for arrays, attrs in drawn:
        variables = testing.variables_for(arrays)
        output = apply(op, variables, **attrs)
        result.append((variables, output, arrays, testing.expected_value(op, arrays, attrs, output.type.dtype)))
    return result


# Of ops that take any, each way in which code is made: the others differ in the width of their numbers, and are
# compared with what Numba makes of all of them in tests/runtime/test_lower.py.
DTYPES = ("float32", "float64", "int64", "uint8", "bool", "complex128")


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_value(op: Op) -> None:
    dtypes = [d for d in op.dtypes if d in DTYPES] or op.dtypes
    drawn = [s for dtype in dtypes for s in samples(op, dtype)]
    inputs = [v for variables, _, _, _ in drawn for v in variables]
    f = ng.function(inputs, [output for _, output, _, _ in drawn], target="cpu", on_unused_input="ignore")
    got = f(*[a for _, _, arrays, _ in drawn for a in arrays])
    for array, (variables, _, _, expected) in zip(got, drawn, strict=True):
        testing.assert_close(array, expected, f"{op.name} of {[str(v.type) for v in variables]}")
