"""One phase of a function, in each of its stages."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from rich.console import RenderableType
from rich.text import Text

from numgraph.explain.explanation import PhaseEstimate
from numgraph.explain.text import phase_rows
from numgraph.inspector.code import code
from numgraph.inspector.record import LANGUAGES, FunctionRecord, PhaseRecord
from numgraph.inspector.terminal import phases, stage_text
from numgraph.text import printable

# A line of text with its number.
Numbered = tuple[int, str]


def phase_of(record: FunctionRecord, name: str) -> PhaseRecord:
    """The phase called `phase_0`, or with that number; KeyError listing those that there are."""
    found = [p for k, p in enumerate(record.phases) if name in (p.name, str(k))]
    if not found:
        there = ", ".join(f"{p.name} ({' '.join(p.writes)})" for p in record.phases) or "none"
        raise KeyError(f"function {printable(record.name)} has no phase {name!r}; it has: {there}")
    return found[0]


def phase_lines(record: FunctionRecord, stage: str, name: str) -> list[Numbered]:
    """The lines of a stage that are about one phase: its function, and what combines the parts of its chunks.

    KeyError where there is no such stage or phase, or where the stage says nothing of the phase.
    """
    phase = phase_of(record, name)
    text = stage_text(record, stage)
    finder = {"source": _in_python, "listing": _in_python, "loops": _in_loops, "llvm": _in_llvm, "asm": _in_assembly}
    if stage not in finder:
        raise KeyError(f"--phase goes with the stages {', '.join([*finder, 'schedule', 'explain'])}, not with {stage}")
    lines = list(enumerate(text.split("\n"), 1))
    found = finder[stage](lines, function_names(record.stages["source"], phase.name))
    if not found:
        raise KeyError(
            f"{phase.name} of {printable(record.name)} is no function of its own in the stage {stage}: it became a "
            "part of the one that calls it"
        )
    while not found[-1][1].strip():
        found.pop()
    return found


def phase_shown(record: FunctionRecord, stage: str | None, name: str, width: int) -> list[RenderableType]:
    """A stage of one phase in so many columns; without a stage its row of the schedule, its time, and its listing."""
    phase = phase_of(record, name)
    if stage == "schedule":
        return [phases([phase], width)]
    if stage == "explain":
        return [explained_phase(record, phase, width)]
    if stage is None:
        rows: list[RenderableType] = [phases([phase], width), Text()]
        if "explain" in record.stages:
            rows += [explained_phase(record, phase, width), Text()]
        return rows + phase_shown(record, "listing", name, width)
    lines = phase_lines(record, stage, name)
    text = "\n".join(line for _, line in lines)
    language = LANGUAGES.get(stage, "")
    return [code(text, language, width, numbered=stage != "loops", numbers=[number for number, _ in lines])]


def explained_phase(record: FunctionRecord, phase: PhaseRecord, width: int) -> RenderableType:
    """What one phase costs, and why it runs so."""
    explanation = record.explained()
    estimates: list[PhaseEstimate] = [] if explanation is None else explanation.phases
    found = [p for p in estimates if p.name == phase.name]
    if explanation is None or not found:
        raise KeyError(f"{phase.name} of {printable(record.name)} is not explained (target {record.target})")
    return phase_rows(replace(explanation, phases=found), width)


def function_names(source: str, phase: str) -> list[str]:
    """The functions of generated source that do what a phase does: its own or one that stands for several phases, what
    this calls that several have in common, and what combines the parts of chunks."""
    bodies = {node.name: ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    own = phase
    if phase not in bodies:
        # phases that do not differ are one function, and where it is called a comment says for which
        call = re.compile(rf"(?:launch\([^,]*, )?(\w+)\b.*# {phase}\b")
        own = next((found[1] for line in source.split("\n") if (found := call.match(line.strip()))), phase)
    shared = [name for name in bodies if name.startswith("shape_") and f"{name}(" in bodies.get(own, "")]
    return [own, *shared, f"join_{phase.rpartition('_')[2]}"]


def _in_python(lines: list[Numbered], names: list[str]) -> list[Numbered]:
    found: list[Numbered] = []
    for node in ast.parse("\n".join(line for _, line in lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found += [*([(first - 1, "")] if found else []), *lines[first - 1 : node.end_lineno]]
    return found


def _in_loops(lines: list[Numbered], names: list[str]) -> list[Numbered]:
    """Each form that the functions of these names had, under the transformation that made it."""
    found: list[Numbered] = []
    title: Numbered | None = None
    taking = False
    heads = [re.compile(rf"(@\w+ )?{name}\(") for name in names]
    for k, (number, line) in enumerate(lines):
        if line.startswith("-- "):
            title, taking = (number, line), False
        elif line and not line[0].isspace():
            # a comment above belongs to the function
            head = lines[k + 1][1] if line.startswith("#") and k + 1 < len(lines) else line
            begins = any(pattern.match(head) for pattern in heads)
            if begins and title is not None:
                found += [title, (number, "")]
                title = None
            taking = begins
        if taking:
            found.append((number, line))
    return found


def _in_llvm(lines: list[Numbered], names: list[str]) -> list[Numbered]:
    return _between(lines, [re.compile(rf"define .*@\"?{name}\"?\(") for name in names], re.compile(r"}"))


def _in_assembly(lines: list[Numbered], names: list[str]) -> list[Numbered]:
    return _between(lines, [re.compile(rf"_?\"?{name}\"?:") for name in names], re.compile(r"$"))


def _between(lines: list[Numbered], begins: list[re.Pattern[str]], ends: re.Pattern[str]) -> list[Numbered]:
    """The lines from each that matches one of `begins` to the next that matches `ends`."""
    found: list[Numbered] = []
    taking = False
    for number, line in lines:
        taking = taking or any(pattern.match(line) for pattern in begins)
        if taking:
            found.append((number, line))
            taking = ends.match(line) is None
    return found
