"""Generated programs for a device, loaded: their functions, and what their launches depend on."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np

from numgraph import cache
from numgraph.cuda.numbers import CASTS, OF_PLANS
from numgraph.emit.gridmodule import GridModule
from numgraph.loops.grid.kernel import Kernel, flat
from numgraph.runtime.made import Making
from numgraph.schedule.plan import Schedule


@dataclass
class Loaded:
    """A kernel of the program, ready to be launched."""

    kernel: Kernel
    code: Any
    inner: list[Loaded] = field(default_factory=list)


def loaded(text: str) -> dict[str, Any]:
    """The names that a generated module defines; tracebacks and compilers find its text."""
    name = f"<numgraph {cache.digest(text)[:16]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(text, name, "exec"), namespace)
    # plans are run by Python, where a cast of NumPy's refuses a number that does not fit instead of cutting it
    plans = {key: f for key, f in namespace.items() if key.startswith("plan_")}
    names = OF_PLANS | namespace | CASTS
    return namespace | {key: FunctionType(f.__code__, names, key) for key, f in plans.items()}


def slots_read(kernels: Sequence[Kernel], module: GridModule) -> tuple[int, ...]:
    """The slots of the table that the launches of a stage depend on."""
    every = list(flat(kernels))
    numbers = [count for kernel in every for count, _, _ in kernel.grid]
    slots = []
    if any(kernel.scan is not None for kernel in every):
        # where steps go, plans of steps work out of all that plans have found
        layout = module.layout
        slots += [slot for node, slot in layout.values.items() if not node.within]
        slots += [s for node, s in zip(layout.inputs, layout.arguments, strict=True) if node.kind == "scalar"]
    for kernel in every:
        numbers += [*kernel.sizes, *(offset for _, offset in kernel.operands)]
        for parameter in kernel.parameters.values():
            match parameter.source:
                case ("slot", slot):
                    slots.append(slot)
                case ("arena", _, offset):
                    numbers.append(offset)
                case ("own", _):
                    numbers.append(kernel.own)
                case ("part", task):
                    numbers.append(module.parts[task])
    return tuple(dict.fromkeys(slots + [-1 - n for n in numbers if n < 0]))


def arrays_read(module: GridModule) -> list[str]:
    """Digests of the constant arrays that kernels read."""
    sources = [p.source for stage in module.kernels for kernel in flat(stage) for p in kernel.parameters.values()]
    scans = [kernel.scan for stage in module.kernels for kernel in flat(stage) if kernel.scan is not None]
    sources += [state.first.source for scan in scans for state in scan.states.values()]
    return list(dict.fromkeys(source[1] for source in sources if source[0] == "array"))


def small_results(schedule: Schedule, making: Making, most: int) -> tuple[dict[int, int], int]:
    """Small outputs of known lengths, with the word of a recording's results where each begins; and how many words."""
    found: dict[int, int] = {}
    words = 0
    for number, node in enumerate(schedule.outputs):
        lengths = making.known(("output", number))
        size = 0 if lengths is None else int(np.prod(lengths, dtype=np.int64)) * np.dtype(node.dtype).itemsize
        if lengths is not None and size <= most:
            found[number] = words
            # kernels may write 16 bytes at a time
            words += 2 * -(-size // 16)
    return found, words
