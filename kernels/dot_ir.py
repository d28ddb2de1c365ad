"""The inner loop of products that sum along contiguous lines, as LLVM IR: where a result has few columns.

With 10 columns, vectors along the columns leave 6 of 16 lanes unused. Here the lanes lie along the summed axis instead:
each element of the result is a vector of partial sums until the end, and no lane is lost whatever the columns.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numgraph.kernels.tile_ir import MACHINE, Code, Real, table_call

# Columns of the widest kernel: two rows of them are accumulators, as many as the registers of AVX2 hold.
COLUMNS = 6
# Chains of multiply-adds that hide their latency, about; with fewer columns several vectors make chains of their own.
_CHAINS = 8


def _dots(module: Any, real: Real, columns: int) -> Any:
    """A micro-kernel: out[2, columns] = alpha * (a @ b) + beta * out, where rows of a and columns of b are contiguous.

    Arguments: count; k; a, a_row, a_next; ahead, ahead_step, ahead_next; b, b_col; out, out_row, out_next; scalars. k
    is at least the lanes of a vector. `scalars` is the address of alpha and beta; with beta 0 out is not read. `count`
    such pairs of rows lie below one another, a_next and out_next apart. Both rows may be one (a_row and out_row 0).
    Memory is prefetched from ahead on, ahead_step bytes for each vector of a row and ahead_next for each pair of rows.

    An element's lanes are chains of every lanes-th product; their sums are added in halves.
    """
    code = Code(module, real, f"dots_{columns}", 14)
    count, k, a, a_row, a_next, *ahead, b, b_col, out, out_row, out_next, scalars = code.function.args
    build = code.b
    alpha, beta, is_fresh = code.scalars(scalars)
    lines = [code.at(code.beyond(b, c, b_col)) for c in range(columns)]

    def pair_of_rows(x: Any) -> None:
        head, first = build.add(a, build.mul(x, a_next)), build.add(out, build.mul(x, out_next))
        rows = [code.at(head), code.at(build.add(head, a_row))]
        targets = [code.at(first), code.at(build.add(first, out_row))]
        places = [code.plus(t, c * real.size) for t in targets for c in range(columns)]
        sums = _halved(code, _lanes(code, k, rows, lines, (build.add(ahead[0], build.mul(x, ahead[2])), ahead[1])))
        with build.if_else(is_fresh) as (fresh, add):
            with fresh:
                for value, place in zip(sums, places, strict=True):
                    code.store(build.fmul(alpha, value), place)
            with add:
                # both rows may be one: all is read before anything is written
                old = [build.fmul(beta, code.load(place, real.type)) for place in places]
                for value, x, place in zip(sums, old, places, strict=True):
                    code.store(code.multiply_add(alpha, value, x), place)

    code.loop(count, pair_of_rows)
    build.ret_void()
    return code.function


def _lanes(code: Code, k: Any, rows: list[Any], lines: list[Any], ahead: tuple[Any, Any]) -> list[Any]:
    """The vectors of partial sums of every row with every line."""
    build, real = code.b, code.real
    whole = build.sdiv(k, code.int(real.lanes))
    chains = max(1, _CHAINS // (len(rows) * len(lines)))
    zero = ir.Constant(real.vector, None)
    sums = [[zero] * (len(rows) * len(lines)) for _ in range(chains)]
    offset = code.int(0)
    if chains > 1:
        times = build.sdiv(whole, code.int(chains))
        offset, sums = _run(code, times, offset, sums, rows, lines, ahead)
        whole = build.sub(whole, build.mul(times, code.int(chains)))
        while len(sums) > 1:
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [[build.fadd(x, y) for x, y in zip(*pair, strict=True)] for pair in pairs]
    _, sums = _run(code, whole, offset, sums, rows, lines, ahead)
    return _rest(code, k, sums[0], rows, lines)


def _run(
    code: Code, times: Any, offset: Any, sums: list[list[Any]], rows: list[Any], lines: list[Any],
    ahead: tuple[Any, Any],
) -> tuple[Any, list[list[Any]]]:  # fmt: skip
    """Add to `sums`, for each of the chains, `times` products of vectors, from `offset` (bytes) on."""
    build, before, real = code.b, code.b.block, code.real
    loop, done = code.block("products"), code.block("summed")
    build.cbranch(build.icmp_signed(">", times, code.int(0)), loop, done)
    build.position_at_end(loop)
    left, at = code.phi(times.type, times, before), code.phi(offset.type, offset, before)
    old = [[code.phi(real.vector, x, before) for x in chain] for chain in sums]
    new = []
    _prefetch(code, at, *ahead)
    for number, chain in enumerate(old):
        here = build.add(at, code.int(number * MACHINE.vector))
        factors = [code.load(code.plus(row, here), real.vector) for row in rows]
        new.append(
            _added(code, factors, lambda line, at=here: code.load(code.plus(line, at), real.vector), lines, chain)
        )
    less, following = build.sub(left, code.int(1)), build.add(at, code.int(len(sums) * MACHINE.vector))
    left.add_incoming(less, loop)
    at.add_incoming(following, loop)
    code.again(build.icmp_signed(">", less, code.int(0)), loop, done)
    build.position_at_end(done)
    end = code.phi(offset.type, offset, before)
    end.add_incoming(following, loop)
    result = []
    for phis, nexts, starts in zip(old, new, sums, strict=True):
        for phi, x in zip(phis, nexts, strict=True):
            phi.add_incoming(x, loop)
        result.append([code.phi(real.vector, start, before) for start in starts])
        for phi, x in zip(result[-1], nexts, strict=True):
            phi.add_incoming(x, loop)
    return end, result


def _prefetch(code: Code, at: Any, start: Any, step: Any) -> None:
    """Prefetch memory from `start` on, `step` bytes for each of the vectors before `at`."""
    vectors = code.b.lshr(at, code.int(MACHINE.vector.bit_length() - 1))
    code.prefetch(code.at(code.b.add(start, code.b.mul(vectors, step))), 2)


def _added(code: Code, factors: list[Any], read: Callable[[Any], Any], lines: list[Any], sums: list[Any]) -> list[Any]:
    """The sums with products added: of one line after the other, each in a register only as long as it is needed."""
    new = list(sums)
    for c, line in enumerate(lines):
        value = read(line)
        for at, factor in zip(range(c, len(sums), len(lines)), factors, strict=True):
            new[at] = code.multiply_add(factor, value, sums[at])
    return new


def _rest(code: Code, k: Any, sums: list[Any], rows: list[Any], lines: list[Any]) -> list[Any]:
    """Add what is left where k is no multiple of the lanes: of the last whole vector, the lanes not counted yet."""
    build, before, real = code.b, code.b.block, code.real
    left = build.srem(k, code.int(real.lanes))
    rest, done = code.block("rest"), code.block("all")
    build.cbranch(build.icmp_signed(">", left, code.int(0)), rest, done)
    build.position_at_end(rest)
    small = ir.IntType(32)
    numbers = ir.Constant(ir.VectorType(small, real.lanes), list(range(real.lanes)))
    counted = build.trunc(build.sub(code.int(real.lanes), left), small)
    undefined = ir.Constant(numbers.type, ir.Undefined)
    one = build.insert_element(undefined, counted, ir.Constant(small, 0))
    wanted = build.icmp_signed(">=", numbers, code.shuffle(one, undefined, [0] * real.lanes))
    zero = ir.Constant(real.vector, None)
    place = build.mul(build.sub(k, code.int(real.lanes)), code.int(real.size))

    # 0 times 0, not times what the lane holds, which may be infinite
    def read(line: Any) -> Any:
        return build.select(wanted, code.load(code.plus(line, place), real.vector), zero)

    new = _added(code, [read(row) for row in rows], read, lines, sums)
    build.branch(done)
    build.position_at_end(done)
    result = [code.phi(real.vector, x, before) for x in sums]
    for phi, x in zip(result, new, strict=True):
        phi.add_incoming(x, rest)
    return result


def _halved(code: Code, vectors: list[Any]) -> list[Any]:
    """The sum of the lanes of each vector: halves are added to halves, those of two vectors at a time."""
    lanes, found = code.real.lanes, []
    for begin in range(0, len(vectors), lanes):
        group, size = vectors[begin : begin + lanes], lanes
        count = len(group)
        while size > 1:
            group = group if len(group) % 2 == 0 else [*group, group[-1]]
            low = [v * lanes + start + i for v in (0, 1) for start in range(0, lanes, size) for i in range(size // 2)]
            high = [i + size // 2 for i in low]
            pairs = zip(group[::2], group[1::2], strict=True)
            group = [code.b.fadd(code.shuffle(x, y, low), code.shuffle(x, y, high)) for x, y in pairs]
            size //= 2
        found += [code.b.extract_element(group[0], ir.Constant(ir.IntType(32), i)) for i in range(count)]
    return found


def _shape(columns: int) -> Any:
    return lambda module, real: _dots(module, real, columns)


# dots(columns - 1, ...)
CALL_DOTS = table_call("dots", [_shape(c) for c in range(1, COLUMNS + 1)], _dots.__doc__)
