"""Functions with scans: updates, random numbers, errors in a step, copies, the cache, threads, what they print."""

from __future__ import annotations

import copy
import io
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from tests.scans import both

sys.path.append(str(Path(__file__).parents[1] / "runtime"))
from test_cache import finish, start

rng = np.random.default_rng(7)


def layer(steps: Any = None) -> tuple[Any, list[Any], Any]:
    """A recurrent layer: its input, its weights, its states."""
    x = ng.tensor3("x")
    W, U = ng.shared(rng.normal(size=(3, 4)), "W"), ng.shared(rng.normal(size=(4, 4)) * 0.4, "U")
    h, _ = ng.scan(
        lambda v, h: ng.tanh(ng.dot(v, W) + ng.dot(h, U)),
        sequences=x,
        outputs_info=ng.zeros((x.shape[1], 4)),
        n_steps=steps,
        name="layer",
    )
    return x, [W, U], h


# -- updates ------------------------------------------------------------------------------------------------------


def test_updates_of_shared_variables() -> None:
    x = ng.vector("x")
    c, d = ng.shared(np.float64(1.0), "c"), ng.shared(np.zeros(3), "d")
    s, updates = ng.scan(lambda v: (v * c, {c: c * 2, d: d + v}), sequences=x)
    assert list(updates) == [c, d]
    got = both([x], [s, c], ([1.0, 2.0, 3.0],), ([],), ([1.0],), updates=updates, shared=[c, d])
    # a step sees what the steps before it have made of c; an output is the value before the call
    assert [v.tolist() for v in got[0]] == [[1, 4, 12], 1, 8, [6, 6, 6]]
    assert [v.tolist() for v in got[1]] == [[], 8, 8, [6, 6, 6]]
    assert [v.tolist() for v in got[2]] == [[8], 8, 16, [7, 7, 7]]


def test_updates_may_be_pairs_come_first_or_alone(target: str) -> None:
    x = ng.vector("x")
    for order in range(4):
        c = ng.shared(np.float64(0.0), "c")

        def step(v: Any, order: int = order, c: Any = c) -> Any:
            pairs = [(c, c + v)]
            return [(v * 2, pairs), ({c: c + v}, [v * 2]), pairs, ([v * 2], dict(pairs))][order]

        s, updates = ng.scan(step, sequences=x)
        f = ng.function([x], [] if s is None else s, updates=updates)
        f([1.0, 2.0])
        assert c.get_value() == 3 and (s is None) == (order == 2)


def test_updates_that_are_not_given_to_the_function_do_nothing(target: str) -> None:
    c = ng.shared(0, "c")
    s, updates = ng.scan(lambda: ([c], {c: c + 1}), n_steps=3)
    f = ng.function([], s)
    assert f().tolist() == f().tolist() == [0, 1, 2] and c.get_value() == 0
    # and they may be changed before they are
    updates[c] = updates[c] * 10
    g = ng.function([], s, updates=updates)
    assert g().tolist() == [0, 1, 2] and c.get_value() == 30


def test_random_numbers_of_consecutive_calls_do_not_overlap() -> None:
    drawn = {}
    for target in ("reference", "cpu"):
        stream = ng.random.RandomStream(3)
        s, updates = ng.scan(lambda stream=stream: stream.uniform(size=(2,)), n_steps=3)
        f = ng.function([], s, updates=updates, target=target)
        drawn[target] = np.concatenate([f() for _ in range(3)])
        assert len(np.unique(drawn[target])) == 18
    assert_array_equal(*drawn.values())


def test_random_numbers_inside_of_two_loops(target: str) -> None:
    stream = ng.random.RandomStream(4)
    x = ng.matrix("x")

    def outer(row: Any) -> Any:
        drawn, updates = ng.scan(lambda v: stream.normal(size=()) * 0 + stream.uniform(size=()) + v, sequences=row)
        return drawn, updates

    s, updates = ng.scan(outer, sequences=x)
    f = ng.function([x], s, updates=updates)
    values = np.concatenate([f(np.zeros((3, 4))), f(np.zeros((3, 4)))])
    assert len(np.unique(values)) == 24


def test_a_gibbs_chain_with_its_gradient() -> None:
    """As rbm: the end of a chain of samples is a constant of the cost."""
    v0, W = ng.matrix("v0"), ng.shared(rng.normal(size=(5, 3)), "W")
    found = []
    for target in ("reference", "cpu"):
        stream = ng.random.RandomStream(5)

        def gibbs(v: Any, stream: Any = stream) -> Any:
            h = stream.binomial(p=ng.sigmoid(v @ W), size=(v.shape[0], 3)).astype("float64")
            mean = ng.sigmoid(h @ W.T)
            return mean, stream.binomial(p=mean, size=v.shape).astype("float64")

        (_, vs), updates = ng.scan(gibbs, outputs_info=[None, v0], n_steps=4)
        end = vs[-1]
        cost = ng.mean(ng.softplus(v0 @ W)) - ng.mean(ng.softplus(end @ W))
        f = ng.function([v0], [cost, ng.grad(cost, W, consider_constant=[end]), end], updates=updates, target=target)
        V = (np.random.default_rng(0).random((6, 5)) > 0.5).astype("float64")
        found.append([*f(V), *f(V)])
        assert not np.array_equal(found[-1][2], found[-1][5])
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b)


# -- errors -------------------------------------------------------------------------------------------------------


def test_an_index_out_of_range_in_a_step_names_its_line_and_changes_nothing(target: str) -> None:
    x, k = ng.vector("x"), ng.lvector("k")
    w, c = ng.shared(np.arange(3.0), "w"), ng.shared(np.int64(0), "c")
    s, updates = ng.scan(lambda i: (x[i], {c: c + 1}), sequences=k)
    f = ng.function([x, k], s, updates={**updates, w: w + s.sum()})
    assert f([1.0, 2.0, 3.0], [0, -1, 2]).tolist() == [1, 3, 3]
    before = w.get_value(), c.get_value()
    with pytest.raises(IndexError, match=r"index 3 is out of range(.|\n)*test_scan_programs.py:\d+") as caught:
        f([1.0, 2.0, 3.0], [0, 1, 3, 2])
    assert isinstance(caught.value, ng.IndexOutOfRange)
    assert_array_equal(w.get_value(), before[0])
    assert c.get_value() == before[1] == 3
    assert f([1.0, 2.0, 3.0], [1]).tolist() == [2]


def test_an_index_out_of_range_in_a_step_that_writes(target: str) -> None:
    k, table = ng.lvector("k"), ng.shared(np.zeros(4), "table")
    s, updates = ng.scan(lambda i: (i, {table: ng.inc_subtensor(table[i], 1.0)}), sequences=k)
    f = ng.function([k], s, updates=updates)
    f([0, 1, 1, -1])
    assert table.get_value().tolist() == [1, 2, 0, 1]
    with pytest.raises(IndexError, match="index 4 is out of range"):
        f([0, 1, 4])
    assert table.get_value().tolist() == [1, 2, 0, 1]


def test_shapes_that_do_not_fit_in_a_step(target: str) -> None:
    x, y = ng.matrix("x"), ng.vector("y")
    s, _ = ng.scan(lambda v, h: ng.tanh(v + h * y), sequences=x, outputs_info=x[0])
    f = ng.function([x, y], s)
    with pytest.raises(ng.ShapeError, match=r"test_scan_programs.py:\d+"):
        f(np.ones((2, 3)), np.ones(4))
    assert f(np.ones((2, 3)), np.ones(3)).shape == (2, 3)


# -- the generated source ------------------------------------------------------------------------------------------


def test_a_minibatch_of_resident_data_is_read_by_address() -> None:
    data = ng.shared(rng.normal(size=(40, 5, 3)), "data")
    x, _, h = layer()
    i = ng.lscalar("i")
    f = ng.function([i], h[-1], givens={x: data[i * 5 : i * 5 + 5]}, target="cpu")
    whole = ng.function([x], h[-1], target="reference")
    for k in range(3):
        assert_allclose(f(k), whole(data.get_value()[k * 5 : k * 5 + 5]))
    # the window is a part of the address, and nothing of its size is stored but the product
    assert re.search(r"data = table\[AT_DATA\] \+ .*", f.source)
    assert f.source.count("for i in range") <= 3
    assert f.stats.bytes_in == 3 * 8

    row = ng.scan(lambda v, s: s + v, sequences=x[:, 0], outputs_info=ng.zeros((3,)))[0]
    g = ng.function([i], row[-1], givens={x: data[i * 5 : i * 5 + 5]}, target="cpu")
    assert_allclose(g(2), data.get_value()[10:15, 0].sum(axis=0))
    assert not re.search(r"# (subtensor|turn) float64\[\?,", g.source)


def test_one_product_for_all_steps() -> None:
    x, _, h = layer()
    source = ng.function([x], h, target="cpu").source
    products = [line for line in source.splitlines() if re.search(r"dgemm\(.*# ", line)]
    assert [line.partition("# ")[2].partition(" = ")[2].split("@")[1].strip() for line in products] == ["W", "U"]
    # the first is outside of the loop
    assert source.index("@ W") < source.index("for t in range(steps)")


def test_one_product_for_the_gradient_of_weights() -> None:
    x, (W, U), h = layer()
    source = ng.function([x], ng.grad((h**2).sum(), [W, U]), target="cpu").source
    loops = [m.start() for m in re.finditer(r"for t in range\(steps\)", source)]
    assert len(loops) == 2
    # x @ W, h @ U, dz @ U.T, and one product over all steps for each of the two weights
    assert len(re.findall(r"^    dgemm\(", source, re.MULTILINE)) == 5


def test_what_nobody_reads_is_not_kept() -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda h: ng.sin(h) + x, outputs_info=x, n_steps=10_000)
    f = ng.function([x], s[-1], target="cpu")
    f(np.ones(1000))
    assert f.stats.bytes_allocated < 100_000


def test_a_state_is_written_to_in_its_place() -> None:
    k = ng.lvector("k")
    s, _ = ng.scan(lambda i, h: ng.inc_subtensor(h[i], 1.0), sequences=k, outputs_info=ng.zeros((1000,)))
    f = ng.function([k], s[-1], target="cpu")
    index = rng.integers(0, 1000, 50)
    assert_array_equal(f(index), np.bincount(index, minlength=1000))
    assert "# copy" not in f.source


def test_names_are_in_the_source() -> None:
    x, _, h = layer()
    source = ng.function([x], h[-1], target="cpu").source
    assert "scan" in source and " object at 0x" not in source


# -- copies, the cache, threads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "copy"])
def test_copies_of_functions(how: str, target: str) -> None:
    x, c = ng.vector("x"), ng.shared(np.float64(1.0), "c")
    s, updates = ng.scan(lambda v, h: (h * c + v, {c: c + 1}), sequences=x, outputs_info=0.0)
    f = ng.function([x], [s, ng.grad(s[-1], x)], updates=updates)
    first = f([1.0, 2.0, 3.0])
    made = {"pickle": lambda: pickle.loads(pickle.dumps(f)), "deepcopy": lambda: copy.deepcopy(f), "copy": f.copy}
    g = made[how]()
    a, b = g([1.0, 2.0, 3.0]), f([1.0, 2.0, 3.0])
    if how == "copy":
        # both count on in one variable
        assert c.get_value() == 10 and not np.array_equal(a[0], b[0])
    else:
        assert_array_equal(a[0], b[0])
        assert_array_equal(a[1], b[1])
    assert not np.array_equal(first[0], b[0])


def test_graphs_of_scans_are_pickled_and_can_go_on(target: str) -> None:
    x, (W, _), h = layer()
    x2, h2, W2 = pickle.loads(pickle.dumps([x, h, W]))
    X = rng.normal(size=(3, 2, 3))
    f, g = (ng.function([a], [b, ng.grad(b.sum(), c)]) for a, b, c in ((x, h, W), (x2, h2, W2)))
    for a, b in zip(f(X), g(X), strict=True):
        assert_array_equal(a, b)


def test_pickled_in_the_midst_of_a_long_chain() -> None:
    v = ng.vector("x")
    for _ in range(2000):
        v = ng.sin(v)
    s, _ = ng.scan(lambda a, h: a + h, sequences=v, outputs_info=0.0)
    (y,) = pickle.loads(pickle.dumps([s]))
    assert y.dtype == "float64"


PROGRAM = """
import sys
import numpy as np
import numgraph as ng
x, w, i = ng.tensor3("x"), ng.shared(np.eye(3), name="w"), ng.lscalar("i")
data = ng.shared(np.arange(72.0).reshape(8, 3, 3) / 72, name="data")
h, _ = ng.scan(lambda v, h: ng.tanh(h @ w + v), sequences=x, outputs_info=ng.zeros((3, 3)), name="layer")
cost = (h[-1] ** 2).sum()
f = ng.function([i], cost, updates=[(w, w - ng.grad(cost, w))], givens={x: data[i * 2 : i * 2 + 2]})
k, v = ng.lvector("k"), ng.vector("v")
picked, _ = ng.scan(lambda i, s: (s + v[i], ng.until(s > 5)), sequences=k, outputs_info=0.0)
g = ng.function([k, v], picked)
print(f(0), f(1), f.sweep(range(3)).sum(), g([0, 1, 1], [1.0, 2.0]))
print("passes", "numgraph.compile" in sys.modules or "numba" in sys.modules)
try:
    g([0, 2], [1.0, 2.0])
except IndexError as error:
    print(error)
print(len(f.source), f.explain(0).phases[0].makes)
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    first, second = (finish(start(tmp_path, PROGRAM, NUMGRAPH_VERIFY="0")) for _ in range(2))
    assert "passes True" in first and "passes False" in second
    assert first.replace("passes True", "") == second.replace("passes False", "")
    assert "index 2 is out of range" in first


def every() -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, outputs and values of a bit of everything."""
    x, (W, U), h = layer()
    k, v = ng.lvector("k"), ng.fvector("v")
    s, _ = ng.scan(lambda i, a: (a * v[i] + 1, ng.until(a > 90)), sequences=k, outputs_info=ng.constant(np.float32(1)))
    t, _ = ng.scan(lambda i, a: ng.set_subtensor(a[i], a[i - 1] + 1), sequences=k, outputs_info=ng.zeros((5,), "int64"))
    outputs = [h, *ng.grad((h[-1] ** 2).sum(), [x, W, U]), s, ng.grad(s.sum(), v), t, t[-1]]
    values = [rng.normal(size=(6, 70, 3)), np.array([1, 2, 3, 0]), rng.normal(size=5).astype("float32")]
    return [x, k, v], outputs, values


def test_standard_passes_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inputs, outputs, values = every()
    found = []
    for standard in (False, True):
        monkeypatch.setattr(ng.config, "standard_passes", standard)
        monkeypatch.setattr(ng.config, "cache_dir", tmp_path / str(standard))
        found.append(ng.function(inputs, outputs, target="cpu")(*values))
    for a, b in zip(*found, strict=True):
        assert_array_equal(a, b)


def test_threads_give_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs, values = every()
    f = ng.function(inputs, outputs, target="cpu")
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(ng.config, "threads", threads)
        found.append([f(*values), f(*values)])
        for a, b in zip(*found[-1], strict=True):
            assert_array_equal(a, b)
    for a, b in zip(found[0][0], found[1][0], strict=True):
        assert_allclose(a, b, rtol=1e-5 if a.dtype == np.float32 else 1e-12, atol=1e-6)


def test_a_sweep_of_scans(target: str) -> None:
    x, w = ng.vector("x"), ng.shared(1.0, "w")
    s, _ = ng.scan(lambda v, h: h * w + v, sequences=x, outputs_info=0.0)
    f = ng.function([x], s[-1], updates=[(w, w + s[-1])])
    rows = np.arange(6.0).reshape(3, 2)
    wanted = [f(row) for row in rows]
    w.set_value(1.0)
    assert_array_equal(f.sweep(rows), wanted)


# -- what is printed ------------------------------------------------------------------------------------------------


def test_formulas_of_scans() -> None:
    a, w, h0 = ng.vector("a"), ng.scalar("w"), ng.scalar("h0")
    s, _ = ng.scan(lambda v, h: ng.tanh(h * w + v), sequences=a, outputs_info=h0)
    assert ng.pprint(s[-1]) == "scan(tanh(h0 * w + a[t]), h0=h0, steps=a.shape[0])[-1]"
    ended, _ = ng.scan(lambda h: (h * 2, ng.until(h > 9)), outputs_info=1.0, n_steps=7)
    shown = "scan(state * 2.0, state=1.0, until=state > 9.0, steps=7)"
    assert ng.pprint(ended) == f"{shown}[:len({shown.replace('state * 2.0, ', '')})]"
    assert ng.pprint(ng.map(lambda v: v**2, a)[0]) == "scan(a[t] ** 2.0, steps=a.shape[0])"
    assert ng.pprint(ng.foldl(lambda v, h: h + v, a, 0.0)[0]).endswith(", steps=a.shape[0])[-1]")


def test_graphs_of_scans_are_printed_with_their_steps() -> None:
    x, _, h = layer()
    out = io.StringIO()
    ng.debugprint([h, ng.grad(h.sum(), x)], out)
    text = out.getvalue()
    assert " object at 0x" not in text
    assert text.count("a step of scan layer:") == 1 and "a step of scan gradient of layer:" in text
    assert re.search(r"x\[t\] \[\d+\] float64\[\?,\?\] is an element of \[\d+\]", text)
    assert re.search(r"unnamed \[\d+\] float64\[\?,4\] is a state, at first \[\d+\]", text)
    assert re.search(r"^tanh \[\d+\] float64", text, re.MULTILINE)


def test_what_there_is_to_read_of_a_function() -> None:
    x, (W, U), h = layer()
    f = ng.function([x], [h[-1], *ng.grad(h.sum(), [W, U])], target="cpu", name="train")
    f(np.ones((5, 2, 3)))
    shown = str(f.explain(np.ones((5, 2, 3))))
    assert re.search(r"phase_\d+ +scan layer", shown) or "scan" in shown
    record = f.record.to_plain()
    # the text of this file, which has the words that are looked for
    del record["making"]["files"]
    for text in (shown, str(record), f.source, f.listing):
        assert " object at 0x" not in text
    assert "test_scan_programs.py" in f.listing
    assert len(f.inspect_asm()) > 0
