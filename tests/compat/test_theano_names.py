"""Theano's modules and what is in them."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph.compat import missing, names
from numgraph.compat.modules import CONTENTS
from tests.waits import python

ROOT = Path(__file__).parents[2]
HERE = "numgraph.compat.theano"
# what the programs of the Deep Learning Tutorials import or look up
USED = """
theano: function shared scan In Out config grad clone tensor scalar compile sandbox gof updates scan_module printing
tensor: nnet signal shared_randomstreams xlogx lscalar iscalar scalar ivector vector matrix imatrix dmatrix tensor4 dot
tensor: log exp mean sum arange argmax neq eq cast grad tanh sqrt switch clip add zeros alloc round set_subtensor
tensor: reshape as_tensor_variable TensorType tensor shape ones_like zeros_like inc_subtensor concatenate stack
theano: Param OrderedUpdates Mode
tensor.nnet: conv2d softmax sigmoid relu softplus categorical_crossentropy binary_crossentropy
tensor.signal.pool: pool_2d
tensor.signal.downsample: max_pool_2d
tensor.shared_randomstreams: RandomStreams
tensor.sort: sort argsort topk argtopk topk_and_argtopk
tensor.xlogx: xlogy0
sandbox.rng_mrg: MRG_RandomStreams
sandbox.cuda: cuda_enabled cuda_available use
scalar: upcast
compile.mode: get_default_mode Mode
compile: In SharedVariable mode
gof.graph: inputs ancestors
gradient: grad disconnected_grad zero_grad consider_constant DisconnectedInputError
ifelse: ifelse
scan_module: scan until
updates: OrderedUpdates
printing: pp debugprint pydotprint Print
misc.pkl_utils: dump load
"""


@pytest.mark.parametrize("line", USED.strip().splitlines())
def test_names_are_there(line: str) -> None:
    module, _, words = line.partition(": ")
    path = "numgraph.compat.theano" + ("" if module == "theano" else f".{module}")
    found = importlib.import_module(path)
    assert [name for name in words.split() if not hasattr(found, name)] == []
    assert set(words.split()) <= set(found.__all__)


def test_every_module_is_an_attribute_of_the_one_above() -> None:
    for name in CONTENTS:
        above, _, last = name.rpartition(".")
        path, parent = f"{HERE}.{name}".rstrip("."), f"{HERE}.{above}".rstrip(".")
        found = sys.modules[path]
        # these are functions, as in Theano, which stand before the modules of the same name
        functions = "compile.pfunc", "scan_module.scan", "scan_module.scan_checkpoints", "tensor.sort", "tensor.var"
        assert name in ("", *functions) or getattr(sys.modules[parent], last) is found
        assert all(hasattr(found, each) for each in found.__all__)
    with pytest.raises(ModuleNotFoundError, match=r"tensor\.nothing"):
        importlib.import_module("numgraph.compat.theano.tensor.nothing")
    with pytest.raises(AttributeError, match="nothing"):
        theano.nothing  # noqa: B018


def test_missing_names_say_so_when_they_are_called() -> None:
    for module in missing.MODULES:
        found = importlib.import_module(module.replace("theano", "numgraph.compat.theano", 1))
        for name, function in missing.absent(module).items():
            with pytest.raises(NotImplementedError, match=rf"^{module}\.{name} is not there: \w"):
                getattr(found, name)("any", arguments=1)
            assert callable(function)


def test_what_is_there_is_not_in_the_table_of_missing_names() -> None:
    assert not set(missing.absent("theano.tensor")) & set(ng.__all__)
    assert not set(missing.absent("theano.tensor.nnet")) & set(names._NNET)


def test_numgraphs_functions_are_not_copied() -> None:
    assert T.exp is ng.exp and T.maximum is ng.maximum and T.nnet.sigmoid is ng.sigmoid
    assert theano.tensor.nnet.sigmoid is T.nnet.sigmoid
    assert {name for name in names._own() if name not in T.__all__} == set()


def test_forms_name_arguments_that_there_are() -> None:
    """Each row's own names are those of numgraph's function."""
    for line in names._FORMS.strip().splitlines():
        name, _, form = line.partition(": ")
        native = inspect.signature(ng.grad if name == "grad" else getattr(ng, name)).parameters
        ours = [mine if equals else theirs for theirs, equals, mine in (word.partition("=") for word in form.split())]
        assert [mine for mine in ours if mine and mine not in native] == [], name


def test_adapted_arguments(target: str) -> None:
    m = T.dmatrix("m")
    given = np.array([[1.0, 2.0], [4.0, 8.0]])
    expressions = [
        T.sum(input=m, axis=0, acc_dtype="float64"), T.sum(m, 1, None, True), T.mean(m, axis=1),
        T.concatenate(tensor_list=[m, m]),
        T.transpose(m, [1, 0]), T.flatten(m, outdim=1), T.reshape(m, newshape=(1, 4)), T.clip(m, min=2, max=4),
        T.nnet.categorical_crossentropy(coding_dist=m, true_dist=np.array([0, 1])),
    ]  # fmt: skip
    wanted = [
        given.sum(0), given.sum(1, keepdims=True), given.mean(1), np.concatenate([given, given]),
        given.T, given.ravel(), given.reshape(1, 4), given.clip(2, 4), -np.log([1.0, 8.0]),
    ]  # fmt: skip
    for got, value in zip(theano.function([m], expressions)(given), wanted, strict=True):
        np.testing.assert_allclose(got, value)
    with pytest.raises(TypeError, match="several values for x"):
        T.outer(m, x=m)
    with pytest.raises(TypeError, match="at most 5"):
        T.sum(m, 0, None, True, None, None)


def test_written_with_numgraphs_functions(target: str) -> None:
    v, m = T.dvector("v"), T.dmatrix("m")
    a, b = np.array([0.5, -2.5, 1.5]), np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    table = {
        "round away": (T.round(v, mode="half_away_from_zero"), [1.0, -3.0, 2.0]),
        "round even": (T.round(v), [0.0, -2.0, 2.0]),
        "iround": (T.iround(v), [0, -2, 2]),
        "max": (T.max_and_argmax(m, axis=1)[0], [3.0, 5.0]),
        "argmax": (T.max_and_argmax(m, axis=1)[1], [2, 2]),
        "smallest": (T.smallest(v, 1.0, 0.75), [0.5, -2.5, 0.75]),
        "largest": (T.largest(v, 1.0), [1.0, 1.0, 1.5]),
        "isclose": (T.isclose(v, v + np.array([0.0, 1e-9, 1.0])), [True, True, False]),
        "allclose": (T.allclose(v, v), True),
        "nonzero": (T.nonzero(m, return_matrix=True), np.stack(b.nonzero())),
        "fill": (T.fill(m, 3.0), np.full((2, 3), 3.0)),
        "shape": (T.shape(m) * 2, [4, 6]),
        "softmax": (T.nnet.softmax(v), [np.exp(a) / np.exp(a).sum()]),
        "relu": (T.nnet.relu(v, 0.1), [0.5, -0.25, 1.5]),
        "hard_sigmoid": (T.nnet.hard_sigmoid(v), [0.6, 0.0, 0.8]),
        "softsign": (T.nnet.softsign(v), a / (1 + abs(a))),
        "selu": (T.nnet.selu(v)[:1], [1.0507009873554805 * 0.5]),
        "nll": (T.nnet.crossentropy_softmax_1hot(m, np.array([2, 2]))[0], np.log(np.exp(b).sum(1)) - b[:, 2]),
        "ceil_intdiv": (T.ceil_intdiv(T.shape(v)[0], 2), 2),
        "xlogy0": (T.xlogx.xlogy0(np.array([0.0, 2.0]), np.array([0.0, 3.0])), [0.0, 2 * np.log(3)]),
        "mgrid": (T.mgrid[0:2, 0:3], np.mgrid[0:2, 0:3]),
        "bartlett": (T.bartlett(5), np.bartlett(5)),
        "cov": (T.cov(m, ddof=0), np.cov(b, ddof=0)),
        "permute_row_elements": (T.permute_row_elements(m, np.array([2, 0, 1])), b[:, [2, 0, 1]]),
        "permute back": (T.permute_row_elements(m, np.array([2, 0, 1]), 1), b[:, [1, 2, 0]]),
        "inverse_permutation": (T.inverse_permutation(np.array([2, 0, 1])), [1, 2, 0]),
        "special": (T.gammau(2.0, m) + T.gammal(2.0, m) + T.tri_gamma(m + 1) * 0, np.ones((2, 3))),
        "chi2sf": (T.chi2sf(m, 2), np.exp(-b / 2)),
        "stacklists": (T.stacklists([[v[0], v[1]], [v[2], v[0]]]), [[0.5, -2.5], [1.5, 0.5]]),
        "addbroadcast": (T.addbroadcast(m[:1], 0) + m, b[:1] + b),
        "batch_normalization": (T.nnet.batch_normalization(m, 2.0, 1.0, m.mean(0), 4.0), (b - b.mean(0)) / 2 + 1),
        "Lop": (T.Lop(v**2, v, np.array([1.0, 0.0, 2.0])), [1.0, 0.0, 6.0]),
    }
    results = theano.function([v, m], [e for e, _ in table.values()])(a, b)
    for (name, (_, wanted)), got in zip(table.items(), results, strict=True):
        np.testing.assert_allclose(got, wanted, err_msg=name)


def test_functions_that_numgraph_has_itself(target: str) -> None:
    v, m = T.dvector("v"), T.dmatrix("m")
    a, b = np.array([0.5, -2.5, 1.5]), np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    table = {
        "ultra_fast_sigmoid": (T.nnet.ultra_fast_sigmoid(v)[:1], [0.65]),
        "confusion_matrix": (T.nnet.confusion_matrix(T.cast(v, "int32"), T.cast(v, "int32"))[0], np.eye(3)),
        "topk": (T.topk(v, -2), [-2.5, 0.5]),
        "argtopk": (T.argtopk(m, 2, axis=1, sorted=False, idx_dtype="int32"), [[2, 1], [2, 0]]),
        "bincount": (T.bincount(T.cast(m[0], "int32"), minlength=6), [0, 1, 1, 1, 0, 0]),
        "searchsorted": (T.searchsorted(x=m[0], v=v, side="right"), [0, 0, 1]),
        "choose": (T.choose(T.cast(m > 1, "int32"), [m, -m]), np.where(b > 1, -b, b)),
        "compress": (T.compress([0, 1], m, axis=0), b[1:]),
        "unravel_index": (T.stack(T.unravel_index(np.array([5, 2]), T.shape(m), ndim=2)), [[1, 0], [2, 2]]),
        "fill_diagonal": (T.fill_diagonal(m, 7), [[7, 2, 3], [0, 7, 5]]),
    }
    results = theano.function([v, m], [e for e, _ in table.values()])(a, b)
    for (name, (_, wanted)), got in zip(table.items(), results, strict=True):
        np.testing.assert_allclose(got, wanted, err_msg=name)


def test_rop(target: str) -> None:
    """Against differences, and the product of a Hessian and a vector."""
    v, W, way, turn = T.dvector("v"), T.dmatrix("W"), T.dvector("way"), T.dmatrix("turn")
    rng = np.random.default_rng(3)
    at, direction, weights, other = (
        rng.normal(size=4),
        rng.normal(size=4),
        rng.normal(size=(4, 3)),
        rng.normal(size=(4, 3)),
    )
    y = T.tanh(T.dot(v, W))
    moved = theano.function([v, W, way, turn], T.Rop(y, [v, W], [way, turn]))(at, weights, direction, other)
    h = 1e-6
    up, down = (np.tanh((at + s * direction) @ (weights + s * other)) for s in (h, -h))
    np.testing.assert_allclose(moved, (up - down) / (2 * h), rtol=1e-7, atol=1e-9)
    slope = T.grad(T.sum(v**3), v)
    np.testing.assert_allclose(theano.function([v, way], T.Rop(slope, v, way))(at, direction), 6 * at * direction)
    pair = theano.function([v, way], theano.Rop([v * 2, T.sum(v)], v, way))(at, direction)
    np.testing.assert_allclose(pair[0], 2 * direction)
    np.testing.assert_allclose(pair[1], direction.sum())
    with pytest.raises(theano.gradient.DisconnectedInputError):
        T.Rop(way * 2, v, way)


def test_families_of_constructors() -> None:
    a, b = T.fmatrices("a", "b")
    assert (a.name, b.dtype, b.ndim) == ("b" and "a", "float32", 2)
    assert [v.name for v in T.scalars("xyz")] == ["x", "y", "z"]
    assert len(T.lvectors(3)) == 3
    assert T.dmatrix(name="input").name == "input" and T.lscalar().ndim == 0
    assert T.tensor5("t").ndim == 5 and T.itensor6().dtype == "int32"
    assert theano.shared(1).type == T.lscalar and T.dmatrix().type == T.dmatrix and T.dmatrix != T.fmatrix
    made = T.tensor("float32", (False, True), name="column")
    assert (made.name, made.broadcastable) == ("column", (False, True))
    kind = T.TensorType("int64", (False, True))
    assert isinstance(kind, T.TensorType) and isinstance(a.type, T.TensorType) and not isinstance(a, T.TensorType)
    assert kind("v").type == kind and kind("v").name == "v"
    assert T.constant(2.0, ndim=2).type.shape == (1, 1)
    assert T.as_tensor_variable([1, 2], ndim=2).type.shape == (1, 2)
    with pytest.raises(ValueError, match="more than 1"):
        T.as_tensor_variable(a, ndim=1)


def test_attributes_of_variables() -> None:
    x = T.dvector("x")
    y = x * 2
    x.tag.test_value = np.zeros(3)
    assert x.tag.test_value.shape == (3,) and not hasattr(y.tag, "test_value")
    assert x.owner is None and y.owner.inputs[0] is x and y.owner.op.name == "mul" and y.owner.outputs == [y]
    assert x.type().type == x.type and x.type("z").name == "z"
    np.testing.assert_array_equal(x.zeros_like().eval({x: [1.0, 2.0]}), [0.0, 0.0])
    assert bool(x) and bool(y)
    with pytest.raises(TypeError):
        bool(x > 0)


def test_graphs() -> None:
    from numgraph.compat.theano.gof.graph import ancestors, inputs

    x, w = T.dvector("x"), theano.shared(np.zeros(3), name="w")
    y = x + w
    z = y * y
    assert set(inputs([z])) == {x, w}
    assert set(ancestors([z])) == {x, w, y, z}
    assert inputs([z], blockers=[y]) == [] and ancestors([z], blockers=[y]) == [z, y]


def test_functions_show_their_ops() -> None:
    """The check in Theano's documentation of whether a GPU was used."""
    x = T.dvector("x")
    f = theano.function([x], T.exp(x).sum())
    nodes = f.maker.fgraph.toposort()
    assert [node.op.name for node in nodes] == ["exp", "sum"]
    assert [isinstance(node.op, T.Elemwise) for node in nodes] == [True, False]
    assert not any("Gpu" in type(node.op).__name__ for node in nodes)


def test_scalars_upcast() -> None:
    assert theano.scalar.upcast("float32", "int64") == "float64"
    assert theano.scalar.upcast("int8", "float32") == "float32"


def test_ops_of_users_are_refused_when_they_are_made() -> None:
    class Double(theano.Op):  # type: ignore[name-defined,misc]
        def perform(self, node: Any, inputs: Any, outputs: Any) -> None: ...

    with pytest.raises(NotImplementedError, match=r"Double: .*numgraph\.call"):
        Double()


def test_print(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    x = T.dvector("x")
    f = theano.function([x], theano.printing.Print("here", attrs=("shape", "__str__"))(x) * 2)
    assert f([1.0, 2.0]).tolist() == [2, 4]
    assert capsys.readouterr().out == "here shape = (2,)\nhere __str__ = [1. 2.]\n"


def test_assert_looks_at_its_conditions(target: str) -> None:
    x = T.dvector("x")
    f = theano.function([x], theano.tensor.opt.Assert("not positive")(x, T.all(x > 0), x[0] < 9) * 2)
    assert f([1.0, 2.0]).tolist() == [2, 4]
    for bad in ([1.0, -2.0], [9.0, 1.0]):
        with pytest.raises(AssertionError, match="not positive"):
            f(bad)
    with pytest.raises(AssertionError, match="Theano Assert failed!"):
        theano.function([x], theano.tensor.opt.assert_op(x, x > 0))([-1.0])


def test_transforms(target: str) -> None:
    x, y = T.dvector("x"), T.dscalar("y")
    op = theano.OpFromGraph([x, y], [x * y], name="scaled")
    a = T.dvector("a")
    assert theano.function([a], op(a, T.sum(a)))([1.0, 2.0]).tolist() == [3, 6]
    ruled = theano.OpFromGraph([x], [T.floor(x)], lop_overrides=lambda ins, outs, gs: [gs[0] * ins[0] + outs[0] * 0])
    assert theano.function([a], T.grad(T.sum(ruled(a)), a))([1.5, 2.0]).tolist() == [1.5, 2]
    T.verify_grad(lambda v: T.tanh(v) ** 2, [np.array([0.5, -1.0])], rng=np.random.RandomState(1))
    scaled = theano.gradient.grad_scale(x, multiplier=-2)
    assert theano.function([x], T.grad(T.sum(scaled**2), x))([1.0]).tolist() == [-4]
    assert theano.function([x], theano.Rop(f=x**2, wrt=x, eval_points=x))([3.0]).tolist() == [18]


def test_importing_loads_no_compiler(tmp_path: Path) -> None:
    program = "import sys, numgraph.compat.theano.tensor as T\nT.exp(T.dvector('x'))\n"
    program += "print(sorted({n.partition('.')[0] for n in sys.modules} & {'numba', 'llvmlite', 'scipy', 'rich'}))"
    done = python("-c", program, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "[]", done.stderr


def test_debugprint_and_pp(capsys: pytest.CaptureFixture[str]) -> None:
    x = T.dvector("x")
    theano.printing.debugprint(x + 1)
    assert "add" in capsys.readouterr().out
    assert "add" in theano.printing.debugprint(x + 1, depth=2, print_type=True, file="str")
    assert capsys.readouterr().out == ""
    assert theano.pp(x + 1) == "x + 1.0"


def test_linear_algebra_as_theano_calls_it() -> None:
    nlinalg, a, v = T.nlinalg, T.dmatrix("a"), T.dvector("v")
    x = np.array([[2.0, -1.0], [0.5, 3.0]])
    made = [nlinalg.norm(a, "inf"), nlinalg.norm(a, "-inf"), nlinalg.norm(a), nlinalg.lstsq()(a, a, -1)[0]]
    made += [nlinalg.alloc_diag(v), nlinalg.extract_diag(a)]
    found = theano.function([a, v], made)(x, x[0])
    wanted = [np.linalg.norm(x, np.inf), np.linalg.norm(x, -np.inf), np.linalg.norm(x), np.eye(2), np.diag(x[0])]
    for value, exact in zip(found, [*wanted, np.diag(x)], strict=True):
        np.testing.assert_allclose(value, exact, atol=1e-12)
    for wrong, shape in ((nlinalg.alloc_diag, a), (nlinalg.extract_diag, v)):
        with pytest.raises(ng.ShapeError, match="is needed"):
            wrong(shape)
    with pytest.raises(ValueError, match="fro"):
        nlinalg.norm(v, "fro")


def test_gradients_have_names() -> None:
    x, y = T.dvectors("x", "y")
    cost = T.sum(x * x * y)
    cost.name = "cost"
    assert [g.name for g in T.grad(cost, [x, y])] == ["(dcost/dx)", "(dcost/dy)"]
    assert T.grad(cost, x, add_names=False).name is None
    assert T.grad(T.sum(x * x), x).name is None


def test_gradients_in_pieces() -> None:
    x, w, u = T.dvector("x"), theano.shared(np.array([[0.5, -1.0], [2.0, 0.25]])), theano.shared(np.array([1.0, 3.0]))
    hidden = T.tanh(T.dot(x, w))
    last, first = T.sqr(T.dot(hidden, u)), T.sum(w**2)
    (gu,), (gh,) = theano.subgraph_grad([u], [hidden], cost=last)
    (gw,), (gx,), of_start, of_cost = theano.subgraph_grad([w], [x], start={hidden: gh}, cost=first, details=True)
    wanted = T.grad(last + first, [u, w, x])
    assert len(of_start) == len(of_cost) == 2
    found = theano.function([x], [gu, gw, gx, *wanted])([0.3, -0.7])
    for value, exact in zip(found[:3], found[3:], strict=True):
        np.testing.assert_allclose(value, exact, rtol=1e-12)
    with pytest.raises(ValueError, match="start or cost"):
        theano.subgraph_grad([w], [x])


def test_lists_of_dtypes() -> None:
    assert [*T.int_dtypes, *T.uint_dtypes] == T.integer_dtypes and "bool" not in T.integer_dtypes
    assert T.float_dtypes == ["float16", "float32", "float64"] and T.continuous_dtypes[3:] == T.complex_dtypes
    assert {np.dtype(d).name for d in T.all_dtypes} == set(ng.types.DTYPES)


def test_floatx_is_a_dtype() -> None:
    with theano.change_flags(floatX="float32"):
        made = [T.tensor("floatX", (False,)), T.TensorType("floatX", (False,))(), T.zeros((2,), dtype="floatX")]
        assert [v.dtype for v in made] == ["float32"] * 3
