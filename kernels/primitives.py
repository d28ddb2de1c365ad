"""What generated code and kernels have that Python's words cannot say, as LLVM IR.

A primitive is a function `build(builder, *values)` over an llvmlite builder, with the types of its arguments and its
result. `wrapping` makes Numba's intrinsics of them. Nothing here imports Numba, allocates or raises.
"""

from typing import NamedTuple

from llvmlite import ir
from numgraph.kernels.variants import offer_lanes

_I64 = ir.IntType(64)
# The types of elements, as they are called in NumPy.
LLVM_TYPES = {
    "float32": ir.FloatType(), "float64": ir.DoubleType(),
    "complex64": ir.LiteralStructType([ir.FloatType()] * 2), "complex128": ir.LiteralStructType([ir.DoubleType()] * 2),
    **{f"{sign}int{bits}": ir.IntType(bits) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_POINTER_NAMES = {
    "f32": "float32", "f64": "float64", "c64": "complex64", "c128": "complex128",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip


# The attribute of a module (llvmlite.ir) with what `support.only` says of its entry.
ONLY = "numgraph_only"


class Primitive(NamedTuple):
    """build: (builder, *values) -> value, None for a primitive without a result.

    arguments, result: names of dtypes; "pointer", any pointer, as a result one of the first's type; "pointer float32";
    "real", float32 or float64, the same wherever it stands; "reals", a tuple of it, which comes as a list; "words", a
    tuple of int64, likewise; "void".
    """

    build: object
    arguments: tuple[str, ...]
    result: str
    doc: str


def stack_slot(builder, kind):
    """A stack slot in the function's entry block, so that loops do not grow the stack."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


def external(builder, name, kind):
    """A C function that the process has."""
    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


# ------------------------------------------------------------------------------------------------- pointers and table


def _pointer_to(element):
    def build(builder, address):
        return builder.inttoptr(address, LLVM_TYPES[element].as_pointer())

    return build


def _word_at(builder, address, index):
    pointer = builder.inttoptr(address, _I64.as_pointer())
    return builder.load(builder.gep(pointer, [index]))


# what an address of a table leads to: (builder, object in the slot, offset of an ndarray's data pointer, axis)
def _array_address(builder, array, offset, axis):
    return _word_at(builder, builder.add(array, offset), axis)


def _array_length(builder, array, offset, axis):
    # behind the data pointer and the rank lies the pointer to the lengths
    lengths = _word_at(builder, builder.add(array, offset), _I64(2))
    return _word_at(builder, lengths, axis)


def _descriptor_address(builder, descriptor, offset, axis):
    return _word_at(builder, descriptor, axis)


def _descriptor_length(builder, descriptor, offset, axis):
    return _word_at(builder, descriptor, builder.add(axis, axis.type(1)))


def _reader(found, doc, axes):
    """A primitive `(table, slot)`, or `(table, slot, axis)` with `axes`."""

    def build_with(builder, table, slot, axis):
        address = builder.ptrtoint(table, _I64)
        offset = _word_at(builder, address, _I64(2))
        return found(builder, _word_at(builder, address, slot), offset, axis)

    def build(builder, table, slot):
        return build_with(builder, table, slot, _I64(0))

    return Primitive(build_with if axes else build, ("pointer", "int64", "int64")[: 3 if axes else 2], "int64", doc)


def _resident_shape(builder, table, slot, lengths, code):
    descriptor = _word_at(builder, builder.ptrtoint(table, _I64), slot)
    status, is_, wanted = _I64(0), _I64(0), _I64(0)
    codes = []
    for length in lengths:
        codes.append(code)
        code = builder.add(code, builder.zext(builder.icmp_signed(">=", length, _I64(0)), _I64))
    # from the last axis to the first, which is left standing
    for axis in reversed(range(len(lengths))):
        length, has = lengths[axis], _descriptor_length(builder, descriptor, None, _I64(axis))
        asked = builder.icmp_signed(">=", length, _I64(0))
        wrong = builder.and_(asked, builder.icmp_signed("!=", has, length))
        status, is_, wanted = (
            builder.select(wrong, a, b) for a, b in ((codes[axis], status), (has, is_), (length, wanted))
        )
    return _fail(builder, table, is_, wanted, status)


def _fail(builder, table, a, b, status):
    for slot, value in ((0, a), (1, b)):
        start = builder.inttoptr(builder.ptrtoint(table, _I64), _I64.as_pointer())
        builder.store(value, builder.gep(start, [_I64(slot)]))
    return status


# where an ndarray object keeps its data pointer (NumPy's C API)
DATA_OFFSET = object.__basicsize__


def _table_of(builder, array):
    at = builder.add(array, _I64(DATA_OFFSET))
    return builder.load(builder.inttoptr(at, _I64.as_pointer()))


def _items_of(builder, value):
    name = "PyTuple_Type"
    tuple_type = builder.module.globals.get(name) or ir.GlobalVariable(builder.module, ir.IntType(8), name)
    # an object begins with its count of references and its type, one of variable length goes on with that
    kind = builder.load(builder.inttoptr(builder.add(value, _I64(DATA_OFFSET - 8)), _I64.as_pointer()))
    same = builder.icmp_unsigned("==", kind, builder.ptrtoint(tuple_type, _I64))
    return builder.select(same, builder.add(value, _I64(tuple.__basicsize__)), _I64(0))


def _real_of(builder, value):
    at = builder.add(value, _I64(DATA_OFFSET))
    return builder.load(builder.inttoptr(at, ir.DoubleType().as_pointer()))


def _from_python(builder, number):
    return builder.call(external(builder, "PyLong_AsLongLong", ir.FunctionType(_I64, [_I64])), [number])


def _to_python(builder, number):
    return builder.call(external(builder, "PyLong_FromLongLong", ir.FunctionType(_I64, [_I64])), [number])


# ------------------------------------------------------------------------------------------------ threads and the lock

# the slot of the number of threads
_THREADS = 6
# cycles of work for which giving Python's lock away and taking it back is a small part
_LONG = 60_000


def _share_count(builder, table, work, grain, rows):
    at = builder.gep(builder.inttoptr(builder.ptrtoint(table, _I64), _I64.as_pointer()), [_I64(_THREADS)])
    count = builder.sdiv(work, grain)
    for most in (rows, builder.load(at)):
        count = builder.select(builder.icmp_signed("<", most, count), most, count)
    return builder.select(builder.icmp_signed(">", count, _I64(1)), count, _I64(1))


CHUNK = ir.FunctionType(_I64, [_I64] * 3)


def build_launch(builder, launcher, chunk, address, chunks, work):
    """Run `chunk(address, chunk, chunks)`, an LLVM function, for every chunk, by threads where there are several.

    Returns the statuses, or-ed. launcher: address of a C function `(phase, address, chunks, work)`; it is not called
    for one chunk. work: cycles of the whole call, -1 for much.
    """
    # blocks of their own: those of `if_else` would have names as long as the list of launches
    one, many, after = (builder.append_basic_block(name) for name in ("alone", "together", "launched"))
    builder.cbranch(builder.icmp_signed("<=", chunks, _I64(1)), one, many)
    builder.position_at_end(one)
    alone = builder.call(chunk, [address, _I64(0), _I64(1)])
    builder.branch(after)
    builder.position_at_end(many)
    threads = builder.inttoptr(launcher, ir.FunctionType(_I64, [CHUNK.as_pointer(), *[_I64] * 3]).as_pointer())
    together = builder.call(threads, [chunk, address, chunks, work])
    builder.branch(after)
    builder.position_at_end(after)
    result = builder.phi(_I64)
    for value, block in ((alone, one), (together, many)):
        result.add_incoming(value, block)
    return result


def _unlock(builder, work):
    state = stack_slot(builder, _I64)
    builder.store(_I64(0), state)
    # as unsigned numbers -1 is the largest
    with builder.if_then(builder.icmp_unsigned(">", work, _I64(_LONG)), likely=False):
        builder.store(builder.call(external(builder, "PyEval_SaveThread", ir.FunctionType(_I64, [])), []), state)
    return builder.load(state)


def _relock(builder, state):
    with builder.if_then(builder.icmp_unsigned("!=", state, _I64(0)), likely=False):
        builder.call(external(builder, "PyEval_RestoreThread", ir.FunctionType(ir.VoidType(), [_I64])), [state])


# ---------------------------------------------------------------------------------------------------------- arithmetic


def _reassociable(operation):
    def build(builder, acc, x):
        return getattr(builder, operation)(acc, x, flags=("reassoc",))

    return build


def _extreme(name):
    def build(builder, acc, x):
        kind = ir.FunctionType(acc.type, [acc.type] * 2)
        function = builder.module.declare_intrinsic(name, [acc.type], kind)
        # x first: of two in memory LLVM keeps the NaN of the first, and where that is what it writes to, it makes a
        # store under a mask of it, which takes some processors ten times as long
        return builder.call(function, [x, acc], fastmath=("nsz",))

    return build


def build_fused(builder, a, b, c):
    """a * b + c, rounded once where the machine does that."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    call = builder.call(builder.module.declare_intrinsic("llvm.fmuladd", [a.type], kind), [a, b, c])
    if isinstance(a.type, ir.FloatType):
        offer_lanes(builder, call)
    return call


def build_polynomial(builder, x, coefficients):
    """coefficients[0] + coefficients[1] * x + ..., each step fused."""
    result = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = build_fused(builder, result, x, c)
    return result


def build_off_whole(builder, x):
    """`x` less the whole number nearest to it."""
    return builder.fsub(x, builder.call(builder.module.declare_intrinsic("llvm.rint", [x.type]), [x]))


def build_power_of_two(builder, n):
    """2**n, for n whose power is a normal number."""
    _, bias, _ = _exponent(n.type)
    return _as_power(builder, n, n.type(bias))


def build_times_power_of_two(builder, e, n, x):
    """(1 + e) * 2**n, n of the sign of x."""
    # two factors: 2**n itself may be infinite or subnormal. The second is one of two numbers.
    integer, bias, middle = _exponent(e.type)
    negative = builder.icmp_signed("<", builder.bitcast(x, integer), integer(0))
    moved = builder.select(negative, e.type(bias + middle), e.type(bias - middle))
    power = _as_power(builder, n, moved)
    rest = builder.select(negative, e.type(2.0**-middle), e.type(2.0**middle))
    return builder.fmul(build_fused(builder, e, power, power), rest)


def _exponent(kind):
    """The integer type as wide as a float type, what added to a whole number leaves it and the exponent's bias in the
    low bits, and a half of the largest exponent."""
    width, mantissa = (32, 23) if isinstance(kind, ir.FloatType) else (64, 52)
    bias = 2 ** (width - mantissa - 2) - 1
    return ir.IntType(width), 1.5 * 2**mantissa + bias, (bias + 1) // 2


def _as_power(builder, n, moved):
    """2**n: the low bits of n + `moved` become the exponent."""
    integer, mantissa = (ir.IntType(32), 23) if isinstance(n.type, ir.FloatType) else (ir.IntType(64), 52)
    bits = builder.bitcast(builder.fadd(n, moved), integer)
    return builder.bitcast(builder.shl(bits, integer(mantissa)), n.type)


# the addresses that a product is told: of its function in `tiles`, and of those in `dots` and `parts`, or 0
TILES, DOTS, PARTS = 0, 1, 2


def _product_at(real):
    """A call of `sgemm_tile` or `dgemm_tile`, whose address is the first of its `units`."""
    kinds = (*("int64",) * 8, real, *("int64",) * 6, real, *("int64",) * 3)
    plain = [LLVM_TYPES[k] for k in kinds]

    def build(
        builder, units, m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row,
        scratch,
    ):  # fmt: skip
        values = [m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch]
        kind = ir.FunctionType(ir.VoidType(), [_I64, *plain])
        address = _word_at(builder, units, _I64(TILES))
        builder.call(builder.inttoptr(address, kind.as_pointer()), [units, *values])

    return Primitive(build, ("int64", *kinds), "void", "")


def _multiply(
    builder, units, like, m, n, k, a, a_row, a_col, b, b_row, b_col, added, out, out_row, scratch,
):  # fmt: skip
    real = like.type.pointee
    kind = "float32" if isinstance(real, ir.FloatType) else "float64"
    none, beta = _I64(0), builder.select(builder.icmp_signed("!=", added, added.type(0)), real(1), real(0))
    # the program may have dot products for other numbers of columns than these: none, then
    own = stack_slot(builder, ir.ArrayType(_I64, 3))
    for place in (TILES, DOTS, PARTS):
        address = none if place == DOTS else _word_at(builder, units, _I64(place))
        builder.store(address, builder.gep(own, [_I64(0), _I64(place)]))
    _product_at(kind).build(
        builder, builder.ptrtoint(own, _I64), none, m, none, n, m, n, k, none, real(1), a, a_row, a_col, b, b_row,
        b_col, beta, out, out_row, scratch,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- functions of others


def _place(builder, pointer, k):
    return builder.ptrtoint(builder.gep(pointer, [k]), _I64)


def _pointer_at(builder, pointer, address):
    return builder.inttoptr(address, pointer.type)


def _fortran(builder, function, addresses):
    kind = ir.FunctionType(ir.VoidType(), [_I64] * len(addresses))
    builder.call(builder.inttoptr(function, kind.as_pointer()), addresses)


def _allocate(builder, size):
    return builder.call(external(builder, "PyMem_RawMalloc", ir.FunctionType(_I64, [_I64])), [size])


def _release(builder, address):
    builder.call(external(builder, "PyMem_RawFree", ir.FunctionType(ir.VoidType(), [_I64])), [address])


# ----------------------------------------------------------------------------------------------------------- the table

# "module.name", as kernels and generated code import it -> primitive
PRIMITIVES = {
    **{
        f"support.{short}": Primitive(
            _pointer_to(name), ("int64",), f"pointer {name}", f"Pointer to {name} at an address."
        )
        for short, name in _POINTER_NAMES.items()
    },
    "support.argument_address": _reader(
        _array_address, "The address of the elements of the ndarray object in a slot.", False
    ),
    "support.argument_length": _reader(_array_length, "Length of an axis of the ndarray object in a slot.", True),
    "support.resident_address": _reader(
        _descriptor_address, "Where the elements of the shared variable in a slot lie now.", False
    ),
    "support.resident_length": _reader(
        _descriptor_length, "Length of an axis of the shared variable in a slot.", True
    ),
    "support.resident_shape": Primitive(
        _resident_shape, ("pointer", "int64", "words", "int64"), "int64",
        "0 where the shared variable in a slot has these lengths, any where one is below 0; else what `fail` returns "
        "for the first that it has not: `code` plus the number of lengths before it.",
    ),
    "support.add_up": Primitive(
        _reassociable("fadd"), ("real", "real"), "real",
        "acc + x; LLVM may change the order, so that a loop of it vectorises; nothing else may.",
    ),
    "support.multiply_up": Primitive(
        _reassociable("fmul"), ("real", "real"), "real", "acc * x, in any order as `add_up`."
    ),
    "support.largest": Primitive(
        _extreme("llvm.maximum"), ("real", "real"), "real",
        "The larger; NaN when either is NaN; of zeros either. One operation of LLVM, whose vectoriser knows that any "
        "order gives the same.",
    ),
    "support.smallest": Primitive(
        _extreme("llvm.minimum"), ("real", "real"), "real",
        "The smaller; NaN when either is NaN; of zeros either, as `largest`.",
    ),
    "support.chunk_count": Primitive(
        _share_count, ("pointer", "int64", "int64", "int64"), "int64",
        "Into how many chunks a loop goes: each of at least `grain` cycles and one row, at most one per thread.",
    ),
    "support.unlock": Primitive(
        _unlock, ("int64",), "int64",
        "Let other Python threads run from here on, unless the work (in cycles; -1 for much) is over sooner; returns "
        "what `relock` needs.",
    ),
    "support.relock": Primitive(_relock, ("int64",), "void", "Take Python's lock again, where `unlock` gave it away."),
    "support.fail": Primitive(
        _fail, ("pointer", "int64", "int64", "int64"), "int64",
        "Leave the two values that a condition was about where the caller finds them; returns the status.",
    ),
    "support.table_of": Primitive(_table_of, ("int64",), "int64", "The address of the elements of an ndarray object."),
    "support.items_of": Primitive(
        _items_of, ("int64",), "int64", "Where a tuple keeps its objects; 0 for an object of another type."
    ),
    "support.real_of": Primitive(
        _real_of, ("int64",), "float64", "The value of a Python float, or of an object of a type derived from it."
    ),
    "support.from_python": Primitive(_from_python, ("int64",), "int64", "The value of a Python int."),
    "support.to_python": Primitive(_to_python, ("int64",), "int64", "A Python int."),
    "foreign.place": Primitive(_place, ("pointer", "int64"), "int64", "The address of element k."),
    "foreign.at": Primitive(
        _pointer_at, ("pointer", "int64"), "pointer", "A pointer, of the type of the first, to an address."
    ),
    "foreign.fortran": Primitive(
        _fortran, ("int64", "words"), "void",
        "Call the Fortran function at an address, whose arguments are addresses: everything is passed by reference.",
    ),
    "foreign.call_at": Primitive(
        _fortran, ("int64", "words"), "void", "Call the function at an address, whose arguments are int64."
    ),
    "foreign.allocate": Primitive(
        _allocate, ("int64",), "int64", "The address of memory of so many bytes; 0 if there is none. Needs no lock."
    ),
    "foreign.release": Primitive(_release, ("int64",), "void", "Give memory back that `allocate` gave."),
    "tiles.dots_at": Primitive(_fortran, ("int64", "words"), "void", "Call `sdots` or `ddots` at an address."),
    "tiles.parts_at": Primitive(_fortran, ("int64", "words"), "void", "Call `sparts` or `dparts` at an address."),
    "calls.sgemm_at": _product_at("float32"),
    "calls.dgemm_at": _product_at("float64"),
    "calls.multiply": Primitive(
        _multiply, ("int64", "pointer", *("int64",) * 9, "int64", "int64", "int64", "int64"), "void",
        "out[m, n] = a[m, k] @ b[k, n], or out += it where `added` is not 0, by the product at an address, which is "
        "that for elements as `like` has. a, b, out: addresses; strides count elements.",
    ),
}  # fmt: skip
