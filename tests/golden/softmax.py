"""numgraph function softmax
    return softmax(x, axis=1)

phase_0: max, exp, sum, true_div (?): ? flops, ? bytes
"""

import numpy as np
from numpy import float32, float64

from numgraph.kernels.support import add_up, argument_address, argument_length, entry, f32, fail, from_python, i64, jit, maximum, table_of, to_python
from numgraph.kernels.vectormath import exp_f32


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[12] = argument_address(table, 8)                # where x lies
    n0 = argument_length(table, 8, 1)                     # x.shape[1]
    if n0 < 1:                                            # nonempty
        return fail(table, n0, 1, 1)
    n1 = argument_length(table, 8, 0)                     # len(x)
    table[10] = n1                                        # len(x)
    table[11] = n0                                        # x.shape[1]
    t0 = n0 * 4                                           # mul int64
    t1 = t0 + 63 >> 6 << 6                                # align64 int64
    table[7] = t1                                         # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # max, exp, sum, true_div
    table = i64(address)
    n0 = table[10]                                        # = len(x)
    n1 = table[11]                                        # = x.shape[1]
    x = f32(table[12])                                    # x float32[?,?]
    p0 = f32(table[5])                                    # exp float32[?,?]
    p1 = f32(table[13])                                   # true_div float32[?,?]
    for i in range(n0):                                   # len(x)
        acc0 = float32(-np.inf)                           # max float32[?,1]
        for j in range(n1):                               # x.shape[1]
            x0 = x[i * n1 + j]                            # x float32[?,?]
            acc0 = maximum(acc0, x0)                      # max
        acc1 = 0.0                                        # sum float64[?,1]
        for j1 in range(n1):                              # x.shape[1]
            x1 = x[i * n1 + j1]                           # x float32[?,?]
            t0 = x1 - acc0                                # sub float32[?,?]
            t1 = exp_f32(t0)                              # exp float32[?,?]
            p0[j1] = t1                                   # exp float32[?,?]
            acc1 = add_up(acc1, float64(t1))              # sum
        t2 = float32(acc1)                                # cast float32[?,1]
        for j2 in range(n1):                              # x.shape[1]
            v0 = p0[j2]                                   # exp float32[?,?]
            t3 = v0 / t2                                  # true_div float32[?,?]
            p1[i * n1 + j2] = t3                          # true_div float32[?,?]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[13] = argument_address(table, 9)                # where output 0 lies
    phase_0(address)
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    part = from_python(part_object)                       # 2k: plan of stage k; 2k+1: its step; -1: all
    if part == 0:
        return to_python(plan_0(address))
    if part == 1:
        return to_python(step_0(address))
    status = plan_0(address)
    table = i64(address)
    if status == 0 and table[7] > table[6]:
        status = -1                                       # the arena must grow
    if status == 0:
        status = step_0(address)
    return to_python(status)
