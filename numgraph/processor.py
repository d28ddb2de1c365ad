"""The processor that code is made for: the one that this runs on, or a level of x86-64 that it has (`config.cpu`)."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache as remember
from typing import Any

from numgraph.config import config
from numgraph.errors import OptionError
from numgraph.whole import compiled

# What each level has beyond the one before, in LLVM's words (System V ABI, x86-64 supplement).
LEVELS = {
    "x86-64-v2": "cx16 popcnt sahf sse3 sse4.1 sse4.2 ssse3",
    "x86-64-v3": "avx avx2 bmi bmi2 f16c fma lzcnt movbe xsave",
    "x86-64-v4": "avx512bw avx512cd avx512dq avx512f avx512vl",
}


@dataclass(frozen=True)
class Processor:
    """A processor, as LLVM is asked for it.

    name: "x86-64-v3", "znver3". features: "+avx,-avx512f", beyond those that go with the name. has: the features that
    kernels may use. triple: the architecture, the vendor and the system.
    """

    name: str
    features: str
    has: frozenset[str]
    triple: str

    @property
    def vector(self) -> int:
        """Bytes of a vector, as the kernels use them (kernels/tile_ir.py)."""
        return 64 if "avx512f" in self.has else 32 if "avx2" in self.has else 16

    @property
    def key(self) -> str:
        """What machine code for it depends on."""
        return f"{self.name} {self.features} {self.triple}"


def processor() -> Processor:
    """The one of the settings; OptionError where this machine lacks it."""
    return _processor(config.cpu)


@remember
def _processor(name: str) -> Processor:
    host, features, triple = compiled(_host)
    here = frozenset(feature for feature, there in features.items() if there)
    if name == "native":
        return _as_numba_has_it(Processor(host, features.flatten(), here, triple))
    found = _features(name)
    if not triple.startswith("x86_64") or not found <= here:
        raise OptionError(_absent(name, triple, here))
    return Processor(name, "", found, triple)


def _host() -> tuple[str, Any, str]:
    """The processor that this runs on: its name, its features, and the triple."""
    import llvmlite.binding as llvm

    # not by way of the package, so that what tests put there is not seen
    from llvmlite.binding.targets import get_host_cpu_features

    return llvm.get_host_cpu_name(), get_host_cpu_features(), llvm.get_process_triple()


def _as_numba_has_it(native: Processor) -> Processor:
    """This machine's processor, unless Numba's settings in the environment name another one, or other features.

    Kernels use what is named and there.
    """
    name, features = (os.environ.get(f"NUMBA_CPU_{what}") for what in ("NAME", "FEATURES"))
    if features is None:
        return replace(native, name=name or native.name)
    named = {part.strip()[1:] for part in features.split(",") if part.strip().startswith("+")}
    return Processor(name or native.name, features, native.has & named, native.triple)


def available() -> list[str]:
    """The values of `config.cpu` that this machine can run."""
    found = ["native"]
    for name in LEVELS:
        try:
            _processor(name)
        except OptionError:
            break
        found.append(name)
    return found


def _features(name: str) -> frozenset[str]:
    """All that a level has."""
    names = list(LEVELS)
    return frozenset(" ".join(LEVELS[n] for n in names[: names.index(name) + 1]).split())


def _absent(name: str, triple: str, here: frozenset[str]) -> str:
    """Why a level cannot be had."""
    if not triple.startswith("x86_64"):
        return f"cpu is {name!r}, but this machine is {triple.partition('-')[0]}: only 'native' is possible here"
    levels = [repr(n) for n in ("native", *LEVELS) if n == "native" or _features(n) <= here]
    lacking = ", ".join(sorted(_features(name) - here))
    return f"cpu is {name!r}, but this machine lacks {lacking}: possible here are {' and '.join(levels)}"
