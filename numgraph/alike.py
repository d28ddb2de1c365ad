"""Whether expressions are made in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numgraph.graph import Constant, Variable


def alike(xs: Sequence[Variable], ys: Sequence[Variable], pairs: Iterable[tuple[Variable, Variable]] = ()) -> bool:
    """Whether `xs` and `ys` are made by the same ops, one after the other, of the same variables and of constants that
    are equal. pairs: variables that count as the same."""
    waiting = list(zip(xs, ys, strict=True))
    seen = set(pairs)
    while waiting:
        x, y = waiting.pop()
        if x is y or (x, y) in seen:
            continue
        seen.add((x, y))
        if isinstance(x, Constant) and isinstance(y, Constant):
            same = x.type == y.type and x.data.tobytes() == y.data.tobytes()
        else:
            same = x.op is not None and x.op is y.op and x.attrs == y.attrs and len(x.inputs) == len(y.inputs)
        if not same:
            return False
        waiting += zip(x.inputs, y.inputs, strict=True)
    return True
