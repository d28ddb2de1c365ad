"""The object header of arrays: checked before compiled code reads through it."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import NumgraphError
from numgraph.runtime import header, native


@pytest.fixture(autouse=True)
def forget() -> object:
    header.data_offset.cache_clear()
    yield
    header.data_offset.cache_clear()


def test_this_python_is_fine() -> None:
    assert header.data_offset() == object.__basicsize__


@pytest.mark.parametrize("shift", [-8, 8, 16, 24, 1000])
def test_another_offset_is_refused(shift: int) -> None:
    with pytest.raises(NumgraphError, match=rf"cannot read arrays.*\n.*{re.escape(sys.version.split()[0])}.*\n  fix: "):
        header.data_offset(object.__basicsize__ + shift)


def test_every_field_is_looked_at() -> None:
    lengths = np.array([3, 7, 5])
    fields = [1234, 3, int(lengths.ctypes.data), 0]
    words = np.array(fields)
    where = int(words.ctypes.data)
    assert header.mismatch(where, 1234, (3, 7, 5)) is None
    assert header.mismatch(where, 1235, (3, 7, 5)) == "the data pointer"
    assert header.mismatch(where, 1234, (3, 7)) == "the number of axes"
    assert header.mismatch(where, 1234, (3, 7, 6)) == "the pointer to the lengths"
    words[2] = 0
    assert header.mismatch(where, 1234, (3, 7, 5)) == "the pointer to the lengths"


def test_no_function_is_compiled_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "DATA_OFFSET", object.__basicsize__ + 8)
    x = ng.vector("x")
    with pytest.raises(NumgraphError, match="the data pointer is not where it should be"):
        ng.function([x], x + 1, target="cpu")
    assert ng.function([x], x + 1, target="reference")([1.0]).tolist() == [2.0]


def test_other_interpreters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Implementation:
        name = "pypy"

    monkeypatch.setattr(header.sys, "implementation", Implementation())
    with pytest.raises(NumgraphError, match="no 64-bit CPython"):
        header.data_offset()


def test_it_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = header._problem
    monkeypatch.setattr(header, "_problem", lambda offset: asked.append(offset) or real(offset))
    x = ng.vector("x")
    for k in range(2):
        ng.function([x], x + k, target="cpu")
    assert asked == [object.__basicsize__]


def test_machine_code_is_kept_apart_by_the_header() -> None:
    """A free-threaded Python must not find code in the cache that reads the other build's headers."""
    assert f"header {object.__basicsize__}" in native.versions()
