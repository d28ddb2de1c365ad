"""CUDA kernels as machine code for sm_80 and sm_90: registers, spills, shared memory, float64, widths of addresses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from numba import cuda, int32
from numgraph.kernels.cuda.names import KERNELS

from numgraph.cuda import captured, compiler
from tests.ptx import Program

pytestmark = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))

CAPABILITIES = [(8, 0), (9, 0)]
TABLE = Path(__file__).parents[1] / "golden" / "cuda_registers.json"
# Another release of the assembler may take some more.
SLACK = 8


def compiled(name: str, capability: tuple[int, int]) -> compiler.Cubin:
    """A kernel of the table with the sizes for a device, for the first of its dtypes."""
    kernel = KERNELS[name]
    threads = math.prod(kernel.threads(kernel.sizes))
    return compiler.compile_cubin(
        kernel.make(kernel.dtypes[0]),
        kernel.signature(kernel.dtypes[0]),
        capability,
        max_threads=threads,
        min_blocks=kernel.min_blocks,
    )


def allowed(name: str, found: dict[str, int], update: bool) -> dict[str, int]:
    """The registers that the table has for a kernel, after writing `found` there if it is to be updated."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    if update:
        table[name] = found
        TABLE.write_text(json.dumps({n: table[n] for n in KERNELS if n in table}, indent=1) + "\n")
    registers: dict[str, int] = table[name]
    return registers


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name: str, update_golden: bool) -> None:
    """All that is asked of a kernel's code, in one test, so that it is compiled once."""
    found = {}
    for capability in CAPABILITIES:
        cubin = compiled(name, capability)
        assert (cubin.stack_bytes, cubin.spill_bytes) == (0, 0), capability
        assert cubin.shared_bytes <= 48 * 1024
        found["sm_{}{}".format(*capability)] = cubin.registers
    registers = allowed(name, found, update_golden)
    assert all(found[key] <= registers[key] + SLACK for key in found), f"{found}, recorded: {registers}"
    # float32 stays float32
    assert ".f64" not in cubin.ptx
    program = Program(cubin.ptx)
    assert program.addresses, "no access to memory was found"
    assert not program.narrow(), "offsets of 32 bits"


def test_the_table_of_registers_is_that_of_the_kernels() -> None:
    assert list(json.loads(TABLE.read_text())) == list(KERNELS)


def test_wide_loads() -> None:
    ptx = compiled("product_whole_tiles", (9, 0)).ptx
    # per thread and tile: 8 + 8 numbers from shared memory for 64 multiply-adds, and 4 + 4 from memory
    assert ptx.count("ld.shared.v4.f32") == 4
    assert "ld.shared.f32" not in ptx
    assert ptx.count("ld.global.v4.f32") == 4


def narrowed(out, x, rows, length):
    place = int32(cuda.blockIdx.x * length) + cuda.threadIdx.x
    out[place] = x[place]


def product_of_32_bits(out, x, rows, length):
    # what a truncated product amounts to
    place = (cuda.blockIdx.x * length) & 0xFFFFFFFF
    out[int32(place)] = x[cuda.threadIdx.x]


def wide_enough(out, x, rows, length):
    place = cuda.blockIdx.x * length + cuda.threadIdx.x
    out[place] = x[place]


@pytest.mark.parametrize(("kernel", "narrow"), [(narrowed, True), (product_of_32_bits, True), (wide_enough, False)])
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_the_check_of_addresses_can_fail(kernel, narrow: bool, kind: str) -> None:
    cubin = compiler.compile_cubin(kernel, ("float32*", "float32*", kind, kind), (9, 0))
    assert bool(Program(cubin.ptx).narrow()) == narrow


def test_the_names_of_kernels_are_the_same_in_the_next_process() -> None:
    for name, kernel in KERNELS.items():
        first, second = (captured.fingerprint(kernel.make(kernel.dtypes[0])) for _ in range(2))
        assert first == second, name
        assert "0x7f" not in "".join(first), name
