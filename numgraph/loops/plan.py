"""Plans: what is checked and worked out before anything of a stage is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numgraph.convention import THREADS, WORK
from numgraph.ir import Node, Requirement
from numgraph.lengths.known import within_of
from numgraph.lengths.sources import computed_sources
from numgraph.loops.build import outside
from numgraph.loops.chunks import host_values
from numgraph.loops.program import (
    TABLE,
    Assign,
    Call,
    Expression,
    If,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    fail,
)
from numgraph.loops.values import Setting, Values
from numgraph.schedule import chunks
from numgraph.schedule.arrange import nests_within


def broken(kind: str, a: Expression, b: Expression) -> Expression:
    """That two lengths do not meet a condition."""
    if kind == "broadcast":
        return Logic("and", (a.compared("!=", b), a.compared("!=", 1), b.compared("!=", 1)))
    if kind == "range":
        return outside(a, b)
    sign = {"equal": "!=", "assume": "!=", "nonempty": "<", "at_least": "<", "fits": ">"}[kind]
    return a.compared(sign, 1 if kind == "nonempty" else b)


class Plans:
    """Makes the plans of a program, the last one first. requirements: what they check."""

    def __init__(self, setting: Setting, requirements: Sequence[Requirement]) -> None:
        self.schedule = setting.schedule
        self.graph = setting.schedule.graph
        self.layout = setting.layout
        self.setting = setting
        self.requirements = requirements
        self.imports: set[str] = set()

    def make(self, stage: int) -> tuple[list[Statement], bool]:
        """The conditions of a stage, its lengths, and the size of its arena; and whether arguments are read that are
        floats."""
        values, memory = host_values(self.setting, plans=True)
        waiting = [r for r in self.requirements if self._stage_of(r) == stage and not within_of(r)]
        if stage == 0:
            waiting = self._assume(values, waiting)
        for requirement in waiting:
            self._require(values, requirement)
        if stage == len(self.schedule.stages) - 1:
            self._made()
        for node, place in list(self.layout.values.items()):
            if self._value_stage(node) == stage and not node.within:
                value = values.value(node)
                values.add(self.layout.stored(place, value, values.notes.length(node)))
        if not self.graph.traits.grid:
            self._divide(values, stage)
        size = values.whole(self.schedule.arena_bytes[stage])
        private = self.graph.as_index(self.schedule.private_bytes[stage])
        if not (private.is_number and private.value == 0):
            size = size + self.layout.slot(THREADS) * values.value(private)
        values.add(self.layout.stored(self.layout.needed[stage], size, "bytes of temporaries"))
        self.imports |= values.imports
        # only now is it known which addresses the conditions and lengths need, too; kernels have theirs as parameters
        first = self._addresses() if stage == 0 and not self.graph.traits.grid else []
        return [*first, *values.statements], memory.reads_reals

    def _divide(self, values: Values, stage: int) -> None:
        """Into how many chunks each divided loop of the stage goes, and how much work the stage is."""
        total: Any = 0
        for nest in self.schedule.stages[stage]:
            division = self.schedule.division.get(nest)
            total = total + (division.work if division is not None else chunks.work_of_nest(self.graph, nest))
        for nest in nests_within(self.schedule.stages[stage]):
            division = self.schedule.division.get(nest)
            if division is not None:
                cycles, rows = values.whole(division.work), values.whole(division.length)
                count = Call("chunk_count", (TABLE, cycles, Number(chunks.GRAIN), rows))
                values.add(self.layout.stored(self.layout.chunk_count(nest), count, "chunks of a divided loop"))
        work = self.graph.find(total)
        self.layout.work = work if isinstance(work, int) and len(self.schedule.stages) == 1 else None
        values.add(self.layout.stored(WORK, values.whole(total), "cycles of work, about"))

    def _addresses(self) -> list[Statement]:
        """Copy the data addresses of arguments and shared variables into their slots."""
        found: list[Statement] = []
        graph = self.graph
        for node, place in list(self.layout.addresses.items()):
            name, lines = graph.names.get(node, node.kind), tuple(graph.lines.get(node, ()))
            resident = node.kind == "shared"
            source = (self.layout.shared if resident else self.layout.arguments)[node.attrs[0]]
            address = Call("resident_address" if resident else "argument_address", (TABLE, self.layout.at(source)))
            statement = self.layout.stored(place, address, f"where {name} lies{' now' if resident else ''}")
            found.append(replace(statement, node=node, lines=lines))
        return found

    def _made(self) -> None:
        """Lengths of outputs and fresh arrays, for the runtime to make them, and before which stage it does so."""
        fresh = {u.slot: u.node for u in self.schedule.updates if u.how == "fresh"}
        made = {("output", k): node for k, node in enumerate(self.schedule.outputs)}
        made |= {("fresh", slot): fresh[slot] for slot in self.layout.fresh}
        for key, node in made.items():
            lengths = [self.graph.find(n) for n in node.dims]
            slots = [-n - 1 if isinstance(n, int) else self.layout.value(n) for n in lengths]
            self.layout.made[key] = slots
            self.layout.made_stage[key] = max((self._value_stage(n) for n in lengths if isinstance(n, Node)), default=0)

    def _assume(self, values: Values, requirements: Sequence[Requirement]) -> list[Requirement]:
        """Check the lengths that shared variables are assumed to keep, one call for each; returns the other conditions.

        Those follow: what is assumed of two arrays may hold once it is given up that one keeps its length.
        """
        arrays: dict[Node, dict[int, Requirement]] = {}
        others: list[Requirement] = []
        for r in requirements:
            kept = r.kind == "assume" and isinstance(r.a, Node) and r.a.kind == "extent" and r.node is r.a.inputs[0]
            if kept:
                arrays.setdefault(r.node, {})[r.a.attrs[0]] = r
            else:
                others.append(r)
        status = Name("status")
        for array, found in arrays.items():
            lengths = [found[axis].b if axis in found else -1 for axis in range(len(array.dims))]
            codes = [self.layout.fail_code(found[axis]) for axis in sorted(found)]
            place = self.layout.at(self.layout.shared[array.attrs[0]])
            given = (TABLE, place, Several(tuple(map(Number, lengths))), Number(codes[0], role="code"))
            note = f"assume {values.notes.assumed(array, lengths)}"
            values.add(Assign(status, Call("resident_shape", given), note=note))
            values.add(If(status.compared("!=", 0), (Return(status),)))
        return others

    def _stage_of(self, requirement: Requirement) -> int:
        lengths = [n for n in (requirement.a, requirement.b) if isinstance(n, Node)]
        return max(map(self._value_stage, lengths), default=0)

    def _value_stage(self, node: Node) -> int:
        return max((self.schedule.buffers[v].stage + 1 for v in computed_sources([node])), default=0)

    def _require(self, values: Values, requirement: Requirement) -> None:
        a, b = values.whole(requirement.a), values.whole(requirement.b)
        refused = (fail(a, b, self.layout.fail_code(requirement)),)
        values.add(If(broken(requirement.kind, a, b), refused, note=requirement.kind))
