"""Pickling and copying: links are kept, originals are left alone, and depth does not matter."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from tests.waits import python

pytestmark = pytest.mark.usefixtures("target")
ROOT = Path(__file__).parents[2]

WAYS: dict[str, Callable[[Any], Any]] = {
    **{f"pickle{p}": lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
    "deepcopy": copy.deepcopy,
}
both = pytest.mark.parametrize(
    "again", [WAYS["pickle0"], WAYS["pickle2"], WAYS[f"pickle{pickle.HIGHEST_PROTOCOL}"], copy.deepcopy]
)


@pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)
def test_function_and_shared_variable_stay_together(again: Any) -> None:
    s = ng.shared(np.array([1.0, 2.0]), "s")
    f = ng.function([], ng.sum(s), updates=[(s, s + 1)], name="f")
    f()
    f2, s2 = again((f, s))
    assert f2() == 5 and f2.name == "f"
    np.testing.assert_array_equal(s2.get_value(), [3, 4])
    np.testing.assert_array_equal(s.get_value(), [2, 3])
    f()
    np.testing.assert_array_equal(s2.get_value(), [3, 4])
    s2.set_value([10.0])
    assert f2() == 10


@pytest.mark.parametrize("again", [*WAYS.values(), copy.copy], ids=[*WAYS, "copy"])
@pytest.mark.parametrize("value", [0.0, 3.0, np.zeros(3), np.zeros(0), np.ones((2, 0, 1)), np.array(True)], ids=repr)
def test_a_shared_variable_alone(again: Any, value: Any) -> None:
    s = ng.shared(value, "s")
    s2 = again(s)
    assert (s2.name, s2.type) == ("s", s.type)
    np.testing.assert_array_equal(s2.get_value(), value)
    s.set_value(np.ones_like(value))
    np.testing.assert_array_equal(s2.get_value(), value)


def test_values_out_of_band() -> None:
    s, buffers = ng.shared(np.arange(3.0)), []
    data = pickle.dumps(s, 5, buffer_callback=buffers.append)
    s2 = pickle.loads(data, buffers=[bytes(b.raw()) for b in buffers])
    ng.function([], updates=[(s2, s2 + 1)])()
    np.testing.assert_array_equal(s2.get_value(), [1.0, 2.0, 3.0])


def test_a_shallow_copy_has_its_own_states_and_common_shared_variables() -> None:
    x, s, w = ng.scalar("x"), ng.scalar("s"), ng.shared(1.0, "w")
    f = ng.function([x, ng.In(s, value=0.0, update=s + x)], s + x * w, updates=[(w, w + 1)], name="f")
    f(1.0)
    g = copy.copy(f)
    f(10.0)
    assert (f["s"], g["s"], g.name) == (11.0, 1.0, "f")
    assert g(1.0) == 1.0 + 3.0 and w.get_value() == 4.0 and f["s"] == 11.0


def test_shallow_copies_of_variables() -> None:
    x = ng.vector("x")
    y = ng.exp(x * 2)
    z = copy.copy(y)
    assert z is not y and z.inputs == y.inputs and z.type == y.type
    np.testing.assert_array_equal(ng.function([x], z - y)(np.ones(2)), [0.0, 0.0])
    # pickling lists ancestors afterwards as before
    chain = x
    for _ in range(3000):
        chain = chain + 1
    copy.copy(chain)
    assert pickle.loads(pickle.dumps(chain)).type == x.type


def test_a_pickle_that_breaks_off_does_no_harm_to_the_next() -> None:
    class Stopping:
        def write(self, data: bytes) -> None:
            raise KeyboardInterrupt

    chain = ng.vector("x")
    for _ in range(3000):
        chain = chain + 1
    for protocol in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            pickle.dump([chain, ng.shared(np.zeros(100_000))], Stopping(), protocol)
        assert pickle.loads(pickle.dumps(chain, protocol)).type == chain.type


def test_a_default_update_that_is_deleted() -> None:
    s = ng.shared(np.zeros(2), "s")
    s.default_update = s + 1
    del s.default_update
    assert s.default_update is None
    del s.default_update
    ng.function([], s)()
    for again in (*WAYS.values(), copy.copy):
        assert again(s).default_update is None
    np.testing.assert_array_equal(s.get_value(), [0.0, 0.0])


@both
def test_two_functions_keep_what_they_share(again: Any) -> None:
    s, x = ng.shared(0.0, "s"), ng.scalar("x")
    add, read = ng.function([x], [], updates=[(s, s + x)]), ng.function([], s)
    add2, read2 = again([add, read])
    add2(5.0)
    assert read2() == 5 and read() == 0 and s.get_value() == 0


@both
def test_a_function_alone_carries_its_values(again: Any) -> None:
    s = ng.shared(np.arange(3.0), "s")
    f = ng.function([], s * 2, updates=[(s, s + 1)])
    f2 = again(f)
    s.set_value([9.0])
    np.testing.assert_array_equal(f2(), [0, 2, 4])
    np.testing.assert_array_equal(f2.get_shared()[0].get_value(), [1, 2, 3])


@both
def test_state_defaults_and_options(again: Any) -> None:
    x, k, late = ng.scalar("x", "float32"), ng.scalar("k"), ng.scalar("late")
    f = ng.function(
        [ng.In(x, name="times", allow_downcast=False), ng.In(k, value=1.0, update=k + 1), ng.In(late, update=late + 1)],
        {"k": k * x, "late": late},
        name="f",
    )
    f(1.0, late=5.0)
    f2 = again(f)
    assert f2(times=2.0) == {"k": 4, "late": 6}
    assert (f["k"], f2["k"], f["late"], f2["late"]) == (2, 3, 6, 7)
    with pytest.raises(ng.DtypeError):
        f2(0.1)
    unset = again(ng.function([ng.In(late, update=late + 1)], late))
    with pytest.raises(ng.InputError, match="its state has no value yet"):
        unset()


@both
def test_default_updates(again: Any) -> None:
    n = ng.shared(0, "n")
    n.default_update = n + 1
    f = ng.function([], n)
    f2, n2 = again((f, n))
    assert [f2(), f2()] == [0, 1] and n2.get_value() == 2 and n.get_value() == 0
    # the copied variable still has its default update
    assert [ng.function([], n2 * 1)(), n2.get_value()] == [2, 3]


class Model:
    """Like the tutorials' classes: variables, shared variables, expressions and functions in one object."""

    def __init__(self) -> None:
        self.x = ng.matrix("x")
        self.W = ng.shared(np.ones((2, 3)), "W")
        self.params = [self.W]
        self.cost = ng.sum(ng.tanh(ng.dot(self.x, self.W)))
        self.step = ng.function(
            [self.x], self.cost, updates=[(p, p - 0.1 * ng.grad(self.cost, p)) for p in self.params]
        )


@both
def test_an_object_that_holds_everything(again: Any) -> None:
    model = Model()
    data = np.ones((4, 2))
    model.step(data)
    other = again(model)
    assert other.params[0] is other.W and other.W is not model.W
    np.testing.assert_array_equal(other.W.get_value(), model.W.get_value())
    assert other.step(data) == model.step(data)
    model.step(data)
    assert not np.array_equal(other.W.get_value(), model.W.get_value())
    # expressions of the copy are about the copy's variables
    f = ng.function([other.x], other.cost)
    # sums of floats go in any order, which another function may choose otherwise
    np.testing.assert_allclose(f(data), other.step(data), rtol=1e-14)


@both
def test_givens_are_kept_for_display(again: Any) -> None:
    X, i, x = ng.shared(np.arange(6.0), "X"), ng.lscalar("i"), ng.vector("x")
    f = again(ng.function([i], ng.sum(x), givens={x: X[2 * i : 2 * i + 2]}))
    assert f(1) == 5 and f.program.givens[0][0].name == "x"


@both
def test_constants_names_and_lines(again: Any) -> None:
    x = ng.vector("x")
    z = x * np.array([1.0, 2.0])
    z.name = "z"
    z2 = again(z)
    assert (z2.name, z2.type, z2.line, z2.op) == (z.name, z.type, z.line, z.op)
    assert z2.inputs[0].name == "x" and z2.inputs[0] is not x
    np.testing.assert_array_equal(ng.function([z2.inputs[0]], z2)([3, 4]), [3, 8])


@pytest.mark.parametrize("length", [2_000])
@both
def test_long_chains(again: Any, length: int) -> None:
    x, s = ng.scalar("x"), ng.shared(0.0, "s")
    z = x
    for _ in range(length):
        z = z + 1.0
    f = ng.function([x], z, updates=[(s, s + z)], target="reference")
    assert sys.getrecursionlimit() < length
    f2, z2 = again((f, z))
    assert f2(0.0) == length and z2.op is z.op
    assert f2.outputs[0] is z2


def test_many_outputs_of_one_chain_take_one_walk() -> None:
    z = x = ng.scalar("x")
    outputs = []
    for _ in range(2000):
        z = z * 1.0
        outputs.append(z)
    f = ng.function([x], outputs, target="reference")
    data = pickle.dumps(f)
    # a few hundred bytes per node, not per pair of nodes
    assert len(data) < 2000 * 400
    assert pickle.loads(data)(2.0)[-1] == 2


def test_a_failed_pickle_does_no_harm() -> None:
    x = ng.scalar("x")
    z = x * 2 + 1

    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps([z, lambda: None])
    z2 = pickle.loads(pickle.dumps(z))
    assert ng.function([z2.inputs[0].inputs[0]], z2)(3.0) == 7


def test_another_process_reads_it(tmp_path: Path) -> None:
    s, x = ng.shared(np.arange(3.0), "s"), ng.vector("x")
    file = tmp_path / "f.pkl"
    file.write_bytes(pickle.dumps(ng.function([x], s * x, updates=[(s, s + 1)])))
    code = f"import pickle; f = pickle.load(open({str(file)!r}, 'rb')); f([1, 1, 1]); print(f([1, 2, 3]).tolist())"
    done = python("-c", code, cwd=ROOT)
    assert done.stdout.strip() == "[1.0, 4.0, 9.0]", done.stderr
