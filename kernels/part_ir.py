"""The micro-kernels of `parts`, written as LLVM IR: tiles of products whose rows are shorter than a vector."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numgraph.kernels.micro_ir import products
from numgraph.kernels.tile_ir import Code, Real, table_call


def _part(module: Any, real: Real, rows: int) -> Any:
    """As `tile`, where out's columns are fewer than a vector has lanes: out[m, lanes] = alpha * (a @ b) + beta * out.

    Arguments: m; k; a, a_row, a_step; b, b_step; lanes; out, out_row; scalars. m is `rows` at least, or 0. Of b and out
    nothing else is touched.

    A processor has what follows the store of a part wait as if all of the vector were stored. So a tile is stored after
    the next tile's part of out is read. For that reason the last tile may also have rows of the one before.
    """
    code = Code(module, real, f"part_{rows}", 11)
    m, k, a, a_row, a_step, b, b_step, lanes, out, out_row, scalars = code.function.args
    build, vector = code.b, real.vector
    negative_zero = ir.Constant(vector, [-0.0] * real.lanes)
    alpha, beta, is_fresh = code.scalars(scalars)
    factor, weight = code.spread(alpha), code.spread(beta)
    mask = code.first_lanes(lanes)
    nothing = ir.Constant(mask.type, None)
    read = build.select(is_fresh, nothing, mask)
    last = build.sub(m, code.int(rows))

    def store(values: Sequence[Any], target: Any, where: Any) -> None:
        for r, value in enumerate(values):
            code.store_part(value, code.at(code.beyond(target, r, out_row)), where)

    def one_tile(x: Any, before: Any, where: Any, *values: Any) -> list[Any]:
        row = build.mul(x, code.int(rows))
        row = build.select(build.icmp_signed("<", row, last), row, last)
        target = build.add(out, build.mul(row, out_row))
        old = [code.load_part(code.at(code.beyond(target, r, out_row)), read) for r in range(rows)]
        store(values, before, where)
        factors = (build.add(a, build.mul(row, a_row)), a_row, a_step)
        sums = products(code, k, factors, (b, b_step, lambda line: [code.load_part(line, mask)]), None, (rows, 1))
        # -0.0 leaves whatever it is added to as it is
        added = [build.select(is_fresh, negative_zero, build.fmul(weight, x)) for x in old]
        return [target, mask, *(code.multiply_add(factor, s[0], x) for s, x in zip(sums, added, strict=True))]

    tiles = build.sdiv(build.add(m, code.int(rows - 1)), code.int(rows))
    target, where, *values = code.loop(tiles, one_tile, [out, nothing, *[ir.Constant(vector, None)] * rows])
    store(values, target, where)
    build.ret_void()
    return code.function


def _outer(module: Any, real: Real) -> Any:
    """As `_part` for k = 1, where rows of out follow each other without gaps: out[m, n] = alpha * a[m] * b[n] +
    beta * out in whole vectors, of which `lanes` rows are n.

    Arguments: m, a multiple of the lanes; a, whose elements are neighbours; b; n; out; scalars.
    """
    code = Code(module, real, "outer", 6)
    m, a, b, n, out, scalars = code.function.args
    build, lanes = code.b, real.lanes
    alpha, beta, is_fresh = code.scalars(scalars)
    factor, weight = code.spread(alpha), code.spread(beta)
    zero, negative_zero = (ir.Constant(real.vector, [number] * lanes) for number in (0.0, -0.0))
    line = code.load_part(code.at(b), code.first_lanes(n))
    # of each vector of a block: the rows, and the elements of b
    word = ir.VectorType(ir.IntType(8 * real.size), lanes)
    rows, of_b = (build.alloca(ir.ArrayType(kind, lanes)) for kind in (word, real.vector))
    # x // n of the numbers of a block's elements: they are less than 256
    inverse = build.add(build.udiv(code.int(1 << 16), n), code.int(1))

    def prepare(t: Any) -> None:
        number = build.add(ir.Constant(word, list(range(lanes))), code.numbers(build.mul(t, code.int(lanes))))
        row = build.lshr(build.mul(number, code.numbers(inverse)), ir.Constant(word, [16] * lanes))
        build.store(row, build.gep(rows, [code.int(0), t]))
        found = code.permuted(line, build.sub(number, build.mul(row, code.numbers(n))))
        build.store(found, build.gep(of_b, [code.int(0), t]))

    def one_block(_: Any, head: Any, target: Any) -> list[Any]:
        factors = code.load(head, real.vector)

        def one_vector(t: Any, place: Any) -> list[Any]:
            row, of_t = (build.load(build.gep(table, [code.int(0), t])) for table in (rows, of_b))
            product = code.multiply_add(code.permuted(factors, row), of_t, zero)
            # what is read does not matter where out is only written
            added = build.select(is_fresh, negative_zero, build.fmul(weight, code.load(place, real.vector)))
            code.store(code.multiply_add(factor, product, added), place)
            return [code.plus(place, lanes * real.size)]

        (behind,) = code.loop(n, one_vector, [target])
        return [code.plus(head, lanes * real.size), behind]

    code.loop(n, prepare)
    code.loop(build.sdiv(m, code.int(lanes)), one_block, [code.at(a), code.at(out)])
    build.ret_void()
    return code.function


def _rows_at_once(rows: int) -> Any:
    return lambda module, real: _part(module, real, rows)


CALL_OUTER = table_call("outer", [_outer], _outer.__doc__)
# part(n, ...) has 2**n rows at a time
CALL_PART = table_call("part", [_rows_at_once(rows) for rows in (1, 2, 4, 8)], _part.__doc__)
