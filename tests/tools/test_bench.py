"""The benchmark suite: every side gives the right numbers, wrong and absent ones are reported, pages show all of it."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import (
    byhand,
    draws,
    figures,
    fresh,
    limits,
    machine,
    peers,
    problems,
    readme,
    report,
    suite,
    tables,
    targets,
    worker,
)
from bench.__main__ import main, parser, plan
from bench.cases import STARTS, Case, cases
from bench.peers import PEERS, Peer
from bench.pool import Pool, environment
from bench.problems import KINDS
from bench.suite import Settings
from numgraph.config import config

ROOT = Path(__file__).parents[2]
TINY = [case.tiny() for case in cases(2) if not case.series]


def results(case: Case, name: str) -> list[np.ndarray]:
    """What a peer gives, as its worker tells."""
    return worker.Bench(PEERS[name], 1).build(case.kind, case.full_sizes(), case.way, case.checked, 2)[1]


@pytest.mark.parametrize("name", ["numpy", "numgraph"])
# compiling mlp once more for a batch of 1 would take a tenth of all the time
@pytest.mark.parametrize("case", [c for c in TINY if "mlp step, batch 1" not in c.name], ids=lambda case: case.name)
def test_results_agree_with_the_reference(case: Case, name: str) -> None:
    try:
        got = results(case, name)
    except peers.NotOffered:
        assert name == "numgraph" and case.way == "sweep"
        return
    assert problems.difference(case.kind, got, problems.expected(case.kind, case.full_sizes(), case.checked)) == ""


@pytest.mark.parametrize("name", ["numgraph", "numgraph-sim"])
def test_numgraph_is_found_as_it_is_installed(name: str) -> None:
    """Every program of the benchmark begins so; an environment of another day may hold an old name as well."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    peer = (peers.PEERS | peers.GPU_PEERS)[name]
    assert peer.packages[0] == project["name"]
    assert worker.Bench(peer, 1).hello()[project["name"]] == project["version"]


def test_gradients_of_long_chains_agree() -> None:
    """numgraph's, and the reference's own against central differences."""
    case = Case("", "", "gradient", {"K": 8, "N": 5})
    want = problems.expected("gradient", case.full_sizes(), 1)
    assert problems.difference("gradient", results(case, "numgraph"), want) == ""
    v = problems.data("gradient", case.full_sizes())[0].astype(float)
    slope = (problems.links(np, 8, v + 1e-6) - problems.links(np, 8, v - 1e-6)) / 2e-6
    np.testing.assert_allclose(want[0], slope, 1e-6)


@pytest.mark.parametrize("kind", ["logreg", "mlp"])
def test_the_reference_descends_along_the_gradient(kind: str) -> None:
    """One step moves each parameter by its rate times the central difference of the cost."""
    sizes = Case("", "", kind).tiny().sizes
    x, y = (a[: sizes["B"]] for a in problems.data(kind, sizes))
    start = [p.astype(float) for p in problems.start(kind, sizes)]

    def cost(params: list[np.ndarray]) -> float:
        h = x.astype(float) if kind == "logreg" else np.tanh(x.astype(float) @ params[0] + params[1])
        z = h @ params[-2] + params[-1]
        likelihood = z[np.arange(len(y)), y] - np.log(np.exp(z).sum(axis=1))
        penalty = 0 if kind == "logreg" else problems.L2 * sum((p**2).sum() for p in params[::2])
        return float(penalty - likelihood.mean())

    costs, *moved = problems.expected(kind, sizes, 1)
    assert costs[0] == pytest.approx(cost(start), rel=1e-12)
    for k, p in enumerate(start):
        place = tuple(n // 2 for n in p.shape)
        sides = []
        for sign in (1e-5, -1e-5):
            shifted = [q.copy() for q in start]
            shifted[k][place] += sign
            sides.append(cost(shifted))
        slope = (sides[0] - sides[1]) / 2e-5
        assert (p - moved[k])[place] / problems.RATES[kind] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("change", [1e-2, np.nan, None])
def test_differences_are_found(change: float | None) -> None:
    sizes = {"B": 4, "R": 8, "F": 3, "C": 2}
    want = problems.expected("logreg", sizes, 2)
    got = [a.copy() for a in want]
    if change is None:
        assert "shape" in problems.difference("logreg", [got[0], got[1][:1], got[2]], want)
        assert "results" in problems.difference("logreg", got[:2], want)
    else:
        got[1][2, 1] += change
        assert "result 1 at (2, 1)" in problems.difference("logreg", got, want)


def test_formulas_count() -> None:
    sizes = {"B": 2, "R": 10, "F": 3, "C": 5, "H": 7}
    assert KINDS["logreg"].work("4*B*F*C", sizes) == 120
    for kind in KINDS.values():
        for formula in (kind.flops, kind.bytes, kind.footprint):
            assert kind.work(formula, kind.sizes) >= 0


@pytest.fixture
def wrong_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that is off by one in the workers, which are asked in this process."""
    monkeypatch.setitem(byhand.FUNCTIONS, "sum_axis0", lambda x: lambda x: np.sum(x, axis=0) + 1)


class Local(Pool):
    """A pool whose workers are objects of this process."""

    def worker(self, name: str) -> Any:
        if name not in self._workers:
            bench = worker.Bench(PEERS[name], 1)

            class Direct:
                ended = None

                def send(self, *command: Any) -> None:
                    self.got = worker.answer(bench, command)

                def receive(self, limit: float) -> tuple[str, Any]:
                    return self.got

                def ask(self, limit: float, *command: Any) -> tuple[str, Any]:
                    return worker.answer(bench, command)

                def close(self) -> None:
                    pass

            self._workers[name] = Direct()  # type: ignore[assignment]
        return self._workers[name]


def tiny_settings(**changes: Any) -> Settings:
    return replace(Settings(("numpy",), repeats=2, least=1e-4, measure_limits=False), **changes)


def by_name(made: dict[str, Any]) -> dict[str, Any]:
    return {case["name"]: case for case in made["cases"]}


@pytest.mark.usefixtures("wrong_numpy")
def test_a_wrong_peer_is_reported_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "Pool", Local)
    chosen = [case for case in TINY if case.name.startswith("sum over")]
    found = by_name(suite.run(chosen, [], tiny_settings()))
    assert found["sum over axis 0"]["results"]["numpy"]["status"] == "wrong"
    assert "result 0 at (0,)" in found["sum over axis 0"]["results"]["numpy"]["why"]
    assert "values" not in found["sum over axis 0"]["results"]["numpy"]
    assert found["sum over axis 1"]["results"]["numpy"]["status"] == "timed"


def test_workers_absent_peers_and_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """In real processes: a peer that is there, and one whose package nobody has."""
    absent = Peer("absent", "Absent", "with_absent", ("numgraph-no-such-package",))
    monkeypatch.setitem(PEERS, "absent", absent)
    chosen = [case for case in TINY if case.name in ("logreg step, batch 20", "softmax rows")]
    starts = [replace(STARTS[0].tiny(), warm=0)]
    with Pool(["numpy"], 1, 30.0) as pool:
        real = pool.worker("numpy")
        assert real.ask(30.0, "hello") == ("ok", {"numpy": np.__version__})
        assert real.ask(30.0, "build", "nonsense", {}, "call", 1, 1)[0] == "failed"
        assert real.ask(30.0, "build", "scalar", {}, "call", 1, 1)[0] == "ok"
        assert real.ask(0.1, "measure", 1e9)[0] == "too slow"  # it was to take 30 years
        assert real.ask(30.0, "hello")[0] == "too slow"  # it is gone
        assert pool.worker("numpy") is not real
    monkeypatch.setattr(suite.Suite, "_ask_versions", asked_in_this_process)
    made = suite.run(chosen, starts, tiny_settings(peers=("numpy", "absent")))
    assert made["peers"]["absent"]["status"] == "not installed"
    for case in made["cases"]:
        assert case["results"]["absent"]["status"] == "not installed"
    found = by_name(made)
    assert len(found["softmax rows"]["results"]["numpy"]["values"]) == 2
    assert found["first result, empty cache (logreg)"]["results"]["numpy"]["values"][0] > 0
    assert "Absent: not installed (numgraph-no-such-package is not installed)" in tables.remarks(made)


def test_what_was_measured_before_ctrl_c_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "Pool", Local)
    interrupted = suite.Suite._case

    def case(self: suite.Suite, case: Case, pool: Pool) -> dict[str, Any]:
        if case.name == "sum over axis 1":
            raise KeyboardInterrupt
        return interrupted(self, case, pool)

    monkeypatch.setattr(suite.Suite, "_case", case)
    made = suite.run([case for case in TINY if case.name.startswith("sum over")], [], tiny_settings())
    assert list(by_name(made)) == ["sum over axis 0"]
    assert "The run was interrupted: cases are missing." in tables.remarks(made)


def asked_in_this_process(self: suite.Suite, pool: Pool) -> None:
    """As `Suite._ask_versions`; a worker process would not know the peer that the test has made up."""
    for name in self.settings.peers:
        status, content = worker.answer(worker.Bench(PEERS[name], 1), ("hello",))
        found = {"versions": content} if status == "ok" else {"why": content}
        self.peers[name] = {"label": PEERS[name].label, "status": status, **found}


def test_calls_go_on_where_they_stopped() -> None:
    log: list[int] = []
    program = peers.Program(log.append, [(k,) for k in range(3)], "")
    run = worker.calls(program)
    run(2)
    run(2)
    assert log == [0, 1, 2, 0]
    run(30)
    assert len(log) == 34


def test_measurements_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    pool = Pool(["a", "b", "c"], 1, 1.0)

    class Turn:
        def __init__(self, name: str) -> None:
            self.name = name

        def ask(self, limit: float, *command: Any) -> tuple[str, Any]:
            log.append(self.name)
            return ("failed", "why") if self.name == "c" else ("ok", 1.0)

    pool._workers = {n: Turn(n) for n in "abc"}  # type: ignore[misc, assignment]
    got = pool.in_turn(["a", "b", "c"], 0.0, 3)
    assert got == {"a": [1.0] * 3, "b": [1.0] * 3, "c": ("failed", "why")}
    assert "".join(log) == "abc" + "ab" + "ab"
    log.clear()
    assert pool.in_turn(["a", "b"], 0.0, 9, patience=0.0) == {"a": [1.0] * 3, "b": [1.0] * 3}


def figure(least: float, unit: str = "s") -> dict[str, Any]:
    return {"status": "timed", "values": [2 * least, least, 3 * least], "how": "some way"}


def small_report() -> dict[str, Any]:
    """One of everything: a win, a loss, missing peers, curves, memory."""

    def case(name: str, group: str, ours: float, **more: Any) -> dict[str, Any]:
        base = {"name": name, "group": group, "kind": "logreg", "way": "call", "series": "", "at": 0, "threads": 2}
        base |= {"unit": "s", "text": "what it is", "sizes": {"B": 20}, "flops": 10, "bytes": 20, "limit": 1e-6}
        base |= {"limited_by": "FLOP"}
        base |= {"formulas": {"flops": "B", "bytes": "2*B"}, "tolerance": {"relative": 1e-5, "absolute": 0.0}}
        base["results"] = {"numgraph": figure(ours), "numpy": figure(4e-6), "jax": {"status": "wrong", "why": "is 3"}}
        return base | more

    rates = {"1": {"4096": 1e10}, "2": {"4096": 2e10}}
    return {
        "format": suite.FORMAT,
        "machine": {"processor": "2 x Z80", "numpy": "2.4"},
        "settings": {"threads": 2, "repeats": 3, "least": 0.03, "limit": 120.0, "full": False},
        "began": "2026-01-01T00:00:00+00:00",
        "minutes": 9.5,
        "load": {"before": 3.0, "after": 0.1},
        "limits": {"read": rates, "copy": rates, "flops": {"1": 1e10, "2": 2e10}, "calls": {"1": 2e7}},
        "peers": {
            "numgraph": {"label": "numgraph", "status": "ok", "versions": {"numgraph": "0.1"}},
            "numpy": {"label": "NumPy by hand", "status": "ok", "versions": {"numpy": "2.4"}},
            "jax": {"label": "JAX", "status": "ok", "versions": {"jax": "0.10"}},
            "torch": {"label": "PyTorch eager", "status": "not installed", "why": "torch is not installed"},
        },
        "cases": [
            case("logreg step, batch 600", "steps", 2e-6),
            case("softmax rows", "arrays", 8e-6),
            *(case(f"logreg step, {n} rows", "scaling", n * 1e-8, series="rows", at=n) for n in (100, 1000)),
            *(case(f"{n} threads", "threads", 1e-6 / n, series="threads: mlp", at=n) for n in (1, 2)),
            case("compile, logreg", "compilation", 1e-6, limit=None),
            case("peak memory, mlp step", "memory", 1e8, unit="B", limit=None),
        ],
    }


def test_figures() -> None:
    cases = by_name(small_report())
    found = figures.compare(cases["logreg step, batch 600"])
    assert found is not None
    assert found.peer == "numpy"
    assert found.ratio == found.least == pytest.approx(0.5)
    assert found.pairs == figures.Spread(*(pytest.approx(0.5),) * 4)  # type: ignore[arg-type]
    assert figures.over_limit(cases["logreg step, batch 600"]) == pytest.approx(2)
    assert figures.compare(cases["softmax rows"], among=("jax",)) is None
    assert [figures.amount(x, "s") for x in (1.5e-9, 2.3456e-5, 0.12, 61)] == ["1.50 ns", "23.5 µs", "120 ms", "61.0 s"]
    assert figures.amount(3.1e8, "B") == "310 MB"


def test_the_ratio_of_a_case_is_that_of_its_rounds() -> None:
    """Least values may come of different rounds; the ratio lies within its quartiles whatever happens."""
    case = small_report()["cases"][0]
    case["results"] = {
        name: {"status": "timed", "values": values}
        for name, values in (("numgraph", [1.0, 9.0, 8.0]), ("numpy", [4.0, 6.0, 4.0]), ("torch", [3.0, 7.0, 7.0]))
    }
    found = figures.compare(case)
    assert found is not None
    assert (found.peer, found.ratio, found.least) == ("numpy", 1.5, 0.25)
    assert found.pairs.low <= found.ratio <= found.pairs.high


def test_no_library_gets_the_settings_of_who_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE" not in environment(1)
    assert "OPENBLAS_CORETYPE=Haswell" in machine.unset()
    report = small_report() | {"unset": machine.unset()}
    assert any("OPENBLAS_CORETYPE=Haswell" in text for text in tables.remarks(report))


def test_targets_are_judged() -> None:
    outcomes = {o.target.case: o for o in targets.judge(small_report())}
    assert len(outcomes) == len(targets.TARGETS)
    assert (outcomes["logreg step, batch 600"].met, outcomes["softmax rows"].met) == (True, False)
    assert outcomes["softmax rows"].reached == "2.00"
    assert (outcomes["chain and sum"].met, outcomes["chain and sum"].reached) == (None, "not measured")


def test_every_target_names_a_case() -> None:
    known = {case.name for case in cases(2)} | {name for start in STARTS for name, _, _ in suite.shown(start)}
    assert {target.case for target in targets.TARGETS} <= known
    assert {n for target in targets.TARGETS for n in target.among or ()} <= set(PEERS)


def test_limits_take_the_slower_of_work_and_bytes() -> None:
    found = small_report()["limits"]
    told = [
        limits.least_seconds(found, 20, 20, 4096, "read", 2),
        limits.least_seconds(found, 20, 60, 4096, "read", 2),
        limits.least_seconds(found, 200, 20, 4096, "copy", 1, called=True),
    ]
    assert [reason for _, reason in told] == ["FLOP", "bandwidth", "latency"]
    assert [seconds for seconds, _ in told] == pytest.approx([1e-9, 3e-9, 5e-8])
    assert limits.better({"a": {"b": 1}}, {"a": {"b": 2}}) == {"a": {"b": 2}}


def test_memory_is_told() -> None:
    peak = fresh.peak_memory()
    assert peak is None or 10e6 < peak < 100e9


def test_options() -> None:
    settings, chosen, starts = plan(parser().parse_args(["--quick", "--only", "mlp", "--threads", "2"]))
    assert settings.repeats == 4
    assert chosen and all("mlp" in case.name for case in chosen)
    assert not starts
    with pytest.raises(SystemExit, match="there is no theano"):
        plan(parser().parse_args(["--peers", "numpy,theano"]))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole command on one small case, without measuring the machine."""
    monkeypatch.setattr(suite.Suite, "_know_limits", lambda self: None)
    path = tmp_path / "report.json"
    assert main(["--quick", "--peers", "numpy", "--only", "two small vectors", "--json", str(path)]) == 0
    made = json.loads(path.read_text())
    assert [case["name"] for case in made["cases"]] == ["call with two small vectors"]
    assert len(made["cases"][0]["results"]["numpy"]["values"]) == 4
    assert made["machine"]["numpy"] == np.__version__
    shown = capsys.readouterr().out
    assert "small" in shown and "targets" in shown


def test_draws(capsys: pytest.CaptureFixture[str]) -> None:
    """The small benchmark of random numbers, once, tiny: a positive time for numgraph and for NumPy."""
    before = config.threads
    try:
        assert main(["draws", "--count", "50", "--repeats", "1"]) == 0
    finally:
        config.threads = before
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(lines) == len(draws.ROWS) and all(float(line[-2]) > 0 < float(line[-1]) for line in lines)


def test_readme_table(tmp_path: Path) -> None:
    path, source = tmp_path / "README.md", tmp_path / "report.json"
    source.write_text(json.dumps(small_report()))
    path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    assert main(["readme", str(source), str(path)]) == 0
    text = path.read_text()
    assert text.startswith(f"before\n{readme.BEGIN}\n| case |") and text.endswith(f"{readme.END}\nafter\n")
    times = "8.00 µs (16.0 µs) | NumPy by hand 4.00 µs (8.00 µs)"
    assert f"| softmax rows | {times} | **2.00** (2.00 to 2.00) | 2.00 | 8.0, FLOP |" in text
    assert "JAX 0.10, PyTorch eager (not installed)." in text
    assert "old" not in text
    with pytest.raises(ValueError, match="expected the lines"):
        readme.fill(Path(__file__), small_report())


@pytest.mark.parametrize("arguments", [["report"], ["readme"]])
def test_files_without_figures(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, other = tmp_path / "broken.json", tmp_path / "other.json"
    broken.write_text("[1")
    other.write_text("[]")
    more = [str(tmp_path / "README.md")] if arguments == ["readme"] else []
    for path, said in ((tmp_path / "none.json", "cannot read"), (broken, "no figures in"), (other, "--json`")):
        with pytest.raises(SystemExit, match="2"):
            main([*arguments, str(path), *more])
        assert said in capsys.readouterr().err


def test_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    source, out = tmp_path / "report.json", tmp_path / "page.html"
    source.write_text(json.dumps(small_report()))
    assert main(["report", str(source), "--out", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert "src=" not in text and not re.search(r"url\((?!#)", text)
    assert text.count("<svg") == text.count("</svg>") == 6  # ratios, limits, rows, threads, compilation, memory
    assert "<b>5</b> of 8 comparisons, and behind in <b>3</b>" in text
    assert "<span class=win>0.50</span>" in text and "<span class=loss>2.00</span>" in text
    assert "PyTorch eager: not installed" in text and "JAX wrong: is 3 (in logreg step, batch 600; softmax rows" in text
    assert "<td class='win'>met</td>" in text and "<td class='loss'>not met</td>" in text
    assert not re.search(r'id="[a-z]+_1"', text)  # it would be there once per plot


def test_page_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = report.page(small_report())
    assert "matplotlib is not installed" in text and "<svg" not in text
    assert "<span class=win>0.50</span>" in text


def test_the_readme_has_the_marks() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1
