"""LLVM's optimiser and code generator, set as Numba sets them: the same passes and processor, so the same bits."""

from __future__ import annotations

from functools import cache as remember
from typing import Any

import llvmlite.binding as llvm

# not by way of the package, so that what tests put there is not seen
from llvmlite.binding.targets import get_host_cpu_features


@remember
def _host() -> tuple[str, str]:
    """The processor and its features."""
    return llvm.get_host_cpu_name(), get_host_cpu_features().flatten()


def target_machine() -> Any:
    """What makes code for this processor."""
    cpu, features = _host()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    reloc = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc=reloc, codemodel="jitdefault", jit=True
    )


def optimized(text: str, level: int = 3) -> tuple[Any, Any]:
    """The module of LLVM assembly `text`, verified and optimised, and the target machine. level: 2 or 3, of effort."""
    module, machine = llvm.parse_assembly(text), target_machine()
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization, options.slp_vectorization = True, False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module, machine
