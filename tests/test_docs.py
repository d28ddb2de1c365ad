"""The documents say what happens: their Python blocks are run, and print what they show."""

from __future__ import annotations

import doctest
import os
import re
import sys
from pathlib import Path

import pytest

from tests.waits import python

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# The README's first program takes its time, and is run by test_package.py.
ELSEWHERE = "from numgraph.demo import digits"
# What only compiled functions have: their source and the cache.
COMPILED = ("source.md", "settings.md")


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


@pytest.mark.parametrize("target", ["reference", "cpu"])
@pytest.mark.parametrize("path", [p for p in DOCUMENTS if blocks(p)], ids=lambda path: path.name)
def test_blocks_print_what_they_show(path: Path, target: str) -> None:
    if target == "reference" and path.name in COMPILED:
        pytest.skip("about compiled functions")
    # a process of its own: a document may change settings and add ops
    environment = {**os.environ, "NUMGRAPH_TARGET": target, "PYTHONPATH": str(ROOT)}
    done = python(__file__, str(path), cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_document_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"(docs/{path.name})" in readme for path in DOCUMENTS[1:])


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
    sys.exit(bool(run(Path(sys.argv[1]))))
