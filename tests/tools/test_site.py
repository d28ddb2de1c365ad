"""The site's pages: that none is forgotten, and what is made for them. MkDocs is needed by the last test alone."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import numgraph as ng
from docs.generate import docstrings, functions, mathml, ops, pages, programs, references, stages
from numgraph.op import OPS
from numgraph.ops import MODULES
from tests.tools.test_bench import small_report
from tests.waits import python

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages that are in no file."""
    return pages.made()


def test_navigation_names_every_page_once(made: dict[str, str]) -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"^ +- (?:[^:\n]+: )?([\w/]+\.md)$", nav, re.MULTILINE)
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert len(named) == len(set(named))
    assert written | set(made) == set(named), "a page has its line in `nav` of mkdocs.yml"
    assert not written & set(made)


def test_every_module_of_ops_has_a_page() -> None:
    words = [word for _, _, names in ops.GROUPS for word in names.split()]
    assert sorted(words) == sorted(ops.short(module) for module in MODULES)


def test_every_op_has_one_entry(made: dict[str, str]) -> None:
    text = "\n".join(made[f"reference/{name}.md"] for name, _, _ in ops.GROUPS)
    headings = re.findall(r"^### `(\w+)` \{", text, re.MULTILINE)
    # `cond`, `call` and the like are no ops; every op stands under its own name
    assert not [op.name for op in ops_of_the_table() if headings.count(op.name) != 1]
    public = {name for module in MODULES for name in module.__all__}
    also = {name for line in re.findall(r"^Also (.*)\.$", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)}
    assert public <= set(headings) | also


def ops_of_the_table() -> list[ng.op.Op]:
    """The ops that numgraph defines; others may have been added by other tests."""
    from numgraph.ops import TABLE

    return [op for op in OPS.values() if op in TABLE]


def test_every_public_name_has_an_entry(made: dict[str, str]) -> None:
    text = "\n".join(made.values())
    letters = re.compile(r"^[bwilfdcz](scalar|vector|row|col|matrix|tensor3|tensor4)$")
    errors = (DOCS / "errors.md").read_text(encoding="utf-8")
    modules = {"fft", "linalg", "optim", "optimize", "random", "sparse", "config", "__version__", "NumgraphError"}
    for name in set(ng.__all__) - modules:
        assert f"`{name}`" in text or f"`ng.{name}`" in text or f"`{name}`" in errors or letters.match(name), name


def test_links_of_the_index_lead_to_entries(made: dict[str, str]) -> None:
    for name, anchor in re.findall(r"\]\((\w+)\.md#([\w-]+)\)", made["reference/ops.md"]):
        assert f"{{ #{anchor} " in made[f"reference/{name}.md"], anchor


@pytest.mark.parametrize("name", [op.name for op in OPS.values() if op.tree is not None and op.user is None])
def test_formulas_are_well_formed(name: str) -> None:
    markup = references.equation(OPS[name])
    if markup:
        ET.fromstring(markup.replace("&nbsp;", " "))


def shown(text: str) -> str:
    """The letters of a formula."""
    return "".join(
        ET.fromstring(f"<a>{mathml.text(ast.parse(text, mode='eval').body)}</a>".replace("&nbsp;", " ")).itertext()
    )


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("a - (b - c)", "a−(b−c)"),
        ("(a - b) - c", "a−b−c"),
        ("a * (b + c)", "a·(b+c)"),
        ("-(a + b)", "−(a+b)"),
        ("(-a) * b", "(−a)·b"),
        ("2.0 * x * log(y)", "2·x·ln(y)"),
        ("where(x > 0.0, x, where(x < 0.0, y, z))", "{xif x>0yif x<0zotherwise"),
        ("x * 3.141592653589793", "x·π"),
        ("0.6931471805599453 + x", "ln2+x"),
        ("floordiv(x, y)", "⌊xy⌋"),
        ("alpha * expm1(x)", "α·expm1(x)"),
    ],
)
def test_letters_of_formulas(text: str, letters: str) -> None:
    assert shown(text) == letters


def test_powers_and_fractions() -> None:
    assert mathml.text(ast.parse("x * x", mode="eval").body) == "<msup><mi>x</mi><mrow><mn>2</mn></mrow></msup>"
    assert mathml.text(ast.parse("exp(-x)", mode="eval").body).startswith("<msup><mi>e</mi>")
    half = mathml.text(ast.parse("1.0 / (1.0 + x)", mode="eval").body)
    assert half == "<mfrac><mn>1</mn><mrow><mn>1</mn><mo>+</mo><mi>x</mi></mrow></mfrac>"


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("exp", ["g * out"]),
        ("mul", ["g * y", "g * x"]),
        ("softplus", ["g * sigmoid(x)"]),
        ("dot2", ["g @ b.T", "a.T @ g"]),
        ("floor", ["0"]),
        ("softmax", ["out * (g - sum(g * out, axis=1, keepdims=True))"]),
    ],
)
def test_gradients_as_text(name: str, gradient: list[str]) -> None:
    assert [text for _, text in references.gradients(OPS[name])] == gradient


@pytest.mark.parametrize(
    ("name", "numpy"),
    [
        ("neq", "np.not_equal(x, y)"),
        ("sigmoid", "1.0 / (1.0 + np.exp(-x))"),
        ("cholesky", "np.linalg.cholesky(a)"),
        ("reshape", ""),
    ],
)
def test_numpy_references(name: str, numpy: str) -> None:
    assert references.reference(OPS[name]) == numpy


def test_docstrings_as_markdown() -> None:
    def f(x: object, axis: object) -> None:
        """x * 2, see `a_b`.

        axis: which one, or
            all of them. x: a number.

            f(x)

        Nothing else: no argument.
        """

    text = docstrings.markdown(f)
    assert text.startswith(
        "x \\* 2, see `a_b`.\n\n* `axis`: which one, or all of them.\n* `x`: a number.\n\n```python\nf(x)\n```"
    )
    assert text.endswith("Nothing else: no argument.")


def test_every_section_of_functions_is_there() -> None:
    text = functions.functions() + functions.modules()
    assert " at 0x" not in text and "(self" not in text
    assert "### `ng.function`" in text and "### `RandomStream`: `normal`" in text and "### `sweep`" in text


def test_drawings_are_current() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "drawings").glob("*.svg")}
    assert found == stages.files(), "python -m docs.generate drawings"
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert all(f"(drawings/{name})" in text for name in found)
    for svg in found.values():
        ET.fromstring(svg)


@pytest.mark.parametrize("name", programs.WAY)
def test_programs_of_the_tutorials(name: str) -> None:
    (path,) = [p for p in (DOCS / "tutorials").glob("*.md") if f"<!-- program: {name} -->" in p.read_text("utf-8")]
    text = pages.page(path.read_text(encoding="utf-8"), f"tutorials/{path.name}")
    source = (ROOT / "bench" / "programs" / f"{name}.py").read_text(encoding="utf-8")
    assert "### `main`" in text and "def main(" in text and "def parser(" not in text
    # the picture is there if the program draws one
    assert ("--picture" in source) == (f"output/{name}.png)" in text)
    assert "epochs in " in text or "test digits" in text


def test_first_page_is_made_of_the_readme(made: dict[str, str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert made["index.md"].startswith(readme.partition("\n## ")[0])
    assert "| logreg step, batch 600 |" in pages.performance(ROOT / "no.json")
    assert "](docs/" not in made["index.md"] + made["performance.md"] + made["contributing.md"] + made["changelog.md"]


def test_performance_is_made_of_figures(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(small_report()), encoding="utf-8")
    text = pages.performance(tmp_path / "figures.json")
    assert "| softmax rows | 8.00 µs (16.0 µs) |" in text and "| elementwise chain |" not in text
    assert "[docs/benchmarks.md](benchmarks.md)" in text and "make readme" in text


def test_links_are_called_as_the_page() -> None:
    text = pages.titled("[semantics.md](../semantics.md#a), [this](jax.md)", "tutorials/lstm.md")
    assert text == "[Semantics](../semantics.md#a), [this](jax.md)"


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs `pip install -e .[docs]`")
def test_site_builds_and_needs_no_network(tmp_path: Path) -> None:
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = python(
        "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path), cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in tmp_path.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="?(?:https?:)?//[^">\s]*', text)
        assert not loaded, path
