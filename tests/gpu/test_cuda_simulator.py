"""The simulator of CUDA kernels: results of barriers and shuffles, and every mistake that it finds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numba import cuda, float32, int8, int32, int64
from numgraph.kernels.cuda.together import all_blocks

import numgraph as ng
from numgraph.cuda import compiler
from numgraph.cuda.simulator import Offset, simulate
from numgraph.errors import IndexOutOfRange, KernelError
from tests.ptx_run import run_ptx


def scaled(out, x, factor, n):
    i = cuda.grid(1)
    if i < n:
        out[i] = factor * x[i] + float32(1.0)


def block_sum(out, x):
    cells = cuda.shared.array(16, float32)
    t = cuda.threadIdx.x
    cells[t] = x[cuda.blockIdx.x * 16 + t]
    cuda.syncthreads()
    half = 8
    while half > 0:
        if t < half:
            cells[t] += cells[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        out[cuda.blockIdx.x] = cells[0]


def warp_total(value):
    step = 16
    while step > 0:
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, step)
        step //= 2
    return value


def warp_sums(out, x):
    total = warp_total(x[cuda.threadIdx.x])
    if cuda.laneid == 0:
        out[cuda.threadIdx.x // 32] = total


def test_elements() -> None:
    x = np.arange(21, dtype="float32")
    out = np.full(21, np.nan, "float32")
    simulate(scaled, 3, 8, (out, x, np.float32(2), 21))
    np.testing.assert_array_equal(out, 2 * x + 1)


def test_barriers_and_shared_memory() -> None:
    x = np.arange(48, dtype="float32")
    out = np.full(3, np.nan, "float32")
    simulate(block_sum, 3, 16, (out, x))
    np.testing.assert_array_equal(out, x.reshape(3, 16).sum(1))


def test_shuffles_in_a_helper() -> None:
    x = np.arange(64, dtype="float32")
    out = np.full(2, np.nan, "float32")
    simulate(warp_sums, 1, 64, (out, x))
    np.testing.assert_array_equal(out, x.reshape(2, 32).sum(1))


def positions(out):
    x, y, z = cuda.grid(3)
    out[(z * 4 + y) * 6 + x] = cuda.blockIdx.x + 10 * cuda.threadIdx.y + 100 * cuda.gridDim.x


def test_positions_in_three_axes() -> None:
    out = np.full((5, 4, 6), -1)
    simulate(positions, (2, 2, 5), (3, 2), (out,))
    _, y, x = np.indices((5, 4, 6))
    np.testing.assert_array_equal(out, x // 3 + 10 * (y % 2) + 200)


def warp_calls(out, x):
    t = cuda.threadIdx.x
    out[t] = cuda.shfl_down_sync(0xFFFFFFFF, x[t], 1)
    out[32 + t] = cuda.shfl_up_sync(0xFFFFFFFF, x[t], 2)
    out[64 + t] = cuda.shfl_sync(0xFFFFFFFF, x[t], 5)
    out[96 + t] = cuda.ballot_sync(0xFFFFFFFF, x[t] < 3)
    out[128 + t] = cuda.any_sync(0xFFFFFFFF, x[t] > 30) + 2 * cuda.all_sync(0xFFFFFFFF, x[t] > 0)
    out[160 + t] = cuda.syncthreads_count(x[t] > 10)
    out[192 + t] = cuda.syncthreads_or(x[t] > 40) + 2 * cuda.syncthreads_and(x[t] < 40)


def test_calls_of_warps_and_blocks() -> None:
    out = np.full((7, 32), -1)
    x = np.arange(32)
    simulate(warp_calls, 1, 32, (out, x))
    want = [np.minimum(x + 1, 31), np.where(x < 2, x, x - 2), 5, 7, 1, 21, 2]
    np.testing.assert_array_equal(out, np.stack([np.broadcast_to(w, 32) for w in want]))


def squares(out, n):
    # 8 bytes hold whatever two int32 make
    out[0] = n * n
    out[1] = n


def test_integers_have_64_bits_and_wrap_when_they_are_stored() -> None:
    out, small = np.zeros(2, "int64"), np.zeros(2, "int16")
    simulate(squares, 1, 1, (out, np.int32(70_000)))
    simulate(squares, 1, 1, (small, np.int32(70_000)))
    assert out.tolist() == [4_900_000_000, 70_000]
    assert small.tolist() == out.astype("int16").tolist()


def functions(out, x):
    out[0] = math.exp(x[0])
    out[1] = math.log(x[1])
    out[2] = math.sqrt(x[2])
    out[3] = math.erf(x[3])
    out[4] = math.lgamma(x[1])
    out[5] = float32(1.0) / x[1]


def test_literals_divide_as_floats_of_a_device() -> None:
    def kernel(out):
        zero = 0.0
        out[0] = 0.0 / 0.0
        out[1] = 2.0 / zero
        out[2] = zero - 1.5

    out = np.zeros(3)
    simulate(kernel, 1, 1, [out])
    np.testing.assert_array_equal(out, [np.nan, np.inf, -1.5])
    x = ng.matrix("x")
    zeros = ng.zeros_like(x)
    got = ng.function([x], [zeros, zeros / zeros, 1 / zeros], target="cuda-sim")(np.ones((1, 2)))
    assert [np.asarray(v).tolist() for v in got[:1]] == [[[0, 0]]]
    assert np.isnan(got[1]).all() and np.isinf(got[2]).all()


def test_functions_raise_nothing() -> None:
    x = np.array([1000, 0, -1, np.inf], "float32")
    out = np.zeros(6, "float32")
    simulate(functions, 1, 1, (out, x))
    np.testing.assert_array_equal(out, [np.inf, -np.inf, np.nan, 1, np.inf, np.inf])


def narrow(out, n):
    out[int32(n * n)] = 1.0


def test_an_offset_that_int32_does_not_hold() -> None:
    with pytest.raises(IndexOutOfRange, match=r"out\[605032704\] is outside"):
        simulate(narrow, 1, 1, (np.zeros(2), 70_000))


def integers(out, x):
    out[0], out[1], out[2] = x[0] + 1, x[0] * 2, -(x[0] + 1)
    out[3] = int64(x[0] + 1 < x[0])
    out[4] = int64(int8(x[0] + 1)) + int64(int32(2**31 + x[1])) * 2
    out[5] = (x[0] + x[0]) // 2
    out[6] = abs(x[0] + 1)
    out[7] = (1 - x[0] - 3) // 2


def test_integers_wrap() -> None:
    x, out = np.array([2**63 - 1, 5]), np.zeros(8, np.int64)
    simulate(integers, 1, 1, (out, x))
    low = -(2**63)
    assert out.tolist() == [low, -2, low, 1, -(2**32) + 10, -1, low, 2**62 - 1]


@pytest.mark.parametrize(
    "computed",
    [
        lambda x: (x >> 2) * (x >> 2),
        lambda x: (x | x) * (x & x),
        lambda x: (x ^ 3) * x,
        lambda x: ~x * ~x,
        lambda x: (x // 3) * x,
        lambda x: (x % 1000003) * x * x,
        lambda x: ng.where(x > 5, np.int64(2**63 - 1), 3) + 1,
        lambda x: ng.minimum(x, np.int64(2**62)) * 4,
        lambda x: ng.max(x) * ng.sum(x) * x,
    ],
)
def test_every_operation_gives_integers_that_wrap(computed: Callable[[ng.Variable], ng.Variable]) -> None:
    """As an operand inside an expression, where nothing cuts it to its bits."""
    x = ng.vector("x", "int64")
    y = computed(x) / (computed(x) * 3 + 1)
    given = np.array([9007199254740993, 7, -(2**61) + 5, 3**38], np.int64)
    wanted, got = (ng.function([x], y, target=target)(given) for target in ("reference", "cuda-sim"))
    np.testing.assert_array_equal(np.asarray(got), wanted)


def test_offsets_beyond_32_bits() -> None:
    def copy(out, x, begin):
        out[cuda.threadIdx.x] = x[begin + cuda.threadIdx.x]

    out = np.zeros(4)
    simulate(copy, 1, 4, (out, Offset(np.arange(4.0), 2**33), 2**33))
    np.testing.assert_array_equal(out, np.arange(4.0))
    with pytest.raises(IndexOutOfRange, match=r"x\[0\] is outside of its elements 8589934592..8589934595"):
        simulate(copy, 1, 4, (out, Offset(np.arange(4.0), 2**33), 0))


def shifted(out, x, by):
    i = cuda.grid(1)
    out[i] = x[i + by]


@pytest.mark.parametrize(("by", "index"), [(-1, -1), (1, 4)])
def test_indices_outside(by: int, index: int) -> None:
    message = rf"x\[{index}\] is outside of its elements 0..3\n  in shifted, block \(\d, 0, 0\), thread"
    with pytest.raises(IndexOutOfRange, match=message):
        simulate(shifted, 2, 2, (np.zeros(4), np.zeros(4), by))


def shared_index(out, at):
    cells = cuda.shared.array((2, 3), float32)
    cells[1, at] = float32(1.0)


@pytest.mark.parametrize("at", [-1, 3])
def test_indices_outside_of_shared_memory(at: int) -> None:
    with pytest.raises(IndexOutOfRange, match=r"outside of its elements \[2, 3\]"):
        simulate(shared_index, 1, 1, (np.zeros(1), at))


def no_barrier(out, x):
    cells = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    cells[t] = x[t]
    out[t] = cells[7 - t]


def late_barrier(out, x):
    cells = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    cells[t] = x[t]
    cuda.syncthreads()
    out[t] = cells[7 - t]
    cells[t] = float32(0.0)
    cuda.syncthreads()


def unwritten(out, x):
    cells = cuda.shared.array(9, float32)
    cells[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    out[cuda.threadIdx.x] = cells[8]


def between_blocks(out, x):
    t = cuda.grid(1)
    out[t] = x[t]
    if t > 3:
        out[t] = out[t - 4]


def in_place(out, x):
    t = cuda.grid(1)
    out[(t + 1) % 8] = out[t] + x[t]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (no_barrier, "is read by no_barrier|is read before it is written"),
        (late_barrier, r"is (read|written) by late_barrier.*\n  and (read|written) by"),
        (unwritten, r"\[8\] is read before it is written"),
        (between_blocks, "is read by between_blocks.*\n  and written by block"),
        (in_place, "is (read|written) by in_place.*\n  and (read|written) by"),
    ],
)
def test_races(kernel, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        simulate(kernel, 2 if kernel is between_blocks else 1, 4 if kernel is between_blocks else 8,
                 (np.zeros(8, "float32"), np.ones(8, "float32")))  # fmt: skip


def test_one_value_from_many_threads_is_no_race() -> None:
    def flag(out):
        out[0] = 1.0

    out = np.zeros(1)
    simulate(flag, 2, 8, (out,))
    assert out[0] == 1


def diverging(out, n):
    if cuda.threadIdx.x < n:
        cuda.syncthreads()
    out[cuda.threadIdx.x] = 1.0


def half_a_warp(out, n):
    if cuda.threadIdx.x >= n:
        out[cuda.threadIdx.x] = cuda.shfl_xor_sync(0xFFFFFFFF, 1.0, 1)


@pytest.mark.parametrize(("kernel", "group"), [(diverging, "block"), (half_a_warp, "warp")])
def test_threads_that_do_not_meet(kernel, group: str) -> None:
    with pytest.raises(KernelError, match=f"threads of a {group} do not meet at one barrier\n.*has ended|at "):
        simulate(kernel, 1, 64, (np.zeros(64), 33))


def test_lanes_that_are_not_there() -> None:
    with pytest.raises(KernelError, match="lane 8 is not in the block"):
        simulate(warp_calls, 1, 8, (np.zeros(224), np.zeros(8)))


def test_names_that_are_not_simulated() -> None:
    def clock(out):
        out[0] = cuda.nanosleep(1)

    with pytest.raises(KernelError, match=r"cuda\.nanosleep is not simulated"):
        simulate(clock, 1, 1, (np.zeros(1),))


def test_arguments_and_grids_are_checked() -> None:
    with pytest.raises(KernelError, match=r"shifted takes 3 arguments \(out, x, by\), not 2"):
        simulate(shifted, 1, 1, (np.zeros(1), np.zeros(1)))
    with pytest.raises(KernelError, match="1 to 3 lengths"):
        simulate(shifted, 0, 1, (np.zeros(1), np.zeros(1), 0))
    with pytest.raises(KernelError, match="a pointer goes to adjoining elements"):
        simulate(shifted, 1, 1, (np.zeros((2, 2)).T, np.zeros(1), 0))


def test_dynamic_shared_memory() -> None:
    def reverse(out, x, n):
        cells = cuda.shared.array(0, float32)
        t = cuda.threadIdx.x
        cells[t] = x[t]
        cuda.syncthreads()
        out[t] = cells[n - 1 - t]

    out, x = np.zeros(8, "float32"), np.arange(8, dtype="float32")
    simulate(reverse, 1, 8, (out, x, 8), shared_bytes=32)
    np.testing.assert_array_equal(out, x[::-1])
    with pytest.raises(IndexOutOfRange):
        simulate(reverse, 1, 8, (out, x, 8), shared_bytes=28)


# -- barriers of all blocks -------------------------------------------------------------------------------------------


def neighbours(out, x, barrier, n, steps):
    t = 0
    while t < steps:
        i = cuda.grid(1)
        while i < n:
            out[i] = x[(i + 1) % n] + 1
            i += cuda.gridsize(1)
        all_blocks(barrier)
        i = cuda.grid(1)
        while i < n:
            x[i] = out[(i + 1) % n]
            i += cuda.gridsize(1)
        all_blocks(barrier)
        t += 1


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_all_blocks_wait_for_one_another(blocks: int) -> None:
    x, out, barrier = np.arange(10, dtype="float32"), np.zeros(10, "float32"), np.zeros(1, "uint32")
    simulate(neighbours, blocks, 4, (out, x, barrier, 10, 3))
    np.testing.assert_array_equal(x, np.roll(np.arange(10), -6) + 3)


@pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
def test_the_barrier_of_a_device() -> None:
    """The word of a barrier may be used by any number of blocks after the other."""
    cubin = compiler.compile_cubin(neighbours, ("float32*", "float32*", "uint32*", "int64", "int64"), (9, 0))
    barrier = np.zeros(1, "uint32")
    for blocks in (3, 1, 2, 3):
        x, out = np.arange(10, dtype="float32"), np.zeros(10, "float32")
        # an odd number of barriers each time
        run_ptx(cubin.ptx, (blocks, 1, 1), (4, 1, 1), [out, x, barrier, 10, 3])
        np.testing.assert_array_equal(x, np.roll(np.arange(10), -6) + 3)
        assert barrier[0] & 0x7FFFFFFF == 0


def one_more(out, x, barrier, n):
    all_blocks(barrier)
    if cuda.blockIdx.x == 0:
        all_blocks(barrier)


def one_less(out, x, barrier, n):
    i = cuda.grid(1)
    out[i] = 1
    all_blocks(barrier)
    x[i] = out[(i + 4) % n]
    out[i] = 2


@pytest.mark.parametrize(("kernel", "words"), [(one_more, "do not meet at one barrier"), (one_less, "with no barrier")])
def test_barriers_of_all_blocks_that_are_wrong(kernel: Callable[..., None], words: str) -> None:
    x = np.zeros(8, "float32")
    with pytest.raises(KernelError, match=words):
        simulate(kernel, 2, 4, (x.copy(), x, np.zeros(1, "uint32"), 8))
