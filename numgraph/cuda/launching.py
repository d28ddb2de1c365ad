"""What the kernels of a variant are launched with, and the memory that they work in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgraph.cuda.arena import Arena
from numgraph.cuda.array import DeviceArray
from numgraph.cuda.buffer import DeviceBuffer
from numgraph.cuda.device import Device
from numgraph.cuda.library import CALLS, Call, Launch, ask
from numgraph.cuda.loading import Loaded, arrays_read
from numgraph.cuda.plan import Table
from numgraph.cuda.scans import Found, Places
from numgraph.cuda.scans import Steps as ScanSteps
from numgraph.cuda.status import Status
from numgraph.cuda.steps import Steps
from numgraph.emit.gridmodule import GridModule
from numgraph.ir import Graph, Node
from numgraph.loops.grid.kernel import Geometry, Kernel, flat
from numgraph.loops.grid.scans import GridScan, Place
from numgraph.runtime.made import Made

# With blocks of fewer threads kernels of the library are made small, too.
WARP = 32
Arrays = Mapping[Made, DeviceArray]


@dataclass
class Launching:
    """The launches of the kernels of one variant.

    plan: runs a plan by its name; moved: is told that memory has changed its place. results: the words of a recording's
    results where small outputs begin, by number; steps: has these, and the arguments of a call. memory: arenas by their
    purpose; places: where the step of a scan that is being planned reads and writes; shared: where the shared variables
    are in this call.
    """

    device: Device
    module: GridModule
    geometry: Geometry
    table: Table
    status: Status
    steps: Steps
    results: dict[int, int]
    plan: Callable[[str], None]
    moved: Callable[[], None]
    memory: dict[Any, Arena] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    places: Places = field(default_factory=dict)
    shared: list[DeviceBuffer] = field(default_factory=list)
    moves: int = 0

    def load_constants(self, graph: Graph) -> None:
        """Bring the constant arrays that kernels read to the device."""
        for digest in arrays_read(self.module):
            array = graph.arrays[digest]
            self.constants[digest] = self.room(("array", digest), array.nbytes)
            self.device.upload(self.constants[digest], array)

    def room(self, key: Any, size: int) -> int:
        """The address of at least `size` bytes for a purpose; what was there may be lost when it grows."""
        arena = self.memory.setdefault(key, Arena(self.device))
        # kernels get an address also where there is nothing
        size = max(size, 1)
        if size > arena.size:
            self.moves += 1
            self.moved()
            arena.reserve(size)
        return arena.address

    def number(self, value: int) -> int:
        """A number, or what a slot of the table holds."""
        return int(value if value >= 0 else self.table[-1 - value])

    def result_address(self, number: int) -> int:
        """Where a recording leaves an output that is a result of it."""
        return self.steps.results + 8 * self.results[number]

    def settled(self, kernels: Sequence[Loaded], made: Arrays) -> tuple[Launch, ...]:
        """The launches of kernels, in memory that all of them have room in."""
        while True:
            moves = self.moves
            found = self.launches(kernels, made)
            if moves == self.moves:
                return found
            # memory grew for one launch that another one had already been given

    def launches(self, kernels: Sequence[Loaded], made: Arrays) -> tuple[Launch, ...]:
        """The launches of kernels; the first ones may be out of date where memory has moved meanwhile. made: outputs
        and new values of this call."""
        found: list[Launch] = []
        for each in kernels:
            kernel = each.kernel
            if kernel.library:
                found += CALLS[kernel.library](self._call(kernel, made))
                continue
            if kernel.scan is not None:
                parts = self._scan(kernel.scan, each, made).parts(self._step(each, made), Found(_never, _never))
                found += [launch for part in parts for launch in part]
                continue
            grid = tuple(
                max(1, min(most, -(-self.number(count) // per_block))) for count, per_block, most in kernel.grid
            )
            blocks = int(np.prod(grid))
            values = tuple(self.value(p.source, blocks, kernel, made) for p in kernel.parameters.values())
            found.append((each.code, grid, kernel.threads, values))
        return tuple(found)

    def _scan(self, scan: GridScan, each: Loaded, made: Arrays) -> ScanSteps:
        """The steps of a scan."""

        def address(place: Place) -> int:
            return self.value(place.source, 1, each.kernel, made) + self.number(place.offset)

        return ScanSteps(scan, self.table, self.number, address, self.places)

    def _step(self, each: Loaded, made: Arrays) -> Callable[[], tuple[Launch, ...]]:
        """The launches of a step of a scan. A step that has scans in it which a step may end is done already."""
        scan, waits = each.kernel.scan, any(map(looks, each.kernel.inner))
        assert scan is not None

        def step() -> tuple[Launch, ...]:
            if scan.plan:
                self.plan(scan.plan)
            if waits:
                self.go_through(each.inner, made)
                return ()
            return self.settled(each.inner, made)

        return step

    def go_through(self, kernels: Sequence[Loaded], made: Arrays) -> None:
        """Launch kernels of which some depend on what was computed before them: the host looks at each step that may
        be the last one of a scan."""
        for each in kernels:
            scan = each.kernel.scan
            if scan is None or not looks(each.kernel):
                ask(self.device, self.settled([each], made))
                continue
            steps = self._scan(scan, each, made)
            for part in steps.parts(self._step(each, made), Found(self._ended, self._made)):
                ask(self.device, part)
            for place in scan.counts:
                self.device.upload(steps.address(place), np.array([steps.count], np.int64))

    def _ended(self, address: int) -> bool:
        """Whether a step has ended its scan, or the call by an index that is out of range."""
        return bool(self.table.fetch(address, "bool")) or self.status.seen()

    def _made(self, scan: int) -> int:
        """How many steps a kernel has made of a scan; any where an index was refused, as nobody sees results then."""
        return 1 if self.status.seen() else int(self.table.fetch(self.room(("count", scan), 8), "int64"))

    def address_of(self, leaf: Node) -> int:
        """Where an argument or a shared variable is."""
        if leaf.kind == "shared":
            return int(self.shared[leaf.attrs[0]].address)
        return self.room(("argument", leaf.attrs[0]), 0)

    def _call(self, kernel: Kernel, made: Arrays) -> Call:
        """What a named kernel works on."""
        parameters = {p.name: p for p in kernel.parameters.values()}
        pointers = []
        for name, offset in kernel.operands:
            dtype = parameters[name].dtype.removesuffix("*")
            address = self.value(parameters[name].source, 1, kernel, made)
            pointers.append((address + self.number(offset) * np.dtype(dtype).itemsize, dtype))
        sizes = tuple(map(self.number, kernel.sizes))

        def room(purpose: str, size: int) -> int:
            return self.room((kernel.name, purpose), size)

        small, tf32 = self.geometry.threads < WARP, self.geometry.tf32
        return Call(self.device, tuple(pointers), sizes, room, small, kernel.factors, tf32)

    def value(self, source: tuple[Any, ...], blocks: int, kernel: Kernel, made: Arrays) -> int:
        """What a kernel gets for a parameter."""
        match source:
            case ("slot", slot):
                return int(self.table[slot])
            case ("leaf", node):
                return self.address_of(node)
            case ("arena", stage, offset):
                return self.room(("arena", stage), 0) + self.number(offset)
            case ("output", number) if number in self.results:
                return self.result_address(number)
            case ("output" | "fresh", _):
                return made[source].address
            case ("own", _):
                return self.room("own", blocks * self.number(kernel.own))
            case ("part", task):
                return self.room(source, self.number(self.module.parts[task]))
            case ("array", digest):
                return self.constants[digest]
            case ("state" | "moving", *_):
                return self.places[source]
            case ("behind", of, offset):
                return self.value(of, blocks, kernel, made) + self.number(offset)
            case ("count", scan):
                return self.room(("count", scan), 8)
            case ("barrier",):
                return self._barrier()
            case ("arguments",):
                return self.steps.slots
            case ("found",):
                return self.room("found", 24)
        return self.status.address

    def _barrier(self) -> int:
        """The word that barriers of all blocks count in; it is 0 before the first one, and left as they need it."""
        if "barrier" not in self.memory:
            self.device.clear(self.room("barrier", 8), 8)
        return self.memory["barrier"].address


def looks(kernel: Kernel) -> bool:
    """Whether it is a scan that a step may end, or has one in its steps."""
    return any(k.scan is not None and k.scan.ends is not None for k in flat([kernel]))


def _never(address: int) -> bool:
    return False
