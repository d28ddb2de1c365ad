"""Which versions and which device a report is about, and what of it was carried along."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from bench import machine
from bench.gpu.cubins import Cubins
from bench.gpu.replace import WHEELS
from bench.gpu.tools import Context, Section
from numgraph.cuda import compiler
from numgraph.cuda.driver import CudaDevice, amount

PACKAGES = (
    "numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "torch",
    "jax", "jax-cuda13-plugin", "cupy-cuda13x", "nvmath-python", "nvidia-cublas",
)  # fmt: skip


def facts(context: Context) -> Section:
    """The table of all that."""
    found = Section()
    device = context.device
    found.facts["device"] = f"{device.name}, capability {device.capability[0]}.{device.capability[1]}, "
    found.facts["device"] += f"{device.multiprocessors} multiprocessors"
    if isinstance(device, CudaDevice):
        with device.use:
            free, total = device.bindings.memory()
        found.facts["driver"] = f"for CUDA {device.driver}"
        found.facts["memory"] = f"{amount(free)} of {amount(total)} free"
        cubins = getattr(device.compile, "__self__", None)
        kept = isinstance(cubins, Cubins)
        found.facts["machine code"] = f"of {cubins.folder}" if kept and cubins else "made here, or of the cache folder"
    found.facts["compilers"] = (compiler.missing("compile") or "installed").partition("\n")[0]
    found.facts["carried wheels"] = os.environ.get(WHEELS, "none: what is installed")
    for name in PACKAGES:
        try:
            found.facts[name] = version(name)
        except PackageNotFoundError:
            found.facts[name] = "not installed"
    found.facts |= machine.facts()
    return found
