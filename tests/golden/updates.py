"""numgraph function updates
    return sum(p)
    update v := 0.9 * v - lr * 2.0 * p
    update p := p + (0.9 * v - lr * 2.0 * p)
    update a := b
    update b := a
    update grown := concatenate([grown, p[:1]])

phase_0: sum, sub (4): 17 flops, 104 bytes
phase_1: concatenated (?): ? flops, ? bytes
phase_2: add (4): 4 flops, 96 bytes
"""

from numgraph.kernels.loops import apart
from numgraph.kernels.support import add_up, argument_address, chunk_count, divided, entry, f64, fail
from numgraph.kernels.support import from_python, i64, items_of, jit, launch, maximum, minimum, real_of, relock
from numgraph.kernels.support import resident_address, resident_length, resident_shape, table_of, to_python
from numgraph.kernels.support import unlock

AT_LAUNCH, AT_WORK, AT_CAPACITY, AT_NEEDED, AT_LR, AT_P_DESCRIPTOR = 5, 7, 12, 13, 14, 15
AT_V_DESCRIPTOR, AT_B_DESCRIPTOR, AT_A_DESCRIPTOR, AT_GROWN_DESCRIPTOR = 16, 17, 18, 19
AT_OUTPUT_0_OBJECT, AT_NEW_GROWN_OBJECT, AT_P, AT_V, AT_OUTPUT_0, AT_N0 = 20, 21, 22, 23, 24, 25
AT_LEN_GROWN, AT_GROWN, AT_NEW_GROWN, AT_P_OFFSET, AT_CHUNKS = 26, 27, 28, 29, 30


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[AT_P] = resident_address(table, AT_P_DESCRIPTOR)  # where p lies now
    table[AT_V] = resident_address(table, AT_V_DESCRIPTOR)  # where v lies now
    table[AT_GROWN] = resident_address(table, AT_GROWN_DESCRIPTOR)  # where grown lies now
    status = resident_shape(table, AT_P_DESCRIPTOR, (4,), 1)  # assume p float64[4]
    if status != 0:
        return status
    status = resident_shape(table, AT_V_DESCRIPTOR, (4,), 2)  # assume v float64[4]
    if status != 0:
        return status
    status = resident_shape(table, AT_B_DESCRIPTOR, (3,), 3)  # assume b float64[3]
    if status != 0:
        return status
    status = resident_shape(table, AT_A_DESCRIPTOR, (3,), 4)  # assume a float64[3]
    if status != 0:
        return status
    n0 = resident_length(table, AT_GROWN_DESCRIPTOR, 0)   # len(grown)
    t0 = n0 + 1                                           # add int64
    if t0 > 35184372088832:                               # fits
        return fail(table, t0, 35184372088832, 5)
    t1 = minimum(n0, 1)                                   # minimum int64
    if t1 != 1:                                           # assume
        return fail(table, t1, 1, 6)
    table[AT_N0] = t0                                     # len(grown) + 1
    table[AT_LEN_GROWN] = n0                              # len(grown)
    table[AT_P_OFFSET] = (0 - n0) * 8                     # (0 - len(grown)) * 8
    table[AT_CHUNKS] = chunk_count(table, t0, 4096, t0)   # chunks of a divided loop
    table[AT_WORK] = n0 + 15                              # cycles of work, about
    table[AT_NEEDED] = 0                                  # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # sum, sub
    table = i64(address)
    reals = f64(address)
    acc0 = 0.0                                            # sum float64
    p_0 = f64(table[AT_P])                                # p float64[4]
    v = f64(table[AT_V])                                  # v float64[4]
    lr = reals[AT_LR]                                     # argument
    t0 = lr * 2.0                                         # mul float64
    for i in range(4):
        x0 = p_0[i]                                       # p float64[4]
        acc0 = add_up(acc0, x0)                           # sum
        v[i] = 0.9 * v[i] - t0 * x0                       # v float64[4]
    p0 = f64(table[AT_OUTPUT_0])                          # sum float64
    p0[0] = acc0                                          # sum float64
    return 0


@divided
def phase_1(address, chunk, chunks):                      # concatenated
    table = i64(address)
    n0 = table[AT_N0]                                     # = len(grown) + 1
    begin = n0 * chunk // chunks                          # rows of this chunk
    end = n0 * (chunk + 1) // chunks
    n1 = table[AT_LEN_GROWN]                              # = len(grown)
    grown = f64(table[AT_GROWN])                          # grown float64[?]
    p0 = f64(table[AT_NEW_GROWN])                         # concatenated float64[?]
    for i in range(begin, minimum(end, n1)):              # len(grown) + 1
        apart(p0)                                         # overlap no others
        p0[i] = grown[i]                                  # concatenated float64[?]
    p_0 = f64(table[AT_P] + table[AT_P_OFFSET])           # p float64[4] from element 0 - len(grown)
    for i1 in range(maximum(begin, n1), end):             # len(grown) + 1
        apart(p0)                                         # overlap no others
        p0[i1] = p_0[i1]                                  # concatenated float64[?]
    return 0


@jit
def phase_2(address):                                     # add
    table = i64(address)
    p_0 = f64(table[AT_P])                                # p float64[4]
    v = f64(table[AT_V])                                  # v float64[4]
    for i in range(4):
        p_0[i] = p_0[i] + v[i]                            # p float64[4]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[AT_OUTPUT_0] = argument_address(table, AT_OUTPUT_0_OBJECT)  # where output 0 lies
    table[AT_NEW_GROWN] = argument_address(table, AT_NEW_GROWN_OBJECT)  # where fresh 4 lies
    phase_0(address)
    launch(table[AT_LAUNCH], phase_1, address, table[AT_CHUNKS], table[AT_WORK])
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
        reals[AT_LR] = real_of(objects[0])
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
