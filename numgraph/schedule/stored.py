"""What has a buffer of its own, and what is computed inside its users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numgraph.elements import Elements, row_by_row, unit_stride
from numgraph.ir import LEAVES, Graph, Node, loops_of, topological
from numgraph.ops.loop import TURN
from numgraph.schedule.cuts import REPEATED
from numgraph.schedule.tasks import read_in_memory, result_of

# An expression of at most this cost is computed again by each of its users instead of being stored.
CHEAP = 3
# An expression of more operations than this is stored, so that one loop body stays short: Numba's typing time grows
# faster than linearly with the length of a function.
MAX_STATEMENTS = 40


def choose_stored(graph: Graph, elements: Elements, outputs: Sequence[Node]) -> None:
    """Decide which nodes get a buffer: into `elements.stored`."""
    nodes = topological(outputs)
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            users.setdefault(source, []).append(node)
    cost: dict[Node, int] = {}
    size: dict[Node, int] = {}
    # what of the cost is that of draws, which each of several users makes again
    drawn: dict[Node, int] = {}
    # of what is stored, the cost of what its loop computes
    inside: dict[Node, int] = {}
    stored = elements.stored
    indices: set[Node] = set()
    stored.update(v for v in outputs if v.kind not in LEAVES and v.kind != "number")
    for result in (v for v in nodes if v.op is not None and v.op.loop):
        stored.update(v for v in result_of(result).roots if v.kind not in LEAVES)
    for node in nodes:
        _require_memory(elements, node)
        cost[node], size[node] = _inline_cost(elements, node, cost, size)
        drawn[node] = _cost_of_draws(elements, node, cost, drawn)
        inside[node] = _cost_inside(node, cost)
        if node.kind in LEAVES or node.kind == "number" or node in stored:
            continue
        if _is_index(node, indices):
            indices.add(node)
            continue
        if must_store(node) or (
            _computes(node)
            and (size[node] > MAX_STATEMENTS or _worth_storing(graph, node, users, cost[node], drawn[node]))
        ):
            stored.add(node)
            cost[node], size[node], drawn[node] = 1, 1, 0
    stored.update(_repeating(nodes, users, stored, inside))
    known = -1
    while known != len(stored):
        # what was looked at before may be a view of what has been stored since: no longer row by row
        known = len(stored)
        for node in nodes:
            _require_memory(elements, node)
    elements.forget_memory()


def _cost_inside(node: Node, cost: dict[Node, int]) -> int:
    """The cost of an element of the node in its own loop."""
    own = node.op.cost if node.op is not None and node.op.scalar else 1
    return own + sum(cost[v] for v in dict.fromkeys(node.inputs) if v.dims)


def _repeating(
    nodes: Sequence[Node], users: dict[Node, list[Node]], stored: set[Node], inside: dict[Node, int]
) -> Iterator[Node]:
    """The index maps that would have too much code repeated: all that their loops compute, in each piece of these."""
    behind: dict[Node, int] = {}
    for node in reversed(nodes):
        # where the users of a node are computed
        loops = (inside[v] if v in stored or must_store(v) else behind[v] for v in users.get(node, ()))
        behind[node] = max(loops, default=0)
        maps = node.op.pieces if node.op is not None else None
        if maps is not None and (maps(len(node.inputs)) - 1) * (behind[node] - inside[node]) > REPEATED:
            yield node


def must_store(node: Node) -> bool:
    """Whether the node can only be read from a buffer."""
    op = node.op
    return node.kind == "copy" or (
        op is not None and bool(op.reduce or op.product or op.scatter or op.kernel or op.loop)
    )


def _is_index(node: Node, indices: set[Node]) -> bool:
    """Whether it is an integer that a scan's step knows without computing: an element of what is there before the loop,
    or arithmetic of such. The plan of the step works it out, so that lengths may depend on it.

    indices: those among its inputs.
    """
    op = node.op
    if op is None or node.dims or node.dtype != "int64" or not node.within:
        return False
    if op is TURN:
        return not node.inputs[0].within and len(node.inputs[0].dims) == 1
    known = all(v in indices or v.is_number or v.planned for v in node.inputs)
    return known and op.scalar is not None and not op.redrawn and op.user is None


def _computes(node: Node) -> bool:
    return node.op is not None and bool(node.op.scalar or node.op.element)


def _require_memory(elements: Elements, node: Node) -> None:
    """Operands that must lie in memory (of a kernel, a product, a true reshape) are stored unless a view reaches
    them."""
    op = node.op
    if op is not None and op.overwrites and node.inputs[0].kind not in LEAVES:
        elements.stored.add(node.inputs[0])
    if op is not None and op.loop:
        for first, _ in result_of(node).states.values():
            _require_rows(elements, first)
    if op is None or not (op.kernel or op.product or op.reshape):
        return
    if op.reshape and elements.only_ones(node):
        return
    for source in read_in_memory(node):
        if elements.has_buffer(source):
            # it lies there row by row, which is right for all, also where a length of 0 makes a stride of 0
            continue
        elements.forget_memory()
        view = elements.memory(source)
        if view is None or not (unit_stride(view) if op.product else row_by_row(view)):
            elements.stored.add(source)


def _require_rows(elements: Elements, source: Node) -> None:
    """Store what does not lie in memory row by row."""
    if not elements.has_buffer(source):
        elements.forget_memory()
        view = elements.memory(source)
        if view is None or not row_by_row(view):
            elements.stored.add(source)


def _inline_cost(elements: Elements, node: Node, cost: dict[Node, int], size: dict[Node, int]) -> tuple[int, int]:
    """(cost, number of operations) of one element of the node computed in place."""
    if node.is_number or node.kind in ("extent", "scalar", "step"):
        return 0, 0
    if node in elements.stored or node.kind in LEAVES or node.op is None:
        return 1, 1
    if not node.dims and node.planned:
        # lengths and indices are computed once, by the plan
        return 0, 1 + sum(size[v] for v in dict.fromkeys(node.inputs))
    own = node.op.cost if node.op.scalar else int(not node.op.injective)
    distinct = [v for v in dict.fromkeys(node.inputs) if node.op.scalar or v.dims]
    return own + sum(cost[v] for v in distinct), bool(own) + sum(size[v] for v in distinct)


def _cost_of_draws(elements: Elements, node: Node, cost: dict[Node, int], drawn: dict[Node, int]) -> int:
    """What of the cost of one element, computed in place, is that of random numbers."""
    if node in elements.stored or node.op is None or not (node.op.scalar or node.op.element):
        return 0
    below = sum(drawn.get(v, 0) for v in dict.fromkeys(node.inputs) if node.op.scalar or v.dims)
    if not (node.op.redrawn and node.op.scalar):
        return below
    # with the numbers that are the same for all elements
    return node.op.cost + below + sum(cost[v] - drawn.get(v, 0) for v in dict.fromkeys(node.inputs) if not v.dims)


def _worth_storing(graph: Graph, node: Node, users: dict[Node, list[Node]], cost: int, drawn: int) -> bool:
    """Whether inlining would compute an element more than once, at a cost: for several users, of which each makes
    draws again, or for one that reads elements repeatedly."""
    if cost <= CHEAP:
        return False
    found = users.get(node, [])
    if len(found) > 1 and cost - drawn > CHEAP:
        return True
    return any(_reads_repeatedly(graph, node, user) for user in found)


def _reads_repeatedly(graph: Graph, node: Node, user: Node) -> bool:
    op = user.op
    if not user.within <= node.within:
        # once in each step of a scan
        return True
    if op is None:
        return False
    if op.scalar:
        mine, theirs = loops_of(graph, node.dims), loops_of(graph, user.dims)
        return len(mine) != len(theirs) and len(theirs) > 0
    if op.overwrites:
        return user.inputs[0] is not node
    return bool(op.element) and (not op.injective or user.inputs[0] is not node)
