"""Assembly and LLVM IR as they are read: without directives and metadata, and the source line that each line is for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

# Directives that are the data behind a label.
DATA = (".byte", ".short", ".2byte", ".long", ".4byte", ".quad", ".8byte", ".zero", ".ascii", ".asciz")
_LABEL = re.compile(r"([^\s:#]+):")
_LOCATION = re.compile(r"\s*\.loc\s+(\d+)\s+(\d+)")
_LOCAL = re.compile(r"\.?L\w+")
_PLACE = re.compile(r"!(\d+) = (?:distinct )?!DILocation\(line: (\d+)")
_ATTACHED = re.compile(r"(?:,|) !dbg !(\d+)")


@dataclass
class CodeRecord:
    """A text that was made of generated source. text: its lines. lines: for each the line of the source, from 1 on; 0
    where it comes from none."""

    text: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    def add(self, text: str, line: int = 0) -> None:
        """One more line."""
        self.text.append(text)
        self.lines.append(line)


def assembly_code(text: str) -> CodeRecord:
    """The instructions of an assembler's text, and the labels and data that they refer to."""
    kept = list(_kept_assembly(text))
    used = {label for line, _ in kept if line.startswith("\t") for label in _LOCAL.findall(line)}
    code, data = CodeRecord(), False
    for line, source in kept:
        label = _LABEL.match(line)
        if label is not None:
            local = _LOCAL.fullmatch(label[1]) is not None
            if local and label[1] not in used:
                data = False
                continue
            # a function is ended by an empty line, also before the data of the next one
            if code.text and (not local or ("CPI" in label[1] and not data)):
                code.add("")
            data = "CPI" in label[1]
            code.add(f"{label[1]}:")
        elif not line.lstrip().startswith(".") or (data and line.split()[0] in DATA):
            code.add("    " + re.sub(r"\s+", " ", line.strip()).replace(" ", "  ", 1), source)
    return code


def _kept_assembly(text: str) -> Iterator[tuple[str, int]]:
    """Labels, instructions and data, with the source line; without the sections for a debugger."""
    source, skipped = 0, False
    for raw in text.splitlines():
        line = raw.split("##")[0].rstrip() if "##" in raw else raw.rstrip()
        word = line.split()[0] if line.strip() else ""
        if word == ".section":
            skipped = any(name in line for name in (".debug", "__debug", ".note", "__DWARF"))
        found = _LOCATION.match(line)
        if found is not None:
            # an instruction that LLVM made of several lines' has line 0: it stays with the one before
            source = int(found[2]) or source
        elif word and not skipped and (not word.startswith(".") or word in DATA or _LABEL.match(line)):
            if _LABEL.match(line) and not _LOCAL.match(line):
                source = 0
            yield line, source


def llvm_code(text: str) -> CodeRecord:
    """LLVM IR without what it says for a debugger."""
    places = {int(found[1]): int(found[2]) for found in _PLACE.finditer(text)}
    code, source = CodeRecord(), 0
    for line in text.splitlines():
        if line.startswith(("!llvm.dbg", "!llvm.module.flags")) or re.match(r"!\d+ = .*!DI[A-Z]", line):
            continue
        found = _ATTACHED.search(line)
        if line.startswith("define"):
            source = 0
        elif found is not None:
            source = places.get(int(found[1]), 0) or source
        inside = line.startswith(" ") and source
        code.add(_ATTACHED.sub("", line), source if inside else 0)
    return code


def annotated(code: CodeRecord, source: Sequence[str], comment: str) -> str:
    """The text, and before the instructions for another line of the source that line as a comment. source: its lines;
    comment: what comments begin with."""
    shown: list[str] = []
    last = 0
    for text, line in zip(code.text, code.lines, strict=True):
        if line != last and line:
            shown.append(f"  {comment} {line}  {source[line - 1].split('  # ')[0].strip()}")
        if line or not text.startswith(" "):
            last = line
        shown.append(text)
    return "\n".join(shown) + "\n"
