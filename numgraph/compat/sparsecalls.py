"""Functions of sparse variables: what they take and give are matrices of SciPy, what is compiled has their vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.compat.sparsevars import SparseType, SparseVariable, matrix_of, parts_of
from numgraph.errors import InputError


def holds_sparse(*groups: Any) -> bool:
    """Whether a sparse variable is among inputs, outputs or pairs."""
    waiting = list(groups)
    while waiting:
        each = waiting.pop()
        if isinstance(each, SparseVariable):
            return True
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif type(each) in (list, tuple):
            waiting += each
    return False


def expanded(pairs: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Pairs of updates or givens, with the vectors of the sparse ones. TypeError for values of other types."""
    found: list[tuple[Any, Any]] = []
    for key, value in pairs:
        if not isinstance(key, SparseVariable):
            found.append((key, value))
            continue
        if key.leaves is None or not isinstance(value, SparseVariable) or value.type != key.type:
            raise TypeError(f"{key!r} takes a sparse variable of its type, not {value!r}")
        found += zip(key.leaves, value.vectors, strict=True)
    return found


class SparseFunction:
    """A function some of whose arguments or results are sparse. Everything else is that of the function of vectors."""

    def __init__(self, function: Any, inputs: Sequence[Any], outputs: Any) -> None:
        self.function = function
        self.inputs = [v.type if isinstance(v, SparseVariable) else None for v in inputs]
        self.named = {v.name: v for v in inputs if isinstance(v, SparseVariable) and v.name}
        self.outputs = [v.format if isinstance(v, SparseVariable) else None for v in _listed(outputs)]
        self.several = isinstance(outputs, list | tuple)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The results, for arguments of which some are matrices of SciPy. TypeError for others in their places."""
        if len(args) > len(self.inputs):
            raise InputError(f"the function takes at most {len(self.inputs)} arguments, got {len(args)}")
        given = [part for kind, v in zip(self.inputs, args, strict=False) for part in _parts(kind, v)]
        by_name: dict[str, Any] = {}
        for name, value in named.items():
            known = self.named.get(name)
            if known is None:
                by_name[name] = value
            else:
                by_name |= {str(v.name): a for v, a in zip(known.vectors, parts_of(value, known.type), strict=True)}
        values = self.function(*given, **by_name)
        left = iter(values if isinstance(values, list) else [values])
        found = [
            next(left) if form is None else matrix_of(form, [next(left) for _ in range(4)]) for form in self.outputs
        ]
        return found if self.several else found[0] if found else []

    def __getattr__(self, name: str) -> Any:
        if name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)


def _parts(kind: SparseType | None, value: Any) -> list[Any]:
    return [value] if kind is None else parts_of(value, kind)


def _listed(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [] if outputs is None else [outputs]


def build(make: Callable[..., Any], inputs: Any, outputs: Any, updates: Any, givens: Any) -> Any:
    """The function of sparse variables that `make(inputs, outputs, updates, givens)` makes of their vectors.

    InputError for a sparse variable that is no input, and for outputs in a dict.
    """
    if isinstance(outputs, dict):
        raise InputError("sparse outputs are a list, not a dict")
    vectors: list[Any] = []
    for v in inputs:
        if isinstance(v, SparseVariable) and v.leaves is None:
            raise InputError(f"{v!r} is computed, and cannot be an input")
        vectors += v.vectors if isinstance(v, SparseVariable) else [v]
    results = [part for v in _listed(outputs) for part in (v.vectors if isinstance(v, SparseVariable) else [v])]
    made = make(vectors, results, expanded(updates), expanded(givens))
    return SparseFunction(made, inputs, outputs)
