"""Expressions over symbolic variables, compiled to short and readable Numba source.

    import numgraph as ng

    x = ng.vector("x")
    f = ng.function([x], ng.sum(x**2))
    f([1.0, 2.0])           # array(5.)

Importing this loads neither Numba nor SciPy: the compiler is loaded when the first function is made.
"""

from __future__ import annotations

# The lists are packed: one name a line would fill six hundred lines.
# fmt: off
# isort: off
from typing import Any as _Any

from numgraph.config import config
from numgraph.errors import (
    ArgumentShapeError, AxisError, DisconnectedError, DtypeError, FunctionError, GivensError, GradientError,
    IndexOutOfRange, IndexShapeError, InputError, MissingInputError, NumgraphError, OptionError, RepeatedUpdateError,
    ShapeError, UnusedInputError, UpdateError, ValueOverflowError,
)
from numgraph.function import Function, function
from numgraph.givens import clone
from numgraph.grad import grad
from numgraph.graph import Constant, Variable
from numgraph.ops.compare import (
    and_, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, clip, eq, equal, ge, greater, greater_equal, gt, invert,
    isfinite, isinf, isnan, le, left_shift, less, less_equal, logical_and, logical_not, logical_or, logical_xor, lt,
    maximum, minimum, neq, not_equal, or_, right_shift, switch, where, xor,
)
from numgraph.ops.create import (
    alloc, arange, diag, diagonal, empty, empty_like, eye, full, full_like, identity_like, linspace, ones, ones_like,
    tri, tril, triu, zeros, zeros_like,
)
from numgraph.ops.elementwise import (
    abs, abs_, acos, acosh, add, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, asin, asinh, atan, atan2,
    atanh, ceil, ceiling, cos, cosh, deg2rad, divide, divmod, exp, exp2, expm1, floor, floor_div, int_div, inv, log,
    log1p, log2, log10, mod, mul, multiply, neg, negative, pow, power, rad2deg, reciprocal, remainder, rint, round, sgn,
    sign, sin, sinh, sqr, sqrt, square, sub, subtract, tan, tanh, true_div, truediv, trunc,
)
from numgraph.ops.index import inc_subtensor, set_subtensor
from numgraph.ops.join import concatenate, diff, flip, hstack, join, repeat, roll, split, stack, tile, vstack
from numgraph.ops.linalg import (
    batched_dot, batched_tensordot, dot, inner, matmul, matrix_dot, outer, tensordot, trace, vdot,
)
from numgraph.ops.nnet import (
    binary_crossentropy, categorical_crossentropy, elu, log_softmax, relu, sigmoid, sigmoid_binary_crossentropy,
    softmax, softplus,
)
from numgraph.ops.reduce import all, amax, amin, any, argmax, argmin, max, min, prod, sum
from numgraph.ops.select import flatnonzero, nonzero, nonzero_values, take, take_along_axis, to_one_hot
from numgraph.ops.shape import (
    atleast_1d, atleast_2d, atleast_3d, broadcast_to, dimshuffle, expand_dims, flatten, moveaxis, ravel, reshape, shape,
    shape_padaxis, shape_padleft, shape_padright, size, specify_shape, squeeze, swapaxes, transpose,
)
from numgraph.ops.sort import argsort, cumprod, cumsum, sort
from numgraph.ops.special import (
    cast, copysign, digamma, disconnected_grad, erf, erfc, gammaln, grad_clip, hypot, identity, lgamma, log1mexp,
    log_erfc, logaddexp, psi, tensor_copy, zero_grad,
)
from numgraph.ops.statistics import logsumexp, mean, norm, ptp, std, var
from numgraph.ops.user import elementwise
from numgraph.ops.usercall import call
from numgraph.printing import debugprint, pprint
from numgraph.program import In, Out
from numgraph.shared import SharedVariable, shared
from numgraph.tensor import (
    as_tensor_variable, bcol, bmatrix, brow, bscalar, btensor3, btensor4, bvector, col, constant, dcol, dmatrix, drow,
    dscalar, dtensor3, dtensor4, dvector, fcol, fmatrix, frow, fscalar, ftensor3, ftensor4, fvector, icol, imatrix,
    irow, iscalar, itensor3, itensor4, ivector, lcol, lmatrix, lrow, lscalar, ltensor3, ltensor4, lvector, matrices,
    matrix, row, scalar, scalars, tensor, tensor3, tensor4, vector, vectors, wcol, wmatrix, wrow, wscalar, wtensor3,
    wtensor4, wvector,
)
from numgraph.types import TensorType
# isort: on

__version__ = "0.1.0"


def __getattr__(name: str) -> _Any:
    """AttributeError that says what to use in the place of a name that is not there."""
    from numgraph.absent import absent

    raise AttributeError(absent(name, __all__))


__all__ = [
    "ArgumentShapeError", "AxisError", "Constant", "DisconnectedError", "DtypeError", "Function", "FunctionError",
    "GivensError", "GradientError", "In", "IndexOutOfRange", "IndexShapeError", "InputError", "MissingInputError",
    "NumgraphError", "OptionError", "Out", "RepeatedUpdateError", "ShapeError", "SharedVariable", "TensorType",
    "UnusedInputError", "UpdateError", "ValueOverflowError", "Variable", "__version__", "abs", "abs_", "acos", "acosh",
    "add", "all", "alloc", "amax", "amin", "and_", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "argmax", "argmin", "argsort", "as_tensor_variable", "asin", "asinh", "atan", "atan2",
    "atanh", "atleast_1d", "atleast_2d", "atleast_3d", "batched_dot", "batched_tensordot", "bcol",
    "binary_crossentropy", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmatrix", "broadcast_to", "brow",
    "bscalar", "btensor3", "btensor4", "bvector", "call", "cast", "categorical_crossentropy", "ceil", "ceiling", "clip",
    "clone", "col", "concatenate", "config", "constant", "copysign", "cos", "cosh", "cumprod", "cumsum", "dcol",
    "debugprint", "deg2rad", "diag", "diagonal", "diff", "digamma", "dimshuffle", "disconnected_grad", "divide",
    "divmod", "dmatrix", "dot", "drow", "dscalar", "dtensor3", "dtensor4", "dvector", "elementwise", "elu", "empty",
    "empty_like", "eq", "equal", "erf", "erfc", "exp", "exp2", "expand_dims", "expm1", "eye", "fcol", "flatnonzero",
    "flatten", "flip", "floor", "floor_div", "fmatrix", "frow", "fscalar", "ftensor3", "ftensor4", "full", "full_like",
    "function", "fvector", "gammaln", "ge", "grad", "grad_clip", "greater", "greater_equal", "gt", "hstack", "hypot",
    "icol", "identity", "identity_like", "imatrix", "inc_subtensor", "inner", "int_div", "inv", "invert", "irow",
    "iscalar", "isfinite", "isinf", "isnan", "itensor3", "itensor4", "ivector", "join", "lcol", "le", "left_shift",
    "less", "less_equal", "lgamma", "linspace", "lmatrix", "log", "log1mexp", "log1p", "log2", "log10", "log_erfc",
    "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "lrow",
    "lscalar", "lt", "ltensor3", "ltensor4", "lvector", "matmul", "matrices", "matrix", "matrix_dot", "max", "maximum",
    "mean", "min", "minimum", "mod", "moveaxis", "mul", "multiply", "neg", "negative", "neq", "nonzero",
    "nonzero_values", "norm", "not_equal", "ones", "ones_like", "or_", "outer", "pow", "power", "pprint", "prod", "psi",
    "ptp", "rad2deg", "ravel", "reciprocal", "relu", "remainder", "repeat", "reshape", "right_shift", "rint", "roll",
    "round", "row", "scalar", "scalars", "set_subtensor", "sgn", "shape", "shape_padaxis", "shape_padleft",
    "shape_padright", "shared", "sigmoid", "sigmoid_binary_crossentropy", "sign", "sin", "sinh", "size", "softmax",
    "softplus", "sort", "specify_shape", "split", "sqr", "sqrt", "square", "squeeze", "stack", "std", "sub", "subtract",
    "sum", "swapaxes", "switch", "take", "take_along_axis", "tan", "tanh", "tensor", "tensor3", "tensor4",
    "tensor_copy", "tensordot", "tile", "to_one_hot", "trace", "transpose", "tri", "tril", "triu", "true_div",
    "truediv", "trunc", "var", "vdot", "vector", "vectors", "vstack", "wcol", "where", "wmatrix", "wrow", "wscalar",
    "wtensor3", "wtensor4", "wvector", "xor", "zero_grad", "zeros", "zeros_like",
]
# fmt: on
