"""What `import numgraph` costs and offers."""

from __future__ import annotations

import os
from pathlib import Path

import numgraph as ng
from numgraph.op import FUNCTIONS
from tests import waits

ROOT = Path(__file__).parents[2]
# Functions that only operators and gradients call.
INTERNAL = set(
    """absolute_square argsort_rows as_long as_part csr_dot csr_rows csr_sampled csr_transposed_dot
    eval fftn getitem give_test_value given hfft ifft ifftn ihfft irfft irfftn iterate masked masked_div
    masked_mul matched norm_of_all product_of_others repeat_each rfft rfftn test_value try_values
    unbroadcast unit with_elements""".split()
)

PROGRAM = """
import sys, numgraph as ng
x = ng.vector("x")
f = ng.function([x], ng.exp(x) * 2, target="reference")
assert f([0.0])[0] == 2
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numba", "llvmlite", "rich", "scipy"}))
"""


def python(code: str, **environment: str) -> str:
    """What a new process prints."""
    known = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = waits.python("-c", code, cwd=ROOT, env=known | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_reference_target_needs_no_compiler(tmp_path: Path) -> None:
    assert python(PROGRAM, PYTHONPYCACHEPREFIX=str(tmp_path)) == "[]"


def test_a_function_for_the_processor_loads_nothing_of_devices(tmp_path: Path) -> None:
    code = (
        "import sys, numgraph as ng\n"
        "x = ng.vector('x')\n"
        "ng.function([x], ng.exp(x))([1.0, 2.0])\n"
        "unwanted = 'numpy.ma numgraph.cuda numgraph.emit.gridmodule numgraph.loops.grid cuda numba'\n"
        "print([name for name in unwanted.split() if name in sys.modules])"
    )
    # the first process compiles, the second loads what that has left
    known = {"NUMGRAPH_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    assert python(code, **known) == "['numba']"
    assert python(code, **known) == "[]"


CALLS = """
from tests.counts import calls
print(calls(lambda: __import__("numpy")), calls(lambda: __import__("numgraph")))
"""


def test_the_work_of_an_import(tmp_path: Path) -> None:
    # Calls, not seconds, which depend on the machine and on what else runs; the benchmark times imports.
    # The first run writes the bytecode.
    runs = [python(CALLS, PYTHONPYCACHEPREFIX=str(tmp_path)).split() for _ in range(2)]
    numpys, ours = map(int, runs[1])
    # NumPy's oldest supported version calls half as much as its newest; the number is a little below 1.2 of that
    assert 10_000 < ours < max(1.2 * numpys, 160_000)


def test_every_public_name_is_there() -> None:
    assert len(set(ng.__all__)) == len(ng.__all__)
    assert all(hasattr(ng, name) for name in ng.__all__)
    assert set(FUNCTIONS) - set(ng.__all__) == INTERNAL
