"""What `where` did not choose, and what no index named, has gradient 0, whatever it is: first and second derivatives.

The operands that have no part in the cost are NaN, infinite or at a pole; those that have one are ordinary. The
gradient of the latter is what it is without the former.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.graph import apply, toposort
from numgraph.op import OPS, Op

TARGETS = ("reference", "cpu")
BAD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, -2.0, 1e200, -1e200])
GOOD = np.array([0.3, 0.6])
UNARY = [
    op
    for op in OPS.values()
    if op.scalar and op.grad and len(op.args) == 1 and op.name not in ("cast", "grad_clip", "grad_scale", "printed")
]
# those of which all derivatives are known, and are real
BINARY = [
    op
    for op in OPS.values()
    if op.scalar and op.grad and len(op.args) == 2 and not (op.keeps or op.undefined or op.orders < 2)
    if op.dtype is not None and "complex" not in op.dtype(["float64", "float64"])
]


def derivatives(cost: Any, x: Any) -> list[Any]:
    """The gradient of a cost, and that of a weighted sum of it; zeros where it is constant."""
    slope = ng.grad(cost, x, disconnected_inputs="ignore")
    weights = ng.cos(ng.arange(slope.shape[0]) + 1.0)
    weights = weights[:, None] if slope.ndim == 2 else weights
    return [slope, ng.grad(ng.sum(slope * weights), x, disconnected_inputs="ignore")]


def outer(made: Any) -> Any:
    """Something that is not linear in the branch, so that its second derivative needs the first."""
    return ng.where(ng.isinf(made), 0.0, made * made) if made.dtype == "bool" else made * made + 3.0 * made


@pytest.mark.parametrize("target", TARGETS)
def test_a_branch_that_is_not_taken(target: str) -> None:
    """Every elementwise op of one or two operands, at its poles, under a condition; alone and within others."""
    x, c = ng.vector("x"), ng.vector("c", dtype="bool")
    makers: dict[str, Callable[[Any], Any]] = {op.name: lambda v, op=op: apply(op, [v]) for op in UNARY}
    makers |= {f"{op.name} with itself": lambda v, op=op: apply(op, [v, v + 0.1]) for op in BINARY}
    makers |= {f"{op.name} of a number": lambda v, op=op: apply(op, [ng.constant(0.0), v]) for op in BINARY}
    makers |= {
        "softmax": ng.softmax, "log_softmax": ng.log_softmax, "cumprod": ng.cumprod, "cumsum": ng.cumsum,
        "digamma": ng.digamma, "chain": lambda v: ng.log(ng.tanh(ng.exp(v) * v)) * ng.sqrt(v) / (v - v),
        "sorted": ng.sort, "shifted": lambda v: v[1:] * v[:-1], "joined": lambda v: ng.concatenate([v, ng.log(v)]),
    }  # fmt: skip
    outputs = []
    for make in makers.values():
        made = outer(make(x))
        n = made.shape[0]
        cost = ng.sum(ng.where(c[ng.zeros((n,), "int64")], made, 0.0))
        # compiling takes its time: what is masked is decided before there is a target
        outputs += derivatives(cost, x)[: 1 if target == "cpu" else 2]
    got = ng.function([x, c], outputs, target=target)(BAD, np.zeros(1, bool))
    names = [f"{name}, derivative {k}" for name in makers for k in (1, 2)][:: 2 if target == "cpu" else 1]
    assert [n for n, g in zip(names, got, strict=True) if np.any(g != 0)] == []


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("reference", [op.name for op in (*UNARY, *BINARY)]),
        ("cpu", ["log", "sqrt", "tanh", "erf", "mul", "true_div", "pow", "hypot"]),
    ],
)
def test_elements_that_are_taken(target: str, names: list[str]) -> None:
    """Beside elements that are not: the gradient is the plain one where the condition holds, and 0 elsewhere."""
    x, c = ng.vector("x"), ng.vector("c", dtype="bool")
    mixed = np.concatenate([BAD[:5], GOOD, BAD[5:]])
    taken = np.isin(np.arange(len(mixed)), (5, 6))

    def made(op: Op) -> Any:
        return outer(apply(op, [x] if len(op.args) == 1 else [x, ng.sqrt(x) + 0.5]))

    plain = [v for n in names for v in derivatives_of(made(OPS[n]), x)]
    chosen = [v for n in names for v in derivatives_of(ng.where(c, made(OPS[n]), 0.0), x)]
    expected = ng.function([x], plain, target=target)(GOOD)
    got = ng.function([x, c], chosen, target=target)(mixed, taken)
    for k, (g, wanted) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_allclose(g[taken], wanted, rtol=1e-12, err_msg=names[k // 2])
        assert not np.any(g[~taken]), names[k // 2]


def derivatives_of(made: Any, x: Any) -> list[Any]:
    slope = ng.grad(ng.sum(made), x, disconnected_inputs="ignore")
    return [slope, ng.grad(ng.sum(slope), x, disconnected_inputs="ignore")]


W = np.array([[0.5, -0.3], [1.0, 2.0], [0.1, 0.7]])
X = np.array([[1.0, 2, 3], [np.nan, np.inf, 0], [4, 5, 6], [-np.inf, 0, np.nan]])
ROWS = [0, 2]

# costs of (x, w, known) in which rows 1 and 3 of x have no part; the first that must hold without `known` is without
LEFT_OUT: dict[str, Callable[[Any, Any, Any], Any]] = {
    "rows of a product": lambda x, w, c: ng.sum(ng.where(c[:, None], ng.tanh(x @ w) ** 2, 0.0)),
    "elements of a product": lambda x, w, c: ng.sum(ng.where(c, (x @ w[:, 0]) ** 3, 0.0)),
    "rows of two products": lambda x, w, c: ng.sum(ng.where(c[:, None], ng.exp(x @ w / 9.0) @ w.T, 0.0) ** 2),
    "a mask as index": lambda x, w, c: ng.sum(((x @ w)[c]) ** 2),
    "a mask as index of a vector": lambda x, w, c: ng.sum(ng.log(ng.abs(x @ w[:, 1])[c])),
    "an inner product": lambda x, w, c: ng.sum(ng.where(c, ng.sum(x * w[:, 0], axis=1), 1.0) ** 2),
    "softmax": lambda x, w, c: -ng.sum(ng.where(c, ng.log(ng.softmax(x @ w))[:, 0], 0.0)),
    "normalised rows": lambda x, w, c: ng.sum(
        ng.where(c[:, None], x / ng.norm(x, axis=1)[:, None] * w[:, 0], 0.0) ** 2
    ),
    "choice within a choice": lambda x, w, c: ng.sum(
        ng.where(c[:, None], ng.where(x > 2.0, x * x, ng.log(ng.abs(x))) @ w, 0.0) ** 2
    ),
    "both branches": lambda x, w, c: ng.sum(ng.where(c[:, None], x, 0.0) @ w) + ng.sum(ng.where(c, 0.0, 1.0)) * w[0, 0],
    "set to numbers": lambda x, w, c: ng.sum((ng.set_subtensor((x @ w)[1::2], 0.5)) ** 2),
    "reshaped": lambda x, w, c: ng.sum(ng.where(c, ng.sqrt((x @ w).reshape((-1,))[::2] ** 2 + 1.0), 0.0)),
    "batched": lambda x, w, c: ng.sum(ng.where(c[:, None, None], ng.matmul(x[:, None, :], w[None]), 0.0) ** 2),
}


@pytest.mark.parametrize("target", TARGETS)
def test_rows_that_are_left_out(target: str) -> None:
    """Products, reductions and indices: the gradients for x and w are those without the rows that are not taken."""
    x, w, c = ng.matrix("x"), ng.matrix("w"), ng.vector("c", dtype="bool")
    known = np.array([True, False, True, False])
    outputs, names = [], []
    for name, cost in LEFT_OUT.items():
        gx, gw = ng.grad(cost(x, w, c), [x, w])
        outputs += [gx, gw]
        names += [f"{name}, x", f"{name}, w"]
        if target == "reference":
            outputs.append(ng.grad(ng.sum(gw * W), w, disconnected_inputs="ignore"))
            names.append(f"{name}, w twice")
    # filler rows that are finite: their part is 0 too
    full = ng.function([x, w, c], outputs, target=target, on_unused_input="ignore")
    got, expected = full(X, W, known), full(np.where(np.isfinite(X) & known[:, None], X, 0.7), W, known)
    for name, g, wanted in zip(names, got, expected, strict=True):
        np.testing.assert_allclose(g, wanted, rtol=1e-11, atol=1e-13, err_msg=name)
        assert not name.endswith("x") or not g[~known].any()


@pytest.mark.parametrize("target", TARGETS)
def test_broadcast_operands(target: str) -> None:
    """An operand that is broadcast counts where any of its copies does, also where lengths are known only in a call."""
    s, v, m, c = ng.scalar("s"), ng.vector("v"), ng.matrix("m"), ng.matrix("c", dtype="bool")
    cost = ng.sum(ng.where(c, m * ng.log(s) + ng.log(v) * ng.log(m[:, :1]), 0.0))
    f = ng.function([s, v, m, c], ng.grad(cost, [s, v, m]), target=target)
    mv = np.array([[2.0, 3.0], [0.0, 5.0], [7.0, 1.0]])
    taken = np.array([[True, False], [False, False], [True, False]])
    gs, gv, gm = f(2.0, [4.0, 0.0], mv, taken)
    np.testing.assert_allclose(gs, 9 / 2.0)
    np.testing.assert_allclose(gv, [np.log(14.0) / 4, 0.0])
    np.testing.assert_allclose(gm, [[np.log(2) + np.log(4) / 2, 0], [0, 0], [np.log(2) + np.log(4) / 7, 0]])
    nothing = f(0.0, [0.0, np.nan], np.full((3, 2), np.nan), np.zeros((3, 2), bool))
    assert not any(g.any() for g in nothing)
    # one column that is broadcast to two, and one row to three
    assert [g.tolist() for g in f(2.0, [0.0], mv[:1, :1], taken[1:2])] == [0.0, [0.0], [[0.0]]]


def test_a_zero_that_happens_to_be_one_has_a_derivative() -> None:
    """A cotangent of 0 is no mask: the second derivative of log(x)**2 at 1 is 2, also under `where` and an index."""
    x = ng.vector("x")
    for cost in (ng.log(x) ** 2, ng.where(x > 0, ng.log(x) ** 2, 0.0), ng.log(x)[ng.arange(x.shape[0])] ** 2):
        slope = ng.grad(ng.sum(cost), x)
        for target in TARGETS:
            got = ng.function([x], [slope, ng.grad(ng.sum(slope), x)], target=target)([1.0])
            assert [g.tolist() for g in got] == [[0.0], [2.0]]


def test_complete_choices_are_not_masked() -> None:
    """Both branches together are all there is: no zeros are put where nothing is left out."""
    x = ng.vector("x")
    h = ng.tanh(x)
    slope = ng.grad(ng.sum(ng.where(x > 0, h, 0.1 * h)), x)
    whole = ng.grad(ng.sum(ng.where(x > 0, h, h * h)), x)
    assert not {"or_", "and_"} & {v.op.name for v in toposort([slope, whole]) if v.op is not None}
