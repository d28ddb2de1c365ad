"""Programs taken from public problem reports, compiled: each must give the right values or the right error.

`cases/cases.py` is kept as it came; a case checks itself and returns a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cases import cases

import numgraph as ng

# Kinds whose operations numgraph does not have yet. A case runs, and must pass, as soon as its operations are there.
NOT_YET = {"scan", "random"}


def params() -> list[Any]:
    return [
        pytest.param(case, id=case.__name__, marks=[pytest.mark.slow] if case.__name__ in cases.SLOW else [])
        for case in cases.CASES
    ]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cases.FUNCTION_KW, "target", "cpu")


@pytest.mark.parametrize("case", params())
def test_case(case: Callable[[Any], Any]) -> None:
    verdict, message = cases.run_one(case, ng)
    if verdict == "not offered" and cases.KIND[case.__name__] in NOT_YET:
        pytest.skip(f"not offered yet: {message}")
    assert verdict == "pass", f"{verdict}: {message}"


def test_every_kind_is_known() -> None:
    assert set(cases.KIND.values()) == {
        "givens", "updates", "grad", "dtype", "shapes", "optimisation", "numba", "compile", "cuda", *NOT_YET,
    }  # fmt: skip


def test_a_child_process_imports_the_library() -> None:
    code = """
        x = ng.vector("x", "float64")
        print(float(ng.function([x], ng.sum(x * x), **KW)(np.array([1.0, 2.0]))))
    """
    returned, out, err = cases._wait(*cases._child(code, ng))
    assert (returned, out.strip()) == (0, "5.0"), err
