"""One compiled form of a function for a device: its kernels, its memory, and how a call goes through them."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph import cache
from numgraph.device.device import Device
from numgraph.device.plan import Table, run_plan
from numgraph.device.residence import Residence, residence
from numgraph.emit.gridkernel import Geometry, Kernel
from numgraph.emit.gridmodule import GridModule
from numgraph.emit.table import FAILED_A, FAILED_B
from numgraph.runtime.variant import CheckFailed
from numgraph.schedule.plan import Schedule
from numgraph.shared import SharedVariable
from numgraph.types import FLOATS

Array = NDArray[Any]


@dataclass
class Launch:
    """A kernel, loaded."""

    kernel: Kernel
    loaded: Any


def loaded(module: GridModule) -> dict[str, Any]:
    """The names that a generated module defines; tracebacks and compilers find its text."""
    name = f"<numgraph {cache.digest(module.text)[:16]}>"
    linecache.cache[name] = (len(module.text), None, module.text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(module.text, name, "exec"), namespace)
    return namespace


class DeviceVariant:
    """Code for a device under assumptions about lengths, with the memory it works in."""

    def __init__(
        self, schedule: Schedule, module: GridModule, shared: list[SharedVariable], device: Device, geometry: Geometry
    ) -> None:
        self.schedule, self.module, self.shared, self.device, self.geometry = schedule, module, shared, device, geometry
        self.source = loaded(module)
        layout = module.layout
        self.table = Table([0] * layout.size)
        self.table.fetch = self._fetch
        self.kernels = [
            [Launch(k, device.load(self.source[k.name], [p.dtype for p in k.parameters.values()])) for k in stage]
            for stage in module.kernels
        ]
        self.memory: dict[Any, tuple[int, int]] = {}
        for digest in layout.arrays | {k: 0 for k in self._constants()}:
            array = schedule.graph.arrays[digest]
            self.memory["array", digest] = (device.allocate(array.nbytes), array.nbytes)
            device.upload(self.memory["array", digest][0], array)
        self._room("arguments", 8 * max(1, len(layout.arguments)))
        self._room("status", 8 * max(1, len(module.words)))
        self._upload("status", np.zeros(len(module.words), np.int64))
        self.residences: list[Residence] = []

    def _constants(self) -> list[str]:
        """Digests of the constant arrays that kernels read."""
        sources = [p.source for stage in self.module.kernels for k in stage for p in k.parameters.values()]
        return [source[1] for source in sources if source[0] == "array"]

    def _fetch(self, address: int, dtype: str) -> Any:
        cell = np.empty(1, dtype)
        self.device.download(address, cell)
        return cell[0].item()

    def _room(self, key: Any, size: int) -> int:
        """The address of at least `size` bytes for a purpose; what was there may be lost when it grows."""
        known = self.memory.get(key)
        if known is None or known[1] < size:
            if known is not None:
                self.device.release(known[0])
            known = self.memory[key] = (self.device.allocate(size), size)
        return known[0]

    def _upload(self, key: Any, array: Array, offset: int = 0) -> None:
        if array.size:
            self.device.upload(self.memory[key][0] + offset, array)

    # -- a call ---------------------------------------------------------------------------------------------------

    def run(self, arguments: Sequence[Array]) -> list[Array]:
        """Outputs for arguments of the right dtypes and ranks, C-contiguous. Updates are done when it returns."""
        layout = self.module.layout
        self.residences = [residence(v.storage, self.device) for v in self.shared]
        for slot, place in zip(layout.shared, self.residences, strict=True):
            self.table[slot] = place.shape
        self._pass(arguments)
        made: dict[Any, tuple[int, tuple[int, ...]]] = {}
        try:
            for stage in range(len(self.kernels)):
                self._plan(stage)
                for key in self._made_in(stage):
                    made[key] = self._make(key)
                for launch in self.kernels[stage]:
                    self._launch(launch, made)
                self._check_status()
            outputs = [self._result(made["output", k], k) for k in range(len(layout.outputs))]
            self._finish(made)
        finally:
            for (kind, _), (address, _) in made.items():
                if kind == "output":
                    self.device.release(address)
        return outputs

    def _pass(self, arguments: Sequence[Array]) -> None:
        """Write the arguments into the table, and to the device."""
        words = np.zeros(len(arguments), np.int64)
        for k, (slot, array) in enumerate(zip(self.module.layout.arguments, arguments, strict=True)):
            if array.ndim:
                self.table[slot] = array
                address = self._room(("argument", k), array.nbytes)
                if array.nbytes:
                    self.device.upload(address, array)
            elif array.dtype.name in FLOATS:
                self.table[slot] = float(array)
                words[k : k + 1].view(array.dtype)[0] = array
            else:
                self.table[slot] = int(array)
                words[k] = array.astype(np.int64)
        if any(not a.ndim for a in arguments):
            self._upload("arguments", words)

    def _plan(self, stage: int) -> None:
        layout = self.module.layout
        self.table[layout.arena[stage]] = self.memory.get(("arena", stage), (0, 0))[0]
        status = run_plan(self.source[self.module.plans[stage]], self.table)
        if status:
            raise CheckFailed(self.module.failures[status - 1], self.table[FAILED_A], self.table[FAILED_B])
        self.table[layout.arena[stage]] = self._room(("arena", stage), self.table[layout.needed[stage]])

    def _made_in(self, stage: int) -> list[Any]:
        return [key for key, at in self.module.layout.made_stage.items() if at == stage]

    def _number(self, value: int) -> int:
        """A number, or what a slot of the table holds."""
        return int(value if value >= 0 else self.table[-1 - value])

    def _make(self, key: Any) -> tuple[int, tuple[int, ...]]:
        """Memory for an output or a new value of a shared variable."""
        kind, number = key
        # lengths are -1 - n for a number, else a slot
        shape = tuple(-1 - n if n < 0 else int(self.table[n]) for n in self.module.layout.made[key])
        dtype = self.schedule.outputs[number].dtype if kind == "output" else self.shared[number].dtype
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self.device.allocate(size), shape

    def _launch(self, launch: Launch, made: dict[Any, tuple[int, tuple[int, ...]]]) -> None:
        kernel = launch.kernel
        grid = max(1, min(kernel.most, -(-self._number(kernel.count) // kernel.per_block)))
        values = [self._value(p.source, grid, kernel, made) for p in kernel.parameters.values()]
        self.device.launch(launch.loaded, grid, self.geometry.threads, values)

    def _value(self, source: tuple[Any, ...], grid: int, kernel: Kernel, made: dict[Any, Any]) -> int:
        """What a kernel gets for a parameter."""
        kind = source[0]
        if kind == "slot":
            return int(self.table[source[1]])
        if kind == "leaf":
            node = source[1]
            if node.kind == "shared":
                return self.residences[node.attrs[0]].address
            return self.memory["argument", node.attrs[0]][0]
        if kind == "arena":
            return self._room(("arena", source[1]), 0) + self._number(source[2])
        if kind in ("output", "fresh"):
            address: int = made[source][0]
            return address
        if kind == "own":
            return self._room("own", grid * self._number(kernel.own))
        if kind == "part":
            return self._room(source, self._number(self.module.parts[source[1]]))
        return self.memory[source if kind == "array" else kind][0]

    def _check_status(self) -> None:
        """CheckFailed for an index that a kernel found out of range."""
        if not self.module.words:
            return
        words = np.zeros(len(self.module.words), np.int64)
        self.device.download(self.memory["status"][0], words)
        if words.any():
            self._upload("status", np.zeros_like(words))
            code = self.module.words[int(words.argmax())]
            raise CheckFailed(self.module.failures[code - 1], 0, 0)

    def _result(self, place: tuple[int, tuple[int, ...]], number: int) -> Array:
        array = np.empty(place[1], self.schedule.outputs[number].dtype)
        if array.nbytes:
            self.device.download(place[0], array)
        return array

    def _finish(self, made: dict[Any, Any]) -> None:
        """Give shared variables their new memory; nothing here can fail."""
        changes = [(self.residences[slot], *made["fresh", slot]) for slot in self.module.layout.fresh]
        for update in self.schedule.updates:
            if update.how == "exchange":
                other = self.residences[update.other]
                changes.append((self.residences[update.slot], other.address, other.shape))
        kept = {address for _, address, _ in changes}
        for place, address, shape in changes:
            if place.address not in kept:
                self.device.release(place.address)
            place.address, place.shape = address, shape
