"""What the compiler makes of CUDA kernels, run instruction by instruction, gives what the simulator gives.

The simulator knows intrinsics only by their Python twins, and Numba's typing not at all; the PTX has both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda, int8, int64
from numgraph.kernels.cuda.names import KERNELS
from numgraph.kernels.support import floor_div_int, power_int, to_int32, to_uint64

from numgraph.cuda import compiler
from numgraph.cuda.simulator import simulate
from tests.cuda_run import empty, run
from tests.ptx_run import run_ptx

pytestmark = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))


def draw(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


ONE, ZERO = np.float32(1), np.float32(0)
PRODUCT = dict(m=17, n=19, k=6, a_row=6, a_col=1, b_row=19, b_col=1, out_row=19, alpha=ONE, beta=np.float32(0.5))
STEP = dict(m=7, n=9, k=11, a_row=11, a_col=1, b_row=9, b_col=1, out_row=9, alpha=ONE, beta=np.float32(0.5))
WHOLE = dict(m=16, n=16, k=8, a_row=8, a_col=1, b_row=16, b_col=1, out_row=16, alpha=ONE, beta=ZERO)
# Two images of two channels of 4 x 5 pixels, three filters of 3 x 2, a margin of one pixel, steps of two.
IMAGES = dict(images=2, groups=1, c=2, k=3, depth=1, height=4, width=5, kd=1, kh=3, kw=2, od=1, oh=2, ow=3, sd=1, sh=2,
              sw=2, dd=1, dh=1, dw=1, bd=0, bh=1, bw=1)  # fmt: skip


# What each kernel gets; arrays that it writes begin as they are here.
CASES: dict[str, dict[str, Any]] = {
    "product": dict(out=draw(17, 19, seed=2), a=draw(17, 6), b=draw(6, 19, seed=1), **PRODUCT),
    "product_b_along": dict(out=draw(17, 19, seed=2), a=draw(17, 6), b=draw(6, 19, seed=1),
                            **PRODUCT | dict(b_row=1, b_col=6)),
    "product_a_across": dict(out=draw(17, 19, seed=2), a=draw(17, 6), b=draw(6, 19, seed=1),
                             **PRODUCT | dict(a_row=1, a_col=17)),
    "product_whole_tiles": dict(out=empty((16, 16)), a=draw(16, 8), b=draw(8, 16, seed=1), **WHOLE),
    "skinny_product": dict(out=empty((5, 3)), x=draw(5, 70), w=draw(70, 3), m=5, k=70, x_row=70, w_row=3, w_col=1,
                           out_row=3, alpha=ONE, beta=ZERO),
    "skinny_contraction": dict(out=draw(9, 3, seed=2), x=draw(21, 9), d=draw(21, 3, seed=1), m=21, k=9, part=21,
                               x_row=9, d_row=3, out_row=3, out_part=0, alpha=-ONE, beta=ONE),
    "product_of_step": dict(out=draw(7, 9, seed=2), a=draw(7, 11), b=draw(11, 9, seed=1), **STEP),
    "product_of_step_along": dict(out=draw(7, 9, seed=2), a=draw(7, 11), b=draw(9, 11, seed=1),
                                  **STEP | dict(b_row=1, b_col=11)),
    "convolution": dict(out=empty((2, 3, 2, 3)), x=draw(2, 2, 4, 5), w=draw(3, 2, 3, 2, seed=1), **IMAGES),
    "convolution_images": dict(out=empty((2, 2, 4, 5)), g=draw(2, 3, 2, 3), w=draw(3, 2, 3, 2, seed=1), **IMAGES),
    "convolution_filters": dict(out=empty((2, 1, 12, 3)), x=draw(2, 2, 4, 5), g=draw(2, 3, 2, 3, seed=1), parts=2,
                                **IMAGES),
    "scan_rows": dict(out=empty((2, 37)), totals=empty((2, 2)), x=draw(2, 37), rows=2, length=37),
    "scan_carry": dict(out=draw(2, 37), totals=draw(2, 2, seed=1), rows=2, length=37, chunks=2),
    "scan_columns": dict(out=empty((2, 7, 5)), x=draw(2, 7, 5), outer=2, length=7, inner=5),
    "sort_blocks": dict(keys=empty((10, 13)), ids=empty((10, 13), "int64"), x=np.rint(draw(2, 13, 5)), outer=2,
                        length=13, inner=5),
    "sort_merge": dict(new_keys=empty((1, 13)), new_ids=empty((1, 13), "int64"), lines=1, length=13, width=8,
                       keys=np.array([[1, 1, 2, 3, 3, 5, 9, np.nan, 0, 1, 3, np.inf, np.nan]], "float32"),
                       ids=np.arange(13)[None]),
    "transpose": dict(out=empty((2, 11, 9)), x=draw(2, 9, 11), batches=2, rows=9, columns=11),
}  # fmt: skip


def copied(case: dict[str, Any]) -> dict[str, Any]:
    return {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in case.items()}


@pytest.mark.parametrize("name", CASES)
def test_compiled_kernels_do_what_their_source_says(name: str) -> None:
    dtype = KERNELS[name].dtypes[0]
    simulated, executed = copied(CASES[name]), copied(CASES[name])
    run(name, dtype, **simulated)
    run(name, dtype, compiled=True, **executed)
    for key, want in simulated.items():
        if isinstance(want, np.ndarray):
            np.testing.assert_allclose(executed[key], want, rtol=3e-6, atol=1e-6, err_msg=key)
    changed = [key for key, value in executed.items() if not np.array_equal(value, CASES[name][key], equal_nan=True)]
    assert changed, "nothing was written"


def test_every_kernel_has_a_case() -> None:
    # the large product has the same text as the small one, with other sizes
    assert set(KERNELS) - set(CASES) == {"product_large"}


def test_float64_too() -> None:
    case = CASES["skinny_product"]
    arguments = {k: v.astype("float64") if isinstance(v, np.ndarray | np.floating) else v for k, v in case.items()}
    run("skinny_product", "float64", compiled=True, **arguments)
    np.testing.assert_allclose(arguments["out"], arguments["x"] @ arguments["w"], rtol=1e-13)


def ends(out, x, y, z):
    i = cuda.threadIdx.x
    out[8 * i] = x[i] - y[i] < 0
    out[8 * i + 1] = x[i] + 1 > x[i]
    out[8 * i + 2] = floor_div_int(x[i] * 2, 2)
    out[8 * i + 3] = floor_div_int(x[i], y[i])
    out[8 * i + 4] = power_int(x[i], 3)
    out[8 * i + 5] = to_int32(z[i])
    out[8 * i + 6] = int8(to_int32(z[i]))
    out[8 * i + 7] = int64(to_uint64(z[i]))


def test_integers_wrap_and_casts_have_values() -> None:
    """Without care LLVM is told that signed integers never overflow."""
    high = 2**63 - 1
    x, y = np.array([high, -high - 1, 3, -7]), np.array([-high - 1, -1, 0, 2])
    z = np.array([np.nan, -200.0, 3e19, 1.5e19], np.float32)
    simulated, executed = np.zeros(32, np.int64), np.zeros(32, np.int64)
    simulate(ends, 1, 4, (simulated, x, y, z))
    cubin = compiler.compile_cubin(ends, ("int64*", "int64*", "int64*", "float32*"), (9, 0))
    run_ptx(cubin.ptx, (1, 1, 1), (4, 1, 1), [executed, x, y, z])
    np.testing.assert_array_equal(executed, simulated)
    with np.errstate(all="ignore"):
        wanted = [x - y < 0, x + 1 > x, x * 2 // 2, x // y, x**3]
    np.testing.assert_array_equal(executed.reshape(4, 8)[:, :5].T, wanted)
    low = -(2**31)
    assert executed.reshape(4, 8)[:, 5].tolist() == [low, -200, low, low]
    assert executed.reshape(4, 8)[:, 6].tolist() == [0, 56, 0, 0]
    assert executed.reshape(4, 8)[:, 7].tolist() == [-(2**63), -200, 0, int(z[3]) - 2**64]
