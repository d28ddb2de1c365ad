"""The programs in bench/programs: each learns, says what it has reached, and runs from the command line."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from numgraph import cli
from numgraph.demo import programs
from numgraph.inspector.record import LIVE

ROOT = Path(__file__).parents[2]
# name: (arguments for a short run, what it returns lies between these); a guess at a digit is wrong in 90 %
RUNS = {
    "gaussian_process": (["--points", "60", "--iterations", "20"], 0.0, 0.25),
    "logistic_cg": (["--epochs", "8"], 0.0, 0.17),
    "logistic_sgd": (["--epochs", "8"], 0.0, 0.17),
    "mlp": (["--epochs", "2", "--hidden", "60", "--batch", "50"], 0.0, 0.15),
    "convolutional_mlp": (["--epochs", "1", "--filters", "6", "12", "--hidden", "60"], 0.0, 0.25),
    # cost of all-grey images: 784 log 2 = 543; of their mean: 206
    "dA": (["--epochs", "1", "--hidden", "100", "--rate", "0.2"], 60.0, 150.0),
    # pseudo-likelihood of pixels that are all independent: -206
    "rbm": (["--epochs", "1", "--hidden", "100", "--k", "3", "--rows", "2", "--between", "20"], -150.0, -80.0),
    # the first epochs learn nothing yet
    "lstm": (["--epochs", "10", "--size", "32", "--documents", "3000"], 0.0, 0.4),
    # samples, in standard deviations
    "hmc": (["--samples", "5000", "--warm", "300"], 0.0, 0.15),
    # a machine that has not learned plays no chord
    "rnnrbm": (["--epochs", "15", "--pieces", "60"], 0.05, 1.0),
    "cA": (["--epochs", "1", "--hidden", "100", "--rate", "0.02"], 60.0, 150.0),
    "SdA": (["--epochs", "2", "--pretraining", "1", "--hidden", "100"], 0.0, 0.2),
    "DBN": (["--epochs", "2", "--pretraining", "1", "--hidden", "100"], 0.0, 0.2),
    # sentences without a mistake; a network that says O for every word has none
    "rnnslu": (["--epochs", "3", "--sentences", "500"], 0.2, 1.01),
}
DRAWN = RUNS.keys() - {"gaussian_process", "logistic_cg", "logistic_sgd", "mlp"}


def test_every_program_is_run() -> None:
    there = {path.stem for path in (ROOT / "bench" / "programs").glob("*.py")} - {"__init__"}
    assert there == RUNS.keys()
    assert there == {*programs.NAMES, "mlp"}  # of mlp the demo has a version with a progress bar


@pytest.mark.parametrize("name", RUNS)
def test_program_learns(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, low, high = RUNS[name]
    program = importlib.import_module(f"bench.programs.{name}")
    file = tmp_path / "drawn.png"
    reached = program.main([*arguments, "--picture", str(file)] if name in DRAWN else arguments)
    assert low < reached < high
    said = capsys.readouterr().out
    last = said.splitlines()[-1]
    if name not in DRAWN:
        assert last.endswith(f"test error {reached:.2%}")
        assert ("likelihood" if name == "gaussian_process" else "best validation error") in last
        return
    assert "expected" in last and any(f"{reached:{form}}" in last for form in (".1f", ".2f", ".1%", ".2%", ".3f"))
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        assert f"{file} is not drawn" in said
    else:
        assert f"picture: {file}" in said and file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", RUNS)
def test_program_is_short_enough_to_be_read(name: str) -> None:
    assert 60 <= len((ROOT / "bench" / "programs" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 150


def test_a_machine_learns_from_chains_that_begin_at_the_minibatch(tmp_path: Path) -> None:
    options = ["--epochs", "1", "--hidden", "100", "--k", "1", "--contrastive", "--rows", "1", "--between", "5"]
    reached = importlib.import_module("bench.programs.rbm").main([*options, "--picture", str(tmp_path / "drawn.png")])
    assert -150 < reached < -80


def test_mask_is_never_stored(tmp_path: Path) -> None:
    with LIVE.held() as functions:
        options = ["--epochs", "1", "--hidden", "5", "--batch", "2000", "--picture", str(tmp_path / "drawn.png")]
        importlib.import_module("bench.programs.dA").main(options)
    _, source = (f.source for f in functions if f.record.name == "train")
    (drawn,) = (line for line in source.splitlines() if "uniform_f32(key" in line)
    # what is written is the product with the pixel
    assert re.search(r"= x_\d+ \* float32\(uniform_f32\(key", drawn)


@pytest.mark.parametrize(
    ("name", "options"),
    [("lstm", ["--documents", "320", "--size", "8"]), ("rnnslu", ["--sentences", "50", "--window", "3"])],
)
def test_lengths_are_not_compiled_anew(name: str, options: list[str], tmp_path: Path) -> None:
    with LIVE.held() as functions:
        picture = ["--picture", str(tmp_path / "drawn.png")]
        importlib.import_module(f"bench.programs.{name}").main(["--epochs", "1", *options, *picture])
    assert len(functions) == 2 and functions[0].stats.calls >= 20
    assert [len(f.executor.variants) for f in functions] == [1, 1]


def test_demo_runs_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(tmp_path / "drawn.png")
    assert cli.main(["demo", "--model", "dA", "--epochs", "1", "--", "--hidden", "5", "--picture", picture]) == 0
    assert "corruption 30%, epoch   1: cost" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--stage", "source"], ["--data", "digits.npz"]])
def test_demo_refuses_what_programs_do_not_have(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--model", "dA", *option]) == 2
    assert f"{option[0]} is for logreg and mlp" in capsys.readouterr().err
