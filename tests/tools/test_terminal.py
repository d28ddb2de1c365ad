"""What is printed fits where it is printed: narrow terminals, pipes, terminals without most letters."""

from __future__ import annotations

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest
from test_cli import run, script  # noqa: F401  # a fixture

import numgraph as ng
from numgraph import cli
from numgraph.inspector import terminal
from tests.waits import python


def trained() -> ng.Function:
    data, w = (
        ng.shared(np.zeros((6000, 784), "float32"), "train_x"),
        ng.shared(np.zeros((784, 10), "float32"), "weights"),
    )
    x, i = ng.fmatrix("x"), ng.lscalar("index")
    cost = ng.mean(ng.softmax(ng.dot(x, w)) ** 2)
    return ng.function(
        [i], cost, {w: w - 0.1 * ng.grad(cost, w)}, {x: data[i * 600 : (i + 1) * 600]}, name="train_a_model"
    )


def test_narrow_terminals_break_no_number_and_no_heading() -> None:
    f = trained()
    wide = {"statements", "flops", "bytes", "predicted", "limit", "overhead", f"{f.record.phases[0].bytes:,}", "[?,?]"}
    del f.record.stages["listing"]  # it takes long, and is folded like any text
    for width in (70, 80, 100, 140):
        out = io.StringIO()
        console = terminal.make_console(width, out)  # type: ignore[arg-type]  # a text stream
        for stage in (None, "explain", "schedule", "graph"):
            terminal.show(f.record, console, stage)
        text = out.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert all(word in text for word in wide), width


def test_a_pipe_has_the_columns_that_it_is_told(
    script: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for columns, width in (("80", 80), ("120", 120), ("", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        _, out, _ = run(capsys, "inspect", f"{script}:train")
        assert max(map(len, out.splitlines())) == width
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(ng.config, "cache_dir", script.parent / "cache")
    trained()
    _, out, _ = run(capsys, "cache", "list")
    assert max(map(len, out.splitlines())) <= 80
    heading, row = out.splitlines()[-2:]
    assert heading.split() == ["function", "size", "last", "used", "usable", "here", "file"]
    assert row.startswith("train_a_model  ") and " yes  " in row and row.rstrip().endswith("...") and "…" not in row


def test_raw_source_is_python(script: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    for stage in ("source", "listing"):
        status, out, _ = run(capsys, "inspect", f"{script}:train", "--stage", stage, "--raw")
        assert status == 0 and ast.get_docstring(ast.parse(out), clean=False)
        assert out.startswith('"""numgraph function train\n')
    status, _, err = run(capsys, "inspect", f"{script}:train", "--raw")
    assert status == 2 and "--raw prints one stage" in err
    status, _, err = run(capsys, "inspect", script, "--raw", "--stage", "source")
    assert status == 2 and "--raw takes one function" in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"numgraph {ng.__version__}\n"


@pytest.mark.parametrize(
    "more", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_terminals_without_most_letters(more: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import numgraph as ng\nt = ng.vector('\u03b8')\nng.debugprint(t * 2)\n"
        "f = ng.function([t], t * 2, name='[red]\u00e9')\n",
        encoding="utf-8",
    )
    known = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    for arguments in (["inspect", str(path)], ["cache", "list"]):
        done = python("-m", "numgraph", *arguments, text=False, env=known | more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii() and done.stderr.isascii() and rb"[red]\xe9" in done.stdout


def test_formulas_of_functions_and_lists() -> None:
    x, s = ng.vector("x"), ng.shared(1.0, "s")
    assert ng.pprint(ng.function([x], x * 2)) == ng.pprint(x * 2) == "x * 2.0"
    f = ng.function([x], {"double": x * 2, "total": ng.sum(x)}, {s: s + 1})
    assert ng.pprint(f) == "output double: x * 2.0\noutput total: sum(x)\nupdate of s: s + 1.0"
    assert ng.pprint([x * 2, x]) == "x * 2.0\nx"
    with pytest.raises(ng.InputError, match=r"^pprint: expected a variable"):
        ng.pprint(3)


def test_len() -> None:
    assert len(ng.tensor("x", shape=(3, None))) == 3 and len(ng.constant([1.0, 2.0])) == 2
    for wrong, said in ((ng.vector("v"), "known only when a function runs"), (ng.scalar("s"), "which has no axes")):
        with pytest.raises(TypeError, match=said):
            len(wrong)
    with pytest.raises(TypeError, match="has no axes"):
        list(ng.scalar("s"))
