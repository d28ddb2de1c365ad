"""Tests come to an end: no wait of theirs is forever, and what they start is ended."""

from __future__ import annotations

import ast
import faulthandler
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests import waits

FOLDER = Path(__file__).parents[1]
# calls that wait forever unless they are told how long, and what tests/waits.py does with a limit
BARE = {"join", "wait", "communicate"}
WRAPPED = {"run", "call", "check_call", "check_output", "waitpid"}
OWNERS = {"threading", "os", "subprocess"}


def endless(text: str) -> list[int]:
    """The lines where threads, processes, events or children may be waited for without end."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        wrapped = owner in OWNERS and node.func.attr in WRAPPED
        # a device's wait is what is tested
        bare = node.func.attr in BARE and owner not in ("fake", "device", "host", "d") and not node.args + node.keywords
        if wrapped or bare:
            found.append(node.lineno)
    return found


def test_no_wait_is_forever() -> None:
    found = [f"{path.name}:{line}" for path in FOLDER.rglob("test_*.py") for line in endless(path.read_text("utf-8"))]
    assert not found, f"use what tests/waits.py has: {', '.join(found)}"


def test_what_waits_forever_is_seen() -> None:
    calls = "thread.join()", "','.join(x)", "event.wait()", "event.wait(3)", "subprocess.run(x)", "os.waitpid(x, 0)"
    assert [bool(endless(call)) for call in calls] == [True, False, True, False, True, True]


def test_threads_and_processes_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "PATIENCE", 0.2)
    stop = threading.Event()
    with pytest.raises(AssertionError, match="does not come to an end"):
        waits.together(lambda: stop.wait(30))
    stop.set()
    with pytest.raises(subprocess.TimeoutExpired):
        waits.python("-c", "import time; time.sleep(60)")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise SystemExit(0)

    assert [waits.in_child(lambda: True), waits.in_child(lambda: False), waits.in_child(leave)] == [0, 2, 1]
    monkeypatch.setattr(waits, "PATIENCE", 0.2)

    def stay() -> None:
        # this one is meant to be ended, and need not say where it stands
        faulthandler.disable()
        threading.Event().wait(30)

    assert waits.in_child(stay) == -9
