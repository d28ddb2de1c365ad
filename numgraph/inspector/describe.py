"""The part of a record that is known before anything is compiled: values, pairs, and the expression."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from numgraph.formula import expression
from numgraph.graph import Constant, Variable, label
from numgraph.inspector.record import UNNAMED, FunctionRecord, PairRecord, Stages, ValueRecord
from numgraph.printing import pprint
from numgraph.program import Program
from numgraph.shared import SharedVariable
from numgraph.text import printable
from numgraph.types import TensorType

# A cell wider than this does not widen its column: it pushes the later cells of its own line.
WIDEST = 40
# How much of the formula of a pair is written out.
PAIR_PARTS = 24


def record_of(program: Program, target: str) -> FunctionRecord:
    """The record of a function, with stages graph and givens; who compiles it adds the rest."""
    gradients = program.named_gradients()
    known = {**program.named_givens(), **gradients}
    names = program.keys or [v.name or "output" for v in program.outputs]
    return FunctionRecord(
        name=program.name or UNNAMED,
        line=_line(program.line),
        target=target,
        inputs=[value_record(a.variable, a.name) for a in program.inputs],
        outputs=[value_record(v, name) for v, name in zip(program.outputs, names, strict=True)],
        resident=[value_record(v) for v in (*program.shared(), *constant_arrays(program))],
        updates=pairs(program.updates, known),
        gradients=[gradient_record(v, name, known) for v, name in gradients.items()],
        givens=pairs(program.givens),
        stages=Stages({"graph": lambda: graph_text(program), "givens": lambda: givens_text(program)}),
        dtypes=dict(Counter(v.type.dtype for v in program.nodes())),
        versions={"numgraph": _version(), "python": sys.version.split()[0], "numpy": np.__version__},
    )


def value_record(variable: Variable, name: str | None = None) -> ValueRecord:
    """A variable; a shared one with the lengths that it has now."""
    type, nbytes = variable.type, None
    if isinstance(variable, SharedVariable):
        array = variable.get_value(borrow=True)
        type, nbytes = TensorType(type.dtype, array.shape), array.nbytes
    elif None not in type.shape:
        nbytes = np.dtype(type.dtype).itemsize * prod(n or 0 for n in type.shape)
    return ValueRecord(printable(name) if name else label(variable), str(type), _line(variable.line), nbytes)


def constant_arrays(program: Program) -> list[Constant]:
    """The constants that are arrays rather than numbers."""
    return [v for v in program.nodes() if isinstance(v, Constant) and v.ndim]


def pairs(given: Sequence[tuple[Variable, Variable]], names: Mapping[Variable, str] | None = None) -> list[PairRecord]:
    """Pairs as text; `names` are written in place of their formulas."""
    return [
        PairRecord(label(key), pprint(value, PAIR_PARTS, names), str(value.type), _line(value.line))
        for key, value in given
    ]


def gradient_record(variable: Variable, name: str, known: Mapping[Variable, str]) -> PairRecord:
    """A gradient by its name in generated code. known: what is written in place of formulas."""
    others = {v: name for v, name in known.items() if v is not variable}
    return PairRecord(name, pprint(variable, PAIR_PARTS, others), str(variable.type), _line(variable.line))


def givens_text(program: Program) -> str:
    """One pair per line; says so where there are none."""
    if not program.givens:
        return "no givens"
    rows = [(f"{p.target} stands for", p.expression, p.type, _arrow(p.line)) for p in pairs(program.givens)]
    return aligned(rows)


def graph_text(program: Program) -> str:
    """The expression after `givens`: one operation per line, operands first, with type and the user's line."""
    nodes = program.nodes()
    names = unique_names(nodes)
    given = set(program.variables)
    rows: list[tuple[str, str, str]] = []
    for node in nodes:
        where = _arrow(_line(node.line))
        if node.op is not None and node not in given:
            rows.append((f"{names[node]} = {_operation(node, names)}", str(node.type), where))
        elif not isinstance(node, Constant):
            kind = "shared" if isinstance(node, SharedVariable) else "input"
            rows.append((f"{names[node]} = {kind}", str(node.type), where))
    for k, output in enumerate(program.outputs):
        rows.append((f"return {names[output]}" + (f" as {printable(program.keys[k])}" if program.keys else ""), "", ""))
    rows += [(f"update {label(target)} to {names[value]}", "", "") for target, value in program.updates]
    return aligned(rows)


def unique_names(nodes: Sequence[Variable]) -> dict[Variable, str]:
    """A name for each: the user's, numbered where several share it; the value of a constant; t1, t2, ... for the
    rest."""
    names: dict[Variable, str] = {}
    taken = {label(v) for v in nodes if v.name}
    used: Counter[str] = Counter()
    temporary = 0
    for node in nodes:
        if node.name:
            name = label(node)
            used[name] += 1
            names[node] = name if used[name] == 1 else f"{name}#{used[name]}"
        elif isinstance(node, Constant):
            names[node] = str(node.data[()]) if node.ndim == 0 else f"<constant {node.type}>"
        else:
            temporary += 1
            while f"t{temporary}" in taken:
                temporary += 1
            names[node] = f"t{temporary}"
    return names


def _operation(node: Variable, names: dict[Variable, str]) -> str:
    """`t1 + x`, `sum(x, axis=(0,))`, on the names of the operands."""
    return ast.unparse(expression(node, [ast.Name(names[v]) for v in node.inputs]))


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as columns."""
    count = max(map(len, rows), default=0)
    widths = [max((len(row[k]) for row in rows if len(row[k]) <= WIDEST), default=0) for k in range(count)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def _version() -> str:
    return str(vars(sys.modules["numgraph"]).get("__version__", ""))


def _line(line: object) -> str:
    return str(line) if line is not None else ""


def _arrow(line: str) -> str:
    return f"<- {line}" if line else ""
