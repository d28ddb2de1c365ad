"""`theano.function`, updates, givens and settings, where they differ from numgraph's own."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph.compat.flags import Flags, parsed


def test_no_outputs_are_an_empty_list(target: str) -> None:
    n = theano.shared(0, name="n")
    step = theano.function([], updates=[(n, n + 1)])
    assert step() == [] and theano.function([], None, updates={n: n + 1})() == []
    assert n.get_value() == 2


def test_results_are_arrays_without_axes(target: str) -> None:
    x = T.dscalar("x")
    single = theano.function([x], x * 2)(3)
    several = theano.function([x], [x, T.neq(x, 0)])(3)
    assert all(type(v) is np.ndarray and v.shape == () for v in (single, *several))
    np.testing.assert_array_equal(np.vstack([single, several[0]]), [[6.0], [3.0]])


def test_a_shape_is_one_output(target: str) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    np.testing.assert_array_equal(theano.function([x], (x**2).shape)(np.ones((2, 3))), [2, 3])
    total, lengths = theano.function([x], [x.sum(), x.shape])(np.ones((2, 3)))
    assert total == 6 and lengths.tolist() == [2, 3]
    assert theano.function([x], {"lengths": x.shape})(np.ones((2, 3)))["lengths"].tolist() == [2, 3]
    # these are several outputs
    assert theano.function([x], (x.shape[1], x.shape[0]))(np.ones((2, 3))) == [3, 2]
    assert theano.function([x, y], (x.shape[0], y.shape[1]))(np.ones((2, 3)), np.ones((2, 3))) == [2, 3]
    assert theano.function([x], list(x.shape))(np.ones((2, 3))) == [2, 3]


def test_results_are_fresh(target: str) -> None:
    w = theano.shared(np.ones(3), name="w")
    f = theano.function([], w)
    total = f()
    total += f()
    np.testing.assert_array_equal(f(), np.ones(3))
    np.testing.assert_array_equal(w.get_value(), np.ones(3))


def test_theanos_order_of_arguments(target: str) -> None:
    x, w = T.dscalar("x"), theano.shared(1.0, name="w")
    y = x * 2
    f = theano.function([x], y * w, "FAST_RUN", [(w, w + x)], {y: x}, True, False, "named")
    assert f(2.0) == 2.0 and w.get_value() == 3.0 and f.name == "named"


@pytest.mark.parametrize("mode", [None, "FAST_RUN", "FAST_COMPILE", "Mode", theano.compile.Mode("vm", None)])
def test_modes(mode: Any) -> None:
    x = T.dscalar("x")
    assert theano.function([x], x + 1, mode=mode)(1) == 2


def test_modes_that_check_say_that_they_do_not() -> None:
    x = T.dscalar("x")
    with pytest.warns(UserWarning, match="DebugMode checks nothing"):
        theano.function([x], x, mode="DebugMode")
    for mode in ("NanGuardMode", theano.compile.nanguardmode.NanGuardMode(nan_is_error=True)):
        with pytest.raises(FloatingPointError, match=r"log: the result is -inf, made of 0\.0"):
            theano.function([x], T.log(x), mode=mode)(0)
    assert theano.function([x], T.log(x))(0) == -np.inf
    with pytest.raises(ValueError, match="mode must be"):
        theano.function([x], x, mode="FAST")
    assert theano.function([x], x, mode="reference").target == "reference"
    default = theano.compile.mode.get_default_mode()
    assert default.including("fusion").excluding("gpu") is default and default.call_time == 0


def test_defaults_by_keyword(target: str) -> None:
    index, rate, level = T.lscalar("index"), T.dscalar("lr"), T.dscalar("corruption")
    f = theano.function([index, theano.In(level, value=0.2), theano.In(rate, value=0.1)], [index, level, rate])
    assert [float(v) for v in f(index=3, corruption=0.5)] == [3.0, 0.5, 0.1]
    assert [float(v) for v in f(index=3)] == [3.0, 0.2, 0.1]
    assert [float(v) for v in f(1, lr=2.0)] == [1.0, 0.2, 2.0]
    older = theano.function([theano.Param(rate, default=4.0)], rate)
    assert older() == 4.0


def test_positions_of_in(target: str) -> None:
    x = T.dscalar("x")
    # name, value, update, mutable, strict
    f = theano.function([theano.In(x, "y", 1.0, x + 1, False, False)], x)
    assert [float(f()), float(f()), float(f(y=9.0)), float(f())] == [1.0, 2.0, 9.0, 10.0]


def test_inputs_in_tuples(target: str) -> None:
    x, w, z = T.dscalar("x"), T.dscalar("w"), T.dscalar()
    f = theano.function([x, ((w, w + x), 0.5), (z, 10.0)], [x, w, z])
    assert [float(v) for v in f(2.0)] == [2.0, 0.5, 10.0]
    assert [float(v) for v in f(3.0)] == [3.0, 2.5, 10.0] and f["w"] == 5.5
    named = theano.function([("left", x), ["right", z, 4.0]], x - z)
    assert named(left=1.0) == -3.0 and named(1.0, right=0.0) == 1.0
    for wrong in ((), (x, 1.0, 2.0), ("name",), ("name", 3)):
        with pytest.raises(TypeError):
            theano.function([wrong], x)


def test_givens_chain_in_order(target: str) -> None:
    a, b, c = T.dscalars("a", "b", "c")
    out = a * 10
    assert theano.function([c], out, givens=[(b, c + 1), (a, b * 2)])(3.0) == 80.0
    # a key that a later value uses may stand in outputs and default updates, too
    assert theano.function([c], out + b, givens=[(b, c + 1), (a, b * 2)])(3.0) == 84.0
    s, n = theano.shared(0.0, name="s"), theano.shared(10.0, name="n")
    s.default_update = s + b
    f = theano.function([c], [out, s], updates=iter([(n, n + b)]), givens=[(b, c + 1), (a, b * 2)])
    f(3.0)
    assert s.get_value() == 4.0 and n.get_value() == 14.0
    # what Theano refuses is substituted all at once, as in numgraph: here a swap
    x, y = theano.shared(1.0, name="x"), theano.shared(2.0, name="y")
    assert theano.function([], 10 * x + y, givens={x: y, y: x})() == 21.0
    # the key itself in its value is the old one
    assert theano.function([a], out, givens={out: out + 1})(2.0) == 21.0
    assert theano.function([], a + b, givens=[(b, 1.0), (a, 2)])() == 3.0


def test_givens_take_a_slice_of_a_cast(target: str) -> None:
    """What load_data of the tutorials does: labels are stored as floats."""
    labels = theano.shared(np.array([1.0, 2.9999, 5.0, 7.0], theano.config.floatX), borrow=True)
    y, index = T.ivector("y"), T.lscalar()
    f = theano.function([index], y, givens={y: T.cast(labels, "int32")[index * 2 : (index + 1) * 2]})
    np.testing.assert_array_equal(f(0), [1, 2])
    np.testing.assert_array_equal(f(1), [5, 7])
    assert f(1).dtype == "int32"


def test_shared_forms() -> None:
    zero = theano.shared(value=0, name="t")
    assert zero.dtype == "int64" and zero.get_value().shape == ()
    assert theano.shared(np.float32(1.5)).dtype == "float32" and theano.shared(1.5).dtype == "float64"
    array = np.zeros(3)
    assert theano.shared(array, borrow=True).get_value(borrow=True) is array
    assert theano.shared(np.zeros((3, 1)), broadcastable=(False, True)).ndim == 2
    with pytest.raises(ValueError, match="broadcastable"):
        theano.shared(np.zeros((3, 2)), broadcastable=(False, True))
    with pytest.raises(TypeError):
        theano.shared(T.dscalar())


def test_updates_of_another_dtype_are_refused() -> None:
    w, r = theano.shared(np.float32(1), name="w"), T.dscalar("r")
    with pytest.raises(TypeError, match="float64"):
        theano.function([r], updates=[(w, w - r)])


def test_ordered_updates(target: str) -> None:
    a, b = theano.shared(1.0, name="a"), theano.shared(2.0, name="b")
    updates = theano.OrderedUpdates()
    assert not updates
    updates.update((v, v * 3) for v in (a, b))
    new = a - 1
    both = theano.OrderedUpdates([(a, new)]) + OrderedDict([(b, b - 1)])
    assert list(both) == [a, b] and list({a: new} + theano.OrderedUpdates({b: b})) == [a, b]
    both.update({a: new})
    with pytest.raises(KeyError, match="Collision"):
        both.update({a: a + 1})
    with pytest.raises(TypeError, match="shared"):
        both[T.dscalar()] = a
    with pytest.raises(TypeError, match="shared"):
        theano.OrderedUpdates({T.dscalar(): a})
    theano.function([], [], updates=updates)()
    assert (a.get_value(), b.get_value()) == (3.0, 6.0)


def test_ifelse(target: str) -> None:
    v, c = T.dvector("v"), T.iscalar("c")
    f = theano.function([v, c], theano.ifelse.ifelse(c, v * 2, v - 1))
    np.testing.assert_array_equal(f([1.0, 2.0], 1), [2.0, 4.0])
    np.testing.assert_array_equal(f([1.0, 2.0], 0), [0.0, 1.0])
    pair = theano.function([v, c], theano.ifelse.ifelse(T.eq(c, 1), [v[0], v], [v[1], -v]))
    assert pair([1.0, 2.0], 0)[0] == 2.0
    uneven = theano.function([v, c], theano.ifelse.ifelse(c, v, v[:1]))
    for chosen, wanted in ((1, [1.0, 2.0]), (0, [1.0])):
        np.testing.assert_array_equal(uneven([1.0, 2.0], chosen), wanted)
    with pytest.raises(ValueError, match="ranks"):
        theano.ifelse.ifelse(c, v, c)


def test_clone(target: str) -> None:
    x, y = T.dscalars("x", "y")
    assert theano.function([y], theano.clone(x * 2, replace={x: y + 1}))(2.0) == 6.0
    v, w = T.fscalar("v"), T.dvector("w")
    with pytest.raises(ng.GivensError, match="cannot stand for v"):
        theano.clone(v * 2, replace={v: w})
    (wider,) = theano.clone([v * 2], replace={v: w}, strict=False)
    assert wider.type == T.dvector and theano.function([w], wider)([2.0, 3.0]).tolist() == [4, 6]


class Classifier:
    """As in the tutorials: variables, shared variables and expressions in one object."""

    def __init__(self, input: Any) -> None:
        self.W = theano.shared(np.eye(2), name="W", borrow=True)
        self.p = T.nnet.softmax(T.dot(input, self.W))
        self.y = T.argmax(self.p, axis=1)
        self.input, self.params = input, [self.W]


def test_classifiers_pickle(tmp_path: Path) -> None:
    made = Classifier(T.matrix("x"))
    for dump, load in ((pickle.dump, pickle.load), (theano.misc.pkl_utils.dump, theano.misc.pkl_utils.load)):
        with (tmp_path / "model.pkl").open("wb") as file:
            dump(made, file)
        with (tmp_path / "model.pkl").open("rb") as file:
            back = load(file)
        f = theano.function(inputs=[back.input], outputs=back.y)
        np.testing.assert_array_equal(f([[2.0, 1.0], [0.0, 1.0]]), [0, 1])
    twin = copy.deepcopy(made)
    twin.W.set_value(np.zeros((2, 2)))
    assert made.W.get_value()[0, 0] == 1.0


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "floatX", "float64")
    config = theano.config
    assert config.floatX == "float64" and np.asarray(0.0, config.floatX).dtype == "float64"
    config.floatX = "float32"
    assert ng.config.floatX == "float32" and T.matrix().dtype == "float32"
    with pytest.raises(ValueError):
        config.floatX = "float16"
    config.mode = "FAST_RUN"
    config.warn.subtensor_merge_bug = False
    config.warn.something_new = True
    config.some_unknown_flag = 3
    assert config.warn.something_new is True and config.some_unknown_flag == 3
    assert config.device == "cpu" and config.compute_test_value == "off" and config.gcc.cxxflags == ""
    with pytest.raises(AttributeError, match=r"theano\.config\.nothing_of_the_kind"):
        config.nothing_of_the_kind  # noqa: B018
    with config.change_flags(floatX="float64", compute_test_value="raise"):
        assert ng.config.floatX == "float64" and config.compute_test_value == "raise"
    assert ng.config.floatX == "float32" and config.compute_test_value == "off"

    @theano.change_flags({"warn.x": 1})
    def within() -> Any:
        return config.warn.x

    assert within() == 1 and config.warn.x is False
    assert "floatX = 'float32'" in repr(config)
    assert theano.configdefaults.config is config


def test_flags_as_text() -> None:
    assert parsed("floatX=float32, device=gpu0,warn.x=True,") == {
        "floatX": "float32", "device": "gpu0", "warn.x": "True",
    }  # fmt: skip
    assert parsed("") == {}
    with pytest.raises(ValueError, match="name=value"):
        parsed("floatX")
    # two settings objects do not share what is set
    assert not hasattr(Flags({}), "device")


def test_linear_algebra() -> None:
    from numgraph.compat.theano.tensor import nlinalg, slinalg

    a, b = T.dmatrix("a"), T.dmatrix("b")
    v = np.array([[2.0, 1.0], [1.0, 3.0]])
    w = np.array([[1.0, 0.5], [0.5, 2.0]])
    results = [
        nlinalg.matrix_inverse(a), nlinalg.det(a), *nlinalg.eigh(a), nlinalg.trace(a), slinalg.kron(a, b),
        slinalg.solve(a, b), slinalg.solve_lower_triangular(a, b), slinalg.solve_upper_triangular(a, b),
        slinalg.eigvalsh(a, b), slinalg.eigvalsh(a, None), slinalg.eigvalsh(a, b, lower=False), slinalg.cholesky(a),
    ]  # fmt: skip
    general = np.sort(np.linalg.eigvals(np.linalg.solve(w, v)).real)
    wanted = [
        np.linalg.inv(v), 5.0, *np.linalg.eigh(v), 5.0, np.kron(v, w), np.linalg.solve(v, w),
        np.linalg.solve(np.tril(v), w), np.linalg.solve(np.triu(v), w), general, np.linalg.eigvalsh(v), general,
        np.linalg.cholesky(v),
    ]  # fmt: skip
    for got, value in zip(theano.function([a, b], results)(v, w), wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-12)
    turning = np.array([[1.0, 2.0], [-3.0, 0.5]])
    values, vectors = theano.function([a], list(nlinalg.eig(a)))(turning)
    np.testing.assert_allclose(turning @ vectors, vectors * values)


def test_fourier_transforms() -> None:
    """Real arrays with an axis of 2; of several axes, of each of m inputs; scaled as Theano's."""
    from numgraph.compat.theano.tensor import fft

    x, y = T.dtensor3("x"), T.dmatrix("y")
    v = np.random.default_rng(2).normal(size=(3, 4, 6))
    outputs = [
        fft.rfft(x), fft.rfft(x, "ortho"), fft.irfft(fft.rfft(x)), fft.irfft(fft.rfft(x), "no_norm"),
        fft.irfft(fft.rfft(y), is_odd=True), T.grad(fft.rfft(x).sum(), x),
    ]  # fmt: skip
    found = theano.function([x, y], outputs)(v, v[0, :, :5])
    numbers = np.fft.rfftn(v, axes=(1, 2))
    parts = np.stack([numbers.real, numbers.imag], -1)
    wanted = [parts, parts / np.sqrt(24), v, v * 24, v[0, :, :5]]
    for got, value in zip(found, wanted, strict=False):
        np.testing.assert_allclose(got, value, atol=1e-12)
    with pytest.raises(ValueError, match="norm"):
        fft.rfft(x, "forward")
    with pytest.raises(ValueError, match="is_odd"):
        fft.irfft(fft.rfft(x), is_odd=2)


def test_scan_checkpoints(target: str) -> None:
    """A ** k with the powers after every fourth step, and after the last one."""
    k, A = T.iscalar("k"), T.dvector("A")
    powers, updates = theano.scan_checkpoints(
        lambda before, A: before * A, outputs_info=T.ones_like(A), non_sequences=A, n_steps=k, save_every_N=4
    )
    f = theano.function([A, k], [powers, T.grad(powers[-1].sum(), A)], updates=updates)
    base = np.arange(1.0, 4.0)
    for steps, kept in ((8, [4, 8]), (10, [4, 8, 10]), (1, [1])):
        got, slope = f(base, steps)
        np.testing.assert_allclose(got, [base**n for n in kept])
        np.testing.assert_allclose(slope, steps * base ** (steps - 1))
    assert theano.scan_module.scan_checkpoints is theano.scan_checkpoints
