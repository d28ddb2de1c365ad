"""Arrays for `out=` whose elements lie on one another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import numgraph as ng

MEMORY = 64


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((6,), (0,)), ((6,), (4,)), ((6,), (-4,)), ((3, 4), (8, 8)), ((3, 4), (24, 8)), ((3, 4), (8, 16))],
)
def test_elements_that_share_memory_are_refused(shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    x = ng.tensor("x", shape=(None,) * len(shape))
    out = as_strided(np.zeros(MEMORY)[MEMORY // 2 :], shape, strides)
    with pytest.raises(ng.InputError, match="elements of the array for output 0 share memory"):
        ng.function([x], x * 2)(np.ones(shape), out=out)


def test_views_of_all_kinds_are_taken() -> None:
    base = np.zeros((4, 6, 3))
    x = ng.tensor3("x")
    f = ng.function([x], x * 2)
    for view in (
        base,
        base.T,
        base[::-1, ::2, ::-2],
        base.transpose(1, 0, 2)[:, 1:3],
        base[:1],
        base[:0],
        base[:, :, :1],
    ):
        f(np.ones(view.shape), out=view)
        assert (view == 2.0).all()
        view[...] = 0.0
