"""numgraph function dropout
    return relu(x) * where(uniform(size=(relu(x).shape[0], relu(x).shape[1])) >= 0.25, reci...
    update uniform_state := uniform_state + [0, 1]

phase_0: mul (?): ? flops, ? bytes
phase_1: add (2): 0 flops, 48 bytes
"""

from numpy import float32, uint64

from numgraph.kernels.loops import apart, interleave
from numgraph.kernels.support import argument_address, argument_length, chunk_count, divided, entry, f32
from numgraph.kernels.support import from_python, i64, items_of, jit, launch, maximum, relock, resident_address
from numgraph.kernels.support import resident_shape, table_of, to_python, u64, unlock
from numgraph.kernels.draws import uniform_f32

AT_LAUNCH, AT_WORK, AT_CAPACITY, AT_NEEDED, AT_X_OBJECT, AT_UNIFORM_STATE_DESCRIPTOR = 5, 7, 12, 13, 14, 15
AT_OUTPUT_0_OBJECT, AT_LEN_X, AT_X_SHAPE_1, AT_X, AT_UNIFORM_STATE, AT_OUTPUT_0 = 16, 17, 18, 19, 20, 21
AT_CHUNKS, AT_CONSTANT = 22, 23


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_X] = argument_address(table, AT_X_OBJECT)    # where x lies
    table[AT_UNIFORM_STATE] = resident_address(table, AT_UNIFORM_STATE_DESCRIPTOR)  # where uniform_state lies now
    status = resident_shape(table, AT_UNIFORM_STATE_DESCRIPTOR, (2,), 1)  # assume uniform_state uint64[2]
    if status != 0:
        return status
    n0 = argument_length(table, AT_X_OBJECT, 0)           # len(x)
    table[AT_LEN_X] = n0                                  # len(x)
    n1 = argument_length(table, AT_X_OBJECT, 1)           # x.shape[1]
    table[AT_X_SHAPE_1] = n1                              # x.shape[1]
    t0 = n0 * n1 * 12                                     # mul int64
    table[AT_CHUNKS] = chunk_count(table, t0, 4096, n0)   # chunks of a divided loop
    table[AT_WORK] = t0 + 1                               # cycles of work, about
    table[AT_NEEDED] = 0                                  # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # mul
    table = i64(address)
    n0 = table[AT_LEN_X]                                  # = len(x)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_X_SHAPE_1]                              # = x.shape[1]
    x = f32(table[AT_X])                                  # x float32[?,?]
    uniform_state = u64(table[AT_UNIFORM_STATE])          # uniform_state uint64[2]
    key = uniform_state[0]                                # uniform_state uint64[2]
    position = uniform_state[1]                           # uniform_state uint64[2]
    p0 = f32(table[AT_OUTPUT_0])                          # mul float32[?,?]
    for i in range(begin * n1, end * n1):                 # len(x) x x.shape[1]
        interleave(4)                                     # vectors side by side
        apart(p0)                                         # overlap no others
        t0 = maximum(x[i], float32(0.0))                  # relu float32[?,?]
        t1 = uniform_f32(key, position, i) >= float32(0.25)  # ge bool[?,?]
        p0[i] = t0 * (float32(1.3333334) if t1 else float32(0.0))  # mul float32[?,?]
    return 0


@jit
def phase_1(address):                                     # add
    table = i64(address)
    uniform_state = u64(table[AT_UNIFORM_STATE])          # uniform_state uint64[2]
    p0 = u64(table[AT_CONSTANT])                          # array uint64[2]
    for i in range(2):
        uniform_state[i] = uint64(uniform_state[i] + p0[i])  # uniform_state uint64[2]
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
