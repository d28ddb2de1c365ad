"""Products of a step that depend on no state are taken out of a loop: one product for all steps.

`x[t] @ W` for each t is `x @ W` once, which takes less time than many small products, and whose gradient is one
product, too. So are elements of a table at indices that no state decides (a layer of embeddings).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numgraph.graph import Variable, apply, toposort
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.shape import reshaped, shuffled
from numgraph.scanning.closed import Open, dependent, placeholder
from numgraph.substitution import replaced


def lift(graph: Open) -> None:
    """Take out of a loop what can be."""
    found = Lifter(graph).run()
    if not found:
        return
    stands: dict[Variable, Variable] = {}
    for node, source in found:
        stands[node] = placeholder(source, node.name, row=True)
        graph.sequences.append((stands[node], source))
    count = len(graph.nexts)
    roots = replaced(graph.roots, stands)
    graph.until = roots.pop() if graph.until is not None else None
    graph.nexts, graph.values = roots[:count], roots[count:]


class Lifter:
    """Finds what can be lifted. Where axis 0 counts the steps, a variable is *whole*."""

    def __init__(self, graph: Open) -> None:
        self.graph = graph
        self.of_states = dependent(graph.roots, [p for p, _ in graph.states])
        self.of_steps = dependent(graph.roots, graph.placeholders)
        self.whole: dict[int, Variable | None] = {id(p): source for p, source in graph.sequences}

    def run(self) -> list[tuple[Variable, Variable]]:
        """(node of a step, the same for all steps)."""
        nodes = toposort(self.graph.roots)
        lifted: list[tuple[Variable, Variable]] = []
        for node in nodes:
            if id(node) not in self.of_steps or id(node) in self.of_states or id(node) in self.whole:
                continue
            self.whole[id(node)] = self._whole(node)
        users: dict[int, list[Variable]] = {}
        for node in nodes:
            for v in node.inputs:
                users.setdefault(id(v), []).append(node)
        roots = {id(v) for v in self.graph.roots}
        for node in nodes:
            made = self.whole.get(id(node))
            if made is None or node.op is None or node.op.name not in WORTH:
                continue
            # what is only part of something else that is lifted is not wanted by itself
            if id(node) in roots or any(self._stays(user) for user in users.get(id(node), ())):
                lifted.append((node, made))
        return lifted

    def _stays(self, user: Variable) -> bool:
        return not (self.whole.get(id(user)) is not None and user.op is not None and user.op.name in WORTH)

    def _whole(self, node: Variable) -> Variable | None:
        op = node.op
        assert op is not None
        inputs = [self.whole.get(id(v)) for v in node.inputs]
        if any(w is None and id(v) in self.of_steps for v, w in zip(node.inputs, inputs, strict=True)):
            return None
        if op.scalar and not op.redrawn and op.user is None:
            return _elementwise(node, inputs)
        rule = RULES.get(op.name)
        return rule(node, inputs) if rule is not None else None


def _elementwise(node: Variable, inputs: Sequence[Variable | None]) -> Variable:
    assert node.op is not None
    operands = []
    for v, whole in zip(node.inputs, inputs, strict=True):
        if whole is not None and v.ndim < node.ndim:
            whole = shuffled(whole, (0, *(-1,) * (node.ndim - v.ndim), *range(1, whole.ndim)))
        operands.append(v if whole is None else whole)
    return apply(node.op, operands, **node.attrs)


def _dimshuffle(node: Variable, inputs: Sequence[Variable | None]) -> Variable | None:
    (whole,) = inputs
    assert whole is not None
    return shuffled(whole, (0, *(k + 1 if k >= 0 else -1 for k in node.attrs["pattern"])))


def _product(node: Variable, inputs: Sequence[Variable | None]) -> Variable | None:
    """A product with a matrix that is the same in all steps."""
    (a, b), (left, right) = node.inputs, inputs
    if left is not None and right is None:
        return _rows_times(left, b)
    if left is None and right is not None:
        # a @ b = (b.T @ a.T).T
        return shuffled(_rows_times(shuffled(right, (0, 2, 1)), shuffled(a, (1, 0))), (0, 2, 1))
    return None


def _rows_times(stack: Variable, matrix: Variable) -> Variable:
    """Each matrix of a stack times one matrix."""
    steps, rows, inner = ln.dims_of(stack)
    flat = reshaped(stack, [ln.product([steps, rows]), inner])
    product: Variable = f.dot(flat, matrix)
    return reshaped(product, [steps, rows, ln.dim(matrix, 1)])


def _taken(node: Variable, inputs: Sequence[Variable | None]) -> Variable | None:
    """Rows of a table at an index that steps decide."""
    table, *indices = inputs
    first = node.attrs["key"][0] if node.op is not None and node.op.name == "subtensor" else ("index",)
    alone = all(entry == ("slice", False, False, 1) for entry in node.attrs.get("key", ())[1:])
    axes = node.attrs.get("axes", (0,))
    if table is not None or len(indices) != 1 or first != ("index",) or not alone or tuple(axes) != (0,):
        return None
    (index,) = indices
    assert index is not None
    taken: Variable = node.inputs[0][index]
    return taken


RULES: dict[str, Callable[[Variable, Sequence[Variable | None]], Variable | None]] = {
    "dimshuffle": _dimshuffle,
    "dot2": _product,
    "subtensor": _taken,
    "gather": _taken,
}
# what is worth to be lifted: the others are computed where they are used
WORTH = frozenset({"dot2", "subtensor", "gather"})
