"""numgraph function leaky
    return where(tanh(x * a + b) > 0.0, tanh(x * a + b), 0.1 * tanh(x * a + b))

phase_0: tanh, where (?): ? flops, ? bytes
"""

from numpy import float32

from numgraph.kernels.support import argument_address, argument_length, entry, f32, f64, fail, from_python, i64, jit, table_of, to_python
from numgraph.kernels.vectormath import tanh_f32


@jit
def plan_0(address):                                      # conditions, lengths and addresses
    table = i64(address)
    table[14] = argument_address(table, 8)                # where x lies
    table[15] = argument_address(table, 9)                # where b lies
    n0 = argument_length(table, 9, 0)                     # len(b)
    n1 = argument_length(table, 8, 1)                     # x.shape[1]
    if n0 != n1:                                          # assume
        return fail(table, n0, n1, 1)
    n2 = argument_length(table, 8, 0)                     # len(x)
    table[12] = n2                                        # len(x)
    table[13] = n1                                        # x.shape[1]
    table[7] = 0                                          # bytes of temporaries
    return 0


@jit
def phase_0(address):                                     # tanh, where
    table = i64(address)
    reals = f64(address)
    n0 = table[12]                                        # = len(x)
    n1 = table[13]                                        # = x.shape[1]
    x = f32(table[14])                                    # x float32[?,?]
    a = float32(reals[10])                                # argument
    b = f32(table[15])                                    # b float32[?]
    p0 = f32(table[16])                                   # where float32[?,?]
    for i in range(n0):                                   # len(x)
        for j in range(n1):                               # x.shape[1]
            x0 = x[i * n1 + j]                            # x float32[?,?]
            t0 = x0 * a                                   # mul float32[?,?]
            x1 = b[j]                                     # b float32[?]
            t1 = t0 + x1                                  # add float32[?,?]
            t2 = tanh_f32(t1)                             # tanh float32[?,?]
            t3 = t2 > float32(0.0)                        # gt bool[?,?]
            t4 = float32(0.1) * t2                        # mul float32[?,?]
            t5 = t2 if t3 else t4                         # where float32[?,?]
            p0[i * n1 + j] = t5                           # where float32[?,?]
    return 0


@jit
def step_0(address):                                      # everything, in order
    table = i64(address)
    table[16] = argument_address(table, 11)               # where output 0 lies
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
