"""Calls of Theano's and PyTensor's own tests, which numgraph refused or answered with other numbers."""

from __future__ import annotations

import numgraph.compat.theano.tensor as T
import numgraph.compat.theano.tensor.slinalg as slinalg
import numpy as np
import pytest
import scipy.linalg

import numgraph.compat.theano as theano


def test_division_rounded_up_of_unsigned_integers() -> None:
    x, y = np.array([255, 0, 7, 252], "uint8"), np.array([3, 255, 2, 253], "uint8")
    a, b = T.TensorType("uint8", (False,))("a"), T.TensorType("uint8", (False,))("b")
    found = theano.function([a, b], T.ceil_intdiv(a, b))(x, y)
    assert found.dtype == "uint8" and found.tolist() == [85, 0, 4, 1]
    n = T.ivector("n")
    assert theano.function([n], T.ceil_intdiv(n, 2))([-3, -2, 3, 4]).tolist() == [-1, -1, 2, 2]


def test_what_fills_is_broadcast_with_what_is_filled() -> None:
    a, b, row = T.dmatrix("a"), T.dtensor3("b"), T.drow("row")
    x, y, z = np.ones((2, 3)), np.arange(12.0).reshape(2, 2, 3), np.zeros((1, 3))
    made = [T.fill(a, b), T.second(row, a), T.fill(a, row), T.fill(b, np.int8(3))]
    found = theano.function([a, b, row], made)(x, y, z)
    for value, exact in zip(found, [y, x, np.zeros((2, 3)), np.full((2, 2, 3), 3, "int8")], strict=True):
        np.testing.assert_array_equal(value, exact)
        assert value.dtype == exact.dtype and value.shape == exact.shape


def test_an_inverse_permutation_has_the_dtype_of_the_permutation() -> None:
    p = T.ivector("p")
    found = theano.function([p], T.inverse_permutation(p))([2, 0, 1])
    assert found.dtype == "int32" and found.tolist() == [1, 2, 0]


def test_what_pytensor_calls_otherwise() -> None:
    x, i = T.dvector("x"), T.lvector("i")
    made = [T.round_half_away_from_zero(x), x.take(i, 0, "wrap"), x.take(i, mode="clip")]
    made.append(theano.gradient.jacobian(x * x, x, vectorize=True))
    found = theano.function([x, i], made)([-2.5, 0.5, 3.0], [4, -1])
    wanted = [[-3.0, 1.0, 3.0], [0.5, 3.0], [3.0, -2.5], np.diag([-5.0, 1.0, 6.0])]
    for value, exact in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(value, exact)


def test_axes_and_dtypes_of_as_tensor_variable() -> None:
    row = T.drow("row")
    assert T.as_tensor_variable(row, ndim=1).ndim == 1 and T.as_tensor_variable(row, ndim=3).ndim == 3
    with pytest.raises(ValueError, match="more than 0 axes"):
        T.as_tensor_variable(row, ndim=0)
    assert T.as_tensor_variable([1, 2], dtype="float32").dtype == "float32"
    with pytest.raises(TypeError, match="astype"):
        T.as_tensor_variable(row, dtype="float32")


def test_linear_algebra_as_pytensor_calls_it() -> None:
    """Norms along axes, triangles by `lower`, and systems of transposed matrices and of stacks of vectors."""
    nlinalg, slinalg, a, b, s = T.nlinalg, T.slinalg, T.dmatrix("a"), T.dmatrix("b"), T.dtensor3("s")
    x, y = np.array([[2.0, 0.5], [-1.0, 3.0]]), np.array([[1.0, 2.0], [0.5, -1.0]])
    stack = np.arange(12.0).reshape(2, 2, 3)
    positive = x @ x.T
    made = {
        "axis": nlinalg.norm(s, 1, axis=-1), "axes": nlinalg.norm(s, "inf", axis=(0, 2), keepdims=True),
        "method": s.norm(2, 1, True), "upper": slinalg.cholesky(T.dot(a, a.T), lower=False),
        "turned": slinalg.solve(a, b, transposed=True), "vectors": slinalg.solve(a, b, b_ndim=1),
        "lower": slinalg.solve(a, b, transposed=True, assume_a="upper triangular"),
        "positive": slinalg.solve(T.triu(T.dot(a, a.T)), b, transposed=True, assume_a="pos", lower=False),
        "eigh": nlinalg.eigh(T.triu(T.dot(a, a.T)), lower=False)[0],
    }  # fmt: skip
    wanted = {
        "axis": np.linalg.norm(stack, 1, axis=-1), "axes": np.linalg.norm(stack, np.inf, axis=(0, 2), keepdims=True),
        "method": np.linalg.norm(stack, 2, axis=1, keepdims=True), "upper": np.linalg.cholesky(positive).T,
        "turned": np.linalg.solve(x.T, y), "vectors": np.linalg.solve(x, y.T).T,
        "lower": np.linalg.solve(np.triu(x).T, y), "positive": np.linalg.solve(positive, y),
        "eigh": np.linalg.eigvalsh(positive),
    }  # fmt: skip
    found = theano.function([a, b, s], made)(x, y, stack)
    for name, exact in wanted.items():
        np.testing.assert_allclose(found[name], exact, rtol=1e-12, atol=1e-12, err_msg=name)


def test_theanos_norm_is_of_all_elements() -> None:
    """`x.norm(2)` takes the axes together, where NumPy's norm of order 2 of a matrix is its largest singular value."""
    a, x = T.dtensor3("a"), np.random.default_rng(3).normal(size=(3, 2, 4))
    made = [a.norm(L=1), a.norm(L=2, axis=(0, 2)), a[0].norm(L=2, keepdims=True), a.norm(L=3, axis=[-1]), a[0].norm(2)]
    exact = [
        abs(x).sum(), np.sqrt((x**2).sum((0, 2))), np.sqrt((x[0] ** 2).sum(keepdims=True)),
        (abs(x) ** 3).sum(-1) ** (1 / 3), np.linalg.norm(x[0]),
    ]  # fmt: skip
    for value, wanted in zip(theano.function([a], made)(x), exact, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-12)


def test_what_variables_have_in_theano_and_pytensor() -> None:
    """Copies with a name, `x[key].set` and `x[key].inc`, stacks of matrices, products with second derivatives."""
    x, y = T.dmatrix("x"), T.dmatrix("y")
    assert x.copy(name="z").name == "z" and x.copy().name is None
    product = theano.gradient.hessian_vector_product((x**3).sum(), x, p=y)
    made = [x[0].set(7.0), x[:, 1:].inc(1.0), T.vertical_stack(x, y), T.horizontal_stack(x, y), product, x.mT]
    a, b = np.arange(6.0).reshape(2, 3), -np.ones((2, 3))
    exact = [
        np.array([[7.0] * 3, a[1]]), a + np.array([0, 1, 1]), np.concatenate([a, b]), np.concatenate([a, b], 1),
        6 * a * b, a.T,
    ]  # fmt: skip
    for value, wanted in zip(theano.function([x, y], made)(a, b), exact, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_eigenvalues_of_a_pair_of_hermitian_matrices() -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)) for _ in range(2))
    a, b = a + a.conj().T, b @ b.conj().T + np.eye(4)
    x, y = T.zmatrix("x"), T.zmatrix("y")
    for lower in (True, False):
        w, v = theano.function([x, y], slinalg.eigh(x, y, lower=lower))(a, b)
        np.testing.assert_allclose(a @ v, b @ v * w, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(w, scipy.linalg.eigh(a, b, eigvals_only=True), rtol=1e-9)


def test_negative_labels_are_refused() -> None:
    x, b, y = T.dmatrix("x"), T.dvector("b"), T.lvector("y")
    values = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]), np.array([0.1, 0.2, 0.3])
    z = values[0] + values[1]
    wanted = np.log(np.exp(z).sum(1)) - z[[0, 1], [2, 0]]
    for found in (
        T.nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y)[0],
        T.nnet.crossentropy_softmax_1hot_with_bias(x, b, y)[0],
        T.nnet.crossentropy_softmax_1hot(x + b, y)[0],
    ):
        f = theano.function([x, b, y], found)
        np.testing.assert_allclose(f(*values, [2, 0]), wanted)
        with pytest.raises(AssertionError, match="a label is negative"):
            f(*values, [2, -1])
