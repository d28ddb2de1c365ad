"""Kinds that differentiate: costs with kinks and poles, first and second slopes, through whole programs."""

from __future__ import annotations

from tests.differential import drawer as d
from tests.differential import rows
from tests.differential.drawer import Drawer
from tests.differential.program import names_in

# Of a leaf {x} and a value {y} that broadcasts with it. Where the slope is not smooth, the point is exact.
COSTS = tuple(
    line.strip()
    for line in """
    ng.abs({x})
    ng.abs({x} - {y})
    ng.where({x} > 0, ng.log({x}), 0.0)
    ng.where({x} > 0, ng.sqrt({x}), {x} * 2)
    ng.where({x} > 0, ng.tanh(1 / {x}), 0.0)
    ng.where(ng.neq({x}, 0), ng.sqr({x}) / {x}, 0.0)
    ng.where({x} >= 0, ng.log1p({x}), ng.exp({x}))
    ng.where({x} > {y}, ng.sigmoid(1 / ({x} - {y})), 0.0)
    ng.norm({x})
    ng.norm({x}) ** 2
    ng.norm({x} - {y})
    ng.hypot({x}, {x} * 2)
    ng.hypot({x}, {y})
    ng.sqrt({x} * {x} + {x} * {x})
    ng.sqrt(ng.sqr({x}))
    ng.arctan2({x}, {y})
    ng.maximum({x}, {y})
    ng.minimum({x} * 2, {y})
    ng.relu({x})
    ng.clip({x}, -1, 1)
    ng.max({x})
    ng.softmax({x}, axis=-1)
    ng.log_softmax({x}, axis=0)
    ng.logsumexp({x})
    ng.cumprod({x}, axis=0)
    ng.cumprod({x}, axis=-1) * {y}
    ng.prod({x}, axis=0)
    ng.prod({x})
    ng.cumsum({x}, axis=-1)
    ng.sort({x}, axis=0)
    ng.tanh({x})
    ng.sigmoid({x})
    ng.softplus({x})
    ng.erf({x})
    ng.exp({x})
    {x} ** 3
    {x} ** 2.0
    {x} * ng.sin({y})
    {x}[::-1] * {x}
    {x}[1:] * {x}[:-1]
    {x} / (1 + {y} * {y})
    1 / {x}
    ng.log(ng.abs({x}))
    ng.set_subtensor({x}[:1], 2.0)
    ng.set_subtensor({x}[:1], {x}[-1:]) * {x}
    ng.inc_subtensor({x}[::2], {x}[::2])
    ng.set_subtensor({x}.ravel()[:2], 1.0)
    ng.arcsinh({x})
    ng.logaddexp({x}, {y})
    ng.log(1 + ng.exp({x}))
    ng.log(ng.sigmoid({x}))
    ng.tile({x}.ravel(), (2,))
    ng.concatenate([{x}, {x} * {x}], axis=0)
    {x}.T.ravel()[::2]
    ng.mean({x}, axis=0)
    ng.var({x})
    ng.dot({x}, {x}.T)
    """.strip().splitlines()
)


def cost(g: Drawer, x: str) -> str | None:
    """The source of a scalar."""
    y = g.pick(d.is_float, d.is_tame, d.is_exact, d.broadcasts(g.array(x)), lambda w: w.array.ndim <= g.array(x).ndim)
    form = g.one_of(COSTS).format(x=x, y=y or 1.5)
    if g.chance(0.3):
        form = f"({form}) * ({g.one_of(COSTS).format(x=x, y=y or 1.5)})"
    return f"ng.sum({g.one_of(('{f}', '({f}) * 2', 'ng.sqr({f})', '({f}) * ({f})')).format(f=form)})"


def gradient(g: Drawer) -> str | None:
    x = g.leaf()
    c = cost(g, x) if x else None
    if x is None or c is None:
        return None
    first = f"ng.grad({c}, {x}, disconnected_inputs='ignore')"
    if g.chance(0.25):
        return g.step(
            f"ng.grad(ng.sum({first} * {g.one_of((2.0, x))}), {x}, disconnected_inputs='ignore')",
            "slope",
            "second gradient",
        )
    return g.step(first, "slope", "gradient", (c, x) if is_apart(g, c, x) else None)


def of_product(g: Drawer) -> str | None:
    """Of a product of elements among which are NaN and infinities, which count in the slopes of all others."""
    fit = [v.name for v in (*g.program.inputs, *g.program.shared) if v.flavour in ("zeros", "plain", "poles")]
    names = [n for n in fit if g.worth[n].floating and g.array(n).ndim and n not in dict(g.program.givens)]
    if not names:
        return None
    x = g.one_of(names)
    keep = ", keepdims=True" if g.chance(0.4) else ""
    slope = f"ng.grad(ng.sum(ng.prod({x}, axis={rows.some_axes(g, g.array(x).ndim)}{keep})), {x})"
    if g.chance(0.3):
        slope = f"ng.grad(ng.sum({slope} * {g.one_of((2.0, 0.0, f'({x} > 0)'))}), {x})"
    return g.step(slope, "product", "gradient of product")


def is_apart(g: Drawer, c: str, x: str) -> bool:
    """Whether a cost depends on `x` only where it says so, has no gap, and differences are precise enough."""
    return g.array(x).dtype == "float64" and "neq" not in c and all(n[0] in "xs" for n in names_in(c))


def through(g: Drawer) -> str | None:
    """With respect to a leaf, through whatever was drawn on the way to a value."""
    x = g.leaf()
    y = g.pick(d.is_float, d.is_tame, d.is_exact, lambda w: w.array.size > 0)
    if x is None or y is None:
        return None
    c = f"ng.sum({g.one_of(('ng.sin({y})', 'ng.sqr({y})', '{y} * 2')).format(y=y)})"
    return g.step(f"ng.grad({c}, {x}, disconnected_inputs='ignore')", "slope", "gradient through")
