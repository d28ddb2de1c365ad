"""Functions of `theano.tensor` that are written with numgraph's, or take other arguments than these."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Constant, Variable, as_variable
from numgraph.op import Op, floating
from numgraph.ops.define import f
from numgraph.printing import debugprint as native_debugprint
from numgraph.tensor import constant as native_constant
from numgraph.tensor import tensor as native_tensor
from numgraph.types import DISCRETE, check_dtype
from numgraph.types import TensorType as NativeType


class _Types(type):
    """`TensorType(dtype, broadcastable)` makes numgraph's type, of which it is the class for `isinstance`, too."""

    def __call__(cls, dtype: Any, broadcastable: Sequence[bool], name: str | None = None) -> Any:
        return NativeType(check_dtype(dtype), tuple(1 if b else None for b in broadcastable))

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, NativeType)


class TensorType(metaclass=_Types):
    """Theano's type of a tensor: a dtype, and for each axis whether its length is 1."""


class _Elementwise(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Op) and instance.shape is None and instance.reduce is None


class Elemwise(metaclass=_Elementwise):
    """Theano's class of elementwise ops, for `isinstance`."""


def tensor(dtype: Any = None, broadcastable: Sequence[bool] = (), name: str | None = None) -> Variable:
    """A variable of a dtype and, for each axis, whether its length is 1."""
    return native_tensor(name, dtype, tuple(1 if b else None for b in broadcastable))


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Variable:
    """`x` as a variable of `ndim` axes: some of length 1 are added in front, or left out there; ValueError if that
    does not do. dtype: what values are converted to; of a variable it must be the dtype (TypeError).
    """
    found = as_variable(x, name)
    if dtype is not None and found.dtype != np.dtype(dtype).name:
        if isinstance(x, Variable):
            raise DtypeError(f"as_tensor_variable: {found!r} is not of dtype {dtype}\n  fix: x.astype({dtype!r})")
        found = as_variable(np.asarray(x, dtype), name)
    while ndim is not None and found.ndim > ndim and found.type.shape[0] == 1:
        found = found[0]
    if ndim is None or found.ndim == ndim:
        return found
    if found.ndim > ndim:
        raise ShapeError(f"as_tensor_variable: {found!r} has more than {ndim} axes")
    padded: Variable = f.shape_padleft(found, ndim - found.ndim)
    return padded


def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Variable:
    """A constant with a copy of `x`, and at least `ndim` axes."""
    made = native_constant(x, name, dtype)
    data = made.data if isinstance(made, Constant) else None
    if ndim is None or data is None or data.ndim >= ndim:
        return made
    return Constant(data.reshape((1,) * (ndim - data.ndim) + data.shape), name)


def shape(x: Any) -> Variable:
    """The lengths as an int64 vector."""
    lengths = as_variable(x).shape
    found: Variable = f.stack(list(lengths)) if lengths else native_constant(np.zeros(0, "int64"))
    return found


def round_(a: Any, mode: str | None = None) -> Variable:
    """Rounded; halves to even, or with mode "half_away_from_zero" away from zero."""
    x = as_variable(a)
    if mode not in (None, "half_to_even", "half_away_from_zero"):
        raise ValueError(f"round: mode must be half_to_even or half_away_from_zero, not {mode!r}")
    if mode != "half_away_from_zero":
        return f.round(x)
    # trunc(x + 0.5) would round 0.49999997 up
    part = f.trunc(x)
    return part + f.switch(abs(x - part) >= 0.5, f.sgn(x), 0)  # type: ignore[no-any-return]


def round_half_away_from_zero(a: Any) -> Variable:
    """Rounded; halves away from zero."""
    return round_(a, "half_away_from_zero")


def iround(a: Any, mode: str | None = None) -> Variable:
    """Rounded to int64."""
    return f.cast(round_(a, mode), "int64")


def inv(a: Any) -> Variable:
    """1 / a; of integers of 8 and 16 bits, as all of Theano's functions, a float32."""
    x = as_variable(a)
    found: Variable = f.reciprocal(f.cast(x, floating([x.dtype])) if x.dtype in DISCRETE else x)
    return found


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """A tuple of index vectors, one for each axis; with `return_matrix` as the rows of a matrix."""
    found = f.nonzero(as_variable(a))
    return f.stack(list(found)) if return_matrix else found


def transpose(x: Any, axes: Any = None) -> Any:
    """Axes in another order, or reversed; named as x, with ".T"."""
    v = as_variable(x)
    found = f.transpose(v, *(() if axes is None else (axes,)))
    if axes is None and v.name and found is not v:
        found.name = f"{v.name}.T"
    return found


def flatten(x: Any, ndim: int | None = None, outdim: int | None = None) -> Any:
    """The first ndim - 1 axes, and the others as one."""
    return f.flatten(as_variable(x), ndim or outdim or 1)


def clip(x: Any, min: Any, max: Any) -> Any:
    """Limited to [min, max]. Where min is above max, what is below min is min and all else max; in NumPy all is max."""
    found = f.clip(x, min, max)
    if all(isinstance(v, int | float | np.number) for v in (min, max)) and min <= max:
        return found
    # a limit of another dtype than the result's is not taken
    swapped, below = f.gt(min, max), f.lt(x, min)
    return f.switch(f.and_(swapped, below), f.cast(min, found.dtype), found)


def smallest(*args: Any) -> Any:
    """The elementwise minimum of several tensors."""
    return _folded(f.minimum, args)


def largest(*args: Any) -> Any:
    """The elementwise maximum of several tensors."""
    return _folded(f.maximum, args)


def _folded(function: Any, args: Sequence[Any]) -> Any:
    result = as_variable(args[0])
    for each in args[1:]:
        result = function(result, each)
    return result


def bartlett(M: Any) -> Any:  # Theano's name
    """The triangular window of M points."""
    n = f.arange(M)
    half = (as_variable(M) - 1) / 2.0
    return f.where(f.le(M, 1), 1.0, 1.0 - abs(n - half) / f.maximum(half, 0.5))


def permute_row_elements(x: Any, y: Any, inverse: Any = 0) -> Any:
    """The elements of each row of x in the order of the same row of y, or of y where it is a vector; with `inverse` in
    the order that undoes it."""
    v, order = as_variable(x), as_variable(y)
    order = f.shape_padleft(order, v.ndim - order.ndim)
    v = f.shape_padleft(v, order.ndim - v.ndim)
    return f.take_along_axis(*f.broadcast_arrays(v, f.argsort(order) if inverse else order), -1)


def inverse_permutation(perm: Any) -> Any:
    """The permutation that undoes `perm`, a vector, or each row of a matrix, of its dtype."""
    found = as_variable(perm)
    return f.cast(f.argsort(found), found.dtype)


def fill(a: Any, b: Any) -> Any:
    """`b`, broadcast together with `a`."""
    x, value = as_variable(a), as_variable(b)
    return f.full_like(x, value, value.dtype) if value.ndim == 0 else f.broadcast_arrays(x, value)[1]


def addbroadcast(x: Any, *axes: int) -> Any:
    """`x` with axes that are known to have length 1; ShapeError at a call where they have not."""
    x = as_variable(x)
    chosen = {k % x.ndim for k in axes}
    return f.specify_shape(x, tuple(1 if k in chosen else n for k, n in enumerate(x.type.shape)))


def unbroadcast(x: Any, *axes: int) -> Any:
    """`x` itself: lengths decide what broadcasts."""
    return as_variable(x)


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Any:
    """`x` with length 1 known where `broadcastable` says so."""
    axes = [k for k, b in enumerate(broadcastable) if b]
    return addbroadcast(x, *axes) if axes else as_variable(x)


def get_vector_length(v: Any) -> int:
    """The known length of a vector; ValueError without one."""
    found = as_variable(v)
    if found.ndim != 1 or found.type.shape[0] is None:
        raise ValueError(f"the length of {found!r} is not known")
    return found.type.shape[0]


def ceil_intdiv(a: Any, b: Any) -> Any:
    """a / b of integers, rounded up."""
    x, y = as_variable(a), as_variable(b)
    # a negation would wrap around in unsigned integers
    whole = x // y
    return whole + f.cast(f.neq(x % y, 0), whole.dtype)


def horizontal_stack(*tensors: Any) -> Any:
    """Matrices side by side."""
    return f.hstack(tensors)


def vertical_stack(*tensors: Any) -> Any:
    """Matrices below each other."""
    return f.vstack(tensors)


def stacklists(tensors: Any) -> Any:
    """Nested lists of tensors as one tensor."""
    return f.stack([stacklists(t) for t in tensors]) if isinstance(tensors, list | tuple) else as_variable(tensors)


def softmax(c: Any) -> Any:
    """softmax of each row. A vector is a matrix of one row, as in Theano."""
    x = as_variable(c)
    return f.softmax(f.shape_padleft(x) if x.ndim == 1 else x, -1)


softmax_graph = softmax


def softmax_with_bias(x: Any, b: Any) -> Any:
    """softmax of each row of x + b."""
    return softmax(as_variable(x) + b)


def logsoftmax(c: Any) -> Any:
    """The logarithm of softmax."""
    return f.log(softmax(c))


def relu(x: Any, alpha: Any = 0) -> Any:
    """max(x, 0), or alpha x for negative x; of an array an array, as in Theano, where it is plain arithmetic."""
    if isinstance(x, np.ndarray) and isinstance(alpha, int | float):
        return np.where(x > 0, x, alpha * x)
    if isinstance(alpha, int | float) and alpha == 0:
        return f.relu(x)
    return f.switch(as_variable(x) > 0, x, alpha * as_variable(x))


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Any:
    """-log of each row's element at an index."""
    p = as_variable(coding_dist)
    return -f.log(p)[f.arange(p.shape[0]), true_one_of_n]


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Any, Any]:
    """The negative log-likelihood of `y_idx` for each row, and softmax(x). As in Theano a negative label is not counted
    from the end: AssertionFailed in a call."""
    p, labels = softmax(x), as_variable(y_idx)
    labels = f.assert_op(labels, f.all(f.ge(labels, 0)), message="crossentropy_softmax: a label is negative")
    return crossentropy_categorical_1hot(p, labels), p


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any]:
    """As `crossentropy_softmax_1hot` of x + b."""
    return crossentropy_softmax_1hot(as_variable(x) + b, y_idx)


def crossentropy_softmax_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any, Any]:
    """As `crossentropy_softmax_1hot` of x + b, and each row's argmax."""
    z = as_variable(x) + b
    return (*crossentropy_softmax_1hot(z, y_idx), f.argmax(z, -1))


def crossentropy_softmax_1hot_with_bias_dx(dy: Any, sm: Any, y_idx: Any) -> Any:
    """The gradient for x of `crossentropy_softmax_1hot(x, y_idx)`, whose softmax is sm, where dy arrives at rows."""
    p, labels = as_variable(sm), as_variable(y_idx)
    chosen = f.eq(f.arange(p.shape[1]), labels[:, None])
    return (p - f.cast(chosen, p.dtype)) * as_variable(dy)[..., None]


def crossentropy_softmax_max_and_argmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Any, Any, Any, Any]:
    """As `crossentropy_softmax_1hot` of x + b, and each row's largest probability and where it is."""
    cost, p = crossentropy_softmax_1hot_with_bias(x, b, y_idx)
    return cost, p, f.max(p, -1), f.argmax(p, -1)


def crossentropy_softmax_max_and_argmax_1hot(x: Any, y_idx: Any) -> tuple[Any, Any, Any, Any]:
    """As `crossentropy_softmax_max_and_argmax_1hot_with_bias`, without a bias."""
    return crossentropy_softmax_max_and_argmax_1hot_with_bias(x, 0, y_idx)


def batch_normalization(inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem") -> Any:
    """(inputs - mean) gamma / std + beta."""
    return (as_variable(inputs) - mean) * (as_variable(gamma) / std) + beta


def xlogy0(x: Any, y: Any) -> Any:
    """x log(y), 0 where x is 0."""
    return f.xlogy(x, y)


def xlogx(x: Any) -> Any:
    """x log(x), 0 where x is 0."""
    return xlogy0(x, x)


def inc_subtensor(
    x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False, ignore_duplicates: bool = False
) -> Any:
    """The array of which x is a part, with y added there. ignore_duplicates: PyTensor's, an element that is met more
    than once gets one y, the last. inplace, tolerate_inplace_aliasing: as of numgraph's."""
    if ignore_duplicates:
        return f.set_subtensor(x, f.add(x, y), inplace, tolerate_inplace_aliasing)
    return f.inc_subtensor(x, y, inplace, tolerate_inplace_aliasing)


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: Any = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    done: Any = None,
    **others: Any,
) -> Any:
    """As `numgraph.debugprint`; with file="str" the text is returned. The other options have no effect."""
    if file != "str":
        return native_debugprint(obj, file)
    text = StringIO()
    native_debugprint(obj, text)
    return text.getvalue()
