"""The arrays that calls make: outputs, and the new values of shared variables that are not written in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from numgraph.loops.table import Layout
from numgraph.schedule.plan import Schedule
from numgraph.shared import SharedVariable

# ("output" or "fresh", the number of the output or of the shared variable)
Made = tuple[str, int]


class Table(Protocol):
    """The slots of a call's table."""

    def __getitem__(self, slot: int, /) -> Any:
        """What a slot holds."""


class Making:
    """What a variant's calls make. exchanged: pairs of shared variables, by number, that exchange their memory."""

    def __init__(self, schedule: Schedule, layout: Layout, shared: Sequence[SharedVariable]) -> None:
        self.layout = layout
        self.dtypes: dict[Made, np.dtype[Any]] = {
            ("output", number): np.dtype(node.dtype) for number, node in enumerate(schedule.outputs)
        }
        self.dtypes |= {("fresh", number): np.dtype(shared[number].dtype) for number in layout.fresh}
        self._at: dict[tuple[str, int], list[Made]] = {}
        for made in self.dtypes:
            self._at.setdefault((made[0], layout.made_stage[made]), []).append(made)
        self.exchanged = [(u.slot, u.other) for u in schedule.updates if u.how == "exchange"]

    def at(self, kind: str, stage: int) -> list[Made]:
        """The arrays of a kind whose lengths the plan of `stage` knows."""
        return self._at.get((kind, stage), [])

    def known(self, made: Made) -> tuple[int, ...] | None:
        """The lengths of an array; None where only the plan of a call knows them."""
        lengths = self.layout.made[made]
        return tuple(-1 - n for n in lengths) if all(n < 0 for n in lengths) else None

    def lengths(self, made: Made, table: Table) -> tuple[int, ...]:
        """The lengths of an array in a call, after the plan of its stage."""
        return tuple(-1 - n if n < 0 else int(table[n]) for n in self.layout.made[made])

    def stacked(self, count: int, empty: Any = np.empty) -> list[Any]:
        """Arrays for the outputs of many steps, whose lengths are known, by `empty`."""
        outputs = [made for made in self.dtypes if made[0] == "output"]
        return [empty((count, *(self.known(made) or ())), self.dtypes[made]) for made in outputs]
