"""Users' functions in several processes: the cache, generated source run elsewhere, exported modules."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import FunctionError
from tests.waits import python

ROOT = Path(__file__).parents[2]
# Numba takes 4 seconds for a statement on whole arrays, such as `out[:] = x[::-1]`, in each process.
MODULE = """
import math
import numba
import numpy as np
import constants

FACTOR = {factor}

@numba.njit
def inner(x):
    return x {sign} 1.0

def made(width):
    @numba.njit
    def shrunk(x):
        return x / width if x > 0.0 else math.gamma(0.5)
    return shrunk

def scaled(x):
    if x < -5.0:
        raise ValueError(x)
    return x * FACTOR + constants.SHIFT

@numba.njit
def chained(x):
    return inner(x) + constants.SHIFT

def filled(x, out):
    found = np.zeros(2)
    for i in range(len(x)):
        out[i] = x[len(x) - 1 - i] * FACTOR + found[0]
"""
# The program of each version of the two modules in turn: in one process, which imports Numba once.
PROGRAM = """
import importlib
import json
import sys
from pathlib import Path
import numgraph as ng
def run(functions, width):
    x = ng.vector("x")
    one = [ng.elementwise(f, x, dtype="float64") for f in (functions.scaled, functions.chained, functions.made(width))]
    two = ng.call(functions.filled, x, type=x.type)
    for f in (ng.function([x], one), ng.function([x], two)):
        print(f([3.0, 1.0]))
        print(f.record.cached, file=sys.stderr)
    try:
        ng.function([x], one)([-6.0])
    except ng.FunctionError as error:
        print(error.__cause__.args)
for width, *texts in json.loads(sys.argv[1]):
    for name, text in zip(("functions", "constants"), texts):
        Path(name + ".py").write_text(text)
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    import functions
    run(functions, width)
    print("end")
    print("end", file=sys.stderr)
"""


def outcomes(folder: Path, versions: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What a process prints for each version, and whether its functions came from the cache."""
    texts = []
    for version in versions:
        given = {"width": 2.0, "factor": 2.0, "sign": "+", "shift": 10} | version
        functions = MODULE.format(factor=given["factor"], sign=given["sign"])
        texts.append((given["width"], functions, f"SHIFT = {given['shift']}\n"))
    # two files of one size and time: Python would take the old bytecode for the new one
    environment = os.environ | {
        "NUMGRAPH_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = python("-c", PROGRAM, json.dumps(texts), env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    printed, cached = done.stdout.split("end\n"), done.stderr.split("end\n")
    assert len(printed) == len(cached) == len(versions) + 1
    return [(text, words.split()) for text, words in zip(printed[:-1], cached[:-1], strict=True)]


def expected(width: float = 2.0, factor: float = 2.0, sign: str = "+", shift: int = 10) -> str:
    x = np.array([3.0, 1.0])
    one = [x * factor + shift, (x + 1.0 if sign == "+" else x - 1.0) + shift, x / width]
    return f"{one}\n{x[::-1] * factor}\n(-6.0,)\n"


def test_old_code_is_found_for_the_same_functions_alone(tmp_path: Path) -> None:
    """Code, closure, globals, called functions and values of other modules are all part of the cache's key."""
    changes: list[dict[str, Any]] = [{"width": 4.0}, {"factor": 3.0}, {"sign": "-"}, {"shift": 11}]
    first = outcomes(tmp_path, [{}, {}, *changes, {}])
    assert [first[0], first[1], first[-1]] == [(expected(), [cached] * 2) for cached in ("False", "True", "True")]
    for change, found in zip(changes, first[2:-1], strict=True):
        assert found == (expected(**change), ["False", str("factor" not in change)]), change
    # in another process, in another order
    for change, found in zip([*changes, {}], outcomes(tmp_path, [*changes, {}]), strict=True):
        assert found == (expected(**change), ["True", "True"]), change


def test_source_that_is_run_elsewhere_says_what_is_missing() -> None:
    from numgraph.userfunctions.function import users_function

    with pytest.raises(FunctionError, match=r"calls nowhere\.f, which cannot be imported .*\n  fix"):
        users_function("0" * 20, "nowhere", "f")
    with pytest.raises(FunctionError, match=r"calls math\.nothing, which cannot be imported"):
        users_function("0" * 20, "math", "nothing")
    with pytest.raises(FunctionError, match="another content now"):
        users_function("0" * 20, "textwrap", "dedent")


def test_exported_modules_import_the_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exported_functions.py").write_text(MODULE.format(factor=2.0, sign="+"))
    (tmp_path / "constants.py").write_text("SHIFT = 10\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import exported_functions as functions  # type: ignore[import-not-found]

    x, w = ng.vector("x"), ng.shared(np.ones(2), name="w")
    out = ng.elementwise(functions.scaled, x) + ng.call(functions.filled, x, type=x.type)
    f = ng.function([x], out, updates=[(w, w + ng.elementwise(functions.chained, x))])
    f.export(tmp_path / "exported.py")
    code = (
        "import numpy as np\nfrom exported import step\nprint(step([3.0, 1.0]), step.shared['w'])\n"
        "try:\n    step([-6.0, 1.0])\nexcept ValueError as error:\n    print(error, step.shared['w'])\n"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    values = f"{f([3.0, 1.0])} {w.get_value()}"
    called, raised, where = done.stdout.splitlines()
    assert called == values and raised == "exported_functions.scaled raised an exception"
    assert where.startswith("  scaled called at ") and where.endswith(f" {w.get_value()}")
    hidden = ng.function([x], ng.elementwise(functions.made(2.0), x))
    with pytest.raises(FunctionError, match="cannot be exported: it cannot be imported"):
        hidden.export(tmp_path / "other.py")
