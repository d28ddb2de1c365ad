"""JAX: `jit` with donated state, `lax.scan` for sweeps. Data and indices are on the device before the clock starts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench import problems
from bench.peers import NotOffered, Program
from bench.problems import Sizes

# Values are waited for after each call, so a second thread to run ahead in would only cost the hand-over.
jax.config.update("jax_cpu_enable_async_dispatch", False)


class Maths:
    """JAX's functions by the names that the formulas use."""

    exp, tanh, sin, sum, mean = jnp.exp, jnp.tanh, jnp.sin, jnp.sum, jnp.mean
    sigmoid, softmax = jax.nn.sigmoid, jax.nn.softmax
    roll, where, fft = jnp.roll, jnp.where, jnp.fft


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A jitted function. threads: XLA uses as many as the process has processors. option: "cuda" wants a GPU."""
    if option == "cuda":
        if jax.default_backend() != "gpu":
            raise NotOffered(f"JAX has no GPU here, but {jax.default_backend()}")
        # its default is TF32 there
        jax.config.update("jax_default_matmul_precision", "highest")
    if problems.KINDS[kind].steps:
        return _stateful(kind, sizes)
    arrays = tuple(jnp.asarray(a, dtype=jnp.float32) for a in problems.data(kind, sizes))
    if kind == "gradient":
        f = jax.jit(jax.grad(lambda x: jnp.sum(problems.links(Maths, sizes["K"], x))))
    else:
        formula = problems.FORMULAS[kind]
        f = jax.jit(lambda *a: formula(Maths, *a))
    return Program(lambda *a: f(*a).block_until_ready(), [arrays], "jit, arrays on the device")


def loss(kind, params, x, y):
    """The cost of a minibatch."""
    h = x if kind == "logreg" else jnp.tanh(x @ params[0] + params[1])
    logp = jax.nn.log_softmax(h @ params[-2] + params[-1])
    cost = -jnp.mean(logp[jnp.arange(len(y)), y])
    return cost if kind == "logreg" else cost + problems.L2 * (jnp.sum(params[0] ** 2) + jnp.sum(params[2] ** 2))


def training(kind, sizes):
    """(state, index, data) -> (new state, cost)."""
    batch, rate = sizes["B"], problems.RATES[kind]

    def step(params, index, x, y):
        rows = (lax.dynamic_slice_in_dim(a, index * batch, batch) for a in (x, y))
        cost, gradients = jax.value_and_grad(lambda p, x, y: loss(kind, p, x, y))(params, *rows)
        return [p - rate * g for p, g in zip(params, gradients, strict=True)], cost

    return step


def _cell(sizes):
    def step(state, t, xs, W, U, b):
        x = lax.dynamic_index_in_dim(xs, t, keepdims=False)
        return list(problems.cell(Maths, sizes["H"], x, *state, W, U, b)), None

    return step


def _stateful(kind: str, sizes: Sizes) -> Program:
    step = _cell(sizes) if kind == "lstm" else training(kind, sizes)
    resident = [jnp.asarray(a) for a in problems.data(kind, sizes)]
    if kind == "lstm":
        resident += [jnp.asarray(w) for w in problems.cell_weights(sizes)]
    one = jax.jit(step, donate_argnums=0)
    many = jax.jit(
        lambda state, indices, *data: lax.scan(lambda s, i: step(s, i, *data), state, indices), donate_argnums=0
    )
    state = []

    def reset():
        state[:] = [jnp.array(a) for a in problems.start(kind, sizes)]

    def call(index):
        state[:], cost = one(state, index, *resident)
        return jax.block_until_ready(state if cost is None else cost)

    def sweep(count):
        state[:], costs = many(state, indices[:count], *resident)
        return jax.block_until_ready(state if costs is None else costs)

    reset()
    count = sizes["T"] if kind == "lstm" else sizes["R"] // sizes["B"]
    indices = jnp.arange(count, dtype=jnp.int32)
    return Program(
        call,
        [(jnp.int32(k),) for k in range(count)],
        "jit, donated state",
        sweep,
        "lax.scan, donated state",
        reset,
        lambda: [np.asarray(a) for a in state],
    )
