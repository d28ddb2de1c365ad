"""Constructors of variables and constants."""

from __future__ import annotations

import numpy as np
import pytest

import numgraph as ng


def test_constructors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(ng.tensor("x", "float32", (None, 3)).type) == "float32[?,3]"
    assert ng.row().type.shape == (1, None) and ng.col().broadcastable == (False, True)
    assert [v.name for v in ng.matrices("ab", dtype="int8")] == ["a", "b"] and len(ng.vectors(3)) == 3
    for make, dtype, ndim in ((ng.lscalar, "int64", 0), (ng.ivector, "int32", 1), (ng.ftensor4, "float32", 4)):
        v = make("name")
        assert (v.name, v.dtype, v.ndim) == ("name", dtype, ndim)
    monkeypatch.setattr(ng.config, "floatX", "float32")
    assert ng.matrix("m").dtype == "float32" and ng.constant(0.5).dtype == "float32"
    with pytest.raises(ng.DtypeError, match="give the dtype by keyword"):
        ng.vector(np.float32)  # type: ignore[arg-type]
    with pytest.raises(ng.DtypeError):
        ng.vector("x", dtype="datetime64[s]")
    with pytest.raises(ng.ShapeError):
        ng.tensor("x", shape=(None, -1))


def test_constants() -> None:
    assert ng.constant(300, dtype="int16").dtype == "int16"
    value = np.arange(3)
    c = ng.constant(value, name="c")
    value[0] = 9
    np.testing.assert_array_equal(c.eval(), [0, 1, 2])
    with pytest.raises(ng.ValueOverflowError):
        ng.constant(300, dtype="uint8")
    with pytest.raises(ng.DtypeError):
        ng.constant(ng.scalar("x"))


def test_names_in_one_string() -> None:
    assert [v.name for v in ng.scalars("ab")] == ["a", "b"]
    for names in ("a b", "a,b", "a, b"):
        with pytest.raises(ng.OptionError, match=r"one by one, 'a', 'b'$"):
            ng.matrices(names)
