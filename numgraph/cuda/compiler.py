"""All calls of CUDA's compilers: a Python function and a signature go in, machine code for a device comes out.

Nothing else in numgraph imports `numba.cuda` (kernels see its names through `numgraph.kernels.cuda.support`). Numba
makes PTX of the function, nvJitLink makes a cubin of the PTX; neither needs a driver. PTX never goes to a driver,
which refuses that of newer tools than its own; a cubin runs on every driver of the same major version.

Machine code is kept in the cache folder under the digest of everything that it depends on: the source of the function
and of the helpers that it calls, captured values, signature, capability, and the versions of the tools.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from numgraph import cache
from numgraph.cuda import captured
from numgraph.errors import DeviceError, OptionError

INSTALL = "in the folder of numgraph's source: pip install '.[cuda]'"
# Packages whose versions decide about the code.
_TOOLS = "numba-cuda numba llvmlite nvidia-nvvm nvidia-nvjitlink nvidia-cuda-nvrtc cuda-core".split()
_LIBRARIES = "nvvm nvrtc nvJitLink".split()
_FORMAT = "3"
# PTX is made for the oldest capability whose instructions kernels use, and so once for all later ones. It says that it
# is of the first version that knows this capability, which is all that it needs: tools refuse a version newer than
# their own, whatever is in the text.
_BASE, _VERSION = (8, 0), "7.0"
# A product and a sum stay two operations, each rounded, as on the processor: x*x - y*y is 0 where x = y. Kernels of
# products ask for fused ones themselves.
_ASSEMBLER = ["-v", "--fmad=false"]
_lock = threading.Lock()
_texts: dict[str, str] = {}


@dataclass(frozen=True)
class Cubin:
    """A kernel's machine code for one capability, and what the assembler says of it.

    code: the cubin file. entry: the kernel's name in it. registers: per thread. shared_bytes: static shared memory of a
    block. stack_bytes, spill_bytes: per thread, 0 unless registers did not suffice. ptx: the text it was made from.
    """

    code: bytes
    entry: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int
    ptx: str


def compile_cubin(
    function: Callable[..., Any],
    signature: Sequence[str],
    capability: tuple[int, int],
    *,
    max_threads: int | None = None,
    min_blocks: int = 1,
) -> Cubin:
    """Machine code of a kernel.

    function: a plain function, see `numgraph.kernels.cuda`. signature: the types of its arguments, such as
    ("float32*", "int64"). capability: of the device, (9, 0) for an H100. max_threads: the most threads that a block
    will have, and min_blocks: how many blocks a multiprocessor should hold at a time, from which the assembler
    derives how many registers it may use.

    Raises DeviceError when packages are missing or the tools refuse the function, OptionError for an unknown type.
    """
    _require(missing("compile"))
    bounds = None if max_threads is None else (max_threads, min_blocks)
    key = (_FORMAT, "\n".join(signature), repr(capability), repr(bounds), *versions())
    name = f"k_{cache.digest(*captured.fingerprint(function))}_{cache.digest(*key)}.cubin"
    data = cache.load(name)
    if data is not None:
        kept = _unpacked(data)
        if kept is not None:
            return kept
        cache.discard(name)
    base = min(capability, _BASE)
    text = cache.digest(name.rpartition("_")[0], *key[:2], repr(base), repr(bounds))
    if text not in _texts:
        _texts[text] = _ptx(function, signature, base, bounds)
    made = _linked(_texts[text], f"ng_{function.__name__}", capability)
    cache.store(name, _packed(made))
    return made


def _packed(cubin: Cubin) -> bytes:
    """The file of a cubin: the digest of the rest, a line that describes it, the code."""
    about = asdict(cubin)
    del about["code"]
    body = json.dumps(about).encode() + b"\n" + cubin.code
    return cache.digest(body).encode() + b"\n" + body


def _unpacked(data: bytes) -> Cubin | None:
    """The cubin of a file, None for a damaged one."""
    stamp, _, body = data.partition(b"\n")
    if stamp != cache.digest(body).encode():
        return None
    about, _, code = body.partition(b"\n")
    return Cubin(code=code, **json.loads(about))


def _ptx(
    function: Callable[..., Any], signature: Sequence[str], capability: tuple[int, int], bounds: tuple[int, int] | None
) -> str:
    """Numba's part: PTX, whose kernel has a readable name."""
    arguments = _module("numba.core.types").void(*(_type(name) for name in signature))
    options: dict[str, Any] = {} if bounds is None else {"launch_bounds": bounds}
    try:
        with _capability(capability, _computes_integers(function, signature)):
            ptx, _ = _module("numba.cuda").compile(
                function, arguments, cc=capability, device=False, abi="numba", **options
            )
    except Exception as error:
        where = f"kernel {function.__qualname__}({', '.join(signature)}) for capability {capability[0]}.{capability[1]}"
        raise DeviceError(f"{where}: not compiled\n  {type(error).__name__}: {error}") from error
    return _renamed(ptx, f"ng_{function.__name__}")


def _linked(ptx: str, entry: str, capability: tuple[int, int]) -> Cubin:
    """nvJitLink's part: a cubin of PTX."""
    core = _module("cuda.core")
    options = core.LinkerOptions(arch="sm_{}{}".format(*capability), ptxas_options=_ASSEMBLER)
    try:
        linker = core.Linker(core.ObjectCode.from_ptx(ptx.encode()), options=options)
        code = bytes(linker.link("cubin").code)
        log = linker.get_info_log()
    except Exception as error:
        where = f"kernel {entry} for capability {capability[0]}.{capability[1]}"
        raise DeviceError(f"{where}: not assembled\n  {type(error).__name__}: {error}") from error
    return Cubin(
        code=code,
        entry=entry,
        registers=int(_found(r"Used (\d+) registers", log)),
        shared_bytes=_shared_bytes(ptx),
        stack_bytes=int(_found(r"(\d+) bytes stack frame", log)),
        spill_bytes=int(_found(r"(\d+) bytes spill stores", log)),
        ptx=ptx,
    )


def _module(name: str) -> Any:
    """A module that is there only with the packages of the extra `cuda`, and imported only when it is used."""
    return importlib.import_module(name)


def _found(pattern: str, text: str) -> str:
    """The group of a pattern in what a tool said."""
    match = re.search(pattern, text)
    if match is None:
        raise DeviceError(f"the CUDA tools do not say what was looked for ({pattern})\n  {text}")
    return match[1]


def _type(name: str) -> Any:
    """The Numba type of "int64" or "float32*"."""
    types = _module("numba.core.types")
    plain = name.removesuffix("*")
    kind = {"bool": types.boolean}.get(plain) or getattr(types, plain, None)
    if not isinstance(kind, types.Number | types.Boolean):
        raise OptionError(f"a kernel has no arguments of type {name!r}: names are those of NumPy, perhaps with a *")
    if name.endswith("*"):
        # Numba stores truth values through pointers wrongly; a byte that holds 0 or 1 is the same in memory
        return types.CPointer(types.uint8 if kind is types.boolean else kind)
    return kind


def _renamed(ptx: str, entry: str) -> str:
    """PTX with a readable name for the kernel, and without what differs from one compilation to the next."""
    lines = [line for line in ptx.splitlines(keepends=True) if "NumbaEnv" not in line]
    text = "".join(lines).replace(_found(r"\.entry (\w+)", ptx), entry)
    if f".target sm_{_BASE[0]}{_BASE[1]}" in text:
        text = re.sub(r"\.version [\d.]+", f".version {_VERSION}", text, count=1)
    # arrays in shared memory are numbered through the whole process
    numbers: dict[str, int] = {}
    return re.sub(r"_cudapy_smem_\d+", lambda m: f"ng_shared_{numbers.setdefault(m[0], len(numbers))}", text)


def _shared_bytes(ptx: str) -> int:
    """The static shared memory that PTX declares; the assembler counts none of it, since Numba makes it visible."""
    size = 0
    for align, length in re.findall(r"\.shared \.align (\d+) \.b8 \w+\[(\d+)\];", ptx):
        size = -(-size // int(align)) * int(align) + int(length)
    return size


@contextmanager
def _capability(capability: tuple[int, int], wraps: bool) -> Iterator[None]:
    """Compile helper functions for a capability: Numba asks the driver for that of the device here, if there is one.

    wraps: signed integers wrap around. Otherwise Numba tells LLVM that they never overflow.
    """
    dispatcher = _module("numba.cuda.dispatcher")
    device = type("Device", (), {"compute_capability": capability})
    with _lock:
        changes: list[tuple[Any, str, Any]] = [(dispatcher, "get_current_device", lambda: device)]
        if wraps:
            changes += [(numbers, "_int_arith_flags", lambda kind: []) for numbers in _arithmetic()]
        before = [getattr(owner, name) for owner, name, _ in changes]
        for owner, name, value in changes:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for (owner, name, _), value in zip(changes, before, strict=True):
                setattr(owner, name, value)


def _computes_integers(function: Callable[..., Any], signature: Sequence[str]) -> bool:
    """Whether integers in a kernel are the user's. Those of the hand-written ones for floats are places in memory, and
    a product takes a quarter more registers where they wrap."""
    ours = (function.__module__ or "").startswith("numgraph.kernels.")
    return not (ours and all(name.startswith("float") for name in signature if name.endswith("*")))


def _arithmetic() -> list[Any]:
    """The modules in which Numba lowers arithmetic: numba-cuda has its own, older ones had Numba's."""
    found = []
    for name in ("numba.cuda.cpython.numbers", "numba.cpython.numbers"):
        with suppress(ModuleNotFoundError):
            found.append(_module(name))
    return found


# -- what there is ---------------------------------------------------------------------------------------------------


@functools.cache
def versions() -> tuple[str, ...]:
    """The tools and their versions, as "numba-cuda 0.30.4"; those that are not installed as packages are left out."""
    found = []
    for name in _TOOLS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


def missing(purpose: str = "run") -> str | None:
    """What is missing to "compile" kernels or to "run" them, in words, with what to do; None when nothing is.

    Running needs cuda-core, a driver and a device. It does not need the compilers where the code comes from elsewhere.
    """
    if purpose not in ("compile", "run"):
        raise OptionError(f"missing: the purpose is 'compile' or 'run', not {purpose!r}")
    return _no_compiler() if purpose == "compile" else _no_package("cuda.core", "cuda-core") or no_device()


@functools.cache
def _no_compiler() -> str | None:
    absent = _no_package("numba_cuda", "numba-cuda") or _no_package("cuda.core", "cuda-core")
    if absent:
        return absent
    load = _module("cuda.pathfinder").load_nvidia_dynamic_lib
    for name in _LIBRARIES:
        try:
            load(name)
        except Exception as error:
            said = str(error).strip().splitlines()[:1]
            return f"the library {name} of the CUDA toolkit is not found ({' '.join(said)})\n  fix: {INSTALL}"
    return None


def _no_package(module: str, package: str) -> str | None:
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    return None if there else f"the package {package} is not installed\n  fix: {INSTALL}"


def no_device() -> str | None:
    """Why no kernel can run on this machine, as far as driver and device go."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return f"there is no NVIDIA driver ({name} is not found)\n  fix: install the driver, version 580 or newer"
    status = driver.cuInit(0)
    if status:
        why = {100: "it finds no device", 803: "its library and its kernel module have different versions"}
        said = why.get(status, f"error {status}")
        return f"the NVIDIA driver does not start: {said}\n  fix: look at what nvidia-smi says"
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value < 13000:
        had = f"{version.value // 1000}.{version.value % 1000 // 10}"
        return f"the NVIDIA driver is for CUDA {had}, numgraph's code for CUDA 13\n  fix: install driver 580 or newer"
    return None


def _require(problem: str | None) -> None:
    if problem is not None:
        raise DeviceError(f"CUDA kernels cannot be compiled: {problem}")
