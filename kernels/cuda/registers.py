"""Tuples of numbers that stay in registers: operations on all of them at once, written in LLVM's language.

A product has dozens of sums; Numba takes 10 ms to compile a statement about one of them, these operations take nothing.
Each has a Python twin, `simulated`, for the simulator.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numgraph.kernels.cuda.support import FULL, TYPES, cuda

INT = ir.IntType(32)
# Of four elements in memory, in bytes, at most.
ALIGNMENT = 16


def _parts(builder, value):
    return [builder.extract_value(value, k) for k in range(value.type.count)]


def _address(context, builder, kind, value, index):
    """The address of an element behind a pointer, or of a kernel's own array."""
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
    return builder.gep(value, [index])


@intrinsic
def load4(typing, source, index):
    """Elements index .. index + 3 of a pointer or a flat array, in one load; they begin at a multiple of 16 bytes, or
    of four elements if these are shorter."""

    def emit(context, builder, signature, arguments):
        place = _address(context, builder, source, *arguments)
        vector = ir.VectorType(context.get_data_type(source.dtype), 4)
        alignment = min(ALIGNMENT, 4 * source.dtype.bitwidth // 8)
        loaded = builder.load(builder.bitcast(place, vector.as_pointer()), align=alignment)
        parts = [builder.extract_element(loaded, INT(j)) for j in range(4)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(source.dtype, 4)(source, index), emit


def _load4(source, index):
    return source[index], source[index + 1], source[index + 2], source[index + 3]


load4.simulated = _load4


@intrinsic
def store4(typing, target, index, a, b, c, d):
    """Elements index .. index + 3 of a pointer become a, b, c, d, in one store; aligned as for `load4`."""
    kinds = (a, b, c, d)

    def emit(context, builder, signature, arguments):
        pointer, place, *values = arguments
        vector = ir.VectorType(context.get_data_type(target.dtype), 4)
        packed = ir.Constant(vector, ir.Undefined)
        for j, (kind, value) in enumerate(zip(kinds, values, strict=True)):
            packed = builder.insert_element(packed, context.cast(builder, value, kind, target.dtype), INT(j))
        alignment = min(ALIGNMENT, 4 * target.dtype.bitwidth // 8)
        builder.store(packed, builder.bitcast(builder.gep(pointer, [place]), vector.as_pointer()), align=alignment)
        return context.get_dummy_value()

    return types.void(target, index, *kinds), emit


def _store4(target, index, a, b, c, d):
    target[index] = a
    target[index + 1] = b
    target[index + 2] = c
    target[index + 3] = d


store4.simulated = _store4


@intrinsic
def cell(typing, source, index):
    """Element `index` of a flat array: Numba's own index may count from the end, and is compared with 0 each time."""

    def emit(context, builder, signature, arguments):
        return builder.load(_address(context, builder, source, *arguments))

    return source.dtype(source, types.int64), emit


def _cell(source, index):
    return source[index]


cell.simulated = _cell


@intrinsic
def pair(typing, source, index):
    """Elements 2 * index and 2 * index + 1 of a flat array of int64 that begins at a multiple of 16 bytes."""

    def emit(context, builder, signature, arguments):
        array, place = arguments
        at = _address(context, builder, source, array, builder.mul(place, place.type(2)))
        loaded = builder.load(builder.bitcast(at, ir.VectorType(ir.IntType(64), 2).as_pointer()), align=ALIGNMENT)
        parts = [builder.extract_element(loaded, INT(k)) for k in range(2)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(types.int64, 2)(source, types.int64), emit


def _pair(source, index):
    return source[2 * index], source[2 * index + 1]


pair.simulated = _pair


@intrinsic
def put(typing, target, index, value):
    """Element `index` of a flat array becomes `value`; likewise."""

    def emit(context, builder, signature, arguments):
        array, place, number = arguments
        builder.store(
            context.cast(builder, number, value, target.dtype), _address(context, builder, target, array, place)
        )
        return context.get_dummy_value()

    return types.void(target, types.int64, value), emit


def _put(target, index, value):
    target[index] = value


put.simulated = _put


def start_of(dtype, count):
    """An operation start(): `count` zeros."""
    kind = TYPES[dtype]

    @intrinsic
    def start(typing):
        def emit(context, builder, signature, arguments):
            return context.make_tuple(builder, signature.return_type, [context.get_constant(kind, 0)] * count)

        return types.UniTuple(kind, count)(), emit

    def simulated():
        return (kind(0),) * count

    start.simulated = simulated
    return start


@intrinsic
def add_outer(typing, sums, left, right):
    """sums[i * len(right) + j] + left[i] * right[j], each rounded once."""

    def emit(context, builder, signature, arguments):
        totals, rows, columns = (_parts(builder, a) for a in arguments)
        real = totals[0].type
        name = "llvm.fma.f32" if real == ir.FloatType() else "llvm.fma.f64"
        fma = builder.module.declare_intrinsic(name, (), ir.FunctionType(real, [real] * 3))
        pairs = [(a, b) for a in rows for b in columns]
        made = [builder.call(fma, [a, b, c]) for (a, b), c in zip(pairs, totals, strict=True)]
        return context.make_tuple(builder, signature.return_type, made)

    return sums(sums, left, right), emit


def _add_outer(sums, left, right):
    width = len(right)
    return tuple(c + left[k // width] * right[k % width] for k, c in enumerate(sums))


add_outer.simulated = _add_outer


def loaded_of(count):
    """An operation loaded(pointer, index, step): elements index, index + step, .. (`count` of them)."""

    @intrinsic
    def loaded(typing, pointer, index, step):
        def emit(context, builder, signature, arguments):
            base, place, stride = arguments
            parts = []
            for _ in range(count):
                parts.append(builder.load(builder.gep(base, [place])))
                place = builder.add(place, stride)
            return context.make_tuple(builder, signature.return_type, parts)

        return types.UniTuple(pointer.dtype, count)(pointer, types.int64, types.int64), emit

    def simulated(pointer, index, step):
        return tuple(pointer[index + k * step] for k in range(count))

    loaded.simulated = simulated
    return loaded


def totals_of(lanes, width=1):
    """An operation store_totals(cells, index, sums, lane): cells[index + k] = sum k of all threads of a warp, added.

    Threads whose lanes are equal modulo width add theirs up; each such group has its own index. lanes: of a warp that
    take part, a power of two. All threads of the warp call it, with their lane.

    In each of log2(lanes / width) steps a thread hands half of its sums to another and takes the other half over from
    it: n sums take about n shuffles rather than n * log2(lanes). The order is that of a binary tree.
    """
    steps = []
    while lanes > width:
        lanes //= 2
        steps.append(lanes)

    @intrinsic
    def store_totals(typing, cells, index, sums, lane):
        def emit(context, builder, signature, arguments):
            array, first, packed, place = arguments
            values = _parts(builder, packed)
            places = [first.type(k) for k in range(len(values))]
            known = [ir.IntType(1)(1)] * len(values)
            for step in steps:
                upper = builder.icmp_signed("!=", builder.and_(place, place.type(step)), place.type(0))
                half = (len(values) + 1) // 2
                values.extend([values[0].type(0.0)] * (2 * half - len(values)))
                places.extend([first.type(0)] * (2 * half - len(places)))
                known.extend([ir.IntType(1)(0)] * (2 * half - len(known)))
                for k in range(half):
                    given = builder.select(upper, values[k], values[half + k])
                    kept = builder.select(upper, values[half + k], values[k])
                    values[k] = builder.fadd(kept, _shuffled(builder, given, step))
                    places[k] = builder.select(upper, places[half + k], places[k])
                    known[k] = builder.select(upper, known[half + k], known[k])
                del values[half:], places[half:], known[half:]
            data = context.make_array(cells)(context, builder, array).data
            for value, at, there in zip(values, places, known, strict=True):
                with builder.if_then(there):
                    builder.store(value, builder.gep(data, [builder.add(first, at)]))
            return context.get_dummy_value()

        return types.void(cells, types.int64, sums, types.int64), emit

    def simulated(cells, index, sums, lane):
        values, places = list(sums), list(range(len(sums)))
        for step in steps:
            half = (len(values) + 1) // 2
            values.extend([values[0] * 0] * (2 * half - len(values)))
            places.extend([-1] * (2 * half - len(places)))
            upper = lane & step != 0
            for k in range(half):
                given, kept = (values[k], values[half + k]) if upper else (values[half + k], values[k])
                values[k] = kept + cuda.shfl_xor_sync(FULL, given, step)
                places[k] = places[half + k] if upper else places[k]
            values, places = values[:half], places[:half]
        for k in range(len(values)):
            if places[k] >= 0:
                cells[index + places[k]] = values[k]

    store_totals.simulated = simulated
    return store_totals


def _shuffled(builder, value, step):
    """The value of the lane whose number differs in bit `step`; of a float64 in halves."""
    kind = ir.FunctionType(INT, [INT] * 4)
    shuffle = builder.module.declare_intrinsic("llvm.nvvm.shfl.sync.bfly.i32", (), kind)

    def moved(word):
        return builder.call(shuffle, [INT(FULL), word, INT(step), INT(31)])

    if value.type == ir.FloatType():
        return builder.bitcast(moved(builder.bitcast(value, INT)), value.type)
    halves = ir.VectorType(INT, 2)
    words = builder.bitcast(value, halves)
    for k in range(2):
        words = builder.insert_element(words, moved(builder.extract_element(words, INT(k))), INT(k))
    return builder.bitcast(words, value.type)


def writing_of(rows, columns):
    """An operation write(out, place, step, rooms, room, sums, alpha, beta), for a tile's sums.

    out[place + p * step + q] = alpha * sum + beta * what was there, for the sums of row p and column q of a tile:
    `rows` and `columns` list those that the thread has. p is below `rooms`, q below `room`, others are not written.
    What was there is not read if beta is 0.
    """
    places = [(p, q) for p in rows for q in columns]

    @intrinsic
    def write(typing, out, place, step, rooms, room, sums, alpha, beta):
        def emit(context, builder, signature, arguments):
            base, first, stride, down, across, values, factor, keep = arguments
            word = first.type
            added = builder.fcmp_unordered("!=", keep, keep.type(0.0))
            for (p, q), total in zip(places, _parts(builder, values), strict=True):
                inside = builder.and_(
                    builder.icmp_signed("<", word(p), down), builder.icmp_signed("<", word(q), across)
                )
                with builder.if_then(inside):
                    shift = builder.add(builder.mul(word(p), stride), word(q))
                    at = builder.gep(base, [builder.add(first, shift)])
                    value = builder.fmul(factor, total)
                    with builder.if_then(added):
                        builder.store(builder.fadd(value, builder.fmul(keep, builder.load(at))), at)
                    with builder.if_then(builder.not_(added)):
                        builder.store(value, at)
            return context.get_dummy_value()

        integers = (types.int64,) * 4
        return types.void(out, *integers, sums, alpha, beta), emit

    def simulated(out, place, step, rooms, room, sums, alpha, beta):
        for (p, q), total in zip(places, sums, strict=True):
            if p < rooms and q < room:
                value = alpha * total
                if beta != 0:
                    value += beta * out[place + p * step + q]
                out[place + p * step + q] = value

    write.simulated = simulated
    return write


@intrinsic
def within(typing, tap, low, span):
    """Whether low <= tap < low + span, of numbers of 32 bits; span is up to 2^31, tap - low more than -2^31."""

    def emit(context, builder, signature, arguments):
        place, begin, length = arguments
        return builder.icmp_unsigned("<", builder.sub(place, begin), length)

    return types.boolean(types.int32, types.int32, types.int32), emit


def _within(tap, low, span):
    return (tap - low) & 0xFFFFFFFF < span & 0xFFFFFFFF


within.simulated = _within


def scattering_of(rows, columns):
    """An operation scatter(out, starts, first, step, rooms, room, sums), for a tile's sums whose columns are apart.

    out[starts[i] + first + p * step] = the sum of row p and column i, as `writing_of` has them: columns[i] is below
    `room`, p below `rooms`; others are not written.
    """
    places = [(p, i, q) for p in rows for i, q in enumerate(columns)]

    @intrinsic
    def scatter(typing, out, starts, first, step, rooms, room, sums):
        def emit(context, builder, signature, arguments):
            base, begins, begin, stride, down, across, values = arguments
            word, begins = begin.type, _parts(builder, begins)
            for (p, i, q), total in zip(places, _parts(builder, values), strict=True):
                inside = builder.and_(
                    builder.icmp_signed("<", word(p), down), builder.icmp_signed("<", word(q), across)
                )
                with builder.if_then(inside):
                    shift = builder.add(begin, builder.mul(word(p), stride))
                    builder.store(total, builder.gep(base, [builder.add(begins[i], shift)]))
            return context.get_dummy_value()

        integers = (types.int64,) * 4
        return types.void(out, starts, *integers, sums), emit

    def simulated(out, starts, first, step, rooms, room, sums):
        for (p, i, q), total in zip(places, sums, strict=True):
            if p < rooms and q < room:
                out[starts[i] + first + p * step] = total

    scatter.simulated = simulated
    return scatter
