"""The documents say what happens: their Python blocks are run, and print what they show."""

from __future__ import annotations

import doctest
import os
import re
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.waits import in_child, python

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The README's first program takes its time, and is run by test_package.py.
ELSEWHERE = "from numgraph.demo import digits"
# What only compiled functions have: their source and the cache.
COMPILED = ("source.md", "settings.md", "profile.md", "start.md", "inspect.md")


def blocks(path: Path) -> list[tuple[int, str]]:
    """(line, text) of the Python blocks that are run."""
    text = path.read_text(encoding="utf-8")
    found = [(text.count("\n", 0, match.start(1)), match.group(1)) for match in BLOCK.finditer(text)]
    return [(line, block) for line, block in found if ELSEWHERE not in block]


def run(path: Path) -> int:
    """Run the blocks of a document, one after the other in one namespace; the number of examples that failed.

    A block with `>>>` is a doctest, where `...` stands for anything; another one is executed.
    """
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    names: dict[str, object] = {}
    for line, text in blocks(path):
        if ">>> " in text:
            test = doctest.DocTestParser().get_doctest(text, names, path.name, str(path), line)
            runner.run(test, clear_globs=False)
            names = test.globs
        else:
            exec(compile("\n" * line + text, path, "exec"), names)
    return runner.failures


def run_all(paths: list[Path], folder: Path) -> None:
    """Run each document in a child, since it may change settings and add ops; a file says what it printed, and at the
    end whether it failed."""
    import numgraph as ng

    # the children find Numba loaded
    x = ng.scalar("x")
    ng.function([x], x + 1)
    for path in paths:
        said = folder / f"{path.name}.txt"

        def work(path: Path = path, said: Path = said) -> bool:
            with said.open("w", encoding="utf-8") as out, redirect_stdout(out), redirect_stderr(out):
                try:
                    return run(path) == 0
                except BaseException:
                    traceback.print_exc()
                    raise

        code = in_child(work)
        with said.open("a", encoding="utf-8") as out:
            out.write(f"ended with {code}")


@pytest.fixture(scope="module", params=["reference", "cpu"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """What each document prints with a target by default."""
    paths = [p for p in DOCUMENTS if blocks(p) and not (request.param == "reference" and p.name in COMPILED)]
    folder = tmp_path_factory.mktemp("documents")
    environment = {**os.environ, "NUMGRAPH_TARGET": request.param, "PYTHONPATH": str(ROOT)}
    done = python(__file__, str(folder), *map(str, paths), cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {p: (folder / f"{p.name}.txt").read_text(encoding="utf-8") for p in paths}


@pytest.mark.parametrize("path", [p for p in DOCUMENTS if blocks(p)], ids=lambda path: path.name)
def test_blocks_print_what_they_show(path: Path, outcomes: dict[Path, str]) -> None:
    if path not in outcomes:
        pytest.skip("about compiled functions")
    assert outcomes[path].endswith("ended with 0"), outcomes[path]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_named_is_there(path: Path) -> None:
    import numgraph as ng

    text = path.read_text(encoding="utf-8")
    for names in set(re.findall(r"\bng((?:\.[A-Za-z_]\w*)+)", text)):
        thing: object = ng
        for name in names[1:].split("."):
            thing = getattr(thing, name)  # AttributeError: numgraph has no such name
    for file in re.findall(r"`((?:numgraph|kernels|tests|bench|docs)/[\w/]+\.\w+)`", text):
        assert (ROOT / file).exists(), file


def test_every_document_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(docs/{path.name})" in readme for path in (ROOT / "docs").glob("*.md"))


def test_every_error_is_in_the_documents() -> None:
    import numgraph.errors as errors

    table = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    names = [name for name, value in vars(errors).items() if isinstance(value, type) and name != "NumgraphError"]
    assert all(f"| `{name}` |" in table for name in names)


def test_every_setting_is_in_the_documents() -> None:
    from dataclasses import fields

    import numgraph as ng

    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert all(f"| `{field.name}` |" in table for field in fields(ng.config))
    used = set(re.findall(r'"(NUMGRAPH_\w+)"', (ROOT / "numgraph" / "config.py").read_text(encoding="utf-8")))
    assert used == set(re.findall(r"`(NUMGRAPH_\w+)`", table))


if __name__ == "__main__":
    run_all([Path(path) for path in sys.argv[2:]], Path(sys.argv[1]))
