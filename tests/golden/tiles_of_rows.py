"""numgraph function train
    return -(sum(log(softmax(x @ W + b, axis=1))[arange(y.shape[0]), y]) / float32(log(soft...
    update W := W - 0.13 * gW
    update b := b - 0.13 * gb
    where gW = x.T @ (inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y],...
    where gb = sum(inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y], -1...
    given x = train_x[index * 600:(index + 1) * 600]
    given y = train_y[index * 600:(index + 1) * 600]

phase_0: dot2, max, sub, exp, sum, log, gemm (up to 600 x 3): 79,201 flops, 21,836 bytes
phase_1: neg, sub (3): 8 flops, 60 bytes
"""

import numpy as np
from numpy import float32, float64, int64

from numgraph.kernels.calls import sgemm_rows
from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, chunk_count, divided, entry, f32, f64, fail
from numgraph.kernels.support import floor_div_int, from_python, i32, i64, items_of, jit, largest, launch
from numgraph.kernels.support import maximum, minimum, relock, resident_address, resident_length
from numgraph.kernels.support import resident_shape, table_of, to_python, unlock
from numgraph.kernels.vectormath import exp_f32, log_f32

AT_SGEMM, AT_LAUNCH, AT_THREADS, AT_WORK, AT_WORDS, AT_BEGIN, AT_END = 3, 5, 6, 7, 8, 9, 10
AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED, AT_INDEX, AT_TRAIN_X_DESCRIPTOR = 11, 12, 13, 14, 15
AT_W_DESCRIPTOR, AT_B_DESCRIPTOR, AT_TRAIN_Y_DESCRIPTOR, AT_OUTPUT_0_OBJECT, AT_LEN_X = 16, 17, 18, 19, 20
AT_TRAIN_X, AT_X_OFFSET, AT_W, AT_TRAIN_Y, AT_Y_OFFSET, AT_B, AT_CHUNKS = 21, 22, 23, 24, 25, 26, 27
AT_OUTPUT_0 = 28


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
    t0 = (index + 1) * 600                                # mul int64
    n0 = resident_length(table, AT_TRAIN_Y_DESCRIPTOR, 0)  # len(train_y)
    t1 = minimum(maximum(t0 + n0 if t0 < 0 else t0, 0), n0)  # slice_bound int64
    t2 = index * 600                                      # mul int64
    t3 = minimum(maximum(t2 + n0 if t2 < 0 else t2, 0), n0)  # slice_bound int64
    t4 = maximum(t1 - t3, 0)                              # maximum int64
    n1 = resident_length(table, AT_TRAIN_X_DESCRIPTOR, 0)  # len(train_x)
    t5 = minimum(maximum(t0 + n1 if t0 < 0 else t0, 0), n1)  # slice_bound int64
    t6 = minimum(maximum(t2 + n1 if t2 < 0 else t2, 0), n1)  # slice_bound int64
    t7 = maximum(t5 - t6, 0)                              # maximum int64
    if t4 != t7:                                          # assume
        return fail(table, t4, t7, 6)
    table[AT_LEN_X] = t7                                  # len(x)
    table[AT_X_OFFSET] = t6 * 32                          # slice_bound(index * 600, len(train_x)) * 32
    table[AT_Y_OFFSET] = t3 * 4                           # slice_bound(index * 600, len(train_y)) * 4
    t8 = t7 * 4 + floor_div_int(t7 * 31, 4) + t7 * 42     # add int64
    table[AT_CHUNKS] = chunk_count(table, t8, 4096, t7)   # chunks of a divided loop
    table[AT_WORK] = t8 + 6                               # cycles of work, about
    table[AT_NEEDED] = 128 + table[AT_THREADS] * 1051904  # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # dot2, max, sub, exp, sum, log, gemm
    table = i64(address)
    own = table[AT_TEMPORARIES] + 128 + chunk * 1051904   # what this chunk has for itself
    n0 = table[AT_LEN_X]                                  # = len(x)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    x = table[AT_TRAIN_X] + table[AT_X_OFFSET]            # x float32[?,8] = train_x from element slice_bound(index * 600, len(train_x)) * 8
    W = table[AT_W]                                       # W float32[8,3]
    acc0 = 0.0                                            # sum float64
    p0 = f64(own + 1051840)                               # sum float64[1,3]
    for j in range(3):
        p0[j] = 0.0                                       # start of sum float64[1,3]
    y = i32(table[AT_TRAIN_Y] + table[AT_Y_OFFSET])       # y = train_y int32[?] from element slice_bound(index * 600, len(train_y))
    b = f32(table[AT_B])                                  # b float32[3]
    t0 = float32(-1.0) / float32(table[AT_LEN_X])         # true_div float32
    added = own + 1051648                                 # of x @ p8 float32[3,8]
    tiles = maximum((end - begin + 15) // 32, 1)          # of 32 rows, the last of up to 48
    for tile in range(tiles):
        first = begin + tile * 32
        last = first + 32 if tile + 1 < tiles else end
        out0 = own + 1048576 - first * 12                 # dot2 float32[?,3]
        sgemm_rows(                                       # out0 = x @ W
            table[AT_SGEMM], 1024 if tile + 1 < tiles else 0, own, last - first, 3, 8,
            float32(1.0), x + first * 32, 8, 1, W, 3, 1, float32(0.0),
            out0 + first * 12, 3
        )
        for i in range(first, last):
            y_0 = y[i]                                    # train_y int32[?]
            if y_0 < -3 or y_0 >= 3:                      # index in range of gather
                return fail(table, y_0, 3, 1)
        p1 = f32(own + 1049728 - first * 4)               # max float32[?,1]
        for i1 in range(first, last):
            p1[i1] = float32(-np.inf)                     # start of max
        p2 = f32(own + 1048576 - first * 12)              # dot2 float32[?,3]
        for j1 in range(3):
            for i2 in range(first, last):
                p1[i2] = largest(p1[i2], p2[i2 * 3 + j1] + b[j1])  # max
        p3 = f64(own + 1051072 - first * 8)               # sum float64[?,1]
        for i3 in range(first, last):
            p3[i3] = 0.0                                  # start of sum
        p4 = f32(own + 1049920 - first * 4)               # sub float32[?,3]
        p5 = f32(own + 1050496 - first * 4)               # exp float32[?,3]
        for j2 in range(3):
            for i4 in range(first, last):
                t1 = p2[i4 * 3 + j2] + b[j2] - p1[i4]     # sub float32[?,3]
                p4[j2 * 48 + i4] = t1                     # sub float32[?,3]
                t2 = exp_f32(t1)                          # exp float32[?,3]
                p5[j2 * 48 + i4] = t2                     # exp float32[?,3]
                p3[i4] = add_up(p3[i4], float64(t2))      # sum
        p6 = f32(own + 1051456 - first * 4)               # log float32[?,1]
        for i5 in range(first, last):
            t3 = log_f32(float32(p3[i5]))                 # log float32[?,1]
            p6[i5] = t3                                   # log float32[?,1]
            y_1 = y[i5]                                   # train_y int32[?]
            t4 = int64(y_1)                               # cast int64
            t5 = p4[(t4 + 3 if t4 < 0 else t4) * 48 + i5] - t3  # sub float32[?,3]
            acc0 = add_up(acc0, float64(t5))              # sum
        p7 = f32(own + 1049152 - first * 4)               # sub float32[?,3]
        for j3 in range(3):
            acc1 = p0[j3]                                 # sum float64[1,3]
            for i6 in range(first, last):
                y_2 = y[i6]                               # train_y int32[?]
                t6 = int64(y_2)                           # cast int64
                t7 = (t6 + 3 if t6 < 0 else t6) == j3     # eq bool
                t8 = t0 if t7 else float32(0.0)           # where float32[?,3]
                t9 = t8 - p5[j3 * 48 + i6] / float32(p3[i6]) * t0  # sub float32[?,3]
                p7[j3 * 48 + i6] = t9                     # sub float32[?,3]
                acc1 = add_up(acc1, float64(t9))          # sum
            p0[j3] = acc1
        p8 = own + 1049152 - first * 4                    # sub float32[?,3]
        sgemm_rows(                                       # added += (x @ p8).T
            table[AT_SGEMM], 1024 if tile + 1 < tiles else 0, own, 3, 8, last - first,
            float32(1.0), p8 + first * 4, 48, 1, x + first * 32, 8, 1,
            float32(tile > 0), added, 8
        )
    p9 = f64(own + 1051776)                               # sum float64
    p9[0] = acc0                                          # sum float64
    return 0


@jit
def join_0(address):                                      # what the chunks of phase_0 have accumulated
    table = i64(address)
    chunks = table[AT_CHUNKS]
    target = f32(table[AT_W])                             # gemm float32[8,3]
    total = f32(table[AT_TEMPORARIES] + 128 + 1051648)    # of the chunks
    for chunk in range(1, chunks):
        part = f32(table[AT_TEMPORARIES] + 128 + 1051648 + chunk * 1051904)
        for j in range(24):
            total[j] = total[j] + part[j]
    for i in range(8):
        for j1 in range(3):
            target[i * 3 + j1] = float32(1.0) * target[i * 3 + j1] + float32(-0.13) * total[j1 * 8 + i]  # gemm
    total_0 = f64(table[AT_TEMPORARIES])                  # sum float64
    part_0 = f64(table[AT_TEMPORARIES] + 128 + 1051776)   # of the chunks
    for i1 in range(1):
        acc_0 = part_0[i1]
        for chunk in range(1, chunks):
            acc_0 = acc_0 + part_0[chunk * 131488 + i1]   # sum
        total_0[i1] = acc_0
    total_1 = f64(table[AT_TEMPORARIES] + 64)             # sum float64[1,3]
    part_1 = f64(table[AT_TEMPORARIES] + 128 + 1051840)   # of the chunks
    for i2 in range(3):
        acc_1 = part_1[i2]
        for chunk in range(1, chunks):
            acc_1 = acc_1 + part_1[chunk * 131488 + i2]   # sum
        total_1[i2] = acc_1
    return 0


@jit
def phase_1(address):                                     # neg, sub
    table = i64(address)
    p0 = f64(table[AT_TEMPORARIES])                       # sum float64
    t0 = -(float32(p0[0]) / float32(table[AT_LEN_X]))     # neg float32
    p1 = f32(table[AT_OUTPUT_0])                          # neg float32
    p1[0] = t0                                            # neg float32
    b = f32(table[AT_B])                                  # b float32[3]
    p2 = f64(table[AT_TEMPORARIES] + 64)                  # sum float64[1,3]
    for i in range(3):
        apart(p2)                                         # overlap no others
        x0 = b[i]                                         # b float32[3]
        gb = float32(p2[i])                               # cast float32[3]
        b[i] = x0 - float32(0.13) * gb                    # b float32[3]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    status = launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    if status != 0:
        return phase_0(address, 0, 1)                     # what fails first in order
    join_0(address)
    phase_1(address)
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
