"""DLPack capsules, in both forms: before and since version 1.0 of https://dmlc.github.io/dlpack/latest/c_api.html.

A capsule owns one reference to the exporting array, which the consumer gives back by calling the deleter in it.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import numpy as np

from numgraph.errors import DtypeError

VERSION = (1, 1)
COPIED = 2
# Type codes of DLPack by NumPy's kinds.
CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}


class _Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32)]


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    """DLManagedTensor, the form before version 1.0."""

    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = [
        ("version", _Version),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


NAMES = {_Managed: b"dltensor", _Versioned: b"dltensor_versioned"}
# What lives until a consumer calls the deleter: the structure, its arrays of lengths, the exporting array.
_exported: dict[int, tuple[Any, ...]] = {}
_numbers = itertools.count(1)

# Untyped pointers instead of py_object: the destructor gets a capsule whose count of references is 0.
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_valid = ctypes.PyDLL(None).PyCapsule_IsValid
_valid.restype, _valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]
_pointer = ctypes.PyDLL(None).PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]


def _deleted(kind: Any) -> Any:
    """The deleter of a form: drops what its context stands for."""

    def delete(address: int) -> None:
        _exported.pop(kind.from_address(address).context, None)

    return _DELETER(delete)


_DELETERS = {kind: _deleted(kind) for kind in NAMES}


def _capsule_dies(capsule: int) -> None:
    """A capsule that nobody consumed (consumers rename it) gives its reference back itself."""
    for kind, name in NAMES.items():
        if _valid(capsule, name):
            _exported.pop(kind.from_address(_pointer(capsule, name)).context, None)


_destructor = _DELETER(_capsule_dies)
_DESTRUCTOR = ctypes.cast(_destructor, ctypes.c_void_p)


def capsule(
    owner: Any,
    address: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    device: tuple[int, int],
    versioned: bool,
    copied: bool,
) -> Any:
    """A capsule for a C-contiguous array; `owner` is kept until its consumer is done. DtypeError for other dtypes."""
    if dtype.kind not in CODES:
        raise DtypeError(f"DLPack has no dtype {dtype}")
    kind = _Versioned if versioned else _Managed
    made = kind()
    lengths = (ctypes.c_int64 * max(1, len(shape)))(*shape)
    strides = (ctypes.c_int64 * max(1, len(shape)))()
    step = 1
    for axis in reversed(range(len(shape))):
        strides[axis], step = step, step * shape[axis]
    tensor = made.tensor
    tensor.data, (tensor.device_type, tensor.device_id) = address, device
    tensor.ndim, tensor.code, tensor.bits, tensor.lanes = len(shape), CODES[dtype.kind], 8 * dtype.itemsize, 1
    tensor.shape, tensor.strides = lengths, strides
    made.context, made.deleter = next(_numbers), _DELETERS[kind]
    if isinstance(made, _Versioned):
        made.version, made.flags = _Version(*VERSION), COPIED if copied else 0
    _exported[made.context] = made, lengths, strides, owner
    return _new(ctypes.addressof(made), NAMES[kind], _DESTRUCTOR)
