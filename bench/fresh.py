"""A program in a fresh process: how soon its first result is there, and how much memory it takes.

`python -m bench.fresh PEER THREADS KIND SIZES CALLS` (sizes as JSON) prints a line with the first result as
soon as it is there, and then a line with times, memory and, pickled, the results of some calls for the check.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import peers
from bench.machine import ROOT
from bench.peers import Peer, named
from bench.pool import confine, environment
from bench.problems import Sizes

# Calls before the memory is read: what is only allocated by a second call counts too.
FURTHER = 10


def child(peer: Peer, threads: int, kind: str, sizes: Sizes, calls: int) -> None:
    """Import, build, call, print; then what the parent wants to know."""
    from importlib import import_module

    began = time.perf_counter()
    import_module(f"bench.peers.{peer.module}")
    imported = time.perf_counter()
    program = peers.build(peer, kind, sizes, threads)
    result = program.call(*program.arguments[0])
    done = time.perf_counter()
    print(np.asarray(result).ravel()[:1] if result is not None else "done", flush=True)
    for k in range(FURTHER):
        program.call(*program.arguments[k % len(program.arguments)])
    peak = peak_memory()
    from bench.worker import outcome

    values = base64.b64encode(pickle.dumps(outcome(program, kind, "call", calls))).decode()
    print(json.dumps({"import": imported - began, "compile": done - imported, "memory": peak, "values": values}))


def peak_memory() -> int | None:
    """The greatest resident set of this process in bytes; None where the system does not tell."""
    try:
        # Not getrusage, whose figure a process inherits from the one that started it.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def caches_in(peer: Peer, folder: str) -> dict[str, str]:
    """The environment that puts the peer's caches into `folder`."""
    return {name: value.format(folder) for name, value in peer.caches}


def run(peer: Peer, threads: int, kind: str, sizes: Sizes, calls: int, folder: str, limit: float) -> tuple[str, Any]:
    """One process with its caches in `folder`: ("ok", what `child` tells and "first", seconds) or (status, why).

    "first" is from the start of the process to its first result, as seen from outside.
    """
    command = [sys.executable, "-W", "ignore", "-m", "bench.fresh", peer.name, str(threads), kind]
    command += [json.dumps(sizes), str(calls)]
    surroundings = environment(threads, caches_in(peer, folder))
    with tempfile.TemporaryFile("w+") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env=surroundings, text=True, start_new_session=True
        )
        confine(process.pid, threads)
        late = threading.Timer(limit, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            with process.stdout as told:
                told.readline()
                first = time.perf_counter() - began
                rest = told.read()
            process.wait()
        finally:
            ended_late = not late.is_alive()
            late.cancel()
            _end(process)
        if ended_late:
            return "too slow", f"over {limit:.0f} s"
        if process.returncode:
            log.seek(0)
            last = (log.read().strip().splitlines() or ["no message"])[-1]
            return _status(last), last.partition(": ")[2] or last[:300]
    found = json.loads(rest)
    found["values"] = pickle.loads(base64.b64decode(found["values"]))
    return "ok", {"first": first, **found}


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and, where there are process groups, the compilers that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _status(last: str) -> str:
    """What the last line of a traceback means."""
    name = last.partition(":")[0]
    if name.endswith("NotOffered"):
        return "not offered"
    return "not installed" if name in ("ImportError", "ModuleNotFoundError") else "failed"


def main() -> None:
    """The child."""
    os.chdir(ROOT)
    name, threads, kind, sizes, calls = sys.argv[1:]
    child(named(name), int(threads), kind, json.loads(sizes), int(calls))


if __name__ == "__main__":
    main()
