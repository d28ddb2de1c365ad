"""Kinds that write into a part of another value: what is written over, what is written, and where."""

from __future__ import annotations

from collections.abc import Callable

from tests.differential import drawer as d
from tests.differential.drawer import Drawer
from tests.differential.shapes import index_array, some_slice

# The base is one of these forms of a value: (source, how many axes the value has at least).
BASES = (
    ("{x}", 1),
    ("{x} * 2", 1),
    ("{x} + {x}", 1),
    ("{x}.ravel()", 1),
    ("{x}.flatten()", 2),
    ("{x}.reshape((-1, 1))", 1),
    ("{x}.reshape((1, -1))", 1),
    ("{x}.T.reshape({x}.shape)", 2),
    ("ng.tile({x}, {two})", 1),
    ("ng.repeat({x}, 2)", 1),
    ("ng.repeat({x}, 2, axis=0)", 1),
    ("ng.roll({x}, 1)", 1),
    ("ng.roll({x}, 2, axis=0)", 1),
    ("ng.sort({x}, axis=0)", 1),
    ("ng.concatenate([{x}, {x}], axis=0)", 1),
    ("ng.broadcast_to({x}, (2, *[{x}.shape[k] for k in range({n})]))", 1),
    ("{x}.T", 2),
    ("{x}[::-1]", 1),
    ("{x}[1:]", 1),
    ("ng.dot({x}, {x}.T)", 2),
    ("ng.cumsum({x}, axis=0)", 1),
    ("ng.set_subtensor({x}[:1], {x}[-1:])", 1),
    ("ng.inc_subtensor({x}[::2], 1)", 1),
    ("({x} * 2).ravel()", 1),
    ("ng.zeros_like({x})", 1),
    ("ng.stack({x}, {x}, axis=0)", 1),
    ("ng.max({x}, axis=0)", 2),
)
STRICT = ("ng.sort",)
MOVED = ("{x} * 2", "{x} + {x}", "ng.dot", "ng.cumsum", "ng.inc", "({x}")
# What is written, made of the base {b} and the key {k}.
VALUES = (
    "{b}[{k}] * 2",
    "{b}[{k}]",
    "{b}[{k}][::-1]",
    "{b}[{k}] + {b}[{k}][::-1]",
    "ng.max({b})",
    "ng.cast(ng.sum({b}), {d!r})",
    "ng.cast(7, {d!r})",
    "{b}[:1]",
    "{b}[-1]",
    "{b}",
    "{b}[::-1]",
    "ng.sort({b}, axis=0)",
    "ng.ravel({b})[:1]",
    "ng.max({b}[{k}], axis=0)",
    "{b}.reshape({b}.shape)[{k}]",
    "ng.cumsum({b}, axis=0)[{k}]",
)


def base(g: Drawer) -> str | None:
    """A step whose value will be written over."""
    form, axes = g.one_of(BASES)
    x = g.pick(d.has_axes(axes), d.is_number, lambda w: w.array.ndim <= 3)
    if x is None:
        return None
    if form == "{x}":
        return x
    mode = "strict" if form.startswith(STRICT) else "ring" if form.startswith(MOVED) else "move"
    mode = "sum" if "ng.dot" in form else mode
    return g.step(form.format(x=x, two=(2,) * g.array(x).ndim, n=g.array(x).ndim), mode, "base")


def slices(g: Drawer, b: str) -> str | None:
    parts = [some_slice(g) for _ in range(1 + g.choose(g.array(b).ndim))]
    return ", ".join(parts)


def everything(g: Drawer, b: str) -> str | None:
    return ":"


def one(g: Drawer, b: str) -> str | None:
    return g.one_of(("0", "-1")) if g.array(b).shape[0] else None


def rows(g: Drawer, b: str) -> str | None:
    return index_array(g, b)


def from_base(g: Drawer, b: str) -> str | None:
    """An index that is read from the base itself."""
    if g.array(b).ndim != 1 or not d.is_exact(g.worth[b]):
        return None
    if g.array(b).dtype.kind != "f":
        return g.step(f"ng.mod(ng.cast({b}, 'int64'), ng.maximum({b}.shape[0], 1))", "strict", "index")
    return g.step(f"ng.argsort({b})", "strict", "index") if d.is_exact(g.worth[b]) else None


def pairs(g: Drawer, b: str) -> str | None:
    """Two index arrays."""
    if g.array(b).ndim < 2 or not g.array(b).size:
        return None
    i = index_array(g, b, 0, ndim=1)
    j = i and g.step(f"ng.mod({i}, ng.cast({b}.shape[1], 'int64'))", "shape", "index")
    return f"{i}, {j}" if j else None


def mixed(g: Drawer, b: str) -> str | None:
    if g.array(b).ndim < 2:
        return None
    i = index_array(g, b, 1, ndim=1)
    return f"{some_slice(g)}, {i}" if i else None


def mask(g: Drawer, b: str) -> str | None:
    shape = g.array(b).shape
    c = g.pick(d.is_bool, lambda w: w.array.ndim > 0 and w.array.shape == shape[: w.array.ndim])
    if c is not None and g.chance(0.5):
        return c
    return g.step(f"{b} > 1", "strict", "mask") if d.is_exact(g.worth[b]) else None


KEYS: tuple[Callable[[Drawer, str], str | None], ...] = (
    slices, slices, everything, one, rows, rows, from_base, pairs, mixed, mask,
)  # fmt: skip


def value(g: Drawer, b: str, key: str) -> str | None:
    """What is written: made of the base, or another value that fits."""
    dtype = g.array(b).dtype
    if g.chance(0.25):
        v = g.pick(d.of_dtype(dtype), d.broadcasts(g.array(b)))
        if v is not None:
            return v
    form = g.one_of(VALUES)
    code = form.format(b=b, k=key, d=dtype.name)
    if form == "{b}":
        return b
    mode = "ring" if any(w in form for w in ("* 2", "+ {b}", "cumsum")) else "sum" if "sum" in form else "move"
    return g.step(f"ng.cast({code}, {dtype.name!r})", "strict" if "sort" in form else mode, "written")


def write(g: Drawer) -> str | None:
    """One scatter."""
    b = base(g)
    key = g.one_of(KEYS)(g, b) if b else None
    v = value(g, b, key) if b and key else None
    if v is None:
        return None
    how = g.one_of(("set", "inc"))
    return g.step(f"ng.{how}_subtensor({b}[{key}], {v})", "ring" if how == "inc" else "move", "scatter")
