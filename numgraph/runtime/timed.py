"""A compiled form that says when each phase begins and ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from numgraph.loops.timed import Clocks, Span
from numgraph.runtime.times import Times, reader
from numgraph.runtime.variant import NativeVariant


@dataclass
class TimedVariant(NativeVariant):
    """Code with clock reads, and the memory that they are written to. clocks: see `loops.timed`."""

    clocks: Clocks
    times: Times = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        functions = reader()
        self.times = Times(len(self.clocks.spans), self.threads)
        self.integers[self.clocks.begins] = functions.begin
        self.integers[self.clocks.ends] = functions.end
        self.integers[self.clocks.times] = self.times.address

    @property
    def spans(self) -> list[Span]:
        """What is timed, by number."""
        return self.clocks.spans
