"""What of an op's record a reader can be shown: its formula, its gradient, its NumPy reference, its arguments."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

import numgraph as ng
from docs.generate import mathml
from numgraph import testing
from numgraph.graph import Variable, apply
from numgraph.op import Op
from numgraph.ops.define import ZERO
from numgraph.types import TensorType

# Of a line of code on a page.
WIDTH = 88
# A gradient of more characters is no formula that anybody reads.
LONGEST = 150


def equation(op: Op) -> str:
    """The formula of a scalar form or a reduction as MathML; "" where the form has none, or only the op's own name."""
    if op.reduce is not None:
        return _reduction(op)
    tree = op.tree
    if tree is None or isinstance(tree, ast.Name):
        return ""
    if isinstance(tree, ast.Call) and all(isinstance(a, ast.Name) for a in tree.args):
        # exp(x) says nothing of exp but the letters that mathematics writes
        known = tree.func.id if isinstance(tree.func, ast.Name) else ""
        if known not in ("exp", "sqrt", "abs", "floor", "ceil", "where", "floordiv", "power", "exp2"):
            return ""
    return mathml.equation("out", tree) if len(ast.unparse(tree)) <= LONGEST else ""


def _reduction(op: Op) -> str:
    assert op.reduce is not None
    if op.reduce.position:
        return ""
    start = {"lowest": "−∞", "highest": "∞"}.get(str(op.reduce.start), str(op.reduce.start))
    step = mathml.text(ast.parse(op.reduce.combine, mode="eval").body)
    row = f"<mi>acc</mi><mo>←</mo>{step}<mtext>, from&nbsp;</mtext><mn>{start}</mn>"
    return f'<math display="block"><mrow>{row}</mrow></math>'


def sample(op: Op) -> tuple[list[Variable], dict[str, Any]] | None:
    """Operands named as the op's arguments, and attributes; None where the op's tests have none."""
    drawn = testing.draw(op, "float64")
    if not drawn:
        return None
    arrays, attrs = drawn[0]
    rest = op.args[-1].lstrip("*") if op.args and op.args[-1].startswith("*") else ""
    named = [a for a in op.args if not a.startswith("*")]
    names = named + [f"{rest}{k}" for k in range(len(arrays) - len(named))]
    lengths = [tuple(n if n == 1 else None for n in a.shape) for a in arrays]
    made = [Variable(TensorType(a.dtype.name, s), name) for a, s, name in zip(arrays, lengths, names, strict=True)]
    return made, attrs


def gradients(op: Op) -> list[tuple[str, str]]:
    """(argument, its gradient as text) for each argument that has one; `g` is the gradient of the result `out`."""
    found = sample(op) if op.grad is not None else None
    if found is None or op.grad is None:
        return []
    inputs, attrs = found
    out = apply(op, inputs, **attrs)
    g = Variable(out.type, "g")
    parts = op.grad(g, out, *inputs, **attrs)
    return [(str(v.name), _gradient(part, out)) for v, part in zip(inputs, parts, strict=True) if part is not None]


def _gradient(part: Any, out: Variable) -> str:
    if part is ZERO:
        return "0"
    text = ng.pprint(part, names={out: "out"})
    return "" if len(text) > LONGEST or re.search(r"\.\.\.", text) else text


def reference(op: Op) -> str:
    """The NumPy expression that the tests compare with: `np.exp(x)`, the body of a lambda, or "" for a function of
    several lines."""
    function = op.numpy
    module = getattr(function, "__module__", "") or ""
    if type(function).__name__ == "ufunc" or module.startswith(("numpy", "scipy")):
        found = named_alike(function.__name__)
        return f"{found}({', '.join(op.args)})" if found else ""
    code = getattr(function, "__code__", None)
    if code is None or function.__name__ != "<lambda>":
        return ""
    node = _lambdas(code.co_filename).get((code.co_firstlineno, code.co_varnames[: code.co_argcount]))
    text = ast.unparse(node.body) if node is not None else ""
    return text if len(text) <= LONGEST and re.search(r"\bnp\.|[x-z] ", text) else ""


@functools.cache
def named_alike(name: str) -> str:
    """The function of NumPy's or SciPy's of that name, `np.linalg.qr`; "" where there is none."""
    for where, module in (
        ("np", np), ("np.linalg", np.linalg), ("scipy.special", scipy.special), ("scipy.linalg", scipy.linalg),
    ):  # fmt: skip
        if callable(getattr(module, name, None)):
            return f"{where}.{name}"
    return ""


@functools.cache
def _lambdas(path: str) -> dict[tuple[int, tuple[str, ...]], ast.Lambda]:
    """The lambdas of a file by line and arguments; those that share both are left out."""
    found: dict[tuple[int, tuple[str, ...]], ast.Lambda] = {}
    twice = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Lambda):
            key = node.lineno, tuple(a.arg for a in node.args.args)
            twice |= {key} & set(found)
            found[key] = node
    return {key: node for key, node in found.items() if key not in twice}


def dtypes(op: Op) -> str:
    """The dtypes that the op's tests draw."""
    return ", ".join(op.dtypes)


def signature(name: str, function: Callable[..., Any], op: Op | None) -> str:
    """`name(x, axis=None)`; the arguments of an elementwise op are those of its record."""
    if not callable(function):
        return f"{name}[...]"
    found = inspect.signature(function)
    if op is not None and list(found.parameters) == ["args"]:
        return f"{name}({', '.join(op.args)})"
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    text = f"{name}{found.replace(parameters=plain, return_annotation=inspect.Signature.empty)}"
    text = re.sub(r"<(?:function|class) '?([\w.]+)'?(?: at 0x\w+)?>", r"\1", text)
    if len(text) <= WIDTH:
        return text
    inside = textwrap.fill(text[len(name) + 1 : -1], WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"{name}(\n{inside},\n)"
