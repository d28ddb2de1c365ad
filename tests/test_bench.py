"""The benchmark: both sides agree, and the timing alternates fairly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import byhand, cases, harness, readme
from bench.__main__ import main
from numgraph.demo.digits import Digits, Part


def few(rows: int = 130) -> Digits:
    """Random images in three parts; the last minibatch of 20 is shorter."""
    generator = np.random.default_rng(0)
    x = generator.random((rows, 784), np.float32)
    y = generator.integers(0, 10, rows).astype(np.int32)
    part = Part(x, y)
    return Digits(part, part, part, 10)


@pytest.mark.parametrize("model", ["logreg", "mlp"])
def test_both_sides_agree(model: str) -> None:
    case = cases.Case(model, 20)
    program, step = cases.sides(case, few())
    cases.check(case, program, step)


def test_a_wrong_side_is_caught() -> None:
    case = cases.Case("logreg", 20)
    program, step = cases.sides(case, few())
    step.params[0][3, 4] += 0.01
    with pytest.raises(AssertionError, match="logreg/20"):
        cases.check(case, program, step)


@pytest.mark.parametrize("model", ["logreg", "mlp"])
def test_numpy_gradients_are_right(model: str) -> None:
    """One step by hand moves each weight by the central difference of the cost."""
    data = few(7).train
    generator = np.random.default_rng(1)
    shapes = {"logreg": [(784, 10), (10,)], "mlp": [(784, 6), (6,), (6, 10), (10,)]}[model]
    start = [generator.normal(0, 0.1, shape).astype("float32") for shape in shapes]

    def cost(params: list[np.ndarray]) -> float:
        x, y = data.x.astype(float), data.y
        h = x if model == "logreg" else np.tanh(x @ params[0] + params[1])
        z = h @ params[-2] + params[-1]
        likelihood = z[np.arange(len(y)), y] - np.log(np.exp(z).sum(axis=1))
        penalty = 0 if model == "logreg" else 1e-4 * sum((p**2).sum() for p in params if p.ndim == 2)
        return float(penalty - likelihood.mean())

    moved = [p.copy() for p in start]
    rate = 0.5
    returned = byhand.STEPS[model](moved, data, 7, rate)(0)
    assert returned == pytest.approx(cost([p.astype(float) for p in start]), rel=1e-5)
    for k, shape in enumerate(shapes):
        for place in [tuple(generator.integers(0, n) for n in shape) for _ in range(4)]:
            sides = []
            for sign in (1, -1):
                shifted = [p.astype(float) for p in start]
                shifted[k][place] += sign * 1e-5
                sides.append(cost(shifted))
            slope = (sides[0] - sides[1]) / 2e-5
            assert (start[k][place] - moved[k][place]) / rate == pytest.approx(slope, rel=2e-3, abs=2e-5)


def test_timing_alternates_and_runs_all_indices() -> None:
    log: list[tuple[str, int]] = []
    timing = harness.alternate(
        lambda index: log.append(("a", index)), lambda index: log.append(("b", index)), [0, 1], repeats=4, least=0.0
    )
    assert len(timing.numgraph) == len(timing.numpy) == 4
    assert log[8:] == [(side, index) for side in "abbaabba" for index in (0, 1)]  # after the warm-up


def test_summary() -> None:
    summary = harness.Timing([1e-6, 2e-6, 4e-6], [2e-6, 2e-6, 16e-6]).summary()
    assert summary["numgraph_min_us"] == pytest.approx(1)
    assert summary["numpy_median_us"] == pytest.approx(2)
    assert summary["ratio_median"] == pytest.approx(2)
    assert summary["ratio_min"] == pytest.approx(2)


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--only", "logreg/600", "--json", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["case"] for row in report["cases"]] == ["logreg/600"]
    assert report["cases"][0]["numpy_min_us"] > 0
    assert report["machine"]["numpy"] == np.__version__
    assert "logreg/600" in capsys.readouterr().out


def test_readme_table(tmp_path: Path) -> None:
    summary = harness.Timing([1e-6, 2e-6, 4e-6], [2e-3, 2e-3, 2e-3]).summary()
    report = {"machine": {"processor": "2 x Z80", "numpy": "2.4"}, "cases": [{"case": "mlp/20", **summary}]}
    path = tmp_path / "README.md"
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    readme.fill(path, report)
    assert path.read_text() == (
        f"before\n{readme.BEGIN}\n"
        "| model / rows | numgraph | NumPy by hand | NumPy / numgraph (quartiles) |\n"
        "|---|---|---|---|\n"
        "| mlp/20 | 1.0 (2.0) | 2,000 (2,000) | **1000.00** (750.00 to 1500.00) |\n"
        "\n"
        "processor 2 x Z80; numpy 2.4.\n"
        f"{readme.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="expected the lines"):
        readme.fill(Path(__file__).with_name("conftest.py"), report)


def test_the_readme_has_the_marks() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1
