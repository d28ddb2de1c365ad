"""What a record says of how a function was made: graphs, rules, buffers, and what belongs to which line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.inspector.machinecode import CodeRecord, annotated, assembly_code, llvm_code
from numgraph.inspector.making import Making
from numgraph.inspector.record import FunctionRecord
from numgraph.program import build_program
from numgraph.recorded import making_of
from numgraph.runtime.explain import looked_into
from numgraph.runtime.native import compiled_source
from numgraph.whole import compiled
from tests import fuzz, waits


def training(target: str | None = None) -> ng.Function:
    """A step of logistic regression."""
    rng = np.random.default_rng(1)
    data = ng.shared(rng.normal(size=(60, 8)), name="data")
    labels = ng.shared(rng.integers(0, 3, 60), name="labels")
    W, b = ng.shared(np.zeros((8, 3)), name="W"), ng.shared(np.zeros(3), name="b")
    x, y, i = ng.matrix("x"), ng.lvector("y"), ng.lscalar("i")
    p = ng.softmax(x @ W + b, axis=1)
    cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
    gW, gb = ng.grad(cost, [W, b])
    window = slice(i * 20, (i + 1) * 20)
    return ng.function(
        [i],
        cost,
        updates=[(W, W - 0.1 * gW), (b, b - 0.1 * gb)],
        givens={x: data[window], y: labels[window]},
        name="train",
        target=target,
    )


def recurrence(target: str | None = None) -> ng.Function:
    """A scan with its gradient."""
    x, w = ng.matrix("x"), ng.shared(np.eye(3), name="w")
    h, _ = ng.scan(lambda x_t, h: ng.tanh(x_t + h @ w), sequences=x, outputs_info=ng.zeros(3))
    cost = ng.sum(h[-1] ** 2)
    return ng.function([x], cost, updates=[(w, w - 0.1 * ng.grad(cost, w))], target=target)


def stages(target: str | None = None) -> ng.Function:
    """What has a length that another stage computes, a random number, and a check."""
    x, k = ng.vector("x"), ng.lvector("k")
    noise = ng.random.RandomStream(1).normal(size=x.shape)
    return ng.function([x, k], [ng.cumsum((x + noise)[k]), ng.sort(x[x > 0])], target=target)


def matrices(target: str | None = None) -> ng.Function:
    """Products, a factorisation, and a transform."""
    a = ng.matrix("a")
    s = a @ a.T + ng.eye(a.shape[0])
    return ng.function([a], [ng.cholesky(s), ng.sum(ng.fft.rfft(a).real)], target=target)


PROGRAMS = Path(__file__).parents[2] / "bench" / "programs"
NAMES = sorted(path.stem for path in PROGRAMS.glob("[!_]*.py"))
MADE: list[Callable[..., ng.Function]] = [training, recurrence, stages, matrices]
TARGETS = ["cpu", "cuda-sim", "reference"]


def made(f: ng.Function) -> Making:
    """How a function was made."""
    found = f.record.made()
    assert found is not None
    return found


def check(making: Making, outputs: int, updates: int) -> None:
    """What holds of every record: all that is referred to is there, and a graph has what it is made of."""
    numbers, places = range(len(making.nodes)), range(len(making.places))
    for graph in making.graphs:
        seen = set(graph.nodes)
        # of leaves that cut a graph the operands are left out
        assert all(v in numbers for node in graph.nodes for v in making.nodes[node].inputs)
        assert {root.node for root in graph.roots} <= seen
        # updates of random streams are not written by the user
        assert len(graph.roots) in (
            {outputs + updates} if graph.name != "written" else range(outputs, outputs + updates + 1)
        )
    for rewrite in making.rewrites:
        assert rewrite.rule and rewrite.why and rewrite.old in numbers and rewrite.new in numbers
        assert rewrite.graph in range(len(making.graphs))
    assert all(place in places for node in making.nodes for place in node.places)
    assert all(place in places for link in making.links for place in link.places)
    assert {phase for node in making.nodes for phase in node.phases} <= set(making.phases)
    for buffer in making.buffers:
        assert -1 <= buffer.first <= buffer.last < len(making.phases) and buffer.node < len(making.nodes)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("make", MADE)
def test_graphs_hang_together(make: Callable[..., ng.Function], target: str) -> None:
    if make is matrices and target == "cuda-sim":
        pytest.skip("there are no transforms on devices")
    f = make(target=target)
    check(made(f), len(f.outputs), len(f.program.updates))
    assert all(place.file in made(f).files for place in made(f).places)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(6))
def test_random_programs_have_whole_records(seed: int, target: str) -> None:
    drawn = fuzz.draw(fuzz.seeded(seed))
    inputs = [v for v, _ in drawn.inputs]
    program = build_program(inputs, drawn.outputs, drawn.updates, on_unused_input="ignore")
    check(making_of(program, target), len(program.outputs), len(program.updates))


def test_passes_are_there_in_order() -> None:
    making = made(training())
    names = [graph.name for graph in making.graphs]
    assert names == ["written", "givens", "stable forms", "lowered", "rewritten 1", "fused updates"]
    written, given = (making.graphs[k] for k in (0, 1))
    labels = [{making.nodes[v].name for v in graph.nodes} for graph in (written, given)]
    assert "x" in labels[0] and "data" not in labels[0] and "data" in labels[1] and "x" not in labels[1]
    rules = [r.rule for r in making.rewrites if r.graph == 2]
    assert "log(softmax(x, axis=A)) -> log_softmax(x, axis=A)" in rules
    assert any(r.rule == "softmax written out" for r in making.rewrites)


def test_variables_know_what_they_became() -> None:
    making = made(training())
    last = set(making.graphs[-1].nodes)
    became = {v.name: making.nodes[v.becomes].name for v in making.nodes if v.name and v.becomes in last}
    assert became["W"] == "W" and became["labels"] == "labels"


def test_buffers_say_where_and_how_long() -> None:
    making = made(training())
    buffers = {(b.name, b.place): b for b in making.buffers}
    weights = next(b for b in making.buffers if b.over == "W")
    assert weights.place == "shared" and weights.nbytes == 8 * 3 * 8
    assert all(0 <= b.first <= b.last < len(making.phases) for b in buffers.values())
    assert {p for v in making.graphs[-1].nodes for p in making.nodes[v].phases} == set(making.phases)


@pytest.mark.parametrize("target", TARGETS[:2])
@pytest.mark.parametrize("make", MADE)
def test_every_statement_leads_to_a_line_of_the_users(make: Callable[..., ng.Function], target: str) -> None:
    if make is matrices and target == "cuda-sim":
        pytest.skip("there are no transforms on devices")
    f = make(target=target)
    links, lines = made(f).links, f.source.split("\n")[:-1]
    assert len(links) in (len(lines), len(lines) + 1)
    here = [place.file for place in made(f).places]
    assert set(here) == {__file__}
    for link, line in zip(links, lines, strict=False):
        assert bool(link.places) or not link.function or not line.strip(), line
    assert sum(link.exact and bool(link.places) for link in links) > 10


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_of_every_program_leads_to_a_line(name: str, tmp_path: Path) -> None:
    """The functions that the programs have built when they first call one."""
    path = PROGRAMS / f"{name}.py"
    done = waits.python("-m", "numgraph", "inspect", f"{path}:0", "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = FunctionRecord.from_json(done.stdout)
    making = record.made()
    assert making is not None
    lines = record.stages["source"].split("\n")[:-1]
    for link, line in zip(making.links, lines, strict=True):
        assert link.places or not link.function or not line.strip(), line
    assert {place.file for place in making.places} <= {str(file) for file in PROGRAMS.iterdir()}


def test_links_follow_another_variant() -> None:
    """The passes are run for what was given up."""
    a, b = ng.vectors("a", "b")
    f = ng.function([a, b], a + b)
    f([1.0, 2.0], [3.0])
    assert len(made(f).links) in (len(f.source.split("\n")) - 1, len(f.source.split("\n")))


# -- machine code -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MADE)
def test_lines_change_no_instruction(make: Callable[..., ng.Function]) -> None:
    variant = make().executor.variant
    plain = compiled(partial(compiled_source, variant.native.path, variant.module.text)).library.get_asm_str()
    looked = looked_into(variant).get_asm_str()
    assert ".loc" in looked and ".loc" not in plain
    assert instructions(plain) == instructions(looked)


def instructions(text: str) -> list[str]:
    """The instructions of an assembler's text, without numbers of labels."""
    lines = [line for line in text.splitlines() if line.startswith("\t") and not line.startswith("\t.")]
    return [re.sub(r"\.?L[A-Z]+\w+", "L", line) for line in lines]


@pytest.mark.parametrize("make", MADE)
def test_each_instruction_belongs_to_a_line_of_the_source(make: Callable[..., ng.Function]) -> None:
    f = make()
    code = f.record.coded("asm")
    assert code is not None
    source = f.source.split("\n")
    functions = {found[1] for line in source if (found := re.match(r"def (\w+)\(", line))}
    inside = ""
    counted = 0
    for text, line in zip(code.text, code.lines, strict=True):
        assert 0 <= line <= len(source)
        if text.endswith(":") and not text.startswith((".", "L")):
            inside = text[:-1].removeprefix("_").rpartition(".")[2]
        elif text.startswith("    ") and inside in functions and not text.lstrip().startswith("."):
            assert line, text
            counted += 1
    assert counted > 50


def test_stages_show_lines_of_the_source() -> None:
    f = training()
    assembly, llvm = f.record.stages["asm"], f.record.stages["llvm"]
    line = next(k for k, text in enumerate(f.source.split("\n"), 1) if "status = plan_0(address)" in text)
    assert re.search(rf"(#|//) {line}  status = plan_0\(address\)", assembly)
    assert f"; {line}  status = plan_0(address)" in llvm
    assert "!dbg" not in llvm and ".cfi" not in assembly and ".debug" not in assembly
    assert "define" in llvm and "target triple" in llvm


ASSEMBLER = """\
	.text
	.globl	f
f:
.Lfunc_begin0:
	.file	1 "a" "b.py"
	.loc	1 7 0
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.loc	1 8 1 prologue_end
.LBB0_1:
	movq	.LCPI0_0(%rip), %rax
	.loc	1 0 0
	jne	.LBB0_1
.Lunused:
	retq
	.section	.rodata
.LCPI0_0:
	.quad	5
	.section	.debug_line
	.long	3
"""


def test_text_of_an_assembler_is_cleaned() -> None:
    code = assembly_code(ASSEMBLER)
    wanted = [("f:", 0), ("    pushq  %rbp", 7), (".LBB0_1:", 0), ("    movq  .LCPI0_0(%rip), %rax", 8)]
    wanted += [("    jne  .LBB0_1", 8), ("    retq", 8), ("", 0), (".LCPI0_0:", 0), ("    .quad  5", 8)]
    assert list(zip(code.text, code.lines, strict=True)) == wanted
    shown = annotated(code, ["x"] * 6 + ["def f():  # it", "    return 5"], "#")
    assert shown.splitlines()[1:5] == ["  # 7  def f():", "    pushq  %rbp", ".LBB0_1:", "  # 8  return 5"]


LLVM = """\
define void @f() !dbg !3 {
  call void @g(), !dbg !4
  ret void, !dbg !5, !x !9
}
!llvm.dbg.cu = !{!1}
!3 = distinct !DISubprogram(name: "f")
!4 = !DILocation(line: 9, column: 1, scope: !3)
!9 = !{i32 1}
!5 = distinct !DILocation(line: 11, scope: !3)
"""


def test_intermediate_code_is_cleaned() -> None:
    wanted = ["define void @f() {", "  call void @g()", "  ret void, !x !9", "}", "!9 = !{i32 1}"]
    assert llvm_code(LLVM) == CodeRecord(wanted, [0, 9, 11, 0, 0])


# -- as a file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [training, recurrence])
def test_everything_goes_through_a_file(make: Callable[..., ng.Function]) -> None:
    record = make().record
    text = record.to_json()
    again = FunctionRecord.from_json(text)
    assert again.to_json() == text
    assert again.made() == record.made() and again.coded("asm") == record.coded("asm")
    plain: dict[str, Any] = json.loads(record.to_json(stages=("source",)))
    assert plain["code"] == {} and plain["making"]["links"]
