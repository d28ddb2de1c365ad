"""The page: one HTML file, without network, in which a function's program, graphs, source and machine code are linked.

What it shows is in the records. Here texts are highlighted and all is put into one file; the rest is done by the
scripts in `web/src`, which `make page` bundles.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from functools import cache as remember
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from typing import Any

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, Token

from numgraph.inspector.record import LANGUAGES, FunctionRecord

# Classes of tokens, as `page.css` colours them; of a token the first that contains it.
CLASSES = {
    Comment: "c",
    Keyword: "k",
    String: "s",
    Number: "m",
    Name.Function: "f",
    Name.Class: "f",
    Name.Decorator: "d",
    Name.Builtin: "b",
    Name.Variable: "v",
    Name.Label: "f",
}
# Stages whose text the page shows as it is.
TEXTS = ("graph", "schedule", "loops", "ptx", "sass")
# Letters of a text that is highlighted; a longer one is shown plainly.
HIGHLIGHTED = 4_000_000


def page(records: Sequence[FunctionRecord]) -> str:
    """One self-contained HTML document that shows functions.

    Machine code, explanations and what `record.made` says are made where they were not yet; a stage that cannot be
    made (an error of the compiler) is left out.
    """
    data = json.dumps({"functions": [plain(record) for record in records]}, ensure_ascii=False, separators=(",", ":"))
    # nothing in the data ends the script element, nor begins a comment in it
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    title = ", ".join(record.name for record in records[:5]) or "no functions"
    parts = {"TITLE": html.escape(title), "CSS": resource("page.css"), "DATA": data, "JS": resource("page.js")}
    text = resource("page.html")
    for name, part in parts.items():
        before, _, after = text.partition(f"@@{name}@@")
        text = before + part + after
    return text


@remember
def resource(name: str) -> str:
    """A file of the page."""
    return files("numgraph.inspector").joinpath("web", name).read_text(encoding="utf-8")


def plain(record: FunctionRecord) -> dict[str, Any]:
    """A record as the page reads it: as in JSON, with the lines of code as HTML."""
    stages = tuple(stage for stage in TEXTS if stage in record.stages)
    found = record.to_plain((*stages, "explain", *record.code))
    for stage, code in found["code"].items():
        code["html"] = highlighted("\n".join(code.pop("text")), LANGUAGES[stage])
    making = found["making"] or {}
    making["files"] = {name: highlighted(text, "python") for name, text in making.get("files", {}).items()}
    found["making"] = making
    found["source"] = highlighted(record.stages["source"], "python") if "source" in record.stages else []
    return found


def highlighted(text: str, language: str) -> list[str]:
    """The lines of a text as HTML."""
    if len(text) > HIGHLIGHTED:
        return [html.escape(line) for line in text.split("\n")]
    lines: list[list[tuple[str, str]]] = [[]]
    for kind, value in get_lexer_by_name(language, stripnl=False, ensurenl=False).get_tokens(text):
        first, *more = value.split("\n")
        lines[-1].append((class_of(kind), first))
        lines += [[(class_of(kind), part)] for part in more]
    return [joined(line) for line in (lines if text and not text.endswith("\n") else lines[:-1])]


def joined(parts: list[tuple[str, str]]) -> str:
    """Parts of a line, with their classes, as HTML; those of one class that follow one another are one."""
    shown = ""
    for name, several in groupby(parts, itemgetter(0)):
        text = html.escape("".join(part for _, part in several))
        shown += f'<i class="{name}">{text}</i>' if name and text else text
    return shown


@remember
def class_of(kind: Any) -> str:
    """The class of a kind of token, "" for one that is shown plainly."""
    while kind is not Token and kind is not None:
        if kind in CLASSES:
            return CLASSES[kind]
        kind = kind.parent
    return ""
