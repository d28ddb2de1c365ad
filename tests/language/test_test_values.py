"""Values for a try: errors at the line that makes an operation, and what the reference gives."""

from __future__ import annotations

import gc
import traceback
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import ArgumentShapeError, DtypeError, IndexOutOfRange, ShapeError
from numgraph.graph import Variable, toposort
from tests import fuzz


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    ng.config.test_values = True
    yield
    ng.config.test_values = False


def test_shapes_are_refused_by_the_line_that_makes_the_operation() -> None:
    x, w = ng.matrix("x"), ng.shared(np.zeros((5, 2)), name="w")
    x.test_value = np.zeros((3, 4))
    with pytest.raises(ShapeError, match="x: float64") as caught:
        x @ w  # the line
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == __file__]
    assert lines == ["x @ w  # the line"]
    ng.config.test_values = False
    assert (x @ w).op is not None


def test_indices_are_refused_at_once() -> None:
    x, k = ng.vector("x"), ng.lvector("k")
    x.test_value, k.test_value = [1.0, 2.0], [0, 2]
    with pytest.raises(IndexOutOfRange):
        x[k]


def test_values_are_the_references() -> None:
    x, y = ng.matrix("x"), ng.vector("y")
    x.test_value, y.test_value = [[1.0, 2.0], [3.0, 4.0]], [0.5, -0.5]
    cost = ng.sum(ng.tanh(x * y) ** 2)
    assert cost.test_value == pytest.approx(np.sum(np.tanh(x.test_value * y.test_value) ** 2))
    (gradient,) = ng.grad(cost, [x])
    f = ng.function([x, y], gradient)
    np.testing.assert_allclose(gradient.test_value, f(x.test_value, y.test_value))


def test_scans_have_values() -> None:
    x = ng.vector("x")
    x.test_value = [1.0, 2.0, 3.0]
    h, _ = ng.scan(lambda v, total: total + v, sequences=x, outputs_info=ng.zeros(()))
    np.testing.assert_array_equal(h.test_value, [1.0, 3.0, 6.0])


def test_without_a_value_nothing_is_computed() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    x.test_value = [1.0]
    z = x + y
    with pytest.raises(AttributeError, match="has no test value"):
        z.test_value.sum()
    assert not hasattr(z, "test_value") and hasattr(x * 2, "test_value")
    x.test_value = None
    assert not hasattr(x, "test_value")


def test_values_follow_the_rules_of_arguments() -> None:
    x = ng.fmatrix("x")
    with pytest.raises(ArgumentShapeError):
        x.test_value = [1.0]
    with pytest.raises(DtypeError):
        x.test_value = [["a"]]
    with pytest.raises(TypeError, match="is computed"):
        (x + 1).test_value = [[1.0]]
    with pytest.raises(TypeError, match="has a value of its own"):
        ng.shared(1.0).test_value = 2.0
    array = np.ones((1, 1), "float32")
    x.test_value = array
    array[:] = 5
    x.test_value[:] = 7
    assert x.test_value == 1


def test_values_go_with_their_variables() -> None:
    x = ng.vector("x")
    x.test_value = np.ones(3)
    y = ng.exp(x)
    known = weakref.ref(y)
    del y
    gc.collect()
    assert known() is None


def test_functions_do_not_care() -> None:
    x = ng.vector("x")
    x.test_value = np.ones(3)
    s = ng.shared(np.zeros(4), name="s")
    f = ng.function([x], ng.sum(x), givens={}, updates=[(s, s + 1)])
    assert f([1.0, 2.0]) == 3.0 and s.get_value()[0] == 1.0


@pytest.mark.parametrize("seed", range(8))
def test_random_programs_are_computed_while_they_are_drawn(seed: int) -> None:
    """What was drawn has arrays of its own; with these as test values the same comes out."""
    ng.config.test_values = False
    drawn = fuzz.draw(fuzz.seeded(seed))
    arrays = {v.variable: v.array for v in drawn.pool}
    ng.config.test_values = True
    twins = {v: ng.tensor(v.name, v.dtype, v.type.shape) for v, _ in drawn.inputs}
    for v, twin in twins.items():
        twin.test_value = arrays[v]
    new: dict[Variable, Variable] = {}
    for node in toposort(drawn.outputs):
        leaf = node.op is None
        new[node] = twins.get(node, node) if leaf else node.copy_with(tuple(new[v] for v in node.inputs))
    for output in drawn.outputs:
        np.testing.assert_array_equal(new[output].test_value, arrays[output])
