"""Programs that were compiled before: what calls need of them is in the cache, and no pass has to run.

The name of what is kept covers all that the passes read: the program, the passes' own source, the versions of NumPy
and SciPy, by which constants are folded, and what machine code depends on. Errors, explanations and listings need the
program's schedule; then the passes run after all, with the same result, since they are functions of what the name
covers. With `config.verify` they always run, and what was kept must be what they give.
"""

from __future__ import annotations

import os
import pickle
from functools import cache as remember
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from numgraph import cache
from numgraph.config import config
from numgraph.errors import RecallError
from numgraph.fingerprint import LARGEST, Shapes, fingerprint, shapes_of
from numgraph.program import Program
from numgraph.runtime import native, objects
from numgraph.runtime.artifact import Artifact
from numgraph.runtime.cpu import ProcessorTarget
from numgraph.runtime.variant import Details, NativeVariant
from numgraph.target import Compiled

if TYPE_CHECKING:
    from numgraph.rewrite.assume import Keys, Leaf

_PACKAGE = Path(__file__).parent


def name_of(program: Program, shapes: Shapes) -> str | None:
    """The file of what is kept of a program; None if nothing is."""
    found, passes = fingerprint(program, shapes), passes_digest()
    if found is None or passes is None:
        return None
    settings = config.floatX, str(config.scan_memory)
    return f"p_{cache.digest(found, passes, np.__version__, *settings, *native.conditions())}.bin"


@remember
def passes_digest() -> str | None:
    """The state of the package's source: names, sizes and times of its files, and SciPy's version. None where the
    source is no folder."""
    try:
        files = sorted(Path(folder, name) for folder, _, names in os.walk(_PACKAGE) for name in names)
        files = [file for file in files if file.suffix == ".py"]
        times = [(str(f), s.st_size, s.st_mtime_ns, s.st_ctime_ns) for f in files if (s := f.stat())]
        scipy = native.file_of("scipy").with_name("version.py").read_bytes()
    except OSError:
        return None
    return cache.digest(repr(times), scipy) if times else None


def processor_target(program: Program) -> ProcessorTarget:
    """What runs a normalised program on the processor."""

    def build(given_up: Keys, leaf: Leaf | None) -> Compiled[NativeVariant]:
        shapes = shapes_of(program)
        first = not given_up and leaf is None and not config.debug
        name = name_of(program, shapes) if first else None
        if name is not None and not config.verify:
            found = recalled(program, shapes, name)
            if found is not None:
                return found
        # loaded when it is first needed: a program that is known needs no pass
        from numgraph.compile import compiled_program

        made = compiled_program(program, shapes, given_up, leaf)
        if name is not None:
            keep(program, shapes, name, made)
        return made

    return ProcessorTarget(program, build)


def recalled(program: Program, shapes: Shapes, name: str) -> Compiled[NativeVariant] | None:
    """The variant of a program that was kept; None if there is none."""
    kept = load(name)
    code = None if kept is None else native.recalled(kept.artifact.source, kept.artifact.kernels)
    if kept is None or code is None:
        return None

    floats = config.floatX

    def details() -> Details:
        from numgraph.compile import looked_at

        now = config.floatX
        try:
            # of which dtype quotients of integers are
            config.floatX = floats
            return looked_at(program, shapes)
        finally:
            config.floatX = now

    shared = list(shapes)
    variables = [shared[k] for k in kept.order]
    return Compiled(NativeVariant(kept.artifact, code, variables, config.threads, details), kept.given_up)


class Kept(NamedTuple):
    """What is kept of a program. order: the numbers of its shared variables, as `shapes_of` has them, in the variant's
    order. given_up: the assumptions that it was made without."""

    artifact: Artifact
    order: list[int]
    given_up: Keys


def load(name: str) -> Kept | None:
    """What was kept."""
    data = cache.load(name)
    parts = None if data is None else objects.unpack(name, data)
    if parts is None:
        if data is not None:
            cache.discard(name)
        return None
    found: Kept = pickle.loads(*parts[1])
    return found


def keep(program: Program, shapes: Shapes, name: str, made: Compiled[NativeVariant]) -> None:
    """Keep what calls need of a program; RecallError where something else was kept, and `config.verify` asks."""
    artifact = made.variant.artifact
    if sum(array.nbytes for array in artifact.arrays.values()) > LARGEST:
        # they are in what is kept
        return
    numbers = {variable: number for number, variable in enumerate(shapes)}
    kept = Kept(artifact, [numbers[v] for v in made.variant.shared], made.given_up)
    if config.verify:
        there = load(name)
        if there is not None and not (there.artifact.same(artifact) and there[1:] == kept[1:]):
            raise RecallError(f"{program.title}: what is kept in {name} is not what the passes make")
    cache.store(name, objects.pack(name, artifact.source, [pickle.dumps(kept)]))
