"""Makes the compile node of one op: dtypes made explicit by casts, lengths worked out, conditions recorded, constants
folded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.elements import Elements, Operand
from numgraph.graph import reduced_shape
from numgraph.ir import MAX_FOLDED, Graph, Node, Requirement
from numgraph.lengths import dims
from numgraph.lengths.known import difference, holds
from numgraph.op import Op, boolean, reference
from numgraph.ops.compare import LT, WHERE
from numgraph.ops.loop import LAST, NATURAL, SOME, lengths_of_result
from numgraph.ops.shape import BROADCAST_TO, DIMSHUFFLE
from numgraph.rewrite.assume import Assumptions, Contradiction
from numgraph.rewrite.sizes import Sizes
from numgraph.types import WIDER, compared


class Builder:
    """Builds nodes in one graph, under assumptions about lengths. `ranges` collects the index checks: (node, index
    node, length)."""

    def __init__(self, graph: Graph, assumptions: Assumptions | None = None) -> None:
        self.graph = graph
        self.assumptions = assumptions or Assumptions()
        self.elements = Elements(graph)
        self.ranges: list[tuple[Node, Node, Any]] = []
        self.sizes = Sizes(graph)

    def op(self, op: Op, inputs: Sequence[Node], attrs: dict[str, Any] | None = None) -> Node:
        """The node `op(*inputs)`."""
        attrs = attrs or {}
        dtype = attrs.get("dtype")
        if dtype is None:
            assert op.dtype is not None, op.name
            dtype = op.dtype([v.dtype for v in inputs])
        if op.loop:
            return self.result(op, inputs, attrs)
        if op.reduce:
            return self._reduce(op, inputs[0], attrs, dtype)
        if op.scalar:
            if op.dtype is boolean and compared([v.dtype for v in inputs]) is None:
                return self._compared(op, inputs)
            inputs = self._slim(self._converted(op, inputs, dtype))
            lengths = self.broadcast(op.title, inputs)
        elif op.product:
            inputs = [self.graph.cast(v, dtype) for v in inputs]
        elif op.scatter:
            inputs = [self.graph.cast(inputs[0], dtype), self.graph.cast(inputs[1], dtype), *inputs[2:]]
        operands = [Operand(v, self.elements) for v in inputs]
        if op.shape:
            lengths = op.shape(*operands, **attrs)
        elif op.expand:
            lengths = self.broadcast(op.title, inputs)
        folded = self._folded(op, inputs, attrs, dtype)
        if folded is not None:
            return folded
        if op.kernel:
            node = self._make(op, inputs, attrs, self._accumulated(dtype, op.kernel.wide), lengths)
            self._check(op, node, operands, attrs)
            return self.graph.cast(node, dtype)
        node = self._make(op, inputs, attrs, dtype, lengths)
        self._check(op, node, operands, attrs)
        return self._known_length(node, operands) if op.element and not node.dims else node

    def result(self, op: Op, inputs: Sequence[Node], attrs: dict[str, Any]) -> Node:
        """A result of a scan.

        inputs: the number of steps, the value that is asked for (the number of steps again, where it is their count),
        the condition that ends the scan if there is one, and of each state that a step needs its first and its next
        value. attrs: `states`, the numbers of those; `asked`, of them the one that is asked for; `scan`, its number;
        `ends`: whether there is a condition.
        """
        steps = Operand(inputs[0], self.elements).value
        value = inputs[1]
        if attrs["asked"]:
            # of a state: its first value is there without any step, too
            value = inputs[2 + attrs["ends"] + 2 * attrs["states"].index(attrs["asked"][0])]
        lengths = lengths_of_result(op, steps, value.dims, attrs)
        node = self._make(op, inputs, attrs, attrs["dtype"], lengths)
        self.require("at_least", steps, 0, f"scan: {NATURAL.message}", node)
        if op is LAST:
            self.require("at_least", steps, 1, f"scan: {SOME.message}", node)
        return node

    def _known_length(self, node: Node, operands: Sequence[Operand]) -> Node:
        """A length as the expression that it is: then nobody seems to read the array that it is a length of."""
        assert node.op is not None and node.op.element is not None
        value = node.op.element((), *operands, **node.attributes)
        if isinstance(value, int):
            return self.graph.number(value, node.dtype)
        if (isinstance(value, Node) and value.kind == "extent") or _is_arithmetic(value):
            return self.graph.cast(value, node.dtype)
        return node

    def call(self, op: Op, *inputs: Node, **attrs: Any) -> Node:
        """`op`, written as a call."""
        return self.op(op, inputs, attrs)

    def _make(self, op: Op, inputs: Sequence[Node], attrs: dict[str, Any], dtype: str, lengths: Sequence[Any]) -> Node:
        kept = tuple(sorted(attrs.items()))
        clean = tuple(n if isinstance(n, int) else self.graph.find(n) for n in lengths)
        node = self.graph.make("op", op, inputs, kept, dtype, clean)
        for length, most in self.sizes.conditions(clean):
            message = f"{op.name}: a length of {{a}} makes the array too large; beside its others at most {{b}} fits"
            self.require("fits", length, most, message, node)
        return node

    def _converted(self, op: Op, inputs: Sequence[Node], dtype: str) -> list[Node]:
        """Operands in the dtype that the op computes in."""
        loose = [k for k in range(len(inputs)) if k not in op.keeps]
        common = op.computes([inputs[k].dtype for k in loose], dtype)
        assert common is not None, op.name
        return [self.graph.cast(v, common) if k in loose else v for k, v in enumerate(inputs)]

    def _slim(self, inputs: Sequence[Node]) -> list[Node]:
        """Operands of an elementwise op, those that are one number all over as that 0-d scalar, where another operand
        has their lengths: a factor is then seen to be one."""
        slim = list(inputs)
        for k, v in enumerate(slim):
            if v.dims and any(self._covers(w, v) for j, w in enumerate(slim) if j != k):
                slim[k] = self._scalar_of(v)
        return slim

    def spread(self, node: Node, lengths: Sequence[Any]) -> Node:
        """A 0-d node as an array of these lengths; others as they are."""
        if node.dims or not lengths:
            return node
        return self.call(BROADCAST_TO, node, *map(self.graph.as_index, lengths))

    def _covers(self, node: Node, other: Node) -> bool:
        """Whether broadcasting `other` to `node` changes no length of `node`."""
        if len(node.dims) < len(other.dims):
            return False
        pairs = zip(reversed(node.dims), reversed(other.dims), strict=False)
        return all(self.graph.find(b) == 1 or self.graph.equal_lengths(a, b) for a, b in pairs)

    def _scalar_of(self, node: Node) -> Node:
        """The 0-d node whose value every element of `node` has; `node` itself where there is none."""
        inner = node
        while inner.op is not None and inner.op.uniform and inner.op.element and inner.dims:
            inner = inner.inputs[0]
        if inner.kind == "array" and all(self.graph.find(n) == 1 for n in inner.dims):
            return self.graph.number(self.constant_value(inner).item(), node.dtype)
        return node if inner.dims or inner.dtype != node.dtype else inner

    def _compared(self, op: Op, inputs: Sequence[Node]) -> Node:
        """A comparison of signed integers with uint64: as uint64, unless the signed one is negative.

        What -1 with 0 gives holds for every negative number with every uint64.
        """
        signed = int(inputs[0].dtype == "uint64")
        wide = [self.graph.cast(v, "uint64") for v in inputs]
        negative = self.call(LT, inputs[signed], self.graph.number(0, inputs[signed].dtype))
        decided = bool(op.numpy(*((0, -1) if signed else (-1, 0))))
        return self.call(WHERE, negative, self.graph.number(decided, "bool"), self.op(op, wide))

    def _accumulated(self, dtype: str, wide: bool) -> str:
        """The dtype in which terms or factors are joined whose result is of `dtype`."""
        return WIDER.get(dtype, dtype) if wide and self.graph.traits.wide_sums else dtype

    def _reduce(self, op: Op, x: Node, attrs: dict[str, Any], dtype: str) -> Node:
        """A reduction in its accumulator's dtype, converted to the result's."""
        form = op.reduce
        assert form is not None
        axes, keepdims = attrs["axis"], attrs["keepdims"]
        inside = x.dtype if form.position else self._accumulated(dtype, form.wide)
        if not axes and not form.position:
            return self.graph.cast(x, dtype)
        if form.position and axes[0] != len(x.dims) - 1:
            return self._position(op, x, axes[0], attrs)
        turned = x.attributes["pattern"] if x.op is DIMSHUFFLE else ()
        if not form.position and sorted(turned) == list(range(len(x.dims))) == list(range(len(x.inputs[0].dims))):
            return self._along_others(op, x, turned, attrs, dtype)
        operands = [Operand(x, self.elements)]
        if not form.position and not (form.wide and x.dtype in WIDER):
            x = self.graph.cast(x, inside)
        folded = self._folded(op, [x], attrs, dtype)
        if folded is not None:
            return folded
        lengths = reduced_shape(x.dims, axes, keepdims)
        kept = {"axis": tuple(axes), "keepdims": keepdims} | ({"empty": True} if attrs.get("empty") else {})
        node = self._make(op, [x], kept, dtype if form.position else inside, lengths)
        self._check(op, node, operands, attrs)
        self._elements_along(op, x, attrs, node)
        return self.graph.cast(node, dtype)

    def _along_others(self, op: Op, x: Node, pattern: Sequence[int], attrs: dict[str, Any], dtype: str) -> Node:
        """A reduction of an array whose axes were put into another order: of the array, along its own axes, so that
        loops go along its memory."""
        reduced = {pattern[k] for k in attrs["axis"]}
        own = attrs | {"axis": tuple(sorted(reduced)), "keepdims": False, "empty": True, "dtype": dtype}
        found = self.op(op, [x.inputs[0]], own)
        self._elements_along(op, x, attrs, found)
        left = sorted(set(pattern) - reduced)
        order = [-1 if p in reduced else left.index(p) for p in pattern]
        if not attrs["keepdims"]:
            order = [p for p in order if p >= 0]
        return found if order == list(range(len(left))) else self.call(DIMSHUFFLE, found, pattern=tuple(order))

    def _elements_along(self, op: Op, x: Node, attrs: dict[str, Any], node: Node) -> None:
        """The condition that a reduction of nothing has no value, where it has none."""
        assert op.reduce is not None
        if isinstance(op.reduce.start, str) and not attrs.get("empty"):
            for axis in attrs["axis"]:
                message = f"{op.title}: axis {axis} is empty, and {op.title} of nothing is not defined"
                self.require("nonempty", x.dims[axis], 1, message, node)

    def _position(self, op: Op, x: Node, axis: int, attrs: dict[str, Any]) -> Node:
        """A position along an inner axis: that axis is turned last, so that each search runs in registers."""
        ndim = len(x.dims)
        others = [k for k in range(ndim) if k != axis]
        turned = self.call(DIMSHUFFLE, x, pattern=(*others, axis))
        found = self.op(op, [turned], {"axis": (ndim - 1,), "keepdims": False, "empty": True})
        self._elements_along(op, x, attrs, found)
        if not attrs["keepdims"]:
            return found
        return self.call(DIMSHUFFLE, found, pattern=tuple(-1 if k == axis else others.index(k) for k in range(ndim)))

    def _folded(self, op: Op, inputs: Sequence[Node], attrs: dict[str, Any], dtype: str) -> Node | None:
        """The value of an op on constants, when it is small."""
        if not inputs or not all(v.kind in ("number", "array") for v in inputs):
            return None
        # many times the same number is no constant array: the number can still be seen; nor is what an index makes
        if op.expand or op.user is not None or op.redrawn or (op.uniform and not op.injective):
            return None
        values = [self.constant_value(v) for v in inputs]
        if sum(v.size for v in values) > MAX_FOLDED:
            return None
        try:
            result = reference(op, values, attrs, dtype)
        except Exception:
            # a constant expression that fails does so when the function runs, with its line
            return None
        return self.constant(result) if result.size <= MAX_FOLDED else None

    def constant_value(self, node: Node) -> NDArray[Any]:
        """The array behind a number or constant array."""
        if node.is_number:
            return np.array(node.value, node.dtype)
        array: NDArray[Any] = self.graph.arrays[node.attrs[0]]
        return array

    def constant(self, value: NDArray[Any]) -> Node:
        """A number, or an array that becomes part of the program's data."""
        if value.ndim == 0:
            return self.graph.number(value.item(), value.dtype.name)
        array = np.ascontiguousarray(value)
        digest = hashlib.blake2b(
            array.tobytes() + repr((array.dtype.name, array.shape)).encode(), digest_size=8
        ).hexdigest()
        self.graph.arrays[digest] = array
        return self.graph.make("array", None, (), (digest,), array.dtype.name, array.shape)

    def broadcast(self, what: str, inputs: Sequence[Node]) -> tuple[Any, ...]:
        """The lengths that `inputs` broadcast to; conditions on them are recorded."""
        ndim = max((len(v.dims) for v in inputs), default=0)
        result: list[Any] = []
        for axis in range(-ndim, 0):
            lengths = [v.dims[axis] for v in inputs if len(v.dims) >= -axis]
            result.append(self._broadcast_axis(what, axis + ndim, lengths, inputs))
        return tuple(result)

    def _broadcast_axis(self, what: str, axis: int, lengths: list[Any], inputs: Sequence[Node]) -> Any:
        find = self.graph.find
        distinct: list[Any] = []
        for n in lengths:
            if find(n) != 1 and not any(self.graph.equal_lengths(n, m) for m in distinct):
                distinct.append(n)
        if not distinct:
            return 1
        # a number decides; among unknown lengths the first one does
        distinct.sort(key=lambda n: not isinstance(find(n), int))
        full = distinct[0]
        message = f"{what}: axis {axis}: lengths {{a}} and {{b}} do not broadcast"
        for n in distinct[1:]:
            if self.assume_equal(n, full, message, tuple(inputs)):
                continue
            if isinstance(find(n), int) and isinstance(find(full), int):
                raise self._contradiction(message, n, full, inputs)
            self.require("broadcast", n, full, message, tuple(inputs))
            if not isinstance(find(full), int):
                full = dims.where(dims.equal(full, 1), n, full)
        return find(full)

    def _contradiction(self, message: str, a: Any, b: Any, inputs: Sequence[Node]) -> Contradiction:
        """For lengths that neither are equal nor broadcast, if all that is assumed holds."""
        shown = "".join(self.graph.where(v) for v in inputs if v.dims)
        text = message.format(a=self.graph.find(a), b=self.graph.find(b))
        return Contradiction(f"{text}\n{shown}".rstrip("\n"), self.assumptions.key(a, b))

    def assume_equal(self, a: Any, b: Any, message: str, node: Any) -> bool:
        """Build for equal lengths `a` and `b`, where that can be and was not given up; whether it is so.

        A length that depends on computed data is taken for no other: what has it may run before it can be checked.
        """
        graph = self.graph
        x, y = graph.find(a), graph.find(b)
        if graph.equal_lengths(x, y):
            return True
        if not (_is_planned(x) and _is_planned(y)) or _differ(x, y):
            return False
        key = self.assumptions.key(a, b)
        if not self.assumptions.make(key, x, y):
            return False
        graph.demand(Requirement("assume", x, y, message, node, key, idle=bool(self._idle(node))))
        graph.unify(x, y)
        return True

    def assume_length(self, length: Node, number: int, message: str) -> None:
        """Build for a shared variable that keeps a length, where that was not given up."""
        key = self.assumptions.key(length, number)
        if self.assumptions.make(key, length, number, pair=False):
            self.graph.demand(Requirement("assume", length, number, message, length.inputs[0], key))
            self.graph.unify(length, number)

    def require(self, kind: str, a: Any, b: Any, message: str, node: Any) -> None:
        """Record a condition, unless it is known to hold. Contradiction where it cannot, if all that is assumed
        holds. Within a step that may not be taken it need not hold if that is not."""
        a, b = self.graph.find(a), self.graph.find(b)
        if holds(kind, a, b):
            return
        idle = self._idle(node)
        if idle:
            for none in idle:
                met = (0, 1) if kind == "range" else (b, b)
                a, b = dims.where(none, met[0], a), dims.where(none, met[1], b)
            self.graph.demand(Requirement(kind, a, b, message, node))
            return
        if isinstance(a, int) and isinstance(b, int) and not self.assumptions.tolerates((kind, a, b)):
            raise Contradiction(message.format(a=a, b=b))
        self.graph.demand(Requirement(kind, a, b, message, node))
        if kind == "equal" and _is_planned(a) and _is_planned(b):
            self.graph.unify(a, b)

    def _idle(self, node: Any) -> list[Node]:
        """Conditions that each say that a node, or what is made of some, is not computed."""
        made = [v for v in (node if isinstance(node, tuple) else (node,)) if isinstance(v, Node)]
        scans = (self.graph.scans[k] for k in sorted(frozenset().union(*(v.within for v in made))))
        return [scan.idle for scan in scans if scan.idle is not None]

    def _check(self, op: Op, node: Node, operands: Sequence[Operand], attrs: dict[str, Any]) -> None:
        for check in op.checks:
            for pair in check.values(*operands, **attrs):
                a, b = pair if isinstance(pair, tuple) else (pair, 1)
                index = a.node if isinstance(a, Operand) else a
                if check.kind == "range" and isinstance(index, Node) and (index.dims or not index.planned):
                    self.ranges.append((node, index, b))
                elif check.kind == "range":
                    self.require("range", a.value if isinstance(a, Operand) else a, b, check.message, node)
                else:
                    self.require(check.kind, a, b, f"{op.called(attrs)}: {check.message}", node)


def _is_arithmetic(value: Any) -> bool:
    """Whether a scalar needs nothing but lengths and 0-d arguments."""
    if not isinstance(value, Node) or value.dtype != "int64" or not value.planned:
        return False
    return value.kind in ("op", "step") and not value.reads


def _is_planned(length: Any) -> bool:
    """Whether a length is known before anything is computed."""
    return isinstance(length, int) or (length.planned and not length.within)


def _differ(a: Any, b: Any) -> bool:
    """Whether two lengths are certainly not equal: numbers, or n and n + 1."""
    return difference(a, b) not in (None, 0)
