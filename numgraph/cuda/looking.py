"""Kernels of a function as PTX, and as instructions of a device, for reading: compiled without a device, with the sizes
that their blocks have on one, also where the function runs in the simulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from numgraph.cuda import compiler
from numgraph.cuda.loading import loaded
from numgraph.emit.gridmodule import GridModule
from numgraph.errors import DeviceError
from numgraph.loops.grid.kernel import Kernel, flat

# Seconds for the disassembler, which takes a fraction of one for a kernel.
PATIENCE = 120


def kernels_of(module: GridModule, capability: tuple[int, int]) -> Iterator[tuple[Kernel, compiler.Cubin]]:
    """The kernels of a program that have code of their own, compiled for devices of a capability; DeviceError where the
    tools refuse one."""
    functions = loaded(module.text)
    for kernel in (k for stage in module.kernels for k in flat(stage) if k.function is not None):
        code = functions[kernel.code]
        limits = {"max_threads": kernel.threads, "min_blocks": kernel.resident}
        yield kernel, compiler.compile_cubin(code, kernel.signature, capability, **limits)


def described(kernel: Kernel, cubin: compiler.Cubin, capability: tuple[int, int]) -> str:
    """What a kernel takes of a multiprocessor, as a comment."""
    stack = f", {cubin.stack_bytes} bytes of stack, {cubin.spill_bytes} spilled" if cubin.stack_bytes else ""
    return (
        f"// {kernel.name} for sm_{capability[0]}{capability[1]}: {kernel.threads} threads a block, "
        f"{cubin.registers} registers each, {cubin.shared_bytes:,} bytes shared{stack}"
    )


def ptx(module: GridModule, capability: tuple[int, int]) -> str:
    """The PTX of the kernels, one after the other, each under what it takes."""
    found = kernels_of(module, capability)
    return "\n".join(f"{described(kernel, cubin, capability)}\n{cubin.ptx}" for kernel, cubin in found)


def disassembler() -> str | None:
    """NVIDIA's nvdisasm, on PATH or in the folder that CUDA_HOME names; None where there is none."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which("nvdisasm") or (shutil.which("nvdisasm", path=str(Path(home) / "bin")) if home else None)


def sass(module: GridModule, capability: tuple[int, int]) -> str:
    """The instructions of the kernels, one after the other, by nvdisasm; DeviceError where it is missing or fails."""
    program = disassembler()
    if program is None:
        raise DeviceError("sass: nvdisasm is neither on PATH nor in CUDA_HOME\n  fix: install NVIDIA's CUDA toolkit")
    texts = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        for kernel, cubin in kernels_of(module, capability):
            path.write_bytes(cubin.code)
            command = [program, "--print-code", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
            if done.returncode:
                raise DeviceError(f"sass: {program} refuses {kernel.name}: {done.stderr.strip()}")
            texts.append(f"{described(kernel, cubin, capability)}\n{done.stdout}")
    return "\n".join(texts)
