"""What the slots of a program's table hold, behind those that all tables have (see `convention`).

* Per stage: the address of its arena, the arena's capacity, and the bytes that the plan found necessary.
* Arguments (a number's bits, or the ndarray object), shared variables (the address of their descriptor), outputs and
  new values of shared variables (the ndarray object), constant arrays (their address), functions of LAPACK (likewise).
* Lengths, indices and data addresses that the plan works out for the phases, and into how many chunks it divides a
  loop.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from numgraph.convention import FIXED
from numgraph.ir import Graph, Node
from numgraph.loops.names import RESERVED, Names
from numgraph.loops.program import TABLE, Expression, Load, Number, Store
from numgraph.schedule.plan import Schedule
from numgraph.text import identifier
from numgraph.userfunctions.function import UserFunction


class Layout:
    """Which slot holds what."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.graph: Graph = schedule.graph
        # what generated code calls each slot
        self.names: list[str] = []
        self.taken: set[str] = set()
        self.counts: dict[str, int] = {}
        for wish in FIXED:
            self._take(wish)
        stages = range(len(schedule.stages))
        self.arena = [self._take("temporaries") for _ in stages]
        self.capacity = [self._take("capacity") for _ in stages]
        self.needed = [self._take("needed") for _ in stages]
        # arguments hold a number (its bits) or an ndarray object; shared variables the address of their descriptor
        self.inputs = schedule.arguments
        self.arguments = [self._take(self._name(v) + "_object" * bool(v.dims)) for v in schedule.arguments]
        self.shared = [self._take(f"{self._name(v)}_descriptor") for v in schedule.shared]
        self.outputs = [self._take(f"output_{k}_object") for k in range(len(schedule.outputs))]
        new = {u.slot: self._name(schedule.shared[u.slot]) for u in schedule.updates if u.how == "fresh"}
        self.fresh = {slot: self._take(f"new_{name}_object") for slot, name in new.items()}
        self.arrays: dict[str, int] = {}
        self.routines: dict[str, int] = {}
        self.units: dict[tuple[str, str, int], int] = {}
        self.multiplying: set[str] = set()  # the dtypes of which some call matrix products
        # lengths of outputs and fresh arrays: -1 - n for a number, else the slot that holds it
        self.made: dict[tuple[str, int], list[int]] = {}
        # the stage before which an output or fresh array is made: the first whose plan knows its lengths
        self.made_stage: dict[tuple[str, int], int] = {}
        self.failures: list[Any] = []
        # cycles of a call, about, where they are the same for all
        self.work: int | None = None
        self.addresses: dict[Node, int] = {}
        self.made_addresses: dict[tuple[str, int], int] = {}
        self.values: dict[Node, int] = {}
        # what values are to be called that are neither lengths nor named
        self.wishes: dict[Node, str] = {}
        self.chunks: dict[Any, int] = {}
        # of scans: the step; the address of each state, and where a step writes each value that others need
        self.steps: dict[int, int] = {}
        self.states: dict[Node, int] = {}
        self.moves: dict[int, int] = {}

    @cached_property
    def length_names(self) -> dict[Node, str]:
        """What comments call a length: that of the first named array that has it."""
        found: dict[Node, str] = {}
        for node, name in self.graph.names.items():
            for axis, length in enumerate(map(self.graph.find, node.dims)):
                if isinstance(length, Node) and length.kind != "extent":
                    found.setdefault(length, length_text(name, axis))
        return found

    @cached_property
    def functions(self) -> dict[tuple[UserFunction, int, bool], str]:
        """What generated code calls users' functions, by how they are called: number of arguments, and whether it looks
        whether they raised."""
        names = Names(set(RESERVED))
        found: dict[tuple[UserFunction, int, bool], str] = {}
        for node in self.graph.table.values():
            key = called_as(node)
            if key is not None and key not in found:
                found[key] = names.fresh(key[0].name, "function")
        return found

    def arguments_of(self, node: Node) -> int:
        """The first of the slots that the arguments of a call that raised are left in."""
        first = self.size
        for _ in node.inputs:
            self._take(f"{node.name}_argument")
        return first

    @property
    def size(self) -> int:
        """How many slots there are."""
        return len(self.names)

    def at(self, slot: int) -> Number:
        """The number of a slot, by its name."""
        return Number(slot, role="at", name=self.names[slot])

    def slot(self, slot: int) -> Load:
        """What a slot holds."""
        return Load(TABLE, self.at(slot))

    def stored(self, slot: int, value: Expression, note: str = "") -> Store:
        """A slot gets a value."""
        return Store(TABLE, self.at(slot), value, note=note)

    def _name(self, node: Node) -> str:
        return self.graph.names.get(node) or node.kind

    def _take(self, wish: str) -> int:
        """A new slot. wish: what generated code is to call it."""
        base = f"AT_{identifier(identifier(wish).upper()) or 'N'}"
        count = self.counts.get(base, 0)
        name = f"{base}{count}" if count or base == "AT_N" else base
        while name in self.taken:
            count += 1
            name = f"{base}{count}"
        self.counts[base] = count + 1
        self.taken.add(name)
        self.names.append(name)
        return len(self.names) - 1

    def _length_name(self, node: Node) -> str:
        """What a length is called after: the array that has it, where that has a name."""
        if node.kind != "extent":
            return self.length_names.get(node) or self.wishes.get(node, "n")
        return length_text(self._name(node.inputs[0]), node.attrs[0])

    def array(self, digest: str) -> int:
        """The slot of a constant array's address."""
        if digest not in self.arrays:
            self.arrays[digest] = self._take("constant")
        return self.arrays[digest]

    def routine(self, name: str) -> int:
        """The slot of the address of a function of LAPACK or BLAS."""
        if name not in self.routines:
            self.routines[name] = self._take(name)
        return self.routines[name]

    def unit(self, function: str, dtype: str, pointers: int, multiplies: bool) -> int:
        """The slot of the address of a kernel that is compiled once for all functions, see `runtime.units`.

        multiplies: whether it calls the matrix product.
        """
        self.multiplying |= {dtype} if multiplies else set()
        key = function, dtype, pointers
        if key not in self.units:
            self.units[key] = self._take(f"{function.rpartition('.')[2]}_{dtype}")
        return self.units[key]

    def clock(self, name: str) -> int:
        """A slot for what times the program, see `loops.timed`."""
        return self._take(f"clock_{name}")

    def value(self, node: Node) -> int:
        """The slot of a length or index that the plan computes."""
        if node not in self.values:
            self.values[node] = self._take(self._length_name(node))
        return self.values[node]

    def number(self, value: Any) -> int:
        """A number as it is, a length as -1 - the slot of its value."""
        return value if isinstance(value, int) else -1 - self.value(value)

    def chunk_count(self, nest: Any) -> int:
        """The slot of the number of chunks of a divided nest."""
        if nest not in self.chunks:
            self.chunks[nest] = self._take("chunks")
        return self.chunks[nest]

    def address(self, node: Node) -> int:
        """The slot of the data address of an argument or shared variable, written by the plan."""
        if node not in self.addresses:
            self.addresses[node] = self._take(self._name(node))
        return self.addresses[node]

    def step(self, scan: int) -> int:
        """The slot of which step a scan is in."""
        if scan not in self.steps:
            self.steps[scan] = self._take("step")
        return self.steps[scan]

    def state(self, node: Node) -> int:
        """The slot of where a state of a scan lies."""
        if node not in self.states:
            self.states[node] = self._take(self._name(node))
        return self.states[node]

    def moving(self, number: int, wish: str) -> int:
        """The slot of where a step of a scan writes a value. number: that of its buffer."""
        if number not in self.moves:
            self.moves[number] = self._take(f"new_{wish}")
        return self.moves[number]

    def made_address(self, kind: str, number: int) -> int:
        """The slot of the data address of an "output" or "fresh" array, written by the step of its stage."""
        if (kind, number) not in self.made_addresses:
            wish = f"output_{number}" if kind == "output" else f"new_{self._name(self.schedule.shared[number])}"
            self.made_addresses[kind, number] = self._take(wish)
        return self.made_addresses[kind, number]

    def fail_code(self, cause: Any) -> int:
        """The status by which compiled code says that `cause` (a requirement or an index check) failed."""
        self.failures.append(cause)
        return len(self.failures)


def length_text(name: str, axis: int) -> str:
    """A length of an array in the user's terms: `len(x)`, `x.shape[1]`."""
    return f"len({name})" if axis == 0 else f"{name}.shape[{axis}]"


def called_as(node: Node) -> tuple[UserFunction, int, bool] | None:
    """How a node calls a user's function, see `Layout.functions`; None for other nodes."""
    op = node.op
    if op is None or op.user is None:
        return None
    results = len(op.kernel.ranks) if op.kernel is not None else 0
    return op.user, len(node.inputs) + results, op.raises and not node.graph.traits.grid
