"""What generated code stands on: typed pointers, accumulation, and the scalar functions that Python has no operator
for.

A generated function gets one number, the address of its table. `f32(address)` is a pointer to float32 elements at an
address; `p[k]` reads or writes element k. Nothing here allocates or raises.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable


def _pointer_to(element, doc):
    """An intrinsic that turns an address into a pointer to `element`."""

    @intrinsic
    def pointer(typingctx, address):
        signature = types.CPointer(element)(types.int64)

        def codegen(context, builder, sig, args):
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return signature, codegen

    pointer.__doc__ = doc
    return pointer


f32 = _pointer_to(types.float32, "Pointer to float32 at an address.")
f64 = _pointer_to(types.float64, "Pointer to float64 at an address.")
i8 = _pointer_to(types.int8, "Pointer to int8 at an address.")
i16 = _pointer_to(types.int16, "Pointer to int16 at an address.")
i32 = _pointer_to(types.int32, "Pointer to int32 at an address.")
i64 = _pointer_to(types.int64, "Pointer to int64 at an address.")
u8 = _pointer_to(types.uint8, "Pointer to uint8 (or bool) at an address.")
u16 = _pointer_to(types.uint16, "Pointer to uint16 at an address.")
u32 = _pointer_to(types.uint32, "Pointer to uint32 at an address.")
u64 = _pointer_to(types.uint64, "Pointer to uint64 at an address.")


# Small functions are intrinsics: a function that Numba types costs each generated module ten milliseconds.


def _reader(doc, words, axes):
    """An intrinsic `(table, slot)`, or `(table, slot, axis)` with `axes`. `words(builder, load, object, offset, axis)`
    finds the value."""

    def compiled(context, builder, sig, args):
        word = ir.IntType(64)

        def load(address, index):
            pointer = builder.inttoptr(address, word.as_pointer())
            return builder.load(builder.gep(pointer, [index]))

        address = builder.ptrtoint(args[0], word)
        offset = load(address, word(2))
        return words(builder, load, load(address, args[1]), offset, args[2] if axes else word(0))

    if axes:

        @intrinsic
        def read(typingctx, table, slot, axis):
            return types.int64(table, types.int64, types.int64), compiled

    else:

        @intrinsic
        def read(typingctx, table, slot):
            return types.int64(table, types.int64), compiled

    read.__doc__ = doc
    return read


def _argument_address(builder, load, array, offset, axis):
    return load(builder.add(array, offset), axis)


def _argument_length(builder, load, array, offset, axis):
    # behind the data pointer and the rank lies the pointer to the lengths
    lengths = load(builder.add(array, offset), ir.IntType(64)(2))
    return load(lengths, axis)


def _resident_address(builder, load, descriptor, offset, axis):
    return load(descriptor, axis)


def _resident_length(builder, load, descriptor, offset, axis):
    return load(descriptor, builder.add(axis, axis.type(1)))


argument_address = _reader("The address of the elements of the ndarray object in a slot.", _argument_address, False)
argument_length = _reader("Length of an axis of the ndarray object in a slot.", _argument_length, True)
resident_address = _reader("Where the elements of the shared variable in a slot lie now.", _resident_address, False)
resident_length = _reader("Length of an axis of the shared variable in a slot.", _resident_length, True)


def _reassociable(operation):
    """An intrinsic `acc OP x` on floats whose order LLVM may change, so that a loop of it vectorises; nothing else
    may."""

    @intrinsic
    def step(typingctx, acc, x):
        if acc != x or not isinstance(acc, types.Float):
            return None

        def codegen(context, builder, sig, args):
            return getattr(builder, operation)(args[0], args[1], flags=("reassoc",))

        return acc(acc, x), codegen

    return step


add_up = _reassociable("fadd")
multiply_up = _reassociable("fmul")


def _extreme(name, doc):
    """An intrinsic `(acc, x)` on floats that is one LLVM operation, of which its vectoriser knows that any order gives
    the same."""

    @intrinsic
    def step(typingctx, acc, x):
        if acc != x or not isinstance(acc, types.Float):
            return None

        def codegen(context, builder, sig, args):
            kind = ir.FunctionType(args[0].type, [args[0].type] * 2)
            function = builder.module.declare_intrinsic(name, [args[0].type], kind)
            return builder.call(function, args, fastmath=("nsz",))

        return acc(acc, x), codegen

    step.__doc__ = doc
    return step


largest = _extreme("llvm.maximum", "The larger; NaN when either is NaN; of zeros either.")
smallest = _extreme("llvm.minimum", "The smaller; NaN when either is NaN; of zeros either.")


# the slot of the number of threads
_THREADS = 6
# cycles of work for which giving Python's lock away and taking it back is a small part
_LONG = 60_000

# where an ndarray object keeps its data pointer (NumPy's C API)
_DATA_OFFSET = object.__basicsize__

from_python = types.ExternalFunction("PyLong_AsLongLong", types.int64(types.intp))
to_python = types.ExternalFunction("PyLong_FromLongLong", types.intp(types.int64))


@intrinsic
def share_count(typingctx, table, work, grain, rows):
    """Into how many shares a loop goes: each of at least `grain` cycles and one row, at most one per thread."""

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        table, work, grain, rows = args
        at = builder.gep(builder.inttoptr(builder.ptrtoint(table, i64), i64.as_pointer()), [i64(_THREADS)])
        count = builder.sdiv(work, grain)
        for most in (rows, builder.load(at)):
            count = builder.select(builder.icmp_signed("<", most, count), most, count)
        return builder.select(builder.icmp_signed(">", count, i64(1)), count, i64(1))

    return types.int64(table, types.int64, types.int64, types.int64), codegen


@intrinsic
def launch(typingctx, launcher, phase, address, shares):
    """Run `phase(address, share, shares)` for every share, by threads where there are several; returns the statuses,
    or-ed.

    launcher: address of a C function `(phase, address, shares)`; it is not called for one share.
    """
    word = types.int64
    inner = phase.get_call_type(typingctx, (word,) * 3, {})
    signature = word(word, phase, word, word)

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        kind = ir.FunctionType(i64, [i64] * 3)
        call = context.get_function(phase, inner)
        launcher, _, address, shares = args
        # the phase with C's calling convention, for the launcher
        plain = ir.Function(builder.module, kind, builder.module.get_unique_name("share"))
        plain.linkage = "internal"
        inside = ir.IRBuilder(plain.append_basic_block())
        compiled = context.declare_function(builder.module, phase.dispatcher.overloads[inner.args].fndesc)
        _, status = context.call_conv.call_function(inside, compiled, word, inner.args, plain.args)
        inside.ret(status)
        result = _stack_slot(builder, i64)
        alone = builder.icmp_signed("<=", shares, i64(1))
        with builder.if_else(alone) as (then, otherwise):
            with then:
                builder.store(call(builder, [address, i64(0), i64(1)]), result)
            with otherwise:
                threads = builder.inttoptr(launcher, ir.FunctionType(i64, [kind.as_pointer(), i64, i64]).as_pointer())
                builder.store(builder.call(threads, [plain, address, shares]), result)
        return builder.load(result)

    return signature, codegen


def _stack_slot(builder, kind):
    """A stack slot in the function's entry block, so that loops do not grow the stack."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


def _external(builder, name, kind):
    """A C function that the process has."""
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


@intrinsic
def unlock(typingctx, work):
    """Let other Python threads run from here on, unless the work (in cycles; -1 for much) is over sooner; returns what
    `relock` needs."""

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        state = _stack_slot(builder, i64)
        builder.store(i64(0), state)
        # as unsigned numbers -1 is the largest
        with builder.if_then(builder.icmp_unsigned(">", args[0], i64(_LONG)), likely=False):
            builder.store(builder.call(_external(builder, "PyEval_SaveThread", ir.FunctionType(i64, [])), []), state)
        return builder.load(state)

    return types.int64(types.int64), codegen


@intrinsic
def relock(typingctx, state):
    """Take Python's lock again, where `unlock` gave it away."""

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        with builder.if_then(builder.icmp_unsigned("!=", args[0], i64(0)), likely=False):
            kind = ir.FunctionType(ir.VoidType(), [i64])
            builder.call(_external(builder, "PyEval_RestoreThread", kind), [args[0]])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def fail(typingctx, table, a, b, status):
    """Leave the two values that a condition was about where the caller finds them; returns the status."""

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        start = builder.inttoptr(builder.ptrtoint(args[0], i64), i64.as_pointer())
        for slot in (0, 1):
            builder.store(args[1 + slot], builder.gep(start, [i64(slot)]))
        return args[3]

    return types.int64(table, types.int64, types.int64, types.int64), codegen


@register_jitable
def minimum(a, b):
    """The smaller; NaN when either is NaN, as np.minimum."""
    return a if (a < b or a != a) else b


@register_jitable
def maximum(a, b):
    """The larger; NaN when either is NaN, as np.maximum."""
    return a if (a > b or a != a) else b


@register_jitable
def floor_div_int(a, b):
    """Integer floor division; 0 for division by 0, as NumPy."""
    return a // b if b != 0 else a * 0


@register_jitable
def mod_int(a, b):
    """Integer remainder with the sign of b; 0 for division by 0, as NumPy."""
    return a % b if b != 0 else a * 0


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
    """Integer power, wrapping; a negative exponent gives 0 except for bases 1 and -1 (NumPy refuses it)."""
    if exponent < 0:
        if base == 1:
            return base
        if base == -1:
            return base if exponent % 2 else -base
        return base * 0
    result = base * 0 + 1
    square = base
    left = exponent
    while left > 0:
        if left & 1:
            result = result * square
        square = square * square
        left = left >> 1
    return result


# Set while numgraph compiles: the entry is then turned into machine code by numgraph itself, with all phases in it.
EMBEDDED = False

_PLAIN = {
    "error_model": "numpy",
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "no_rewrites": True,
}


def jit(function):
    """Compile a phase: `int64(int64)`, no objects, no exceptions; division as NumPy's."""
    return numba.njit("int64(int64)", **_PLAIN)(function)


def divided(function):
    """Compile a phase that threads share: `int64(int64 address, int64 share, int64 shares)`."""
    return numba.njit("int64(int64, int64, int64)", **_PLAIN)(function)


def entry(function):
    """Compile the entry, `object(object, object)`, with a C address: Python calls it as a built-in method of the
    table."""
    if EMBEDDED:
        return numba.njit("intp(intp, intp)", **{**_PLAIN, "no_cfunc_wrapper": False})(function)
    return numba.cfunc("intp(intp, intp)", error_model="numpy", _nrt=False)(function)


def c_function(signature):
    """Compile a function of numbers that others call at its address."""

    def compiled(function):
        if EMBEDDED:
            return numba.njit(signature, **{**_PLAIN, "no_cfunc_wrapper": False})(function)
        return numba.cfunc(signature, error_model="numpy", _nrt=False)(function)

    return compiled


def helper(function):
    """Make a plain kernel callable from compiled code."""
    return numba.njit(**_PLAIN)(function)


@intrinsic
def items_of(typingctx, value):
    """Where a tuple keeps its objects; 0 for an object of another type."""

    def codegen(context, builder, sig, args):
        return build_items_of(builder, args[0])

    return types.int64(types.intp), codegen


def build_items_of(builder, value):
    """As `items_of`, in LLVM IR."""
    i64, name = ir.IntType(64), "PyTuple_Type"
    tuple_type = builder.module.globals.get(name) or ir.GlobalVariable(builder.module, ir.IntType(8), name)
    # an object begins with its count of references and its type, one of variable length goes on with that
    kind = builder.load(builder.inttoptr(builder.add(value, i64(_DATA_OFFSET - 8)), i64.as_pointer()))
    same = builder.icmp_unsigned("==", kind, builder.ptrtoint(tuple_type, i64))
    return builder.select(same, builder.add(value, i64(tuple.__basicsize__)), i64(0))


@intrinsic
def real_of(typingctx, value):
    """The value of a Python float, or of an object of a type derived from it."""

    def codegen(context, builder, sig, args):
        return build_real_of(builder, args[0])

    return types.float64(types.int64), codegen


def build_real_of(builder, value):
    """As `real_of`, in LLVM IR."""
    at = builder.add(value, ir.IntType(64)(_DATA_OFFSET))
    return builder.load(builder.inttoptr(at, ir.DoubleType().as_pointer()))


@intrinsic
def table_of(typingctx, array):
    """The address of the elements of an ndarray object."""

    def codegen(context, builder, sig, args):
        i64 = ir.IntType(64)
        at = builder.add(args[0], i64(_DATA_OFFSET))
        return builder.load(builder.inttoptr(at, i64.as_pointer()))

    return types.int64(types.int64), codegen
