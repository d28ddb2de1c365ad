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
        number = builder.load(builder.gep(table, [at]))
        vector = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        found.append(builder.shuffle_vector(vector, ir.Constant(kind, ir.Undefined), zeros))
    return tuple(found)


def _lanes(builder, x):
    return ir.IntType(64)(_lanes_of(x.type.pointee))


# how many numbers a vector has, for elements of a pointer's type
lanes_of = wrapped("lanes_of", Primitive(_lanes, ("pointer",), "int64", "Lanes of a vector."))
butterfly_2, butterfly_3, butterfly_4, butterfly_5 = (wrapped(f"butterfly_{r}", _butterfly(r)) for r in (2, 3, 4, 5))
butterfly_7, butterfly_8, butterfly_11 = (wrapped(f"butterfly_{r}", _butterfly(r)) for r in (7, 8, 11))
butterfly_13 = wrapped("butterfly_13", _butterfly(13))
