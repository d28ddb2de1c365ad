"""What differs between two texts: of two functions, or of two files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from rich.console import Console
from rich.text import Text

from numgraph.folding import code_breaks, hanging
from numgraph.inspector.terminal import put

# Equal lines that are shown around those that differ.
AROUND = 3
# Lines of a text that is compared less exactly.
LONG = 2_000
_STYLES = {"-": "red", "+": "green", "@": "cyan"}
_HEAD = re.compile(r"(?:@\w+ )?(?:def )?(\w+)\(|define .*?@\"?([\w.]+)\"?\(|(\w[\w.]*):$")


def unified(a: str, b: str, names: tuple[str, str]) -> Iterator[str]:
    """The lines of a unified diff, nothing where both are equal. A hunk's line ends with the function that it is in."""
    left, right = a.rstrip("\n").split("\n"), b.rstrip("\n").split("\n")
    # of long texts lines that are frequent do not decide what belongs together: it would take minutes
    matcher = SequenceMatcher(None, left, right, autojunk=len(right) > LONG)
    groups = list(matcher.get_grouped_opcodes(AROUND))
    if groups:
        yield f"--- {names[0]}"
        yield f"+++ {names[1]}"
    for group in groups:
        first, last = group[0], group[-1]
        yield f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@{_within(left, first[1])}"
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in left[i:i_end])
            else:
                yield from (f"-{line}" for line in left[i:i_end])
                yield from (f"+{line}" for line in right[j:j_end])


def print_diff(a: str, b: str, names: tuple[str, str], console: Console, raw: bool = False) -> bool:
    """Print a unified diff, coloured on a terminal, in lines that fit unless `raw`; whether there is any difference."""
    lines = list(unified(a, b, names))
    if raw:
        for line in lines:
            print(line)
    elif lines:
        put(console, Text("\n").join(part for line in lines for part in _folded(line, console.width)))
    return bool(lines)


def _folded(line: str, width: int) -> Iterator[Text]:
    """A line of a diff in parts that fit, each with its mark."""
    style = "bold" if line.startswith(("--- ", "+++ ")) else _STYLES.get(line[:1], "")
    mark, body = line[:1], line[1:]
    if len(line) > width:
        # what moves comments to one column is given up first
        body = re.sub(r"(?<=\S) {3,}# ", "  # ", body)
    indent = min(hanging(body), (width - 1) // 2)
    begin = 0
    for end in [*code_breaks(body, width - 1), len(body)]:
        margin = " " * indent if begin else ""
        yield Text(f"{mark}{margin}{body[begin:end].rstrip()}", style=style)
        begin = end


def _span(begin: int, end: int) -> str:
    """As diff(1) counts: from 1, and the length unless it is 1."""
    length = end - begin
    return f"{begin + 1 if length else begin}" + (f",{length}" if length != 1 else "")


def _within(lines: Sequence[str], begin: int) -> str:
    """The function whose lines begin above."""
    for line in reversed(lines[: begin + 1]):
        found = _HEAD.match(line)
        if found:
            return f" {next(filter(None, found.groups()))}"
    return ""
