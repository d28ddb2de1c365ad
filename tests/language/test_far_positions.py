"""Positions far outside, which only a call knows."""

from __future__ import annotations

import numpy as np
import pytest

import numgraph as ng

TARGETS = ["cpu", "reference"]
X = np.arange(5.0)


@pytest.mark.parametrize("target", TARGETS)
def test_insert_where_no_place_is(target: str) -> None:
    x, k, many = ng.vector("x"), ng.lscalar("k"), ng.lvector("many")
    one = ng.function([x, k], ng.insert(x, k, 9.0), target=target)
    several = ng.function([x, many], ng.insert(x, many, 9.0), target=target)
    for place in range(-5, 6):
        assert one(X, place).tolist() == np.insert(X, place, 9.0).tolist()
    assert several(X, [-5, 5, 0]).tolist() == np.insert(X, [-5, 5, 0], 9.0).tolist()
    for place in (-(2**63), -12, -11, -7, -6, 6, 7, 2**62, 2**63 - 1):
        with pytest.raises(ng.IndexOutOfRange):
            one(X, place)
        with pytest.raises(ng.IndexOutOfRange):
            several(X, [2, place])


@pytest.mark.parametrize("target", TARGETS)
def test_triangles_far_from_the_diagonal(target: str) -> None:
    k, far = ng.lscalar("k"), ng.scalar("far", dtype="uint64")
    m = np.arange(1.0, 13.0).reshape(3, 4)
    f = ng.function([k], [ng.tri(3, 4, k), ng.tril(m, k)], target=target)
    for place, kept in ((2**63 - 1, 1), (2**62, 1), (4, 1), (-3, 0), (-(2**62), 0), (-(2**63), 0)):
        tri, tril = f(place)
        assert tri.tolist() == (np.ones((3, 4)) * kept).tolist()
        assert tril.tolist() == (m * kept).tolist()
    assert ng.function([far], ng.tril(m, far), target=target)(np.uint64(2**64 - 1)).tolist() == m.tolist()


# Temporaries of a length that a call computes: one that is negative lies on what is beside it.
LENGTHS = {
    "fftfreq": ng.fft.fftfreq,
    "rfftfreq": ng.fft.rfftfreq,
    "ramp": lambda n: ng.pad(ng.constant(np.ones(3)), (n, n), mode="linear_ramp"),
    "sparse": lambda n: ng.sparse.csr(np.zeros(0), np.zeros(0, "int64"), np.zeros(3, "int64"), n).T @ np.ones(2),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LENGTHS)
def test_negative_lengths(name: str, target: str) -> None:
    n, x = ng.lscalar("n"), ng.vector("x")
    made = LENGTHS[name](n)
    for result in (made, ng.sort(made).sum() + ng.sort(x)[0]):
        f = ng.function([n, x], result, target=target, on_unused_input="ignore")
        assert np.isfinite(f(4, X)).all()
        for length in (-4, -100_000):
            with pytest.raises(ng.ShapeError, match="negative"):
                f(length, X)
