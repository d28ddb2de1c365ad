"""numgraph function embed
    return sum(table[rows])
    update table := inc_subtensor(table[rows], -0.5 * table[rows])

phase_0: sum, mul (? x 2): ? flops, ? bytes
phase_1: cast, gather_update (? x 2): ? flops, ? bytes
"""

from numpy import float32, float64

from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, argument_length, chunk_count, divided, entry
from numgraph.kernels.support import f32, f64, fail, floor_div_int, from_python, i64, items_of, jit, launch
from numgraph.kernels.support import relock, resident_address, resident_shape, table_of, to_python, unlock

AT_LAUNCH, AT_THREADS, AT_WORK, AT_WORDS, AT_BEGIN, AT_END, AT_TEMPORARIES = 5, 6, 7, 8, 9, 10, 11
AT_CAPACITY, AT_NEEDED, AT_ROWS_OBJECT, AT_TABLE_DESCRIPTOR, AT_OUTPUT_0_OBJECT = 12, 13, 14, 15, 16
AT_OFFSET, AT_LEN_ROWS, AT_ROWS, AT_TABLE, AT_CHUNKS, AT_OUTPUT_0 = 17, 18, 19, 20, 21, 22


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_ROWS] = argument_address(table, AT_ROWS_OBJECT)  # where rows lies
    table[AT_TABLE] = resident_address(table, AT_TABLE_DESCRIPTOR)  # where table lies now
    status = resident_shape(table, AT_TABLE_DESCRIPTOR, (6, 2), 2)  # assume table float32[6,2]
    if status != 0:
        return status
    n0 = argument_length(table, AT_ROWS_OBJECT, 0)        # len(rows)
    t0 = 64 + (n0 * 8 + 63 >> 6 << 6)                     # add int64
    table[AT_OFFSET] = t0                                 # 64 + (len(rows) * 8 + 63 >> 6 << 6)
    table[AT_LEN_ROWS] = n0                               # len(rows)
    t1 = n0 * 2                                           # mul int64
    t2 = floor_div_int(t1, 4) + n0 * 4                    # add int64
    table[AT_CHUNKS] = chunk_count(table, t2, 4096, n0)   # chunks of a divided loop
    table[AT_WORK] = t2 + t1                              # cycles of work, about
    table[AT_NEEDED] = t0 + table[AT_THREADS] * 64        # bytes of temporaries
    return 0


@divided
def phase_0(address, chunk, chunks):                      # sum, mul
    table = i64(address)
    own = table[AT_TEMPORARIES] + table[AT_OFFSET] + chunk * 64  # what this chunk has for itself
    acc0 = 0.0                                            # sum float64
    n0 = table[AT_LEN_ROWS]                               # = len(rows)
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    rows = i64(table[AT_ROWS])                            # rows int64[?]
    table_0 = f32(table[AT_TABLE])                        # table float32[6,2]
    p0 = f32(table[AT_TEMPORARIES] + 64)                  # mul float32[?,2]
    for i in range(begin, end):                           # len(rows)
        x0 = rows[i]                                      # rows int64[?]
        if x0 < -6 or x0 >= 6:                            # index in range of gather
            return fail(table, x0, 6, 1)
        t0 = x0 + 6 if x0 < 0 else x0                     # where int64
        for j in range(2):
            apart(p0)                                     # overlap no others
            x1 = table_0[t0 * 2 + j]                      # table float32[6,2]
            acc0 = add_up(acc0, float64(x1))              # sum
            p0[i * 2 + j] = float32(-0.5) * x1            # mul float32[?,2]
    p1 = f64(own)                                         # sum float64
    p1[0] = acc0                                          # sum float64
    return 0


@jit
def join_0(address):                                      # what the chunks of phase_0 have accumulated
    table = i64(address)
    chunks = table[AT_CHUNKS]
    total = f64(table[AT_TEMPORARIES])                    # sum float64
    part = f64(table[AT_TEMPORARIES] + table[AT_OFFSET])  # of the chunks
    for i in range(1):
        acc_0 = part[i]
        for chunk in range(1, chunks):
            acc_0 = acc_0 + part[chunk * 8 + i]           # sum
        total[i] = acc_0
    return 0


@jit
def phase_1(address):                                     # cast, gather_update
    table = i64(address)
    p0 = f64(table[AT_TEMPORARIES])                       # sum float64
    t0 = float32(p0[0])                                   # cast float32
    p1 = f32(table[AT_OUTPUT_0])                          # cast float32
    p1[0] = t0                                            # cast float32
    n0 = table[AT_LEN_ROWS]                               # = len(rows)
    p2 = f32(table[AT_TEMPORARIES] + 64)                  # mul float32[?,2]
    rows = i64(table[AT_ROWS])                            # rows int64[?]
    table_0 = f32(table[AT_TABLE])                        # table float32[6,2]
    for i in range(n0):                                   # len(rows)
        x0 = rows[i]                                      # rows int64[?]
        t1 = x0 + 6 if x0 < 0 else x0                     # where int64
        for j in range(2):
            apart(p2)                                     # overlap no others
            table_0[t1 * 2 + j] = table_0[t1 * 2 + j] + p2[i * 2 + j]  # gather_update float32[6,2]
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
        table[AT_ROWS_OBJECT] = objects[0]
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
            table[AT_ROWS_OBJECT] = words[call * 2 + 0]
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
