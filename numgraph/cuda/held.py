"""What is given back when nothing refers to it any more, in whatever order things die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What stands for something that was taken: it is given back with the last reference to this.
Held = NDArray[Any]


class _Holder:
    """Calls a function when it dies."""

    __slots__ = ("give_back",)

    def __init__(self, give_back: Callable[[], None]) -> None:
        self.give_back = give_back

    def __del__(self) -> None:
        # an interrupt may have come before there was anything to call
        if hasattr(self, "give_back"):
            self.give_back()


def hold(give_back: Callable[[], None]) -> Held:
    """Calls `give_back` once, when the last reference to the answer is gone.

    Of objects that die together in a reference cycle, Python calls all finalizers before it takes anything apart, in
    any order. So an ordinary finalizer may run while others still use what it gives back, a finalizer of the user's
    among them. The cyclic collector does not look into arrays of NumPy: what is in one dies when the array does, and
    that is when whoever had it has been taken apart.

    give_back: may be called from any thread, and must not raise. It keeps alive what it refers to, which must not refer
    to the answer.
    """
    box = np.empty((), object)
    box[()] = _Holder(give_back)
    return box
