"""Values that a user hands over, turned into arrays of a variable's dtype without losing anything in silence."""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import ArgumentShapeError, DtypeError, InputError
from numgraph.foreign import advice_for, hidden_in, plain
from numgraph.graph import Variable, describe, label
from numgraph.types import COMPLEX, REALS, TensorType, is_lossless

# Python's numbers that scalars of a dtype take, though they may be rounded.
_ROUNDED: dict[str, tuple[type, ...]] = {dtype: (float,) for dtype in REALS} | {
    dtype: (float, complex) for dtype in COMPLEX
}


def convert(
    value: Any, dtype: str, target: Variable, strict: bool = False, downcast: bool | None = None
) -> NDArray[Any]:
    """`value` as an array of `dtype`, for `target` (which messages name); not copied when it already is one.

    An array of another dtype is accepted when every value of that dtype is one of `dtype`, whatever its own values are.
    A number or a list is accepted when each of its values survives the conversion: `3.0` for an integer, `[0.5]` but
    not `[0.1]` for a float32. A Python float is always accepted for a float scalar, and a complex one for a
    complex scalar. The result may be strided and read-only, and is in the machine's byte order.

    strict: accept only an `np.ndarray` of exactly this dtype. downcast: True converts any numbers; False refuses the
    Python float, too, when it is rounded. Raises DtypeError for a refused value, InputError for a variable.
    """
    wanted = np.dtype(dtype)
    if type(value) is np.ndarray and value.dtype == wanted:
        return value
    if isinstance(value, Variable):
        raise InputError(
            f"{label(target)}: got a variable, but a value is needed\n"
            f"  {describe(target)}\n  value: {describe(value)}\n"
            "  fix: pass an array or a number; to put one expression in place of another, use givens"
        )
    if strict:
        raise _refused(target, dtype, f"strict accepts only a numpy.ndarray of dtype {dtype}, got {_kind_of(value)}")
    if type(value) in _ROUNDED.get(dtype, ()) and not target.ndim and downcast is not False:
        return _rounded(value, wanted, target)
    array = as_array(value, label(target), target)
    if array.dtype == wanted:
        return array
    # no downcast: half of it would be lost
    parts = array.dtype.kind == "c" and wanted.kind != "c"
    if (downcast and not parts) or is_lossless(array.dtype.name, dtype):
        with np.errstate(all="ignore"):
            return array.astype(wanted)
    if isinstance(value, np.ndarray):
        raise _refused(
            target,
            dtype,
            f"an array of dtype {array.dtype.name} (shape {array.shape}) may not fit dtype {dtype} without loss",
            f"convert it with .astype({dtype!r}) where the loss is meant",
        )
    return _by_values(array, wanted, target)


def as_array(value: Any, where: str, target: Variable | None = None) -> NDArray[Any]:
    """`value` as a plain array of numbers or booleans; DtypeError for masked arrays and every other kind of element.

    where: the start of the message. target: the variable that the value is for.
    """

    def about() -> str:
        return f"\n  {describe(target)}" if target is not None else ""

    if hidden := hidden_in(value):
        raise DtypeError(f"{where}: got a {hidden.kind}: {hidden.matter}{about()}\n  fix: {hidden.fix}")
    try:
        array = plain(value)
    except ValueError as error:
        raise DtypeError(
            f"{where}: this {_kind_of(value)} is no array of numbers: {str(error).split('. The')[0]}{about()}\n"
            "  fix: pass rows of the same length"
        ) from error
    except (TypeError, RuntimeError, BufferError) as error:
        # such as a tensor of PyTorch that is on a device, or whose gradient is recorded
        raise DtypeError(f"{where}: this {_kind_of(value)} gives no array: {error}{about()}") from error
    if array.dtype.kind not in "biufc":
        what = _kind_of(value)
        if array.ndim and not isinstance(value, np.ndarray):
            what += f" with elements of dtype {array.dtype}"
        advice = advice_for(value, "pass numbers of a supported dtype, all rows of the same length")
        raise DtypeError(f"{where}: got {what}, which is no array of numbers or booleans{about()}\n  fix: {advice}")
    return array


def check_lengths(array: NDArray[Any], type: TensorType, target: Variable) -> None:
    """ArgumentShapeError when `array` has another rank than `type`, or another length where the type knows it."""
    if array.ndim != type.ndim:
        raise ArgumentShapeError(
            f"{label(target)}: got {_axes(array.ndim)} (shape {array.shape}), expected {_axes(type.ndim)}\n"
            f"  {describe(target)}\n  fix: pass an array of that rank"
        )
    for axis, (length, known) in enumerate(zip(array.shape, type.shape, strict=True)):
        if known is not None and length != known:
            raise ArgumentShapeError(
                f"{label(target)}: axis {axis} has length {length} (shape {array.shape}), its type says {known}\n"
                f"  {describe(target)}\n  fix: pass an array of that length, or declare the variable with None there"
            )


def in_memory(array: NDArray[Any]) -> bool:
    """Whether compiled code reads an argument from the array: scalars are words of a table, but for complex ones."""
    return bool(array.ndim) or array.dtype.name in COMPLEX


def _rounded(value: complex, wanted: np.dtype[Any], target: Variable) -> NDArray[Any]:
    """A Python float as a 0-d array; DtypeError when a finite one is too large for the dtype."""
    with np.errstate(over="ignore"):
        result = np.asarray(value, wanted)
    if np.isinf(result) and not cmath.isinf(value):
        raise _refused(target, wanted.name, f"the value {value} is too large for dtype {wanted.name}")
    return result


def _by_values(array: NDArray[Any], wanted: np.dtype[Any], target: Variable) -> NDArray[Any]:
    """`array` converted; DtypeError unless every value survives, there and back."""
    if array.dtype.kind == "c" and wanted.kind != "c":
        raise _refused(target, wanted.name, f"a value of dtype {array.dtype.name} is no real number", "pass its .real")
    with np.errstate(all="ignore"):
        result = array.astype(wanted)
        # both ways: -1 as uint64 comes back as -1, and 2**53 + 1 as float32 compares equal (in float64)
        back = (result if array.dtype.kind == "c" else result.real).astype(array.dtype)
    survives = ((result == array) & (back == array)) | ((result != result) & (array != array))
    if bool(np.all(survives)):
        return result
    bad = array[~survives].reshape(-1)[0]
    raise _refused(
        target,
        wanted.name,
        f"the value {bad} ({array.dtype.name}) does not survive the conversion to dtype {wanted.name}",
        f"convert it with np.asarray(value, {wanted.name!r}) where the loss is meant",
    )


def _refused(target: Variable, dtype: str, reason: str, fix: str = "") -> DtypeError:
    advice = fix or f"pass np.asarray(value, {dtype!r})"
    return DtypeError(f"{label(target)}: {reason}\n  {describe(target)}\n  fix: {advice}")


def _kind_of(value: Any) -> str:
    """`float64 array of shape (2,)`, `list`, `str 'abc'`."""
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__} of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, str | int | float | complex | None):
        text = repr(value)
        return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
    kind = type(value)
    # `torch.Tensor`, `pandas.Series`: the name alone may be anybody's
    home = kind.__module__.partition(".")[0]
    return kind.__name__ if home in ("builtins", "numgraph") else f"{home}.{kind.__name__}"


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"
