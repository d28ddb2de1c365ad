"""Numba's compiler for generated source: a pipeline whose one pass takes the place of type inference and lowering.

The pass (`DirectLowering`) reads the source of an entry, types it with Numba's typing context, and lowers it, with all
functions of ours that it calls, through the implementations of Numba's target. It knows what generated source and
kernels consist of. What it does not know is compiled by Numba's own passes, which are the second pipeline.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType, SimpleNamespace
from typing import Any

import numba
from numba.core import funcdesc, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.environment import Environment
from numba.core.target_extension import jit_registry
from numba.core.typed_passes import NoPythonBackend

from numgraph.config import config
from numgraph.lower.program import Program
from numgraph.lower.target import NAME, Library, Numgraph, context, rules


@register_pass(mutates_CFG=False, analysis_only=False)
class DirectLowering(LoweringPass):
    """From the source of an entry to LLVM IR."""

    _name = "numgraph_direct_lowering"

    def __init__(self) -> None:
        LoweringPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Compile the function, and what it calls, into the library of the state; Unsupported."""
        function: FunctionType = state.func_id.func
        target, library = state.targetctx, state.library
        described = _described(state)
        module = library.create_ir_module(state.func_id.unique_name)
        vars(module)[import_module("numgraph.kernels.primitives").ONLY] = vars(function).get("only", {})
        known = rules()
        result = None if state.return_type in (types.none, types.void) else state.return_type
        with known.context.push_code_library(library):
            program = Program(module, known)
            program.entry(function, tuple(state.args), result, described.llvm_cfunc_wrapper_name)
        library.add_lowered(module)
        environment = Environment.from_fndesc(described)
        cfunc = target.get_executable(library, described, environment)
        target.insert_user_function(cfunc, described, [library])
        state["cr"] = _LowerResult(described, None, cfunc=cfunc, env=environment)
        return True


def _described(state: Any) -> Any:
    """The function as Numba knows it."""
    identity = state.func_id
    return funcdesc.PythonFunctionDescriptor(
        native=True,
        modname=identity.modname,
        qualname=identity.func_name,
        unique_name=identity.unique_name,
        doc=identity.func.__doc__ or "",
        typemap=None,
        restype=state.return_type,
        calltypes=None,
        args=tuple(identity.arg_names),
        kws=(),
        # the only one in its library
        mangler=lambda name, *types, **tags: name.rpartition(".")[2],
        argtypes=tuple(state.args),
        uid=identity.unique_id,
        abi_tags=[state.flags.get_mangle_string()],
    )


class _Standard(PassManager):
    """Numba's own passes, for everything or for what the direct pass did not know."""

    def run(self, state: Any) -> None:
        context().load_everything()
        reason, state.status.fail_reason = state.status.fail_reason, None
        if reason is not None and config.debug >= 1:
            where = state.func_id.filename
            print(f"numgraph: {where}: compiled by Numba's own passes because of {_unknown(reason)}", file=sys.stderr)
        super().run(state)


def _unknown(error: Exception) -> str:
    """What was not known, without the steps in which it came up."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Failed in", "During:"))), lines[0])


class Pipeline(CompilerBase):
    """Numba's compiler for the functions of generated modules and kernels.

    A function whose type is given with its result is an entry: it is optimised, with everything that it calls.
    """

    def __init__(
        self, typing: Any, target: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any
    ) -> None:
        with _for_target(typing):
            super().__init__(typing, context(), library, args, return_type, flags, locals)
        self.is_entry = return_type is not None

    @property
    def standard(self) -> bool:
        """Whether Numba's own passes compile an entry; they know of the lines of the source, for a debugger."""
        return bool(config.standard_passes or self.state.flags.debuginfo)

    def compile_extra(self, function: FunctionType) -> Any:
        """Compile a function; returns Numba's result of it."""
        library = Library(context().codegen(), function.__qualname__)
        library.effort = _effort(function) if self.is_entry else 0
        library.written_out = "written_out" in vars(function) and not self.standard
        self.state.library = library
        with _for_target(self.state.typingctx):
            return super().compile_extra(function)

    def define_pipelines(self) -> list[Any]:
        """The direct pass, if it may be used, and Numba's own passes."""
        own = _Standard("nopython")
        own.passes.extend(DefaultPassBuilder.define_nopython_pipeline(self.state).passes)
        own.finalize()
        if not self.is_entry or self.standard:
            return [own]
        direct = PassManager("numgraph")
        direct.add_pass(DirectLowering, "direct lowering")
        direct.add_pass(NoPythonBackend, "nopython mode backend")
        direct.finalize()
        return [direct, own]


def _for_target(typing: Any) -> Any:
    """Within the block Numba looks for what it compiles on the way for this target, rather than for its CPU target.

    It asks who is compiling. Users' functions that are compiled meanwhile have another typing context, and so are for
    the CPU target.
    """
    return typing.callstack.register(Numgraph, None, SimpleNamespace(func=object(), func_qualname=NAME), ())


def _effort(function: FunctionType) -> int:
    """LLVM's level of optimisation. What is a function for others consists of kernels, whose inner loops are in vectors
    already."""
    return 3 if "table_object" in function.__code__.co_varnames else 2


def _jit(*arguments: Any, **options: Any) -> Any:
    return numba.jit(*arguments, pipeline_class=Pipeline, _target=NAME, **options)


# how Numba compiles what it meets in functions for the target
jit_registry[Numgraph] = _jit

# What `numba.njit` is told for generated modules and kernels.
COMPILER = {"_target": NAME, "pipeline_class": Pipeline}
