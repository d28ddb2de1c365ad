"""Convolutions on a device: the kernels against plain loops, programs against the reference, and the code of both."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import numgraph as ng
from numgraph.cuda import compiler
from numgraph.cuda.loading import loaded
from numgraph.cuda.passes import printed_for_grid
from numgraph.cuda.simulator import Offset
from numgraph.emit.gridmodule import GridModule
from numgraph.loops.grid.kernel import Geometry, Kernel, flat
from tests.cuda_run import empty, run
from tests.ptx import Program, instructions, occupancy
from tests.runtime.test_convolutions import SHAPES, Case

NAMES = "images groups c k depth height width kd kh kw od oh ow sd sh sw dd dh dw bd bh bw".split()
TILES = [{}, {"tile_m": 4, "thread_n": 1}, {"tile_n": 4, "thread_n": 1}]
# what takes the simulator long, and reaches nothing on a device that others do not
SMALL = {name: shape for name, shape in SHAPES.items() if shape["c"] * shape["k"] < 100}
# more than a table holds, in both directions
SMALL["many channels"] = {"images": 2, "c": 7, "k": 20, "image": (1, 5, 4), "window": (1, 2, 3), "low": (0, 1, 0)}
SMALL["steps and groups"] = {
    "images": 5, "groups": 2, "c": 3, "k": 2, "image": (1, 7, 9), "window": (1, 3, 2), "low": (0, 0, 1),
    "stride": (1, 3, 2), "dilation": (1, 2, 3),
}  # fmt: skip
SMALL["a step longer than the filter"] = {
    "c": 2, "k": 3, "image": (1, 8, 7), "window": (1, 1, 2), "stride": (1, 3, 4), "dilation": (1, 1, 2)
}  # fmt: skip
FAR = 2**33


def axes_of(case: Case) -> int:
    """How many axes are not of length 1, or all behind them."""
    trivial = [a == b == c == 1 and low == 0 for a, b, c, low in zip(case.image, case.window, case.result, case.low,
                                                                      strict=True)]  # fmt: skip
    return 3 if not trivial[0] else 2 if not trivial[1] else 1


def made(case: Case, dtype: str, sizes: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What each kernel makes of a case, with what plain loops make."""
    given = {"axes": axes_of(case), "stride": case.stride, "dilation": case.dilation, **sizes}
    x, w, g = (v.astype(dtype) for v in (case.x, case.w, case.g))
    out, dx, dw = case.plain()
    numbers = dict(zip(NAMES, case.sizes, strict=True))
    within = not any((*case.low, *case.high))
    if out.size:
        found = empty(out.shape, dtype)
        run("convolution", dtype, sizes={**given, "inside": within}, out=found, x=x, w=w, **numbers)
        yield found, out
    if dx.size:
        found = empty(dx.shape, dtype)
        same = case.window == (1, 1, 1) == case.stride and within
        run("convolution_images", dtype, sizes={**given, "inside": same}, out=found, g=g, w=w, **numbers)
        yield found, dx
    if dw.size:
        parts = min(max(case.images // 2, 1), 16)
        found = empty((parts, case.groups, case.c * math.prod(case.window), case.k), dtype)
        run(
            "convolution_filters", dtype, sizes={**given, "inside": within}, out=found, x=x, g=g, parts=parts, **numbers
        )
        yield case.summed(found), dw


@pytest.mark.parametrize("name", SMALL)
def test_kernels(name: str) -> None:
    for found, wanted in made(Case(**SMALL[name]), "float32", {}):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("tile", TILES[1:])
@pytest.mark.parametrize("name", ["margins", "steps", "groups", "one line"])
def test_kernels_in_narrow_tiles(name: str, tile: dict[str, Any]) -> None:
    for found, wanted in made(Case(**SMALL[name]), "float64", tile):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["few pixels", "patches are the image", "margins"])
def test_kernels_that_know_less(name: str) -> None:
    """Three axes, and margins that may be there."""
    case = Case(**SMALL[name])
    sizes = dict(axes=3, stride=case.stride, dilation=case.dilation)
    numbers = dict(zip(NAMES, case.sizes, strict=True))
    found, wanted = empty(case.g.shape, "float64"), case.plain()
    run("convolution", "float64", sizes=sizes, out=found, x=case.x, w=case.w, **numbers)
    np.testing.assert_array_equal(found, wanted[0])
    back = empty(case.x.shape, "float64")
    run("convolution_images", "float64", sizes=sizes, out=back, g=case.g, w=case.w, **numbers)
    np.testing.assert_array_equal(back, wanted[1])


def test_images_far_behind() -> None:
    """The last of many images, behind 2^33 elements."""
    case = Case(images=1, c=1, k=2, image=(1, 4, 4), window=(1, 3, 3), low=(0, 1, 1), high=(0, 1, 1))
    images = FAR // 16 + 1
    numbers = dict(zip(NAMES, case.sizes, strict=True)) | {"images": images}
    sizes = dict(axes=2, stride=case.stride, dilation=case.dilation)
    x, w, g = (v.astype("float32") for v in (case.x, case.w, case.g))
    want, back, _ = case.plain()
    found, last = empty(want.shape), (images - 1, 0, 0)
    run("convolution", origin=last, sizes=sizes, out=Offset(found, 2 * FAR), x=Offset(x, FAR), w=w, **numbers)
    np.testing.assert_array_equal(found, want)
    made = empty(back.shape)
    run("convolution_images", origin=last, sizes=sizes, out=Offset(made, FAR), g=Offset(g, 2 * FAR), w=w, **numbers)
    np.testing.assert_array_equal(made, back)


# -- programs ----------------------------------------------------------------------------------------------------------


def both(x: Any, w: Any, fixed: bool, where: str, **options: Any) -> list[Any]:
    """A convolution and its gradients on a target. fixed: whether the filters' lengths are known."""
    a = ng.tensor("x", str(x.dtype), (None,) * x.ndim)
    b = ng.tensor("w", str(w.dtype), w.shape if fixed else (None,) * w.ndim)
    y = {3: ng.conv1d, 4: ng.conv2d, 5: ng.conv3d}[x.ndim](a, b, **options)
    f = ng.function([a, b], [y, *ng.grad(ng.sum(y * y), [a, b])], target=where)
    return [np.asarray(v) for v in f(x, w)]


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_drawn_convolutions(data: st.DataObject) -> None:
    """Along one to three axes, of any steps, margins and groups, down to no image at all."""
    few = st.integers(1, 3)
    count, groups, fixed = data.draw(few, "axes"), data.draw(st.integers(1, 2), "groups"), data.draw(st.booleans())
    window, stride, dilation, padding, extra = (
        [data.draw(s) for _ in range(count)]
        for s in (few, few, st.integers(1, 2), st.integers(0, 2), st.integers(0, 3))
    )
    image = [max((k - 1) * d + 1 - 2 * p, 1) + e for k, d, p, e in zip(window, dilation, padding, extra, strict=True)]
    assume(math.prod(image) <= 40)
    images, c, k = (data.draw(st.integers(least, 2)) for least in (0, 0, 1))
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (images, groups * c, *image))
    w = rng.uniform(-1, 1, (groups * k, c, *window))
    options = dict(padding=padding, stride=stride, dilation=dilation, groups=groups)
    found, wanted = both(x, w, fixed, "cuda-sim", **options), both(x, w, fixed, "reference", **options)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", ["C", "turned", "part"])
def test_operands_that_are_not_side_by_side(order: str) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4, 2, 5, 6)).astype("float32"), rng.normal(size=(3, 2, 2, 3)).astype("float32")

    def result(where: str) -> Any:
        s = ng.shared(x, "x")
        a = {"C": s, "turned": ng.transpose(s, (0, 1, 3, 2)), "part": s[1:3, :, ::2]}[order]
        y = ng.conv2d(a, ng.shared(w, "w"))
        return np.asarray(ng.function([], y, target=where)())

    np.testing.assert_allclose(result("cuda-sim"), result("reference"), rtol=1e-5, atol=1e-5)


def test_nothing_outside_of_an_image_counts() -> None:
    """Infinities and NaN are where their pixels are met, and nowhere else."""
    x = np.ones((2, 1, 4, 5), "float32")
    x[0, 0, 3, 4], x[1, 0, 0, 0] = np.inf, np.nan
    w = np.ones((1, 1, 2, 2), "float32")
    found, wanted = (
        np.asarray(ng.function([], ng.conv2d(ng.shared(x), ng.shared(w), padding=1), target=where)())
        for where in ("cuda-sim", "reference")
    )
    np.testing.assert_array_equal(found, wanted)


def network(where: str, batch: int = 2) -> tuple[ng.Function, list[Any]]:
    """A training step of two convolutions, with the minibatch taken from shared images."""
    rng = np.random.default_rng(3)

    def drawn(name: str, *shape: int) -> Any:
        return ng.shared((0.3 * rng.normal(size=shape)).astype("float32"), name)

    data, index = drawn("data", 6, 1, 9, 8), ng.lscalar("index")
    w1, b1, w2, w3 = drawn("w1", 3, 1, 3, 3), drawn("b1", 3), drawn("w2", 2, 3, 2, 2), drawn("w3", 2 * 2 * 2, 3)
    x = ng.tensor("x", "float32", (None,) * 4)
    h = ng.tanh(ng.pool2d(ng.conv2d(x, w1), 2) + b1[:, None, None])
    h = ng.relu(ng.conv2d(h, w2))
    p = ng.log_softmax(ng.dot(ng.reshape(h, (-1, 8)), w3))
    cost = -ng.mean(p[:, 1])
    params = [w1, b1, w2, w3]
    updates = [(v, v - np.float32(0.5) * g) for v, g in zip(params, ng.grad(cost, params), strict=True)]
    window = data[index * batch : (index + 1) * batch]
    return ng.function([index], cost, updates=updates, givens={x: window}, target=where), params


def test_training_in_calls_and_in_a_sweep() -> None:
    steps = [0, 2, 1]
    f, params = network("cpu")
    costs = [float(f(k)) for k in steps]
    wanted = [p.get_value() for p in params]
    for how in ("calls", "sweep"):
        f, params = network("cuda-sim")
        found = [float(f(k)) for k in steps] if how == "calls" else np.asarray(f.sweep(index=steps)).tolist()
        np.testing.assert_allclose(found, costs, rtol=1e-4)
        for p, value in zip(params, wanted, strict=True):
            np.testing.assert_allclose(p.get_value(), value, rtol=1e-3, atol=1e-5)


def test_another_batch_is_the_same_program() -> None:
    x, w = ng.tensor("x", "float32", (None, 1, 5, 5)), ng.shared(np.ones((2, 1, 3, 3), "float32"), "w")
    f = ng.function([x], ng.conv2d(x, w, stride=2), target="cuda-sim")
    g = ng.function([x], ng.conv2d(x, w, stride=2), target="reference")
    for images in (1, 3, 0, 7):
        batch = np.random.default_rng(images).normal(size=(images, 1, 5, 5)).astype("float32")
        np.testing.assert_allclose(np.asarray(f(batch)), g(batch), rtol=1e-5, atol=1e-6)
    assert len(f.executor.variants) == 1


# -- what goes on with a convolution's blocks ------------------------------------------------------------------------


def kinds(f: ng.Function) -> list[str]:
    """How the kernels of a function are divided, on a card."""
    return [k.kind for stage in printed_for_grid(f.program, Geometry()).module.kernels for k in flat(stage)]


def activated(where: str, count: int, groups: int = 1, **options: Any) -> ng.Function:
    """A bias and an activation of a convolution along some axes, and an update that has nothing to do with it."""
    rng = np.random.default_rng(count)
    x = ng.tensor("x", "float32", (None, 2 * groups, *(None,) * count))
    w = ng.shared(rng.normal(size=(3 * groups, 2, *(3, 2, 2)[:count])).astype("float32"), "w")
    b, c = ng.shared(rng.normal(size=3 * groups).astype("float32"), "b"), ng.shared(np.ones(5, "float32"), "c")
    y = [ng.conv1d, ng.conv2d, ng.conv3d][count - 1](x, w, groups=groups, **options)
    h = ng.tanh(y + ng.reshape(b, (-1, *(1,) * count)))
    return ng.function([x], [h, h * y], updates=[(c, c * 2)], target=where)


@pytest.mark.parametrize(
    ("count", "options"), [(1, {}), (2, {}), (2, {"groups": 2, "padding": 1}), (2, {"stride": 2}), (3, {})]
)
def test_blocks_go_on(count: int, options: dict[str, Any]) -> None:
    """Elements of a tile, the last of which is not full, for some images, one, and none."""
    f, g = activated("cuda-sim", count, **options), activated("reference", count, **options)
    assert kinds(f) == ["kernel, flat"]
    for images in (3, 1, 0):
        shape = (images, 2 * options.get("groups", 1), *(5, 4, 3)[:count])
        x = np.random.default_rng(images).normal(size=shape).astype("float32")
        for found, wanted in zip(f(x), g(x), strict=True):
            np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-4, atol=1e-5)


def test_what_reads_other_elements_waits() -> None:
    x = ng.tensor("x", "float32", (None, 1, 6, 6))
    y = ng.conv2d(x, ng.shared(np.ones((2, 1, 3, 3), "float32"), "w"))
    f = ng.function([x], y + ng.transpose(y, (0, 1, 3, 2)), target="cuda-sim")
    assert kinds(f) == ["kernel", "flat"]
    images = np.random.default_rng(0).normal(size=(2, 1, 6, 6)).astype("float32")
    g = ng.function([x], y + ng.transpose(y, (0, 1, 3, 2)), target="reference")
    np.testing.assert_allclose(np.asarray(f(images)), g(images), rtol=1e-5, atol=1e-5)


# -- code ----------------------------------------------------------------------------------------------------------


def layer(
    channels: int, filters: int, pixels: int, side: int, dtype: str = "float32", known: bool = True, **options: Any
) -> GridModule:
    """The kernels of a layer and its gradients, with the tiles of a device."""
    shape = (None, channels, pixels, pixels) if known else (None,) * 4
    x = ng.tensor("x", dtype, shape)
    w = ng.shared(np.zeros((filters, channels // options.get("groups", 1), side, side), dtype), "w")
    y = ng.conv2d(x, w, **options)
    gx, gw = ng.grad(ng.sum(y * y), [x, w])
    f = ng.function([x], [y, gx], updates=[(w, w - gw)], target="cuda-sim")
    return printed_for_grid(f.program, Geometry()).module


def convolutions(module: GridModule) -> list[Kernel]:
    """The kernels of convolutions, and what goes on with their blocks."""
    return [k for stage in module.kernels for k in flat(stage) if "kernel" in k.shapes]


LAYERS: dict[str, Callable[[], GridModule]] = {
    "many channels": lambda: layer(64, 128, 56, 3, padding=1),
    "steps": lambda: layer(64, 128, 56, 3, known=False, padding=1, stride=2),
    "each channel": lambda: layer(128, 128, 28, 3, padding=1, groups=128),
    "float64": lambda: layer(64, 128, 56, 3, "float64", padding=1),
    "with an activation": lambda: printed_for_grid(activated("cuda-sim", 2).program, Geometry()).module,
}
# The least share of the threads that a multiprocessor holds: 3 blocks of 128 threads, where these have 64 sums each.
HELD = {"float64": 0.12}


@pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
@pytest.mark.parametrize("name", LAYERS)
def test_code(name: str) -> None:
    """No register is spilled, and where the multiply-adds are, nothing is divided."""
    module = LAYERS[name]()
    functions, ours = loaded(module.text), convolutions(module)
    assert len(ours) == (1 if name == "with an activation" else 3)
    for kernel in ours:
        limits = {"max_threads": kernel.threads, "min_blocks": kernel.resident}
        cubin = compiler.compile_cubin(functions[kernel.code], kernel.signature, (9, 0), **limits)
        assert (cubin.stack_bytes, cubin.spill_bytes) == (0, 0), kernel.name
        assert cubin.shared_bytes <= 32 * 1024
        held = occupancy(cubin.registers, cubin.shared_bytes, kernel.threads)
        assert held >= HELD.get(name, 0.18), f"{kernel.name}: {held:.0%} of the threads, {cubin.registers} registers"
        assert (".f64" in cubin.ptx) == (name == "float64"), kernel.name
        assert not Program(cubin.ptx).narrow(), f"{kernel.name} has offsets of 32 bits"
        found = instructions(inner_loop(cubin.ptx))
        assert not [op for op in found if op.startswith(("div", "rem", "call")) or ".local" in op], kernel.name
        if name == "many channels":
            # per thread and tile 8 + 8 numbers for 64 multiply-adds, 8 times; and little besides
            assert found.count("fma.rn.f32") == 512
            assert found.count("ld.shared.v4.f32") == 32
            assert len(found) < 800


def inner_loop(ptx: str) -> str:
    """The shortest loop with multiply-adds of what is in shared memory."""
    labels = {m[1]: m.start() for m in re.finditer(r"^(\$L__BB\w+):", ptx, re.M)}
    loops = [
        ptx[labels[m[1]] : m.start()]
        for m in re.finditer(r"bra\S*\s+(\$L__BB\w+);", ptx)
        if m[1] in labels and labels[m[1]] < m.start()
    ]
    return min((loop for loop in loops if "fma.rn" in loop and "ld.shared" in loop), key=len)


def test_tiles_are_those_of_the_lengths() -> None:
    for module, threads in (
        (layer(1, 20, 28, 5), [128, 128, 64]),
        (layer(128, 128, 28, 3, groups=128), [128, 128, 32]),
        (layer(256, 512, 14, 3), [128, 128, 128]),
    ):
        assert [k.threads for k in convolutions(module)] == threads


def test_nothing_is_stored_for_a_convolution() -> None:
    """The launches of a step, which were 29 when windows were stored."""
    f, _ = network("cuda-sim")
    kernels = [k for stage in printed_for_grid(f.program, Geometry()).module.kernels for k in flat(stage)]
    assert not [t for k in kernels for t in k.tasks if t.node.name in ("windows", "unwindows")]
    assert len([k for k in kernels if "kernel" in k.shapes]) == 5
