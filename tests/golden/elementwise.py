"""numgraph function leaky
    return where(tanh(x * a + b) > 0.0, tanh(x * a + b), 0.1 * tanh(x * a + b))

phase_0: tanh, where (?): ? flops, ? bytes
"""

from numpy import float32

from numgraph.kernels.loops import apart, interleave
from numgraph.kernels.support import argument_address, argument_length, chunk_count, divided, entry, f32, f64
from numgraph.kernels.support import fail, floor_div_int, from_python, i64, items_of, jit, launch, real_of
from numgraph.kernels.support import relock, table_of, to_python, unlock
from numgraph.kernels.vectorhyper import tanh_f32

AT_LAUNCH, AT_WORK, AT_CAPACITY, AT_NEEDED, AT_X_OBJECT, AT_B_OBJECT, AT_A = 5, 7, 12, 13, 14, 15, 16
AT_OUTPUT_0_OBJECT, AT_LEN_X, AT_X_SHAPE_1, AT_X, AT_B, AT_OUTPUT_0, AT_CHUNKS = 17, 18, 19, 20, 21, 22, 23


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    table[AT_B] = argument_address(table, AT_B_OBJECT)    # where b lies
    n0 = argument_length(table, AT_B_OBJECT, 0)           # len(b)
    n1 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    if n0 != n1:                                          # assume
        return fail(table, n0, n1, 1)
    n2 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    table[AT_LEN_X] = n2                                  # len(x)
    table[AT_X_SHAPE_1] = n1                              # x.shape[1]
    t0 = floor_div_int(n2 * n1 * 34, 4)                   # floor_div int64
    table[AT_CHUNKS] = chunk_count(table, t0, 4096, n2)   # chunks of a divided loop
    table[AT_WORK] = t0                                   # cycles of work, about
    table[AT_NEEDED] = 0                                  # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # tanh, where
    table = i64(address)
    reals = f64(address)
    n0 = table[AT_LEN_X]                                  # = len(x)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    x = f32(table[AT_X])                                  # x float32[?,?]
    a = float32(reals[AT_A])                              # argument
    b = f32(table[AT_B])                                  # b float32[?]
    p0 = f32(table[AT_OUTPUT_0])                          # where float32[?,?]
    for i in range(begin, end):                           # len(x)
        for j in range(n1):                               # x.shape[1]
            interleave(4)                                 # vectors side by side
            apart(p0)                                     # overlap no others
            t0 = tanh_f32(x[i * n1 + j] * a + b[j])       # tanh float32[?,?]
            t1 = t0 > float32(0.0)                        # gt bool[?,?]
            t2 = float32(0.1) * t0                        # mul float32[?,?]
            p0[i * n1 + j] = t0 if t1 else t2             # where float32[?,?]
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
    reals = f64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[AT_X_OBJECT] = objects[0]
        table[AT_B_OBJECT] = objects[1]
        reals[AT_A] = real_of(objects[2])
        table[AT_OUTPUT_0_OBJECT] = objects[3]
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
