"""The arrays that calls make: outputs, and the new values of shared variables that are not written in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numgraph.loops.table import Layout
    from numgraph.schedule.plan import Schedule

# ("output" or "fresh", the number of the output or of the shared variable)
Made = tuple[str, int]


class Table(Protocol):
    """The slots of a call's table."""

    def __getitem__(self, slot: int, /) -> Any:
        """What a slot holds."""


@dataclass(frozen=True)
class Making:
    """What a variant's calls make, as plain data.

    dtypes: of the arrays, in order. sizes: their lengths: -1 - n for a number, else the slot that holds it. stages: the
    stage before which each is made. exchanged: pairs of shared variables, by number, that exchange their memory.
    """

    dtypes: dict[Made, np.dtype[Any]]
    sizes: dict[Made, list[int]]
    stages: dict[Made, int]
    exchanged: list[tuple[int, int]]

    @classmethod
    def of(cls, schedule: Schedule, layout: Layout) -> Making:
        """What calls of a schedule make, with the slots of a layout."""
        count = len(schedule.outputs)
        dtypes = {("output", number): np.dtype(schedule.dtypes[number]) for number in range(count)}
        dtypes |= {("fresh", number): np.dtype(schedule.dtypes[count + number]) for number in layout.fresh}
        exchanged = [(u.slot, u.other) for u in schedule.updates if u.how == "exchange"]
        return cls(dtypes, layout.made, layout.made_stage, exchanged)

    @cached_property
    def _at(self) -> dict[tuple[str, int], list[Made]]:
        found: dict[tuple[str, int], list[Made]] = {}
        for made in self.dtypes:
            found.setdefault((made[0], self.stages[made]), []).append(made)
        return found

    def at(self, kind: str, stage: int) -> list[Made]:
        """The arrays of a kind whose lengths the plan of `stage` knows."""
        return self._at.get((kind, stage), [])

    def known(self, made: Made) -> tuple[int, ...] | None:
        """The lengths of an array; None where only the plan of a call knows them."""
        lengths = self.sizes[made]
        return tuple(-1 - n for n in lengths) if all(n < 0 for n in lengths) else None

    def lengths(self, made: Made, table: Table) -> tuple[int, ...]:
        """The lengths of an array in a call, after the plan of its stage."""
        return tuple(-1 - n if n < 0 else int(table[n]) for n in self.sizes[made])

    def stacked(self, count: int, empty: Any = np.empty) -> list[Any]:
        """Arrays for the outputs of many steps, whose lengths are known, by `empty`."""
        outputs = [made for made in self.dtypes if made[0] == "output"]
        return [empty((count, *(self.known(made) or ())), self.dtypes[made]) for made in outputs]
