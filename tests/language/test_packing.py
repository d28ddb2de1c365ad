"""Several arrays as one and back, the shape to which arrays broadcast, and arrays that may be empty in a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import numgraph as ng
from numgraph import testing

TARGETS = ("cpu", "reference", "cuda-sim")
PARTS = (np.arange(6.0).reshape(2, 3), np.float64(7.0), np.arange(4.0) - 9.0)


@pytest.mark.parametrize("target", TARGETS)
def test_there_and_back(target: str) -> None:
    inputs = ng.matrix("m"), ng.scalar("s"), ng.vector("v")
    whole, shapes = ng.pack(*inputs)
    doubled = ng.unpack(whole * 2.0, shapes)
    f = ng.function(list(inputs), [whole, *doubled], target=target)
    for arrays in (PARTS, (PARTS[0][:0], *PARTS[1:]), (PARTS[0], PARTS[1], PARTS[2][:1])):
        got, *back = f(*arrays)
        np.testing.assert_array_equal(got, np.concatenate([np.ravel(a) for a in arrays]))
        for one, a in zip(back, arrays, strict=True):
            assert one.shape == np.shape(a)
            np.testing.assert_array_equal(one, 2.0 * a)


@pytest.mark.parametrize(
    ("keep", "shapes", "packed"),
    [
        (0, [(3,), (3, 2), (3, 2, 4)], (3, 1 + 2 + 8)),
        (-1, [(3,), (5, 3)], (1 + 5, 3)),
        ((0, -1), [(2, 4), (2, 3, 4), (2, 5, 2, 4)], (2, 1 + 3 + 10, 4)),
        ((-2, -1), [(2, 4), (3, 2, 4)], (1 + 3, 2, 4)),
    ],
)
def test_axes_that_stay(keep: Any, shapes: Any, packed: Any) -> None:
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=s) for s in shapes]
    inputs = testing.variables_for(arrays, False)
    whole, known = ng.pack(*inputs, keep_axes=keep)
    got, *back = ng.function(inputs, [whole, *ng.unpack(whole, known, keep)])(*arrays)
    assert got.shape == packed
    for one, a in zip(back, arrays, strict=True):
        np.testing.assert_array_equal(one, a)


def test_gradients() -> None:
    def cost(m: Any, v: Any) -> Any:
        whole, shapes = ng.pack(m, v)
        a, b = ng.unpack(whole**2, shapes)
        return (a * ng.exp(m)).sum() + (b * ng.arange(4.0)).sum()

    testing.check_gradient(cost, [PARTS[0], PARTS[2]])


def test_what_does_not_fit() -> None:
    m, v = ng.matrix("m"), ng.vector("v")
    for axes in ((1,), (0, 2), (-2,), (-1, 0), ()):
        with pytest.raises(ng.errors.OptionError, match="keep_axes must be"):
            ng.pack(m, keep_axes=axes)
    with pytest.raises(ng.ShapeError, match="needs 2 axes"):
        ng.pack(m, v, keep_axes=(0, 1))
    with pytest.raises(ng.ShapeError, match="nothing to pack"):
        ng.pack()
    with pytest.raises(ng.ShapeError, match="1 axes is needed"):
        ng.unpack(m, [(2,), (3,)])
    with pytest.raises(ng.ShapeError):
        ng.function([v], ng.unpack(v, [(2,), (3, 2)]))(np.ones(7))


@pytest.mark.parametrize("target", TARGETS)
def test_shapes_that_broadcast(target: str) -> None:
    n, k = ng.lscalar("n"), ng.lscalar("k")
    assert ng.broadcast_shapes((3, 1), 4, (1, 1, 1)) == np.broadcast_shapes((3, 1), 4, (1, 1, 1)) == (1, 3, 4)
    assert ng.broadcast_shapes() == ()
    found = ng.broadcast_shapes((n, 2, k), (3, k, 1))
    f = ng.function([n, k], [ng.as_tensor_variable(x) for x in found], target=target)
    for a, b in ((1, 1), (3, 2), (3, 1)):
        assert tuple(map(int, f(a, b))) == np.broadcast_shapes((a, 2, b), (3, b, 1))
    for a, b in ((2, 1), (3, 3)):
        with pytest.raises(ng.AssertionFailed, match="do not fit together"):
            f(a, b)
    with pytest.raises(ng.ShapeError, match="do not fit together"):
        ng.broadcast_shapes((2, 1), (3, 4))


# -- what may be empty ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_margins_of_constants_around_nothing(target: str) -> None:
    m, c, w = ng.matrix("m"), ng.scalar("c"), ng.lscalar("w")
    wide = ng.pad(m, ((w, 1), (0, w)), constant_values=c)
    f = ng.function([m, c, w], [wide, *ng.grad((wide**2).sum(), [m, c])], target=target)
    for shape in ((2, 3), (0, 3), (2, 0), (0, 0), (3, 1)):
        x = np.full(shape, 0.5)
        got, gm, gc = f(x, 7.0, 2)
        wanted = np.pad(x, ((2, 1), (0, 2)), constant_values=7.0)
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(gm, 2 * x)
        np.testing.assert_allclose(gc, 14.0 * (wanted.size - x.size))


def test_only_constants_stand_around_nothing() -> None:
    m = ng.matrix("m")
    for target in ("cpu", "reference"):
        for mode in ("edge", "reflect", "wrap"):
            f = ng.function([m], ng.pad(m, 1, mode), target=target)
            with pytest.raises(ng.ShapeError, match="an empty axis cannot be padded"):
                f(np.ones((0, 2)))


@pytest.mark.parametrize("target", TARGETS)
def test_blocks_without_elements(target: str) -> None:
    m, n = ng.matrices("m", "n")
    f = ng.function([m, n], ng.linalg.block_diag(m, n), target=target)
    for a, b in (((3, 0), (1, 2)), ((2, 2), (0, 3)), ((2, 2), (1, 1)), ((0, 0), (0, 0))):
        x, y = np.full(a, 1.5), np.full(b, -2.0)
        np.testing.assert_array_equal(f(x, y), scipy.linalg.block_diag(x, y))


@pytest.mark.parametrize("target", TARGETS)
def test_one_count_for_all(target: str) -> None:
    x, counts = ng.matrix("x"), ng.lvector("counts")
    out = ng.repeat(x, counts, axis=1)
    f = ng.function([x, counts], [out, ng.grad((out**2).sum(), x)], target=target)
    a = np.arange(6.0).reshape(2, 3)
    for times in ([2], [0], [1, 0, 2]):
        got, g = f(a, times)
        np.testing.assert_array_equal(got, np.repeat(a, times, axis=1))
        np.testing.assert_array_equal(g, 2 * a * np.broadcast_to(times, 3))
    with pytest.raises(ng.ShapeError, match="repeat: a length is 2, not 3"):
        f(a, [1, 2])


@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_empty_signals_are_refused(name: str) -> None:
    a, v = ng.vector("a"), ng.vector("v")
    for target in ("cpu", "reference"):
        f = ng.function([a, v], getattr(ng, name)(a, v, "full"), target=target)
        np.testing.assert_array_equal(f([1.0, 2.0], [3.0]), getattr(np, name)([1.0, 2.0], [3.0], "full"))
        for x, y in (([], [1.0]), ([1.0], [])):
            with pytest.raises(ValueError):
                getattr(np, name)(x, y, "full")
            with pytest.raises(ng.ShapeError, match=f"{name}: a length is 0"):
                f(x, y)
    with pytest.raises(ng.ShapeError, match="a signal is empty"):
        getattr(ng, name)(a, np.zeros(0))


def test_taking_without_a_mode() -> None:
    v = ng.vector("v")
    np.testing.assert_array_equal(ng.take(v, [1, 0], mode=None).eval({v: [4.0, 5.0]}), [5.0, 4.0])
    np.testing.assert_array_equal(v.take([1, 0], mode=None).eval({v: [4.0, 5.0]}), [5.0, 4.0])
