"""`f.explain()`: work and reasons of the phases; predictions from figures of a machine that is made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import DtypeError, InputError, OptionError, ShapeError
from numgraph.explain import estimate
from numgraph.explain.costs import ProductCosts
from numgraph.explain.explanation import Explanation
from numgraph.explain.machine import Machine
from numgraph.processor import available, processor

KB, MB = 1 << 10, 1 << 20
# a multiply-add of vectors of 32 bytes takes 0.16 ns, a cycle 0.32 ns
FIGURES = Machine(32, 100.0, {16 * KB: 160.0, MB: 80.0, 64 * MB: 10.0}, 1.5, 1000.0, 2)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on the same machine."""
    monkeypatch.setattr(estimate, "machine", lambda threads: FIGURES)
    monkeypatch.setattr(ng.config, "threads", 2)


def variables(ndim: int, names: str = "x y", dtype: str = "float32") -> list[Any]:
    return [ng.tensor(dtype=dtype, shape=(None,) * ndim, name=n) for n in names.split()]


def ones(*shape: int) -> Any:
    return np.ones(shape, "float32")


def shared(*shape: int, name: str) -> Any:
    return ng.shared(ones(*shape), name=name)


def total(found: Explanation) -> tuple[int | None, int | None, int | None]:
    """(flops, bytes read, bytes written)."""
    read, written = ([getattr(p, part) for p in found.phases] for part in ("read", "written"))
    return found.flops, None if None in read else sum(read), None if None in written else sum(written)


# -- work -------------------------------------------------------------------------------------------------------


def test_elementwise() -> None:
    x, y = variables(1)
    found = ng.function([x, y], x * y + x).explain(ones(1000), ones(1000))
    assert total(found) == (2000, 8000, 4000)
    (phase,) = found.phases
    assert (phase.kind, phase.loops, phase.makes) == ("divided loops", ["1,000"], ["add"])
    assert phase.intensity == pytest.approx(2000 / 12000)


def test_operations_that_two_results_share_count_once() -> None:
    x, _ = variables(1)
    e = x * x + 1
    found = ng.function([x], [e - 2, e + 2]).explain(ones(1000))
    assert total(found) == (4000, 4000, 8000)


def test_operations_count_in_the_loop_where_they_are_computed() -> None:
    x, y = variables(2, "x"), variables(1, "y")
    found = ng.function([*x, *y], x[0] * (y[0] + 1)[:, None]).explain(ones(50, 20), ones(50))
    assert found.flops == 50 * 20 + 50


def test_conversions_are_no_operations_and_sums_are() -> None:
    (x,) = variables(1, "x", "int32")
    f = ng.function([x], ng.cast(x, "float64"))
    assert f.explain(np.zeros(100, "int32")).flops == 0
    (z,) = variables(1, "z")
    # 1000 additions, and the conversion of the sum
    assert ng.function([z], ng.sum(z)).explain(ones(1000)).flops == 1000


def test_rows_of_a_loop_are_no_traffic() -> None:
    (x,) = variables(2, "x")
    assert total(ng.function([x], ng.softmax(x, axis=1)).explain(ones(100, 10)))[1:] == (4000, 4000)


def test_what_a_later_phase_reads_is_written_and_read() -> None:
    x, y = variables(2)
    found = ng.function([x, y], ng.tanh(ng.dot(x, y))).explain(ones(6, 7), ones(7, 8))
    product, loops = found.phases
    assert (product.read, product.written) == (4 * (42 + 56), 4 * 48)
    assert (loops.read, loops.written) == (4 * 48, 4 * 48)
    assert (product.flops, product.kind, product.loops) == (2 * 6 * 7 * 8, "product", ["6", "8", "7"])


def test_flops_of_factors_and_systems() -> None:
    """LAPACK's counts, and a time that is about theirs: a system of one right-hand side takes a small part of a
    factorisation."""
    x, b = ng.matrix("x"), ng.vector("b")
    f = ng.function([x, b], ng.solve_triangular(ng.cholesky(x), b, lower=True))
    phases = {name: p for p in f.explain(ones(300, 300), ones(300)).phases for name in p.makes}
    factor, solution = phases["cholesky"], phases["solve_triangular"]
    assert (factor.flops, solution.flops) == (300**3 // 3, 300**2)
    assert solution.alone and factor.alone and solution.alone < factor.alone / 8
    tall = ng.function([x], ng.lu_factor(x).lu).explain(ones(9, 6))
    assert tall.flops == 9 * 6 * 6 * 2 // 3


def test_gathers_read_what_their_index_can_reach() -> None:
    table, (i,) = shared(1000, 8, name="table"), variables(1, "i", "int64")
    found = ng.function([i], table[i]).explain(np.zeros(5, "int64"))
    assert total(found)[1:] == (5 * 8 + 5 * 8 * 4, 5 * 8 * 4)


def test_a_scatter_reads_and_writes_its_region() -> None:
    table, (i,) = shared(1000, 8, name="table"), variables(1, "i", "int64")
    f = ng.function([i], updates=[(table, ng.inc_subtensor(table[i], 1.0))])
    found = f.explain(np.zeros(5, "int64"))
    # the indices are checked first, since nothing is undone
    assert [p.makes for p in found.phases] == [["index checks"], ["table"]]
    assert total(found) == (40, 2 * 5 * 8 + 160, 160)


def test_an_update_in_place_reads_and_writes() -> None:
    b = shared(100, name="b")
    assert total(ng.function([], updates=[(b, b * 2)]).explain()) == (100, 400, 400)


def test_the_record_tells_the_same_work() -> None:
    b = shared(100, name="b")
    f = ng.function([], updates=[(b, b * 2)])
    assert (f.record.flops, f.record.bytes) == (100, 800)


def test_header_of_the_source_tells_the_same_work() -> None:
    b = shared(100, name="b")
    assert "100 flops, 800 bytes" in ng.function([], updates=[(b, b * 2)]).source


# -- lengths ----------------------------------------------------------------------------------------------------


def test_lengths_of_arguments_are_unknown_without_them() -> None:
    x, y = variables(2)
    found = ng.function([x, y], ng.tanh(ng.dot(x, y))).explain()
    assert [p.loops for p in found.phases] == [["?", "?", "?"], ["?", "?"]]
    assert (found.flops, found.bytes, found.predicted, found.alone) == (None,) * 4
    assert all(p.chunks is None and p.limit == "" for p in found.phases)
    assert "? depends on arguments: explain(...)" in str(found)


def test_lengths_of_shared_arrays_are_those_of_now() -> None:
    s = shared(10, 4, name="s")
    f = ng.function([], s * 2)
    assert f.explain().flops == 40
    s.set_value(ones(30, 4))
    assert f.explain().flops == 120


def test_windows_count_whole_until_their_place_is_known() -> None:
    s, i = shared(100, 4, name="s"), ng.scalar("i", dtype="int64")
    x = ng.matrix("x", dtype="float32")
    f = ng.function([i], ng.exp(x), givens={x: s[i * 30 : (i + 1) * 30]})
    assert [f.explain().flops, f.explain(0).flops, f.explain(3).flops, f.explain(5).flops] == [120, 120, 40, 0]


def test_a_length_that_is_computed_stays_unknown() -> None:
    x, _ = variables(1)
    f = ng.function([x], x[ng.nonzero(x)[0]] * 2)
    found = f.explain(ones(10))
    assert found.phases[-1].loops == ["?"] and found.predicted is None
    assert "? depends on what is computed" in str(found)
    assert found.phases[0].loops == ["10"]


def test_defaults_are_arguments() -> None:
    x, _ = variables(1)
    f = ng.function([ng.In(x, value=ones(7))], x + 1)
    assert f.explain().flops == 7
    assert f.explain(x=ones(9)).flops == 9


def program(kind: str) -> tuple[Any, tuple[Any, ...]]:
    x, y = variables(2)
    s = shared(200, 30, name="s")
    if kind == "loops":
        return ng.function([x, y], ng.exp(x) + y), (ones(300, 70), ones(300, 70))
    if kind == "product":
        return ng.function([x, y], ng.dot(x, y)), (ones(64, 300), ones(300, 40))
    if kind == "few rows":
        return ng.function([x], ng.sum(ng.tanh(x), axis=0)), (ones(1, 9000),)
    i = ng.scalar("i", dtype="int64")
    return ng.function([i], ng.sum(ng.tanh(s[i : i + 150]))), (3,)


@pytest.mark.parametrize("kind", ["loops", "product", "few rows", "window"])
def test_shares_are_those_of_a_call(kind: str) -> None:
    f, arguments = program(kind)
    f(*arguments)
    variant = f.executor.variant
    counts = {nest: variant.integers[slot] for nest, slot in variant.module.layout.chunks.items()}
    arrays = [np.asarray(a) for a in arguments]
    assert counts
    # once from the plan, once from the lengths alone
    for estimator in (
        estimate.Estimator(variant, arrays, variant.plan(arrays)),
        estimate.Estimator(variant, arrays, None),
    ):
        chunks = {p.nest: estimator._chunks(p)[0] for p in variant.module.phases if p.nest is not None}
        assert chunks == counts


# -- arguments that a call refuses ---------------------------------------------------------------------------------


def test_explaining_is_no_call() -> None:
    n = ng.shared(0, "n")
    f = ng.function([], updates=[(n, n + 1)])
    f.explain()
    assert n.get_value() == 0 and f.stats.calls == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((ones(3), ones(4)), ShapeError),
        ((ones(3),), InputError),
        ((ones(3), ones(3), ones(3)), InputError),
        ((np.ones(3), np.array(["a"])), DtypeError),
    ],
)
def test_errors_are_those_of_a_call(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    x, y = variables(1)
    f = ng.function([x, y], x + y, allow_input_downcast=True)
    messages = []
    for run in (f, f.explain):
        with pytest.raises(error) as caught:
            run(*arguments)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_lengths_that_the_variant_does_not_expect_make_another() -> None:
    x, y = variables(1)
    f = ng.function([x, y], x + y)
    found = f.explain(ones(6), ones(1))
    assert found.flops == 6 and found.phases[0].read == 4 * 7
    assert any(note.startswith("2 variants compiled") for note in found.notes)
    assert np.array_equal(f(ones(6), ones(1)), np.full(6, 2.0))


def test_reference_has_nothing_to_explain() -> None:
    x, _ = variables(1)
    f = ng.function([x], x + 1, target="reference", name="f")
    with pytest.raises(
        OptionError, match='f runs on target "reference", which compiles nothing and has no explanation'
    ):
        f.explain()
    assert f.record.explained() is None and "explain" not in f.record.stages


# -- reasons ----------------------------------------------------------------------------------------------------


def reasons(f: Any, *arguments: Any) -> list[str]:
    return [p.reason for p in f.explain(*arguments).phases]


def test_why_so_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = variables(1)
    f = ng.function([x], x + 1)
    # cycles for an element: the addition, the read and the write, four elements at a time
    assert reasons(f, ones(40_000)) == ["2 threads: 30,000 cycles, at least 4,096 each"]
    assert reasons(f, ones(100)) == ["1 thread: too little work, 75 cycles for chunks of at least 4,096"]
    monkeypatch.setattr(ng.config, "threads", 1)
    assert reasons(ng.function([x], x + 1), ones(40_000)) == ["1 thread: there are no others"]


def test_why_not_divided() -> None:
    x, y = variables(2)
    (i,) = variables(1, "i", "int64")
    s = shared(1000, 50, name="s")
    scatter = ng.function([i], updates=[(s, ng.inc_subtensor(s[i], 1.0))])
    assert reasons(scatter, np.zeros(1000, "int64"))[-1] == "1 thread: writes where computed indices say"
    assert reasons(scatter, np.zeros(3, "int64"))[-1].startswith("1 thread: too little work")
    kernel = ng.function([x], ng.cumsum(x, axis=0))
    assert "1 thread: a kernel runs on one thread" in reasons(kernel, ones(1000, 50))
    first = ng.function([i], ng.argmax(i))
    assert "1 thread: finds the first of all rows, in order" in reasons(first, np.zeros(50_000, "int64"))
    product = ng.function([x, y], ng.dot(x, y))
    assert reasons(product, ones(5, 90_000), ones(90_000, 5)) == ["1 thread: a single tile"]


def test_the_path_of_a_product() -> None:
    x, y = variables(2)
    f = ng.function([x, y], ng.dot(x, y))
    wide = f.explain(ones(20, 784), ones(784, 500)).phases[0].details
    assert "columns divided: b is read once" in wide
    tall = f.explain(ones(600, 784), ones(784, 10)).phases[0].details
    assert any(d.startswith("rows divided") for d in tall)
    assert any(d.startswith("dot products") for d in tall)
    assert any(d.startswith("tiles ") for d in f.explain(ones(600, 784), ones(784, 40)).phases[0].details)
    column = f.explain(ones(600, 20), ones(20, 1)).phases[0].details
    assert "vectors along the columns of the result, in a copy" in column
    stack = ng.function([a := ng.tensor3("a"), b := ng.tensor3("b")], ng.batched_dot(a, b))
    assert "the stack is divided" in stack.explain(np.ones((9, 40, 40)), np.ones((9, 40, 40))).phases[0].details


def test_shares_of_a_product_are_those_of_the_kernel() -> None:
    x, y = variables(2)
    f = ng.function([x, y], ng.dot(x, y))
    task = f.executor.variant.module.phases[0].tasks[0]
    costs = ProductCosts(task, lambda n: n if isinstance(n, int) else 784)
    costs.m, costs.n = 600, 500
    assert costs.part(1) == (600, 500)
    assert costs.part(2) == (600, 250 + 15)
    costs.n = 10
    assert costs.part(2) == (300 + 5, 10)


def updates(*pairs: tuple[Any, Any]) -> dict[str, tuple[str, str]]:
    found = ng.function([], updates=list(pairs)).explain()
    return {u.target: (u.how, u.why) for u in found.updates}


def test_how_updates_are_written() -> None:
    a, b, c, d = (shared(6, name=name) for name in "abcd")
    assert updates((a, b), (b, a), (c, c), (d, d * 2)) == {
        "a": ("exchange", "values only change places"),
        "b": ("exchange", "values only change places"),
        "c": ("none", "the new value is the old one"),
        "d": ("in place", "each element is made of its own old value, or of none"),
    }
    assert updates((a, a[::-1] * 2))["a"] == ("fresh", "its elements are made of other elements of the old value")
    assert updates((a, ng.concatenate([a, a])))["a"] == ("fresh", "its lengths may change")
    assert updates((a, ng.set_subtensor(a[2:4], 0.0)))["a"] == ("in place", "only what changes is written")
    found = updates((a, b * 2), (b, a * 2))
    assert sorted(how for how, _ in found.values()) == ["fresh", "in place"]
    assert ("fresh", "what is written later needs the old value") in found.values()
    W, x, y = shared(20, 30, name="W"), shared(5, 20, name="x"), shared(5, 30, name="y")
    assert updates((W, W - 0.1 * ng.dot(x.T, y)))["W"] == ("in place", "the product is added to it")


def test_notes() -> None:
    x, _ = variables(1)
    a, b = shared(6, name="a"), shared(6, name="b")
    assert "sweep runs all steps in one native call" in ng.function([x], ng.sum(x)).explain().notes
    long = ng.function([x], x + 1).explain().notes
    assert "sweep makes one call after the other: the lengths of an output are known only at the call" in long
    moved = ng.function([], updates=[(a, b), (b, a)]).explain().notes
    assert "sweep makes one call after the other: the update of a, b is not in place" in moved
    staged = ng.function([x], ng.sum(x[ng.nonzero(x)[0]])).explain().notes
    assert "sweep makes one call after the other: a length is the result of a computation" in staged
    two = ng.function([], ng.tanh(ng.dot(shared(6, 7, name="p"), shared(7, 8, name="q"))))
    assert any(n.startswith("temporaries: 1 buffer, 192 bytes, and ") for n in two.explain().notes)


# -- predictions, on a machine that is made up ----------------------------------------------------------------------


def test_what_limits() -> None:
    x, _ = variables(1)
    (add,) = ng.function([x], x + 1).explain(ones(10_000_000)).phases
    assert add.limit == "memory"
    # 80 MB at 10 bytes a nanosecond, at 15 by two threads
    assert add.alone == pytest.approx(8000, rel=0.01) and add.together == pytest.approx(5334, rel=0.01)
    (power,) = ng.function([x], x**1.7).explain(ones(100_000)).phases
    assert power.limit == "compute"
    s = ng.scalar("s")
    assert ng.function([s], s + 1).explain(2.0).phases[0].limit == "overhead"


@pytest.mark.parametrize("cpu", available())
def test_a_product_takes_its_multiply_adds_and_little_more(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "cpu", cpu)
    # the kernels have the vectors of a processor, and the figures of another one would not fit them
    figures = replace(FIGURES, vector=processor().vector)
    monkeypatch.setattr(estimate, "machine", lambda threads: figures)
    x, y = variables(2)
    (phase,) = ng.function([x, y], ng.dot(x, y)).explain(ones(512, 512), ones(512, 512)).phases
    least = 2 * 512**3 / FIGURES.peak / 1000
    assert phase.alone is not None and phase.together is not None
    assert least <= phase.alone <= 1.4 * least
    assert 0.5 * phase.alone < phase.together < 0.6 * phase.alone


def test_pieces_of_a_loop_and_sums_along_an_axis_are_in_vectors() -> None:
    """What chooses between operands is no work where loops are cut, and additions to neighbours are no scatter."""

    def alone(output: ng.Variable, *inputs: ng.Variable) -> float:
        phases = ng.function(list(inputs), output).explain(*(ones(*[64] * v.ndim) for v in inputs)).phases
        assert "compute" in [phase.limit for phase in phases]
        return sum(phase.alone or 0.0 for phase in phases)

    x, y = variables(2)
    v = ng.vector("v")
    plain = alone(ng.sqrt(x) * y + ng.exp(x), x, y)
    assert alone(ng.concatenate([ng.sqrt(x) + ng.exp(x), ng.sqrt(y) + ng.exp(y)], axis=1), x, y) < 3 * plain
    assert alone(ng.inc_subtensor(x[1:, 2:], ng.exp(y[1:, 2:])), x, y) < 2 * plain
    # where indices choose the elements, they are added one by one
    in_turn, chosen = (alone(ng.inc_subtensor(v[k], ng.exp(v)), v) for k in (slice(None), ng.cast(v, "int64")))
    assert chosen > 1.5 * in_turn


def test_totals() -> None:
    f, arguments = program("loops")
    found = f.explain(*arguments)
    assert found.predicted == pytest.approx(found.call + sum(p.together or 0 for p in found.phases))
    assert found.alone == pytest.approx(found.call + sum(p.alone or 0 for p in found.phases))
    assert found.calls == 0 and found.measured is None and "measured" not in str(found)
    f(*arguments)
    f(*arguments)
    again = f.explain(*arguments)
    assert again.calls == 2 and again.measured == pytest.approx(5e5 * f.stats.seconds)
    assert "measured: " in str(again) and "the mean of 2 calls" in str(again)
