"""Every op of the table, compiled, against NumPy; `test_compiled_gradients` has their gradients.

All samples of some ops are outputs of one function: a function takes a tenth of a second, and each loop of its code
another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

Drawn = tuple[list[Any], dict[str, Any]]
Sample = tuple[list[Variable], Variable, list[Any], Any]

# Of ops that take any, each way in which code is made: the others differ in the width of their numbers, and are
# compared with what Numba makes of all of them in tests/runtime/test_lower.py.
DTYPES = ("float32", "float64", "int64", "uint8", "bool", "complex128")
INTEGERS = ("int64", "uint8", "bool")
# Ways to broadcast, as places in `testing.SHAPES`: loops and numbers. An elementwise op knows nothing of them, and has
# one in turn; `add` has all.
WAYS = (0, 2, 5, 7)
# Ops in one function.
TOGETHER = 4


def samples(op: Op, drawn: list[Drawn]) -> list[Sample]:
    """(variables, output, arrays, expected) for operands and attributes; none twice."""
    result = {}
    for arrays, attrs in drawn:
        variables = testing.variables_for(arrays)
        output = apply(op, variables, **attrs)
        expected = testing.expected_value(op, arrays, attrs, output.type.dtype)
        key = repr((attrs, [(a.dtype, a.shape, a.tobytes()) for a in arrays]))
        result[key] = (variables, output, arrays, expected)
    return list(result.values())


def drawn_for(number: int, op: Op) -> list[Drawn]:
    """What the op of that number in the table is tried on."""
    dtypes = [d for d in op.dtypes if d in DTYPES] or list(op.dtypes)
    if op.samples is not None:
        # the first ones in float64, and in each other dtype the next one
        own = [testing.draw(op, dtype) for dtype in dtypes]
        return [s for k, d in enumerate(own) for s in (d[:12] if dtypes[k] == "float64" else [d[k % len(d)]])]
    result = []
    for dtype in dtypes_of(number, op, dtypes):
        drawn = testing.draw(op, dtype)
        special = op.scalar and len(op.args) <= 2 and dtype in FLOATS and not op.keeps
        if special:
            result.append((among_special(op, dtype, drawn[0][0]), {}))
        else:
            result += [(testing.special_operands(op, dtype), {}), drawn[1]] if special else [drawn[1]]
        if dtype == "float64":
            result += drawn if op.name == "add" else [drawn[WAYS[number % len(WAYS)]]]
    return result


def dtypes_of(number: int, op: Op, dtypes: list[str]) -> list[str]:
    """Those of an op's that are tried: where integers are converted to floats, which an op of its own does, one kind of
    them in turn."""
    integers = [d for d in dtypes if d in INTEGERS]
    if not integers or apply(op, testing.variables_for(testing.draw(op, integers[0])[0][0])).dtype not in FLOATS:
        return dtypes
    return [d for d in dtypes if d not in integers or d == integers[number % len(integers)]]


def among_special(op: Op, dtype: str, drawn: list[Any]) -> list[Any]:
    """Every combination of special values and values of the op's domain."""
    operands = []
    for special, array in zip(testing.special_operands(op, dtype), drawn, strict=True):
        values = np.concatenate([special.ravel(), array.ravel()])
        operands.append(values.reshape([-1 if n > 1 else 1 for n in special.shape]))
    return operands


def together(ops: Sequence[Op], count: int) -> list[Sequence[Op]]:
    """So many ops at a time."""
    return [ops[k : k + count] for k in range(0, len(ops), count)]


def names(ops: Sequence[Op]) -> str:
    return "-".join(op.name for op in ops)


@pytest.mark.parametrize("ops", together([*OPS.values()], TOGETHER), ids=names)
def test_values(ops: Sequence[Op]) -> None:
    order = list(OPS)
    tried = [(op, sample) for op in ops for sample in samples(op, drawn_for(order.index(op.name), op))]
    inputs = [v for _, (variables, _, _, _) in tried for v in variables]
    outputs = [output for _, (_, output, _, _) in tried]
    f = ng.function(inputs, outputs, target="cpu", on_unused_input="ignore")
    got = f(*[a for _, (_, _, arrays, _) in tried for a in arrays])
    for array, (op, (variables, _, arrays, expected)) in zip(got, tried, strict=True):
        types, shapes = [str(v.type) for v in variables], [a.shape for a in arrays]
        testing.assert_close(array, expected, f"{op.name} of {types} with shapes {shapes}")
