"""What figures depend on: processor, versions, settings, and what else the machine was doing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Variables that change how fast the libraries run; a report without them would not be repeatable.
INFLUENCES = ("JAX_PLATFORMS", "PYTENSOR_FLAGS", "OMP_WAIT_POLICY")
# Variables by which libraries take other code for the processor than they would choose, or compile less: no user has
# them, and they make one library look slow. The suite leaves them out of the environment of all.
UNSET = (
    "OPENBLAS_CORETYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "NPY_DISABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS", "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES", "NUMBA_OPT", "NUMBA_DISABLE_JIT",
)  # fmt: skip
PACKAGES = ("numgraph", "numpy", "numba", "llvmlite", "scipy")
# Packages whose distributions have another name.
DISTRIBUTIONS = {"numgraph": "numgraph-compiler"}


def facts() -> dict[str, str]:
    """The machine and the versions that all peers share."""
    known = {"processor": processor(), "system": f"{platform.system()} {platform.machine()}"}
    known["Python"] = platform.python_version()
    for package in PACKAGES:
        try:
            known[package] = version(DISTRIBUTIONS.get(package, package))
        except PackageNotFoundError:
            known[package] = "not installed"
    known |= {name: os.environ[name] for name in INFLUENCES if name in os.environ}
    # as a process of a peer has it
    command = [sys.executable, "-c", "import json, numpy, bench.machine as m; print(json.dumps(m.blas()))"]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=True)
    return known | json.loads(done.stdout)


def unset() -> list[str]:
    """`OPENBLAS_CORETYPE=Haswell` and the like, which the suite leaves out."""
    return [f"{name}={os.environ[name]}" for name in UNSET if name in os.environ]


def environment() -> dict[str, str]:
    """The environment of what is measured, without these."""
    return {name: value for name, value in os.environ.items() if name not in UNSET}


def processor() -> str:
    """The name of the processor where the system tells, and how many there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor() or platform.machine()}"


def usable() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """How many processes wanted a processor in the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def blas() -> dict[str, str]:
    """The BLAS libraries in the process, where `threadpoolctl` can tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    found = [
        f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture', '')}"
        for pool in threadpool_info()
        if pool.get("user_api") == "blas"
    ]
    return {"BLAS": "; ".join(dict.fromkeys(found))}


def wait_until_asleep(most: float = 0.5) -> None:
    """Wait until this process's threads no longer wait busily for more work, `most` seconds at most: a BLAS library's
    do so for 100 milliseconds, in which another process would be timed with a part of the processors."""
    end = time.monotonic() + most
    while time.monotonic() < end:
        began, used = time.monotonic(), time.process_time()
        time.sleep(0.01)
        if time.process_time() - used < (time.monotonic() - began) / 2:
            return
