"""Writes a compiled variant as a module that needs NumPy and Numba only, and SciPy where it calls that."""

from __future__ import annotations

import ast
import base64
import importlib.util
import pprint
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.binder import Binder
from numgraph.graph import Variable, describe, label
from numgraph.ir import Graph
from numgraph.program import Argument, Program
from numgraph.runtime.refused import asserts, called_at
from numgraph.runtime.units import unit_source
from numgraph.runtime.used import used
from numgraph.runtime.variant import NativeVariant
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.text import docstring, plain, printable, template
from numgraph.userfunctions.function import recorded

_IMPORT = re.compile(r"^from numgraph\.kernels\.(\w+) import (\([^)]*\)|.+)$", re.MULTILINE)

_FINDER = re.compile(r"^from numgraph\.userfunctions\.function import .+$", re.MULTILINE)
_USERS = re.compile(r'\busers_function\("(\w+)", "([^"]+)", "([^"]+)"\)')

_BLAS = '''
if blas_addresses() == (0, 0):
    # machine code that calls a library must not be found here, nor this one's where there is one
    CACHED = False

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


# Behind kernels/support.py, whose function this one replaces.
_CACHED = '''
# -- machine code is kept
CACHED = True


def c_function(signature):
    """As above, but compiled once: Numba keeps the machine code in `__pycache__` beside this file, or where it may
    write, and loads it as long as the file and the processor are the same."""

    def compiled(function):
        with _wrapping():
            try:
                return numba.cfunc(signature, cache=CACHED, **_PLAIN)(function)
            except RuntimeError:  # there is no such folder
                return numba.cfunc(signature, **_PLAIN)(function)

    return compiled
'''


def export(
    variant: NativeVariant, program: Program, path: str | Path, data: str = "npz", unset: Iterable[int] = ()
) -> None:
    """Write `path` (a .py file), and with data="npz" a .npz file beside it with the values of shared variables and
    constant arrays; with "none" those of shared variables are left to whoever uses the module, and constants are
    written in it.

    The module's `step` is the function; `step.shared` holds the values. Running the file prints what it is. unset: the
    inputs whose private state has no value yet.
    """
    path = Path(path)
    values = _values(variant, program)
    text = variant.module.text
    wanted = {m for m, _ in _IMPORT.findall(text)}
    units = variant.artifact.units
    wanted |= {function.partition(".")[0] for function, _, _ in units.values()}
    products = "calls" in wanted or bool(units)
    if products:
        # numgraph's own products are compiled apart, and are longer than all else: a library computes them there
        wanted = wanted - {"calls"} | {"blas"}
    kernels = needed_kernels(["support", *sorted(wanted - {"support"})])
    scipy = bool(variant.artifact.routines) or "special" in wanted
    parts = _found(variant, products, scipy, "special" in wanted)
    parts += [unit_source(*unit, _UNIT, f"unit_{slot}") for slot, unit in units.items()]
    slots = pprint.pformat(layout(variant, program, shared_names(variant), unset), width=110, sort_dicts=False)
    parts += [_program(text), _driver(), f"LAYOUT = {slots}"]
    if data != "npz":
        # the function's own states are no data of the user's
        left_out = {f"shared_{k}" for k, v in enumerate(variant.shared) if v not in program.private}
        parts.append(_embedded({key: array for key, array in values.items() if key not in left_out}))
    kept = "load_values(__file__)" if data == "npz" else "VALUES"
    parts.append(_ending(products, bool(variant.artifact.routines), units, kept))
    head = [_docstring(text, path, scipy), "import ctypes"]
    parts = [*head, *used([_kernel(k) for k in kernels], parts), *parts]
    path.write_text("\n\n\n".join(part.strip("\n") for part in parts) + "\n", encoding="utf-8")
    if data == "npz":
        np.savez(path.with_suffix(".npz"), **values)  # type: ignore[arg-type]


def _found(variant: NativeVariant, products: bool, scipy: bool, special: bool) -> list[str]:
    """What finds code that is not in the module: machine code of an earlier process, libraries, users' functions."""
    text = variant.module.text
    functions = [recorded(*found) for found in _USERS.findall(text)]
    for user in functions:
        user.checked_importable("exported")
    # of users' functions Numba would not see that they have changed
    parts = [] if functions else [_CACHED]
    if products:
        parts.append(_blas())
    if scipy:
        parts.append(_body(_source("numgraph.runtime.capsules")))
    if variant.artifact.routines:
        parts.append(_body(_source("numgraph.runtime.lapack")))
    if special:
        parts.append(_special(text))
    if functions:
        parts.append(f"# -- users' functions\n{_body(_source('numgraph.userfunctions.standalone'))}")
    return parts


def _values(variant: NativeVariant, program: Program) -> dict[str, NDArray[Any]]:
    """The arrays of shared variables, of constants, and of the inputs' defaults that are no shared variables of it."""
    values = {f"shared_{k}": v.storage.array for k, v in enumerate(variant.shared)}
    values |= {f"constant_{slot}": array for slot, array in variant.artifact.arrays.items()}
    for argument in program.inputs:
        if argument.default is not None and argument.default not in variant.shared:
            values[f"default_{argument.index}"] = argument.default.get_value()
    return values


def _embedded(values: Mapping[str, NDArray[Any]]) -> str:
    """Arrays as a part of the module."""
    lines = []
    for name, array in values.items():
        text = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        pieces = [text[k : k + 100] for k in range(0, len(text), 100)] or [""]
        written = "\n".join(f'        "{piece}"' for piece in pieces)
        lines.append(f"    {name!r}: embedded(\n{written},\n        {array.dtype.str!r}, {array.shape}),")
    return "\n".join(["VALUES = {", *lines, "}"])


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
        "    step(...)          # as the original, by position or by keyword",
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
    after = re.sub(r"^from numgraph\.(?!kernels\b).*\n", "", after, flags=re.MULTILINE)
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
    """What checks arguments as numgraph does, and calls."""
    modules = ("numgraph.runtime.inputs", "numgraph.foreign", "numgraph.arguments", "numgraph.runtime.standalone")
    return "# -- the call\n" + "\n\n\n".join(_body(_source(module)) for module in modules)


def _ending(has_products: bool, has_routines: bool, units: Iterable[int], values: str) -> str:
    addresses = "blas_addresses()" if has_products else "(0, 0)"
    found = ["**{slot: routine_address(name) for slot, name in LAYOUT['routines'].items()}"] * has_routines
    found += [f"{slot}: unit_{slot}.address" for slot in units]
    routines = f", {{{', '.join(found)}}}" if found else ""
    return (
        f"step = Step(LAYOUT, enter.address, {values}, {addresses}{routines})\n\n"
        'if __name__ == "__main__":\n'
        '    for name, array in step.shared.items():\n        print(f"{name}: {array.dtype}{list(array.shape)}")'
    )


def layout(variant: NativeVariant, program: Program, names: list[str], unset: Iterable[int] = ()) -> dict[str, Any]:
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
        "signature": Binder(program).signature(),
        "arguments": [
            _argument(slot, a, variant, names) for slot, a in zip(table.arguments, program.inputs, strict=True)
        ],
        "unset": sorted(unset),
        "defaults": [key for key in _values(variant, program) if key.startswith("default_")],
        "shared": [
            {"slot": slot, "name": name, "key": f"shared_{k}", **_type(v)}
            for k, (slot, name, v) in enumerate(zip(table.shared, names, variant.shared, strict=True))
        ],
        "updated": [n for n, v in zip(names, variant.shared, strict=True) if v in {s for s, _ in program.updates}],
        "outputs": [made("output", k, slot) for k, slot in enumerate(table.outputs)],
        "fresh": [made("fresh", k, slot) for k, slot in table.fresh.items()],
        "fresh_names": [names[k] for k in table.fresh],
        "exchanges": [(names[a], names[b]) for a, b in making.exchanged],
        "routines": table.routines,
        "constants": {slot: f"constant_{slot}" for slot in table.arrays},
        "failures": [_failure(variant.schedule.graph, cause) for cause in variant.module.failures],
        "form": program.form,
        "keys": list(program.keys),
    }


def _argument(slot: int, argument: Argument, variant: NativeVariant, names: list[str]) -> dict[str, Any]:
    """What a call has to know of an input. default: the name of a shared variable, or the key of a value."""
    default = None
    if argument.default is not None:
        shared = argument.default in variant.shared
        default = names[variant.shared.index(argument.default)] if shared else f"default_{argument.index}"
    known = {"slot": slot, "name": argument.name, "title": label(argument.variable), **_type(argument.variable)}
    return known | {"default": default, "strict": argument.strict, "downcast": argument.downcast}


def _type(variable: Variable) -> dict[str, Any]:
    return {"dtype": variable.dtype, "shape": variable.type.shape, "said": describe(variable)}


def _failure(graph: Graph, cause: Any) -> tuple[str, str]:
    """The kind of error that a failed check is, and a template of its message."""
    where = template(called_at(graph, cause)).rstrip("\n")
    kind, text = _reason(cause)
    if kind == "index":
        where += "\n  fix: indices must lie in [-{b}, {b})"
    elif cause.kind == "assume":
        where += "\n  fix: pass lengths that fit; a function that is called with such lengths can be exported for them"
    return kind, "\n".join(part for part in (text, where.strip("\n")) if part)


def _reason(cause: Any) -> tuple[str, str]:
    if asserts(cause):
        return "assert", template(f"assert_op: {cause.node.attributes['message']}")
    if cause.kind in ("check", "range"):
        return "index", "index {a} is out of range for an axis of length {b}"
    if cause.kind == "broken":
        failed = cause.node.op.kernel.fails or "there is no memory for the work"
        return "matrix", template(f"{cause.node.attributes.get('what', cause.node.op.title)}: {failed}")
    if cause.kind == "raised":
        return "raised", template(f"{cause.node.op.user.where} raised an exception")
    text: str = cause.message
    text = text if "{a}" in text else text + " ({a} and {b})"
    return "size" if cause.kind == "fits" else "shape", text
