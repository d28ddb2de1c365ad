"""Drawings of boxes, arrows and lines of code as SVG, whose colours are those of the page that they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

# Of a letter of the monospaced font, in units of the drawing.
LETTER, LINE, PAD = 7.3, 17, 9

# Within the site the theme's colours; as a file, those of the reader's preference.
STYLE = """
svg.drawn { --ink: var(--md-default-fg-color, #24292f); --dim: var(--md-default-fg-color--light, #57606a);
  --paper: var(--md-code-bg-color, #f3f4f6); --mark: var(--md-accent-fg-color, #4051b5); }
@media (prefers-color-scheme: dark) { svg.drawn { --ink: var(--md-default-fg-color, #d0d7de);
  --dim: var(--md-default-fg-color--light, #9aa4ae); --paper: var(--md-code-bg-color, #22272e);
  --mark: var(--md-accent-fg-color, #8aa4ff); } }
.drawn text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink);
  white-space: pre; }
.drawn .dim { fill: var(--dim); }
.drawn .title { fill: var(--dim); font: bold 12px system-ui, sans-serif; }
.drawn .box { fill: var(--paper); stroke: var(--dim); }
.drawn .data { fill: none; stroke: var(--dim); stroke-dasharray: 4 3; }
.drawn .new { fill: var(--paper); stroke: var(--mark); stroke-width: 2; }
.drawn .frame { fill: none; stroke: var(--dim); stroke-opacity: 0.5; }
.drawn .line { fill: none; stroke: var(--dim); stroke-width: 1.3; }
.drawn .head { fill: var(--dim); }
.drawn .line.back { stroke: var(--mark); }
.drawn .head.back { fill: var(--mark); }
""".strip()


@dataclass(frozen=True)
class Box:
    """Where a box lies."""

    x: float
    y: float
    width: float
    height: float

    def side(self, other: Box) -> tuple[tuple[float, float], tuple[float, float]]:
        """The points between which an arrow to the other box goes: of the sides that face each other."""
        if other.y >= self.y + self.height or other.y + other.height <= self.y:
            down = other.y > self.y
            ours = (self.middle, self.y + self.height if down else self.y)
            return ours, (other.middle, other.y if down else other.y + other.height)
        right = other.x > self.x
        ours = (self.x + self.width if right else self.x, self.y + self.height / 2)
        return ours, (other.x if right else other.x + other.width, other.y + other.height / 2)

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + self.width / 2


@dataclass
class Drawing:
    """What is drawn so far."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, text: str, kind: str = "box", middle: bool = True) -> Box:
        """A box of lines of text, whose middle, or else left side, is at x. kind: "box", "data" (memory), or "new"."""
        lines = text.split("\n")
        width = max(map(len, lines)) * LETTER + 2 * PAD
        place = Box(x - width / 2 if middle else x, y, width, len(lines) * LINE + PAD)
        self.rectangle(place, kind, 4)
        for k, line in enumerate(lines):
            self.text(place.x + PAD, y + LINE * (k + 1) - 1, line)
        return place

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """A line of text; kind "dim" or "title"."""
        named = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text{named} x="{x:.0f}" y="{y:.0f}">{escape(text, quote=False)}</text>')

    def frame(self, x: float, y: float, width: float, height: float, title: str) -> Box:
        """A frame around other things, with a title above it."""
        self.text(x + 2, y - 6, title, "title")
        found = Box(x, y, width, height)
        self.rectangle(found, "frame", 6)
        return found

    def rectangle(self, at: Box, kind: str, radius: int) -> None:
        """A rectangle with round corners."""
        place = f'x="{at.x:.0f}" y="{at.y:.0f}" width="{at.width:.0f}" height="{at.height:.0f}"'
        self.parts.append(f'<rect class="{kind}" {place} rx="{radius}"/>')

    def arrow(self, first: Box, second: Box, said: str = "", back: bool = False) -> None:
        """An arrow from a box to another one; `back` in the colour of what is marked."""
        (x0, y0), (x1, y1) = first.side(second)
        kind = " back" if back else ""
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        bx, by = x1 - 8 * ux, y1 - 8 * uy
        self.parts.append(f'<path class="line{kind}" d="M{x0:.1f} {y0:.1f}L{bx:.1f} {by:.1f}"/>')
        head = f"M{x1:.1f} {y1:.1f}L{bx - 4 * uy:.1f} {by + 4 * ux:.1f}L{bx + 4 * uy:.1f} {by - 4 * ux:.1f}Z"
        self.parts.append(f'<path class="head{kind}" d="{head}"/>')
        if said:
            self.text((x0 + x1) / 2 + 6, (y0 + y1) / 2 + 4, said, "dim")

    def chain(self, *boxes: Box) -> None:
        """Arrows from each to the next."""
        for first, second in pairwise(boxes):
            self.arrow(first, second)

    def svg(self) -> str:
        """The file."""
        size = f"{self.width:.0f} {self.height:.0f}"
        head = f'<svg xmlns="http://www.w3.org/2000/svg" class="drawn" viewBox="0 0 {size}" width="{self.width:.0f}">'
        return "\n".join([head, f"<style>{STYLE}</style>", *self.parts, "</svg>", ""])
