"""`theano.gof.graph` and `theano.clone`: in which order leaves are found, what counts as equal, copies of leaves."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numgraph.compat.theano.gof.graph import ancestors, inputs, io_toposort, is_same_graph
from numgraph.compat.theano.scan_module.scan_op import Scan
from numgraph.compat.theano.scan_module.scan_utils import equal_computations

import numgraph.compat.theano as theano
from numgraph.compat.theano import tensor as T


def test_leaves_are_found_in_the_order_of_theano() -> None:
    """Libraries keep parameters in this order, and files of them, too."""
    x, W, b = T.dmatrix("x"), T.dmatrix("W"), T.dvector("b")
    y = T.dot(x, W) + b
    assert [v.name for v in inputs([y])] == ["x", "W", "b"]
    # what was asked for last comes first
    assert inputs([b, W, x]) == [x, W, b] and inputs([y, b]) == [b, x, W]
    assert ancestors([y])[:2] == [y, y.owner.inputs[0]]
    assert inputs([y * 1.0, x])[0] is x


def test_what_is_made_in_the_same_way() -> None:
    x, y, z = T.dvectors("x", "y", "z")
    assert is_same_graph(x + 1, x + 1) and is_same_graph(x, x)
    assert not is_same_graph(x + 1, y + 1) and not is_same_graph(x + 1, x + 2) and not is_same_graph(x + 1, x - 1)
    assert is_same_graph(x + 1, y + 1, givens={x: y}) and is_same_graph(x + 1, y + 1, {x: z, y: z})
    assert not is_same_graph(x * (y * z), (x * y) * z)
    assert not is_same_graph(T.sum(T.outer(x, y), axis=0), T.sum(T.outer(x, y), axis=1))
    assert equal_computations([x + 1, x * y], [x + 1, x * y]) and not equal_computations([x + 1, x], [x + 1, y])
    assert equal_computations([x + y], [z + y], in_xs=[x], in_ys=[z])
    assert not equal_computations([x + y], [z + y], [x], []) and not equal_computations([x], [x + 1])
    deep = x
    for _ in range(3000):
        deep = deep * deep
    assert is_same_graph(deep, deep + 0 - 0) is False and is_same_graph(deep * 2, deep * 2)


def test_copies_of_leaves(target: str) -> None:
    x, y = T.dvectors("x", "y")
    w = theano.shared(np.array([1.0, 2.0]), name="w")
    other = theano.clone(x * w + 3, share_inputs=False)
    leaf, kept, _ = inputs([other])
    assert leaf is not x and leaf.type == x.type and leaf.name == "x" and kept is not w
    assert theano.function([leaf], other)([1.0, 1.0]).tolist() == [4, 5]
    kept.set_value(np.array([5.0, 6.0]))
    assert w.get_value().tolist() == [5, 6]
    # what is put in is copied, too
    replaced = theano.clone(x * w, replace={x: y + 1}, share_inputs=False)
    assert y not in inputs([replaced]) and inputs([replaced])[0].name == "y"


def _averaged(value: Any) -> tuple[Any, Any, Any]:
    """A variable, its clone with a default update, and a result that depends on the clone alone."""
    mean, x = theano.shared(value, name="mean"), T.dvector("x")
    running = theano.clone(mean, share_inputs=False)
    running.default_update = 0.5 * running + 0.5 * x
    return mean, x, x + 0 * running


def test_default_updates_of_clones(target: str) -> None:
    """As layers of batch normalisation keep running means: the update is the clone's, the value the original's."""
    mean, x, y = _averaged(np.zeros(2))
    f = theano.function([x], [y, mean])
    assert [v.tolist() for v in f([2.0, 4.0])] == [[2, 4], [0, 0]] and mean.get_value().tolist() == [1, 2]
    f([3.0, 2.0])
    assert mean.get_value().tolist() == [2, 2]
    assert mean.default_update is None
    # a function without the clone leaves it, and those that are told to
    theano.function([x], x * mean)([1.0, 1.0])
    for kept in (True, [mean], [inputs([y])[-1]]):
        theano.function([x], y, no_default_updates=kept)([1.0, 1.0])
    assert mean.get_value().tolist() == [2, 2]
    theano.function([x], y, updates=[(mean, x)])([7.0, 8.0])
    assert mean.get_value().tolist() == [7, 8]
    theano.function([x], y, givens={inputs([y])[-1]: np.zeros(2)})([1.0, 1.0])
    assert mean.get_value().tolist() == [7, 8]


def test_givens_are_read_once(target: str) -> None:
    """As an iterator, with a clone among the variables and without."""
    mean, x, y = _averaged(np.ones(2))
    for made, wanted in ((x * mean, [3, 3]), (y * mean, [3, 3])):
        f = theano.function([], made, givens=zip([x], [np.full(2, 3.0)], strict=True), no_default_updates=True)
        assert f().tolist() == wanted


def test_a_clone_is_updated_as_its_original(target: str) -> None:
    mean, x, _ = _averaged(np.zeros(2))
    running = theano.clone(mean, share_inputs=False)
    theano.function([x], [running * 2, mean * 3], updates=[(running, x)])([1.0, 2.0])
    assert mean.get_value().tolist() == running.get_value().tolist() == [1, 2]
    with pytest.raises(ValueError, match="updated twice"):
        theano.function([x], [], updates=[(running, x), (mean, x)])


def test_values_of_what_depends_on_a_clone_and_its_original(target: str) -> None:
    mean, x, y = _averaged(np.zeros(2))
    for k in range(2):
        assert (y + mean).eval({x: np.array([2.0, 4.0])}).tolist() == [[2, 4], [3, 6]][k]
    assert mean.get_value().tolist() == [1.5, 3] and (y * 2).eval({"x": np.zeros(2)}).tolist() == [0, 0]


def test_copies_of_clones_share_a_value_of_their_own() -> None:
    mean, x, y = _averaged(np.zeros(2))
    for made in (copy.deepcopy([mean, x, y]), pickle.loads(pickle.dumps([mean, x, y]))):
        other, argument, result = made
        theano.function([argument], result)([2.0, 4.0])
        assert other.get_value().tolist() == [1, 2] and mean.get_value().tolist() == [0, 0]


def test_classes_of_convolutions(target: str) -> None:
    """The ops that libraries make by hand give what the functions give."""
    made = T.nnet.abstract_conv
    rng = np.random.default_rng(0)
    x, w, g = (rng.normal(size=s) for s in ((2, 3, 7, 6), (4, 3, 3, 2), (2, 4, 3, 3)))
    options: dict[str, Any] = {"border_mode": (1, 0), "subsample": (2, 2), "filter_flip": False}
    shape = T.lvector("shape")
    pairs = [
        (made.AbstractConv2d(**options)(x, w), T.nnet.conv2d(x, w, **options)),
        (
            made.AbstractConv2d_gradInputs(imshp=(2, 3, 7, 6), **options)(w, g[:, :, :, :], (6, 6)),
            made.conv2d_grad_wrt_inputs(g, w, (None, None, 6, 6), **options),
        ),
        (
            made.AbstractConv2d_gradWeights(**options)(x, g, (4, 2)),
            made.conv2d_grad_wrt_weights(x, g, (None, None, 4, 2), **options),
        ),
    ]
    for got, wanted in pairs:
        np.testing.assert_allclose(got.eval(), wanted.eval())
    symbolic = made.AbstractConv2d_gradInputs(**options)(w, g, shape)
    np.testing.assert_allclose(theano.function([shape], symbolic)([6, 6]), pairs[1][1].eval())
    films, filters = rng.normal(size=(1, 2, 3, 4, 5)), rng.normal(size=(2, 2, 2, 2, 2))
    np.testing.assert_allclose(made.AbstractConv3d()(films, filters).eval(), T.nnet.conv3d(films, filters).eval())
    with pytest.raises(NotImplementedError, match="unshared"):
        made.AbstractConv3d(unshared=True)(films, filters)


def test_no_backend_of_a_gpu_is_named() -> None:
    from numgraph.compat.theano.sandbox.cuda import dnn

    from numgraph.compat.theano import gpuarray

    assert not gpuarray.pygpu_activated and not gpuarray.dnn.dnn_present() and not dnn.dnn_available()
    assert "cuDNN" in gpuarray.dnn.dnn_present.msg


def test_plain_arithmetic_stays_numpys() -> None:
    assert T.nnet.relu(np.array([-1.0, 2.0])).tolist() == [0, 2]
    assert T.nnet.relu(np.array([-1.0, 2.0]), 0.5).tolist() == [-0.5, 2]


def test_axes_come_as_arrays() -> None:
    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(12.0).reshape(4, 3)
    wanted = np.tensordot(a, b, axes=([1, 2], [1, 0]))
    np.testing.assert_array_equal(T.tensordot(a, b, axes=[np.array([1, 2]), np.array([1, 0])]).eval(), wanted)


def test_attributes_of_a_programs_own() -> None:
    """Libraries keep what they know of a variable on it, on its tag, and on that of how it was made."""
    x, w, c = T.dmatrix("x"), theano.shared(np.zeros(2), "w"), T.constant(1.0)
    y = x + w
    for v in (x, w, c, y):
        v.known_shape = (None, 2)
        v.tag.roles = ["weight"]
        assert v.known_shape == (None, 2) and v.tag.roles == ["weight"]
    y.owner.tag.made_by = "layer"
    assert y.owner.tag.made_by == "layer" and not hasattr(y.tag, "made_by")
    with pytest.raises(AttributeError, match="'Variable' object has no attribute 'known_shapes'"):
        _ = x.known_shapes
    for name, value in (("shape", (2, 3)), ("T", x), ("dtype", "int8")):
        with pytest.raises(AttributeError):
            setattr(x, name, value)


def test_graphs_are_walked_by_parents() -> None:
    x = T.dvector("x")
    y = T.exp(x)
    assert x.get_parents() == [] and y.get_parents() == [y.owner] and y.owner.get_parents() == [x]
    assert {y.owner, y.owner} == {y.owner} and y.owner != T.exp(x).owner and y.owner != 3


def test_what_libraries_look_at() -> None:
    """Axes of length 1 of shared variables, where the value lies, how results of a loop are made."""
    w = theano.shared(np.zeros((3, 1)), broadcastable=(False, True))
    assert w.broadcastable == (False, True) and theano.shared(np.zeros((3, 1))).broadcastable == (False, False)
    assert w.container.storage[0] is w.get_value(borrow=True)
    x = T.dvector("x")
    (first, second), _ = theano.scan(lambda v: (v * 2, v + 1), sequences=x)
    scans = {n.op for n in io_toposort([x], [first, second]) if isinstance(n.op, Scan)}
    assert len(scans) == 1 and {v.op.name for v in scans.pop().outputs} >= {"mul", "add"}
    y = T.exp(x) * T.sqrt(x)
    order = io_toposort(inputs([y]), [y])
    assert [n.op.name for n in order] == ["sqrt", "exp", "mul"] and order[-1] == y.owner
    rng = theano.sandbox.rng_mrg.MRG_RandomStreams(1)
    states = [v for v in inputs([rng.uniform((2,)) * w.sum()]) if isinstance(v, theano.compile.SharedVariable)]
    assert sorted(hasattr(v.tag, "is_rng") for v in states) == [False, True]


def test_a_state_of_a_scan_is_a_part_of_its_values_with_the_first_one() -> None:
    """Libraries look for the op of the part, and take what it is a part of."""
    Subtensor = T.subtensor.Subtensor
    x, start = T.dmatrix("x"), T.dvector("start")
    (state, other), _ = theano.scan(lambda v, h: [h * v, h + v], sequences=x, outputs_info=[start, None])
    assert isinstance(state.owner.op, Subtensor) and isinstance(other.owner.op, Scan)
    whole = state.owner.inputs[0]
    assert whole is state.owner.inputs[0] and isinstance(whole.owner.op, Scan) and whole.owner.op is other.owner.op
    f = theano.function([x, start], [whole, state, T.grad(whole.sum(), start)])
    values, rest, slope = f([[2.0, 1.0], [3.0, 0.5]], [1.0, 4.0])
    assert values.tolist() == [[1, 4], [2, 4], [6, 2]] and rest.tolist() == values[1:].tolist()
    assert slope.tolist() == [1 + 2 + 6, 1 + 1 + 0.5]
    assert Scan in [type(n.op) for n in io_toposort([x, start], [state])]
    # parts of any array are told so; where a scan looks back further, or may end early, it is the scan's own
    assert isinstance(x[1:].owner.op, Subtensor) and not isinstance(T.exp(x).owner.op, Subtensor)
    back, _ = theano.scan(lambda a, b: a + b, outputs_info=[{"initial": start, "taps": [-2, -1]}], n_steps=3)
    ending, _ = theano.scan(lambda h: (h * 2, theano.scan_module.until(h > 9)), outputs_info=[start[0]], n_steps=9)
    assert isinstance(back.owner.op, Scan) and isinstance(ending.owner.inputs[0].owner.op, Scan)


def test_norms_are_those_of_all_elements() -> None:
    """Gradients are clipped by them: of a matrix NumPy's of order 2 would be the largest singular value."""
    value = np.array([[3.0, 0.0], [0.0, -4.0]])
    m = T.dmatrix("m")
    assert m.norm(2).eval({m: value}) == 5 and m.norm(1).eval({m: value}) == 7 and m.norm(L=2).eval({m: value}) == 5
    assert m.norm(2, axis=0).eval({m: value}).tolist() == [3, 4]
    assert m.norm("fro").eval({m: value}) == m.norm().eval({m: value}) == 5 and m.norm(ord=2).eval({m: value}) == 4
    t = T.dtensor3("t")
    assert t.norm(2).eval({t: np.ones((2, 2, 1))}) == 2


def test_an_empty_shape_is_of_integers() -> None:
    x = T.dvector("x")
    joined = T.join(0, x.shape[:1], x.shape[1:])
    assert joined.dtype == "int64" and joined.eval({x: np.zeros(3)}).tolist() == [3]
    assert x.reshape(joined, ndim=1).eval({x: np.ones(3)}).tolist() == [1, 1, 1]
