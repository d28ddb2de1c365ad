"""A call that fails leaves every shared variable as it was; of a sweep, steps before the one that fails are done."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda.pool import Pool
from numgraph.errors import DeviceMemoryError, IndexOutOfRange, NumgraphError

TARGETS = ("reference", "cuda-sim")
A = np.array([1, 2, 3], "float32")


def states(make: Any, calls: list[Any], target: str) -> list[Any]:
    """After each call, what it gave or that it failed, and all shared values. A dict is a sweep."""
    f, shared = make(target)
    found = []
    for arguments in calls:
        try:
            result = f.sweep(**arguments) if isinstance(arguments, dict) else f(*arguments)
            told = [np.asarray(r).tolist() for r in result]
        except NumgraphError as error:
            told = [type(error).__name__]
        found.append((told, [s.get_value().tolist() for s in shared]))
    return found


def agree(make: Any, calls: list[Any]) -> list[Any]:
    want, got = (states(make, calls, target) for target in TARGETS)
    assert got == want
    return got


def counter_is_the_index(target: str) -> Any:
    x, s = ng.vector("x", "float32"), ng.shared(np.array([1]), "s")
    return ng.function([x], [x[s[0]] * 2], updates=[(s, s + 5)], target=target), [s]


def index_of_an_array(target: str) -> Any:
    x, s = ng.vector("x", "float32"), ng.shared(np.array([1]), "s")
    return ng.function([x], [ng.maximum(x, 0)[s % 5]], updates=[(s, s[s * 0][0] + s)], target=target), [s]


def scatter_beside_a_counter(target: str) -> Any:
    x, w, n = ng.vector("x", "float32"), ng.shared(np.zeros((4, 3), "float32"), "w"), ng.shared(np.int64(2), "n")
    return ng.function([x], [w[n, 0]], updates=[(w, ng.inc_subtensor(w[n], x)), (n, n + 1)], target=target), [w, n]


@pytest.mark.parametrize("make", [counter_is_the_index, index_of_an_array, scatter_beside_a_counter])
def test_scalars_beside_a_check(make: Any) -> None:
    """One thread checks the index and writes the new value: it must not write when the check fails."""
    found = agree(make, [(A,)] * 4)
    assert ["IndexOutOfRange"] in [told for told, _ in found]


def test_the_index_is_named_as_it_was() -> None:
    f, (s,) = counter_is_the_index("cuda-sim")
    f(A)
    with pytest.raises(IndexOutOfRange, match="index 6 is out of range for an axis of length 3"):
        f(A)
    assert s.get_value().tolist() == [6]


def rows_by_a_table(target: str) -> Any:
    w, table = ng.shared(np.zeros((4, 2), "float32"), "w"), ng.shared(np.array([0, 1, 9, 2]), "table")
    n, i = ng.shared(np.int64(0), "n"), ng.lscalar("i")
    picked = w[table[i]]
    updates = [(w, ng.inc_subtensor(picked, 1)), (n, n + 1)]
    return ng.function([i], [ng.sum(picked)], updates=updates, target=target), [w, n]


def test_a_sweep_stops_before_the_step_that_fails() -> None:
    found = agree(rows_by_a_table, [{"i": [1, 0, 3, 2, 0]}, {"i": [2, 0]}, {"i": [1, 1]}, {"i": [0, 9, 1]}])
    assert [told for told, _ in found][:2] == [["IndexOutOfRange"]] * 2
    assert found[0][1][1] == 3 and found[1][1][1] == 3


def drawn(seed: int) -> Any:
    """A program of counters, tables and indices that go out of range sooner or later."""

    def make(target: str) -> Any:
        choose = random.Random(seed)
        x, i = ng.vector("x", "float32"), ng.lscalar("i")
        n, m = ng.shared(np.int64(choose.randrange(3)), "n"), ng.shared(np.array([choose.randrange(3)]), "m")
        t, w = ng.shared(np.arange(5) % 4, "t"), ng.shared(np.arange(6, dtype="float32").reshape(3, 2), "w")
        numbers = [n, m[0], i, t[n], t[i], n + i, m[0] * 2, ng.sum(t) - 6, ng.cast(ng.sum(w[n]), "int64")]
        arrays = [t, m, t[:2] + n, m + i]
        picked = [x[choose.choice(numbers)], x[choose.choice(arrays)], w[choose.choice(numbers)]]
        picked += [ng.exp(x)[choose.choice(arrays)] * 2, w[choose.choice(numbers), 0]]
        outputs = choose.sample(picked, 2)
        whole = ng.cast(choose.choice(numbers), "int64")
        ways = [
            (n, n + choose.choice([1, 2])), (m, m + choose.choice([ng.cast(1, "int64"), whole])),
            (t, choose.choice([t[::-1], t + m[0], ng.set_subtensor(t[choose.choice(numbers)], whole)])),
            (w, ng.inc_subtensor(w[choose.choice(numbers)], choose.choice([1, outputs[0].sum()]))),
        ]  # fmt: skip
        updates = choose.sample(ways, choose.randrange(2, 5))
        f = ng.function([x, i], outputs, updates=updates, target=target, on_unused_input="ignore")
        return f, [n, m, t, w]

    return make


@pytest.mark.parametrize("seed", range(12))
def test_drawn_programs(seed: int) -> None:
    found = agree(drawn(seed), [(A, 0), (A, 1), (A, 2), (A, 4), (A, 0)])
    assert ["IndexOutOfRange"] in [told for told, _ in found]


def test_no_memory_for_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is taken before anything is computed."""
    w = ng.shared(np.zeros(3, "float32"), "w")
    f = ng.function([], ng.sum(w), updates=[(w, w + 1)], target="cuda-sim")
    f()

    def refuse(self: Pool, size: int) -> Any:
        raise DeviceMemoryError("as the test wants")

    monkeypatch.setattr(Pool, "take", refuse)
    with pytest.raises(DeviceMemoryError):
        f()
    monkeypatch.undo()
    assert w.get_value().tolist() == [1, 1, 1] and float(f()) == 3


def test_an_index_that_is_an_output() -> None:
    """The index that was refused is looked for again, in the array that the call has made for it."""
    i, x = ng.lvector("i"), ng.vector("x")
    doubled = i + i
    f = ng.function([i, x], [doubled, x[doubled]], target="cuda-sim")
    with pytest.raises(IndexOutOfRange, match="index 4 is out of range for an axis of length 1"):
        f(np.array([0, 2]), np.zeros(1))
