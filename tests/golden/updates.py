"""numgraph function updates
    return sum(p)
    update v := 0.9 * v - lr * 2.0 * p
    update p := p + (0.9 * v - lr * 2.0 * p)
    update a := b
    update b := a
    update grown := concatenate([grown, p[:1]])

phase_0: sum, sub, fill, place, add (4 x ?): ? flops, ? bytes
"""

from numgraph.kernels.support import add_up, argument_address, entry, f64, fail, from_python, i64, jit, resident_address, resident_length, table_of, to_python


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[16] = resident_address(table, 9)                # where p lies now
    table[17] = resident_address(table, 10)               # where v lies now
    table[22] = resident_address(table, 13)               # where grown lies now
    n0 = resident_length(table, 9, 0)                     # len(p)
    if n0 != 4:                                           # assume
        return fail(table, n0, 4, 1)
    n1 = resident_length(table, 10, 0)                    # len(v)
    if n1 != 4:                                           # assume
        return fail(table, n1, 4, 2)
    n2 = resident_length(table, 11, 0)                    # len(b)
    if n2 != 3:                                           # assume
        return fail(table, n2, 3, 3)
    n3 = resident_length(table, 12, 0)                    # len(a)
    if n3 != 3:                                           # assume
        return fail(table, n3, 3, 4)
    n4 = resident_length(table, 13, 0)                    # len(grown)
    if n4 < n4:                                           # at_least
        return fail(table, n4, n4, 5)
    t0 = n4 + 1                                           # add int64
    table[19] = t0                                        # len(grown) + 1
    table[21] = n4                                        # len(grown)
    t1 = n4 * 8                                           # mul int64
    table[23] = t1                                        # len(grown) * 8
    table[7] = 0                                          # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # sum, sub, fill, place, add
    table = i64(address)
    reals = f64(address)
    acc0 = 0.0                                            # sum float64
    p_0 = f64(table[16])                                  # p float64[4]
    v = f64(table[17])                                    # v float64[4]
    lr = reals[8]                                         # argument
    t1 = lr * 2.0                                         # mul float64
    p0 = f64(table[17])                                   # sub float64[4]
    for i in range(4):
        x0 = p_0[i]                                       # p float64[4]
        acc0 = add_up(acc0, x0)                           # sum
        x1 = v[i]                                         # v float64[4]
        t0 = 0.9 * x1                                     # mul float64[4]
        t2 = t1 * x0                                      # mul float64[4]
        t3 = t0 - t2                                      # sub float64[4]
        p0[i] = t3                                        # sub float64[4]
    p1 = f64(table[18])                                   # sum float64
    p1[0] = acc0                                          # sum float64
    n0 = table[19]                                        # = len(grown) + 1
    p2 = f64(table[20])                                   # fill float64[?]
    for i1 in range(n0):                                  # len(grown) + 1
        p2[i1] = 0.0                                      # fill float64[?]
    n1 = table[21]                                        # = len(grown)
    grown = f64(table[22])                                # grown float64[?]
    p3 = f64(table[20])                                   # place float64[?]
    for i2 in range(n1):                                  # len(grown)
        x2 = grown[i2]                                    # grown float64[?]
        p3[i2] = x2                                       # place float64[?]
    x3 = p_0[0]                                           # p float64[4]
    n2 = table[23]                                        # = len(grown) * 8
    p4 = f64(table[20] + n2)                              # place float64[?] from element len(grown)
    p4[0] = x3                                            # place float64[?]
    p5 = f64(table[16])                                   # add float64[4]
    for i3 in range(4):
        x4 = p_0[i3]                                      # p float64[4]
        v0 = p0[i3]                                       # sub float64[4]
        t4 = x4 + v0                                      # add float64[4]
        p5[i3] = t4                                       # add float64[4]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[18] = argument_address(table, 14)               # where output 0 lies
    table[20] = argument_address(table, 15)               # where fresh 4 lies
    phase_0(address)
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
