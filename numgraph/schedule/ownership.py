"""Who may write which memory.

The rule: memory may be written over when nothing reads what is there at the write or after it. Two things write over
memory that holds a value already.

* An op that overwrites (a scatter, a product that accumulates) works in the memory of its base. It owns that memory if
  the base is a computed value that is used once in the whole program: as the base of this op. So it is no argument,
  constant or shared variable, no output or update, no length or index, and no other operand of the op. Any other base
  is copied first.
* An update may be written over the old value of its variable. The base of an op that overwrites may be the variable
  itself then. It is settled which updates do so when the items are known (`settled`): all who read the old value come
  before, and the item itself reads at most the very element that it writes. Any other update gets new memory.

What stands for several results is computed for one of them and copied for the others.
`schedule/verify` proves for a finished schedule that it keeps to the rule, in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numgraph.ir import LEAVES, Graph, Node, topological
from numgraph.schedule.items import Elementwise, IndexCheck, Item, Scattering

WAITED_FOR = "what is written later needs the old value"


@dataclass(eq=False)
class Update:
    """How shared variable `slot` gets its new value: "in place", "fresh" (the buffer of that number), "exchange" or
    "none". why: the reason, in words."""

    slot: int
    node: Node
    how: str
    other: int = -1
    why: str = ""


class Owner:
    """Gives each result, and each op that overwrites, memory that is its own. copy: makes a private copy of a node."""

    def __init__(self, graph: Graph, shared: Sequence[Node], copy: Callable[[Node], Node]) -> None:
        self.graph = graph
        self.shared = shared
        self.copy = copy
        # slots of updates that get a copy of the old value to work in
        self.copied: set[int] = set()

    def needs_copies(self, updates: Sequence[Update]) -> bool:
        """Whether ops were to work in the memory of an old value that is still needed; they get a copy next time."""
        late = {u.slot for u in updates if u.how == "fresh" and self._works_in_variable(u)}
        self.copied |= late
        return bool(late)

    def _works_in_variable(self, update: Update) -> bool:
        """Whether an update's op has the variable itself as its base."""
        op = update.node.op
        return op is not None and op.overwrites and update.node.inputs[0] is self.shared[update.slot]

    def results(self, outputs: list[Node], updates: Sequence[Update]) -> None:
        """Give every output and update a node of its own: repeated ones, leaves and numbers are copied."""
        open_updates = [u for u in updates if not u.how]
        taken = {u.node for u in open_updates if self._is_owner(u)}
        for u in open_updates:
            if self._is_owner(u):
                continue
            op = u.node.op
            plain = op is not None and (op.overwrites or op.scalar or op.element)
            if u.node in taken or not plain:
                u.node = self.copy(u.node)
            taken.add(u.node)
        for k, node in enumerate(outputs):
            if node in taken or node.kind in LEAVES or node.op is None or node.op.reshape:
                outputs[k] = self.copy(node)
            taken.add(outputs[k])

    def _is_owner(self, update: Update) -> bool:
        """Whether an update can work in its variable; there is one such variable for an op at most."""
        return update.slot not in self.copied and self._works_in_variable(update)

    def bases(self, roots: Sequence[Node], updates: Sequence[Update]) -> dict[Node, Node]:
        """What stands for the nodes whose bases, or whose inputs' bases, are copied.

        roots: results and what lengths are read from, which nothing may write over.
        """
        in_variable = {u.node for u in updates if not u.how and self._is_owner(u)}
        nodes = topological(roots)
        uses: dict[Node, int] = dict.fromkeys(roots, 2)
        for node in nodes:
            for v in node.inputs:
                uses[v] = uses.get(v, 0) + 1
        new: dict[Node, Node] = {}
        for node in nodes:
            inputs = [new.get(v, v) for v in node.inputs]
            if node.op is not None and node.op.overwrites and node not in in_variable:
                base = node.inputs[0]
                if base.kind in LEAVES or base.is_number or uses[base] > 1:
                    inputs[0] = self.copy(inputs[0])
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                new[node] = self.graph.make(node.kind, node.op, inputs, node.attrs, node.dtype, node.dims)
                self.graph.lines.setdefault(new[node], self.graph.lines.get(node, []))
                if node in self.graph.names:
                    self.graph.names.setdefault(new[node], self.graph.names[node])
        return new

    # -- updates --------------------------------------------------------------------------------------------------

    def settled(
        self, items: Sequence[Item], updates: Sequence[Update], final: int
    ) -> tuple[list[Item], dict[Node, Node]]:
        """Settle which updates are written in place, in stage `final`, the last one: their `how` and `why`.

        Returns an order of the items in which that is right, and the variable of each node that is written in place.
        """
        by_node = {item.node: item for item in items if item.writes}
        for u in updates:
            if not u.how:
                u.why = self._obstacle(u, by_node[u.node])
        order = Order(items, {by_node[u.node]: u for u in updates if not u.how and not u.why}, self.shared, final)
        ordered = order.run()
        for u in updates:
            if not u.how:
                late = by_node[u.node] in order.late
                u.how = "in place" if late else "fresh"
                u.why = u.why or (_reason(by_node[u.node]) if late else WAITED_FOR)
        return ordered, {item.node: self.shared[u.slot] for item, u in order.late.items()}

    def _obstacle(self, update: Update, item: Item) -> str:
        """Why an update may not be written over the old value; "" where it may, as far as it is concerned itself."""
        leaf = self.shared[update.slot]
        if item.raises:
            return "a function that may raise makes it"
        if leaf.dtype != item.node.dtype or len(leaf.dims) != len(item.node.dims):
            return "the new value is of another type"
        if not all(map(self.graph.equal_lengths, leaf.dims, item.node.dims)):
            return "its lengths may change"
        if item.overwrites:
            if not self._works_in_variable(update):
                return "a copy of the old value is worked in" if update.slot in self.copied else "it is made elsewhere"
            return "the old value is read while it is changed" if reads_leaf(item, leaf) else ""
        if not isinstance(item, Elementwise):
            read = reads_leaf(item, leaf)
            return f"a {item.kind} cannot write over what it reads" if read else f"a {item.kind} makes it"
        return "" if reads_only_own_element(item, leaf) else "its elements are made of other elements of the old value"


class Order:
    """An order of items in which all who read an old value come before the item that is written over it.

    late: items that are written in place, and their updates; those that nothing can wait for are taken out. They run in
    the last stage, behind all index checks, so that a call that fails has changed nothing.
    """

    def __init__(self, items: Sequence[Item], late: dict[Item, Update], shared: Sequence[Node], final: int) -> None:
        self.items = items
        self.final = final
        self.late = late
        by_node = {item.node: item for item in items if item.writes}
        slots = {shared[u.slot]: item for item, u in late.items()}
        # dictionaries for sets: the order must be the same in every process
        self.checks = dict.fromkeys(item for item in items if isinstance(item, IndexCheck) or item.raises)
        # what has not run yet and must come before an item, and the other way round
        self.needed: dict[Item, dict[Item, None]] = {}
        self.followers: dict[Item, list[Item]] = {item: [] for item in items}
        # for an item that is written in place, the readers of the old value; for a reader, who waits for it
        self.unread: dict[Item, dict[Item, None]] = {item: {} for item in late}
        self.waiting: dict[Item, list[Item]] = {item: [] for item in items}
        for item in items:
            found = [by_node[v] for v in item.sources if v in by_node] + item.checks
            self.needed[item] = dict.fromkeys(other for other in found if other is not item)
            for other in self.needed[item]:
                self.followers[other].append(item)
            # each once, also where an item reads a value several times
            for writer in dict.fromkeys(slots[v] for v in item.sources if v in slots):
                if writer is not item:
                    self.unread[writer][item] = None
                    self.waiting[item].append(writer)
        self.natural = {item: item.stage for item in items}
        # items that are written in place and wait for nothing but readers and checks; those without readers left
        self.held: dict[Item, None] = {}
        self.unheld: dict[Item, None] = {}

    def run(self) -> list[Item]:
        """The order; `late`, and the `last` and `stage` of each item, are settled then."""
        self._choose_stages()
        place = {item: k for k, item in enumerate(sorted(self.items, key=lambda item: (item.stage, item.last)))}
        ready = [item for item in self.items if not self.needed[item]]
        order: list[Item] = []
        while len(order) < len(self.items):
            late = [item for item in ready if item in self.late]
            self.held.update(dict.fromkeys(late))
            self.unheld.update((item, None) for item in late if not self.unread[item])
            now = [item for item in ready if item not in self.late]
            if not now and not self.checks:
                # what was given up meanwhile has run
                now, self.unheld = [item for item in self.unheld if item in self.held], {}
            now = now or [self._given_up()]
            now.sort(key=place.__getitem__)
            order += now
            ready = [other for item in now for other in self._done(item)]
        return order

    def _done(self, item: Item) -> list[Item]:
        """Note that an item has run; returns those that nothing more has to come before, readers and checks aside."""
        self.held.pop(item, None)
        self.checks.pop(item, None)
        for writer in self.waiting[item]:
            self.unread[writer].pop(item, None)
            if not self.unread[writer] and writer in self.held:
                self.unheld[writer] = None
        for other in self.followers[item]:
            self.needed[other].pop(item, None)
        return [other for other in self.followers[item] if not self.needed[other]]

    def _choose_stages(self) -> None:
        """What is written in place runs in the last stage; what an earlier stage needs is not."""
        final = self.final
        early = [item for item in self.items if item not in self.late and item.stage < final]
        while early:
            for item in [other for other in self.needed[early.pop()] if other in self.late]:
                self._give_up(item)
                if item.stage < final:
                    early.append(item)
        for item in self.items:
            item.last = item in self.late
            item.stage = final if item.last else item.stage

    def _give_up(self, item: Item) -> None:
        del self.late[item]
        item.last, item.stage = False, self.natural[item]

    def _given_up(self) -> Item:
        """An item that is not written in place after all, since others wait for each other in a circle with it."""
        path: dict[Item, int] = {}
        item = next(iter(self.held))
        while item not in path:
            path[item] = len(path)
            item = next(iter(self.unread[item] or self.checks))
            while item not in self.held:
                item = next(iter(self.needed[item]))
        circle = [other for other, at in path.items() if at >= path[item]]
        position = {other: k for k, other in enumerate(self.late)}
        first = min(circle, key=position.__getitem__)
        self._give_up(first)
        return first


def reads_leaf(item: Item, leaf: Node) -> bool:
    """Whether an item reads a leaf's memory, other than as the base that it works in."""
    return leaf in item.operands


def reads_only_own_element(item: Item, leaf: Node) -> bool:
    """Whether every read of `leaf` in `item` is of the very element that the item writes."""
    if leaf in item.lengths or any(view.buffer is leaf for view in item.views):
        return False
    own = tuple(item.target)
    return all(load.inputs[1:] == own and not load.attrs for load in item.loads if load.inputs[0] is leaf)


def _reason(item: Item) -> str:
    """Why an item may write over the old value of its variable."""
    if item.overwrites:
        return "only what changes is written" if isinstance(item, Scattering) else "the product is added to it"
    return "each element is made of its own old value, or of none"
