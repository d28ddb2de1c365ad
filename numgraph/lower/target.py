"""Numba's target for the processor of numgraph's settings: its context, its code generator, its libraries.

Three things differ from Numba's own CPU target, for speed. An entry is optimised and emitted once, with everything that
it calls linked into it, and a long one in parts, side by side: Numba optimises each function by itself, and again
wherever it is linked. Machine code does not go into Numba's execution engine: it is loaded as from the cache, and given
back with the function. And the implementations that scalars need are loaded first, the others (arrays, SciPy's LAPACK)
where a user's function or Numba's own passes ask for them: half of the time of Numba's start.

What is used of Numba that has no public name, all of it here and in `pipeline`: the methods that the classes below
override; `_final_module`, `_linking_libraries`, `_get_module_for_linking` and `_codegen` of a library; `_tm` (the
target machine) and `_module_pass_manager` of a code generator; and `_internal_codegen` of a context, since Numba offers
no other way to choose the processor, or to emit without loading. What is used of llvmlite's is in `emission`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from functools import cache as remember
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from llvmlite.binding import newpassmanagers
from numba.core import config, externals, types, typing, utils
from numba.core.callconv import create_error_model
from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu import CPUContext, CPUTargetOptions
from numba.core.descriptors import TargetDescriptor
from numba.core.dispatcher import Dispatcher
from numba.core.imputils import Registry, builtin_registry
from numba.core.target_extension import CPU, dispatcher_registry, target_registry

from numgraph.lower.emission import Emission, emitted
from numgraph.lower.parts import WORTH, parts
from numgraph.lower.values import Rules, let_wrap
from numgraph.processor import Processor, processor

# What Numba calls the target.
NAME = "numgraph"
# Code that is written out: the work that is worth a part of a module, since it has no loops that become several; and
# LLVM's passes for it.
_WRITTEN_OUT = 3 * WORTH
CLEANING = "simplify_cfg sroa instruction_combine simplify_cfg global_dead_code_eliminate".split()


class Library(JITCodeLibrary):
    """The code of an entry or of a function that it calls.

    effort: LLVM's level of optimisation (2, 3) for an entry; 0 for what will be optimised where it is linked into one.
    written_out: whether its loops are in vectors already, and it needs no more than to be cleaned up: that takes a
    tenth of the time of a level, and is as fast.
    """

    effort = 0
    written_out = looked_into = False

    def __init__(self, codegen: Codegen, name: str) -> None:
        super().__init__(codegen, name)
        # the texts of what the direct pass has lowered; otherwise it is in Numba's module
        self.parts: list[str] = []

    def add_ir_module(self, module: Any) -> None:
        """Add what Numba's own passes have lowered."""
        for function in module.functions:
            _prepare(function)
        super().add_ir_module(_hinted(module))

    def add_lowered(self, module: Any) -> None:
        """Have what the direct pass has lowered as the entry's code. What users' functions it calls is in one part with
        it, since they may be inlined."""
        module = _hinted(module)
        self.parts = (
            [str(module)] if self._linking_libraries else parts(module, _WRITTEN_OUT if self.written_out else WORTH)
        )

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Nothing: the parts of an entry are optimised before they are emitted, and all else as a part of one."""

    def _finalize_specific(self) -> None:
        pass

    def emission(self) -> Emission:
        """The object code in the making."""
        with global_compiler_lock:
            self._ensure_finalized()
            return Emission(partial(emitted, *self._prepared(modules)) for modules in self._modules())

    def _modules(self) -> list[list[str | bytes]]:
        """What each part is linked of. Of users' functions, LLVM takes those that the first one names."""
        users = [library._get_module_for_linking().as_bitcode() for library in self._linking_libraries]
        return [[part, *users] for part in self.parts] or [[self._final_module.as_bitcode()]]

    def _prepared(self, modules: Sequence[str | bytes]) -> tuple[Any, Any, Any]:
        """A part as a module in a context of its own, the target machine for it, and LLVM's passes."""
        codegen, context = self._codegen.another(), llvm.create_context()
        module, *others = (
            (llvm.parse_assembly if isinstance(m, str) else llvm.parse_bitcode)(m, context) for m in modules
        )
        for other in others:
            module.link_in(other)
        module.verify()
        if self.written_out and config.OPT:
            builder = newpassmanagers.create_pass_builder(codegen._tm, newpassmanagers.create_pipeline_tuning_options())
            passes = newpassmanagers.create_new_module_pass_manager()
            for name in CLEANING:
                getattr(passes, f"add_{name}_pass")()
        else:
            passes, builder = codegen._module_pass_manager(opt=min(self.effort, int(config.OPT)))
        return module, codegen._tm, (passes, builder)

    def get_llvm_str(self) -> str:
        """The LLVM IR, of an entry after LLVM's passes."""
        self._look_into()
        return str(super().get_llvm_str())

    def get_asm_str(self) -> str:
        """The machine code as text, of an entry after LLVM's passes."""
        self._look_into()
        return str(super().get_asm_str())

    def get_function(self, name: str) -> Any:
        """A function of Numba's module."""
        self._look_into()
        return super().get_function(name)

    def _look_into(self) -> None:
        """Have Numba's module hold the entry, for those who look."""
        if not self.effort or self.looked_into:
            return
        self.looked_into = True
        optimised = []
        for module, _, (passes, builder) in map(self._prepared, self._modules()):
            passes.run(module, builder)
            optimised.append(llvm.parse_bitcode(module.as_bitcode()))
        self._final_module, *others = optimised
        for other in others:
            self._final_module.link_in(other)


def _hinted(module: Any) -> Any:
    vector = import_module("numgraph.kernels.machine").this_machine().vector
    return import_module("numgraph.kernels.loops_ir").with_loop_hints(module, vector)


_SHARED = re.compile(r"(plan|phase|step|join|shape)_\d+")


def _prepare(function: Any) -> None:
    """What Numba's own passes have made: integers wrap around, and phases are called from several places, where a copy
    in each would be optimised each time."""
    if not function.is_declaration and _SHARED.search(function.name):
        function.attributes.add("noinline")
    for block in function.blocks:
        for instruction in block.instructions:
            if instruction.opname in ("add", "sub", "mul"):
                let_wrap(instruction)


class Codegen(JITCPUCodegen):
    """The code generator. made_for: the processor."""

    _library_class = Library

    def __init__(self, name: str, made_for: Processor) -> None:
        self.made_for = made_for
        super().__init__(name)

    def _customize_tm_options(self, options: dict[str, Any]) -> None:
        super()._customize_tm_options(options)
        self.machine_options = dict(options)

    def another(self) -> Codegen:
        """The same with a target machine of its own, which is for one thread."""
        made = copy(self)
        made._tm = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(**self.machine_options)
        return made

    def _get_host_cpu_name(self) -> str:
        return self.made_for.name

    def _get_host_cpu_features(self) -> str:
        return self.made_for.features

    def _add_module(self, module: Any) -> None:
        pass


# Functions of NumPy on scalars, which Numba implements as ufuncs over arrays: the same instructions.
_registry = Registry("numgraph scalars")


def _intrinsic(function: Any, name: str) -> None:
    def implementation(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arguments
        x = context.cast(builder, x, signature.args[0], signature.return_type)
        called = builder.module.declare_intrinsic(name, [x.type], ir.FunctionType(x.type, [x.type]))
        return builder.call(called, [x])

    _registry.lower(function, types.Float)(implementation)


for _function, _name in (
    (np.log2, "llvm.log2"), (np.floor, "llvm.floor"), (np.ceil, "llvm.ceil"), (np.trunc, "llvm.trunc"),
    (np.rint, "llvm.rint"), (np.sqrt, "llvm.sqrt"),
):  # fmt: skip
    _intrinsic(_function, _name)


def _fmod(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.frem(*arguments)


_registry.lower(np.fmod, types.Float, types.Float)(_fmod)


class Context(CPUContext):
    """The implementations of the target, the same for all processors."""

    complete = False

    @property
    def _internal_codegen(self) -> Codegen:
        return _codegen(processor())

    def init(self) -> None:
        """Called by Numba at the end of its own construction."""
        self.is32bit = utils.MACHINE_BITS == 32
        externals.c_math_functions.install(self)

    def load_additional_registries(self) -> None:
        """Scalars first; everything when something is asked for that is not among them."""
        if self.complete:
            super().load_additional_registries()
            return
        if _registry not in self._registries:
            for name in ("builtins", "numbers", "tupleobj"):
                import_module(f"numba.cpython.{name}")
        # again each time: Numba may have put implementations of intrinsics into them
        self.install_registry(builtin_registry)
        self.install_registry(import_module("numba.cpython.mathimpl").registry)
        self.install_registry(_registry)

    def load_everything(self) -> None:
        """Have all that Numba's CPU target has."""
        if not self.complete:
            self.complete = True
            self.refresh()

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        """The implementation of a function; of a user's, which another target has compiled, a call of that."""
        if isinstance(fn, types.Dispatcher) and fn.dispatcher.targetdescr is not NumgraphDispatcher.targetdescr:
            overload = fn.dispatcher.overloads[sig.args]
            if overload.entry_point not in self._defns:
                self.insert_user_function(overload.entry_point, overload.fndesc, [overload.library])
        return super().get_function(fn, sig, _firstcall)

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        """A builtin function of its own is wanted for each, as a key; it is never called."""
        library._ensure_finalized()
        return [].append


@remember
def _codegen(made_for: Processor) -> Codegen:
    return Codegen(NAME, made_for)


@remember
def _typing() -> Any:
    # Numba keeps what it has compiled for a call beside the typing context, whatever the target
    return typing.Context()


@remember
def context() -> Context:
    """The context, whose code generator is that for the processor of the settings."""
    return Context(_typing(), NAME)


class _Descriptor(TargetDescriptor):
    """The contexts of the target."""

    options = CPUTargetOptions

    @property
    def typing_context(self) -> Any:
        return _typing()

    @property
    def target_context(self) -> Context:
        return context()


class NumgraphDispatcher(Dispatcher):
    """What `numba.njit(_target="numgraph")` makes of a function."""

    targetdescr = _Descriptor(NAME)


class Numgraph(CPU):
    """The name of the target. Functions of kernels that Numba meets (`register_jitable`) are compiled for it, too."""


target_registry[NAME] = Numgraph
dispatcher_registry[Numgraph] = NumgraphDispatcher


@remember
def rules() -> Rules:
    """Numba's rules on the target, with NumPy's division by zero."""
    context().refresh()
    return Rules(context().subtarget(error_model=create_error_model("numpy", context())))
