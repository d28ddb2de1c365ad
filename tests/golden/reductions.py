"""numgraph function reductions
    return sum(x, axis=0)
    return sum(x, axis=1, keepdims=True) / float32(x.shape[1])
    return sum(x * x)
    return max(x, axis=1)
    return argmax(x, axis=1)

phase_0: sum, max, argmax, true_div (?): ? flops, ? bytes
phase_1: cast (?): 0 flops, ? bytes
phase_2: cast (once): 0 flops, 12 bytes
"""

import numpy as np
from numpy import float32, float64

from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, argument_length, chunk_count, divided, entry
from numgraph.kernels.support import f32, f64, fail, floor_div_int, from_python, i64, items_of, jit, largest
from numgraph.kernels.support import launch, relock, table_of, to_python, unlock

AT_LAUNCH, AT_THREADS, AT_WORK, AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED, AT_X_OBJECT = 5, 6, 7, 11, 12, 13, 14
AT_OUTPUT_0_OBJECT, AT_OUTPUT_1_OBJECT, AT_OUTPUT_2_OBJECT, AT_OUTPUT_3_OBJECT = 15, 16, 17, 18
AT_OUTPUT_4_OBJECT, AT_OWN_BYTES, AT_X_SHAPE_1, AT_LEN_X, AT_X, AT_OUTPUT_3 = 19, 20, 21, 22, 23, 24
AT_OUTPUT_4, AT_OUTPUT_1, AT_OFFSET, AT_CHUNKS, AT_OFFSET1, AT_OUTPUT_0 = 25, 26, 27, 28, 29, 30
AT_CHUNKS1, AT_OUTPUT_2 = 31, 32


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    n0 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    if n0 > 35184372088832:                               # fits
        return fail(table, n0, 35184372088832, 1)
    n1 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    if n1 > 35184372088832:                               # fits
        return fail(table, n1, 35184372088832, 2)
    if n0 < 1:                                            # nonempty
        return fail(table, n0, 1, 3)
    t0 = n0 * 8 + 63 >> 6 << 6                            # align64 int64
    t1 = t0 + 64                                          # add int64
    table[AT_OWN_BYTES] = t1                              # (x.shape[1] * 8 + 63 >> 6 << 6) + 64
    table[AT_X_SHAPE_1] = n0                              # x.shape[1]
    table[AT_LEN_X] = n1                                  # len(x)
    table[AT_OFFSET] = t0                                 # x.shape[1] * 8 + 63 >> 6 << 6
    table[AT_OFFSET1] = floor_div_int(t1, 8)              # floor_div((x.shape[1] * 8 + 63 >> 6 << 6) + 64, 8)
    t2 = n1 * n0 * 4 + n1 * 2                             # add int64
    table[AT_CHUNKS] = chunk_count(table, t2, 4096, n1)   # chunks of a divided loop
    t3 = floor_div_int(n0 * 3, 4)                         # floor_div int64
    table[AT_CHUNKS1] = chunk_count(table, t3, 4096, n0)  # chunks of a divided loop
    table[AT_WORK] = t2 + t3                              # cycles of work, about
    table[AT_NEEDED] = t1 + table[AT_THREADS] * t1        # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # sum, max, argmax, true_div
    table = i64(address)
    n0 = table[AT_OWN_BYTES]                              # place among the temporaries
    own = table[AT_TEMPORARIES] + n0 + chunk * n0         # what this chunk has for itself
    p0 = f64(own)                                         # sum float64[?]
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    for j in range(n1):
        p0[j] = 0.0                                       # start of sum float64[?]
    acc0 = 0.0                                            # sum float64
    n2 = table[AT_LEN_X]                                  # = len(x)
    begin = n2 * chunk // chunks                          # rows of this chunk
    end = n2 * (chunk + 1) // chunks
    x = f32(table[AT_X])                                  # x float32[?,?]
    p1 = f32(table[AT_OUTPUT_3])                          # max float32[?]
    p2 = i64(table[AT_OUTPUT_4])                          # argmax int64[?]
    t0 = float32(n1)                                      # cast float32
    p3 = f32(table[AT_OUTPUT_1])                          # true_div float32[?,1]
    for i in range(begin, end):                           # len(x)
        acc1 = 0.0                                        # sum float64[?,1]
        acc2 = float32(-np.inf)                           # max float32[?]
        acc3 = float32(-np.inf)                           # argmax int64[?]
        acc3_at = 0                                       # position of acc3
        for j1 in range(n1):                              # x.shape[1]
            apart(p0)                                     # overlap no others
            x0 = x[i * n1 + j1]                           # x float32[?,?]
            p0[j1] = add_up(p0[j1], float64(x0))          # sum
            acc1 = add_up(acc1, float64(x0))              # sum
            acc0 = add_up(acc0, float64(x0 * x0))         # sum
            acc2 = largest(acc2, x0)                      # max
            if x0 > acc3 or (x0 != x0 and acc3 == acc3):  # argmax
                acc3 = x0
                acc3_at = j1
        p1[i] = acc2                                      # max float32[?]
        p2[i] = acc3_at                                   # argmax int64[?]
        p3[i] = float32(acc1) / t0                        # true_div float32[?,1]
    p4 = f64(own + table[AT_OFFSET])                      # sum float64
    p4[0] = acc0                                          # sum float64
    return 0


@jit
def join_0(address):                                      # what the chunks of phase_0 have accumulated
    table = i64(address)
    chunks = table[AT_CHUNKS]
    n0 = table[AT_OFFSET1]                                # place among the temporaries
    total = f64(table[AT_TEMPORARIES])                    # sum float64[?]
    n1 = table[AT_OWN_BYTES]                              # place among the temporaries
    part = f64(table[AT_TEMPORARIES] + n1)                # of the chunks
    for i in range(table[AT_X_SHAPE_1]):
        acc_0 = part[i]
        for chunk in range(1, chunks):
            acc_0 = acc_0 + part[chunk * n0 + i]          # sum
        total[i] = acc_0
    n2 = table[AT_OFFSET]                                 # place among the temporaries
    total_0 = f64(table[AT_TEMPORARIES] + n2)             # sum float64
    part_0 = f64(table[AT_TEMPORARIES] + n1 + n2)         # of the chunks
    for i1 in range(1):
        acc_1 = part_0[i1]
        for chunk in range(1, chunks):
            acc_1 = acc_1 + part_0[chunk * n0 + i1]       # sum
        total_0[i1] = acc_1
    return 0


@divided
def phase_1(address, chunk, chunks):                      # cast
    table = i64(address)
    n0 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    p0 = f64(table[AT_TEMPORARIES])                       # sum float64[?]
    p1 = f32(table[AT_OUTPUT_0])                          # cast float32[?]
    for i in range(begin, end):                           # x.shape[1]
        apart(p0, p1)                                     # overlap no others
        p1[i] = float32(p0[i])                            # cast float32[?]
    return 0


@jit
def phase_2(address):                                     # cast
    table = i64(address)
    p0 = f64(table[AT_TEMPORARIES] + table[AT_OFFSET])    # sum float64
    t0 = float32(p0[0])                                   # cast float32
    p1 = f32(table[AT_OUTPUT_2])                          # cast float32
    p1[0] = t0                                            # cast float32
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_3] = argument_address(table, AT_OUTPUT_3_OBJECT)  # where output 3 lies
    table[AT_OUTPUT_4] = argument_address(table, AT_OUTPUT_4_OBJECT)  # where output 4 lies
    table[AT_OUTPUT_1] = argument_address(table, AT_OUTPUT_1_OBJECT)  # where output 1 lies
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    table[AT_OUTPUT_2] = argument_address(table, AT_OUTPUT_2_OBJECT)  # where output 2 lies
    launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    join_0(address)
    launch(table[AT_LAUNCH], phase_1, address, table[AT_CHUNKS1], table[AT_WORK])
    phase_2(address)
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
        table[AT_OUTPUT_1_OBJECT] = objects[2]
        table[AT_OUTPUT_2_OBJECT] = objects[3]
        table[AT_OUTPUT_3_OBJECT] = objects[4]
        table[AT_OUTPUT_4_OBJECT] = objects[5]
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
