"""`f.profile`: phases and counts, threads, scans, shared variables that stay as they were.

No test depends on how long anything takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import IndexOutOfRange, InputError, OptionError, ShapeError
from numgraph.explain import estimate
from numgraph.profiling.result import Profile
from numgraph.runtime import threads
from tests.profiles import FIGURES, assert_nested, kinds, ones, recurrent, training
from tests.waits import in_child, together


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on the same machine."""
    monkeypatch.setattr(estimate, "machine", lambda threads: FIGURES)
    monkeypatch.setattr(ng.config, "threads", 2)


# -- phases ---------------------------------------------------------------------------------------------------------


def test_phases_are_those_of_the_explanation() -> None:
    train, _ = training()
    found, told = train.profile(1, calls=3), train.explain(1)
    assert [p.name for p in found.phases] == [p.name for p in told.phases]
    for p, e in zip(found.phases, told.phases, strict=True):
        assert (p.makes, p.kind, p.flops, p.read, p.written) == (e.makes, e.kind, e.flops, e.read, e.written)
        assert p.predicted == e.together
        assert p.runs == 1
        assert f"def {p.name}(" in train.source
        assert p.least is not None and p.median is not None and 0 < p.least <= p.median
    assert found.calls == 3 and found.name == "train" and found.predicted == told.predicted
    assert sum(p.share for p in found.phases) <= 1
    assert all("profiles.py" in line for p in found.phases for line in p.lines)
    assert any(p.lines for p in found.phases)


def test_parts_of_a_call_add_up() -> None:
    train, _ = training()
    found = train.profile(1, calls=5)
    parts = found.plan + found.between + found.python + sum(p.mean for p in found.phases if not p.within)
    assert parts == pytest.approx(found.mean)
    assert found.least is not None and found.median is not None and found.least <= found.median <= found.total


def test_source_of_the_function_itself_is_as_before() -> None:
    train, _ = training()
    before = train.source
    train.profile(0, calls=1)
    assert train.source == before and "clock" not in before
    assert training()[0].source == before


def test_merged_phases_are_told_apart() -> None:
    x = ng.fvector("x")
    outputs = [ng.sum(ng.exp(x * k)) for k in range(1, 30)]
    chain = x
    for k in range(150):
        chain = ng.tanh(chain * (k + 1.5)) + 1
    f = ng.function([x], [*outputs, chain], name="long")
    found = f.profile(ones(9), calls=2)
    assert [p.name for p in found.phases] == [p.name for p in f.explain(ones(9)).phases]
    assert len(found.phases) > 1 and all(p.runs == 1 for p in found.phases)


def test_kernels_products_and_stages() -> None:
    x, y = ng.fmatrix("x"), ng.fmatrix("y")
    outputs = [ng.sort(x, axis=0), ng.dot(x, y), x[ng.nonzero(x[:, 0])[0]]]
    f = ng.function([x, y], outputs, name="several")
    found = f.profile(ones(30, 20), ones(20, 10), calls=2)
    assert [p.name for p in found.phases] == [p.name for p in f.explain(ones(30, 20), ones(20, 10)).phases]
    assert {"kernel", "product"} <= {p.kind for p in found.phases}
    assert any(p.name.startswith("phase_1_") for p in found.phases)  # of the second stage
    assert kinds(found.events)["step", "step_1"] == 2


def test_numbas_own_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", True)
    x = ng.fvector("x")
    found = ng.function([x], ng.sum(ng.exp(x)), name="plain").profile(ones(9), calls=1)
    assert [p.runs for p in found.phases] == [1, 1]


@pytest.mark.parametrize("length", [0, 1])
def test_empty_arguments(length: int) -> None:
    x = ng.fmatrix("x")
    f = ng.function([x], [ng.sum(ng.exp(x)), ng.dot(x, x.T)], name="empty")
    found = f.profile(ones(length, 3), calls=2)
    assert all(p.runs == 1 for p in found.phases)
    assert str(found) and Profile.from_json(found.to_json()) == found


def test_no_arguments_and_no_phases() -> None:
    found = ng.function([], [], name="nothing").profile(calls=2)
    assert found.calls == 2 and found.phases == []
    assert "call" in str(found)


def test_calls() -> None:
    x = ng.scalar("x")
    f = ng.function([x], x * 2, name="double")
    assert f.profile(1.0).calls >= 3
    assert f.stats.calls == 0
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="double: profile: calls must be a whole number from 1 on, not"):
            f.profile(1.0, calls=wrong)


def test_lengths_that_change_from_call_to_call() -> None:
    s = ng.shared(ones(2, 3), name="s")
    grow = ng.function([], s.sum(), updates=[(s, ng.concatenate([s, s[:1]]))], name="grow")
    found = grow.profile(calls=4)
    assert found.calls == 4 and s.get_value().shape == (2, 3)


# -- threads --------------------------------------------------------------------------------------------------------


def test_threads_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: other tests may have had the pool grow, and then more threads help by turns."""
    monkeypatch.setattr(threads, "_most", [0])
    assert in_child(threads_and_chunks) == 0


def threads_and_chunks() -> bool:
    """A pool of one thread besides the caller runs two chunks."""
    x, y = ng.fmatrix("x"), ng.fmatrix("y")
    f = ng.function([x, y], ng.tanh(ng.dot(x, y)), name="layer")
    found = f.profile(ones(300, 200), ones(200, 100), calls=4)
    assert {p.name: round(p.chunks) for p in found.phases} == {
        p.name: p.chunks for p in f.explain(ones(300, 200), ones(200, 100)).phases
    }
    for p in found.phases:
        assert p.chunks == 2 and sum(t.chunks for t in p.threads) == 2
        assert {t.thread for t in p.threads} <= {"caller", "thread 1"}
        assert p.balance is not None and 0 < p.balance <= 1
        assert p.peak == 200 and p.bandwidth
    chunks = [e for e in found.events if e.kind == "chunk"]
    assert len(chunks) == 2 * 2 * 4 and {e.chunk for e in chunks} == {0, 1}
    return True


def test_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "threads", 1)
    x = ng.fmatrix("x")
    found = ng.function([x], ng.tanh(x), name="alone").profile(ones(300, 200), calls=2)
    (phase,) = found.phases
    assert [t.thread for t in phase.threads] == ["caller"] and phase.balance is None


def test_from_several_threads_at_once() -> None:
    x = ng.fmatrix("x")
    f = ng.function([x], ng.tanh(ng.dot(x, x)), name="several")
    found: list[Profile] = []
    together(*[lambda: found.append(f.profile(ones(80, 80), calls=5))] * 3)
    assert len(found) == 3
    for profile in found:
        assert all(p.runs == 1 and sum(t.chunks for t in p.threads) == pytest.approx(p.chunks) for p in profile.phases)


# -- scans ----------------------------------------------------------------------------------------------------------


def test_scans() -> None:
    f = recurrent()
    found = f.profile(ones(7, 5, 8), ones(5, 8), calls=3)
    told = f.explain(ones(7, 5, 8), ones(5, 8))
    assert [p.name for p in found.phases if not p.within] == [p.name for p in told.phases]
    scans = [p for p in found.phases if p.kind == "scan"]
    assert len(scans) == 2
    for scan in scans:
        inner = [p for p in found.phases if p.within == scan.name]
        assert inner and all(p.runs == 7 and p.name.startswith(f"{scan.name}_part_") for p in inner)
        assert sum(p.mean for p in inner) <= scan.mean
        products = [p for p in inner if p.kind == "product"]
        assert all(p.flops == 7 * 2 * 5 * 8 * 8 for p in products)
    assert "runs" in str(found)


def test_scans_without_steps_and_within_scans() -> None:
    x = ng.fmatrix("x")

    def rows(row: Any) -> Any:
        return ng.scan(lambda v, acc: ng.tanh(acc + v), sequences=row, outputs_info=ng.cast(0, "float32"))[0]

    outer, _ = ng.scan(lambda row, total: total + rows(row)[-1], sequences=x, outputs_info=ng.cast(0, "float32"))
    f = ng.function([x], outer, name="nested")
    found = f.profile(ones(3, 4), calls=2)
    runs = {p.name: p.runs for p in found.phases}
    assert {1.0, 3.0, 12.0} <= set(runs.values()), runs
    inner = ng.function([x], ng.scan(lambda row, h: ng.tanh(h + row), sequences=x, outputs_info=x[0] * 0)[0][-1])
    with pytest.raises(IndexOutOfRange):
        inner.profile(ones(0, 3), calls=1)


def test_programs_that_keep_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "scan_memory", 2000)
    f = recurrent()
    (U,) = f.get_shared()
    before = U.get_value()
    found = f.profile(ones(40, 5, 8), ones(5, 8), calls=2)
    assert {p.runs for p in found.phases} > {1.0, 40.0}  # steps are made again
    assert (U.get_value() == before).all()


def test_until() -> None:
    limit = ng.scalar("limit")
    total, _ = ng.scan(lambda t: (t + 1, ng.until(t + 1 >= limit)), outputs_info=ng.constant(0.0), n_steps=50)
    found = ng.function([limit], total[-1], name="until").profile(9.0, calls=2)
    assert any(p.within and p.runs == 9 for p in found.phases)


# -- shared variables -----------------------------------------------------------------------------------------------


def test_shared_variables_stay() -> None:
    train, shared = training()
    first = train(0)
    before = [s.get_value() for s in shared]
    train.profile(1, calls=5)
    assert all((s.get_value() == old).all() for s, old in zip(shared, before, strict=True))
    again, _ = training()
    assert (again(0) == first).all() and (again(1) == train(1)).all()


def test_states_and_random_numbers_stay() -> None:
    stream = ng.random.RandomStream(seed=3)
    state, x = ng.scalar("state"), ng.scalar("x")
    draw = stream.uniform(size=(4,))
    f = ng.function([ng.In(state, value=1.0, update=state + x), x], [state, draw], name="draws")
    f.profile(x=2.0, calls=3)
    assert f[state] == 1.0
    twin = ng.random.RandomStream(seed=3)
    assert (f(x=2.0)[1] == ng.function([], twin.uniform(size=(4,)))()).all()
    assert f[state] == 3.0


def failing(kind: str) -> tuple[Any, tuple[Any, ...], type[Exception]]:
    x, k, n = ng.fmatrix("x"), ng.lvector("k"), ng.shared(0.0, name="n")
    s = ng.shared(np.arange(4.0), name="s")
    updates = [(n, n + 1), (s, s * 2)]
    if kind == "a length":
        f = ng.function([x, k], ng.sum(x[:, :3] + ng.cast(k, "float32")), updates=updates, name="f")
        return f, (ones(4, 9), np.arange(2)), ShapeError
    if kind == "an index":
        return ng.function([x, k], x[k], updates=updates, name="f"), (ones(4, 9), np.array([0, 7])), IndexOutOfRange
    return ng.function([x, k], x[k], updates=updates, name="f"), (ones(4, 9),), InputError


@pytest.mark.parametrize("kind", ["a length", "an index", "an argument"])
def test_failures_change_nothing(kind: str) -> None:
    f, arguments, error = failing(kind)
    shared = f.get_shared()
    before = [s.get_value() for s in shared]
    with pytest.raises(error):
        f.profile(*arguments, calls=3)
    assert all((s.get_value() == old).all() for s, old in zip(shared, before, strict=True))


def test_interrupts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interrupt comes does not matter: calls work on copies."""
    from numgraph.profiling import compiled

    train, shared = training()
    before = [s.get_value() for s in shared]

    def interrupted(_: Any) -> Iterator[int]:
        yield 0
        yield 1
        raise KeyboardInterrupt

    monkeypatch.setattr(compiled, "numbers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.profile(0)
    assert all((s.get_value() == old).all() for s, old in zip(shared, before, strict=True))
    monkeypatch.undo()
    assert train.profile(0, calls=1).calls == 1


def test_what_users_functions_raise() -> None:
    def refuse(x: float) -> float:
        if x > 2:
            raise ValueError("too much")
        return x

    x, n = ng.vector("x"), ng.shared(0.0, name="n")
    f = ng.function([x], ng.elementwise(numba.njit(refuse), x, grad=None), updates=[(n, n + 1)], name="f")
    with pytest.raises(Exception, match="too much"):
        f.profile([1.0, 3.0], calls=2)
    assert n.get_value() == 0
    assert f.profile([1.0, 2.0], calls=2).phases[0].runs == 1


def test_prints_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    x = ng.scalar("x")
    f = ng.function([x], ng.Print("seen")(x) * 2, name="printing")
    assert f.profile(1.0, calls=2).calls == 2
    assert capsys.readouterr().out == ""
    assert f(1.0) == 2 and "seen" in capsys.readouterr().out


# -- other targets --------------------------------------------------------------------------------------------------


def test_reference() -> None:
    train, shared = training("reference")
    before = [s.get_value() for s in shared]
    found = train.profile(0, calls=2)
    assert found.target == "reference" and found.calls == 2
    assert {p.kind for p in found.phases} == {"op"}
    assert Counter(name for p in found.phases for name in p.makes)["dot"] == 2
    assert all(p.runs == 1 and len(p.lines) <= 1 for p in found.phases)
    assert all((s.get_value() == old).all() for s, old in zip(shared, before, strict=True))
    assert max(map(len, str(found).splitlines())) <= 80 and "dot" in str(found)
    assert_nested(found.events)


def test_reference_of_scans() -> None:
    x = ng.vector("x")
    f = ng.function([x], ng.scan(lambda v, h: ng.tanh(h + v), sequences=x, outputs_info=x[0])[0], target="reference")
    found = f.profile(np.arange(5.0), calls=2)
    assert {p.runs for p in found.phases if p.within} == {5.0}


def test_simulated_devices_are_refused() -> None:
    x = ng.scalar("x")
    f = ng.function([x], x + 1, target="cuda-sim", name="next")
    with pytest.raises(OptionError, match='next runs on target "cuda-sim", whose kernels are not timed: the simulator'):
        f.profile(1.0)
