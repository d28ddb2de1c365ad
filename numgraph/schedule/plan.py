"""The whole schedule of a program: stages of blocks, and a place in memory for every buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.elements import Elements, row_major
from numgraph.ir import LEAVES, Graph, Node, Requirement, topological
from numgraph.schedule.arrange import Arranger, Block, reads_leaf, reads_only_own_element
from numgraph.schedule.conditions import LateConditions
from numgraph.schedule.fuse import Fuser
from numgraph.schedule.grid import map_to_grid
from numgraph.schedule.items import Item, ItemMaker, choose_stored, scalar_nodes
from numgraph.schedule.moved import Mover
from numgraph.schedule.place import Buffer, Placer
from numgraph.schedule.shares import share_out


@dataclass(eq=False)
class Update:
    """How shared variable `slot` gets its new value: "in place", "fresh" (the buffer of that number), "exchange" or
    "none". why: the reason, in words."""

    slot: int
    node: Node
    how: str
    other: int = -1
    why: str = ""


@dataclass(eq=False)
class Schedule:
    """Everything that the printers need.

    stages: blocks, in order; arena_bytes: per stage. sharing: how blocks are divided, for those that are: a `Sharing`
    among processor threads, a `Mapping` among a grid's. private_bytes: per stage, what each share has for itself,
    behind the arena. apart: why a product is not done together with loops over its rows.
    """

    graph: Graph
    elements: Elements
    stages: list[list[Block]]
    buffers: dict[Node, Buffer]
    outputs: list[Node]
    updates: list[Update]
    arena_bytes: list[Any]
    items: list[Item]
    sharing: dict[Block, Any]
    private_bytes: list[Any]
    apart: dict[Item, str]
    arguments: list[Node] = field(default_factory=list)
    shared: list[Node] = field(default_factory=list)


class Scheduler:
    """Builds a `Schedule` from rewritten nodes."""

    def __init__(
        self,
        graph: Graph,
        elements: Elements,
        outputs: Sequence[Node],
        updates: Sequence[tuple[int, Node]],
        shared: Sequence[Node],
    ) -> None:
        self.graph = graph
        self.elements = elements
        self.shared = list(shared)
        self.outputs = list(outputs)
        self.updates = [Update(slot, node, "") for slot, node in updates]
        # index checks (node, index, length), conditions on lengths, and what stands for a node after rewriting
        self.ranges: Sequence[tuple[Node, Node, Any]] = ()
        self.requirements: Sequence[Requirement] = ()
        self.moved: Callable[[Node], Node] = lambda node: node
        self.serial = 0
        # slots of updates that get a copy of the old value to work in
        self.copied: set[int] = set()
        self.buffers: dict[Node, Buffer] = {}

    def run(self) -> Schedule:
        """Decide, arrange, place; again with a copy for an update that was to work in its variable and may not."""
        outputs, updates = list(self.outputs), [(u.slot, u.node) for u in self.updates]
        ranges = self.ranges
        while True:
            schedule = self._attempt()
            late = {u.slot for u in self.updates if u.how == "fresh" and self._needs_copy(u)}
            if not late:
                return schedule
            self.copied |= late
            self.outputs, self.updates, self.ranges = list(outputs), [Update(s, n, "") for s, n in updates], ranges
            self.buffers = {}
            self.elements.stored.clear()
            self.elements.forget_memory()

    def _needs_copy(self, update: Update) -> bool:
        """Whether the update's op would work in the memory of the old value although that is still needed."""
        op = update.node.op
        return op is not None and op.overwrites and update.node.inputs[0] is self.shared[update.slot]

    def _attempt(self) -> Schedule:
        self._exchanges()
        self._follow(self.moved)
        self._own_bases()
        self._own_results()
        roots = self._roots()
        choose_stored(self.graph, self.elements, roots)
        maker = ItemMaker(self.graph, self.elements, self.ranges)
        items = maker.make_all(roots)
        self._number_stages(items)
        items, overwritten = self._settle_updates(items)
        stages = []
        for stage in range(max((item.stage for item in items), default=0) + 1):
            mine = [item for item in items if item.stage == stage]
            stages.append(Arranger(self.graph, mine, overwritten).arrange(mine))
        placer = Placer(self.graph, self.buffers)
        placer.place(items, stages)
        apart: dict[Item, str] = {}
        if len(stages) == 1 and not self.graph.traits.grid:
            fuser = Fuser(self.graph, Arranger(self.graph, items, overwritten), self.buffers)
            stages = [fuser.run(stages[0])]
            apart = fuser.why
        sharing: dict[Block, Any] = {}
        private = []
        divide = map_to_grid if self.graph.traits.grid else share_out
        for blocks in stages:
            divided, size = divide(self.graph, blocks, self.buffers)
            sharing |= divided
            private.append(size)
        arena = [placer.lay_out(stage, blocks) for stage, blocks in enumerate(stages)]
        return Schedule(
            self.graph, self.elements, stages, self.buffers, self.outputs, self.updates, arena, items, sharing, private,
            apart,
        )  # fmt: skip

    def _copy(self, node: Node) -> Node:
        """A private copy of `node`: a buffer that nothing else uses."""
        self.serial += 1
        return self.graph.make("copy", None, (node,), (self.serial,), node.dtype, node.dims)

    def _exchanges(self) -> None:
        """Updates that only move values between shared variables in a cycle exchange their buffers; `(a, a)` is
        nothing."""
        by_slot = {u.slot: u for u in self.updates}
        slot_of = {node: k for k, node in enumerate(self.shared)}
        for update in self.updates:
            if update.how or update.node not in slot_of:
                continue
            cycle = [update]
            while True:
                source = slot_of.get(cycle[-1].node)
                follower = by_slot.get(source) if source is not None else None
                if follower is None or follower in cycle:
                    break
                cycle.append(follower)
            if follower is update:
                for u in cycle:
                    u.how, u.other = ("exchange", slot_of[u.node]) if len(cycle) > 1 else ("none", u.slot)
                    u.why = "values only change places" if len(cycle) > 1 else "the new value is the old one"

    def _own_bases(self) -> None:
        """Give every scatter a base that nothing else uses; a scatter that updates its base's variable keeps that as
        base."""
        kept = {u.node: self.shared[u.slot] for u in self.updates if not u.how and u.slot not in self.copied}
        roots = self._roots()
        users: dict[Node, int] = {}
        for node in topological(roots):
            for v in dict.fromkeys(node.inputs):
                users[v] = users.get(v, 0) + 1
        protected = set(roots)
        new: dict[Node, Node] = {}
        for node in topological(roots):
            inputs = [new.get(v, v) for v in node.inputs]
            if node.op is not None and node.op.overwrites:
                base = node.inputs[0]
                shared_use = base.kind in LEAVES or base.is_number or users[base] > 1 or base in protected
                if shared_use and kept.get(node) is not base:
                    inputs[0] = self._copy(inputs[0])
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                new[node] = self.graph.make(node.kind, node.op, inputs, node.attrs, node.dtype, node.dims)
                self.graph.lines.setdefault(new[node], self.graph.lines.get(node, []))
                if node in self.graph.names:
                    self.graph.names.setdefault(new[node], self.graph.names[node])
        self.outputs = [new.get(v, v) for v in self.outputs]
        for u in self.updates:
            u.node = new.get(u.node, u.node)
        self.ranges = [(new.get(n, n), new.get(i, i), length) for n, i, length in self.ranges]
        if new:
            self._follow(lambda node: new.get(node, node))

    def _follow(self, moved: Callable[[Node], Node]) -> None:
        """Lengths are read from what now stands for the nodes that they were made of."""
        mover = Mover(self.graph, moved)
        mover.apply([*self.outputs, *(u.node for u in self.updates)])
        self.ranges = [(n, i, mover.length(length)) for n, i, length in self.ranges]
        for r in self.requirements:
            r.a, r.b = mover.as_written(r.a), mover.as_written(r.b)

    def _own_results(self) -> None:
        """Every output and update gets a node of its own: repeated ones, leaves and numbers are copied."""
        taken: set[Node] = set()
        direct = {node.inputs[0] for node in topological(self._roots()) if node.op is not None and node.op.overwrites}
        for u in self.updates:
            if u.how:
                continue
            op = u.node.op
            plain = op is not None and (op.overwrites or op.scalar or op.element) and u.node not in direct
            if u.node in taken or not plain:
                u.node = self._copy(u.node)
            taken.add(u.node)
        for k, node in enumerate(self.outputs):
            if node in taken or node.kind in LEAVES or node.op is None or node in direct or node.op.reshape:
                self.outputs[k] = node = self._copy(node)
            taken.add(node)
            self.buffers[node] = Buffer(node, "output", k)

    def _roots(self) -> list[Node]:
        """What must be computed: outputs, new values, and what lengths depend on."""
        roots = [*self.outputs, *(u.node for u in self.updates if not u.how)]
        seen: set[Node] = set()
        frontier = list(roots)
        while frontier:
            needed: list[Node] = []
            for node in topological(frontier):
                if node in seen:
                    continue
                seen.add(node)
                lengths = [n for n in map(self.graph.find, node.dims) if isinstance(n, Node)]
                needed += [
                    v.inputs[0] for v in scalar_nodes(lengths) if v.kind == "load" and v.inputs[0].kind not in LEAVES
                ]
            frontier = [v for v in dict.fromkeys(needed) if v not in roots]
            roots = frontier + roots
        return roots

    def _number_stages(self, items: Sequence[Item]) -> None:
        """A length that depends on computed data ends a stage: what has that length runs in a later one."""
        stage: dict[Node, int] = {}
        late = LateConditions(self.graph)
        for item in items:
            lengths = [
                n
                for n in (*item.loops, *item.sizes, item.bound, *map(self.graph.find, item.node.dims))
                if isinstance(n, Node)
            ]
            lengths += [
                v for view in item.views for v in (*view.lengths, view.offset, *view.strides) if isinstance(v, Node)
            ]
            known = [v.inputs[0] for v in scalar_nodes(lengths) if v.kind == "load"]
            after = [stage.get(v, -1) + 1 for v in known]
            read = [load.inputs[0] for load in item.loads] + [view.buffer for view in item.views]
            if item.overwrites:
                read.append(item.node.inputs[0])
            reads = [stage.get(v, 0) for v in read] + [c.stage for c in item.checks]
            item.stage = max([*after, *reads, late.stage(item, (*known, *read), stage)], default=0)
            if item.kind != "check":
                stage[item.node] = item.stage

    def _settle_updates(self, items: list[Item]) -> tuple[list[Item], dict[Node, Node]]:
        """Choose which updates are written in place, and an order of the items in which that is right."""
        by_node = {item.node: item for item in items if item.kind != "check"}
        final = max((item.stage for item in items), default=0)
        for u in self.updates:
            if not u.how:
                u.why = self._obstacle(u, by_node[u.node])
        in_place = [u for u in self.updates if not u.how and not u.why]
        while True:
            overwritten = {u.node: self.shared[u.slot] for u in in_place}
            for item in items:
                item.last = item.kind != "check" and item.node in overwritten
            for u in in_place:
                by_node[u.node].stage = final
            order, stuck = self._order(items, overwritten)
            late = {by_node[u.node] for u in in_place}
            bad = [
                u
                for u in in_place
                if u.node in stuck
                or any(
                    by_node[u.node] in Arranger(self.graph, items, overwritten).before(x) and x.stage < final
                    for x in items
                    if x not in late
                )
            ]
            if not bad:
                break
            in_place.remove(bad[0])
            bad[0].why = "what is written later needs the old value"
            self._number_stages(items)
        for u in self.updates:
            if not u.how:
                u.how = "in place" if u in in_place else "fresh"
                u.why = u.why or _reason(by_node[u.node])
                self.buffers[u.node] = Buffer(u.node, "shared" if u in in_place else "fresh", u.slot)
        return order, overwritten

    def _obstacle(self, update: Update, item: Item) -> str:
        """Why an update may not be written over the old value; "" where it may, as far as it is concerned itself."""
        leaf = self.shared[update.slot]
        if leaf.dtype != item.node.dtype or len(leaf.dims) != len(item.node.dims):
            return "the new value is of another type"
        if not all(map(self.graph.equal_lengths, leaf.dims, item.node.dims)):
            return "its lengths may change"
        if item.overwrites:
            if item.node.inputs[0] is not leaf:
                return "a copy of the old value is worked in" if update.slot in self.copied else "it is made elsewhere"
            return "the old value is read while it is changed" if reads_leaf(item, leaf) else ""
        if item.kind != "store":
            return (
                f"a {item.kind} cannot write over what it reads"
                if reads_leaf(item, leaf)
                else f"a {item.kind} makes it"
            )
        return "" if reads_only_own_element(item, leaf) else "its elements are made of other elements of the old value"

    def _order(self, items: list[Item], overwritten: dict[Node, Node]) -> tuple[list[Item], set[Node]]:
        """Items in an order that respects reads before overwriting; the nodes of those that cannot be ordered."""
        arranger = Arranger(self.graph, items, overwritten)
        waiting = {item: {b for b in arranger.before(item)} for item in items}
        order: list[Item] = []
        done: set[Item] = set()
        pending = sorted(items, key=lambda item: (item.stage, item.last))
        while pending:
            ready = [item for item in pending if waiting[item] <= done]
            if not ready:
                return order, {item.node for item in pending}
            first = ready if len(ready) == len(pending) else [item for item in ready if not item.last] or ready
            order += first
            done.update(first)
            pending = [item for item in pending if item not in done]
        return order, set()


def _reason(item: Item) -> str:
    """Why an item may write over the old value of its variable."""
    if item.overwrites:
        return "only what changes is written" if item.kind == "scatter" else "the product is added to it"
    return "each element is made of its own old value, or of none"


__all__ = ["Buffer", "Schedule", "Scheduler", "Update", "row_major"]
