"""How Numba compiles generated source: by a pass of numgraph's or by its own, to the same bits."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Op
from numgraph.runtime import native
from numgraph.scalars import VECTOR
from numgraph.types import FLOATS
from tests.waits import python

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
# Numba's own passes take a third of a second for an op: the table is tried in so many parts, by default in one of them.
# Each has ops of most kinds and dtypes.
PARTS = 16


def dtype_of(number: int, op: Op) -> str | None:
    """The dtype in which an op is tried here: one in turn, of the vectorised functions a float."""
    known = [d for d in DTYPES if d in op.dtypes]
    vectorised = {name for name, _ in VECTOR}
    if op.name in vectorised:
        known = [d for d in known if d in FLOATS]
    return known[number // PARTS % len(known)] if known else None


# So many elementwise ops have their operands, and so a vectorised loop, in common: Numba's own passes take a quarter of
# a second for a loop.
TOGETHER = 3


def samples(part: int) -> tuple[list[Variable], list[Variable], list[Any]]:
    """Inputs, outputs and arrays: a sample of each op of a part."""
    inputs: list[Variable] = []
    outputs: list[Variable] = []
    arrays: list[Any] = []
    sharing: dict[Any, list[list[Variable]]] = {}
    for number, op in enumerate(OPS.values()):
        dtype = dtype_of(number, op)
        # what prints is no result
        if number % PARTS == part and dtype is not None and op.name != "printed":
            special = op.scalar and len(op.args) <= 2 and dtype in FLOATS and not op.keeps
            # those that are tried on the same arrays
            alike = op.scalar and op.samples is None and not op.keeps
            left = sharing.setdefault((dtype, len(op.args), special or op.domain), []) if alike else []
            attrs: dict[str, Any] = {}
            if not left:
                values, attrs = (testing.special_operands(op, dtype), {}) if special else testing.draw(op, dtype)[0]
                variables = testing.variables_for(values)
                left += [variables] * TOGETHER
                inputs += variables
                arrays += values
            outputs.append(apply(op, left.pop(), **attrs))
    return inputs, outputs, arrays


def same_bits(got: Any, wanted: Any) -> bool:
    """Whether two arrays are equal to the bit; one NaN is as good as another."""
    if got.dtype.kind == "f":
        nan = np.isnan(wanted)
        return bool((np.isnan(got) == nan).all()) and bool(got[~nan].tobytes() == wanted[~nan].tobytes())
    return bool(got.tobytes() == wanted.tobytes())


def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Numba's own passes fail for what the direct pass does not know."""
    from numgraph.lower import pipeline

    def refused(self: Any, state: Any) -> None:
        raise AssertionError(f"left to Numba's own passes: {state.status.fail_reason}")

    monkeypatch.setattr(pipeline._Standard, "run", refused)


def by_both(build: Callable[[], ng.Function], arguments: list[Any]) -> list[list[Any]]:
    """The results of a function that each has compiled: the direct pass without help, and Numba's own passes."""
    found = []
    with pytest.MonkeyPatch.context() as own:
        own.setattr(ng.config, "standard_passes", False)
        no_others(own)
        found.append([np.asarray(v) for v in build()(*arguments)])
    with pytest.MonkeyPatch.context() as other:
        other.setattr(ng.config, "standard_passes", True)
        found.append([np.asarray(v) for v in build()(*arguments)])
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_every_op_has_numbas_bits(part: int) -> None:
    inputs, outputs, arrays = samples(part)
    found = by_both(lambda: ng.function(inputs, outputs, target="cpu", on_unused_input="ignore"), arrays)
    for output, got, wanted in zip(outputs, *found, strict=True):
        assert output.op is not None
        assert same_bits(got, wanted), f"{output.op.name}: {got} instead of {wanted}"


def chain(length: int) -> tuple[Variable, list[Variable]]:
    """A vector, and two chains of operations on it, with their gradients."""
    x = v = ng.vector("x", dtype="float32")
    for k in range(length):
        v = ng.sin(v) * np.float32(1 + 1 / (k + 1)) if k % 2 else ng.tanh(v) + np.float32(0.1 * k)
    total = ng.sum(v)
    return x, [total, v, *ng.grad(total, [x])]


def test_long_chains_have_numbas_bits() -> None:
    x, outputs = chain(20)
    values = np.linspace(-2, 2, 1001).astype("float32")
    got, wanted = by_both(lambda: ng.function([x], outputs, target="cpu"), [values])
    assert all(map(same_bits, got, wanted))


SOURCE = """from numgraph.kernels.support import c_function, f64


@c_function("int64(int64, int64)")
def enter(address, n):
    x = f64(address)
    total = 0
{}
    return total
"""
KNOWN = """    for i in range(n):
        total = total + x[i]
        if x[i] < 0.0:
            return -1"""
UNKNOWN = """    for value in (1.0, 2.0):
        x[0] = value"""


@pytest.mark.parametrize("body", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("standard", [False, True])
def test_what_is_not_known_goes_to_numbas_own_passes(
    body: str, standard: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", standard)
    monkeypatch.setattr(ng.config, "debug", 1)
    built = native.build(SOURCE.format(body))
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(built.address)
    values = np.array([1.5, 2.0, -1.0])
    if body is KNOWN:
        # an integer that turns into a float in a loop is one from the start
        assert [call(values.ctypes.data, n) for n in (0, 1, 2, 3)] == [0, 1, 3, -1]
    else:
        assert call(values.ctypes.data, 3) == 0 and values[0] == 2
    assert ("compiled by Numba's own passes because of" in capsys.readouterr().err) == (
        body is UNKNOWN and not standard
    )


PROGRAM = """
import sys
import numpy as np
import numgraph as ng
x, y, W = ng.matrix("x"), ng.ivector("y"), ng.shared(np.ones((4, 3)), "W")
p = ng.softmax(x @ W, axis=1)
cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
order = [ng.argsort(x, axis=0), ng.cumsum(x, axis=1), ng.sort(x)]
f = ng.function([x, y], [cost, ng.sin(x), *order], updates=[(W, W - ng.grad(cost, W))], target="cpu")
f(np.eye(5, 4), np.zeros(5, "int32"))
print(f.record.cached, "numba" in sys.modules)
"""


# A step over tiles of rows, whose products are dot products.
ROWS = """
import sys
import numpy as np
import numgraph as ng
x, y, i = ng.matrix("x", dtype="{0}"), ng.ivector("y"), ng.lscalar("i")
X, Y = ng.shared(np.ones((600, 70), "{0}"), "X"), ng.shared(np.zeros(600, "int32"), "Y")
W = ng.shared(np.ones((70, 10), "{0}"), "W")
cost = -ng.mean(ng.log(ng.softmax(x @ W, axis=1))[ng.arange(y.shape[0]), y])
givens = {{x: X[i * 600 : (i + 1) * 600], y: Y[i * 600 : (i + 1) * 600]}}
f = ng.function([i], cost, updates=[(W, W - ng.grad(cost, W))], givens=givens, target="cpu")
f(0)
assert "gemm_rows(" in f.source, f.source
print(f.record.cached, "numba" in sys.modules)
"""


def test_numba_compiles_and_code_in_the_cache_needs_no_numba(tmp_path: Path) -> None:
    """One process compiles all programs, another finds them."""
    environment = {**os.environ, "NUMGRAPH_CACHE_DIR": str(tmp_path)}
    programs = PROGRAM + "".join(map(ROWS.format, FLOATS))
    for first in (True, False):
        done = python("-c", programs, env=environment, check=True)
        assert done.stdout.split() == [str(not first), str(first)] * 3


EXPRESSIONS = """from numpy import float32, int8, uint8, uint16, uint64

from numgraph.kernels.support import c_function, f64, helper, i64


@helper
def both(a, b):
    return a // b, a % b


@helper
def collatz(n):
    steps = 0
    while n > 1 and steps < 50:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@c_function("void(int64, int64, int64)")
def enter(address, a, b):
    out = i64(address)
    real = f64(address + 800)
    out[0], out[1] = both(a, b)
    out[2] = min(a, b, 3)
    out[3] = max(a, b)
    out[4] = abs(a) - (b if a > b else -b)
    out[5] = (a & b) ^ ~(a | 5)
    out[6] = a << 3
    out[7] = a >> 2
    out[8] = int8(a)
    out[9] = uint8(b)
    out[10] = uint8(a) + int8(b)
    out[11] = uint64(a) > b
    out[12] = a != 0 and b // a > 2 or not b
    out[13] = collatz(a % 1000)
    out[14] = -uint16(a)
    out[15] = uint8(a) // uint8(7)
    out[17] = a // 7
    out[18] = a % 8
    out[19] = a // -3
    total = 0
    for i in range(a % 7, -3, -2):
        if i == b:
            continue_at = i
        else:
            continue_at = total
        total += continue_at * i
    out[16] = total
    out[20] = -7 < a <= b < 2 * b
    below, above = (a, b // 2) if a < b else (b // (a | 1), a)
    out[21] = below
    out[22] = above
    real[0] = a / b
    real[1] = float32(a) * uint8(b)
    real[2] = float32(a) + b
    real[3] = -(float32(0.1) * 2.0**3) - 1e3
    real[4] = uint64(a)
"""
EDGES = (0, 1, -1, 2, 7, -7, 255, -256, 2**31, -(2**63), 2**63 - 1)


def test_expressions_have_numbas_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, kept = [], []
    for standard in (False, True):
        monkeypatch.setattr(ng.config, "standard_passes", standard)
        with monkeypatch.context() as only:
            if not standard:
                no_others(only)
            kept.append(native.build(EXPRESSIONS))
        calls.append(ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(kept[-1].address))
    for a, b in itertools.product(EDGES, EDGES):
        results = [np.zeros(110, np.int64) for _ in calls]
        for call, result in zip(calls, results, strict=True):
            call(result.ctypes.data, a, b)
        assert results[0].tolist() == results[1].tolist(), (a, b)
