"""How a function shows itself: as a page in a browser, and in notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numgraph.inspector.record import FunctionRecord


class Faces:
    """What can be seen of something that has a record."""

    __slots__ = ()

    @property
    def record(self) -> FunctionRecord:
        """What is known about it."""
        raise NotImplementedError

    def inspect(self, path: str | Path | None = None) -> Path:
        """Write a page about the function, open it in a browser where there is one, and return where it is.

        path: the file, or None for a temporary one. One HTML document that needs nothing else, with the graph, the
        phases and what they cost, the source beside your lines, and the machine code. OSError where it cannot be
        written.
        """
        from numgraph.inspector import browser

        written = browser.write_page([self.record], path)
        browser.open_page(written)
        return written

    def _repr_html_(self) -> str:
        """What a notebook shows: inputs, outputs, updates and phases as a table, and the source behind a click."""
        from numgraph.inspector.notebook import table

        return table(self.record)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The same beside `repr`, for notebooks that ask for all forms at once."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
