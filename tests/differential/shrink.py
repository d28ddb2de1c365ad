"""A failing program made small: fewer actions, outputs, updates and steps, shorter arrays, plainer names."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

from tests.differential.program import Action, Program, Step

Fails = Callable[[Program], bool]


def shrunk(program: Program, fails: Fails, seconds: float = 90.0) -> Program:
    """The smallest program found that still fails."""
    until = time.monotonic() + seconds
    again = True
    while again:
        again = False
        for way in (without_actions, without_results, bypassed, simpler_loops, shorter, plainer):
            changed = True
            while changed and time.monotonic() < until:
                changed = False
                for candidate in way(program):
                    if time.monotonic() > until:
                        break
                    candidate = pruned(candidate)
                    if fails(candidate):
                        program, changed, again = candidate, True, way in (without_results, bypassed, simpler_loops)
                        break
    return program


def pruned(program: Program) -> Program:
    """Without steps that nothing needs, and without inputs and shared variables that no step names."""
    program = deepcopy(program)
    needed = program.needed()
    program.steps = [s for s in program.steps if s.name in needed]
    named = needed | {n for s in program.steps for n in s.uses}
    kept = [k for k, v in enumerate(program.arguments) if v.name in named]
    for action in program.actions:
        if action.what in ("call", "sweep"):
            action.arrays, action.layouts = [action.arrays[k] for k in kept], [action.layouts[k] for k in kept]
    program.inputs = [v for v in program.inputs if v.name in named]
    kept = [k for k, v in enumerate(program.shared) if v.name in named]
    program.actions = [
        replace(a, number=kept.index(a.number)) if a.what == "set_value" else a
        for a in program.actions
        if a.what != "set_value" or a.number in kept
    ]
    program.values = [program.values[k] for k in kept]
    program.shared = [program.shared[k] for k in kept]
    return program


def without_actions(program: Program) -> Iterator[Program]:
    actions = program.actions
    if len(actions) > 3:
        half = len(actions) // 2
        yield changed(program, actions=actions[:half])
        yield changed(program, actions=actions[half:])
    for k in reversed(range(len(actions))):
        if len(actions) > 1:
            yield changed(program, actions=actions[:k] + actions[k + 1 :])


def without_results(program: Program) -> Iterator[Program]:
    for field in ("outputs", "updates"):
        kept = getattr(program, field)
        if len(kept) > 1:
            yield changed(program, **{field: kept[: len(kept) // 2]})
            yield changed(program, **{field: kept[len(kept) // 2 :]})
        for k in range(len(kept)):
            yield changed(program, **{field: kept[:k] + kept[k + 1 :]})
    if program.givens:
        yield changed(program, givens=[])


def bypassed(program: Program) -> Iterator[Program]:
    """With one of its operands in the place of a step."""
    for step in reversed(program.steps):
        for operand in step.uses:
            yield renamed(program, step.name, operand)


def renamed(program: Program, old: str, new: str) -> Program:
    def swap(code: str) -> str:
        return re.sub(rf"\b{old}\b", new, code)

    return changed(
        program,
        steps=[swapped(s, swap) for s in program.steps if s.name != old],
        outputs=[swap(n) for n in program.outputs],
        updates=[(s, swap(n)) for s, n in program.updates],
        givens=[(s, swap(n)) for s, n in program.givens],
    )


def simpler_loops(program: Program) -> Iterator[Program]:
    """With less in the steps of a loop."""
    for k, step in enumerate(program.steps):
        for body in step.body.simpler() if step.body is not None else ():
            new = replace(step, code=body.code, body=body)
            yield changed(program, steps=[*program.steps[:k], new, *program.steps[k + 1 :]])


def swapped(step: Step, swap: Callable[[str], str]) -> Step:
    return replace(step, code=swap(step.code), slope=None, body=step.body and step.body.changed(swap))


def shorter(program: Program) -> Iterator[Program]:
    """With fewer elements along the axes of one name."""
    names = {n for v in program.inputs + program.shared for n in v.shape if isinstance(n, str)}
    for name in sorted(names):
        for cut in (lambda n: n // 2, lambda n: n - 1):
            candidate = deepcopy(program)
            if cut_arrays(candidate, name, cut):
                yield candidate


def cut_arrays(program: Program, name: str, cut: Callable[[int], int]) -> bool:
    """Whether anything became shorter."""
    any_cut = False
    arguments = program.arguments

    def shortened(array, shape):  # type: ignore[no-untyped-def]
        nonlocal any_cut
        extra = array.ndim - len(shape)
        for axis, n in enumerate(shape):
            length = array.shape[axis + extra]
            if n == name and length > 1:
                array = array[(slice(None),) * (axis + extra) + (slice(0, max(1, cut(length))),)]
                any_cut = True
        return array.copy()

    program.values = [shortened(a, v.shape) for a, v in zip(program.values, program.shared, strict=True)]
    for action in program.actions:
        sources = (
            arguments if action.what in ("call", "sweep") else [program.shared[action.number]] if action.arrays else []
        )
        action.arrays = [shortened(a, v.shape) for a, v in zip(action.arrays, sources, strict=True)]
    return any_cut


def plainer(program: Program) -> Iterator[Program]:
    if program.divided:
        yield changed(program, threads=1, divided=False)
    if program.threads > 1:
        yield changed(program, threads=1)
    if program.floats != "float64":
        yield changed(program, floats="float64")
    if program.lent:
        yield changed(program, lent=False)
    if program.title is not None:
        yield changed(program, title=None)
    for field in ("inputs", "shared"):
        for k, v in enumerate(getattr(program, field)):
            if v.label != v.name:
                sources = list(getattr(program, field))
                sources[k] = replace(v, label=v.name)
                yield changed(program, **{field: sources})
    if any(how != "plain" for a in program.actions for how in a.layouts):
        yield changed(program, actions=[replace(a, layouts=["plain"] * len(a.layouts)) for a in program.actions])
    for k, action in enumerate(program.actions):
        if action.what == "sweep" and len(action.arrays):
            call = Action("call", [a[0] for a in action.arrays], action.layouts)
            yield changed(program, actions=[*program.actions[:k], call, *program.actions[k + 1 :]])


def changed(program: Program, **fields: object) -> Program:
    return replace(deepcopy(program), **deepcopy(fields))  # type: ignore[arg-type]


def signature(program: Program, sort: str) -> str:
    """What groups faults: what differs, and the kinds and operations that are left."""
    codes = sorted({re.sub(r"\b[xst]\d+\b", "_", s.code)[:60] for s in program.steps})
    return f"{sort} <- {' ; '.join(codes[:3])}{' ...' if len(codes) > 3 else ''}"
