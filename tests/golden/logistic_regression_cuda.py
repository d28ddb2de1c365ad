"""numgraph function train
    return -(sum(log(softmax(x @ W + b, axis=1))[arange(y.shape[0]), y]) / float32(log(soft...
    update W := W - 0.13 * gW
    update b := b - 0.13 * gb
    where gW = x.T @ (inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y],...
    where gb = sum(inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y], -1...
    given x = train_x[index * 10:(index + 1) * 10]
    given y = train_y[index * 10:(index + 1) * 10]

kernel_0: dot2, max, sub, exp, sum, log (up to 10 x 3; product, rows): 791 flops, 868 bytes
kernel_1: sum, neg (up to 10 x 3; sums, once): 52 flops, 260 bytes
kernel_2: gemm, sub (3; product, flat): 486 flops, 668 bytes
"""

import math

import numpy as np
from numpy import float32, int64
from numgraph.cuda.plan import fail, i64, resident_length, resident_shape
from numgraph.kernels.cuda.pointers import advance
from numgraph.kernels.cuda.products import skinny_columns, skinny_rows
from numgraph.kernels.cuda.support import FULL, cuda, helper
from numgraph.kernels.support import maximum, minimum

THREADS = 256
WARP = 32
AT_NEEDED, AT_INDEX, AT_TRAIN_X_DESCRIPTOR, AT_W_DESCRIPTOR, AT_B_DESCRIPTOR = 13, 14, 15, 16, 17
AT_TRAIN_Y_DESCRIPTOR, AT_LEN_TRAIN_X, AT_LEN_X, AT_LEN_TRAIN_Y, AT_N0, AT_N1 = 18, 20, 21, 22, 23, 24
AT_N2, AT_N3, AT_N4 = 25, 26, 27
skinny_rows_kernel = helper(skinny_rows("float32", 3, 4, 128))
skinny_columns_1 = helper(skinny_columns("float32", 3, 8, 128))


@helper
def join_sum_float32(value, lane, width, warps):          # acc + x, of lanes `width` apart
    step = WARP // 2
    while step >= width:
        other = cuda.shfl_xor_sync(FULL, value, step)
        value = value + other
        step = step // 2
    memory = cuda.shared.array(THREADS, float32)
    if lane % WARP < width:
        memory[lane // WARP * width + lane % WARP] = value
    cuda.syncthreads()
    value = memory[lane % width]
    for warp in range(1, warps):
        cell = warp * width + lane % width
        other = memory[cell]
        value = value + other
    cuda.syncthreads()
    return value


def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
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
    t3 = maximum(t1 - minimum(maximum(t2 + n0 if t2 < 0 else t2, 0), n0), 0)  # maximum int64
    n1 = resident_length(table, AT_TRAIN_X_DESCRIPTOR, 0)  # len(train_x)
    t4 = minimum(maximum(t0 + n1 if t0 < 0 else t0, 0), n1)  # slice_bound int64
    t5 = maximum(t4 - minimum(maximum(t2 + n1 if t2 < 0 else t2, 0), n1), 0)  # maximum int64
    if t3 != t5:                                          # assume
        return fail(table, t3, t5, 6)
    table[AT_LEN_TRAIN_X] = n1                            # len(train_x)
    table[AT_LEN_X] = t5                                  # len(x)
    table[AT_LEN_TRAIN_Y] = n0                            # len(train_y)
    t6 = t5 * 12 + 63 >> 6 << 6                           # align64 int64
    table[AT_N0] = t6                                     # len(x) * 12 + 63 >> 6 << 6
    t7 = t6 * 2                                           # mul int64
    table[AT_N1] = t7                                     # (len(x) * 12 + 63 >> 6 << 6) * 2
    t8 = t7 + (t5 * 4 + 63 >> 6 << 6)                     # add int64
    table[AT_N2] = t8                                     # (len(x) * 12 + 63 >> 6 << 6) * 2 + (len(x) * 4 + 63 >> 6 << 6)
    t9 = t8 + t6                                          # add int64
    table[AT_N3] = t9                                     # (... + 63 >> 6 << 6) * 2 + (len(x) * 4 + 63 >> 6 << 6) + (len(x) * 12 + 63 >> 6 << 6)
    table[AT_N4] = t9 + 64                                # ... * 2 + (... + 63 >> 6 << 6) + (len(x) * 12 + 63 >> 6 << 6) + 64
    table[AT_NEEDED] = t9 + 128                           # bytes of temporaries
    return 0


def kernel_0(t0, train_x, arguments, n0, W, n1, train_y, status, b, t13, own0, t16, t30):  # dot2, max, sub, exp, sum, log
    lane = cuda.threadIdx.x
    block = cuda.blockIdx.x
    thread = block * THREADS + lane
    index = arguments[0]                                  # argument
    t1 = index * 10                                       # mul int64
    t2 = minimum(maximum(t1 + n0 if t1 < 0 else t1, 0), n0)  # slice_bound int64
    t3 = t2 * 8                                           # mul int64
    t4 = (index + 1) * 10                                 # mul int64
    t5 = maximum(minimum(maximum(t4 + n0 if t4 < 0 else t4, 0), n0) - t2, 0)  # maximum int64
    if t5 > 0:
        skinny_rows_kernel(t0, advance(train_x, t3), W, t5, 8, 8, 3, 1, 3, float32(1.0), float32(0.0))  # dot2 float32[?,3]
    cuda.syncthreads()
    first_0 = block * 4                                   # of the rows that this block has made
    end = first_0 + 4 if first_0 + 4 < t5 else t5
    t6 = minimum(maximum(t1 + n1 if t1 < 0 else t1, 0), n1)  # slice_bound int64
    p_from = thread * 16                                  # exp float32[?,3] from element 0
    t7 = maximum(minimum(maximum(t4 + n1 if t4 < 0 else t4, 0), n1) - t6, 0)  # maximum int64
    t8 = float32(-1.0) / float32(t7)                      # true_div float32
    i = first_0 + lane
    while i < end:                                        # len(x)
        y = train_y[t6 + i]                               # train_y int32[?]
        if y < -3 or y >= 3:                              # index in range of gather
            status[0] = 1                                 # later kernels do nothing
            status[256 + arguments[1]] = 1                # in this step of a sweep
            i = i + 128
            continue
        acc0 = float32(-np.inf)                           # max float32[?,1]
        for j in range(3):
            acc0 = maximum(acc0, t0[i * 3 + j] + b[j])    # max
        acc1 = float32(0.0)                               # sum float32[?,1]
        for j1 in range(3):
            t9 = t0[i * 3 + j1] + b[j1] - acc0            # sub float32[?,3]
            t13[i * 3 + j1] = t9                          # sub float32[?,3]
            t10 = math.exp(t9)                            # exp float32[?,3]
            own0[p_from + j1] = t10                       # exp float32[?,3]
            acc1 = acc1 + t10                             # sum
        t16[i] = math.log(acc1)                           # log float32[?,1]
        t11 = int64(y)                                    # cast int64
        t12 = t11 + 3 if t11 < 0 else t11                 # where int64
        for j2 in range(3):
            t14 = t8 if t12 == j2 else float32(0.0)       # where float32[?,3]
            t30[i * 3 + j2] = t14 - own0[p_from + j2] / acc1 * t8  # sub float32[?,3]
        i = i + 128


def kernel_1(arguments, n0, n1, train_y, t11, t12, t14, t15, t16, out0, status):  # sum, neg
    lane = cuda.threadIdx.x
    block = cuda.blockIdx.x
    blocks = cuda.gridDim.x
    thread = block * THREADS + lane
    if status[0] != 0:
        return                                            # an index was refused before
    index = arguments[0]                                  # argument
    t0 = (index + 1) * 10                                 # mul int64
    t1 = minimum(maximum(t0 + n0 if t0 < 0 else t0, 0), n0)  # slice_bound int64
    t2 = index * 10                                       # mul int64
    t3 = maximum(t1 - minimum(maximum(t2 + n0 if t2 < 0 else t2, 0), n0), 0)  # maximum int64
    t4 = minimum(maximum(t2 + n1 if t2 < 0 else t2, 0), n1)  # slice_bound int64
    part = block
    while part < 1:
        c = part                                          # the result that this lane works on
        acc0 = float32(0.0)                               # sum float32
        e = lane
        while e < t3:
            y = train_y[t4 + e]                           # train_y int32[?]
            t5 = int64(y)                                 # cast int64
            acc0 = acc0 + (t11[e * 3 + (t5 + 3 if t5 < 0 else t5)] - t12[e])  # sum
            e = e + THREADS
        joined = join_sum_float32(acc0, lane, 1, 8)       # sum
        if lane == 0:
            t14[0] = joined                               # sum float32
        part = part + blocks
    cuda.syncthreads()
    part_0 = block
    while part_0 < 1:
        c_0 = part_0 * 4 + lane % 4                       # the result that this lane works on
        end = t3 if c_0 < 3 else 0
        acc1 = float32(0.0)                               # sum float32[1,3]
        e_0 = lane // 4
        while e_0 < end:
            acc1 = acc1 + t15[e_0 * 3 + c_0]              # sum
            e_0 = e_0 + THREADS // 4
        joined_0 = join_sum_float32(acc1, lane, 4, 8)     # sum
        if lane < 4 and c_0 < 3:
            t16[c_0] = joined_0                           # sum float32[1,3]
        part_0 = part_0 + blocks
    cuda.syncthreads()
    if thread == 0:
        v0 = t14[0]                                       # sum float32
        t6 = minimum(maximum(t0 + n1 if t0 < 0 else t0, 0), n1) - t4  # sub int64
        out0[0] = -(v0 / float32(maximum(t6, 0)))         # neg float32


def kernel_2(W, train_x, arguments, n0, t3, b, t9, status):  # gemm, sub
    lane = cuda.threadIdx.x
    block = cuda.blockIdx.x
    blocks = cuda.gridDim.x
    if status[0] != 0:
        return                                            # an index was refused before
    index = arguments[0]                                  # argument
    t0 = index * 10                                       # mul int64
    t1 = minimum(maximum(t0 + n0 if t0 < 0 else t0, 0), n0)  # slice_bound int64
    t2 = t1 * 8                                           # mul int64
    t4 = (index + 1) * 10                                 # mul int64
    t5 = maximum(minimum(maximum(t4 + n0 if t4 < 0 else t4, 0), n0) - t1, 0)  # maximum int64
    skinny_columns_1(W, advance(train_x, t2), t3, t5, 8, t5, 8, 3, 3, 0, float32(-0.13), float32(1.0))  # gemm float32[8,3]
    cuda.syncthreads()
    e = block * 128 + lane
    while e < 3:
        x0 = b[e]                                         # b float32[3]
        gb = t9[e]                                        # sum float32[1,3]
        b[e] = x0 - float32(0.13) * gb                    # b float32[3]
        e = e + blocks * 128
