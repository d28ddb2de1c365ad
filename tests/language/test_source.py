"""The user's lines: whose line a variable carries, and how it is written."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import numgraph as ng
from numgraph.source import SourceLine, lines_of
from numgraph.source import together as shown
from tests.waits import PATIENCE, join, python, together


def test_lines_belong_to_their_thread() -> None:
    """While one thread works on behalf of an older line, a variable of another one has its own."""
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with lines_of(SourceLine("older.py", 1, "f")):
            inside.set()
            assert done.wait(PATIENCE)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert inside.wait(PATIENCE)
    x = ng.vector("x")
    done.set()
    join(thread)
    assert x.line is not None and x.line.file == __file__


def test_lines_that_another_thread_has_set() -> None:
    line, found = ng.scalar().line, list[Any]()
    with lines_of(line):
        together(lambda: found.append(ng.scalar().line))
        assert ng.scalar().line == line
    assert found[0].function == "<lambda>"


def test_cells_of_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    exec(
        compile(
            "import numgraph\n\ndef f():\n    return numgraph.vector('v')\nv = f()", "<ipython-input-7-abc>", "exec"
        ),
        made,
    )
    assert str(made["v"].line) == "Cell In[7], line 4 in f"
    file = "/tmp/ipykernel_123/4567.py"
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert str(SourceLine(file, 1, "<module>")) == "Cell, line 1"
    compiler = SimpleNamespace(format_code_name=lambda name: ("Cell", "In[2]") if name == file else None)
    shell = SimpleNamespace(compile=compiler)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert str(SourceLine(file, 1, "<module>")) == "Cell In[2], line 1"
    assert str(SourceLine("/tmp/ipykernel_123/99.py", 3, "g")) == "Cell, line 3 in g"
    assert str(SourceLine("/home/me/work/train.py", 3, "g")) == "work/train.py:3 in g"


def test_one_line_is_shown_once_though_functions_without_a_name_share_it() -> None:
    lines = [SourceLine("a.py", 3, "<module>"), SourceLine("a.py", 3, "<genexpr>"), SourceLine("a.py", 4, "<lambda>")]
    assert shown([*lines, SourceLine("a.py", 3, "loss")]) == "a.py:3, 4, a.py:3 in loss"


def test_lines_where_the_package_is_a_tree_of_links(tmp_path: Path) -> None:
    """As `pip install -e` leaves it."""
    (tmp_path / "numgraph").symlink_to(Path(ng.__file__).resolve().parent)
    (tmp_path / "kernels").symlink_to(Path(ng.__file__).resolve().parents[1] / "kernels")
    (tmp_path / "program.py").write_text(
        'import numgraph as ng\nx = ng.scalar("x")\nprint(ng.__file__, (x * 2).line)\n'
    )
    done = python("-P", "program.py", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout.split() == [str(tmp_path / "numgraph" / "__init__.py"), "program.py:3"], done.stderr
