"""What all tests share: a cache folder of their own, repeatable hypothesis, and `--update-golden`.

Tests are sorted by what they look at: `language` (expressions, gradients, errors), `compiler` (from the rewrites to the
generated source), `runtime` (kernels, Numba, calls, threads, the cache), `gpu`, `draws` (random numbers), and `tools`
(commands, documents, the project itself). What several of them use stands beside this file and is imported as
`tests.waits`.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from numgraph.cuda.driver import CudaDevice

# numgraph reads the variable when it is imported, which is after this file. Workers of pytest-xdist inherit the folder
# that the main process made.
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:
    os.environ["NUMGRAPH_CACHE_DIR"] = tempfile.mkdtemp(prefix="numgraph-tests-")
# Two workers on two cores, each with two BLAS threads that wait busily for one another, would be many times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is printed does not depend on the terminal.
os.environ["COLUMNS"] = "100"
# Each schedule is looked through, and memory is filled with a pattern before each call.
os.environ["NUMGRAPH_VERIFY"] = "1"
for _name in ("NUMGRAPH_FLOATX", "NUMGRAPH_TARGET", "NUMGRAPH_DEBUG", "NUMGRAPH_PROFILE", "NUMGRAPH_PERF"):
    os.environ.pop(_name, None)

settings.register_profile("numgraph", derandomize=True, deadline=None, database=None)
settings.load_profile("numgraph")


# Files that one worker of pytest-xdist runs, since their tests share what takes seconds to make; files of one name go
# together. xdist's own marks for this do nothing with pytest 9.2.
GROUPS = {
    "test_docs.py": "documents",
    "test_export.py": "exported modules",
    "test_kernels.py": "kernels",
    "test_numba.py": "a filled cache",
    "test_package.py": "wheel",
    "test_tiles.py": "products",
    "test_user_calls.py": "Numba's arrays",
    "test_user_functions.py": "Numba's arrays",
    "test_vectormath.py": "SIMD loops",
}


# Tests that take long and look at more of what shorter ones look at: `make test-long` and `make matrix` run them, too.
# A file, a test, or some of its parameters, by the start of what comes behind tests/.
LONG = (
    "draws/test_distributions.py",
    "gpu/test_cuda_code.py::test_code[layers]",
    "gpu/test_cuda_code.py::test_code[wide_softmax]",
    "gpu/test_cuda_code.py::test_few_instructions[layers]",
    "gpu/test_cuda_compiles.py::test_ops_that_move_elements",
    *(f"gpu/test_cuda_compiles.py::test_other_ops[{op}-" for op in "min any argmax cumargmin det log_of_det".split()),
    "gpu/test_cuda_compiles.py::test_other_ops[betainc_slope_b-",
    "language/test_differential.py::test_programs_on_the_processor[3]",
    "language/test_differential.py::test_programs_on_the_processor[12]",
    "language/test_integers.py::test_composed_expressions[int64-cpu-standard]",
    "language/test_integers.py::test_every_elementwise_op[int64-cpu-standard]",
    "language/test_integers.py::test_reductions[int64-cpu-standard]",
    "language/test_matrices.py::test_float32",
    "runtime/test_cache.py::test_only_a_process_in_which_numba_compiles_loads_it",
    *(f"runtime/test_lower.py::test_every_op_has_numbas_bits[{part}]" for part in range(16) if part != 3),
    "runtime/test_numba.py",
    "runtime/test_recall.py::test_random_programs",
    "runtime/test_user_processes.py::test_old_code",
    "scan/test_scan_checkpoints.py::test_a_call_that_takes_too_much_memory_has_checkpoints[cuda-sim]",
    "scan/test_scan_checkpoints.py::test_against_differences",
    "scan/test_scan_checkpoints.py::test_second",
    "scan/test_scan_checkpoints.py::test_scans_within_scans",
    "scan/test_scan_checkpoints.py::test_any_number",
    "scan/test_scan_checkpoints.py::test_memory_of_second",
    "scan/test_scan_programs.py::test_standard_passes",
    "runtime/test_vectormath.py::test_error_is_at_most_what_the_docstring_says[power-float32]",
    "tools/test_bench_programs.py::test_a_parameter_that_stays_is_found_at_full_size[lenet]",
    "tools/test_cli.py::test_demo_mlp_reaches_its_error",
    "tools/test_docs.py::test_blocks_print_what_they_show[reference",
    "tools/test_export.py::test_the_same_values[training]",
    "tools/test_export.py::test_the_same_values[all_",
    "tools/test_page.py::test_a_large_graph_is_folded[1300]",
    "tools/test_programs.py::test_program_learns[DBN]",
    "tools/test_programs.py::test_program_learns[SdA]",
    "tools/test_programs.py::test_program_learns[cA]",
    "tools/test_programs.py::test_program_learns[rnnrbm]",
    "tools/test_programs.py::test_program_learns[rnnslu]",
    "tools/test_site.py::test_site_builds",
    "tools/test_record.py::test_every_statement_of_every_program",
    "tools/test_terminal.py::test_terminals_without_most_letters",
)


# Files that ask what expressions mean, for which LLVM makes machine code without optimising it (Numba's OPT of 0): its
# passes are more than half of the time of such tests. The ops, kernels and passes that their programs consist of have
# tests of their own, with optimised code, as random programs have; with `--long` code here is optimised, too.
NOT_OPTIMISED = (
    "compat/",
    "draws/test_stream.py",
    "language/test_arrays.py",
    "language/test_cases.py",
    "language/test_compare.py",
    "language/test_compiled_gradients.py",
    "language/test_complex.py",
    "language/test_empty.py",
    "language/test_function.py",
    "language/test_fourier.py",
    "language/test_givens.py",
    "language/test_gradients.py",
    "language/test_grids.py",
    "language/test_images.py",
    "language/test_index_maps.py",
    "language/test_indexing.py",
    "language/test_linalg.py",
    "language/test_margins.py",
    "language/test_matrices.py",
    "language/test_minimize.py",
    "language/test_more_ops.py",
    "language/test_normalize.py",
    "language/test_optim.py",
    "language/test_pickle.py",
    "language/test_prod.py",
    "language/test_reach.py",
    "language/test_search.py",
    "language/test_shape_errors.py",
    "language/test_signs.py",
    "language/test_sizes.py",
    "language/test_sparse.py",
    "language/test_special.py",
    "language/test_transforms.py",
    "language/test_turned.py",
    "language/test_updates.py",
    "language/test_user_calls.py",
    "language/test_user_functions.py",
    "language/test_vectorize.py",
    "runtime/test_interrupts.py",
    "runtime/test_profile.py",
    "runtime/test_sweep.py",
    "scan/test_branches.py",
    "scan/test_scan_checkpoints.py",
    "scan/test_scan_gradients.py",
    "scan/test_scan_programs.py",
    "scan/test_scan_sequences.py",
    "scan/test_scan_states.py",
    "scan/test_scan_until.py",
    "tools/test_bench_programs.py",
    "tools/test_docs.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A scheduler that keeps to `GROUPS`, for `--dist loadgroup`."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class Grouped(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return GROUPS.get(nodeid.partition("::")[0].rpartition("/")[2], nodeid)

        def _pending_of(self, workload: dict[str, dict[str, bool]]) -> int:
            """How many tests of a worker's wait: of those that it was given last. xdist counts all that it ever had,
            after each test, which keeps a processor busy for ten seconds."""
            last = islice(reversed(workload.values()), 20)
            return sum(list(tests.values()).count(False) for tests in last)

    return Grouped(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the generated source into tests/golden instead of comparing"
    )
    parser.addoption("--long", action="store_true", help="run those that take long, too: `LONG` in tests/conftest.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # a test that is asked for by its name is run
    if not config.getoption("--long") and not any("::" in a for a in config.args):
        parts: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            parts[item.nodeid.partition("tests/")[2].startswith(LONG)].append(item)
        config.hook.pytest_deselected(items=parts[True])
        items[:] = parts[False]
    waiting = [item for item in items if item.get_closest_marker("gpu")]
    if not waiting:
        return
    from numgraph.cuda import compiler

    problem = compiler.missing("run") or compiler.missing("compile")
    if problem is not None:
        for item in waiting:
            item.add_marker(pytest.mark.skip(reason=problem.partition("\n")[0]))


def pytest_unconfigure() -> None:
    if not _IS_WORKER:
        shutil.rmtree(os.environ["NUMGRAPH_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def launcher() -> None:
    """The launcher of the threads is there: tests that look into their cache folders do not find it. Threads take part
    in short jobs, too, for which users' would not be woken."""
    from numgraph.runtime import threads

    threads.RULES["WORTH_CYCLES"] = 0
    threads.launcher()


@pytest.fixture(scope="module", autouse=True)
def settled() -> None:
    """What is there before the tests of a file, thousands of tests and Numba, is nothing for the collector to look at
    again: where tests call it, that would be half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def optimised(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether LLVM optimises what the tests of a file compile, see `NOT_OPTIMISED`."""
    short = request.node.nodeid.partition("tests/")[2].startswith(NOT_OPTIMISED)
    if not short or request.config.getoption("--long"):
        yield True
        return
    from numba.core.config import reload_config

    from numgraph.lower import target
    from numgraph.runtime import native

    with pytest.MonkeyPatch.context() as patch:
        # Numba reads it before it compiles, as child processes do, and names of files in the cache have it
        patch.setenv("NUMBA_OPT", "0")
        # what is made with other settings of LLVM's is not for other files
        patch.setattr(target, "_codegen", cache(target._codegen.__wrapped__))
        patch.setattr(native, "_unit", cache(native._unit.__wrapped__))
        yield False
    # what Numba has read stays until it compiles something itself, which its compiler for devices does not
    reload_config()


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(params=["reference", "cpu"])
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs once with NumPy op by op and once compiled: `ng.function` takes this target by default."""
    from numgraph.config import config

    monkeypatch.setattr(config, "target", request.param)
    return str(request.param)


@pytest.fixture
def fake() -> CudaDevice:
    """A CUDA device without a card, see `fakecuda`."""
    from tests.fakecuda import fake_device

    return fake_device()


@pytest.fixture(params=["fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> CudaDevice:
    """A CUDA device: once that, and once a real one where there is one."""
    from numgraph.cuda import driver

    if request.param == "cuda":
        return driver.device()
    found: CudaDevice = request.getfixturevalue("fake")
    return found
