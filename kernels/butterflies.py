"""Discrete Fourier transforms of a few numbers at once, in vectors: what the passes of `fourier` are made of.

A block of complex numbers is its real parts, and behind them, `size` elements on, its imaginary parts. A butterfly of
radix r takes r vectors of numbers of one block, which begin at `source` and are `step` apart, and leaves their
transform in another block, from `target` on and `width` apart. Number k is multiplied by root k * turn of a table,
which is a block, too, of `count` numbers: exp(-2 pi i j / count).

Sources: C. Van Loan, Computational Frameworks for the Fast Fourier Transform (1992), sections 1.7 and 2.4;
R. Singleton, An algorithm for computing the mixed radix fast Fourier transform (1969), for odd radices.
"""

import math

from llvmlite import ir
from numgraph.kernels.primitives import Primitive
from numgraph.kernels.wrapping import wrapped

# Bytes of a vector: what AVX2 has; wider registers take two at once by themselves.
VECTOR_BYTES = 32


def _lanes_of(element):
    return VECTOR_BYTES // (4 if isinstance(element, ir.FloatType) else 8)


class _Block:
    """A block's vectors."""

    def __init__(self, builder, pointer, size):
        self.builder, self.pointer, self.size = builder, pointer, size
        element = pointer.type.pointee
        self.kind = ir.VectorType(element, _lanes_of(element))
        self.align = 4 if isinstance(element, ir.FloatType) else 8

    def places(self, at):
        """Pointers to the real and the imaginary parts from a number on."""
        builder = self.builder
        return [
            builder.bitcast(builder.gep(self.pointer, [where]), self.kind.as_pointer())
            for where in (at, builder.add(at, self.size))
        ]

    def load(self, at):
        """Numbers from `at` on, as (real parts, imaginary parts)."""
        return tuple(self.builder.load(p, align=self.align) for p in self.places(at))

    def store(self, at, value):
        """Write numbers from `at` on."""
        for part, p in zip(value, self.places(at), strict=True):
            self.builder.store(part, p, align=self.align)


class _Sums:
    """Arithmetic of complex vectors."""

    def __init__(self, builder, kind):
        self.builder, self.kind = builder, kind

    def add(self, a, b):
        return tuple(self.builder.fadd(x, y) for x, y in zip(a, b, strict=True))

    def sub(self, a, b):
        return tuple(self.builder.fsub(x, y) for x, y in zip(a, b, strict=True))

    def turned(self, a):
        """-i * a."""
        return a[1], self.builder.fneg(a[0])

    def scaled(self, a, number):
        factor = ir.Constant(self.kind, [number] * self.kind.count)
        return tuple(self.builder.fmul(x, factor) for x in a)

    def fused(self, number, a, b):
        """number * a + b, with fused multiply-adds where there are such."""
        factor = ir.Constant(self.kind, [number] * self.kind.count)
        name = f"llvm.fmuladd.v{self.kind.count}f{'32' if isinstance(self.kind.element, ir.FloatType) else '64'}"
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, ir.FunctionType(self.kind, [self.kind] * 3), name)
        return tuple(self.builder.call(function, [factor, x, y]) for x, y in zip(a, b, strict=True))

    def times(self, a, w):
        """a * w."""
        builder = self.builder
        real = builder.fsub(builder.fmul(a[0], w[0]), builder.fmul(a[1], w[1]))
        imag = builder.fadd(builder.fmul(a[0], w[1]), builder.fmul(a[1], w[0]))
        return real, imag


def _of_two(c, x):
    return [c.add(x[0], x[1]), c.sub(x[0], x[1])]


def _of_four(c, x):
    even, odd = _of_two(c, (x[0], x[2])), _of_two(c, (x[1], x[3]))
    turned = c.turned(odd[1])
    return [c.add(even[0], odd[0]), c.add(even[1], turned), c.sub(even[0], odd[0]), c.sub(even[1], turned)]


def _of_eight(c, x):
    even, odd = _of_four(c, x[0::2]), _of_four(c, x[1::2])
    root = math.sqrt(0.5)
    # exp(-pi i k / 4) * odd[k]
    first, third = c.scaled(c.add(odd[1], c.turned(odd[1])), root), c.scaled(c.sub(c.turned(odd[3]), odd[3]), root)
    odd = [odd[0], first, c.turned(odd[2]), third]
    return [c.add(a, b) for a, b in zip(even, odd, strict=True)] + [c.sub(a, b) for a, b in zip(even, odd, strict=True)]


def _of_odd(c, x):
    """By sums and differences of numbers that are as far from both ends."""
    radix = len(x)
    half = radix // 2
    sums = [c.add(x[j], x[radix - j]) for j in range(1, half + 1)]
    differences = [c.sub(x[j], x[radix - j]) for j in range(1, half + 1)]
    total = x[0]
    for s in sums:
        total = c.add(total, s)
    found = [total] + [None] * (radix - 1)
    for k in range(1, half + 1):
        real, imag = x[0], None
        for j in range(1, half + 1):
            angle = 2 * math.pi * (j * k % radix) / radix
            real = c.fused(math.cos(angle), sums[j - 1], real)
            sine = math.sin(angle)
            imag = c.scaled(differences[0], sine) if imag is None else c.fused(sine, differences[j - 1], imag)
        turned = c.turned(imag)
        found[k], found[radix - k] = c.add(real, turned), c.sub(real, turned)
    return found


def _butterfly(radix):
    transform = {2: _of_two, 4: _of_four, 8: _of_eight}.get(radix, _of_odd)

    def build(builder, x, y, size, source, step, target, width, table, count, turn):
        block, out = _Block(builder, x, size), _Block(builder, y, size)
        c = _Sums(builder, block.kind)
        at, numbers = source, []
        for _ in range(radix):
            numbers.append(block.load(at))
            at = builder.add(at, step)
        at = target
        where = turn
        for k, number in enumerate(transform(c, numbers)):
            if k:
                number = c.times(number, _root(builder, table, count, where, block.kind))
                where = builder.add(where, turn)
            out.store(at, number)
            at = builder.add(at, width)

    kinds = ("pointer", "pointer", "int64", "int64", "int64", "int64", "int64", "pointer", "int64", "int64")
    return Primitive(build, kinds, "void", f"A butterfly of radix {radix}: (x, y, size, source, step, target, width, "
                                           "table, count, turn).")  # fmt: skip


def _root(builder, table, count, where, kind):
    """A root of the table in all lanes."""
    found = []
    for at in (where, builder.add(where, count)):
        found.append(_everywhere(builder, builder.load(builder.gep(table, [at])), kind))
    return tuple(found)


def _shuffled(builder, a, b, mask):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(mask)), list(mask)))


def _turned(builder, rows):
    """A square of as many vectors as lanes, transposed: blocks of 1, 2, 4 are exchanged."""
    lanes, step = len(rows), 1
    while step < lanes:
        found = list(rows)
        for k in range(lanes):
            if k & step:
                continue
            low = [j if not j & step else lanes + j - step for j in range(lanes)]
            high = [j + step if not j & step else lanes + j for j in range(lanes)]
            found[k] = _shuffled(builder, rows[k], rows[k + step], low)
            found[k + step] = _shuffled(builder, rows[k], rows[k + step], high)
        rows, step = found, 2 * step
    return rows


class _Numbers(_Block):
    """Vectors of an array with real and imaginary parts one after the other."""

    def __init__(self, builder, pointer):
        super().__init__(builder, pointer, ir.IntType(64)(0))
        self.size = ir.IntType(64)(self.kind.count)

    def take(self, at):
        """As many numbers as lanes, as (real parts, imaginary parts)."""
        a, b = self.load(at)
        lanes = self.kind.count
        return tuple(_shuffled(self.builder, a, b, range(k, 2 * lanes, 2)) for k in (0, 1))

    def give(self, at, value):
        """The reverse of `take`."""
        lanes = self.kind.count
        order = [j // 2 + lanes * (j % 2) for j in range(2 * lanes)]
        self.store(at, [_shuffled(self.builder, *value, part) for part in (order[:lanes], order[lanes:])])


def _take(builder, x, k, a, real, imag):
    block = _Block(builder, a, builder.sub(imag, real))
    block.store(real, _Numbers(builder, x).take(k))


def _give(builder, x, k, a, real, imag, factor):
    value = _Block(builder, a, builder.sub(imag, real)).load(real)
    scale = _everywhere(builder, factor, value[0].type)
    _Numbers(builder, x).give(k, [builder.fmul(part, scale) for part in value])


def _take_rows(builder, x, k, step, a, real, imag):
    numbers, block = _Numbers(builder, x), _Block(builder, a, builder.sub(imag, real))
    lanes = block.kind.count
    found = [numbers.take(builder.add(k, builder.mul(step, ir.IntType(64)(row)))) for row in range(lanes)]
    columns = [_turned(builder, [row[part] for row in found]) for part in (0, 1)]
    for j in range(lanes):
        block.store(builder.add(real, ir.IntType(64)(lanes * j)), [part[j] for part in columns])


def _give_rows(builder, x, k, step, a, real, imag, factor):
    numbers, block = _Numbers(builder, x), _Block(builder, a, builder.sub(imag, real))
    lanes = block.kind.count
    found = [block.load(builder.add(real, ir.IntType(64)(lanes * j))) for j in range(lanes)]
    scale = _everywhere(builder, factor, block.kind)
    rows = [_turned(builder, [builder.fmul(column[part], scale) for column in found]) for part in (0, 1)]
    for row in range(lanes):
        where = builder.add(k, builder.mul(step, ir.IntType(64)(row)))
        numbers.give(where, [part[row] for part in rows])


def _take_square(builder, x, k, step, a, at):
    """Of real numbers: rows of x become columns of a."""
    source, target = _Block(builder, x, step), _Block(builder, a, step)
    lanes = source.kind.count
    places = [builder.add(k, builder.mul(step, ir.IntType(64)(row))) for row in range(lanes)]
    rows = [builder.load(source.places(place)[0], align=source.align) for place in places]
    for j, column in enumerate(_turned(builder, rows)):
        where = builder.add(at, ir.IntType(64)(lanes * j))
        builder.store(column, target.places(where)[0], align=target.align)


def _everywhere(builder, number, kind):
    if number.type != kind.element:
        number = builder.fptrunc(number, kind.element)
    vector = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    return _shuffled(builder, vector, ir.Constant(kind, ir.Undefined), [0] * kind.count)


def _moved_parts(builder, x, k, a, at):
    source, target = _Block(builder, x, k), _Block(builder, a, k)
    value = builder.load(source.places(k)[0], align=source.align)
    builder.store(value, target.places(at)[0], align=target.align)


def _split(builder, b, size, here, far, y, others, to, w, count, k):
    block = _Block(builder, b, size)
    c = _Sums(builder, block.kind)
    number, other = block.load(here), block.load(far)
    other = other[0], builder.fneg(other[1])
    odd = c.times(c.turned(c.sub(number, other)), _root(builder, w, count, k, block.kind))
    _Block(builder, y, others).store(to, c.add(c.add(number, other), odd))


def _join(builder, y, others, here, far, a, size, to, w, count, k):
    block = _Block(builder, y, others)
    c = _Sums(builder, block.kind)
    number, other = block.load(here), block.load(far)
    other = other[0], builder.fneg(other[1])
    root = _root(builder, w, count, k, block.kind)
    odd = c.turned(c.times(c.sub(number, other), (root[0], builder.fneg(root[1]))))
    real, imag = c.sub(c.add(number, other), odd)
    _Block(builder, a, size).store(to, (imag, real))


def _twist(builder, b, size, at, y, others, to, w, count, k, step):
    block = _Block(builder, b, size)
    c = _Sums(builder, block.kind)
    roots = [ir.Constant(block.kind, ir.Undefined)] * 2
    for lane in range(block.kind.count):
        for part, where in enumerate((k, builder.add(k, count))):
            number = builder.load(builder.gep(w, [where]))
            roots[part] = builder.insert_element(roots[part], number, ir.IntType(32)(lane))
        k = builder.add(k, step)
    _Block(builder, y, others).store(to, c.times(block.load(at), roots))


def _lanes(builder, x):
    return ir.IntType(64)(_lanes_of(x.type.pointee))


# how many numbers a vector has, for elements of a pointer's type
lanes_of = wrapped("lanes_of", Primitive(_lanes, ("pointer",), "int64", "Lanes of a vector."))
butterfly_2, butterfly_3, butterfly_4, butterfly_5 = (wrapped(f"butterfly_{r}", _butterfly(r)) for r in (2, 3, 4, 5))
butterfly_7, butterfly_8, butterfly_11 = (wrapped(f"butterfly_{r}", _butterfly(r)) for r in (7, 8, 11))
butterfly_13 = wrapped("butterfly_13", _butterfly(13))

_PLACES = ("pointer", "int64", "pointer", "int64", "int64")
_ROWS = ("pointer", "int64", "int64", "pointer", "int64", "int64")
# (x, k, a, real, imag): as many numbers as lanes, from element k of an array on, to or from a block: from `real` on,
# and from `imag` on. Rows are as many as lanes, `step` elements apart in the array; their first numbers go together.
take = wrapped("take", Primitive(_take, _PLACES, "void", "Numbers of an array become some of a block."))
give = wrapped("give", Primitive(_give, (*_PLACES, "float64"), "void", "The reverse of `take`, times a number."))
take_rows = wrapped("take_rows", Primitive(_take_rows, _ROWS, "void", "Numbers of several rows become columns."))
give_rows = wrapped("give_rows", Primitive(_give_rows, (*_ROWS, "float64"), "void", "Columns of a block become rows."))
# of parts alone, from x[k] on to a[at] on
_PARTS = ("pointer", "int64", "int64", "pointer", "int64")
take_square = wrapped("take_square", Primitive(_take_square, _PARTS, "void", "As `take_rows`, (x, k, step, a, at)."))
move = wrapped(
    "move", Primitive(_moved_parts, ("pointer", "int64", "pointer", "int64"), "void", "As `take`, (x, k, a, at).")
)
_PAIR = ("pointer", "int64", "int64", "int64", "pointer", "int64", "int64", "pointer", "int64", "int64")
# (block, size, here, far, other block, its size, to, roots, count, k), for numbers as far from both ends
split = wrapped("split", Primitive(_split, _PAIR, "void", "A number of a real line's transform, doubled, of two."))
join = wrapped("join", Primitive(_join, _PAIR, "void", "The reverse, with real and imaginary parts exchanged."))
_TWIST = ("pointer", "int64", "int64", "pointer", "int64", "int64", "pointer", "int64", "int64", "int64")
# (block, size, at, other block, its size, to, roots, count, k, step): numbers times roots k, k + step, ...
twist = wrapped("twist", Primitive(_twist, _TWIST, "void", "Numbers times roots that are `step` apart."))
