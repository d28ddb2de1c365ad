"""Numbers of the schedule as named values in nested loop bodies: each is computed once, where it stops varying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numgraph.errors import OptionError
from numgraph.ir import LEAVES, Node
from numgraph.loops.names import RESERVED, Names, imported
from numgraph.loops.notes import Notes, sign_of
from numgraph.loops.pieces import Settled
from numgraph.loops.program import (
    TABLE,
    Assign,
    Binary,
    Call,
    Compare,
    Expression,
    If,
    Load,
    Name,
    Number,
    Return,
    Several,
    Statement,
    whole,
)
from numgraph.loops.scalar import is_missing, number, scalar
from numgraph.loops.table import Layout, called_as
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Reduction, Task


@dataclass(frozen=True)
class Raised:
    """Why compiled code ended: the call of a user's function in `node` raised. Its arguments, if they are numbers, are
    in slots from `slot` on."""

    node: Node
    slot: int | None = None
    kind: str = "raised"


@dataclass(frozen=True)
class Broken:
    """Why compiled code ended: the kernel of `node` has refused one of its matrices."""

    node: Node
    kind: str = "broken"


class Body:
    """The statements of one loop level, and the names that they gave to scalar nodes."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.names: dict[Node, Expression] = {}
        self.registers: dict[Node, Expression] = {}
        # None for those that accumulate in their buffers
        self.accumulators: dict[Reduction, Name | None] = {}
        # index checks that stand in it
        self.guarded: set[Task] = set()


class Memory(Protocol):
    """Where a target has arrays, lengths and arguments."""

    def supplies(self, node: Node) -> bool:
        """Whether a number that is computed comes with the call, as lengths do."""

    def supplied(self, node: Node) -> Expression:
        """An argument, a length, or a number that comes with the call."""

    def element(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> Load:
        """An element of a buffer. flat: by its position. view: the user's name for what is read, a window of it."""

    def apart(self, pointers: Sequence[Name]) -> list[Name]:
        """Those of the pointers of a loop whose memory no other one of them overlaps; none where it is not known."""


@dataclass(frozen=True)
class Setting:
    """What functions are made of and for: a schedule, the layout of the table, and the target's vectorised functions
    (name and dtype to "module.function"). reserved: names that no variable may have."""

    schedule: Schedule
    layout: Layout
    vector: Mapping[tuple[str, str], str]
    reserved: frozenset[str]

    @classmethod
    def of(
        cls,
        schedule: Schedule,
        vector: Mapping[tuple[str, str], str],
        reserved: frozenset[str] = RESERVED,
        layout: Layout | None = None,
    ) -> Setting:
        """The setting of a schedule. reserved: what all code of its kind uses. layout: None for a new one."""
        return cls(schedule, layout or Layout(schedule), vector, reserved | imported(vector.values()))

    def names(self) -> Names:
        """Names for the variables of a function."""
        return Names({*self.reserved, *self.layout.functions.values()})


class Values:
    """The bodies of one function that is being made, and the values in them."""

    def __init__(self, setting: Setting, memory: Callable[[Values], Memory], names: Names) -> None:
        self.setting = setting
        self.schedule = setting.schedule
        self.graph = setting.schedule.graph
        self.layout = setting.layout
        self.notes = Notes(self.graph, setting.layout)
        self.origin = self.notes.origin
        self.names = names
        self.imports: set[str] = set()
        # the counters of the open loops, by level
        self.counters: dict[int, Name] = {}
        # what stands for a counter in each of several rounds that are made together
        self.members: dict[Node, Name] = {}
        self.bodies = [Body()]
        # what is known in the piece of a loop that is being made
        self.settled: Settled | None = None
        self.memory = memory(self)

    @property
    def body(self) -> Body:
        """The innermost open loop body."""
        return self.bodies[-1]

    @property
    def statements(self) -> list[Statement]:
        """Those of the function itself."""
        return self.bodies[0].statements

    def add(self, statement: Statement, level: int | None = None) -> None:
        """Add a statement at a loop level (default: the innermost)."""
        last = len(self.bodies) - 1
        self.bodies[last if level is None else min(level, last)].statements.append(statement)

    def assign(
        self, name: str | Name, value: Expression, note: str = "", node: Node | None = None, level: int | None = None
    ) -> Name:
        """Add `name = value`; returns the name."""
        target = Name(name, value.dtype) if isinstance(name, str) else name
        self.add(Assign(target, value, **self.origin(node, note)), level)
        return target

    def counter(self, level: int, called: int | None = None) -> Name:
        """The counter of a new loop at a level. called: the level whose letter it has, of the first of several loops
        that are one."""
        self.counters[level] = Name(self.names.counter(level if called is None else called))
        return self.counters[level]

    # -- scalars ------------------------------------------------------------------------------------------------

    def whole(self, number: Any) -> Expression:
        """A length, or another whole number of the plan, as it is written."""
        return self.value(self.graph.as_index(number))

    def length(self, length: Any) -> Expression:
        """A length, as it is known."""
        return self.whole(self.graph.find(length))

    def value(self, root: Node) -> Expression:
        """A scalar node: a name or a number. Statements that it needs are added at their levels."""
        root = self.as_settled(root)
        for node in self._undefined(root):
            if not self.is_inline(node):
                self._define(node)
        return self.expression(root)

    def as_settled(self, root: Node) -> Node:
        """A scalar node as it is in the piece of a loop that is being made."""
        return root if self.settled is None else self.settled(root)

    def _undefined(self, root: Node) -> list[Node]:
        """The nodes below `root` that have no name yet, inputs first; what comes with the call is not looked into, and
        is left out where only an address is made of it."""
        done: dict[Node, None] = {}
        parts: set[Node] = set()
        # (node, whether its inputs are done, whether it is a part of an address)
        stack = [(root, False, False)]
        while stack:
            node, ready, inside = stack.pop()
            if node in done or self._known(node) is not None:
                continue
            if ready:
                done[node] = None
                continue
            supplied = node.kind == "extent" or self.memory.supplies(node)
            if inside and (supplied or node in parts):
                continue
            load = node.kind == "load"
            inside = load or (inside and self.is_inline(node))
            if inside and not load:
                # only as a part of an address: elsewhere all of it may be needed
                parts.add(node)
            else:
                stack.append((node, True, False))
            if not supplied:
                stack.extend((v, False, inside) for v in reversed(node.inputs[1:] if load else node.inputs))
        return list(done)

    def _known(self, node: Node) -> Expression | None:
        for body in self.bodies:
            if node in body.names:
                return body.names[node]
        return None

    def is_inline(self, node: Node) -> bool:
        """Whether the node is written where it is used: literals, counters, and index sums."""
        if node.kind in ("number", "loop"):
            return True
        return node.kind == "op" and node.dtype == "int64" and node.depth > 0 and sign_of(node) is not None

    def expression(self, node: Node) -> Expression:
        """The name of a defined node, or its expression where it is written in place."""
        known = self._known(node)
        if known is not None:
            return known
        if node.kind == "number":
            return number(node.value, node.dtype)
        if node.kind == "loop":
            return self.members.get(node) or self.counters[node.attrs[0]]
        sign = sign_of(node)
        assert sign is not None, node
        a, b = (self.expression(v) for v in node.inputs)
        return Binary(sign, a, b)

    def _define(self, node: Node) -> None:
        """Add the statement that computes one node."""
        level = min(node.depth, len(self.bodies) - 1)
        origin = self.schedule.elements.origin.get(node)
        if node.kind == "load":
            self._define_load(node, level, origin)
            return
        if node.kind in ("scalar", "extent", "step") or self.memory.supplies(node):
            self.bodies[0].names[node] = self.memory.supplied(node)
            return
        assert node.op is not None, node
        operands = [self.expression(v) for v in node.inputs]
        if node.op.user is not None:
            self._define_call(node, operands, level, origin)
            return
        if is_missing(node.op, self.setting.vector):
            raise OptionError(refusal(node, self.graph.lines.get(origin or node, ())))
        expression = scalar(node.op, operands, node.dtype, self.setting.vector, self.imports)
        wish = self._wish(node, origin)
        name = Name(self.names.fresh(wish), node.dtype, plain=not wish)
        note = self.notes.op(node, origin)
        self.bodies[level].names[node] = self.assign(name, expression, note, origin or node, level)

    def _define_load(self, node: Node, level: int, origin: Node | None) -> None:
        buffer = node.inputs[0]
        place = self.schedule.buffers.get(buffer)
        if place is not None and place.place == "register":
            body = next(body for body in self.bodies if buffer in body.registers)
            body.names[node] = body.registers[buffer]
            return
        names = self.graph.names
        # a view in loops has its name, an element that stands alone keeps it for its value
        seen = origin is not None and origin.op is not None and origin.op.element is not None and node.depth > 0
        view = names.get(origin) if seen and origin is not None else None
        value = as_read(self.memory.element(buffer, node.inputs[1:], bool(node.attrs), view), buffer.dtype)
        wish = self._wish(node, origin) if origin is not node else None
        name = Name(self.names.fresh(wish, "x" if buffer.kind in LEAVES else "v"), value.dtype, plain=not wish)
        self.bodies[level].names[node] = self.assign(name, value, self.notes.array(buffer), origin or buffer, level)

    def _define_call(self, node: Node, operands: Sequence[Expression], level: int, origin: Node | None) -> None:
        """Add the call of a user's function; one that may raise ends the phase when it does."""
        assert node.op is not None
        key = called_as(node)
        assert key is not None
        # simulated numbers have other dtypes than compiled ones
        converts = node.op.converts or self.graph.traits.grid
        returned = "int64" if converts and node.dtype == "bool" else node.dtype
        call: Expression = Call(self.layout.functions[key], tuple(operands), returned)
        note = self.notes.op(node, origin)
        name = self.names.fresh(self._wish(node, origin), partner="_raised")
        self.bodies[level].names[node] = Name(name, node.dtype)
        if key[-1]:
            raised = Name(f"{name}_raised", "bool")
            value = Name(self.names.fresh(None) if converts else name, returned)
            self.add(Assign((value, raised), call, **self.origin(origin or node, note)), level)
            status = self.layout.fail_code(Raised(origin or node, first := self.layout.arguments_of(node)))
            refused = Return(
                Call("refuse", (TABLE, self.layout.at(first), Number(status, role="code"), Several(tuple(operands))))
            )
            self.add(If(raised, (refused,), **self.origin(origin or node)), level)
            if not converts:
                return
            call = value
        if converts:
            call = Compare("!=", call, whole(0)) if node.dtype == "bool" else Call(node.dtype, (call,), node.dtype)
        self.assign(Name(name, node.dtype), call, note, origin or node, level)

    def _wish(self, node: Node, origin: Node | None) -> str | None:
        return self.graph.names.get(origin) if origin is not None else self.graph.names.get(node)


def refusal(node: Node, lines: Sequence[Any]) -> str:
    """What the error says of an op that devices do not have."""
    assert node.op is not None
    called = node.op.called(node.attributes)
    return (
        f"{called} runs on the processor only: devices have no kernel of it\n"
        f"  called at {', '.join(map(str, lines))}\n"
        '  fix: target="cpu"; its result can be an argument of a function on the device'
    )


def as_read(value: Expression, dtype: str) -> Expression:
    """An element of memory as a number of a dtype: bools are uint8 there."""
    return Compare("!=", value, whole(0)) if dtype == "bool" else value


def as_stored(value: Expression, dtype: str) -> Expression:
    """A number of a dtype as memory holds it."""
    return Call("uint8", (value,), "uint8") if dtype == "bool" else value
