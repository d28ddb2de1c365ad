"""Gradients of scans: against differences, first and second ones, cut ones, of what is closed over; jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from tests.scans import both, check, compiled

rng = np.random.default_rng(5)


def recurrent(x: Any, W: Any, U: Any, b: Any) -> Any:
    h0 = ng.zeros((x.shape[1], 3))
    s, _ = ng.scan(lambda v, h: ng.tanh(ng.dot(v, W) + ng.dot(h, U) + b), sequences=x, outputs_info=h0)
    return s


WEIGHTS = (rng.normal(size=(2, 3)), rng.normal(size=(3, 3)) * 0.5, rng.normal(size=3))


@pytest.mark.parametrize("steps", [1, 4])
def test_of_a_recurrent_layer(steps: int) -> None:
    check(recurrent, rng.normal(size=(steps, 2, 2)), *WEIGHTS)


def test_compiled_second_derivatives_against_differences() -> None:
    from numgraph import testing

    testing.check_gradient(lambda *v: recurrent(*v)[-1], [rng.normal(size=(3, 2, 2)), *WEIGHTS], compiled, order=2)


def test_of_a_recurrent_layer_written_in_numpy() -> None:
    """Backpropagation through time, by hand."""
    x, W, U, b = ng.tensor3("x"), ng.matrix("W"), ng.matrix("U"), ng.vector("b")
    h = recurrent(x, W, U, b)
    cost = ng.sum(h[-1] ** 2) + ng.sum(h)
    X, (Wv, Uv, bv) = rng.normal(size=(5, 2, 2)), WEIGHTS
    got = both([x, W, U, b], [cost, *ng.grad(cost, [x, W, U, b])], (X, Wv, Uv, bv))
    states = [np.zeros((2, 3))]
    for v in X:
        states.append(np.tanh(v @ Wv + states[-1] @ Uv + bv))
    gx, gW, gU, gb, carried = np.zeros_like(X), np.zeros_like(Wv), np.zeros_like(Uv), np.zeros_like(bv), 0.0
    for t in reversed(range(5)):
        arriving = carried + 1.0 + (2 * states[-1] if t == 4 else 0.0)
        dz = arriving * (1 - states[t + 1] ** 2)
        gx[t], carried = dz @ Wv.T, dz @ Uv.T
        gW, gU, gb = gW + X[t].T @ dz, gU + states[t].T @ dz, gb + dz.sum(axis=0)
    wanted = [np.sum(states[-1] ** 2) + np.sum(states[1:]), gx, gW, gU, gb]
    for a, b_ in zip(got, wanted, strict=True):
        assert_allclose(a, b_)


def test_of_every_way_of_use() -> None:
    """First values, sequences, what is closed over and what is passed; outputs of which one uses the other."""

    def build(x: Any, h0: Any, w: Any, c: Any) -> Any:
        def step(v: Any, h: Any, w: Any) -> Any:
            new = ng.tanh(h * w + v * c)
            return new, new * v + ng.exp(-c) * h

        (h, y), _ = ng.scan(step, sequences=x, outputs_info=[h0, None], non_sequences=w)
        return h.sum(axis=0) * y[-1] + y[1:].sum(axis=0)

    check(build, rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=3), rng.normal(size=()))


def test_of_several_states_of_which_only_some_matter() -> None:
    def build(a0: Any, b0: Any, x: Any) -> Any:
        def step(v: Any, a: Any, b: Any, k: Any) -> Any:
            return a * b + v, ng.sin(b) + 0.1 * a, k + 1

        (a, _, k), _ = ng.scan(step, sequences=x, outputs_info=[a0, b0, np.int64(0)])
        return a * k[:, None]

    check(build, rng.normal(size=2), rng.normal(size=2), rng.normal(size=(4, 2)))


def test_of_no_steps_is_zero() -> None:
    x, h0, w = ng.matrix("x"), ng.vector("h0"), ng.scalar("w")
    s, _ = ng.scan(lambda v, h: h * w + v, sequences=x, outputs_info=h0)
    cost = (s**2).sum() + h0.sum()
    got = both([x, h0, w], [cost, *ng.grad(cost, [x, h0, w])], (np.zeros((0, 2)), [1.0, 2.0], 3.0))
    assert_array_equal(got[0], 3)
    assert got[1].shape == (0, 2) and got[2].tolist() == [1, 1] and got[3] == 0


def test_of_a_step_with_indices_products_and_reductions() -> None:
    def build(table: Any, x: Any, y: Any) -> Any:
        index = ng.constant(np.array([0, 2, 2, 1]))

        def step(k: Any, v: Any, h: Any) -> Any:
            row = table[k] + table[k, 1]
            h = ng.softmax(h + row * v.sum()) * (1 + ng.max(v))
            return h, ng.log(ng.sum(ng.exp(h))) + ng.dot(h, y)

        (h, z), _ = ng.scan(step, sequences=[index, x], outputs_info=[ng.zeros((3,)), None])
        return ng.concatenate([h.ravel(), z.ravel()])

    check(build, rng.normal(size=(3, 3)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2)))


def test_of_a_window_that_moves() -> None:
    def build(v: Any) -> Any:
        moving, _ = ng.scan(lambda t: ng.sqr(v[t : t + 3]).sum(), sequences=ng.arange(v.shape[0] - 2))
        growing, _ = ng.scan(lambda t: ng.sin(v[:t]).sum(), sequences=ng.arange(v.shape[0]))
        return moving * growing[2:]

    check(build, rng.normal(size=6))


def test_of_a_state_that_is_written_to() -> None:
    def build(x: Any, s0: Any) -> Any:
        def step(k: Any, v: Any, s: Any) -> Any:
            return ng.set_subtensor(s[k], s[k - 1] * v + s[0])

        s, _ = ng.scan(step, sequences=[ng.arange(1, 5), x], outputs_info=s0)
        t, _ = ng.scan(lambda k, s: ng.inc_subtensor(s[k : k + 2], s[k] ** 2), ng.constant([0, 2, 1]), s0)
        return s[-1] + s[1] * t[-1] + t[0]

    check(build, rng.normal(size=4), rng.normal(size=5))


@pytest.mark.parametrize(("limit", "wanted"), [(1, 8.0), (2, 16.0), (3, 24.0), (4, 32.0), (9, 32.0), (-1, 32.0)])
def test_cut_gradients(limit: int, wanted: float) -> None:
    """SEMANTICS: of a ** 4 at 2 the gradient over one step is 8, the whole one 32."""
    a = ng.scalar("a")
    s, _ = ng.scan(lambda h: h * a, outputs_info=1.0, n_steps=4, truncate_gradient=limit)
    (got,) = both([a], [ng.grad(s[-1], a)], (2.0,))
    assert got == wanted


def test_cut_gradients_of_sequences_and_first_values() -> None:
    x, h0 = ng.vector("x"), ng.scalar("h0")
    found = []
    for limit in (2, 5, 7):
        s, _ = ng.scan(lambda v, h: h * 0.5 + v, sequences=x, outputs_info=h0, truncate_gradient=limit)
        found += ng.grad(s[-1], [x, h0])
    got = both([x, h0], found, (np.ones(5), 1.0))
    whole = 0.5 ** np.arange(4, -1, -1.0)
    for k, (limit, first) in enumerate(((2, 0.0), (5, 0.5**5), (7, 0.5**5))):
        assert_allclose(got[2 * k], np.where(np.arange(5) >= 5 - limit, whole, 0))
        assert_allclose(got[2 * k + 1], first)


def test_of_integers_and_comparisons_is_cut() -> None:
    x = ng.vector("x")
    (h, n), _ = ng.scan(
        lambda v, h, n: (ng.where(v > 0, h * v, h), n + (v > 0)), sequences=x, outputs_info=[1.0, np.int64(0)]
    )
    got = both([x], [ng.grad(h[-1] * n[-1], x), n], ([2.0, -1.0, 3.0],))
    assert got[0].tolist() == [6, 0, 4] and got[1].tolist() == [1, 1, 2]
    with pytest.raises(ng.NumgraphError):
        ng.grad(n[-1] * 1.0, ng.vector("other"))


def test_of_constants() -> None:
    """`consider_constant` of an output, and what is not connected."""
    x, y = ng.vector("x"), ng.vector("y")
    s, _ = ng.scan(lambda v, h: h * v, sequences=x, outputs_info=1.0)
    got = both([x], [ng.grad((s * x).sum(), x, consider_constant=[s])], ([2.0, 3.0],))
    assert got[0].tolist() == [2, 6]
    with pytest.raises(ng.DisconnectedError):
        ng.grad(s.sum(), y)
    (zeros,) = both([x, y], [ng.grad(s.sum(), y, disconnected_inputs="ignore")], ([2.0], [1.0, 1.0]))
    assert zeros.tolist() == [0, 0]


def test_in_float32() -> None:
    x, w = ng.fmatrix("x"), ng.fmatrix("w")
    s, _ = ng.scan(lambda v, h: ng.tanh(h @ w + v), sequences=x, outputs_info=ng.zeros((3,), "float32"))
    X, w_ = rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(3, 3)).astype("float32")
    got = both([x, w], ng.grad(s[-1].sum(), [x, w]), (X, w_))
    assert [v.dtype for v in got] == ["float32"] * 2


def test_a_gradient_inside_of_a_step() -> None:
    """Steps of gradient descent, as hmc's leapfrog does it; and its own gradient."""
    x0, a, rate = ng.vector("x0"), ng.matrix("a"), ng.scalar("rate")

    def step(x: Any, rate: Any) -> Any:
        energy = 0.5 * ng.sum(ng.dot(a, x) ** 2) + ng.sum(ng.cos(x))
        return x - rate * ng.grad(energy, x)

    s, _ = ng.scan(step, outputs_info=dict(initial=x0), non_sequences=[rate], n_steps=3)
    X, A = rng.normal(size=3), rng.normal(size=(3, 3))
    got = both([x0, a, rate], [s, *ng.grad(s[-1].sum(), [x0, a, rate])], (X, A, 0.1))
    x, wanted = X, []
    for _ in range(3):
        x = x - 0.1 * (A.T @ (A @ x) - np.sin(x))
        wanted.append(x)
    assert_allclose(got[0], wanted)
    check(lambda x0, a: ng.scan(lambda x: x - 0.1 * ng.grad(ng.sum(ng.sin(a @ x)), x), None, x0, n_steps=3)[0], X, A)


def test_jacobian_and_hessian() -> None:
    x, w = ng.vector("x"), ng.matrix("w")
    y = ng.tanh(w @ x)
    X, W = rng.normal(size=3), rng.normal(size=(2, 3))
    one, (jx, jw), h = ng.jacobian(y, x), ng.jacobian(y, [x, w]), ng.hessian((y**2).sum(), x)
    got = both([x, w], [one, jx, jw, h], (X, W))
    slope = 1 - np.tanh(W @ X) ** 2
    assert_allclose(got[0], slope[:, None] * W)
    assert_array_equal(got[1], got[0])
    assert_allclose(got[2], np.einsum("i,ij,k->ijk", slope, np.eye(2), X))
    value = np.tanh(W @ X)
    assert_allclose(got[3], W.T @ np.diag(2 * slope**2 - 4 * value**2 * slope) @ W)
    assert isinstance(ng.jacobian(y, (x, w)), tuple) and isinstance(ng.hessian(y.sum(), [x]), list)


def test_jacobian_of_other_shapes(target: str) -> None:
    x, m = ng.vector("x"), ng.matrix("m")
    assert_array_equal(ng.function([x], ng.jacobian(x.sum(), x))([1.0, 2.0]), [1, 1])
    assert ng.function([x], ng.jacobian(x * 2, x))([]).shape == (0, 0)
    array = np.arange(6.0).reshape(2, 3)
    (whole,) = ng.function([m], list(ng.jacobian(m.T * m.sum(), (m,))), on_unused_input="ignore")(array)
    wanted = np.einsum("ik,jl->jikl", np.eye(2), np.eye(3)) * array.sum() + array.T[:, :, None, None]
    assert_array_equal(whole, wanted)
    with pytest.raises(ng.GradientError, match="hessian: a vector is needed"):
        ng.hessian(m.sum(), m)
    with pytest.raises(ng.DisconnectedError):
        ng.jacobian(x, m)


def test_jacobian_of_a_scan() -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda v, h: h * v, sequences=x, outputs_info=1.0)
    X = np.array([2.0, 3.0, 5.0])
    got = both([x], [ng.jacobian(s, x), ng.hessian(s[-1], x)], (X,))
    assert_allclose(got[0], [[1, 0, 0], [3, 2, 0], [15, 10, 6]])
    assert_allclose(got[1], [[0, 5, 3], [5, 0, 2], [3, 2, 0]])


def test_second_ones_through_two_gradients_of_one_scan() -> None:
    """Both loops back ask for the same states of the first loop, and each adjoint counts."""
    a, b = ng.matrix("a"), ng.vector("b")

    def step(before: ng.Variable, last: ng.Variable) -> list[ng.Variable]:
        new = (before + last) ** 1.02
        return [new, new]

    (s, t), _ = ng.scan(step, outputs_info=[dict(initial=a, taps=[-2]), b], n_steps=3)
    total = ng.grad(s.sum(), a).sum() + ng.grad(t.sum(), b).sum()
    rng = np.random.default_rng(0)
    first, second = rng.uniform(size=(2, 3)), rng.uniform(size=3)
    f = ng.function([a, b], total)
    slopes = ng.function([a, b], ng.grad(total, [a, b]))(first, second)
    for k, place in ((0, (0, 1)), (0, (1, 2)), (1, (0,))):
        moved = [[x.copy() for x in (first, second)] for _ in range(2)]
        moved[0][k][place] += 1e-5
        moved[1][k][place] -= 1e-5
        np.testing.assert_allclose(slopes[k][place], (f(*moved[0]) - f(*moved[1])) / 2e-5, rtol=1e-5)
