"""Who may write which memory.

The rule: memory may be written over when nothing reads what is there at the write or after it. Two things write over
memory that holds a value already.

* An op that overwrites (a scatter, a product that accumulates) works in the memory of its base. It owns that memory if
  the base is a computed value that is used once in the whole program: as the base of this op. So it is no argument,
  constant or shared variable, no output or update, no length or index, and no other operand of the op. Any other base
  is copied first.
* An update may be written over the old value of its variable. The base of an op that overwrites may be the variable
  itself then, or what another such op has made of it, if that is used once. It is settled which updates do so when the
  tasks are known (`settled`): all who read the old value come before, and the task itself reads at most the very
  element that it writes. Any other update gets new memory.

What stands for several results is computed for one of them and copied for the others.
`schedule/verify` proves for a finished schedule that it keeps to the rule, in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numgraph.ir import LEAVES, Graph, Node, topological
from numgraph.schedule.scans import Copies, written_over
from numgraph.schedule.tasks import Elementwise, IndexCheck, Scattering, Task, writers

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
        self.of_scans = Copies(graph, copy)
        # of the tasks, when they are known
        self.by_node: dict[Node, Task] = {}
        # next values of scans' states that are made in the state's memory
        self.in_states: set[Node] = set()

    def needs_copies(self, updates: Sequence[Update]) -> bool:
        """Whether ops were to work in the memory of an old value that is still needed; they get a copy next time."""
        late = {u.slot for u in updates if u.how == "fresh" and self._works_in_variable(u)}
        self.copied |= late
        return bool(late)

    def _works_in_variable(self, update: Update) -> bool:
        """Whether an update's op has the variable itself as its base, or what such ops have made of it."""
        chain = worked_in(update.node)
        return bool(chain) and chain[0].inputs[0] is self.shared[update.slot]

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
        nodes = topological(roots)
        uses: dict[Node, int] = dict.fromkeys(roots, 2)
        for node in nodes:
            for v in node.inputs:
                uses[v] = uses.get(v, 0) + 1
        chains = [worked_in(u.node) for u in updates if not u.how and self._is_owner(u)]
        in_variable = {chain[0] for chain in chains if all(uses[node] == 1 for node in chain[:-1])}
        new: dict[Node, Node] = {}
        in_states = written_over(nodes, uses)
        self.in_states = set()
        for node in nodes:
            inputs = [new.get(v, v) for v in node.inputs]
            if node.op is not None and node.op.loop:
                inputs = self.of_scans.of_result(node, inputs)
            elif node in in_states:
                self.in_states.add(node)
            elif node.op is not None and node.op.overwrites and node not in in_variable:
                base = node.inputs[0]
                # what is made once, and worked in by each step of a scan, is used more than once, too
                if base.kind in LEAVES or base.is_number or uses[base] > 1 or not node.within <= base.within:
                    inputs[0] = self.of_scans.within(node, self.copy(inputs[0]))
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                new[node] = self.graph.with_inputs(node, inputs)
                if node in in_states:
                    self.in_states.add(new[node])
        return new

    # -- updates --------------------------------------------------------------------------------------------------

    def settled(
        self, tasks: Sequence[Task], updates: Sequence[Update], final: int
    ) -> tuple[list[Task], dict[Node, Node]]:
        """Settle which updates are written in place, in stage `final`, the last one: their `how` and `why`.

        Returns an order of the tasks in which that is right, and the variable of each node that is written in place.
        """
        by_node = self.by_node = writers(tasks)
        chains: dict[Update, list[Task]] = {}
        for u in updates:
            if not u.how:
                nodes = worked_in(u.node) if self._works_in_variable(u) else [u.node]
                chains[u] = [by_node[node] for node in nodes]
                u.why = next(filter(None, (self._obstacle(u, task) for task in chains[u])), "")
        order = Order(tasks, {u: chain for u, chain in chains.items() if not u.why}, self.shared, final)
        ordered = order.run()
        for u, chain in chains.items():
            late = chain[0] in order.late
            u.how = "in place" if late else "fresh"
            u.why = u.why or (_reason(chain[-1]) if late else WAITED_FOR)
        return ordered, {task.node: self.shared[u.slot] for first, u in order.late.items() for task in chains[u]}

    def _obstacle(self, update: Update, task: Task) -> str:
        """Why an update may not be written over the old value; "" where it may, as far as it is concerned itself."""
        leaf = self.shared[update.slot]
        if task.raises:
            return "a function that may raise makes it"
        if leaf.dtype != task.node.dtype or len(leaf.dims) != len(task.node.dims):
            return "the new value is of another type"
        if not all(map(self.graph.equal_lengths, leaf.dims, task.node.dims)):
            return "its lengths may change"
        if task.overwrites:
            if not self._works_in_variable(update):
                return "a copy of the old value is worked in" if update.slot in self.copied else "it is made elsewhere"
            return "the old value is read while it is changed" if reads_leaf(task, leaf) else ""
        if not isinstance(task, Elementwise):
            read = reads_leaf(task, leaf)
            return f"a {task.kind} cannot write over what it reads" if read else f"a {task.kind} makes it"
        if not reads_only_own_element(task, leaf):
            return "its elements are made of other elements of the old value"
        return "the loop that makes it reads other elements of the old value" if self._reads_around(task, leaf) else ""

    def _reads_around(self, task: Task, leaf: Node) -> bool:
        """Whether other elements of a leaf are read for what an elementwise task uses, by a task that it could share a
        loop with if it had new memory, so that nothing in between has to be stored. As `s + (what its neighbours
        are)`."""
        for other in (self.by_node[v] for v in dict.fromkeys(task.operands) if v in self.by_node):
            alike = isinstance(other, Elementwise) and other.loops == task.loops and other.target == task.target
            around = leaf in other.operands and not reads_only_own_element(other, leaf)
            if alike and task.loops and around and reads_only_own_element(task, other.node):
                return True
        return False


class Order:
    """An order of tasks in which all who read an old value come before the task that is written over it.

    late: tasks that are written in place, and their updates; those that nothing can wait for are taken out. They run in
    the last stage, behind all index checks, so that a call that fails has changed nothing. Where several tasks make an
    update, one in the memory of the other, it is the first; the others follow it.
    """

    def __init__(
        self, tasks: Sequence[Task], chains: dict[Update, list[Task]], shared: Sequence[Node], final: int
    ) -> None:
        self.tasks = tasks
        self.final = final
        self.late = late = {chain[0]: u for u, chain in chains.items()}
        self.first_of = {task: chain[0] for chain in chains.values() for task in chain}
        by_node = writers(tasks)
        slots = {shared[u.slot]: task for task, u in late.items()}
        # dictionaries for sets: the order must be the same in every process
        self.checks = dict.fromkeys(task for task in tasks if isinstance(task, IndexCheck) or task.raises)
        # what has not run yet and must come before a task, and the other way round
        self.needed: dict[Task, dict[Task, None]] = {}
        self.followers: dict[Task, list[Task]] = {task: [] for task in tasks}
        # for a task that is written in place, the readers of the old value; for a reader, who waits for it
        self.unread: dict[Task, dict[Task, None]] = {task: {} for task in late}
        self.waiting: dict[Task, list[Task]] = {task: [] for task in tasks}
        for task in tasks:
            found = [by_node[v] for v in task.sources if v in by_node] + task.checks
            self.needed[task] = dict.fromkeys(other for other in found if other is not task)
            for other in self.needed[task]:
                self.followers[other].append(task)
            # each once, also where a task reads a value several times
            for writer in dict.fromkeys(slots[v] for v in task.sources if v in slots):
                if writer is not task:
                    self.unread[writer][task] = None
                    self.waiting[task].append(writer)
        self.natural = {task: task.stage for task in tasks}
        # tasks that are written in place and wait for nothing but readers and checks; those without readers left
        self.held: dict[Task, None] = {}
        self.unheld: dict[Task, None] = {}

    def run(self) -> list[Task]:
        """The order; `late`, and the `last` and `stage` of each task, are settled then."""
        self._choose_stages()
        place = {task: k for k, task in enumerate(sorted(self.tasks, key=lambda task: (task.stage, task.last)))}
        ready = [task for task in self.tasks if not self.needed[task]]
        order: list[Task] = []
        while len(order) < len(self.tasks):
            late = [task for task in ready if task in self.late]
            self.held.update(dict.fromkeys(late))
            self.unheld.update((task, None) for task in late if not self.unread[task])
            now = [task for task in ready if task not in self.late]
            if not now and not self.checks:
                # what was given up meanwhile has run
                now, self.unheld = [task for task in self.unheld if task in self.held], {}
            now = now or [self._given_up()]
            now.sort(key=place.__getitem__)
            order += now
            ready = [other for task in now for other in self._done(task)]
        return order

    def _done(self, task: Task) -> list[Task]:
        """Note that a task has run; returns those that nothing more has to come before, readers and checks aside."""
        self.held.pop(task, None)
        self.checks.pop(task, None)
        for writer in self.waiting[task]:
            self.unread[writer].pop(task, None)
            if not self.unread[writer] and writer in self.held:
                self.unheld[writer] = None
        for other in self.followers[task]:
            self.needed[other].pop(task, None)
        return [other for other in self.followers[task] if not self.needed[other]]

    def _choose_stages(self) -> None:
        """What is written in place runs in the last stage; what an earlier stage needs is not."""
        final = self.final
        early = [task for task in self.tasks if task not in self.late and task.stage < final]
        while early:
            for task in [other for other in self.needed[early.pop()] if other in self.late]:
                self._give_up(task)
                if task.stage < final:
                    early.append(task)
        for task in self.tasks:
            task.last = self.first_of.get(task) in self.late
            task.stage = final if task.last else task.stage

    def _give_up(self, task: Task) -> None:
        del self.late[task]
        for other in (other for other, first in self.first_of.items() if first is task):
            other.last, other.stage = False, self.natural[other]

    def _given_up(self) -> Task:
        """A task that is not written in place after all, since others wait for each other in a circle with it."""
        path: dict[Task, int] = {}
        task = next(iter(self.held))
        while task not in path:
            path[task] = len(path)
            task = next(iter(self.unread[task] or self.checks))
            while task not in self.held:
                task = next(iter(self.needed[task]))
        circle = [other for other, at in path.items() if at >= path[task]]
        position = {other: k for k, other in enumerate(self.late)}
        first = min(circle, key=position.__getitem__)
        self._give_up(first)
        return first


def worked_in(node: Node) -> list[Node]:
    """The ops that overwrite, each in the memory of the one before, of which `node` is the last; none if it is none."""
    chain: list[Node] = []
    while node.op is not None and node.op.overwrites:
        chain.insert(0, node)
        node = node.inputs[0]
    return chain


def reads_leaf(task: Task, leaf: Node) -> bool:
    """Whether a task reads a leaf's memory, other than as the base that it works in."""
    return leaf in task.operands


def reads_only_own_element(task: Task, leaf: Node) -> bool:
    """Whether every read of `leaf` in `task` is of the very element that the task writes."""
    if leaf in task.lengths or any(view.buffer is leaf for view in task.views):
        return False
    own = tuple(task.target)
    return all(load.inputs[1:] == own and not load.attrs for load in task.loads if load.inputs[0] is leaf)


def _reason(task: Task) -> str:
    """Why a task may write over the old value of its variable."""
    if task.overwrites:
        return "only what changes is written" if isinstance(task, Scattering) else "the product is added to it"
    return "each element is made of its own old value, or of none"
