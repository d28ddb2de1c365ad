"""The page about functions: written, and opened in a browser where there is one."""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from numgraph.inspector.record import FunctionRecord
from numgraph.text import identifier


def write_page(records: Sequence[FunctionRecord], path: str | Path | None = None) -> Path:
    """Write the page about these functions, to a temporary file if no path is given; returns where it is."""
    # loaded when it is first needed: most who inspect do so on a terminal
    from numgraph.inspector.page import page

    if path is None:
        name = identifier(records[0].name) if records else ""
        handle, made = tempfile.mkstemp(prefix=f"numgraph_{name}_", suffix=".html")
        os.close(handle)
        path = made
    written = Path(path).absolute()
    written.write_text(page(records), encoding="utf-8")
    return written


def open_page(path: Path) -> bool:
    """Show a page in a browser; whether there is one."""
    # without a screen `webbrowser` would take the terminal for one of its own
    seen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    try:
        return seen and webbrowser.open(path.as_uri())
    except webbrowser.Error:
        return False
