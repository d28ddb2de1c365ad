"""Shared variables: values that stay where they are between calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import as_array, check_lengths, convert
from numgraph.errors import ArgumentShapeError, DtypeError, SharedMemoryError
from numgraph.graph import Variable, describe, label
from numgraph.overlaps import Span, overlapping
from numgraph.source import SourceLine
from numgraph.storage import Storage, lendable, owned
from numgraph.types import TensorType, check_axes, check_dtype
from numgraph.whole import CALLS

# The kind of CUDA devices in DLPack.
CUDA = 2


class SharedVariable(Variable):
    """A variable with a value of its own, resident between calls, changed by `updates` and `set_value`.

    Its dtype and rank are fixed, its lengths are not. default_update: an expression applied after each call of a
    function that reaches the variable and does not update it otherwise.
    """

    __slots__ = ("_default_update", "storage")

    storage: Storage
    _default_update: Variable | None

    def __init__(self, storage: Storage, name: str | None = None, line: SourceLine | None = None) -> None:
        kind = storage.held
        check_axes(kind.ndim, "shared()")
        super().__init__(TensorType(kind.dtype.name, (None,) * kind.ndim), name, line=line)
        self.storage = storage
        self._default_update = None

    @property
    def default_update(self) -> Variable | None:
        """The expression applied by default; None, or deleted, for none."""
        return self._default_update

    @default_update.setter
    def default_update(self, value: Variable | None) -> None:
        self._default_update = value

    @default_update.deleter
    def default_update(self) -> None:
        self._default_update = None

    def get_value(self, borrow: bool = False) -> NDArray[Any]:
        """The value: a copy, or with `borrow=True` the array itself, which later updates may change.

        A value on a device is always copied; `device_value` is the array there.
        """
        return self.storage.array if borrow else self.storage.copied()

    @property
    def device_value(self) -> Any:
        """The array on the device on which functions with target "cuda" keep the value, without a copy; None elsewhere.

        Other libraries take it by DLPack (`torch.from_dlpack(w.device_value)`) or `__cuda_array_interface__`. Updates
        write into it.
        """
        with CALLS:
            return self.storage.remote.value if self.storage.remote is not None else None

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value; lengths may change, dtype and rank may not.

        borrow: keep the caller's array where it can be used in place (a read-only one if no function updates it);
        another shared variable's memory is copied. SharedMemoryError where the array shares memory with that of
        another variable of a function that updates one of the two. DtypeError when a conversion would lose information
        (the rules of arguments, see `numgraph.arguments.convert`), ArgumentShapeError for another rank.
        An array in a device's memory (CuPy, PyTorch, JAX) must have the variable's dtype, and is copied there or used
        in place.
        """
        if on_device(value):
            foreign = taken(value, not borrow)
            check_dtype_of(self, foreign)
            self.storage.check(foreign.spans())
            self.storage.leave(foreign)
            return
        array = convert(value, self.type.dtype, self)
        check_lengths(array, self.type, self)
        if borrow:
            self.storage.borrow(array)
        else:
            self.storage.put(owned(array))

    def __copy__(self) -> SharedVariable:
        """A variable with a copy of the value."""
        new = SharedVariable(Storage(self.storage.copied()), self.name, self.line)
        new.default_update = self.default_update
        return new

    def _deep_copied(self, memo: dict[int, Any]) -> Variable:
        new = SharedVariable(Storage(self.storage.copied()), self.name, self.line)
        memo[id(self)] = new
        if self.default_update is not None:
            new.default_update = self.default_update.__deepcopy__(memo)
        return new

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return SharedVariable, (self.storage, self.name, self.line), (None, {"default_update": self.default_update})


class Together:
    """The shared variables of a function that updates some: no value that is written lies where another one does.

    Compiled code may write a new value over the old one while it still reads the others.
    """

    def __init__(self, variables: Sequence[SharedVariable], updated: Sequence[SharedVariable]) -> None:
        """SharedMemoryError where two lie in the same memory."""
        self.variables = variables
        self.updated = {v.storage for v in updated}
        self._compare([v.storage.spans() for v in variables])
        for v in variables:
            v.storage.groups.add(self)

    def check(self, storage: Storage, found: Sequence[Span]) -> None:
        """SharedMemoryError where one of them may not lie at `found`."""
        self._compare([found if v.storage is storage else v.storage.spans() for v in self.variables])

    def _compare(self, places: Sequence[Sequence[Span]]) -> None:
        written = [v.storage in self.updated for v in self.variables]
        for pair in overlapping(list(zip(places, written, strict=True))):
            both = [self.variables[k] for k in pair]
            names = " and ".join(map(label, both))
            updated = " and ".join(label(v) for v in both if v.storage in self.updated)
            raise SharedMemoryError(
                f"{names} share memory, and a function updates {updated} and uses both: the update of one would change "
                "the other\n"
                + "".join(f"  {describe(v)}\n" for v in both)
                + "  fix: leave out borrow=True for one of them, which then has a copy"
            )


def on_device(value: Any) -> bool:
    """Whether a value is an array in the memory of a CUDA device, by DLPack or `__cuda_array_interface__`."""
    if isinstance(value, np.ndarray | np.generic | float | int | list | tuple | Variable):
        return False
    if hasattr(value, "__dlpack_device__"):
        return bool(value.__dlpack_device__()[0] == CUDA)
    return hasattr(value, "__cuda_array_interface__")


def taken(value: Any, copy: bool) -> Any:
    """An array on a device as the place of a shared variable's value."""
    # a device is there already when such an array is: loading what knows devices costs nothing to others
    from numgraph.cuda.buffer import adopted

    return adopted(value, copy)


def check_dtype_of(variable: SharedVariable, foreign: Any) -> None:
    """DtypeError or ArgumentShapeError unless a value on a device has the variable's dtype and rank."""
    dtype = foreign.value.dtype.name
    if dtype != variable.dtype:
        raise DtypeError(
            f"{label(variable)}: got an array of {dtype} on a device, needs {variable.dtype}\n  {describe(variable)}"
        )
    if len(foreign.shape) != variable.ndim:
        raise ArgumentShapeError(
            f"{label(variable)}: got an array with {len(foreign.shape)} axes on a device, needs {variable.ndim}\n"
            f"  {describe(variable)}"
        )


def shared(value: Any, name: str | None = None, borrow: bool = False) -> SharedVariable:
    """A shared variable holding a copy of `value` (or the array itself with `borrow=True`, where it can be used in
    place; a read-only one, such as a mapped file, until a function updates it). An array in the memory of a CUDA
    device (CuPy, PyTorch, JAX: DLPack or `__cuda_array_interface__`) stays there.

    A Python float gives float64, an int int64, an array its own dtype. DtypeError for a variable, a masked array or an
    unsupported dtype.

    >>> w = shared(np.zeros(3, "float32"), name="w")
    >>> w.get_value()
    array([0., 0., 0.], dtype=float32)
    """
    if isinstance(value, Variable):
        raise DtypeError(f"shared() takes a value, not a variable ({describe(value)})")
    where = f"shared(name={name!r})" if name else "shared()"
    if on_device(value):
        foreign = taken(value, not borrow)
        storage = Storage(np.zeros((0,) * len(foreign.shape), foreign.value.dtype))
        storage.leave(foreign)
        return SharedVariable(storage, name)
    array = as_array(value, where)
    try:
        check_dtype(array.dtype)
    except DtypeError as error:
        raise DtypeError(f"{where}: {error}\n  fix: convert it with .astype(...) first") from None
    lent = borrow and lendable(array)
    return SharedVariable(Storage(array if lent else owned(array), lent), name)
