"""Gradients as a person would write them: what formulas show of an expression that nobody has written.

A gradient is made op by op, and every op allows for everything: masks of what counts, zeros of a shape, lengths of what
was computed before, 1.0 spread over a matrix. Code is made of what the rewriter leaves of that. A formula is made of
what the rules here leave; nothing is computed from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import NumgraphError
from numgraph.graph import Constant, Variable, apply, reduced_shape, toposort
from numgraph.lengths.dims import UNKNOWN
from numgraph.op import Op, reference
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.patterns import Bindings, rule
from numgraph.stable.engine import Stable, by_root
from numgraph.types import DISCRETE, FLOATS

# How far back lengths are followed.
MAX_DEPTH = 12


class Extent:
    """A length that a shape rule may hand on: that of an axis, or a number of the program's. Of arithmetic with it
    nothing is known."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def _unknown(self, *other: Any) -> Any:
        return UNKNOWN

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = __mod__ = _unknown
    __rmod__ = __neg__ = integer = _unknown

    @property
    def graph(self) -> Extent:
        """What `lengths.dims` asks for functions of lengths."""
        return self


class Operand:
    """What a shape rule sees of an argument. The length of an axis is one object, however often it is asked for."""

    settled = True

    def __init__(self, site: Stable, extents: dict[Any, Extent], variable: Variable, depth: int) -> None:
        def extent(v: Length) -> Extent | int:
            if isinstance(v, int):
                return v
            return extents.setdefault((v.op, *map(id, v.inputs or (v,)), *v.attrs.values()), Extent(v))

        self.shape = tuple(extent(origin(site, variable, k, depth)) for k in range(variable.ndim))
        self.ndim, self.dtype = variable.ndim, variable.type.dtype
        number = site.number(variable) if variable.type.dtype in DISCRETE and not variable.ndim else UNKNOWN
        self.value: Any = extent(variable) if number is None else number


def origin(site: Stable, x: Variable, axis: int, depth: int = 0) -> Length:
    """The length of what is computed, as that of something that it is computed from."""
    known: dict[tuple[int, int], tuple[Variable, Length]] = site.origins if isinstance(site, Readable) else {}
    key = id(x), axis
    if key not in known:
        # with the variable, so that the id stays its own
        known[key] = x, _followed(site, x, axis, depth)
    return known[key][1]


def _followed(site: Stable, x: Variable, axis: int, depth: int) -> Length:
    while x.type.shape[axis] is None and x.op is not None and id(x) not in site.kept and depth < MAX_DEPTH:
        depth += 1
        op, place = x.op, axis - x.ndim
        if op.scalar is not None:
            # lengths that meet are taken for equal
            x = next(v for v in x.inputs if v.ndim >= -place and v.type.shape[place] != 1)
            axis = x.ndim + place
        elif op.product:
            x = x.inputs[place == -1]
        elif op.expand is not None:
            x = op.expand(*x.inputs, **x.attrs)
        else:
            found = _by_rule(site, x, op, depth)[axis]
            if isinstance(found, Extent):
                return found.variable
            return found if isinstance(found, int) else ln.dim(x, axis)
    return ln.dim(x, axis)


def _by_rule(site: Stable, x: Variable, op: Op, depth: int) -> Sequence[Any]:
    """The lengths of x by the op's own rule."""
    extents: dict[Any, Extent] = {}
    operands = [Operand(site, extents, v, depth) for v in x.inputs]
    if op.shape is not None:
        return op.shape(*operands, **x.attrs)
    return reduced_shape(operands[0].shape, x.attrs["axis"], x.attrs["keepdims"])  # type: ignore[arg-type]


def _length(site: Stable, node: Variable, bound: Bindings) -> Variable | None:
    """The length of what was computed is that of something that it was computed from."""
    found = origin(site, node.inputs[0], node.attrs["axis"])
    if isinstance(found, int):
        return ln.int_constant(found)
    same = found.op is node.op and found.inputs == node.inputs and found.attrs == node.attrs
    return None if same else found


def _number(site: Stable, node: Variable, bound: Bindings) -> Variable | None:
    """Arithmetic of numbers."""
    numbers = [site.number(v) for v in node.inputs]
    if None in numbers or node.op is None:
        return None
    value = reference(node.op, [np.asarray(n) for n in numbers], node.attrs, node.type.dtype)
    return Constant(value.reshape((1,) * node.ndim))


def _inside(site: Stable, node: Variable, bound: Bindings) -> Variable | None:
    """The negative of a number that is repeated is the repeated negative of the number."""
    chain = [node.inputs[0]]
    while chain[-1].op is not None and chain[-1].op.moves and chain[-1].op.uniform:
        chain.append(chain[-1].inputs[0])
    result = chain.pop()
    if result.ndim or not chain:
        return None
    result = f.neg(result)
    for v in reversed(chain):
        assert v.op is not None
        result = apply(v.op, [result, *v.inputs[1:]], **v.attrs)
    return result


def _sum(site: Stable, node: Variable, bound: Bindings) -> Variable | None:
    """A sum over the axes that a variable has not, or has with length 1; unknown lengths that meet are taken for
    equal."""
    base, g = node.inputs
    extra = g.ndim - base.ndim
    if any(n is None and g.type.shape[k] is not None for k, n in enumerate(base.type.shape, extra)):
        return None
    ones = [k for k, n in enumerate(base.type.shape, extra) if n == 1 and g.type.shape[k] != 1]
    if ones:
        g = f.sum(g, tuple(ones), keepdims=True)
    return f.sum(g, tuple(range(extra))) if extra else g


def _turned_back(site: Stable, node: Variable, bound: Bindings) -> Variable | None:
    """Axes in another order, and in the first one again."""
    x, (first, then) = bound["x"], (bound["@A"], bound["@B"])
    both = tuple(first[p] if p >= 0 else p for p in then)
    return x if both == tuple(range(x.ndim)) else None


MASK = "which elements count is not what a reader asks for"
ARITHMETIC = "numbers are computed"
READABLE = by_root(
    (
        rule("masked(c, x)", "x", MASK),
        rule("masked_mul(x, y)", "x * y", MASK),
        rule("masked_div(x, y)", "x / y", MASK),
        rule("x * 1", "x", ARITHMETIC),
        rule("x ** 1", "x", ARITHMETIC),
        *(rule(pattern, None, ARITHMETIC, build=_number) for pattern in ("x + y", "x - y", "x * y", "x / y", "-x")),
        rule("-x", None, "what is repeated is said once", build=_inside),
        rule("-x * y", "-(x * y)", "one sign in front"),
        rule("neg(neg(x))", "x", "two signs are none"),
        rule("dimshuffle(dimshuffle(x, pattern=A), pattern=B)", None, "nothing has changed", build=_turned_back),
        rule("unbroadcast(b, g)", None, "over which axes is known", build=_sum),
        rule("length(x)", None, "lengths of variables and arguments say more", build=_length),
    )
)


class Readable(Stable):
    """The pass that applies these rules."""

    def __init__(self) -> None:
        super().__init__(rules=READABLE, dtypes={*FLOATS, *DISCRETE})
        # lengths that were followed already, by variable and axis
        self.origins: dict[tuple[int, int], tuple[Variable, Length]] = {}

    def number(self, node: Variable) -> Any:
        """The number that every element is."""
        return super().number(_before_spreading(node))


def readable(
    gradient: Variable, names: Mapping[Variable, str], largest: int
) -> tuple[Variable, Mapping[Variable, str]]:
    """What to show of a gradient: a variable for its formula, and what is written in place of others.

    names: what is written in place of variables. largest: of how many variables a formula is made, at most.
    """
    far = _ends(gradient, names, largest)
    engine = Readable()
    try:
        engine.run([gradient], far)
    except Exception as error:
        # it is for reading only and must not end a function: what a rule cannot follow is shown as it is
        if config.verify and not isinstance(error, NumgraphError):
            raise
        return gradient, names
    shown: dict[int, Variable] = {}
    for node in toposort(engine.roots, stop=far):
        ends = node.op is None or node in far
        shown[id(node)] = node if ends else _shown(node, tuple(shown[id(v)] for v in node.inputs))
    return shown[id(engine.roots[0])], {v: names[v] for v in far if v in names}


def _ends(root: Variable, names: Container[Variable], largest: int) -> set[Variable]:
    """Where a formula ends: at named variables, and at what is too far below."""
    seen, far = {root}, set[Variable]()
    waiting = deque([root])
    while waiting:
        for v in waiting.popleft().inputs:
            if v in names or (v.op is not None and v not in seen and len(seen) >= largest):
                far.add(v)
            elif v not in seen:
                seen.add(v)
                waiting.append(v)
    return far


def _shown(node: Variable, inputs: tuple[Variable, ...]) -> Variable:
    """The operation on other inputs, of which those are left out that are repeated to the shape of the others."""
    assert node.op is not None
    if node.op.scalar is not None:
        narrow = [_before_spreading(v) for v in inputs]
        full = [v.ndim for v, w in zip(inputs, narrow, strict=True) if v is w]
        inputs = tuple(map(_unconverted, narrow if node.ndim in full else inputs))
    elif node.op.scatter is not None:
        inputs = (inputs[0], _before_spreading(inputs[1]), *inputs[2:])
    # for the eye alone: the type stays that of the whole
    return Variable(node.type, node.name, node.op, inputs, node.attrs, node.line)


def _before_spreading(v: Variable) -> Variable:
    """The number that is repeated, or the row or column."""
    number = narrow = v
    while number.op is not None and number.op.moves and number.op.uniform:
        x = number.inputs[0]
        if narrow is number and x.ndim == number.ndim and not number.op.injective:
            narrow = x
        number = x
    return narrow if number.ndim else number


def _unconverted(v: Variable) -> Variable:
    """A length, in place of the float that it is converted to."""
    inside = v.inputs[0] if v.op is not None and v.op.conversion and v.type.dtype in FLOATS else v
    return v if inside.ndim or inside.type.dtype not in DISCRETE else inside
