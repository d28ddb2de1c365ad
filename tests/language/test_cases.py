"""Programs taken from public problem reports, compiled: each must give the right values or the right error.

`cases/cases.py` and `cases2.py` are kept as they came; a case checks itself and returns a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cases import cases, cases2

import numgraph as ng

# What the simulator does not run, and why. A simulated thread takes microseconds for an element.
NOT_SIMULATED = {
    "case_54_mean_of_a_long_float32_array": "millions of elements",
    "case_96_parallel_sums_and_scatter_without_a_race": "hundreds of thousands of elements",
    "case_100_sizes_around_the_block_size": "a hundred thousand elements",
    "case_173_rebuilt_and_resized_many_times": "hundreds of functions; nothing in it depends on the target",
    "case_88_deep_graph": "thousands of operations, which takes half a minute; nothing in it depends on the target",
}


def params() -> list[Any]:
    found = []
    for target in ("cpu", "cuda-sim"):
        for case in (*cases.CASES, *cases2.CASES):
            marks = [pytest.mark.slow] if case.__name__ in cases.SLOW | cases2.SLOW else []
            if target == "cuda-sim" and case.__name__ in NOT_SIMULATED:
                marks.append(pytest.mark.skip(reason=NOT_SIMULATED[case.__name__]))
            found.append(pytest.param(case, target, id=f"{case.__name__}-{target}", marks=marks))
    return found


@pytest.mark.parametrize(("case", "target"), params())
def test_case(case: Callable[[Any], Any], target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = cases if case in cases.CASES else cases2
    monkeypatch.setitem(part.FUNCTION_KW, "target", target)
    verdict, message = part.run_one(case, ng)
    assert verdict == "pass", f"{verdict}: {message}"


def test_every_kind_is_known() -> None:
    assert {*cases.KIND.values(), *cases2.KIND.values()} == {
        "givens", "updates", "grad", "dtype", "shapes", "optimisation", "numba", "compile", "cuda",
        "random", "scan",
    }  # fmt: skip


def test_a_child_process_imports_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cases.FUNCTION_KW, "target", "cpu")
    code = """
        x = ng.vector("x", "float64")
        print(float(ng.function([x], ng.sum(x * x), **KW)(np.array([1.0, 2.0]))))
    """
    returned, out, err = cases._wait(*cases._child(code, ng))
    assert (returned, out.strip()) == (0, "5.0"), err
