"""The benchmark's training steps of whole programs: the references, numgraph's steps, the checks and the command."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import peers, problems, training, worker
from bench.__main__ import main
from bench.cases import Case
from bench.kinds import Array, Sizes
from bench.peers import PEERS
from bench.training import command, epochs, reference
from numgraph.config import config

DRAWING = [kind for kind, about in training.KINDS.items() if about.drawn]
# enough units for a summary that is not mostly noise
SMALL = {"B": 20, "R": 400, "F": 60, "H": 40, "K": 3}


def sizes_of(kind: str) -> Sizes:
    return {k: SMALL[k] for k in training.KINDS[kind].sizes} if kind in DRAWING else Case("", "", kind).tiny().sizes


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    before = config.threads
    yield
    config.threads = before


@pytest.mark.parametrize("kind", training.KINDS)
def test_numgraph_agrees_with_the_reference(kind: str) -> None:
    sizes = sizes_of(kind)
    got = worker.Bench(PEERS["numgraph"], 1).build(kind, sizes, "call", 4, 2)[1]
    assert problems.difference(kind, got, problems.expected(kind, sizes, 4)) == ""


@pytest.mark.parametrize("kind", training.KINDS)
def test_the_reference_descends_along_the_gradient(kind: str) -> None:
    """One step moves each parameter by its rate times the central difference of the cost; what is drawn stays."""
    sizes = sizes_of(kind)
    start = [p.astype(float) for p in training.start(kind, sizes)]

    def after(state: list[Array]) -> tuple[Array, list[Array]]:
        return reference.trajectory(kind, sizes, state, 1, 3)[:2]

    _, moved = after(start)
    for k, p in enumerate(start if kind in training.COSTS else start[:3]):
        place = tuple(n // 2 for n in p.shape)
        sides = []
        for sign in (1e-5, -1e-5):
            shifted = [q.copy() for q in start]
            shifted[k][place] += sign
            sides.append(after(shifted)[0][0])
        slope = (sides[0] - sides[1]) / 2e-5
        assert (p - moved[k])[place] / training.RATES[kind] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("kind", training.KINDS)
def test_a_parameter_that_stays_is_found_at_full_size(kind: str) -> None:
    """The tolerance is less than what a few steps change."""
    sizes = training.KINDS[kind].sizes
    _, state, _ = reference.given(kind, sizes, 2)
    start = training.start(kind, sizes)
    for k in range(len(start)):
        got = [start[j] if j == k else p for j, p in enumerate(state)]
        rest = [np.zeros(2), *got, *([np.ones(3)] if kind in DRAWING else [])]
        want = [np.zeros(2), *state, *([np.ones(3)] if kind in DRAWING else [])]
        assert f"result {k + 1} at" in problems.difference(kind, rest, want)


@pytest.mark.parametrize("kind", DRAWING)
def test_the_summary_finds_wrong_draws(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other numbers pass, and units that are on too rarely do not."""
    sizes = training.KINDS[kind].sizes | {"R": 400}
    want = reference.summary(kind, sizes)
    assert problems.difference(kind, [reference.summary(kind, sizes, 8)], [want]) == ""
    right = reference.Numbers.__call__
    monkeypatch.setattr(reference.Numbers, "__call__", lambda self, p: right(self, p * p))
    assert "result 0" in problems.difference(kind, [reference.summary(kind, sizes, 9)], [want])


def test_given_numbers_are_not_near_the_probabilities() -> None:
    draw = reference.Numbers(0)
    p = np.linspace(0, 1, 100_001)
    ones = draw(p)
    assert abs(draw.kept[0] - p).min() > 0.9 * reference.MARGIN
    assert ones.mean() == pytest.approx(0.5, abs=0.01)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In real processes, tiny, one case and the compilation; a peer without it says so."""
    assert main("programs --tiny --repeats 2 --peers numgraph --only RNN --only compile --threads 1".split()) == 0
    shown = capsys.readouterr().out
    for title in ("RNN layer", "compile, LSTM layer", "compile, warm cache (LSTM layer)"):
        assert title in shown
    assert "CD-15" not in shown
    assert shown.count("numgraph  ") == 5
    with pytest.raises(SystemExit, match="there is no theano"):
        main(["programs", "--peers", "theano"])


def test_a_sweep_is_its_calls() -> None:
    for kind in ("cA", "deep", "rnn_layer"):
        sizes = sizes_of(kind)
        got = worker.Bench(PEERS["numgraph"], 1).build(kind, sizes, "sweep", 4, 2)[1]
        assert problems.difference(kind, got, problems.expected(kind, sizes, 4)) == ""


def test_tutorials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In real processes, tiny: the table is printed and written between the marks of a file."""
    path, figures = tmp_path / "tutorials.md", tmp_path / "figures.json"
    path.write_text(f"before\n{epochs.BEGIN}\nold\n{epochs.END}\nafter\n")
    options = f"--tiny --repeats 2 --peers numgraph --threads 1 --only cA --only fine-tuning --json {figures}"
    assert main(["tutorials", *options.split(), "--write", str(path)]) == 0
    lines = path.read_text().splitlines()
    assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
    assert lines[2].split(" | ")[3:7] == ["numgraph", "PyTensor", "JAX", "PyTorch"]
    assert [line.split(" | ")[:3] for line in lines[4:6]] == [
        ["| `cA`", "training", "800"],
        ["| `SdA`", "fine-tuning", "400"],
    ]
    assert "1 thread for each library" in lines[-3] and lines[4] in capsys.readouterr().out
    assert '"swept": 20' in figures.read_text()
    with pytest.raises(SystemExit, match="there is no theano"):
        main(["tutorials", "--peers", "theano"])


def test_an_epoch_is_the_least_step_times_its_steps() -> None:
    def timed(*values: float) -> dict[str, Any]:
        return {"status": "timed", "values": list(values)}

    results = {"numgraph": timed(2e-3, 1e-3), "jax": timed(2e-3), "torch": timed(4e-3), "torch.nn": timed(3e-3)}
    (row,) = [row for row in epochs.TABLE if row.program == "lstm"]
    case = {"name": row.case.name, "unit": "s", "results": results | {"pytensor": {"status": "too slow", "why": "n"}}}
    shown = epochs.line(row, case).split(" | ")
    assert shown[2:] == ["250", "250 ms", "n", "500 ms", "750 ms (PyTorch's own layer)", "0.50 |"]
    assert epochs.loaded({"load": {"before": 0.1, "after": 1.0}}).startswith("with nothing else to do")
    assert (
        epochs.loaded({"load": {"before": 7.0, "after": 8.0}})
        == "shared with other work, load 7.0 before and 8.0 after"
    )


@pytest.mark.parametrize("row", epochs.TABLE, ids=lambda row: row.case.name)
def test_rows_have_the_sizes_of_the_programs(row: epochs.Row) -> None:
    """The defaults of the program's command line, where it has these options."""
    program = import_module(f"bench.programs.{row.program}")
    given, sizes = vars(program.parser().parse_args([])), row.case.full_sizes()
    for option, letter in {"batch": "B", "hidden": "H", "size": "H", "k": "K"}.items():
        if option in given:
            assert given[option] == sizes[letter], option
    assert row.steps == {"lstm": given.get("documents", 0) // 16, "rnnslu": given.get("sentences")}.get(
        row.program, epochs.ROWS // sizes["B"]
    )


def test_the_docs_have_the_marks() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tutorials.md").read_text(encoding="utf-8")
    assert text.count(epochs.BEGIN) == text.count(epochs.END) == 1


def test_the_table_compares_with_the_fastest() -> None:
    def timed(*values: float) -> dict[str, Any]:
        return {"status": "timed", "values": list(values)}

    results = {"numgraph": timed(1e-3, 3e-3), "jax": timed(2e-3, 2e-3), "torch": timed(4e-3), "torch.nn": timed(9e-3)}
    case = {"name": "a case", "unit": "s", "results": results | {"pytensor": {"status": "wrong", "why": "is 3"}}}
    report = {"cases": [case], "peers": {}, "load": {"before": 0.0}}
    lines = command.text_of(report).splitlines()
    assert [line.split()[0] for line in lines[1:7]] == ["a", "numgraph", "JAX", "PyTorch", "PyTorch's", "PyTensor"]
    assert "numgraph takes 0.50 of the least, 1.00 of the median" in lines[3]
    assert "wrong" in lines[6] and "is 3" in lines[7]


def test_other_peers_do_not_offer_it() -> None:
    with pytest.raises(peers.NotOffered, match="no training steps with loops"):
        peers.build(PEERS["numpy"], "lstm_layer", sizes_of("lstm_layer"), 1)
    for kind in ("logreg", "mlp"):
        with pytest.raises(peers.NotOffered, match="no layer of that kind"):
            peers.build(peers.named("torch.nn"), kind, {}, 1)
