"""Lengths that contradict each other: what NumPy refuses when it sees the arrays is refused when the function runs.

Nothing of it is known when the functions are built: every length is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

FLOAT, INT = "float64", "int64"
# By name: ranks and dtypes of the arguments, the function, the same in NumPy.
TABLE: dict[str, tuple[list[Any], Callable[..., Any], Callable[..., Any]]] = {
    "add": ([2, 1], lambda a, b: a + b, lambda a, b: a + b),
    "muladd": ([2, 2, 3], lambda a, b, c: a * b + c, lambda a, b, c: a * b + c),
    "where": ([2, 2, 1], lambda c, a, b: ng.where(c > 0, a, b), lambda c, a, b: np.where(c > 0, a, b)),
    "clip": ([2, 1, 1], ng.clip, np.clip),
    "interp": (
        [1, 1, 1],
        lambda x, a, b: ng.interp(x, ng.cumsum(a + 1), b),
        lambda x, a, b: np.interp(x, np.cumsum(a + 1), b),
    ),
    "histogram": (
        [1, 1],
        lambda a, w: ng.histogram(a, 3, (0, 3), weights=w)[0],
        lambda a, w: np.histogram(a, 3, (0, 3), weights=w)[0],
    ),
    "average": ([2, 2], lambda a, w: ng.average(a, 0, w + 1), lambda a, w: np.average(a, 0, w + 1)),
    "weighted rows": ([2, 1], lambda a, w: ng.average(a, 0, w + 1), lambda a, w: np.average(a, 0, w + 1)),
    "vecdot": ([2, 2], ng.vecdot, np.vecdot if hasattr(np, "vecdot") else np.linalg.vecdot),
    "matmul of stacks": ([3, 3], ng.matmul, np.matmul),
    "matmul": ([3, 2], ng.matmul, np.matmul),
    "tensordot": (
        [3, 3],
        lambda a, b: ng.tensordot(a, b, [[0, 2], [1, 0]]),
        lambda a, b: np.tensordot(a, b, [[0, 2], [1, 0]]),
    ),
    "lexsort": ([1, 1], lambda a, b: ng.lexsort([a, b]), lambda a, b: np.lexsort([a, b])),
    "gradient": ([1, 1], lambda a, x: ng.gradient(a, ng.cumsum(x + 1)), lambda a, x: np.gradient(a, np.cumsum(x + 1))),
    # of NumPy 1, whose name NumPy 2 and its stubs do not have
    "trapezoid": ([2, 1], ng.trapezoid, np.trapezoid if hasattr(np, "trapezoid") else np.trapz),  # type: ignore[attr-defined]
    "differences": ([2, 2], lambda a, b: ng.diff(a, prepend=b), lambda a, b: np.diff(a, prepend=b)),
    "append": ([2, 2], lambda a, b: ng.append(a, b, axis=0), lambda a, b: np.append(a, b, axis=0)),
    "concatenate": ([2, 2], lambda a, b: ng.concatenate([a, b], 1), lambda a, b: np.concatenate([a, b], 1)),
    "stack": ([2, 2], lambda a, b: ng.stack([a, b], 1), lambda a, b: np.stack([a, b], 1)),
    "columns": ([1, 2], lambda a, b: ng.column_stack([a, b]), lambda a, b: np.column_stack([a, b])),
    "select": ([1, 1], lambda a, b: ng.select([a > 1, b > 1], [a, b]), lambda a, b: np.select([a > 1, b > 1], [a, b])),
    "two indices": ([2, (1, INT), (1, INT)], lambda a, i, j: a[i, j], lambda a, i, j: a[i, j]),
    "a row": ([2, 1], lambda a, b: ng.set_subtensor(a[0], b), lambda a, b: assigned(a, 0, b)),
    "rows": ([2, 2], lambda a, b: ng.set_subtensor(a[:2], b), lambda a, b: assigned(a, slice(0, 2), b)),
    "scatter": ([2, (1, INT), 2], lambda a, i, b: ng.set_subtensor(a[i], b), lambda a, i, b: assigned(a, i, b)),
    "mask": ([2, 2, 1], lambda a, m, b: ng.set_subtensor(a[m > 0], b), lambda a, m, b: assigned(a, m > 0, b)),
    "shape of another": ([2, 2], lambda a, b: a.reshape(b.shape), lambda a, b: a.reshape(b.shape)),
    "broadcast": ([2, 2], lambda a, b: ng.broadcast_to(a, b.shape), lambda a, b: np.broadcast_to(a, b.shape)),
    "take along": (
        [2, (2, INT)],
        lambda a, i: ng.take_along_axis(a, i, 0),
        lambda a, i: np.take_along_axis(a, i, 0),
    ),
}


def assigned(a: np.ndarray, key: Any, b: np.ndarray) -> np.ndarray:
    a[key] = b
    return a


@pytest.mark.parametrize("name", TABLE)
def test_what_numpy_refuses_is_refused(name: str) -> None:
    kinds, function, theirs = TABLE[name]
    ranks = [k if isinstance(k, tuple) else (k, FLOAT) for k in kinds]
    xs = [ng.tensor(f"x{k}", dtype, [None] * rank) for k, (rank, dtype) in enumerate(ranks)]
    f = ng.function(xs, function(*xs), target="reference")
    draw, refused, taken = np.random.default_rng(5), 0, 0
    for _ in range(80):
        three = draw.integers(0, 4, 3)
        shapes = [[int(n if draw.random() < 0.85 else draw.integers(0, 4)) for n in three[:rank]] for rank, _ in ranks]
        arrays = [draw.integers(0, 3, s).astype(dtype) for s, (_, dtype) in zip(shapes, ranks, strict=True)]
        try:
            wanted = theirs(*(a.copy() for a in arrays))
        except (ValueError, IndexError, DeprecationWarning):
            # NumPy 2.0 warns of an index out of bounds by which nothing is read, later ones refuse it
            if name == "gradient" and arrays[0].size == arrays[1].size == 0:
                # of no samples there are no differences
                continue
            refused += 1
            with pytest.raises((ValueError, IndexError)):
                f(*arrays)
            continue
        except ZeroDivisionError:
            continue
        try:
            found = f(*arrays)
        except (ValueError, IndexError):
            # NumPy reads no index of what has no element, and takes masks of length 0 for any axis
            assert any(a.size == 0 for a in arrays), shapes
            continue
        taken += 1
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert refused > 3 and taken > 3


def test_the_message_names_the_function() -> None:
    p, y = ng.matrix("p"), ng.lvector("y")
    for target in ("reference", "cpu"):
        f = ng.function([p, y], ng.categorical_crossentropy(p, y), target=target)
        for labels in (0, 1, 5):
            with pytest.raises(
                ng.ShapeError, match=rf"categorical_crossentropy: a length is {labels}, not 3\n  y: int64"
            ):
                f(np.ones((3, 2)), np.zeros(labels, int))


def test_gradients_keep_the_known_lengths_of_1() -> None:
    """Of each op that makes them: what is done with a gradient broadcasts by its type."""
    x, m = ng.tensor("x", dtype="float64", shape=(1, None)), ng.matrix("m")
    costs = [
        (x * m).sum(), ng.dot(x, m).sum(), (x[:, 1:] ** 2).sum(), x.T.sum(), (x.reshape((-1,)) ** 2).sum(),
        (ng.concatenate([x, m]) ** 2).sum(), ng.max(x, axis=1).sum(), (x[[0, 0]] ** 2).sum(), ng.softmax(x, 1)[0, 0],
        ng.stack([x, x])[1, 0].sum(), ng.repeat(x, 2, axis=0).sum(), ng.scan(lambda r: r * 2.0, x)[0].sum(),
        ng.sort(x, axis=1)[0, 0], ng.set_subtensor(m[:1], x).sum(), ng.pad(x, 1).sum(), ng.roll(x, 1, axis=1)[0, 0],
    ]  # fmt: skip
    for cost in costs:
        assert ng.grad(cost, x).type.shape[0] == 1, ng.pprint(cost)
    slope = ng.grad((ng.concatenate([x, m]) ** 2).sum(), x)
    f = ng.function([x, m], [slope, ng.squeeze(slope, 0)])
    value = np.array([[1.0, 2.0]])
    for got in f(value, np.ones((3, 2))):
        np.testing.assert_array_equal(got.ravel(), [2, 4])
