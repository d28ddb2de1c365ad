"""The micro-kernel of `parts`, written as LLVM IR: a tile of a product whose rows are shorter than a vector."""

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


def _rows_at_once(rows: int) -> Any:
    return lambda module, real: _part(module, real, rows)


# part(n, ...) has 2**n rows at a time
CALL_PART = table_call("part", [_rows_at_once(rows) for rows in (1, 2, 4, 8)], _part.__doc__)
