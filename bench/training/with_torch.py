"""PyTorch: eager with autograd, its own fused layers, and `torch.compile`.

Of a step with a loop over time, `torch.compile` gets what is in the loop: it unrolls loops, and a hundred steps of an
LSTM take it minutes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from bench import problems, training
from bench.kinds import Sizes
from bench.peers import NotOffered, Program
from bench.training.reference import with_numbers


class Maths:
    """PyTorch's functions by the names that the formulas use."""

    exp, tanh, sigmoid, softplus = torch.exp, torch.tanh, torch.sigmoid, F.softplus
    sum, mean, surprise = torch.sum, torch.mean, F.cross_entropy
    log, cholesky, diagonal = torch.log, torch.linalg.cholesky, torch.diagonal

    @staticmethod
    def natural(x):
        """Without what rounding leaves below 0."""
        return torch.clamp(x, min=0)

    @staticmethod
    def identity(x):
        """A row and a column for each row of x."""
        return torch.eye(len(x))

    @staticmethod
    def solved(L, y):
        """The solution of L z = y, for a lower triangle L."""
        return torch.linalg.solve_triangular(L, y[:, None], upper=False)[:, 0]

    @staticmethod
    def pooled(x, W):
        """The largest of each 2 x 2 of what the filters answer."""
        return F.max_pool2d(F.conv2d(x, W), 2)


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """An eager step, or a compiled one for the option "compile"; "layer" is torch.nn's own."""
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    if option not in ("", "compile", "layer"):
        raise NotOffered("on processors only")
    inputs, *classes = (torch.from_numpy(a) for a in training.data(kind, sizes))
    state = [torch.from_numpy(a) for a in training.start(kind, sizes)]
    if option == "layer":
        if not kind.endswith("layer"):
            raise NotOffered("no layer of that kind")
        return _own(kind, sizes, inputs)
    for p in state if kind in training.COSTS else state[:3]:
        p.requires_grad_()
    torch._dynamo.reset() if option else None
    if kind in training.COSTS:
        made = _plain(
            kind, sizes, [inputs, *(y if y.is_floating_point() else y.long() for y in classes)], state, bool(option)
        )
    else:
        made = (_layer if kind.endswith("layer") else _drawing)(kind, sizes, inputs, state, bool(option))

    def reset():
        for a, b in zip(state, training.start(kind, sizes), strict=True):
            a.copy_(torch.from_numpy(b))

    program = _program(made, sizes, option or "eager", reset, lambda: [a.detach().numpy().copy() for a in state])
    if training.KINDS[kind].drawn:
        program.given = with_numbers(kind, sizes, lambda k, *u: made(k, *(torch.from_numpy(a) for a in u)))
    return program


def _program(call, sizes, how, reset, state):
    made = Program(call, [(k,) for k in range(sizes["R"] // sizes["B"])], how, reset=reset, state=state)
    return made.looped("loop over the step")


def _moved(kind, cost, params):
    """One step down; returns the cost."""
    torch._foreach_add_(params, torch.autograd.grad(cost, params), alpha=-training.RATES[kind])
    return cost.detach()


def _compiled(function, compiled):
    return torch.compile(function, dynamic=False) if compiled else function


def _plain(kind, sizes, arrays, params, compiled):
    cost = _compiled(partial(training.COSTS[kind], Maths), compiled)

    def call(index):
        batch = [a[index * sizes["B"] : (index + 1) * sizes["B"]] for a in arrays]
        with torch.enable_grad():
            value = cost(*batch, *params)
        return _moved(kind, value, params)

    return call


def _layer(kind, sizes, inputs, params, compiled):
    W, U, b = params
    if kind == "lstm_layer":
        # the library's own cell: weights by rows, and a second bias
        none = torch.zeros_like(b)

        def cell(x, state, Wt, Ut, b):
            if compiled:
                return problems.cell(Maths, sizes["H"], x, *state, Wt.T, Ut.T, b)
            return torch.lstm_cell(x, state, Wt, Ut, b, none)
    else:

        def cell(x, state, Wt, Ut, b):
            return (torch.tanh(torch.addmm(b, x, Wt.T) + state[0] @ Ut.T),)

    cell = _compiled(cell, compiled)
    zeros = torch.zeros(sizes["B"], sizes["H"])

    def call(index):
        with torch.enable_grad():
            state = (zeros, zeros) if kind == "lstm_layer" else (zeros,)
            Wt, Ut = W.T, U.T
            for x in inputs[index].unbind():
                state = cell(x, state, Wt, Ut, b)
            cost = state[0].square().mean()
        return _moved(kind, cost, params)

    return call


def _own(kind, sizes, inputs):
    """torch.nn.LSTM or RNN; the second bias stays 0."""
    I, H = sizes["I"], sizes["H"]  # noqa: E741 - as in the formulas
    layer = torch.nn.LSTM(I, H) if kind == "lstm_layer" else torch.nn.RNN(I, H)
    params = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0]
    layer.bias_hh_l0.requires_grad_(False)

    def call(index):
        with torch.enable_grad():
            cost = layer(inputs[index])[0][-1].square().mean()
        return _moved(kind, cost, params)

    def reset():
        layer.bias_hh_l0.zero_()
        for a, b in zip(params, training.start(kind, sizes), strict=True):
            a.copy_(torch.from_numpy(b.T))

    reset()
    return _program(call, sizes, "torch.nn", reset, lambda: [np.array(a.detach().numpy().T) for a in params])


def _draw(p, numbers):
    return torch.bernoulli(p) if numbers is None else (numbers < p).float()


def _drawing(kind, sizes, inputs, state, compiled):
    batch, params, chains = sizes["B"], state[:3], state[3:]
    keep = torch.full((batch, sizes["F"]), 1 - training.CORRUPTION)

    def reconstruction(W, hidden, visible, x, u):
        y = torch.sigmoid(torch.addmm(hidden, x * _draw(keep, u), W))
        logits = torch.addmm(visible, y, W.T)
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / batch

    def contrast(W, hidden, visible, x, v):
        energies = [training.free_energy(Maths, rows, W, hidden, visible) for rows in (x, v)]
        return energies[0] - energies[1]

    def gibbs(W, hidden, visible, h, u, w):
        v = _draw(torch.sigmoid(torch.addmm(visible, h, W.T)), u)
        return v, _draw(torch.sigmoid(torch.addmm(hidden, v, W)), w)

    def up(W, hidden, x, u):
        return _draw(torch.sigmoid(torch.addmm(hidden, x, W)), u)

    reconstruction, contrast, gibbs, up = (_compiled(f, compiled) for f in (reconstruction, contrast, gibbs, up))

    def end(x, numbers):
        h = chains[0] if chains else up(params[0], params[1], x, numbers[0] if numbers else None)
        for k in range(sizes["K"]):
            v, h = gibbs(*params, h, *((u[k] for u in numbers[-2:]) if numbers else (None, None)))
        if chains:
            chains[0].copy_(h)
        return v

    def call(index, *numbers):
        x = inputs[index * batch : (index + 1) * batch]
        more = (numbers[0] if numbers else None) if kind == "dA" else end(x, numbers)
        with torch.enable_grad():
            cost = (reconstruction if kind == "dA" else contrast)(*params, x, more)
        return _moved(kind, cost, params)

    return call
