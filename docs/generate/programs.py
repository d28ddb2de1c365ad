"""The tutorials' programs as parts of pages: their text, what they print, and what they draw."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from docs.generate.docstrings import markdown

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "docs" / "tutorials" / "output"
# Where the program comes; what stands between the two marks is for readers of the file itself.
MARK = re.compile(r"^<!-- program: (\w+) -->$.*?^<!-- end of program -->$", re.MULTILINE | re.DOTALL)
# The way through the tutorials; the pages are docs/tutorials/*.md.
WAY = ("logistic_sgd", "mlp", "dA", "rbm", "lstm")


def filled(text: str, up: str) -> str:
    """A page whose marks are replaced by the programs; `up` leads from the page to docs/."""
    return MARK.sub(lambda match: program(match[1], up), text)


def program(name: str, up: str) -> str:
    """Docstring, text, output and picture of a program."""
    source = (ROOT / "bench" / "programs" / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    lines = ["## What it does", "", markdown(ast.get_docstring(tree) or ""), "", "## The program", ""]
    for title, text in pieces(source, tree):
        lines += [f"### `{title}`" if title else "", "", "```python", text, "```", ""]
    lines += ["## What it prints", "", f"    python -m bench.programs.{name}", "",
              "Seconds are those of two cores that had other work to do.", ""]  # fmt: skip
    lines += ["```text", (OUTPUT / f"{name}.txt").read_text(encoding="utf-8").rstrip(), "```", ""]
    if (OUTPUT / f"{name}.png").exists():
        lines += ["## What it draws", "", f"![what {name} draws]({up}tutorials/output/{name}.png)", ""]
    return "\n".join(lines)


def pieces(source: str, tree: ast.Module) -> list[tuple[str, str]]:
    """(name, text) of a program's functions and classes, in order; what stands between them is without a name. The
    command line is left out."""
    lines = source.split("\n")
    found: list[tuple[str, str]] = []
    last = tree.body[0].end_lineno or 0
    for node in tree.body[1:]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(("", "\n".join(lines[last : node.lineno - 1]).strip("\n")))
            found.append((node.name, "\n".join(lines[node.lineno - 1 : node.end_lineno])))
            last = node.end_lineno or 0
    return [(name, text) for name, text in found if text.strip() and name != "parser"]


def run() -> None:
    """Run the programs and keep what they print and draw, a few minutes. Pictures get 32 greys or colours."""
    from PIL import Image

    OUTPUT.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in WAY:
        print(name, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"bench.programs.{name}"], cwd=OUTPUT, env=environment, check=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        (OUTPUT / f"{name}.txt").write_text(done.stdout, encoding="utf-8")
        picture = OUTPUT / f"{name}.png"
        if picture.exists():
            Image.open(picture).convert("RGB").quantize(32).save(picture, optimize=True)
