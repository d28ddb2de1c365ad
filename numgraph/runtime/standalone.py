"""Runs an exported program: copied by `export` behind the generated functions, so it uses NumPy and the standard
library only."""

from __future__ import annotations

import ctypes
from functools import partial
from operator import call, setitem
from pathlib import Path
from typing import Any

import numpy as np


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Step:
    """An exported function: call it with the arguments of the original.

    shared: name -> array; the values that the program reads and updates, kept between calls. A replaced array must
    have the dtype and rank of the old one, and the lengths that the program was compiled for.
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
        self.shared = {name: np.array(values[key], order="C") for _, name, key in layout["shared"]}
        self.constants = {slot: np.ascontiguousarray(values[name]) for slot, name in layout["constants"].items()}
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

    def __call__(self, *arguments: Any) -> Any:
        """The outputs; `shared` holds the new values. TypeError and ValueError for arguments that do not fit."""
        layout = self.layout
        if len(arguments) != len(layout["arguments"]):
            raise TypeError(f"takes {len(layout['arguments'])} arguments, got {len(arguments)}")
        kept = [self._fill(value, *slot) for value, slot in zip(arguments, layout["arguments"], strict=True)]
        descriptors = []
        for slot, name, _ in layout["shared"]:
            array = self.shared[name] = np.asarray(self.shared[name], order="C")
            descriptors.append(np.array([array.ctypes.data, *array.shape], np.int64))
            self.table[slot] = descriptors[-1].ctypes.data
        made: dict[str, dict[int, Any]] = {"outputs": {}, "fresh": {}}
        for stage in range(len(layout["arena"])):
            self._check(self.entry(2 * stage))
            self._grow(stage)
            for kind, arrays in made.items():
                arrays |= {k: self._make(*part) for k, (*part, when) in enumerate(layout[kind]) if when == stage}
            # updates in place are in the last stage; the others come with them
            last = stage == len(layout["arena"]) - 1
            new = self._exchanged(made["fresh"]) if last else {}
            self._check(_at_once(partial(self.entry, 2 * stage + 1), partial(self.shared.update, new)))
        del kept, descriptors
        return self._result(made["outputs"])

    def _fill(self, value: Any, slot: int, dtype: str, ndim: int, name: str) -> Any:
        array = np.asarray(value)
        if array.ndim != ndim or not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"{name}: expected {dtype} with {ndim} axes, got {array.dtype} of shape {array.shape}")
        array = np.ascontiguousarray(array, dtype) if ndim else array.astype(dtype)
        if ndim:
            self.table[slot] = id(array)
        elif dtype.startswith("float"):
            self.reals[slot] = array
        else:
            self.table[slot] = array.astype(np.int64)
        return array

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
            text = self.layout["failures"][status - 1]
            error = np.linalg.LinAlgError if status in self.layout["broken"] else ValueError
            raise error(text.format(a=int(self.table[0]), b=int(self.table[1])))

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
