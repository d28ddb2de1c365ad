"""The figures of the machine: measured once, kept where they may be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

from numgraph.config import config
from numgraph.explain import machine
from numgraph.explain.machine import Machine
from numgraph.processor import available, processor
from numgraph.runtime import native

KB, MB = 1 << 10, 1 << 20
FIGURES = Machine(32, 100.0, {16 * KB: 160.0, MB: 80.0, 64 * MB: 10.0}, 1.5, 1000.0, 2)


def test_bandwidth_between_the_measured_sizes() -> None:
    assert FIGURES.bandwidth(1) == FIGURES.bandwidth(16 * KB) == pytest.approx(160)
    assert FIGURES.bandwidth(1 << 40) == pytest.approx(10)
    assert 80 > FIGURES.bandwidth(8 * MB) > 10
    assert FIGURES.bandwidth(MB, 2) == pytest.approx(160)
    # memory is shared
    assert FIGURES.bandwidth(1 << 40, 2) == pytest.approx(15)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Machine]:
    """`machine` with an empty cache folder, and nothing remembered."""
    monkeypatch.setattr(config, "cache_dir", tmp_path)
    return lambda threads: machine._machine.__wrapped__(processor(), threads)


def test_figures_are_measured_once_and_kept(fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fresh(1)
    assert found.peak > 0 and found.cycle > 0 and all(speed > 0 for speed in found.read.values())
    assert set(found.read) == set(machine.SIZES) and (found.together, found.launch) == (1.0, 0.0)
    monkeypatch.setattr(machine, "measured", lambda threads: pytest.fail("was measured again"))
    assert fresh(1) == found


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"peak": 1}', b'{"read": {}}'])
def test_damaged_figures_are_measured_again(
    fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setattr(machine, "measured", lambda threads: FIGURES)
    fresh(2)
    (file,) = tmp_path.glob("machine_*.json")
    file.write_bytes(damage)
    assert fresh(2) == FIGURES
    assert json.loads(file.read_text())["peak"] == FIGURES.peak


def test_figures_of_a_busy_machine_are_not_kept(fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Machine(32, 100.0, {KB: 1.0}, 1.0, 1000.0, 2)
    monkeypatch.setattr(machine, "measured", lambda threads: busy)
    assert fresh(2) == busy
    assert not list(tmp_path.glob("machine_*.json"))


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_the_loops_are_right_for_every_vector(lanes: int) -> None:
    llvm.parse_assembly(machine.assembly(lanes)).verify()


@pytest.mark.parametrize("cpu", available())
def test_vectors_are_those_of_the_kernels(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cpu", cpu)
    vector = processor().vector
    assert vector == native.kernel_module("tiles").VECTOR == native.kernel_module("tile_ir").MACHINE.vector
    assert vector == {"x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}.get(cpu, vector)


@pytest.mark.parametrize("cpu", available())
def test_kernels_of_one_processor_go_together(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel's module has of another one is what that has now."""
    monkeypatch.setattr(config, "cpu", cpu)
    first = native.kernel_module("tile_ir")
    dependent = [
        p.stem for p in (Path(__file__).parents[2] / "kernels").glob("*.py") if "tile_ir import" in p.read_text()
    ]
    assert {"tiles", "dot_ir", "part_ir", "micro_ir"} <= set(dependent)
    for module in map(native.kernel_module, dependent):
        there = vars(module).keys() & vars(first).keys() & {"Code", "MACHINE", "table_call", "CALL_PICK"}
        assert there and all(getattr(module, name) is getattr(first, name) for name in there)
    assert native.kernel_module("parts").CALL_PART is native.kernel_module("part_ir").CALL_PART


def test_a_share_reads_its_part() -> None:
    loops = machine._Loops()
    memory = np.ones(1024, np.int64)
    start = -(-memory.ctypes.data // 64) * 64
    words = np.array([start, 4096, 3], np.int64)
    for chunk in range(3):
        assert loops.functions["read"](words.ctypes.data, chunk, 3) == 0
    assert loops.functions["empty"](0, 0, 1) == 0
