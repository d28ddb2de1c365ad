"""From generated source to a callable entry: compiled by Numba once, afterwards loaded from the cache by LLVM alone.

The cache holds machine code. Its name covers the source, the sources of the kernels it imports, the versions of Numba,
llvmlite and Python, and the processor, so that code from elsewhere is never found; a checksum inside guards against damage.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path
from types import ModuleType
from typing import Any

from numgraph import cache

ENTRY_TYPE = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_MAGIC = b"numgraph-object-1\n"


@dataclass
class Native:
    """Loaded machine code. `entry(table address, part) -> status`; see `emit.module` for the parts."""

    entry: Callable[[int, int], int]
    path: Path
    seconds: float
    cached: bool
    engine: Any


@remember
def processor() -> str:
    """The processor and its features, as LLVM names them."""
    import llvmlite.binding as llvm

    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()} {llvm.get_process_triple()}"


@remember
def versions() -> str:
    """What compiled code depends on besides its source."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("numba", "llvmlite")]
    return " ".join([sys.version.split()[0], *found])


@remember
def kernel_digest(module: str) -> str:
    """The digest of a kernel file; Numba does not notice when an imported function changes."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return cache.digest(Path(spec.origin).read_bytes())


def build(text: str) -> Native:
    """The entry of a generated module, from the cache or compiled now."""
    started = time.perf_counter()
    kernels = sorted(set(re.findall(r"^from (numgraph\.kernels\.\w+) import", text, re.MULTILINE)))
    source_name = f"k_{cache.digest(text)}"
    path = cache.store(f"{source_name}.py", text.encode())
    name = f"{source_name}_{cache.digest(processor(), versions(), *map(kernel_digest, kernels))}.o"
    found = _load(name)
    if found is None:
        symbol, code = compile_source(path)
        cache.store(name, pack(symbol, code))
        engine, entry = link(symbol, code)
        return Native(entry, path, time.perf_counter() - started, False, engine)
    engine, entry = found
    return Native(entry, path, time.perf_counter() - started, True, engine)


def pack(symbol: str, code: bytes) -> bytes:
    """The content of an object file in the cache: magic, checksum, symbol, code."""
    body = symbol.encode() + b"\n" + code
    return _MAGIC + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body


def unpack(data: bytes) -> tuple[str, bytes] | None:
    """(symbol, code) of a cached object; None when it is damaged."""
    if not data.startswith(_MAGIC):
        return None
    checksum, _, body = data[len(_MAGIC) :].partition(b"\n")
    if hashlib.blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    symbol, _, code = body.partition(b"\n")
    return symbol.decode(), code


def _load(name: str) -> tuple[Any, Callable[[int, int], int]] | None:
    data = cache.load(name)
    if data is None:
        return None
    parts = unpack(data)
    if parts is None:
        cache.discard(name)
        return None
    return link(*parts)


def import_source(path: Path) -> ModuleType:
    """Execute a generated file as a module."""
    spec = importlib.util.spec_from_file_location(f"numgraph_generated_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    saved, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = saved
    return module


def compile_source(path: Path) -> tuple[str, bytes]:
    """Compile a generated file with Numba; returns the entry's symbol and the object code."""
    function = import_source(path).enter
    _, _, objects = function._library.serialize_using_object_code()
    code: bytes = objects[0]
    return str(function._wrapper_name), code


@remember
def _prepare() -> Any:
    """Initialise LLVM once; symbols that Numba's C wrappers name but never call here are given a harmless address."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    harmless = ctypes.cast(ctypes.pythonapi.PyErr_Clear, ctypes.c_void_p).value
    for symbol in ("numba_gil_ensure", "numba_gil_release"):
        if "numba" not in sys.modules:
            llvm.add_symbol(symbol, harmless)
    return llvm


def link(symbol: str, code: bytes) -> tuple[Any, Callable[[int, int], int]]:
    """Load object code into the process; returns the engine, which owns it, and the entry."""
    llvm = _prepare()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address(symbol)
    return engine, ENTRY_TYPE(address)


@remember
def blas_addresses() -> tuple[int, int]:
    """The addresses of sgemm and dgemm, as SciPy exports them."""
    from scipy.linalg import cython_blas

    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = [cython_blas.__pyx_capi__[name] for name in ("sgemm", "dgemm")]
    single, double = (get_pointer(c, get_name(c)) for c in capsules)
    return int(single), int(double)
