"""The processor that kernels are made for."""

from typing import NamedTuple

import llvmlite.binding as llvm

from numgraph import kernels


class Machine(NamedTuple):
    """What the code is made for: bytes of a vector, vector registers, whether multiply and add are one instruction."""

    vector: int
    registers: int
    fused: bool


def this_machine() -> Machine:
    """The vectors of the processor that code is made for; 16 bytes (SSE2, NEON, VSX) where nothing is known of it."""
    has = kernels.features
    if has is None:
        has = {feature for feature, there in llvm.get_host_cpu_features().items() if there}
    if "avx512f" in has:
        return Machine(64, 32, True)
    if "avx2" in has:
        return Machine(32, 16, "fma" in has)
    arm = llvm.get_process_triple().startswith(("aarch64", "arm64"))
    return Machine(16, 32 if arm else 16, arm)
