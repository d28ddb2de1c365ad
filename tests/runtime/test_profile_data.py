"""What a profile is: data, traces, and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import numgraph as ng
from numgraph.explain import estimate
from numgraph.profiling.result import PhaseProfile, Profile
from numgraph.runtime import times
from tests.profiles import FIGURES, assert_nested, kinds, ones, recurrent, training


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on the same machine."""
    monkeypatch.setattr(estimate, "machine", lambda threads: FIGURES)
    monkeypatch.setattr(ng.config, "threads", 2)


def test_traces(tmp_path: Path) -> None:
    f = recurrent()
    found = f.profile(ones(4, 50, 8), ones(50, 8), calls=3)
    assert_nested(found.events)
    assert kinds(found.events)["call", "recurrent"] == 3
    assert kinds(found.events)["plan", "plan_0"] == kinds(found.events)["step", "step_0"] == 3
    found.trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["displayTimeUnit"] == "ns"
    complete = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    named = {(e["pid"], e["tid"]): e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert len(complete) == len(found.events)
    assert {e["ph"] for e in trace["traceEvents"]} == {"X", "M"}
    for e in complete:
        assert e.keys() == {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"}
        assert e["ts"] >= 0 and e["dur"] >= 0 and (e["pid"], e["tid"]) in named
    assert min(e["ts"] for e in complete) == 0
    whole = sum(e.duration for e in found.events) / 1000
    assert sum(e["dur"] for e in complete) == pytest.approx(whole)  # microseconds
    product = next(e for e in complete if e["cat"] == "phase" and e["args"].get("flops") == 2 * 50 * 8 * 8)
    assert product["args"]["makes"] and "profiles.py" in product["args"]["lines"][0]
    assert next(iter(named.values())) == "caller"


def test_no_more_events_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from numgraph.profiling import compiled

    monkeypatch.setattr(compiled, "EVENTS", 10)
    f = recurrent()
    found = f.profile(ones(20, 5, 8), ones(5, 8), calls=3)
    assert len([e for e in found.events if e.kind != "call"]) == 10 and found.left_out > 0
    assert any(p.runs == 20 for p in found.phases)
    assert f"{found.left_out:,} later ones are left out" in str(found).replace("\n", " ")
    assert_nested(found.events)


def test_more_threads_than_there_is_room_for() -> None:
    memory = times.Times(1, 1)
    memory.words[2] = 0
    times.reader().cost(memory.address, 0, 5)
    assert memory.words[4] == 5 and memory.words[0] == 0


def test_json_and_records() -> None:
    train, _ = training()
    found = train.profile(0, calls=2)
    assert Profile.from_json(found.to_json()) == found
    with pytest.raises(ValueError, match="a profile of format 99; this version of numgraph reads format 1"):
        Profile.from_json(found.to_json().replace('"format": 1', '"format": 99'))
    again = type(train.record).from_json(train.record.to_json(stages=()))
    assert again.profile is not None and again.profile["phases"][0]["name"] == "phase_0"
    assert Profile.from_plain(**again.profile).phases == found.phases
    with pytest.raises(KeyError, match="train has no phase 'phase_9'; there are: phase_0"):
        found.phase("phase_9")
    assert found.phase("phase_0") is found.phases[0]


def test_rates() -> None:
    phase = PhaseProfile("phase_0", median=10.0, flops=5000, read=100, written=300, predicted=4.0)
    assert (phase.gflops, phase.gbytes, phase.ratio) == (0.5, 0.04, 2.5)
    unknown = PhaseProfile("phase_0", median=10.0)
    assert (unknown.gflops, unknown.gbytes, unknown.ratio, unknown.balance) == (None, None, None, None)


@pytest.mark.parametrize("make", [lambda: recurrent().profile(ones(4, 5, 8), ones(5, 8), calls=2),
                                  lambda: training()[0].profile(0, calls=2)])  # fmt: skip
def test_text_fits_80_columns(make: Any) -> None:
    text = str(make())
    assert max(map(len, text.splitlines())) <= 80, text
    for part in ("phase_0", "predicted", "ratio", "GFLOP/s", "of peak", "plan", "between", "python", "timing a span"):
        assert part in text
