"""numgraph function softmax
    return softmax(x, axis=1)

phase_0: max, exp, sum, true_div (?): ? flops, ? bytes
"""

import numpy as np
from numpy import float32, float64

from numgraph.kernels.loops import apart, interleave
from numgraph.kernels.support import add_up, argument_address, argument_length, chunk_count, divided, entry
from numgraph.kernels.support import f32, fail, floor_div_int, from_python, i64, items_of, jit, largest, launch
from numgraph.kernels.support import relock, table_of, to_python, unlock
from numgraph.kernels.vectormath import exp_f32

AT_LAUNCH, AT_THREADS, AT_WORK, AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED, AT_X_OBJECT = 5, 6, 7, 11, 12, 13, 14
AT_OUTPUT_0_OBJECT, AT_OWN_BYTES, AT_LEN_X, AT_X_SHAPE_1, AT_X, AT_OUTPUT_0 = 15, 16, 17, 18, 19, 20
AT_CHUNKS = 21


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    n0 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    if n0 > 35184372088832:                               # fits
        return fail(table, n0, 35184372088832, 1)
    n1 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    t0 = n1 * 4 + 63 >> 6 << 6                            # align64 int64
    table[AT_OWN_BYTES] = t0                              # x.shape[1] * 4 + 63 >> 6 << 6
    table[AT_LEN_X] = n0                                  # len(x)
    table[AT_X_SHAPE_1] = n1                              # x.shape[1]
    t1 = floor_div_int(n0 * n1 * 38, 4)                   # floor_div int64
    table[AT_CHUNKS] = chunk_count(table, t1, 4096, n0)   # chunks of a divided loop
    table[AT_WORK] = t1                                   # cycles of work, about
    table[AT_NEEDED] = 0 + table[AT_THREADS] * t0         # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # max, exp, sum, true_div
    table = i64(address)
    own = table[AT_TEMPORARIES] + chunk * table[AT_OWN_BYTES]  # what this chunk has for itself
    n0 = table[AT_LEN_X]                                  # = len(x)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    x = f32(table[AT_X])                                  # x float32[?,?]
    p0 = f32(own)                                         # exp float32[?,?]
    p1 = f32(table[AT_OUTPUT_0])                          # true_div float32[?,?]
    for i in range(begin, end):                           # len(x)
        acc0 = float32(-np.inf)                           # max float32[?,1]
        for j in range(n1):                               # x.shape[1]
            acc0 = largest(acc0, x[i * n1 + j])           # max
        acc1 = 0.0                                        # sum float64[?,1]
        for j1 in range(n1):                              # x.shape[1]
            interleave(4)                                 # vectors side by side
            apart(p0)                                     # overlap no others
            t0 = exp_f32(x[i * n1 + j1] - acc0)           # exp float32[?,?]
            p0[j1] = t0                                   # exp float32[?,?]
            acc1 = add_up(acc1, float64(t0))              # sum
        t1 = float32(acc1)                                # cast float32[?,1]
        for j2 in range(n1):                              # x.shape[1]
            apart(p0, p1)                                 # overlap no others
            p1[i * n1 + j2] = p0[j2] / t1                 # true_div float32[?,?]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[AT_X_OBJECT] = objects[0]
        table[AT_OUTPUT_0_OBJECT] = objects[1]
    part = -1 if items != 0 else from_python(part_object)  # 2k: plan of stage k; 2k+1: its step; -1: one call; -2: many
    if part == 0:
        return to_python(plan_0(address))
    if part == 1:
        lock = unlock(table[AT_WORK])                     # lets Python's other threads run, when it takes long
        result = step_0(address)
        relock(lock)
        return to_python(result)
    status = plan_0(address)
    if status == 0 and table[AT_NEEDED] > table[AT_CAPACITY]:
        status = -1                                       # the arena must grow
    if status == 0:
        unlocked = unlock(table[AT_WORK])
        status = step_0(address)
        relock(unlocked)
    return to_python(status)
