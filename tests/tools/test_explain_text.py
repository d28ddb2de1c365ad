"""What `f.explain()` prints, the record of it, and `numgraph inspect --stage explain`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cli import main
from numgraph.explain import estimate
from numgraph.explain.explanation import Explanation, PhaseEstimate
from numgraph.explain.machine import Machine
from numgraph.explain.text import explanation_text
from numgraph.inspector import terminal
from numgraph.inspector.record import FunctionRecord

FIGURES = Machine(32, 100.0, {16 << 10: 160.0, 1 << 20: 80.0, 64 << 20: 10.0}, 1.5, 1000.0, 2)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on the same machine."""
    monkeypatch.setattr(estimate, "machine", lambda threads: FIGURES)
    monkeypatch.setattr(ng.config, "threads", 2)


def ones(*shape: int) -> Any:
    return np.ones(shape, "float32")


def shared(*shape: int, name: str) -> Any:
    return ng.shared(ones(*shape), name=name)


def everything() -> Any:
    """A function with phases of every kind, long names, and unknown lengths."""
    x, y = ng.fmatrix("a_matrix_with_a_name_that_is_long"), ng.fmatrix("another_one_whose_name_is_longer_still")
    s = shared(30, 30, name="a_resident_matrix_with_a_long_name_of_its_own_too")
    outputs = [ng.tanh(ng.dot(x, y)), ng.sort(x, axis=0), ng.argmax(y, axis=0), x[ng.nonzero(x[:, 0])[0]]]
    return ng.function([x, y], outputs, updates=[(s, s - 0.1 * ng.dot(s.T, s))], name="everything")


@pytest.mark.parametrize("arguments", [(), (ones(3000, 400), ones(400, 1000)), (ones(2, 3), ones(3, 1))])
def test_everything_fits_100_columns(arguments: tuple[Any, ...]) -> None:
    text = str(everything().explain(*arguments))
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "phase_0",
        "product",
        "kernel",
        "divided",
        "total",
        "predicted",
        "sweep makes",
        "temporaries",
        "GFLOP/s",
    ):
        assert part in text, part


def test_text_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Explanation("f", phases=[PhaseEstimate("phase_0", ["[bold]x[/bold]"], "loops", flops=1_940_000)])
    plain = explanation_text(found)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert explanation_text(found) == plain
    assert "\x1b" not in plain and "[bold]" in plain and "1.94 M" in plain


# -- the record, and the command line -------------------------------------------------------------------------------


def test_the_record_has_it_as_data_and_as_a_stage() -> None:
    s = shared(10, 4, name="s")
    f = ng.function([], s * 2, name="doubled")
    record = f.record
    assert list(record.stages).index("explain") == list(record.stages).index("schedule") + 1
    again = FunctionRecord.from_json(record.to_json(stages=("explain",)))
    assert again.explained() == f.explain() == record.explained()
    assert again.stages["explain"] == str(f.explain())
    out = io.StringIO()
    terminal.show(again, terminal.make_console(100, out), "explain")
    shown, expected = out.getvalue().splitlines(), again.stages["explain"].splitlines()
    assert [line.rstrip() for line in shown[-len(expected) :]] == expected


def test_json_without_the_stage_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "machine", lambda threads: pytest.fail("was measured"))
    f = ng.function([], shared(3, name="s") * 2)
    f()
    f.sweep(steps=2)
    assert json.loads(f.record.to_json(stages=("source",)))["explanation"] is None
    terminal.show(f.record, terminal.make_console(100, io.StringIO()))


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numgraph as ng\ns = ng.shared([1.0, 2.0], name='s')\nf = ng.function([], s * 2, name='f')\nf()\n"
    )
    assert main(["inspect", str(script), "--run", "--stage", "explain"]) == 0
    text = capsys.readouterr().out
    for part in ("phase_0", "1 thread: too little work", "the mean of 1 call"):
        assert part in text, part
