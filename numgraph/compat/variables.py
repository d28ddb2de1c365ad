"""Attributes of variables that Theano's programs use and numgraph does without.

They are added when `numgraph.compat.theano` is imported. Methods that are there already take Theano's arguments
besides, see `numgraph.compat.methods`; `mean` counts in a dtype of integers, and `clip` with limits the wrong way
round, as Theano's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np

from numgraph.compat.methods import METHODS
from numgraph.function import Function
from numgraph.graph import Constant, Variable, frozen
from numgraph.op import Op
from numgraph.ops.define import f
from numgraph.ops.lengths import Lengths
from numgraph.ops.loop import ROWS, Loop, trace
from numgraph.shared import SharedVariable


class Tag(SimpleNamespace):
    """A place for attributes of a variable; `test_value` is its own, the others have no effect."""

    def __init__(self, variable: Variable) -> None:
        # a tag lives as long as its variable, and must not keep it alive
        self._variable = ref(variable)

    @property
    def test_value(self) -> Any:
        """`variable.test_value`."""
        return self._of().test_value

    @test_value.setter
    def test_value(self, value: Any) -> None:
        self._of().test_value = value

    def _of(self) -> Variable:
        found = self._variable()
        assert found is not None
        return found


_tags: WeakKeyDictionary[Variable, Tag] = WeakKeyDictionary()


class Scan:
    """The op of a loop's results, as programs look at it: the variables of a step."""

    def __init__(self, loop: Loop) -> None:
        self.name = loop.name
        self.inputs, self.outputs = list(loop.placeholders), [*loop.nexts, *loop.values]


class _Parts(type):
    """Ops that take a part are told by their name: numgraph has no classes of ops."""

    def __instancecheck__(cls, op: object) -> bool:
        return getattr(op, "name", None) == "subtensor"


class Subtensor(metaclass=_Parts):
    """The op of a part; what a scan gives of a state is a part of what has its first value, too."""

    name = "subtensor"


class Apply(NamedTuple):
    """How a variable is computed."""

    op: Op | Scan | Subtensor
    inputs: list[Variable]
    outputs: list[Variable]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and self.outputs[0] is other.outputs[0]

    def __hash__(self) -> int:
        return hash(self.outputs[0])

    @property
    def tag(self) -> SimpleNamespace:
        """A place for attributes, apart from that of the result."""
        found: SimpleNamespace = vars(self.outputs[0]).setdefault("_apply_tag", SimpleNamespace())
        return found

    def get_parents(self) -> list[Variable]:
        """The operands."""
        return list(self.inputs)


def tag(self: Variable) -> Tag:
    """A place for attributes, such as `tag.test_value`."""
    found = _tags.get(self)
    if found is None:
        found = _tags[self] = Tag(self)
    return found


def owner(self: Variable) -> Apply | None:
    """How the variable is computed; None for a leaf."""
    if self.op is None:
        return None
    op: Op | Scan = self.op
    if self.op.loop:
        loop: Loop = self.attrs["loop"]
        whole = _with_first_value(self, loop)
        if whole is not None:
            return Apply(Subtensor(), [whole], [self])
        # one for all results
        op = vars(loop).setdefault("_scan", Scan(loop))
    return Apply(op, list(self.inputs), [self])


def _with_first_value(result: Variable, loop: Loop) -> Variable | None:
    """The values of a state with its first one before them, of which the result of a scan is the rest; None for what is
    no state, for states that are looked at further back than one step, and where a condition may end the loop."""
    asked = loop.asked(result.attrs["value"]) if result.op is ROWS and loop.until is None else None
    number = next((k for k, v in enumerate(loop.nexts) if v is asked), None)
    if number is None or any(v is loop.states[number] for v in loop.nexts):
        return None
    found: Variable = vars(result).setdefault("_whole", trace(loop, result.inputs, number))
    return found


def io_toposort(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Apply]:
    """How variables are computed from `inputs`, operands before what is made of them, and later operands first."""
    done, order = set(inputs), []
    waiting = [owner(v) for v in reversed(outputs)]
    while waiting:
        node = waiting.pop()
        if node is None or node.outputs[0] in done:
            continue
        missing = [v for v in node.inputs if v not in done and v.op is not None]
        if missing:
            waiting += [node, *map(owner, missing)]
        else:
            done.update(node.outputs)
            order.append(node)
    return order


def get_parents(self: Variable) -> list[Apply]:
    """How the variable is computed, in a list; [] for a leaf."""
    found = owner(self)
    return [] if found is None else [found]


def shape_vector(shape: Lengths) -> Variable:
    """A shape as the vector that it is in Theano."""
    if shape:
        found: Variable = f.stack(list(shape))
    else:
        found = Constant(frozen(np.zeros(0, np.int64)))
        # a function of it has a use for what it is the shape of
        found.about = (shape.of,)
    return found


def shape_eval(self: Lengths, inputs_to_values: Any = None) -> Any:
    """The value of a shape, which is a vector in Theano."""
    return shape_vector(self).eval(inputs_to_values or {})


def maker(self: Function) -> SimpleNamespace:
    """What programs look at to see how a function is computed: `f.maker.fgraph.toposort()`, here the ops as written."""
    program = self.program
    nodes = [owner(v) for v in program.nodes() if v.op is not None]
    found = SimpleNamespace(
        inputs=list(program.variables), outputs=list(program.outputs), apply_nodes=nodes, toposort=lambda: list(nodes)
    )
    return SimpleNamespace(fgraph=found)


def container(self: SharedVariable) -> SimpleNamespace:
    """Where a shared variable's value lies, for programs that read it there: `container.storage[0]`."""
    value = self.get_value(borrow=True)
    return SimpleNamespace(storage=[value], data=value, value=value)


def broadcastable(self: SharedVariable) -> tuple[bool, ...]:
    """For each axis, whether `shared(..., broadcastable=)` said that its length is 1, or it is known to be."""
    found: tuple[bool, ...] = vars(self).get("_broadcastable", self.type.broadcastable)
    return found


_REFUSED = Variable.__array__


def as_object(self: Variable, dtype: Any = None, copy: Any = None) -> Any:
    """An array of objects that holds the variable, as NumPy makes one of Theano's: `np.prod([x, y])` multiplies them.
    TypeError for a dtype of numbers."""
    if dtype is not None and np.dtype(dtype) != object:
        return _REFUSED(self, dtype)
    found = np.empty((), object)
    found[()] = self
    return found


_PROPERTIES = {"tag": tag, "owner": owner}


def install(evaluated: Callable[..., Any]) -> None:
    """Add the attributes to numgraph's classes. evaluated: what `x.eval({y: value})` is."""
    setattr(Variable, "eval", evaluated)  # noqa: B010  # it has another one
    for name, getter in _PROPERTIES.items():
        if not hasattr(Variable, name):
            setattr(Variable, name, property(getter))
    for owner_class, listed in METHODS.items():
        for name, method in listed.items():
            setattr(owner_class, name, method)
    setattr(Variable, "get_parents", get_parents)  # noqa: B010  # mypy knows no such method
    setattr(SharedVariable, "broadcastable", property(broadcastable))  # noqa: B010  # it has another one
    setattr(SharedVariable, "container", property(container))  # noqa: B010  # mypy knows no such attribute
    setattr(Constant, "value", property(lambda self: self.data))  # noqa: B010  # Theano's older name
    setattr(Lengths, "eval", shape_eval)  # noqa: B010  # mypy knows no such method
    if not hasattr(Function, "maker"):
        setattr(Function, "maker", property(maker))  # noqa: B010  # mypy knows no such attribute
