"""Checks of ops: values against NumPy, gradients against differences. For numgraph's own tests, and for users' ops.

    from numgraph import testing
    testing.check_op(my_op)                                 # values and gradients, by NumPy and compiled
    testing.verify_grad(lambda x: ng.tanh(x), [my_array])   # a gradient against differences

An executor is a function `(inputs, outputs, values) -> arrays`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.config import config
from numgraph.errors import GradientError
from numgraph.function import function
from numgraph.grad import grad
from numgraph.graph import Constant, Variable, apply, frozen
from numgraph.op import Op, reference
from numgraph.ops.define import f
from numgraph.reference import converted, evaluate
from numgraph.types import COMPLEX, FLOATS, INEXACT, WIDER, TensorType

Array = NDArray[Any]
Executor = Callable[[Sequence[Variable], Sequence[Variable], Sequence[Array]], list[Array]]
Sample = tuple[list[Array], dict[str, Any]]

# Relative and absolute tolerance by dtype of the result; others are compared exactly.
TOLERANCE = {
    "float32": (2e-5, 2e-6), "float64": (1e-10, 1e-12), "complex64": (2e-5, 2e-6), "complex128": (1e-10, 1e-12),
}  # fmt: skip
# Shapes of the operands of an elementwise op, by position; later operands start again at the front.
SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (5,)),
    ((1,), (5,)),
    ((0,), (1,)),
    ((2, 0), (2, 1)),
    ((), ()),
)
# Step of the central differences.
STEP = 1e-5
SPECIAL = (math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0, -1.0)


def by_reference(inputs: Sequence[Variable], outputs: Sequence[Variable], values: Sequence[Array]) -> list[Array]:
    """The executor that every other one is compared with: NumPy, op by op."""
    return evaluate(outputs, dict(zip(inputs, values, strict=True)))


def compiled(inputs: Sequence[Variable], outputs: Sequence[Variable], values: Sequence[Array]) -> list[Array]:
    """The executor of compiled code: a function of the configured target, or of the processor where that is the
    reference."""
    target = "cpu" if config.target == "reference" else config.target
    result: list[Array] = function(list(inputs), list(outputs), target=target, on_unused_input="ignore")(*values)
    return result


def draw(op: Op, dtype: str, seed: int = 0) -> list[Sample]:
    """Operands and attributes to try `op` with, floats of `dtype`: the op's own samples, or arrays that broadcast, from
    its domain, of lengths 0, 1 and more.
    """
    if op.samples is not None:
        return [([_typed(a, dtype) for a in arrays], attrs) for arrays, attrs in op.samples()]
    rng = np.random.default_rng(seed)
    result: list[Sample] = []
    for shapes in SHAPES:
        arrays = [
            draw_array(op, "bool" if k in op.keeps else dtype, shapes[k % len(shapes)], rng)
            for k in range(len(op.args))
        ]
        result.append((arrays, {}))
    return result


def draw_array(op: Op, dtype: str, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """Random elements of `dtype` from the op's domain."""
    low, high = op.domain
    if dtype in FLOATS:
        return np.asarray(rng.uniform(low, high, shape)).astype(dtype)
    if dtype in COMPLEX:
        return np.asarray(rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)).astype(dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    least = max(math.ceil(low), int(np.iinfo(dtype).min))
    return np.asarray(rng.integers(least, max(math.floor(high), least) + 1, shape)).astype(dtype)


def _typed(value: Any, dtype: str) -> Array:
    """Floats in the wanted float dtype, float64 in any; complex numbers in a complex one."""
    array = np.asarray(value)
    retyped = array.dtype == np.float64 or (array.dtype == np.float32 and dtype in FLOATS)
    retyped = retyped if array.dtype.kind != "c" else dtype in COMPLEX
    with np.errstate(invalid="ignore"):
        return array.astype(dtype) if retyped else array


def special_operands(op: Op, dtype: str) -> list[Array]:
    """Every combination of NaN, infinities, zeros and ones for an elementwise op of one or two operands."""
    column = np.array(SPECIAL, dtype)
    return [column] if len(op.args) == 1 else [column[:, None], column[None, :]]


def variables_for(arrays: Sequence[Array], static: bool = False) -> list[Variable]:
    """An input for each array: all lengths known, or (`static=False`) only those that are 1."""
    lengths = [tuple(n if static or n == 1 else None for n in a.shape) for a in arrays]
    return [
        Variable(TensorType(a.dtype.name, s), f"x{k}") for k, (a, s) in enumerate(zip(arrays, lengths, strict=True))
    ]


def expected_value(op: Op, arrays: Sequence[Array], attrs: dict[str, Any], dtype: str) -> Array:
    """The op by NumPy: floats worked out in float64, then converted to `dtype`."""
    operands = converted(op, arrays, dtype)
    if dtype in INEXACT or op.dtype is None:
        operands = [a.astype(WIDER.get(a.dtype.name, a.dtype)) for a in operands]
    result: Array = reference(op, operands, attrs, dtype)
    return result


def assert_close(got: Array, expected: Array, what: str) -> None:
    """Equal shapes and dtypes, floats within `TOLERANCE`, everything else exactly; AssertionError says `what`
    differs.
    """
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, expected {expected.dtype}"
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    rtol, atol = TOLERANCE.get(expected.dtype.name, (0.0, 0.0))
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=what)


def check_value(op: Op, arrays: Sequence[Array], attrs: dict[str, Any], executor: Executor = by_reference) -> None:
    """`op` on these operands by `executor` gives what its NumPy reference gives; AssertionError otherwise."""
    for static in (False, True):
        inputs = variables_for(arrays, static)
        output = apply(op, inputs, **attrs)
        got = executor(inputs, [output], arrays)[0]
        shapes = [a.shape for a in arrays]
        what = f"{op.name} of {[str(v.type) for v in inputs]} with shapes {shapes} and {attrs}"
        assert_close(got, expected_value(op, arrays, attrs, output.type.dtype), what)


def check_gradient(
    build: Callable[..., Variable], arrays: Sequence[Any], executor: Executor = by_reference, order: int = 2,
    seed: int = 0, tolerance: float = 1e-5,
) -> None:  # fmt: skip
    """The gradient of `build(*variables)` for every float operand, along random directions, against central
    differences.

    arrays: float64, complex128 and integer arrays; of complex numbers both parts are moved. order: 2 checks the
    gradient of the gradient too. tolerance: relative to the size of the directional derivative, or absolute where that
    is small. AssertionError when they differ.
    """
    values = [np.asarray(a) for a in arrays]
    inputs = variables_for(values)
    floats = [k for k, a in enumerate(values) if a.dtype in (np.float64, np.complex128)]
    output = build(*inputs)
    if output.type.dtype not in ("float64", "complex128") or not floats:
        # a conversion to float32 is a staircase, whose differences say nothing
        return
    rng = np.random.default_rng(seed)
    shape = executor(inputs, [output], values)[0].shape
    cost = f.sum(f.real(f.mul(output, _fixed(_direction(rng, shape, output.type.dtype)))))
    for level in range(1, order + 1):
        wrt = [inputs[k] for k in floats]
        gradients = grad(cost, wrt, disconnected_inputs="ignore")
        directions = {k: _direction(rng, values[k].shape, values[k].dtype.name) for k in floats}
        # of x + iy the parts of a gradient are the slopes for x and y
        slopes = [
            f.sum(f.real(f.mul(f.conj(g), _fixed(directions[k])))) for g, k in zip(gradients, floats, strict=True)
        ]
        _compare_slope(cost, slopes, inputs, values, directions, executor, (level, tolerance))
        cost = slopes[0] if len(slopes) == 1 else f.add(*slopes)


def verify_grad(
    build: Callable[..., Any], points: Sequence[Any], n_tests: int = 2, tolerance: float = 1e-5, seed: int = 0,
    executor: Executor | None = None,
) -> None:  # fmt: skip
    """The gradient of `build(*variables)`, an expression of any shape, for all float and complex points against
    central differences along `n_tests` random directions; as Theano's `verify_grad`.

    points: values of the variables; floats are taken as float64. tolerance: relative to the size of the directional
    derivative, or absolute where that is small. executor: None for compiled code. AssertionError where they differ.

    >>> import numpy as np, numgraph as ng
    >>> ng.testing.verify_grad(lambda x, k: ng.tanh(x) * k, [np.array([0.5, -1.0]), 3])
    """
    arrays = [np.asarray(p) for p in points]
    arrays = [a.astype(WIDER.get(a.dtype.name, a.dtype)) for a in arrays]
    if all(a.dtype.name not in INEXACT for a in arrays):
        raise GradientError("verify_grad: no point is a float, so there is no gradient")
    for test in range(n_tests):
        check_gradient(build, arrays, executor or compiled, 1, seed + test, tolerance)


def _compare_slope(
    cost: Variable, slopes: Sequence[Variable], inputs: Sequence[Variable], values: Sequence[Array],
    directions: dict[int, Array], executor: Executor, wanted: tuple[int, float],
) -> None:  # fmt: skip
    level, tolerance = wanted
    for slope, k in zip(slopes, directions, strict=True):
        moved = []
        for step in (STEP, -STEP):
            point = list(values)
            point[k] = values[k] + step * directions[k]
            moved.append(float(executor(inputs, [cost], point)[0]))
        numeric = (moved[0] - moved[1]) / (2 * STEP)
        exact = float(executor(inputs, [slope], values)[0])
        scale = max(1.0, abs(numeric), max(map(abs, moved)))
        assert abs(exact - numeric) <= tolerance * scale, (
            f"derivative {level} for operand {k} of shapes {[a.shape for a in values]}: {exact}, "
            f"by differences {numeric}"
        )


def _fixed(array: Any) -> Constant:
    return Constant(frozen(np.asarray(array)))


def _direction(rng: np.random.Generator, shape: Any, dtype: str) -> Array:
    real = rng.normal(size=shape)
    return np.asarray(real + 1j * rng.normal(size=shape) if dtype in COMPLEX else real)


def check_op(
    op: Op, executor: Executor | None = None, dtypes: Sequence[str] | None = None, gradient: bool = True,
    order: int = 2, seed: int = 0,
) -> None:  # fmt: skip
    """All checks of one op, from its record: values for each of its dtypes against its NumPy reference, and first and
    second derivatives in float64 against differences, on the operands that `draw` gives.

    op: one of numgraph's table, or a user's. executor: None for the reference and compiled code, one after the other.
    gradient: False for an op whose gradient is not its derivative on purpose. AssertionError for the first difference.
    """
    if executor is None:
        check_op(op, by_reference, dtypes, gradient, order, seed)
        check_op(op, compiled, dtypes, gradient, order, seed)
        return
    for dtype in dtypes or op.dtypes:
        for arrays, attrs in draw(op, dtype, seed):
            check_value(op, arrays, attrs, executor)
    if gradient and op.grad is not None:
        for dtype in [d for d in ("float64", "complex128") if d in op.dtypes] or ["float64"]:
            for arrays, attrs in draw(op, dtype, seed):
                _check_op_gradient(op, arrays, attrs, executor, order)


def _check_op_gradient(op: Op, arrays: list[Array], attrs: dict[str, Any], executor: Executor, order: int) -> None:
    if all(a.dtype not in (np.float64, np.complex128) for a in arrays):
        return

    # what it has no gradient for is held constant
    free = [k for k in range(len(arrays)) if k not in op.undefined]

    def build(*variables: Variable) -> Variable:
        given = dict(zip(free, variables, strict=True))
        return apply(op, [given[k] if k in given else _fixed(a) for k, a in enumerate(arrays)], **attrs)

    try:
        check_gradient(build, [arrays[k] for k in free], executor, min(order, op.orders))
    except AssertionError as error:
        raise AssertionError(f"{op.name} with {attrs}: {error}") from None


__all__ = [
    "assert_close", "by_reference", "check_gradient", "check_op", "check_value", "compiled", "draw", "draw_array",
    "expected_value", "special_operands", "variables_for", "verify_grad",
]  # fmt: skip
