"""LLVM's optimiser and code generator, set as Numba sets them: the same passes and processor, so the same bits."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm

from numgraph.processor import processor


def target_machine() -> Any:
    """What makes code for the processor of the settings."""
    made_for = processor()
    target = llvm.Target.from_triple(made_for.triple)
    reloc = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=made_for.name,
        features=made_for.features,
        opt=3,
        reloc=reloc,
        codemodel="jitdefault",
        jit=True,
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
