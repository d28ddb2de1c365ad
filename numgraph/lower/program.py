"""Compiles an entry, and all functions of ours that it calls, as one LLVM module."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from numgraph.lower.expressions import Expressions
from numgraph.lower.lines import Lines
from numgraph.lower.sources import PHASES, Source, Sources, function_of
from numgraph.lower.statements import Statements, Widened
from numgraph.lower.values import FLOAT64, INT64, Rules, Type, Unsupported, Value


class Program:
    """The LLVM module of an entry. functions: compiled so far, by source and types of the arguments."""

    def __init__(self, module: Any, rules: Rules) -> None:
        self.module, self.rules = module, rules
        self.lines = Lines(module)
        self.functions: dict[tuple[Source, tuple[Type, ...], int | None], tuple[Any, Type | None]] = {}
        self.open: set[Source] = set()
        self.arrays: dict[int, Any] = {}
        self.sources = Sources()
        support, slowpath, loops = (import_module(f"numgraph.kernels.{n}") for n in ("support", "slowpath", "loops"))
        # what takes functions as arguments, and what Numba compiles from Python's words
        self.special: dict[Any, Callable[[Expressions, list[ast.expr]], Value]] = {
            support.launch: _launch, slowpath.beyond: _beyond, loops.apart: _apart,
            min: partial(_extreme, sign=ast.Lt()), max: partial(_extreme, sign=ast.Gt()),
        }  # fmt: skip

    def entry(self, function: FunctionType, kinds: tuple[Type, ...], result: Type | None, symbol: str) -> None:
        """Compile the entry of a generated module as the C function `symbol`, with everything that it needs."""
        found, _ = self.function(self.sources.of(function), kinds, result)
        del self.module.globals[found.name]
        found.name, found.linkage = symbol, ""
        self.module.globals[symbol] = found

    def call(self, builder: Any, called: FunctionType, values: Sequence[Value]) -> Value | None:
        """Call a function of these values."""
        source, rules = self.sources.of(called), self.rules
        phase = source.phase
        if phase is not None:
            values = [Value(t, rules.cast(builder, v, t)) for v, t in zip(values, phase, strict=True)]
        kinds = tuple(v.type for v in values)
        if any(isinstance(t, types.BaseTuple) for t in kinds):
            raise Unsupported("a tuple as an argument")
        size = getattr(values[0].llvm, "constant", None) if "sized" in source.decorators else None
        function, result = self.function(source, kinds, INT64 if phase else None, size)
        instead = vars(builder.function).get("instead")
        if instead is not None and set(kinds) == {result} and "scalar" in source.decorators:
            function = instead(function)
        made = builder.call(function, [v.llvm for v in values])
        if result is None:
            return None
        if isinstance(result, types.BaseTuple):
            return Value(result, [builder.extract_value(made, k) for k in range(len(result))])
        return Value(result, made)

    def function(
        self, source: Source, kinds: tuple[Type, ...], result: Type | None, size: int | None = None
    ) -> tuple[Any, Type | None]:
        """The LLVM function of a source for these types of arguments, and the type of its result.

        size: what the first argument always is, where that is known.
        """
        key = (source, kinds, size)
        if key not in self.functions:
            if source in self.open:
                raise Unsupported(f"{source.name}, which calls itself")
            self.open.add(source)
            self.functions[key] = self._compiled(source, kinds, result, size)
            self.open.remove(source)
        return self.functions[key]

    def _compiled(
        self, source: Source, kinds: tuple[Type, ...], result: Type | None, size: int | None
    ) -> tuple[Any, Type | None]:
        arguments = source.tree.args
        names = [a.arg for a in arguments.args]
        if len(names) != len(kinds) or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            raise Unsupported(f"{source.name} with {len(kinds)} arguments")
        widened: dict[tuple[ast.stmt, str], Type] = {}
        while True:
            # what it returns is known only when its body is compiled
            form = ir.FunctionType(ir.VoidType(), [self.rules.form(t) for t in kinds])
            function = ir.Function(self.module, form, self.module.get_unique_name(source.name))
            self.lines.function(function, source)
            variables = {n: Value(t, v) for n, t, v in zip(names, kinds, function.args, strict=True)}
            if size is not None:
                variables[names[0]] = self.rules.constant(size, INT64)
            try:
                found = Statements(self, source, function, variables).run(result, widened)
            except Widened:
                del self.module.globals[function.name]
                continue
            if found is not None:
                form.return_type = function.return_value.type = self.rules.form(found)
            function.linkage = "internal"
            for attribute in _attributes(source):
                function.attributes.add(attribute)
            return function, found

    def constant_array(self, array: Any, kind: Type) -> Any:
        """The global that holds a constant array."""
        if id(array) not in self.arrays:
            element = self.rules.form(kind)
            form = ir.ArrayType(element, array.size)
            found = ir.GlobalVariable(self.module, form, self.module.get_unique_name("array"))
            found.linkage, found.global_constant = "internal", True
            number = float if isinstance(kind, types.Float) else int
            found.initializer = ir.Constant(form, [ir.Constant(element, number(v)) for v in np.asarray(array)])
            self.arrays[id(array)] = found
        return self.arrays[id(array)]


def _attributes(source: Source) -> list[str]:
    if "scalar" in source.decorators:
        # a call that is left over would keep a loop scalar
        return ["alwaysinline", "nounwind"]
    # phases are called from several places; a copy in each would be optimised each time
    return ["noinline"] if {"jit", "divided", "shape", "sized", "called"} & set(source.decorators) else []


def _named(expressions: Expressions, tree: ast.expr) -> Source:
    """The function of ours that an argument names."""
    function = function_of(expressions.meaning(tree))
    if function is None:
        raise Unsupported(f"the function {ast.unparse(tree)}")
    return expressions.program.sources.of(function)


def _launch(expressions: Expressions, arguments: list[ast.expr]) -> Value:
    """`launch(launcher, phase, address, chunks, work)`."""
    program, builder = expressions.program, expressions.builder
    launcher, *others = (program.rules.cast(builder, expressions.value(arguments[k]), INT64) for k in (0, 2, 3, 4))
    chunk, _ = program.function(_named(expressions, arguments[1]), PHASES["divided"], INT64)
    build = import_module("numgraph.kernels.primitives").build_launch
    return Value(INT64, build(builder, launcher, chunk, *others))


def _apart(expressions: Expressions, arguments: list[ast.expr]) -> Value:
    """`apart(p, q, ...)`, said of the loop that is being compiled."""
    expressions.alone.update(tree.id for tree in arguments if isinstance(tree, ast.Name))
    return Value(INT64, ir.IntType(64)(0))


def _beyond(expressions: Expressions, arguments: list[ast.expr]) -> Value:
    """`beyond(far, x, y)`."""
    program, far = expressions.program, _named(expressions, arguments[0])
    x, y = (expressions.value(a) for a in arguments[1:])
    if not isinstance(x.type, types.Float) or x.type != y.type:
        raise Unsupported("floats of two types")
    callee, result = program.function(far, (FLOAT64,), None)
    if result != FLOAT64:
        raise Unsupported(f"{far.name}, which returns no float64")
    define = import_module("numgraph.kernels.slowpath_ir").define_beyond
    name = f"numgraph_{far.name}_f{x.type.bitwidth}"
    function = define(
        program.module, name, lambda builder, value: builder.call(callee, [value]), program.rules.form(x.type)
    )
    return Value(x.type, expressions.builder.call(function, [x.llvm, y.llvm]))


def _extreme(expressions: Expressions, arguments: list[ast.expr], sign: ast.cmpop) -> Value:
    """`min(a, b, ...)` or `max(a, b, ...)`: the first unless a later one is beyond it, as Python has it."""
    rules, builder = expressions.rules, expressions.builder
    result = expressions.value(arguments[0])
    for tree in arguments[1:]:
        value = expressions.value(tree)
        kind = rules.common(result.type, value.type)
        old, new = (Value(kind, rules.cast(builder, v, kind)) for v in (result, value))
        result = Value(kind, builder.select(expressions.operation(sign, new, old).llvm, new.llvm, old.llvm))
    return result
