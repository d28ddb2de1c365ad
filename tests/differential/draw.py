"""A program from a seed: its inputs, the kinds it mixes, its function and what is done with it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from tests.differential import (
    elementwise,
    fourier,
    gradients,
    images,
    lengths,
    loopdraw,
    matrices,
    rows,
    scatter,
    shapes,
    sharing,
)
from tests.differential.drawer import Drawer, quiet
from tests.differential.program import Action, Program, Source
from tests.differential.values import DTYPES, FLOATS, LONG, SHORT

Kind = Callable[[Drawer], str | None]


def from_table(kind: str) -> Kind:
    chosen = [r for r in elementwise.TABLE if r.kind == kind]
    return lambda g: elementwise.from_row(g, g.one_of(chosen))


# The kinds of steps by theme. A program takes a few themes, and something of all others.
THEMES: dict[str, tuple[Kind, ...]] = {
    "arithmetic": tuple(
        from_table(k) for k in ("arithmetic", "arithmetic", "smooth", "comparison", "logic", "division")
    ),
    "integers": (
        *(from_table(k) for k in ("integers", "integers", "wrapping", "wrapping", "comparison", "arithmetic")),
        elementwise.cast,
    ),
    "extremes": (
        *(from_table(k) for k in ("extremes", "extremes", "comparison", "where", "rounding")),
        elementwise.cast,
    ),
    "scatter": (scatter.write, scatter.write, scatter.write, shapes.part),
    "rows": (
        rows.reduction,
        rows.reduction,
        rows.truth,
        rows.position,
        rows.softmax,
        rows.scan,
        rows.order,
        rows.laid_out,
    ),
    "products": (rows.product, rows.product, from_table("smooth")),
    "shapes": (
        shapes.part,
        shapes.gather,
        shapes.transposed,
        shapes.reshaped,
        shapes.repeated,
        shapes.mapped,
        shapes.joined,
        shapes.spread,
        shapes.other,
    ),
    "lengths": (
        lengths.count,
        lengths.counted_slice,
        lengths.counted_slice,
        lengths.masked,
        lengths.nonzero,
        lengths.length,
        lengths.counting,
        lengths.two_lengths,
        shapes.branch,
    ),
    "errors": (lengths.unguarded, lengths.unguarded_write, lengths.huge),
    "gradients": (gradients.gradient, gradients.gradient, gradients.through, gradients.of_product),
}
# Users' functions: in one program of ten, whatever else is in it, since Numba takes its time for them.
USERS: tuple[Kind, ...] = (lambda g: elementwise.from_row(g, g.one_of(elementwise.USERS)),)
ON_PROCESSORS: tuple[Kind, ...] = (lambda g: elementwise.from_row(g, elementwise.RAISING), elementwise.steps)
# Random numbers: in one program of six.
DRAWS: tuple[Kind, ...] = (lambda g: elementwise.from_row(g, g.one_of(elementwise.DRAWS)),)
# Complex numbers: likewise.
COMPLEX: tuple[Kind, ...] = (lambda g: elementwise.from_row(g, g.one_of(elementwise.COMPLEX)),)
# Special functions: likewise.
SPECIAL: tuple[Kind, ...] = (lambda g: elementwise.from_row(g, g.one_of(elementwise.SPECIAL)),)
# Scans: in one program of seven, which mostly begin with a gradient of gradients of one.
LOOPS: tuple[Kind, ...] = (loopdraw.loop, loopdraw.slope)
# Linear algebra: likewise.
MATRICES: tuple[Kind, ...] = (matrices.system, matrices.system, matrices.labels)
# Fourier transforms: likewise.
FOURIER: tuple[Kind, ...] = (fourier.transformed, fourier.transformed, fourier.slope)
# Windows, pooling and convolution: likewise.
IMAGES: tuple[Kind, ...] = (images.windowed, images.pooled, images.convolved)
SHAPES = ",a,a,b,c,d,ab,ac,ca,ba,da,ad,cd,bc,abc,cab,bda,acea,beac,eca".split(",")
FLAVOURS: dict[str, tuple[str, ...]] = {
    "integers": ("extreme", "plain"), "extremes": ("extreme", "extreme", "special", "plain"),
    "gradients": ("zeros", "plain", "poles"), "errors": ("plain", "far"),
}  # fmt: skip
LABELS = (
    None, "", "a\nb", '"""', "'", "\\", "lambda", "class", "out0", "p0", "n0", "v0", "t0", "x0", "s0", "i", "θ",
    "input 0", "x#2", "{x}", "%s", "np", "math", "float64", "phase_0", "a;b", "loss (train)", "\r\nreturn 1", "a\x00b",
    "\ud800", "1st", "_", "é'\"", "self", "range",
)  # fmt: skip
FIRST = {"a": (5, 3, 7, 9, 17, 33), "b": (1,), "c": (4, 2, 6, 8), "d": (0, 1, 2), "e": (2, 3)}


@quiet()
def draw(seed: int, small: bool = False, only: tuple[str, ...] = (), size: int = 16) -> Program:
    """The program of a seed. small: lengths that a simulated device computes soon; only: the themes it is made of."""
    g = Drawer(seed)
    g.small = small
    themes = list(only) or g.random.sample(list(THEMES), 2 + g.choose(2))
    g.lengths = {name: g.one_of(choice[:4] if small else choice) for name, choice in FIRST.items()}
    odd = g.chance(0.15)
    leaves(g, themes, odd)
    if g.chance(0.15):
        sharing.slice_given(g)
    elif g.chance(0.15):
        sharing.swap_given(g)
    kinds = [k for t in themes for k in THEMES.get(t, ())]
    if "users" in only or (not only and random.Random(f"users {seed}").random() < 0.1):
        kinds += 2 * (USERS if small else USERS + ON_PROCESSORS)
    if "draws" in only or (not only and random.Random(f"draws {seed}").random() < 1 / 6):
        kinds += 2 * DRAWS
    if "complex" in only or (not only and random.Random(f"complex {seed}").random() < 1 / 6):
        kinds += 3 * COMPLEX
    if "special" in only or (not only and random.Random(f"special {seed}").random() < 1 / 6):
        kinds += 2 * SPECIAL
    if "loops" in only or (not only and random.Random(f"loops {seed}").random() < 1 / 7):
        kinds += 3 * LOOPS
        if g.chance(0.85):
            loopdraw.curvature(g)
    for theme, more in {"images": IMAGES, "matrices": MATRICES, "fourier": FOURIER}.items():
        if theme in only or (not only and random.Random(f"{theme} {seed}").random() < 1 / 6):
            kinds += more
    others = kinds if only else [k for t in THEMES.values() for k in t]
    for _ in range(3 * size):
        if len(g.program.steps) < size:
            g.one_of(kinds if g.chance(0.75) else others)(g)
    sharing.updates(g)
    outputs(g)
    g.program.title = g.one_of(LABELS) if odd else None
    g.program.divided = random.Random(f"divided {seed}").random() < 1 / 3
    g.program.threads = 1 + g.choose(2) + (2 if g.program.divided else 0)
    g.program.floats = "float32" if g.chance(0.1) else "float64"
    actions(g, small)
    return g.program


def leaves(g: Drawer, themes: list[str], odd: bool) -> None:
    """Inputs and shared variables, with an integer scalar and an integer vector among them."""
    flavours = [f for t in themes for f in FLAVOURS.get(t, ("plain",))]
    integers = "integers" in themes
    dtypes = (
        DTYPES + 4 * FLOATS
        if "extremes" in themes
        else DTYPES + 3 * ("int64",)
        if integers
        else ("float64", "float64", "float32", "int64", "int32", "bool", "uint8")
    )
    favourite = g.one_of(dtypes)

    def leaf(name: str, dtype: str, shape: str, flavour: str) -> Source:
        known = tuple(g.lengths[n] if n in "bc" and g.chance(0.25) else None for n in shape)
        sizes = tuple(k if k is not None else n for k, n in zip(known, shape, strict=True))
        return Source(name, dtype, sizes, known, flavour, g.one_of(LABELS) if odd else name)

    far = "far" if "errors" in themes else "index"
    wanted = [("int64", "", far), (g.one_of(("int64", "int32")), "a", g.one_of(("plain", far)))]
    wanted += [
        (favourite if g.chance(0.4) else g.one_of(dtypes), g.one_of(SHAPES), g.one_of(flavours))
        for _ in range(2 + g.choose(3))
    ]
    if "errors" in themes and g.chance(0.2):
        wanted.append(("int64", "", "huge"))
    for k, (dtype, shape, flavour) in enumerate(wanted):
        g.source(leaf(f"x{k}", dtype, shape, flavour))
    same = (g.one_of(dtypes), g.one_of(SHAPES[1:15]))
    for k in range(g.one_of((0, 1, 2, 2, 3, 4))):
        dtype, shape = same if g.chance(0.6) else (g.one_of(dtypes), g.one_of(SHAPES[:15]))
        source = leaf(f"s{k}", dtype, shape, g.one_of(flavours))
        g.share(Source(source.name, dtype, tuple(shape), (None,) * len(shape), source.flavour, source.label))


def outputs(g: Drawer) -> None:
    """Some of the values, and all that nothing else uses; some of them twice."""
    program = g.program
    used = {n for step in program.steps for n in step.uses} | {v for _, v in program.updates}
    for step in program.steps:
        if step.name in g.worth and (step.name not in used or g.chance(0.3)):
            program.outputs.append(step.name)
    program.outputs += [v for _, v in program.updates if g.chance(0.3)]
    program.outputs += [v.name for v in program.shared if g.chance(0.1)]
    if program.outputs and g.chance(0.2):
        program.outputs.append(g.one_of(program.outputs))
    program.steps = [step for step in program.steps if step.name in program.needed()]


def actions(g: Drawer, small: bool) -> None:
    """Calls with the first lengths, with others, after new values, of a copy; a sweep.

    Few lengths and several calls with each: other lengths of shared variables are compiled for.
    """
    program = g.program
    seed = 100 * program.seed
    program.actions += [call(g, g.lengths, seed + 1, first=True), call(g, g.lengths, seed + 2)]
    for k in range(1 if small else 2):
        lengths = changed(g, small)
        program.actions += resized(g, lengths, seed + 10 * k)
        for n in range(2):
            program.actions.append(call(g, lengths, seed + 10 * k + n))
        if g.chance(0.2) and program.arguments:
            program.actions.append(swept(g, lengths, seed + 10 * k + 7))
    if g.chance(0.15):
        program.actions.append(Action("remake", how=g.one_of(("copy", "deepcopy", "0", "2", "5"))))
    program.actions += resized(g, g.lengths, seed + 90)
    program.actions.append(call(g, g.lengths, seed + 91))
    program.lent = g.chance(0.2)


def changed(g: Drawer, small: bool) -> dict[str, int]:
    """Other lengths: mostly of one name; that of length 1 becomes another one seldom."""
    new = dict(g.lengths)
    way = g.choose(6)
    if way < 3:
        new["a"] = g.one_of(SHORT if small else LONG)
    elif way == 3:
        new |= {"a": g.one_of((0, 1, 2)), "c": g.one_of(SHORT[:6]), "d": g.one_of((0, 3))}
    elif way == 4:
        new |= {"b": g.one_of((1, 1, 3, new["a"])), "d": g.one_of((0, 1, 5))}
    return new


def resized(g: Drawer, lengths: dict[str, int], seed: int) -> list[Action]:
    """New values for the shared variables, mostly with the lengths of the next call."""
    made = []
    for k, source in enumerate(g.program.shared):
        if g.chance(0.85):
            made.append(Action("set_value", [source.filled(lengths, seed + 50)], number=k))
    return made


def call(g: Drawer, lengths: dict[str, int], seed: int, first: bool = False) -> Action:
    """A call. The first one has the values that the program was drawn with."""
    sources = g.program.arguments
    arrays = [v.filled(lengths, g.program.seed if first else seed) for v in sources]
    for k in range(1, len(arrays)):
        j = g.choose(k)
        if g.chance(0.15) and arrays[j].dtype == arrays[k].dtype and arrays[j].shape == arrays[k].shape and not first:
            arrays[k] = arrays[j]
    layouts = ("plain", "plain", "plain", "fortran", "reversed", "stepped", "transposed", "readonly", "unaligned")
    return Action("call", arrays, ["plain" if first else g.one_of(layouts) for _ in arrays])


def swept(g: Drawer, lengths: dict[str, int], seed: int) -> Action:
    calls = [call(g, lengths, seed + k).arrays for k in range(g.one_of((1, 2, 3)))]
    stacked = [np.stack(column) for column in zip(*calls, strict=True)]
    return Action("sweep", stacked, ["plain"] * len(stacked))
