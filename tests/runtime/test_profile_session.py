"""`config.profile`: what is said of functions when the process ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import numgraph as ng
from numgraph.errors import OptionError
from numgraph.profiling import session
from numgraph.profiling.trace import write_trace
from tests.profiles import ones
from tests.waits import python

PROGRAM = """
import numpy as np
import numgraph as ng
x, n = ng.vector("x"), ng.shared(0.0, name="n")
f = ng.function([x], ng.sum(ng.exp(x)), updates=[(n, n + 1)], name="first")
g = ng.function([x], x + 1, name="never called")
h = ng.function([x], x * 2, name="by NumPy", target="reference")
for _ in range(5):
    f(np.ones(3))
f.sweep(x=np.ones((7, 3)))
h(np.ones(3))
del f
print("ends", n.get_value())
"""


def profiled(program: str, value: str) -> Any:
    return python("-c", program, env={**os.environ, "NUMGRAPH_PROFILE": value})


def test_a_table_at_the_end() -> None:
    ran = profiled(PROGRAM, "1")
    assert ran.stdout == "ends 12.0\n"
    rows = ran.stderr.splitlines()
    assert rows[0].startswith("numgraph: 2 functions, 13 calls")
    assert any(row.split()[:2] == ["first", "12"] for row in rows)
    assert any(row.split()[0] == "phase_0" and row.split()[2] == "12" for row in rows)
    assert any(row.split()[:6] == ["by", "NumPy", "on", "target", '"reference"', "1"] for row in rows)
    assert "never called" not in ran.stderr
    assert max(map(len, rows)) <= 80


def test_a_trace_at_the_end(tmp_path: Path) -> None:
    ran = profiled(PROGRAM, str(tmp_path / "trace.json"))
    assert ran.stderr == ""
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert sum(e["name"] == "phase_0" and e["cat"] == "phase" for e in trace["traceEvents"] if e["ph"] == "X") == 12


def test_functions_one_by_one() -> None:
    x = ng.fvector("x")
    plain = ng.function([x], x + 1)
    timed = ng.function([x], x + 1, profile=True, name="timed")
    assert "clock" in timed.source and "clock" not in plain.source
    assert (timed(ones(3)) == plain(ones(3))).all()
    (found,) = [p for p in session.profiles() if p.name == "timed"]
    assert found.calls == 1 and [p.runs for p in found.phases] == [1.0]
    session.WATCHED.clear()


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"profile must be True, False or a file NAME\.json, not 'yes'"):
        ng.config.profile = "yes"  # type: ignore[assignment]
    monkeypatch.setattr(ng.config, "profile", Path("a.json"))
    assert ng.config.profile == "a.json"
    assert "profile must be True, False" in profiled("import numgraph", "sometimes").stderr


def test_exported_modules_read_no_clock(tmp_path: Path) -> None:
    x = ng.fvector("x")
    timed = ng.function([x], ng.sum(ng.exp(x)), profile=True, name="exported")
    timed.export(tmp_path / "exported.py")
    assert "clock" in timed.source.lower()
    assert "clock_begin" not in (tmp_path / "exported.py").read_text() and "AT_CLOCK" in timed.source
    session.WATCHED.clear()


def test_pictures_of_several_functions(tmp_path: Path) -> None:
    """Each is a process of its own in a trace, on one line of time."""
    x = ng.fvector("x")
    found = [ng.function([x], x + k, name=f"add {k}").profile(ones(3), calls=2) for k in (1, 2)]
    write_trace(found, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    named = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    begins = {named[e["pid"]]: e["ts"] for e in reversed(events) if e.get("cat") == "call"}
    assert begins["add 1"] == 0 < begins["add 2"]


def test_theanos_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    from numgraph.compat import flags

    monkeypatch.setattr(ng.config, "profile", False)
    flags.config.profile = True
    assert ng.config.profile is True
    with flags.config.change_flags(profile="0"):
        assert ng.config.profile is False
    assert flags.config.profile is True
