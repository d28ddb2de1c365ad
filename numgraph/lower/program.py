"""Compiles a generated module: its entry, and all functions that it calls, as one LLVM module."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import ir

from numgraph.lower.expressions import Expressions, Special
from numgraph.lower.kinds import FLOAT64, INT64, KINDS, Kind, Tuple, Type, Unsupported, Value
from numgraph.lower.operators import Builder, cast, constant
from numgraph.lower.sources import Library, Source
from numgraph.lower.statements import Statements, Widened

# What generated code decorates its functions with -> the types of their arguments; they return int64.
PHASES = {"jit": (INT64,), "divided": (INT64,) * 3, "entry": (INT64,) * 2}


class Program:
    """The LLVM module of a generated module. functions: compiled so far, by source and types of the arguments."""

    def __init__(self) -> None:
        self.module = ir.Module("numgraph")
        self.functions: dict[tuple[Source, tuple[Type, ...], int | None], tuple[Any, Type | None]] = {}
        self.open: set[Source] = set()
        self.arrays: dict[int, Any] = {}
        primitives = import_module("numgraph.kernels.primitives")
        self.build_launch = primitives.build_launch
        known = {**primitives.PRIMITIVES, "support.launch": Special(_launch), "slowpath.beyond": Special(_beyond)}
        self.library = Library(known)

    def compile(self, text: str) -> str:
        """The symbol of the entry of a generated module, which is compiled with everything that it needs."""
        entry = self.library.generated(text).sources["enter"]
        types, result = _entry_types(entry)
        # what is a function for others is made of kernels, whose inner loops are in vectors already
        self.level = 3 if "entry" in entry.decorators else 2
        function, _ = self.function(entry, types, result)
        function.linkage = ""
        import_module("numgraph.kernels.loops_ir").with_loop_hints(self.module)
        name: str = function.name
        return name

    def call(self, builder: Builder, source: Source, values: Sequence[Value]) -> Value | None:
        """Call a function of these values."""
        phase = next((PHASES[d] for d in source.decorators if d in PHASES), None)
        if phase is not None:
            values = [cast(builder, v, t) for v, t in zip(values, phase, strict=True)]
        types = tuple(v.type for v in values)
        if any(isinstance(t, Tuple) for t in types):
            raise Unsupported("a tuple as an argument")
        size = getattr(values[0].llvm, "constant", None) if "sized" in source.decorators else None
        function, result = self.function(source, types, INT64 if phase else None, size)
        made = builder.call(function, [v.llvm for v in values])
        if result is None:
            return None
        if isinstance(result, Tuple):
            return Value(result, [builder.extract_value(made, k) for k in range(len(result.parts))])
        return Value(result, made)

    def function(
        self, source: Source, types: tuple[Type, ...], result: Type | None, size: int | None = None
    ) -> tuple[Any, Type | None]:
        """The LLVM function of a source for these types of arguments, and the type of its result.

        size: what the first argument always is, where that is known.
        """
        key = (source, types, size)
        if key not in self.functions:
            if source in self.open:
                raise Unsupported(f"{source.name}, which calls itself")
            self.open.add(source)
            self.functions[key] = self._compiled(source, types, result, size)
            self.open.remove(source)
        return self.functions[key]

    def _compiled(
        self, source: Source, types: tuple[Type, ...], result: Type | None, size: int | None
    ) -> tuple[Any, Type | None]:
        arguments = source.tree.args
        names = [a.arg for a in arguments.args]
        if len(names) != len(types) or arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            raise Unsupported(f"{source.name} with {len(types)} arguments")
        widened: dict[tuple[ast.stmt, str], Type] = {}
        while True:
            # what it returns is known only when its body is compiled
            form = ir.FunctionType(ir.VoidType(), [t.llvm for t in types])
            function = ir.Function(self.module, form, self.module.get_unique_name(source.name))
            variables = {n: Value(t, v) for n, t, v in zip(names, types, function.args, strict=True)}
            if size is not None:
                variables[names[0]] = constant(size, INT64)
            try:
                found = Statements(self, source, function, variables).run(result, widened)
            except Widened:
                del self.module.globals[function.name]
                continue
            if found is not None:
                form.return_type = function.return_value.type = found.llvm
            function.linkage = "internal"
            for attribute in _attributes(source):
                function.attributes.add(attribute)
            return function, found

    def constant_array(self, array: Any, kind: Kind) -> Any:
        """The global that holds a constant array."""
        if id(array) not in self.arrays:
            form = ir.ArrayType(kind.llvm, array.size)
            found = ir.GlobalVariable(self.module, form, self.module.get_unique_name("array"))
            found.linkage, found.global_constant = "internal", True
            number = float if kind.is_float else int
            found.initializer = ir.Constant(form, [ir.Constant(kind.llvm, number(v)) for v in np.asarray(array)])
            self.arrays[id(array)] = found
        return self.arrays[id(array)]


def _attributes(source: Source) -> list[str]:
    if "scalar" in source.decorators:
        # a call that is left over would keep a loop scalar
        return ["alwaysinline", "nounwind"]
    # phases are called from several places; a copy in each would be optimised each time
    return ["noinline"] if {"jit", "divided", "shape", "sized"} & set(source.decorators) else []


def _entry_types(entry: Source) -> tuple[tuple[Type, ...], Type | None]:
    """The types of the entry's arguments and of its result."""
    (decorator,) = entry.tree.decorator_list
    if isinstance(decorator, ast.Name) and decorator.id in PHASES:
        return PHASES[decorator.id], INT64
    if isinstance(decorator, ast.Call) and isinstance(decorator.args[0], ast.Constant):
        found = re.fullmatch(r"(\w+)\((.*)\)", str(decorator.args[0].value))
        if found is not None:
            types = tuple(KINDS[name.strip()] for name in found[2].split(","))
            return types, None if found[1] == "void" else KINDS[found[1]]
    raise Unsupported("an entry of unknown type")


def _launch(expressions: Expressions, arguments: list[ast.expr]) -> Value:
    """`launch(launcher, phase, address, shares)`."""
    program = expressions.program
    phase = expressions.meaning(arguments[1])
    launcher, address, shares = (
        cast(expressions.builder, expressions.value(arguments[k]), INT64).llvm for k in (0, 2, 3)
    )
    share, _ = program.function(phase, PHASES["divided"], INT64)
    return Value(INT64, program.build_launch(expressions.builder, launcher, share, address, shares))


def _beyond(expressions: Expressions, arguments: list[ast.expr]) -> Value:
    """`beyond(far, x, y)`."""
    program, far = expressions.program, expressions.meaning(arguments[0])
    x, y = (expressions.value(a) for a in arguments[1:])
    if not x.kind.is_float or x.type != y.type:
        raise Unsupported("floats of two kinds")
    callee, result = program.function(far, (FLOAT64,), None)
    if result != FLOAT64:
        raise Unsupported(f"{far.name}, which returns no float64")
    define = import_module("numgraph.kernels.slowpath_ir").define_beyond
    name = f"numgraph_{far.name}_f{x.kind.bits}"
    function = define(program.module, name, lambda builder, value: builder.call(callee, [value]), x.kind.llvm)
    return Value(x.kind, expressions.builder.call(function, [x.llvm, y.llvm]))
