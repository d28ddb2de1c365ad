"""Kinds of linear algebra: of matrices that are far from singular, for others differ in any digit; and einsum.

What the simulated device does not have (eigenvalues, singular values, expm) is left to `test_matrices`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.differential import drawer as d
from tests.differential.drawer import Drawer
from tests.differential.grades import Worth
from tests.differential.gradients import is_apart

# Positive definite, of values up to 8: {n} times the identity keeps the smallest eigenvalue away from 0.
DEFINITE = "(ng.matmul({x}, ng.swapaxes({x}, -1, -2)) + {n} * ng.eye({x}.shape[-2], dtype={x}.dtype))"
FORMS = (
    "ng.cholesky({m})",
    "ng.cholesky({m}, upper=True)",
    "ng.solve({m}, {x})",
    "ng.solve({m}, {x}, 'pos')",
    "ng.matrix_inverse({m})",
    "ng.slogdet({m})[1]",
    "ng.solve_triangular({m}, {x}, lower=True)",
    "ng.solve_triangular({m}, {x}, 'T')",
    "ng.matrix_power({m}, 2)",
    "ng.matrix_power({m}, -1)",
)
COSTS = (
    "ng.slogdet({m})[1]",
    "ng.cholesky({m})",
    "ng.solve({m}, {x})",
    "ng.matrix_inverse({m}) * 8",
    "ng.solve_triangular(ng.cholesky({m}), {x}, lower=True) ** 2",
    # two terms of one factor
    "(lambda c: ng.solve_triangular(c, {x}, lower=True) * 2 - ng.linalg.diagonal(c)[..., None])(ng.cholesky({m}))",
)
SUMS = (
    "...ij->...ji",
    "...ij->...",
    "...ij,...ij->...i",
    "...ij,...kj->...ik",
    "i...,i...",
    "...ij,...ik,...kl->...jl",
)


def is_small(w: Worth) -> bool:
    return w.array.size > 0 and w.array.shape[-1] <= 12 and bool(np.all(np.abs(w.array) <= 8))


def system(g: Drawer) -> str | None:
    """A function of positive definite matrices, or the gradient of one."""
    x = g.pick(d.is_float, d.is_tame, d.is_exact, d.has_axes(2), is_small)
    if x is None:
        return None
    places = {"x": x, "m": DEFINITE.format(x=x, n=g.one_of((8, 16)))}
    if g.chance(0.3):
        cost = f"ng.sum({g.one_of(COSTS).format(**places)})"
        slope = f"ng.grad({cost}, {x}, disconnected_inputs='ignore')"
        return g.step(slope, "slope", "gradient of matrices", (cost, x) if is_apart(g, cost, x) else None)
    return g.step(g.one_of(FORMS).format(**places), "smooth", "matrices")


def labels(g: Drawer) -> str | None:
    """Sums of products by labels, Kronecker products and traces."""
    x = g.pick(d.is_float, d.is_tame, d.has_axes(2))
    if x is None:
        return None
    text = g.one_of(SUMS)
    count = text.count(",") + 1
    form = g.one_of((f"ng.einsum({text!r}{f', {x}' * count})", f"ng.kron({x}[:2], {x}[..., :2])", f"ng.trace({x})"))
    return g.step(form, "sum", "einsum")


class Twins:
    """The same for arrays, by NumPy and SciPy."""

    @staticmethod
    def solve(a: Any, b: Any, assume_a: str = "gen") -> Any:
        return np.linalg.solve(a, b)

    @staticmethod
    def solve_triangular(a: Any, b: Any, trans: str = "N", lower: bool = False) -> Any:
        part = np.tril(a) if lower else np.triu(a)
        return np.linalg.solve(np.swapaxes(part, -1, -2) if trans == "T" else part, b)

    @staticmethod
    def cholesky(a: Any, upper: bool = False) -> Any:
        lower = np.linalg.cholesky(a)
        return np.swapaxes(lower, -1, -2) if upper else lower

    matrix_inverse, matrix_power, slogdet = np.linalg.inv, np.linalg.matrix_power, np.linalg.slogdet
