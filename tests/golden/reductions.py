"""numgraph function reductions
    return sum(x, axis=0)
    return sum(x, axis=1, keepdims=True) / float32(x.shape[1])
    return sum(x * x)
    return max(x, axis=1)
    return argmax(x, axis=1)

phase_0: sum, max, argmax, true_div, cast (?): ? flops, ? bytes
"""

import numpy as np
from numpy import float32, float64

from numgraph.kernels.support import add_up, argument_address, argument_length, entry, f32, f64, fail, from_python, i64, jit, maximum, table_of, to_python


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[16] = argument_address(table, 8)                # where x lies
    n0 = argument_length(table, 8, 1)                     # x.shape[1]
    if n0 < 1:                                            # nonempty
        return fail(table, n0, 1, 1)
    if n0 < 1:                                            # nonempty
        return fail(table, n0, 1, 2)
    table[14] = n0                                        # x.shape[1]
    n1 = argument_length(table, 8, 0)                     # len(x)
    table[15] = n1                                        # len(x)
    t0 = n0 * 8                                           # mul int64
    t1 = t0 + 63 >> 6 << 6                                # align64 int64
    table[20] = t1                                        # x.shape[1] * 8 + 63 >> 6 << 6
    t2 = t1 + 64                                          # add int64
    table[7] = t2                                         # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # sum, max, argmax, true_div, cast
    table = i64(address)
    p0 = f64(table[5])                                    # sum float64[?]
    n0 = table[14]                                        # = x.shape[1]
    for j in range(n0):
        p0[j] = 0.0                                       # start of sum float64[?]
    acc0 = 0.0                                            # sum float64
    n1 = table[15]                                        # = len(x)
    x = f32(table[16])                                    # x float32[?,?]
    p1 = f32(table[17])                                   # max float32[?]
    p2 = i64(table[18])                                   # argmax int64[?]
    t2 = float32(n0)                                      # cast float32
    p3 = f32(table[19])                                   # true_div float32[?,1]
    for i in range(n1):                                   # len(x)
        acc1 = 0.0                                        # sum float64[?,1]
        acc2 = float32(-np.inf)                           # max float32[?]
        acc3 = float32(-np.inf)                           # argmax int64[?]
        acc3_at = 0                                       # position of acc3
        for j1 in range(n0):                              # x.shape[1]
            x0 = x[i * n0 + j1]                           # x float32[?,?]
            p0[j1] = add_up(p0[j1], float64(x0))          # sum
            acc1 = add_up(acc1, float64(x0))              # sum
            t0 = x0 * x0                                  # mul float32[?,?]
            acc0 = add_up(acc0, float64(t0))              # sum
            acc2 = maximum(acc2, x0)                      # max
            if x0 > acc3 or (x0 != x0 and acc3 == acc3):  # argmax
                acc3 = x0
                acc3_at = j1
        p1[i] = acc2                                      # max float32[?]
        p2[i] = acc3_at                                   # argmax int64[?]
        t1 = float32(acc1)                                # cast float32[?,1]
        t3 = t1 / t2                                      # true_div float32[?,1]
        p3[i] = t3                                        # true_div float32[?,1]
    n2 = table[20]                                        # place among the temporaries
    p4 = f64(table[5] + n2)                               # sum float64
    p4[0] = acc0                                          # sum float64
    p5 = f32(table[21])                                   # cast float32[?]
    for i1 in range(n0):                                  # x.shape[1]
        v0 = p0[i1]                                       # sum float64[?]
        t4 = float32(v0)                                  # cast float32[?]
        p5[i1] = t4                                       # cast float32[?]
    t5 = float32(acc0)                                    # cast float32
    p6 = f32(table[22])                                   # cast float32
    p6[0] = t5                                            # cast float32
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[17] = argument_address(table, 12)               # where output 3 lies
    table[18] = argument_address(table, 13)               # where output 4 lies
    table[19] = argument_address(table, 10)               # where output 1 lies
    table[21] = argument_address(table, 9)                # where output 0 lies
    table[22] = argument_address(table, 11)               # where output 2 lies
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
