"""`python -m bench gpu` without a GPU: simulated, with what is carried along, and what it says when something fails."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba import cuda

from bench import problems
from bench.gpu import (
    carried,
    cubins,
    cublas,
    elementwise,
    epochs,
    kernels,
    loops,
    page,
    programs,
    replace,
    run,
    sanitize,
    tools,
)
from bench.gpu.cases import CASES, SCALES
from bench.gpu.tools import Context, Section
from bench.peers import GPU_PEERS, PEERS
from numgraph.cuda import compiler, driver
from numgraph.cuda.simdevice import SimulatedDevice
from tests.fakecublas import with_cublas
from tests.fakecuda import fake_device
from tests.waits import python

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))


@pytest.fixture
def context() -> Context:
    return tools.context("cuda-sim")


def command(*arguments: str, **environment: str) -> CompletedProcess[str]:
    return python("-m", "bench", "gpu", *arguments, cwd=ROOT, env=os.environ | environment)


def test_sections_on_the_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: kernel for name, kernel in kernels.table().items() if name in ("scan_columns", "transpose")}
    monkeypatch.setattr(kernels, "table", lambda: few)
    monkeypatch.setattr(programs, "KINDS", ("logreg",))
    chosen = "facts,copies,right,resident,chains,kernels,sanitize"
    status = run.main(["--simulate", "--out", str(tmp_path), "--only", chosen])
    report = json.loads((tmp_path / "gpu.json").read_text())
    sections = {s["name"]: s for s in report["sections"]}
    assert list(sections) == chosen.split(",")
    assert {s["status"] for s in sections.values()} == {"done"}, sections
    failed = [c for s in report["sections"] for c in s["checks"] if not c[1]]
    assert (status, failed) == (0, [])
    assert sections["facts"]["facts"]["carried wheels"].startswith("none")
    assert [row[0] for row in sections["kernels"]["tables"][0][2]] == list(few)
    html = (tmp_path / "gpu.html").read_text()
    assert "logreg, batch 5" in html and "scan_columns" in html and "http" not in html.replace("http-equiv", "")


def test_products_on_the_simulator(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "TINY", kernels.TINY[:1])
    found = kernels.products(context)
    ((_, head, rows),) = found.tables
    assert len(rows) == 1 and len(head) == len(rows[0])
    assert rows[0][0] == "17, 10, 12" and rows[0][head.index("cuBLAS")] is None
    # 17 rows are no whole tiles
    assert rows[0][head.index("product_whole_tiles")] is None and rows[0][head.index("product")] > 0


def test_epochs_on_the_simulator(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "KINDS", ("logreg",))
    found = epochs.epochs(context)
    ((_, head, rows),) = found.tables
    assert head == ["program", "numgraph, simulated", "numgraph / best other"]
    assert rows[0][0] == "logreg, batch 5" and rows[0][1] > 0 and rows[0][2] is None
    assert [c[1] for c in found.checks] == [True]


def test_loops_on_the_simulator(context: Context) -> None:
    found = loops.loops(context)
    ((_, head, rows),) = found.tables
    assert len(rows) == 1 and len(head) == len(rows[0]) and rows[0][0] == "3, 2, 5"
    assert rows[0][head.index("launches")] < rows[0][head.index("launches, each")]
    assert [c[1] for c in found.checks] == [True] * 3


def test_every_kernel_has_a_problem() -> None:
    assert set(CASES) == set(kernels.table())
    for name, kernel in kernels.table().items():
        sizes = {**kernel.sizes, **kernel.small}
        for scale in SCALES[:2]:
            problem = CASES[name](sizes if scale == "small" else kernel.sizes, scale)
            assert set(problem.arguments) == set(kernel.names()), name
            assert problem.dtype in kernel.dtypes, name
            want = problem.want()
            for output, value in zip(problem.outputs, want, strict=True):
                assert problem.arguments[output].shape == np.shape(value), name
            assert problem.moved > 0


def test_wrong_kernels_are_seen(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    table = kernels.table()
    monkeypatch.setattr(
        kernels, "table", lambda: {"transpose": table["transpose"], "scan_columns": table["scan_columns"]}
    )
    monkeypatch.setattr(kernels, "CASES", {"scan_columns": CASES["scan_columns"], "transpose": wrong})
    found = kernels.table_of_kernels(context)
    assert [(name, holds) for name, holds, _ in found.checks] == [("transpose", False), ("scan_columns", True)]
    monkeypatch.setattr(kernels, "CASES", {})
    assert not any(holds for _, holds, _ in kernels.table_of_kernels(context).checks)


def wrong(sizes: Any, scale: str) -> Any:
    problem = CASES["transpose"](sizes, scale)
    right = problem.want()[0].copy()
    right[0, 0, 0] += 1
    problem.want = lambda: (right,)
    return problem


def test_what_is_wrong_is_not_timed(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of products, cuBLAS's too; nothing is reached beside a failed check."""
    monkeypatch.setattr(kernels, "TINY", kernels.TINY[:1])
    monkeypatch.setattr(kernels, "PRODUCTS", ("product", "skinny_product"))
    zeros = cublas.Product(lambda: None, lambda: np.zeros((17, 10)))
    monkeypatch.setattr(cublas, "find", lambda device: cublas.Cublas("a", lambda *mnk: zeros, lambda: None))
    monkeypatch.setattr(kernels.Context, "simulated", property(lambda self: False))
    monkeypatch.setattr(kernels, "SHAPES", kernels.TINY[:1])
    sizes = kernels.product_sizes
    small = {"product": dict(tile_m=16, tile_n=16, depth=4, thread_m=4, thread_n=4), "skinny_product": dict(threads=64)}
    monkeypatch.setattr(kernels, "product_sizes", lambda c, name, *mnk: (sizes(c, name, *mnk) or {}) | small[name])
    found = kernels.products(context)
    assert [(name.partition(",")[0], holds) for name, holds, _ in found.checks] == [
        ("product", True), ("skinny_product", True), ("cuBLAS", False),
    ]  # fmt: skip
    ((_, head, rows),) = found.tables
    assert rows[0][head.index("cuBLAS")] is None and rows[0][head.index("product")] > 0
    found.aim("fast", True, "twice as fast")
    told = run.described_as("products", "Products", "done", "", 1.0, found)
    assert told["aims"] == [("fast", False, "twice as fast; but a check failed")]


def test_the_report_is_saved_after_each_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def facts(context: Context) -> Section:
        return Section()

    def copying(context: Context) -> Section:
        seen.append(json.loads((tmp_path / "gpu.json").read_text())["sections"][0]["name"])
        return Section()

    monkeypatch.setattr(run.import_module("bench.gpu.facts"), "facts", facts)
    monkeypatch.setattr(kernels, "copying", copying)
    assert run.main(["--simulate", "--only", "facts,copies", "--out", str(tmp_path)]) == 0
    assert seen == ["facts"]
    assert (tmp_path / "gpu.html").exists() and not list(tmp_path.glob("*.new"))


def test_other_libraries_compute_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    found, x = Section(), np.linspace(-1, 1, 50, dtype=np.float32)
    want = problems.chain(problems.Plain, x.astype(float), x.astype(float))

    def missing(x: Any, y: Any) -> Any:
        raise ImportError("no such library")

    made = {"right": elementwise.Chain(lambda: None, lambda: None, lambda: want.astype(np.float32)),
            "wrong": elementwise.Chain(lambda: None, lambda: None, lambda: 2 * want)}  # fmt: skip
    makers = {name: lambda x, y, chain=chain: chain for name, chain in made.items()}
    monkeypatch.setattr(elementwise, "OTHERS", makers | {"missing": missing})
    assert list(elementwise.compared(found, x, x, want)) == ["right"]
    assert found.facts["missing"] == "ImportError: no such library" and found.facts["wrong"].startswith("wrong")


def test_errors_and_bits() -> None:
    nan = np.array([1.0, np.nan])
    assert tools.relative_error(nan, nan) == 0
    assert tools.relative_error(np.ones(2), nan) == tools.relative_error(np.ones(2), np.ones(3)) == np.inf
    assert tools.relative_error(np.array([1.0, 1.1]), np.array([1.0, 1.0])) == pytest.approx(0.1 / np.sqrt(2))
    assert tools.relative_error(np.zeros(2), np.zeros(2)) == 0
    assert tools.relative_error(np.ones(2), np.zeros(2)) == np.inf
    assert tools.bits([np.float32(0.0)]) != tools.bits([np.float32(-0.0)])


def test_sections_that_fail_or_take_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(context: Context) -> Section:
        raise ValueError("no such thing")

    def late(context: Context) -> Section:
        found = Section()
        assert context.over(found, "the second half")
        found.check("the first half", False, "2 instead of 3")
        return found

    monkeypatch.setattr(programs, "right", broken)
    monkeypatch.setattr(programs, "resident", late)
    monkeypatch.setitem(run.PARTS, "resident", run.Part("late", "programs", "resident", -1.0))
    options = run.parser().parse_args(["--simulate", "--only", "right"])
    (section,) = run.whole(options)["sections"]
    assert (section["status"], section["why"]) == ("failed", "ValueError: no such thing")
    kept = tmp_path / "kept"
    found = run.outcome("resident", "cuda-sim", -1.0, kept)
    assert (found["status"], found["why"]) == ("cut", "its time was over before the second half")
    # what was kept on the way is there if the process ends
    kept_section = json.loads(kept.read_text())
    assert (kept_section["status"], kept_section["why"]) == ("failed", "the process ended")
    # a section without time is not begun
    (section,) = run.whole(run.parser().parse_args(["--simulate", "--only", "resident"]))["sections"]
    assert section["status"] == "cut" and "over" in section["why"]
    assert "2 instead of 3" in page.page({"sections": [found], "began": "", "seconds": 1.0, "target": "cuda"})
    assert run.main(["--simulate", "--only", "right", "--out", str(tmp_path)]) == 1
    with pytest.raises(SystemExit, match="there is no rihgt"):
        run.whole(run.parser().parse_args(["--simulate", "--only", "rihgt"]))


@pytest.mark.skipif(compiler.missing("run") is None, reason="there is a device")
def test_without_a_device(tmp_path: Path) -> None:
    done = command("--out", str(tmp_path))
    assert done.returncode == 2 and done.stderr == ""
    assert done.stdout.startswith("python -m bench gpu: no GPU can be used here: ") and "fix: " in done.stdout
    assert not list(tmp_path.iterdir())
    # the process of a section that ends without a result
    found = run.apart("facts", 30.0)
    assert found["status"] == "failed" and "ended without a result: exit status 2" in found["why"]


def test_carried_wheels(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "nvmath_python-9.9-py3-none-any.whl", "w") as archive:
        archive.writestr("nvmath/__init__.py", "")
        about = "Metadata-Version: 2.1\nName: nvmath-python\nVersion: 9.9\n"
        archive.writestr("nvmath_python-9.9.dist-info/METADATA", about)
    done = command("--simulate", "--only", "facts", "--wheels", str(wheels), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    (section,) = json.loads((tmp_path / "out" / "gpu.json").read_text())["sections"]
    assert section["facts"]["carried wheels"] == "nvmath_python-9.9-py3-none-any.whl"
    assert section["facts"]["nvmath-python"] == "9.9"
    with pytest.raises(SystemExit, match="no wheels in"):
        replace.with_wheels(tmp_path, [])


def test_a_bare_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, given: started.append(given))
    monkeypatch.chdir(tmp_path)
    replace.from_checkout(ROOT, ["--simulate"])
    assert started == [[sys.executable, "-m", "bench", "gpu", "--simulate"]]
    code = "import numgraph.kernels.cuda.names as n, numgraph.data, bench, importlib.metadata as m; "
    done = python("-c", code + "print(n.__file__, m.version('numgraph'))")
    assert done.returncode == 0, done.stderr
    where, version = done.stdout.split()
    assert Path(where).is_relative_to(Path.cwd()) and version == "0+checkout"


def doubled(out):
    if cuda.grid(1) == 0:
        out[0] = 2 * out[0]


@needs_compiler
def test_carried_machine_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cubins.Cubins(tmp_path, keep=True)
    made = first.compile(doubled, ("int64*",), (9, 0), max_threads=32, min_blocks=1)
    assert (first.used, first.made) == (0, 1)
    # no compiler is asked any more, whatever its version
    monkeypatch.setattr(compiler, "compile_cubin", lambda *given, **limits: pytest.fail("compiled again"))
    second = cubins.Cubins(tmp_path)
    again = second.compile(doubled, ("int64*",), (9, 0), max_threads=32, min_blocks=1)
    assert (again.code, again.entry, again.registers) == (made.code, "ng_doubled", made.registers)
    assert (second.used, second.made) == (1, 0)
    # processes that are told so take it from there
    device = fake_device()
    monkeypatch.setattr(driver, "_OPEN", {0: device})
    cubins.use_cubins()
    assert device.compile == device.bindings.compile  # type: ignore[attr-defined]
    monkeypatch.setenv(cubins.CUBINS, str(tmp_path))
    cubins.use_cubins()
    assert device.compile(doubled, ("int64*",), (9, 0), max_threads=32, min_blocks=1).code == made.code


@needs_compiler
def test_packing_needs_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that the sections load, on a device that is not there; here for one small program and kernel."""
    few = {"transpose": kernels.table()["transpose"]}
    monkeypatch.setattr(driver, "_OPEN", {})
    monkeypatch.setattr(kernels, "table", lambda: few)
    monkeypatch.setattr(kernels, "SHAPES", ())
    monkeypatch.setattr(programs, "BATCHES", ())
    from numgraph.cuda import target

    target.device_for.cache_clear()
    try:
        packed = carried.pack(tmp_path, (8, 0), ("logreg",))
    finally:
        target.device_for.cache_clear()
    assert packed.made == len(list(tmp_path.glob("*.cubin"))) > 3
    head = json.loads(next(tmp_path.glob("*.cubin")).read_bytes().partition(b"\n")[0])
    assert head["entry"].startswith("ng_")


def test_the_sanitizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    script = tmp_path / "compute-sanitizer"
    script.write_text('#!/bin/sh\necho "===== ERROR SUMMARY: 3 errors"\ntest "$2" = memcheck && exit 99\nexit 0\n')
    script.chmod(0o755)
    monkeypatch.setattr(sanitize, "sanitizer", lambda: str(script))
    context.end = tools.time.monotonic() + 60
    found = sanitize.sanitize(context)
    assert [(name, holds) for name, holds, _ in found.checks] == [("memcheck", False), ("racecheck", True)]
    assert "3 errors" in found.checks[0][2]
    context.end = tools.time.monotonic()
    assert "over before memcheck" in sanitize.sanitize(context).cut


def test_what_the_sanitizer_watches(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "KINDS", ("logreg",))
    few = {"scan_columns": kernels.table()["scan_columns"]}
    monkeypatch.setattr(kernels, "table", lambda: few)
    found = programs.small(context)
    assert [(name, holds) for name, holds, _ in found.checks] == [
        ("logreg: right", True),
        ("logreg: swept", True),
        ("scan_columns", True),
    ]


def test_cublas_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(cublas, "import_module", absent)
    assert cublas.find(SimpleNamespace()) is None  # type: ignore[arg-type]
    calls: list[str] = []
    made = cublas.Product(lambda: calls.append("run"), lambda: None)
    found = cublas.Cublas("a", lambda m, n, k: made, lambda: calls.append("wait"))
    assert 0 <= found.seconds(found.product(1, 1, 1)) < 1
    assert calls == ["run", "wait"] * (1 + cublas.ATTEMPTS)


def test_numgraphs_cublas_comes_first() -> None:
    device = SimulatedDevice()
    library = with_cublas(device)
    found = cublas.find(device)
    assert found is not None and found.how == "numgraph"
    library.calls.clear()
    assert found.seconds(found.product(3, 4, 5)) < 1
    assert library.calls == [("sgemm", 0, 0, 4, 3, 5, 1)] * (1 + (1 + cublas.ATTEMPTS) * cublas.REPEATS)


def test_gpu_peers_are_apart_from_the_others() -> None:
    assert not set(PEERS) & set(GPU_PEERS)
