"""What users have written (names, files, lines), made fit to be printed.

A name is data: it labels, and is never read as code, as a template or as control characters. Whatever prints a name
takes it from `printable`; source takes whole docstrings from `docstring`, and identifiers from `identifier`.
"""

from __future__ import annotations

import io
import keyword
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

# A longer label is cut; so is a longer identifier.
LONGEST, LONGEST_IDENTIFIER = 80, 40


def plain(text: object) -> str:
    """`text` as a string and no subclass of it, whose `repr` may be anything."""
    return text if type(text) is str else str.__str__(text) if isinstance(text, str) else str(text)


def printable(text: object, longest: int = LONGEST) -> str:
    """`text` on one line: what shows nothing, ends a line, turns the direction of writing or steers a terminal is
    written as an escape (`\\n`, `\\x1b`, `\\u2028`), and what is longer than `longest` is cut.

    The result can be encoded, and is safe behind `#` in source. Quotes and backslashes stay as they are.
    """
    shown = plain(text)
    if len(shown) > longest:
        shown = shown[: longest - 3] + "..."
    return shown if shown.isprintable() else "".join(map(_escaped, shown))


def _escaped(letter: str) -> str:
    # `repr` writes escapes for all that is not printable
    return letter if letter.isprintable() else repr(letter)[1:-1]


def encodable(text: str, stream: Any) -> str:
    """`text` with escapes for the letters that a stream (None: no stream) cannot take, as an ASCII terminal."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def tolerant(*streams: Any) -> None:
    """Make streams write escapes for the letters that they cannot take, where that would be an error."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def docstring(lines: Iterable[str]) -> list[str]:
    """The lines of a literal that holds these lines, each `printable`, as the docstring of a module."""
    shown = (printable(line, sys.maxsize) for line in lines)
    inside = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in shown]
    return [f'"""{inside[0]}', *inside[1:], '"""']


def undone(line: str) -> str:
    """A line of a docstring as it was before `docstring` wrote it."""
    return re.sub(r"\\(.)", r"\1", line)


def template(text: str) -> str:
    """`text` as a part of a template for `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")


def identifier(text: str) -> str:
    """`text` made into a Python identifier as Python reads it, so that two of them are the same name only when they
    are equal; empty when nothing of it can be kept."""
    kept = ""
    # letters change with what stands beside them, so what is kept is normalised again
    for part in (text, None):
        kept = unicodedata.normalize("NFKC", kept if part is None else part)
        kept = "".join(c if c == "_" or f"_{c}".isidentifier() else "_" for c in kept).strip("_")
        kept = kept[:LONGEST_IDENTIFIER]
    if kept and (not kept.isidentifier() or keyword.iskeyword(kept)):
        kept = "_" + kept
    stable = kept.isidentifier() and unicodedata.normalize("NFKC", kept) == kept
    return kept if stable else ""
