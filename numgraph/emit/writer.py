"""Source lines with their comments and the user lines behind them, and names that do not clash."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field

from numgraph.source import SourceLine

COMMENT_COLUMN = 56
COUNTERS = "ijklmnopq"
RESERVED = frozenset(
    """table reals arena own share shares begin end block blocks first last step status call many words items objects
    i j k l m n o p q acc add_up multiply_up minimum maximum math np float32 float64 int8 int16 int32 int64
    uint8 uint16 uint32 uint64 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 range abs min max return_code""".split()
)


@dataclass
class Line:
    """One generated line."""

    indent: int
    code: str
    comment: str = ""
    lines: tuple[SourceLine, ...] = ()

    def text(self, with_user_lines: bool = False) -> str:
        """The line as source; with the user's lines behind it for a listing."""
        code = "    " * self.indent + self.code
        notes = self.comment
        if with_user_lines and self.lines:
            notes = f"{notes}  <- {', '.join(map(str, self.lines))}".strip()
        return f"{code:<{COMMENT_COLUMN}}  # {notes}".rstrip() if notes else code


@dataclass
class Names:
    """Gives names: the user's where there is one, else a letter with a number; each name is assigned once in a
    function."""

    taken: set[str] = field(default_factory=lambda: set(RESERVED))
    counts: dict[str, int] = field(default_factory=dict)

    def counter(self, level: int) -> str:
        """The counter of a loop: i, j, k... by nesting, numbered from the second loop at a level on.

        A counter shared by loops one after the other would be assigned again, which costs Numba dearly.
        """
        letter = COUNTERS[level]
        count = self.counts.get(letter, 0)
        name = f"{letter}{count}" if count else letter
        while count and name in self.taken:
            count += 1
            name = f"{letter}{count}"
        self.counts[letter] = count + 1
        self.taken.add(name)
        return name

    def fresh(self, wish: str | None, prefix: str = "t") -> str:
        """A name that is not taken: `wish` made into an identifier, or `prefix` and a number."""
        base = identifier(wish) if wish else ""
        if base and base not in self.taken:
            self.taken.add(base)
            return base
        stem = base + "_" if base else prefix
        while True:
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
            name = f"{stem}{count}"
            if name not in self.taken:
                self.taken.add(name)
                return name


def identifier(text: str) -> str:
    """`text` as an ASCII Python identifier; empty when nothing of it can be kept."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text).strip("_")
    if not kept or kept[0].isdigit() or keyword.iskeyword(kept):
        kept = "_" + kept if kept else ""
    return kept[:40]
