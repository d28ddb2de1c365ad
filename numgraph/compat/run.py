"""`python -m numgraph.compat run PROGRAM.py [args]`: a program written for Theano, run over numgraph."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType

from numgraph.compat import oldnames
from numgraph.compat.modules import CONTENTS
from numgraph.compat.variables import as_object
from numgraph.graph import Variable

OURS = "numgraph.compat.theano"
# who has one of these has variables of another library
_OTHERS = ("theano", "pytensor", "aesara")


def install(old_names: bool = False) -> None:
    """Put numgraph's modules in the place of `theano` and what is below it, for imports from now on.

    old_names: also put back what Python and NumPy have dropped since, `collections.Iterable`, `inspect.getargspec`,
    `numpy.int` and the like, which libraries of that time need, as Keras 2.
    ImportError when Theano, or a library that took its place, was imported before: its variables are no others'.
    """
    ours = import_module(OURS)
    for name in _OTHERS:
        if name in sys.modules and sys.modules[name] is not ours:
            raise ImportError(
                f"{name} is imported already, and its variables cannot be used by numgraph: install() must come before "
                "the first import of it, in a process of its own"
            )
    if old_names:
        oldnames.restore()
    setattr(Variable, "__array__", as_object)  # noqa: B010  # it has another one, which refuses
    for name in CONTENTS:
        below = f".{name}" if name else ""
        sys.modules["theano" + below] = sys.modules[OURS + below]


def run(path: str, arguments: Sequence[str], old_names: bool = False) -> int:
    """Run a file as `python FILE ARGUMENTS` would, with `theano` being numgraph's; the exit status. old_names: as for
    `install`.

    An exception is printed with the program's lines, from its first one on. For a missing `six`, which Theano brought
    along, the message says how to install it.
    """
    install(old_names)
    argv, search = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [path, *arguments], [str(Path(path).resolve().parent)]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit:
        raise
    except BaseException as error:
        traceback.print_exception(type(error), error, _within(error.__traceback__, path))
        _advise(error)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        sys.argv, sys.path[:] = argv, search
    return 0


def _within(trace: TracebackType | None, path: str) -> TracebackType | None:
    """The traceback from the program's first line on; the whole of it for a program that did not begin."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename != path:
        found = found.tb_next
    return found or trace


def _advise(error: BaseException) -> None:
    """What to do about the usual reasons why a program of Theano's time does not run."""
    if isinstance(error, ModuleNotFoundError):
        top = (error.name or "").partition(".")[0]
        if top == "theano":
            print(f"numgraph.compat has no module {error.name}; docs/theano.md lists those there are", file=sys.stderr)
        elif top in ("six", "PIL"):
            package = {"six": "six", "PIL": "pillow"}[top]
            print(f"{top} is not numgraph's, the program brings it along: pip install {package}", file=sys.stderr)
        elif top in ("cPickle", "urllib2", "StringIO", "ConfigParser", "Queue", "copy_reg"):
            print(f"{top} is a module of Python 2: the program must be converted first (2to3)", file=sys.stderr)
    elif isinstance(error, ImportError) and (error.name or "").startswith(OURS):
        module = (error.name or "").replace(OURS, "theano", 1)
        print(f"numgraph.compat has no such name in {module}; docs/theano.md lists what there is", file=sys.stderr)
    elif isinstance(error, SyntaxError):
        print("if these lines are Python 2, the program must be converted first (2to3)", file=sys.stderr)
    elif isinstance(error, ImportError | AttributeError) and (name := oldnames.named_in(error)):
        print(f"{name} was there in older versions: --old-names before the program puts it back", file=sys.stderr)
    elif isinstance(error, NameError) and error.name in ("xrange", "unicode", "raw_input", "long", "basestring"):
        print(f"{error.name} is a name of Python 2: the program must be converted first (2to3)", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m numgraph.compat", description="Run a program that was written for Theano, over numgraph."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run_parser = commands.add_parser("run", help="run PROGRAM.py with numgraph's modules in the place of theano's")
    run_parser.add_argument(
        "--old-names", action="store_true",
        help="put back what Python and NumPy have dropped: collections.Iterable, inspect.getargspec, numpy.int ...",
    )  # fmt: skip
    run_parser.add_argument("program", metavar="PROGRAM.py")
    run_parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="args", help="passed to the program")
    options = parser.parse_args(arguments)
    if not Path(options.program).is_file():
        parser.error(f"there is no file {options.program}")
    return run(options.program, options.arguments, options.old_names)
