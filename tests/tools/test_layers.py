"""The structure of the source: which module may import which, and how long files and functions may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "numgraph"

# A module imports only from modules to its left; a package counts as one, except for the parts of it that are listed.
# Imports within functions count too.
LAYERS = """
    checkout errors config text folding absent whole pickled source userfunctions lengths.dims types randoms scalars
    op foreign protocols operators graph alike overlaps storage arguments shared saving ops linalg fft sparse tensor
    random patterns substitution stable formula givens updates reach subgraphs scanning vectorizing grad jacobians
    optimize optim reference program prints destinations binder printing explain.explanation profiling.result
    inspector.machinecode inspector.making inspector.record passes cache fingerprint convention lengths.rules traits
    ir lengths elements rewrite schedule loops emit processor lower target runtime explain cuda compile cuda.passes
    recorded recall call profiling sweep nonfinite testvalues inspectable function minimizing testing compat
    inspector demo cli __main__
""".split()

# (importing layer, imported layer): why it may point to the right. Such imports stand within functions.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("shared", "cuda"): "an array that is on a device already stays there",
    ("runtime", "explain"): "costs are worked out only when somebody asks",
    ("inspectable", "inspector"): "a function is shown only to somebody who looks at it",
    ("profiling.result", "profiling"): "a profile is laid out, or written as a trace, only when somebody asks",
    ("explain.explanation", "explain"): "an explanation is laid out only when somebody prints it",
}

FILE_LIMIT, FUNCTION_LIMIT, KERNEL_LIMIT = 450, 40, 80
SOURCES = sorted(
    path
    for folder in ("numgraph", "kernels", "tests", "bench", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if not {"golden", "cases"} & set(path.parts)
)


def layer(module: str) -> str:
    """`op` for numgraph.op, `ops` for numgraph.ops.elementwise, `inspector.record` for itself."""
    parts = module.split(".")[1:]
    whole = ".".join(parts)
    return whole if whole in LAYERS else parts[0] if parts else "numgraph"


def layer_of(path: Path) -> str:
    """The layer of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return layer(".".join(parts).removesuffix(".__init__"))


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The layers of numgraph that a module imports, with line numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not used"
            here = node.module or ""
            # `from numgraph.inspector import record` imports a module, `from numgraph.op import Op` a name
            inside = (ROOT / here.replace(".", "/")).is_dir()
            modules = [f"{here}.{a.name}" for a in node.names] if inside else [here]
        else:
            continue
        for module in modules:
            if module.partition(".")[0] == "numgraph":
                yield layer(module), node.lineno


@cache
def imports_of(path: Path) -> tuple[tuple[str, int, bool], ...]:
    """The layers of numgraph that a file imports, with line numbers, and whether outside of functions and classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if not isinstance(node, DEFINITIONS)], [])
    at_once = set(imported(top))
    return tuple((other, line, (other, line) in at_once) for other, line in imported(tree))


def modules() -> list[Path]:
    return [path for path in SOURCES if PACKAGE in path.parents and path != PACKAGE / "__init__.py"]


def test_every_module_has_a_layer() -> None:
    unknown = {layer_of(path) for path in modules()} - set(LAYERS)
    assert not unknown, f"give these modules a place in LAYERS: {sorted(unknown)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    own = layer_of(path)
    wrong = []
    for other, line, _ in imports_of(path):
        allowed = other in LAYERS and LAYERS.index(other) <= LAYERS.index(own)
        # the demo is a user's program: it imports the package as a whole
        if not allowed and (own, other) != ("demo", "numgraph") and (own, other) not in EXCEPTIONS:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {other}, which is to the right of {own}")
    assert not wrong, "\n".join(wrong)


def test_exceptions_are_needed() -> None:
    used = {(layer_of(path), other) for path in modules() for other, _, _ in imports_of(path)}
    assert set(EXCEPTIONS) <= used, "remove the exceptions that nothing uses"


def test_exceptions_are_within_functions() -> None:
    for path in modules():
        for other, line, at_once in imports_of(path):
            wrong = at_once and (layer_of(path), other) in EXCEPTIONS
            assert not wrong, f"{path}:{line} imports {other} at module level"


def test_kernels_are_a_leaf() -> None:
    for path in (ROOT / "kernels").rglob("*.py"):
        for other, line, _ in imports_of(path):
            assert other == "kernels", f"{path.name}:{line}: kernels/ imports numba, numpy and math, and itself"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LIMIT, f"{path.relative_to(ROOT)} has more than {FILE_LIMIT} lines: split it"
    limit = KERNEL_LIMIT if "kernels" in path.parts else FUNCTION_LIMIT
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = code_lines(node)
            assert length <= limit, (
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines, limit {limit}"
            )


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def code_lines(node: ast.FunctionDef) -> int:
    """The lines of a function: its body without the docstring, and without functions defined in it."""
    assert node.end_lineno is not None
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    inner = sum(
        (d.end_lineno or d.lineno) - d.lineno + 1
        for d in ast.walk(node)
        if d is not node and isinstance(d, DEFINITIONS) and d in node.body
    )
    return node.end_lineno - body[0].lineno + 1 - inner


# Where no op is named: what holds for one op alone is a field of its record.
NAMELESS = (
    "grad.py", "reach.py", "stable/engine.py", "ir.py", "elements.py", "rewrite", "schedule", "loops", "emit",
    "compile.py", "cuda", "inspector",
)  # fmt: skip
# (file, word): what a word is there that is an op's name, too.
OTHER_WORDS = {
    ("rewrite/assume.py", "all"): "stands for every assumption",
    ("schedule/work.py", "add"): "a mode of scatters",
    ("loops/names.py", "abs"): "Python's function, which is not imported",
    ("loops/scalar.py", "abs"): "Python's function, which is not imported",
    ("ir.py", "within"): "a field of nodes",
    ("loops/build.py", "maximum"): "a function of kernels.support",
    ("loops/build.py", "minimum"): "a function of kernels.support",
    ("loops/chunks.py", "maximum"): "a function of kernels.support",
    ("loops/chunks.py", "minimum"): "a function of kernels.support",
    ("loops/grid/reductions.py", "minimum"): "a function of kernels.support",
    ("loops/tiles.py", "maximum"): "a function of kernels.support",
    ("cuda/blas.py", "gemm"): "a part of names of cuBLAS",
    ("cuda/simulator.py", "complex"): "Python's type, as kernels call it",
    ("cuda/library.py", "sum"): "a kernel",
    ("cuda/library.py", "prod"): "a kernel",
    ("cuda/library.py", "length"): "an argument of a kernel",
}


def test_no_op_is_named_outside_the_table() -> None:
    """An op is one value in one file: the stages behind `ops` ask its record, and `algebra` for what a length is made
    of. What they make they import from `ops`, and rules are written in the ops' notation."""
    import numgraph  # noqa: F401  # fills the table
    from numgraph.op import OPS

    found: dict[tuple[str, str], int] = {}
    for place in NAMELESS:
        target = PACKAGE / place
        for path in [target] if target.is_file() else sorted(target.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in OPS:
                    found[path.relative_to(PACKAGE).as_posix(), node.value] = node.lineno
    assert found.keys() == OTHER_WORDS.keys(), {k: n for k, n in found.items() if k not in OTHER_WORDS}
