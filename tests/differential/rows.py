"""Kinds along axes: reductions, softmax, scans, sorts, over any axis of arrays of up to four."""

from __future__ import annotations

from tests.differential import drawer as d
from tests.differential.drawer import Drawer


def some_axes(g: Drawer, ndim: int) -> str:
    """None, one axis, or several; counted from either end."""
    if g.chance(0.2):
        return "None"
    if g.chance(0.6):
        return str(g.choose(2 * ndim) - ndim)
    axes = [a for a in range(ndim) if g.chance(0.6)]
    return f"({''.join(f'{a}, ' for a in axes)})" if axes else "None"


def deep(g: Drawer, *tests: d.Test) -> str | None:
    """A value with axes, often with three or four."""
    wanted = g.one_of((1, 2, 3, 3, 4))
    return g.pick(d.has_axes(wanted), *tests) or g.pick(d.has_axes(1), *tests)


def reduction(g: Drawer) -> str | None:
    x = deep(g, d.is_number)
    if x is None:
        return None
    how = g.one_of(("sum", "sum", "max", "min", "mean", "prod", "var", "logsumexp", "ptp"))
    worth = g.worth[x]
    if how in ("mean", "prod", "var", "logsumexp", "ptp") and not worth.tame:
        how = "max"
    if how in ("mean", "var", "logsumexp") and not worth.floating:
        how = "sum"
    mode = {"sum": "sum", "max": "move", "min": "move", "prod": "ring", "ptp": "ring"}.get(how, "smooth")
    keep = ", keepdims=True" if g.chance(0.4) else ""
    return g.step(f"ng.{how}({x}, axis={some_axes(g, g.array(x).ndim)}{keep})", mode, "reduction")


def truth(g: Drawer) -> str | None:
    x = deep(g, d.is_bool)
    if x is None:
        return None
    how = g.one_of(("any", "all", "sum"))
    return g.step(f"ng.{how}({x}, axis={some_axes(g, g.array(x).ndim)})", "strict", "truth")


def position(g: Drawer) -> str | None:
    x = deep(g, d.is_exact, d.is_full)
    if x is None:
        return None
    axis = g.one_of(("None", *map(str, range(-g.array(x).ndim, g.array(x).ndim))))
    return g.step(f"ng.{g.one_of(('argmax', 'argmin'))}({x}, axis={axis})", "strict", "argmax")


def softmax(g: Drawer) -> str | None:
    """Softmax and its neighbours: rows whose reductions are used again."""
    x = deep(g, d.is_float, d.is_tame, d.is_full)
    if x is None:
        return None
    axis = g.choose(2 * g.array(x).ndim) - g.array(x).ndim
    form = g.one_of(
        (
            "ng.softmax({x}, axis={a})",
            "ng.log_softmax({x}, axis={a})",
            "ng.log(ng.softmax({x}, axis={a}))",
            "{x} - ng.mean({x}, axis={a}, keepdims=True)",
            "({x} - ng.mean({x}, axis={a}, keepdims=True)) / ng.sqrt(ng.var({x}, axis={a}, keepdims=True) + 1)",
            "ng.exp({x} - ng.max({x}, axis={a}, keepdims=True))",
            "ng.softmax({x} * 2, axis={a}) * {x}",
        )
    )
    return g.step(form.format(x=x, a=axis), "smooth", "softmax")


def scan(g: Drawer) -> str | None:
    x = deep(g, d.is_number, d.is_tame)
    if x is None:
        return None
    how = g.one_of(("cumsum", "cumsum", "cumprod"))
    if g.array(x).dtype.kind != "f" and g.chance(0.3):
        how = "cumprod"
    mode = "running" if how == "cumprod" else "ring"
    return g.step(f"ng.{how}({x}, axis={g.choose(g.array(x).ndim)})", mode, "scan")


def order(g: Drawer) -> str | None:
    x = deep(g, d.is_exact)
    if x is None:
        return None
    how = g.one_of(("sort", "sort", "argsort", "argtopk"))
    if how == "argtopk":
        # of lines that may become shorter by one
        axis = g.choose(g.array(x).ndim)
        most = g.array(x).shape[axis] // 2
        return g.step(f"ng.argtopk({x}, {g.one_of((1, -1, most, -most))}, {axis})", "strict", "sort") if most else None
    return g.step(f"ng.{how}({x}, axis={g.choose(2 * g.array(x).ndim) - g.array(x).ndim})", "strict", "sort")


# Ways to the elements of a matrix: the same ones as they lie, or across.
WAYS = (
    "{x}",
    "{x}.T",
    "{x}.T.T",
    "{x}[::-1][::-1]",
    "{x}[:, ::-1].T",
    "{x}.T.reshape(({x}.shape[0], -1))",
    "{x}[1:].T",
)


def laid_out(g: Drawer) -> str | None:
    """Kernels that want the same elements row by row, each in its own way: what one has stored is what the next one's
    view is a view of."""
    x = g.pick(d.has_axes(2), d.is_exact, lambda w: w.array.ndim == 2)
    if x is None:
        return None
    name = None
    for way in g.random.sample(WAYS, 2 + g.choose(2)):
        y = way.format(x=x)
        form = g.one_of(("ng.sort({y})", "ng.argsort({y})", "ng.sort({y}, axis=0)", "ng.sort({y})[::-1].T"))
        name = g.step(form.format(y=y), "strict", "laid out") or name
    return name


def product(g: Drawer) -> str | None:
    """Products of vectors, matrices and stacks of them; often of an empty leaf, which lies in memory of its own."""
    x = (g.leaf(d.is_empty) if g.chance(0.3) else None) or g.pick(d.has_axes(1), d.is_float, d.is_tame)
    if x is None:
        return None
    a = g.array(x)
    y = g.pick(
        d.is_float, d.is_tame, lambda w: 1 <= w.array.ndim <= 2 and w.array.shape[-min(2, w.array.ndim)] == a.shape[-1]
    )
    if y is not None and a.ndim <= 2:
        return g.step(f"ng.dot({x}, {y})", "sum", "product")
    form = "ng.dot({x}, {x})" if a.ndim == 1 else "ng.matmul({x}, ng.swapaxes({x}, -1, -2))"
    return g.step(form.format(x=x), "sum", "product")
