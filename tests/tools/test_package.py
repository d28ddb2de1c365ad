"""The project as others get it: the wheel's content, what it runs without the source tree, and what an import costs."""

from __future__ import annotations

import os
import shutil
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests import waits

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree (setuptools leaves a build folder behind), without the network."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("numgraph", "kernels", "bench"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree)
    done = waits.python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tree / "dist"), str(tree))
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's packages."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(*arguments: str, site: Path, cwd: Path) -> str:
    """What Python prints in `cwd` with the packages of `site` first."""
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "COLUMNS": "100"}
    done = waits.python(*arguments, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def source_modules() -> set[str]:
    """Where the modules of the tree belong in the wheel."""
    inside = {path.relative_to(ROOT).as_posix() for path in (ROOT / "numgraph").rglob("*.py")}
    inside |= {f"numgraph/kernels/{path.relative_to(ROOT / 'kernels')}" for path in (ROOT / "kernels").rglob("*.py")}
    inside |= {f"numgraph/programs/{path.name}" for path in (ROOT / "bench" / "programs").glob("*.py")}
    return inside | {"numgraph/data/__init__.py"}


def test_wheel_holds_every_module(wheel: Path) -> None:
    packed = {name for name in names(wheel) if name.endswith(".py")}
    assert packed == source_modules()


def test_wheel_holds_data_licences_and_the_typing_mark(wheel: Path) -> None:
    packed = names(wheel)
    assert {"numgraph/py.typed", "numgraph/data/mnist10k.npz", "numgraph/data/README.md"} <= packed
    assert {f"numgraph/inspector/web/page.{kind}" for kind in ("html", "css", "js")} <= packed
    assert not any("/web/src/" in name or "node_modules" in name for name in packed)
    licences = [name for name in packed if ".dist-info/licenses/" in name]
    assert {Path(name).name for name in licences} == {"LICENSE", "README.md", "LICENSES.txt"}


def test_wheel_has_one_top_level_package(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel) if ".dist-info" not in name} == {"numgraph"}


def test_wheel_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
        entry_points = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert metadata["Name"] == "numgraph-compiler"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "numgraph = numgraph.cli:main" in entry_points


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clone in a folder that is called as the package, and the folder of its editable installation."""
    folder = tmp_path_factory.mktemp("editable")
    clone, out = folder / "numgraph", folder / "out"
    for name in ("numgraph", "kernels", "bench"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, clone)
    out.mkdir()
    build = f"import setuptools.build_meta as b; b.build_editable({str(out)!r})"
    done = waits.python("-W", "ignore", "-c", build, cwd=clone)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return clone, folder / "site"


def found(site: Path, cwd: Path) -> tuple[Path, Path, str]:
    """Where a script in a folder finds the package and its kernels, and what it shows."""
    # the folder is behind the script's own, and before an editable installation in the environment that runs the tests
    text = f"import site, sys\nknown = len(sys.path)\nsite.addsitedir({str(site)!r})\n"
    text += "sys.path[1:] = sys.path[known:] + sys.path[1:known]\nimport numgraph as ng, numgraph.kernels\n"
    (cwd / "script.py").write_text(text + "print(ng.__file__, numgraph.kernels.__file__, ng.scalar('x') + 1)")
    done = waits.python("script.py", cwd=cwd, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert done.returncode == 0, done.stderr
    package, kernels, shown = done.stdout.split(maxsplit=2)
    return Path(package), Path(kernels), shown


def test_a_script_beside_the_clone_finds_the_package(editable: tuple[Path, Path]) -> None:
    """A folder that is called as the package, without being it, does not hide an editable installation."""
    clone, site = editable
    package, kernels, shown = found(site, clone.parent)
    assert package.is_relative_to(clone) and kernels.is_relative_to(clone) and "add float64" in shown


def test_a_script_in_the_clone_finds_the_kernels(editable: tuple[Path, Path]) -> None:
    """There the package is that of the clone, not the installed one."""
    clone, site = editable
    package, kernels, shown = found(site, clone)
    assert package == clone / "numgraph" / "__init__.py" and kernels == clone / "kernels" / "__init__.py"
    assert "add float64" in shown


def test_package_list_is_complete() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in (ROOT / "numgraph").rglob("*.py")}
    there = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed) == there | {"numgraph.kernels", "numgraph.kernels.cuda", "numgraph.data", "numgraph.programs"}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_installed_demo_trains(installed: Path, tmp_path: Path) -> None:
    said = python("-m", "numgraph", "demo", "--epochs", "2", "--target", "reference", site=installed, cwd=tmp_path)
    assert "test error" in said


def test_installed_program_runs(installed: Path, tmp_path: Path) -> None:
    options = ("--epochs", "1", "--target", "reference", "--", "--hidden", "3")
    said = python("-m", "numgraph", "demo", "--model", "dA", *options, site=installed, cwd=tmp_path)
    assert "cost of the damaged test digits" in said


def test_lines_of_an_installed_program_count_as_the_users(installed: Path, tmp_path: Path) -> None:
    program = """
import numgraph as ng
from numgraph.programs import dA
print(ng.graph.describe(dA.Autoencoder(4, 3, 1).reconstructed(ng.fmatrix("x"))))
"""
    assert "programs/dA.py:" in python("-c", program, site=installed, cwd=tmp_path)


def test_installed_kernels_import(installed: Path, tmp_path: Path) -> None:
    where = python("-c", "import numgraph.kernels; print(numgraph.kernels.__file__)", site=installed, cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)


def test_readme_program_prints_what_it_says(installed: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = text.split("```python\n", 1)[1].split("```", 1)[0]
    said = text.split("```text\n", 1)[1].split("```", 1)[0].split()
    for got, want in zip(python("-c", program, site=installed, cwd=tmp_path).split(), said, strict=True):
        assert got == want or float(got) == pytest.approx(float(want), rel=1e-4)


def test_import_and_building_a_graph_need_no_numba(installed: Path, tmp_path: Path) -> None:
    program = """
import sys, numgraph as ng
x = ng.matrix("x")
ng.grad(ng.sum(ng.exp(x)), x)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numba", "llvmlite", "rich", "scipy"}))
"""
    assert python("-c", program, site=installed, cwd=tmp_path).strip() == "[]"
