"""Runs an exported program: copied by `export` behind the generated functions, so it uses NumPy and the standard
library only."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import partial
from operator import call, setitem
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from numgraph.arguments import check_lengths, convert, in_memory
from numgraph.runtime.inputs import InputError, Variable


class SizeError(ValueError, MemoryError):
    """An array that is larger than there can be."""


class IndexOutOfRange(IndexError, ValueError):
    """An index outside of its axis."""


class AssertionFailed(AssertionError, ValueError):
    """A condition of the user's that does not hold."""


class FunctionError(RuntimeError, ValueError):
    """A function of the user's has raised an exception."""


class SharedMemoryError(ValueError):
    """Two arrays of a program that updates one of them lie in the same memory."""


# By the kind of what a call refuses: what numgraph raises is of the same builtin classes.
_ERRORS = {
    "shape": ValueError,
    "size": SizeError,
    "index": IndexOutOfRange,
    "assert": AssertionFailed,
    "matrix": np.linalg.LinAlgError,
    "raised": FunctionError,
}


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Step:
    """An exported function: call it as the original, by position or by keyword; of several threads, one after the
    other.

    shared: name -> array; the values that the program reads and updates, kept between calls. A replaced array must
    have the dtype and rank of the old one, and the lengths that the program was compiled for. Updates may write into
    it; one that is read-only is copied for them.
    """

    def __init__(
        self,
        layout: dict[str, Any],
        address: int,
        values: dict[str, Any],
        blas: tuple[int, int],
        routines: dict[int, int] | None = None,
    ) -> None:
        self.layout = layout
        self.inputs: list[Any] = [Variable(a["dtype"], a["shape"], a["title"], a["said"]) for a in layout["arguments"]]
        self.residents: dict[str, Any] = {
            s["name"]: Variable(s["dtype"], s["shape"], s["name"], s["said"]) for s in layout["shared"]
        }
        self.shared = {s["name"]: np.array(values[s["key"]], order="C") for s in layout["shared"] if s["key"] in values}
        self.defaults = {key: values[key] for key in layout["defaults"]}
        self.unset = set(layout["unset"])
        self.constants = {slot: np.ascontiguousarray(values[name]) for slot, name in layout["constants"].items()}
        # of which it is known that they lie apart
        self.checked: dict[str, Any] = {}
        self.table = np.zeros(layout["size"], np.int64)
        self.reals = self.table.view(np.float64)
        self.table[2] = object.__basicsize__
        if ctypes.c_int64.from_address(id(self.table) + object.__basicsize__).value != self.table.ctypes.data:
            raise RuntimeError(
                "compiled code cannot read arrays in this Python; use a standard 64-bit build of CPython"
            )
        self.table[3:5] = blas
        for slot, routine in (routines or {}).items():
            self.table[slot] = routine
        # one thread: a divided loop is one chunk
        self.table[6] = 1
        for slot, array in self.constants.items():
            self.table[slot] = array.ctypes.data
        self.arenas: dict[int, Any] = {}
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        self.definition = _MethodDefinition(b"entry", address, 0x0008, None)
        self.entry = make(ctypes.addressof(self.definition), self.table, None)
        self._unlocked()
        if hasattr(os, "register_at_fork"):
            # who holds the lock is not in the child
            os.register_at_fork(after_in_child=self._unlocked)

    def _unlocked(self) -> None:
        # the table is that of one call at a time, and what lies at the addresses in it is kept by that call
        self.lock = RLock()

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The outputs; `shared` holds the new values. TypeError and ValueError for arguments that do not fit."""
        with self.lock:
            return self._called(args, named)

    def _called(self, args: Sequence[Any], named: dict[str, Any]) -> Any:
        layout = self.layout
        arrays = self._arrays(args, named)
        for array, argument in zip(arrays, layout["arguments"], strict=True):
            self._fill(array, argument["slot"])
        descriptors = []
        for resident in layout["shared"]:
            array = self._resident(resident["name"])
            descriptors.append(np.array([array.ctypes.data, *array.shape], np.int64))
            self.table[resident["slot"]] = descriptors[-1].ctypes.data
        made: dict[str, dict[int, Any]] = {"outputs": {}, "fresh": {}}
        for stage in range(len(layout["arena"])):
            self._check(self.entry(2 * stage))
            self._grow(stage)
            for kind, ready in made.items():
                ready |= {k: self._make(*part) for k, (*part, when) in enumerate(layout[kind]) if when == stage}
            # updates in place are in the last stage; the others come with them
            last = stage == len(layout["arena"]) - 1
            new = self._exchanged(made["fresh"]) if last else {}
            self._check(_at_once(partial(self.entry, 2 * stage + 1), partial(self.shared.update, new)))
            self.checked.update(new)
        self.unset.clear()
        del arrays, descriptors
        return self._result(made["outputs"])

    def _arrays(self, args: Sequence[Any], named: dict[str, Any]) -> list[Any]:
        """An array for each input, which shares no memory with what is updated."""
        signature, arguments = self.layout["signature"], self.layout["arguments"]
        if len(args) > len(arguments):
            count = "1 argument" if len(arguments) == 1 else f"{len(arguments)} arguments"
            raise InputError(f"{signature}: takes {count}, got {len(args)}")
        values = dict(enumerate(args))
        for name, value in named.items():
            places = [k for k, a in enumerate(arguments) if a["name"] == name]
            if len(places) > 1:
                raise InputError(f"{signature}: several inputs are named {name}\n  fix: pass them by position")
            if not places:
                there = ", ".join(dict.fromkeys(a["name"] for a in arguments if a["name"] is not None)) or "none"
                raise InputError(f"{signature}: has no input named {name}\n  inputs with a name: {there}")
            if places[0] in values:
                raise InputError(f"{signature}: got several values for the input {name}")
            values[places[0]] = value
        return [self._converted(k, values[k]) if k in values else self._default(k) for k in range(len(arguments))]

    def _converted(self, number: int, value: Any) -> Any:
        argument, variable = self.layout["arguments"][number], self.inputs[number]
        try:
            array = convert(value, variable.dtype, variable, argument["strict"], argument["downcast"])
            check_lengths(array, variable, variable)
        except Exception as error:
            error.add_note(f"argument {number} of {self.layout['signature']}")
            raise
        if any(np.may_share_memory(array, held) for held in self.shared.values()):
            return np.array(array, order="C")
        return np.require(array, None, ("C", "A")) if array.ndim else array

    def _default(self, number: int) -> Any:
        argument = self.layout["arguments"][number]
        if argument["default"] is None or number in self.unset:
            fix = (
                "" if argument["default"] is None else "\n  fix: its state has no value yet; pass one in the first call"
            )
            raise InputError(f"{self.layout['signature']}: missing argument {number}\n  {argument['said']}{fix}")
        kept = argument["default"]
        # it may be written in place
        return np.array(self._resident(kept) if kept in self.residents else self.defaults[kept], order="C")

    def _resident(self, name: str) -> Any:
        """The array of a shared variable, checked."""
        variable, updated = self.residents[name], self.layout["updated"]
        if name not in self.shared:
            fix = f"step.shared[{name!r}] = an array of that type, before the first call"
            raise InputError(f"{self.layout['signature']}: {name} has no value\n  {variable.said}\n  fix: {fix}")
        array = np.asarray(self.shared[name])
        if array.dtype != variable.dtype or array.ndim != variable.ndim:
            found = f"{array.dtype} of shape {array.shape}"
            raise InputError(f"{name}: got {found}, expected {variable.dtype}, {variable.ndim} axes\n  {variable.said}")
        # what is read-only may be a file, or constant: updates would write into it
        array = np.require(array, None, ("C", "A", "W") if name in updated else ("C", "A"))
        if array is self.checked.get(name):
            return array
        for other, held in self.shared.items():
            written = name in updated or other in updated
            if other != name and written and isinstance(held, np.ndarray) and np.may_share_memory(array, held):
                raise SharedMemoryError(
                    f"{name} and {other} share memory, and an update of one would change the other\n"
                    f"  fix: step.shared[{name!r}] = a copy"
                )
        self.shared[name] = self.checked[name] = array
        return array

    def _fill(self, array: Any, slot: int) -> None:
        if in_memory(array):
            self.table[slot] = id(array)
        elif array.dtype.kind == "f":
            self.reals[slot] = array
        else:
            self.table[slot] = array.astype(np.int64)

    def _grow(self, stage: int) -> None:
        layout = self.layout
        needed = int(self.table[layout["needed"][stage]])
        if stage not in self.arenas or needed > self.table[layout["capacity"][stage]]:
            memory = np.empty(needed + 64, np.uint8)
            _at_once(
                partial(setitem, self.table, layout["arena"][stage], -(-memory.ctypes.data // 64) * 64),
                partial(setitem, self.table, layout["capacity"][stage], needed),
                partial(setitem, self.arenas, stage, memory),
            )

    def _make(self, slot: int, dtype: str, lengths: list[int]) -> Any:
        array = np.empty([-1 - n if n < 0 else int(self.table[n]) for n in lengths], dtype)
        self.table[slot] = id(array)
        return array

    def _check(self, status: int) -> None:
        if status:
            kind, text = self.layout["failures"][status - 1]
            raise _ERRORS[kind](text.format(a=int(self.table[0]), b=int(self.table[1])))

    def _exchanged(self, fresh: dict[int, Any]) -> dict[str, Any]:
        """The new values that are not written in place."""
        new = {name: fresh[k] for k, name in enumerate(self.layout["fresh_names"])}
        return new | {name: self.shared[other] for name, other in self.layout["exchanges"]}

    def _result(self, made: dict[int, Any]) -> Any:
        layout = self.layout
        outputs = [made[k] for k in range(len(layout["outputs"]))]
        if layout["form"] == "dict":
            return dict(zip(layout["keys"], outputs, strict=True))
        return {"none": None, "single": outputs[0] if outputs else None}.get(layout["form"], outputs)


def _at_once(*actions: Any) -> Any:
    """Call C functions up to the first that gives something true, which is returned; no signal handler runs in
    between."""
    return next(filter(None, map(call, actions)), 0)


def load_values(file: str) -> dict[str, Any]:
    """The arrays that were saved beside an exported module."""
    with np.load(Path(file).with_suffix(".npz")) as archive:
        return {name: archive[name] for name in archive.files}
