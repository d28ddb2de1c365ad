"""What this processor can do: arithmetic, memory, threads. Measured when `explain` first asks, and by nothing else.

The loops are LLVM assembly (machine.ll), made in milliseconds: neither Numba nor the matrix products have to be
compiled for it. The figures stay in the cache folder, so that two processes predict the same; deleting
`machine_*.json` there measures anew. Each figure is the best of many short measurements, which other work on the
machine disturbs least.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache as remember
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from numgraph import cache
from numgraph.processor import Processor, processor
from numgraph.runtime.native import prepare_llvm, target_machine
from numgraph.runtime.threads import launcher, ready
from numgraph.whole import compiled, kept

# Bytes at which reading is measured: within each level of the cache, and far beyond the last.
SIZES = (16 << 10, 192 << 10, 2 << 20, 8 << 20, 24 << 20, 64 << 20)
# Nanoseconds for each figure, at most.
PATIENCE = 10_000_000
# Bytes that one measurement reads at least, and turns of the loop of multiply-adds: a tenth of a millisecond, beside
# which the call counts little.
LEAST_BYTES, TURNS = 8 << 20, 40_000
# Multiply-adds that do not wait for one another: enough for two a cycle of latency 5.
CHAINS = 12
# How many times as fast all threads read memory, up to which others seem to have had the processor.
BUSY = 1.2
LAUNCH = 1000.0
# The convention of the file in the cache.
FORMAT = 1


@dataclass(frozen=True)
class Machine:
    """Figures of one core, and of all threads together.

    vector: bytes of a vector. peak: float32 operations per nanosecond, a multiply-add being two. read: bytes per
    nanosecond by the size of what is read again and again. together: how many times as fast all threads read memory
    that is in no cache. launch: nanoseconds until the threads have begun and ended a job. threads: how many.
    """

    vector: int
    peak: float
    read: dict[int, float]
    together: float
    launch: float
    threads: int

    @property
    def cycle(self) -> float:
        """Nanoseconds of a cycle, taken as the time of two multiply-adds of vectors."""
        return self.vector / self.peak

    @property
    def was_calm(self) -> bool:
        """Whether the other threads were seen to help: on a busy machine they do not."""
        return self.threads == 1 or self.together > BUSY

    def limits(self) -> dict[str, float]:
        """What all threads and one of them can do at most, see `Explanation.limits`."""
        least, most = min(self.read), max(self.read)
        return {
            "peak": self.peak * self.threads,
            "peak_one": self.peak,
            "memory": self.bandwidth(most, self.threads),
            "memory_one": self.bandwidth(most),
            "cache": self.bandwidth(least, self.threads),
        }

    def bandwidth(self, size: int, chunks: int = 1) -> float:
        """Bytes per nanosecond when `size` bytes are used again and again by `chunks` threads."""
        known = sorted(self.read)
        speed = float(np.exp(np.interp(np.log(max(size, 1)), np.log(known), np.log([self.read[s] for s in known]))))
        faster = chunks if size < known[-1] // 2 else min(chunks, self.together)
        return speed * max(faster, 1)


def machine(threads: int) -> Machine:
    """The figures of this machine with that many threads, for code as the settings have it: from the cache folder, or
    measured now, in about 0.2 s."""
    return _machine(processor(), threads)


@remember
def _machine(made_for: Processor, threads: int) -> Machine:
    name = f"machine_{cache.digest(str(FORMAT), made_for.key, str(threads))}.json"
    data = cache.load(name)
    found = _read(data) if data is not None else None
    if found is None:
        found = measured(threads)
        if found.was_calm:
            cache.store(name, json.dumps(asdict(found), indent=1).encode())
    return found


def _read(data: bytes) -> Machine | None:
    """The figures in a file of the cache; None when it is damaged."""
    try:
        plain = json.loads(data)
        plain["read"] = {int(size): float(speed) for size, speed in plain["read"].items()}
        found = Machine(**plain)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    figures = (found.vector, found.peak, found.together, found.launch, *found.read.values())
    good = found.read and all(isinstance(f, int | float) and f >= 0 for f in figures)
    return found if good and found.peak and found.vector else None


def measured(threads: int) -> Machine:
    """Measure, with nothing read from or written to the cache folder."""
    loops = compiled(_Loops)
    memory = np.ones(max(SIZES) // 8 + 8, np.int64)
    read = {size: loops.read(memory, size, 1) for size in SIZES}
    most = max(SIZES)
    together, launch = 1.0, 0.0
    if threads > 1:
        # the threads start with the first job, which is not measured
        speeds = [loops.read(memory, most, threads) for _ in range(4)]
        together = max(max(speeds[1:]) / read[most], 1.0)
        launch = loops.launch(threads)
        if together <= BUSY:
            # nobody came to help: what a launch takes otherwise, about
            launch = max(launch, LAUNCH)
    return Machine(loops.vector, loops.peak(), read, together, launch, threads)


class _Loops:
    """The compiled loops, and what is measured with them."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        prepare_llvm()
        self.vector = processor().vector
        module = llvm.parse_assembly(assembly(self.vector // 4))
        module.verify()
        engine = llvm.create_mcjit_compiler(module, target_machine())
        engine.finalize_object()
        kept(self, engine)
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)
        self.addresses = {name: int(engine.get_function_address(name)) for name in ("read", "peak", "empty")}
        self.functions = {name: kind(address) for name, address in self.addresses.items()}

    def peak(self) -> float:
        """float32 operations per nanosecond of one core."""
        numbers = np.array([0.5, 0.25], np.float32)
        words = np.array([numbers.ctypes.data, TURNS], np.int64)
        peak = self.functions["peak"]
        return 2 * CHAINS * (self.vector // 4) * TURNS / _least(lambda: peak(words.ctypes.data, 0, 1))

    def read(self, memory: Any, size: int, chunks: int) -> float:
        """Bytes per nanosecond of `size` bytes read by so many threads."""
        start = -(-int(memory.ctypes.data) // 64) * 64
        times = max(1, LEAST_BYTES // size)
        words = np.array([start, size, times], np.int64)
        run = self._runner("read", words, chunks)
        return size * times / _least(run)

    def launch(self, chunks: int) -> float:
        """Nanoseconds of a launch beyond a call; of many the middle one, since a launch may find the others asleep."""
        words = np.zeros(3, np.int64)
        run, plain = self._runner("empty", words, chunks), self._runner("empty", words, 1)
        times = sorted(_time(run) for _ in range(400))
        return max(times[len(times) // 2] - _least(plain), 0.0)

    def _runner(self, name: str, words: Any, chunks: int) -> Callable[[], Any]:
        function, address, at = self.functions[name], self.addresses[name], int(words.ctypes.data)
        found = launcher() if chunks > 1 and ready(chunks) else None
        if found is None:
            return lambda: function(at, 0, 1)
        launch = found.launch
        return lambda: launch(address, at, chunks, -1)


def assembly(lanes: int) -> str:
    """The loops' text, for vectors of so many floats."""
    chains = range(CHAINS)
    kind = f"<{lanes} x float>"
    call = f"call {kind} @llvm.fmuladd.v{lanes}f32"
    used = [
        f"  %e{{k}} = extractelement {kind} %d{{k}}, i64 0",
        "  %r{k} = bitcast float %e{k} to i32",
        '  call void asm sideeffect "", "r"(i32 %r{k})',
    ]
    lines = {
        "STARTS": [f"  %c{k} = phi {kind} [ %ys, %0 ], [ %d{k}, %loop ]" for k in chains],
        "STEPS": [f"  %d{k} = {call}({kind} %c{k}, {kind} %xs, {kind} %ys)" for k in chains],
        "ENDS": [line.format(k=k) for k in chains for line in used],
    }
    text = Path(__file__).with_name("machine.ll").read_text(encoding="utf-8")
    for name, found in lines.items():
        text = text.replace(f"\n{name}\n", "\n" + "\n".join(found) + "\n")
    return text.replace("LANES", str(lanes))


def _time(run: Callable[[], Any]) -> int:
    began = perf_counter_ns()
    run()
    return perf_counter_ns() - began


def _least(run: Callable[[], Any]) -> float:
    """The least nanoseconds of many runs."""
    end = perf_counter_ns() + PATIENCE
    best = _time(run)
    while perf_counter_ns() < end:
        best = min(best, _time(run))
    return float(max(best, 1))
