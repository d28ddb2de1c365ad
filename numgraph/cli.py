"""The command `numgraph`: run the demo, look inside a script's functions, look after the cache."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numgraph.demo import programs
from numgraph.inspector.command import UsageError, add_inspect, print_records
from numgraph.inspector.record import STAGES
from numgraph.text import printable, tolerant, undone


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, what the command says, or 2 for a mistake of the user's."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    split = given.index("--") if "--" in given else len(given)
    options = parser().parse_args(given[:split])
    options.arguments = given[split + 1 :]
    tolerant(sys.stdout, sys.stderr)
    try:
        return int(options.command(options) or 0)
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
    top.add_argument("--version", action="version", version=f"numgraph {sys.modules['numgraph'].__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="train a model on 10,000 handwritten digits, or run one of the tutorials' programs",
        epilog="What follows -- is passed to the program: `demo --model rbm -- --help` lists its options.",
    )
    demo.add_argument("--model", choices=("logreg", "mlp", *programs.NAMES), default="logreg", help="default: logreg")
    demo.add_argument("--batch", type=positive(int), metavar="N", help="rows of a minibatch (logreg 600, mlp 20)")
    demo.add_argument("--epochs", type=positive(int), metavar="N", help="epochs at most (logreg 1000, mlp 40)")
    demo.add_argument("--rate", type=positive(float), metavar="R", help="step size (logreg 0.13, mlp 0.1)")
    demo.add_argument("--data", type=Path, metavar="FILE.npz", help="other images `x` [n, ...] with labels `y` [n]")
    demo.add_argument("--target", choices=("cpu", "reference"), help="where to run (default: cpu)")
    demo.add_argument("--stage", choices=STAGES, help="do not train, but print this stage of the training step")
    demo.set_defaults(command=run_demo)

    add_inspect(commands)
    add_cache(commands)
    return top


def add_cache(commands: Any) -> None:
    """`numgraph cache list | size | clear`."""
    top = commands.add_parser("cache", help="list, measure or clear the folder of compiled functions")
    actions = top.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser("list", help="the functions in it, the last used first")
    listed.add_argument("--json", action="store_true", help="as a JSON list instead of a table")
    listed.set_defaults(command=run_cache_list)

    size = actions.add_parser("size", help="how much it holds, and where it is")
    size.set_defaults(command=run_cache_size)

    clear = actions.add_parser("clear", help="remove numgraph's files from it, and nothing else")
    clear.add_argument(
        "--older-than", type=positive(float), metavar="DAYS", help="keep what was used within so many days"
    )
    clear.set_defaults(command=run_cache_clear)


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
    if options.model in programs.NAMES:
        run_program(options)
        return
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
        raise UsageError(f"cannot use the data: {printable(error, 400)}") from error


def run_program(options: argparse.Namespace) -> None:
    """`numgraph demo`, of a program that stands by itself."""
    from numgraph.config import config

    if options.data is not None:
        raise UsageError(f"--data is for logreg and mlp; {options.model} has data of its own")
    if options.stage is not None:
        file = printable(programs.load(options.model).__file__)
        raise UsageError(f"--stage is for logreg and mlp. Try: numgraph inspect {file} --stage {options.stage}")
    if options.target is not None:
        config.target = options.target
    chosen = {name: getattr(options, name) for name in ("batch", "epochs", "rate")}
    given = [text for name, value in chosen.items() if value is not None for text in (f"--{name}", str(value))]
    programs.run(options.model, [*given, *options.arguments])


def cache_entries() -> list[dict[str, Any]]:
    """The compiled functions in the cache folder, the last used first: name, bytes, used, usable, path, for_all.

    A row is one machine code, or a source that has none. usable: whether it is whole, and made for this machine and
    these versions; None where the source that would tell is missing. for_all: whether it is no function, but code that
    is compiled once for all functions (products, the pool of threads).
    """
    from numgraph import cache
    from numgraph.runtime import native, objects

    there = cache.files()
    # read past `cache.load`, which marks files as used
    sources = cached_sources(there)
    coded = {file.source for file in there if file.kind == "code"}
    rows = []
    for file in there:
        if file.kind in ("scratch", "program") or (file.kind == "source" and file.source in coded):
            continue
        text = sources.get(file.source)
        usable = None
        if text is not None:
            usable = file.path.name == native.object_name(text)
            usable = usable and objects.unpack(file.path.name, contents(file.path)) is not None
        name = "(its source is missing)" if text is None else titled(text)
        row = {"name": name, "bytes": file.size, "used": file.used, "usable": usable, "path": str(file.path)}
        rows.append({**row, "for_all": text is not None and is_for_all(text)})
    return sorted(rows, key=lambda row: (-row["used"], row["path"]))


def cached_sources(there: Sequence[Any]) -> dict[str, str]:
    """The sources among the files of the cache folder, by name."""
    return {file.source: contents(file.path).decode("utf-8", "replace") for file in there if file.kind == "source"}


def is_for_all(text: str) -> bool:
    """Whether a source in the cache is that of code for all functions."""
    return text.lstrip('"; ').startswith("numgraph: ")


def contents(path: Path) -> bytes:
    """A file's content; empty when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def titled(text: str) -> str:
    """What a generated source says it is: the function's name, or what it returns or updates first."""
    lines = [undone(line).removesuffix('"""').strip() for line in text.lstrip('"; ').split("\n")[:2]]
    name = lines[0].removeprefix("numgraph function").strip() if lines else ""
    return name or (lines[1] if len(lines) > 1 else "")


def sized(count: float) -> str:
    """Bytes in a unit that leaves one to three digits before the point."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def run_cache_list(options: argparse.Namespace) -> None:
    """`numgraph cache list`."""
    from rich.table import Table
    from rich.text import Text

    from numgraph.config import config
    from numgraph.inspector import terminal

    rows = cache_entries()
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    console = terminal.make_console()
    common = sum(row["for_all"] for row in rows)
    more = f" and {common} pieces of code for all functions" if common else ""
    console.print(Text(f"{len(rows) - common} compiled functions{more} in {config.cache_dir}", overflow="fold"))
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    # names are cut where there is no room, the others are of a known width
    file = 17
    table.add_column("function", overflow="ellipsis", no_wrap=True, max_width=max(20, console.width - file - 38))
    table.add_column("size", justify="right", no_wrap=True, min_width=9)
    table.add_column("last used", no_wrap=True, min_width=10)
    table.add_column("usable here", no_wrap=True, min_width=11)
    table.add_column("file", no_wrap=True, min_width=file)
    for row in rows:
        day = time.strftime("%Y-%m-%d", time.localtime(row["used"]))
        usable = {True: "yes", False: "no", None: "?"}[row["usable"]]
        table.add_row(Text(row["name"]), sized(row["bytes"]), day, usable, Path(row["path"]).name[:14] + "...")
    console.print(table)


def run_cache_size(options: argparse.Namespace) -> None:
    """`numgraph cache size`."""
    from numgraph import cache
    from numgraph.config import config

    there = cache.files()
    total = sum(file.size for file in there)
    limit = f"at most {sized(config.cache_limit)}" if config.cache_limit else "without limit"
    common = {name for name, text in cached_sources(there).items() if is_for_all(text)}
    functions = len({file.source for file in there if file.kind != "program"} - common)
    print(f"{functions} functions, {len(there)} files, {sized(total)} ({total} bytes; {limit}) in {config.cache_dir}")


def run_cache_clear(options: argparse.Namespace) -> None:
    """`numgraph cache clear`."""
    from numgraph import cache
    from numgraph.config import config

    count, size = cache.clear(options.older_than)
    print(f"removed {count} files, {sized(size)}, from {config.cache_dir}")
