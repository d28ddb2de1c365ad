"""Complex numbers: dtypes, what is refused, gradients, and where they come from and go to."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing

RNG = np.random.default_rng(11)
Z = RNG.normal(size=5) + 1j * RNG.normal(size=5)


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_promotion(target: str) -> None:
    """As NumPy 2, but that integers leave float32 and complex64 single."""
    inputs = {d: ng.vector(d, d) for d in ("complex64", "complex128", "float32", "float64", "int64", "uint8", "bool")}
    names = list(inputs)
    pairs = [(a, b) for a in names[:2] for b in names]
    outputs = [inputs[a] * inputs[b] for a, b in pairs]
    found = ng.function(list(inputs.values()), outputs, target=target)(*(np.ones(2, d) for d in inputs))
    for (a, b), output, got in zip(pairs, outputs, found, strict=True):
        wanted = np.result_type(a, "float32" if b == "int64" else b)
        assert output.dtype == got.dtype.name == wanted.name, (a, b)
    assert (inputs["float32"] * 1j).dtype == (inputs["complex64"] * 2.5).dtype == "complex64"
    assert (inputs["int64"] * 1j).dtype == ng.constant(1j).dtype == "complex128"


def test_values_come_and_go(tmp_path: Path) -> None:
    """Arguments of any rank and layout, shared values, updates, constants, pickles and files."""
    z, s, m = ng.zvector("z"), ng.cscalar("s"), ng.zmatrix("m")
    w = ng.shared(Z.copy(), "w")
    f = ng.function([z, s, m], [z * s + w, s, m.T, ng.constant(Z) * z, z[1]], updates=[(w, w * 1j)])
    square = Z[:4].reshape(2, 2)
    for _ in range(2):
        f = pickle.loads(pickle.dumps(f)) if _ else f
        before = f.shared[0].get_value() if hasattr(f, "shared") else w.get_value()
        got = f(Z, np.complex64(2 - 1j), square.T)
        wanted = [Z * (2 - 1j) + before, np.complex64(2 - 1j), square, Z * Z, Z[1]]
        for value, right in zip(got, wanted, strict=True):
            np.testing.assert_allclose(value, right, rtol=1e-6)
    ng.save(tmp_path / "values.npz", {"w": w})
    w.set_value(Z * 0)
    ng.load(tmp_path / "values.npz", {"w": w})
    np.testing.assert_allclose(abs(w.get_value()), abs(Z))
    assert f([1, 2j, 0, 0, 0], 1, square)[0].dtype == "complex128"
    with pytest.raises(ng.DtypeError, match="without loss"):
        ng.function([x := ng.vector("x")], x)(Z)
    assert ng.pprint(z * 1j) == "z * 1j" and ng.pprint(z * -1j) == "z * (-0-1j)"
    np.testing.assert_allclose(ng.function([s], abs(s)).sweep(np.array([3 + 4j, 2], "complex64")), [5, 2])


REFUSED: dict[str, Any] = {
    "lt": lambda z: z < 1, "ge": lambda z: z >= z, "max": ng.max, "argmin": ng.argmin, "argsort": ng.argsort,
    "sort": ng.sort,
    "floor": ng.floor, "mod": lambda z: z % 2, "floor_div": lambda z: z // 2, "and_": lambda z: z & z,
    "maximum": lambda z: ng.maximum(z, 0), "clip": lambda z: ng.clip(z, 0, 1), "arctan2": lambda z: ng.arctan2(z, 1),
    "cast": lambda z: z.astype("float32"), "erf": ng.erf, "round": ng.round,
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str) -> None:
    """By the op's name, with the variable and the user's line."""
    with pytest.raises(
        ng.DtypeError, match=rf"(?s){name}.*complex.*z: complex128\[\?\]  made at .*test_complex.py.*fix"
    ):
        REFUSED[name](ng.zvector("z"))


def test_decompositions_take_real_numbers() -> None:
    for function in (ng.linalg.qr, ng.linalg.pinv, ng.linalg.expm):
        with pytest.raises(ng.DtypeError, match="complex"):
            function(ng.zmatrix("m"))


def test_cholesky_factors_of_hermitian_matrices() -> None:
    """Of the triangle that is read, as NumPy's; with systems by them, and gradients of both."""
    m = RNG.normal(size=(2, 3, 3)) + 1j * RNG.normal(size=(2, 3, 3))
    a, b = m @ np.conj(np.swapaxes(m, -1, -2)) + 3 * np.eye(3), RNG.normal(size=(2, 3, 2)) * (1 + 1j)
    x, y = ng.tensor("x", "complex128", (None,) * 3), ng.tensor("y", "complex128", (None,) * 3)
    upper = ng.linalg.cholesky(x, upper=True)
    outputs = [
        ng.linalg.cholesky(x), upper.conj().mT @ upper, ng.linalg.cholesky(-x, on_error="nan"),
        ng.linalg.cho_solve(ng.linalg.cho_factor(x), y), ng.linalg.cho_solve(ng.linalg.cho_factor(x, lower=True), y),
        ng.linalg.solve(x, y, assume_a="pos"), ng.linalg.solve(x, y, assume_a="pos", transposed=True),
    ]  # fmt: skip
    solved = np.linalg.solve(a, b)
    wanted = [np.linalg.cholesky(a), a, a * np.nan, solved, solved, solved, np.linalg.solve(np.swapaxes(a, -1, -2), b)]
    for got, right in zip(ng.function([x, y], outputs, target="cpu")(a, b), wanted, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-10)
    for build in (
        lambda x: abs(ng.linalg.cholesky(x) - 1j) ** 2,
        lambda x: ng.real(ng.linalg.cho_solve(ng.linalg.cho_factor(x), ng.constant(b))),
    ):
        testing.check_gradient(build, [a], testing.by_reference)
    with pytest.raises(ng.MatrixError, match="not positive definite"):
        ng.function([x], ng.linalg.cholesky(x))(-a)


def test_gradients() -> None:
    """Of real costs, for real and complex variables, against differences of both parts."""
    x = np.abs(Z) + 0.5
    for build in (
        lambda z, x: abs(z) * x,
        lambda z, x: ng.exp(1j * x) * z.conj(),
        lambda z, x: ng.angle(z * x) + ng.real(ng.log(z)),
        lambda z, x: ng.complex(x, z.imag) ** 3 / z,
        lambda z, x: ng.where(x > 1, z, z.conj()) ** x,
        lambda z, x: ng.dot(z[:, None] * x, z) + ng.prod(z) + ng.norm(z),
        lambda z, x: ng.fft.irfft(ng.fft.rfft(x) * z[:3], 5) * abs(ng.fft.ifft(z, norm="ortho")),
        lambda z, x: ng.set_subtensor(z[1:3], x[:2])[[0, 1, 1]] * ng.sign(z[:3]),
        lambda z, x: ng.scan(lambda a, b, s: s * a + b, [z, x], z[0] * 0)[0],
    ):
        testing.check_gradient(build, [Z, x], testing.by_reference)
    testing.check_gradient(lambda z: ng.fft.rfft(abs(z)) * ng.cumsum(z)[:3], [Z], testing.compiled)


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_products_of_matrices(target: str) -> None:
    """By products of parts; what was real before has one."""
    m, x = ng.zmatrix("m"), ng.matrix("x")
    wide = x.astype("complex128")
    outputs = [ng.dot(m, m), ng.dot(m, x), ng.dot(wide, m), ng.dot(wide, wide), ng.matmul(m[None], m[None])]
    a = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3))
    found = ng.function([m, x], outputs, target=target)(a, a.real.copy())
    for got, wanted in zip(found, [a @ a, a @ a.real, a.real @ a, a.real @ a.real + 0j, (a @ a)[None]], strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-12)
        assert got.dtype == wanted.dtype


def test_the_convention_and_zero() -> None:
    """dC/dx + i dC/dy; 0 for abs at 0; known gradients are taken alike; a complex cost is refused."""
    z = ng.zvector("z")
    a = np.array([3 + 4j, 0, 1j])
    f = ng.function([z], ng.grad(ng.sum(abs(z)), z))
    np.testing.assert_allclose(f(a), [0.6 + 0.8j, 0, 1j])
    y = z * 2j
    known = ng.grad(None, z, known_grads={y: ng.constant(a)})
    np.testing.assert_allclose(known.eval(), a * np.conj(2j))
    with pytest.raises(ng.GradientError, match="the cost must be a float"):
        ng.grad(ng.sum(z), z)
    step = ng.exp(z) * z.conj()
    one, other = (ng.constant(RNG.normal(size=5) + 1j * RNG.normal(size=5)) for _ in range(2))
    back, ahead = ng.Lop(step, z, one), ng.Rop(step, z, other)
    # each is the adjoint of the other
    same = ng.function([z], [ng.sum((back.conj() * other).real), ng.sum((one.conj() * ahead).real)])
    np.testing.assert_allclose(*same(Z))
    w = ng.shared(Z.copy())
    cost = ng.sum(abs(w - 1j) ** 2)
    step = ng.function([], cost, updates=[(w, w - 0.1 * ng.grad(cost, w))])
    for _ in range(100):
        step()
    np.testing.assert_allclose(w.get_value(), 1j, atol=1e-8)


def test_special_values_of_functions() -> None:
    """Where NumPy agrees with C99's Annex G on any machine; parts are compared where they are determined."""
    parts = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, 1e-300, 1e200])
    a = (parts[:, None] + 1j * 0).repeat(len(parts), 1)
    a.imag = parts
    a = a.ravel()
    z = ng.zvector("z")
    functions = (ng.sqrt, ng.log, ng.abs, ng.isinf, ng.isfinite)
    found = ng.function([z], [function(z) for function in functions])(a)
    with np.errstate(all="ignore"):
        for function, got in zip(functions, found, strict=True):
            wanted = getattr(np, function.__name__)(a)
            np.testing.assert_allclose(got, wanted, rtol=1e-13, err_msg=function.__name__)
    lost = np.array([complex(np.nan, 0), complex(0, np.nan), complex(-1e9, np.nan), complex(np.nan, np.nan)])
    found = ng.function([z], [abs(z), ng.exp(z).real, ng.log(z).real, ng.log2(z).real])(lost)
    assert all(np.isnan(got).all() for got in found), found
    finite = a[np.isfinite(a) & (abs(a) < 1e3)]
    for function in (ng.exp, ng.sin, ng.cosh, ng.tanh, ng.tan, ng.sqr):
        got = ng.function([z], function(z), target="cpu")(finite)
        wanted = np.square(finite) if function is ng.sqr else getattr(np, function.__name__)(finite)
        np.testing.assert_allclose(got, wanted, rtol=1e-13, err_msg=function.__name__)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_inverse_functions_on_and_beside_their_cuts(dtype: str) -> None:
    """On both sides of the cuts, which the sign of a zero tells, and for numbers small and large, as NumPy's."""
    parts = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -1e7, 1e-6, 1e18])
    a = (parts[:, None] + 1j * parts).astype(dtype)
    a.imag, a.real = np.broadcast_to(parts, a.shape), parts[:, None]
    z = ng.tensor("z", dtype, (None, None))
    functions = [ng.arcsin, ng.arccos, ng.arctan, ng.arcsinh, ng.arccosh, ng.arctanh, ng.log2, ng.log10]
    found = ng.function([z], [function(z) for function in functions])(a)
    with np.errstate(all="ignore"):
        for function, got in zip(functions, found, strict=True):
            wanted = getattr(np, function.__name__)(a.astype("complex128"))
            infinite = np.isinf(wanted.real) | np.isinf(wanted.imag)
            assert (infinite == (np.isinf(got.real) | np.isinf(got.imag))).all(), function
            wanted = np.where(infinite, got, wanted)
            tolerance = 1e-13 if dtype == "complex128" else 3e-6
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=1e-30, err_msg=function.__name__)
            for part in ("real", "imag"):
                signs = np.signbit(getattr(got, part)) == np.signbit(getattr(wanted, part))
                assert (signs | (abs(getattr(wanted, part)) < 1e-30)).all(), (function, part)
    small = np.array([1e-20 + 1e-20j, -1e-12 + 0j, 1e-5 - 1e-9j])
    z = ng.zvector("z")
    for function, terms in ((ng.expm1, (1, 1 / 2, 1 / 6)), (ng.log1p, (1, -1 / 2, 1 / 3))):
        series = sum(c * small**k for k, c in enumerate(terms, 1))
        np.testing.assert_allclose(ng.function([z], function(z))(small), series, rtol=1e-13)


def test_functions_of_parts_keep_their_precision_on_a_simulated_device() -> None:
    """Functions that make complex numbers on the way, of which Python's own would lose half of the digits."""
    functions = [ng.tan, ng.expm1, ng.log1p, ng.log2, ng.arcsin, ng.arccos, ng.arctan, ng.arcsinh, ng.arccosh]
    z = ng.zvector("z")
    found = ng.function([z], [function(z) for function in functions], target="cuda-sim")(Z)
    for function, got in zip(functions, found, strict=True):
        wanted = getattr(np, function.__name__)(Z)
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-13, err_msg=function.__name__)


def test_on_a_simulated_device() -> None:
    z, s = ng.zvector("z"), ng.zscalar("s")
    outputs = [ng.exp(z) * s, ng.sum(z), ng.prod(z), ng.cumsum(z), ng.dot(z[:, None] * s, z[None]), abs(z), s]
    found = ng.function([z, s], outputs, target="cuda-sim")(Z, 2 - 1j)
    wanted = ng.function([z, s], outputs, target="reference")(Z, 2 - 1j)
    for got, right in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(got), right, rtol=1e-12)
