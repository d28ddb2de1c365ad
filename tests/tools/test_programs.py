"""The programs in bench/programs: each learns, and says what it has reached."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# name: (arguments for a short run, test error that it falls below; a guess is wrong in 90 %)
RUNS = {
    "gaussian_process": (["--points", "60", "--iterations", "20"], 0.25),
    "logistic_cg": (["--epochs", "8"], 0.17),
    "logistic_sgd": (["--epochs", "8"], 0.17),
    "mlp": (["--epochs", "2", "--hidden", "60", "--batch", "50"], 0.15),
}


def test_every_program_is_run() -> None:
    assert {path.stem for path in (ROOT / "bench" / "programs").glob("*.py")} == RUNS.keys() | {"__init__"}


@pytest.mark.parametrize("name", RUNS)
def test_program_learns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, bound = RUNS[name]
    program = importlib.import_module(f"bench.programs.{name}")
    error = program.main(arguments)
    assert 0 < error < bound
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"test error {error:.2%}")
    assert ("likelihood" if name == "gaussian_process" else "best validation error") in last


@pytest.mark.parametrize("name", RUNS)
def test_program_is_short_enough_to_be_read(name: str) -> None:
    assert 60 <= len((ROOT / "bench" / "programs" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 150
