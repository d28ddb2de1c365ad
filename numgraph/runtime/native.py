"""From generated source to a callable entry: compiled once, by `lower` or by Numba, afterwards loaded from the cache.

The cache holds machine code. Its name covers the source, the compiler, the sources of the kernels it imports, the
versions of Numba, llvmlite and Python, and the processor, so that code from elsewhere is never found; a checksum inside
guards against damage.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as remember
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from numgraph import cache
from numgraph.config import config
from numgraph.convention import VERSION
from numgraph.processor import Processor, processor
from numgraph.runtime import perf
from numgraph.runtime.objects import pack, unpack
from numgraph.runtime.special import load_special
from numgraph.userfunctions.function import check_compiles
from numgraph.userfunctions.runtime import load_runtime
from numgraph.whole import compiled, kept

if TYPE_CHECKING:
    from numgraph.lower.emission import Emission


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


T = TypeVar("T")

# As versioneer writes it into a release.
_RELEASED = re.compile(r"""(?:version_json = '''.*?"version": "|version_version = ')([\w.+!-]+)""", re.DOTALL)


@remember
def versions() -> str:
    """What compiled code depends on besides its source."""
    found = [f"{name} {version_of(name)}" for name in ("numba", "llvmlite")]
    # builds with another object header (free-threaded, debug) have versions of the same name
    return " ".join([sys.version.split()[0], f"header {object.__basicsize__}", *found])


def version_of(package: str) -> str:
    """The version of Numba or llvmlite: as their releases have it in a file, which takes no import."""
    file = file_of(package).with_name("_version.py")
    found = _RELEASED.search(file.read_text(encoding="utf-8")) if file.is_file() else None
    if found is not None:
        return found[1]
    # of a checkout of theirs; not at once, since it imports email and sockets
    return str(importlib.import_module("importlib.metadata").version(package))


def file_of(module: str) -> Path:
    """The file of a module, which is not imported."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return Path(spec.origin)


@remember
def kernel_digest(module: str) -> str:
    """The digest of a kernel file and of those that it imports; Numba does not notice when an imported function
    changes."""
    text = file_of(module).read_text(encoding="utf-8")
    return cache.digest(text, *map(kernel_digest, imported_kernels(text)))


def imported_kernels(text: str) -> list[str]:
    """The modules of kernels that a source imports."""
    return sorted(set(re.findall(r"^from (numgraph\.kernels\.\w+) import", text, re.MULTILINE)))


@remember
def compiler_digest() -> str:
    """The digest of numgraph's part in compiling."""
    files = sorted(
        file for part in ("lower", "userfunctions") for file in (Path(__file__).parents[1] / part).glob("*.py")
    )
    return cache.digest(*(file.read_bytes() for file in files))


# Settings of Numba's that code depends on; those of the processor are part of `processor().key`.
_NUMBA_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO", "BOUNDSCHECK")


def numba_settings() -> list[str]:
    """Numba's settings in the environment that code depends on."""
    return [f"{name}={os.environ[name]}" for name in (f"NUMBA_{n}" for n in _NUMBA_SETTINGS) if name in os.environ]


def _is_on(setting: str) -> bool:
    """Whether one of Numba's settings is on in the environment."""
    return os.environ.get(setting, "0") not in ("", "0")


def _dumps() -> bool:
    """Whether Numba is to print what it compiles: then it is compiled, although it is in the cache."""
    return any(_is_on(name) for name in os.environ if name.startswith("NUMBA_DUMP_"))


def conditions() -> list[str]:
    """What machine code depends on besides its source and the kernels that this imports."""
    compiler = "standard passes" if config.standard_passes else compiler_digest()
    return [VERSION, compiler, processor().key, versions(), *numba_settings()]


def object_name(text: str) -> str:
    """The file of the machine code of a source, for this compiler, processor, these versions and these kernels."""
    return _object_name(cache.digest(text), imported_kernels(text))


def _object_name(source: str, kernels: Sequence[str]) -> str:
    return f"k_{source}_{cache.digest(*conditions(), *map(kernel_digest, kernels))}.o"


def source_name(source: str) -> str:
    """The file of a generated source. source: its digest."""
    return f"k_{source}.py"


def build(text: str) -> Native:
    """The entry of a generated module, from the cache or compiled now."""
    return begun(text)()


def begun(text: str) -> Callable[[], Native]:
    """As `build`, in two steps: the module is loaded or lowered now, and what is returned gives its entry. Its machine
    code is made in between."""
    started = time.perf_counter()
    path = cache.store(source_name(cache.digest(text)), text.encode())
    name = object_name(text)
    found = compiled(partial(_begun, name, path, text))
    if isinstance(found, Native):
        return lambda: found
    symbol, emission = found

    def finished() -> Native:
        native, codes = compiled(partial(_finished, path, started, symbol, emission))
        cache.store(name, pack(name, symbol, codes))
        return native

    return remember(finished)


def unit(text: str) -> Callable[[], Native]:
    """As `begun`, of what is compiled once for all functions and lives as long as the process."""
    return _unit(text, processor())


@remember
def _unit(text: str, made_for: Processor) -> Callable[[], Native]:
    return begun(text)


def _begun(name: str, path: Path, text: str) -> Native | tuple[str, Emission]:
    """Loaded code, or what is lowered."""
    found = None if _dumps() else _recalled(path, name)
    if found is not None:
        return found
    return lower_source(path, text)


def _finished(path: Path, started: float, symbol: str, emission: Emission) -> tuple[Native, list[bytes]]:
    """The entry, and its machine code."""
    codes = emission.result()
    engine, address = link(symbol, codes)
    native = Native(address, path, time.perf_counter() - started, False)
    kept(native, engine)
    return native, codes


def recalled(source: str, kernels: Sequence[str]) -> Native | None:
    """The entry of a generated module from the cache alone; None where it has to be compiled, or its source is gone.

    source: the digest of its text. kernels: what it imports.
    """
    path = cache.find(source_name(source))
    return None if path is None or _dumps() else compiled(partial(_recalled, path, _object_name(source, kernels)))


def _recalled(path: Path, name: str) -> Native | None:
    started = time.perf_counter()
    found = _load(name)
    if found is None:
        return None
    native = Native(found[1], path, time.perf_counter() - started, True)
    kept(native, found[0])
    return native


def linked(name: str, make: Callable[[], tuple[str, list[bytes]]]) -> tuple[Any, int, bytes | None]:
    """Code of the cache or, if there is none, (symbol, codes) made now: its engine, the address of the symbol, and what
    is to be kept in the cache unless it is there."""
    found = None if _dumps() else _load(name)
    if found is not None:
        return *found, None
    symbol, codes = make()
    return *link(symbol, codes), pack(name, symbol, codes)


def emission_of(text: str) -> Emission:
    """The object code of LLVM assembly of ours in the making."""
    from numgraph.lower.emission import Emission, emitted

    llvm = prepare_llvm()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True, opt=2)
    module = llvm.parse_assembly(text, llvm.create_context())
    module.verify()
    return Emission([partial(emitted, module, machine)])


def of_assembly(text: str, make: Callable[[], tuple[str, list[bytes]]], load: Callable[[Any], T]) -> T:
    """What `load` finds in the engine of LLVM assembly of ours, whose code is in the cache, or made now and kept there.

    The code stays until the process ends: threads of the pool run it, later than Python frees its objects.
    """
    name = object_name(text)
    cache.store(f"k_{cache.digest(text)}.ll", text.encode())

    def loaded() -> tuple[T, bytes | None]:
        engine, _, made = linked(name, make)
        found = load(engine)
        engine.detach()
        return found, made

    found, made = compiled(loaded)
    if made is not None:
        cache.store(name, made)
    return found


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
    tree = ast.parse(text, str(path))
    module.__dict__.update(__file__=str(path), __tree__=tree)
    exec(compile(tree, str(path), "exec"), module.__dict__)
    return module


def compile_source(path: Path, text: str) -> tuple[str, list[bytes]]:
    """Compile a generated module; returns the entry's symbol and the object code of its parts."""
    symbol, emission = compiled(partial(lower_source, path, text))
    return symbol, compiled(emission.result)


def lower_source(path: Path, text: str) -> tuple[str, Emission]:
    """Lower a generated module; returns the entry's symbol and the object code in the making."""
    result = compiled_source(path, text)
    return result.fndesc.llvm_cfunc_wrapper_name, result.library.emission()


def compiled_source(path: Path, text: str) -> Any:
    """Numba's result for the entry of a generated module: its library has everything in it."""
    return compiled(partial(_compiled_source, path, text))


def _compiled_source(path: Path, text: str) -> Any:
    (result,) = _dispatcher(path, text).overloads.values()
    return result


def dispatcher(path: Path, text: str) -> Any:
    """Numba's dispatcher of the entry of a generated module, which is compiled now."""
    return compiled(partial(_dispatcher, path, text))


def _dispatcher(path: Path, text: str) -> Any:
    check_compiles()
    from numgraph.lower.pipeline import COMPILER

    kernel_module("support").COMPILER.update(COMPILER)
    prepare_llvm()
    return import_source(path, text).enter


def kernel_module(name: str) -> ModuleType:
    """A file of kernels as a module, for the processor of the settings."""
    kernels: Any = importlib.import_module("numgraph.kernels")
    kernels.features = processor().has
    forget_kernels()
    return importlib.import_module(f"numgraph.kernels.{name}")


def forget_kernels() -> None:
    """Have kernels that were imported for other vectors imported anew: `tile_ir`, and what imports it."""
    prefix = "numgraph.kernels."
    first = sys.modules.get(f"{prefix}tile_ir")
    if first is None or first.this_machine() == first.MACHINE:
        return
    known = {name: module for name, module in sys.modules.items() if name.startswith(prefix)}
    texts = {name: Path(module.__file__ or "").read_text(encoding="utf-8") for name, module in known.items()}
    found = [f"{prefix}tile_ir"]
    for name in found:
        found += [n for n, text in texts.items() if f"from {name} import" in text and n not in found]
    for name in found:
        del sys.modules[name]


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


def target_machine() -> Any:
    """What makes code for the processor of the settings."""
    llvm, made_for = prepare_llvm(), processor()
    target = llvm.Target.from_triple(made_for.triple)
    reloc = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=made_for.name, features=made_for.features, opt=3, reloc=reloc, codemodel="jitdefault", jit=True
    )


def link(symbol: str, codes: Sequence[bytes]) -> tuple[Any, int]:
    """Load object code into the process; returns the engine, which owns it, and the address of the entry."""
    for code in codes:
        load_runtime(code, _NUMBA_SYMBOLS)
        load_special(code)
    llvm = prepare_llvm()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    if _is_on("NUMBA_ENABLE_PROFILING"):
        # for profilers, as Numba does
        engine.enable_jit_events()
    for code in codes:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = int(engine.get_function_address(symbol))
    if config.perf:
        perf.tell(codes, engine.get_function_address)
    return engine, address
