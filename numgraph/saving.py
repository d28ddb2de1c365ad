"""`save` and `load`: the values of shared variables in a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import convert
from numgraph.errors import DtypeError, FileError, InputError, OptionError, PackageError, ShapeError
from numgraph.graph import Variable, describe, instead, label
from numgraph.shared import SharedVariable
from numgraph.storage import owned, put_together
from numgraph.text import printable
from numgraph.whole import CALLS

Arrays = dict[str, NDArray[Any]]
Place = str | os.PathLike[str]
# What `zipfile` raises besides BadZipFile for damaged bytes: a method or version that it has not (NotImplementedError
# is a RuntimeError), a password, a member that lies before the beginning of the file (OSError with EINVAL).
ODD_ARCHIVE = (RuntimeError, OSError)


def save(path: Place, variables: Any) -> None:
    """Write the values of shared variables to a file; the end of its name says in which format.

    path: `.npz` for NumPy's format, which `np.load` reads, or `.safetensors`, which takes the package of that name.
    variables: a mapping from names to shared variables, a list of shared variables that have names, or the updates of a
        function, of which the variables are saved: parameters with the states of their method.

    All values are of one moment, between two calls. The file is written beside `path` and then takes its place: a
    failure leaves what was there before.

    OptionError for another end of the name; InputError for what is no shared variable, one without a name, or a name
    that is there twice; PackageError without the package; OSError where nothing can be written.
    """
    form, named = _form("save", path), _named("save", variables)
    with CALLS:
        arrays = {name: v.get_value() for name, v in named.items()}
    # where a link leads
    file = Path(os.path.realpath(path))
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "save: there is no such folder", str(file.parent))
    scratch = file.with_name(f".{file.name}.{uuid4().hex}.tmp")
    try:
        form.write(scratch, arrays)
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def load(path: Place, variables: Any) -> None:
    """Give shared variables the values that `save`, or another program, has written to a file.

    variables: as for `save`. Each must be in the file, with its shape, and with a dtype that converts to its own
    without loss; what else is in the file is left there. All variables get their values at once, or none does: after
    any exception they are as they were.

    Raises as `save`; FileNotFoundError; FileError for a file that is damaged, of another format, or without one of the
    names; ShapeError and DtypeError for a value that does not fit.
    """
    form, named = _form("load", path), _named("load", variables)
    found = form.read(Path(path), set(named))
    changes = []
    for name, v in named.items():
        if name not in found.arrays:
            raise FileError(f"load: {_shown(path)} has no {printable(name)}{_instead(name, found.names)}")
        array = found.arrays[name]
        if array.shape != v.storage.shape:
            raise ShapeError(
                f"load: {printable(name)} has shape {array.shape} in {_shown(path)}, and {label(v)} has "
                f"{v.storage.shape}\n  {describe(v)}\n  fix: give it a value of the shape in the file first"
            )
        changes.append((v.storage, owned(convert(array, v.dtype, v))))
    put_together(changes)


class Found(NamedTuple):
    """What is in a file: the arrays that were asked for, and all names."""

    arrays: Arrays
    names: list[str]


class Form(NamedTuple):
    """A format of files."""

    write: Callable[[Path, Arrays], None]
    read: Callable[[Path, set[str]], Found]


def _write_npz(path: Path, arrays: Arrays) -> None:
    import zipfile

    # `np.savez` takes names as keywords, and so not all of them
    with zipfile.ZipFile(path, "x") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_npz(path: Path, wanted: set[str]) -> Found:
    import zipfile
    import zlib

    try:
        # `np.load` of a path leaves a damaged file open
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FileError(f"load: {_shown(path)} is one array, without a name")
            # a name of a member goes before a name of an array there: "x.npy" would be the array "x"
            members = {n: f"{n}.npy" for n in archive.files if n in wanted}
            assert archive.zip is not None
            inside = set(archive.zip.namelist())
            return Found({n: archive[m if m in inside else n] for n, m in members.items()}, archive.files)
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, AttributeError, *ODD_ARCHIVE) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        if isinstance(error, FileError):
            raise
        raise FileError(f"load: {_shown(path)} cannot be read as .npz: {error}") from error


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise PackageError(
            "files of format .safetensors take the package safetensors\n"
            "  fix: pip install safetensors, or write .npz, which needs nothing"
        ) from error
    return safetensors


def _write_safetensors(path: Path, arrays: Arrays) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "c":
            raise DtypeError(
                f"save: {name} has dtype {array.dtype}, which files of format .safetensors cannot hold\n"
                "  fix: write .npz"
            )
    _safetensors().numpy.save_file(arrays, path)


def _read_safetensors(path: Path, wanted: set[str]) -> Found:
    package = _safetensors()
    try:
        with package.safe_open(path, "numpy") as file:
            names = list(file.keys())
            return Found({n: file.get_tensor(n) for n in names if n in wanted}, names)
    # TypeError: a dtype that NumPy has not, such as bfloat16
    except (package.SafetensorError, TypeError) as error:
        raise FileError(f"load: {_shown(path)} cannot be read as .safetensors: {error}") from error


FORMS = {".npz": Form(_write_npz, _read_npz), ".safetensors": Form(_write_safetensors, _read_safetensors)}


def _form(what: str, path: Place) -> Form:
    suffix = Path(path).suffix
    if suffix not in FORMS:
        raise OptionError(f"{what}: {_shown(path)} must end with one of {', '.join(FORMS)}")
    return FORMS[suffix]


def _named(what: str, variables: Any) -> dict[str, SharedVariable]:
    """The variables by their names."""
    if isinstance(variables, Mapping) and not any(isinstance(k, Variable) for k in variables):
        pairs = list(variables.items())
    elif isinstance(variables, Iterable) and not isinstance(variables, Variable | str):
        listed = [v[0] if isinstance(v, tuple) and len(v) == 2 else v for v in variables]
        pairs = [(getattr(v, "name", None), v) for v in listed]
    else:
        pairs = [(getattr(variables, "name", None), variables)]
    found: dict[str, SharedVariable] = {}
    for name, v in pairs:
        if not isinstance(v, SharedVariable):
            raise InputError(f"{what}: shared variables are needed, got{instead(v)}")
        if not isinstance(name, str) or not name:
            raise InputError(
                f"{what}: a variable has no name\n  {describe(v)}\n"
                '  fix: name it, ng.shared(value, name="W"), or pass a dict {name: variable}'
            )
        if name in found and found[name] is not v:
            raise InputError(
                f"{what}: two variables are named {printable(name)}\n  {describe(found[name])}\n  {describe(v)}\n"
                "  fix: pass a dict {name: variable}"
            )
        found[name] = v
    return found


def _instead(name: str, names: list[str]) -> str:
    # who has no file to load waits for none of these modules
    from difflib import get_close_matches

    near = get_close_matches(name, names, 1)
    shown = ", ".join(map(printable, names[:8])) + (", ..." if len(names) > 8 else "")
    return f"\n  fix: did you mean {printable(near[0])}?" if near else f"\n  it has: {shown or 'nothing'}"


def _shown(path: Place) -> str:
    return printable(os.fspath(path))
