"""Who may write which memory: scatters and updates that work in place, against NumPy, on every target."""

from __future__ import annotations

import cProfile
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import scheduled
from numgraph.config import config
from numgraph.graph import Variable
from numgraph.program import build_program
from numgraph.traits import CPU, GRID, Traits

RNG = np.random.default_rng(20)
TARGETS = ("reference", "cpu", "cuda-sim")
A = RNG.permutation(12).astype(float)
J = np.array([1, 1, 5, 0, 11, 3])
x, X, j = ng.vector("x"), ng.matrix("X"), ng.lvector("j")
s = ng.shared(A.copy(), "s")

# Bases: what their memory is, or is not.
BASES: dict[str, Any] = {
    "argument": lambda: x,
    "shared": lambda: s,
    "constant": lambda: ng.constant(A),
    "temporary": lambda: x * 2,
    "dear": lambda: ng.exp(x / 8),
    "reshape": lambda: X.reshape((12,)),
    "reshaped temporary": lambda: (X * 2).ravel(),
    "turned and flat": lambda: X.T.ravel(),
    "shared, reshaped twice": lambda: s.reshape((3, 4)).ravel(),
    "tile": lambda: ng.tile(x[:6], (2,)),
    "repeat": lambda: ng.repeat(x[:6], 2),
    "roll": lambda: ng.roll(X, 3).ravel(),
    "sort": lambda: ng.sort(x),
    "dot": lambda: ng.dot(ng.outer(x, x), x),
    "sum": lambda: ng.outer(x, x).sum(axis=0),
    "gather": lambda: x[j[::-1]][ng.arange(12) % 6],
    "reversed": lambda: x[::-1],
    "scatter": lambda: ng.inc_subtensor(x[2:5], 1.0),
    "concatenation": lambda: ng.concatenate([x[:6], x[:6]]),
    "zeros": lambda: ng.zeros((12,)),
}
# Values: how they read the base.
VALUES: dict[str, Any] = {
    "number": lambda b: 7.0,
    "itself": lambda b: b[:6],
    "its end": lambda b: b[6:],
    "reversed": lambda b: b[::-1][:6],
    "gathered": lambda b: b[j],
    "its sum": lambda b: b.sum(),
    "an element": lambda b: b[3],
    "scaled, and turned": lambda b: b[:6] * 2 + b[:6][::-1],
    "through a reshape": lambda b: b.reshape((2, 6))[1],
    "through a product": lambda b: ng.dot(b.reshape((6, 2)), np.ones(2)),
    "sorted": lambda b: ng.sort(b)[:6],
    "something else": lambda b: x[:6] + 1,
}
REGIONS: dict[str, Any] = {
    "slice": lambda b: b[:6],
    "steps": lambda b: b[::2],
    "backwards": lambda b: b[5::-1],
    "indices": lambda b: b[j],
    "computed indices": lambda b: b[ng.cast(b[:6], "int64") % 12],
}
# What becomes of the result; `b` is still needed in some.
USES: dict[str, Any] = {
    "result": lambda b, r: [r],
    "twice": lambda b, r: [r, r],
    "with the base": lambda b, r: [r, b],
    "read on": lambda b, r: [r[::-1] + 1, r.sum()],
    "joined": lambda b, r: [ng.concatenate([r, x, r])],
    "again": lambda b, r: [ng.inc_subtensor(r[2:4], r[4:6]), r],
    "reshaped": lambda b, r: [r.reshape((4, 3)).T],
}


def values_of(outputs: list[Variable], updates: Any, target: str) -> list[Any]:
    """Outputs of two calls, and the shared variables after them."""
    s.set_value(A.copy())
    for v, _ in updates:
        v.set_value(A.copy() if v is s else A[::-1].copy())
    f = ng.function([x, X, j], outputs, updates=updates, target=target, on_unused_input="ignore")
    found = [np.asarray(v) for _ in range(2) for v in f(A, A.reshape(3, 4), J)]
    return found + [v.get_value() for v in (s, *(v for v, _ in updates))]


def compare(outputs: list[Variable], updates: Any = (), targets: Any = TARGETS, note: str = "") -> None:
    """All targets agree."""
    want = values_of(outputs, updates, targets[0])
    for target in targets[1:]:
        got = values_of(outputs, updates, target)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-12, err_msg=f"{note}, {target}, value {k}")


def made(base: Any, region: Any, value: Any, mode: str) -> tuple[Any, Any]:
    """(base, the base with a region written)."""
    b = base()
    put = ng.set_subtensor if mode == "set" else ng.inc_subtensor
    return b, put(region(b), value(b))


@pytest.mark.parametrize("name", BASES)
def test_each_base_with_each_value_is_scheduled_rightly(name: str) -> None:
    """Without compiling: `config.verify` looks through each schedule, that of the processor and that of a device."""
    assert config.verify
    for k, value in enumerate(VALUES.values()):
        region = list(REGIONS.values())[k % len(REGIONS)]
        b, r = made(BASES[name], region, value, "inc" if k % 2 else "set")
        outputs = list(USES.values())[k % len(USES)](b, r)
        program = build_program([x, X, j], outputs, [(s, r)] if k % 3 == 0 else [], on_unused_input="ignore")
        for traits in (CPU, GRID):
            scheduled(program, frozenset(), traits)


def drawn(rng: np.random.Generator) -> tuple[str, list[Variable], list[Any]]:
    """A program: (what it is, outputs, updates)."""

    def choice(table: dict[str, Any]) -> str:
        return str(rng.choice(list(table)))

    base, region, value, use = choice(BASES), choice(REGIONS), choice(VALUES), choice(USES)
    mode = "set" if rng.random() < 0.5 else "inc"
    if region in ("indices", "computed indices"):
        # which of two values wins where an index is repeated is said by the order only for "inc"
        mode = "inc"
    b, r = made(BASES[base], REGIONS[region], VALUES[value], mode)
    p, q = ng.shared(A.copy(), "p"), ng.shared(A.copy(), "q")
    updates = {
        "none": [],
        "itself": [(s, r)],
        "another": [(p, r)],
        "two": [(p, r), (s, r)],
        "two, the variable first": [(s, r), (p, r)],
        "a ring": [(s, r + p), (p, q * 2 + s), (q, ng.inc_subtensor(q[1:], s[:-1]))],
        "base": [(s, b), (p, r * 2)],
    }
    how = choice(updates)
    outputs = USES[use](b, r) if rng.random() < 0.8 else []
    return f"{mode} {region} of {base} with {value}; {use}; updates: {how}", outputs, updates[how]


@pytest.mark.parametrize("seed", range(24))
def test_drawn(seed: int) -> None:
    note, outputs, updates = drawn(np.random.default_rng(seed))
    compare(outputs, updates, TARGETS if seed % 4 == 0 else TARGETS[:2], note)


@pytest.mark.parametrize("target", TARGETS)
def test_one_value_for_two_updates_is_applied_once(target: str) -> None:
    for first in (True, False):
        p, q = ng.shared(np.zeros((4, 3), "int64"), "p"), ng.shared(np.arange(12).reshape(4, 3), "q")
        e = ng.inc_subtensor(q[1:], 1)
        pairs = [(p, e), (q, e)] if first else [(q, e), (p, e)]
        (out,) = ng.function([], [e], updates=pairs, target=target)()
        want = np.arange(12).reshape(4, 3) + np.array([[0], [1], [1], [1]])
        for found in (out, p.get_value(), q.get_value()):
            np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("target", TARGETS)
def test_a_length_is_read_before_its_variable_changes(target: str) -> None:
    k, v = ng.shared(np.array([2, 3]), "k"), ng.shared(np.arange(1.0, 7), "v")
    f = ng.function([], [(v[: k[0]] * 2).sum(), v[k[1]] + 0, ng.exp(v[: k[1]])], updates=[(k, k + 1)], target=target)
    for call in range(2):
        total, element, part = f()
        assert float(total) == sum(2.0 * n for n in range(1, 3 + call))
        assert float(element) == 4.0 + call
        np.testing.assert_allclose(part, np.exp(np.arange(1.0, 4 + call)))
    np.testing.assert_array_equal(k.get_value(), [4, 5])


@pytest.mark.parametrize("traits", [CPU, GRID], ids=["cpu", "grid"])
def test_what_may_stays_in_place(traits: Traits) -> None:
    W, V = ng.shared(np.ones((4, 3)), "W"), ng.shared(np.ones((4, 3)), "V")
    rows, g, a = ng.lvector("rows"), ng.matrix("g"), ng.matrix("a")

    def how(updates: Any) -> list[str]:
        """How each update gets its new value."""
        program = build_program([rows, g, a], [], updates, on_unused_input="ignore")
        return [u.how for u in scheduled(program, frozenset(), traits).schedule.updates]

    assert how([(W, W - 0.1 * g)]) == ["in place"]
    assert how([(W, ng.inc_subtensor(W[rows], g))]) == ["in place"]
    assert how([(W, W - ng.dot(a, g))]) == ["in place"]
    assert how([(V, 0.9 * V + g), (W, W - (0.9 * V + g))]) == ["in place", "in place"]
    # one of a ring gives way, and whoever gives way is filled from the old value
    assert sorted(how([(W, V + 1.0), (V, W * 2.0)])) == ["fresh", "in place"]
    scattered = [(W, ng.inc_subtensor(W[rows], V[rows])), (V, ng.inc_subtensor(V[rows], W[rows]))]
    assert sorted(how(scattered)) == ["fresh", "in place"]


def test_of_a_long_ring_of_updates_one_gives_way() -> None:
    n = 60
    ring = [ng.shared(np.full(3, float(k)), f"r{k}") for k in range(n)]
    f = ng.function([], [], updates=[(r, r / 2 + ring[(k + 1) % n]) for k, r in enumerate(ring)])
    assert [u.how for u in f.executor.variant.schedule.updates].count("fresh") == 1
    f()
    np.testing.assert_array_equal([r.get_value()[0] for r in ring], [k / 2 + (k + 1) % n for k in range(n)])


def test_an_old_value_that_an_item_reads_several_times() -> None:
    """As two lengths, and as an element: it is waited for once."""
    k = ng.shared(np.array(1), "k")
    p, q = ng.shared(np.arange(6.0), "p"), ng.shared(np.arange(6.0) * 2, "q")
    for target in TARGETS:
        k.set_value(np.array(1)), p.set_value(np.arange(6.0))
        updates = [(p, ng.set_subtensor(p[:k], q[:k] + p[k])), (k, k + 1)]
        f = ng.function([], p[:k].sum() * k, updates=updates, target=target)
        np.testing.assert_array_equal([float(f()) for _ in range(3)], [0.0, 4.0, 24.0])
        np.testing.assert_array_equal(p.get_value(), [3.0, 5.0, 7.0, 3.0, 4.0, 5.0])


def test_a_ring_that_index_checks_wait_for() -> None:
    """Of updates whose new values are indices, each is given up once, and the order is the same each time."""
    p, q = ng.shared(np.arange(3), "p"), ng.shared(np.arange(3)[::-1].copy(), "q")

    def program() -> Any:
        new_p, new_q = q + 0, p * 1
        return build_program([x], [x[new_p], x[new_q]], [(p, new_p), (q, new_q)])

    found = [scheduled(program()).schedule for _ in range(2)]
    texts = [[(task.kind, task.node.name, task.last) for task in schedule.tasks] for schedule in found]
    assert texts[0] == texts[1] and len({id(task) for task in found[0].tasks}) == len(found[0].tasks)


def test_the_order_of_many_updates_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in steps, not in seconds: twice the updates, twice the calls of Python functions, about."""

    def calls(n: int) -> int:
        ring = [ng.shared(np.full(3, float(k)), f"r{k}") for k in range(n)]
        program = build_program([], [], [(r, r / 2 + ring[(k + 1) % n]) for k, r in enumerate(ring)])
        with cProfile.Profile() as profile:
            scheduled(program)
        return sum(entry.callcount for entry in profile.getstats())

    monkeypatch.setattr(config, "verify", False)
    assert calls(400) < 2.3 * calls(200)


@pytest.mark.parametrize("kind", ["cpu", "cuda-sim"])
def test_a_value_that_is_read_several_times_before_its_update(kind: str) -> None:
    """The update runs once, however often a task before it reads the old value."""
    value = np.array([[1.0], [2.0], [3.0]])
    s = ng.shared(value, "s")
    f = ng.function([], ng.dot(s, s.T), updates=[(s, ng.inc_subtensor(s[1:], 1.0))], target=kind)
    np.testing.assert_array_equal(np.asarray(f()), value @ value.T)
    np.testing.assert_array_equal(s.get_value(), [[1], [3], [4]])
