"""`givens`: expressions put in the place of variables, all at once, before a function is compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numgraph.arguments import check_lengths, convert
from numgraph.errors import ArgumentShapeError, DtypeError, GivensError, InputError, NumgraphError
from numgraph.graph import Constant, Variable, as_variable, describe, frozen, label
from numgraph.source import lines_of
from numgraph.storage import owned
from numgraph.substitution import substitute
from numgraph.types import TensorType


def replacements(givens: Any, inputs: Sequence[Variable] = (), strict: bool = True) -> dict[Variable, Variable]:
    """`givens` as a checked mapping from variables to what stands for them.

    givens: None, a mapping or an iterable of (variable, value) pairs. A key may be a leaf, a shared variable, an
    intermediate result or an output, but none of `inputs`. A value may be an expression (also of the key itself: it is
    not substituted again) or a number or array, which becomes a constant of the key's type.

    strict: the value's type must be the key's. False leaves the types to the operations that use the value.
    Raises GivensError for a pair that does not fit, a repeated key, and a key that is an input.
    """
    result: dict[Variable, Variable] = {}
    for key, value in pairs(givens, "givens", GivensError):
        if not isinstance(key, Variable):
            raise GivensError(f"givens: a key must be a variable, got {key!r}")
        if key in result:
            raise GivensError(
                f"givens: {label(key)} is replaced twice\n  {describe(key)}\n"
                f"  first by: {describe(result[key])}\n  fix: keep one of the pairs"
            )
        if key in inputs:
            raise GivensError(
                f"givens: {label(key)} cannot be replaced, since it is an input of the function\n  {describe(key)}\n"
                "  fix: remove it from the inputs, or write the expression with another variable"
            )
        result[key] = _value_for(key, value, strict)
    return result


def pairs(value: Any, what: str, error: type[NumgraphError]) -> Iterator[tuple[Any, Any]]:
    """The pairs of a mapping or of any iterable of pairs, None meaning none; `error` for everything else."""
    if value is None:
        return
    items = value.items() if hasattr(value, "items") else value
    if isinstance(items, Variable | str) or not isinstance(items, Iterable):
        raise error(f"{what}: expected a dict or an iterable of pairs, got {value!r}")
    for item in items:
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise error(f"{what}: expected (variable, value) pairs, got {item!r}\n  fix: write [(variable, value)]")
        yield item[0], item[1]


def type_mismatch(wanted: TensorType, got: TensorType) -> str | None:
    """Why a value of type `got` cannot stand for a variable of type `wanted`; None when it can.

    Known lengths may be added. An axis that is known to be 1, and so broadcasts, must stay known to be 1.
    """
    if got.dtype != wanted.dtype:
        return f"dtype {got.dtype} for dtype {wanted.dtype}"
    if got.ndim != wanted.ndim:
        return f"{got.ndim} axes for {wanted.ndim}"
    for axis, (length, known) in enumerate(zip(got.shape, wanted.shape, strict=True)):
        if known == 1 and length is None:
            return f"axis {axis} must be known to have length 1, so that it broadcasts"
        if known is not None and length not in (None, known):
            return f"axis {axis} has length {length} for {known}"
    return None


def constant_for(target: Variable, value: Any) -> Constant:
    """A constant of the type of `target`, a copy of `value`; DtypeError or ArgumentShapeError when it does not fit."""
    array = convert(value, target.dtype, target)
    check_lengths(array, target.type, target)
    return Constant(frozen(owned(array)))


def clone(output: Any, replace: Any = None) -> Any:
    """`output` (a variable, or a list or tuple of them) with variables replaced as by `givens`.

    What does not depend on a replaced variable is kept, not copied: `clone(x + y, {x: 2 * z})` is `2 * z + y`. Raises
    GivensError as `givens` do.
    """
    several = isinstance(output, list | tuple)
    outputs = list(output) if several else [output]
    for v in outputs:
        if not isinstance(v, Variable):
            raise InputError(f"clone: expected variables, got {v!r}")
    result = substitute(outputs, replacements(replace))
    return type(output)(result) if several else result[0]


def _value_for(key: Variable, value: Any, strict: bool) -> Variable:
    if not isinstance(value, Variable):
        if not strict:
            return as_variable(value)
        try:
            with lines_of(key.line):
                return constant_for(key, value)
        except (DtypeError, ArgumentShapeError) as error:
            raise GivensError(f"givens: {error}") from error
    reason = type_mismatch(key.type, value.type) if strict else None
    if reason is None:
        return value
    raise GivensError(
        f"givens: {label(value)} cannot stand for {label(key)}: {reason}\n"
        f"  replaced: {describe(key)}\n  by: {describe(value)}\n  fix: {_advice(key, value)}"
    )


def _advice(key: Variable, value: Variable) -> str:
    if value.dtype != key.dtype:
        return f"convert the value with .astype({key.dtype!r}), or declare {label(key)} as {value.dtype}"
    return f"give the value the type {key.type}, for example by reshape or by indexing with None"
