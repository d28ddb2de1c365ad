"""What calls need of a compiled program, as plain data: with it and its machine code a variant runs, also in a process
that has not looked at the program's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numgraph.runtime.made import Making

if TYPE_CHECKING:
    from numgraph.convention import Products
    from numgraph.emit.module import Module
    from numgraph.ir import Node
    from numgraph.schedule.plan import Schedule


@dataclass(frozen=True)
class Artifact:
    """A compiled program.

    source: the digest of its generated source. kernels: the modules of kernels that this imports. words: the length of
    the table. arguments, shared, outputs, fresh, arena, capacity, needed: slots of the table, see `loops.table`; fresh
    by the number of the shared variable. arrays: constants by their slot. routines: names of LAPACK's functions by the
    slot of their address. extents: (argument, axis) of the slots that
    hold a length of an argument. making: the arrays that calls make. memory: bytes of each stage's arena, and of what
    each thread has for itself; None where only a call tells. work: cycles of a call, about, where that is one number.
    divided: whether loops are divided among threads. products: the matrix products that it calls. sweeps: whether
    many steps can run in one native call. failures: how many reasons it has to refuse a call.
    """

    source: str
    kernels: list[str]
    words: int
    arguments: list[int]
    shared: list[int]
    outputs: list[int]
    fresh: dict[int, int]
    arena: list[int]
    capacity: list[int]
    needed: list[int]
    arrays: dict[int, NDArray[Any]]
    routines: dict[int, str]
    units: dict[int, tuple[str, str, int]]
    extents: dict[int, tuple[int, int]]
    making: Making
    memory: list[tuple[int, int] | None]
    work: int | None
    divided: bool
    products: list[Products]
    sweeps: bool
    failures: int

    @classmethod
    def of(cls, schedule: Schedule, module: Module, source: str, kernels: list[str]) -> Artifact:
        """What calls need of a program that was printed; source, kernels: of its text."""
        layout = module.layout
        sizes = zip(schedule.arena_bytes, schedule.private_bytes, strict=True)
        return cls(
            source=source,
            kernels=kernels,
            words=layout.size,
            arguments=layout.arguments,
            shared=layout.shared,
            outputs=layout.outputs,
            fresh=layout.fresh,
            arena=layout.arena,
            capacity=layout.capacity,
            needed=layout.needed,
            arrays={slot: schedule.graph.arrays[digest] for digest, slot in layout.arrays.items()},
            routines={slot: name for name, slot in layout.routines.items()},
            units={slot: unit for unit, slot in layout.units.items()},
            extents=_extents(layout.values),
            making=Making.of(schedule, layout),
            memory=[(a, b) if isinstance(a, int) and isinstance(b, int) else None for a, b in sizes],
            work=layout.work,
            divided=bool(schedule.division),
            products=module.products,
            sweeps=module.sweeps,
            failures=len(module.failures),
        )

    def same(self, other: Artifact) -> bool:
        """Whether another one is equal in all parts."""
        return bool(_comparable(self) == _comparable(other))


def _extents(values: Mapping[Node, int]) -> dict[int, tuple[int, int]]:
    found = {}
    for node, slot in values.items():
        if node.kind == "extent" and node.inputs[0].kind != "shared":
            found[slot] = (node.inputs[0].attrs[0], node.attrs[0])
    return found


def _comparable(artifact: Artifact) -> dict[str, Any]:
    arrays = {slot: (a.dtype.str, a.shape, np.ascontiguousarray(a).tobytes()) for slot, a in artifact.arrays.items()}
    return {**artifact.__dict__, "arrays": arrays}
