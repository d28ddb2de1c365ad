"""`numgraph inspect`: look at the functions that a script builds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numgraph.errors import NumgraphError
from numgraph.function import Function
from numgraph.inspector.record import STAGES, FunctionRecord
from numgraph.inspector.script import Script
from numgraph.inspector.script import run as run_script
from numgraph.source import LONGEST_PATH
from numgraph.text import identifier, printable

STAGE_HELP = "what to print (without it: an overview and the listing)"
_DESCRIPTION = """\
Run a script until it first calls a function that it has built, and show the functions built so far.

NAME is a function's name=, a variable (train), what leads from a variable to it (model.train, steps[0],
steps['train']), or its number in the order of building (0, -1). If it is not there at the first call, the script runs
on until it is. What the script prints goes to standard error."""
_EPILOG = """\
What follows -- is passed to the script: `numgraph inspect train.py -- --epochs 1`.

Exit status: 0; 1 if the script failed, or with --diff if there are differences; 2 for a mistake in the command line,
or with --diff if the script failed."""


class UsageError(Exception):
    """A mistake in the command line; its text is the message."""


def add_inspect(commands: Any) -> None:
    """`numgraph inspect`."""
    inspect = commands.add_parser(
        "inspect",
        help="run a script until it calls a function, and show the functions that it builds",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = inspect.add_argument
    add("script", nargs="?", metavar="FILE.py[:NAME]", help="a script, and perhaps one of its functions")
    add("--run", action="store_true", help="run the script to its end")
    add("--stage", choices=STAGES, help=STAGE_HELP)
    add("--phase", metavar="P", help="only this phase of the stage (phase_0, or 0)")
    add("--raw", action="store_true", help="with --stage or --diff: the text alone, as for a file")
    add("--diff", nargs=2, metavar=("A", "B"), help=_DIFF_HELP)
    add("--export", type=Path, metavar="DIR", help="write each function there, as a module that needs no numgraph")
    add("--json", type=Path, metavar="FILE", help="write the record of the one function there (-: print it)")
    add("--html", type=Path, metavar="FILE", help="write a page about the functions there")
    add("--open", action="store_true", help="open that page in a browser")
    inspect.set_defaults(command=run_inspect)


_DIFF_HELP = (
    "how a stage (default: source) of B differs from that of A: two functions of the script, two files (sources, or "
    "records of --json), or two folders of --export"
)


def run_inspect(options: argparse.Namespace) -> int:
    """`numgraph inspect`; the exit status. UsageError for a mistake."""
    if options.diff is not None:
        from numgraph.inspector.comparison import run_diff

        return run_diff(options)
    if options.script is None:
        raise UsageError("say which script: numgraph inspect FILE.py[:NAME]")
    if options.raw and options.stage is None:
        raise UsageError(f"--raw prints one stage: choose it with --stage ({', '.join(STAGES)})")
    # the script may go to another folder
    for name in ("export", "json", "html"):
        given = getattr(options, name)
        if given is not None and str(given) != "-":
            setattr(options, name, given.absolute())
    path, wanted = split_target(options.script)
    script = run(path, options, [] if wanted is None else [wanted])
    try:
        show(chosen(script, wanted), script, options)
    finally:
        if script.error is not None:
            print(f"numgraph: {printable(path, LONGEST_PATH)} {script.ending()}", file=sys.stderr)
            script.print_error()
    return 0 if script.error is None and script.status in (None, 0) else 1


def run(path: Path, options: argparse.Namespace, wanted: Sequence[str]) -> Script:
    """Run the script as far as it is to be run, and say on standard error how far that was; UsageError where it built
    no functions."""
    script = run_script(path, options.arguments, wanted, options.run)
    sys.stdout.flush()
    shown = printable(path, LONGEST_PATH)
    if not script.functions:
        if script.error is not None:
            script.print_error()
            raise UsageError(f"{shown} {script.ending()}, before it built any function")
        if script.status not in (None, 0):
            raise UsageError(f"{shown} {script.ending()}, and built no functions")
        raise UsageError(f"{shown} built no functions: it has to call ng.function when run as a script")
    if script.stop is not None:
        print(f"numgraph: {shown} {script.ending()} (--run: to its end)", file=sys.stderr)
    elif script.status not in (None, 0):
        print(f"numgraph: {shown} {script.ending()}", file=sys.stderr)
    script.title()
    return script


def chosen(script: Script, name: str | None) -> list[Function]:
    """The functions that are meant; UsageError listing those that there are."""
    if name is None:
        return script.functions
    found = script.places.find(name)
    if not found:
        said = f"no function {printable(name)!r}; {printable(script.path)} {script.ending()} and built:"
        raise UsageError(f"{said}\n{script.listing()}")
    return found


def show(functions: Sequence[Function], script: Script, options: argparse.Namespace) -> None:
    """Write what is to be written, or print."""
    records = [f.record for f in functions]
    for option, value in (("--raw", options.raw), ("--json", options.json is not None)):
        if value and len(records) != 1:
            file = printable(script.path)
            raise UsageError(f"{option} takes one function, choose it with {file}:NAME from\n{script.listing()}")
    try:
        if options.export is not None:
            export(functions, options.export)
        if options.json is not None:
            write_json(records[0], options.json)
        if options.html is not None or options.open:
            write_html(records, options)
    except OSError as error:
        raise UsageError(f"cannot write: {error}") from error
    if options.export is None and options.json is None and options.html is None and not options.open:
        print_records(records, options.stage, options.raw, options.phase)


def write_json(record: FunctionRecord, path: Path) -> None:
    """A record as JSON, `-` for standard output."""
    if str(path) == "-":
        print(record.to_json())
    else:
        path.write_text(record.to_json(), encoding="utf-8")


def write_html(records: Sequence[FunctionRecord], options: argparse.Namespace) -> None:
    """Write the page, and open it where that is wanted and there is a browser."""
    from numgraph.inspector import browser

    path = browser.write_page(records, options.html)
    print(path)
    if options.open and not browser.open_page(path):
        print("numgraph: there is no browser to open it in", file=sys.stderr)


def export(functions: Sequence[Function], folder: Path) -> None:
    """Write a module for each function, called after it; UsageError for one that cannot be exported."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for f in functions:
        stem = base = identifier(f.record.name) or "function"
        number = 1
        while stem in taken:
            number += 1
            stem = f"{base}_{number}"
        taken.add(stem)
        try:
            f.export(folder / f"{stem}.py")
        except NumgraphError as error:
            raise UsageError(f"{printable(f.record.name)} is not exported: {error}") from error
        print(folder / f"{stem}.py")


def print_records(
    records: Sequence[FunctionRecord], stage: str | None, raw: bool = False, phase: str | None = None
) -> None:
    """Print a stage of each record on standard output, or one phase of it; UsageError when one has no such stage or
    phase. raw: its text alone."""
    from numgraph.inspector import terminal
    from numgraph.inspector.phase import phase_lines, phase_shown

    console = terminal.make_console()
    for record in records:
        try:
            if raw and stage is not None and phase is not None:
                print("\n".join(line for _, line in phase_lines(record, stage, phase)))
            elif raw and stage is not None:
                print(terminal.stage_text(record, stage).rstrip("\n"))
            elif phase is not None:
                parts = phase_shown(record, stage, phase, console.width)
                terminal.put(console, terminal.heading(record, console.width), *parts)
            else:
                terminal.show(record, console, stage)
        except KeyError as error:
            raise UsageError(error.args[0]) from error


def split_target(text: str) -> tuple[Path, str | None]:
    """`train.py:f` as a path and a name; UsageError when there is no such file."""
    if Path(text).is_file():
        return Path(text), None
    for k, letter in enumerate(text):
        if letter == ":" and Path(text[:k]).is_file():
            return Path(text[:k]), text[k + 1 :] or None
    file = text.rpartition(":")[0]
    raise UsageError(f"there is no file {printable(file or text)}")
