"""On a card each operation is rounded, as on the processor: seen in the machine code, without a card."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from numgraph.kernels.cuda.names import KERNELS

import numgraph as ng
from numgraph.cuda import compiler

pytestmark = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))

# Instructions of sm_70 to sm_120 have 16 bytes; the lowest 9 bits say what they do.
OPCODES = {0x020: "FMUL", 0x021: "FADD", 0x023: "FFMA", 0x028: "DMUL", 0x029: "DADD", 0x02B: "DFMA"}


def instructions(code: bytes) -> Counter[str]:
    """How many of each a cubin, an ELF file, has in its sections of machine code."""
    (start,) = struct.unpack_from("<Q", code, 0x28)
    size, count, names = struct.unpack_from("<HHH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", code, start + k * size) for k in range(count)]
    found: Counter[str] = Counter()
    for name, _, _, _, offset, length in sections:
        begin = sections[names][4] + name
        if code[begin : begin + 6] == b".text.":
            words = np.frombuffer(code, "<u8", length // 8, offset)[::2]
            found.update(OPCODES[k] for k in (int(w) & 0x1FF for w in words) if k in OPCODES)
    return found


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "F"), ("float64", "D")])
def test_products_and_sums_are_not_fused(dtype: str, kind: str) -> None:
    """x*x - y*y is 0 where x = y, so that its square root is not NaN. The PTX does not say; the assembler fuses."""
    x, y = ng.vector("x", dtype), ng.vector("y", dtype)
    f = ng.function([x, y], x * x - y * y, target="cuda-sim")
    variant = f.executor.variant
    ((each,),) = variant.kernels
    made = compiler.compile_cubin(variant.source[each.kernel.code], each.kernel.signature, (9, 0), max_threads=256)
    found = instructions(made.code)
    assert found[f"{kind}MUL"] and found[f"{kind}ADD"] and not found[f"{kind}FMA"]


def test_products_of_matrices_are() -> None:
    kernel = KERNELS["product"]
    found = instructions(compiler.compile_cubin(kernel.make(), kernel.signature(), (9, 0), max_threads=256).code)
    assert found["FFMA"] >= 128


def test_ptx_asks_for_no_newer_tools_than_it_needs() -> None:
    """Tools refuse PTX of a version that is newer than they are, whatever is in it."""
    kernel = KERNELS["transpose"]
    for capability in ((8, 0), (9, 0)):
        made = compiler.compile_cubin(kernel.make(), kernel.signature(), capability, max_threads=256)
        assert ".version 7.0" in made.ptx and ".target sm_80" in made.ptx
