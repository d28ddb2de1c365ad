"""What generated code stands on: typed pointers, accumulation, and the scalar functions that Python has no operator
for.

A generated function gets one number, the address of its table. `f32(address)` is a pointer to float32 elements at an
address; `p[k]` reads or writes element k. Nothing here allocates or raises.
"""

import contextlib
import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.cpython import numbers
from numba.extending import intrinsic, register_jitable
from numgraph.kernels.primitives import CHUNK, build_launch
from numgraph.kernels.wrapping import wrapped

# Small functions are intrinsics: a function that Numba types costs each generated module ten milliseconds.
f32 = wrapped("support.f32")
f64 = wrapped("support.f64")
c64 = wrapped("support.c64")
c128 = wrapped("support.c128")
i8 = wrapped("support.i8")
i16 = wrapped("support.i16")
i32 = wrapped("support.i32")
i64 = wrapped("support.i64")
u8 = wrapped("support.u8")
u16 = wrapped("support.u16")
u32 = wrapped("support.u32")
u64 = wrapped("support.u64")
argument_address = wrapped("support.argument_address")
argument_length = wrapped("support.argument_length")
resident_address = wrapped("support.resident_address")
resident_length = wrapped("support.resident_length")
resident_shape = wrapped("support.resident_shape")
add_up = wrapped("support.add_up")
multiply_up = wrapped("support.multiply_up")
largest = wrapped("support.largest")
smallest = wrapped("support.smallest")
chunk_count = wrapped("support.chunk_count")
unlock = wrapped("support.unlock")
relock = wrapped("support.relock")
fail = wrapped("support.fail")
table_of = wrapped("support.table_of")
items_of = wrapped("support.items_of")
real_of = wrapped("support.real_of")
from_python = wrapped("support.from_python")
to_python = wrapped("support.to_python")


@intrinsic
def launch(typingctx, launcher, phase, address, chunks, work):
    """Run `phase(address, chunk, chunks)` for every chunk, by threads where there are several; returns the statuses,
    or-ed.

    launcher: address of a C function `(phase, address, chunks, work)`; it is not called for one chunk. work: cycles of
    the whole call, for which it may wake threads; -1 for much.
    """
    word = types.int64
    inner = phase.get_call_type(typingctx, (word,) * 3, {})
    signature = word(word, phase, word, word, word)

    def codegen(context, builder, sig, args):
        # the phase with C's calling convention, for the launcher
        plain = ir.Function(builder.module, CHUNK, builder.module.get_unique_name("chunk"))
        plain.linkage = "internal"
        inside = ir.IRBuilder(plain.append_basic_block())
        overload = phase.dispatcher.overloads[inner.args]
        context.add_linking_libs([overload.library])
        compiled = context.declare_function(builder.module, overload.fndesc)
        _, status = context.call_conv.call_function(inside, compiled, word, inner.args, plain.args)
        inside.ret(status)
        return build_launch(builder, args[0], plain, *args[2:])

    return signature, codegen


@register_jitable
def minimum(a, b):
    """The smaller; NaN when either is NaN, as np.minimum."""
    return a if (a < b or a != a) else b


@register_jitable
def maximum(a, b):
    """The larger; NaN when either is NaN, as np.maximum."""
    return a if (a > b or a != a) else b


# Integers of 64 bits wrap around, as NumPy's. Of unsigned ones only those without a sign may come near one another:
# uint64 with int64 is float64 in Numba, which has 53 bits.


@register_jitable
def floor_div_int(a, b):
    """Floor division of signed integers; 0 for division by 0, and the lowest number by -1 is itself, as NumPy."""
    return a // b if b > 0 or b < -1 else a * b


@register_jitable
def begin_of(count, chunk, chunks, step):
    """Where a chunk begins: a multiple of `step`, or the end."""
    steps = (count + step - 1) // step
    return min(steps * chunk // chunks * step, count)


@register_jitable
def mod_int(a, b):
    """Remainder of signed integers with the sign of b; 0 for division by 0, as NumPy."""
    return a % b if b > 0 or b < -1 else a * 0


@register_jitable
def floor_div_uint(a, b):
    """Division of unsigned integers; 0 for division by 0, as NumPy."""
    return a // b if b else b


@register_jitable
def mod_uint(a, b):
    """Remainder of unsigned integers; 0 for division by 0, as NumPy."""
    return a % b if b else b


@register_jitable
def mod_float(a, b):
    """Remainder with the sign of b, as np.mod: exact, -0.0 and infinities included."""
    remainder = np.fmod(a, b)
    if remainder == 0:
        return math.copysign(remainder, b)
    return remainder + b if (b < 0) != (remainder < 0) else remainder


@register_jitable
def floor_div_float(a, b):
    """Floor division as np.floor_divide: the rounded-down quotient, right also where a / b rounds up to a whole
    number."""
    if b == 0:
        return a / b
    remainder = np.fmod(a, b)
    quotient = (a - remainder) / b
    if remainder != 0 and (b < 0) != (remainder < 0):
        quotient = quotient - np.float32(1)
    if quotient == 0:
        return math.copysign(np.float32(0) * quotient, a / b)
    whole = np.floor(quotient)
    return whole + np.float32(1) if quotient - whole > np.float32(0.5) else whole


@register_jitable
def power_int(base, exponent):
    """Power of signed integers, wrapping; a negative exponent gives 0 except for bases 1 and -1 (NumPy refuses it)."""
    if exponent < 0:
        if base == 1:
            return base
        if base == -1:
            return base if exponent % 2 else -base
        return base * 0
    # the casts are for the simulator of devices, whose small integers are Python's
    result, square, left = np.int64(1), np.int64(base), np.int64(exponent)
    while left > 0:
        if left & 1:
            result = np.int64(result * square)
        square = np.int64(square * square)
        left = left >> 1
    return result


_ONE = np.uint64(1)


@register_jitable
def power_uint(base, exponent):
    """Power of unsigned integers, wrapping; computed in uint64."""
    result, square, left = np.uint64(1), np.uint64(base), np.uint64(exponent)
    while left:
        if left & _ONE:
            result = np.uint64(result * square)
        square = np.uint64(square * square)
        left = np.uint64(left >> _ONE)
    return result


@register_jitable
def gcd_uint(a, b):
    """The greatest common divisor of unsigned integers, by Euclid; computed in uint64."""
    x, y = np.uint64(a), np.uint64(b)
    while y:
        x, y = y, np.uint64(x % y)
    return x


@register_jitable
def _size(x):
    """|x| of an int64, as a uint64."""
    return np.uint64(x) if x >= 0 else ~np.uint64(x) + _ONE


@register_jitable
def gcd_int(a, b):
    """The greatest common divisor of signed integers; the lowest number stands for its own size, as in NumPy."""
    return np.int64(gcd_uint(_size(np.int64(a)), _size(np.int64(b))))


# What does not fit is undefined in LLVM. Here it is what x86-64's instructions give, and so NumPy on it: the lowest
# number. NaN does not fit. Exact in float32, too.
_TWO_31, _TWO_63, _TOP = np.float32(2.0**31), np.float32(2.0**63), np.uint64(2**63)


@register_jitable
def to_int32(x):
    """The whole part of a float as int32."""
    return np.int32(x) if abs(x) < _TWO_31 else np.int32(-(2**31))


@register_jitable
def to_int64(x):
    """The whole part of a float as int64."""
    return np.int64(x) if abs(x) < _TWO_63 else np.int64(-(2**63))


@register_jitable
def to_uint64(x):
    """The whole part of a float as uint64; of a negative one as `to_int64`, 0 from 2**64 on."""
    return np.uint64(to_int64(x - _TWO_63)) ^ _TOP if x >= _TWO_63 else np.uint64(to_int64(x))


# How `numba.njit` compiles for numgraph: its target and its pipeline, which numgraph sets. Without them, in an exported
# module, Numba compiles by itself.
COMPILER = {}
_PLAIN = {"error_model": "numpy", "_nrt": False}


@contextlib.contextmanager
def _wrapping():
    """Within the block Numba's signed integers wrap around; else it tells LLVM that they never overflow."""
    with global_compiler_lock:
        saved = numbers._int_arith_flags
        numbers._int_arith_flags = lambda kind: []
        try:
            yield
        finally:
            numbers._int_arith_flags = saved


def _compiled(function):
    return numba.njit(**_PLAIN, no_cpython_wrapper=True, no_cfunc_wrapper=True, **COMPILER)(function)


def helper(function):
    """Make a plain kernel callable from compiled code; it is compiled when it is first called there."""
    return _compiled(function)


def jit(function):
    """A phase: `int64(int64)`, no objects, no exceptions; division as NumPy's."""
    return _compiled(function)


def divided(function):
    """A phase that threads share: `int64(int64 address, int64 chunk, int64 chunks)`."""
    return _compiled(function)


def shape(function):
    """As `helper`: the body that several phases have in common; its arguments are the numbers in which they differ."""
    made = _compiled(function)
    resolve = made.get_call_template
    # Numba would compile it anew for each number that is written in a call
    made.get_call_template = lambda args, kws: resolve(tuple(map(types.unliteral, args)), kws)
    return made


def sized(function):
    """As `helper`; numgraph's pass makes one for each size of elements, the first argument, a constant in it."""
    return _compiled(function)


def written_out(function):
    """Mark the function of a `c_function` whose loops are in vectors already: LLVM does not have to look for any."""
    function.written_out = True
    return function


def only(**chosen):
    """Mark the function of a `c_function` that calls only some functions of a table of micro-kernels (by the table's
    name, their numbers): numgraph's pass makes no others."""

    def marked(function):
        function.only = chosen
        return function

    return marked


def c_function(signature):
    """Compile a function of numbers, now, that others call at its address in C."""
    if COMPILER:
        return numba.njit(signature, **_PLAIN, no_cpython_wrapper=True, **COMPILER)

    def compiled(function):
        with _wrapping():
            return numba.cfunc(signature, **_PLAIN)(function)

    return compiled


def entry(function):
    """Compile the entry, `object(object, object)`, with a C address: Python calls it as a built-in method of the
    table. Run by hand (`python k_x.py`), a module says what has been compiled."""
    compiled = c_function("intp(intp, intp)")(function)
    if function.__module__ == "__main__":
        _show(function.__globals__, compiled)
    return compiled


def _show(module, compiled):
    """What `python k_x.py` prints."""
    lines = compiled.inspect_llvm().count("\n")
    print(module["__doc__"])
    print(f"compiled by Numba {numba.__version__} to {lines:,} lines of LLVM IR, entry at {compiled.address:#x}")
    print(f"`python -i {module['__file__']}` leaves it as `enter`: print(enter.inspect_llvm())")
