"""What people who know Numba expect of it here: its dispatcher, its settings, its tools."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.errors import OptionError
from numgraph.runtime import native
from tests.waits import python

ROOT = Path(__file__).parents[2]
PROGRAM = """
import numpy as np
import numgraph as ng
x, s = ng.vector("x"), ng.shared(1.0, "s")
f = ng.function([x], ng.sum(ng.exp(x) * s), updates=[(s, s * 2)], name="f")
assert f(np.zeros(5)) == 5 and s.get_value() == 2
"""


def ran(code: str, folder: Path, **more: str) -> str:
    """What a program prints, with this cache folder and these settings in the environment."""
    environment = {**os.environ, "NUMGRAPH_CACHE_DIR": str(folder), "COLUMNS": "100", **more}
    done = python("-c", code, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with what a process has compiled for the program."""
    folder = tmp_path_factory.mktemp("filled")
    ran(PROGRAM, folder)
    return folder


def codes(folder: Path) -> list[Path]:
    """The machine code of functions in a cache folder, without that of the launcher."""
    return [code for source in folder.glob("*.py") for code in folder.glob(f"{source.stem}_*.o")]


def function() -> ng.Function:
    x = ng.vector("x")
    return ng.function([x], ng.sum(ng.exp(x)), name="f")


def test_a_dispatcher_of_numbas_is_behind_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.dispatcher import Dispatcher

    monkeypatch.setattr(config, "cache_dir", tmp_path)
    made = []
    real = Dispatcher.compile

    def noted(self: Dispatcher, signature: object) -> object:
        made.append(self)
        return real(self, signature)

    monkeypatch.setattr(Dispatcher, "compile", noted)
    f = function()
    (entry,) = made
    assert entry.py_func.__name__ == "enter" and entry.py_func.__code__.co_filename == f.record.cache_path
    # a second function finds its code in the cache; asked for its dispatcher, it has one as well
    g = function()
    assert len(made) == 1
    assert g.compiled.py_func.__name__ == "enter" and len(made) == 2 and g.compiled is g.compiled
    (result,) = g.compiled.overloads.values()
    assert str(result.signature) == "(int64, int64) -> int64"


def test_what_it_was_compiled_to_is_text() -> None:
    f = function()
    assert "define" in f.inspect_llvm() and "cfunc.enter" in f.inspect_llvm()
    assert "cfunc.enter:" in f.inspect_asm() and "ret" in f.inspect_asm()
    x = ng.vector("x")
    with pytest.raises(OptionError, match="has no compiled"):
        ng.function([x], x, target="reference").inspect_asm()


def test_settings_of_numbas_have_code_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [native.object_name("x = 1")]
    for setting, value in {"OPT": "1", "LOOP_VECTORIZE": "0", "BOUNDSCHECK": "1", "DEBUGINFO": "1"}.items():
        with monkeypatch.context() as only:
            only.setenv(f"NUMBA_{setting}", value)
            names.append(native.object_name("x = 1"))
    assert len(set(names)) == len(names)


def test_a_processor_is_named_as_numba_has_it(tmp_path: Path, filled: Path) -> None:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    assert len(codes(tmp_path)) == 1
    code = PROGRAM + "from numgraph.processor import processor\nprint(processor().name, '%ymm' in f.inspect_asm())"
    plain = ran(code, tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", NUMGRAPH_CPU="native")
    assert plain.split() == ["generic", "False"]
    assert len(codes(tmp_path)) == 2


def test_a_compiler_that_is_switched_off_says_so(tmp_path: Path, filled: Path) -> None:
    code = f"try:\n{indent(PROGRAM, '    ')}\nexcept Exception as error:\n    print(error)"
    said = ran(code, tmp_path, NUMBA_DISABLE_JIT="1")
    assert said.startswith("NUMBA_DISABLE_JIT is set") and "reference" in said
    # what is in the cache needs no compiler, to be read of it neither
    assert ran(code, filled, NUMBA_DISABLE_JIT="1") == ""
    filled = shutil.copytree(filled, tmp_path / "filled")
    known = f"{PROGRAM}\nf.explain(), f.source, f.listing"
    assert ran(known, filled, NUMBA_DISABLE_JIT="1") == ""
    switched = "import numba\nnumba.config.DISABLE_JIT = 1\n"
    for asked in ("f.compiled", "f.inspect_llvm()", "f.profile([1.0])", "f.record.to_json()"):
        code = f"{switched}{PROGRAM}\ntry:\n    {asked}\nexcept Exception as error:\n    print(error)"
        assert ran(code, filled).startswith("NUMBA_DISABLE_JIT is set, so Numba compiles nothing\n  fix: "), asked
    user = "ng.elementwise(lambda x: x + 1, ng.vector('x'))"
    code = f"{switched}import numgraph as ng\ntry:\n    {user}\nexcept Exception as error:\n    print(error)"
    assert "say what function returns, dtype=" in ran(code, filled)


def test_dumps_show_what_is_in_the_cache_already(filled: Path) -> None:
    for _ in range(2):
        text = ran(PROGRAM, filled, NUMBA_DUMP_OPTIMIZED="1", NUMBA_COLOR_SCHEME="no_color")
        assert "OPTIMIZED DUMP enter" in text and "define" in text


def test_a_debugger_sees_the_lines_of_the_source(tmp_path: Path) -> None:
    code = PROGRAM + "asm = f.inspect_asm()\nprint(asm.count('.loc'), f.record.cache_path.split('/')[-1] in asm)"
    count, named = ran(code, tmp_path, NUMBA_DEBUGINFO="1").split()
    assert int(count) > 10 and named == "True"
    ran(PROGRAM, tmp_path, NUMBA_ENABLE_PROFILING="1")


def test_a_generated_module_runs_by_hand(filled: Path) -> None:
    (file,) = filled.glob("k_*.py")
    done = python(str(file), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("numgraph function f\n") and "compiled by Numba" in done.stdout


def test_dispatchers_are_given_back_with_their_functions() -> None:
    from numgraph.lower.target import context

    x = ng.vector("x")
    for k in range(4):
        if k == 1:
            gc.collect()
            known = len(context()._defns)
        f = ng.function([x], x * (1.5 + k))
        assert f(np.ones(2))[0] == 1.5 + k
        assert f.compiled is not None
        del f
    gc.collect()
    assert len(context()._defns) == known
