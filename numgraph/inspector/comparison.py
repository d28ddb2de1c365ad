"""`numgraph inspect --diff`: functions of a script, files or folders compared."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from numgraph.inspector.command import UsageError, chosen, run, split_target
from numgraph.inspector.difference import print_diff
from numgraph.inspector.phase import phase_lines
from numgraph.inspector.record import FunctionRecord
from numgraph.inspector.script import Script
from numgraph.inspector.terminal import make_console, stage_text
from numgraph.text import printable

# (what it is called, its text)
Side = tuple[str, str]


def run_diff(options: argparse.Namespace) -> int:
    """Print how B differs from A; 0 if it does not, 1 if it does, 2 if the script failed. UsageError for a mistake."""
    for name in ("export", "json", "html", "open"):
        if getattr(options, name):
            raise UsageError(f"--{name} and --diff do not go together")
    a, b = options.diff
    if Path(a).is_dir() and Path(b).is_dir() and options.script is None:
        return folders(Path(a), Path(b), options)
    scripts: dict[Path, Script] = {}
    wanted = _wanted(options)
    sides = [_side(text, options, wanted, scripts) for text in (a, b)]
    differs = printed(sides[0], sides[1], options)
    if not differs:
        what = "files" if all(Path(text).is_file() for text in (a, b)) else options.stage or "source"
        print(f"numgraph: no difference ({what})", file=sys.stderr)
    for script in scripts.values():
        if script.error is not None:
            print(f"numgraph: {printable(script.path)} {script.ending()}", file=sys.stderr)
            script.print_error()
            return 2
    return int(differs)


def printed(a: Side, b: Side, options: argparse.Namespace) -> bool:
    """Print the difference; whether there is any."""
    return print_diff(a[1], b[1], (a[0], b[0]), make_console(), options.raw)


def folders(a: Path, b: Path, options: argparse.Namespace) -> int:
    """The modules and records in two folders, those of the same name beside each other."""
    names = [{path.name for path in folder.iterdir() if path.suffix in (".py", ".json")} for folder in (a, b)]
    differs = False
    for name in sorted(names[0] | names[1]):
        missing = [folder for folder, there in zip((a, b), names, strict=True) if name not in there]
        if missing:
            print(f"Only in {printable(b if missing[0] is a else a)}: {printable(name)}")
            differs = True
        else:
            differs |= printed(_file(a / name, options), _file(b / name, options), options)
    if not differs:
        print("numgraph: no difference (folders)", file=sys.stderr)
    return int(differs)


def _wanted(options: argparse.Namespace) -> dict[Path, list[str]]:
    """The functions that are compared, by their script: each is run once."""
    wanted: dict[Path, list[str]] = {}
    for text in options.diff:
        if not Path(text).is_file():
            path, name = _target(text, options)
            wanted.setdefault(path, []).append(name)
    return wanted


def _target(text: str, options: argparse.Namespace) -> tuple[Path, str]:
    """The script and the name of a function."""
    try:
        path, name = split_target(text)
        if name is not None:
            return path, name
    except UsageError:
        pass
    if options.script is None:
        said = f"{printable(text)} is no file; to compare functions say of which script"
        raise UsageError(f"{said}: numgraph inspect FILE.py --diff A B")
    path, name = split_target(options.script)
    if name is not None:
        raise UsageError(f"--diff compares two functions: leave out :{printable(name)}")
    return path, text


def _side(text: str, options: argparse.Namespace, wanted: dict[Path, list[str]], scripts: dict[Path, Script]) -> Side:
    if Path(text).is_file():
        return _file(Path(text), options)
    path, name = _target(text, options)
    if path not in scripts:
        scripts[path] = run(path, options, wanted[path])
    found = chosen(scripts[path], name)
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} functions are called {printable(name)}; use their numbers:\n{scripts[path].listing()}"
        )
    record = found[0].record
    return f"{printable(record.name)}  {record.line}".rstrip(), _stage(record, options)


def _file(path: Path, options: argparse.Namespace) -> Side:
    """A record, or a text."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return str(path), text
        record = FunctionRecord.from_json(text)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"cannot read {printable(path)}: {error}") from error
    return f"{path}  {printable(record.name)}", _stage(record, options)


def _stage(record: FunctionRecord, options: argparse.Namespace) -> str:
    """The text that is compared; UsageError where there is none."""
    stage = options.stage or "source"
    try:
        if options.phase is None:
            return stage_text(record, stage)
        return "\n".join(line for _, line in phase_lines(record, stage, options.phase))
    except KeyError as error:
        raise UsageError(error.args[0]) from error
