"""The command `numgraph`: run the demo, look inside a script's functions."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from numgraph.inspector.record import LIVE, STAGES, UNNAMED, FunctionRecord

STAGE_HELP = "what to print (without it: an overview and the listing)"


class UsageError(Exception):
    """A mistake in the command line; its text is the message."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 for a mistake of the user's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    split = given.index("--") if "--" in given else len(given)
    options = parser().parse_args(given[:split])
    options.arguments = given[split + 1 :]
    try:
        options.command(options)
    except UsageError as error:
        print(f"numgraph: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (`| head`) has seen enough; nothing can be written to it any more
        sys.stderr.close()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="numgraph", description="Symbolic expressions compiled to readable Numba source."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a model on 10,000 handwritten digits")
    demo.add_argument("--model", choices=("logreg", "mlp"), default="logreg", help="default: logreg")
    demo.add_argument("--batch", type=positive(int), metavar="N", help="rows of a minibatch (logreg 600, mlp 20)")
    demo.add_argument("--epochs", type=positive(int), metavar="N", help="epochs at most (logreg 1000, mlp 40)")
    demo.add_argument("--rate", type=positive(float), metavar="R", help="step size (logreg 0.13, mlp 0.1)")
    demo.add_argument("--data", type=Path, metavar="FILE.npz", help="other images `x` [n, ...] with labels `y` [n]")
    demo.add_argument("--target", choices=("cpu", "reference"), help="where to run (default: cpu)")
    demo.add_argument("--stage", choices=STAGES, help="do not train, but print this stage of the training step")
    demo.set_defaults(command=run_demo)

    inspect = commands.add_parser(
        "inspect",
        help="run a script and show the functions that it builds",
        epilog="What follows -- is passed to the script.",
    )
    inspect.add_argument(
        "script", metavar="FILE.py[:NAME]", help="a script, and perhaps the name of one of its functions"
    )
    inspect.add_argument("--stage", choices=STAGES, help=STAGE_HELP)
    inspect.add_argument("--json", type=Path, metavar="FILE", help="write the record of the one function there instead")
    inspect.set_defaults(command=run_inspect)
    return top


def positive(kind: type[int] | type[float]) -> Any:
    """An argument type: a number of this kind above 0."""

    def convert(text: str) -> int | float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    convert.__name__ = kind.__name__
    return convert


def run_demo(options: argparse.Namespace) -> None:
    """`numgraph demo`."""
    from numgraph.demo import show
    from numgraph.inspector import terminal

    chosen = show.Options(options.model, options.batch, options.rate, options.epochs, options.data, options.target)
    console = terminal.make_console()
    try:
        if options.stage:
            program, _ = show.compiled(chosen)
            print_records([program.train.record], options.stage)
        else:
            show.run(chosen, console)
    except (OSError, ValueError) as error:
        if options.data is None:
            raise
        raise UsageError(f"cannot use the data: {error}") from error


def run_inspect(options: argparse.Namespace) -> None:
    """`numgraph inspect`."""
    path, name = split_target(options.script)
    with LIVE.held() as functions:
        namespace = run_script(path, options.arguments)
    if not functions:
        raise UsageError(f"{path} built no functions: it has to call ng.function when run as a script")
    for variable, value in namespace.items():
        if any(value is f for f in functions) and value.record.name == UNNAMED:
            value.record.name = variable
    records = [f.record for f in (functions if name is None else named(functions, name, namespace))]
    if options.json is None:
        print_records(records, options.stage)
        return
    if len(records) != 1:
        raise UsageError(
            f"--json takes one function, {path} has {', '.join(r.name for r in records)}: choose with {path}:NAME"
        )
    options.json.write_text(records[0].to_json(), encoding="utf-8")


def print_records(records: Sequence[FunctionRecord], stage: str | None) -> None:
    """Print a stage of each record on standard output; UsageError when one has no such stage."""
    from numgraph.inspector import terminal

    console = terminal.make_console()
    for record in records:
        try:
            terminal.show(record, console, stage)
        except KeyError as error:
            raise UsageError(error.args[0]) from error


def split_target(text: str) -> tuple[Path, str | None]:
    """`train.py:f` as a path and a name; UsageError when there is no such file."""
    if Path(text).is_file():
        return Path(text), None
    file, _, name = text.rpartition(":")
    if not file or not Path(file).is_file():
        raise UsageError(f"there is no file {file or text}")
    return Path(file), name


def run_script(path: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a file as `python FILE ARGUMENTS` would, what it prints going to standard error; its global names.

    UsageError when it ends with a status other than 0; other exceptions pass.
    """
    with as_script(path, arguments), redirect_stdout(sys.stderr):
        try:
            return runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            if end.code not in (None, 0):
                raise UsageError(f"{path} ended with status {end.code}") from end
            return {}


@contextmanager
def as_script(path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """`sys.argv` and `sys.path[0]` as a script finds them."""
    argv, search = sys.argv, sys.path
    sys.argv, sys.path = [str(path), *arguments], [str(path.resolve().parent), *search]
    try:
        yield
    finally:
        sys.argv, sys.path = argv, search


def named(functions: Sequence[Any], name: str, namespace: dict[str, Any]) -> list[Any]:
    """The functions with that `name=`, else the one bound to that global; UsageError listing the names otherwise."""
    found = [f for f in functions if f.record.name == name]
    if not found:
        found = [f for f in functions if namespace.get(name) is f]
    if not found:
        raise UsageError(f"no function {name!r}; there are: {', '.join(f.record.name for f in functions)}")
    return found
