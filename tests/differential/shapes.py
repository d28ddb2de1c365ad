"""Kinds that move elements: slices, gathers, transposes, reshapes, joins."""

from __future__ import annotations

from tests.differential import drawer as d
from tests.differential.drawer import Drawer

BOUNDS = ("", "", "0", "1", "2", "-1", "-2", "100", "-100")
STEPS = ("", "", "::1", "::2", "::-1", "::-2", "::3")


def some_slice(g: Drawer) -> str:
    if g.chance(0.3):
        return g.one_of(("::-1", "::2", "1:", ":-1", "::-2", "1::2"))
    return f"{g.one_of(BOUNDS)}:{g.one_of(BOUNDS)}:{g.one_of(('', '', '', '2', '-1', '-2', '3'))}"


def symbolic(g: Drawer) -> str | None:
    """A scalar integer."""
    return g.pick(d.is_whole, d.is_exact, lambda w: w.array.ndim == 0)


def basic_key(g: Drawer, ndim: int, full: bool) -> str:
    """Slices and integers, fixed or computed, for some of the axes."""
    parts: list[str] = []
    for _ in range(ndim):
        i = symbolic(g) if g.chance(0.25) else None
        if i is not None:
            parts.append(g.one_of((f"{i} % 2:", f":{i}", f"{i}:{i} + 2", f"ng.cast({i}, 'int64') % 2")))
            if full and g.chance(0.2):
                # a step is known only to the call; one of 2**63 - 1 or -2**63 takes the first element alone
                far = f"ng.where({i} % 2 > 0, {g.one_of(('2**63 - 1', '-2**63', '2', '-1'))}, {g.one_of(('-2', '3'))})"
                parts[-1] = f"{g.one_of(BOUNDS)}::{far}"
        elif full and g.chance(0.15):
            parts.append(g.one_of(("0", "-1")))
        else:
            parts.append(some_slice(g))
        if g.chance(0.3):
            break
    return ", ".join(parts)


def index_array(g: Drawer, axis_of: str, axis: int = 0, ndim: int | None = None) -> str | None:
    """A step: an integer array in the range of an axis, some of it counted from the end, with duplicates."""
    dims = (lambda w: 1 <= w.array.ndim <= 2) if ndim is None else (lambda w: w.array.ndim == ndim)
    i = g.pick(d.is_whole, d.is_exact, dims)
    if i is None:
        return None
    length = f"ng.maximum(ng.cast({axis_of}.shape[{axis}], 'int64'), 1)"
    inside = f"ng.mod(ng.cast({i}, 'int64'), {length})"
    return g.step(inside if g.chance(0.5) else f"{inside} - {length}", "shape", "index")


def part(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    return g.step(f"{x}[{basic_key(g, g.array(x).ndim, d.is_full(g.worth[x]))}]", "move", "slice")


def gather(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1), d.is_full)
    if x is None:
        return None
    ndim = g.array(x).ndim
    axis = g.choose(ndim)
    i = index_array(g, x, axis)
    if i is None:
        return None
    if ndim > 1 and axis == 0 and g.chance(0.5):
        j = g.step(f"ng.mod({i}, ng.cast({x}.shape[1], 'int64'))", "shape", "index")
        return g.step(f"{x}[{i}, {j}]", "move", "gather") if j else None
    return g.step(f"{x}[{':, ' * axis}{i}]", "move", "gather")


def transposed(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    pattern: list[str] = list(map(str, range(g.array(x).ndim)))
    g.random.shuffle(pattern)
    if len(pattern) < 4 and g.chance(0.4):
        pattern.insert(g.choose(len(pattern) + 1), "'x'")
    return g.step(f"ng.dimshuffle({x}, {', '.join(pattern)})", "move", "transpose")


def reshaped(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    ndim = g.array(x).ndim
    forms = [
        "{x}.flatten()",
        "{x}.ravel()",
        "{x}.reshape((-1,))",
        "{x}.reshape(({x}.shape[0], -1))",
        # a length that is a reduction of lengths
        "{x}.reshape(({x}.shape[0], ng.prod(ng.stack([1, *{x}.shape[1:]]))))",
        "{x}.reshape((-1, 1))",
        "{x}.reshape((1, -1))",
        "{x}.T.ravel()",
    ]
    if ndim > 1:
        forms += [
            "{x}.reshape(({x}.shape[0] * {x}.shape[1], *[{x}.shape[k] for k in range(2, {n})]))",
            "{x}.T.reshape({x}.shape)",
            "{x}.reshape(tuple({x}.shape[k] for k in (-1, *range({n} - 1))))",
            "ng.flatten({x}, {m})",
        ]
    sizes = [k for k in (2, 3, 4, 6) if g.array(x).size and g.array(x).size % k == 0]
    forms += [f"{{x}}.reshape(({k}, -1))" for k in sizes] + [f"{{x}}.reshape((-1, {k}))" for k in sizes]
    return g.step(g.one_of(forms).format(x=x, n=ndim, m=max(1, ndim - 1)), "move", "reshape")


def repeated(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    ndim = g.array(x).ndim
    axis = g.choose(ndim)
    forms = (
        "ng.tile({x}, {r})",
        "ng.repeat({x}, 2)",
        "ng.repeat({x}, 2, axis={a})",
        "ng.roll({x}, 2)",
        "ng.roll({x}, -1, axis={a})",
        "ng.flip({x}, {a})",
        "ng.stack({x}, {x}, axis={a})",
        "ng.expand_dims({x}, {a})",
    )
    return g.step(g.one_of(forms).format(x=x, a=axis, r=(2,) * ndim), "move", "repeat")


def mapped(g: Drawer) -> str | None:
    """Elements read at other places: rolls, margins, and joins of parts in another order."""
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    axis = g.choose(g.array(x).ndim)
    whole, i = ":, " * axis, symbolic(g)
    forms = [
        "ng.roll({x}, (3, -1), ({a}, 0))",
        "ng.roll({x}, -7, axis={a})",
        "ng.concatenate([{x}[{w}1:], {x}[{w}:1]], axis={a})",
        "ng.concatenate([{x}[{w}::2], {x}, {x}[{w}::-1]], axis={a})",
    ]
    if i is not None:
        forms += [f"ng.roll({{x}}, {i}, axis={{a}})", f"ng.roll(ng.roll({{x}}, {i}, axis={{a}}), 1, axis={{a}})"]
        forms += [f"ng.concatenate([{{x}}[{{w}}{i} % 2:], {{x}}[{{w}}:{i} % 2]], axis={{a}})"]
    if d.is_full(g.worth[x]):
        mode = g.one_of(("constant", "edge", "reflect", "symmetric", "wrap"))
        forms += [f"ng.pad({{x}}, {{{{{{a}}: (1, 2), 0: (0, 1)}}}}, {mode!r})", f"ng.pad({{x}}, 2, {mode!r})"]
    return g.step(g.one_of(forms).format(x=x, a=axis, w=whole), "move", "map")


def other(g: Drawer) -> str | None:
    """What is made of the ops above."""
    x = g.pick(d.is_number, d.is_tame, lambda w: 1 <= w.array.ndim <= 2)
    if x is None:
        return None
    ones = f"ng.ones((2,) * 9 + (1,) * {g.array(x).ndim}, 'int8')"
    mode, form = g.one_of(
        (
            ("ring", "ng.diff({x}, axis=0)"),
            ("ring", "ng.diff({x}, n=2, axis=-1)"),
            ("move", "ng.tril({x})" if g.array(x).ndim == 2 else "ng.diag({x}, 1)"),
            ("move", "ng.triu({x}, 1)" if g.array(x).ndim == 2 else "ng.diag({x})"),
            ("ring", "ng.outer({x}, {x}[:1])"),
            # more axes than loops have letters, of two elements each
            ("ring", f"({{x}}[(None,) * 9] * {ones}).sum(tuple(range(9)))"),
            ("strict", "ng.take_along_axis({x}, ng.argsort({x}, axis=0), axis=0)"),
            ("move", "ng.take({x}, [0, -1, 0], axis=-1)"),
        )
    )
    return g.step(form.format(x=x), mode, "other")


def branch(g: Drawer) -> str | None:
    """One of two values, of which the other one is not computed; their lengths may differ."""
    x = g.pick(d.is_full)
    i = symbolic(g)
    if x is None or i is None:
        return None
    a = g.array(x)
    y = g.pick(lambda w: w.array.dtype == a.dtype and w.array.ndim == a.ndim) or x
    return g.step(f"ng.ifelse({i} % 2 > 0, {g.one_of(((x, y), (y, x)))[0]}, {g.one_of((x, y))})", "move", "branch")


def joined(g: Drawer) -> str | None:
    """Joins, often with one part twice."""
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    a = g.array(x)
    axis = g.choose(a.ndim)

    def fits(w: d.Worth) -> bool:
        b = w.array
        return (
            b.dtype == a.dtype
            and b.ndim == a.ndim
            and all(k == axis or b.shape[k] == a.shape[k] for k in range(a.ndim))
        )

    y = g.pick(fits) or x
    parts = g.one_of(
        ([x, y], [x, x], [y, x, y], [x, f"{x}[{':, ' * axis}:1]", y], [x, f"ng.concatenate([{y}, {x}], {axis})", x])
    )
    return g.step(f"ng.concatenate([{', '.join(parts)}], axis={axis})", "move", "join")


def spread(g: Drawer) -> str | None:
    """Broadcasts to lengths that are values of others."""
    x = g.pick(lambda w: w.array.ndim <= 2)
    y = g.pick(lambda w: w.array.ndim == 1)
    if x is None or y is None:
        return None
    if g.array(x).ndim == 0:
        return g.step(f"ng.broadcast_to({x}, ({y}.shape[0], 2))", "move", "broadcast")
    lengths = ", ".join(f"{x}.shape[{k}]" for k in range(g.array(x).ndim))
    return g.step(f"ng.broadcast_to({x}, ({y}.shape[0], {lengths}))", "move", "broadcast")
