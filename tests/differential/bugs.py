"""Old faults, put back on demand: `python -m tests.differential --with-old-bug own_bases` must find them again.

An old fault is a few words of numgraph's source as they were. A function gets the code that it had with them, wherever
it has been imported to.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType
from typing import Any


@dataclass(frozen=True)
class Patch:
    """What was otherwise in a function of a module (a name, perhaps with its class). words: (now, before) pairs."""

    module: str
    function: str
    words: tuple[tuple[str, str], ...]

    def found(self) -> Any:
        thing: Any = importlib.import_module(self.module)
        for name in self.function.split("."):
            thing = getattr(thing, name)
        return thing

    def old_code(self) -> CodeType:
        """The function's code with the old words; AssertionError if they no longer have a place."""
        source = textwrap.dedent(inspect.getsource(self.found()))
        for now, before in self.words:
            assert source.count(now) == 1, f"{self.module}.{self.function}: no place for {now!r}"
            source = source.replace(now, before)
        space: dict[str, Any] = dict(vars(importlib.import_module(self.module)))
        exec("from __future__ import annotations\n" + source, space)
        code: CodeType = space[self.function.split(".")[-1]].__code__
        return code


@dataclass(frozen=True)
class Bug:
    """An old fault: what went wrong, and the source that did it."""

    what: str
    patches: tuple[Patch, ...]

    def put_back(self) -> None:
        for patch in self.patches:
            patch.found().__code__ = patch.old_code()


OWNERSHIP = "numgraph.schedule.ownership"
BUGS = {
    "own_bases": Bug(
        "a scatter whose value is its base works in the base's memory while it is read",
        (Patch(OWNERSHIP, "Owner.bases", (("for v in node.inputs:\n", "for v in dict.fromkeys(node.inputs):\n"),)),),
    ),
    "two_updates": Bug(
        "a scatter that is the value of two updates is applied twice",
        (
            Patch(
                OWNERSHIP,
                "Owner.results",
                (
                    ("taken = {u.node for u in open_updates if self._is_owner(u)}", "taken = set()"),
                    (
                        "if self._is_owner(u):\n            ",
                        "if u.node not in taken and self._is_owner(u):\n            ",
                    ),
                ),
            ),
        ),
    ),
    "made_once": Bug(
        "what a step of a scan works in is copied once, before the loop, and every step finds what the last one left",
        (
            Patch(
                OWNERSHIP,
                "Owner.bases",
                (("self.of_scans.within(node, self.copy(inputs[0]))", "self.copy(inputs[0])"),),
            ),
        ),
    ),
    "stored_later": Bug(
        "a kernel's operand is read across, because what it is a view of was stored after it had been looked at",
        (
            Patch(
                "numgraph.schedule.stored",
                "choose_stored",
                (("while known != len(stored):", "while False:"),),
            ),
        ),
    ),
    "adjoint_lost": Bug(
        "a result of a scan that two gradients ask for has the adjoint of only one of them",
        (
            Patch(
                "numgraph.scanning.gradient",
                "Backward.__init__",
                (("_sum(table.get(number), adjoint)", "adjoint"),),
            ),
        ),
    ),
    "no_barriers": Bug(
        "a kernel goes through the steps of a scan without barriers between the phases of a step",
        (
            Patch(
                "numgraph.schedule.persistent",
                "phases",
                (("not any(", "None not in ("),),
            ),
        ),
    ),
    "wrapping": Bug(
        "integers that wrap are taken not to: x + 1 > x is always true",
        (
            Patch(
                "numgraph.lower.values",
                "Rules.called",
                (("let_wrap(made)", "None"),),
            ),
        ),
    ),
}


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """An old fault for a while."""
    functions = [patch.found() for patch in BUGS[name].patches]
    codes = [f.__code__ for f in functions]
    try:
        BUGS[name].put_back()
        yield
    finally:
        for function, code in zip(functions, codes, strict=True):
            function.__code__ = code
