"""Waits that come to an end: for processes, for threads, for children of a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

# Seconds; a test that takes `faulthandler_timeout` ends its worker.
PATIENCE = 200.0


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run`, with what it prints as text, which ends the process after PATIENCE."""
    given: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE, **options}
    return subprocess.run(command, **given)


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
    """`run` with this Python."""
    return run([sys.executable, *arguments], **options)


def join(*threads: threading.Thread) -> None:
    """Wait until threads have come to their end."""
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{thread} does not come to an end"


def together(*works: Callable[[], Any]) -> None:
    """Do each in a thread of its own, all at the same time; what one raises is raised here."""
    problems: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    join(*threads)
    if problems:
        raise problems[0]


def ended(child: int) -> int:
    """The exit code of a child; -9 where it does not come to an end, after it has said where it stands."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    # faulthandler prints what the child's threads do; 9 ends it where nothing else does
    for number in (signal.SIGABRT, signal.SIGKILL):
        os.kill(child, number)
        time.sleep(1.0)
    os.waitpid(child, 0)
    return -9


def in_child(work: Callable[[], Any]) -> int:
    """The exit code of a forked child that does `work`: 0 where that is true, 1 where it raises, else 2."""
    child = os.fork()
    if child == 0:
        # whatever happens, the child must not come back: it would go on as a second worker of pytest
        code = 1
        try:
            code = 0 if work() else 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return ended(child)
