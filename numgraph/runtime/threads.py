"""The pool of threads: one launcher for all functions, made of LLVM assembly (launcher.ll) and kept in the cache.

Numba's own pools need Numba, and some end the process when two Python threads use them at once; OpenMP's does not
survive a fork. This one is loaded without Numba, serves one caller at a time (others run their chunks themselves), and
starts anew in the child of a fork.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache as remember
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numgraph import cache
from numgraph.runtime import native
from numgraph.whole import compiled

if TYPE_CHECKING:
    from numgraph.lower.emission import Emission

# How often a caller looks whether the others are done before it lets other processes run.
SPINS = 1500
# Cycles of work for which a sleeper is woken.
WORTH_CYCLES = 600_000
# The figures of the rules in launcher.ll: nanoseconds where nothing else is said.
RULES = {
    # a worker that was woken, or has begun, watches for so long even if it finds nothing to do
    "FIRST_WATCH": 1_000_000,
    # one that has worked for so many times as long, within these bounds
    "WATCHES": 20,
    "SHORT_WATCH": 100_000,
    "LONG_WATCH": 5_000_000,
    # looks in vain before it offers its processor to others, about 30 nanoseconds each
    "OFFER": 512,
    # the same, and nanoseconds of jobs in a row
    "WORTH_CYCLES": WORTH_CYCLES,
    "WORTH": 200_000,
    # the account of what the pool has gained: at first, and at most
    "FIRST_GAIN": 2_000_000,
    "MOST_GAIN": 4_000_000,
    # after a rest
    "NEXT_GAIN": 1_000_000,
    # rests, by the time that was lost, and at most
    "RESTS": 8,
    "LONG_REST": 100_000_000,
    # steps to the first trial, and at most to the next one: twice as many each time that nothing was better otherwise
    "TRIAL_FIRST": 64,
    "TRIAL_MOST": 4096,
    # steps of a trial, and of what it is compared with; those at its begin that do not count
    "TRIAL_STEPS": 8,
    "TRIAL_SKIPS": 3,
    # steps in a row that take 5/4 of the usual time before a trial is made at once
    "TRIAL_SLOW": 16,
    # longer steps are not tried; nor is one waited for that takes so long
    "TRIAL_LONGEST": 20_000_000,
    "ENDLESS": 100_000_000,
    "UNKNOWN": 1 << 58,
    "MOST_WORKERS": 1023,
}
# What the system's clock that only goes forward is called; time.perf_counter reads the same.
MONOTONIC = 6 if sys.platform == "darwin" else 1
# Where threads cannot be told on which processors to run.
_UNPLACED = "\n".join(f"define internal void @{name}() {{\n  ret void\n}}" for name in ("place", "unplace"))
_PAUSES = {"x86_64": "pause", "amd64": "pause", "i686": "pause", "aarch64": "yield", "arm64": "yield"}


# Functions of two instructions that are written out where they are called: no pass of LLVM's runs over the text.
_READ = re.compile(r"(%\w+) = call i64 @word\(ptr (%\w+), i64 (\d+)\)")
_WRITE = re.compile(r"call void @note\(ptr (%\w+), i64 (\d+), i64 ([%\w]+)\)")


@dataclass(frozen=True)
class Launcher:
    """Loaded code of the launcher. address: of `launch`, for compiled code."""

    address: int
    want: Any
    forget: Any
    launch: Any


def assembly() -> str:
    """The launcher's text for this system."""
    here = Path(__file__)
    text = here.with_name("launcher.ll").read_text(encoding="utf-8")
    trials = here.with_name("trials.ll").read_text(encoding="utf-8")
    placing = here.with_name("placing.ll").read_text(encoding="utf-8") if sys.platform == "linux" else _UNPLACED
    text = "\n".join([text, trials, placing])
    text = _READ.sub(
        r"\1_at = getelementptr i64, ptr \2, i64 \3\n  \1 = load atomic i64, ptr \1_at monotonic, align 8", text
    )
    places = count()
    text = _WRITE.sub(lambda found: _written(next(places), *found.groups()), text)
    pause = _PAUSES.get(platform.machine().lower())
    text = text.replace("PAUSE", f'call void asm sideeffect "{pause}", ""()' if pause else "fence seq_cst")
    apple = sys.platform == "darwin"
    values = {**RULES, "SPINS": SPINS, "SIG_SETMASK": 3 if apple else 2, "CLOCK_MONOTONIC": MONOTONIC}
    return re.sub(r"\b[A-Z][A-Z_]+\b", lambda found: str(values.get(found[0], found[0])), text)


def _written(number: int, pointer: str, word: str, value: str) -> str:
    """The instructions of a call of `note`."""
    at = f"%written_{number}"
    return (
        f"{at} = getelementptr i64, ptr {pointer}, i64 {word}\n  store atomic i64 {value}, ptr {at} monotonic, align 8"
    )


@remember
def launcher() -> Launcher | None:
    """The launcher; None where there are no POSIX threads: everything runs on the caller then."""
    if os.name != "posix":
        return None
    text = assembly()
    return native.of_assembly(text, partial(_compiled, text), _loaded)


def _loaded(engine: Any) -> Launcher:
    """The launcher in its engine."""
    kinds = {
        "want": ctypes.CFUNCTYPE(None, ctypes.c_int64),
        "forget": ctypes.CFUNCTYPE(None),
        "launch": ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_int64] * 3),
    }
    addresses = {name: int(engine.get_function_address(name)) for name in kinds}
    found = Launcher(addresses["launch"], *(kind(addresses[name]) for name, kind in kinds.items()))
    os.register_at_fork(after_in_child=found.forget)
    return found


def begin(threads: int) -> None:
    """Have the launcher's machine code made while what is compiled next is being lowered, where it is needed and not in
    the cache."""
    if threads > 1 and os.name == "posix" and cache.find(native.object_name(assembly())) is None:
        compiled(partial(_emission, assembly()))


def _compiled(text: str) -> tuple[str, list[bytes]]:
    """Its symbol and its object code."""
    return "launch", _emission(text).result()


@remember
def _emission(text: str) -> Emission:
    """Its object code in the making."""
    return native.emission_of(text)


_most = [0]


def ready(threads: int) -> int:
    """Have `threads` threads ready, the caller among them; returns the launcher's address, 0 for one thread."""
    if threads < 2:
        return 0
    found = launcher()
    if found is None:
        return 0
    _most[0] = max(_most[0], threads - 1)
    found.want(_most[0])
    return found.address
