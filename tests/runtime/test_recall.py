"""Programs that were compiled before: found without a pass, and only what is the same program is found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_cache import finish, start

import numgraph as ng
from numgraph import compile as passes
from numgraph import recall
from numgraph.config import config
from numgraph.errors import RecallError
from numgraph.fingerprint import LARGEST, fingerprint, shapes_of
from numgraph.graph import apply
from numgraph.op import OPS, Op, same
from numgraph.program import build_program
from tests.differential import judge
from tests.differential.draw import draw

# What a process does with a function, in a way that shows whether it ran a pass before something asked for it.
PROGRAM = """
import sys
import numpy as np
import numgraph as ng
x, y, i = ng.matrix("x"), ng.vector("y"), ng.lscalar("i")
w, t = ng.shared(np.ones((3, 2)), name="w"), ng.shared(np.arange(30.0).reshape(10, 3), name="t")
k = np.array([3.0, 5.0])
train = ng.function([i], (ng.dot(x, w) * k).sum(), updates=[(w, w * 0.5)], givens={x: t[i * 2 : i * 2 + 2]})
pick = ng.function([y], y[3] + y.sum())
print(train(0), train(1), w.get_value().sum(), pick(np.arange(5.0)), train.sweep(range(3)))
print("passes", "numgraph.compile" in sys.modules or "numgraph.ir" in sys.modules or "numba" in sys.modules)
try:
    pick(np.arange(2.0))
except IndexError as error:
    print(error)
w.set_value(np.ones((4, 2)))
try:
    train(0)
except ng.ShapeError as error:
    print(error)
t.set_value(np.ones((10, 4)))
print(train(0), train.source.count("def "), train.explain(0).phases[0].makes, [p.name for p in train.record.passes])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of this test's own; what is found there is used."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")
    monkeypatch.setattr(config, "verify", False)
    yield tmp_path / "cache"


def test_a_process_that_finds_its_program_runs_no_pass(tmp_path: Path) -> None:
    said = [finish(start(tmp_path, PROGRAM, NUMGRAPH_VERIFY="0")) for _ in range(2)]
    first, second = (text.replace("passes True", "passes False") for text in said)
    assert "passes True" in said[0] and "passes False" in said[1]
    assert first == second
    assert "index 3 is out of range" in first and "made at <string>:" in first and "inner lengths 3 and 4" in first


def counted(build: Callable[[], ng.Function], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many programs are scheduled while a function is made."""
    count = 0
    real = passes.settled_schedule

    def settled(*given: Any) -> Any:
        nonlocal count
        count += 1
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(passes, "settled_schedule", settled)
        build()
    return count


def function(factor: float = 2.0) -> ng.Function:
    x = ng.vector("x")
    return ng.function([x], x * factor + 1)


def test_what_is_missing_or_damaged_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counted(function, monkeypatch) == 1
    assert counted(function, monkeypatch) == 0
    for pattern in ("p_*.bin", "k_*.o", "k_*.py"):
        (path,) = folder.glob(pattern)
        path.unlink()
        assert counted(function, monkeypatch) == 1, pattern
        assert counted(function, monkeypatch) == 0, pattern
    (path,) = folder.glob("p_*.bin")
    whole = path.read_bytes()
    for damaged in (whole[:-7], whole[:90] + bytes([whole[90] ^ 1]) + whole[91:], b"", b"other"):
        path.write_bytes(damaged)
        assert counted(function, monkeypatch) == 1
        assert_array_equal(function()([1.0]), [3.0])
    path.replace(folder / f"p_{'0' * 20}.bin")
    (folder / f"p_{'0' * 20}.bin").rename(path)
    assert counted(function, monkeypatch) == 0


def test_other_passes_versions_and_settings_are_other_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    function()
    with monkeypatch.context() as patch:
        patch.setattr(recall, "passes_digest", lambda: "the passes of tomorrow")
        assert counted(function, patch) == 1
    with monkeypatch.context() as patch:
        patch.setattr(np, "__version__", "3.0.0")
        assert counted(function, patch) == 1
    with monkeypatch.context() as patch:
        patch.setattr(config, "floatX", "float32")
        assert counted(function, patch) == 1
    assert counted(function, monkeypatch) == 0


def test_source_without_files_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "passes_digest", lambda: None)
    function()
    assert not list(folder.glob("p_*")) and counted(function, monkeypatch) == 1


def test_verify_finds_what_other_passes_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = ng.vector("x")
    y = ng.exp(x) + ng.sum(x)
    ng.function([x], y)
    monkeypatch.setattr(config, "verify", True)
    ng.function([x], y)
    monkeypatch.setattr("numgraph.compile.title_of", lambda program: ["another title"])
    with pytest.raises(RecallError, match="is not what the passes make"):
        ng.function([x], y)


X, Y, Z = (ng.matrix(name, "float32") for name in "xyz")
K = ng.lvector("k")


def of(*outputs: ng.Variable, **more: Any) -> str | None:
    """The fingerprint of a function of x, y and k."""
    more.setdefault("on_unused_input", "ignore")
    program = build_program([X, Y, K], list(outputs), **more)
    return fingerprint(program, shapes_of(program))


def of_shared(array: np.ndarray[Any, Any], name: str | None = "s", update: float | None = None) -> str | None:
    s = ng.shared(array, name=name)
    return of(ng.sum(s), updates=[] if update is None else [(s, s * update)])


A, B = X * X, X * X
DIFFERENT: list[list[Callable[[], str | None]]] = [
    [lambda: of(X + 0.0), lambda: of(X + -0.0), lambda: of(X + np.nan), lambda: of(X + 1), lambda: of(X + np.int64(1))],
    [lambda: of(X + np.float32(0.1)), lambda: of(X + np.float64(0.1)), lambda: of(X + np.nextafter(0.1, 1))],
    [lambda: of(X + Y), lambda: of(Y + X), lambda: of(X + X), lambda: of(X - Y), lambda: of(X + Y, X), lambda: of()],
    [lambda: of(A + A), lambda: of(A + B)],
    [lambda: of(ng.sum(X, 0)), lambda: of(ng.sum(X, 1)), lambda: of(ng.sum(X))],
    [lambda: of(ng.sum(X, 0)), lambda: of(ng.sum(X, 0, keepdims=True))],
    [lambda: of(X[1]), lambda: of(X[1:]), lambda: of(X[:, 1]), lambda: of(X[::2]), lambda: of(X[0]), lambda: of(X[K])],
    [lambda: of(X * 2, name="f"), lambda: of(X * 2, name="g"), lambda: of(X * 2)],
    [lambda: of(X + Z, givens={Z: X}), lambda: of(X + X), lambda: of(X + Z, givens={Z: X * 1})],
    [lambda: of_shared(np.zeros(3)), lambda: of_shared(np.zeros(4)), lambda: of_shared(np.zeros((3, 1)))],
    [lambda: of_shared(np.zeros(3)), lambda: of_shared(np.zeros(3, "float32")), lambda: of_shared(np.zeros(3), "t")],
    [lambda: of_shared(np.zeros(3), None), lambda: of_shared(np.zeros(3))],
    [lambda: of_shared(np.zeros(3), update=2.0), lambda: of_shared(np.zeros(3), update=3.0)],
    [lambda: of(ng.constant(np.arange(6.0)) + 1), lambda: of(ng.constant(np.arange(6.0).reshape(2, 3)) + 1)],
]  # fmt: skip


@pytest.mark.parametrize("several", DIFFERENT)
def test_what_differs_has_another_fingerprint(several: list[Callable[[], str | None]]) -> None:
    found = [make() for make in several]
    assert None not in found and len(set(found)) == len(found)


def test_names_and_types_of_leaves_count() -> None:
    def made(name: str | None, dtype: str = "float32", shape: Any = (None, None)) -> str | None:
        x = ng.tensor(name, dtype=dtype, shape=shape)
        return fingerprint(build_program([x], x * 2), {})

    found = [
        made("x"),
        made("y"),
        made(None),
        made("x", "float64"),
        made("x", shape=(3, None)),
        made("x", shape=(None,)),
    ]
    assert None not in found and len(set(found)) == len(found)


def test_lines_and_values_do_not_count() -> None:
    assert of_shared(np.zeros(3)) == of_shared(np.ones(3))
    first, second = (of(ng.exp(X)) for _ in range(2))
    assert first == second and of(ng.exp(X)) == first


def test_what_cannot_be_told_has_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Name(str):
        pass

    assert of(ng.constant(np.zeros(LARGEST // 8 + 1)) + 1) is None
    assert of(ng.elementwise(lambda v: v + 1.0, X, dtype="float32")) is None
    own = Op("recalled_for_test", ("x",), "x + 1.", same, lambda x: x + 1, None, no_grad="a test", scalar="x + 1")
    del OPS[own.name]
    assert of(apply(own, [X])) is None
    z = ng.matrix("z", "float32")
    z.name = Name("z")
    assert fingerprint(build_program([z], z * 2), {}) is None
    x = ng.vector("x")

    def build() -> ng.Function:
        return ng.function([x], ng.elementwise(lambda v: v + 1.0, x, dtype="float64"))

    build()
    assert counted(build, monkeypatch) == 1


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_compute_the_same_bits_when_they_are_found(seed: int, tmp_path: Path) -> None:
    """Results, errors and states of the first time, of the second, and of a recalled one that looked at its passes."""
    before, config.cache_dir, config.verify = config.cache_dir, tmp_path, False
    try:
        found = [judge.outcomes(draw(seed, small=True), "cpu") for _ in range(2)]
    finally:
        config.cache_dir, config.verify = before, True
    if any(isinstance(outcome, Exception) for outcome in found):
        # a program that is refused when it is compiled, such as one in which a step computes a length
        assert type(found[0]) is type(found[1]) and str(found[0]) == str(found[1])
        return
    for one, other in zip(*found, strict=True):
        assert plain(one) == plain(other)


def plain(value: Any) -> Any:
    """Outcomes as what can be compared bit by bit."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, Exception):
        return type(value), str(value)
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value


def test_a_function_keeps_its_program_when_things_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for later is told of the program as it was: with the lengths and the settings of then."""

    def build() -> tuple[ng.Function, ng.SharedVariable]:
        k, s = ng.lvector("k"), ng.shared(np.ones(3), name="s")
        return ng.function([k], ng.sum(k / 3) + s, updates=[(s, s + 1)]), s

    wanted = build()[0].source
    f, s = build()
    s.set_value(np.ones(5))
    monkeypatch.setattr(config, "floatX", "float32")
    assert f.source == wanted and "numgraph.compile" in sys.modules
    assert_array_equal(f([3, 3]), np.full(5, 3.0))
