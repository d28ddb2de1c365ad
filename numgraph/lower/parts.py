"""An LLVM module in parts, whose machine code is made side by side.

LLVM works on one module in one thread. The functions of a program that are called but never inlined, its phases and
plans, are dealt out to parts of about the same work; functions that may be inlined are in each part that calls them.
The parts depend on the program alone, not on the machine, so that its code is the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llvmlite import ir

# Work that is worth a part, in lines of IR, about 40 us of LLVM's each; and the greatest number of parts.
WORTH, MOST = 1000, 8
# A loop is as much work as so many lines: LLVM makes several of it, over vectors and over what is left. Measured on the
# functions of the benchmark's programs, whose times these two figures tell to a fifth.
_LOOP, _LOOPS = 160, re.compile(r"^loop[.\d]*:", re.MULTILINE)
# where a function is in the source, which declarations do not have
_LINES = re.compile(r" !dbg !\d+")
# what a text names: values, and in attributes the variants of functions for several lanes
_NAME = re.compile(r'@"([^"]+)"|\((\w+)\)')
# these variants, which nothing calls before loops are vectorised
_KEPT = "llvm.compiler.used"


def parts(module: Any, worth: int = WORTH) -> list[str]:
    """The text of a module (llvmlite.ir), or of several that are linked when they are loaded. worth: work of a part."""
    units = [f for f in module.functions if not f.is_declaration and _is_apart(f)]
    found = _Pieces(module, {f.name for f in units})
    count = min(MOST, sum(found.work.values()) // worth, len(units))
    if count < 2:
        return [str(module)]
    for unit in units:
        unit.linkage = ""
        found.text[unit.name] = str(unit)
    return [found.module(names) for names in dealt(found.work, count)]


def _is_apart(function: Any) -> bool:
    """Whether it is the entry or a function that is never inlined."""
    return not function.linkage or "noinline" in function.attributes


def dealt(work: dict[str, int], count: int) -> list[list[str]]:
    """The units in `count` lists of about the same work, the longest unit in the first: each, the longest first, goes
    to the list that has least."""
    lists: list[list[str]] = [[] for _ in range(count)]
    sums = [0] * count
    for name in sorted(work, key=lambda n: -work[n]):
        least = sums.index(min(sums))
        lists[least].append(name)
        sums[least] += work[name]
    return lists


class _Pieces:
    """The texts of what a module defines, and what belongs to each unit."""

    def __init__(self, module: Any, units: set[str]) -> None:
        self.whole, self.units = module, units
        values = {name: value for name, value in module.globals.items() if name != _KEPT}
        self.text = {name: str(value) for name, value in values.items()}
        self.named: dict[str, set[str]] = {}
        work = {name: text.count("\n") + _LOOP * len(_LOOPS.findall(text)) for name, text in self.text.items()}
        self.work = {
            unit: sum(work[n] for n in self.closure([unit]) if n == unit or n not in units)
            for unit in values
            if unit in units
        }

    def closure(self, units: Iterable[str]) -> set[str]:
        """What these units name, and what that names; of other units what their declarations name, their variants for
        several lanes."""
        own, seen = set(units), set(units)
        waiting = list(own)
        while waiting:
            name = waiting.pop()
            text = self._as_in(name, own)
            new = self._named(text) - seen
            seen |= new
            waiting += new
        return seen

    def _as_in(self, name: str, own: set[str]) -> str:
        """What a module has of a name that has the units `own` itself: of other units declarations."""
        text = self.text[name]
        return _declared(text) if name in self.units and name not in own else text

    def _named(self, text: str) -> set[str]:
        if text not in self.named:
            self.named[text] = self.text.keys() & {name or variant for name, variant in _NAME.findall(text)}
        return self.named[text]

    def module(self, names: Iterable[str]) -> str:
        """The text of the module that has these units."""
        wanted, own = self.closure(names), set(names)
        made = ir.Module(self.whole.name)
        made.triple, made.data_layout = self.whole.triple, self.whole.data_layout
        made.namedmetadata, made.metadata = self.whole.namedmetadata, self.whole.metadata
        texts = [self._as_in(name, own) for name in self.text if name in wanted]
        return "\n".join([str(made), *texts, *self._kept(wanted)])

    def _kept(self, wanted: set[str]) -> list[str]:
        whole = self.whole.globals.get(_KEPT)
        kept = [c for c in whole.initializer.constant if wanted & self._named(str(c))] if whole else []
        if not kept:
            return []
        array = ir.ArrayType(kept[0].type, len(kept))
        made = ir.GlobalVariable(ir.Module(), array, _KEPT)
        made.linkage, made.section, made.initializer = whole.linkage, whole.section, ir.Constant(array, kept)
        return [str(made)]


def _declared(text: str) -> str:
    """A function's declaration, with its attributes, from its definition."""
    return _LINES.sub("", text[: text.index("\n{")].replace("define", "declare", 1))
