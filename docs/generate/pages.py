"""The pages of the site that are made when it is built, from the table of ops, docstrings, programs and README.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docs.generate import functions, ops, programs

ROOT = Path(__file__).parents[2]
# Files beside docs/ that are pages of the site, and what these are called there.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "licence.md",
    "bench/data/README.md": "digits.md",
    "README.md": "index.md",
}
NAMED = re.compile(r"\[(?:docs/)?\w+\.md\]\(([\w./]+\.md)")
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)]*)?\))")


def made() -> dict[str, str]:
    """Markdown by file, for all pages that stand in no file of docs/."""
    pages = {**ops.pages(), **functions.pages(), "index.md": front(), "performance.md": performance()}
    for source, name in OUTSIDE.items():
        if name not in pages:
            pages[name] = outside(source)
    return pages


def outside(source: str) -> str:
    """A file beside docs/ as a page."""
    text = (ROOT / source).read_text(encoding="utf-8")
    if source == "LICENSE":
        return f"# Licence\n\n```text\n{text}```\n"
    return relinked(text, Path(source).parent)


def relinked(text: str, folder: Path = Path()) -> str:
    """The links of a file that lies in `folder`, seen from the root, as the site has them from the docs' own root."""

    def there(match: re.Match[str]) -> str:
        path = (folder / match[2]).as_posix()
        return match[1] + OUTSIDE.get(path, path.removeprefix("docs/")) + match[3]

    return LINK.sub(there, text)


def page(text: str, name: str) -> str:
    """A file of docs/ as the site shows it: links to files beside docs/ lead to their pages, and a mark for a program
    is replaced by it."""
    up = "../" * name.count("/")
    for source, target in OUTSIDE.items():
        text = text.replace(f"]({up}../{source}", f"]({up}{target}")
    return programs.filled(titled(text, name), up)


def titled(text: str, name: str) -> str:
    """Links that are called as a file, as on GitHub, are called as the page."""
    folder = (ROOT / "docs" / name).parent

    def title(match: re.Match[str]) -> str:
        path = folder / match[1]
        first = path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""
        return f"[{first.removeprefix('# ').partition(':')[0]}]({match[1]}" if first.startswith("# ") else match[0]

    return NAMED.sub(title, text)


def section(title: str) -> str:
    """What stands in README.md under a heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0].strip()


def front() -> str:
    """The first page: how README.md begins, and where to go on."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## ", 1)[0].strip()
    return relinked(f"{text}\n\n{WAYS}\n\n## Limits\n\n{section('Limits')}\n")


def performance(figures: Path = ROOT / "figures.json") -> str:
    """The benchmark: what README.md has, with the table of a file of figures where there is one."""
    text = section("How fast")
    if figures.exists():
        from bench import readme

        head, _, rest = text.partition(readme.BEGIN)
        table = readme.section(json.loads(figures.read_text(encoding="utf-8")))
        text = f"{head}{table}{rest.partition(readme.END)[2]}"
    return relinked(f"# Performance\n\n{text}\n")


WAYS = """## Where to go on

| | |
|---|---|
| [Five minutes](start.md) | install, a first function, `givens`, the source, what a call costs |
| [Givens and updates](givens.md) | by example |
| [Coming from Theano](theano.md), [from JAX or PyTorch](jax.md) | what maps to what, and what differs |
| [How-tos](howto.md) | data larger than memory, ops of your own, GPUs, export, the same numbers again |
| [Tutorials](tutorials.md) | from logistic regression to an LSTM, each program with what it prints and draws |
| [Ops](reference/ops.md), [functions](reference/functions.md), [settings](settings.md) | the reference |
| [How it works](architecture.md) | from an expression to machine code, one stage after the other |
| [Performance](performance.md) | beside NumPy, JAX, PyTorch, PyTensor and numexpr |"""
