"""The compiler of kernels: machine code without a driver, kept in the cache; what it says when something is missing."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest
from numba import cuda, float32

from numgraph import cache
from numgraph.cuda import captured, compiler
from numgraph.errors import DeviceError, KernelError, OptionError
from tests import waits

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
SIGNATURE = ("float32*", "float32*", "int64")


def make(value: float):
    constant = float32(value)

    def add(out, x, n):
        i = cuda.grid(1)
        if i < n:
            out[i] = x[i] + constant

    return add


@needs_compiler
def test_machine_code() -> None:
    for capability in ((8, 0), (9, 0)):
        cubin = compiler.compile_cubin(make(1.0), SIGNATURE, capability)
        assert cubin.code.startswith(b"\x7fELF")
        assert cubin.entry == "ng_add"
        assert ".entry ng_add(" in cubin.ptx
        assert 0 < cubin.registers <= 16
        assert (cubin.shared_bytes, cubin.stack_bytes, cubin.spill_bytes) == (0, 0, 0)


@needs_compiler
def test_shared_memory_and_bounds() -> None:
    def reverse(out, x, n):
        cells = cuda.shared.array(64, float32)
        t = cuda.threadIdx.x
        cells[t] = x[t]
        cuda.syncthreads()
        out[t] = cells[n - 1 - t]

    cubin = compiler.compile_cubin(reverse, SIGNATURE, (9, 0), max_threads=64)
    assert cubin.shared_bytes == 256
    assert re.search(r"\.maxntid 64\b", cubin.ptx)


@needs_compiler
def test_types_of_arguments() -> None:
    def cast(out, flags, x, n):
        if flags[n]:
            out[n] = x

    for name in ("int8", "uint32", "int64", "float32", "float64", "bool"):
        assert compiler.compile_cubin(cast, (f"{name}*", "bool*", name, "int32"), (9, 0)).code
    with pytest.raises(OptionError, match="no arguments of type 'text'"):
        compiler.compile_cubin(cast, ("text", "bool*", "int8", "int32"), (9, 0))


@needs_compiler
def test_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiler.compile_cubin(make(2.0), SIGNATURE, (9, 0))
    compiled: list[object] = []
    real = compiler._linked
    monkeypatch.setattr(compiler, "_linked", lambda *given: compiled.append(given) or real(*given))
    assert compiler.compile_cubin(make(2.0), SIGNATURE, (9, 0)) == first
    assert not compiled
    # another captured value, capability, signature or version is other code
    compiler.compile_cubin(make(3.0), SIGNATURE, (9, 0))
    compiler.compile_cubin(make(2.0), SIGNATURE, (8, 0))
    compiler.compile_cubin(make(2.0), ("float32*", "float32*", "int32"), (9, 0))
    monkeypatch.setattr(compiler, "versions", lambda: ("numba-cuda 9.9",))
    compiler.compile_cubin(make(2.0), SIGNATURE, (9, 0))
    assert len(compiled) == 4
    assert any(file.path.suffix == ".cubin" and file.kind == "code" for file in cache.files())


@needs_compiler
def test_damaged_code_is_made_again() -> None:
    first = compiler.compile_cubin(make(4.0), SIGNATURE, (9, 0))
    (path,) = (f.path for f in cache.files() if f.path.suffix == ".cubin" and first.code in f.path.read_bytes())
    path.write_bytes(path.read_bytes()[:-1])
    assert compiler.compile_cubin(make(4.0), SIGNATURE, (9, 0)) == first
    assert first.code in path.read_bytes()


@needs_compiler
def test_a_refused_function_is_named() -> None:
    def wrong(out, x, n):
        out[0] = str(n)

    with pytest.raises(DeviceError, match=r"kernel .*wrong\(float32\*, float32\*, int64\) for capability 8\.0"):
        compiler.compile_cubin(wrong, SIGNATURE, (9, 0))


def helper(x):
    return x + float32(1.0)


def test_fingerprints_follow_helpers_and_values() -> None:
    def one(out, x):
        out[0] = helper(x[0])

    def two(out, x):
        out[0] = helper(x[0])

    texts = captured.fingerprint(one)
    assert any("def helper" in text for text in texts)
    assert "float32 = float32" in texts
    assert texts != captured.fingerprint(two)
    assert captured.fingerprint(make(1.0)) == captured.fingerprint(make(1.0)) != captured.fingerprint(make(2.0))


def test_source_is_needed() -> None:
    names: dict[str, object] = {}
    builtins.exec("def kernel(out):\n    out[0] = 1", names)
    with pytest.raises(KernelError, match="kernel 'kernel': its source is not known"):
        captured.text(names["kernel"])  # type: ignore[arg-type]


WITHOUT = """
import sys
sys.modules["numba_cuda"] = None
from numgraph.cuda import compiler
print(compiler.missing("compile"))
try:
    compiler.compile_cubin(print, (), (9, 0))
except compiler.DeviceError as error:
    print(error)
"""


def python(code: str) -> str:
    done = waits.python("-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_packages() -> None:
    said = python(WITHOUT)
    problem = (
        "the package numba-cuda is not installed\n  fix: in the folder of numgraph's source: pip install '.[cuda]'\n"
    )
    assert said == problem + "CUDA kernels cannot be compiled: " + problem


def test_what_is_missing_to_run() -> None:
    problem = compiler.missing("run")
    assert problem is None or "\n  fix: " in problem
    with pytest.raises(OptionError, match="'compile' or 'run'"):
        compiler.missing("play")


def test_the_simulator_needs_no_packages() -> None:
    assert python("import sys, numgraph.cuda.simulator, numgraph.cuda.compiler\n"
                  "print({'numba', 'cuda', 'numba_cuda'} & set(sys.modules))") == "set()\n"  # fmt: skip


def imported(path: Path) -> set[str]:
    """The modules that a file imports, and what it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_only_the_door_imports_numba_cuda() -> None:
    paths = [*(ROOT / "numgraph").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]
    using = {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(name.startswith(("numba.cuda", "numba_cuda")) for name in imported(path))
        or re.search(r"""["']numba[._]cuda["'.]""", path.read_text(encoding="utf-8"))
    }
    # the simulator knows the module's name, in whose place it puts its own names
    assert using - {"numgraph/cuda/simulator.py", "kernels/cuda/support.py"} == {"numgraph/cuda/compiler.py"}
