"""Compiles the expressions of one function."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba.core import types

from numgraph.lower.sources import Source, function_of
from numgraph.lower.values import BOOL, INT64, Type, Unsupported, Value, literal, tuple_of

if TYPE_CHECKING:
    from numgraph.lower.program import Program

# What an operand may consist of that is computed whether it is needed or not, as LLVM would decide itself.
_CHEAP = (
    ast.Name, ast.Constant, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.BitAnd, ast.BitOr,
    ast.BitXor, ast.LShift, ast.RShift, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.IfExp, ast.Attribute,
    ast.Load,
)  # fmt: skip
_FOLDED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b, ast.Pow: lambda a, b: a**b,
    ast.LShift: lambda a, b: a << b,
}  # fmt: skip


# What Numba computes for Python's operators. The others (`**`) it rewrites first.
OPERATORS: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.USub: operator.neg,
    ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


# The parts of a complex number, by where they stand in it.
PARTS = {"real": 0, "imag": 1}


# Small whole numbers are computed here: kernels ask whether a size is one.
SMALL: dict[type, Callable[[int, int], int]] = {
    ast.Add: lambda x, y: x + y, ast.Sub: lambda x, y: x - y, ast.Mult: lambda x, y: x * y,
    ast.FloorDiv: lambda x, y: x // y, ast.RShift: lambda x, y: x >> min(y, 63),
}  # fmt: skip


def is_cheap(tree: ast.expr) -> bool:
    """Whether an expression may be computed where its value may not be wanted: no reads, calls or divisions."""
    return all(isinstance(node, _CHEAP) for node in ast.walk(tree))


def folded(tree: ast.expr) -> Any:
    """The number that Python itself makes of an expression of literals; None where it is none."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, bool | int | float):
        return tree.value
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        number = folded(tree.operand)
        return None if number is None else -number
    if isinstance(tree, ast.BinOp) and type(tree.op) in _FOLDED:
        a, b = folded(tree.left), folded(tree.right)
        return None if a is None or b is None else _FOLDED[type(tree.op)](a, b)
    return None


def assigned(body: Sequence[ast.stmt]) -> list[str]:
    """The names that statements assign, each once."""
    found: dict[str, None] = {}
    rest: list[ast.AST] = list(reversed(body))
    while rest:
        node = rest.pop()
        if isinstance(node, ast.Name):
            found[node.id] = None
        elif isinstance(node, ast.Tuple):
            rest += node.elts
        elif isinstance(node, ast.Assign):
            rest += node.targets
        elif isinstance(node, ast.AugAssign):
            rest.append(node.target)
        elif isinstance(node, ast.For):
            rest += [*node.body, node.target]
        elif isinstance(node, ast.While | ast.If):
            rest += [*node.body, *node.orelse]
    return list(found)


class Expressions:
    """The expressions of one function. names: the values of its variables at the present place."""

    def __init__(self, program: Program, source: Source, function: Any, names: dict[str, Value]) -> None:
        self.program, self.rules = program, program.rules
        self.source = source
        self.function = function
        self.names = names
        self.locals = {*names, *assigned(source.tree.body)}
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        # of the innermost loop: loads and stores by the name of the pointer, and what `apart` says
        self.accesses: list[tuple[str, Any]] = []
        self.alone: set[str] = set()

    def value(self, tree: ast.expr) -> Value:
        """The value of an expression."""
        found = self.result(tree)
        if found is None:
            raise Unsupported(f"the value of {ast.unparse(tree)}")
        return found

    def result(self, tree: ast.expr) -> Value | None:
        """The value of an expression, None for a call that gives none."""
        if isinstance(tree, ast.Name) and tree.id in self.names:
            return self.names[tree.id]
        number = folded(tree)
        if number is not None:
            return self.constant(number)
        made = getattr(self, f"_{type(tree).__name__}", None)
        if made is None:
            raise Unsupported(ast.unparse(tree))
        result: Value | None = made(tree)
        return result

    def constant(self, number: Any) -> Value:
        """A Python or NumPy number, or a tuple of such."""
        return self.rules.constant(number)

    def meaning(self, tree: ast.expr) -> Any:
        """What a name stands for that is no variable: a function, a constant, a module."""
        if isinstance(tree, ast.Name):
            if tree.id in self.locals:
                raise Unsupported(f"the variable {tree.id}, which has no value or is no function")
            return self.source.find(tree.id)
        if isinstance(tree, ast.Attribute):
            found = getattr(self.meaning(tree.value), tree.attr, None)
            if found is not None:
                return found
        raise Unsupported(ast.unparse(tree))

    # -- kinds of expressions -------------------------------------------------------------------------------------

    def _Name(self, tree: ast.Name) -> Value:
        return self.constant(self.meaning(tree))

    def _Attribute(self, tree: ast.Attribute) -> Value:
        part = PARTS.get(tree.attr)
        if part is not None:
            # of a complex number; a float has no such attribute here
            base = self.value(tree.value)
            if not isinstance(base.type, types.Complex):
                raise Unsupported(ast.unparse(tree))
            return Value(base.type.underlying_float, self.builder.extract_value(base.llvm, part))
        return self.constant(self.meaning(tree))

    def _Tuple(self, tree: ast.Tuple) -> Value:
        return tuple_of([self.value(part) for part in tree.elts])

    def _BinOp(self, tree: ast.BinOp) -> Value:
        return self.binary(tree.op, self.value(tree.left), self.value(tree.right))

    def binary(self, sign: ast.operator, a: Value, b: Value) -> Value:
        """`a OP b` of two scalars."""
        if type(sign) in SMALL and a.type == b.type == INT64:
            x, y = literal(a), literal(b)
            if x is not None and y is not None and 0 <= x < 2**31 and 0 < y < 2**31:
                return self.constant(SMALL[type(sign)](x, y))
        return self.operation(sign, a, b)

    def operation(self, sign: ast.AST, *values: Value) -> Value:
        """What Numba makes of an operator."""
        if type(sign) not in OPERATORS:
            raise Unsupported(f"the operator {type(sign).__name__}")
        return self.rules.call(self.builder, OPERATORS[type(sign)], values)

    def _UnaryOp(self, tree: ast.UnaryOp) -> Value:
        value = self.value(tree.operand)
        if isinstance(tree.op, ast.Not):
            return Value(BOOL, self.builder.not_(self.rules.truth(self.builder, value)))
        return self.operation(tree.op, value)

    def _Compare(self, tree: ast.Compare) -> Value:
        if not all(map(is_cheap, tree.comparators[1:])):
            raise Unsupported(ast.unparse(tree))
        values = [self.value(part) for part in (tree.left, *tree.comparators)]
        found = [self.operation(sign, *pair) for sign, pair in zip(tree.ops, pairwise(values), strict=True)]
        return Value(BOOL, reduce(self.builder.and_, [value.llvm for value in found]))

    def condition(self, tree: ast.expr) -> Any:
        """The LLVM bool of a condition."""
        return self.rules.truth(self.builder, self.value(tree))

    def _BoolOp(self, tree: ast.BoolOp) -> Value:
        is_and = isinstance(tree.op, ast.And)
        result = self.value(tree.values[0])
        for part in tree.values[1:]:
            if result.type != BOOL:
                raise Unsupported(f"{ast.unparse(tree)} of what is no bool")
            if is_cheap(part):
                other = self.value(part)
                made = (self.builder.and_ if is_and else self.builder.or_)(result.llvm, self._bool(other))
                result = Value(BOOL, made)
            elif is_and:
                result = self.choice(result.llvm, lambda part=part: self.value(part), lambda r=result: r)  # type: ignore[misc]
            else:
                result = self.choice(result.llvm, lambda r=result: r, lambda part=part: self.value(part))  # type: ignore[misc]
        return result

    def _bool(self, value: Value) -> Any:
        if value.type != BOOL:
            raise Unsupported("`and` or `or` of what is no bool")
        return value.llvm

    def _IfExp(self, tree: ast.IfExp) -> Value:
        return self.chosen(self.condition(tree.test), tree.body, tree.orelse)

    def chosen(self, test: Any, yes: ast.expr, no: ast.expr) -> Value:
        """The value of one of two expressions; of tuples part by part."""
        if isinstance(yes, ast.Tuple) and isinstance(no, ast.Tuple) and len(yes.elts) == len(no.elts):
            return tuple_of([self.chosen(test, *pair) for pair in zip(yes.elts, no.elts, strict=True)])
        if not (is_cheap(yes) and is_cheap(no)):
            return self.choice(test, lambda: self.value(yes), lambda: self.value(no))
        a, b = self.value(yes), self.value(no)
        kind = self.rules.common(a.type, b.type)
        x, y = (self.rules.cast(self.builder, v, kind) for v in (a, b))
        return Value(kind, self.builder.select(test, x, y))

    def choice(self, test: Any, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
        """The value of one of two expressions, of which only one is computed."""
        then, otherwise, after = (self.function.append_basic_block(n) for n in ("then", "else", "after"))
        self.builder.cbranch(test, then, otherwise)
        found = []
        for block, made in ((then, yes), (otherwise, no)):
            self.builder.position_at_end(block)
            value = made()
            found.append((value, self.builder.block))
        kind = self.rules.common(found[0][0].type, found[1][0].type)
        incoming = []
        for value, block in found:
            self.builder.position_at_end(block)
            incoming.append((self.rules.cast(self.builder, value, kind), block))
            self.builder.branch(after)
        self.builder.position_at_end(after)
        return Value(kind, self.phi(kind, incoming))

    def phi(self, kind: Any, incoming: list[tuple[Any, Any]]) -> Any:
        """A value that depends on the block control comes from."""
        if isinstance(kind, types.BaseTuple):
            raise Unsupported("a tuple that depends on a condition")
        found = self.builder.phi(self.rules.form(kind))
        for value, block in incoming:
            found.add_incoming(value, block)
        return found

    # -- memory ---------------------------------------------------------------------------------------------------

    def _Subscript(self, tree: ast.Subscript) -> Value:
        if isinstance(tree.value, ast.Name) and tree.value.id not in self.locals:
            return self._element(self.meaning(tree.value), self.value(tree.slice))
        base = self.value(tree.value)
        if isinstance(base.type, types.BaseTuple):
            number = folded(tree.slice)
            if not isinstance(number, int) or not 0 <= number < len(base.type):
                raise Unsupported(ast.unparse(tree))
            return base.parts()[number]
        place, kind = self.place(base, tree.slice)
        return Value(kind, self.accessed(tree.value, self.builder.load(place)))

    def accessed(self, pointer: ast.expr, instruction: Any) -> Any:
        """Note a load or store through a pointer in the innermost loop; returns the instruction."""
        if isinstance(pointer, ast.Name):
            self.accesses.append((pointer.id, instruction))
        return instruction

    def place(self, base: Value, index: ast.expr) -> tuple[Any, Type]:
        """The LLVM pointer to an element, and the element's type."""
        if not isinstance(base.type, types.CPointer):
            raise Unsupported(f"an element of a {base.type}")
        position = self.value(index)
        if not isinstance(position.type, types.Integer):
            raise Unsupported(f"an index of type {position.type}")
        at = self.rules.cast(self.builder, position, INT64)
        return self.builder.gep(base.llvm, [at]), base.type.dtype

    def _element(self, array: Any, position: Value) -> Value:
        """An element of a constant array; a negative index counts from its end."""
        if not (isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "fiu"):
            raise Unsupported("an element of what is no array")
        kind, at = getattr(types, array.dtype.name), self.rules.cast(self.builder, position, INT64)
        if position.type.signed:
            below = self.builder.icmp_signed("<", at, at.type(0))
            at = self.builder.select(below, self.builder.add(at, at.type(array.size)), at)
        start = self.program.constant_array(array, kind)
        return Value(kind, self.builder.load(self.builder.gep(start, [at.type(0), at])))

    # -- calls ----------------------------------------------------------------------------------------------------

    def _Call(self, tree: ast.Call) -> Value | None:
        if tree.keywords:
            raise Unsupported(ast.unparse(tree))
        if isinstance(tree.func, ast.Attribute) and tree.func.attr == "view":
            return self._view(self.value(tree.func.value), self.meaning(tree.args[0]))
        target = self.meaning(tree.func)
        special = self.program.special.get(target)
        if special is not None:
            return special(self, tree.args)
        values = [self.value(a) for a in tree.args]
        function = function_of(target)
        if function is not None:
            return self.program.call(self.builder, function, values)
        return self.rules.called(self.builder, target, values)

    def _view(self, value: Value, target: Any) -> Value:
        """The bits of a number as another type of the same size."""
        kind = getattr(types, getattr(target, "__name__", ""), None)
        if not isinstance(kind, types.Number) or kind.bitwidth != value.type.bitwidth:
            raise Unsupported(f"a view of {value.type}")
        same = isinstance(kind, types.Float) == isinstance(value.type, types.Float)
        return Value(kind, value.llvm if same else self.builder.bitcast(value.llvm, self.rules.form(kind)))
