"""The reference of ops, made from the table: a page for each group of files of `numgraph/ops`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from docs.generate import references
from docs.generate.docstrings import escaped, markdown
from numgraph.op import FUNCTIONS, OPS, Op
from numgraph.ops import MODULES, TABLE

# (file, title, modules): where a reader looks. A test holds that every module has its place.
GROUPS = (
    ("elementwise", "Arithmetic and elementary functions", "elementwise ufuncs"),
    ("compare", "Comparisons, choice and bits", "compare"),
    ("special", "Special functions", "special normal gammas inverses bessel hypergeometric"),
    ("reduce", "Reductions and statistics", "reduce statistics nans"),
    ("create", "Arrays from numbers", "create grids"),
    ("shape", "Shapes, joins and margins", "shape fitted join padding indexmaps layout packing windows"),
    ("indexing", "Indexing and selection", "index select"),
    ("sort", "Sorting, searching and sets", "sort search sets calculus"),
    (
        "linalg",
        "Linear algebra",
        "linalg einsum solve triangular lu tensorsystems spectral hermitian orthogonal eigen schur "
        "sylvester riccati leastsquares powers sparse",
    ),
    ("complex", "Complex numbers, Fourier transforms, signals", "complexes fourier signal"),
    ("nnet", "Neural networks and images", "nnet activations normalize convolution pool"),
    ("user", "Functions of your own, assertions, prints", "user usercall custom"),
    ("inner", "What other stages use", "bounds loop random halves"),
)
# What the file's name says only to those who know it.
TITLES = {
    "reduce": "Reductions", "ufuncs": "More of NumPy's functions",
    "nnet": "Layers and costs", "normalize": "Normalisation", "pool": "Pooling",
    "convolution": "Convolutions", "nans": "Quantiles, and what leaves out NaN", "normal": "The normal distribution",
    "gammas": "Gamma and beta functions", "inverses": "Inverses of distributions",
    "hypergeometric": "Hypergeometric functions", "bessel": "Bessel functions",
    "special": "Error functions and conversions",
    "search": "Searching and counting", "calculus": "Sampled values", "layout": "NumPy's layouts",
    "packing": "Several arrays as one",
    "join": "Joining and splitting", "halves": "Numbers of float16",
    "shape": "Lengths and axes", "fitted": "What is known of lengths", "windows": "Sliding windows",
    "solve": "Linear systems",
    "triangular": "Triangular systems and Cholesky factors", "lu": "Triangular factors",
    "tensorsystems": "Linear systems of arrays",
    "spectral": "Eigenvalues and singular values", "orthogonal": "Orthogonal factors",
    "schur": "Schur forms",
    "sylvester": "Equations of Sylvester and Lyapunov", "riccati": "Riccati's equation", "eigen": "General eigenvalues",
    "leastsquares": "Least squares", "powers": "Powers", "einsum": "Sums by labels", "linalg": "Products",
    "select": "Selections", "index": "Indices", "user": "Element by element", "usercall": "Whole arrays",
    "custom": "Gradients, assertions, prints", "grids": "Grids and diagonals", "sort": "Sorting and running sums",
}  # fmt: skip
BEHIND = "Ops behind these functions"


def pages() -> dict[str, str]:
    """Markdown by file: `reference/ops.md` and one file for each group."""
    behind = homes()
    made = {f"reference/{name}.md": page(title, words.split(), behind) for name, title, words in GROUPS}
    return {"reference/ops.md": index(behind), **made}


def homes() -> dict[str, str]:
    """The module of each op that no function of its name stands for."""
    public = {name for module in MODULES for name in module.__all__}
    return {op.name: home(op) for op in OPS.values() if op in TABLE and op.name not in public}


def home(op: Op) -> str:
    """The file of `numgraph/ops` in which an op is defined, by its functions."""
    for value in vars(op).values():
        for part in (value, *getattr(value, "__dict__", {}).values()):
            found = re.fullmatch(r"numgraph\.ops\.(\w+)", getattr(part, "__module__", None) or "")
            where = FILES.get(found[1], found[1]) if found else ""
            if callable(part) and where in BY_NAME:
                return where
    return "bounds"


def short(module: Any) -> str:
    """`reduce` for numgraph.ops.reduce."""
    return str(module.__name__).rpartition(".")[2]


# files of ops without functions of their own, and the files that have these
FILES = {"subtensor": "index", "selected": "index", "convolve": "convolution", "joined": "convolution"}
BY_NAME = {short(module): module for module in MODULES}


def index(behind: dict[str, str]) -> str:
    """The first page: how to read an entry, and every name."""
    lines = [
        "# Ops",
        "",
        "Made from the table of ops (`numgraph/ops`) and the docstrings, when the site is built.",
        "",
        "An entry has the call, what it computes, and where the function is one op of that name:",
        "",
        "* **formula**: what generated code computes for an element, where that is more than a call of the function;",
        "* **form**: from what code is generated, see [adding an op](../ops.md);",
        "* **gradient**: what arrives at each argument; `g` is the gradient of the result, `out` the result;",
        "* **NumPy**: the expression that the tests compare with, or the function of the same name;",
        "* **dtypes**: those that the tests draw for floats and integers. Others are refused or converted by NumPy's",
        "  rules, see [where results differ](../semantics.md).",
        "",
        "A function without these lines is a composition: its gradient is that of its parts.",
        "",
    ]
    for name, title, words in GROUPS:
        names = [n for word in words.split() for n in BY_NAME[word].__all__]
        names += [n for n, where in behind.items() if where in words.split()]
        links = ", ".join(f"[`{n}`]({name}.md#{anchor(first_names().get(n, n))})" for n in sorted(names, key=str.lower))
        lines += [f"## [{title}]({name}.md)", "", links, ""]
    return "\n".join(lines)


@functools.cache
def first_names() -> dict[str, str]:
    """The name under which the entry of each function stands: several names may be one function."""
    return {name: names[0] for module in MODULES for names in entries(module) for name in names}


def entries(module: Any) -> list[list[str]]:
    """The names of a module, those of one function together; the op's own name first."""
    found: dict[int, list[str]] = {}
    for name in module.__all__:
        found.setdefault(id(getattr(module, name)), []).append(name)
    return sorted(sorted(names, key=lambda n: (n not in OPS, names.index(n))) for names in found.values())


def anchor(name: str) -> str:
    """The link to an entry within its page."""
    return f"op-{name.strip('_')}{'-' * (len(name) - len(name.strip('_')))}"


def page(title: str, words: list[str], behind: dict[str, str]) -> str:
    """The page of a group."""
    lines = [f"# {title}", ""]
    for word in words:
        module = BY_NAME[word]
        if len(words) > 1 and module.__all__:
            lines += [
                f"## {TITLES.get(word, word.capitalize())}",
                "",
                markdown((module.__doc__ or "").split("\n\n")[0]),
                "",
            ]
        for names in entries(module):
            lines += entry(names, getattr(module, names[0]))
    inner = [OPS[name] for name, where in behind.items() if where in words]
    if inner:
        lines += [f"## {BEHIND}", "", "They have no name that programs call.", ""]
        for op in inner:
            lines += [heading(op.name, "data-search-exclude"), "", escaped(op.doc), "", *facts(op)]
    return "\n".join(lines)


def heading(name: str, more: str = "") -> str:
    """An entry's heading; `more`: other attributes."""
    return f"### `{name}` {{ #{anchor(name)} {more}}}"


def entry(names: list[str], function: Callable[..., Any]) -> list[str]:
    """The lines of a function."""
    name = names[0]
    op = OPS.get(name) if name in OPS else None
    lines = [heading(name), "", "```python", "ng." + references.signature(name, function, op), "```", ""]
    lines += [markdown(function), ""]
    if len(names) > 1:
        lines += ["Also " + ", ".join(f"`{n}`" for n in names[1:]) + ".", ""]
    if op is not None:
        return lines + facts(op)
    same = references.named_alike(name)
    return [*lines, f"* **NumPy**: `{same}`" if same else "", ""]


def facts(op: Op) -> list[str]:
    """Formula, gradient, NumPy and dtypes of an op."""
    found = list(_facts(op))
    equation = references.equation(op)
    return [*([equation, ""] if equation else []), *found, ""]


def _facts(op: Op) -> Iterator[str]:
    form = f"* **form**: `{op.form}`" + (f", `{op.kernel.function}`" if op.kernel and op.kernel.function else "")
    yield form
    gradients = references.gradients(op)
    if op.grad is None:
        yield f"* **gradient**: none: {escaped(op.no_grad)}"
    for argument, text in gradients:
        shown = f"`{text}`" if text else "of many parts; `ng.pprint` of a gradient shows it"
        yield f"* **gradient** for `{argument}`: {shown}"
    if op.undefined and op.grad is not None:
        which = ", ".join(f"`{op.args[k]}`" for k in op.undefined if k < len(op.args))
        yield f"* no gradient for {which}: {escaped(op.no_grad)}"
    text = references.reference(op) or (references.named_alike(op.name) if op.name in FUNCTIONS else "")
    if text:
        yield f"* **NumPy**: `{text}`"
    yield f"* **dtypes**: {references.dtypes(op)}"
