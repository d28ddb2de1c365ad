"""The rules that simplify the compile graph, each with its reason. Patterns are explained in `patterns`."""

from __future__ import annotations

import cmath
from collections.abc import Callable

from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.op import Op
from numgraph.ops.compare import AND, NEQ
from numgraph.ops.complexes import IMAG, MADE, REAL
from numgraph.ops.elementwise import ADD, MUL, SUB
from numgraph.ops.indexmaps import CONCATENATED
from numgraph.ops.join import PLACE
from numgraph.ops.reduce import ANY, SUM
from numgraph.ops.select import ONE_HOT
from numgraph.ops.shape import DIMSHUFFLE
from numgraph.patterns import Bindings, Rule, rule
from numgraph.rewrite.build import Builder
from numgraph.rewrite.disjoint import side_by_side
from numgraph.rewrite.engine import fill_value
from numgraph.types import COMPLEX, DISCRETE, FLOATS, complex_of, real_of


def _plain_product(builder: Builder, bound: Bindings) -> bool:
    g, d = fill_value(bound["g"]), fill_value(bound["d"])
    return (d is not None and cmath.isfinite(d)) or (g is not None and g != 0)


def _plain_quotient(builder: Builder, bound: Bindings) -> bool:
    g, d = fill_value(bound["g"]), fill_value(bound["d"])
    return (d is not None and d != 0 and not cmath.isnan(d)) or (g is not None and g != 0)


def _build_chosen(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """What a condition that is known chooses."""
    value = fill_value(bound["c"])
    return None if value is None else bound["a"] if value else bound["b"]


def _build_one_hot(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """zeros[arange(n), y] += v touches each row once: element (i, j) is v[i] where j is y[i]."""
    base, value, rows, labels = node.inputs[:4]
    attrs = node.attributes
    if attrs["axes"] != (0, 1) or attrs["position"] != 0 or len(base.dims) != 2 or fill_value(base) != 0:
        return None
    # n is the length of the axis, assumed so where it is not known
    message = "rows {a} and labels {b} differ in number"
    if len(labels.dims) != 1 or not builder.assume_equal(rows.dims[0], base.dims[0], message, (rows,)):
        return None
    length = builder.graph.as_index(builder.graph.find(base.dims[1]))
    return builder.call(ONE_HOT, builder.spread(value, [builder.graph.find(labels.dims[0])]), labels, length)


def _build_row_sum(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Summing a one-hot array over its last axis gives the values back."""
    value = bound["v"]
    attrs = node.attributes
    if attrs["axis"] != (len(bound["v"].dims),):
        return None
    if attrs["keepdims"]:
        value = builder.call(DIMSHUFFLE, value, pattern=(*range(len(value.dims)), -1))
    return builder.graph.cast(value, node.dtype)


def _build_row_any(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Whether a row of a one-hot array holds anything but zeros: whether its value is not 0."""
    value = bound["v"]
    if node.attributes["axis"] != (len(value.dims),):
        return None
    known = fill_value(value)
    if known is None:
        found = builder.call(NEQ, value, builder.graph.number(0, value.dtype))
    else:
        found = builder.spread(builder.graph.number(known != 0, "bool"), value.dims)
    if node.attributes["keepdims"]:
        found = builder.call(DIMSHUFFLE, found, pattern=(*range(len(value.dims)), -1))
    return found


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
    summed = builder.call(SUM, g, axis=tuple(axes), keepdims=True, dtype=g.dtype)
    return builder.call(DIMSHUFFLE, summed, pattern=tuple(range(extra, len(g.dims)))) if extra else summed


def _parts(builder: Builder, node: Node) -> tuple[Node, Node | None]:
    """The real and the imaginary part of complex numbers; None where these were real before they were converted."""
    source = node.inputs[0] if node.op is not None and node.op.conversion else node
    if source.dtype not in COMPLEX:
        return builder.graph.cast(source, real_of(node.dtype)), None
    return builder.call(REAL, node), builder.call(IMAG, node)


def _product_of_parts(builder: Builder, op: Op, a: tuple[Node, Node | None], b: tuple[Node, Node | None]) -> Node:
    """A product of complex matrices by products of real ones."""

    def product(x: Node | None, y: Node | None) -> Node | None:
        return None if x is None or y is None else builder.call(op, x, y)

    real, imag = product(a[0], b[0]), product(a[0], b[1])
    less, more = product(a[1], b[1]), product(a[1], b[0])
    assert real is not None
    real = real if less is None else builder.call(SUB, real, less)
    sides = [side for side in (imag, more) if side is not None]
    if not sides:
        return builder.graph.cast(real, complex_of(real.dtype))
    turned = builder.call(ADD, *sides) if len(sides) == 2 else sides[0]
    return builder.call(MADE, real, turned)


def _build_product(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Products that BLAS does not do (integers) or does badly (a single row or column) as fused sums."""
    a, b = node.inputs
    assert node.op is not None
    thin = any(builder.graph.find(n) == 1 for n in node.dims[-2:])
    if node.dtype in FLOATS and not (thin and len(node.dims) == 2):
        return None
    if node.dtype in COMPLEX and not thin:
        return _product_of_parts(builder, node.op, _parts(builder, a), _parts(builder, b))
    lead = tuple(range(len(node.dims) - 2))
    r, c = len(lead), len(lead) + 1
    # the innermost loop goes along the matrix's rows, as they lie in memory: the axes m, k, n of all products in order
    order = "mnk" if _is_turned(b) and builder.graph.find(node.dims[-2]) == 1 else "mkn"
    order = "kmn" if _is_turned(a) and builder.graph.find(node.dims[-1]) == 1 else order
    left, right = ({"m": r, "k": c, "n": -1}, {"m": -1, "k": r, "n": c})
    sides = [
        builder.call(DIMSHUFFLE, v, pattern=(*lead, *(axes[axis] for axis in order)))
        for v, axes in ((a, left), (b, right))
    ]
    summed = len(lead) + order.index("k")
    if node.dtype == "bool":
        return builder.call(ANY, builder.call(AND, *sides), axis=(summed,), keepdims=False)
    return builder.call(SUM, builder.call(MUL, *sides), axis=(summed,), keepdims=False, dtype=node.dtype)


def _is_turned(matrix: Node) -> bool:
    """Whether the last two axes of an array are those of another one exchanged."""
    if matrix.op is not DIMSHUFFLE:
        return False
    pattern = matrix.attributes["pattern"]
    return len(pattern) > 1 and pattern[-2] > pattern[-1] >= 0


def _build_same_cast(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """A conversion to the dtype that the operand has, or one that undoes a lossless one."""
    source = node.inputs[0]
    if source.dtype == node.dtype:
        return source
    undone = source.op is not None and source.op.conversion and source.inputs[0].dtype == node.dtype
    return source.inputs[0] if undone and (node.dtype, source.dtype) == ("float32", "float64") else None


def _build_not_stretched(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """What already has the lengths that it is stretched or reshaped to."""
    x: Node = bound["x"]
    same = len(x.dims) == len(node.dims) and all(map(builder.graph.equal_lengths, x.dims, node.dims))
    return x if same else None


def _build_common_length(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """The length that two axes broadcast to, as `lengths.broadcast_length` says it: they are assumed to be equal, as
    those of elementwise operations are."""
    a, b = bound["a"], bound["b"]
    if a.kind != "extent" or b.kind != "extent":
        return None
    return a if builder.assume_equal(a, b, "lengths {a} and {b}, compiled for equal ones", (a, b)) else None


def _build_places(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """Parts of which one may be empty are written into an array one after the other: such a part has no element that
    could stand for those which are not chosen. A length that is not known is assumed to be none of these."""
    graph, axis = builder.graph, node.attributes["axis"]
    lengths = [graph.find(v.dims[axis]) for v in node.inputs]
    there = [v for v, n in zip(node.inputs, lengths, strict=True) if n != 0]
    if len(there) < len(lengths):
        return builder.op(CONCATENATED, there, node.attributes) if len(there) > 1 else (there or node.inputs)[0]
    message = "a part of a concatenation: {a}, compiled for {b}, where 0 is an empty one"
    if all(builder.assume_equal(dims.minimum(n, 1), 1, message, (v,)) for v, n in zip(there, lengths, strict=True)):
        return None
    result, offset = builder.spread(graph.number(0, node.dtype), node.dims), 0
    for v, n in zip(there, lengths, strict=True):
        result = builder.call(PLACE, result, v, graph.as_index(offset), axis=axis, mode="set")
        offset = offset + n
    return result


def _build_padded(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """What gets a margin of constants and may be empty is written into an array of these, for the reason of
    `_build_places`. A length that is not known is assumed to be no such one."""
    x, value, *widths = node.inputs
    graph = builder.graph
    if node.attributes["mode"] != "constant":
        return None
    pairs = [(graph.find(a), graph.find(b)) for a, b in zip(widths[::2], widths[1::2], strict=True)]
    wide = [k for k, pair in enumerate(pairs) if pair != (0, 0)]
    message = "pad: a length is {a}, compiled for {b}, where 0 is an empty one"
    if all(builder.assume_equal(dims.minimum(graph.find(x.dims[k]), 1), 1, message, (x,)) for k in wide):
        return None
    for k in wide:
        lengths = [*x.dims[:k], node.dims[k], *x.dims[k + 1 :]]
        x = builder.call(PLACE, builder.spread(value, lengths), x, widths[2 * k], axis=k, mode="set")
    return x


def _integer(builder: Builder, bound: Bindings) -> bool:
    return bound["x"].dtype in DISCRETE


def _is_bool(builder: Builder, bound: Bindings) -> bool:
    return str(bound["x"].dtype) == "bool"


def _build_true(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """True for every element of a bool node."""
    return builder.spread(builder.graph.number(True, "bool"), node.dims) if node.dtype == "bool" else None


def _floating(builder: Builder, bound: Bindings) -> bool:
    return "float" in bound["x"].dtype


def _real(builder: Builder, bound: Bindings) -> bool:
    return bound["x"].dtype not in COMPLEX


# Powers by products and roots: what a power is, where these are off by 4 units in the last place at most. A power is
# twenty times as long as a product, and longer still in a loop that is not done in vectors. The x + 0 is x, but 0 for
# -0.0, whose powers are those of 0.
POWERS: tuple[tuple[str, str, Callable[[Builder, Bindings], bool] | None], ...] = (
    ("1", "x", None),
    ("2", "x * x", None),
    ("3", "x * x * x", _real),
    ("4", "(x * x) * (x * x)", _real),
    ("5", "(x * x) * (x * x) * x", _real),
    ("6", "(x * x * x) * (x * x * x)", _real),
    ("0.5", "sqrt(x)", _floating),
    ("1.5", "x * sqrt(x)", _floating),
    ("2.5", "x * x * sqrt(x)", _floating),
    ("3.5", "x * x * x * sqrt(x)", _floating),
    ("-0.5", "reciprocal(sqrt(x + 0))", _floating),
    ("-1", "reciprocal(x)", _floating),
    ("-1.5", "reciprocal(x * sqrt(x))", _floating),
    ("-2", "reciprocal(x * x)", _floating),
    ("-2.5", "reciprocal(x * x * sqrt(x + 0))", _floating),
    ("-3", "reciprocal(x * x * x)", _floating),
    ("-4", "reciprocal((x * x) * (x * x))", _floating),
    ("-6", "reciprocal((x * x * x) * (x * x * x))", _floating),
)

SIMPLE: tuple[Rule, ...] = (
    rule("masked_mul(g, d)", "g * d", "0 * d is 0, or nothing is 0", when=_plain_product),
    rule("masked_div(g, d)", "g / d", "0 / d is 0, or nothing is 0", when=_plain_quotient),
    rule("masked(c, x)", "where(c, x, 0)", "one form of choices"),
    rule("where(c, a, b)", None, "the condition is known", build=_build_chosen),
    rule("neq(cast(x), 0)", "x", "a bool is not 0 where it is true", when=_is_bool),
    rule("or_(x, logical_not(x))", None, "one of both is true", build=_build_true),
    rule("or_(x, 1)", None, "one of both is true", build=_build_true),
    rule("or_(x, 0)", "x", "the other is not true", when=_is_bool),
    rule("and_(x, 1)", "x", "the other is true", when=_is_bool),
    rule("x * 1", "x", "multiplication by one"),
    rule("x / 1", "x", "division by one", when=_floating),
    rule("x - 0", "x", "subtraction of zero"),
    rule("x + 0", "x", "addition of zero; floats keep it, for -0.0 + 0.0 is 0.0", when=_integer),
    rule("a + b", None, "zeros but for parts that do not overlap", build=side_by_side),
    rule("neg(neg(x))", "x", "double negation"),
    rule("square(x)", "x * x", "one form for squares"),
    *(rule(f"x ** {n}", text, "products and roots are cheaper than a power", when=w) for n, text, w in POWERS),
    rule("cast(x)", None, "conversion to the same dtype", build=_build_same_cast),
    rule("where(eq(a, 1), b, a)", None, "lengths that broadcast are mostly equal", build=_build_common_length),
    rule("broadcast_to(x)", None, "nothing is stretched", build=_build_not_stretched),
    rule("reshape(x)", None, "the lengths stay as they are", build=_build_not_stretched),
    rule(
        "gather_update(b, v, arange(0, n, 1), j, mode='add')",
        None,
        "a gradient of labels as a fused selection",
        build=_build_one_hot,
    ),
    rule("any(neq(one_hot(v, i, n), 0), axis=A)", None, "a row has one value", build=_build_row_any),
    rule("sum(one_hot(v, i, n))", None, "a one-hot row holds one value", build=_build_row_sum),
    rule("sum(cast(one_hot(v, i, n)))", None, "a one-hot row holds one value", build=_build_row_sum),
    rule("unbroadcast(b, g)", None, "broadcast axes are known", build=_build_unbroadcast),
    rule("concatenated(x)", None, "a part may be empty", build=_build_places),
    rule("pad(x)", None, "what has a margin may be empty", build=_build_padded),
    rule("dot2(a, b)", None, "BLAS has no such product", build=_build_product),
    rule("batched_dot(a, b)", None, "BLAS has no such product", build=_build_product),
)
