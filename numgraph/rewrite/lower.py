"""Lowering: the user's variables become interned nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numgraph.fingerprint import Shapes
from numgraph.graph import Constant, Variable, label, toposort
from numgraph.ir import Graph, Node
from numgraph.rewrite import halves
from numgraph.rewrite.build import Builder
from numgraph.rewrite.scans import Scans
from numgraph.shared import SharedVariable
from numgraph.text import template
from numgraph.types import COMPLEX, HALF


class Leaves:
    """The leaves of a program and their nodes: arguments by position, shared variables in order of appearance.

    shapes: the lengths that these have now.
    """

    def __init__(self, builder: Builder, arguments: Sequence[Variable], shapes: Shapes) -> None:
        self.builder, self.shapes = builder, shapes
        self.graph: Graph = builder.graph
        self.nodes: dict[Variable, Node] = {}
        # what code finds in memory, where that is not the node
        self.memory: dict[Variable, Node] = {}
        self.arguments: list[Node] = []
        self.shared: list[SharedVariable] = []
        self.shared_nodes: list[Node] = []
        for position, variable in enumerate(arguments):
            self.arguments.append(self._argument(variable, position))

    def _argument(self, variable: Variable, position: int) -> Node:
        graph = self.graph
        if variable.ndim == 0 and variable.dtype not in COMPLEX:
            node = graph.make("scalar", None, (), (position,), halves.as_argument(variable.dtype), ())
        else:
            node = graph.make("input", None, (), (position,), halves.in_memory(variable.dtype), ())
            self._give_lengths(node, variable.type.shape)
        self._remember(variable, node)
        return node

    def _give_lengths(self, node: Node, known: Sequence[int | None]) -> None:
        """Lengths of a leaf: numbers where the type knows them (the call checks these), else `extent` nodes."""
        graph = self.graph
        graph.lengths[node] = tuple(
            n if n is not None else graph.make("extent", None, (node,), (axis,), "int64", ())
            for axis, n in enumerate(known)
        )

    def _remember(self, variable: Variable, node: Node) -> None:
        self.nodes[variable] = node
        if variable.dtype == HALF:
            self.memory[variable] = node
            self.nodes[variable] = halves.read(self.builder, node)
        for made in dict.fromkeys((node, self.nodes[variable])):
            self.graph.mark(made, variable.line)
            self.graph.call(made, variable.name)

    def stored(self, variable: Variable) -> Node:
        """The node of the memory of a variable."""
        return self.memory.get(variable, self.nodes[variable])

    def shared_node(self, variable: SharedVariable, resizable: bool) -> Node:
        """The node of a shared variable. Its lengths are assumed to stay as they are, the leading one only unless
        `resizable`.

        An assumption that fails at a call costs one more compilation, after which that length is symbolic.
        """
        if variable in self.nodes:
            return self.nodes[variable]
        graph = self.graph
        node = graph.make("shared", None, (), (len(self.shared),), halves.in_memory(variable.dtype), ())
        self.shared.append(variable)
        self.shared_nodes.append(node)
        self._give_lengths(node, (None,) * variable.ndim)
        self._remember(variable, node)
        for axis, length in enumerate(self.shapes[variable]):
            if axis == 0 and resizable:
                continue
            message = f"{template(label(variable))}: length {{a}} on axis {axis}, compiled for {{b}}"
            self.builder.assume_length(node.dims[axis], length, message)
        return self.nodes[variable]


def resizable_shared(outputs: Sequence[Variable]) -> set[Variable]:
    """Shared variables that are read only in windows or by index along axis 0: data sets, whose number of rows may
    change."""
    nodes = toposort(outputs)
    whole: set[Variable] = {v for v in outputs if isinstance(v, SharedVariable)}
    through: dict[Variable, list[Variable]] = {}
    for node in nodes:
        for source in node.inputs:
            through.setdefault(source, []).append(node)
    for variable in nodes:
        if isinstance(variable, SharedVariable) and not all(
            _windowed(variable, user, through) for user in through.get(variable, ())
        ):
            whole.add(variable)
    return {v for v in nodes if isinstance(v, SharedVariable) and v not in whole}


def _windowed(source: Variable, user: Variable, through: dict[Variable, list[Variable]]) -> bool:
    """Whether `user` reads `source` along axis 0 only in part; conversions and lengths in between do not count."""
    op = user.op
    assert op is not None
    if op.windowed is not None and user.inputs[0] is source:
        return op.windowed(**user.attrs)
    if op.scalar and len(user.inputs) == 1:
        return all(_windowed(user, next_user, through) for next_user in through.get(user, [])) and bool(
            through.get(user)
        )
    return False


def lower(outputs: Sequence[Variable], leaves: Leaves, in_order: bool = False) -> list[Node]:
    """The nodes of `outputs`. in_order: shared variables have the numbers that their places among `shapes` say, not
    those of their appearance."""
    resizable = resizable_shared(outputs)
    if in_order:
        used = set(toposort(outputs))
        for variable in (v for v in leaves.shapes if v in used):
            leaves.shared_node(variable, variable in resizable)
    nodes = lowered(leaves.builder, outputs, leaves.nodes, lambda v: leaves.shared_node(v, v in resizable))
    return [
        halves.written(leaves.builder, node) if v.type.dtype == HALF else node
        for v, node in zip(outputs, nodes, strict=True)
    ]


def lowered(
    builder: Builder,
    outputs: Sequence[Variable],
    nodes: dict[Variable, Node],
    shared: Callable[[SharedVariable], Node] | None = None,
) -> list[Node]:
    """The nodes of `outputs`, with those that are known already; new ones are added. shared: of shared variables, which
    steps of scans have none of."""
    graph = builder.graph
    variables = toposort(outputs, stop=list(nodes))
    scans = Scans(builder, variables, lowered)
    if any(v.op is not None and v.op.loop for v in variables):
        variables = toposort(outputs, list(nodes), scans.inputs)
    active = graph.active
    for variable in variables:
        if variable in nodes:
            continue
        graph.active = (variable.line,) if variable.line else ()
        if isinstance(variable, Constant):
            node = builder.constant(variable.data.astype(halves.register(variable.dtype), copy=False))
        elif isinstance(variable, SharedVariable):
            assert shared is not None
            node = shared(variable)
        else:
            assert variable.op is not None, variable
            if variable.op.loop:
                node = scans.result(variable, [nodes.get(v) for v in variable.inputs])
            else:
                node = halves.computed(builder, variable, [nodes[v] for v in variable.inputs])
        nodes[variable] = node
        if variable.op is not None:
            graph.variables.setdefault(node, variable)
        graph.call(node, variable.name or variable.hint)
    graph.active = active
    return [nodes[v] for v in outputs]


def expand(builder: Builder, node: Node) -> Node:
    """The composition that an op stands for, as nodes."""
    composition = node.op.composition(builder.graph.traits.grid) if node.op is not None else None
    assert composition is not None
    from numgraph.types import TensorType

    shapes = [tuple(n if isinstance(n, int) else None for n in map(builder.graph.find, v.dims)) for v in node.inputs]
    stand_ins = [Variable(TensorType(v.dtype, s)) for v, s in zip(node.inputs, shapes, strict=True)]
    result = composition(*stand_ins, **node.attributes)
    nodes: dict[Variable, Node] = dict(zip(stand_ins, node.inputs, strict=True))
    for variable in toposort([result], stop=stand_ins):
        if variable not in nodes:
            if isinstance(variable, Constant):
                nodes[variable] = builder.constant(variable.data)
            else:
                assert variable.op is not None
                nodes[variable] = builder.op(variable.op, [nodes[v] for v in variable.inputs], variable.attrs)
    return builder.graph.cast(nodes[result], node.dtype)
