"""Plain tables on a terminal, whose cells are broken where it can be read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from rich.table import Table
from rich.text import Text

from numgraph.folding import widths, wrapped

GAP = 2


def plain_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    title: str | None = None,
    whole: Collection[str] = (),
    right: Collection[str] = (),
    strong: Collection[int] = (),
) -> Table:
    """A table in `width` columns without lines.

    whole: the columns of which no cell is broken; right: those aligned to the right; strong: numbers of bold rows.
    """
    cells = [[name, *(row[k] for row in rows)] for k, name in enumerate(columns)]
    room = width - GAP * (len(columns) - 1)
    chosen = widths(cells, room, [name in whole for name in columns])
    # The gaps are columns without text: rich 13 makes a first column wider by its margin, and breaks numbers in others.
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=0, header_style="dim")
    for number, (name, size) in enumerate(zip(columns, chosen, strict=True)):
        if number:
            table.add_column("", width=GAP)
        # letters may be wider than one column: then what was broken here is broken once more
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", width=max(1, size))
    for number, row in enumerate(rows):
        lines = [Text("\n".join(wrapped(cell, size))) for cell, size in zip(row, chosen, strict=True)]
        table.add_row(*[part for line in lines for part in ("", line)][1:], style="bold" if number in strong else "")
    return table
