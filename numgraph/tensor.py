"""Constructors of variables: inputs of a given rank and dtype, and constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, OptionError, ShapeError, ValueOverflowError
from numgraph.graph import Constant, Variable, as_variable, describe, frozen
from numgraph.types import Shape, TensorType, check_axes, check_dtype

__all__ = [
    "as_tensor_variable", "bcol", "bmatrix", "brow", "bscalar", "btensor3", "btensor4", "bvector", "ccol", "cmatrix",
    "col", "constant", "crow", "cscalar", "ctensor3", "ctensor4", "cvector", "dcol", "dmatrix", "drow", "dscalar",
    "dtensor3", "dtensor4", "dvector", "fcol", "fmatrix", "frow", "fscalar", "ftensor3", "ftensor4", "fvector", "icol",
    "imatrix", "irow", "iscalar", "itensor3", "itensor4", "ivector", "lcol", "lmatrix", "lrow", "lscalar", "ltensor3",
    "ltensor4", "lvector", "matrices", "matrix", "row", "scalar", "scalars", "tensor", "tensor3", "tensor4", "vector",
    "vectors", "wcol", "wmatrix", "wrow", "wscalar", "wtensor3", "wtensor4", "wvector", "zcol", "zmatrix", "zrow",
    "zscalar", "ztensor3", "ztensor4", "zvector",
]  # fmt: skip

Constructor = Callable[..., Variable]
# Theano's letters for dtypes
LETTERS = {
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
    "c": "complex64",
    "z": "complex128",
}


def tensor(name: str | None = None, dtype: Any = None, shape: Any = None) -> Variable:
    """A variable of any rank. shape: its lengths, None for one that is known only at the call.

    dtype: None is `config.floatX` at the time of the call. Raises DtypeError for an unsupported dtype and ShapeError
    for a shape that holds anything but lengths and None.

    >>> tensor("x", "float32", shape=(None, 3))
    <x float32[?,3]>
    """
    lengths = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    for n in lengths:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0):
            raise ShapeError(f"tensor: a length must be a number of at least 0, or None, not {n!r} (shape {lengths})")
    check_axes(len(lengths), "tensor")
    known: Shape = tuple(None if n is None else int(n) for n in lengths)
    return Variable(TensorType(check_dtype(config.floatX if dtype is None else dtype), known), _checked_name(name))


def scalar(name: str | None = None, dtype: Any = None) -> Variable:
    """A 0-d variable; dtype None is `config.floatX`."""
    return tensor(name, dtype, ())


def vector(name: str | None = None, dtype: Any = None) -> Variable:
    """A variable with one axis; dtype None is `config.floatX`."""
    return tensor(name, dtype, (None,))


def matrix(name: str | None = None, dtype: Any = None) -> Variable:
    """A variable with two axes; dtype None is `config.floatX`."""
    return tensor(name, dtype, (None, None))


def row(name: str | None = None, dtype: Any = None) -> Variable:
    """A matrix of one row, which broadcasts; dtype None is `config.floatX`."""
    return tensor(name, dtype, (1, None))


def col(name: str | None = None, dtype: Any = None) -> Variable:
    """A matrix of one column, which broadcasts; dtype None is `config.floatX`."""
    return tensor(name, dtype, (None, 1))


def tensor3(name: str | None = None, dtype: Any = None) -> Variable:
    """A variable with three axes; dtype None is `config.floatX`."""
    return tensor(name, dtype, (None,) * 3)


def tensor4(name: str | None = None, dtype: Any = None) -> Variable:
    """A variable with four axes; dtype None is `config.floatX`."""
    return tensor(name, dtype, (None,) * 4)


def _family(make: Constructor) -> list[Constructor]:
    """Theano's constructors of fixed dtype, in the order of `LETTERS`: `bscalar`, `wscalar`, ..."""

    def typed(letter: str, dtype: str) -> Constructor:
        def build(name: str | None = None) -> Variable:
            return make(name, dtype)

        build.__name__ = build.__qualname__ = letter + make.__name__
        build.__doc__ = f"`{make.__name__}` of dtype {dtype}."
        return build

    return [typed(letter, dtype) for letter, dtype in LETTERS.items()]


bscalar, wscalar, iscalar, lscalar, fscalar, dscalar, cscalar, zscalar = _family(scalar)
bvector, wvector, ivector, lvector, fvector, dvector, cvector, zvector = _family(vector)
bmatrix, wmatrix, imatrix, lmatrix, fmatrix, dmatrix, cmatrix, zmatrix = _family(matrix)
brow, wrow, irow, lrow, frow, drow, crow, zrow = _family(row)
bcol, wcol, icol, lcol, fcol, dcol, ccol, zcol = _family(col)
btensor3, wtensor3, itensor3, ltensor3, ftensor3, dtensor3, ctensor3, ztensor3 = _family(tensor3)
btensor4, wtensor4, itensor4, ltensor4, ftensor4, dtensor4, ctensor4, ztensor4 = _family(tensor4)


def _several(make: Constructor, names: tuple[Any, ...], dtype: Any) -> list[Variable]:
    if len(names) == 1 and isinstance(names[0], int):
        return [make(None, dtype) for _ in range(names[0])]
    if len(names) == 1 and isinstance(names[0], str) and not set(" ,").isdisjoint(names[0]):
        listed = ", ".join(map(repr, names[0].replace(",", " ").split()))
        raise OptionError(
            f"a string names a variable with each of its letters, and {names[0]!r} has blanks or commas\n"
            f"  fix: pass the names one by one, {listed}"
        )
    return [make(name, dtype) for name in (names[0] if len(names) == 1 else names)]


def scalars(*names: Any, dtype: Any = None) -> list[Variable]:
    """Several scalars: `scalars("a", "b")`, `scalars("ab")`, or `scalars(2)` without names."""
    return _several(scalar, names, dtype)


def vectors(*names: Any, dtype: Any = None) -> list[Variable]:
    """Several vectors, named as for `scalars`."""
    return _several(vector, names, dtype)


def matrices(*names: Any, dtype: Any = None) -> list[Variable]:
    """Several matrices, named as for `scalars`."""
    return _several(matrix, names, dtype)


def constant(value: Any, name: str | None = None, dtype: Any = None) -> Variable:
    """A constant holding a copy of `value`.

    dtype: converts as `astype` does; None follows `as_tensor_variable` (floats floatX, ints int64, arrays their own).
    DtypeError for a variable or for what is no array, ValueOverflowError for a Python integer that does not fit.
    """
    if isinstance(value, Variable):
        raise DtypeError(f"constant: expected a value, got a variable\n  {describe(value)}")
    if dtype is None:
        plain = as_variable(value)
        assert isinstance(plain, Constant)
        return Constant(plain.data, name)
    wanted = check_dtype(dtype)
    try:
        array = np.array(value, dtype=wanted, order="C")
    except OverflowError as error:
        raise ValueOverflowError(f"constant: {error} (value {value!r})") from error
    except (TypeError, ValueError) as error:
        raise DtypeError(f"constant: cannot make an array of dtype {wanted} of {value!r}: {error}") from error
    return Constant(frozen(array), name)


as_tensor_variable = as_variable


def _checked_name(name: Any) -> str | None:
    if name is None or isinstance(name, str):
        return name
    raise DtypeError(f"the first argument of a variable is its name, a string, not {name!r}; give the dtype by keyword")
