"""Expressions put in the place of variables, also in gradients, which `grad` takes of a rewritten graph."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from numgraph.errors import GivensError
from numgraph.graph import Variable, describe, label, toposort

# What `grad` differentiates is the user's graph with parts rewritten. STAND_INS: a variable of such a graph -> the
# user's variable that it stands for. HIDDEN: a gradient -> the user's variables that rules have taken away.
STAND_INS: WeakKeyDictionary[Variable, Variable] = WeakKeyDictionary()
HIDDEN: WeakKeyDictionary[Variable, tuple[Variable, ...]] = WeakKeyDictionary()


def _with_stand_ins(outputs: Sequence[Variable], replace: dict[Variable, Variable]) -> dict[Variable, Variable]:
    """`replace`, also for what stands for a key in a gradient; GivensError for a key that a gradient cannot contain."""
    found = dict(replace)
    for node in toposort(outputs, stop=replace):
        for key in HIDDEN.get(node, ()):
            if key in replace:
                raise GivensError(
                    f"{label(key)} cannot be replaced in a gradient, which was made of an equal, stable expression "
                    f"without it\n  {describe(key)}\n  the gradient: {describe(node)}\n"
                    "  fix: replace it in the cost first, cost = ng.clone(cost, {variable: value}), and take the "
                    "gradient of that"
                )
        original = _written(node, replace)
        if original is not None:
            found[node] = replace[original]
    return found


def _written(node: Variable, keys: Container[Variable]) -> Variable | None:
    """The one of `keys` that `node` is or stands for."""
    original: Variable | None = node
    while original is not None and original not in keys:
        original = STAND_INS.get(original)
    return original


def keys_within(outputs: Sequence[Variable], keys: Mapping[Variable, Variable]) -> set[Variable]:
    """Those of `keys` that `substitute` finds in `outputs`."""
    found = (_written(node, keys) for node in toposort(outputs, stop=keys))
    return {v for v in found if v is not None}


def substitute(outputs: Sequence[Variable], replace: dict[Variable, Variable]) -> list[Variable]:
    """`outputs` with every key of `replace` standing for its value, all at once.

    Values are not substituted again, so `{a: b, b: a}` swaps and `{x: x + 1}` is no loop. What does not depend on a
    key is kept, not copied.
    """
    if any(key.op is not None for key in replace):
        replace = _with_stand_ins(outputs, replace)
    return replaced(outputs, replace)


def replaced(outputs: Sequence[Variable], replace: dict[Variable, Variable]) -> list[Variable]:
    """As `substitute`, but of the very keys only, and not of what stands for them in gradients."""
    new: dict[int, Variable] = {id(k): v for k, v in replace.items()}
    for node in toposort(outputs, stop=replace) if replace else ():
        if id(node) in new:
            continue
        inputs = tuple(new[id(v)] for v in node.inputs)
        unchanged = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        new[id(node)] = node if unchanged else node.copy_with(inputs)
    return [new.get(id(v), v) for v in outputs]


def written_with(outputs: Iterable[Variable], stop: Iterable[Variable], given: dict[Variable, Variable]) -> set[int]:
    """The ids of all variables that occur in `outputs` as the user wrote them, also where their values do not matter;
    given: what stands for a variable that does not occur any more."""
    found: set[int] = set()
    waiting, stops = list(outputs), list(stop)
    while waiting:
        nodes = [v for v in toposort(waiting, stops) if id(v) not in found]
        found.update(map(id, nodes))
        waiting = [w for v in nodes for w in (*v.about, *([given[v]] if v in given else ())) if id(w) not in found]
    return found
