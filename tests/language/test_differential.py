"""The differential fuzzer: a few programs on the processor and the simulated device, and that it would find faults.

`make fuzz` runs it for as long as one likes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng
from numgraph.reference import evaluate
from tests.differential import elementwise, plain, unmade, users, workers
from tests.differential.bugs import BUGS, put_back
from tests.differential.draw import THEMES, draw
from tests.differential.drawer import computed
from tests.differential.grades import Grade, Worth, check, grade
from tests.differential.judge import Expected, Fault, compare_error, judge, one_call, outcomes, script
from tests.differential.program import Action, Program, Source, Step
from tests.differential.shrink import shrunk
from tests.differential.workers import Task, Worker

KINDS = """
    arithmetic, smooth, comparison, logic, division, integers, wrapping, extremes, where, rounding, cast, scatter, base,
    written, index, mask, slice, reduction, truth, argmax, softmax, scan, sort, product, gather, transpose, reshape,
    repeat, join, broadcast, count, masked, nonzero, length, counting, gradient, update, huge, counted slice,
    second gradient, gradient through, index error, update view, update length, update scatter, givens, other,
    two lengths, gradient of product, map, laid out, update product
"""


def brief(program: Program) -> Program:
    """A program that ends with its second call: what its steps compute, not what is done to its functions."""
    calls = [k for k, action in enumerate(program.actions) if action.what == "call"]
    return replace(program, actions=program.actions[: calls[:2][-1] + 1])


@pytest.mark.parametrize("seed", (3, 4, 6, 10, 12))
def test_programs_on_the_processor(seed: int) -> None:
    judge(draw(seed, size=10), "cpu")


@pytest.mark.parametrize("seed", (101, 103, 104, 106, 107))
def test_programs_on_the_simulated_device(seed: int) -> None:
    judge(draw(seed, small=True, size=8), "cuda-sim")


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_programs_with_random_numbers(target: str) -> None:
    program = draw(1, small=True, only=("draws", "shapes", "rows"), size=10)
    assert "draws" in program.kinds
    judge(brief(program), target)


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_programs_with_special_functions(target: str) -> None:
    """New elementwise ops that SciPy has come into programs by themselves."""
    assert {"betaln", "kv", "ndtri"} - {op.name for op in elementwise.SCIPY} == {"betaln"}
    program = draw(1, small=True, only=("special", "arithmetic"), size=8)
    assert "special" in program.kinds
    judge(brief(program), target)


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_programs_with_linear_algebra(target: str) -> None:
    drawn = (draw(seed, small=True, only=("matrices",), size=8) for seed in range(30))
    wanted = {"matrices", "einsum", "gradient of matrices"}
    judge(brief(next(program for program in drawn if wanted <= set(program.kinds))), target)


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_programs_with_loops(target: str) -> None:
    drawn = (draw(seed, small=True, only=("loops", "arithmetic", "products"), size=8) for seed in range(60))
    wanted = {"loop", "gradient of loop", "curvature of loop"}
    judge(brief(next(program for program in drawn if wanted <= set(program.kinds))), target)


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_programs_with_images(target: str) -> None:
    for wanted in ({"windows", "pool", "convolution"}, {"gradient of images"}):
        drawn = (draw(seed, small=True, only=("images", "arithmetic"), size=8) for seed in range(60))
        judge(brief(next(program for program in drawn if wanted <= set(program.kinds))), target)


def test_programs_with_fourier_transforms() -> None:
    """Devices have none."""
    drawn = (draw(seed, only=("fourier", "complex"), size=8) for seed in range(30))
    judge(brief(next(p for p in drawn if {"fourier", "gradient of fourier", "complex"} <= set(p.kinds))), "cpu")
    assert not {"fourier", "gradient of fourier"} & set(draw(1, small=True, only=("fourier", "rows"), size=8).kinds)


def test_two_gradients_of_a_loop_are_drawn_and_judged() -> None:
    drawn = (draw(seed, only=("loops",), size=2) for seed in range(24))
    # not every one has a state that both gradients ask for
    for program in (p for p in drawn if "curvature of loop" in p.kinds):
        try:
            with put_back("adjoint_lost"):
                judge(program, "reference")
        except Fault as fault:
            if "loops apart" in str(fault):
                judge(program, "reference")
                return
    raise AssertionError("the old fault was not found")


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return [draw(seed, small=True) for seed in range(140, 180)]


def test_every_kind_is_drawn(programs: list[Program]) -> None:
    drawn = Counter(kind for program in programs for kind in program.kinds)
    # those of which only some programs have any
    seldom = {
        "users", "draws", "matrices", "einsum", "gradient of matrices", "loop", "gradient of loop", "curvature of loop",
        "windows", "pool", "convolution", "gradient of images", "complex", "special", "fourier", "gradient of fourier",
        "branch",
    }  # fmt: skip
    assert {kind.strip() for kind in KINDS.split(",")} == set(drawn) - seldom


def test_what_surrounds_the_steps_is_drawn(programs: list[Program]) -> None:
    assert {a.what for p in programs for a in p.actions} == {"call", "sweep", "set_value", "remake"}
    assert {how for p in programs for a in p.actions for how in a.layouts} >= {
        "plain",
        "fortran",
        "reversed",
        "readonly",
    }
    assert any(len({v for _, v in p.updates}) < len(p.updates) for p in programs), "one expression for two updates"
    assert any(set(p.outputs) & {v for _, v in p.updates} for p in programs), "an output that is an update too"
    assert any(len(set(p.outputs)) < len(p.outputs) for p in programs), "an output twice"
    assert any(v.label is not None and "\n" in v.label for p in programs for v in p.inputs + p.shared), "odd names"
    assert {(p.threads, p.divided) for p in programs} == {(1, False), (2, False), (3, True), (4, True)}


def test_a_seed_says_it_all() -> None:
    assert script(draw(7), "cpu") == script(draw(7), "cpu")


@pytest.mark.parametrize(("target", "seed"), [("cpu", 1), ("cpu", 2), ("cuda-sim", 4)])
def test_programs_with_users_functions(target: str, seed: int) -> None:
    drawn = (draw(10 * seed + k, small=target != "cpu", only=("users", "arithmetic"), size=8) for k in range(10))
    judge(brief(next(program for program in drawn if "users" in program.kinds)), target)


@pytest.mark.parametrize("theme", [*THEMES, "users", "matrices", "fourier"])
def test_a_theme_can_be_drawn_alone(theme: str) -> None:
    assert sum(len(draw(seed, only=(theme,), size=8).steps) for seed in range(2)) > 0


def vector(name: str, dtype: str = "float64") -> Source:
    return Source(name, dtype, ("a",), (None,), "plain", name)


def small(code: str, x: np.ndarray, mode: str = "ring") -> Program:
    """`code` of one vector."""
    call = Action("call", [x], ["plain"])
    step = Step("t0", code, mode, "kind")
    return Program(0, [vector("x0", x.dtype.name)], steps=[step], outputs=["t0"], actions=[call])


def test_a_fault_of_reference_and_compiled_alike_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    program = small("ng.tanh(x0)", np.array([0.5, -1.25]), "smooth")
    judge(program, "reference")
    monkeypatch.setattr(plain, "tanh", np.sinh, raising=False)
    with pytest.raises(Fault, match=r"NumPy: values"):
        judge(program, "reference")


def test_an_error_where_a_value_is_expected_is_seen() -> None:
    program = small("x0[3]", np.arange(5.0), "move")
    judge(program, "reference")
    program.actions.append(Action("call", [np.arange(3.0)], ["plain"]))
    judge(program, "reference")
    result, _ = outcomes(program, "reference")[1]
    assert isinstance(result, IndexError)


def test_an_index_in_an_array_of_which_only_a_length_is_used_is_not_looked_at() -> None:
    program = small("x0.reshape((1, -1))[x0]", np.array([5, 0]), "move")
    program.steps.append(Step("t1", "x0 * t0.shape[1]", "ring", "kind"))
    program.outputs = ["t1"]
    assert judge(program, "cpu") == 0


LOOP = "ng.scan(lambda {e}: {new}, sequences=[{over}], outputs_info=[None], return_list=True)[0][0]"


@pytest.mark.parametrize("code", ["(a * x0)[5]", f"ng.sum({LOOP.format(e='b', new='a * b', over='x0')}[5])"])
def test_a_step_that_is_not_made_is_refused_for_what_is_wrong_in_it(code: str) -> None:
    program = small(LOOP.format(e="a", new=code, over="x0[4:]"), np.arange(3.0), "move")
    program.actions = [Action("call", [np.arange(n)], ["plain"]) for n in (3.0, 6.0)]
    expected = Expected.of(program)
    assert isinstance(outcomes(program, "reference")[0][0], list)
    result, _ = outcomes(program, "cpu")[0]
    one_call(expected, program.actions[0].arrays)
    assert isinstance(result, unmade.refusals(expected.unmade)) and judge(program, "cpu") == 0
    expected.unmade.clear()
    one_call(expected, program.actions[1].arrays)
    assert not unmade.refusals(expected.unmade)
    del program.actions[0]
    assert judge(program, "cpu") == 1


def product_of_wrong_lengths() -> Program:
    """Of a length that is counted, so that compiled code first looks whether the index into the product is inside."""
    program = small("ng.sum(ng.cast(x0 > 0, 'int64'))", np.array([1.0, 1.0]), "strict")
    for code in ("x1[:t0]", "ng.dot(x3, t1)", "t2[x2]"):
        program.steps.append(Step(f"t{len(program.steps)}", code, "move", "kind"))
    program.inputs += [
        Source("x1", "float64", ("c", "b"), (None, None), "plain", "x1"),
        Source("x2", "int64", (), (), "plain", "x2"),
        vector("x3"),
    ]
    program.outputs = ["t3"]
    program.actions = [
        Action("call", [np.ones(n), np.ones((2, 4)), np.array(i), np.ones(2)], ["plain"] * 4)
        for n, i in ((2, -4), (1, -4), (1, 6))
    ]
    return program


def test_an_index_into_what_has_no_value_may_be_outside_as_well() -> None:
    program = product_of_wrong_lengths()
    assert judge(program, "cpu") == 3
    results = [result for result, _ in outcomes(program, "cpu")]
    assert [type(result) for result in results[1:]] == [ng.ShapeError, ng.IndexOutOfRange]


@pytest.mark.parametrize(
    ("error", "follows"),
    [
        (ng.IndexOutOfRange("index 6 is out of range for an axis of length 4"), True),
        (ng.IndexOutOfRange("index 6 is out of range for an axis of length 7"), False),
        (ng.IndexOutOfRange("index -5 is out of range for an axis of length 4"), False),
        (ng.FunctionError("raised"), False),
    ],
)
def test_an_index_that_is_inside_or_not_read_does_not_follow(error: Exception, follows: bool) -> None:
    expected = Expected.of(product_of_wrong_lengths())
    wanted = one_call(expected, expected.program.actions[2].arrays)
    assert isinstance(wanted, dict)
    if follows:
        compare_error(expected, wanted, error, "cpu, call 2")
    else:
        with pytest.raises(Fault, match="expected one of t2: ShapeError"):
            compare_error(expected, wanted, error, "cpu, call 2")


def test_lengths_may_not_fit_what_a_users_function_did_not_give() -> None:
    program = small("users.guarded(x0)", np.array([-1.0, 2 * users.LIMIT]), "smooth")
    program.inputs.append(vector("x1"))
    program.steps.append(Step("t1", "t0 + x1", "ring", "kind"))
    program.outputs = ["t1"]
    program.actions[0].arrays.append(np.ones(3))
    program.actions[0].layouts.append("plain")
    assert isinstance(outcomes(program, "cpu")[0][0], ng.ShapeError)
    assert judge(program, "cpu") == 1


def test_a_process_that_ends_is_a_fault() -> None:
    program = small("__import__('os').abort()", np.arange(2.0))
    worker = Worker(Task("reference"))
    assert worker.ask(program).sort == "the process ends: 6"
    assert worker.process is None


def test_a_program_that_waits_forever_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WAIT", 0.5)
    worker = Worker(Task("reference"))
    assert worker.ask(small("__import__('time').sleep(600)", np.arange(2.0))).sort == "hang"
    assert worker.process is None


def test_grades() -> None:
    exact, rounded = Worth(np.array([0.25, 3.0])), Worth(np.array([0.1, 3.0]), Grade.ROUNDED, 3.0)
    wild = Worth(np.array([np.inf, 1e300]))
    assert grade("ring", [exact], exact.array * 2).grade == Grade.EXACT
    assert grade("smooth", [exact], np.tanh(exact.array)).grade == Grade.ROUNDED
    assert grade("strict", [rounded], rounded.array > 0).grade == Grade.UNSURE
    assert grade("strict", [wild], wild.array > 0).grade == Grade.EXACT
    assert grade("ring", [wild, exact], wild.array + exact.array).grade == Grade.FINAL
    assert grade("move", [wild], wild.array[::-1]).grade == Grade.EXACT
    assert grade("smooth", [wild], np.exp(-wild.array)).grade == Grade.FINAL
    assert grade("stable", [wild], np.exp(-wild.array)).grade == Grade.UNSURE
    # second derivatives that cancel out
    slope = grade("slope", [Worth(exact.array, scale=3.0)], np.array([1e-12, np.nan]))
    check(slope, np.array([-1e-12, np.nan]), "noise beside NaN")
    # 63,522,796 / 2**12, which float32 rounds to a multiple of 2**-10
    rough = Worth(np.array([[15.5 / 64]], np.float32))
    assert grade("sum", [rough], np.array([[15508.10546875]], np.float32)).grade == Grade.ROUNDED
    # 1.75**16 has few places in float32, since it was rounded
    many, few = (Worth(np.full(n, v, np.float32)) for n, v in ((17, 1.75), (4, 1.5)))
    assert grade("product", [many], np.full(17, 7737.64453125, np.float32)).grade == Grade.ROUNDED
    assert grade("product", [few], np.full(4, 1.5**3, np.float32)).grade == Grade.EXACT
    # 2**60 * 2**60 leaves the range of float32, although a product from the start does not
    for line, wanted in (([2.0**-60, 2.0**60, 2.0**60], Grade.UNSURE), ([0.0, 3.0, 4.0], Grade.EXACT)):
        x = np.array([line], np.float32)
        assert grade("running", [Worth(x)], np.cumprod(x, 1)).grade == wanted
    check(rounded, rounded.array + 1e-12, "close")
    for worth, got in ((rounded, rounded.array + 1e-3), (exact, exact.array + 1e-12), (wild, wild.array[::-1])):
        with pytest.raises(AssertionError, match="values"):
            check(worth, got, "not close")


def test_a_step_that_makes_more_of_roundings_is_judged_by_them() -> None:
    x, near = ng.fvector("x"), np.array([0.1, 2.0, 0.0], np.float32)
    rounded = grade("smooth", [Worth(near, scale=2.0)], near)

    def of(step: ng.Variable) -> tuple[Worth, Callable[[float], np.ndarray]]:
        return (
            computed(step, "slope", ["x0"], {"x0": x}, {"x0": rounded}),
            lambda away: evaluate([step], {x: near * np.float32(1 + away)})[0],
        )

    wild, at = of(ng.sin(x * 3e4))
    check(wild, at(2e-7), "a digit more of the angle")
    with pytest.raises(AssertionError, match="values"):
        check(wild, at(4e-5), "many digits")
    mild, at = of(ng.sin(x))
    with pytest.raises(AssertionError, match="values"):
        check(mild, at(1e-3), "no angle to speak of")
    unsure, _ = of(ng.log(x - near[0]))
    assert unsure.grade == Grade.UNSURE


def test_slopes_of_slopes_multiply_roundings() -> None:
    """Each call takes sines of what the last one rounded: the third has few digits left."""
    s = Source("s0", "float32", ("c",), (None,), "plain", "s0")
    product = "ng.grad(ng.sum(ng.prod(s0, axis=None, keepdims=True)), s0)"
    steps = [
        Step("t0", product, "product", "gradient of product"),
        Step("t1", "ng.grad(ng.sum(ng.sin(t0)), s0)", "slope", "gradient through"),
    ]
    values = [np.array([3.0, -2.0, 0.75, 3.0], np.float32)]
    updates = [("s0", "t1")]
    program = Program(
        0, shared=[s], values=values, steps=steps, outputs=["t1"], updates=updates, actions=3 * [Action("call")]
    )
    assert judge(program, "cuda-sim") == 3


def test_the_sign_of_a_zero_that_was_computed_is_not_known() -> None:
    """-3 * 0 + 0 is 0, and -3 * 0 alone is -0: a product of one term may be either, and what sees the sign with it."""
    program = small("ng.dot(x0, x1)", np.array([-3.0]), "sum")
    program.inputs.append(Source("x1", "float64", ("b", "c"), (None, None), "plain", "x1"))
    program.steps.append(Step("t1", "ng.copysign(2.0, t0)", "smooth", "extremes"))
    program.outputs = ["t1"]
    program.actions = [Action("call", [np.array([-3.0]), np.array([[-2.5, 0.0, 0.25]])], ["plain"] * 2)]
    assert judge(program, "cuda-sim") == 1
    x, zeros = ng.dvector("x"), np.array([0.0, 1.0])
    for signed, wanted in ((True, Grade.FINAL), (False, Grade.UNSURE)):
        worth = Worth(zeros, signed=signed)
        with np.errstate(all="ignore"):
            assert computed(1 / x, "smooth", ["x0"], {"x0": x}, {"x0": worth}).grade == wanted
        assert computed(x + 1, "ring", ["x0"], {"x0": x}, {"x0": worth}).grade == Grade.EXACT
        assert computed(x[::-1], "move", ["x0"], {"x0": x}, {"x0": worth}).signed == signed
    assert grade("move", [Worth(zeros)], zeros).signed and not grade("sum", [Worth(zeros)], zeros).signed


def test_exp_inside_a_softplus_may_leave_the_range() -> None:
    x = np.array([9e5, -3.0])
    code = plain.translated("ng.log1p(ng.exp(x0 * 0.001))")
    assert code is not None and np.allclose(eval(code, {"N": plain, "x0": x}), [900.0, np.log1p(np.exp(-0.003))])
    judge(small("ng.log1p(ng.exp(x0 * 0.001))", x, "stable"), "cpu")


def test_log_softmax_is_the_logarithm_of_softmax() -> None:
    x = np.array([[np.inf, 1.0], [0.0, -np.inf], [3.0, 2.0]], np.float32)
    with np.errstate(all="ignore"):
        assert np.allclose(plain.log_softmax(x), np.log(plain.softmax(x)), equal_nan=True)


def test_shrinking_keeps_what_fails() -> None:
    def fails(p: Program) -> bool:
        return any("x1" in step.uses for step in p.steps)

    program = next(p for p in (draw(seed, size=12) for seed in range(20)) if fails(p))
    made = shrunk(program, fails)
    assert fails(made) and len(made.steps) == 1 and len(made.actions) == 1 and len(made.inputs) <= 2


OLD = {
    "own_bases": ("ng.set_subtensor(t0[::-1], t0)", np.arange(5.0)),
    "wrapping": ("(t0 + 1) > t0", np.array([3, 2**62 - 1, -5])),
}


@pytest.mark.parametrize("name", OLD)
def test_old_faults_are_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, x = OLD[name]
    program = small("x0 * 2 + x0 * 0" if name == "own_bases" else "x0 * 2 + 1", x)
    program.steps.append(Step("t1", code, "ring", "kind"))
    program.outputs = ["t1"]
    judge(program, "cpu")
    # what is compiled now must not be found by others, nor is what they compiled to be found
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    with put_back(name), pytest.raises(Fault):
        judge(program, "cpu")


@pytest.mark.parametrize("name", BUGS)
def test_old_faults_have_a_place(name: str) -> None:
    with put_back(name):
        pass


def test_products_are_judged_term_by_term() -> None:
    """BLAS leaves out inf * 0 for some lengths, where a product has NaN."""
    x, y = np.array([[-np.inf], [np.inf]]), np.array([-0.0])
    with np.errstate(all="ignore"):
        assert np.isnan(plain.dot(x, y)).all() and np.isnan(plain.dot(x, y[:, None])).all()
        assert np.isnan(plain.matmul(x[None], y[None, :, None])).all()
    rng = np.random.default_rng(1)
    m, n, v = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=3)
    for a, b in ((m, n), (v, n), (m, v), (v, v), (m, np.stack([n, -n])), (m[None], n)):
        np.testing.assert_allclose(plain.dot(a, b), np.dot(a, b))
    np.testing.assert_allclose(plain.matmul(m[None], n), np.matmul(m[None], n))
    for dtype in ("bool", "uint8", "int32", "float32"):
        a, b = (m > 0).astype(dtype), (n > 0).astype(dtype)
        for got, expected in ((plain.dot(a, b), a @ b), (plain.matmul(a, b), a @ b)):
            assert got.dtype == dtype and np.array_equal(got, expected)


def test_additions_are_judged_with_values_of_their_own() -> None:
    """np.add.at reads behind the end of a value that it broadcasts to an array of indices with two axes."""
    x, key = np.array([0, 1]), np.array([[-1, -2], [-2, -1]])
    assert plain.inc_subtensor(x, key, x).tolist() == [1, 2]
    assert plain.inc_subtensor(x, key, np.array([[2], [3]])).tolist() == [5, 6]
    assert plain.inc_subtensor(x, np.s_[:1], 4.5).tolist() == [4, 1]
    assert plain.inc_subtensor(x, 1, 2).tolist() == [0, 3]
