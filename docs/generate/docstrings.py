"""Docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any

# `inputs: a list of variables`, the first line of what is said of an argument
ARGUMENT = re.compile(r"^(?:[A-Za-z_]\w*|\*\w+)(?:, \w+)*: ")
WITHIN = re.compile(r"(?<=[.;]) (\w+): ")
# what Markdown would take for emphasis, a tag or a link
SPECIAL = re.compile(r"([*_<>\[\]])")


def markdown(thing: Any) -> str:
    """The docstring of a function or class; "" where it has none."""
    text = inspect.cleandoc(thing) if isinstance(thing, str) else inspect.getdoc(thing) or ""
    arguments = _arguments(thing)
    return "\n\n".join(_block(block, arguments) for block in _blocks(text))


def _arguments(thing: Any) -> set[str]:
    """The names of its parameters."""
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def _blocks(text: str) -> list[str]:
    """Paragraphs; lines of code that follow each other are one."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if found and _is_code(found[-1]) and _is_code(block):
            found[-1] += "\n\n" + block
        else:
            found.append(block)
    return [b for b in found if b.strip()]


def _is_code(block: str) -> bool:
    return block.startswith(("    ", ">>> "))


def _block(block: str, arguments: set[str]) -> str:
    if _is_code(block):
        return f"```python\n{inspect.cleandoc(block)}\n```"
    # `rate: how far. decay: how soon`: two arguments in a line
    block = WITHIN.sub(lambda m: f"\n{m[1]}: " if m[1] in arguments else m[0], block)
    items: list[str] = []
    for line in block.split("\n"):
        names, _, rest = line.partition(": ")
        if ARGUMENT.match(line) and {n.lstrip("*") for n in names.split(", ")} & arguments:
            shown = ", ".join(f"`{name}`" for name in names.split(", "))
            items.append(f"* {shown}: {escaped(rest)}")
        elif items:
            items[-1] += " " + escaped(line.strip())
        else:
            items.append(escaped(line))
    # a sentence before the arguments is a paragraph of its own
    first = next((k for k, item in enumerate(items) if item.startswith("* `")), len(items))
    parts = [" ".join(items[:first]), "\n".join(items[first:])]
    return "\n\n".join(p for p in parts if p)


def escaped(text: str) -> str:
    """Text whose `code` is left as it is, and whose other signs mean themselves."""
    parts = text.split("`")
    return "`".join(part if k % 2 else SPECIAL.sub(r"\\\1", part) for k, part in enumerate(parts))
