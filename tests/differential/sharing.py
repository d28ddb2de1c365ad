"""What shared variables become: one expression for several, swaps and rings, views, other lengths; and givens."""

from __future__ import annotations

from collections.abc import Callable

from tests.differential import drawer as d
from tests.differential import scatter
from tests.differential.drawer import Drawer
from tests.differential.program import Source

Update = Callable[[Drawer, str], str | None]


def alike(g: Drawer, s: str, *tests: d.Test) -> str | None:
    """Another value of the dtype and number of axes."""
    a = g.array(s)
    own = g.worth[s]
    return g.pick(d.of_dtype(a.dtype), lambda w: w.array.ndim == a.ndim and w is not own, *tests)


def other_shared(g: Drawer, s: str) -> str | None:
    a = g.array(s)
    names = [v.name for v in g.program.shared if v.name != s]
    names = [n for n in names if g.array(n).dtype == a.dtype and g.array(n).ndim == a.ndim]
    return g.one_of(names) if names else None


def itself(g: Drawer, s: str) -> str | None:
    forms = ["{s} * 2", "{s} + 1", "{s} + {s}", "-{s}"] + ["{s} + ng.roll({s}, 1)"] * (g.array(s).ndim > 0)
    form = g.one_of(forms if g.array(s).dtype.kind in "if" else ["{s}"])
    return g.step(form.format(s=s), "ring", "update")


def view(g: Drawer, s: str) -> str | None:
    """A view of a value that may be updated as well."""
    o = g.one_of((s, other_shared(g, s), alike(g, s))) or s
    forms = ["{o}[::-1]", "{o}[1:]", "{o}[:1]", "{o}[:0]", "{o}[::2]", "{o} * 1", "{o}", "{o}[-1:]", "{o}[1:][::-1]"]
    forms += ["ng.roll({o}, 1)", "ng.roll({o}, -1, axis=0)", "ng.concatenate([{o}[1:], {o}[:1]])"]
    forms += ["{o}.T"] if g.array(s).ndim > 1 else ["{o}.reshape((-1, 1)).ravel()"]
    if g.array(s).ndim == 0:
        return o
    return g.step(g.one_of(forms).format(o=o), "move", "update view")


def longer(g: Drawer, s: str) -> str | None:
    o = alike(g, s) or s
    if g.array(s).ndim == 0 or g.array(s).size > 40:
        return None
    return g.step(g.one_of((f"ng.concatenate([{s}, {o}])", f"ng.concatenate([{o}, {s}[:1]])")), "move", "update length")


def mixture(g: Drawer, s: str) -> str | None:
    o = g.pick(d.is_number, d.is_tame, d.broadcasts(g.array(s)), lambda w: w.array.ndim <= g.array(s).ndim)
    if o is None or g.array(s).dtype.kind == "b":
        return None
    dtype = g.array(s).dtype.name
    return g.step(f"ng.cast({s} + ng.cast({o}, {dtype!r}), {dtype!r})", "ring", "update")


def written(g: Drawer, s: str) -> str | None:
    """A scatter into the variable, or into a reshape of it that is reshaped back."""
    if g.array(s).ndim == 0 or g.array(s).dtype.kind == "b":
        return None
    form = g.one_of(("{s}", "{s}.ravel()", "{s}.reshape((-1, 1))", "{s}[::-1]"))
    b = s if form == "{s}" else g.step(form.format(s=s), "move", "base")
    key = g.one_of(scatter.KEYS)(g, b) if b else None
    v = scatter.value(g, b, key) if b and key else None
    if v is None:
        return None
    how = g.one_of(("set", "inc"))
    made = g.step(f"ng.{how}_subtensor({b}[{key}], {v})", "ring" if how == "inc" else "move", "update scatter")
    return (
        made
        if form in ("{s}", "{s}[::-1]") or made is None
        else g.step(f"{made}.reshape({s}.shape)", "move", "update scatter")
    )


def written_twice(g: Drawer, s: str) -> str | None:
    """A scatter into the variable and another into what that makes, with values from before and from in between."""
    made: str | None = s
    for _ in range(2 + g.choose(2)):
        key = g.one_of(scatter.KEYS)(g, s) if made and g.array(s).ndim and g.array(s).dtype.kind != "b" else None
        b = g.one_of((s, made)) if made and key else None
        v = scatter.value(g, b, key) if b and key else None
        if v is None:
            return None
        how = g.one_of(("set", "inc"))
        made = g.step(f"ng.{how}_subtensor({made}[{key}], {v})", "ring" if how == "inc" else "move", "update scatter")
    return made


# Products of the shape of {s}, of it and of {o}, which is of the same shape; also turned.
PRODUCTS = (
    "ng.dot({s}[:, :1], {o}[:1])",
    "ng.dot({o}[:, -1:], {o}[:1])",
    "ng.dot({o}[-1:].T, {s}[:, :1].T).T",
    "ng.dot({s}, ng.dot({o}.T, {o}))",
    "ng.dot(ng.dot({o}, {o}.T), {s})",
    "ng.dot({o}.T, ng.dot({s}, {o}.T)).T",
)


def products(g: Drawer, s: str) -> str | None:
    """The variable and several products, which may read it."""
    tame = d.is_float(g.worth[s]) and d.is_tame(g.worth[s]) and g.array(s).ndim == 2
    if not tame or g.array(s).size > 60:
        return None
    shape = g.array(s).shape
    o = g.pick(d.of_dtype(g.array(s).dtype), d.is_tame, lambda w: w.array.shape == shape) or s
    terms = [g.one_of(("{s}", "{s} * 0.5", "-{s}"))]
    terms += [f"{g.one_of(('', '2 * ', '0.25 * '))}{g.one_of(PRODUCTS)}" for _ in range(1 + g.choose(3))]
    text = terms[0] + "".join(f" {g.one_of('+-')} {term}" for term in terms[1:])
    dtype = g.array(s).dtype.name
    return g.step(f"ng.cast({text.format(s=s, o=o)}, {dtype!r})", "sum", "update product")


WAYS: tuple[Update, ...] = (
    alike, alike, other_shared, itself, view, view, longer, mixture, written, written, written_twice, written_twice,
)  # fmt: skip


def changed(g: Drawer, s: str) -> str | None:
    """What a variable becomes; few are matrices, of which products are made."""
    return (products(g, s) if g.chance(0.5) else None) or g.one_of(WAYS)(g, s) or alike(g, s)


def updates(g: Drawer) -> None:
    """Choose an update for most shared variables; one expression for several of them now and then."""
    pairs: list[tuple[str, str]] = []
    for source in g.program.shared:
        if g.chance(0.2):
            continue
        s = source.name
        fits = [v for _, v in pairs if g.array(v).dtype == g.array(s).dtype and g.array(v).ndim == g.array(s).ndim]
        value = g.one_of(fits) if fits and g.chance(0.35) else changed(g, s)
        if value is not None and g.array(value).dtype == g.array(s).dtype and g.array(value).ndim == g.array(s).ndim:
            pairs.append((s, value))
    g.random.shuffle(pairs)
    g.program.updates = pairs


def slice_given(g: Drawer) -> None:
    """An input that stands for a slice of a shared variable, at an index that is an argument."""
    data = g.pick(d.has_axes(1), lambda w: w in [g.worth[v.name] for v in g.program.shared])
    index = next((v.name for v in g.program.inputs if v.flavour in ("index", "far") and not v.shape), None)
    if data is None or index is None:
        return
    form = g.one_of(("{s}[{i} * 2:({i} + 1) * 2]", "{s}[{i}:]", "{s}[:{i}]", "{s}[{i}:{i} + 3]", "{s}[::-1]"))
    value = g.step(form.format(s=data, i=index), "move", "givens")
    if value is None:
        return
    number, a = len(g.program.inputs), g.array(value)
    source = Source(f"x{number}", a.dtype.name, (1,) * a.ndim, (None,) * a.ndim, "plain", f"x{number}", passed=False)
    g.source(source)
    g.program.givens.append((source.name, value))
    g.worth[source.name] = g.worth[value]


def swap_given(g: Drawer) -> None:
    """Two shared variables that stand for one another where they are read; updates write to each as it is named."""
    for a in g.program.shared:
        for b in g.program.shared:
            if a.name < b.name and (a.dtype, len(a.shape)) == (b.dtype, len(b.shape)) and not g.program.givens:
                g.program.givens = [(a.name, b.name), (b.name, a.name)]
                g.worth[a.name], g.worth[b.name] = g.worth[b.name], g.worth[a.name]
