"""The C functions that modules of Cython export, by name."""

from __future__ import annotations

import ctypes
from typing import Any


def exported_function(exported: dict[str, Any], name: str) -> tuple[str, int]:
    """The signature and the address of a function in a module's `__pyx_capi__`. KeyError where it is not there."""
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature = get_name(exported[name])
    return signature.decode(), int(get_pointer(exported[name], signature))
