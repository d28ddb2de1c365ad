"""Text made to fit a number of columns without breaking words: prose, cells of tables, and lines of code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Behind what a word that is longer than a line may be broken, what reads best first.
_PLACES = (",;", "/\\([{", ".:=+*|", "_-")
# A better place is taken if it leaves no more than this part of a line empty.
EMPTY = 0.5


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """`text` in lines of at most `width` columns, the later ones indented by `indent` of them.

    Lines end behind a blank if they can, else behind a comma, a slash or bracket, a dot, an underscore.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest, margin = paragraph, ""
        while len(margin) + len(rest) > width:
            cut = break_at(rest, max(1, width - len(margin)))
            lines.append(margin + rest[:cut].rstrip())
            rest, margin = rest[cut:].lstrip(), " " * min(indent, width // 2)
        lines.append(margin + rest)
    return lines


def break_at(text: str, room: int) -> int:
    """How many letters of a text that is longer than `room` go on the first line."""
    begins = len(text) - len(text.lstrip())
    # the blank may stand outside
    blank = text.rfind(" ", begins, room + 1) + 1
    word = text[blank:].split(" ", 1)[0]
    if blank > begins and (len(word) <= room or blank > begins + EMPTY * (room - begins)):
        return blank
    best = blank
    for places in _PLACES:
        cut = max((text.rfind(c, begins, room) + 1 for c in places), default=0)
        if cut > begins + EMPTY * (room - begins):
            return cut
        best = max(best, cut)
    return best if best > begins else room


def code_breaks(line: str, room: int) -> list[int]:
    """Where a line of code is broken to fit `room` columns, the later lines being indented by `hanging` ones: behind a
    comma, or a blank; outside of strings if it can be."""
    breaks: list[int] = []
    begin, margin = 0, 0
    hang = hanging(line)
    while margin + len(line) - begin > room:
        space = max(8, room - margin)
        cut = begin + _code_break(line[begin:], space)
        breaks.append(cut)
        begin, margin = cut, min(hang, room // 2)
    return breaks


def hanging(line: str) -> int:
    """The columns by which the continuation of a line of code is indented."""
    return len(line) - len(line.lstrip()) + 4


def _code_break(text: str, room: int) -> int:
    begins = len(text) - len(text.lstrip())
    quoted = _quoted(text[: room + 1])
    for place, least in ((", ", 0.75), (" ", EMPTY)):
        ends = [k + len(place) for k in range(begins, room) if text.startswith(place, k) and not quoted[k]]
        # the blank may stand outside
        ends = [k for k in ends if k <= room + 1]
        if ends and ends[-1] > begins + least * (room - begins):
            return ends[-1]
    return break_at(text, room)


def _quoted(text: str) -> list[bool]:
    """For each letter whether it is within quotes."""
    inside, found = "", []
    for letter in text:
        if inside:
            inside = "" if letter == inside else inside
        elif letter in "'\"":
            inside = letter
        found.append(bool(inside))
    return found


def widths(columns: Sequence[Sequence[str]], room: int, whole: Sequence[bool]) -> list[int]:
    """How wide the columns of a table are in `room` columns of a terminal, those between them not counted.

    columns: the cells of each. whole: which ones keep their width. The widest give way first, and none below the
    longest part of a cell that is not to be broken, if there is room for that.
    """
    natural = [max(map(len, cells), default=0) for cells in columns]
    least = [
        full if keep else min(full, max((max(map(len, _parts(c)), default=0) for c in cells), default=0))
        for cells, full, keep in zip(columns, natural, whole, strict=True)
    ]
    if sum(natural) <= room:
        return natural
    longest = max(least, default=0)
    while sum(least) > room and longest > 1:
        # parts of names are broken, too
        longest -= 1
        least = [n if keep else min(n, longest) for n, keep in zip(least, whole, strict=True)]
    for most in range(max(natural, default=0), 0, -1):
        found = [max(low, min(full, most)) for low, full in zip(least, natural, strict=True)]
        if sum(found) <= room:
            return found
    return least


def _parts(cell: str) -> Iterator[str]:
    """The parts between which a cell may be broken without loss to the reader: at blanks, slashes, commas, dots."""
    begin = 0
    for k, letter in enumerate(cell):
        if letter in " ,/\\(.":
            yield cell[begin : k + 1].strip()
            begin = k + 1
    yield cell[begin:]
