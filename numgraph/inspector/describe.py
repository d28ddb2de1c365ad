"""The part of a record that is known before anything is compiled: values, pairs, and the expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from numgraph.graph import Constant, Variable, label
from numgraph.inspector.expression import aligned, expressions, listing
from numgraph.inspector.record import FunctionRecord, PairRecord, Stages, ValueRecord
from numgraph.program import Program
from numgraph.shared import SharedVariable
from numgraph.types import TensorType


def record_of(program: Program, target: str) -> FunctionRecord:
    """The record of a function, with stages graph and givens; who compiles it adds the rest."""
    updates = program.updates
    return FunctionRecord(
        name=program.title,
        line=_line(program.line),
        target=target,
        inputs=[value_record(a.variable, a.name) for a in program.inputs],
        outputs=[value_record(v, name) for v, name in zip(program.outputs, _output_names(program), strict=True)],
        resident=[value_record(v) for v in program.shared()] + [value_record(v) for v in constant_arrays(program)],
        updates=pairs([(s, value) for s, value in updates], program.variables),
        givens=pairs(program.givens),
        stages=Stages({"graph": lambda: graph_text(program), "givens": lambda: givens_text(program)}),
        dtypes=dict(Counter(v.type.dtype for v in program.nodes())),
    )


def value_record(variable: Variable, name: str | None = None) -> ValueRecord:
    """A variable; a shared one with the lengths that it has now."""
    type, nbytes = variable.type, None
    if isinstance(variable, SharedVariable):
        array = variable.get_value(borrow=True)
        type, nbytes = TensorType(type.dtype, array.shape), array.nbytes
    elif isinstance(variable, Constant):
        nbytes = variable.data.nbytes
    return ValueRecord(name or label(variable), str(type), _line(variable.line), nbytes)


def constant_arrays(program: Program) -> list[Constant]:
    """The constants that are arrays rather than numbers."""
    return [v for v in program.nodes() if isinstance(v, Constant) and v.ndim]


def pairs(given: Sequence[tuple[Variable, Variable]], stop: Sequence[Variable] = ()) -> list[PairRecord]:
    """Pairs as text."""
    texts = expressions([value for _, value in given], stop)
    return [
        PairRecord(label(target), text, str(value.type), _line(value.line))
        for (target, value), text in zip(given, texts, strict=True)
    ]


def graph_text(program: Program) -> str:
    """The expression after `givens`, one operation per line."""
    titles = [f"return {name} =" if name else "return" for name in program.keys or [""] * len(program.outputs)]
    titles += [f"{label(s)} becomes" for s, _ in program.updates]
    return listing(program.results, program.variables, titles)


def givens_text(program: Program) -> str:
    """One pair per line; says so where there are none."""
    if not program.givens:
        return "no givens"
    rows = [
        (f"{p.target} stands for", p.expression, p.type, f"<- {p.line}" if p.line else "")
        for p in pairs(program.givens)
    ]
    return aligned(rows)


def _output_names(program: Program) -> list[str | None]:
    return list(program.keys) if program.keys else [None] * len(program.outputs)


def _line(line: object) -> str:
    return str(line) if line is not None else ""
