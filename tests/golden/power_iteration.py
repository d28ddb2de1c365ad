"""numgraph function power_iteration
    return A @ (A @ (A @ (A @ x / sqrt(sum(A @ x * (A @ x), axis=0))) / sqrt(sum(A @ (A @ x...

phase_0: dot2 (once): ? flops, ? bytes
phase_1: sum (?): ? flops, ? bytes
phase_2: sqrt (?): ? flops, ? bytes
phase_3: true_div (?): ? flops, ? bytes
phase_4: dot2 (once): ? flops, ? bytes
phase_5: sum (?): ? flops, ? bytes
phase_6: sqrt (?): ? flops, ? bytes
phase_7: true_div (?): ? flops, ? bytes
phase_8: dot2 (once): ? flops, ? bytes
phase_9: sum (?): ? flops, ? bytes
phase_10: sqrt (?): ? flops, ? bytes
phase_11: true_div (?): ? flops, ? bytes
phase_12: dot2 (once): ? flops, ? bytes
phase_13: sum (?): ? flops, ? bytes
phase_14: sqrt (?): ? flops, ? bytes
phase_15: true_div (?): ? flops, ? bytes
"""

import math

from numpy import float32, float64

from numgraph.kernels.calls import sgemm
from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, argument_length, chunk_count, divided, entry
from numgraph.kernels.support import f32, f64, fail, floor_div_int, from_python, i64, items_of, jit, launch
from numgraph.kernels.support import maximum, relock, shape, table_of, to_python, unlock

AT_SGEMM, AT_LAUNCH, AT_THREADS, AT_WORK, AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED = 3, 5, 6, 7, 11, 12, 13
AT_A_OBJECT, AT_X_OBJECT, AT_OUTPUT_0_OBJECT, AT_OWN_BYTES, AT_OFFSET, AT_A = 14, 15, 16, 17, 18, 19
AT_X, AT_LEN_A, AT_X_SHAPE_1, AT_CHUNKS, AT_CHUNKS1, AT_OFFSET1, AT_OFFSET2 = 20, 21, 22, 23, 24, 25, 26
AT_OFFSET3, AT_CHUNKS2, AT_OFFSET4, AT_CHUNKS3, AT_CHUNKS4, AT_OFFSET5 = 27, 28, 29, 30, 31, 32
AT_CHUNKS5, AT_CHUNKS6, AT_CHUNKS7, AT_CHUNKS8, AT_OFFSET6, AT_CHUNKS9 = 33, 34, 35, 36, 37, 38
AT_CHUNKS10, AT_CHUNKS11, AT_CHUNKS12, AT_OFFSET7, AT_CHUNKS13, AT_CHUNKS14 = 39, 40, 41, 42, 43, 44
AT_OUTPUT_0, AT_CHUNKS15 = 45, 46


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_A] = argument_address(table, AT_A_OBJECT)    # where A lies
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    n0 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    if n0 > 35184372088832:                               # fits
        return fail(table, n0, 35184372088832, 1)
    n1 = argument_length(table, AT_A_OBJECT, 0)           # len(A)
    t0 = floor_div_int(35184372088832, maximum(n0, 1))    # floor_div int64
    if n1 > t0:                                           # fits
        return fail(table, n1, t0, 2)
    n2 = argument_length(table, AT_A_OBJECT, 1)           # A.shape[1]
    n3 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    if n2 != n3:                                          # equal
        return fail(table, n2, n3, 3)
    if n2 != n1:                                          # equal
        return fail(table, n2, n1, 4)
    t1 = n0 * 8 + 63 >> 6 << 6                            # align64 int64
    t2 = 1048576 + t1                                     # add int64
    t3 = t2 + t1                                          # add int64
    t4 = t3 + t1                                          # add int64
    t5 = t4 + t1                                          # add int64
    table[AT_OWN_BYTES] = t5                              # 1048576 + ... + (... + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6)
    t6 = n1 * n0                                          # mul int64
    t7 = t6 * 4 + 63 >> 6 << 6                            # align64 int64
    t8 = t7 + t1                                          # add int64
    t9 = t8 + (n0 * 4 + 63 >> 6 << 6)                     # add int64
    t10 = t9 + t7                                         # add int64
    table[AT_OFFSET] = t10                                # (... + 63 >> 6 << 6) + (... + 63 >> 6 << 6) + (x.shape[1] * 4 + 63 >> 6 << 6) + (len(A) * x.shape[1] * 4 + 63 >> 6 << 6)
    table[AT_LEN_A] = n1                                  # len(A)
    table[AT_X_SHAPE_1] = n0                              # x.shape[1]
    table[AT_OFFSET1] = floor_div_int(t5, 8)              # floor_div(... + ... + (... + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6), 8)
    table[AT_OFFSET2] = t7                                # len(A) * x.shape[1] * 4 + 63 >> 6 << 6
    table[AT_OFFSET3] = t8                                # (len(A) * x.shape[1] * 4 + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6)
    table[AT_OFFSET4] = t9                                # (... * 4 + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6) + (x.shape[1] * 4 + 63 >> 6 << 6)
    table[AT_OFFSET5] = t2                                # 1048576 + (x.shape[1] * 8 + 63 >> 6 << 6)
    table[AT_OFFSET6] = t3                                # 1048576 + (x.shape[1] * 8 + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6)
    table[AT_OFFSET7] = t4                                # 1048576 + (... + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6) + (x.shape[1] * 8 + 63 >> 6 << 6)
    t11 = floor_div_int(t6 * n1, 12)                      # floor_div int64
    t12 = maximum(floor_div_int(n1, 6), floor_div_int(n0, 64))  # maximum int64
    table[AT_CHUNKS] = chunk_count(table, t11, 4096, t12)  # chunks of a divided loop
    table[AT_CHUNKS1] = chunk_count(table, t6, 4096, n1)  # chunks of a divided loop
    t13 = floor_div_int(n0 * 9, 4)                        # floor_div int64
    table[AT_CHUNKS2] = chunk_count(table, t13, 4096, n0)  # chunks of a divided loop
    t14 = floor_div_int(t6 * 7, 4)                        # floor_div int64
    table[AT_CHUNKS3] = chunk_count(table, t14, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS4] = chunk_count(table, t11, 4096, t12)  # chunks of a divided loop
    table[AT_CHUNKS5] = chunk_count(table, t6, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS6] = chunk_count(table, t13, 4096, n0)  # chunks of a divided loop
    table[AT_CHUNKS7] = chunk_count(table, t14, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS8] = chunk_count(table, t11, 4096, t12)  # chunks of a divided loop
    table[AT_CHUNKS9] = chunk_count(table, t6, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS10] = chunk_count(table, t13, 4096, n0)  # chunks of a divided loop
    table[AT_CHUNKS11] = chunk_count(table, t14, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS12] = chunk_count(table, t11, 4096, t12)  # chunks of a divided loop
    table[AT_CHUNKS13] = chunk_count(table, t6, 4096, n1)  # chunks of a divided loop
    table[AT_CHUNKS14] = chunk_count(table, t13, 4096, n0)  # chunks of a divided loop
    table[AT_CHUNKS15] = chunk_count(table, t14, 4096, n1)  # chunks of a divided loop
    t15 = t11 + t6 + t13 + t14 + t11 + t6 + t13 + t14 + t11 + t6 + t13 + t14  # add int64
    table[AT_WORK] = t15 + t11 + t6 + t13 + t14           # cycles of work, about
    table[AT_NEEDED] = t10 + table[AT_THREADS] * t5       # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # dot2
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * table[AT_OWN_BYTES]  # what this chunk has for itself
    A = table[AT_A]                                       # A float32[?,?]
    x = table[AT_X]                                       # x float32[?,?]
    out0 = table[AT_TEMPORARIES]                          # dot2 float32[?,?]
    n0 = table[AT_LEN_A]                                  # = len(A)
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    sgemm(                                                # out0 = A @ x
        table[AT_SGEMM], chunk, chunks, own, n0, n1, n0, float32(1.0), A, n0, 1, x, n1,
        1, float32(0.0), out0, n1
    )
    return 0


@divided
def phase_1(address, chunk, chunks):                      # sum
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * table[AT_OWN_BYTES]  # what this chunk has for itself
    p0 = f64(own + 1048576)                               # sum float64[?]
    n0 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    for j in range(n0):
        p0[j] = 0.0                                       # start of sum float64[?]
    n1 = table[AT_LEN_A]                                  # = len(A)
    begin = n1 * chunk // chunks                          # rows of this chunk
    end = n1 * (chunk + 1) // chunks
    p1 = f32(table[AT_TEMPORARIES])                       # dot2 float32[?,?]
    for i in range(begin, end - 3, 4):                    # 4 rows at a time
        i1 = i + 1
        i2 = i + 2
        i3 = i + 3
        for j1 in range(n0):                              # x.shape[1]
            apart(p1, p0)                                 # overlap no others
            v0 = p1[i * n0 + j1]                          # dot2 float32[?,?]
            t0 = v0 * v0                                  # mul float32[?,?]
            v1 = p1[i1 * n0 + j1]                         # dot2 float32[?,?]
            t1 = v1 * v1                                  # mul float32[?,?]
            v2 = p1[i2 * n0 + j1]                         # dot2 float32[?,?]
            t2 = v2 * v2                                  # mul float32[?,?]
            v3 = p1[i3 * n0 + j1]                         # dot2 float32[?,?]
            t3 = v3 * v3                                  # mul float32[?,?]
            p0[j1] = add_up(p0[j1], add_up(add_up(float64(t0), float64(t1)), add_up(float64(t2), float64(t3))))  # sum
    for i4 in range(end - (end - begin) % 4, end):        # len(A)
        for j2 in range(n0):                              # x.shape[1]
            apart(p1, p0)                                 # overlap no others
            v4 = p1[i4 * n0 + j2]                         # dot2 float32[?,?]
            p0[j2] = add_up(p0[j2], float64(v4 * v4))     # sum
    return 0


@jit
def join_1(address):                                      # what the chunks of phase_1 have accumulated
    table = i64(address)
    chunks = table[AT_CHUNKS1]
    n0 = table[AT_OFFSET1]                                # place among the temporaries
    total = f64(table[AT_TEMPORARIES] + table[AT_OFFSET2])  # sum float64[?]
    part = f64(table[AT_TEMPORARIES] + table[AT_OFFSET] + 1048576)  # of the chunks
    for i in range(table[AT_X_SHAPE_1]):
        acc_0 = part[i]
        for chunk in range(1, chunks):
            acc_0 = acc_0 + part[chunk * n0 + i]          # sum
        total[i] = acc_0
    return 0


@divided
def phase_2(address, chunk, chunks):                      # sqrt; also phase_6, phase_10, phase_14
    table = i64(address)
    n0 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    p0 = f64(table[AT_TEMPORARIES] + table[AT_OFFSET2])   # sum float64[?]
    p1 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET3])   # sqrt float32[?]
    for i in range(begin, end):                           # x.shape[1]
        apart(p0, p1)                                     # overlap no others
        p1[i] = math.sqrt(float32(p0[i]))                 # sqrt float32[?]
    return 0


@divided
def phase_3(address, chunk, chunks):                      # true_div; also phase_7, phase_11
    table = i64(address)
    n0 = table[AT_LEN_A]                                  # = len(A)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    p0 = f32(table[AT_TEMPORARIES])                       # dot2 float32[?,?]
    p1 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET3])   # sqrt float32[?]
    p2 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET4])   # true_div float32[?,?]
    for i in range(begin, end):                           # len(A)
        for j in range(n1):                               # x.shape[1]
            apart(p0, p1, p2)                             # overlap no others
            p2[i * n1 + j] = p0[i * n1 + j] / p1[j]       # true_div float32[?,?]
    return 0


@divided
def phase_4(address, chunk, chunks):                      # dot2; also phase_8, phase_12
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * table[AT_OWN_BYTES]  # what this chunk has for itself
    A = table[AT_A]                                       # A float32[?,?]
    p0 = table[AT_TEMPORARIES] + table[AT_OFFSET4]        # true_div float32[?,?]
    out0 = table[AT_TEMPORARIES]                          # dot2 float32[?,?]
    n0 = table[AT_LEN_A]                                  # = len(A)
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    sgemm(                                                # out0 = A @ p0
        table[AT_SGEMM], chunk, chunks, own, n0, n1, n0, float32(1.0), A, n0, 1, p0, n1,
        1, float32(0.0), out0, n1
    )
    return 0


@shape
def shape_0(address, chunk, chunks, at0):                 # sum: phase_5, phase_9, phase_13
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * table[AT_OWN_BYTES]  # what this chunk has for itself
    p0 = f64(own + table[at0])                            # sum float64[?]
    n0 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    for j in range(n0):
        p0[j] = 0.0                                       # start of sum float64[?]
    n1 = table[AT_LEN_A]                                  # = len(A)
    begin = n1 * chunk // chunks                          # rows of this chunk
    end = n1 * (chunk + 1) // chunks
    p1 = f32(table[AT_TEMPORARIES])                       # dot2 float32[?,?]
    for i in range(begin, end - 3, 4):                    # 4 rows at a time
        i1 = i + 1
        i2 = i + 2
        i3 = i + 3
        for j1 in range(n0):                              # x.shape[1]
            apart(p1, p0)                                 # overlap no others
            v0 = p1[i * n0 + j1]                          # dot2 float32[?,?]
            t0 = v0 * v0                                  # mul float32[?,?]
            v1 = p1[i1 * n0 + j1]                         # dot2 float32[?,?]
            t1 = v1 * v1                                  # mul float32[?,?]
            v2 = p1[i2 * n0 + j1]                         # dot2 float32[?,?]
            t2 = v2 * v2                                  # mul float32[?,?]
            v3 = p1[i3 * n0 + j1]                         # dot2 float32[?,?]
            t3 = v3 * v3                                  # mul float32[?,?]
            p0[j1] = add_up(p0[j1], add_up(add_up(float64(t0), float64(t1)), add_up(float64(t2), float64(t3))))  # sum
    for i4 in range(end - (end - begin) % 4, end):        # len(A)
        for j2 in range(n0):                              # x.shape[1]
            apart(p1, p0)                                 # overlap no others
            v4 = p1[i4 * n0 + j2]                         # dot2 float32[?,?]
            p0[j2] = add_up(p0[j2], float64(v4 * v4))     # sum
    return 0


@divided
def phase_5(address, chunk, chunks):                      # sum
    return shape_0(address, chunk, chunks, AT_OFFSET5)


@shape
def shape_1(address, at0, at1):                           # join_5, join_9, join_13
    table = i64(address)
    chunks = table[at0]
    n0 = table[AT_OFFSET1]                                # place among the temporaries
    total = f64(table[AT_TEMPORARIES] + table[AT_OFFSET2])  # sum float64[?]
    part = f64(table[AT_TEMPORARIES] + table[AT_OFFSET] + table[at1])  # of the chunks
    for i in range(table[AT_X_SHAPE_1]):
        acc_0 = part[i]
        for chunk in range(1, chunks):
            acc_0 = acc_0 + part[chunk * n0 + i]          # sum
        total[i] = acc_0
    return 0


@divided
def phase_9(address, chunk, chunks):                      # sum
    return shape_0(address, chunk, chunks, AT_OFFSET6)


@divided
def phase_13(address, chunk, chunks):                     # sum
    return shape_0(address, chunk, chunks, AT_OFFSET7)


@divided
def phase_15(address, chunk, chunks):                     # true_div
    table = i64(address)
    n0 = table[AT_LEN_A]                                  # = len(A)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    p0 = f32(table[AT_TEMPORARIES])                       # dot2 float32[?,?]
    p1 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET3])   # sqrt float32[?]
    p2 = f32(table[AT_OUTPUT_0])                          # true_div float32[?,?]
    for i in range(begin, end):                           # len(A)
        for j in range(n1):                               # x.shape[1]
            apart(p0, p1, p2)                             # overlap no others
            p2[i * n1 + j] = p0[i * n1 + j] / p1[j]       # true_div float32[?,?]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    launch(table[AT_LAUNCH], phase_1, address, table[AT_CHUNKS1], table[AT_WORK])
    join_1(address)
    launch(table[AT_LAUNCH], phase_2, address, table[AT_CHUNKS2], table[AT_WORK])
    launch(table[AT_LAUNCH], phase_3, address, table[AT_CHUNKS3], table[AT_WORK])
    launch(table[AT_LAUNCH], phase_4, address, table[AT_CHUNKS4], table[AT_WORK])
    launch(table[AT_LAUNCH], phase_5, address, table[AT_CHUNKS5], table[AT_WORK])
    shape_1(address, AT_CHUNKS5, AT_OFFSET5)              # join_5: what the chunks of phase_5 have accumulated
    launch(table[AT_LAUNCH], phase_2, address, table[AT_CHUNKS6], table[AT_WORK])  # phase_6: sqrt
    launch(table[AT_LAUNCH], phase_3, address, table[AT_CHUNKS7], table[AT_WORK])  # phase_7: true_div
    launch(table[AT_LAUNCH], phase_4, address, table[AT_CHUNKS8], table[AT_WORK])  # phase_8: dot2
    launch(table[AT_LAUNCH], phase_9, address, table[AT_CHUNKS9], table[AT_WORK])
    shape_1(address, AT_CHUNKS9, AT_OFFSET6)              # join_9: what the chunks of phase_9 have accumulated
    launch(table[AT_LAUNCH], phase_2, address, table[AT_CHUNKS10], table[AT_WORK])  # phase_10: sqrt
    launch(table[AT_LAUNCH], phase_3, address, table[AT_CHUNKS11], table[AT_WORK])  # phase_11: true_div
    launch(table[AT_LAUNCH], phase_4, address, table[AT_CHUNKS12], table[AT_WORK])  # phase_12: dot2
    launch(table[AT_LAUNCH], phase_13, address, table[AT_CHUNKS13], table[AT_WORK])
    shape_1(address, AT_CHUNKS13, AT_OFFSET7)             # join_13: what the chunks of phase_13 have accumulated
    launch(table[AT_LAUNCH], phase_2, address, table[AT_CHUNKS14], table[AT_WORK])  # phase_14: sqrt
    launch(table[AT_LAUNCH], phase_15, address, table[AT_CHUNKS15], table[AT_WORK])
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[AT_A_OBJECT] = objects[0]
        table[AT_X_OBJECT] = objects[1]
        table[AT_OUTPUT_0_OBJECT] = objects[2]
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
