"""The command `numgraph`: the demo and the inspector, as a user runs them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import numgraph as ng
from numgraph import cache, cli
from numgraph.config import config
from numgraph.demo import digits, models, show, training
from numgraph.inspector.record import FunctionRecord
from numgraph.runtime import native

SCRIPT = """\
import sys

import numpy as np

import numgraph as ng

x = ng.vector("x", dtype="float32")
w = ng.shared(2.0 * np.ones(3, "float32"), name="w")


def make():
    ng.function([x], ng.sum(x * w), name="forgotten")  # nothing keeps this one


double = ng.function([x], x * 2, name="double")
step = ng.function([x], ng.sum(x * w), updates=[(w, w - x)], name="train")
make()
print("said by the script", sys.argv[1:])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(SCRIPT)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


# ---------------------------------------------------------------------------------------------------------- inspect


def test_inspect_shows_every_function(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "inspect", script)
    assert status == 0
    assert all(name in out for name in ("double", "train", "forgotten"))
    assert "said by the script []" in err and "said by" not in out


@pytest.mark.parametrize("stage", ["graph", "givens", "schedule", "source", "listing", "llvm", "asm"])
def test_inspect_prints_each_stage(script: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "inspect", f"{script}:train", "--stage", stage)
    assert status == 0
    assert "train" in out and "double" not in out.splitlines()[0]
    assert len(out.splitlines()) > 1
    assert max(map(len, out.splitlines())) <= 100


def test_inspect_listing_has_the_user_lines(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "inspect", f"{script}:train", "--stage", "listing")
    assert "program.py:16" in out


def test_inspect_finds_a_function_by_its_variable(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "inspect", f"{script}:step", "--stage", "graph")
    assert status == 0 and "train" in out.splitlines()[0]


def test_inspect_calls_a_function_without_a_name_by_its_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "program.py"
    path.write_text('import numgraph as ng\nx = ng.scalar("x")\nsquare = ng.function([x], x * x)\n')
    _, out, _ = run(capsys, "inspect", path, "--stage", "graph")
    assert out.startswith("square ")


def test_inspect_passes_arguments(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "inspect", script, "--stage", "graph", "--", "--epochs", "3")
    assert "said by the script ['--epochs', '3']" in err


def test_inspect_writes_json(script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = run(capsys, "inspect", f"{script}:train", "--json", tmp_path / "record.json")
    record = FunctionRecord.from_json((tmp_path / "record.json").read_text())
    assert status == 0
    assert record.name == "train"
    assert [pair.target for pair in record.updates] == ["w"]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (SCRIPT, [":other"], "no function 'other'; program.py ran to its end and built:\n  0  double     double  "),
        ("x = 1\n", [""], "built no functions: it has to call ng.function"),
        ("raise SystemExit(3)\n", [""], "ended with status 3"),
        (SCRIPT, ["", "--json", "r.json"], "--json takes one function"),
    ],
)
def test_inspect_says_what_is_wrong(
    text: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "program.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "inspect", f"program.py{arguments[0]}", *arguments[1:])
    assert status == 2
    assert message in err


def test_inspect_of_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "inspect", "nowhere.py:f") == (2, "", "numgraph: there is no file nowhere.py\n")


# ------------------------------------------------------------------------------------------------------------- demo


def small_file(path: Path, rows: int = 200) -> Path:
    """Four well-separated classes of 6x6 images."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 4, rows).astype("uint8")
    x = generator.integers(0, 60, (rows, 6, 6))
    x[np.arange(rows), y] += 150
    np.savez(path, x=x.astype("uint8"), y=y)
    return path


@pytest.mark.parametrize("model", ["logreg", "mlp"])
def test_demo_on_a_file_of_the_user(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = small_file(tmp_path / "small.npz")
    status, out, _ = run(capsys, "demo", "--model", model, "--data", data, "--epochs", 12, "--batch", 32)
    assert status == 0
    assert "160 training, 20 validation, 20 test images; batches of 32" in out
    for part in ("test error", "time per training step", "12 epochs done, step 60", "copied in, per step"):
        assert part in out, part
    assert "0.00%" in out
    assert max(map(len, (line for line in out.splitlines() if not line.startswith("  ")))) <= 100


def test_demo_shows_a_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = small_file(tmp_path / "small.npz")
    status, out, _ = run(capsys, "demo", "--data", data, "--stage", "givens")
    assert status == 0
    assert "train_x" in out and "test error" not in out


def test_demo_lines_are_those_of_the_program(tmp_path: Path) -> None:
    options = show.Options(data=small_file(tmp_path / "small.npz"), target="reference")
    program, _ = show.compiled(options)
    assert program.model.cost.line is not None
    assert program.model.cost.line.file == models.__file__


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "expected an .npz file with the arrays 'x' (images) and 'y' (labels)"),
        ({"x": np.zeros((20, 4)), "y": np.zeros(19, int)}, "x has shape (20, 4) and y (19,)"),
        ({"x": np.zeros((4, 4)), "y": np.zeros(4, int)}, "4 rows cannot be split"),
        ({"x": np.zeros((20, 4)), "y": np.zeros(20)}, "x is float64 and y float64"),
        ({"x": np.zeros((20, 4)), "y": np.full(20, -1)}, "labels are counted from 0, found -1"),
    ],
)
def test_demo_refuses_other_files(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "other.npz", **arrays)
    status, _, err = run(capsys, "demo", "--data", tmp_path / "other.npz")
    assert status == 2
    assert err.startswith("numgraph: cannot use the data: ") and message in err


def test_demo_without_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "demo", "--data", tmp_path / "none.npz")
    assert status == 2 and "none.npz" in err


@pytest.mark.parametrize("arguments", [["--batch", "0"], ["--epochs", "-1"], ["--rate", "fast"], ["--model", "gpt"]])
def test_demo_checks_its_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", *arguments])
    assert arguments[0] in capsys.readouterr().err


def test_shipped_digits() -> None:
    data = digits.load()
    assert (len(data.train), len(data.valid), len(data.test)) == (8000, 1000, 1000)
    assert (data.features, data.classes) == (784, 10)
    assert data.train.x.dtype == np.float32 and data.train.x.flags.c_contiguous
    assert data.train.x.max() == 1 and data.train.x.min() == 0
    assert set(np.unique(data.test.y)) == set(range(10))


def test_demo_logreg_reaches_its_error() -> None:
    result = show.run(show.Options(epochs=90), Console(quiet=True))  # the best is found in epoch 77 of 358
    assert result.test <= 0.11


@pytest.mark.slow
def test_demo_mlp_reaches_its_error() -> None:
    result = show.run(show.Options(model="mlp", epochs=12), Console(quiet=True))  # 40 by default, and 0.06
    assert result.test <= 0.075


# --------------------------------------------------------------------------------------------------- early stopping


class Scripted:
    """A program whose validation errors are given."""

    def __init__(self, errors: list[float], batches: int) -> None:
        self.errors, self.count, self.steps = errors, batches, 0

    def batches(self, part: str) -> range:
        return range(self.count)

    def train(self, index: int) -> float:
        self.steps += 1
        return float(self.steps)

    def error(self, part: str) -> float:
        if part == "test":
            return 0.5
        return self.errors[min(self.steps // self.count, len(self.errors)) - 1]


def trained(errors: list[float], batches: int, epochs: int, patience: int) -> training.Progress:
    return list(training.fit(Scripted(errors, batches), epochs, patience))[-1]  # type: ignore[arg-type]


def test_training_stops_when_nothing_improves() -> None:
    end = trained([0.5, 0.4, 0.4], batches=10, epochs=100, patience=25)
    assert (end.step, end.stopped) == (40, "no improvement")  # improved at 20, so until 40
    assert (end.best, end.best_step, end.test) == (0.4, 20, 0.5)


def test_training_keeps_its_patience_at_first() -> None:
    end = trained([0.5], batches=10, epochs=100, patience=35)
    assert (end.step, end.stopped) == (35, "no improvement")
    assert end.cost == np.mean(range(31, 36))


def test_a_tiny_improvement_does_not_lengthen_training() -> None:
    end = trained([0.5, 0.4999], batches=10, epochs=100, patience=25)
    assert end.step == 25
    assert end.best == 0.4999


def test_training_ends_after_the_last_epoch() -> None:
    end = trained([0.5, 0.4, 0.3], batches=10, epochs=3, patience=1000)
    assert (end.step, end.epoch, end.stopped) == (30, 3, "3 epochs done")


def test_short_patience_looks_more_often() -> None:
    steps = [now.step for now in training.fit(Scripted([0.5], 100), 1, 8)]  # type: ignore[arg-type]
    assert steps == [4, 8]


def test_progress_within_an_epoch() -> None:
    seen = [(now.step, now.best_step) for now in training.fit(Scripted([0.5], 4), 1, 100, every=-1.0)]  # type: ignore[arg-type]
    assert seen == [(1, 0), (2, 0), (3, 0), (4, 4)]


def test_demo_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = small_file(tmp_path / "small.npz")
    _, out, _ = run(capsys, "demo", "--data", data, "--epochs", 2, "--batch", 32, "--target", "reference")
    lines = out.splitlines()
    assert lines[0].startswith("reading ")
    assert "differentiating the cost and compiling the training step" in out
    assert "compiling the validation and the test" in out
    assert any(line.startswith("epoch   1  cost ") for line in lines) and "step 10 of at most 10" in out
    assert lines[-1].endswith(" demo --model logreg --stage listing")


# ------------------------------------------------------------------------------------------------------------ cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two functions, one of them with machine code of another processor too."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")
    x = ng.vector("x")
    with monkeypatch.context() as elsewhere:
        another = replace(native.processor(), triple="another one")
        elsewhere.setattr(native, "processor", lambda: another)
        ng.function([x], x * 2, name="double")
    for path in (tmp_path / "cache").glob("*.o"):
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    ng.function([x], x * 2, name="double")
    ng.function([x], x + 1)
    return tmp_path / "cache"


def test_cache_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "cache", "list")
    assert status == 0
    heading, columns, *rows = out.splitlines()
    assert heading.startswith("3 compiled functions in ")
    assert all(word in columns for word in ("function", "size", "last used", "usable here", "file"))
    assert [row.split()[0] for row in rows] in (["double", "return", "double"], ["return", "double", "double"])
    assert " no " in rows[-1] and all(" yes " in row for row in rows[:2])
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 40 * 86400)) in rows[-1]
    assert all(len(line) <= 100 for line in (columns, *rows))


def test_cache_list_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    _, out, _ = run(capsys, "cache", "list", "--json")
    rows = json.loads(out)
    assert [row["usable"] for row in rows] == [True, True, False]
    assert {row["path"] for row in rows} == {str(path) for path in folder.glob("*.o")}
    assert all(row["bytes"] == Path(row["path"]).stat().st_size for row in rows)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before, "looking is no use"


def test_cache_list_of_damage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = sorted(folder.glob("*.o"))
    for path in codes[:1]:
        path.write_bytes(b"garbage")
    for path in folder.glob("*.py"):
        if not codes[0].name.startswith(path.stem):
            path.unlink()
    rows = json.loads(run(capsys, "cache", "list", "--json")[1])
    usable = {Path(row["path"]).name: row["usable"] for row in rows}
    assert usable[codes[0].name] is False
    assert None in usable.values()


def test_cache_size(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = sum(path.stat().st_size for path in folder.iterdir())
    (folder / "other.txt").write_text("not counted")
    _, out, _ = run(capsys, "cache", "size")
    assert out.startswith("2 functions, 8 files, ")
    assert f"({total} bytes; at most 1.0 GiB) in {folder}" in out


def test_code_for_all_functions_is_no_function(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache.store("k_" + 20 * "1" + ".py", b'"""numgraph: dgemm_tile, for all functions"""\n')
    cache.store("k_" + 20 * "2" + ".ll", b"; numgraph: the pool of threads, for all functions\n")
    x = ng.vector("x")
    ng.function([x], x + 2, name="numgraph: mine, for all functions")
    heading = run(capsys, "cache", "list")[1]
    assert heading.startswith("4 compiled functions and 2 pieces of code for all functions in ")
    assert sum(row["for_all"] for row in json.loads(run(capsys, "cache", "list", "--json")[1])) == 2
    assert run(capsys, "cache", "size")[1].startswith("3 functions, 13 files, ")


def test_cache_clear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.txt").write_text("stays")
    _, out, _ = run(capsys, "cache", "clear", "--older-than", "30")
    assert out.startswith("removed 1 files, ")
    _, out, _ = run(capsys, "cache", "clear")
    assert out.startswith("removed 7 files, ") and str(folder) in out
    assert [path.name for path in folder.iterdir()] == ["other.txt"]
    assert run(capsys, "cache", "list")[1].startswith("0 compiled functions in ")


def test_cache_without_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "cache_dir", tmp_path / "none")
    for action, said in (
        ("list", "0 compiled functions"),
        ("size", "0 functions, 0 files, 0 bytes"),
        ("clear", "removed 0 files"),
    ):
        status, out, _ = run(capsys, "cache", action)
        assert status == 0 and out.startswith(said)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("arguments", [["cache"], ["cache", "empty"], ["cache", "clear", "--older-than", "-3"]])
def test_cache_checks_its_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 KiB"), (2**20, "1.0 MiB"), (5 * 2**30, "5.0 GiB")],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert cli.sized(count) == text
