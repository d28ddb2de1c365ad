"""Which elements have a part in a result: what `where` did not choose and an index did not name has none.

The gradient of such an element is zero, and so is that of all that it alone was computed from, even where a slope on
the way is infinite or NaN. A product with a cotangent of zero does not say that: 0 * NaN is NaN. So the sweep of `grad`
carries, beside each cotangent, the elements that count: a bool array that broadcasts to the variable, which is false
where the cotangent is zero because nothing depends on the element. (A cotangent that merely happens to be zero counts:
it is multiplied as any other number, and has a derivative itself.)

Each op says how this passes from its result to its operands: by its form (below), or by its own `reach`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from numgraph.graph import Constant, Variable
from numgraph.op import Op
from numgraph.ops.compare import AND, LOGICAL_NOT
from numgraph.ops.define import Chosen, f, linearly
from numgraph.types import DISCRETE


class Reach(NamedTuple):
    """The elements that count. chosen: whether a condition of the program's says so, and not a position alone."""

    counts: Variable
    chosen: bool


Part = Reach | None


def passed_down(node: Variable, op: Op, reach: Part, same_shape: Callable[[Variable], bool]) -> Sequence[Part]:
    """For each operand of `node` which of its elements count, given which elements of `node` do (None: all)."""
    counts, chosen = reach if reach is not None else (None, False)
    if op.reach is not None:
        found = op.reach(counts, node, *node.inputs, **node.attrs)
    elif counts is None or op.kernel or op.expand:
        return [None] * len(node.inputs)
    elif op.scalar:
        found = [counts] * len(node.inputs)
    elif op.reduce:
        found = [_restored(counts, node)]
    elif op.product:
        found = _of_product(counts)
    else:
        found = linearly(counts, node, *node.inputs, **node.attrs)
    result: list[Part] = []
    for variable, part in zip(node.inputs, found, strict=True):
        strong = chosen or isinstance(part, Chosen)
        own = part.counts if isinstance(part, Chosen) else part
        if own is not None and op.scalar and not same_shape(variable):
            own = _narrowed(variable, node, own)
        result.append(None if own is None else Reach(own, strong))
    return result


def _of_product(counts: Variable) -> list[Variable | None]:
    """Rows of a and columns of b: those of which some element of the product counts.

    A condition on the rows of two matrices says nothing of columns, but that none counts where no row does: that is not
    worth a pass over b in each product.
    """
    found: list[Variable | None] = []
    for own, other in ((-2, -1), (-1, -2)):
        if counts.ndim == 2 and counts.type.shape[own] == 1:
            found.append(None)
        else:
            found.append(counts if counts.type.shape[other] == 1 else f.any(counts, other, keepdims=True))
    return found


def _restored(counts: Variable, node: Variable) -> Variable:
    """`counts` of a reduction with an axis of length 1 for each that was reduced."""
    ndim, axes = node.inputs[0].ndim, node.attrs["axis"]
    if counts.ndim == ndim:
        return counts
    kept = iter(range(counts.ndim))
    return f.dimshuffle(counts, *("x" if k in axes else next(kept) for k in range(ndim)))


def _narrowed(variable: Variable, node: Variable, counts: Variable) -> Variable:
    """`counts` of an elementwise result for an operand that was broadcast: an element counts if any copy of it does.

    Along an axis in which `counts` has length 1 all copies are alike, so that a condition on rows stays one.
    """
    if variable.ndim != counts.ndim:
        base, whole = variable, f.shape(node)
    else:
        alike = [n == 1 for n in counts.type.shape]
        known = [n is not None and n == own for n, own in zip(counts.type.shape, variable.type.shape, strict=True)]
        if all(a or b for a, b in zip(alike, known, strict=True)):
            return counts
        own, full = ([1 if a else n for a, n in zip(alike, f.shape(v), strict=True)] for v in (variable, node))
        base, whole = f.zeros(own, "float32"), full
    return f.neq(f.unbroadcast(base, f.cast(f.broadcast_to(counts, whole), "float32")), 0)


def joined(a: Part, b: Part) -> Part:
    """What counts for a variable that is used twice."""
    if a is None or b is None:
        return None
    chosen = a.chosen or b.chosen
    first, second = ([v for v in _conditions(r.counts)] for r in (a, b))
    common = [v for v in first if any(v is w for w in second)]
    if len(common) in (len(first), len(second)):
        # one of them asks for more than the other
        return a if len(common) == len(first) else b
    if len(first) == len(second) == len(common) + 1:
        # both branches of one choice
        (x,), (y,) = ([v for v in group if all(v is not w for w in common)] for group in (first, second))
        if _opposite(x, y) or _opposite(y, x):
            rest = [v for v in first if any(v is w for w in common)]
            return Reach(_all_of(rest), chosen) if rest else None
    return Reach(f.or_(a.counts, b.counts), chosen)


def _conditions(counts: Variable) -> list[Variable]:
    """The conditions that must all hold, in the order in which they were added."""
    found: list[Variable] = []
    while counts.op is AND:
        found.append(counts.inputs[1])
        counts = counts.inputs[0]
    return [counts, *reversed(found)]


def _all_of(conditions: Sequence[Variable]) -> Variable:
    result = conditions[0]
    for other in conditions[1:]:
        result = f.and_(result, other)
    return result


def _opposite(a: Variable, b: Variable) -> bool:
    return a.op is LOGICAL_NOT and a.inputs[0] is b


def limited(part: Variable, reach: Part, cotangent: Variable, known: Sequence[Variable]) -> Variable:
    """`part` with zeros where nothing counts; as it is where it is only moved, added and multiplied by numbers.

    known: the op's operands and result, whose values may make a slope infinite or NaN.
    """
    if reach is None or _finite(part, cotangent, known):
        return part
    return f.masked(reach.counts, part)


def _finite(part: Variable, cotangent: Variable, known: Sequence[Variable]) -> bool:
    """Whether `part` is made of `cotangent`, integers, bools and finite numbers alone."""
    stack, seen = [part], {id(cotangent)}
    values = {id(v) for v in known}
    while stack:
        v = stack.pop()
        if id(v) in seen or v.type.dtype in DISCRETE:
            continue
        seen.add(id(v))
        if isinstance(v, Constant) and _is_finite(v):
            continue
        if id(v) in values or v.op is None:
            return False
        stack.extend(v.inputs)
    return True


def _is_finite(constant: Constant) -> bool:
    return bool(np.isfinite(constant.data).all())


def cleaned(inputs: Sequence[Variable], reaches: Sequence[Part]) -> Sequence[Variable]:
    """The operands of a product with zeros for what the program's conditions left out of all that it adds up."""
    return [v if r is None or not r.chosen else f.masked(r.counts, v) for v, r in zip(inputs, reaches, strict=True)]
