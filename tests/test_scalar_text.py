"""The text of scalar operations in generated source."""

from __future__ import annotations

import itertools

from numgraph.kernels.names import VECTOR

from numgraph.emit.scalar import _printed, print_scalar
from numgraph.op import OPS


def test_scalar_forms_are_printed_alike_however_operands_look() -> None:
    """Simple operands are put into a text that is kept; it is the text that printing gives."""
    atoms = ("x", "float32(0.5)", "2.0")
    for op in OPS.values():
        if not op.scalar or op.name == "cast":
            continue
        for dtype in op.dtypes:
            assert op.dtype is not None
            dtypes = ("bool", dtype, dtype) if op.keeps else (dtype,) * len(op.args)
            result = op.dtype(list(dtypes))
            if result != "bool":
                # operands are converted before
                dtypes = ("bool", result, result) if op.keeps else (result,) * len(op.args)
            for operands in itertools.product(atoms, repeat=len(op.args)):
                used: set[str] = set()
                text = print_scalar(op, operands, dtypes, result, VECTOR, used)
                expected = _printed(op, operands, tuple(dtypes), result, tuple(VECTOR.items()))
                assert (text, used) == (expected[0], set(expected[1]))
