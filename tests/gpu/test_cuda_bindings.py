"""The real cuda-bindings, and the driver class on them, with a libcuda that is none: see `fakelib/fakecuda.c`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from numgraph.cuda import compiler
from tests.waits import python, run

FOLDER = Path(__file__).parent / "fakelib"
CASES = "training together failed_checks cycles recordings consumers limits threads".split()


def test_the_driver_class_on_the_real_bindings(tmp_path: Path) -> None:
    cc = shutil.which("cc")
    if cc is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler `cc` here, or no Linux")
    package = compiler._no_package("cuda.bindings", "cuda-bindings") or compiler._no_package("cuda.core", "cuda-core")
    if package:
        pytest.skip(package.partition("\n")[0])
    library = tmp_path / "libcuda.so.1"
    make = [cc, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library)]
    run([*make, str(FOLDER / "fakecuda.c"), "-ldl"], check=True)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("LD_LIBRARY_PATH"))))
    done = python(str(FOLDER / "child.py"), *CASES, env={**os.environ, "LD_LIBRARY_PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == [word for case in CASES for word in (case, "ok")]
