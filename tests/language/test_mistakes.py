"""The whole texts of the errors met while writing expressions: gradients, and variables taken for values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_errors import in_root, text  # noqa: F401  # a fixture for all tests

import numgraph as ng
from numgraph.absent import ABSENT

# -- gradients ------------------------------------------------------------------------------------------------------


def test_gradients() -> None:
    v, s, y = ng.vector("v"), ng.scalar("s"), ng.ivector("y")
    total = v.sum()
    assert text(ng.DisconnectedError, lambda: ng.grad(total, s)) == (
        "grad: the cost does not depend on s, or only through integers, comparisons or constants\n"
        f"  cost: the result of sum: float64  made at {total.line}\n"
        f"  wrt: s: float64  made at {s.line}\n"
        '  fix: look at the graph with ng.debugprint(cost), or pass disconnected_inputs="ignore" for zeros'
    )
    assert text(ng.GradientError, lambda: ng.grad(v, v)) == (
        "grad: the cost must be a scalar, and v has 1 axis\n"
        f"  v: float64[?]  made at {v.line}\n"
        "  fix: use .sum() or .mean() on it"
    )
    assert text(ng.GradientError, lambda: ng.grad(y[0], v)).splitlines()[0] == (
        "grad: the cost must be a float, and the result of subtensor is int32"
    )
    assert text(ng.GradientError, lambda: ng.grad(total, y)) == (
        f"grad: y is not a float and has no gradient\n  y: int32[?]  made at {y.line}\n"
        "  fix: y = x.astype('float64') where it enters the cost, and ask for the gradient with respect to y"
    )
    assert text(ng.GradientError, lambda: ng.grad(v.sum, v)).endswith("\n  fix: call it, with () after sum")
    assert text(ng.GradientError, lambda: ng.grad(3.0, v)) == "grad: the cost must be a variable, not 3.0"


# -- variables taken for values -------------------------------------------------------------------------------------


def test_conditions_have_no_truth_value() -> None:
    v = ng.vector("v")
    positive = v > 0
    want = (
        "the result of gt is true or false only when a function runs\n"
        f"  the result of gt: bool[?]  made at {positive.line}\n"
        "  fix: ng.where(condition, a, b) for a choice, (a < x) & (x < b) for `and` and a < x < b"
    )
    assert text(TypeError, lambda: bool(positive)) == want
    assert text(TypeError, lambda: positive and v).startswith("the result of gt is true or false only")
    assert text(TypeError, lambda: 0 < v < 1).startswith("the result of gt is true or false only")


def test_what_python_asks_of_values() -> None:
    v, s = ng.vector("v"), ng.scalar("s", "int64")
    said = f"v float64[?], made at {v.line},"
    assert text(TypeError, lambda: len(v)) == (
        f"len() of {said} is known only when a function runs\n  fix: use x.shape[0]"
    )
    assert text(TypeError, lambda: float(v)) == (
        f"float() of {said} which has no value before a function runs\n"
        "  fix: use x.eval(...), or ng.exp and the like instead of math.exp"
    )
    assert text(TypeError, lambda: range(s)) == (
        f"a Python index of s int64, made at {s.line}, which has no value before a function runs\n"
        "  fix: index a variable, such as ng.shared(array)[i]"
    )
    assert text(TypeError, lambda: int(v)).endswith("fix: use x.astype('int64')")
    assert text(TypeError, lambda: 1 in v).endswith("fix: use ng.any(ng.eq(x, value))")
    assert text(TypeError, lambda: list(v)) == (
        "v cannot be iterated, since its length is known only when a function runs\n"
        f"  v: float64[?]  made at {v.line}\n"
        "  fix: use operations on the whole, or declare its length"
    )


def test_assignment_to_a_part() -> None:
    v = ng.vector("v")

    def assign() -> None:
        v[0] = 1

    assert text(TypeError, assign) == (
        f"a part of v float64[?], made at {v.line}, cannot be assigned: variables do not change\n"
        "  fix: y = ng.set_subtensor(x[key], value) makes another one"
    )


def test_attributes_of_other_libraries() -> None:
    v = ng.vector("v")
    assert text(AttributeError, lambda: v.unsqueeze) == (
        "'Variable' object has no attribute 'unsqueeze'\n  use x[:, None], or ng.expand_dims(x, axis)"
    )
    assert "ng.grad(cost, x)" in text(AttributeError, lambda: v.sum().backward())
    assert "set_value and get_value" in text(AttributeError, lambda: ng.shared(1.0).value)
    w = ng.shared(1.0, name="w")
    for name in ("value", "data", "grad", "requires_grad"):
        said = text(AttributeError, lambda name=name: setattr(w, name, 2.0))
        assert said == text(AttributeError, lambda name=name: getattr(w, name)) and "\n  " in said
        assert not hasattr(v, name)
    assert text(AttributeError, lambda: v.nonsense) == "'Variable' object has no attribute 'nonsense'"
    assert not hasattr(v, "__array_interface__") and f"{v}" == repr(v)
    assert text(TypeError, lambda: f"{v.sum():.3f}").startswith("format '.3f' of sum float64, made at")


def test_functions_of_numpy() -> None:
    v = ng.vector("v")
    said = f"v float64[?], made at {v.line},"
    for name in ("dot", "mean", "concatenate"):
        assert text(TypeError, lambda name=name: getattr(np, name)(*[[v, v]] if name == "concatenate" else [v, v])) == (
            f"np.{name} computes with values, and {said} has none before a function runs\n  fix: use ng.{name}"
        )
    assert text(TypeError, lambda: np.polyfit(v, v, 1)).endswith("fix: numgraph has no function of that name")
    assert text(TypeError, lambda: np.isnat(v)).endswith("fix: numgraph has no function of that name")
    assert text(TypeError, lambda: np.add.reduce(v)).startswith(f"np.add.reduce computes with values, and {said}")
    assert text(TypeError, lambda: np.asarray(v)).startswith(f"{said} has no value before a function computes it")
    assert text(TypeError, lambda: np.array([v, v])).endswith("or compute it with .eval(...)")
    assert text(TypeError, lambda: np.zeros(3)[v]).startswith(said)

    def add_in_place() -> None:
        array = np.zeros(3)
        array += v  # type: ignore[arg-type]

    assert text(TypeError, add_in_place).endswith("(`a += x` on an array is one: write `a = a + x`)")


def test_ufuncs_of_numpy_build_expressions(target: str) -> None:
    v, array = ng.vector("v"), np.array([1.0, 2.0])
    calls = [
        np.exp(v), np.maximum(v, 0), np.multiply(array, v), array - v, array @ v, np.float64(2) ** v, array < v,
        np.negative(v), np.absolute(v), np.rint(v),
    ]  # fmt: skip
    given = np.array([-0.5, 1.5])
    want = [
        np.exp(given), [0, 1.5], array * given, array - given, array @ given, 2**given, array < given, -given,
        abs(given), [0, 2],
    ]  # fmt: skip
    for got, expected in zip(ng.function([v], calls)(given), want, strict=True):
        np.testing.assert_allclose(got, expected)
    assert (array == v) is False and (array != v) is True and (v == array) is False


# -- values in expressions, calls forgotten, settings ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("a", "'a' (dtype <U1)"),
        (None, "None (dtype object)"),
        (np.zeros(2, "S1"), "an array (dtype |S1)"),
    ],
)
def test_values_that_no_expression_takes(value: Any, what: str) -> None:
    assert text(ng.DtypeError, lambda: ng.vector() * value) == (
        f"{what} cannot be part of an expression\n"
        "  fix: use numbers or booleans: bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, "
        "float16, float32, float64, complex64, complex128"
    )


def test_forgotten_parentheses() -> None:
    v = ng.vector("v")
    for outputs in (v.sum, [v.sum]):
        message = text(ng.InputError, lambda outputs=outputs: ng.function([v], outputs))
        assert "must be a variable" in message and message.endswith("\n  fix: call it, with () after sum")


def test_keys_of_givens_that_are_no_variables() -> None:
    v = ng.vector("v")
    assert text(ng.GivensError, lambda: ng.function([v], v, givens=[([v], v)])) == (
        f"givens: a key must be a variable, got [{v!r}]"
    )


def test_settings() -> None:
    assert text(AttributeError, lambda: setattr(ng.config, "floatx", "float32")) == (
        "numgraph has no setting 'floatx'; there are: floatX, target, on_unused_input, on_empty_givens, cache_dir, "
        "cache_limit, scan_memory, threads, cuda_graphs, cuda_loops, cuda_tf32, cuda_wait, cpu, standard_passes, "
        "verify, check_nan, check_bounds, test_values, profile, perf, debug"
    )
    assert text(ng.OptionError, lambda: setattr(ng.config, "floatX", "float16")) == (
        "floatX must be 'float64' or 'float32', not 'float16'"
    )
    assert text(ng.OptionError, lambda: setattr(ng.config, "target", "gpu")) == (
        "target must be 'cpu' or 'cuda' or 'cuda-sim' or 'reference', not 'gpu'"
    )


# -- names, shapes, identity ----------------------------------------------------------------------------------------


def test_functions_of_numpy_are_told_by_identity() -> None:
    m = ng.matrix("m")
    inverse = text(TypeError, lambda: np.linalg.inv(m))
    assert inverse.startswith("np.linalg.inv computes with values") and "use ng.linalg.inv, the inverse" in inverse
    assert text(TypeError, lambda: np.linalg.det(m)).endswith("fix: use ng.linalg.det")
    assert text(TypeError, lambda: np.linalg.eig(m)).endswith("fix: use ng.linalg.eig")
    assert text(TypeError, lambda: np.fft.fft(m)).endswith("fix: use ng.fft.fft")

    def inv(x: float) -> float:
        return x

    assert text(TypeError, lambda: np.frompyfunc(inv, 1, 1)(m)).endswith("fix: numgraph has no function of that name")


def test_names_that_are_not_there() -> None:
    for name, said in (
        ("RandomStreams", "rng = ng.random.RandomStream(seed=1)"),
        ("max_pool2d", "use ng.pool2d(x, size"),
        ("fori_loop", "use ng.scan("),
        ("segment_sum", "use ng.inc_subtensor("),
        ("concat", "use ng.concatenate("),
        ("sigmod", "fix: did you mean ng.sigmoid?"),
    ):
        message = text(AttributeError, lambda name=name: getattr(ng, name))
        assert message.startswith(f"module 'numgraph' has no attribute {name!r}\n  ") and said in message
    assert text(AttributeError, lambda: ng.xyzzy) == "module 'numgraph' has no attribute 'xyzzy'"
    assert not set(ABSENT) & set(ng.__all__)


def test_what_stands_for_names_that_are_not_there_does_it() -> None:
    x, q = ng.vector("x"), ng.vector("q")
    n, segments, m = 3, np.array([2, 0, 2]), ng.matrix("m")
    values, others = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    outputs = [
        ng.sum(ng.xlogy(x, x / q)),
        ng.inc_subtensor(ng.zeros((n, *x.shape[1:]))[segments], x),
        ng.stack(ng.nonzero(x > 0.3), axis=1),
        ng.foldl(lambda c, s: s * q + c, x, ng.zeros_like(q))[0],
        ng.logsumexp(m, 1) - ng.log(m.shape[1]),
    ]
    got = ng.function([x, q, m], outputs)(values, others, np.stack([values, others]))
    np.testing.assert_allclose(got[0], (values * np.log(values / others)).sum(), rtol=1e-14)
    np.testing.assert_array_equal(got[1], [0.25, 0.0, 0.75])
    np.testing.assert_array_equal(got[2], np.argwhere(values > 0.3))
    np.testing.assert_allclose(got[3], np.polyval(values, others), rtol=1e-14)
    np.testing.assert_allclose(got[4], np.log(np.exp([values, others]).mean(1)), rtol=1e-14)


def test_updates_of_what_is_not_shared() -> None:
    C, rows = ng.shared(np.zeros((4, 2)), "C"), ng.lvector("rows")
    part = C[rows]
    assert text(ng.UpdateError, lambda: ng.function([rows], [], updates=[(part, part + 1)])) == (
        "updates: only a shared variable can be updated, got\n"
        f"  the result of gather: float64[?,?]  made at {part.line}\n"
        f"  a part of C: float64[?,?]  made at {C.line}\n"
        "  fix: update the whole: (C, ng.inc_subtensor(C[...], change)) adds to a part of it, "
        "(C, ng.set_subtensor(C[...], value)) replaces one"
    )
    assert "it depends on C" in text(ng.UpdateError, lambda: ng.function([], [], updates=[(C * 2, C)]))


def test_a_bool_where_a_reduction_wants_an_array() -> None:
    x, y = ng.vectors("x", "y")
    for make, other in ((ng.mean, "mean"), (ng.sum, "sum"), (ng.any, "any")):
        with pytest.warns(UserWarning, match=rf"{other} of True: .*\n  fix: .*ng\.neq\(x, y\)") as said:
            make(x != y)
        assert said[0].filename == __file__
    assert ng.sum(ng.neq(x, y)).dtype == "int64"


def test_a_shape_is_a_tuple() -> None:
    m = ng.matrix("m")
    assert text(ng.AxisError, lambda: m.shape[2]) == (
        f"shape[2]: there is no such axis\n  m: float64[?,?]  made at {m.line}"
    )
    for wrong in (lambda: m.shape * 2, lambda: 2 * m.shape, lambda: m.shape - 1, lambda: m.shape[1:] + 1):
        assert text(TypeError, wrong).startswith("the shape of a variable is a tuple of lengths, as in NumPy")
    assert len((1, *m.shape)) == len((1,) + m.shape) == len(m.shape + (1,)) == 3  # noqa: RUF005
    assert isinstance(m.shape, tuple) and m.shape[-1].op is m.shape[1].op
    assert ng.function([m], ng.stack(m.shape) * 2)(np.zeros((2, 3))).tolist() == [4, 6]


def test_axes_and_masks_raise_what_numpys_users_catch() -> None:
    m, n = ng.matrix("m"), ng.shared(np.arange(6.0).reshape(2, 3), "n")
    for call in (ng.max, ng.sum, ng.argmax, ng.cumsum, ng.expand_dims, ng.sort, ng.softmax):
        for caught in (IndexError, ValueError, ng.AxisError):
            with pytest.raises(caught):
                call(m, 4)
    mask = np.array([True, False, True])
    for make in (
        lambda: n[mask],
        lambda: n[np.ones((2, 4), bool)],
        lambda: ng.set_subtensor(n[mask], 0.0),
        lambda: n[[0, 1], [0, 1, 2]],
    ):
        for target in ("cpu", "reference", "cuda-sim"):
            with pytest.raises(ng.IndexShapeError):
                ng.function([], make(), target=target)()
    with pytest.raises(ng.ShapeError, match=r"lengths \[0, 1\] differ"):
        ng.concatenate([ng.tensor("a", shape=(1, 0)), ng.tensor("b", shape=(1, 1))])


def test_names_of_unnamed_variables() -> None:
    with pytest.raises(TypeError, match=r"len\(\) of <unnamed> float64\[\?\], made at .* is known only"):
        len(ng.shared(np.zeros(2)))


def test_what_percent_may_be() -> None:
    x = ng.vector("x")
    for name in ("percentile", "nanpercentile"):
        with pytest.raises(ValueError, match=rf"{name}: q must lie in \[0, 100\], not 101"):
            getattr(ng, name)(x, 101)
        assert ng.function([x], getattr(ng, name)(x, [0, 50, 100]))([1.0, 2.0, 4.0]).tolist() == [1, 2, 4]


def test_other_mistakes_of_strangers() -> None:
    x = ng.vector("x")
    with pytest.raises(ng.InputError, match=r"inputs must be a list or tuple of variables, got <generator object .*$"):
        ng.function((v for v in [x]), x)
    with pytest.raises(ng.ShapeError, match="split into 3 equal parts: a length is 2, not 0"):
        ng.function([x], ng.split(x, 3))([1.0, 2.0])
    with pytest.raises(TypeError, match=r"pow of variables takes no modulus\n  fix: \(x \*\* y\) % n"):
        pow(x, 2, 3)
    with pytest.raises(ng.OptionError, match="debug must be 0, 1, 2 or 3, not 'x'"):
        ng.config.debug = "x"  # type: ignore[assignment]
    with pytest.raises(ng.OptionError, match="cache_dir must be a folder, not None"):
        ng.config.cache_dir = None  # type: ignore[assignment]
    with pytest.raises(ng.ShapeError, match="irfft: n: a length of 0 is not enough: 1 or more"):
        ng.fft.irfft(ng.fft.rfft(x), n=0)
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        ng.scan(lambda a, h: a + h, x)
    assert caught.value.__notes__[0] == (
        "scan calls its function with 1 elements of sequences, then 0 values of outputs before, then 0 of non_sequences"
    )
    inner = "raised by the function itself"

    def step(v: Any) -> Any:
        raise TypeError(inner)

    with pytest.raises(TypeError, match=inner) as caught:
        ng.scan(step, x)
    assert not any("scan calls" in note for note in getattr(caught.value, "__notes__", []))


def test_functions_of_jaxs_loops_and_branches() -> None:
    x, n = ng.scalar("x"), ng.lscalar("n")
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        ng.while_loop(lambda a, b: a < b, lambda a, b: [a + 1, b], [x, x])
    assert caught.value.__notes__ == ["while_loop calls both functions with one list of all states, as JAX does"]
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        ng.while_loop(lambda a, b: a < b, lambda a: a + 1, x)
    assert caught.value.__notes__ == ["while_loop calls both functions with the state, as JAX does"]
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        ng.cond(x > 0, lambda v: v, lambda v: -v)
    assert caught.value.__notes__ == ["cond calls both functions with its operands, 0 of them"]
    with pytest.raises(ng.DtypeError, match="while_loop: a step makes float64 of a state of int64\n  first: n: int64"):
        ng.while_loop(lambda k: k < 9, lambda k: k * 1.5, n)
    with pytest.raises(ng.ShapeError, match="while_loop: a step changes the shape of a state\n  first: x: float64"):
        ng.while_loop(lambda v: v.sum() < 9, lambda v: v + ng.vector("v"), x)
