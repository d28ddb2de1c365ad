"""numgraph function train
    return -(sum(log(softmax(x @ W + b, axis=1))[arange(y.shape[0]), y]) / float32(log(soft...
    update W := W - 0.13 * gW
    update b := b - 0.13 * gb
    where gW = x.T @ (inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y],...
    where gb = sum(inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y], -1...
    given x = train_x[index * 10:(index + 1) * 10]
    given y = train_y[index * 10:(index + 1) * 10]

phase_0: dot2 (once): 480 flops, 536 bytes
phase_1: max, sub, exp, sum, log, neg (up to 10 x 3): 363 flops, 328 bytes
phase_2: gemm (once): 480 flops, 632 bytes
phase_3: sub (3): 6 flops, 48 bytes
"""

import numpy as np
from numpy import float32, float64, int64

from numgraph.kernels.calls import sgemm
from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, chunk_count, divided, entry, f32, f64, fail
from numgraph.kernels.support import floor_div_int, from_python, i32, i64, items_of, jit, largest, launch
from numgraph.kernels.support import maximum, minimum, relock, resident_address, resident_length
from numgraph.kernels.support import resident_shape, table_of, to_python, unlock
from numgraph.kernels.vectormath import exp_f32, log_f32

AT_SGEMM, AT_LAUNCH, AT_THREADS, AT_WORK, AT_WORDS, AT_BEGIN, AT_END = 3, 5, 6, 7, 8, 9, 10
AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED, AT_INDEX, AT_TRAIN_X_DESCRIPTOR = 11, 12, 13, 14, 15
AT_W_DESCRIPTOR, AT_B_DESCRIPTOR, AT_TRAIN_Y_DESCRIPTOR, AT_OUTPUT_0_OBJECT, AT_OFFSET = 16, 17, 18, 19, 20
AT_TRAIN_X, AT_X_OFFSET, AT_W, AT_LEN_X, AT_CHUNKS, AT_OFFSET1, AT_TRAIN_Y = 21, 22, 23, 24, 25, 26, 27
AT_Y_OFFSET, AT_B, AT_OFFSET2, AT_OFFSET3, AT_OFFSET4, AT_OFFSET5, AT_OUTPUT_0 = 28, 29, 30, 31, 32, 33, 34
AT_CHUNKS1 = 35


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_TRAIN_X] = resident_address(table, AT_TRAIN_X_DESCRIPTOR)  # where train_x lies now
    table[AT_W] = resident_address(table, AT_W_DESCRIPTOR)  # where W lies now
    table[AT_TRAIN_Y] = resident_address(table, AT_TRAIN_Y_DESCRIPTOR)  # where train_y lies now
    table[AT_B] = resident_address(table, AT_B_DESCRIPTOR)  # where b lies now
    status = resident_shape(table, AT_TRAIN_X_DESCRIPTOR, (-1, 8), 2)  # assume train_x float32[?,8]
    if status != 0:
        return status
    status = resident_shape(table, AT_W_DESCRIPTOR, (8, 3), 3)  # assume W float32[8,3]
    if status != 0:
        return status
    status = resident_shape(table, AT_B_DESCRIPTOR, (3,), 5)  # assume b float32[3]
    if status != 0:
        return status
    index = table[AT_INDEX]                               # argument
    t0 = (index + 1) * 10                                 # mul int64
    n0 = resident_length(table, AT_TRAIN_Y_DESCRIPTOR, 0)  # len(train_y)
    t1 = minimum(maximum(t0 + n0 if t0 < 0 else t0, 0), n0)  # slice_bound int64
    t2 = index * 10                                       # mul int64
    t3 = minimum(maximum(t2 + n0 if t2 < 0 else t2, 0), n0)  # slice_bound int64
    t4 = maximum(t1 - t3, 0)                              # maximum int64
    n1 = resident_length(table, AT_TRAIN_X_DESCRIPTOR, 0)  # len(train_x)
    t5 = minimum(maximum(t0 + n1 if t0 < 0 else t0, 0), n1)  # slice_bound int64
    t6 = minimum(maximum(t2 + n1 if t2 < 0 else t2, 0), n1)  # slice_bound int64
    t7 = maximum(t5 - t6, 0)                              # maximum int64
    if t4 != t7:                                          # assume
        return fail(table, t4, t7, 6)
    t8 = t7 * 12 + 63 >> 6 << 6                           # align64 int64
    t9 = t8 + 128                                         # add int64
    t10 = t9 + t8                                         # add int64
    t11 = t10 + 128                                       # add int64
    table[AT_OFFSET] = t11                                # (... + 63 >> 6 << 6) + 128 + (len(x) * 12 + 63 >> 6 << 6) + 128
    table[AT_X_OFFSET] = t6 * 32                          # slice_bound(index * 10, len(train_x)) * 32
    table[AT_LEN_X] = t7                                  # len(x)
    table[AT_OFFSET1] = t10 + 64                          # (... + 63 >> 6 << 6) + 128 + (len(x) * 12 + 63 >> 6 << 6) + 64
    table[AT_Y_OFFSET] = t3 * 4                           # slice_bound(index * 10, len(train_y)) * 4
    table[AT_OFFSET2] = t8                                # len(x) * 12 + 63 >> 6 << 6
    table[AT_OFFSET3] = t8 + 64                           # (len(x) * 12 + 63 >> 6 << 6) + 64
    table[AT_OFFSET4] = t9                                # (len(x) * 12 + 63 >> 6 << 6) + 128
    table[AT_OFFSET5] = t10                               # (len(x) * 12 + 63 >> 6 << 6) + 128 + (len(x) * 12 + 63 >> 6 << 6)
    t12 = t7 * 2                                          # mul int64
    table[AT_CHUNKS] = chunk_count(table, t12, 4096, floor_div_int(t7, 6))  # chunks of a divided loop
    table[AT_CHUNKS1] = chunk_count(table, t12, 4096, 1)  # chunks of a divided loop
    table[AT_WORK] = t12 + (floor_div_int(t7 * 31, 4) + t7 * 42) + 2 + t12 + 4  # cycles of work, about
    table[AT_NEEDED] = t11 + table[AT_THREADS] * 1048576  # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # dot2
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * 1048576  # what this chunk has for itself
    x = table[AT_TRAIN_X] + table[AT_X_OFFSET]            # x float32[?,8] = train_x from element slice_bound(index * 10, len(train_x)) * 8
    W = table[AT_W]                                       # W float32[8,3]
    out0 = table[AT_TEMPORARIES]                          # dot2 float32[?,3]
    sgemm(                                                # out0 = x @ W
        table[AT_SGEMM], chunk, chunks, own, table[AT_LEN_X], 3, 8, float32(1.0), x, 8,
        1, W, 3, 1, float32(0.0), out0, 3
    )
    return 0


@jit
def phase_1(address):                                     # max, sub, exp, sum, log, neg
    table = i64(address)
    acc0 = 0.0                                            # sum float64
    p0 = f64(table[AT_TEMPORARIES] + table[AT_OFFSET1])   # sum float64[1,3]
    for j in range(3):
        p0[j] = 0.0                                       # start of sum float64[1,3]
    n0 = table[AT_LEN_X]                                  # = len(x)
    y = i32(table[AT_TRAIN_Y] + table[AT_Y_OFFSET])       # y = train_y int32[?] from element slice_bound(index * 10, len(train_y))
    p1 = f32(table[AT_TEMPORARIES])                       # dot2 float32[?,3]
    b = f32(table[AT_B])                                  # b float32[3]
    p2 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET2])   # sub float32[?,3]
    p3 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET3])   # exp float32[?,3]
    t0 = float32(table[AT_LEN_X])                         # cast float32
    t1 = float32(-1.0) / t0                               # true_div float32
    p4 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET4])   # sub float32[?,3]
    for i in range(n0):                                   # len(x)
        y_0 = y[i]                                        # train_y int32[?]
        if y_0 < -3 or y_0 >= 3:                          # index in range of gather
            return fail(table, y_0, 3, 1)
        acc1 = float32(-np.inf)                           # max float32[?,1]
        for j1 in range(3):
            acc1 = largest(acc1, p1[i * 3 + j1] + b[j1])  # max
        acc2 = 0.0                                        # sum float64[?,1]
        for j2 in range(3):
            apart(p1, p2, p3)                             # overlap no others
            t2 = p1[i * 3 + j2] + b[j2] - acc1            # sub float32[?,3]
            p2[j2] = t2                                   # sub float32[?,3]
            t3 = exp_f32(t2)                              # exp float32[?,3]
            p3[j2] = t3                                   # exp float32[?,3]
            acc2 = add_up(acc2, float64(t3))              # sum
        t4 = float32(acc2)                                # cast float32[?,1]
        t5 = log_f32(t4)                                  # log float32[?,1]
        t6 = int64(y_0)                                   # cast int64
        t7 = t6 + 3 if t6 < 0 else t6                     # where int64
        acc0 = add_up(acc0, float64(p2[t7] - t5))         # sum
        for j3 in range(3):
            apart(p3, p4, p0)                             # overlap no others
            t8 = (t1 if t7 == j3 else float32(0.0)) - p3[j3] / t4 * t1  # sub float32[?,3]
            p4[i * 3 + j3] = t8                           # sub float32[?,3]
            p0[j3] = add_up(p0[j3], float64(t8))          # sum
    p5 = f64(table[AT_TEMPORARIES] + table[AT_OFFSET5])   # sum float64
    p5[0] = acc0                                          # sum float64
    t9 = -(float32(acc0) / t0)                            # neg float32
    p6 = f32(table[AT_OUTPUT_0])                          # neg float32
    p6[0] = t9                                            # neg float32
    return 0


@divided
def phase_2(address, chunk, chunks):                      # gemm
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * 1048576  # what this chunk has for itself
    x = table[AT_TRAIN_X] + table[AT_X_OFFSET]            # x float32[?,8] = train_x from element slice_bound(index * 10, len(train_x)) * 8
    p0 = table[AT_TEMPORARIES] + table[AT_OFFSET4]        # sub float32[?,3]
    W = table[AT_W]                                       # gemm float32[8,3]
    sgemm(                                                # W = W + float32(-0.13) * x @ p0
        table[AT_SGEMM], chunk, chunks, own, 8, 3, table[AT_LEN_X], float32(-0.13), x,
        1, 8, p0, 3, 1, float32(1.0), W, 3
    )
    return 0


@jit
def phase_3(address):                                     # sub
    table = i64(address)
    b = f32(table[AT_B])                                  # b float32[3]
    p0 = f64(table[AT_TEMPORARIES] + table[AT_OFFSET1])   # sum float64[1,3]
    for i in range(3):
        apart(p0)                                         # overlap no others
        x0 = b[i]                                         # b float32[3]
        gb = float32(p0[i])                               # cast float32[3]
        b[i] = x0 - float32(0.13) * gb                    # b float32[3]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    status = phase_1(address)
    if status != 0:
        return status
    launch(table[AT_LAUNCH], phase_2, address, table[AT_CHUNKS1], table[AT_WORK])
    phase_3(address)
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[AT_INDEX] = from_python(objects[0])
        table[AT_OUTPUT_0_OBJECT] = objects[1]
    part = -1 if items != 0 else from_python(part_object)  # 2k: plan of stage k; 2k+1: its step; -1: one call; -2: many
    if part == 0:
        return to_python(plan_0(address))
    if part == 1:
        lock = unlock(table[AT_WORK])                     # lets Python's other threads run, when it takes long
        result = step_0(address)
        relock(lock)
        return to_python(result)
    many = part == -2
    words = i64(table[AT_WORDS])                          # a row for each of many calls: arguments, places of outputs
    call = table[AT_BEGIN] if many else 0
    end = table[AT_END] if many else 1
    unlocked = unlock(-1 if many else 0)
    status = 0
    while call < end and status == 0:
        if many:
            table[AT_INDEX] = words[call * 2 + 0]
            table[AT_OUTPUT_0_OBJECT] = words[call * 2 + 1]
        status = plan_0(address)
        if status == 0 and table[AT_NEEDED] > table[AT_CAPACITY]:
            status = -1                                   # the arena must grow
        if status == 0:
            own_lock = unlock(0 if many else table[AT_WORK])
            status = step_0(address)
            relock(own_lock)
        if status == 0:
            call = call + 1
    relock(unlocked)
    if many:
        table[AT_BEGIN] = call                            # the first that did not run
    return to_python(status)
