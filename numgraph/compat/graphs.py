"""Theano's functions that search, compare and copy graphs: `theano.gof.graph`, `theano.clone`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from numgraph.alike import alike
from numgraph.givens import clone as native_clone
from numgraph.givens import replacements
from numgraph.graph import Variable, toposort
from numgraph.shared import SharedVariable
from numgraph.substitution import substitute


def ancestors(variable_list: Sequence[Variable], blockers: Sequence[Variable] | None = None) -> list[Variable]:
    """All that variables depend on, and they themselves, in Theano's order: depth first, and the last of the list
    first."""
    waiting = list(variable_list)
    found: dict[Variable, None] = {}
    stops = set(blockers or ())
    while waiting:
        v = waiting.pop()
        if v in found:
            continue
        found[v] = None
        if v not in stops:
            waiting.extend(reversed(v.inputs))
    return list(found)


def inputs(variable_list: Sequence[Variable], blockers: Sequence[Variable] | None = None) -> list[Variable]:
    """The leaves that variables depend on, constants among them, in the order of `ancestors`."""
    return [v for v in ancestors(variable_list, blockers) if v.op is None]


def equal_computations(
    xs: Sequence[Variable], ys: Sequence[Variable], in_xs: Sequence[Variable] = (), in_ys: Sequence[Variable] = ()
) -> bool:
    """Whether the variables of two lists are made in the same way, where those of `in_xs` count as those of `in_ys`."""
    same = list(zip(in_xs or (), in_ys or (), strict=False))
    return len(in_xs or ()) == len(in_ys or ()) and all(a.type == b.type for a, b in same) and alike(xs, ys, same)


def is_same_graph(var1: Variable, var2: Variable, givens: Any = None, debug: bool = False) -> bool:
    """Whether two variables are made in the same way, once `givens` are put in. debug: without effect."""
    found = substitute([var1, var2], replacements(givens, strict=False)) if givens else [var1, var2]
    return alike(found[:1], found[1:])


class SharedClone(SharedVariable):
    """Another variable of the same value: with a name and a default update of its own.

    original: the variable that stands for it in functions. `set_value` and `get_value` are those of that one.
    """

    __slots__ = ("original",)

    original: SharedVariable

    def __init__(self, original: SharedVariable) -> None:
        super().__init__(original.storage, original.name, original.line)
        self.original = original.original if isinstance(original, SharedClone) else original
        self.default_update = original.default_update

    def _deep_copied(self, memo: dict[int, Any]) -> Variable:
        new = memo[id(self)] = SharedClone(deepcopy(self.original, memo))
        new.default_update = deepcopy(self.default_update, memo)
        return new

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return SharedClone, (self.original,), (None, {"default_update": self.default_update})


def clones_of(roots: Sequence[Variable]) -> list[SharedClone]:
    """The clones that variables, and default updates of what they reach, depend on."""
    waiting, found = list(roots), []
    seen: set[Variable] = set()
    while waiting:
        for v in toposort([waiting.pop()], seen):
            if isinstance(v, SharedVariable) and v not in seen:
                waiting += [] if v.default_update is None else [v.default_update]
                found += [v] if isinstance(v, SharedClone) else []
            seen.add(v)
    return found


def clone(
    output: Any, replace: Any = None, strict: bool = True, share_inputs: bool = True, copy_inputs: Any = None
) -> Any:
    """`output` with variables replaced. strict=False: by others of any type, of which the operations make what they
    make. share_inputs=False: of other leaves, too; those of shared variables keep their value in the same place."""
    if not share_inputs or copy_inputs is False:
        return _of_other_leaves(output, replace, strict)
    if strict:
        return native_clone(output, replace)
    return _substituted(output, replacements(replace, strict=False))


def _substituted(output: Any, replace: dict[Variable, Variable]) -> Any:
    several = isinstance(output, list | tuple)
    found = substitute(list(output) if several else [output], replace)
    return type(output)(found) if several else found[0]


def _of_other_leaves(output: Any, replace: Any, strict: bool) -> Any:
    given = replacements(replace, strict=strict)
    roots = [*(output if isinstance(output, list | tuple) else [output]), *given.values()]
    other = {v: _other(v) for v in toposort(roots) if v.op is None and v not in given}
    return _substituted(_substituted(output, given), {v: new for v, new in other.items() if new is not v})


def _other(leaf: Variable) -> Variable:
    """A leaf like it; a constant is itself."""
    if isinstance(leaf, SharedVariable):
        return SharedClone(leaf)
    return Variable(leaf.type, leaf.name, line=leaf.line) if type(leaf) is Variable else leaf
