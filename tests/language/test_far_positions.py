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
