"""Which line of generated source an instruction comes from, as LLVM's debug locations.

They are for looking at machine code only: what is compiled to run has none, and LLVM makes the same instructions with
and without. A function of a kernel file has no lines of its own here. LLVM gives what it inlines of such a function
the place of the call, which is the line of generated source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from llvmlite import ir

from numgraph.lower.sources import GENERATED, Source


class Lines:
    """The debug locations of one module."""

    # whether modules that are lowered now have them; who sets it holds the lock of all compiling
    wanted: ClassVar[bool] = False

    def __init__(self, module: Any) -> None:
        self.module = module
        self.active = self.wanted
        self.unit: Any = None
        self.scopes: dict[int, Any] = {}

    def function(self, function: Any, source: Source) -> None:
        """Make a function of generated source a scope of lines."""
        name = source.names.get("__name__", "")
        if not self.active or not name.startswith(GENERATED):
            return
        if self.unit is None:
            self._begin(Path(source.names["__file__"]))
        add = self.module.add_debug_info
        line = source.tree.lineno
        scope = add(
            "DISubprogram",
            {
                "name": source.name,
                "scope": self.file,
                "file": self.file,
                "line": line,
                "type": add("DISubroutineType", {"types": self.module.add_metadata([None])}),
                "scopeLine": line,
                "spFlags": ir.DIToken("DISPFlagDefinition"),
                "unit": self.unit,
            },
            is_distinct=True,
        )
        function.set_metadata("dbg", scope)
        self.scopes[id(function)] = scope

    def at(self, function: Any, line: int) -> Any:
        """The place of a line within a function; None without lines."""
        scope = self.scopes.get(id(function))
        if scope is None:
            return None
        return self.module.add_debug_info("DILocation", {"line": line, "column": 1, "scope": scope})

    def _begin(self, file: Path) -> None:
        module = self.module
        self.file = module.add_debug_info("DIFile", {"filename": file.name, "directory": str(file.parent)})
        unit = {
            "language": ir.DIToken("DW_LANG_Python"),
            "file": self.file,
            "producer": "numgraph",
            "isOptimized": True,
            "runtimeVersion": 0,
            "emissionKind": ir.DIToken("LineTablesOnly"),
        }
        self.unit = module.add_debug_info("DICompileUnit", unit, is_distinct=True)
        module.add_named_metadata("llvm.dbg.cu", self.unit)
        number = ir.IntType(32)
        for name, value in (("Dwarf Version", 4), ("Debug Info Version", 3)):
            flag = module.add_metadata([number(2), name, number(value)])
            module.add_named_metadata("llvm.module.flags", flag)


@contextmanager
def lines_wanted() -> Iterator[None]:
    """Within the block, code is lowered with its lines; for one thread at a time."""
    Lines.wanted = True
    try:
        yield
    finally:
        Lines.wanted = False
