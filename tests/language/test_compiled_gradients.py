"""The gradients of every op of the table, compiled, against the reference executor; some ops are one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from test_compiled import names, samples, together

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

# Without those that have none where vectors are not unique: see test_matrix_factors.
DIFFERENTIABLE = [op for op in OPS.values() if op.grad is not None and op.name not in ("qr_complete", "svd_full")]


@pytest.mark.parametrize("ops", together(DIFFERENTIABLE, 6), ids=names)
def test_gradients(ops: Sequence[Op]) -> None:
    inputs: list[Variable] = []
    values: list[Any] = []
    outputs: dict[Variable, str] = {}
    for op in ops:
        for variables, output, arrays, _ in samples(op, testing.draw(op, "float64")[: 1 if op.scalar else 2]):
            floats = [v for k, v in enumerate(variables) if v.type.dtype == "float64" and k not in op.undefined]
            if not floats or output.type.dtype not in FLOATS:
                continue
            weights = np.cos(np.arange(output.type.ndim + 1.0)).sum()
            found = ng.grad(ng.sum(output * output) * weights, floats, disconnected_inputs="ignore")
            outputs |= dict.fromkeys(found, op.name)
            inputs += variables
            values += arrays
    if not outputs:
        return
    f = ng.function(inputs, list(outputs), target="cpu", on_unused_input="ignore")
    expected = testing.by_reference(inputs, list(outputs), values)
    for name, array, wanted in zip(outputs.values(), f(*values), expected, strict=True):
        assert array.shape == wanted.shape, name
        np.testing.assert_allclose(array, wanted, rtol=1e-9, atol=1e-11, err_msg=name)
