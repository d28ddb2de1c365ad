"""Transforms of gradients: products with Jacobians, gradients with rules of their own, assertions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng


def differentiable() -> tuple[list[Any], list[Any], list[np.ndarray[Any, Any]]]:
    """Inputs, outputs of several ranks, and values."""
    a, b = ng.matrix("a"), ng.vector("b")
    h, _ = ng.scan(lambda t, h: ng.tanh(t + h * b[:2]), sequences=a[:, :2], outputs_info=ng.zeros(2))
    outputs = [
        ng.tanh(ng.dot(a, b)), ng.softmax(a, axis=1) * b, ng.sum(a**2), ng.sort(b)[::-1], h,
        ng.where(a > 0, ng.exp(a), ng.square(a)), ng.max(a, axis=0), ng.cholesky(ng.dot(a, a.T) + 2 * ng.eye(3)),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    return [a, b], outputs, [rng.normal(size=(3, 4)), rng.normal(size=4)]


@pytest.mark.parametrize("k", range(8))
def test_rop_and_lop_against_differences(k: int, target: str) -> None:
    inputs, outputs, values = differentiable()
    y, rng = outputs[k], np.random.default_rng(1)
    vectors = [rng.normal(size=v.shape) for v in values]
    u, v = ng.matrix("u"), ng.vector("v")
    f = ng.function(inputs, y, on_unused_input="ignore")
    moved = ng.function([*inputs, u, v], ng.Rop(y, inputs, [u, v]), on_unused_input="ignore")(*values, *vectors)
    sides = [f(*(x + s * d for x, d in zip(values, vectors, strict=True))) for s in (1e-6, -1e-6)]
    assert moved.shape == sides[0].shape
    np.testing.assert_allclose(moved, (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-7)
    # the two products agree: w @ (J @ v) is (w @ J) @ v
    w = rng.normal(size=moved.shape)
    pulled = ng.function(inputs, ng.Lop(y, inputs, w, disconnected_inputs="ignore"), on_unused_input="ignore")(*values)
    assert np.sum(w * moved) == pytest.approx(sum(np.sum(p * d) for p, d in zip(pulled, vectors, strict=True)))


def test_rop_of_several_outputs(target: str) -> None:
    """Lists and tuples come back as such; an output twice, one that does not depend on it, float32."""
    x = ng.vector("x", dtype="float32")
    y, z = x**2, ng.vector("z", dtype="float32")
    found = ng.Rop((y, z, y), x, ng.ones_like(x))
    assert isinstance(found, tuple) and [v.dtype for v in found] == ["float32"] * 3
    results = ng.function([x, z], list(found))([1.0, 2.0], [5.0])
    assert [r.tolist() for r in results] == [[2, 4], [0], [2, 4]]
    with pytest.raises(ng.DisconnectedError, match=r"no output depends on .*\n  z: .*\n  x: "):
        ng.Rop(z, x, x)
    zero = ng.Rop(z, x, x, disconnected_outputs="ignore")
    assert ng.function([z], zero)([1.0, 2.0]).tolist() == [0, 0]
    with pytest.raises(ng.GradientError, match="Rop: 2 vectors for 1 variables"):
        ng.Rop(y, x, [x, x])
    with pytest.raises(ng.ShapeError, match="another number of axes"):
        ng.Rop(y, x, ng.matrix(dtype="float32"))
    with pytest.raises(ng.GradientError, match="Lop: 1 vectors for 2 outputs"):
        ng.Lop([y, z], x, [x])
    twice = ng.function([x], ng.Lop([y, y], x, [ng.ones_like(x), 2 * ng.ones_like(x)]))
    assert twice([1.0, 2.0]).tolist() == [6, 12]


def test_rop_along_what_depends_on_the_variable() -> None:
    x = ng.vector("x")
    assert ng.function([x], ng.Rop(x**3, x, x))([1.0, 2.0]).tolist() == [3, 24]


def test_nothing_of_the_first_sweep_is_left() -> None:
    """The code of a product with a Jacobian does not compute what arrives, nor the cost."""
    x, v = ng.vector("x"), ng.vector("v")
    f = ng.function([x, v], ng.Rop(ng.tanh(x), x, v), target="cpu")
    assert f.listing.count("tanh(") <= 2 and "zeros" not in f.source


def test_control_of_gradients(target: str) -> None:
    x = ng.vector("x")
    for y, want in [
        (ng.grad_scale(x, -0.5) ** 2, [-1, -2]),
        (ng.grad_clip(x, -1, 1) ** 2 * 3, [1, 1]),
        (ng.disconnected_grad(x) * x, [1, 2]),
        (ng.zero_grad(x) * x, [1, 2]),
        (ng.consider_constant(x) * x, [1, 2]),
    ]:
        _, gradient = ng.function([x], [y, ng.grad(y.sum(), x)])([1.0, 2.0])
        assert gradient.tolist() == want
    with pytest.raises(ng.DtypeError, match="grad_scale: n: int64"):
        ng.grad_scale(ng.vector("n", dtype="int64"), 2)


def test_custom_gradient(target: str) -> None:
    x, w = ng.vector("x"), ng.scalar("w")
    seen = []

    def rule(g: Any, a: Any, b: Any) -> list[Any]:
        seen.append((a, b))
        return [g * 10 * a, ng.sum(g) * 100]

    y = ng.custom_gradient(lambda a, b: ng.floor(a * b), x, w, grad=rule)
    gx, gw = ng.grad(ng.sum(2 * y), [x, w])
    assert seen == [(x, w)]
    values = ng.function([x, w], [y, gx, gw])([1.5, 2.0], 3.0)
    assert [v.tolist() for v in values] == [[4, 6], [30, 40], 400]
    # and of the rule again
    second = ng.grad(ng.sum(gx), x)
    assert ng.function([x, w], second, on_unused_input="ignore")([1.5, 2.0], 3.0).tolist() == [20, 20]


def test_custom_gradient_in_a_scan_and_without_one() -> None:
    x = ng.vector("x")
    h, _ = ng.scan(
        lambda t, h: ng.custom_gradient(lambda a, b: a * b, t, h, grad=lambda g, a, b: [g, None]), x, ng.constant(1.0)
    )
    assert ng.function([x], ng.grad(h[-1], x))([2.0, 3.0, 4.0]).tolist() == [0, 0, 1]
    y = ng.custom_gradient(ng.exp, x, grad=lambda g, a: None)
    with pytest.raises(ng.DisconnectedError):
        ng.grad(ng.sum(y), x)
    with pytest.raises(ng.GradientError, match="the rule gave 2 parts for 1 inputs"):
        ng.grad(ng.sum(ng.custom_gradient(ng.exp, x, grad=lambda g, a: [g, g])), x)
    with pytest.raises(ng.ShapeError, match="a part of the gradient has more axes than its input"):
        ng.grad(ng.sum(ng.custom_gradient(ng.exp, x, grad=lambda g, a: g[None])), x)
    for part in (3.0, x.sum()):
        with pytest.raises(ng.ShapeError, match="a part of the gradient has fewer axes than its input"):
            ng.grad(ng.sum(ng.custom_gradient(ng.exp, x, grad=lambda g, a: part)), x)  # noqa: B023


def test_parts_of_a_gradient_have_the_lengths_of_their_inputs(target: str) -> None:
    x, y = ng.vector("x"), ng.vector("y")
    short = ng.custom_gradient(lambda a: a * 2, x, grad=lambda g, a: g[:1])
    shorter = ng.elementwise(lambda a: a * 2, x, dtype="float64", grad=lambda g, a: g[:1])
    spread = ng.custom_gradient(lambda a, b: a * b, x, y, grad=lambda g, a, b: [g * b, g * a])
    added = ng.elementwise(lambda a, b: a * b, x, y, dtype="float64", grad=lambda g, a, b: [g * b, g * a])
    inputs = {"on_unused_input": "ignore", "target": target}
    for value, said in ((short, "custom_gradient: a"), (shorter, "the gradient given for .*: a")):
        f = ng.function([x], ng.grad(value.sum(), x), **inputs)
        assert f([3.0]).tolist() == [1]
        with pytest.raises(ng.ShapeError, match=f"{said} length is 1, not 3"):
            f([1.0, 2.0, 3.0])
    # of numbers along which another input is broadcast the sweep makes sums, of what a rule gives nobody
    ones, three = np.array([2.0]), np.arange(3.0)
    assert ng.function([x, y], ng.grad(added.sum(), x), **inputs)(ones, three).tolist() == [3]
    with pytest.raises(ng.ShapeError, match="a length is 3, not 1"):
        ng.function([x, y], ng.grad(spread.sum(), x), **inputs)(ones, three)


# -- assertions -----------------------------------------------------------------------------------------------------


def test_assertions_pass_values_and_gradients(target: str) -> None:
    x = ng.vector("x")
    y = ng.sqrt(ng.assert_op(x, x >= 0, ng.sum(x) < 100, message="x is no area"))
    f = ng.function([x], [y, ng.grad(ng.sum(y), x)])
    assert [v.tolist() for v in f([4.0, 16.0])] == [[2, 4], [0.25, 0.125]]
    assert f([])[0].shape == (0,)
    with pytest.raises(ng.AssertionFailed, match=r"x is no area: the value at \[1\] is -1.5\n.*x: float64\[2\]"):
        f([4.0, -1.5])
    with pytest.raises(AssertionError, match=r"x is no area: the value is \[99\. +2\.\]"):
        f([99.0, 2.0])


def test_an_assertion_names_the_line_and_leaves_shared_values(target: str) -> None:
    w, x = ng.shared(np.ones(3), name="w"), ng.scalar("x")
    n = ng.shared(0, name="n")
    step = ng.function([x], w * 2, updates=[(w, ng.assert_op(w - x, w - x > 0)), (n, n + 1)])
    step(0.5)
    with pytest.raises(ng.AssertionFailed) as failed:
        step(0.75)
    assert "test_transforms.py" in str(failed.value) and "is not as asserted" in str(failed.value)
    assert "-0.25" in str(failed.value)
    assert w.get_value().tolist() == [0.5] * 3 and n.get_value() == 1


@pytest.mark.parametrize("condition", ["scalar", "constant", "length"])
def test_conditions_of_numbers(condition: str, target: str) -> None:
    x, k = ng.vector("x"), ng.scalar("k", dtype="int64")
    holds = {"scalar": k > 2, "constant": ng.constant(False), "length": ng.gt(x.shape[0], 2)}[condition]
    f = ng.function([x, k], ng.assert_op(x, holds, message="too few"), on_unused_input="ignore")
    with pytest.raises(ng.AssertionFailed, match=r"too few"):
        f([1.0, 2.0], 1)
    if condition != "constant":
        assert f([1.0, 2.0, 3.0], 3).tolist() == [1, 2, 3]


def test_assertions_in_loops_and_sweeps(target: str) -> None:
    x, total = ng.vector("x"), ng.shared(0.0, name="total")
    h, _ = ng.scan(lambda t, h: ng.assert_op(t + h, t + h < 5, message="too much"), x, ng.constant(0.0))
    f = ng.function([x], updates=[(total, total + h[-1])])
    f([1.0, 2.0])
    with pytest.raises(ng.AssertionFailed, match="too much"):
        f([1.0, 2.0, 3.0])
    assert total.get_value() == 3
    i = ng.scalar("i")
    g = ng.function([i], updates=[(total, ng.assert_op(total + i, total + i < 6, message="six"))])
    with pytest.raises(ng.AssertionFailed, match="six"):
        g.sweep(i=[1.0, 1.0, 1.0, 1.0])
    assert total.get_value() == 5


def test_assertions_on_a_simulated_device() -> None:
    x, w = ng.vector("x", dtype="float32"), ng.shared(np.ones(2, "float32"), name="w")
    f = ng.function([x], updates=[(w, ng.assert_op(w + x, x > 0, message="not positive"))], target="cuda-sim")
    f([1.0, 2.0])
    with pytest.raises(ng.AssertionFailed, match=r"not positive"):
        f([1.0, -2.0])
    assert w.get_value().tolist() == [2, 3]


def test_an_exported_module_asserts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    # Numba does not keep what it has not optimised, and warns of that
    monkeypatch.delenv("NUMBA_OPT", raising=False)
    x = ng.vector("x")
    ng.function([x], ng.assert_op(x, x > 0, message="not {positive}"), name="step", target="cpu").export(
        tmp_path / "m.py"
    )
    module = runpy.run_path(str(tmp_path / "m.py"))
    call = module["step"]
    assert call(np.array([1.0])).tolist() == [1]
    with pytest.raises(Exception, match=r"assert_op: not \{positive\}"):
        call(np.array([-1.0]))


# -- subgraphs and checks -------------------------------------------------------------------------------------------


def test_subgraph(target: str) -> None:
    x, k = ng.vector("x"), ng.scalar("k")
    w = ng.shared(2.0, name="w")
    piece = ng.subgraph([x, k], [ng.sum(x * k) * w, x - k], name="piece")
    assert repr(piece) == "<subgraph piece(x, k)>"
    a, b = ng.vectors("ab")
    first, rest = piece(a, 3)
    second, _ = piece(rest, k=ng.sum(b))
    values = ng.function([a, b], [first, rest, second, ng.grad(second, b)])([1.0, 2.0], [0.5, 0.25])
    assert [v.tolist() for v in values] == [18, [-2, -1], -4.5, [-6, -6]]
    w.set_value(3.0)
    assert ng.function([a], piece(a, 3)[0])([1.0, 2.0]) == 27


def test_subgraph_with_a_gradient_of_its_own(target: str) -> None:
    x = ng.vector("x")
    piece = ng.subgraph([x], ng.floor(x), grad=lambda g, v: g * v)
    a = ng.vector("a")
    y = piece(2 * a)
    got = ng.function([a], [y, ng.grad(y.sum(), a)])([1.25, 2.0])
    assert [v.tolist() for v in got] == [[2, 4], [5, 8]]


def test_subgraph_errors() -> None:
    x, m = ng.vector("x"), ng.matrix("m")
    piece = ng.subgraph([x], x + 1, name="piece")
    for wrong, kind, said in [
        (lambda: ng.subgraph([x], x + m), ng.MissingInputError, "an output needs what is no input\n  m: float64"),
        (lambda: ng.subgraph([x, x], x), ng.InputError, "an input is there twice"),
        (lambda: ng.subgraph([3], x), ng.InputError, "inputs must be variables, got 3"),
        (lambda: ng.subgraph([x], [x, 3]), ng.InputError, "outputs must be variables, got 3"),
        (lambda: ng.subgraph([x], [x, x], grad=lambda g, v: g), ng.InputError, "grad= is for one output, not 2"),
        (lambda: piece(), ng.InputError, r"<subgraph piece\(x\)>: misses an argument\n  x: float64"),
        (lambda: piece(x, x), ng.InputError, "takes 1 arguments, got 2"),
        (lambda: piece(x, x=x), ng.InputError, "got several values for the input x"),
        (lambda: piece(y=x), ng.InputError, "has no input named y"),
        (lambda: piece(m), ng.InputError, "2 axes for 1\n  given: m"),
    ]:
        with pytest.raises(kind, match=said):
            wrong()


def test_verify_grad_and_check_op_find_what_is_wrong() -> None:
    from numgraph.op import OPS, Op, same

    ng.testing.verify_grad(lambda x, y, k: ng.tanh(x * y) * k, [np.ones(2, "float32"), 0.5, 2])
    with pytest.raises(AssertionError, match="derivative 1 for operand 0"):
        ng.testing.verify_grad(lambda x: ng.grad_scale(x, 2) ** 2, [np.ones(2)])
    with pytest.raises(ng.GradientError, match="no point is a float"):
        ng.testing.verify_grad(lambda k: k, [3])
    try:
        right = Op("mine", ("x",), "x * x.", same, np.square, lambda g, out, x: (2.0 * g * x,), scalar="x * x",
                   dtypes=("float32", "float64"))  # fmt: skip
        wrong = Op("mine_wrongly", ("x",), "x * x.", same, np.square, lambda g, out, x: (g * x,), scalar="x * x")
        other = Op("mine_otherwise", ("x",), "x * x.", same, np.square, lambda g, out, x: (2.0 * g * x,),
                   scalar="x * x + x")  # fmt: skip
        ng.testing.check_op(right)
        with pytest.raises(AssertionError, match=r"mine_wrongly with \{\}: derivative 1"):
            ng.testing.check_op(wrong, dtypes=["float64"])
        # the reference alone would not see that compiled code differs
        ng.testing.check_op(other, ng.testing.by_reference, dtypes=["float64"])
        with pytest.raises(AssertionError, match="mine_otherwise of"):
            ng.testing.check_op(other, dtypes=["float64"])
    finally:
        for name in ("mine", "mine_wrongly", "mine_otherwise"):
            OPS.pop(name, None)


# -- printing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["single", "list", "dict", "none"])
def test_print(form: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Values are printed by each call, and what is returned and updated stays as it was."""
    x, w = ng.vector("x"), ng.shared(1.0, name="w")
    h = ng.Print("h")(x * 2)
    y = ng.Print("sum", attrs=("ndim", "__str__"))(ng.sum(h))
    outputs = {"single": y, "list": [y, h], "dict": {"y": y}, "none": None}[form]
    f = ng.function([x], outputs, updates=[(w, w + y)])
    found = f([1.0, 2.0])
    assert capsys.readouterr().out == "h __str__ = [2. 4.]\nsum ndim = 0\nsum __str__ = 6.0\n"
    assert w.get_value() == 7
    if form == "none":
        assert found is None
    else:
        value = found if form == "single" else found[0] if form == "list" else found["y"]
        assert value == 6
    f.copy()([0.5, 0.5])
    assert capsys.readouterr().out.startswith("h __str__ = [1. 1.]\n")


def test_print_of_a_gradient_and_in_a_sweep(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    x, total = ng.scalar("x"), ng.shared(0.0, name="total")
    y = ng.Print("y")(x**2)
    g = ng.Print("g")(ng.grad(y * 3, x))
    f = ng.function([x], g, updates=[(total, total + y)])
    assert f.sweep(x=[1.0, 2.0]).tolist() == [6, 12]
    assert capsys.readouterr().out == "".join(f"{v[0]} __str__ = {v[1:]}\n" for v in ("g6.0", "y1.0", "g12.0", "y4.0"))
    assert total.get_value() == 5


def test_print_where_it_is_not_printed(tmp_path: Any) -> None:
    x = ng.vector("x")
    h, _ = ng.scan(lambda t: ng.Print("step")(t) + 1, x)
    with pytest.warns(UserWarning, match=r"Print\('step'\) prints nothing inside of a scan or a branch"):
        f = ng.function([x], h)
    assert f([1.0]).tolist() == [2]
    with pytest.raises(ng.OptionError, match="a function that prints is not exported"):
        ng.function([x], ng.Print("x")(x), target="cpu").export(tmp_path / "m.py")


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_derivatives_reach_the_vectors(target: str) -> None:
    """A product with a Jacobian or a Hessian is linear in the vectors, and these may be made of anything."""
    x, u, w = ng.vectors("xuw")
    values = np.array([1.5, -0.5, 2.0]), np.array([0.3, 0.7, -1.0]), np.array([2.0, 1.0, -3.0])
    y = ng.tanh(x) * x[::-1]
    moved = ng.Rop(y, x, u)
    curved = ng.hessian_vector_product(ng.sum(y**2), x, u * w)
    of_moved, (of_u, of_w) = ng.grad(ng.sum(moved * w), u), ng.grad(ng.sum(curved * w), [u, w])
    row = ng.Lop(y, x, w)
    full = ng.hessian(ng.sum(y**2), x)
    wanted = row, ng.dot(full, w) * w, ng.dot(full, w) * u + ng.dot(full, u * w)
    found = ng.function([x, u, w], [of_moved, of_u, of_w, *wanted], target=target)(*values)
    for got, exact in zip(found[:3], found[3:], strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-12)
    # a vector that is the variable itself, or made of it, is another variable while the product is made
    for vector, slope in ((x, 1), (3 * x, 3)):
        of_all = ng.Rop(x**3, x, vector), ng.grad(ng.sum(ng.Rop(x**3, x, vector)), x)
        twice = ng.hessian_vector_product(ng.sum(x**3), x, vector)
        got = ng.function([x], [*of_all, twice, ng.grad(ng.sum(twice), x)], target=target)(values[0])
        exact = [3 * slope * values[0] ** 3, 9 * slope * values[0] ** 2, 6 * slope * values[0] ** 2]
        for value, expected in zip(got, [*exact, 12 * slope * values[0]], strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12)
