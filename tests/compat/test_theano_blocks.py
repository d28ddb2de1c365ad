"""Theano's products of blocks, by loops in NumPy, and columns before matrices."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
from numgraph.compat.theano.tensor.nnet.blocksparse import (
    SparseBlockGemv,
    sparse_block_dot,
    sparse_block_gemv,
    sparse_block_outer,
)

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph import testing

RNG = np.random.default_rng(12)
W, H = RNG.normal(size=(4, 5, 3, 2)), RNG.normal(size=(2, 3, 3))
ROWS, COLUMNS = np.array([[0, 3, 1], [2, 2, 0]]), np.array([[4, 1], [0, 0]])
BIAS = RNG.normal(size=(5, 2))


def product() -> Any:
    """By loops."""
    out = BIAS[COLUMNS]
    for b, j, i in np.ndindex(2, 2, 3):
        out[b, j] += H[b, i] @ W[ROWS[b, i], COLUMNS[b, j]]
    return out


def test_products() -> None:
    w, h, b = T.dtensor4("w"), T.dtensor3("h"), T.dmatrix("b")
    whole = sparse_block_dot(w, h, ROWS, b, COLUMNS)
    made = SparseBlockGemv()(b[COLUMNS], w, h, ROWS, COLUMNS)
    for got in theano.function([w, h, b], [whole, made])(W, H, BIAS):
        np.testing.assert_allclose(got, product(), rtol=1e-12)
    one = sparse_block_dot(w, h[0], ROWS[0], b, COLUMNS[0])
    np.testing.assert_allclose(theano.function([w, h, b], one)(W, H, BIAS), product()[:1], rtol=1e-12)
    testing.check_gradient(
        lambda w, h, b: (sparse_block_gemv(b[COLUMNS], w, h, ROWS, COLUMNS) ** 2).sum(), [W, H, BIAS]
    )
    with pytest.raises(ng.ShapeError, match="one axis less"):
        sparse_block_dot(w, h, ROWS[0], b, COLUMNS)


def test_outer_products() -> None:
    x, y = RNG.normal(size=(2, 3, 3)), RNG.normal(size=(2, 2, 2))
    wanted = W.copy()
    for b, i, j in np.ndindex(2, 3, 2):
        wanted[ROWS[b, i], COLUMNS[b, j]] += 0.5 * np.outer(x[b, i], y[b, j])
    o = T.dtensor4("o")
    got = theano.function([o], sparse_block_outer(o, x, y, ROWS, COLUMNS, 0.5))(W)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_columns_in_front() -> None:
    m, s = T.dmatrix("m"), T.dscalar("s")
    values = RNG.normal(size=(2, 3))
    nnet = theano.tensor.nnet.nnet
    found = [
        nnet.Prepend_scalar_constant_to_each_row(4.0)(m), nnet.prepend_1_to_each_row(m),
        nnet.Prepend_scalar_to_each_row()(s, m),
    ]  # fmt: skip
    for got, number in zip(theano.function([m, s], found)(values, 5.0), (4.0, 1.0, 5.0), strict=True):
        np.testing.assert_array_equal(got, np.column_stack([np.full(2, number), values]))
    with pytest.raises(ng.ShapeError, match="a matrix is needed"):
        nnet.prepend_0_to_each_row(s)
