"""`config.perf`: the names and addresses of functions, as `perf` reads them."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import cache
from numgraph.runtime import native, objects, perf, threads
from tests.waits import in_child

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="objects are ELF of 64 bits"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where names go in a test."""
    monkeypatch.setattr(perf, "path", lambda: tmp_path / f"perf-{os.getpid()}.map")
    monkeypatch.setattr(perf, "_said", [])
    monkeypatch.setattr(ng.config, "perf", True)
    return perf.path()


def rows(file: Path) -> dict[str, tuple[int, int]]:
    """(address, bytes) by name."""
    split = (line.split(" ", 2) for line in file.read_text().splitlines())
    return {name: (int(start, 16), int(size, 16)) for start, size, name in split}


def made() -> Any:
    x = ng.fmatrix("x")
    return ng.function([x], ng.tanh(ng.dot(x, x)) + 7, name="told")


def test_names_and_addresses(file: Path) -> None:
    f = made()
    f(np.ones((200, 200), "float32"))
    found = rows(file)
    assert {"plan_0", "phase_0", "phase_1", "step_0", "cfunc.enter"} <= found.keys()
    text = f.source
    code = objects.unpack(native.object_name(text), cache.load(native.object_name(text)) or b"")
    assert code is not None
    symbol, (code,) = code
    symbols = {s.name: s for s in perf.symbols(code)}
    entry = f.executor.variant.native.address
    base = entry - symbols[symbol].offset
    for name in ("plan_0", "phase_0", "phase_1", "step_0"):
        assert found[name] == (base + symbols[name].offset, symbols[name].size)
    # the function begins there as in the object
    step = symbols["step_0"]
    (sections,) = struct.unpack_from("<Q", code, 40)
    (begin,) = struct.unpack_from("<Q", code, sections + 64 * step.section + 24)
    begin += step.offset
    assert ctypes.string_at(found["step_0"][0], 4) == code[begin : begin + 4]


def test_code_from_the_cache(file: Path) -> None:
    made()
    first = rows(file)
    file.unlink()
    made()
    own = {name for name in first if name.startswith(("plan_", "phase_", "step_"))}
    assert {"phase_0", "phase_1"} <= own <= rows(file).keys()


def test_exported_addresses_are_the_linkers(file: Path) -> None:
    """Of global symbols the linker says where they are."""
    text = threads.assembly()
    _, code = threads._compiled(text)
    engine, address = native.link("launch", code)
    assert rows(file)["launch"][0] == address
    for name in ("want", "forget"):
        assert rows(file)[name][0] == engine.get_function_address(name)


def test_off(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "perf", False)
    made()
    assert not file.exists()


def test_children_have_files_of_their_own(file: Path) -> None:
    made()
    here = rows(file)

    def child() -> bool:
        return perf.path() != file and rows(perf.path()) == here

    assert in_child(child) == 0


def test_other_objects_have_no_names() -> None:
    assert perf.symbols(b"\xcf\xfa\xed\xfe" + bytes(200)) == []
    assert perf.lines(b"", lambda name: 1) == []


def test_where_the_file_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "somebody's"
    target.write_text("")
    (tmp_path / "link").symlink_to(target)
    monkeypatch.setattr(perf, "path", lambda: tmp_path / "link")
    monkeypatch.setattr(perf, "_said", [])
    monkeypatch.setattr(ng.config, "perf", True)
    with pytest.warns(RuntimeWarning, match="perf is not told the names of functions"):
        f = made()
    assert f(np.ones((2, 2), "float32")).shape == (2, 2) and target.read_text() == ""
