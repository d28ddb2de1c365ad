"""The processor that code is made for: what `config.cpu` may be, and that both compilers keep to it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite.binding import targets

import numgraph as ng
from numgraph import processor
from numgraph.errors import OptionError
from numgraph.runtime import native, products
from tests.waits import python

HERE = processor.available()
X86 = platform.machine().lower() in ("x86_64", "amd64")
V2, V3, V4 = processor.LEVELS
UNREMEMBERED = processor._processor.__wrapped__


def pretend(monkeypatch: pytest.MonkeyPatch, features: str, triple: str = "x86_64-unknown-linux-gnu") -> None:
    """Have the machine be another one."""
    monkeypatch.setattr(
        targets, "get_host_cpu_features", lambda: llvm.FeatureMap(dict.fromkeys(features.split(), True))
    )
    monkeypatch.setattr(llvm, "get_process_triple", lambda: triple)
    monkeypatch.setattr(processor, "_processor", UNREMEMBERED)


def test_levels_build_on_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["native", *processor.LEVELS]
    for count in range(1, 5):
        pretend(monkeypatch, " ".join(processor.LEVELS[n] for n in names[1:count]))
        assert processor.available() == names[:count]


def test_a_level_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "cpu", V4)
    pretend(monkeypatch, f"{processor.LEVELS[V2]} {processor.LEVELS[V3]} avx512f")
    lacking = "avx512bw, avx512cd, avx512dq, avx512vl"
    with pytest.raises(OptionError, match=f"lacks {lacking}: possible here are 'native' and 'x86-64-v2' and"):
        ng.function([], ng.constant(1.0) + 1, target="cpu")


def test_other_architectures_have_no_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "neon", "aarch64-unknown-linux-gnu")
    monkeypatch.setattr(ng.config, "cpu", "native")
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.delenv(name, raising=False)
    assert processor.available() == ["native"] and processor.processor().has == {"neon"}
    monkeypatch.setattr(ng.config, "cpu", V2)
    with pytest.raises(OptionError, match="this machine is aarch64: only 'native' is possible"):
        processor.processor()


def test_other_names_are_refused() -> None:
    with pytest.raises(OptionError, match="cpu must be 'native' or 'x86-64-v2' or"):
        ng.config.cpu = "znver3"
    environment = {**os.environ, "NUMGRAPH_CPU": "best"}
    done = python("-c", "import numgraph", env=environment)
    assert done.returncode == 1 and "OptionError: cpu must be" in done.stderr


def assembly(text: str) -> str:
    """What generated source becomes."""
    return str(native.compiled_source(Path("source.py"), text).library.get_asm_str())


def keeps(text: str, cpu: str, product: bool) -> bool:
    """Whether assembly has the vectors of a level; those of loops may be shorter than it has."""
    wide, fused = cpu != V2, bool(re.search(r"\bvfn?m(add|sub)", text))
    return fused == wide == ("%ymm" in text or "%zmm" in text) and ("%zmm" in text) == (cpu == V4 and product)


@pytest.mark.skipif(not X86, reason="reads x86-64 assembly")
@pytest.mark.parametrize("standard", [False, True])
def test_code_keeps_to_the_level(standard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", standard)
    x = ng.fvector("x")
    source = ng.function([x], ng.exp(x), target="cpu").source
    for cpu in [*HERE[1:], *HERE[1:2]]:
        monkeypatch.setattr(ng.config, "cpu", cpu)
        assert keeps(assembly(source), cpu, product=False)


@pytest.mark.skipif(not X86, reason="reads x86-64 assembly")
def test_products_keep_to_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu in HERE[1:]:
        monkeypatch.setattr(ng.config, "cpu", cpu)
        assert keeps(assembly(products.tiles_source("float32")), cpu, product=True)


# a part of the products that Numba's own passes compile sooner than all
TURN = """from numgraph.kernels.dots import exchange
from numgraph.kernels.support import c_function


@c_function("void(int64, int64)")
def enter(source, to):
    exchange(4, 16, 16, source, 64, 4, to, 64)
"""


@pytest.mark.skipif(not X86, reason="reads x86-64 assembly")
def test_kernels_are_read_anew_for_another_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", True)
    for cpu in [*HERE[1:], *HERE[1:2]]:
        monkeypatch.setattr(ng.config, "cpu", cpu)
        text = assembly(TURN)
        assert ("%zmm" in text) == (cpu == V4) and ("%ymm" in text or "%zmm" in text) == (cpu != V2)


def test_functions_of_all_levels_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = ng.fmatrix("x"), np.linspace(-1, 1, 70 * 33, dtype="float32").reshape(70, 33)
    given = np.linspace(-2, 2, 40 * 70, dtype="float32").reshape(40, 70)
    wide = given.astype("float64")
    functions = []
    for cpu in HERE:
        monkeypatch.setattr(ng.config, "cpu", cpu)
        functions.append(ng.function([x], [ng.tanh(x @ w).sum(axis=1), ng.exp(x) * 3], target="cpu"))
    for f in functions:
        # the order of sums and fused multiply-add differ between levels
        for got, want in zip(f(given), (np.tanh(wide @ w).sum(axis=1), np.exp(wide) * 3), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-4)


def test_machine_code_of_each_level_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Numba's settings say what the native processor is
    for setting in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setattr(processor, "_processor", UNREMEMBERED)
    names = set()
    for cpu in HERE:
        monkeypatch.setattr(ng.config, "cpu", cpu)
        names.add(native.object_name("x = 1"))
    assert len(names) == len(HERE)
