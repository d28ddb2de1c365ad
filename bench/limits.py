"""The machine's bandwidth, rate of arithmetic and of calls, measured. `python -m bench.limits THREADS` prints JSON."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.pool import environment

# Bytes that the passes go over: from one core's cache to far beyond the last one.
FOOTPRINTS = (1 << 18, 1 << 22, 1 << 24, 1 << 26, 1 << 28)
# Each measurement moves about this many bytes per thread, and the best of several counts: it is a limit.
MOVED, ATTEMPTS = 1 << 28, 4
PRODUCT = 2048
CALLS = 100_000


def measure(threads: int) -> dict[str, Any]:
    """The limits, in a process of its own: bytes/s as {"read": {"1": {footprint: rate}, ...}}, flop/s by threads,
    calls/s of one."""
    command = [sys.executable, "-m", "bench.limits", str(threads)]
    done = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def better(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """The greater rate of two measurements, each for itself: noise only makes rates smaller."""
    return {key: better(value, b[key]) if isinstance(value, dict) else max(value, b[key]) for key, value in a.items()}


def bandwidth(limits: dict[str, Any], traffic: str, threads: int, footprint: float) -> float:
    """Bytes/s of "read" or "copy" at the measured footprint that is nearest, as a ratio."""
    known = limits[traffic][str(threads)]
    nearest = min(known, key=lambda n: abs(math.log(int(n) / max(footprint, 1))))
    return float(known[nearest])


def least_seconds(
    limits: dict[str, Any], flops: int, moved: int, footprint: int, traffic: str, threads: int, called: bool = False
) -> tuple[float, str]:
    """The time that the machine needs at least, and for what: for the arithmetic, for the bytes, or, where a step is
    called from Python, for a call of a compiled function that does nothing; whichever takes longest."""
    needs = {
        "FLOP": flops / limits["flops"][str(threads)],
        "bandwidth": moved / bandwidth(limits, traffic, threads, footprint),
        "latency": 1 / limits["calls"]["1"] if called else 0.0,
    }
    reason = max(needs, key=lambda name: needs[name])
    return needs[reason], reason


def _kernels() -> tuple[Any, Any]:
    import numba

    @numba.njit(nogil=True, fastmath=True)
    def read(a: Any, b: Any, times: int) -> float:
        total = np.float32(0)
        for _ in range(times):
            part = np.float32(0)
            for i in range(len(a)):
                part += a[i]
            total += part
            a[0] += np.float32(1)  # or the compiler might keep the sum of the first pass
        return total

    @numba.njit(nogil=True)
    def copy(a: Any, b: Any, times: int) -> float:
        half = len(a) // 2
        for _ in range(times):
            for i in range(half):
                b[i] = a[i]
        return b[0]

    return read, copy


def _rate(kernel: Any, threads: int, footprint: int) -> float:
    """Bytes/s that `threads` threads move together over `footprint` bytes; a copy counts what it reads and writes."""
    length = footprint // 4 // threads
    arrays = [(np.ones(length, np.float32), np.ones(length // 2 + 1, np.float32)) for _ in range(threads)]
    times = max(1, MOVED // threads // (4 * length))
    best = math.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ATTEMPTS + 1):
            began = time.perf_counter()
            list(pool.map(lambda pair: kernel(*pair, times), arrays))
            best = min(best, time.perf_counter() - began)
    return times * threads * length * 4 / best


def _flops() -> float:
    """Floating-point operations per second of a large float32 product."""
    a = np.ones((PRODUCT, PRODUCT), np.float32)
    out = np.empty_like(a)
    best = math.inf
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        np.dot(a, a, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * PRODUCT**3 / best


def _flops_of(threads: int) -> float:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return _flops()
    with threadpool_limits(threads):
        return _flops()


def _calls() -> float:
    """Calls per second of a compiled function with one argument, in the loop in which programs are called."""
    arguments = [(1.0,)] * CALLS
    best = math.inf
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        for each in arguments:
            math.sqrt(*each)
        best = min(best, time.perf_counter() - began)
    return CALLS / best


def main() -> None:
    """Measure and print."""
    counts = sorted({1, int(sys.argv[1])})
    found: dict[str, Any] = {"read": {}, "copy": {}, "flops": {}}
    for name, kernel in zip(("read", "copy"), _kernels(), strict=True):
        for threads in counts:
            found[name][str(threads)] = {str(n): _rate(kernel, threads, n) for n in FOOTPRINTS}
    for threads in counts:
        found["flops"][str(threads)] = _flops_of(threads)
    found["calls"] = {"1": _calls()}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
