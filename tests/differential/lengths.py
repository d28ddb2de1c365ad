"""Kinds whose lengths depend on data, or are values themselves; and indices that may be out of range."""

from __future__ import annotations

from tests.differential import drawer as d
from tests.differential.drawer import Drawer


def count(g: Drawer) -> str | None:
    """How many elements fulfil a condition."""
    x = g.pick(d.is_exact, d.has_axes(1))
    if x is None:
        return None
    test = x if d.is_bool(g.worth[x]) else f"({x} > 0)"
    return g.step(f"ng.sum(ng.cast({test}, 'int64'))", "strict", "count")


def counted_slice(g: Drawer) -> str | None:
    k = count(g)
    x = g.pick(d.has_axes(1))
    if x is None or k is None:
        return None
    return g.step(
        g.one_of((f"{x}[:{k}]", f"{x}[{k}:]", f"{x}[{k} - 2:{k}]", f"{x}[:{k}:2]", f"{x}[-{k}:]")),
        "move",
        "counted slice",
    )


def masked(g: Drawer) -> str | None:
    x = g.pick(d.has_axes(1))
    if x is None:
        return None
    shape = g.array(x).shape
    c = g.pick(d.is_bool, lambda w: w.array.ndim > 0 and w.array.shape == shape[: w.array.ndim])
    if c is None or g.chance(0.3):
        c = g.step(f"{x} > 0", "strict", "mask") if d.is_exact(g.worth[x]) else c
    return g.step(f"{x}[{c}]", "move", "masked") if c else None


def nonzero(g: Drawer) -> str | None:
    x = g.pick(d.is_exact, lambda w: 1 <= w.array.ndim <= 2)
    if x is None:
        return None
    test = x if d.is_bool(g.worth[x]) else f"{x} > 0"
    return g.step(g.one_of((f"ng.nonzero({test})[-1]", f"ng.flatnonzero({test})")), "strict", "nonzero")


def length(g: Drawer) -> str | None:
    """Lengths as values."""
    x, y = g.pick(d.has_axes(1)), g.pick(d.has_axes(1))
    forms = (
        "ng.cast({x}.shape[0], 'int64')",
        "{x}.shape[0] + {y}.shape[-1]",
        "{x}.shape[0] * 2 - 1",
        "ng.cast({x}.size, 'int64')",
        "{x}.shape[0] > {y}.shape[0]",
        "ng.cast(ng.repeat({x}, 2).shape[0], 'int64')",
        "ng.cast({x}.reshape((-1, 1)).shape[0], 'int64')",
    )
    return g.step(g.one_of(forms).format(x=x, y=y), "shape", "length") if x and y else None


def two_lengths(g: Drawer) -> str | None:
    """One element that is met by vectors of two lengths."""
    x = g.pick(d.is_number, d.is_tame, lambda w: w.array.shape == (1,))
    if x is None:
        return None
    # NumPy makes a float64 of float32 and int32
    kind = g.array(x).dtype.kind
    several = (d.is_number, d.is_tame, lambda w: w.array.ndim == 1 and w.array.size > 1 and w.array.dtype.kind == kind)
    y, z = (g.pick(*several) for _ in range(2))
    y, z = g.one_of((y, None)) or "np.arange(3.0)", g.one_of((z, None)) or "np.arange(4.0)"
    forms = ("ng.sum({x} * {y}) + ng.sum({x} * {z})", "ng.concatenate([{x} + {y}, {x} - {z}])", "({x} + {y})[:1] * {z}")
    return g.step(g.one_of(forms).format(x=x, y=y, z=z), "sum", "two lengths")


def counting(g: Drawer) -> str | None:
    k = g.pick(d.is_whole, d.is_exact, lambda w: w.array.ndim == 0)
    x = g.pick(d.has_axes(1))
    if k is None or x is None:
        return None
    forms = (
        "ng.arange({x}.shape[0])",
        "ng.arange(ng.max(ng.stack([2, *{x}.shape])))",
        "ng.arange({k} % 9)",
        "ng.arange({x}.shape[0]) * {k}",
        "ng.zeros(({x}.shape[0], 2))",
        "ng.arange(ng.sum(ng.cast({x} > 0, 'int64')))",
    )
    form = g.one_of(forms)
    return g.step(form.format(k=k, x=x), "strict" if "> 0" in form else "shape", "counting")


def unguarded(g: Drawer) -> str | None:
    """An index that nothing keeps in range."""
    if g.chance(0.6):
        return None
    x = g.pick(d.has_axes(1), d.is_full)
    i = g.pick(d.is_whole, d.is_exact, lambda w: w.array.ndim <= 1)
    if x is None or i is None:
        return None
    return g.step(f"{x}[{i}]", "move", "index error")


def unguarded_write(g: Drawer) -> str | None:
    if g.chance(0.7):
        return None
    x = g.pick(d.has_axes(1), d.is_full, d.is_number)
    i = g.pick(d.is_whole, d.is_exact, lambda w: w.array.ndim <= 1)
    if x is None or i is None:
        return None
    return g.step(f"ng.inc_subtensor({x}[{i}], {x}[:1])", "ring", "index error")


def huge(g: Drawer) -> str | None:
    """Lengths whose product does not fit."""
    n = next((v.name for v in g.program.inputs if v.flavour == "huge"), None)
    x = g.pick(d.has_axes(1))
    if n is None or x is None or "huge" in g.program.kinds:
        return None
    forms = (
        "{x}.reshape(({n}, {n}))[:1]",
        "ng.broadcast_to({x}.ravel()[:1], ({n}, {n}))[:2, :3].ravel()",
        "ng.broadcast_to({x}[:1].ravel()[0], ({n}, 4, {n})).sum()",
        "ng.broadcast_to({x}.ravel()[0], ({n}, {n})).ravel()[:3]",
        "ng.inc_subtensor({x}.reshape(({n}, {n}))[0, :9], 1)",
    )
    g.refused(g.one_of(forms).format(n=n, x=x), "huge")
    return None
