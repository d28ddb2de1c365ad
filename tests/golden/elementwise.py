"""numgraph function leaky
    return where(tanh(x * a + b) > 0.0, tanh(x * a + b), 0.1 * tanh(x * a + b))

phase_0: tanh, where (?): ? flops, ? bytes
"""

from numpy import float32

from numgraph.kernels.loops import interleave
from numgraph.kernels.support import argument_address, argument_length, divided, entry, f32, f64, fail
from numgraph.kernels.support import floor_div_int, from_python, i64, items_of, jit, launch, real_of, relock
from numgraph.kernels.support import share_count, table_of, to_python, unlock
from numgraph.kernels.vectorhyper import tanh_f32


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[20] = argument_address(table, 14)               # where x lies
    table[21] = argument_address(table, 15)               # where b lies
    n0 = argument_length(table, 15, 0)                    # len(b)
    n1 = argument_length(table, 14, 1)                    # x.shape[1]
    if n0 != n1:                                          # assume
        return fail(table, n0, n1, 1)
    n2 = argument_length(table, 14, 0)                    # len(x)
    table[18] = n2                                        # len(x)
    table[19] = n1                                        # x.shape[1]
    t0 = floor_div_int(n2 * n1 * 34, 4)                   # floor_div int64
    table[23] = share_count(table, t0, 4096, n2)          # shares of a divided loop
    table[7] = t0                                         # cycles of work, about
    table[13] = 0                                         # bytes of temporaries
    return 0


@divided
def phase_0(address, share, shares):                      # tanh, where
    table = i64(address)
    reals = f64(address)
    n0 = table[18]                                        # = len(x)
    begin = n0 * share // shares                          # rows of this share
    end = n0 * (share + 1) // shares
    n1 = table[19]                                        # = x.shape[1]
    x = f32(table[20])                                    # x float32[?,?]
    a = float32(reals[16])                                # argument
    b = f32(table[21])                                    # b float32[?]
    p0 = f32(table[22])                                   # where float32[?,?]
    for i in range(begin, end):                           # len(x)
        for j in range(n1):                               # x.shape[1]
            interleave(4)                                 # vectors side by side
            t0 = tanh_f32(x[i * n1 + j] * a + b[j])       # tanh float32[?,?]
            t1 = t0 > float32(0.0)                        # gt bool[?,?]
            t2 = float32(0.1) * t0                        # mul float32[?,?]
            p0[i * n1 + j] = t0 if t1 else t2             # where float32[?,?]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[22] = argument_address(table, 17)               # where output 0 lies
    launch(table[5], phase_0, address, table[23])
    return 0


@entry
def enter(table_object, part_object):                     # called by Python with two objects
    address = table_of(table_object)
    table = i64(address)
    reals = f64(address)
    items = items_of(part_object)                         # of a tuple: the arguments, and arrays for the outputs
    if items != 0:
        objects = i64(items)
        table[14] = objects[0]
        table[15] = objects[1]
        reals[16] = real_of(objects[2])
        table[17] = objects[3]
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
