"""JAX: `jit` with donated state, `lax.scan` for loops; keys of random numbers are a part of the state."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bench import problems, training
from bench.kinds import Sizes
from bench.peers import NotOffered, Program
from bench.training.reference import with_numbers

# Values are waited for after each call, so a second thread to run ahead in would only cost the hand-over.
jax.config.update("jax_cpu_enable_async_dispatch", False)


class Maths:
    """JAX's functions by the names that the formulas use."""

    exp, tanh, sum, mean = jnp.exp, jnp.tanh, jnp.sum, jnp.mean
    sigmoid, softplus = jax.nn.sigmoid, jax.nn.softplus
    log, cholesky, diagonal = jnp.log, jnp.linalg.cholesky, jnp.diagonal

    @staticmethod
    def natural(x):
        """Without what rounding leaves below 0."""
        return jnp.maximum(x, 0)

    @staticmethod
    def identity(x):
        """A row and a column for each row of x."""
        return jnp.eye(len(x), dtype=jnp.float32)

    @staticmethod
    def solved(L, y):
        """The solution of L z = y, for a lower triangle L."""
        return jax.scipy.linalg.solve_triangular(L, y, lower=True)

    @staticmethod
    def pooled(x, W):
        """The largest of each 2 x 2 of what the filters answer; its gradient is quicker of an array of 2 x 2 than by
        windows."""
        y = lax.conv(x, W, (1, 1), "VALID")
        images, filters, rows, columns = y.shape
        return y.reshape(images, filters, rows // 2, 2, columns // 2, 2).max((3, 5))

    @staticmethod
    def surprise(scores, y):
        """The mean of -log p(class), p the softmax of the scores."""
        return -jnp.mean(jax.nn.log_softmax(scores)[jnp.arange(len(y)), y])


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A jitted step. threads: XLA uses as many as the process has processors."""
    if option:
        raise NotOffered("on processors only")
    inputs = [jnp.asarray(a) for a in training.data(kind, sizes)]
    made = _layer if kind.endswith("layer") else _plain if kind in training.COSTS else _drawing
    step = made(kind, sizes)
    jitted = jax.jit(step, donate_argnums=0)

    def swept(state, key, inputs, indices):
        def each(carried, index):
            *carried, cost = step(*carried, inputs, index)
            return tuple(carried), cost

        (state, key), costs = lax.scan(each, (state, key), indices)
        return state, key, costs

    many = jax.jit(swept, donate_argnums=0)
    state = []
    key = [jax.random.key(1)]

    def reset():
        state[:] = [jnp.array(a) for a in training.start(kind, sizes)]

    def call(index):
        state[:], key[0], cost = jitted(state, key[0], inputs, index)
        return cost.block_until_ready()

    def sweep(count):
        state[:], key[0], costs = many(state, key[0], inputs, indices[:count])
        return costs.block_until_ready()

    def given(index, *numbers):
        state[:], _, cost = jitted(state, key[0], inputs, index, [jnp.asarray(u) for u in numbers])
        return cost

    reset()
    indices = jnp.arange(sizes["R"] // sizes["B"], dtype=jnp.int32)
    made = Program(
        call,
        [(jnp.int32(k),) for k in range(len(indices))],
        "jit, donated state",
        sweep,
        "lax.scan, donated state",
        reset,
        lambda: [np.asarray(a) for a in state],
    )
    if training.KINDS[kind].drawn:
        made.given = with_numbers(kind, sizes, given)
    return made


def _moved(kind, params, gradients):
    return [p - training.RATES[kind] * g for p, g in zip(params, gradients, strict=True)]


def _layer(kind, sizes):
    def cost(params, xs):
        zeros = jnp.zeros((sizes["B"], sizes["H"]), jnp.float32)

        def lstm(state, x):
            return problems.cell(Maths, sizes["H"], x, *state, *params), None

        def rnn(state, x):
            W, U, b = params
            return (jnp.tanh(x @ W + state[0] @ U + b),), None

        made = (lstm, (zeros, zeros)) if kind == "lstm_layer" else (rnn, (zeros,))
        (h, *_), _ = lax.scan(*made, xs)
        return jnp.mean(h**2)

    def step(params, key, inputs, index):
        xs = lax.dynamic_index_in_dim(inputs[0], index, keepdims=False)
        value, gradients = jax.value_and_grad(cost)(params, xs)
        return _moved(kind, params, gradients), key, value

    return step


def _plain(kind, sizes):
    def step(params, key, inputs, index):
        batch = [lax.dynamic_slice_in_dim(a, index * sizes["B"], sizes["B"]) for a in inputs]
        value, gradients = jax.value_and_grad(lambda p: training.COSTS[kind](Maths, *batch, *p))(params)
        return _moved(kind, params, gradients), key, value

    return step


def _draw(p, numbers, key, shape):
    """Zeros and ones; `numbers` are given ones or None."""
    ones = jax.random.bernoulli(key, p, shape) if numbers is None else numbers < p
    return ones.astype(jnp.float32)


def _drawing(kind, sizes):
    def step(state, key, inputs, index, numbers=None):
        x = lax.dynamic_slice_in_dim(inputs[0], index * sizes["B"], sizes["B"])
        key, used = jax.random.split(key)
        if kind == "dA":
            kept = _draw(1 - training.CORRUPTION, numbers and numbers[0], used, x.shape)
            value, gradients = jax.value_and_grad(lambda p: training.reconstruction(Maths, x, x * kept, *p))(state)
            return _moved(kind, state, gradients), key, value
        params, chains = state[:3], state[3:]
        v, h = _chain(kind, sizes, x, params, chains, used, numbers)

        def cost(params):
            return training.free_energy(Maths, x, *params) - training.free_energy(Maths, v, *params)

        value, gradients = jax.value_and_grad(cost)(params)
        return [*_moved(kind, params, gradients), *([h] if chains else [])], key, value

    return step


def _chain(kind, sizes, x, params, chains, key, numbers):
    """The end of the chains: visible and hidden units."""
    W, hidden, visible = params
    hiddens = (sizes["B"], sizes["H"])
    keys = jax.random.split(key, 2 * sizes["K"] + 1)

    def gibbs(carried, each):
        a, b, u, w = each
        v = _draw(training.downwards(Maths, carried[1], W, visible), u, a, x.shape)
        return (v, _draw(training.upwards(Maths, v, W, hidden), w, b, hiddens)), None

    first = (
        chains[0] if chains else _draw(training.upwards(Maths, x, W, hidden), numbers and numbers[0], keys[-1], hiddens)
    )
    u, w = numbers[-2:] if numbers else (None, None)
    return lax.scan(gibbs, (x, first), (keys[:-1:2], keys[1::2], u, w))[0]
