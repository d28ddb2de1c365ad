"""numgraph: the demo's models with data, parameters and state in shared variables."""

from __future__ import annotations

from typing import Any

import numgraph as ng
from bench import problems
from bench.peers import Program
from bench.problems import Sizes
from numgraph.demo import models


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A compiled function. option: the target, empty for the default one."""
    if hasattr(ng.config, "threads"):
        ng.config.threads = threads
    options: dict[str, Any] = {"target": option} if option else {}
    if option == "cuda":
        from bench.gpu.cubins import use_cubins

        use_cubins()
    if kind in problems.RATES:
        return _stepping(kind, sizes, options)
    if kind == "lstm":
        return _cell(sizes, options)
    arrays = problems.data(kind, sizes)
    if kind == "scalar":
        f = ng.function(inputs := [ng.scalar(n, dtype="float64") for n in "xy"], problems.chain(ng, *inputs), **options)
        return Program(f, [(0.3, 0.7)], "Python floats")
    inputs = [ng.tensor(n, dtype="float32", shape=(None,) * a.ndim) for a, n in zip(arrays, "xy", strict=False)]
    if kind == "gradient":
        output = ng.grad(ng.sum(problems.links(ng, sizes["K"], inputs[0])), inputs[0])
    else:
        output = problems.FORMULAS[kind](ng, *inputs)
    return Program(ng.function(inputs, output, **options), [tuple(arrays)], "NumPy arrays as arguments")


def _stepping(kind: str, sizes: Sizes, options: dict[str, Any]) -> Program:
    shape = {"hidden": sizes["H"]} if kind == "mlp" else {}
    model = models.MODELS[kind](sizes["F"], sizes["C"], **shape)
    x, y = (
        ng.shared(a, name=n, borrow=True)
        for a, n in zip(problems.data(kind, sizes), ("train_x", "train_y"), strict=True)
    )
    index = ng.scalar("index", dtype="int64")
    rows = slice(index * sizes["B"], (index + 1) * sizes["B"])
    gradients = ng.grad(model.cost, model.params)
    updates = [(p, p - problems.RATES[kind] * g) for p, g in zip(model.params, gradients, strict=True)]
    step = ng.function(
        [index], model.cost, updates=updates, givens={model.x: x[rows], model.y: y[rows]}, name=kind, **options
    )
    return _stateful(step, model.params, kind, sizes, sizes["R"] // sizes["B"])


def _cell(sizes: Sizes, options: dict[str, Any]) -> Program:
    xs = ng.shared(problems.data("lstm", sizes)[0], name="xs")
    state = [ng.shared(a, name=n) for a, n in zip(problems.start("lstm", sizes), "hc", strict=True)]
    weights = [ng.shared(a, name=n) for a, n in zip(problems.cell_weights(sizes), "WUb", strict=True)]
    t = ng.scalar("t", dtype="int64")
    new = problems.cell(ng, sizes["H"], xs[t], *state, *weights)
    step = ng.function([t], updates=list(zip(state, new, strict=True)), name="lstm", **options)
    return _stateful(step, state, "lstm", sizes, sizes["T"])


def _stateful(step: Any, state: list[Any], kind: str, sizes: Sizes, count: int) -> Program:
    def reset() -> None:
        for variable, first in zip(state, problems.start(kind, sizes), strict=True):
            variable.set_value(first)

    arguments = [(k,) for k in range(count)]
    made = Program(step, arguments, "shared, givens", reset=reset, state=lambda: [p.get_value() for p in state])
    if hasattr(step, "sweep"):
        name = step.inputs[0].variable.name
        made.sweep = lambda n: step.sweep(**{name: range(n)})
        made.sweep_how = "f.sweep"
    return made
