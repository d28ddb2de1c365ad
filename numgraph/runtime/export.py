"""Writes a compiled variant as a module that needs NumPy and Numba only, and SciPy where it calls that."""

from __future__ import annotations

import ast
import importlib.util
import pprint
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from numgraph.program import Program
from numgraph.runtime.refused import asserts
from numgraph.runtime.units import unit_source
from numgraph.runtime.variant import NativeVariant
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.text import docstring, plain, printable, template
from numgraph.userfunctions.function import recorded

_IMPORT = re.compile(r"^from numgraph\.kernels\.(\w+) import (\([^)]*\)|.+)$", re.MULTILINE)

_FINDER = re.compile(r"^from numgraph\.userfunctions\.function import .+$", re.MULTILINE)
_USERS = re.compile(r'\busers_function\("(\w+)", "([^"]+)", "([^"]+)"\)')

_BLAS = '''
if blas_addresses() == (0, 0):

    def _plain(pointer):
        """Products without BLAS, with the arguments of `sgemm` and `sgemm_rows`."""
        product = numba.njit(error_model="numpy", _nrt=False)(gemm)

        @numba.njit(error_model="numpy", _nrt=False)
        def call(f, chunk, chunks, own, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
            product(pointer(out), pointer(a), pointer(b), m, n, k, alpha, beta, a_row, a_col, b_row, b_col, out_row)

        @numba.njit(error_model="numpy", _nrt=False)
        def rows(f, near, own, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
            product(pointer(out), pointer(a), pointer(b), m, n, k, alpha, beta, a_row, a_col, b_row, b_col, out_row)

        return call, rows

    (sgemm, sgemm_rows), (dgemm, dgemm_rows) = _plain(f32), _plain(f64)
'''


_UNIT = """
{name}_of_{dtype} = helper({name})


@c_function("void({types})")
def {entry}({arguments}):
    {name}_of_{dtype}({given})
"""


def export(variant: NativeVariant, program: Program, path: str | Path) -> None:
    """Write `path` (a .py file), and beside it a .npz file with the values of shared variables and constant arrays.

    The module's `step` is the function; `step.shared` holds the values. Running the file prints what it is.
    """
    path = Path(path)
    text = variant.module.text
    functions = [recorded(*found) for found in _USERS.findall(text)]
    for user in functions:
        user.checked_importable("exported")
    names = shared_names(variant)
    wanted = {m for m, _ in _IMPORT.findall(text)}
    units = variant.artifact.units
    wanted |= {function.partition(".")[0] for function, _, _ in units.values()}
    products = "calls" in wanted or bool(units)
    if products:
        # numgraph's own products are compiled apart, and are longer than all else: a library computes them there
        wanted = wanted - {"calls"} | {"blas"}
    kernels = needed_kernels(["support", *sorted(wanted - {"support"})])
    scipy = bool(variant.artifact.routines) or "special" in wanted
    parts = [_docstring(text, path, scipy), "import ctypes", *(_kernel(k) for k in kernels)]
    if products:
        parts.append(_blas())
    if scipy:
        parts.append(_body(_source("numgraph.runtime.capsules")))
    if variant.artifact.routines:
        parts.append(_body(_source("numgraph.runtime.lapack")))
    if "special" in wanted:
        parts.append(_special(text))
    if functions:
        parts.append(f"# -- users' functions\n{_body(_source('numgraph.userfunctions.standalone'))}")
    parts += [unit_source(*unit, _UNIT, f"unit_{slot}") for slot, unit in units.items()]
    parts += [
        _program(text),
        _driver(),
        f"LAYOUT = {pprint.pformat(layout(variant, program, names), width=110)}",
        _ending(products, bool(variant.artifact.routines), units),
    ]
    path.write_text("\n\n\n".join(part.strip("\n") for part in parts) + "\n", encoding="utf-8")
    values = {f"shared_{k}": v.storage.array for k, v in enumerate(variant.shared)}
    values |= {f"constant_{slot}": array for slot, array in variant.artifact.arrays.items()}
    np.savez(path.with_suffix(".npz"), **values)  # type: ignore[arg-type]


def needed_kernels(modules: Iterable[str]) -> list[str]:
    """The kernel modules that are wanted, each after those that it imports."""
    needed: list[str] = []
    for module in modules:
        # where a library computes the products
        below = ["blas" if m == "calls" else m for m, _ in _IMPORT.findall(_source(f"numgraph.kernels.{module}"))]
        for name in [*needed_kernels(below), module, *(["products"] if module == "blas" else [])]:
            if name not in needed:
                needed.append(name)
    return needed


def shared_names(variant: NativeVariant) -> list[str]:
    """A name for each shared variable, the user's where it is no other's."""
    names: list[str] = []
    for k, variable in enumerate(variant.shared):
        name = plain(variable.name or f"shared_{k}")
        while name in names:
            name += "_"
        names.append(name)
    return names


def _docstring(text: str, path: Path, scipy: bool) -> str:
    title = ast.get_docstring(ast.parse(text), clean=False) or ""
    use = (
        f"Exported by numgraph; needs NumPy{', SciPy' * scipy} and Numba. Use:",
        "",
        f"    from {printable(path.stem)} import step",
        "    step(...)          # as the original",
        "    step.shared        # the resident arrays by name",
    )
    return "\n".join(docstring([*title.strip().split("\n"), "", *use]))


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _kernel(name: str) -> str:
    """A kernel file without its docstring, and without the imports of other kernels, which stand before it."""
    return f"# -- kernels/{name}.py\n{_IMPORT.sub('', _body(_source(f'numgraph.kernels.{name}')))}"


def _body(source: str) -> str:
    """Source without its docstring, future imports, and those of what stands before it in the module."""
    end = ast.parse(source).body[0].end_lineno
    after = "\n".join(source.split("\n")[end:])
    after = re.sub(r"^from numgraph\.runtime\..*\n", "", after, flags=re.MULTILINE)
    return after.replace("from __future__ import annotations\n", "").strip("\n")


def _program(text: str) -> str:
    """The generated functions; imported kernels are in the file already."""

    def local(found: re.Match[str]) -> str:
        renamed = [part.split(" as ") for part in found[2].split(", ") if " as " in part]
        return "\n".join(f"{new} = {old}" for old, new in renamed)

    return f"# -- the program\n{_FINDER.sub('', _IMPORT.sub(local, _body(text)))}"


def _blas() -> str:
    """The search for a BLAS library, and the plain product where there is none."""
    finder = _body(_source("numgraph.runtime.blas"))
    guarded = finder.replace(
        "return _from_numpy() or _from_scipy()",
        "try:\n        return _from_numpy() or _from_scipy()\n    except ImportError:\n        return 0, 0",
    )
    return guarded + "\n\n" + _BLAS


def _special(text: str) -> str:
    """The addresses of SciPy's special functions that the program calls."""
    imports = ",".join(found[2] for found in _IMPORT.finditer(text) if found[1] == "special")
    called = {name.strip("( )").partition("_f64")[0].removeprefix("scipy_") for name in imports.split(",")}
    scipy = sorted(SCALAR_FUNCTIONS[name].scipy for name in called)
    return f"{_body(_source('numgraph.runtime.special'))}\n\n\nmake_all_known({scipy})"


def _driver() -> str:
    return f"# -- the call\n{_body(_source('numgraph.runtime.standalone'))}"


def _ending(has_products: bool, has_routines: bool, units: Iterable[int]) -> str:
    addresses = "blas_addresses()" if has_products else "(0, 0)"
    found = ["**{slot: routine_address(name) for slot, name in LAYOUT['routines'].items()}"] * has_routines
    found += [f"{slot}: unit_{slot}.address" for slot in units]
    routines = f", {{{', '.join(found)}}}" if found else ""
    return (
        f"step = Step(LAYOUT, enter.address, load_values(__file__), {addresses}{routines})\n\n"
        'if __name__ == "__main__":\n'
        '    for name, array in step.shared.items():\n        print(f"{name}: {array.dtype}{list(array.shape)}")'
    )


def layout(variant: NativeVariant, program: Program, names: list[str]) -> dict[str, Any]:
    """Slots and lengths, as plain data."""
    table, making = variant.artifact, variant.making

    def made(kind: str, number: int, slot: int) -> tuple[Any, ...]:
        key = kind, number
        return slot, making.dtypes[key].name, making.sizes[key], making.stages[key]

    return {
        "size": table.words,
        "arena": table.arena,
        "capacity": table.capacity,
        "needed": table.needed,
        "arguments": [
            (slot, a.variable.dtype, a.variable.ndim, printable(a.name or f"argument {a.index}"))
            for slot, a in zip(table.arguments, program.inputs, strict=True)
        ],
        "shared": [(slot, name, f"shared_{k}") for k, (slot, name) in enumerate(zip(table.shared, names, strict=True))],
        "outputs": [made("output", k, slot) for k, slot in enumerate(table.outputs)],
        "fresh": [made("fresh", k, slot) for k, slot in table.fresh.items()],
        "fresh_names": [names[k] for k in table.fresh],
        "exchanges": [(names[a], names[b]) for a, b in making.exchanged],
        "routines": table.routines,
        "constants": {slot: f"constant_{slot}" for slot in table.arrays},
        "failures": [_failure(cause) for cause in variant.module.failures],
        "broken": [k for k, cause in enumerate(variant.module.failures, 1) if cause.kind == "broken"],
        "form": program.form,
        "keys": list(program.keys),
    }


def _failure(cause: Any) -> str:
    if asserts(cause):
        return template(f"assert_op: {cause.node.attributes['message']}")
    if cause.kind in ("check", "range"):
        return "index {a} is out of range for an axis of length {b}"
    if cause.kind == "broken":
        failed = cause.node.op.kernel.fails or "there is no memory for the work"
        return template(f"{cause.node.attributes.get('what', cause.node.op.title)}: {failed}")
    if cause.kind == "raised":
        return template(f"{cause.node.op.user.where} raised an exception")
    text: str = cause.message
    return text if "{a}" in text else text + " ({a}, {b})"
