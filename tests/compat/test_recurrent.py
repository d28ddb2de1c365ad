"""Recurrent models as the tutorials write them, through compat, step by step against NumPy with the same numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numgraph.compat.theano.sandbox.rng_mrg import MRG_RandomStreams
from numpy.typing import NDArray

from numgraph.compat import theano
from numgraph.compat.theano import tensor as T
from tests.compat.test_mrg import plain

Array = NDArray[Any]
VISIBLE, HIDDEN, UNITS, RATE = 5, 4, 3, 0.1


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def starts(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(1)
    return [rng.normal(scale=0.5, size=shape) for shape in shapes]


class RecurrentMachine:
    """A Boltzmann machine at each step, whose biases come from a recurrent network; divergence after three turns."""

    def __init__(self) -> None:
        self.rng = MRG_RandomStreams(seed=11)
        self.starts = starts(
            (VISIBLE, HIDDEN), (VISIBLE,), (HIDDEN,), (UNITS, HIDDEN), (UNITS, VISIBLE), (VISIBLE, UNITS),
            (UNITS, UNITS), (UNITS,),
        )  # fmt: skip
        self.params = tuple(theano.shared(p) for p in self.starts)
        v, u0 = T.matrix(), T.zeros((UNITS,))
        (_, bv, bh), updates = theano.scan(
            lambda v_t, u_tm1, *_: self.recurrence(v_t, u_tm1),
            sequences=v,
            outputs_info=[u0, None, None],
            non_sequences=self.params,
        )
        end, cost, monitor, more = self.machine(v, bv[:], bh[:], 3)
        updates.update(more)
        gradient = T.grad(cost, self.params, consider_constant=[end])
        updates.update((p, p - RATE * g) for p, g in zip(self.params, gradient, strict=True))
        self.train = theano.function([v], monitor, updates=updates)
        (v_t, _), updates = theano.scan(
            lambda u_tm1, *_: self.recurrence(None, u_tm1),
            outputs_info=[None, u0],
            non_sequences=self.params,
            n_steps=6,
        )
        self.generate = theano.function([], v_t, updates=updates)

    def recurrence(self, v_t: Any, u_tm1: Any) -> Any:
        _, bv, bh, Wuh, Wuv, Wvu, Wuu, bu = self.params
        bv_t, bh_t = bv + T.dot(u_tm1, Wuv), bh + T.dot(u_tm1, Wuh)
        generate = v_t is None
        if generate:
            v_t, _, _, updates = self.machine(T.zeros((VISIBLE,)), bv_t, bh_t, 4)
        u_t = T.tanh(bu + T.dot(v_t, Wvu) + T.dot(u_tm1, Wuu))
        return ([v_t, u_t], updates) if generate else [u_t, bv_t, bh_t]

    def machine(self, v: Any, bv: Any, bh: Any, k: int) -> Any:
        W = self.params[0]

        def turn(v: Any) -> Any:
            mean = T.nnet.sigmoid(T.dot(v, W) + bh)
            h = self.rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)
            mean = T.nnet.sigmoid(T.dot(h, W.T) + bv)
            return mean, self.rng.binomial(size=mean.shape, n=1, p=mean, dtype=theano.config.floatX)

        chain, updates = theano.scan(lambda v: turn(v)[1], outputs_info=[v], n_steps=k)
        mean = turn(chain[-1])[0]
        monitor = T.xlogx.xlogy0(v, mean) + T.xlogx.xlogy0(1 - v, 1 - mean)

        def energy(v: Any) -> Any:
            return -(v * bv).sum() - T.log(1 + T.exp(T.dot(v, W) + bh)).sum()

        return chain[-1], (energy(v) - energy(chain[-1])) / v.shape[0], monitor.sum() / v.shape[0], updates


class ByHand:
    """The same in NumPy. draws: the uniform numbers of each draw, in the order in which they are needed."""

    def __init__(self, params: list[Array]) -> None:
        self.params = params

    def turn(self, v: Array, bv: Array, bh: Array, draws: list[Array]) -> tuple[Array, Array]:
        W = self.params[0]
        mean = sigmoid(v @ W + bh)
        h = (draws.pop(0).reshape(mean.shape) < mean) * 1.0
        mean = sigmoid(h @ W.T + bv)
        return mean, (draws.pop(0).reshape(mean.shape) < mean) * 1.0

    def train(self, v: Array, draws: list[Array]) -> float:
        W, bv, bh, Wuh, Wuv, Wvu, Wuu, bu = self.params
        u = np.zeros((len(v) + 1, UNITS))
        for t in range(len(v)):
            u[t + 1] = np.tanh(bu + v[t] @ Wvu + u[t] @ Wuu)
        bv_t, bh_t = bv + u[:-1] @ Wuv, bh + u[:-1] @ Wuh
        end = v
        for _ in range(3):
            end = self.turn(end, bv_t, bh_t, draws)[1]
        mean = self.turn(end, bv_t, bh_t, draws)[0]
        up, down = sigmoid(v @ W + bh_t), sigmoid(end @ W + bh_t)
        gv, gh = (end - v) / len(v), (down - up) / len(v)
        gu, recurrent = np.zeros(UNITS), [np.zeros_like(p) for p in (Wvu, Wuu, bu)]
        for t in reversed(range(len(v))):
            gz = gu * (1 - u[t + 1] ** 2)
            for g, part in zip(recurrent, (np.outer(v[t], gz), np.outer(u[t], gz), gz), strict=True):
                g += part
            gu = gz @ Wuu.T + gv[t] @ Wuv.T + gh[t] @ Wuh.T
        gradient = [(end.T @ down - v.T @ up) / len(v), gv.sum(0), gh.sum(0), u[:-1].T @ gh, u[:-1].T @ gv, *recurrent]
        self.params = [p - RATE * g for p, g in zip(self.params, gradient, strict=True)]
        return float((v * np.log(mean) + (1 - v) * np.log(1 - mean)).sum() / len(v))

    def generate(self, draws: list[Array]) -> Array:
        _, bv, bh, Wuh, Wuv, Wvu, Wuu, bu = self.params
        u, rows = np.zeros(UNITS), []
        for _ in range(6):
            v = np.zeros(VISIBLE)
            for _ in range(4):
                v = self.turn(v, bv + u @ Wuv, bh + u @ Wuh, draws)[1]
            rows.append(v)
            u = np.tanh(bu + v @ Wvu + u @ Wuu)
        return np.array(rows)


def test_a_recurrent_boltzmann_machine() -> None:
    """Draws of symbolic sizes within scans, updates that scans return, a chain of draws in each step of a scan."""
    model, rng = RecurrentMachine(), np.random.default_rng(3)
    states = [update.state.get_value() for update in model.rng.state_updates]
    pieces = [(rng.random((length, VISIBLE)) < 0.4) * 1.0 for length in (7, 3, 7, 1)]
    hand = ByHand(model.starts)
    # two draws in the chain, two beyond it; of each the numbers of all calls
    chain, beyond = (
        [
            plain(states[k], [n * len(v) for v in pieces for _ in range(turns)])
            for k, n in zip(pair, (HIDDEN, VISIBLE), strict=True)
        ]
        for pair, turns in (((0, 1), 3), ((2, 3), 1))
    )
    for k, v in enumerate(pieces):
        draws = [numbers[3 * k + turn] for turn in range(3) for numbers in chain] + [numbers[k] for numbers in beyond]
        np.testing.assert_allclose(model.train(v), hand.train(v, draws), rtol=1e-11)
    for p, q in zip(model.params, hand.params, strict=True):
        np.testing.assert_allclose(p.get_value(), q, rtol=1e-10, atol=1e-13)
    hidden, visible = (plain(states[k], [n] * 24) for k, n in ((4, HIDDEN), (5, VISIBLE)))
    drawn = [numbers for pair in zip(hidden, visible, strict=True) for numbers in pair]
    np.testing.assert_array_equal(model.generate(), hand.generate(drawn))
    assert model.generate().shape == (6, VISIBLE)


class Tagger:
    """Labels for the words of a sentence: windows of word vectors, a recurrent layer, a softmax in each step."""

    def __init__(self, words: int = 8, size: int = 3, window: int = 3, hidden: int = 4, labels: int = 5) -> None:
        self.starts = starts(
            (words, size), (size * window, hidden), (hidden, hidden), (hidden, labels), (hidden,), (labels,), (hidden,)
        )
        self.params = [theano.shared(value=p, name=f"p{k}") for k, p in enumerate(self.starts)]
        self.emb, wx, wh, w, bh, b, h0 = self.params
        idxs, y, lr = T.imatrix(), T.ivector("y_sentence"), T.scalar("lr")
        x = self.emb[idxs].reshape((idxs.shape[0], size * window))

        def recurrence(x_t: Any, h_tm1: Any) -> list[Any]:
            h_t = T.nnet.sigmoid(T.dot(x_t, wx) + T.dot(h_tm1, wh) + bh)
            return [h_t, T.nnet.softmax(T.dot(h_t, w) + b)]

        (_, s), _ = theano.scan(fn=recurrence, sequences=x, outputs_info=[h0, None], n_steps=x.shape[0])
        p = s[:, 0, :]
        cost = -T.mean(T.log(p)[T.arange(x.shape[0]), y])
        gradients = T.grad(cost, self.params)
        updates = {p: p - lr * g for p, g in zip(self.params, gradients, strict=True)}
        self.classify = theano.function(inputs=[idxs], outputs=T.argmax(p, axis=1))
        self.train = theano.function(inputs=[idxs, y, lr], outputs=cost, updates=updates)
        length = T.sqrt((self.emb**2).sum(axis=1)).dimshuffle(0, "x")
        self.normalize = theano.function(inputs=[], updates={self.emb: self.emb / length})


def tagged(params: list[Array], windows: Array, y: Array, rate: float) -> tuple[float, list[Array]]:
    """The cost of a sentence, and the parameters after it, words at length 1."""
    emb, wx, wh, w, bh, b, h0 = params
    x, hs = emb[windows].reshape(len(windows), -1), [h0]
    for row in x:
        hs.append(sigmoid(row @ wx + hs[-1] @ wh + bh))
    h = np.array(hs[1:])
    e = np.exp(h @ w + b)
    p = e / e.sum(axis=1, keepdims=True)
    pick = np.arange(len(y)), y
    cost = -np.log(p[pick]).mean()
    gs = p.copy()
    gs[pick] -= 1
    gs /= len(y)
    gz, gh = np.zeros_like(h), np.zeros_like(h0)
    for t in reversed(range(len(y))):
        gz[t] = (gh + gs[t] @ w.T) * h[t] * (1 - h[t])
        gh = gz[t] @ wh.T
    g_emb = np.zeros_like(emb)
    np.add.at(g_emb, windows.ravel(), (gz @ wx.T).reshape(-1, emb.shape[1]))
    gradients = [g_emb, x.T @ gz, np.array(hs[:-1]).T @ gz, h.T @ gs, gz.sum(0), gs.sum(0), gh]
    new = [p - rate * g for p, g in zip(params, gradients, strict=True)]
    return float(cost), [new[0] / np.sqrt((new[0] ** 2).sum(axis=1))[:, None], *new[1:]]


@pytest.mark.parametrize("at", [0, 3])
def test_a_tagger_and_a_copy_of_it(at: int) -> None:
    """Sentences of several lengths as lists of windows; a deep copy trains on its own from where it was made."""
    model, rng = Tagger(), np.random.default_rng(4)
    params, kept, twin = model.starts, None, None
    for k, length in enumerate((4, 1, 6, 4, 2)):
        if k == at:
            kept, twin = [p.copy() for p in params], copy.deepcopy(model)
        windows = rng.integers(-1, 7, (length, 3)).astype("int32")
        y = rng.integers(0, 5, length).astype("int32")
        cost, params = tagged(params, windows, y, 0.3)
        np.testing.assert_allclose(model.train(list(windows), y, 0.3), cost, rtol=1e-11)
        model.normalize()
    for p, q in zip(model.params, params, strict=True):
        np.testing.assert_allclose(p.get_value(), q, rtol=1e-10, atol=1e-13)
    assert len(model.train.executor.variants) == 1
    assert twin is not None and kept is not None
    cost, kept = tagged(kept, windows, y, 0.3)
    np.testing.assert_allclose(twin.train(windows, y, 0.3), cost, rtol=1e-11)
    twin.normalize()
    np.testing.assert_allclose(twin.emb.get_value(), kept[0], rtol=1e-10)
    np.testing.assert_allclose(model.emb.get_value(), params[0], rtol=1e-10)
    assert twin.classify(windows).shape == y.shape
