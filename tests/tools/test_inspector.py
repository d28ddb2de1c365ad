"""The record of a function and its face on a terminal, without a compiler."""

from __future__ import annotations

import io
import json
from dataclasses import fields

import pytest

from numgraph.explain.explanation import Explanation, PhaseEstimate, UpdateEstimate
from numgraph.inspector import terminal
from numgraph.inspector.code import trailing_comments
from numgraph.inspector.record import (
    STAGES,
    FunctionRecord,
    PairRecord,
    PassRecord,
    PhaseRecord,
    Stages,
    ValueRecord,
    WeakList,
)

SOURCE = """\
import numba
def rows(begin, end, index, table):
    x = f32(table[0]) + index * 470400  # train_x[index*600] float32[600,784], one multiplication <- train.py:31
    return "# not a comment, however long this line may be in the generated source of a function"  # but this is one
"""


def example() -> FunctionRecord:
    return FunctionRecord(
        name="train",
        line="train.py:31",
        target="cpu",
        inputs=[ValueRecord("index", "int64", "train.py:3", 8)],
        outputs=[ValueRecord("cost", "float32", "train.py:20", 4)],
        resident=[
            ValueRecord("train_x", "float32[8000,784]", "train.py:5", 25_088_000),
            ValueRecord("W", "float32[?,?]"),
        ],
        updates=[PairRecord("W", "W - 0.13 * gW", "float32[784,10]", "train.py:25")],
        givens=[PairRecord("x", "train_x[index * 600:(index + 1) * 600]", "float32[?,784]", "train.py:30")],
        phases=[
            PhaseRecord("rows", "loops", ["n", "784"], 12, 9_408_000, 1_881_600, ["train_x", "W"], ["gW"]),
            PhaseRecord("update", "loops", ["7840"], 1, 15_680, 94_080, ["gW"], ["W"]),
        ],
        passes=[PassRecord("rewrite", 0.0123, 2, {"nodes": 33, "rounds": 3}), PassRecord("verify", 0.0001, 1)],
        stages=Stages(
            {
                "graph": "neg(mean(...))",
                "schedule": "rows, update",
                "explain": "rows",
                "listing": SOURCE,
                "llvm": lambda: "define",
            }
        ),
        explanation=Explanation(
            name="train",
            threads=2,
            phases=[PhaseEstimate("rows", ["gW"], "loops", ["600", "784"], 9_408_000, 1_881_600, 31_360, 200.5)],
            updates=[UpdateEstimate("W", "in place", "the product is added to it")],
            notes=["sweep runs all steps in one native call"],
        ),
        dtypes={"float32": 12, "int64": 3},
        cache_path="/cache/k_0123.py",
        compile_seconds=0.25,
    )


def printed(record: FunctionRecord, stage: str | None = None, width: int | None = None) -> str:
    out = io.StringIO()
    terminal.show(record, terminal.make_console(width, out), stage)
    return out.getvalue()


def test_json_round_trip_keeps_every_field() -> None:
    record = example()
    again = FunctionRecord.from_json(record.to_json())
    for f in fields(FunctionRecord):
        if f.name != "stages":
            assert getattr(again, f.name) == getattr(record, f.name), f.name
    assert dict(again.stages) == dict(record.stages)
    assert again.to_json() == record.to_json()


def test_json_may_leave_out_costly_stages() -> None:
    record = example()
    record.stages["asm"] = lambda: pytest.fail("was made")
    assert set(json.loads(record.to_json(stages=("graph",)))["stages"]) == {"graph"}


def test_json_of_another_format_is_refused() -> None:
    text = example().to_json().replace('"format": 5', '"format": 99')
    with pytest.raises(ValueError, match="format 99; this version of numgraph reads format 5"):
        FunctionRecord.from_json(text)


def test_a_stage_is_made_once_and_when_read() -> None:
    made = []
    stages = Stages({"asm": lambda: made.append(1) or "ret", "graph": "x"})  # type: ignore[func-returns-value]
    assert list(stages) == ["graph", "asm"] and not made
    assert stages["asm"] == stages["asm"] == "ret"
    assert made == [1]


def test_unknown_stage_is_refused() -> None:
    with pytest.raises(KeyError, match="'wasm' is not a stage; the stages are graph, givens"):
        Stages({"wasm": ""})


def test_totals() -> None:
    record = example()
    assert record.flops == 9_423_680
    assert record.bytes == 1_975_680
    assert record.resident_bytes == 25_088_000
    record.phases[0].flops = None
    assert record.flops is None


def test_weak_list_forgets_and_holds() -> None:
    class Thing:
        pass

    things = WeakList()
    kept = Thing()
    things.append(kept)
    things.append(Thing())
    assert list(things) == [kept]
    with things.held() as held:
        things.append(Thing())
        assert len(things) == 2 and len(held) == 1
    del held
    assert list(things) == [kept]


@pytest.mark.parametrize("stage", [None, "graph", "schedule", "explain", "listing", "llvm"])
def test_everything_fits_100_columns(stage: str | None) -> None:
    lines = printed(example(), stage).splitlines()
    assert lines and max(map(len, lines)) <= 100


def test_overview_shows_every_part() -> None:
    text = printed(example())
    for part in ("train", "index", "cost", "train_x", "25,088,000", "W - 0.13 * gW", "train_x[index * 600", "n x 784"):
        assert part in text, part
    for part in ("9,423,680 flops", "12 float32 3 int64 nodes", "/cache/k_0123.py", "compiled in 0.25 s"):
        assert part in text, part
    lines = [line.split() for line in text.splitlines()]
    assert ["rewrite", "2", "12.300", "33", "nodes,", "3", "rounds"] in lines and ["verify", "1", "0.100"] in lines


def test_listing_keeps_line_numbers_and_moves_long_comments_up() -> None:
    lines = [line.rstrip() for line in printed(example(), "listing").splitlines()[1:]]
    # how wide the numbers are is up to rich
    width = lines[0].index("1") - 1
    lines = [line[width:] for line in lines]
    assert lines[0] == " 1 import numba"
    assert lines[2].strip().startswith("# train_x[index*600] float32[600,784]")
    assert lines[3] == " 3     x = f32(table[0]) + index * 470400"
    assert lines[4] == "       # but this is one"
    assert lines[5].startswith(' 4     return "# not a comment')


def test_text_that_is_no_python_has_no_comments() -> None:
    assert trailing_comments("def (:\n  x = '''  # what\n") == {}


def test_brackets_in_texts_are_no_markup() -> None:
    record = FunctionRecord("f", stages=Stages({"graph": "x[bold]red[/bold] [/]"}))
    assert "x[bold]red[/bold] [/]" in printed(record, "graph")


def test_missing_stage_names_those_that_there_are() -> None:
    with pytest.raises(
        KeyError, match=r"train has no stage 'asm' \(target cpu\); it has: graph, schedule, explain, listing, llvm"
    ):
        terminal.show(example(), terminal.make_console(100, io.StringIO()), "asm")


def test_stages_of_the_command_line_are_those_of_the_record() -> None:
    made = ("source", "listing", "llvm", "asm", "ptx", "sass")
    assert ("graph", "givens", "schedule", "explain", "loops", *made) == STAGES
