"""Runs the tests for other processors and with other versions of the tools: `python tests/matrix.py [NAME ...]`.

A row of the matrix is one run of the test suite: with the tools of this environment for each level of x86-64 that the
machine has (see docs/settings.md), and with the oldest and the newest supported tools on each supported Python, in
environments of their own under `.matrix`. What cannot run here, such as a Python that is not installed, is a row, too.
`--files` names test files to run instead of all, `--list` tells the rows and ends.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".matrix"
# Tools between the oldest and the newest with which something failed once: llvmlite 0.47, which comes with PyTensor,
# ended the process.
MIDDLE = {"middle": ["numba==0.65.*"]}
# What tests import, without the compilers of CUDA, half a gigabyte: tests that need them are skipped.
TEST_TOOLS = "build hypothesis numba-cuda>=0.30.4,<0.31 pytest pytest-xdist setuptools threadpoolctl".split()
SHOWN = ("numpy", "numba", "llvmlite", "scipy", "rich")


@dataclass
class Row:
    """One run. pins: what pip is asked for; None: this environment. missing: why it cannot run."""

    name: str
    about: str
    python: str = sys.executable
    pins: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    result: str = ""


def supported() -> tuple[list[str], list[str]]:
    """What pyproject.toml says: the Pythons, and the oldest versions of the tools ("numba==0.62.1" of "numba>=0.62.1").

    The oldest Python has all of these.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    return pythons, [d.replace(">=", "==") for d in project["dependencies"] if ";" not in d]


def interpreter(version: str) -> str | None:
    """An interpreter of that version: this one, one on the path, or one of pyenv's."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    here = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")]
    for found in filter(None, here):
        said = subprocess.run([found, "--version"], capture_output=True, text=True)
        if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
            return str(found)
    return None


def level_rows() -> list[Row]:
    """The levels of processors."""
    from numgraph.processor import LEVELS, available

    here, rows = available(), []
    for level in ("native", *LEVELS):
        row = Row(level, "these tools", environment={"NUMGRAPH_CPU": level})
        if level != "native":
            # tests compile some functions with Numba alone
            row.environment |= {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ""}
        row.missing = "" if level in here else "this machine lacks it"
        rows.append(row)
    return rows


def tool_rows() -> list[Row]:
    """The oldest tools on the oldest Python, and the newest on each."""
    (pythons, oldest), rows = supported(), []
    runs = [("oldest", pythons[0], oldest), *((name, pythons[0], pins) for name, pins in MIDDLE.items())]
    for name, version, pins in [*runs, *(("newest", version, []) for version in pythons)]:
        found = interpreter(version)
        about = ", ".join(pins) or "the newest that pip finds"
        row = Row(f"{name}-{version}", f"Python {version}: {about}", found or "", pins)
        row.missing = "" if found else f"Python {version} is not installed"
        rows.append(row)
    return rows


def prepared(row: Row) -> str:
    """The Python of a row's environment, which is made or brought up to date."""
    if row.pins is None:
        return row.python
    folder = FOLDER / row.name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([row.python, "-m", "venv", folder], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, *row.pins, *TEST_TOOLS, "-e", ROOT], check=True, cwd=ROOT)
    code = f"from importlib.metadata import version as v; print(', '.join(f'{{n}} {{v(n)}}' for n in {SHOWN}))"
    row.about = f"{row.about.partition(':')[0]}: {subprocess.check_output([python, '-c', code], text=True).strip()}"
    return str(python)


def run(row: Row, files: list[str], jobs: int) -> bool:
    """Run a row; its result in words, and whether it is as it should be."""
    if row.missing:
        row.result = f"not run: {row.missing}"
        return True
    began = time.monotonic()
    try:
        python = prepared(row)
    except subprocess.CalledProcessError as error:
        row.result = f"FAILED: its environment cannot be made ({error})"
        return False
    command = [python, "-m", "pytest", "-q", "-n", str(jobs), "--dist", "loadgroup", "--tb=short", "--long", *files]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMGRAPH_CACHE_DIR": cache, **row.environment}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    log = FOLDER / f"{row.name}.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    last = (done.stdout.strip().splitlines() or ["nothing said"])[-1]
    counts = ", ".join(re.findall(r"\d+ (?:passed|failed|skipped|errors?|xfailed)", last)) or last
    good = done.returncode == 0
    row.result = f"{'passed' if good else 'FAILED'}: {counts}, {time.monotonic() - began:.0f} s"
    if not good:
        row.result += f"; see {log.relative_to(ROOT)}"
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="rows to run; all without")
    parser.add_argument("--files", nargs="+", default=[], help="test files to run; all without")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time")
    parser.add_argument("--list", action="store_true", help="tell the rows and end")
    options = parser.parse_args()
    rows = [*level_rows(), *tool_rows()]
    unknown = set(options.names) - {row.name for row in rows}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in rows)}")
    rows = [row for row in rows if not options.names or row.name in options.names]
    FOLDER.mkdir(exist_ok=True)
    good = True
    for row in rows:
        if not options.list:
            good = run(row, options.files, options.jobs) and good
        print(f"{row.name:<14} {row.result or row.missing or 'can run'}", flush=True)
        print(f"{'':<14} {row.about}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
