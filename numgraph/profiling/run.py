"""`f.profile`: by target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import OptionError
from numgraph.profiling.assemble import Assembly
from numgraph.profiling.compiled import measured, on_twins
from numgraph.profiling.operations import profiled_operations
from numgraph.profiling.result import Profile
from numgraph.program import Program


def profiled(
    program: Program, target: str, unset: frozenset[int], args: Sequence[Any], named: dict[str, Any], calls: int | None
) -> Profile:
    """The profile of calls with these arguments on a target, which change no shared variable; OptionError where the
    target has no times, or for a wrong number of calls."""
    if calls is not None and (type(calls) is not int or calls < 1):
        raise OptionError(f"{program.title}: profile: calls must be a whole number from 1 on, not {calls!r}")
    if target == "reference":
        return profiled_operations(on_twins(program), unset, args, named, calls)
    if target != "cpu":
        raise OptionError(
            f'{program.title} runs on target "{target}", whose kernels are not timed: '
            + _reason[target]
            + '\n  fix: profile it with target="cpu"; f.stats counts launches, f.record.phases has the kernels\' work'
        )
    return Assembly(program.title, measured(on_twins(program), unset, args, named, calls)).profile()


_reason = {
    "cuda": "they run behind the host's back, and numgraph reads no clock of the device's",
    "cuda-sim": "the simulator runs them thread by thread in Python, which says nothing about a device",
}
