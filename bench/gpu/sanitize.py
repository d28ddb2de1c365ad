"""compute-sanitizer over small kernels and programs, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.gpu.tools import Context, Section

TOOLS = ("memcheck", "racecheck")
PLACES = ("/usr/local/cuda/bin", "/opt/nvidia/compute-sanitizer", "/usr/local/cuda/compute-sanitizer")
# What it returns when it has found something; `small` itself returns 0 or 1.
FOUND = 99


def sanitizer() -> str | None:
    """The path of compute-sanitizer."""
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(PLACES))


def sanitize(context: Context) -> Section:
    """Both tools over the section `small`."""
    found = Section()
    path = sanitizer()
    if path is None:
        found.facts["compute-sanitizer"] = f"not installed: neither on the PATH nor in {', '.join(PLACES)}"
        return found
    for k, tool in enumerate(TOOLS):
        # a share of what is left, so that the last one has its turn
        left = (context.end - time.monotonic()) / (len(TOOLS) - k)
        if left < 5:
            found.cut = f"its time was over before {tool}"
            break
        command = [path, "--tool", tool, "--error-exitcode", str(FOUND)]
        small = [sys.executable, "-m", "bench", "gpu", "--section", "small"]
        try:
            done = subprocess.run(
                [*command, *small], capture_output=True, text=True, timeout=left, cwd=Path(__file__).parents[2]
            )
        except subprocess.TimeoutExpired:
            found.cut = f"{tool} was not done after {left:.0f} s"
            continue
        last = [line for line in done.stdout.splitlines() if line.startswith("=====")][-1:]
        found.check(tool, done.returncode == 0, " ".join(last) or f"exit status {done.returncode}")
    return found
