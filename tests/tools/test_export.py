"""Exported functions: modules that compute the same where numgraph is not installed."""

from __future__ import annotations

import ast
import builtins
import dis
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.runtime import export
from numgraph.runtime.used import used
from tests.waits import python

# Python's own path without numgraph: -I keeps out the working folder and PYTHONPATH, but not an editable installation.
# One process, which imports Numba once, runs the modules of several folders.
CHILD = """
import importlib.abc, json, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numgraph":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import warnings
warnings.simplefilter("error")
import numpy as np
def run(step, calls):
    for call in calls:
        arguments = [np.array(value, dtype) for value, dtype in call]
        try:
            out = step(*arguments)
        except (TypeError, ValueError, IndexError) as error:
            yield type(error).__name__, str(error)
            continue
        named = out if isinstance(out, dict) else dict(enumerate(out if isinstance(out, list) else [out]))
        outputs = {str(k): [a.tolist(), a.dtype.name, list(a.shape)] for k, a in named.items()}
        shared = {k: [a.tolist(), a.dtype.name, list(a.shape)] for k, a in step.shared.items()}
        yield type(out).__name__, outputs, shared
results = {}
for folder, calls in json.loads(sys.argv[1]).items():
    sys.path.insert(0, folder)
    sys.modules.pop("exported", None)
    from exported import step
    results[folder] = list(run(step, calls))
    sys.path.remove(folder)
assert not [m for m in sys.modules if m.startswith("numgraph.") or m == "numgraph"]
print(json.dumps(results))
"""
Calls = Sequence[Sequence[Any]]


def run(jobs: dict[Path, Calls]) -> list[list[Any]]:
    """What a process without numgraph gets from `exported.py` in each folder for each call."""
    described = {
        str(folder): [[[np.asarray(a).tolist(), np.asarray(a).dtype.name] for a in call] for call in calls]
        for folder, calls in jobs.items()
    }
    done = python("-I", "-c", CHILD, json.dumps(described), cwd=next(iter(jobs)))
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout).values())


def described(value: np.ndarray) -> list[Any]:
    return [value.tolist(), value.dtype.name, list(value.shape)]


def close(got: Sequence[Any], expected: Sequence[Any]) -> None:
    assert list(got[1:]) == list(expected[1:])
    np.testing.assert_allclose(np.array(got[0]), np.array(expected[0]), rtol=1e-6)


def compare(f: ng.Function, calls: Calls, results: list[Any]) -> None:
    """Run the calls here, and compare outputs and shared variables after each."""
    for call, result in zip(calls, results, strict=True):
        assert len(result) == 3, result
        kind, outputs, shared = result
        out = f(*call)
        assert kind == type(out).__name__
        named = out if isinstance(out, dict) else dict(enumerate(out)) if isinstance(out, list) else {0: out}
        for key, array in named.items():
            if array is not None:
                close(outputs[str(key)], described(array))
        for s in f.get_shared():
            close(shared[s.name], described(s.get_value()))


def training() -> tuple[ng.Function, list[Any]]:
    rng = np.random.default_rng(0)
    X = ng.shared(rng.normal(size=(20, 6)).astype("float32"), "X")
    Y = ng.shared(rng.integers(0, 3, 20).astype("int32"), "Y")
    W, b = ng.shared(np.zeros((6, 3), "float32"), "W"), ng.shared(np.zeros(3, "float32"), "b")
    x, y, i, lr = ng.fmatrix("x"), ng.ivector("y"), ng.lscalar("i"), ng.fscalar("lr")
    p = ng.softmax(ng.dot(x, W) + b)
    cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
    gW, gb = ng.grad(cost, [W, b])
    given = {x: X[i * 8 : (i + 1) * 8], y: Y[i * 8 : (i + 1) * 8]}
    f = ng.function([i, lr], {"cost": cost, "p": p}, updates=[(W, W - lr * gW), (b, b - lr * gb)], givens=given)
    lr1 = np.float32(0.5)
    # the last minibatch has 4 rows
    return f, [[0, lr1], [1, lr1], [2, lr1], [0, np.float32(0.25)]]


def plain() -> tuple[ng.Function, list[Any]]:
    """No products, no shared variables, several dtypes and ranks."""
    x, n, c = ng.vector("x"), ng.iscalar("n"), ng.vector("c", "bool")
    f = ng.function([x, n, c], [ng.where(c, x, -x) * n, ng.sum(x), ng.argmax(x), c], name="plain")
    return f, [
        [np.array([1.0, -2.0]), np.int32(3), np.array([True, False])],
        [np.zeros(1), np.int32(0), np.array([True])],
    ]


def constants() -> tuple[ng.Function, list[Any]]:
    x = ng.vector("x")
    return ng.function([x], x * np.array([1.0, 2.0, 3.0]) + np.arange(6.0).reshape(2, 3)), [
        [np.ones(3)],
        [np.arange(3.0)],
    ]


def dynamic() -> tuple[ng.Function, list[Any]]:
    """Lengths that only the values tell."""
    x, count = ng.vector("x"), ng.shared(np.array(0), "count")
    kept = x[x > 0]
    f = ng.function([x], [kept, ng.nonzero(x)[0], kept * 2], updates=[(count, count + kept.shape[0])])
    return f, [[np.array([1.0, -1.0, 2.0])], [np.zeros(0)], [np.array([-1.0])], [np.arange(40.0)]]


def swaps() -> tuple[ng.Function, list[Any]]:
    a, b, c = (ng.shared(np.arange(3.0) + k, n) for k, n in ((0, "a"), (10, "b"), (20, "c")))
    return ng.function([], [], updates=[(a, b), (b, c), (c, a)]), [[], [], [], []]


def growing() -> tuple[ng.Function, list[Any]]:
    s = ng.shared(np.zeros(1), "s")
    return ng.function([], ng.sum(s), updates=[(s, ng.concatenate([s, s + 1]))]), [[], [], []]


def random_numbers(all_kinds: bool = False) -> tuple[ng.Function, list[Any]]:
    """Functions of a counter; the states are shared variables of the module."""
    x, rng = ng.fmatrix("x"), ng.random.RandomStream(seed=5)
    n = (2, 3)
    draws = [rng.dropout(x), rng.normal(size=n), rng.integers(9, size=n), rng.poisson(20.0, size=n)]
    if all_kinds:
        draws += [
            rng.exponential(size=n), rng.gamma(0.5, size=n), rng.binomial(90, 0.4, size=n),
            rng.truncated_normal(size=n), rng.permutation(4),
        ]  # fmt: skip
    for k, (state, _) in enumerate(rng.state_updates):
        state.name = f"state_{k}"
    return ng.function([x], draws), [[np.ones(n, "float32")], [np.ones((1, 4), "float32")]]


def all_random_numbers() -> tuple[ng.Function, list[Any]]:
    """Every function of a counter."""
    return random_numbers(True)


def matrices(all_kinds: bool = False) -> tuple[ng.Function, list[Any]]:
    """What LAPACK computes; a singular matrix ends the call."""
    a, b, n = ng.matrix("a"), ng.vector("b"), ng.shared(np.array(0), "n")
    results = [ng.solve(a, b), ng.eigh(a)[0]]
    if all_kinds:
        results += [ng.det(a), ng.svd(a)[1], ng.qr(a)[1], ng.expm(a)]
    f = ng.function([a, b], results, updates=[(n, n + 1)])
    return f, [[np.array([[3.0, 1.0], [1.0, 2.0]]), np.ones(2)], [np.eye(3), np.arange(3.0)]]


def all_matrices() -> tuple[ng.Function, list[Any]]:
    """All of what LAPACK computes."""
    return matrices(True)


PROGRAMS = (
    training, plain, constants, dynamic, swaps, growing, random_numbers, all_random_numbers, matrices, all_matrices,
)  # fmt: skip
BAD: dict[str, tuple[Any, str]] = {
    "too few": ([], "InputError"),
    "too many": ([np.ones(2), np.ones(2), np.ones(2)], "InputError"),
    "rank": ([np.ones((2, 2), int), np.ones(2)], "ArgumentShapeError"),
    "dtype": ([np.ones(2), np.ones(2)], "DtypeError"),
    "lengths": ([np.ones(2, int), np.ones(3)], "ValueError"),
}


def refusing() -> tuple[ng.Function, list[Any]]:
    x, y, n = ng.lvector("x"), ng.vector("y"), ng.shared(np.zeros(1), "n")
    f = ng.function([x, y], x + y, updates=[(n, n + 1)])
    return f, [*(call for call, _ in BAD.values()), [np.ones(2, int), np.ones(2)]]


def indexing() -> tuple[ng.Function, list[Any]]:
    s, i = ng.shared(np.arange(3.0), "s"), ng.lvector("i")
    f = ng.function([i], s[i], updates=[(s, ng.inc_subtensor(s[i], 1.0))])
    return f, [[np.array([0, 3])], [np.array([0, -1])]]


def counting() -> tuple[ng.Function, list[Any]]:
    s = ng.shared(np.arange(2.0), "s")
    f = ng.function([], s * 1, updates=[(s, s + 1)])
    f()
    return f, [[]]


NAMES: list[tuple[str | None, ...]] = [
    ("file", "self"), ("w", "w"), ("w_2", "w", "w"), (None, "shared_0"), ("a b/c", "é"),
]  # fmt: skip


def named(names: Sequence[str | None]) -> tuple[ng.Function, list[Any]]:
    shared = [ng.shared(np.full(k + 1, float(k)), name) for k, name in enumerate(names)]
    return ng.function([], [s * 2 for s in shared], updates=[(s, s + 1) for s in shared]), [[], []]


Found = dict[Any, tuple[ng.Function, Calls, list[Any]]]


@pytest.fixture(scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Each function with its calls, and what its module gives for them elsewhere; of `PROGRAMS`, those that are tested:
    Numba compiles each module for seconds."""
    tests = [t for t in request.session.items if isinstance(t, pytest.Function) and t.function is test_the_same_values]
    programs = [t.callspec.params["build"] for t in tests]
    built: dict[Any, tuple[ng.Function, list[Any]]] = {b: b() for b in (*programs, refusing, indexing, counting)}
    built |= {names: named(names) for names in NAMES}
    folders = [tmp_path_factory.mktemp("exported") for _ in built]
    for (f, _), folder in zip(built.values(), folders, strict=True):
        f.export(folder / "exported.py")
    # what is exported are the values of that moment
    built[counting][0]()
    results = run({folder: calls for folder, (_, calls) in zip(folders, built.values(), strict=True)})
    return {key: (*made, result) for (key, made), result in zip(built.items(), results, strict=True)}


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda b: b.__name__)
def test_the_same_values(build: Callable[[], tuple[ng.Function, list[Any]]], exported: Found) -> None:
    compare(*exported[build])


def test_the_module_needs_numpy_and_numba_only(tmp_path: Path) -> None:
    f, _ = training()
    f.export(tmp_path / "exported.py")
    tree = ast.parse((tmp_path / "exported.py").read_text(encoding="utf-8"))
    modules = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    modules |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    outside = {m.partition(".")[0] for m in modules} - set(sys.stdlib_module_names)
    assert outside <= {"numpy", "numba", "llvmlite", "scipy"}
    assert (tmp_path / "exported.npz").exists()


def test_the_file_says_what_it_is_when_it_is_run(tmp_path: Path) -> None:
    f, _ = swaps()
    f.export(tmp_path / "exported.py")
    done = python("-I", str(tmp_path / "exported.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from exported import step" in done.stdout
    assert "a: float64[3]" in done.stdout


def test_bad_arguments_are_refused_and_change_nothing(exported: Found) -> None:
    _, _, results = exported[refusing]
    assert [r[0] for r in results] == [*(kind for _, kind in BAD.values()), "ndarray"]
    assert "3" in results[4][1] and "2" in results[4][1], "the message must say the lengths"
    assert results[-1][2]["n"][0] == [1.0]


def test_an_index_out_of_range(exported: Found) -> None:
    _, _, (refused, accepted) = exported[indexing]
    assert "3" in refused[1]
    assert accepted[1]["0"][0] == [0.0, 2.0], "the refused call must not have changed s"


def test_values_of_the_moment_are_exported(exported: Found) -> None:
    _, _, (result,) = exported[counting]
    assert result[1]["0"][0] == [1.0, 2.0]


def test_the_length_of_resident_data_may_change(tmp_path: Path) -> None:
    """Another data set in `step.shared`, of other length."""
    X, i = ng.shared(np.arange(12.0).reshape(6, 2), "X"), ng.lscalar("i")
    ng.function([i], ng.sum(X[i * 4 : (i + 1) * 4], axis=0)).export(tmp_path / "exported.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import numpy as np; from exported import step; a = step(1).tolist();"
        "step.shared['X'] = np.ones((7, 2)); print(a, step(1).tolist(), step(5).tolist())"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.strip() == "[18.0, 20.0] [3.0, 3.0] [0.0, 0.0]", done.stderr


@pytest.mark.parametrize("names", NAMES)
def test_any_names_of_shared_variables(names: Sequence[str | None], exported: Found) -> None:
    """They become names of arrays in an archive: none may be lost, or stand for another."""
    _, _, (_, second) = exported[names]
    assert len(second[2]) == len(names)
    assert [second[1][str(k)][0] for k in range(len(names))] == [[2.0 * (k + 1)] * (k + 1) for k in range(len(names))]


def test_the_reference_target_has_nothing_to_export(tmp_path: Path) -> None:
    x = ng.vector("x")
    with pytest.raises(ng.NumgraphError):
        ng.function([x], x * 2, target="reference").export(tmp_path / "exported.py")


KERNELS = Path(__file__).parents[2] / "kernels"
# numgraph's own products, and what one thread of a grid runs
NOT_EXPORTED = {"calls", "tiles", "tile_ir", "micro_ir", "dots", "dot_ir", "parts", "part_ir", "elimination", "bessel"}


def test_kernels_share_no_names() -> None:
    """An exported module holds them one after the other, so that a name of two meanings would be that of the last."""
    places: dict[str, list[str]] = {}
    for path in sorted(KERNELS.glob("*.py")):
        if path.stem in NOT_EXPORTED:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            names += [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            for name in names:
                places.setdefault(name, []).append(path.stem)
    assert len(places) > 100
    assert {name: where for name, where in places.items() if len(set(where)) > 1} == {}


@pytest.mark.parametrize("kernel", sorted({p.stem for p in KERNELS.glob("*.py")} - NOT_EXPORTED - {"__init__"}))
def test_a_kernel_and_those_below_it_define_all_that_they_refer_to(kernel: str) -> None:
    """A module with it has no others: where a library computes products, it has not even those that it imports."""
    text = "\n".join(export._kernel(k) for k in export.needed_kernels(["support", kernel]))
    codes, taken, given = [compile(text, kernel, "exec")], set(), {*dir(builtins), "__name__", "__annotations__"}
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            names = {"LOAD_GLOBAL": taken, "LOAD_NAME": taken, "STORE_NAME": given}.get(instruction.opname, set())
            names.add(instruction.argval)
    assert taken - given == set()


# What a function and its module answer, one after the other: results, or errors with their notes.
ANSWERS = """
import numpy as np
def answers(f):
    x = np.ones((3, 4))
    calls = [((x,), {}), ((), {"x": x, "k": 1}), ((x, 3), {"count": 7}), ((x,), {}), ((), {}), ((1,), {})]
    calls += [((x, 2, 3, 4), {})]
    calls += [((), {"y": 1}), (([[1j]],), {}), ((x, "two"), {}), ((x,), {"x": x}), ((x.astype("int8"), None), {})]
    for args, named in calls:
        try:
            yield repr(f(*args, **named))
        except Exception as error:
            yield "\\n".join([type(error).__name__, str(error), *error.__notes__] if hasattr(error, "__notes__")
                            else [type(error).__name__, str(error)])
"""
TWICE = """
import json, sys
sys.path.insert(0, ".")
import numpy as np
import exported, alone
print(json.dumps([list(answers(exported.step)), exported.enter.cache_hits]))
try:
    alone.step(np.ones((3, 4)))
except TypeError as error:
    print(json.dumps(str(error)))
alone.step.shared["s"] = np.ones(4, "float32")
try:
    alone.step(np.ones((3, 4)))
except TypeError as error:
    print(json.dumps(str(error)))
alone.step.shared |= {"s": np.ones(4)}
print(json.dumps([a.tolist() for a in alone.step(np.ones((3, 4)))]))
"""


def test_keywords_defaults_and_messages_are_the_functions_and_code_is_compiled_once(tmp_path: Path) -> None:
    x, k, s, count = ng.matrix("x"), ng.scalar("k"), ng.shared(np.ones(4), "s"), ng.lscalar("count")
    inputs = [x, ng.In(k, value=2.0), ng.In(count, value=0, update=count + 1)]
    outputs = [ng.sum(ng.exp(-x) * k, axis=1) + np.arange(3.0), count * 1]
    f = ng.function(inputs, outputs, updates=[(s, s + 1)], name="small")
    f.export(tmp_path / "exported.py")
    f.export(tmp_path / "alone.py", data="none")
    assert not (tmp_path / "alone.npz").exists()
    found: dict[str, Any] = {}
    exec(ANSWERS, found)
    expected = list(found["answers"](f))
    assert sum("Error" in answer for answer in expected) == 8
    for hits in (0, 1):
        done = python("-I", "-c", ANSWERS + TWICE, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (answers, hit), missing, wrong, alone = map(json.loads, done.stdout.splitlines())
        assert answers == expected
        assert hit == hits, "the second process finds machine code"
        assert missing.startswith("small(x, k, count): ") and "has no value" in missing and "step.shared[" in missing
        assert wrong.startswith("s: got float32 of shape (4,), expected float64, 1 axes")
        np.testing.assert_allclose(alone[0], 4 * 2 * np.exp(-1) + np.arange(3.0))
        assert alone[1] == 0, "the function's own state is there"


def test_data_is_npz_or_none(tmp_path: Path) -> None:
    with pytest.raises(ng.OptionError, match='export: data must be "npz" or "none", not \'json\''):
        ng.function([], ng.constant(1.0)).export(tmp_path / "exported.py", data="json")


KERNEL = """\
# -- kernels/a.py
import math

# beside it
ONE, TWO = 1, 2
THREE = 3


@scalar
def f(x):
    return x + ONE


@lower_builtin(f, int)
def _lower(x):
    return g(x)


def g(x):
    return THREE


def h(x):
    return 4


start(h)
"""


def test_only_what_is_used_is_in_the_module() -> None:
    other = "# -- kernels/b.py\ndef unused():\n    return f\n"
    (all_of_f,) = used([KERNEL, other], ["y = f(1)"])
    assert all(
        word in all_of_f for word in ("# beside it\nONE", "def f", "def _lower", "def g", "THREE", "def h", "start(h)")
    )
    (nothing,) = used([KERNEL, other], ["y = 1"])
    assert nothing.startswith("# -- kernels/a.py\nimport math") and "def h" in nothing
    assert not any(word in nothing for word in ("ONE", "def f", "def _lower", "def g", "THREE"))
