"""Fourier transforms against NumPy's, and their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.ops import fourier
from numgraph.types import real_of

# primes and their powers, one beyond the butterflies, long lines, and convolutions short and long
LENGTHS = (1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 30, 37, 64, 97, 100, 127, 240, 1009, 1024, 4199, 8192, 10007)
RNG = np.random.default_rng(3)


def numbers(*shape: int, dtype: str = "complex128") -> Any:
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def assert_close(got: Any, wanted: Any, length: int) -> None:
    """Within some units in the last place of the largest number, which grow with the logarithm of the length."""
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    if got.size:
        unit = np.finfo(wanted.dtype).eps * np.abs(wanted).max()
        assert np.abs(got - wanted).max() <= 4 * unit * max(1.0, np.log2(length))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_lengths(dtype: str) -> None:
    """One function for all lengths, in rows, in columns, and for lines that fill no vector."""
    real = real_of(dtype)
    z, x, n = ng.tensor("z", dtype, (None, None)), ng.matrix("x", real), ng.lscalar("n")
    f = ng.function([z, x, n], [
        ng.fft.fft(z), ng.fft.ifft(z, axis=0), ng.fft.rfft(x), ng.fft.rfft(x, axis=0),
        ng.fft.irfft(z[:, : n // 2 + 1], n), ng.fft.irfft(z.T[: n // 2 + 1], n, axis=0),
    ])  # fmt: skip
    for length in LENGTHS:
        for rows in (1, 9) if length < 1000 else (2,):
            a = numbers(rows, length, dtype=dtype)
            h = a[:, : length // 2 + 1]
            wanted = [
                np.fft.fft(a), np.fft.ifft(a, axis=0), np.fft.rfft(a.real), np.fft.rfft(a.real, axis=0),
                np.fft.irfft(h, length), np.fft.irfft(h.T, length, axis=0),
            ]  # fmt: skip
            for got, value in zip(f(a, a.real.copy(), length), wanted, strict=True):
                assert_close(got, value, length)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_names_and_arguments(target: str) -> None:
    """Each function of np.fft, with lengths, axes and norms."""
    x, z = ng.tensor3("x"), ng.ztensor3("z")
    cases: list[tuple[Any, Any]] = []
    for norm in (None, "backward", "ortho", "forward"):
        for name in ("fft", "ifft", "irfft", "hfft"):
            arguments: list[dict[str, Any]] = [{}, {"n": 4, "axis": 0}, {"n": 9, "axis": 1}, {"n": 1}]
            cases += [(name, {**more, "norm": norm}) for more in arguments]
        cases += [(name, {"n": 5, "axis": -2, "norm": norm}) for name in ("rfft", "ihfft")]
        cases += [(name, {"norm": norm}) for name in ("fft2", "ifft2", "irfft2", "rfft2")]
        for name in ("fftn", "ifftn", "irfftn", "rfftn"):
            cases += [(name, {"norm": norm}), (name, {"s": (3, 5), "axes": (0, 2), "norm": norm})]
    of_real = ("rfft", "ihfft", "rfft2", "rfftn")
    outputs = [getattr(ng.fft, name)(x if name in of_real else z, **more) for name, more in cases]
    outputs += [ng.fft.fftshift(z), ng.fft.ifftshift(z, axes=1), ng.fft.fftshift(x, axes=(0, 2)), ng.fft.fft(x)]
    a = numbers(4, 5, 6)
    wanted = [getattr(np.fft, name)(a.real if name in of_real else a, **more) for name, more in cases]
    wanted += [np.fft.fftshift(a), np.fft.ifftshift(a, 1), np.fft.fftshift(a.real, (0, 2)), np.fft.fft(a.real)]
    # compiled, every fifth stands for all
    chosen = slice(None, None, 5 if target == "cpu" else 1)
    found = ng.function([x, z], outputs[chosen], target=target, on_unused_input="ignore")(a.real.copy(), a)
    for got, value in zip(found, wanted[chosen], strict=True):
        assert_close(got, value, 120)


def test_frequencies() -> None:
    n = ng.lscalar("n")
    f = ng.function([n], [ng.fft.fftfreq(n, 0.5), ng.fft.rfftfreq(n, 0.5)])
    for length in (1, 2, 7, 8):
        for got, wanted in zip(f(length), (np.fft.fftfreq(length, 0.5), np.fft.rfftfreq(length, 0.5)), strict=True):
            np.testing.assert_allclose(got, wanted)
    np.testing.assert_allclose(ng.fft.fftfreq(5).eval(), np.fft.fftfreq(5))


def test_of_integers_nothing_and_parts_that_are_not_finite() -> None:
    k, z = ng.lmatrix("k"), ng.zmatrix("z")
    f = ng.function([k, z], [ng.fft.rfft(k), ng.fft.fft(z), ng.fft.irfft(z, 6)])
    whole = np.arange(12).reshape(2, 6)
    a = numbers(3, 4)
    a[1, 2] = np.nan
    for got, wanted in zip(f(whole, a), (np.fft.rfft(whole), np.fft.fft(a), np.fft.irfft(a, 6)), strict=True):
        assert_close(got[~np.isnan(wanted)], wanted[~np.isnan(wanted)], 6)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    assert [v.shape for v in f(whole[:0], a[:0])] == [(0, 4), (0, 4), (0, 6)]
    strided = numbers(8, 8)[::2, 1::2].T
    assert_close(f(whole, strided)[1], np.fft.fft(strided), 4)


def test_what_is_refused() -> None:
    z, x = ng.zmatrix("z"), ng.matrix("x")
    with pytest.raises(ng.ShapeError, match="at least 1"):
        ng.function([x], ng.fft.rfft(x))(np.zeros((2, 0)))
    with pytest.raises(ng.ShapeError):
        ng.fft.fft(z, 0)
    with pytest.raises(ng.OptionError, match='norm is "backward"'):
        ng.fft.fft(z, norm="unitary")
    with pytest.raises(ng.AxisError):
        ng.fft.fft(z, axis=2)
    with pytest.raises(ng.DtypeError, match="rfft is not defined for complex"):
        ng.fft.rfft(z)
    with pytest.raises(ng.ShapeError, match="1 lengths for 2 axes"):
        ng.fft.fft2(z, (3,))
    with pytest.raises(TypeError, match=r"use ng\.fft\.rfft"):
        np.fft.rfft(x)
    with pytest.raises(ng.OptionError, match="processor only"):
        ng.function([z], ng.fft.fft(z), target="cuda-sim")


def test_memory_is_enough_for_every_length() -> None:
    """The bound for lengths that are not known is at least what each length takes."""
    for length in (*range(1, 3000), *range(4000, 4200), 10007, 46337, 65536, 100_003, 1 << 20):
        most = length * 9 // 4 + 16
        bound = min(most, 3 * fourier.LONG) * 160 + most * 96 + length * 64 + 4096
        assert fourier.bytes_of(length, length) <= bound, length
        assert fourier.bytes_of(length // 2, length) <= bound, length


def test_a_loss_on_the_spectrum_is_learned() -> None:
    """A filter is found by its spectrum: complex values between real parameters and a real loss."""
    wanted = np.abs(np.fft.rfft(np.exp(-np.arange(16.0))))
    w = ng.shared(np.linspace(1, 0, 16), "w")
    loss = ng.sum((abs(ng.fft.rfft(w)) - wanted) ** 2)
    step = ng.function([], loss, updates=[(w, w - 0.01 * ng.grad(loss, w))])
    first = float(step())
    for _ in range(200):
        last = float(step())
    assert last < 1e-3 * first


def test_in_a_scan_and_stacked_by_vectorize() -> None:
    x = ng.matrix("x")
    steps, _ = ng.scan(lambda row, before: ng.fft.irfft(ng.fft.rfft(row + before) * 0.5, 6), x, x[0] * 0)
    row = ng.vector("row")
    each = ng.vectorize(abs(ng.fft.rfft(row)), {row: x})
    f = ng.function([x], [steps[-1], each, ng.grad(ng.sum(steps[-1] ** 2) + ng.sum(each), x)])
    v = RNG.normal(size=(4, 6))
    last, sizes, slope = f(v)
    np.testing.assert_allclose(last, sum(v[k] * 0.5 ** (4 - k) for k in range(4)), rtol=1e-12)
    np.testing.assert_allclose(sizes, np.abs(np.fft.rfft(v)), rtol=1e-12)
    assert slope.shape == v.shape and np.isfinite(slope).all()
