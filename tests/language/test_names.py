"""Names are data: whatever a function, variable, file or key is called, the program is the same and nothing runs."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

import numgraph as ng
from numgraph import compile as pipeline
from numgraph.compile import printed
from numgraph.cuda.passes import printed_for_grid
from numgraph.emit import gridmodule
from numgraph.errors import NumgraphError
from numgraph.inspector import terminal
from numgraph.loops.grid.kernel import Geometry
from numgraph.loops.names import Names
from numgraph.program import Program, build_program
from numgraph.source import SourceLine
from numgraph.text import LONGEST, docstring, identifier, printable, undone

EVIL = (
    'f"""\nimport os\nos.system("touch EXECUTED")\n"""',
    "a\nb", "\r\nreturn 1", "a\fb", "a\u2028b", "a\x85b", '"""', "'", "\\", 'a\\"""', "x\0y", "\ud800",
    "\u202e)", "\x1b[31m", "[red]", "[/]", "[/red]", "{a}", "{0.__class__}", "%s", "input 0", "1st layer", "lambda",
    "None", "(", "#", "t0", "v0", "x0", "p0", "acc0", "acc0_at", "i", "k0", "table", "reals", "phase_0", "plan_0",
    "enter", "numba", "np", "math", "float32", "f32", "fail", "argsort", "exp_f32", "range", "kernel_0", "lane", "cuda",
    "THREADS", "__debug__", "self", "θ", "ﬁ", "fi", "\u210c", "H", "x" * 5000, "é" * 60, "", " ", "_", "__0__",
)  # fmt: skip
PLAIN = ("fn", "x", "a", "s", "rows", "out")
# Numbers that a program may have besides, where many names are tried.
MORE = tuple(f"more{k}" for k in range(15))
# Outputs that together need lengths, windows, sums, positions, products, gathers and a kernel.
GEOMETRY = Geometry(threads=64, small=64)


def build(names: Sequence[str], small: bool = False) -> dict[str, Any]:
    """The arguments of `function` for a program whose parts have these names, the first six or all. small: it compiles
    faster."""
    function, x_name, a_name, s_name, rows_name, key, *more = names
    x, a = ng.fmatrix(x_name), ng.fscalar(a_name)
    rows = ng.lvector(rows_name)
    s = ng.shared(np.arange(12, dtype="float32").reshape(4, 3), s_name)
    numbers = [ng.fscalar(name) for name in more]
    h = ng.exp(ng.dot(x, s.T) * sum(numbers, a))
    h.name = key
    outputs = {
        key: ng.sum(h, axis=0),
        f"{key}.": ng.argmax(h, axis=1),
        f"{key}..": ng.sort(x[:, 0]) * (x.shape[0] * 2),
        f"{key}...": sum(numbers, s[1:3] + ng.sum(s[rows], axis=0) + ng.max(x) - ng.argmax(x[0])),
    }
    if small:
        outputs = {key: ng.sum(x * a + s[0]) + ng.sum(s[rows]), f"{key}.": s[1:3] * x.shape[0]}
    return {"inputs": [x, a, rows, *numbers], "outputs": outputs, "updates": [(s, s * 2)], "name": function}


def program(names: Sequence[str]) -> Program:
    return build_program(**build(names))


def texts(names: Sequence[str]) -> tuple[str, str, str]:
    """The source and the listing for the processor, and the source for a grid."""
    made = program(names)
    with pytest.MonkeyPatch.context() as patch:
        for place in (pipeline, gridmodule):
            # how far expressions nest depends on how long names are
            patch.setattr(place, "fits", lambda *_: False)
        found = printed(made).module
        return found.text, found.listing, printed_for_grid(made, GEOMETRY).module.text


class Renamed(ast.NodeTransformer):
    """A function whose own names are numbered in order; what it finds in its module keeps its name."""

    def __init__(self, own: set[str]) -> None:
        self.numbers: dict[str, str] = {}
        self.own = own

    def _name(self, name: str) -> str:
        return self.numbers.setdefault(name, f"own{len(self.numbers)}") if name in self.own else name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._name(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._name(node.arg))


def own_names(function: ast.FunctionDef) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    slots = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and n.id.startswith("AT_")}
    return stored | slots | {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}


def meaning(text: str) -> list[str]:
    """What a module says, up to the names of variables, those of slots of the table, and the docstring."""
    first, *statements = ast.parse(text).body
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    statements = [s for s in statements if not (isinstance(s, ast.Assign) and ast.unparse(s).startswith("AT_"))]
    return [ast.dump(Renamed(own_names(s)).visit(s) if isinstance(s, ast.FunctionDef) else s) for s in statements]


PLAIN_TEXTS = texts(PLAIN)
MEANINGS = [meaning(text) for text in PLAIN_TEXTS]


def check_printed(names: Sequence[str], meanings: Sequence[list[str]] = MEANINGS) -> None:
    """The printed modules mean what they mean with plain names, and can be written and read."""
    for text, wanted in zip(texts(names), meanings, strict=True):
        assert meaning(text) == wanted, names
        text.encode()
        # one line is one line for whoever splits text into lines
        assert text.splitlines() == text.rstrip("\n").split("\n")
        assert all(line.isprintable() for line in text.splitlines())


any_text = st.one_of(
    st.text(st.characters(exclude_categories=())), st.text('"\\\n\r\f\0#{}[]()abθﬁ_09 '), st.sampled_from(EVIL)
)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.tuples(*(any_text,) * 6))
@example((EVIL[0],) * 6)
@example(("\ud800", "a", "a", "a", "a", "a"))
def test_any_text_is_only_a_label(names: tuple[str, ...]) -> None:
    check_printed(names)


def used_names() -> Iterator[tuple[str, ...]]:
    """All names in generated source, and what they are made of, a program's at a time."""
    found = {n.id for text in PLAIN_TEXTS for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    found |= {n.name for text in PLAIN_TEXTS for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    # of names that differ in a number, one
    ordered = sorted({re.sub(r"\d+", "", name): name for name in sorted(found)}.values())
    count = 5 + len(MORE)
    for k in range(0, len(ordered), count):
        yield tuple((ordered[k : k + count] * count)[:count])


def test_names_of_generated_source_are_given_to_the_user_only_where_they_are_free() -> None:
    wanted = [meaning(text) for text in texts((*PLAIN, *MORE))]
    for some in used_names():
        check_printed(("fn", *some), wanted)


def test_evil_names_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Results, updates, keyword calls and exports are those of plain names; nothing in a name is executed."""
    monkeypatch.chdir(tmp_path)
    x, rows = np.arange(6, dtype="float32").reshape(2, 3), [0, 3]
    expected = list(ng.function(**build(PLAIN))(x, 0.1, rows).values())
    for k in range(0, len(EVIL) - 6, 19):
        group = EVIL[k : k + 6]
        arguments = build(group)
        f = ng.function(**arguments)
        named = {v.name: value for v, value in zip(arguments["inputs"], (x, 0.1, rows), strict=True)}
        got = f(**named)
        assert list(got) == list(arguments["outputs"])
        for a, b in zip(got.values(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(arguments["updates"][0][0].get_value()[0], [0, 2, 4])
    assert not list(tmp_path.iterdir())


def test_evil_names_run_by_numba(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ng.config, "standard_passes", True)
    a, b = ng.scalar("θ"), ng.vector("x\0\n")
    np.testing.assert_array_equal(ng.function([a, b], a * b, name=EVIL[0])(2.0, [1.0, 2.0]), [2, 4])
    assert not list(tmp_path.iterdir())


def test_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exported module is run as it is written, and its arrays go by the user's names."""
    names = (EVIL[0], "x\0y", "{a}", 'a\\"""', "\ud800", "\r\nreturn 1")
    monkeypatch.chdir(tmp_path)
    f = ng.function(**build(names, small=True))
    path = tmp_path / 'step"""\nimport os.py'
    f.export(path)
    before = sorted(tmp_path.iterdir())
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "exported", module)
    spec.loader.exec_module(module)
    x = np.arange(6, dtype="float32").reshape(2, 3)
    assert list(module.step.shared) == [names[3]]
    got = module.step(x, 0.1, np.array([0, 3]))
    for (key, a), (other, b) in zip(got.items(), f(x, 0.1, [0, 3]).items(), strict=True):
        assert key == other
        np.testing.assert_allclose(a, b, rtol=1e-6)
    with pytest.raises(ValueError, match="out of range"):
        module.step(x, 0.1, np.array([9]))
    assert [p for p in sorted(tmp_path.iterdir()) if p.name != "__pycache__"] == before


def said(call: Any, *args: Any, **named: Any) -> str:
    """The message of the error that a call raises."""
    with pytest.raises((NumgraphError, KeyError)) as caught:
        call(*args, **named)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.tuples(*(any_text,) * 6))
@example(("[red]", "[/]", "\x1b[31m", "[bold]x", "\x07", "[/red]"))
def test_faces_and_errors_show_names_as_they_are(names: tuple[str, ...]) -> None:
    arguments = build(names, small=True)
    f = ng.function(**arguments)
    out = io.StringIO()
    console = Console(file=out, width=400, force_terminal=False)
    for stage in (None, "graph", "givens", "schedule"):
        terminal.show(f.record, console, stage)
    ng.debugprint(f, file=out)
    shown = [out.getvalue(), str(f.explain()), ng.pprint(arguments["outputs"][names[5]]), repr(f)]
    shown += [repr(v) for v in arguments["inputs"]]
    x = np.zeros((2, 3), "float32")
    shown += [
        said(f),
        said(f, x, 0.1, [9]),
        said(f, x, 0.1, [0], **{"no\n" + names[1]: 1}),
        said(f, np.zeros((2, 5), "float32"), 0.1, [0]),
        said(f, np.zeros(2), 0.1, [0]),
        said(ng.function, arguments["inputs"][:2], arguments["outputs"], name=names[0]),
        said(ng.function, [arguments["inputs"][0]] * 2, arguments["outputs"]),
    ]
    for text in shown:
        assert all(line.isprintable() for line in text.split("\n"))
    if names[1] == "[/]":
        assert "[/]" in shown[0] and "[red]" in shown[0] and "\\x1b[31m" in shown[0] and "[/], \\x1b[31m" in said(f)


def test_letters_keep_their_name_and_equal_identifiers_are_told_apart() -> None:
    theta, eta = ng.vector("θ"), ng.vector("naïve")
    f = ng.function([theta, eta], ng.sum(theta * eta))
    assert "θ = f64(" in f.source and "naïve = f64(" in f.source
    assert f([1.0, 2.0], [3.0, 4.0]) == 11
    for pair in (("ﬁ", "fi"), ("\u210c", "H"), ("x", "x"), ("a b", "a_b"), ("e\u0301", "\u00e9")):
        a, b = map(ng.vector, pair)
        g = ng.function([a, b], a - 2 * b)
        np.testing.assert_array_equal(g([1.0, 5.0], [1.0, 1.0]), [-1.0, 3.0])


def test_identifiers() -> None:
    for text in EVIL:
        found = identifier(text)
        assert not found or (found.isidentifier() and ast.unparse(ast.parse(found)) == found)
    names = Names(set())
    assert [names.fresh(w) for w in ("x", "x", "class", "", "phase_0", "K\u212a")] == [
        "x",
        "x_0",
        "_class",
        "t0",
        "t1",
        "KK",
    ]


def test_printable_text() -> None:
    assert printable("W'[red]\\") == "W'[red]\\"
    assert printable("a\nb\x1b\u2028\ud800\0") == "a\\nb\\x1b\\u2028\\ud800\\x00"
    assert len(printable("x" * 5000)) == LONGEST
    assert printable(np.str_("x")) == "x" and printable(3) == "3"
    assert str(SourceLine("/tmp/a\nb\x1b.py", 3, "f\n")) == "tmp/a\\nb\\x1b.py:3 in f\\n"


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z"))), min_size=1))
@settings(deadline=None, derandomize=True)
def test_docstrings_say_what_they_were_given(lines: list[str]) -> None:
    literal = docstring([*lines, "end"])
    assert ast.literal_eval("\n".join(literal)) == "\n".join([*lines, "end", ""])
    assert [undone(line) for line in literal[1:-1]] == [*lines, "end"][1:]


def test_names_that_only_look_like_strings() -> None:
    """A subclass of str says nothing by its `repr`; two inputs of one name are two inputs."""

    class Loud(str):
        def __repr__(self) -> str:
            return "boom()"

    x = ng.vector(Loud("x"))
    assert list(ng.function([x], {Loud("y"): x * 2})([1.0])) == ["y"]
    a, b = ng.scalar("a"), ng.scalar("a")
    f = ng.function([a, b], a - b)
    assert f(3.0, 1.0) == 2.0
    with pytest.raises(ValueError, match="different numbers of steps"):
        f.sweep(np.zeros(3), np.zeros(4))
    steps, itself = ng.scalar("self"), ng.scalar("key")
    np.testing.assert_array_equal(
        ng.function([steps, itself], steps + itself).sweep(self=np.arange(2.0), key=1.0), [1, 2]
    )
