"""Kernels for reading: what a function in the simulator would be on a device, without one."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda import compiler, looking

pytestmark = pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))


def training() -> ng.Function:
    """A step with a product, rows and a sum."""
    x, w = ng.fmatrix("x"), ng.shared(np.zeros((8, 3), "float32"), name="w")
    cost = ng.sum(ng.softmax(x @ w, axis=1) ** 2)
    return ng.function([x], cost, updates=[(w, w - 0.1 * ng.grad(cost, w))], target="cuda-sim", name="train")


def test_the_blocks_are_a_devices() -> None:
    f = training()
    text = f.record.stages["ptx"]
    heads = re.findall(r"^// (kernel_\w+) for sm_90: (\d+) threads a block, (\d+) registers each", text, re.MULTILINE)
    assert heads and all(int(threads) >= 32 for _, threads, _ in heads)
    assert text.count(".entry") == len(heads)
    # those that run have the simulator's
    assert "THREADS = 8" in f.source
    assert "sass" not in f.record.stages or looking.disassembler() is not None


def test_a_disassembler_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "bin" / "nvdisasm"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\ntest -s "$2" && echo "$1 IADD3 R1, R2, R3"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    text = training().record.stages["sass"]
    assert "--print-code IADD3" in text and "registers each" in text
    tool.write_text("#!/bin/sh\necho 'not for me' >&2\nexit 3\n")
    with pytest.raises(ng.NumgraphError, match="refuses kernel_0: not for me"):
        training().record.stages["sass"]
