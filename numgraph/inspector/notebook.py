"""A function's record as a small piece of HTML, for notebooks: no colours but the page's own, so that it can be read
on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from numgraph.inspector.record import FunctionRecord, PairRecord, ValueRecord

# More rows of one kind than these are counted instead.
MOST_ROWS = 12
_CELL = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;border:0;background:none;color:inherit"
_FAINT = f"{_CELL};opacity:.65;white-space:nowrap"
_CODE = "font-family:monospace;white-space:pre-wrap"
_RULE = "border:0;border-top:1px solid;opacity:.3;margin:2px 0"


def table(record: FunctionRecord) -> str:
    """Inputs, outputs, resident arrays, givens, updates and phases as a table, and the source behind a click."""
    rows = [
        *_values("in", record.inputs),
        *_values("out", record.outputs),
        *_values("resident", record.resident),
        *_pairs("givens", "=", record.givens),
        *_pairs("updates", ":=", record.updates),
        *_phases(record),
    ]
    title = f"<b>{escape(record.name)}</b> <span style='opacity:.65'>{escape(f'{record.target}  {record.line}')}</span>"
    source = record.stages.get("listing") or record.stages.get("graph", "")
    kept = "source" if "listing" in record.stages else "graph"
    lines = source.rstrip("\n").count("\n") + 1
    clear = "margin:0;background:none;color:inherit"
    return (
        f'<div style="overflow-x:auto">{title}<hr style="{_RULE}">'
        f'<table style="border-collapse:collapse;border:0;{clear}">{"".join(rows)}</table>'
        f'<details><summary style="cursor:pointer">{kept}: {lines} lines</summary>'
        f'<pre style="{clear};overflow-x:auto">{escape(source)}</pre></details></div>'
    )


def _values(role: str, values: Sequence[ValueRecord]) -> Iterable[str]:
    cells = [(v.name, v.type, "" if v.nbytes is None else f"{v.nbytes:,} bytes", v.line) for v in values]
    return _rows(role, cells)


def _pairs(role: str, sign: str, pairs: Sequence[PairRecord]) -> Iterable[str]:
    return _rows(role, [(p.target, f"{sign} {p.expression}", p.type, p.line) for p in pairs])


def _phases(record: FunctionRecord) -> Iterable[str]:
    cells = []
    for p in record.phases:
        work = [f"{count:,} {what}" for count, what in ((p.flops, "flops"), (p.bytes, "bytes")) if count is not None]
        loops = f"{p.kind} {' x '.join(p.loops)}".strip()
        cells.append((p.name, f"{', '.join(dict.fromkeys(p.writes))}", loops, ", ".join(work)))
    return _rows("phase", cells)


def _rows(role: str, cells: Sequence[tuple[str, str, str, str]]) -> Iterable[str]:
    """A row for each of (name, what it is, more, where), the last ones counted where there are many."""
    shown = cells if len(cells) <= MOST_ROWS else cells[: MOST_ROWS - 1]
    for number, (name, what, more, where) in enumerate(shown):
        yield (
            f'<tr style="background:none"><td style="{_FAINT}">{"" if number else role}</td>'
            f'<td style="{_CELL};{_CODE}">{escape(name)}</td><td style="{_CELL};{_CODE}">{escape(what)}</td>'
            f'<td style="{_CELL}">{escape(more)}</td><td style="{_FAINT}">{escape(where)}</td></tr>'
        )
    if len(shown) < len(cells):
        more = f"and {len(cells) - len(shown)} more"
        yield f'<tr style="background:none"><td style="{_FAINT}"></td><td colspan="4" style="{_FAINT}">{more}</td></tr>'
