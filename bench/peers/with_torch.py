"""PyTorch: eager with autograd, and `torch.compile` of the whole step (gradient by `torch.func`, update in place).

On a GPU besides: training steps with everything resident, in full float32, and the step in a CUDA graph.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from bench import problems
from bench.peers import NotOffered, Program
from bench.problems import Sizes


class Maths:
    """PyTorch's functions by the names that the formulas use."""

    exp, tanh, sin, sigmoid = torch.exp, torch.tanh, torch.sin, torch.sigmoid
    sum, mean, softmax = torch.sum, torch.mean, torch.softmax
    roll, where, fft = torch.roll, torch.where, torch.fft


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """An eager function, or a compiled one for the option "compile"; training steps on a GPU for "cuda ..."."""
    torch.set_num_threads(threads)
    compiled = "compile" in option
    if "cuda" in option:
        if not torch.cuda.is_available():
            raise NotOffered("PyTorch has no GPU here")
        return _resident(kind, sizes, option)
    if kind in problems.RATES:
        return _stepping(kind, sizes, compiled)
    if kind == "lstm":
        return _cell(sizes, compiled)
    tensors = tuple(torch.from_numpy(a.astype(np.float32)) for a in problems.data(kind, sizes))
    if kind == "gradient":
        return _gradient(sizes, tensors, compiled)
    formula = problems.FORMULAS[kind]

    def function(*a):
        return formula(Maths, *a)

    torch.set_grad_enabled(False)
    return Program(_compiled(function) if compiled else function, [tensors], _how(compiled))


def _how(compiled):
    return "torch.compile" if compiled else "eager"


def _compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def _loss(kind, params, x, y):
    h = x if kind == "logreg" else torch.tanh(torch.addmm(params[1], x, params[0]))
    cost = F.cross_entropy(torch.addmm(params[-1], h, params[-2]), y)
    return cost if kind == "logreg" else cost + problems.L2 * (params[0].pow(2).sum() + params[2].pow(2).sum())


def _eager_step(kind, params):
    rate = problems.RATES[kind]

    def step(x, y):
        with torch.enable_grad():
            cost = _loss(kind, params, x, y)
            gradients = torch.autograd.grad(cost, params)
        torch._foreach_add_(params, gradients, alpha=-rate)
        return cost.detach()

    return step


def _compiled_step(kind, params):
    rate = problems.RATES[kind]

    def step(params, x, y):
        gradients, cost = torch.func.grad_and_value(lambda p: _loss(kind, p, x, y))(params)
        for p, g in zip(params, gradients, strict=True):
            p.sub_(g, alpha=rate)
        return cost

    made = _compiled(step)
    return lambda x, y: made(params, x, y)


def _stepping(kind: str, sizes: Sizes, compiled: bool) -> Program:
    torch.set_grad_enabled(False)
    x, y = (torch.from_numpy(a) for a in problems.data(kind, sizes))
    y = y.long()
    params = [torch.from_numpy(a).requires_grad_(not compiled) for a in problems.start(kind, sizes)]
    step = (_compiled_step if compiled else _eager_step)(kind, params)
    batch = sizes["B"]

    def call(index):
        rows = slice(index * batch, (index + 1) * batch)
        return step(x[rows], y[rows])

    return _stateful(call, params, kind, sizes, sizes["R"] // batch, compiled)


def _resident(kind: str, sizes: Sizes, option: str) -> Program:
    """On the GPU: costs stay there until a sweep is over; a call waits for its own."""
    torch.set_grad_enabled(False)
    torch.backends.cuda.matmul.allow_tf32 = False
    x, y = (torch.from_numpy(a).cuda() for a in problems.data(kind, sizes))
    y = y.long()
    compiled = "compile" in option
    params = [torch.from_numpy(a).cuda().requires_grad_(not compiled) for a in problems.start(kind, sizes)]
    step = (_compiled_step if compiled else _eager_step)(kind, params)
    batch = sizes["B"]
    if "graphs" in option:
        step = _captured(step, x[:batch].clone(), y[:batch].clone())

    def one(index):
        rows = slice(index * batch, (index + 1) * batch)
        return step(x[rows], y[rows])

    def sweep(count):
        return torch.stack([one(k) for k in range(count)]).cpu().numpy()

    def reset():
        for a, b in zip(params, problems.start(kind, sizes), strict=True):
            a.copy_(torch.from_numpy(b))

    count = sizes["R"] // batch
    return Program(
        lambda index: one(index).cpu().numpy(),
        [(k,) for k in range(count)],
        option,
        sweep,
        f"{option}; loop over the step, costs read at the end",
        reset,
        lambda: [a.detach().cpu().numpy() for a in params],
    )


def _captured(step, x, y):
    """The step as a CUDA graph: a minibatch is copied to where the graph reads it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(x, y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        cost = step(x, y)

    def replay(new_x, new_y):
        x.copy_(new_x)
        y.copy_(new_y)
        graph.replay()
        return cost.clone()

    return replay


def _cell(sizes: Sizes, compiled: bool) -> Program:
    torch.set_grad_enabled(False)
    xs = torch.from_numpy(problems.data("lstm", sizes)[0])
    W, U, b = (torch.from_numpy(w) for w in problems.cell_weights(sizes))
    state = [torch.from_numpy(a) for a in problems.start("lstm", sizes)]
    if compiled:
        made = _compiled(lambda x, h, c: problems.cell(Maths, sizes["H"], x, h, c, W, U, b))
    else:
        # the library's own cell: weights by rows, and a second bias
        Wt, Ut, none = W.T.contiguous(), U.T.contiguous(), torch.zeros_like(b)

        def made(x, h, c):
            return torch.lstm_cell(x, (h, c), Wt, Ut, b, none)

    def call(t):
        state[:] = made(xs[t], *state)

    return _stateful(call, state, "lstm", sizes, sizes["T"], compiled)


def _gradient(sizes: Sizes, tensors, compiled: bool) -> Program:
    def function(x):
        return problems.links(Maths, sizes["K"], x).sum()

    if compiled:
        torch.set_grad_enabled(False)
        return Program(_compiled(torch.func.grad(function)), [tensors], _how(compiled))
    torch.set_grad_enabled(True)
    x = tensors[0].requires_grad_()
    return Program(lambda x: torch.autograd.grad(function(x), x)[0], [(x,)], _how(compiled))


def _stateful(call, state, kind: str, sizes: Sizes, count: int, compiled: bool) -> Program:
    def reset():
        first = [torch.from_numpy(a) for a in problems.start(kind, sizes)]
        if kind == "lstm":
            state[:] = first
        else:
            for a, b in zip(state, first, strict=True):
                a.copy_(b)

    made = Program(
        call,
        [(k,) for k in range(count)],
        _how(compiled),
        reset=reset,
        state=lambda: [a.detach().numpy().copy() for a in state],
    )
    return made.looped("loop over the step")
