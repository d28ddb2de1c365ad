"""What the simulator runs of every op also compiles for a card, with the block sizes of a card.

The simulator knows no types: what Numba refuses shows here only. `python -m tests.gpu.test_cuda_compiles` compiles
every op in every dtype, which takes minutes; the tests have one dtype of each, and elementwise ops many in one kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from bench.gpu.carried import NoDevice
from numgraph import testing
from numgraph.cuda import compiler, driver, target
from numgraph.cuda.driver import CudaDevice
from numgraph.graph import apply
from numgraph.op import OPS, Op
from numgraph.types import FLOATS
from tests.gpu.test_cuda_ops import NOWHERE

pytestmark = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
CAPABILITY = (9, 0)
# Elementwise ops in one kernel, and their operands' lengths.
TOGETHER, LENGTH = 12, 5


def only_dtype(op: Op) -> str:
    """One dtype for an op: a float, if it takes any."""
    return next((d for d in op.dtypes if d in FLOATS), op.dtypes[0])


def is_plain(op: Op) -> bool:
    """Whether an op is elementwise and has no attributes."""
    return bool(op.scalar) and op.samples is None


def together(ops: Sequence[Op]) -> Iterator[tuple[str, tuple[Op, ...]]]:
    """Elementwise ops of one dtype, some at a time."""
    plain = sorted((op for op in ops if is_plain(op) and op.name not in NOWHERE), key=only_dtype)
    for dtype, some in groupby(plain, key=only_dtype):
        while each := tuple(islice(some, TOGETHER)):
            yield dtype, each


GROUPS = list(together(list(OPS.values())))
OTHERS = [(op, only_dtype(op)) for op in OPS.values() if op.dtypes and not is_plain(op) and op.name not in NOWHERE]
# of these, those that only move elements: what they compute are places, as all the others do
MOVES = [(op, dtype) for op, dtype in OTHERS if op.moves]
OTHERS = [(op, dtype) for op, dtype in OTHERS if not op.moves]
# named kernels have types of their own for what they keep
OTHERS += [(op, "uint8") for op in OPS.values() if op.kernel and "uint8" in op.dtypes]


def on_no_device(compile: Callable[..., compiler.Cubin]) -> CudaDevice:
    """A device that launches nothing, for target="cuda"; its grids have the sizes of a card's."""
    return CudaDevice(NoDevice(CAPABILITY), compile=compile)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[compiler.Cubin]]:
    """What is compiled for target="cuda"."""
    found: list[compiler.Cubin] = []

    def compile(*about: Any, **limits: Any) -> compiler.Cubin:
        found.append(compiler.compile_cubin(*about, **limits))
        return found[-1]

    monkeypatch.setattr(driver, "_OPEN", {})
    target.device_for.cache_clear()
    driver.adopt(on_no_device(compile))
    yield found
    target.device_for.cache_clear()


def elementwise(dtype: str, ops: Sequence[Op]) -> None:
    """A kernel of many ops: each of vectors of its own operands' dtypes."""
    inputs: dict[tuple[int, str], ng.Variable] = {}
    outputs = []
    for op in ops:
        kinds = ["bool" if k in op.keeps else dtype for k in range(len(op.args))]
        for k, kind in enumerate(kinds):
            inputs.setdefault((k, kind), ng.vector(f"x{k}_{kind}", kind))
        outputs.append(apply(op, [inputs[k, kind] for k, kind in enumerate(kinds)]))
    f = ng.function(list(inputs.values()), outputs, target="cuda")
    f(*(np.ones(LENGTH, kind) for _, kind in inputs))


def alone(op: Op, dtype: str) -> None:
    """The kernels of an op for the largest of its small samples: the lengths of a call choose those of the library."""

    def size(sample: testing.Sample) -> tuple[bool, int]:
        sizes = [np.asarray(a).size for a in sample[0]]
        return min(sizes, default=0) > 0, -sum(sizes)

    arrays, attributes = max(testing.draw(op, dtype), key=size)
    inputs = [ng.tensor(f"x{k}", dtype=a.dtype.name, shape=(None,) * a.ndim) for k, a in enumerate(arrays)]
    f = ng.function(inputs, apply(op, inputs, **attributes), target="cuda", on_unused_input="ignore")
    f(*arrays)


@pytest.mark.parametrize(("dtype", "ops"), GROUPS, ids=lambda v: v if isinstance(v, str) else v[0].name)
def test_elementwise_ops(dtype: str, ops: Sequence[Op], made: list[compiler.Cubin]) -> None:
    elementwise(dtype, ops)
    assert made and not any(cubin.spill_bytes for cubin in made)


@pytest.mark.parametrize(("op", "dtype"), OTHERS, ids=lambda v: v.name if isinstance(v, Op) else v)
def test_other_ops(op: Op, dtype: str, made: list[compiler.Cubin]) -> None:
    alone(op, dtype)
    assert not any(cubin.spill_bytes for cubin in made)


@pytest.mark.parametrize(("op", "dtype"), MOVES, ids=lambda v: v.name if isinstance(v, Op) else v)
def test_ops_that_move_elements(op: Op, dtype: str, made: list[compiler.Cubin]) -> None:
    alone(op, dtype)
    assert not any(cubin.spill_bytes for cubin in made)


def main() -> int:
    """Compile every op in every dtype; 1 where something is refused."""
    count = refused = 0

    def compile(*about: Any, **limits: Any) -> compiler.Cubin:
        nonlocal count
        count += 1
        return compiler.compile_cubin(*about, **limits)

    driver.adopt(on_no_device(compile))
    for op in OPS.values():
        for dtype in op.dtypes if op.name not in NOWHERE else ():
            try:
                alone(op, dtype)
            except ng.NumgraphError as error:
                refused += 1
                print(f"{op.name} of {dtype}: {error}\n", flush=True)
    print(f"{len(OPS)} ops, {count} kernels compiled for {CAPABILITY}, {refused} refused")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
