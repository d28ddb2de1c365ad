"""From generated source to a callable entry: compiled once, by `lower` or by Numba, afterwards loaded from the cache.

The cache holds machine code. Its name covers the source, the compiler, the sources of the kernels it imports, the
versions of Numba, llvmlite and Python, and the processor, so that code from elsewhere is never found; a checksum inside
guards against damage.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as remember
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph import cache
from numgraph.config import config
from numgraph.processor import processor
from numgraph.userfunctions.runtime import load_runtime
from numgraph.whole import compiled, kept

_MAGIC = b"numgraph-object-1\n"
# The convention between compiled code and this module; another one must not find code of this one in the cache.
CONVENTION = "4"


class _MethodDefinition(ctypes.Structure):
    """PyMethodDef of Python's C API."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_ONE_OBJECT = 0x0008  # METH_O: called with `self` and one argument
_definitions: list[_MethodDefinition] = []


@dataclass
class Native:
    """Loaded machine code: `bind(table)(part) -> status`; see `emit.entry` for the parts."""

    address: int
    path: Path
    seconds: float
    cached: bool

    def bind(self, table: NDArray[np.int64]) -> Callable[[Any], int]:
        """The entry as a built-in method of its table: a call costs a tenth of a microsecond, through ctypes ten
        times that."""
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        definition = _MethodDefinition(b"entry", self.address, _ONE_OBJECT, None)
        # a method reads its definition even while it is freed, which may be after everything else of the function
        _definitions.append(definition)
        method: Callable[[Any], int] = make(ctypes.addressof(definition), table, None)
        return method


@remember
def versions() -> str:
    """What compiled code depends on besides its source."""
    found = [f"{name} {importlib.metadata.version(name)}" for name in ("numba", "llvmlite")]
    # builds with another object header (free-threaded, debug) have versions of the same name
    return " ".join([sys.version.split()[0], f"header {object.__basicsize__}", *found])


@remember
def kernel_digest(module: str) -> str:
    """The digest of a kernel file and of those that it imports; Numba does not notice when an imported function
    changes."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    text = Path(spec.origin).read_text(encoding="utf-8")
    return cache.digest(text, *map(kernel_digest, imported_kernels(text)))


def imported_kernels(text: str) -> list[str]:
    """The modules of kernels that a source imports."""
    return sorted(set(re.findall(r"^from (numgraph\.kernels\.\w+) import", text, re.MULTILINE)))


@remember
def compiler_digest() -> str:
    """The digest of numgraph's own compiler."""
    files = sorted((Path(__file__).parents[1] / "lower").glob("*.py"))
    return cache.digest(*(file.read_bytes() for file in files))


def object_name(text: str) -> str:
    """The file of the machine code of a source, for this compiler, processor, these versions and these kernels."""
    kernels = map(kernel_digest, imported_kernels(text))
    compiler = compiler_digest() if config.compiler == "auto" else config.compiler
    conditions = (CONVENTION, compiler, processor().key, versions())
    return f"k_{cache.digest(text)}_{cache.digest(*conditions, *kernels)}.o"


def build(text: str) -> Native:
    """The entry of a generated module, from the cache or compiled now."""
    path = cache.store(f"k_{cache.digest(text)}.py", text.encode())
    name = object_name(text)
    native, made = compiled(partial(_linked, name, path, text))
    if made is not None:
        cache.store(name, made)
    return native


def _linked(name: str, path: Path, text: str) -> tuple[Native, bytes | None]:
    """Loaded code, and what is to be kept in the cache unless it is there."""
    started, made = time.perf_counter(), None
    found = _load(name)
    if found is None:
        symbol, code = compile_source(path, text)
        found, made = link(symbol, code), pack(name, symbol, code)
    engine, address = found
    native = Native(address, path, time.perf_counter() - started, made is None)
    kept(native, engine)
    return native, made


def pack(name: str, symbol: str, code: bytes) -> bytes:
    """The content of an object file in the cache: magic, checksum, its own name, symbol, code."""
    body = name.encode() + b"\n" + symbol.encode() + b"\n" + code
    return _MAGIC + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b"\n" + body


def unpack(name: str, data: bytes) -> tuple[str, bytes] | None:
    """(symbol, code) of a cached object; None when it is damaged, or was stored under another name."""
    if not data.startswith(_MAGIC):
        return None
    checksum, _, body = data[len(_MAGIC) :].partition(b"\n")
    if hashlib.blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    stored, symbol, code = body.split(b"\n", 2)
    return (symbol.decode(), code) if stored == name.encode() else None


def _load(name: str) -> tuple[Any, int] | None:
    data = cache.load(name)
    if data is None:
        return None
    parts = unpack(name, data)
    linked = link(*parts) if parts is not None else None
    if linked is None or linked[1] == 0:
        # damaged, or made by a Numba whose wrappers need more than is known here
        cache.discard(name)
        return None
    return linked


def import_source(path: Path, text: str) -> ModuleType:
    """Execute generated source as a module of the file `path`, which may have been edited or removed meanwhile."""
    module = ModuleType(f"numgraph_generated_{path.stem}")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


def compile_source(path: Path, text: str) -> tuple[str, bytes]:
    """Compile a generated module; returns the entry's symbol and the object code."""
    symbol, module, machine = compiled_module(path, text)
    code: bytes = machine.emit_object(module)
    return symbol, code


def compiled_module(path: Path, text: str) -> tuple[str, Any, Any]:
    """(symbol of the entry, LLVM module with everything in it, target machine) of a generated module."""
    return compiled(partial(_compiled_module, path, text))


def _compiled_module(path: Path, text: str) -> tuple[str, Any, Any]:
    kernels: Any = importlib.import_module("numgraph.kernels")
    kernels.features = processor().has
    if config.compiler == "numba":
        return numba_module(path, text)
    prepare_llvm()
    from numgraph.lower.kinds import Unsupported
    from numgraph.lower.machine import optimized
    from numgraph.lower.program import Program

    program = Program()
    try:
        symbol = program.compile(text)
    except Unsupported as reason:
        if config.debug >= 1:
            print(f"numgraph: {path}: compiled by Numba because of {reason}", file=sys.stderr)
        return numba_module(path, text)
    return (symbol, *optimized(str(program.module), program.level))


def numba_module(path: Path, text: str) -> tuple[str, Any, Any]:
    """What Numba makes of a generated module, as `compiled_module`."""
    with _lean_numba() as (optimize, machine):
        function = import_source(path, text).enter
        result = next(iter(function.overloads.values()))
        library = result.library
        library._ensure_finalized()
        optimize(library)
    return str(result.fndesc.llvm_cfunc_wrapper_name), library._final_module, machine


def kernel_module(name: str) -> ModuleType:
    """A file of kernels as a module, for the processor of the settings."""
    kernels: Any = importlib.import_module("numgraph.kernels")
    kernels.features = processor().has
    forget_kernels()
    return importlib.import_module(f"numgraph.kernels.{name}")


def forget_kernels() -> None:
    """Have kernels that were imported for other vectors imported anew; those whose code depends on them hold MACHINE.

    numgraph's own compiler reads the files at each compilation.
    """
    prefix = "numgraph.kernels."
    first = sys.modules.get(f"{prefix}tile_ir")
    if first is not None and first.this_machine() != first.MACHINE:
        for name in [n for n, m in sys.modules.items() if n.startswith(prefix) and hasattr(m, "MACHINE")]:
            del sys.modules[name]


@contextmanager
def _lean_numba() -> Iterator[tuple[Callable[[Any], None], Any]]:
    """Within the block Numba makes LLVM IR only, for the processor of the settings; yields the function that optimises
    a finished library, and the target machine.

    By default every function is optimised and emitted on its own, and again in each function that it is linked into.
    Here only the entry is, once, with all phases linked in: less than half the time. Nothing reaches Numba's
    execution engine.
    """
    from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.cpu import CPUContext
    from numba.core.registry import cpu_target

    from numgraph.lower.machine import target_machine

    forget_kernels()
    support, loops = (importlib.import_module(f"numgraph.kernels.{name}") for name in ("support", "loops_ir"))
    prepare_llvm()
    machine = target_machine()
    add_ir_module: Callable[[Any, Any], None] = CPUCodeLibrary.add_ir_module

    def add_prepared(library: Any, module: Any) -> None:
        for function in module.functions:
            # these are called from several places; a copy in each would be optimised each time. Said here and not of
            # the finished module, since llvmlite 0.47 ends the process there.
            if not function.is_declaration and re.search(r"(plan|step)_\d+", function.name):
                function.attributes.add("noinline")
        add_ir_module(library, loops.with_loop_hints(module))

    changes: list[tuple[Any, str, Any]] = [
        (CPUCodeLibrary, "_optimize_final_module", lambda self: None),
        (JITCPUCodegen, "_add_module", lambda self, module: None),
        # a builtin function of its own is wanted for each, as a key; it is never called
        (CPUContext, "get_executable", lambda self, library, fndesc, env: [].append),
        (CPUCodeLibrary, "add_ir_module", add_prepared),
        (support, "EMBEDDED", True),
        (cpu_target.target_context.codegen(), "_tm", machine),
    ]
    with global_compiler_lock:
        saved = [getattr(owner, name) for owner, name, _ in changes]
        for owner, name, value in changes:
            setattr(owner, name, value)
        try:
            yield saved[0], machine
        finally:
            for (owner, name, _), value in zip(changes, saved, strict=True):
                setattr(owner, name, value)


# Named in the error paths of Numba's wrappers, which generated code never takes.
_NUMBA_SYMBOLS = (
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_do_raise",
    "numba_unpickle",
    "numba_runtime_build_excinfo_struct",
)


@remember
def prepare_llvm() -> Any:
    """Initialise LLVM once; symbols that Numba's C wrappers name but never call here are given a harmless address."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    harmless = ctypes.cast(ctypes.pythonapi.PyErr_Clear, ctypes.c_void_p).value
    for symbol in _NUMBA_SYMBOLS:
        # Numba defines them when it first compiles, not when it is imported; a symbol that is missing ends the process
        if llvm.address_of_symbol(symbol) is None:
            llvm.add_symbol(symbol, harmless)
    return llvm


def link(symbol: str, code: bytes) -> tuple[Any, int]:
    """Load object code into the process; returns the engine, which owns it, and the address of the entry."""
    load_runtime(code, _NUMBA_SYMBOLS)
    llvm = prepare_llvm()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, int(engine.get_function_address(symbol))
