"""numgraph function recurrent
    return scan(tanh((x.reshape(x.shape[0] * x.shape[1], x.shape[2]) @ W).reshape(x.shape[0...

phase_0: dot2 (once): ? flops, ? bytes
phase_1: layer (once): ? flops, ? bytes
"""

from numpy import float32

from numgraph.kernels.calls import sgemm
from numgraph.kernels.loops import apart, interleave
from numgraph.kernels.support import argument_address, argument_length, chunk_count, divided, entry, f32, fail
from numgraph.kernels.support import floor_div_int, from_python, i64, items_of, jit, launch, maximum, relock
from numgraph.kernels.support import resident_address, resident_shape, table_of, to_python, unlock
from numgraph.kernels.vectorhyper import tanh_f32

AT_SGEMM, AT_LAUNCH, AT_THREADS, AT_WORK, AT_TEMPORARIES, AT_CAPACITY, AT_NEEDED = 3, 5, 6, 7, 11, 12, 13
AT_X_OBJECT, AT_H0_OBJECT, AT_W_DESCRIPTOR, AT_U_DESCRIPTOR, AT_OUTPUT_0_OBJECT = 14, 15, 16, 17, 18
AT_OFFSET, AT_X, AT_W, AT_N0, AT_CHUNKS, AT_OFFSET1, AT_H0_T_1, AT_U = 19, 20, 21, 22, 23, 24, 25, 26
AT_X_SHAPE_1, AT_CHUNKS1, AT_DOT2_OFFSET, AT_NEW_STATE, AT_CHUNKS2, AT_LEN_X = 27, 28, 29, 30, 31, 32
AT_H0, AT_OFFSET2, AT_ROW_BYTES, AT_OUTPUT_0, AT_N1, AT_STEP = 33, 34, 35, 36, 37, 38


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    table[AT_W] = resident_address(table, AT_W_DESCRIPTOR)  # where W lies now
    table[AT_U] = resident_address(table, AT_U_DESCRIPTOR)  # where U lies now
    table[AT_H0] = argument_address(table, AT_H0_OBJECT)  # where h0 lies
    status = resident_shape(table, AT_W_DESCRIPTOR, (3, 4), 1)  # assume W float32[3,4]
    if status != 0:
        return status
    status = resident_shape(table, AT_U_DESCRIPTOR, (4, 4), 3)  # assume U float32[4,4]
    if status != 0:
        return status
    n0 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    if n0 > 8796093022208:                                # fits
        return fail(table, n0, 8796093022208, 5)
    n1 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    t0 = floor_div_int(8796093022208, maximum(n0, 1))     # floor_div int64
    if n1 > t0:                                           # fits
        return fail(table, n1, t0, 6)
    n2 = argument_length(table, AT_X_OBJECT, 2)           # x.shape[2]
    if n2 != 3:                                           # equal
        return fail(table, n2, 3, 7)
    n3 = argument_length(table, AT_H0_OBJECT, 0)          # len(h0)
    if n3 > 8796093022208:                                # fits
        return fail(table, n3, 8796093022208, 8)
    n4 = argument_length(table, AT_H0_OBJECT, 1)          # h0.shape[1]
    if n4 != 4:                                           # equal
        return fail(table, n4, 4, 9)
    if n3 != n0:                                          # assume
        return fail(table, n3, n0, 10)
    if n1 < 1:                                            # at_least
        return fail(table, n1, 1, 11)
    t1 = n1 * n0                                          # mul int64
    t2 = t1 * 16 + 63 >> 6 << 6                           # align64 int64
    t3 = n0 * 16                                          # mul int64
    t4 = t3 + 63 >> 6 << 6                                # align64 int64
    t5 = t2 + t4                                          # add int64
    t6 = t5 + t4 * 2                                      # add int64
    table[AT_OFFSET] = t6                                 # (... * 16 + 63 >> 6 << 6) + (x.shape[1] * 16 + 63 >> 6 << 6) + (x.shape[1] * 16 + 63 >> 6 << 6) * 2
    table[AT_N0] = t1                                     # len(x) * x.shape[1]
    table[AT_OFFSET1] = t2                                # len(x) * x.shape[1] * 16 + 63 >> 6 << 6
    table[AT_X_SHAPE_1] = n0                              # x.shape[1]
    table[AT_LEN_X] = n1                                  # len(x)
    table[AT_OFFSET2] = t5                                # (len(x) * x.shape[1] * 16 + 63 >> 6 << 6) + (x.shape[1] * 16 + 63 >> 6 << 6)
    table[AT_ROW_BYTES] = t4                              # x.shape[1] * 16 + 63 >> 6 << 6
    table[AT_N1] = n0 * 4                                 # x.shape[1] * 4
    table[AT_CHUNKS] = chunk_count(table, t1, 4096, floor_div_int(t1, 6))  # chunks of a divided loop
    t7 = floor_div_int(t3, 12)                            # floor_div int64
    table[AT_CHUNKS1] = chunk_count(table, t7, 4096, floor_div_int(n0, 6))  # chunks of a divided loop
    t8 = n0 * 29                                          # mul int64
    table[AT_CHUNKS2] = chunk_count(table, t8, 4096, n0)  # chunks of a divided loop
    table[AT_WORK] = t1 + n1 * (t7 + t8)                  # cycles of work, about
    table[AT_NEEDED] = t6 + table[AT_THREADS] * 1048576   # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # dot2
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * 1048576  # what this chunk has for itself
    x = table[AT_X]                                       # x float32[?,3]
    W = table[AT_W]                                       # W float32[3,4]
    out0 = table[AT_TEMPORARIES]                          # dot2 float32[?,4]
    sgemm(                                                # out0 = x @ W
        table[AT_SGEMM], chunk, chunks, own, table[AT_N0], 4, 3, float32(1.0), x, 3, 1,
        W, 4, 1, float32(0.0), out0, 4
    )
    return 0


@divided
def phase_1_part_0(address, chunk, chunks):               # dot2
    table = i64(address)
    n0 = table[AT_OFFSET1]                                # place among the temporaries
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * 1048576  # what this chunk has for itself
    h0_t_1 = table[AT_H0_T_1]                             # h0[t-1] float32[?,4]
    U = table[AT_U]                                       # U float32[4,4]
    out0 = table[AT_TEMPORARIES] + n0                     # dot2 float32[?,4]
    sgemm(                                                # out0 = h0_t_1 @ U
        table[AT_SGEMM], chunk, chunks, own, table[AT_X_SHAPE_1], 4, 4, float32(1.0),
        h0_t_1, 4, 1, U, 4, 1, float32(0.0), out0, 4
    )
    return 0


@divided
def phase_1_part_1(address, chunk, chunks):               # tanh
    table = i64(address)
    n0 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    p0 = f32(table[AT_TEMPORARIES] + table[AT_DOT2_OFFSET])  # dot2 float32[?,4] from element step * (x.shape[1] * 4)
    p1 = f32(table[AT_TEMPORARIES] + table[AT_OFFSET1])   # dot2 float32[?,4]
    p2 = f32(table[AT_NEW_STATE])                         # tanh float32[?,4]
    for i in range(begin * 4, end * 4):                   # x.shape[1] x 4
        interleave(4)                                     # vectors side by side
        apart(p0, p1, p2)                                 # overlap no others
        p2[i] = tanh_f32(p0[i] + p1[i])                   # tanh float32[?,4]
    return 0


@jit
def phase_1_step(address):                                # lengths and places of a step
    table = i64(address)
    table[AT_DOT2_OFFSET] = table[AT_STEP] * table[AT_N1] * 4  # step * (x.shape[1] * 4) * 4
    return 0


@jit
def phase_1(address):                                     # layer
    table = i64(address)
    steps = table[AT_LEN_X]                               # steps of the scan
    h0_t_1__first = table[AT_H0]                          # the first value of a state
    state_at = table[AT_TEMPORARIES] + table[AT_OFFSET2]  # values of tanh
    n0 = table[AT_ROW_BYTES]                              # place among the temporaries
    result = table[AT_OUTPUT_0]
    n1 = table[AT_N1]                                     # = x.shape[1] * 4
    table[AT_NEW_STATE] = state_at                        # where state of a step goes
    table[AT_H0_T_1] = h0_t_1__first                      # where h0[t-1] lies
    for t in range(steps):
        table[AT_STEP] = t                                # which step it is
        status = phase_1_step(address)
        if status != 0:
            return status
        launch(table[AT_LAUNCH], phase_1_part_0, address, table[AT_CHUNKS1], table[AT_WORK])
        launch(table[AT_LAUNCH], phase_1_part_1, address, table[AT_CHUNKS2], table[AT_WORK])
        next0 = table[AT_NEW_STATE]
        table[AT_H0_T_1] = next0
        table[AT_NEW_STATE] = state_at + (t + 1) % 2 * n0
    for i in range(n1):
        f32(result)[i] = f32(table[AT_H0_T_1])[i]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    launch(table[AT_LAUNCH], phase_0, address, table[AT_CHUNKS], table[AT_WORK])
    phase_1(address)
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[AT_X_OBJECT] = objects[0]
        table[AT_H0_OBJECT] = objects[1]
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
