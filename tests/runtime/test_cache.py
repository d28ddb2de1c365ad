"""The folder of generated source and object code: what it holds, what is believed, and what happens to damage."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import cache
from numgraph.config import config
from numgraph.processor import Processor, processor
from numgraph.runtime import native, objects
from tests.waits import PATIENCE, together

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
import numpy as np
import numgraph as ng
x, s = ng.vector("x"), ng.shared(np.array([1.0, 2.0]), "s")
f = ng.function([x], ng.sum(ng.exp(x) * s), updates=[(s, s * 2)])
print(float(f([0.0, 1.0])), float(f([0.0, 1.0])), s.get_value().tolist(), "numba" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")
    return tmp_path / "cache"


def start(folder: Path, code: str = PROGRAM, standard: str = "0", **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "NUMGRAPH_CACHE_DIR": str(folder), "NUMGRAPH_STANDARD_PASSES": standard, **more}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out.strip()


def function(factor: float = 2.0) -> ng.Function:
    x = ng.vector("x")
    return ng.function([x], x * factor + 1)


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"k_*{suffix}"))


def was_cached(f: Any) -> bool:
    return bool(f.record.cached)


def test_source_and_object_code_are_kept(folder: Path) -> None:
    f = function()
    assert not was_cached(f)
    ((source,), (code,)) = files(folder, ".py"), files(folder, ".o")
    assert source.read_text(encoding="utf-8") == f.source
    assert code.name.startswith(source.stem)
    assert len(list(folder.glob("p_*.bin"))) == 1
    assert len(list(folder.iterdir())) == 3, "a scratch file was left behind"
    again = function()
    assert was_cached(again)
    assert again([1.0])[0] == 3


def test_the_same_text_is_the_same_file_and_is_not_rewritten(folder: Path) -> None:
    function()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    function()
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_what_differs_is_another_file(folder: Path) -> None:
    x, y, m = ng.vector("x", "float64"), ng.vector("x", "float32"), ng.matrix("m", "float64")
    for inputs, output in (
        (x, x * 2), (x, x * 3), (x, x * 2.0000000000000004), (y, y * 2), (x, x[1:]), (x, x[2:]), (m, ng.sum(m, axis=0)),
        (m, ng.sum(m, axis=1)), (m, ng.sum(m, axis=1, keepdims=True)), (m, ng.max(m, axis=0)),
    ):  # fmt: skip
        ng.function([inputs], output)
    assert len(files(folder, ".py")) == len(files(folder, ".o")) == 10


def test_array_constants_are_not_confused(folder: Path) -> None:
    """They lie outside the code, so functions that differ in their values alone may share it."""
    x = ng.vector("x")
    got = [ng.function([x], x * np.array(c))([1.0, 1.0, 1.0]).tolist() for c in ([1.0, 2, 3], [3.0, 2, 1])]
    assert got == [[1, 2, 3], [3, 2, 1]]


def test_only_a_process_in_which_numba_compiles_loads_it(folder: Path) -> None:
    found = [finish(start(folder, standard=name)) for name in ("0", "0", "1", "1")]
    values = found[0].removesuffix(" True")
    assert found == [f"{values} True", f"{values} False"] * 2
    assert (len(files(folder, ".py")), len(files(folder, ".o"))) == (1, 2)
    # a process that has imported Numba has names that the code refers to, but does not define them before it compiles
    for name in ("0", "1"):
        assert finish(start(folder, "import numba\n" + PROGRAM, name)) == f"{values} True"


def test_processes_may_compile_the_same_at_once(folder: Path) -> None:
    processes = [start(folder) for _ in range(3)]
    assert len({finish(p).rsplit(" ", 1)[0] for p in processes}) == 1
    assert not list(folder.glob("*.tmp"))
    assert finish(start(folder)).endswith("False")


def damaged(code: bytes, how: str) -> bytes:
    body = len(objects._MAGIC) + 33
    return {
        "empty": b"",
        "magic only": code[: len(objects._MAGIC)],
        "truncated": code[: len(code) // 2],
        "last byte": code[:-1],
        "garbage": os.urandom(1000),
        "another format": b"\x7fELF" + code,
        "one bit": code[: body + 200] + bytes([code[body + 200] ^ 1]) + code[body + 201 :],
    }[how]


@pytest.mark.parametrize(
    "how", ["empty", "magic only", "truncated", "last byte", "garbage", "another format", "one bit"]
)
def test_damaged_object_code_is_made_again(folder: Path, how: str) -> None:
    function()
    (path,) = files(folder, ".o")
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, how))
    f = function()
    assert not was_cached(f)
    assert f([1.0])[0] == 3
    assert objects.unpack(path.name, path.read_bytes()) is not None
    assert was_cached(function())


def test_object_code_under_the_name_of_another_is_made_again(folder: Path) -> None:
    function(2.0)
    (two,) = files(folder, ".o")
    function(5.0)
    (five,) = (path for path in files(folder, ".o") if path != two)
    two.write_bytes(five.read_bytes())
    f = function(2.0)
    assert f([1.0])[0] == 3
    assert not was_cached(f)


def test_a_source_file_that_was_edited_is_not_compiled(folder: Path) -> None:
    """It is there to be read, and somebody may save changes: the code must be that of the text that names the file."""
    function()
    ((source,), (code,)) = files(folder, ".py"), files(folder, ".o")
    text = source.read_text(encoding="utf-8")
    assert "2.0" in text
    source.write_text(text.replace("2.0", "7.0"), encoding="utf-8")
    code.unlink()
    f = function()
    assert f([1.0])[0] == 3


def test_object_code_without_its_source(folder: Path) -> None:
    function()
    (source,) = files(folder, ".py")
    source.unlink()
    f = function()
    assert was_cached(f)
    assert source.read_text(encoding="utf-8") == f.source


def test_a_removed_folder_comes_back(folder: Path) -> None:
    f = function()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert f([1.0])[0] == function()([1.0])[0] == 3


def another_processor() -> Processor:
    return replace(processor(), name="one with an instruction that this one lacks")


def test_code_of_another_processor_or_version_is_not_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function()
    monkeypatch.setattr(native, "processor", another_processor)
    assert not was_cached(function())
    monkeypatch.setattr(native, "versions", lambda: "numba of tomorrow")
    assert not was_cached(function())
    assert (len(files(folder, ".py")), len(files(folder, ".o"))) == (1, 3)


def test_an_edited_kernel_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = ng.vector("x")
    ng.function([x], ng.exp(x))
    real = native.kernel_digest
    monkeypatch.setattr(native, "kernel_digest", lambda module: real(module)[::-1])
    assert not was_cached(ng.function([x], ng.exp(x)))


@pytest.mark.parametrize("what", ["version", "processor"])
def test_code_made_elsewhere_is_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Neither under its own name, which nobody here asks for, nor copied to the name that is asked for."""
    with monkeypatch.context() as elsewhere:
        if what == "version":
            elsewhere.setattr(native, "versions", lambda: "another one")
        else:
            elsewhere.setattr(native, "processor", another_processor)
        function()
    (foreign,) = files(folder, ".o")
    f = function()
    assert not was_cached(f)
    (own,) = (path for path in files(folder, ".o") if path != foreign)
    own.write_bytes(foreign.read_bytes())
    again = function()
    assert not was_cached(again) and again([1.0])[0] == 3
    assert objects.unpack(own.name, own.read_bytes()) is not None


def test_every_truncation_and_every_changed_byte_is_noticed(folder: Path) -> None:
    function()
    (path,) = files(folder, ".o")
    whole = path.read_bytes()
    step = max(1, len(whole) // 400)
    for at in [*range(80), *range(80, len(whole), step)]:
        assert objects.unpack(path.name, whole[:at]) is None
        changed = bytearray(whole)
        changed[at] ^= 0x40
        assert objects.unpack(path.name, bytes(changed)) is None, at
    assert objects.unpack(path.name, whole + b"x") is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage", b"raise SystemExit('the file was run')\n"])
def test_a_damaged_source_file_is_written_again(folder: Path, content: bytes) -> None:
    f = function()
    ((source,), (code,)) = files(folder, ".py"), files(folder, ".o")
    source.write_bytes(content)
    code.unlink()
    assert function()([1.0])[0] == 3
    assert source.read_text(encoding="utf-8") == f.source


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    function()
    (code,) = files(folder, ".o")
    code.unlink()
    code.mkdir()
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert function()([1.0])[0] == 3
    assert code.is_dir()


def _unreadable(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0)


OTHERS = {
    "pipe": lambda path: os.mkfifo(path),
    "link to a pipe": lambda path: (os.mkfifo(path.with_suffix(".pipe")), path.symlink_to(path.with_suffix(".pipe"))),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "socket": lambda path: os.mknod(path, stat.S_IFSOCK),
    "unreadable file": _unreadable,
}


@pytest.mark.skipif(os.name != "posix", reason="files as on POSIX")
@pytest.mark.parametrize("what", OTHERS)
def test_something_else_in_the_place_of_a_file(folder: Path, what: str) -> None:
    text = function().source
    ((source,), (code,)) = files(folder, ".py"), files(folder, ".o")
    for path in (source, code):
        path.unlink()
        OTHERS[what](path)
    f = function()
    assert f([1.0])[0] == 3 and f.source == text
    assert was_cached(function()), "both are there again"
    assert not source.is_symlink() and source.read_text(encoding="utf-8") == text


def test_threads_may_write_one_file_at_once(folder: Path) -> None:
    """Each reader sees one of the contents as a whole."""
    name, contents = f"k_{7:020x}.py", [bytes([k]) * 200_000 for k in range(4)]
    seen = []

    def write(data: bytes) -> None:
        for _ in range(20):
            cache.store(name, data)
            seen.append(cache.load(name))

    together(*(partial(write, data) for data in contents))
    assert set(seen) <= set(contents)
    assert [path.name for path in folder.iterdir()] == [name]


def test_versions_are_those_of_the_packages() -> None:
    known = [part for name in ("numba", "llvmlite") for part in (name, metadata.version(name))]
    assert native.versions().split()[-4:] == known
