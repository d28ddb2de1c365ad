"""Machine code that was made elsewhere, for machines that have no compilers.

It is kept by what it was made from (source, captured values, types, capability, limits) and not by the versions of the
tools, since the machine that runs it may have others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numgraph import cache
from numgraph.cuda import captured, compiler, driver
from numgraph.cuda.compiler import Cubin

# Tells the processes that are started which folder they have.
CUBINS = "NUMGRAPH_BENCH_CUBINS"


def use_cubins() -> None:
    """Have the device of this process take machine code from the folder that was carried along, if one was."""
    if CUBINS in os.environ:
        driver.device().compile = Cubins(Path(os.environ[CUBINS])).compile


class Cubins:
    """Machine code in a folder. used, made: how many kernels came from it, and how many were compiled here."""

    def __init__(self, folder: Path, keep: bool = False) -> None:
        self.folder, self.keep = folder, keep
        self.used = self.made = 0

    def compile(
        self, function: Callable[..., Any], signature: tuple[str, ...], capability: tuple[int, int], **limits: Any
    ) -> Cubin:
        """In place of `compiler.compile_cubin`, which is asked for what is not in the folder."""
        about = (*captured.fingerprint(function), repr(signature), repr(capability), repr(sorted(limits.items())))
        path = self.folder / f"{cache.digest(*about)}.cubin"
        if path.exists():
            self.used += 1
            head, _, code = path.read_bytes().partition(b"\n")
            return Cubin(code=code, **json.loads(head))
        cubin = compiler.compile_cubin(function, signature, capability, **limits)
        self.made += 1
        if self.keep:
            head = json.dumps({k: v for k, v in asdict(cubin).items() if k not in ("code", "ptx")} | {"ptx": ""})
            path.write_bytes(head.encode() + b"\n" + cubin.code)
        return cubin
