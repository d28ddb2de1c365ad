"""The launches of a scan: one for all steps, or those of a step for each step, with the addresses that this step works
on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.cuda.device import Copying
from numgraph.cuda.library import Launch
from numgraph.cuda.plan import Table
from numgraph.loops.grid.scans import Checkpoints, Copy, GridScan, Place

# The places of a step: by ("state", scan, number) and ("moving", slot).
Places = dict[tuple[Any, ...], int]


@dataclass
class Found:
    """What steps have found, in scans that a step may end. ended: whether the bool at an address is true; made: how
    many steps a kernel has made of a scan, by its number."""

    ended: Callable[[int], bool]
    made: Callable[[int], int]


class Steps:
    """Goes through the steps of one scan, without doing them.

    number: of what is a number or a slot; address: of a place. count: how many steps there are, at most until one has
    ended the scan.
    """

    def __init__(
        self,
        scan: GridScan,
        table: Table,
        number: Callable[[int], int],
        address: Callable[[Place], int],
        places: Places,
    ) -> None:
        self.scan, self.table, self.number, self.places = scan, table, number, places
        self.firsts = {k: address(state.first) for k, state in scan.states.items()}
        self.bases = {slot: address(written.base) for slot, written in scan.written.items()}
        self.states = dict(self.firsts)
        self.address = address
        self.count = max(0, number(scan.steps))

    def parts(self, step: Callable[[], Sequence[Launch]], found: Found) -> Iterator[Sequence[Launch]]:
        """The launches, one part behind the other. step: those of a step, whose numbers and places are known.

        found: is asked about a scan that a step may end: there each part must have been launched before the next one is
        asked for.
        """
        yield self._before()
        yield from self._all(step, found) if self.scan.whole else self._each(step, found)
        yield [copied for copy in self.scan.copies for copied in self._copied(copy)]

    def _all(self, step: Callable[[], Sequence[Launch]], found: Found) -> Iterator[Sequence[Launch]]:
        """The launch that makes all steps."""
        if self.count:
            yield step()
        if self.count and self.scan.ends is not None:
            self.count = found.made(self.scan.number)
        self.states = {k: self._after(k, self.count) for k in self.states}

    def _after(self, state: int, steps: int) -> int:
        """Where a state is after so many steps."""
        while steps:
            steps -= 1
            new = self.scan.states[state]
            if new.state is None:
                return self._written(new.written, steps)
            state = new.state
        return self.states[state]

    def _each(self, step: Callable[[], Sequence[Launch]], found: Found) -> Iterator[Sequence[Launch]]:
        """The launches of one step after the other."""
        scan = self.scan
        for t in range(self.count):
            self.table[scan.step] = t
            yield [kept for of in scan.checkpoints for kept in self._kept(of, t)]
            self.places.update({("state", scan.number, k): place for k, place in self.states.items()})
            self.places.update({("moving", slot): self._written(slot, t) for slot in scan.written})
            yield step()
            self._go_on(t)
            if scan.ends is not None and found.ended(self._written(scan.ends, t)):
                self.count = t + 1
                break

    def _go_on(self, t: int) -> None:
        """States are what a step has made of them."""
        before = dict(self.states)
        for k, state in self.scan.states.items():
            self.states[k] = self._written(state.written, t) if state.state is None else before[state.state]

    def _written(self, slot: int, t: int) -> int:
        """Where a step writes a value."""
        written = self.scan.written[slot]
        turn = t % written.places if written.places else written.first + t
        return self.bases[slot] + turn * self.number(written.size)

    def _before(self) -> list[Launch]:
        """First values go where they are kept with the others."""
        found: list[Launch] = []
        for k, state in self.scan.states.items():
            written = self.scan.written.get(state.written) if state.state is None else None
            if written is not None and written.in_place:
                found.append(Copying(self.bases[state.written], self.firsts[k], self.number(state.size)))
                self.states[k] = self.bases[state.written]
        for place, k in self.scan.traces:
            found.append(Copying(self.address(place), self.firsts[k], self.number(self.scan.states[k].size)))
        if not self.count:
            found += [kept for of in self.scan.checkpoints for kept in self._kept(of, self.number(of.first))]
        return found

    def _kept(self, of: Checkpoints, t: int) -> list[Launch]:
        """The state before step t, if it is a checkpoint."""
        number, rest = divmod(t - self.number(of.first), self.number(of.every))
        if number < 0 or rest:
            return []
        size = self.number(of.size)
        return [Copying(self.address(of.to) + number * size, self.states[of.state], size)]

    def _copied(self, copy: Copy) -> list[Launch]:
        """A result that lies elsewhere."""
        to, (kind, which) = self.address(copy.to), copy.of
        if kind == "state":
            return [Copying(to, self.states[which], self.number(copy.size))]
        if kind == "written":
            return [Copying(to, self._written(which, self.count - 1), self.number(copy.size))]
        found, row = [], self.number(copy.row)
        if copy.first is not None:
            found.append(Copying(to, self.firsts[copy.first], row))
            to += row
        return [*found, Copying(to, self._written(which, 0), row * self.count)]
