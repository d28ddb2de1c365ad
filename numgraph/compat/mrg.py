"""MRG31k3p, the generator of Theano's `MRG_RandomStreams`, as expressions over a shared state.

P. L'Ecuyer and R. Touzin, "Fast combined multiple recursive generators with multipliers of the form a = +-2^q +-2^r",
Winter Simulation Conference 2000, 683-689. Two recurrences of order three, in integers:

    x1[t] = (2^22 x1[t-2] + (2^7 + 1) x1[t-3]) mod M1,    x2[t] = (2^15 x2[t-1] + (2^15 + 1) x2[t-3]) mod M2

and the number is (x1[t] - x2[t]) mod M1, divided by 2^31. A stream's state is (x1[t], x1[t-1], x1[t-2], x2[t], ...).

A draw of n numbers takes them from S streams in turn: number i is step i // S + 1 of stream i % S. Its value does not
need the steps before: x1[t] is a linear form in the state, the first row of the t-th power of the recurrence's matrix.
The table of these rows makes a draw an elementwise expression, which fuses with what uses it, on every target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Constant, Variable
from numgraph.ops.define import f
from numgraph.shared import SharedVariable

M1, M2 = 2**31 - 1, 2**31 - 21069
MODULI = (M1, M2)
# factors of x[t-1], x[t-2] and x[t-3]
FACTORS = ((0, 2**22, 2**7 + 1), (2**15, 0, 2**15 + 1))
# Streams start this many steps apart, and the streams of one draw and of the next.
STREAM, DRAW = 2**72, 2**134
# A draw whose size is known only at the call makes at most so many steps: 62,914,560 numbers from 15,360 streams.
MOST_STEPS = 4096
# Theano's factors: for float32 it has 2^-31 with eight digits, so that no number rounds up to 1.
SCALE = {"float32": float(np.float32(4.6566126e-10)), "float64": 2.0**-31}

Matrix = list[list[int]]
Size = Sequence[int | Variable]


def _product(a: Matrix, b: Matrix, modulus: int) -> Matrix:
    return [
        [sum(x * y for x, y in zip(row, column, strict=True)) % modulus for column in zip(*b, strict=True)] for row in a
    ]


def power(component: int, exponent: int) -> Matrix:
    """The matrix of `exponent` steps of one of the two recurrences, by repeated squaring."""
    modulus = MODULI[component]
    result: Matrix = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    square: Matrix = [list(FACTORS[component]), [1, 0, 0], [0, 1, 0]]
    while exponent:
        if exponent & 1:
            result = _product(result, square, modulus)
        square = _product(square, square, modulus)
        exponent >>= 1
    return result


def advanced(states: NDArray[Any], steps: int) -> NDArray[Any]:
    """States int32[n, 6], each `steps` further."""
    parts = []
    for component, modulus in enumerate(MODULI):
        old = states[:, 3 * component : 3 * component + 3].astype(np.int64)
        matrix = np.array(power(component, steps), np.int64)
        # each product is below 2^62, a sum of three would not fit into an int64
        parts.append((old[:, None, :] * matrix % modulus).sum(axis=2) % modulus)
    return np.concatenate(parts, axis=1).astype(np.int32)


def streams(seed: NDArray[Any], count: int) -> NDArray[Any]:
    """The states int32[count, 6] of streams that start with `seed`, `STREAM` steps apart."""
    states = np.array(seed, np.int32).reshape(1, 6)
    while len(states) < count:
        states = np.concatenate([states, advanced(states, STREAM * len(states))])
    return states[:count]


@lru_cache(maxsize=64)
def _rows(steps: int) -> Constant:
    """int32[steps + 3, 6]: in row t + 2 the factors of the state's numbers in x1[t] and x2[t], from t = -2 on."""
    table = np.zeros((steps + 3, 6), np.int64)
    for component, (modulus, factors) in enumerate(zip(MODULI, FACTORS, strict=True)):
        columns = table[:, 3 * component : 3 * component + 3]
        columns[:3] = np.eye(3, dtype=np.int64)[::-1]
        for t in range(3, steps + 3):
            columns[t] = sum(a * columns[t - 1 - k] % modulus for k, a in enumerate(factors)) % modulus
    return Constant(table.astype(np.int32), "mrg31k3p")


def _at(table: Variable, state: Variable, component: int, step: Variable, stream: Variable) -> Variable:
    """x1 or x2 after `step` steps of `stream`, uint64: three products of numbers below 2^31 fit into it."""
    products = [
        f.cast(table[step + 2, k], "uint64") * f.cast(state[stream, k], "uint64")
        for k in range(3 * component, 3 * component + 3)
    ]
    result: Variable = (products[0] + products[1] + products[2]) % MODULI[component]
    return result


def draw(state: SharedVariable, size: Size, dtype: str) -> tuple[Variable, Variable]:
    """Uniform numbers in [0, 1) of shape `size`, and the state after them.

    state: int32[streams, 6]; how many streams there are is fixed now. IndexOutOfRange at a call that draws more than
    `MOST_STEPS` numbers per stream where the size is symbolic.
    """
    count = len(state.get_value(borrow=True))
    known = all(isinstance(n, int) for n in size)
    total: Any = math.prod(size)
    table = _rows(-(-total // count) if known else MOST_STEPS)
    index = f.arange(total)
    # one axis needs no reshape, and so keeps its symbolic length as it is
    index = index if len(size) == 1 else f.reshape(index, tuple(size))
    step, stream = index // count + 1, index % count
    first, second = (f.cast(_at(table, state, k, step, stream), "int64") for k in (0, 1))
    whole = f.switch(first <= second, first - second + M1, first - second)
    sample = f.cast(f.cast(whole, "float64") * SCALE[dtype], dtype)
    # a draw of fewer numbers than streams moves the first of these alone: the others are not touched
    moved = min(total, count) if known else f.minimum(total, count)
    each = f.arange(moved)
    steps = total // count + f.cast(each < total % count, "int64")
    columns = [_at(table, state, k // 3, steps - k % 3, each) for k in range(6)]
    after = f.cast(f.stack(columns, axis=1), "int32")
    return sample, after if known and moved == count else f.set_subtensor(state[:moved], after)
