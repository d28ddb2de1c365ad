"""numgraph function updates
    return sum(p)
    update v := 0.9 * v - lr * 2.0 * p
    update p := p + (0.9 * v - lr * 2.0 * p)
    update a := b
    update b := a
    update grown := concatenate([grown, p[:1]])

phase_0: sum, sub (4): 17 flops, 104 bytes
phase_1: fill (?): 0 flops, ? bytes
phase_2: place, add (? x 4): 4 flops, ? bytes
"""

from numgraph.kernels.support import add_up, argument_address, divided, entry, f64, fail, floor_div_int
from numgraph.kernels.support import from_python, i64, items_of, jit, launch, real_of, relock, resident_address
from numgraph.kernels.support import resident_length, share_count, table_of, to_python, unlock


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[22] = resident_address(table, 15)               # where p lies now
    table[23] = resident_address(table, 16)               # where v lies now
    table[29] = resident_address(table, 19)               # where grown lies now
    n0 = resident_length(table, 15, 0)                    # len(p)
    if n0 != 4:                                           # assume
        return fail(table, n0, 4, 1)
    n1 = resident_length(table, 16, 0)                    # len(v)
    if n1 != 4:                                           # assume
        return fail(table, n1, 4, 2)
    n2 = resident_length(table, 17, 0)                    # len(b)
    if n2 != 3:                                           # assume
        return fail(table, n2, 3, 3)
    n3 = resident_length(table, 18, 0)                    # len(a)
    if n3 != 3:                                           # assume
        return fail(table, n3, 3, 4)
    n4 = resident_length(table, 19, 0)                    # len(grown)
    t0 = n4 + 1                                           # add int64
    if t0 > 35184372088832:                               # fits
        return fail(table, t0, 35184372088832, 5)
    table[25] = t0                                        # len(grown) + 1
    table[28] = n4                                        # len(grown)
    table[30] = n4 * 8                                    # len(grown) * 8
    t1 = floor_div_int(t0, 4)                             # floor_div int64
    table[27] = share_count(table, t1, 4096, t0)          # shares of a divided loop
    table[7] = 10 + t1 + floor_div_int(n4 * 3, 4) + 4     # cycles of work, about
    table[13] = 0                                         # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # sum, sub
    table = i64(address)
    reals = f64(address)
    acc0 = 0.0                                            # sum float64
    p_0 = f64(table[22])                                  # p float64[4]
    v = f64(table[23])                                    # v float64[4]
    lr = reals[14]                                        # argument
    t0 = lr * 2.0                                         # mul float64
    p0 = f64(table[23])                                   # sub float64[4]
    for i in range(4):
        x0 = p_0[i]                                       # p float64[4]
        acc0 = add_up(acc0, x0)                           # sum
        p0[i] = 0.9 * v[i] - t0 * x0                      # sub float64[4]
    p1 = f64(table[24])                                   # sum float64
    p1[0] = acc0                                          # sum float64
    return 0


@divided
def phase_1(address, share, shares):                      # fill
    table = i64(address)
    n0 = table[25]                                        # = len(grown) + 1
    begin = n0 * share // shares                          # rows of this share
    end = n0 * (share + 1) // shares
    p0 = f64(table[26])                                   # fill float64[?]
    for i in range(begin, end):                           # len(grown) + 1
        p0[i] = 0.0                                       # fill float64[?]
    return 0


@jit
def phase_2(address):                                     # place, add
    table = i64(address)
    n0 = table[28]                                        # = len(grown)
    grown = f64(table[29])                                # grown float64[?]
    p0 = f64(table[26])                                   # place float64[?]
    for i in range(n0):                                   # len(grown)
        p0[i] = grown[i]                                  # place float64[?]
    p_0 = f64(table[22])                                  # p float64[4]
    x0 = p_0[0]                                           # p float64[4]
    n1 = table[30]                                        # = len(grown) * 8
    p1 = f64(table[26] + n1)                              # place float64[?] from element len(grown)
    p1[0] = x0                                            # place float64[?]
    p2 = f64(table[23])                                   # sub float64[4]
    p3 = f64(table[22])                                   # add float64[4]
    for i1 in range(4):
        p3[i1] = p_0[i1] + p2[i1]                         # add float64[4]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[24] = argument_address(table, 20)               # where output 0 lies
    table[26] = argument_address(table, 21)               # where fresh 4 lies
    phase_0(address)
    launch(table[5], phase_1, address, table[27])
    phase_2(address)
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    reals = f64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        reals[14] = real_of(objects[0])
        table[20] = objects[1]
    part = -1 if items != 0 else from_python(part_object)  # 2k: plan of stage k; 2k+1: its step; -1: one call; -2: many
    if part == 0:
        return to_python(plan_0(address))
    if part == 1:
        lock = unlock(table[7])                           # lets Python's other threads run, when it takes long
        result = step_0(address)
        relock(lock)
        return to_python(result)
    status = plan_0(address)
    if status == 0 and table[13] > table[12]:
        status = -1                                       # the arena must grow
    if status == 0:
        unlocked = unlock(table[7])
        status = step_0(address)
        relock(unlocked)
    return to_python(status)
