"""Every op of the table on the simulated device, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

# Their samples have a hundred thousand elements, to show that sums are exact enough; test_cuda_programs has sums.
LONG = {"sum", "prod"}
# LAPACK alone has them.
REFUSED = {"eigh", "eigvalsh", "svd", "svd_full", "svdvals", "qr", "qr_r", "qr_complete", "qr_raw", "pinv", "expm"}
REFUSED |= {"order_of_columns", "schur_real", "qz_real", "sylvester", "sylvester_triangular"}
# and what is made of these
REFUSED |= {"solve_discrete_are"}
# SciPy alone has them.
REFUSED |= {"iv", "ive", "jv", "owens_t", "hyp2f1", "poch", "gammaincinv", "gammainccinv", "betaincinv", "ndtri_exp"}
# and those of complex numbers, or of no matrices
TRANSFORMS = {"complex_transform", "real_transform", "half_transform", "eig", "eigvals", "schur_complex", "qz_complex"}
TRANSFORMS |= {"complex_eigh", "complex_eigvalsh", "complex_svd", "complex_svd_full", "complex_svdvals"}
TRANSFORMS |= {"complex_cholesky", "complex_cholesky_or_nan"}
NOWHERE = REFUSED | TRANSFORMS
CASES = [
    (op, dtype)
    for op in OPS.values()
    if op.name not in LONG | NOWHERE
    # dtypes differ in little more than the functions that are called
    for dtype in [d for d in op.dtypes if d in FLOATS][:1] + [d for d in op.dtypes if d == "int64" and not op.scalar]
]


@pytest.mark.parametrize(("op", "dtype"), CASES, ids=lambda v: v.name if isinstance(v, Op) else str(v))
def test_value(op: Op, dtype: str) -> None:
    """All samples are outputs of one function: two with lengths that are known and with lengths that are not, the
    others with either in turn."""
    inputs: list[Variable] = []
    outputs: list[Variable] = []
    values: list[Any] = []
    expected: list[tuple[str, Any]] = []
    for number, (arrays, attrs) in enumerate(testing.draw(op, dtype)):
        for static in (False, True) if number < 2 else (number % 2 > 0,):
            variables = testing.variables_for(arrays, static)
            output = apply(op, variables, **attrs)
            inputs += variables
            values += arrays
            outputs.append(output)
            types, shapes = [str(v.type) for v in variables], [a.shape for a in arrays]
            what = f"{op.name} of {types} with shapes {shapes} and {attrs}"
            expected.append((what, testing.expected_value(op, arrays, attrs, output.type.dtype)))
    f = ng.function(inputs, outputs, target="cuda-sim", on_unused_input="ignore")
    for got, (what, wanted) in zip(f(*values), expected, strict=True):
        testing.assert_close(np.asarray(got), wanted, what)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_the_processor_alone_has_is_refused_in_the_users_terms(name: str) -> None:
    arrays, attrs = testing.draw(OPS[name], "float32")[0]
    inputs = testing.variables_for(arrays)
    y = apply(OPS[name], inputs, **attrs)
    with pytest.raises(ng.OptionError, match=r"runs on the processor only(.|\n)*test_cuda_ops.py(.|\n)*fix: target"):
        ng.function(inputs, y, target="cuda-sim")


def test_what_is_refused_has_the_users_name() -> None:
    a, b, q, r = ng.matrices("a", "b", "q", "r")
    for name, outputs in (
        ("solve_discrete_are", ng.linalg.solve_discrete_are(a, b, q, r)),
        ("qz", ng.linalg.qz(a, b)[0]),
        ("ordqz", ng.linalg.ordqz(a, b)[0]),
    ):
        with pytest.raises(ng.OptionError, match=f"^{name} runs on the processor only"):
            ng.function([a, b, q, r], outputs, target="cuda-sim", on_unused_input="ignore")(*[np.eye(2)] * 4)
