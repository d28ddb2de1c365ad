"""`arange` at the ends of what integers and floats hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numgraph as ng

FAR = st.sampled_from([-(2**63), -(2**63) + 1, -(2**62), -2, 0, 3, 2**62, 2**63 - 2, 2**63 - 1])
NEAR = st.integers(-4, 4)


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_ranges_of_integers_are_pythons(target: str) -> None:
    """Or refused, where the difference of their ends is no int64: never another range."""
    i, j, k = ng.scalars("i", "j", "k", dtype="int64")
    free = ng.function([i, j, k], ng.arange(i, j, k), target=target)
    fixed = {
        step: ng.function([i, j], ng.arange(i, j, step), target=target) for step in (-(2**62), -3, -1, 1, 2, 2**61)
    }

    @given(FAR, FAR, NEAR, st.sampled_from([-(2**62), -(2**61), -3, -1, 1, 2, 2**61, 2**62]))
    @settings(max_examples=150, deadline=None)
    def check(start: int, other: int, near: int, step: int) -> None:
        for stop in (other, min(max(start + near, -(2**63)), 2**63 - 1)):
            wanted = range(start, stop, step)
            for f, arguments in ((free, (start, stop, step)), (fixed.get(step), (start, stop))):
                if f is None or len(wanted[:100]) == 100:
                    continue
                try:
                    assert f(*arguments).tolist() == list(wanted)
                except ng.ShapeError as error:
                    said = "further apart than an int64 says" in str(error) or isinstance(error, ng.errors.SizeError)
                    assert said and abs(stop - start) >= 2**63 - 1

    check()


def test_known_ranges_that_a_dtype_does_not_hold() -> None:
    for ends, dtype in (((250, 260), "int8"), ((-1, 3), "uint8"), ((127, 129), "int8"), ((2**63, 2**63 + 2), "int64")):
        with pytest.raises(ng.ValueOverflowError):
            ng.arange(*ends, dtype=dtype)
    for ends, dtype in (((0, 128), "int8"), ((127, 128), "int8"), ((250, 260), "uint8"), ((0, 300, 100), "int8")):
        np.testing.assert_array_equal(ng.arange(*ends, dtype=dtype).eval(), np.arange(*ends, dtype=dtype))


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_ranges_of_floats_without_a_number_of_elements(target: str) -> None:
    x = ng.scalar("x")
    f = ng.function([x], ng.arange(0, x, 0.5), target=target)
    for value in (np.inf, np.nan, 1e300):
        with pytest.raises(ng.errors.SizeError):
            f(value)
        with pytest.raises(ng.errors.SizeError):
            ng.arange(0.0, value)
    assert f(-np.inf).tolist() == [] and f(1).tolist() == [0, 0.5]
