"""Methods of variables with Theano's arguments. Each takes what numgraph's method of that name takes, too, so that one
process may have programs of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.compat import composed, constants, reducing, shaping
from numgraph.compat.graphs import SharedClone
from numgraph.graph import Constant, Variable
from numgraph.op import FUNCTIONS
from numgraph.ops.define import f
from numgraph.shared import SharedVariable
from numgraph.types import TensorType, check_dtype


def mean(self: Variable, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """As `theano.tensor.mean`: the sum in a dtype of integers is divided as floats, where NumPy cuts the mean."""
    return reducing.mean(self, axis, dtype, keepdims=keepdims, acc_dtype=acc_dtype)


def sum_(self: Variable, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None) -> Any:
    """The sum. acc_dtype: without effect."""
    return f.sum(self, axis, dtype, keepdims)


def prod(
    self: Variable, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None,
    no_zeros_in_input: bool = False,
) -> Any:  # fmt: skip
    """The product. acc_dtype, no_zeros_in_input: without effect."""
    return f.prod(self, axis, dtype, keepdims)


def var(self: Variable, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """The variance. corrected: without effect."""
    return f.var(self, axis, ddof, keepdims)


def std(self: Variable, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False) -> Any:
    """The standard deviation. corrected: without effect."""
    return f.std(self, axis, ddof, keepdims)


def reshape(self: Variable, *lengths: Any, shape: Any = None, ndim: int | None = None) -> Any:
    """The same elements with other lengths: `reshape(2, 3)`, `reshape((2, 3))`, or a vector and the number of its
    elements, `reshape(vector, ndim=2)` or `reshape(vector, 2)`."""
    if shape is None and len(lengths) == 2 and _several(lengths[0]):
        shape, ndim = lengths
    elif shape is None:
        shape = lengths[0] if len(lengths) == 1 else lengths
    elif lengths:
        raise TypeError("reshape() got several values for the lengths")
    return f.reshape(self, shape, ndim)


def _several(lengths: Any) -> bool:
    return isinstance(lengths, list | tuple) or getattr(lengths, "ndim", 0) == 1


def flatten(self: Variable, ndim: int | None = None, outdim: int | None = None) -> Any:
    """The first ndim - 1 axes, and the others as one."""
    return composed.flatten(self, ndim, outdim)


def round_(self: Variable, decimals: Any = 0, mode: str | None = None) -> Any:
    """Rounded to a number of decimals, or by a mode of Theano's."""
    if isinstance(decimals, str):
        decimals, mode = 0, decimals
    return f.round(self, decimals) if mode is None else composed.round_(self, mode)


def clip(self: Variable, a_min: Any = None, a_max: Any = None, *, low: Any = None, high: Any = None) -> Any:
    """Limited to [a_min, a_max], as `theano.tensor.clip`; without one of them at the other side alone."""
    least, most = low if a_min is None else a_min, high if a_max is None else a_max
    return f.clip(self, least, most) if least is None or most is None else composed.clip(self, least, most)


def nonzero(self: Variable, return_matrix: bool = False) -> Any:
    """A tuple of index vectors, one for each axis; with `return_matrix` as the rows of a matrix."""
    return composed.nonzero(self, return_matrix)


def getitem(self: Variable, key: Any) -> Any:
    """A part. A list with slices among its elements is a tuple of them, as it was in NumPy of Theano's day."""
    listed = isinstance(key, list) and any(k is None or k is Ellipsis or isinstance(k, slice) for k in key)
    return FUNCTIONS["getitem"](self, tuple(key) if listed else key)


def norm(self: Variable, L: Any = None, axis: Any = None, keepdims: bool = False, *, ord: Any = None) -> Any:
    """As Theano's: of the vector of all elements along `axis`, where NumPy's norm of order 2 of a matrix is its largest
    singular value. ord: NumPy's order, which names as "fro" are, too."""
    if L is None or isinstance(L, str):
        return f.norm(self, ord if L is None else L, axis, keepdims)
    return f.norm_of_all(self, L, axis, keepdims)


def transfer(self: Variable, target: Any) -> Variable:
    """The variable itself: numgraph moves values by itself."""
    return self


def clone(self: Variable) -> Variable:
    """A variable of the same type and name, or the same constant; of a shared variable one that shares its value."""
    if isinstance(self, SharedVariable):
        return SharedClone(self)
    return Constant(self.data, self.name) if isinstance(self, Constant) else Variable(self.type, self.name)


def make_variable(self: TensorType, name: str | None = None) -> Variable:
    """A variable of this type."""
    return Variable(self, name)


def clone_type(self: TensorType, dtype: Any = None, broadcastable: Any = None) -> TensorType:
    """The type with another dtype, or other axes of length 1."""
    axes = self.shape if broadcastable is None else tuple(1 if b else None for b in broadcastable)
    return TensorType(self.dtype if dtype is None else check_dtype(dtype), axes)


for _function, _name in ((sum_, "sum"), (round_, "round")):
    # messages call functions by their names
    _function.__name__ = _function.__qualname__ = _name
_VALUE = SharedVariable.get_value


def get_value(self: SharedVariable, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray[Any, Any]:
    """The value. return_internal_type: without effect."""
    return _VALUE(self, borrow)


_ELEMENTWISE = (
    "arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh deg2rad exp exp2 expm1 floor log log10 log1p log2 "
    "rad2deg sin sinh sqrt tan tanh trunc"
).split()

# what variables, types and shared variables have once `numgraph.compat.theano` is imported
METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    Variable: {
        **{name: FUNCTIONS[name] for name in _ELEMENTWISE},
        **{name: FUNCTIONS[name] for name in ("zeros_like", "ones_like", "nonzero_values")},
        **{"mean": mean, "sum": sum_, "prod": prod, "var": var, "std": std, "reshape": reshape, "flatten": flatten},
        **{"round": round_, "clip": clip, "nonzero": nonzero, "sort": shaping.sort, "argsort": shaping.argsort},
        **{
            "argmax": reducing.argmax,
            "argmin": reducing.argmin,
            "squeeze": reducing.squeeze,
            "transfer": transfer,
            "norm": norm,
        },
        **{"__getitem__": getitem, "clone": clone, "get_scalar_constant_value": constants.get_scalar_constant_value},
    },
    TensorType: {"__call__": make_variable, "make_variable": make_variable, "clone": clone_type},
    SharedVariable: {"get_value": get_value},
}
