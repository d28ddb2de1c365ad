"""The gradients of every op of the table, compiled, against the reference executor. All of an op are one function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_compiled import samples

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable
from numgraph.op import OPS, Op
from numgraph.types import FLOATS


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.grad is not None], ids=lambda op: op.name)
def test_gradient(op: Op) -> None:
    inputs: list[Variable] = []
    values: list[Any] = []
    outputs: list[Variable] = []
    for variables, output, arrays, _ in samples(op, "float64")[: 1 if op.scalar else 2]:
        floats = [v for k, v in enumerate(variables) if v.type.dtype == "float64" and k not in op.undefined]
        if not floats or output.type.dtype not in FLOATS:
            continue
        weights = np.cos(np.arange(output.type.ndim + 1.0)).sum()
        outputs += ng.grad(ng.sum(output * output) * weights, floats, disconnected_inputs="ignore")
        inputs += variables
        values += arrays
    if not outputs:
        return
    f = ng.function(inputs, outputs, target="cpu", on_unused_input="ignore")
    expected = testing.by_reference(inputs, outputs, values)
    for array, wanted in zip(f(*values), expected, strict=True):
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, rtol=1e-9, atol=1e-11, err_msg=op.name)
