"""Shared variables: values that stay where they are between calls."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from numgraph.arguments import as_array, check_lengths, convert
from numgraph.errors import DtypeError
from numgraph.graph import Variable, describe
from numgraph.source import SourceLine
from numgraph.storage import Storage, owned, resident
from numgraph.types import TensorType, check_dtype


class SharedVariable(Variable):
    """A variable with a value of its own, resident between calls, changed by `updates` and `set_value`.

    Its dtype and rank are fixed, its lengths are not. default_update: an expression applied after each call of a
    function that reaches the variable and does not update it otherwise.
    """

    __slots__ = ("default_update", "storage")

    storage: Storage
    default_update: Variable | None

    def __init__(self, storage: Storage, name: str | None = None, line: SourceLine | None = None) -> None:
        array = storage.array
        super().__init__(TensorType(array.dtype.name, (None,) * array.ndim), name, line=line)
        self.storage = storage
        self.default_update = None

    def get_value(self, borrow: bool = False) -> NDArray[Any]:
        """The value: a copy, or with `borrow=True` the array itself, which later updates may change."""
        return self.storage.array if borrow else self.storage.array.copy()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value; lengths may change, dtype and rank may not.

        borrow: keep the caller's array where it can be used in place. DtypeError when a conversion would lose
        information (the rules of arguments, see `numgraph.arguments.convert`), ArgumentShapeError for another rank.
        """
        array = convert(value, self.type.dtype, self)
        check_lengths(array, self.type, self)
        self.storage.put(resident(array) if borrow else owned(array))

    def _deep_copied(self, memo: dict[int, Any]) -> Variable:
        new = SharedVariable(Storage(self.storage.array.copy()), self.name, self.line)
        memo[id(self)] = new
        if self.default_update is not None:
            new.default_update = self.default_update.__deepcopy__(memo)
        return new

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return SharedVariable, (self.storage, self.name, self.line), (None, {"default_update": self.default_update})


def shared(value: Any, name: str | None = None, borrow: bool = False) -> SharedVariable:
    """A shared variable holding a copy of `value` (or the array itself with `borrow=True`, where it can be used in
    place).

    A Python float gives float64, an int int64, an array its own dtype. DtypeError for a variable, a masked array or an
    unsupported dtype.

    >>> w = shared(np.zeros(3, "float32"), name="w")
    >>> w.get_value()
    array([0., 0., 0.], dtype=float32)
    """
    if isinstance(value, Variable):
        raise DtypeError(f"shared() takes a value, not a variable ({describe(value)})")
    where = f"shared(name={name!r})" if name else "shared()"
    array = as_array(value, where)
    try:
        check_dtype(array.dtype)
    except DtypeError as error:
        raise DtypeError(f"{where}: {error}\n  fix: convert it with .astype(...) first") from None
    return SharedVariable(Storage(resident(array) if borrow else owned(array)), name)
