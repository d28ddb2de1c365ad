"""Gradients that keep less, for functions that would take too much memory.

How much the steps of scans take is known when a function is called. So a gradient of a scan for which nobody has said
`checkpoint` keeps what it needs, and remembers what it is the gradient of (an op `kept`). From that it is made once
more for the program that takes its place, with loops that keep states before chunks of steps alone, and that compute
nothing for all steps before the first one (`Loop.lean`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from numgraph.graph import Variable, apply
from numgraph.ops.define import f
from numgraph.ops.loop import KEPT, Loop

# `(adjoints by variable, variables, constants) -> gradients or None`, one for each variable
Gradients = Callable[
    [Mapping[Variable, Variable], Sequence[Variable], Sequence[Variable]], Sequence[Variable | None]
]  # fmt: skip


def remembering(
    gradients: Sequence[Variable], seeds: Mapping[Variable, Variable], wrt: Sequence[Variable],
    constant: Sequence[Variable],
) -> list[Variable]:  # fmt: skip
    """Gradients of `wrt`, each with what it is the gradient of."""
    sources = [*seeds, *seeds.values(), *wrt, *constant]
    counts = len(seeds), len(constant)
    return [apply(KEPT, [g, *sources], counts=counts, number=k) for k, g in enumerate(gradients)]


def kept(outputs: Sequence[Variable]) -> list[Variable]:
    """The outputs, with gradients that keep what they need."""
    return _rebuilt(outputs, lambda node: node.inputs[:1], lambda node, inputs: inputs[0])


def leaner(outputs: Sequence[Variable], gradients: Gradients) -> list[Variable]:
    """The outputs with lean loops, and gradients of those."""
    made: dict[tuple[int, ...], Sequence[Variable | None]] = {}

    def again(node: Variable, inputs: Sequence[Variable]) -> Variable:
        key = tuple(map(id, node.inputs[1:]))
        if key not in made:
            first, last = node.attrs["counts"]
            end = len(inputs) - last
            seeds = dict(zip(inputs[:first], inputs[first : 2 * first], strict=True))
            made[key] = gradients(seeds, inputs[2 * first : end], inputs[end:])
        wrt = inputs[2 * node.attrs["counts"][0] + node.attrs["number"]]
        found = made[key][node.attrs["number"]]
        return f.zeros_like(wrt) if found is None else found

    return _rebuilt(outputs, lambda node: node.inputs[1:], again, lean=True)


def _rebuilt(
    outputs: Sequence[Variable],
    read: Callable[[Variable], Sequence[Variable]],
    instead: Callable[[Variable, Sequence[Variable]], Variable],
    lean: bool = False,
) -> list[Variable]:
    """The outputs with something else for each gradient that remembers. read: what that is made of."""
    new: dict[int, Variable] = {}
    waiting = [(v, False) for v in reversed(outputs)]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in new:
            continue
        inputs = read(node) if node.op is KEPT else node.inputs
        if not ready:
            waiting.append((node, True))
            waiting.extend((v, False) for v in reversed(inputs) if id(v) not in new)
            continue
        found = [new[id(v)] for v in inputs]
        if node.op is KEPT:
            made = instead(node, found)
            made.name, made.hint = made.name or node.name, made.hint or node.hint
        else:
            made = _on(node, found, lean)
        new[id(node)] = made
    return [new[id(v)] for v in outputs]


def _on(node: Variable, inputs: Sequence[Variable], lean: bool) -> Variable:
    """A variable on other operands, of a lean loop where that is wanted."""
    loop: Loop | None = node.attrs["loop"].lean if lean and node.op is not None and node.op.loop else None
    if loop is None or node.attrs.get("value", 0) >= len(loop.values):
        unchanged = all(a is b for a, b in zip(inputs, node.inputs, strict=True))
        return node if unchanged else node.copy_with(tuple(inputs))
    assert node.op is not None
    made = apply(node.op, inputs, **{**node.attrs, "loop": loop})
    made.name, made.line, made.about, made.hint = node.name, node.line, node.about, node.hint
    return made
