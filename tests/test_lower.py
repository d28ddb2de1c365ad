"""The compiler of generated source: Numba's types, Numba's bits."""

from __future__ import annotations

import itertools
import operator
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.lower import kinds
from numgraph.lower.alike import merged
from numgraph.lower.kinds import KINDS
from numgraph.op import OPS
from numgraph.runtime import native
from numgraph.types import FLOATS

PAIRS = list(itertools.product(KINDS, KINDS))
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


@pytest.fixture
def with_compiler() -> Iterator[Callable[[str], None]]:
    """Sets the compiler; the old one comes back at the end."""
    before = ng.config.compiler

    def chosen(name: str) -> None:
        ng.config.compiler = name

    yield chosen
    ng.config.compiler = before


def numba_types(function: Any, a: str, b: str) -> tuple[str, str]:
    """(result, in which type it is computed) of an operator of two scalars, as Numba resolves it; "none" for none."""
    from numba import types
    from numba.core.registry import cpu_target

    context = cpu_target.typing_context
    context.refresh()
    given = tuple(types.boolean if name == "bool" else getattr(types, name) for name in (a, b))
    try:
        found = context.resolve_function_type(function, given, {})
    except Exception:
        return "none", "none"
    return ("none", "none") if found is None else (str(found.return_type), str(found.args[0]))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_types_of_operators_are_numbas(pair: tuple[str, str]) -> None:
    a, b = (KINDS[name] for name in pair)
    for function in (operator.add, operator.floordiv):
        assert kinds.arithmetic(a, b).name == numba_types(function, *pair)[0]
    logic, wanted = numba_types(operator.and_, *pair)
    if logic == "none":
        with pytest.raises(kinds.Unsupported):
            kinds.logic(a, b)
    else:
        assert kinds.logic(a, b).name == logic.replace("boolean", "bool"), wanted
    compared = kinds.comparison(a, b)
    computed = numba_types(operator.lt, *pair)[1].replace("boolean", "bool")
    # whole numbers may be compared in any type that holds both
    assert compared.name == computed or (compared.is_integer and "float" not in computed)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_types_of_variables_are_numbas(pair: tuple[str, str]) -> None:
    from numba import types
    from numba.core.registry import cpu_target

    given = [types.boolean if name == "bool" else getattr(types, name) for name in pair]
    wanted = str(cpu_target.typing_context.unify_types(*given)).replace("boolean", "bool")
    assert kinds.common(KINDS[pair[0]], KINDS[pair[1]]).name == wanted


def samples(dtype: str) -> tuple[list[Variable], list[Variable], list[Any]]:
    """Inputs, outputs and arrays: a sample of each op that knows the dtype, and special values."""
    inputs: list[Variable] = []
    outputs: list[Variable] = []
    arrays: list[Any] = []
    for op in OPS.values():
        if dtype not in op.dtypes:
            continue
        drawn = testing.draw(op, dtype)[:1]
        if op.samples is None and op.scalar and len(op.args) <= 2 and dtype in FLOATS and not op.keeps:
            drawn = [*drawn, (testing.special_operands(op, dtype), {})]
        for values, attrs in drawn:
            variables = testing.variables_for(values)
            inputs += variables
            arrays += values
            outputs.append(apply(op, variables, **attrs))
    return inputs, outputs, arrays


def same_bits(got: Any, wanted: Any) -> bool:
    """Whether two arrays are equal to the bit; one NaN is as good as another."""
    if got.dtype.kind == "f":
        nan = np.isnan(wanted)
        return bool((np.isnan(got) == nan).all()) and bool((got[~nan].tobytes() == wanted[~nan].tobytes()))
    return bool(got.tobytes() == wanted.tobytes())


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_op_has_numbas_bits(dtype: str, with_compiler: Callable[[str], None]) -> None:
    inputs, outputs, arrays = samples(dtype)
    found = []
    for name in ("auto", "numba"):
        with_compiler(name)
        found.append(ng.function(inputs, outputs, target="cpu", on_unused_input="ignore")(*arrays))
    for output, got, wanted in zip(outputs, *found, strict=True):
        assert same_bits(np.asarray(got), np.asarray(wanted)), f"{output.owner.op.name}: {got} instead of {wanted}"
