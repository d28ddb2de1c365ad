"""The command: sections one after the other, each in a process of its own with a time of its own, and one report.

A kernel that fails takes the device away from its process, so sections cannot share one. What fails is reported.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.gpu.cubins import CUBINS
from bench.gpu.tools import Context, Section, context
from numgraph.inspector.terminal import make_console

FORMAT = 1
# Of the whole command.
SECONDS = 480.0
# What a process may take beyond its section's time, to come to a stop by itself.
GRACE = 10.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """A section: where its function is, and the seconds it may take."""

    title: str
    module: str
    function: str
    seconds: float

    def run(self, given: Context) -> Section:
        """What it finds."""
        made: Callable[[Context], Section] = getattr(import_module(f"bench.gpu.{self.module}"), self.function)
        return made(given)


PARTS = {
    "facts": Part("Device and versions", "facts", "facts", 15),
    "copies": Part("Copies", "kernels", "copying", 15),
    "right": Part("Training steps: right and repeatable", "programs", "right", 60),
    "resident": Part("Training steps: what the host and the bus do", "programs", "resident", 45),
    "epochs": Part("Epochs against other libraries", "epochs", "epochs", 120),
    "loops": Part("Recurrent layers", "loops", "loops", 30),
    "chains": Part("Elementwise work", "programs", "chains", 20),
    "kernels": Part("Kernels", "kernels", "table_of_kernels", 80),
    "products": Part("Products", "kernels", "products", 40),
    "sanitize": Part("compute-sanitizer", "sanitize", "sanitize", 55),
}
# What the sanitizer watches.
WATCHED = {"small": Part("A few steps of everything", "programs", "small", 600)}


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m bench gpu",
        description="numgraph on an NVIDIA GPU: checked, measured, compared; at most eight minutes.",
    )
    made.add_argument("--out", type=Path, default=Path("gpu"), metavar="DIR", help="for gpu.json and gpu.html (gpu)")
    made.add_argument("--simulate", action="store_true", help="every section that can, tiny, on the simulator")
    made.add_argument("--only", metavar="NAME,NAME", help=f"sections: {', '.join(PARTS)}")
    made.add_argument("--wheels", type=Path, metavar="DIR", help="use the wheels there before what is installed")
    made.add_argument("--cubins", type=Path, metavar="DIR", help="use the machine code there (see --pack)")
    made.add_argument("--pack", type=Path, metavar="DIR", help="make the machine code for --cubins; needs no GPU")
    made.add_argument("--capability", default="9.0", help="of the device that --pack is for (9.0)")
    made.add_argument("--section", choices=[*PARTS, *WATCHED], help=argparse.SUPPRESS)
    made.add_argument("--seconds", type=float, default=SECONDS, help="of the whole command (480)")
    made.add_argument("--part", type=Path, help=argparse.SUPPRESS)
    return made


def main(arguments: list[str]) -> int:
    """Run the command; 0 if every check holds, 1 if not, 2 without a device."""
    options = parser().parse_args(arguments)
    if options.wheels:
        replaced("with_wheels", options.wheels, options)
    if find_spec("numgraph.kernels") is None:
        replaced("from_checkout", ROOT, options)
    if options.pack:
        return packed(options)
    if options.cubins:
        # for the processes that are started, too
        os.environ[CUBINS] = str(options.cubins.resolve())
    if not options.simulate:
        problem = unusable()
        if problem:
            print(f"python -m bench gpu: no GPU can be used here: {problem}\n  (--simulate runs on the simulator)")
            return 2
    if options.section:
        return one(options)
    report = whole(options, lambda report: save(report, options.out))
    summary(report, options.out)
    wrong = any(s["status"] == "failed" or not all(c[1] for c in s["checks"]) for s in report["sections"])
    return int(wrong)


def save(report: dict[str, Any], out: Path) -> None:
    """Write the report, or what there is of it: after each section, in case the command is ended."""
    out.mkdir(parents=True, exist_ok=True)
    page = import_module("bench.gpu.page").page(report)
    for name, text in (("gpu.json", json.dumps(report, indent=1)), ("gpu.html", page)):
        new = out / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(out / name)


def replaced(how: str, folder: Path, options: argparse.Namespace) -> None:
    """Go on in another process that finds its packages elsewhere; folders are named from the root, wheels no more."""
    given = []
    for name in ("out", "cubins", "pack", "part"):
        place = getattr(options, name)
        given += [f"--{name}", str(place.resolve())] if place else []
    for name in ("only", "section", "capability", "seconds"):
        value = getattr(options, name)
        given += [f"--{name}", str(value)] if value else []
    given += ["--simulate"] if options.simulate else []
    getattr(import_module("bench.gpu.replace"), how)(folder, given)


def unusable() -> str | None:
    """Why the device cannot be used; machine code that is carried needs no compilers."""
    compiler = import_module("numgraph.cuda.compiler")
    problem: str | None = compiler.missing("run") or (None if CUBINS in os.environ else compiler.missing("compile"))
    return problem


def packed(options: argparse.Namespace) -> int:
    """`--pack`."""
    major, _, minor = options.capability.partition(".")
    cubins = import_module("bench.gpu.carried").pack(options.pack, (int(major), int(minor)))
    print(f"{cubins.made} kernels compiled, {cubins.used} were there, in {options.pack}")
    return 0


def outcome(name: str, target: str, seconds: float, keep: Path | None = None) -> dict[str, Any]:
    """What a section gave, as plain data; kept in a file meanwhile, for the case that the process ends."""
    part, began = (PARTS | WATCHED)[name], time.monotonic()

    def described(section: Section, status: str, why: str) -> dict[str, Any]:
        return described_as(name, part.title, status, why, time.monotonic() - began, section)

    def kept(section: Section) -> None:
        if keep is not None:
            text = json.dumps(described(section, "failed", "the process ended"))
            keep.write_text(text, encoding="utf-8")

    seen = Section()
    try:
        given = context(target, seconds)
        given.seen, given.keep = seen, kept
        try:
            section = part.run(given)
        finally:
            seen = given.seen
    except Exception as error:  # whatever a section raises is a result to report
        return described(seen, "failed", f"{type(error).__name__}: {error}")
    return described(section, "cut" if section.cut else "done", section.cut)


def described_as(name: str, title: str, status: str, why: str, seconds: float, section: Section) -> dict[str, Any]:
    """A section of the report. Beside a check that failed nothing is reached: figures of wrong results say nothing."""
    if status == "failed" or not all(holds for _, holds, _ in section.checks):
        aims = [(what, False, f"{seen}; but a check failed") for what, _, seen in section.aims]
        section = replace(section, aims=aims)
    return {"name": name, "title": title, "status": status, "why": why, "seconds": seconds} | asdict(section)


def one(options: argparse.Namespace) -> int:
    """`--section`: in this process, the result into a file."""
    target = "cuda-sim" if options.simulate else "cuda"
    found = outcome(options.section, target, options.seconds, options.part)
    if options.part:
        options.part.write_text(json.dumps(found), encoding="utf-8")
    for name, holds, seen in found["checks"]:
        if not holds:
            print(f"{name}: {seen}", file=sys.stderr)
    return int(found["status"] == "failed" or not all(c[1] for c in found["checks"]))


def whole(options: argparse.Namespace, save: Callable[[dict[str, Any]], None] = lambda report: None) -> dict[str, Any]:
    """All sections. save: is told what there is after each."""
    began, start = datetime.datetime.now().astimezone(), time.monotonic()
    end = start + options.seconds
    wanted = options.only.split(",") if options.only else list(PARTS)
    unknown = [n for n in wanted if n not in PARTS]
    if unknown:
        raise SystemExit(f"--only: there is no {', '.join(unknown)}; there are {', '.join(PARTS)}")
    report: dict[str, Any] = {
        "format": FORMAT,
        "target": "cuda-sim" if options.simulate else "cuda",
        "began": began.isoformat(timespec="seconds"),
        "seconds": 0.0,
        "sections": [],
    }
    with Console(stderr=True).status("starting") as status:
        for name in wanted:
            status.update(PARTS[name].title)
            seconds = min(PARTS[name].seconds, end - time.monotonic() - GRACE)
            if seconds < 1:
                why = "the time of the whole command was over"
                found = described_as(name, PARTS[name].title, "cut", why, 0.0, Section())
            elif options.simulate:
                found = outcome(name, "cuda-sim", seconds)
            else:
                found = apart(name, seconds)
            report["sections"].append(found)
            report["seconds"] = time.monotonic() - start
            save(report)
    return report


def apart(name: str, seconds: float) -> dict[str, Any]:
    """A section in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="numgraph-bench-") as folder:
        part = Path(folder) / "part.json"
        command = [sys.executable, "-m", "bench", "gpu", "--section", name, "--part", str(part)]
        command += ["--seconds", f"{seconds:.1f}"]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds + GRACE, cwd=ROOT, env=environment
            )
            said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            said = f"ended after {seconds + GRACE:.0f} s"
        found: dict[str, Any] = json.loads(part.read_text("utf-8")) if part.exists() else {}
    if found:
        if found["why"] == "the process ended":
            found["why"] += f": {said}"
        return found
    why = f"the process ended without a result: {said}"
    return described_as(name, PARTS[name].title, "failed", why, time.monotonic() - began, Section())


def summary(report: dict[str, Any], out: Path) -> None:
    """What a terminal shows."""
    shown = import_module("bench.gpu.page").shown
    console = make_console()
    for s in report["sections"]:
        console.print(f"[bold]{s['title']}[/bold]: {s['status']} in {s['seconds']:.1f} s {s['why']}", highlight=False)
        for title, head, rows in s["tables"]:
            console.print(f"  {title}", style="dim")
            for row in rows:
                console.print(
                    "    " + "; ".join(f"{h} {shown(v)}" for h, v in zip(head, row, strict=True) if v is not None)
                )
        for kind in ("checks", "aims"):
            for name, holds, seen in s[kind]:
                if kind == "aims" or not holds:
                    console.print(f"    {'reached' if holds else 'NOT'}: {name} ({seen})", markup=False)
    console.print(f"wrote {out / 'gpu.json'} and {out / 'gpu.html'}")
