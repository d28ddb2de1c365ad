"""What the stages before code generation must know of where a program will run, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """One kind of machine.

    wide_sums: float32 sums and products accumulate in float64. grid: the iterations of a loop run at the same time, by
    many threads, so that sums over a loop's iterations are a phase of their own.
    """

    wide_sums: bool
    grid: bool


CPU = Traits(wide_sums=True, grid=False)
GRID = Traits(wide_sums=False, grid=True)
