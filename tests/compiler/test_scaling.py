"""How compiling grows with a program: counted, not timed."""

from __future__ import annotations

import cProfile
import json
import math
from pathlib import Path
from typing import Any

import pytest

import numgraph as ng
from bench import scaling
from bench.__main__ import main
from numgraph.compile import printed
from numgraph.program import build_program
from numgraph.runtime.fastcall import FastCall

# Sizes so large that what is done once hardly counts; a chain is counted in operations.
SIZES = {"chain": 120, "gradient of a chain": 60, "doubled bound": 40}


def counts(family: scaling.Family, size: int) -> dict[str, int]:
    """Calls of functions, nodes and characters that it takes to build, schedule and print a program."""
    program = build_program(*family.make(size))
    profile = cProfile.Profile()
    profile.enable()
    found = printed(program)
    profile.disable()
    calls = sum(entry.callcount for entry in profile.getstats())
    return {"calls": calls, "nodes": found.schedule.graph.count, "text": len(found.module.text)}


@pytest.mark.parametrize("family", scaling.FAMILIES, ids=lambda f: f.name)
def test_twice_the_program_takes_twice_the_work(family: scaling.Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added by the second doubling is twice what the first added, where work grows in proportion."""
    # the proof of a schedule is no part of compiling
    monkeypatch.setattr(ng.config, "verify", False)
    size = SIZES.get(family.name, 12)
    small, middle, large = (counts(family, n) for n in (size, 2 * size, 4 * size))
    for what in small:
        grown = (large[what] - middle[what]) / (middle[what] - small[what])
        assert grown < 2.5, (what, small[what], middle[what], large[what])


def test_the_call_of_many_inputs_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python code of a call names each argument a few times."""
    lengths: list[int] = []
    kept = FastCall.build

    def build(self: FastCall) -> Any:
        result = kept(self)
        lengths.append(len("\n".join(self.lines)))
        return result

    monkeypatch.setattr(FastCall, "build", build)
    for size in (30, 60):
        xs = [ng.scalar(f"x{k}") for k in range(size)]
        ng.function(xs, ng.stack(xs))
    assert lengths[1] < 2.2 * lengths[0]


def test_slopes() -> None:
    assert scaling.slope({1: 1.0, 2: 4.0, 4: 16.0}) == pytest.approx(2)
    assert scaling.slope({10: 3.0, 20: 6.0}) == pytest.approx(1)
    assert math.isnan(scaling.slope({3: 1.0}))
    assert scaling.sizes_of(scaling.FAMILIES[0], 3, 0.01) == [12, 24, 48]


def test_the_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder, out = ng.config.cache_dir, tmp_path / "figures.json"
    assert (
        main(["scaling", "--only", "updates", "--only", "diff", "--steps", "3", "--scale", "0.01", "--json", str(out)])
        == 0
    )
    assert ng.config.cache_dir == folder
    shown = capsys.readouterr().out
    found = json.loads(out.read_text("utf-8"))
    assert [f["family"] for f in found] == ["diff", "ring of updates", "independent updates"]
    for family in found:
        assert family["family"] in shown
        assert list(family["seconds"]) == [str(n) for n in sorted(map(int, family["seconds"]))]
        assert len(family["seconds"]) == 3
        assert all(f"{int(size):,}: {seconds:.2f}" in shown for size, seconds in family["seconds"].items())
        assert f"{family['exponent']:.2f}" in shown
