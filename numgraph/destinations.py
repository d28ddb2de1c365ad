"""Where the caller wants outputs: the arrays of `f(x, out=...)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import ArgumentShapeError, DtypeError, InputError
from numgraph.program import Program
from numgraph.shared import SharedVariable
from numgraph.text import printable

Array = NDArray[Any]


class Destinations:
    """An array of the caller's for each output, or None for a fresh one.

    usable: those that compiled code may write into while it computes: the others are copied into when all is done.
    """

    def __init__(self, arrays: Sequence[Array | None] = (), usable: Sequence[bool] = ()) -> None:
        self.arrays = arrays
        self.usable = usable

    def check(self, number: int, lengths: Sequence[int]) -> None:
        """ArgumentShapeError unless the array for an output, if there is one, has these lengths."""
        array = self.arrays[number] if 0 <= number < len(self.arrays) else None
        if array is not None:
            _check(number, array, lengths)

    def at(self, number: int, lengths: Sequence[int]) -> Array | None:
        """The array to compute an output of these lengths into; None for a fresh one. ArgumentShapeError."""
        self.check(number, lengths)
        return self.arrays[number] if number < len(self.arrays) and self.usable[number] else None

    def made(self, outputs: Sequence[Array]) -> Sequence[Array]:
        """Those outputs that are fresh memory."""
        return [o for o in outputs if not any(o is a for a in self.arrays)] if self.arrays else outputs

    def filled(self, outputs: Sequence[Array]) -> list[Array]:
        """The outputs, each in the caller's array where there is one."""
        if not self.arrays:
            return list(outputs)
        found = []
        for output, array in zip(outputs, self.arrays, strict=True):
            if array is not None and output is not array:
                array[...] = np.asarray(output)
            found.append(output if array is None else array)
        return found


FRESH = Destinations()


def destinations(
    program: Program, shared: Sequence[SharedVariable], out: Any, arguments: Sequence[Array]
) -> Destinations:
    """What `out=` of a call means: an array, or a list or dict of arrays and None as the function returns them.

    An array needs the dtype and rank of its output, and may be strided. Where it shares memory with an argument, the
    output is computed elsewhere and copied. InputError, DtypeError or ArgumentShapeError for what does not fit, for
    arrays that share memory with one another, and for the memory of a shared variable.
    """
    if out is None:
        return FRESH
    arrays = _listed(program, out)
    for number, array in enumerate(arrays):
        if array is not None:
            _fits(program, number, array)
    _apart(shared, arrays)
    return Destinations(arrays, [a is not None and _usable(a, arguments) for a in arrays])


def _listed(program: Program, out: Any) -> list[Array | None]:
    form, count = program.form, len(program.outputs)
    if form == "single":
        return [out]
    if form == "dict" and isinstance(out, Mapping):
        unknown = [key for key in out if key not in program.keys]
        if unknown:
            raise InputError(f"out: {printable(unknown[0])} is none of the outputs {', '.join(program.keys)}")
        return [out.get(key) for key in program.keys]
    if form == "list" and isinstance(out, list | tuple) and len(out) == count:
        return list(out)
    wanted = {"list": f"a list of {count} arrays (or None)", "dict": "a dict of arrays"}.get(form, "None")
    what = f"{type(out).__name__} of {len(out)}" if isinstance(out, list | tuple) else type(out).__name__
    raise InputError(f"out: got a {what}, needs {wanted}, as the function returns its outputs")


def _fits(program: Program, number: int, array: Any) -> None:
    type_ = program.outputs[number].type
    where = f"out: the array for output {number}"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{where} is a {type(array).__name__}, not a numpy.ndarray\n  fix: pass np.empty(...)")
    if array.dtype != np.dtype(type_.dtype):
        found = array.dtype.name if array.dtype.isnative else f"{array.dtype.name} in another byte order"
        raise DtypeError(f"{where} has dtype {found}, the output has {type_.dtype}")
    if not array.flags.writeable:
        raise InputError(f"{where} is read-only\n  fix: pass an array that can be written")
    if array.ndim != type_.ndim:
        raise ArgumentShapeError(f"{where} has shape {array.shape}, the output has {type_.ndim} axes")
    _check(number, array, [n if k is None else k for n, k in zip(array.shape, type_.shape, strict=True)])


def _check(number: int, array: Array, lengths: Sequence[int]) -> None:
    """ArgumentShapeError unless the array for an output has these lengths."""
    if array.shape != tuple(lengths):
        raise ArgumentShapeError(
            f"out: the array for output {number} has shape {array.shape}, the output has {tuple(lengths)}\n"
            "  fix: pass an array of that shape, or leave out= away; nothing was updated"
        )


def _folded(array: Array) -> bool:
    """Whether elements may lie on one another: an axis goes on within what the axes of smaller strides take."""
    reach = array.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _apart(shared: Sequence[SharedVariable], arrays: Sequence[Array | None]) -> None:
    """InputError where arrays share memory with one another or with a shared variable, or an array with itself."""
    seen: list[tuple[str, Array]] = [(f"the shared variable {printable(s.name)}", s.storage.held)
                                     for s in shared]  # fmt: skip
    for number, array in enumerate(arrays):
        if array is None:
            continue
        if array.size and _folded(array):
            raise InputError(f"out: elements of the array for output {number} share memory\n  fix: pass a copy of it")
        for name, other in seen:
            if np.may_share_memory(array, other):
                raise InputError(f"out: the array for output {number} shares memory with {name}\n  fix: pass a copy")
        seen.append((f"that for output {number}", array))


def _usable(array: Array, arguments: Sequence[Array]) -> bool:
    """Whether compiled code may write an output there while it reads the arguments."""
    flags = array.flags
    plain = type(array) is np.ndarray and flags.c_contiguous and flags.aligned and array.dtype.isnative
    return plain and not any(np.may_share_memory(array, a) for a in arguments)
