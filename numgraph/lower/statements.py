"""Compiles the statements of one function, in single assignment: where ways meet, a variable becomes a phi."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from llvmlite import ir
from numba.core import types

from numgraph.lower.expressions import Expressions, assigned, folded
from numgraph.lower.values import INT64, Type, Unsupported, Value, literal


class Widened(Exception):
    """A variable turned out to have a wider type in a loop; the function is to be compiled anew."""


class Statements(Expressions):
    """The statements of one function. ended: control does not get to the present place."""

    ended = False

    def run(self, result: Type | None, widened: dict[tuple[ast.stmt, str], Type]) -> Type | None:
        """Compile the body; returns the type of what it returns (None for nothing), `result` where that is given.

        widened: types that variables have in loops; Widened is raised when one is added.
        """
        self.widened = widened
        self.returns: list[tuple[Any, Value | None]] = []
        self.builder.debug_metadata = self.program.lines.at(self.function, self.source.tree.lineno)
        self.suite(self.source.tree.body)
        if not self.ended:
            self.returns.append((self.builder.block, None))
        found = result or self._returned()
        for block, value in self.returns:
            self.builder.position_at_end(block)
            self._leave(value, found)
        return found

    def _returned(self) -> Type | None:
        """The common type of all returned values."""
        types = [None if value is None else value.type for _, value in self.returns]
        found = types[0]
        for other in types[1:]:
            if (found is None) != (other is None):
                raise Unsupported("a function that returns a value at some places")
            found = None if found is None or other is None else self.rules.common(found, other)
        return found

    def _leave(self, value: Value | None, found: Type | None) -> None:
        if found is None:
            self.builder.ret_void()
            return
        if value is None:
            raise Unsupported("a function that ends without a value")
        if isinstance(found, types.BaseTuple):
            made: Any = ir.Constant(self.rules.form(found), ir.Undefined)
            for k, part in enumerate(value.llvm):
                made = self.builder.insert_value(made, part, k)
            self.builder.ret(made)
            return
        self.builder.ret(self.rules.cast(self.builder, value, found))

    def suite(self, statements: Sequence[ast.stmt]) -> None:
        """Compile statements up to one behind which control does not get."""
        around = self.builder.debug_metadata
        for statement in statements:
            if self.ended:
                break
            self.builder.debug_metadata = self.program.lines.at(self.function, statement.lineno)
            made = getattr(self, f"_do_{type(statement).__name__}", None)
            if made is None:
                raise Unsupported(ast.unparse(statement))
            made(statement)
        self.builder.debug_metadata = around

    # -- simple statements ------------------------------------------------------------------------------------------

    def _do_Expr(self, statement: ast.Expr) -> None:
        if not isinstance(statement.value, ast.Constant):
            self.result(statement.value)

    def _do_Return(self, statement: ast.Return) -> None:
        value = self.value(statement.value) if statement.value is not None else None
        self.returns.append((self.builder.block, value))
        self.ended = True

    def _do_Assign(self, statement: ast.Assign) -> None:
        value = self.value(statement.value)
        for target in statement.targets:
            self._assign(target, value)

    def _assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Subscript):
            place, kind = self.place(self.value(target.value), target.slice)
            stored = self.builder.store(self.rules.cast(self.builder, value, kind), place)
            self.accessed(target.value, stored)
        elif isinstance(target, ast.Tuple):
            for part, element in zip(target.elts, value.parts(), strict=True):
                self._assign(part, element)
        else:
            raise Unsupported(ast.unparse(target))

    def _do_AugAssign(self, statement: ast.AugAssign) -> None:
        target = statement.target
        if isinstance(target, ast.Name):
            old = self.value(ast.Name(target.id, ast.Load()))
            self.names[target.id] = self.binary(statement.op, old, self.value(statement.value))
            return
        if not isinstance(target, ast.Subscript):
            raise Unsupported(ast.unparse(statement))
        place, kind = self.place(self.value(target.value), target.slice)
        old = Value(kind, self.accessed(target.value, self.builder.load(place)))
        new = self.binary(statement.op, old, self.value(statement.value))
        self.accessed(target.value, self.builder.store(self.rules.cast(self.builder, new, kind), place))

    # -- conditions -------------------------------------------------------------------------------------------------

    def _do_If(self, statement: ast.If) -> None:
        test = self.condition(statement.test)
        blocks = [self.function.append_basic_block(n) for n in ("then", "else")]
        self.builder.cbranch(test, *blocks)
        before, ends = self.names, []
        for block, suite in zip(blocks, (statement.body, statement.orelse), strict=True):
            self.builder.position_at_end(block)
            self.names = dict(before)
            self.suite(suite)
            if not self.ended:
                ends.append((self.builder.block, self.names))
            self.ended = False
        if not ends:
            self.ended = True
        elif len(ends) == 1:
            block, self.names = ends[0]
            self.builder.position_at_end(block)
        else:
            self._meet(ends)

    def _meet(self, ends: list[tuple[Any, dict[str, Value]]]) -> None:
        """Go on behind two ways; a variable that only one of them has is none."""
        (_, one), (_, other) = ends
        merged = {}
        differing = []
        for name, value in one.items():
            if name in other and other[name] is value:
                merged[name] = value
            elif name in other:
                differing.append((name, self.rules.common(value.type, other[name].type)))
        after = self.function.append_basic_block("after")
        incoming: dict[str, list[tuple[Any, Any]]] = {name: [] for name, _ in differing}
        for block, names in ends:
            self.builder.position_at_end(block)
            for name, kind in differing:
                incoming[name].append((self.rules.cast(self.builder, names[name], kind), block))
            self.builder.branch(after)
        self.builder.position_at_end(after)
        for name, kind in differing:
            merged[name] = Value(kind, self.phi(kind, incoming[name]))
        self.names = merged

    # -- loops ------------------------------------------------------------------------------------------------------

    def _do_For(self, statement: ast.For) -> None:
        """`for i in range(...)`: the condition is tested before the loop and at its end."""
        call = statement.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not (is_range and isinstance(call, ast.Call) and isinstance(statement.target, ast.Name)) or statement.orelse:
            raise Unsupported(ast.unparse(statement))
        start, step, within, counted = self._range(call.args)
        outer, phis = self._enter(statement, statement.body)
        before = self.builder.block
        loop, done = (self.function.append_basic_block(n) for n in ("loop", "done"))
        self.builder.cbranch(within(start), loop, done)
        self.builder.position_at_end(loop)
        counter = self.builder.phi(ir.IntType(64))
        self._top(outer, phis, before)
        self.names[statement.target.id] = Value(INT64, counter)
        self._body(statement.body)
        ends = [(before, outer)]
        counter.add_incoming(start, before)
        if not self.ended:
            following = self.builder.add(counter, step, flags=["nsw"])
            latch = self.builder.block
            self._again(statement, phis)
            counter.add_incoming(following, latch)
            self._back(statement, self.builder.cbranch(within(following), loop, done), counted)
            ends.append((latch, self.names))
        self.ended = False
        self.builder.position_at_end(done)
        self.names = dict(outer)
        for name, phi in phis.items():
            made = self.phi(phi.type, [(names[name].llvm, block) for block, names in ends])
            self.names[name] = Value(phi.type, made)

    def _body(self, body: Sequence[ast.stmt]) -> None:
        """The body of a loop, with what is said of its arrays."""
        around = self.accesses, self.alone
        self.accesses, self.alone = [], set()
        self.suite(body)
        if self.alone:
            import_module("numgraph.kernels.loops_ir").set_apart(self.function.module, self.accesses, self.alone)
        self.accesses, self.alone = around

    def _range(self, arguments: list[ast.expr]) -> tuple[Any, Any, Callable[[Any], Any], bool]:
        """Start and step of a range, the condition that a counter is in it, and whether its length is known."""
        values = [self.value(a) for a in arguments]
        if any(v.type != INT64 for v in values) or not 1 <= len(values) <= 3:
            raise Unsupported("a range of what is no int64")
        numbers = [v.llvm for v in values]
        counted = all(isinstance(n, ir.Constant) for n in numbers)
        if len(numbers) == 1:
            numbers.insert(0, ir.IntType(64)(0))
        start, stop = numbers[:2]
        if len(numbers) == 2:
            return start, ir.IntType(64)(1), lambda i: self.builder.icmp_signed("<", i, stop), counted
        step, known = numbers[2], folded(arguments[2])
        if known is None:
            known = literal(values[2])
        if known:
            sign = "<" if known > 0 else ">"
            return start, step, lambda i: self.builder.icmp_signed(sign, i, stop), counted
        up = self.builder.icmp_signed(">", step, step.type(0))

        def within(i: Any) -> Any:
            rising, falling = (self.builder.icmp_signed(s, i, stop) for s in "<>")
            return self.builder.select(up, rising, falling)

        return start, step, within, counted

    def _enter(self, loop: ast.stmt, body: Sequence[ast.stmt]) -> tuple[dict[str, Value], dict[str, Value]]:
        """Go from the present block into a loop: the names before it, and phis for those that its body assigns."""
        outer = dict(self.names)
        repeated = [name for name in assigned(body) if name in outer]
        for name in repeated:
            kind = self.widened.get((loop, name))
            if kind is not None:
                outer[name] = Value(kind, self.rules.cast(self.builder, outer[name], kind))
        return outer, {name: Value(outer[name].type, None) for name in repeated}

    def _top(self, outer: dict[str, Value], phis: dict[str, Value], before: Any) -> None:
        """At the top of a loop, which the block `before` leads to."""
        self.names = dict(outer)
        for name, value in phis.items():
            made = self.phi(value.type, [(outer[name].llvm, before)])
            self.names[name] = phis[name] = Value(value.type, made)

    def _again(self, loop: ast.stmt, phis: dict[str, Value]) -> None:
        """At the end of a loop's body: what its variables are at its top the next time."""
        for name, phi in phis.items():
            if name not in self.names:
                raise Unsupported(f"the variable {name}, which has no value at the end of a loop")
            kind = self.rules.common(self.names[name].type, phi.type)
            if kind != phi.type:
                self.widened[loop, name] = kind
                raise Widened
            self.names[name] = Value(kind, self.rules.cast(self.builder, self.names[name], kind))
            phi.llvm.add_incoming(self.names[name].llvm, self.builder.block)

    def _back(self, loop: ast.For | ast.While, branch: Any, counted: bool = True) -> None:
        """Note how the loop that this branch ends is unrolled. counted: whether LLVM knows how many iterations it has.

        One that contains loops is not: LLVM would make several copies of all that is in it, each with a remainder,
        which takes half of its time and gains nothing. Nor is a loop over an array, of a number of iterations that is
        not known: where that gains something, its vectors are interleaved already, and what else LLVM would unroll is
        the loop that is left over for short arrays and for those that overlap. That takes up to a third of its time.
        """
        hints = import_module("numgraph.kernels.loops_ir")
        vars(self.function).pop("instead", None)
        if any(isinstance(part, ast.For | ast.While) for statement in loop.body for part in ast.walk(statement)):
            hints.note(branch, "unroll.disable")
        elif not counted and self.source.phase is not None:
            hints.note(branch, "unroll.runtime.disable")

    def _do_While(self, statement: ast.While) -> None:
        if statement.orelse:
            raise Unsupported(ast.unparse(statement))
        outer, phis = self._enter(statement, statement.body)
        before = self.builder.block
        top, loop, done = (self.function.append_basic_block(n) for n in ("while", "loop", "done"))
        self.builder.branch(top)
        self.builder.position_at_end(top)
        self._top(outer, phis, before)
        at_top = dict(self.names)
        self.builder.cbranch(self.condition(statement.test), loop, done)
        self.builder.position_at_end(loop)
        self.suite(statement.body)
        if not self.ended:
            self._again(statement, phis)
            self._back(statement, self.builder.branch(top))
        self.ended = False
        self.names = at_top
        self.builder.position_at_end(done)
