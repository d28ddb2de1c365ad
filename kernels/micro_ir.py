"""The micro-kernels of `tiles`, written as LLVM IR: a tile of a product in registers while it goes along k.

Numba's own loops leave it to LLVM's vectoriser whether accumulators stay in registers; here they do by construction.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import ir
from numgraph.kernels.tile_ir import MACHINE, ROWS, WIDE, WIDEST, Code, Real, table_call


def _kernel(module: Any, real: Real, rows: int, vectors: int) -> Any:
    """A micro-kernel: out[rows, columns] = alpha * (a @ b) + beta * out, columns being `vectors` vectors.

    Arguments: count; k; a, a_row, a_step, a_next; b, b_step, b_last; ahead, ahead_step, ahead_next; out, out_row;
    scalars. a[r, p] is an element at a + r * a_row + p * a_step; b[p] the vectors at b + p * b_step, the last one at
    b_last from there: at most where it follows the one before, so that columns which fill no two vectors are two that
    overlap. out has its vectors at the same places. `scalars` is the address of alpha and beta; with beta 0 out is not
    read. The memory at ahead + p * ahead_step is prefetched. `count` such tiles lie below one another, a_next and
    ahead_next apart.

    Every element is the chain a[0] * b[0] + 0, a[1] * b[1] + that, ..., whatever the tile.
    """
    code = Code(module, real, f"tile_{rows}x{vectors}", 15)
    count, k, a, a_row, a_step, a_next, b, b_step, b_last, *ahead, out, out_row, scalars = code.function.args
    build = code.b
    places = [code.int(i * MACHINE.vector) for i in range(vectors - 1)] + [b_last]

    def read(line: Any) -> list[Any]:
        return [code.load(code.plus(line, place), real.vector) for place in places]

    alpha, beta, is_fresh = code.scalars(scalars)
    out_next = build.mul(out_row, code.int(rows))
    beyond = build.add(b_last, code.int(MACHINE.vector - 1))

    def one_tile(x: Any) -> None:
        first = build.add(out, build.mul(x, out_next))
        lines = [code.at(code.beyond(first, r, out_row)) for r in range(rows)]
        for line in lines:
            # wanted when the sums are ready
            code.prefetch(line, 3)
            code.prefetch(code.plus(line, beyond), 3)
        start = build.add(ahead[0], build.mul(x, ahead[2]))
        factors = (build.add(a, build.mul(x, a_next)), a_row, a_step)
        sums = products(code, k, factors, (b, b_step, read), (start, ahead[1]), (rows, vectors))
        _finish(code, sums, places, lines, alpha, beta, is_fresh)

    code.loop(count, one_tile)
    build.ret_void()
    return code.function


def products(
    code: Code, k: Any, factors: tuple[Any, Any, Any], lines: tuple[Any, Any, Callable[[Any], list[Any]]],
    ahead: tuple[Any, Any] | None, shape: tuple[int, int],
) -> list[list[Any]]:  # fmt: skip
    """The sums of a tile of `shape`, rows and vectors, in registers.

    factors: the address of a's, the strides along its rows and along k. lines: the address of b's, their stride, and
    what reads the vectors of one. ahead: the address of what is prefetched, if anything is, and its stride along k.
    """
    real = code.real
    rows, vectors = shape
    base, a_row, a_step = factors
    zero = ir.Constant(real.vector, None)
    # rows 0..2 and 3..5 as one register and one index times 0, 1 and 2: x86 adds those in the load itself
    steps = [code.int(0), a_row, code.b.add(a_row, a_row)]
    bases = [code.at(code.beyond(base, r, a_row)) for r in range(0, rows, 3)]

    others = [lines[:2]] if ahead is None else [lines[:2], ahead]
    strides = [*[a_step] * len(bases), *(stride for _, stride in others)]

    def step(_: Any, *values: Any) -> list[Any]:
        pointers, sums = values[: -rows * vectors], values[-rows * vectors :]
        heads = pointers[: len(bases)]
        row = lines[2](pointers[len(bases)])
        if ahead is not None:
            code.prefetch(pointers[-1], 2)
        new = []
        for r in range(rows):
            factor = code.spread(code.load(code.plus(heads[r // 3], steps[r % 3]), real.type))
            new += [code.multiply_add(factor, x, y) for x, y in zip(row, sums[r * vectors :], strict=False)]
        return [*(code.plus(p, s) for p, s in zip(pointers, strides, strict=True)), *new]

    start = [*bases, *(code.at(address) for address, _ in others), *[zero] * (rows * vectors)]
    sums = code.loop(k, step, start)[-rows * vectors :]
    return [sums[r * vectors : (r + 1) * vectors] for r in range(rows)]


def _finish(
    code: Code, sums: list[list[Any]], places: list[Any], lines: list[Any], alpha: Any, beta: Any, is_fresh: Any
) -> None:
    """Store alpha * sums, plus beta * out unless beta is 0."""
    build = code.b
    factor, weight = code.spread(alpha), code.spread(beta)
    with build.if_else(is_fresh) as (fresh, add):
        with fresh:
            for pointer, values in zip(lines, sums, strict=True):
                for place, value in zip(places, values, strict=True):
                    code.store(build.fmul(factor, value), code.plus(pointer, place))
        with add:
            for pointer, values in zip(lines, sums, strict=True):
                # vectors may overlap: all are read before the first is written
                targets = [code.plus(pointer, place) for place in places]
                old = [code.load(target, code.real.vector) for target in targets]
                for target, value, x in zip(targets, values, old, strict=True):
                    code.store(code.multiply_add(factor, value, build.fmul(weight, x)), target)


def _rank_one(module: Any, real: Real) -> Any:
    """out[rows, columns] = alpha * (a @ b) + beta * out where one product is all there is to a sum.

    Arguments: rows; a, a_row; b; vectors, b_last; out, out_row; scalars. Each row of out is gone through from end to
    end, as memory is read fastest: so many whole vectors; the last one, at b_last from the first, may overlap the one
    before. Else as `_kernel`, of which it has the bits.
    """
    code = Code(module, real, "rank_one", 9)
    rows, a, a_row, b, vectors, b_last, out, out_row, scalars = code.function.args
    build, zero, kind = code.b, ir.Constant(real.vector, None), real.vector
    alpha, beta, is_fresh = code.scalars(scalars)
    scale, weight = code.spread(alpha), code.spread(beta)

    def all_rows(reads: bool) -> None:
        def row(x: Any) -> None:
            factor = code.spread(code.load(code.at(build.add(a, build.mul(x, a_row))), real.type))
            first = build.add(out, build.mul(x, out_row))

            def element(offset: Any) -> tuple[Any, Any]:
                target = code.at(build.add(first, offset))
                value = code.multiply_add(factor, code.load(code.at(build.add(b, offset)), kind), zero)
                if not reads:
                    return build.fmul(scale, value), target
                return code.multiply_add(scale, value, build.fmul(weight, code.load(target, kind))), target

            def several(begin: Any, count: int) -> Callable[[Any], None]:
                def body(y: Any) -> None:
                    start = build.add(begin, build.mul(y, code.int(count * MACHINE.vector)))
                    for value in [element(build.add(start, code.int(i * MACHINE.vector))) for i in range(count)]:
                        code.store(*value)

                return body

            last = element(b_last)
            fours = build.lshr(vectors, code.int(2))
            code.loop(fours, several(code.int(0), 4))
            begin = build.mul(fours, code.int(4 * MACHINE.vector))
            code.loop(build.sub(vectors, build.mul(fours, code.int(4))), several(begin, 1))
            code.store(*last)

        code.loop(rows, row)

    with build.if_else(is_fresh) as (fresh, add):
        with fresh:
            all_rows(False)
        with add:
            all_rows(True)
    build.ret_void()
    return code.function


@cache
def _shape(rows: int, vectors: int) -> Any:
    return lambda module, real: _kernel(module, real, rows, vectors)


# tile(rows - 1, ...) is a tile of two vectors, tile(ROWS, ...) the wide one of a single row, tile(ROWS + 1, ...) the
# widest
_SHAPES = [*((r, 2) for r in range(1, ROWS + 1)), (1, WIDE), (1, WIDEST)]
CALL_TILE = table_call("tile", [_shape(*shape) for shape in _SHAPES], _kernel.__doc__)
CALL_RANK_ONE = table_call("rank_one", [_rank_one], _rank_one.__doc__)
