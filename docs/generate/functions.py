"""The reference of functions and classes that are no ops, made from their docstrings."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import numgraph as ng
from docs.generate import references
from docs.generate.docstrings import markdown
from numgraph.random import RandomStream
from numgraph.sparse import SparseMatrix

# (title, names in `ng`); a test holds that every name of `ng.__all__` that is no op's has its place, here or below.
SECTIONS = (
    ("Variables", "scalar vector matrix row col tensor tensor3 tensor4 scalars vectors matrices constant"
     " as_tensor_variable shared TensorType"),
    ("Making functions", "function In Out clone subgraph"),
    ("Gradients and transforms", "grad jacobian hessian hessian_vector_product Lop Rop vectorize"),
    ("Loops and branches", "scan scan_checkpoints map reduce foldl foldr until while_loop ifelse cond"),
    ("Training and files", "minimize save load"),
    ("Printing", "debugprint pprint"),
)  # fmt: skip
# classes that programs meet, and what of them is worth a line
CLASSES: tuple[tuple[type, str], ...] = (
    (ng.Function, "sweep source listing explain record stats export compiled inspect_llvm inspect_asm copy get_shared"),
    (ng.SharedVariable, "get_value set_value default_update device_value"),
    (ng.Variable, "eval astype copy_with dimshuffle"),
    (ng.Subgraph, ""),
    (ng.Constant, ""),
)
MODULES: tuple[tuple[str, ModuleType, str], ...] = (
    ("Methods of training: `ng.optim`", ng.optim, ""),
    ("Roots and minima as expressions: `ng.optimize`", ng.optimize, ""),
    ("Random numbers: `ng.random`", ng.random, ""),
    ("Linear algebra: `ng.linalg`", ng.linalg, "LinAlgError"),
    ("Fourier transforms: `ng.fft`", ng.fft, ""),
    ("Sparse matrices: `ng.sparse`", ng.sparse, "SparseMatrix"),
    ("Checks: `ng.testing`", ng.testing, "assert_close by_reference compiled draw draw_array expected_value"
     " special_operands variables_for"),
)  # fmt: skip
LETTERS = """`ng.fmatrix`, `ng.lscalar` and the like say the dtype by a letter, as Theano's: `b` int8, `w` int16,
`i` int32, `l` int64, `f` float32, `d` float64, `c` complex64, `z` complex128."""
METHODS = {RandomStream: "ng.random", SparseMatrix: "ng.sparse"}


def pages() -> dict[str, str]:
    """Markdown by file."""
    return {"reference/functions.md": functions(), "reference/modules.md": modules()}


def functions() -> str:
    """The page of numgraph's own names."""
    lines = ["# Functions and classes", "", "Made from the docstrings. The functions that are ops have",
             "[pages of their own](ops.md), and so have [the modules](modules.md).", ""]  # fmt: skip
    for title, names in SECTIONS:
        lines += [f"## {title}", ""]
        for name in names.split():
            lines += entry("ng", name, getattr(ng, name))
        if title == "Variables":
            lines += [LETTERS, ""]
    for kind, names in CLASSES:
        lines += [f"## `{kind.__name__}`", "", markdown(kind), ""]
        lines += members(kind, names.split())
    return "\n".join(lines)


def modules() -> str:
    """The page of the modules beside these."""
    lines = ["# Modules", "", "Made from the docstrings.", ""]
    for title, module, left_out in MODULES:
        lines += [f"## {title}", "", markdown(module.__doc__ or ""), ""]
        short = "ng." + module.__name__.rpartition(".")[2]
        for name in module.__all__:
            if name not in left_out.split():
                lines += entry(short, name, getattr(module, name))
        for kind, where in METHODS.items():
            if where == short:
                lines += members(kind, [n for n in vars(kind) if not n.startswith("_")], f"`{kind.__name__}`: ")
    return "\n".join(lines)


def entry(where: str, name: str, thing: Any) -> list[str]:
    """The lines of a function or class."""
    anchor = f"{where}-{name}".replace(".", "-")
    lines = [f"### `{where}.{name}` {{ #{anchor} }}", ""]
    if callable(thing):
        lines += ["```python", references.signature(f"{where}.{name}", thing, None), "```", ""]
    return [*lines, markdown(thing), ""]


def members(kind: type, names: list[str], before: str = "") -> list[str]:
    """The lines of methods and properties."""
    lines: list[str] = []
    for name in names:
        member = inspect.getattr_static(kind, name)
        text = markdown(member.fget if isinstance(member, property) else getattr(kind, name))
        shown = name
        if inspect.isfunction(member):
            shown = (
                references.signature(name, member, None)
                .replace("(self, /", "(self")
                .replace("(self, ", "(")
                .replace("(self)", "()")
            )
        if text:
            lines += [f"### {before}`{name}` {{ #{kind.__name__}-{name} }}", ""]
            lines += ["```python", shown, "```", ""] if shown != name else []
            lines += [text, ""]
    return lines
