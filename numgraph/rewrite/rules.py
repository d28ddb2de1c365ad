"""The rewrite rules, each with its reason. Patterns are explained in `engine`."""

from __future__ import annotations

from typing import Any

from numgraph.ir import Node
from numgraph.op import OPS
from numgraph.rewrite.build import Builder
from numgraph.rewrite.engine import Bindings, Rule, fill_value, rule


def _build_softmax(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    axes = bound["@A"]
    return builder.op(OPS["softmax"], [bound["x"]], {"axis": axes[0]}) if len(axes) == 1 else None


def _build_logsumexp(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """max + log(sum(exp(x - max))), with an infinite maximum taken out of the difference."""
    x, axes, keepdims = bound["x"], bound["@A"], bound["@K"]
    call = builder.call
    high = call("max", x, axis=axes, keepdims=True, empty=True)
    zero = builder.graph.number(0.0, x.dtype)
    safe = call("where", call("isfinite", high), high, zero)
    total = call("sum", call("exp", call("sub", x, safe)), axis=axes, keepdims=True, dtype=x.dtype)
    result = call("add", call("log", total), safe)
    if keepdims:
        return result
    kept = tuple(k for k in range(len(x.dims)) if k not in axes)
    return call("dimshuffle", result, pattern=kept)


def _plain(builder: Builder, bound: Bindings) -> bool:
    return not may_be_masked(bound["g"])


# Ops whose result has zeros where their first operand has.
_KEEPS_ZEROS = frozenset(
    "neg cast dimshuffle broadcast_to reshape subtensor gather sum unbroadcast square sqrt abs identity".split()
)
# Ops that put zeros where something is masked.
_MAKES_ZEROS = frozenset("where one_hot gather_update subtensor_update place".split())


def may_be_masked(node: Node) -> bool:
    """Whether zeros in `node` may mean "no gradient flows here", so that they must survive an infinite factor."""
    known: dict[Node, bool] = node.graph.masked
    stack = [node]
    while stack:
        v = stack[-1]
        if v in known:
            stack.pop()
            continue
        name = v.name
        parts = v.inputs[:1] if name in _KEEPS_ZEROS else v.inputs[1:2] if name == "unbroadcast" else v.inputs
        follows = name in _KEEPS_ZEROS or name in ("mul", "true_div", "masked_mul", "masked_div", "add", "sub", "dot2")
        if not follows or name in _MAKES_ZEROS:
            value = fill_value(v)
            known[v] = (
                name in _MAKES_ZEROS
                or (value is not None and value == 0)
                or (name == "cast" and parts[0].dtype == "bool")
            )
            continue
        if name == "cast" and parts[0].dtype == "bool":
            known[v] = True
            continue
        waiting = [p for p in parts if p not in known]
        if waiting:
            stack.extend(waiting)
            continue
        flags = [known[p] for p in parts]
        known[v] = all(flags) if name in ("add", "sub") else any(flags[:1]) if name.endswith("div") else any(flags)
    return known[node]


def _is_full_range(builder: Builder, index: Node, length: Any) -> bool:
    """Whether `index` is arange(n) with n the axis' length (assumed so where it is not known)."""
    if (
        index.op is None
        or index.op.name != "arange"
        or fill_value(index.inputs[0]) != 0
        or fill_value(index.inputs[2]) != 1
    ):
        return False
    return builder.assume_equal(index.dims[0], length, "rows {a} and labels {b} differ in number", (index,))


def _build_one_hot(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """zeros[arange(n), y] += v touches each row once: element (i, j) is v[i] where j is y[i]."""
    base, value, indices = node.inputs[0], node.inputs[1], node.inputs[2:]
    attrs = node.attributes
    if (
        attrs["axes"] != (0, 1)
        or len(base.dims) != 2
        or fill_value(base) != 0
        or len(indices) != 2
        or attrs["position"] != 0
    ):
        return None
    if len(indices[0].dims) != 1 or len(indices[1].dims) != 1 or not _is_full_range(builder, indices[0], base.dims[0]):
        return None
    if len(value.dims) != 1:
        value = builder.call("broadcast_to", value, builder.call("length", indices[1], axis=0))
    columns = builder.graph.find(base.dims[1])
    length = builder.graph.number(columns) if isinstance(columns, int) else columns
    return builder.call("one_hot", value, indices[1], length)


def _build_row_sum(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Summing a one-hot array over its last axis gives the values back."""
    value = bound["v"]
    attrs = node.attributes
    if attrs["axis"] != (len(bound["v"].dims),):
        return None
    if attrs["keepdims"]:
        value = builder.call("dimshuffle", value, pattern=(*range(len(value.dims)), -1))
    return builder.graph.cast(value, node.dtype)


def _build_unbroadcast(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """A sum over broadcast axes that are known: none, or those in front and those of length 1."""
    base, g = node.inputs
    if fill_value(base) != 0:
        return None
    graph = builder.graph
    extra = len(g.dims) - len(base.dims)
    axes = list(range(extra))
    for k, n in enumerate(map(graph.find, base.dims)):
        full = graph.find(g.dims[k + extra])
        if n != 1 and builder.assume_equal(n, full, "lengths {a} and {b} do not broadcast", (base, g)):
            continue
        if n != 1 and full != 1:
            return None
        axes.append(k + extra)
    if not axes:
        return g
    summed = builder.call("sum", g, axis=tuple(axes), keepdims=True, dtype=g.dtype)
    return builder.call("dimshuffle", summed, pattern=tuple(range(extra, len(g.dims)))) if extra else summed


def _build_product(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Products that BLAS does not do (integers) or does badly (a single row or column) as fused sums."""
    a, b = node.inputs
    thin = any(builder.graph.find(n) == 1 for n in node.dims[-2:])
    if node.dtype in ("float32", "float64") and not (thin and len(node.dims) == 2):
        return None
    lead = tuple(range(len(node.dims) - 2))
    r, c = len(lead), len(lead) + 1
    left = builder.call("dimshuffle", a, pattern=(*lead, r, c, -1))
    right = builder.call("dimshuffle", b, pattern=(*lead, -1, r, c))
    if node.dtype == "bool":
        return builder.call("any", builder.call("and_", left, right), axis=(c,), keepdims=False)
    return builder.call("sum", builder.call("mul", left, right), axis=(c,), keepdims=False, dtype=node.dtype)


def _build_same_cast(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """A conversion to the dtype that the operand has, or one that undoes a lossless one."""
    source = node.inputs[0]
    if source.dtype == node.dtype:
        return source
    if source.name == "cast" and source.inputs[0].dtype == node.dtype == "float32" and source.dtype == "float64":
        return source.inputs[0]
    return None


def _build_log_softmax_grad(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """The gradient through log(softmax): g / s * s is g, also where s has underflowed to 0."""
    s, g, axes = bound["s"], bound["g"], bound["@A"]
    if s.name != "softmax" or axes != (s.attributes["axis"],):
        return None
    g = builder.spread(g, s.dims)
    total = builder.call("sum", g, axis=axes, keepdims=True, dtype=g.dtype)
    return builder.call("sub", g, builder.call("mul", s, total))


def _integer(builder: Builder, bound: Bindings) -> bool:
    return "float" not in bound["x"].dtype


def _floating(builder: Builder, bound: Bindings) -> bool:
    return "float" in bound["x"].dtype


STABLE: tuple[Rule, ...] = (
    rule("log(softmax(x, axis=A))", "log_softmax(x, axis=A)", "softmax underflows to 0 and its log to -inf"),
    rule("log(sigmoid(x))", "-softplus(-x)", "sigmoid underflows to 0 for x < -88 (float32)"),
    rule("log(1 - sigmoid(x))", "-softplus(x)", "1 - sigmoid rounds to 0 for x > 17 (float32)"),
    rule("log1p(-sigmoid(x))", "-softplus(x)", "as log(1 - sigmoid(x))"),
    rule("1 - sigmoid(x)", "sigmoid(-x)", "cancellation for large x"),
    rule("log(1 + exp(x))", "softplus(x)", "exp overflows for x > 88 (float32)"),
    rule("log1p(exp(x))", "softplus(x)", "exp overflows for x > 88 (float32)"),
    rule("log(1 + x)", "log1p(x)", "1 + x rounds small x away"),
    rule("exp(x) - 1", "expm1(x)", "cancellation for small x"),
    rule("exp(x) / sum(exp(x), axis=A, keepdims=True)", None, "exp overflows", build=_build_softmax),
    rule("log(sum(exp(x), axis=A, keepdims=K))", None, "exp overflows", build=_build_logsumexp),
    rule("log(cast(sum(cast(exp(x)), axis=A, keepdims=K)))", None, "exp overflows", build=_build_logsumexp),
    rule("log(cast(sum(exp(x), axis=A, keepdims=K)))", None, "exp overflows", build=_build_logsumexp),
    rule("exp(x) / cast(sum(exp(x), axis=A, keepdims=True))", None, "exp overflows", build=_build_softmax),
    *(
        rule(f"{pattern} * (sigmoid(x) * c)", replacement, "0 / 0 where sigmoid underflows; it is never really 0")
        for pattern, replacement in (
            ("masked_div(g, sigmoid(x))", "g * c"),
            ("(g / sigmoid(x))", "g * c"),
            ("neg(masked_div(g, sigmoid(x)))", "neg(g) * c"),
            ("neg(g / sigmoid(x))", "neg(g) * c"),
        )
    ),
    *(
        rule(
            f"s * ({div} - {total.format(div)})", None, "0 / 0 where softmax underflows", build=_build_log_softmax_grad
        )
        for div in ("masked_div(g, s)", "g / s")
        for total in ("sum({} * s, axis=A, keepdims=True)", "cast(sum({} * s, axis=A, keepdims=True))")
    ),
)

SIMPLE: tuple[Rule, ...] = (
    rule("masked_mul(g, d)", "g * d", "nothing masks this gradient", when=_plain),
    rule("masked_div(g, d)", "g / d", "nothing masks this gradient", when=_plain),
    rule("x * 1", "x", "multiplication by one"),
    rule("x / 1", "x", "division by one", when=_floating),
    rule("x - 0", "x", "subtraction of zero"),
    rule("x + 0", "x", "addition of zero; floats keep it, for -0.0 + 0.0 is 0.0", when=_integer),
    rule("neg(neg(x))", "x", "double negation"),
    rule("x ** 2", "x * x", "a product is cheaper than a power"),
    rule("square(x)", "x * x", "one form for squares"),
    rule("x ** 1", "x", "first power"),
    rule("x ** 0.5", "sqrt(x)", "a root is cheaper than a power", when=_floating),
    rule("x ** -1", "reciprocal(x)", "a division is cheaper than a power", when=_floating),
    rule("cast(x)", None, "conversion to the same dtype", build=_build_same_cast),
    rule(
        "gather_update(b, v, i, j, mode='add')", None, "a gradient of labels as a fused selection", build=_build_one_hot
    ),
    rule("sum(one_hot(v, i, n))", None, "a one-hot row holds one value", build=_build_row_sum),
    rule("sum(cast(one_hot(v, i, n)))", None, "a one-hot row holds one value", build=_build_row_sum),
    rule("unbroadcast(b, g)", None, "broadcast axes are known", build=_build_unbroadcast),
    rule("dot2(a, b)", None, "BLAS has no such product", build=_build_product),
    rule("batched_dot(a, b)", None, "BLAS has no such product", build=_build_product),
)
