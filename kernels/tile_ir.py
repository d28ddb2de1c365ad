"""What the inner loops of products are made of: LLVM IR with explicit vectors, and the copies that pack operands.

Numba's own loops leave it to LLVM's vectoriser whether accumulators stay in registers; here they do by construction.
Each function is made once per element type; a primitive calls the one wanted through a constant table, so that the
loops around them are compiled once for both types. All addresses and strides are in bytes, all integers 64-bit.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numgraph.kernels.machine import this_machine
from numgraph.kernels.primitives import ONLY, Primitive

_INT = ir.IntType(64)
_SMALL = ir.IntType(32)
_BYTE = ir.IntType(8)
_POINTER = ir.PointerType()


MACHINE = this_machine()
# A full tile is ROWS x 2 vectors: 12 or 16 accumulators hide the latency of two multiply-adds a cycle, the other
# registers hold the two vectors and a factor.
ROWS = 6 if MACHINE.registers == 16 else 8
# For a single row, where ROWS x 2 would leave 2 accumulators: a tile of this many vectors; and of so many, if there are
# registers for them, so that longer pieces of lines are read at a time.
WIDE, WIDEST = 8, 8 if MACHINE.registers == 16 else 16


# Bytes of a line of the cache.
LINE = 64


class Real(NamedTuple):
    """An element type: its LLVM type, its size in bytes and how many fill a vector."""

    type: Any
    size: int
    lanes: int

    @property
    def vector(self) -> Any:
        """The LLVM type of a vector of it."""
        return ir.VectorType(self.type, self.lanes)


FLOAT = Real(ir.FloatType(), 4, MACHINE.vector // 4)
DOUBLE = Real(ir.DoubleType(), 8, MACHINE.vector // 8)


class Code:
    """A builder of one function, with the few operations that the kernels consist of."""

    def __init__(self, module: Any, real: Real, name: str, arguments: int) -> None:
        kind = ir.FunctionType(ir.VoidType(), [_INT] * arguments)
        self.real = real
        self.module = module
        self.function = ir.Function(module, kind, f"numgraph_{name}_{real.type.intrinsic_name}")
        # several of Numba's modules may hold it; the linker keeps one
        self.function.linkage = "linkonce_odr"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))

    def int(self, value: int) -> Any:
        """A 64-bit constant."""
        return ir.Constant(_INT, value)

    def at(self, address: Any) -> Any:
        """An address as a pointer."""
        return self.b.inttoptr(address, _POINTER)

    def beyond(self, address: Any, count: int, step: Any) -> Any:
        """address + count * step."""
        return self.b.add(address, self.b.mul(step, self.int(count))) if count else address

    def plus(self, address: Any, offset: Any) -> Any:
        """A pointer to bytes moved on."""
        offset = offset if isinstance(offset, ir.Value) else self.int(offset)
        nothing = isinstance(offset, ir.Constant) and offset.constant == 0
        return address if nothing else self.b.gep(address, [offset], source_etype=_BYTE)

    def load(self, pointer: Any, kind: Any) -> Any:
        """Read an element or a vector, aligned as an element is."""
        return self.b.load(pointer, align=self.real.size, typ=kind)

    def scalars(self, address: Any) -> tuple[Any, Any, Any]:
        """alpha and beta, which lie at an address, and whether beta is 0: then what was in out does not matter."""
        pair = self.at(address)
        alpha, beta = (self.load(self.plus(pair, i * self.real.size), self.real.type) for i in (0, 1))
        return alpha, beta, self.b.fcmp_ordered("==", beta, ir.Constant(self.real.type, 0.0))

    def store(self, value: Any, pointer: Any) -> None:
        """Write an element or a vector."""
        self.b.store(value, pointer, align=self.real.size)

    def load_part(self, pointer: Any, mask: Any) -> Any:
        """The lanes of a vector that `mask` has. The others are 0, and their memory is not read."""
        kind, nothing = self.real.vector, ir.Constant(self.real.vector, None)
        function = self._of_parts("load", kind, [_POINTER, _SMALL, mask.type, kind])
        return self.b.call(function, [pointer, ir.Constant(_SMALL, self.real.size), mask, nothing])

    def store_part(self, value: Any, pointer: Any, mask: Any) -> None:
        """Write the lanes of a vector that `mask` has."""
        function = self._of_parts("store", ir.VoidType(), [value.type, _POINTER, _SMALL, mask.type])
        self.b.call(function, [value, pointer, ir.Constant(_SMALL, self.real.size), mask])

    def _of_parts(self, what: str, result: Any, kinds: list[Any]) -> Any:
        name = f"llvm.masked.{what}.v{self.real.lanes}{self.real.type.intrinsic_name}.p0"
        return self._declared(name, result, kinds)

    def _declared(self, name: str, result: Any, kinds: list[Any]) -> Any:
        """A function of LLVM's."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, kinds), name)

    def first_lanes(self, count: Any) -> Any:
        """The mask of the first `count` lanes of a vector."""
        lanes = self.real.lanes
        numbers = ir.Constant(ir.VectorType(_SMALL, lanes), list(range(lanes)))
        return self.b.icmp_signed("<", numbers, self.spread(self.b.trunc(count, _SMALL)))

    def numbers(self, value: Any) -> Any:
        """A vector of integers as long as elements are, all of them `value`, which has 64 bits."""
        word = ir.IntType(8 * self.real.size)
        return self.spread(value if word == _INT else self.b.trunc(value, word))

    def permuted(self, vector: Any, lanes: Any) -> Any:
        """The lanes of a vector that a vector of `numbers` names; one by one unless the processor has AVX-512."""
        if MACHINE.vector == 64:
            name = f"llvm.x86.avx512.permvar.{'sf' if self.real.size == 4 else 'df'}.512"
            return self.b.call(self._declared(name, vector.type, [vector.type, lanes.type]), [vector, lanes])
        found = vector
        for k in range(self.real.lanes):
            place = ir.Constant(_SMALL, k)
            found = self.b.insert_element(
                found, self.b.extract_element(vector, self.b.extract_element(lanes, place)), place
            )
        return found

    def spread(self, scalar: Any) -> Any:
        """A vector with `scalar` in every lane, as many as a vector of elements has."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.real.lanes), ir.Undefined)
        one = self.b.insert_element(undefined, scalar, ir.Constant(_SMALL, 0))
        return self.shuffle(one, undefined, [0] * self.real.lanes)

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        """The lanes of two vectors, counted through, in this order."""
        return self.b.shuffle_vector(a, b, ir.Constant(ir.VectorType(_SMALL, len(lanes)), lanes))

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z, rounded once where the machine does that; elsewhere a call of a library would do it."""
        if not MACHINE.fused:
            return self.b.fadd(self.b.fmul(x, y), z)
        lanes = f"v{x.type.count}" if isinstance(x.type, ir.VectorType) else ""
        name = f"llvm.fma.{lanes}{self.real.type.intrinsic_name}"
        return self.b.call(self._declared(name, x.type, [x.type] * 3), [x, y, z])

    def prefetch(self, pointer: Any, near: int) -> None:
        """Prefetch a line; near: from 3, all caches, to 0."""
        kind = ir.FunctionType(ir.VoidType(), [_POINTER, _SMALL, _SMALL, _SMALL])
        function = self.module.declare_intrinsic("llvm.prefetch", [_POINTER], kind)
        # for reading, wanted soon, data
        self.b.call(function, [pointer, ir.Constant(_SMALL, 0), ir.Constant(_SMALL, near), ir.Constant(_SMALL, 1)])

    def block(self, name: str) -> Any:
        """A new basic block."""
        return self.function.append_basic_block(name)

    def loop(self, count: Any, body: Callable[..., Any], start: Sequence[Any] = ()) -> list[Any]:
        """`for x in range(count): values = body(x, *values)`: the values at the end; before, they are `start`."""
        before, loop, done = self.b.block, self.block("loop"), self.block("done")
        self.b.cbranch(self.b.icmp_signed(">", count, self.int(0)), loop, done)
        self.b.position_at_end(loop)
        index = self.phi(_INT, self.int(0), before)
        values = [self.phi(value.type, value, before) for value in start]
        new = list(body(index, *values) or ())
        following = self.b.add(index, self.int(1))
        for phi, value in zip([index, *values], [following, *new], strict=True):
            phi.add_incoming(value, self.b.block)
        last = self.b.block
        self.again(self.b.icmp_signed("<", following, count), loop, done)
        self.b.position_at_end(done)
        ends = [self.phi(value.type, value, before) for value in start]
        for phi, value in zip(ends, new, strict=True):
            phi.add_incoming(value, last)
        return ends

    def again(self, condition: Any, loop: Any, done: Any) -> None:
        """Branch back to `loop` while the condition holds; LLVM leaves the loop as it is written."""
        branch = self.b.cbranch(condition, loop, done)
        off = self.module.add_metadata([ir.MetaDataString(self.module, "llvm.loop.disable_nonforced")])
        own = ir.MDValue(self.module, [off], name=str(len(self.module.metadata)))
        # a loop's own node has itself as its first part
        own.operands = (own, off)
        branch.set_metadata("llvm.loop", own)

    def phi(self, kind: Any, start: Any, before: Any) -> Any:
        """A value that is `start` when coming from block `before`."""
        found = self.b.phi(kind)
        found.add_incoming(start, before)
        return found


def _turn(module: Any, real: Real) -> Any:
    """A transposing copy in blocks of lanes x lanes: lane r of vector p at to + p * to_step is from[r, p].

    Arguments: k, from, from_row, rows, to, to_step. k is at least `lanes` (the last block overlaps the one before);
    lanes from `rows` on repeat the last row. Whole vectors are written, in the order of p.
    """
    code = Code(module, real, "turn", 6)
    k, source, source_row, rows, to, to_step = code.function.args
    build, lanes = code.b, real.lanes
    last = build.sub(rows, code.int(1))
    offsets = []
    for r in range(lanes):
        inside = build.icmp_signed("<", code.int(r), last)
        offsets.append(build.mul(source_row, build.select(inside, code.int(r), last)))
    end = build.sub(k, code.int(lanes))

    def body(x: Any) -> None:
        p = build.mul(x, code.int(lanes))
        p = build.select(build.icmp_signed("<", p, end), p, end)
        head = code.at(build.add(source, build.mul(p, code.int(real.size))))
        block = _transposed(code, [code.load(code.plus(head, offset), real.vector) for offset in offsets])
        target = code.at(build.add(to, build.mul(p, to_step)))
        for i, vector in enumerate(block):
            code.store(vector, code.plus(target, build.mul(code.int(i), to_step)))

    code.loop(build.sdiv(build.add(k, code.int(lanes - 1)), code.int(lanes)), body)
    build.ret_void()
    return code.function


def _transposed(code: Code, rows: list[Any]) -> list[Any]:
    """The columns of a square of vectors: at each step, blocks of 2 x 2 are exchanged, of sizes lanes / 2, ..., 1."""
    lanes = len(rows)
    size = lanes // 2
    while size:
        low = [i // size % 2 == 0 for i in range(lanes)]
        first = [i if low[i] else lanes + i - size for i in range(lanes)]
        second = [i + size if low[i] else lanes + i for i in range(lanes)]
        new = list(rows)
        for i in range(lanes):
            if low[i]:
                new[i] = code.shuffle(rows[i], rows[i + size], first)
                new[i + size] = code.shuffle(rows[i], rows[i + size], second)
        rows = new
        size //= 2
    return rows


def _carry(module: Any, real: Real, name: str, lanes: int) -> Any:
    """Copy n runs of elements, of `lanes` to twice as many, as two vectors that may overlap.

    Arguments: n, from, from_n, last, to, to_n. The second vector begins `last` bytes after the first.
    """
    code = Code(module, real, name, 6)
    n, source, source_n, last, to, to_n = code.function.args
    kind = ir.VectorType(real.type, lanes)

    def body(x: Any) -> None:
        head = code.at(code.b.add(source, code.b.mul(x, source_n)))
        target = code.at(code.b.add(to, code.b.mul(x, to_n)))
        pair = [code.load(code.plus(head, place), kind) for place in (0, last)]
        for place, vector in zip((0, last), pair, strict=True):
            code.store(vector, code.plus(target, place))

    code.loop(n, body)
    code.b.ret_void()
    return code.function


def _carry_lines(module: Any, real: Real) -> Any:
    return _carry(module, real, "carry_lines", real.lanes)


def _carry_factors(module: Any, real: Real) -> Any:
    return _carry(module, real, "carry_factors", 4)


def _pick(module: Any, real: Real) -> Any:
    """Copy n x m elements one by one, with any strides: n, m, from, from_n, from_m, to, to_n, to_m."""
    code = Code(module, real, "pick", 8)
    n, m, source, source_n, source_m, to, to_n, to_m = code.function.args
    build = code.b

    def line(x: Any) -> None:
        head, target = build.add(source, build.mul(x, source_n)), build.add(to, build.mul(x, to_n))

        def element(y: Any) -> None:
            value = code.load(code.at(build.add(head, build.mul(y, source_m))), real.type)
            code.store(value, code.at(build.add(target, build.mul(y, to_m))))

        code.loop(m, element)

    code.loop(n, line)
    build.ret_void()
    return code.function


def _touch(module: Any, real: Real) -> Any:
    """Prefetch n runs of memory, each of so many lines of LINE bytes: n, lines, from, from_n."""
    code = Code(module, real, "touch", 4)
    n, lines, source, source_n = code.function.args

    def run(x: Any) -> None:
        head = code.b.add(source, code.b.mul(x, source_n))
        code.loop(lines, lambda y: code.prefetch(code.at(code.b.add(head, code.b.mul(y, code.int(LINE)))), 2))

    code.loop(n, run)
    code.b.ret_void()
    return code.function


def _made(module: Any, make: Any, real: Real) -> Any:
    """A function of an LLVM module, which is made once."""
    made = module.__dict__.setdefault("numgraph_kernels", {})
    if (make, real) not in made:
        made[make, real] = make(module, real)
    return made[make, real]


def table_call(name: str, makers: list[Any], doc: str) -> Primitive:
    """A primitive `(which, double, arguments)`: calls function `which` of those for the element type.

    A module may have, as ONLY, the numbers of the functions that are made, by the table's name.
    """

    def build(builder: Any, which: Any, double: Any, arguments: list[Any]) -> None:
        module, reals, index = builder.module, (FLOAT, DOUBLE), which
        if isinstance(double, ir.Constant):
            # only the functions of the one type are made
            reals = (reals[double.constant],)
        else:
            index = builder.add(which, builder.mul(double, ir.Constant(_INT, len(makers))))
        label = "_".join([f"numgraph_table_{name}", *(real.type.intrinsic_name for real in reals)])
        table = module.globals.get(label)
        if table is None:
            wanted = module.__dict__.get(ONLY, {}).get(name, range(len(makers)))
            made = [
                _made(module, make, real) if k in wanted else None for real in reals for k, make in enumerate(makers)
            ]
            form = next(function.type for function in made if function)
            kind = ir.ArrayType(form, len(made))
            table = ir.GlobalVariable(module, kind, label)
            table.linkage = "linkonce_odr"
            table.global_constant = True
            table.initializer = ir.Constant(kind, [function or form(None) for function in made])
        builder.call(builder.load(builder.gep(table, [ir.Constant(_INT, 0), index])), arguments)

    return Primitive(build, ("int64", "int64", "words"), "void", doc)


# carry(0, ...) is for runs of one to two vectors, carry(1, ...) for 4 to 8 elements
CALL_CARRY = table_call("carry", [_carry_lines, _carry_factors], _carry.__doc__)
CALL_TURN = table_call("turn", [_turn], _turn.__doc__)
CALL_TOUCH = table_call("touch", [_touch], _touch.__doc__)
CALL_PICK = table_call("pick", [_pick], _pick.__doc__)
