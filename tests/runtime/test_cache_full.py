"""A cache folder that takes no files: functions work all the same, and a warning says so once."""

from __future__ import annotations

import errno
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import numgraph as ng
from numgraph import cache
from numgraph.config import config
from numgraph.runtime import native
from tests.waits import python

ROOT = Path(__file__).parents[2]
WARNING = r"compiled code cannot be kept in .*: each process compiles anew\n  fix: make room, or set NUMGRAPH_CACHE_DIR"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder and a folder for temporary files of this test's own."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(cache, "_elsewhere", {})
    monkeypatch.setattr(cache, "_warned", set())
    cache.private_folder.cache_clear()
    yield tmp_path / "cache"
    cache.private_folder.cache_clear()


def function(factor: float = 2.0) -> ng.Function:
    x = ng.vector("x")
    return ng.function([x], x * factor + 1, target="cpu")


class Full:
    """A file on a disk that takes `room` bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *problem: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)


def fill_disk(monkeypatch: pytest.MonkeyPatch, under: Path, room: int = 0) -> None:
    """No file below `under` gets more than `room` bytes."""
    real = os.fdopen

    def opened(handle: int, mode: str, **options: Any) -> Any:
        where = Path(f"/proc/self/fd/{handle}").readlink()
        file = real(handle, mode, **options)
        return Full(file, room) if where.is_relative_to(under) and "w" in mode else file

    monkeypatch.setattr(cache.os, "fdopen", opened)


def is_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("")


def is_in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").write_text("")
    monkeypatch.setattr(config, "cache_dir", folder.parent / "file" / "cache")


def is_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user sees it; the permissions of a real folder do not hold for root."""
    folder.mkdir()
    real = tempfile.mkstemp

    def refused(*arguments: Any, dir: Any = None, **options: Any) -> Any:
        if Path(str(dir)) == folder:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))
        return real(*arguments, dir=dir, **options)

    monkeypatch.setattr(tempfile, "mkstemp", refused)


def is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, folder)


def is_nearly_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source still fits, its machine code does not."""
    fill_disk(monkeypatch, folder, room=2_900)


def cannot_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cache_dir", Path("/proc/numgraph-test"))


def everything_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor can anything be written where temporary files go."""
    fill_disk(monkeypatch, folder.parent)


TROUBLES = [is_file, is_in_a_file, is_read_only, is_full, is_nearly_full, cannot_be_made, everything_is_full]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_functions_work_and_one_warning_says_why(
    trouble: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(folder, monkeypatch)
    with pytest.warns(RuntimeWarning, match=WARNING) as said:
        f = function()
        assert f([1.0]).tolist() == [3.0]
        assert function(5.0)([1.0]).tolist() == [6.0]
    assert len(said) == 1
    assert str(config.cache_dir) in str(said[0].message)
    # no scratch files are left, and what stood in the way is as it was
    assert not folder.is_dir() or not list(folder.glob("*.tmp"))
    assert not list((folder.parent / "temporary").rglob("*.tmp"))
    assert trouble is not is_file or folder.read_text() == ""


@pytest.mark.parametrize("trouble", [is_full, everything_is_full])
def test_this_process_finds_what_the_folder_did_not_take(
    trouble: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(folder, monkeypatch)
    with pytest.warns(RuntimeWarning, match=WARNING):
        first = function()
    second = function()
    assert not first.record.cached
    assert second.record.cached
    assert second([1.0]).tolist() == [3.0]
    # the inspector reads the source again
    assert "define" in second.record.stages["llvm"]


def test_damage_in_memory_is_discarded_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything_is_full(folder, monkeypatch)
    with pytest.warns(RuntimeWarning, match=WARNING):
        function()
    (name,) = [n for n in cache._elsewhere if n.suffix == ".o"]
    cache._elsewhere[name] = b"damage"
    again = function()
    assert not again.record.cached
    assert again([1.0]).tolist() == [3.0]


def test_room_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        is_full(folder, patch)
        with pytest.warns(RuntimeWarning, match=WARNING):
            function()
    function(7.0)
    assert sorted(p.suffix for p in folder.iterdir()) == [".bin", ".o", ".py"]


def test_another_folder_is_another_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything_is_full(folder, monkeypatch)
    said = []
    for name in ("one", "two", "one"):
        config.cache_dir = folder.parent / name
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(ord(name[0]))
        said.append(len(caught))
    assert said == [1, 1, 0]


def test_a_missing_file_is_none(folder: Path) -> None:
    assert cache.load("k_none.o") is None


def test_an_interrupted_write_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Full, data: bytes) -> int:
        raise KeyboardInterrupt

    is_full(folder, monkeypatch)
    monkeypatch.setattr(Full, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        function()
    assert not list(folder.iterdir())


SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
import numgraph as ng
x = ng.vector("x")
f = ng.function([x], x + 1, updates=[])
g = ng.function([x], x * 2)
print(f([1.0]).tolist(), g([2.0]).tolist())
"""


def run(script: str, environment: dict[str, str]) -> CompletedProcess[str]:
    return python("-c", script, cwd=ROOT, env=environment)


def test_a_process_that_may_write_nothing(folder: Path) -> None:
    """The real thing: the system refuses every byte that is written to any file."""
    done = run(SCRIPT, {**os.environ, "NUMGRAPH_CACHE_DIR": str(folder)})
    assert done.stdout.split() == ["[2.0]", "[4.0]"], done.stderr
    assert done.stderr.count("cannot be kept") == 1
    assert [p for p in folder.rglob("*") if p.stat().st_size] == []


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """numgraph can be imported, and keeps nothing."""
    script = (
        "import pathlib\n"
        "def nobody(cls): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = classmethod(nobody)\n"
        "import numgraph as ng\n"
        "x = ng.vector('x')\n"
        "print(ng.function([x], x + 1)([1.0]).tolist())\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("NUMGRAPH_CACHE_DIR", "XDG_CACHE_HOME")}
    done = run(script, clean)
    assert done.stdout.strip() == "[2.0]", done.stderr
    assert done.stderr.count("cannot be kept") == 1


def test_generated_source_is_executed_from_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything_is_full(folder, monkeypatch)
    with pytest.warns(RuntimeWarning, match=WARNING):
        path = cache.store("k_test.py", b"value = __file__\n")
    assert not path.exists()
    assert native.import_source(path, "value = __file__\n").value == str(path)
