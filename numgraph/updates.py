"""`updates`: what shared variables become after a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numgraph.errors import ArgumentShapeError, DtypeError, InputError, RepeatedUpdateError, UpdateError
from numgraph.givens import constant_for, pairs
from numgraph.graph import Variable, describe, label, toposort
from numgraph.op import FUNCTIONS
from numgraph.ops.loop import Loop, final
from numgraph.shared import SharedVariable
from numgraph.source import lines_of
from numgraph.substitution import substitute
from numgraph.types import is_lossless

Updates = dict[SharedVariable, Variable]


def explicit_updates(updates: Any) -> Updates:
    """`updates` as a checked mapping from shared variables to expressions of their dtype and rank.

    updates: None, a mapping or any iterable of (shared variable, value) pairs. A value is an expression of the
    variable's rank, whose dtype is the variable's or converts to it without loss, or a number or array that does.
    Raises UpdateError for a pair that does not fit, RepeatedUpdateError when a variable is updated twice.
    """
    result: Updates = {}
    for target, value in pairs(updates, "updates", UpdateError):
        if not isinstance(target, SharedVariable):
            raise UpdateError(f"updates: only a shared variable can be updated, got\n{_not_shared(target)}")
        if target in result:
            raise RepeatedUpdateError(
                f"updates: {label(target)} is updated twice\n  {describe(target)}\n"
                f"  first to: {describe(result[target])}\n  fix: keep one of the pairs, or combine the two expressions"
            )
        result[target] = update_value(target, value)
    return result


def _not_shared(target: Any) -> str:
    """What was given for a shared variable, and what may have been meant."""
    if not isinstance(target, Variable):
        return f"  {target!r}\n  fix: make it with ng.shared(value)"
    said = f"  {describe(target)}\n"
    whole = target
    # what selects or arranges elements, and computes nothing
    while whole.op is not None and whole.inputs and (whole.op.element is not None or whole.op.reshape):
        whole = whole.inputs[0]
    if isinstance(whole, SharedVariable) and whole is not target:
        w = whole.name if whole.name and whole.name.isidentifier() else "w"
        return (
            f"{said}  a part of {describe(whole)}\n"
            f"  fix: update the whole: ({w}, ng.inc_subtensor({w}[...], change)) adds to a part of it, "
            f"({w}, ng.set_subtensor({w}[...], value)) replaces one"
        )
    within = [v for v in toposort([target]) if isinstance(v, SharedVariable)] if target.op is not None else []
    if within:
        listed = "".join(f"  it depends on {describe(v)}\n" for v in within[:3])
        return f"{said}{listed}  fix: the target is the shared variable itself, the expression is its new value"
    return f"{said}  fix: make it with ng.shared(value); to keep the value of an input, In(x, update=...)"


def update_value(target: Variable, value: Any) -> Variable:
    """`value` as an expression of the dtype and rank of `target`; UpdateError when it is not one."""
    if not isinstance(value, Variable):
        try:
            return constant_for(target, value)
        except (DtypeError, ArgumentShapeError, InputError) as error:
            raise UpdateError(f"updates: {error}") from error
    if value.ndim != target.ndim:
        raise _unfit(
            target, value, f"{value.ndim} axes for {target.ndim}", "make the update's rank that of the variable"
        )
    if value.dtype == target.dtype:
        return value
    if not is_lossless(value.dtype, target.dtype):
        reason = f"dtype {value.dtype} for dtype {target.dtype}, which may lose information"
        fix = f"convert the update with .astype({target.dtype!r}), or look for the operand that made it {value.dtype}"
        raise _unfit(target, value, reason, fix)
    with lines_of(value.line):
        converted: Variable = FUNCTIONS["cast"](value, target.dtype)
    return converted


def with_default_updates(
    outputs: Sequence[Variable],
    updates: Updates,
    inputs: Sequence[Variable],
    replace: dict[Variable, Variable],
    no_default_updates: Any,
) -> Updates:
    """`updates` and the default updates of every shared variable that is reached, themselves included.

    outputs, updates: after `givens`, which `replace` applies to the default updates. The graph is cut at `inputs`.
    no_default_updates: True for none, or a list of the shared variables that stay as they are.
    """
    excluded = _excluded(no_default_updates)
    if excluded is None:
        return updates
    result = dict(updates)
    seen = {id(v) for v in inputs}
    loops: list[Variable] = []
    waiting = [*updates.values(), *reversed(outputs)]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        waiting.extend(reversed(node.inputs))
        if node.op is not None and node.op.loop:
            loops.append(node)
        if isinstance(node, SharedVariable) and node.default_update is not None:
            if node in result or node in excluded:
                continue
            left = left_by_loop(node, loops)
            if left is None:
                left = substitute([update_value(node, node.default_update)], replace)[0]
            result[node] = left
            # shared variables that only the default update reaches have default updates, too
            waiting.append(result[node])
    return result


def left_by_loop(variable: SharedVariable, users: Iterable[Variable]) -> Variable | None:
    """What the first loop among `users` that has a shared variable as a state leaves of it: that takes the place of its
    default update, so that what follows does not draw the same numbers again."""
    for user in users:
        if user.op is not None and user.op.loop:
            loop: Loop = user.attrs["loop"]
            _, firsts, _ = loop.parts(user.inputs[1:])
            for number, first in enumerate(firsts):
                if first is variable:
                    return final(loop, user.inputs, number)
    return None


def _excluded(no_default_updates: Any) -> Iterable[SharedVariable] | None:
    """The shared variables without default update; None for all of them."""
    if isinstance(no_default_updates, bool):
        return None if no_default_updates else ()
    if isinstance(no_default_updates, list) and all(isinstance(v, SharedVariable) for v in no_default_updates):
        return set(no_default_updates)
    raise UpdateError(f"no_default_updates: expected a bool or a list of shared variables, got {no_default_updates!r}")


def _unfit(target: Variable, value: Variable, reason: str, fix: str) -> UpdateError:
    return UpdateError(
        f"updates: {label(value)} cannot update {label(target)}: {reason}\n"
        f"  updated: {describe(target)}\n  by: {describe(value)}\n  fix: {fix}"
    )
