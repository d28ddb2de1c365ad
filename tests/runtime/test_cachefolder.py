"""The cache folder as a whole: what is in it, clearing it, and that it does not grow without bound."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from test_cache import files, finish, function, start, was_cached

import numgraph as ng
from numgraph import cache
from numgraph.config import config
from tests.waits import join


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")
    return tmp_path / "cache"


def foreign(folder: Path) -> dict[Path, bytes]:
    """Things in the folder that are not numgraph's, some with names like its own; what they hold."""
    kept = {
        "notes.txt": b"mine",
        "k_short.py": b"mine",
        f"k_{'0' * 20}.py.bak": b"mine",
        f"x_{'0' * 20}.py": b"mine",
        f"k_{'G' * 20}.py": b"mine",
        f"sub/k_{'0' * 20}.py": b"mine",
    }
    made = {}
    for name, content in kept.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        made[path] = content
    return made


def age(path: Path, days: float) -> None:
    moment = time.time() - days * cache.DAY
    os.utime(path, (moment, moment))


def test_clear_removes_what_is_numgraphs_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    function()
    size = sum(path.stat().st_size for path in folder.iterdir())
    kept = foreign(folder)
    assert cache.clear() == (3, size)
    assert {path: path.read_bytes() for path in kept} == kept
    assert files(folder, ".o") == []
    assert cache.clear() == (0, 0)
    assert not was_cached(function())


def test_clear_follows_no_links(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    target = tmp_path / f"k_{'1' * 20}.py"
    target.write_text("mine")
    try:
        (folder / target.name).symlink_to(target)
        (folder / f"k_{'2' * 20}.py").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert cache.files() == []
    assert cache.clear() == (0, 0) and cache.trim(0) == (0, 0)
    assert target.read_text() == "mine" and len(list(folder.iterdir())) == 2


def test_clear_keeps_what_was_used_lately(folder: Path) -> None:
    function(2.0)
    old = set(folder.iterdir())
    for path in old:
        age(path, 40)
    function(5.0)
    new = set(folder.iterdir()) - old
    assert cache.clear(older_than=60) == (0, 0)
    assert cache.clear(older_than=30)[0] == 3
    assert set(folder.iterdir()) == new


def test_use_is_noted(folder: Path) -> None:
    """A source counts as used when its code is, and both when a process loads them."""
    function()
    for path in folder.iterdir():
        age(path, 40)
    assert was_cached(function())
    assert cache.clear(older_than=30) == (0, 0)
    (source,) = files(folder, ".py")
    age(source, 40)
    assert cache.clear(older_than=30) == (0, 0)


def test_scratch_files_of_the_dead_are_removed(folder: Path) -> None:
    folder.mkdir()
    name = f"k_{'3' * 20}_{'4' * 20}.o"
    young, old = folder / f"{name}abcdefgh.tmp", folder / f"{name}ABCD_123.tmp"
    for path in (young, old):
        path.write_bytes(b"half")
    age(old, 1)
    assert cache.clear() == (1, 4)
    assert list(folder.iterdir()) == [young]


def test_files_of_the_cache_folder(folder: Path) -> None:
    assert cache.files() == []
    function()
    foreign(folder)
    source, code, program = cache.files()
    assert (source.kind, code.kind, program.kind) == ("source", "code", "program")
    assert source.source == code.source == source.path.stem
    assert code.size == code.path.stat().st_size
    assert abs(code.used - time.time()) < 600


def fill(folder: Path, count: int, size: int) -> list[Path]:
    """Files as numgraph's, the last one the last used."""
    folder.mkdir(exist_ok=True)
    made = []
    for k in range(count):
        path = folder / f"k_{k:020x}_{0:020x}.o"
        path.write_bytes(b"x" * size)
        age(path, 50 - k)
        made.append(path)
    return made


def test_the_least_recently_used_files_go_first(folder: Path) -> None:
    made = fill(folder, 10, 1000)
    kept = foreign(folder)
    assert cache.trim(10_000) == (0, 0)
    assert cache.trim(9_999) == (3, 3000)  # down to four fifths
    assert [path for path in made if path.exists()] == made[3:]
    assert all(path.exists() for path in kept)


def test_the_folder_does_not_grow_beyond_its_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_growth", cache._Growth())
    monkeypatch.setattr(config, "cache_limit", 1_000_000)
    made = fill(folder, 30, 50_000)
    function()
    left = [path for path in made if path.exists()]
    assert left == made[-len(left) :] and 0 < len(left) <= 16
    assert len(files(folder, ".py")) == 1 and was_cached(function())


def test_looking_is_rare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first file, then once per 64th of the limit, and not without a limit."""
    looks: list[int] = []
    monkeypatch.setattr(cache, "trim", lambda limit: looks.append(limit))
    monkeypatch.setattr(cache, "_growth", cache._Growth())
    monkeypatch.setattr(config, "cache_limit", 640_000)
    for k in range(25):
        cache.store(f"k_{k:020x}.py", b"x" * 1000)
    cache.store(f"k_{0:020x}.py", b"x" * 1000)  # there already
    cache.load(f"k_{0:020x}.py")
    assert looks == [640_000] * 3
    monkeypatch.setattr(config, "cache_limit", 0)
    cache.store(f"k_{99:020x}.py", b"y" * 100_000)
    assert len(looks) == 3


def test_the_limit_is_checked() -> None:
    for wrong in (-1, 1.5, "1G", None, True):
        with pytest.raises(ng.OptionError, match="cache_limit must be a whole number of bytes"):
            ng.config.cache_limit = wrong  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("text", "limit"), [("0", 0), ("123", 123), ("500M", 500 * 2**20), ("2 GiB", 2**31), ("1kb", 1024), ("1T", 2**40)]
)
def test_the_limit_from_the_environment(text: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMGRAPH_CACHE_LIMIT", text)
    monkeypatch.setenv("NUMGRAPH_SCAN_MEMORY", text)
    assert type(config)().cache_limit == type(config)().scan_memory == limit


@pytest.mark.parametrize("text", ["", "much", "-1", "1.5G", "1X"])
def test_a_wrong_limit_in_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMGRAPH_CACHE_LIMIT", text)
    with pytest.raises(ng.OptionError, match="NUMGRAPH_CACHE_LIMIT must be bytes such as 500M"):
        type(config)()


def test_clearing_while_others_compile(folder: Path) -> None:
    """Files vanish between any two steps of a compilation; every function works all the same."""
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            cache.clear()

    cleaner = threading.Thread(target=sweep, daemon=True)
    cleaner.start()
    try:
        processes = [start(folder) for _ in range(2)]
        for factor in (2.0, 3.0, 2.0):
            assert function(factor)([1.0])[0] == factor + 1
        assert len({finish(p).rsplit(" ", 1)[0] for p in processes}) == 1
    finally:
        done.set()
        join(cleaner)


def test_the_stages_of_a_function_whose_file_is_gone(folder: Path) -> None:
    f = function()
    cache.clear()
    assert "define" in f.record.stages["llvm"]
