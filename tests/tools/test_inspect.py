"""`numgraph inspect`: where a script is stopped, which functions are found, and what is written of them."""

from __future__ import annotations

import sys
import threading
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from test_cli import run

import numgraph as ng
from numgraph.inspector import browser
from numgraph.inspector.places import Places, held_in
from numgraph.inspector.record import FunctionRecord

SCRIPT = """\
import sys
import numgraph as ng

x, w = ng.vector("x"), ng.shared([1.0, 2.0], name="w")


class Model:
    __slots__ = ("train", "steps", "named", "__dict__")

    def __init__(self):
        self.train = ng.function([x], ng.sum(x * w), updates=[(w, w - x)])
        self.steps = [ng.function([x], x * k) for k in (1, 2)]
        init = ng.function([], updates=[(w, w * 0)], name="init")
        print("to be initialised", (w * 2).eval())
        init()
        self.named = {"last": ng.function([x], x + 1)}


def main():
    try:
        model = Model()
        print(model.train.sweep([[1.0, 2.0]]))
    except Exception:
        print("caught")
    finally:
        print("at last")
    print("the end", model.train.stats.calls)


main()
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "program.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return "program.py"


Capture = pytest.CaptureFixture[str]


def graph(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    return run(capsys, "inspect", *arguments, "--stage", "graph")


# ------------------------------------------------------------------------------------------------- where it is stopped


def test_the_script_is_stopped_at_its_first_call(script: str, capsys: Capture) -> None:
    status, out, err = graph(capsys, script)
    assert status == 0
    titles = [line.split()[0] for line in out.splitlines() if " cpu " in line]
    # `eval` has made a function of its own, before the call
    assert titles == ["self.train", "self.steps[0]", "self.steps[1]", "init", "function"]
    assert err.splitlines() == [
        "to be initialised [2. 4.]",
        "at last",
        "numgraph: program.py was stopped at a call, program.py:15 in __init__ (--run: to its end)",
    ]


def test_run_runs_on(script: str, capsys: Capture) -> None:
    status, _, err = graph(capsys, script, "--run")
    assert status == 0
    assert err.splitlines()[-1] == "the end 1" and "[0.]" in err and "numgraph:" not in err


@pytest.mark.parametrize(
    ("name", "line", "late"),
    [
        ("init", 13, False),
        ("train", 11, False),
        ("self.train", 11, False),
        ("model.train", 11, True),
        ("model.steps[1]", 12, True),
        ("steps[1]", 12, False),
        ("model.steps[-1]", 12, True),
        ("named['last']", 16, True),
        ("model.named[last]", 16, True),
        ("last", 16, True),
        ("0", 11, False),
        ("-2", 13, False),
    ],
)
def test_a_function_is_found(name: str, line: int, late: bool, script: str, capsys: Capture) -> None:
    status, out, err = graph(capsys, f"{script}:{name}")
    assert status == 0
    assert f"program.py:{line}" in out.splitlines()[0]
    assert sum(" cpu " in row for row in out.splitlines()) == 1
    waited = f"program.py:15 in __init__ calls a function before there is any {name}; the script runs on" in err
    assert waited == late
    assert f"stopped at a call, program.py:{22 if late else 15}" in err


def test_an_unknown_name_is_answered_with_what_there_is(script: str, capsys: Capture) -> None:
    status, out, err = graph(capsys, f"{script}:model.test")
    assert status == 2 and not out
    assert "no function 'model.test'; program.py ran to its end and built:\n" in err
    rows = err.split("built:\n")[1].splitlines()
    assert [row.split()[:3] for row in rows[:4]] == [
        ["0", "(no", "name)"],
        ["1", "(no", "name)"],
        ["2", "(no", "name)"],
        ["3", "init", "init"],
    ]
    assert "model.named['last']" in rows[5] and rows[5].endswith("program.py:16 in __init__")


def test_a_script_that_fails_shows_what_it_has_built(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "failing.py"
    path.write_text(
        "import numgraph as ng\nx = ng.scalar('x')\n\ndef main(zero):\n    square = ng.function([x], x * x)\n"
        "    return 1 / zero\n\nmain(0)\n"
    )
    status, out, err = graph(capsys, path)
    assert status == 1 and out.startswith("square ")
    assert f"failing.py stopped with ZeroDivisionError at {tmp_path.name}/failing.py:6 in main\n" in err
    trace = err[err.index("Traceback") :].splitlines()
    assert trace[1].endswith('failing.py", line 8, in <module>') and trace[-1] == "ZeroDivisionError: division by zero"
    assert "inspector" not in err
    path.write_text("import numgraph as ng\nsquare = ng.function([], 1.0\n")
    status, out, err = graph(capsys, path)
    assert status == 2 and not out and "SyntaxError" in err and "before it built any function" in err


def test_a_script_that_exits(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "exiting.py"
    path.write_text("import sys\nimport numgraph as ng\nf = ng.function([], ng.constant(1.0))\nsys.exit(3)\n")
    status, out, err = graph(capsys, path)
    assert status == 1 and out.startswith("f ") and "exiting.py ended with status 3" in err
    path.write_text(path.read_text().replace("exit(3)", "exit()"))
    assert graph(capsys, path)[0] == 0


def test_calls_of_other_threads_and_of_imported_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "helped.py").write_text("import numgraph as ng\nstep = ng.function([], ng.constant(1.0))\n")
    (tmp_path / "program.py").write_text(
        "import threading, helped\nthread = threading.Thread(target=helped.step)\nthread.start()\nthread.join()\n"
        "print('after', __name__, __file__)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "helped", raising=False)
    status, out, err = graph(capsys, "program.py:helped.step")
    assert status == 0 and "helped.py:2" in out
    assert "Traceback" not in err and f"after __main__ {tmp_path / 'program.py'}" in err
    assert "stopped at a call" in err and threading.excepthook.__module__ != "numgraph.inspector.script"


def test_a_function_is_watched_until_the_script_has_ended() -> None:
    seen: list[ng.Function] = []
    x = ng.vector("x")
    f = ng.function([x], x * 2)
    f.watch(seen.append)
    assert f([1.0])[0] == f.sweep([[1.0]])[0, 0] == 2 and seen == [f, f]
    f.watch(None)
    assert f([1.0])[0] == 2 and len(seen) == 2


def test_searching_ends() -> None:
    f = ng.function([], ng.constant(1.0))
    ring: list[object] = [f]
    ring.append(ring)
    assert dict(held_in({"ring": ring, "__hidden": f})) == {"ring[0]": f}
    places = Places([f], [{"ring": ring, "much": list(range(10**6))}])
    assert places.path(f) == "ring[0]" and places.find("ring[1][1][0]") == [f]
    assert places.find("ring.append") == places.find("1 +") == places.find("much[2]") == places.find("7") == []


# --------------------------------------------------------------------------------------------------- what is written


PHASES = """\
import numgraph as ng
y = x = ng.vector("x")
for k in range(5):
    y = ng.cumsum(ng.exp(-y * (k + 1.5)))
chain = ng.function([x], y, name="chain")
s = ng.shared([1.0, 2.0], name="s")
other = ng.function([x], ng.cumsum(ng.exp(-x)), updates=[(s, s + 1)], name="other")
same = ng.function([x], ng.cumsum(ng.exp(-x)), updates=[(s, s + 1)], name="other")
"""


@pytest.fixture
def phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "phases.py").write_text(PHASES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return "phases.py"


def test_one_phase_of_each_stage(phases: str, capsys: Capture) -> None:
    @cache
    def shown(number: str, stage: str, *more: str) -> str:
        status, out, _ = run(capsys, "inspect", f"{phases}:chain", "--phase", number, "--stage", stage, *more)
        assert status == 0 and max(map(len, out.splitlines())) <= 80
        return out

    for stage in ("source", "listing"):
        assert "def phase_0(" in shown("0", stage) and "def phase_1(" not in shown("0", stage)
        # a function that stands for several phases, and a body that several have in common
        assert "def phase_1(" in shown("phase_3", stage)
        assert "def shape_0(" in shown("2", stage) and "def phase_2(" in shown("2", stage)
    assert "@divided phase_0(" in shown("0", "loops") and "-- made of the schedule" in shown("0", "loops")
    assert "@phase_0(" in shown("0", "llvm") and shown("0", "llvm").rstrip().endswith("}")
    assert "phase_0:" in shown("0", "asm") and "phase_1:" not in shown("0", "asm")
    assert [line.split()[0] for line in shown("1", "schedule").splitlines()[1:]] == ["phases", "phase", "phase_1"]
    assert "why it runs so" in shown("1", "explain") and "total" not in shown("1", "explain")
    raw = shown("0", "source", "--raw")
    assert raw.startswith("@divided\ndef phase_0(address, chunk, chunks):")


def test_one_phase_in_short(phases: str, capsys: Capture) -> None:
    status, out, _ = run(capsys, "inspect", f"{phases}:chain", "--phase", "0")
    assert status == 0
    assert all(word in out for word in ("reads", "predicted", "why it runs so", "def phase_0(", "phases.py:4"))
    for arguments, message in (
        (["--phase", "99"], "function chain has no phase '99'; it has: phase_0 (exp), phase_1 (cumsum)"),
        (["--phase", "0", "--stage", "graph"], "--phase goes with the stages source, listing, loops, llvm, asm"),
    ):
        status, _, err = run(capsys, "inspect", f"{phases}:chain", *arguments)
        assert status == 2 and message in err


def test_difference_of_functions_and_of_files(phases: str, capsys: Capture) -> None:
    status, out, err = run(capsys, "inspect", phases, "--diff", "0", "1")
    lines = out.splitlines()
    assert status == 1 and lines[0] == "--- chain  phases.py:5" and lines[1] == "+++ other  phases.py:7"
    assert any(line.startswith("@@ ") and line.endswith(" step_0") for line in lines)
    assert "-def phase_4(address, chunk, chunks):" in out and "\x1b" not in out
    assert max(map(len, lines)) <= 80
    status, out, err = run(capsys, "inspect", phases, "--diff", "1", "2")
    assert (status, out) == (0, "") and "no difference (source)" in err
    status, out, _ = run(capsys, "inspect", phases, "--diff", "1", "2", "--stage", "listing", "--raw")
    assert status == 1 and "-" in out and any(len(line) > 80 for line in out.splitlines())
    for name in ("chain", "1"):
        run(capsys, "inspect", f"{phases}:{name}", "--json", f"{name}.json")
        Path(f"{name}.py").write_text(run(capsys, "inspect", f"{phases}:{name}", "--stage", "source", "--raw")[1])
    for kind in ("json", "py"):
        status, out, _ = run(capsys, "inspect", "--diff", f"chain.{kind}", f"1.{kind}")
        assert status == 1 and f"--- chain.{kind}" in out and "-def phase_4(" in out
        assert run(capsys, "inspect", "--diff", f"1.{kind}", f"1.{kind}")[:2] == (0, "")
    status, out, _ = run(capsys, "inspect", "--diff", "chain.json", f"{phases}:1", "--stage", "schedule")
    assert status == 1 and "-    store exp" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--diff", "0", "1"], "0 is no file; to compare functions say of which script"),
        (["phases.py:chain", "--diff", "0", "1"], "--diff compares two functions: leave out :chain"),
        (["phases.py", "--diff", "other", "0"], "2 functions are called other; use their numbers:"),
        (["phases.py", "--diff", "0", "1", "--json", "a"], "--json and --diff do not go together"),
        (["--diff", "broken.json", "phases.py"], "cannot read broken.json"),
        ([], "say which script"),
        (["phases.py", "--raw"], "--raw prints one stage: choose it with --stage"),
        (
            ["phases.py", "--json", "a.json"],
            "--json takes one function, choose it with phases.py:NAME from\n  0  chain",
        ),
        (["phases.py:chain", "--json", "nowhere/a.json"], "cannot write: "),
    ],
)
def test_mistakes(arguments: list[str], message: str, phases: str, capsys: Capture) -> None:
    Path("broken.json").write_text("{}")
    status, out, err = run(capsys, "inspect", *arguments)
    assert status == 2 and not out and message in err


def test_modules_of_all_functions(phases: str, capsys: Capture) -> None:
    status, out, _ = run(capsys, "inspect", phases, "--export", "a")
    assert status == 0
    assert [Path(line).name for line in out.splitlines()] == ["chain.py", "other.py", "other_2.py"]
    assert all(Path(line).is_file() for line in out.splitlines())
    run(capsys, "inspect", f"{phases}:chain", "--export", "b")
    status, out, _ = run(capsys, "inspect", "--diff", "a", "b")
    assert status == 1 and out.splitlines() == ["Only in a: other.py", "Only in a: other_2.py"]


def test_json_on_standard_output(phases: str, capsys: Capture) -> None:
    _, out, _ = run(capsys, "inspect", f"{phases}:chain", "--json", "-")
    assert FunctionRecord.from_json(out).name == "chain"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pages are the names of functions; what a browser was asked for."""
    module = ModuleType("numgraph.inspector.page")
    vars(module)["page"] = lambda records: "page of " + " ".join(record.name for record in records)
    monkeypatch.setitem(sys.modules, "numgraph.inspector.page", module)
    monkeypatch.setenv("DISPLAY", ":0")
    addresses: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_pages(
    phases: str, opened: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = run(capsys, "inspect", phases, "--html", "all.html")
    assert status == 0 and not opened and out == f"{tmp_path / 'all.html'}\n"
    assert Path("all.html").read_text() == "page of chain other other"
    status, out, _ = run(capsys, "inspect", f"{phases}:chain", "--open")
    assert status == 0 and opened == [Path(out.strip()).as_uri()]
    assert Path(out.strip()).read_text() == "page of chain"
    Path(out.strip()).unlink()
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(browser.sys, "platform", "linux")
    _, _, err = run(capsys, "inspect", phases, "--open", "--html", "all.html")
    assert "there is no browser to open it in" in err and len(opened) == 1


def test_a_function_writes_its_page(opened: list[str], tmp_path: Path) -> None:
    f = ng.function([], ng.constant(1.0), name="one")
    assert f.inspect(tmp_path / "one.html") == tmp_path / "one.html"
    assert opened == [(tmp_path / "one.html").as_uri()]
    path = f.inspect()
    assert path.read_text() == "page of one" and "one" in path.name
    path.unlink()


# --------------------------------------------------------------------------------------------------------- notebooks


class Elements(HTMLParser):
    """The text of a piece of HTML, in which everything that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "hr":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_a_table() -> None:
    x, w = ng.vector("x<b>"), ng.shared([1.0, 2.0], name="w")
    f = ng.function([x], {"a & b": ng.sum(x * w)}, updates=[(w, w - x)], name="step</div>")
    html = f._repr_html_()
    found = Elements(html)
    for text in ("step</div>", "x<b>", "a & b", "w", ":= w - x<b>", "phase_0", "float64[2]", "16 bytes"):
        assert text in found.texts, text
    assert f.listing in found.texts and "details" in found.seen and "script" not in found.seen
    # the page's colours: light and dark
    assert "#" not in html.split("<pre")[0]
    assert f._repr_mimebundle_() == {"text/plain": repr(f), "text/html": html}


def test_a_notebook_shows_few_rows_of_large_functions() -> None:
    shared = [ng.shared(float(k), name=f"s{k}") for k in range(40)]
    f = ng.function([], [], updates=[(s, s + 1) for s in shared], target="reference")
    texts = Elements(f._repr_html_()).texts
    assert texts.count("and 29 more") == 2 and "s10" in texts and "s11" not in texts
    assert any(text.startswith("graph: ") for text in texts)
