"""Where nothing can be installed: this process is replaced by one that finds carried wheels, or a bare checkout."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

# Folders of a checkout, and where they belong.
LAYOUT = {
    "numgraph": "numgraph", "kernels": "numgraph/kernels", "bench/data": "numgraph/data", "bench": "bench",
}  # fmt: skip
# Tells the process that is started with them which wheels it has.
WHEELS = "NUMGRAPH_BENCH_WHEELS"


def with_wheels(folder: Path, arguments: list[str]) -> None:
    """Replace this process by one that has the wheels of a folder before everything that is installed.

    SystemExit when there are none.
    """
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise SystemExit(f"--wheels: there are no wheels in {folder}")
    site = Path(tempfile.mkdtemp(prefix="numgraph-bench-site-"))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    before = os.environ.get("PYTHONPATH")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), *([before] if before else [])]),
        WHEELS: ", ".join(wheel.name for wheel in wheels),
    }
    os.execve(sys.executable, [sys.executable, "-m", "bench", "gpu", *arguments], environment)


def from_checkout(root: Path, arguments: list[str]) -> None:
    """Replace this process by one that has numgraph as an installation would have it, made of a bare checkout."""
    site = Path(tempfile.mkdtemp(prefix="numgraph-bench-site-"))
    for source, place in LAYOUT.items():
        shutil.copytree(root / source, site / place, ignore=shutil.ignore_patterns("__pycache__"))
    about = site / "numgraph-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: numgraph\nVersion: 0+checkout\n", encoding="utf-8")
    os.chdir(site)
    os.execv(sys.executable, [sys.executable, "-m", "bench", "gpu", *arguments])
