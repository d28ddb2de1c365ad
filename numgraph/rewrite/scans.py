"""Lowering of scans: nodes for what a step computes, with leaves for the step and for the states.

What is the same in all steps is the node that it is outside; a sequence's element is its row at the step. So nothing is
copied, and what a step does not change is an ordinary node, computed before the loop where that is worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.elements import Operand
from numgraph.errors import ShapeError
from numgraph.graph import Variable, describe
from numgraph.ir import Node, Scan
from numgraph.lengths import dims
from numgraph.lengths.sources import made_in_steps
from numgraph.ops import loop as loops
from numgraph.ops.batching import FULL
from numgraph.ops.loop import Loop
from numgraph.ops.subtensor import SUBTENSOR
from numgraph.rewrite.build import Builder
from numgraph.rewrite.halves import register

Lowered = Callable[[Builder, Sequence[Variable], dict[Variable, Node]], list[Node]]
CHANGED = "scan: a step changes the length of a state on axis {axis}: {{a}} after it, {{b}} before"


class Scans:
    """The results of scans among some variables. lowered: makes nodes of variables, with some that are known."""

    def __init__(self, builder: Builder, variables: Sequence[Variable], lowered: Lowered) -> None:
        self.builder, self.graph, self.lowered = builder, builder.graph, lowered
        self.scans: dict[Any, Scan] = {}
        # the states of which some result has all values, the first one, too: then others are parts of it
        self.traced = {(_key(v), v.attrs["state"]): v for v in variables if v.op is loops.TRACE}
        # what the results of each loop need of its operands
        self.read: dict[Any, set[int]] = {}
        for v in variables:
            if v.op is not None and v.op.loop:
                self.read.setdefault(_key(v), set()).update(loops.operands_of(v))

    def inputs(self, variable: Variable) -> Sequence[Variable]:
        """Those of a variable, without operands of a loop that no result needs: nothing is asked of them."""
        if variable.op is None or not variable.op.loop:
            return variable.inputs
        return [v for k, v in enumerate(variable.inputs) if k in self.read[_key(variable)]]

    def result(self, variable: Variable, inputs: Sequence[Any]) -> Node:
        """The node of a result of a scan."""
        loop: Loop = variable.attrs["loop"]
        op, attrs = variable.op, variable.attrs
        assert op is not None
        if op is loops.ROWS and (state := loop.state_of(loop.values[attrs["value"]])) is not None:
            if (_key(variable), state) not in self.traced:
                return self._of_state(variable, op, inputs, state)
            # the scan keeps all values of the state anyway, the first one, too
            whole = self._of_state(variable, loops.TRACE, inputs, state)
            key = (("slice", True, False, 1), *(FULL for _ in loop.states[state].type.shape))
            return self.builder.call(SUBTENSOR, whole, self.graph.number(1), key=key)
        if op in (loops.FINAL, loops.TRACE, loops.SAVED):
            return self._of_state(variable, op, inputs, attrs["state"])
        value = None if op is loops.COUNT else loop.values[attrs["value"]]
        return self._made(variable, op, inputs, value, ())

    def _of_state(self, variable: Variable, op: Any, inputs: Sequence[Any], state: int) -> Node:
        return self._made(variable, op, inputs, variable.attrs["loop"].nexts[state], (state,))

    def _made(
        self, variable: Variable, op: Any, inputs: Sequence[Any], value: Variable | None, asked: tuple[int, ...]
    ) -> Node:
        """A result: by the value that it asks for, and the state whose values those are."""
        loop, builder = variable.attrs["loop"], self.builder
        wanted = [v for v in (value, loop.until) if v is not None]
        states = loop.needed(wanted, asked)
        scan = self._scan(loop, inputs, _within(loop, inputs, wanted, states))
        nodes = self.lowered(builder, [*wanted, *(loop.nexts[k] for k in states)], scan.nodes)
        nexts = nodes[len(wanted) :]
        for k, new in zip(states, nexts, strict=True):
            self._keeps_lengths(inputs[0], scan.states[k], new, loop.nexts[k])
        first = nodes[0] if value is not None else inputs[0]
        condition = [nodes[len(wanted) - 1]] if loop.until is not None else []
        _, initials, _ = loop.parts(inputs[1:])
        pairs = [v for k, new in zip(states, nexts, strict=True) for v in (initials[k], new)]
        attrs = {"scan": scan.number, "states": states, "asked": asked, "ends": bool(condition)}
        attrs |= {key: variable.attrs[key] for key in ("every", "limit") if op is loops.SAVED}
        dtype = register(value.type.dtype) if value is not None else "int64"
        node = builder.result(op, [inputs[0], first, *condition, *pairs], {**attrs, "dtype": dtype})
        self.graph.call(node, loop.name)
        return node

    def _keeps_lengths(self, steps: Node, state: Node, new: Node, variable: Variable) -> None:
        """The condition that a state has the same lengths before and after a step, where there is one."""
        if len(state.dims) != len(new.dims):
            raise ShapeError(f"scan: a step changes the number of axes of a state\n  {describe(variable)}")
        none = dims.less(Operand(steps, self.builder.elements).value, 1)
        for axis, (n, m) in enumerate(zip(new.dims, state.dims, strict=True)):
            if not self.graph.equal_lengths(n, m):
                self.builder.require("equal", dims.where(none, m, n), m, CHANGED.format(axis=axis), new)

    def _scan(self, loop: Loop, inputs: Sequence[Any], within: frozenset[int]) -> Scan:
        """The scan with its leaves, one for all results of a loop with the same operands that vary with the same scans
        around it: what does not is computed outside of these."""
        key = (id(loop), tuple(inputs), within)
        if key in self.scans:
            return self.scans[key]
        graph = self.graph
        scan = self.scans[key] = Scan(graph, loop)
        none = dims.less(Operand(inputs[0], self.builder.elements).value, 1)
        # what a step around it computes would have to be looked at in that step
        if loop.lazy and isinstance(none, Node) and not made_in_steps(none):
            scan.idle = none
        sequences, initials, invariants = loop.parts(inputs[1:])
        for p, whole in zip(loop.sequences, sequences, strict=True):
            if whole is None:
                continue
            scan.nodes[p] = self.builder.call(loops.TURN, whole, scan.step)
            graph.call(scan.nodes[p], p.name)
        for k, (p, initial) in enumerate(zip(loop.states, initials, strict=True)):
            if initial is None:
                continue
            kind, lengths = register(p.type.dtype), tuple(map(graph.find, initial.dims))
            node = graph.make("state", None, (), (scan.number, k), kind, lengths)
            scan.states[k] = node
            scan.nodes[p] = node
            graph.mark(node, p.line)
            graph.call(node, p.name)
        for p, node in zip(loop.invariants, invariants, strict=True):
            if node is None:
                continue
            scan.nodes[p] = self.builder.call(loops.MEANWHILE, node, scan.step) if loop.lazy else node
        return scan


def _key(result: Variable) -> Any:
    return id(result.attrs["loop"]), tuple(map(id, result.inputs))


def _within(loop: Loop, inputs: Sequence[Any], values: Sequence[Variable], states: Sequence[int]) -> frozenset[int]:
    """The scans around a loop with whose steps a result varies, by the operands that it needs."""
    return frozenset().union(inputs[0].within, *(inputs[k].within for k in loops.read(loop, values, states)))
