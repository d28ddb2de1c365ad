"""Two programs timed in alternation in one process, so that both meet the same state of the machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

Step = Callable[[int], object]


@dataclass
class Timing:
    """Seconds per step of the two sides, one number per repetition; the k-th of both were measured side by side."""

    numgraph: list[float] = field(default_factory=list)
    numpy: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """NumPy's time over numgraph's, per repetition: above 1, numgraph is faster."""
        return [b / a for a, b in zip(self.numgraph, self.numpy, strict=True)]

    def summary(self) -> dict[str, float]:
        """Least and median microseconds per step of each side, and quartiles of the ratio."""
        low, middle, high = np.percentile(self.ratios, [25, 50, 75])
        return {
            "numgraph_min_us": 1e6 * min(self.numgraph),
            "numgraph_median_us": 1e6 * float(np.median(self.numgraph)),
            "numpy_min_us": 1e6 * min(self.numpy),
            "numpy_median_us": 1e6 * float(np.median(self.numpy)),
            "ratio_min": min(self.numpy) / min(self.numgraph),
            "ratio_median": float(middle),
            "ratio_low": float(low),
            "ratio_high": float(high),
        }


def alternate(numgraph: Step, numpy: Step, indices: Sequence[int], repeats: int, least: float) -> Timing:
    """Time both steps over `indices` (each round runs all of them) `repeats` times, alternating which goes first.

    least: a measurement takes at least this many seconds, by repeating the round.
    """
    timing = Timing()
    rounds = [rounds_for(step, indices, least) for step in (numgraph, numpy)]
    with collector_off():
        for k in range(repeats):
            sides = [(numgraph, rounds[0], timing.numgraph), (numpy, rounds[1], timing.numpy)]
            for step, count, seconds in sides if k % 2 == 0 else reversed(sides):
                seconds.append(time_rounds(step, indices, count))
    return timing


def time_rounds(step: Step, indices: Sequence[int], rounds: int) -> float:
    """Seconds per step."""
    began = time.perf_counter()
    for _ in range(rounds):
        for index in indices:
            step(index)
    return (time.perf_counter() - began) / (rounds * len(indices))


def rounds_for(step: Step, indices: Sequence[int], least: float) -> int:
    """How many rounds take `least` seconds; warms the step up."""
    time_rounds(step, indices, 1)
    return max(1, round(least / (time_rounds(step, indices, 1) * len(indices))))


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection within the block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
