"""numgraph function embed
    return sum(table[rows])
    update table := inc_subtensor(table[rows], -0.5 * table[rows])

phase_0: sum, mul, cast, gather_update (? x 2): ? flops, ? bytes
"""

from numpy import float32, float64

from numgraph.kernels.support import add_up, argument_address, argument_length, entry, f32, f64, fail, from_python, i64, jit, resident_address, resident_length, table_of, to_python


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[12] = argument_address(table, 8)                # where rows lies
    table[13] = resident_address(table, 9)                # where table lies now
    n0 = resident_length(table, 9, 0)                     # len(table)
    if n0 != 6:                                           # assume
        return fail(table, n0, 6, 2)
    n1 = resident_length(table, 9, 1)                     # table.shape[1]
    if n1 != 2:                                           # assume
        return fail(table, n1, 2, 3)
    n2 = argument_length(table, 8, 0)                     # len(rows)
    table[11] = n2                                        # len(rows)
    t0 = n2 * 8                                           # mul int64
    t1 = t0 + 63 >> 6 << 6                                # align64 int64
    t2 = 64 + t1                                          # add int64
    table[7] = t2                                         # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # sum, mul, cast, gather_update
    table = i64(address)
    acc0 = 0.0                                            # sum float64
    n0 = table[11]                                        # = len(rows)
    rows = i64(table[12])                                 # rows int64[?]
    table_0 = f32(table[13])                              # table float32[6,2]
    p0 = f32(table[5] + 64)                               # mul float32[?,2]
    for i in range(n0):                                   # len(rows)
        x0 = rows[i]                                      # rows int64[?]
        if x0 < -6 or x0 >= 6:                            # index in range of gather
            return fail(table, x0, 6, 1)
        t0 = x0 < 0                                       # lt bool
        t1 = x0 + 6 if t0 else x0                         # where int64
        for j in range(2):
            x1 = table_0[t1 * 2 + j]                      # table float32[6,2]
            acc0 = add_up(acc0, float64(x1))              # sum
            t2 = float32(-0.5) * x1                       # mul float32[?,2]
            p0[i * 2 + j] = t2                            # mul float32[?,2]
    p1 = f64(table[5])                                    # sum float64
    p1[0] = acc0                                          # sum float64
    t3 = float32(acc0)                                    # cast float32
    p2 = f32(table[14])                                   # cast float32
    p2[0] = t3                                            # cast float32
    p3 = f32(table[13])                                   # gather_update float32[6,2]
    for i1 in range(n0):                                  # len(rows)
        x2 = rows[i1]                                     # rows int64[?]
        t4 = x2 < 0                                       # lt bool
        t5 = x2 + 6 if t4 else x2                         # where int64
        for j1 in range(2):
            v0 = p0[i1 * 2 + j1]                          # mul float32[?,2]
            p3[t5 * 2 + j1] = p3[t5 * 2 + j1] + v0        # gather_update float32[6,2]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[14] = argument_address(table, 10)               # where output 0 lies
    status = phase_0(address)
    if status != 0:
        return status
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    part = from_python(part_object)                       # 2k: plan of stage k; 2k+1: its step; -1: all
    if part == 0:
        return to_python(plan_0(address))
    if part == 1:
        return to_python(step_0(address))
    status = plan_0(address)
    table = i64(address)
    if status == 0 and table[7] > table[6]:
        status = -1                                       # the arena must grow
    if status == 0:
        status = step_0(address)
    return to_python(status)
