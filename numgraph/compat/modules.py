"""Theano's modules: which there are, and what is in each. They are made from this table, not from files."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from numgraph.compat import (
    blocks,
    choosing,
    composed,
    convops,
    cudnn,
    fft,
    functions,
    graphs,
    images,
    linear,
    missing,
    mrg,
    names,
    optimizing,
    pieces,
    places,
    pooling,
    sizes,
    streams,
)
from numgraph.compat.dtypes import upcast
from numgraph.compat.flags import config
from numgraph.compat.scans import SCAN
from numgraph.compat.sparsenames import SPARSE
from numgraph.compat.variables import Apply, Scan, Subtensor, io_toposort
from numgraph.errors import MissingInputError, UnusedInputError
from numgraph.function import Function
from numgraph.graph import Constant, Variable
from numgraph.ops.custom import Print as PrintValue
from numgraph.printing import pprint
from numgraph.program import Out
from numgraph.scanning.branches import ifelse
from numgraph.shared import SharedVariable
from numgraph.types import DTYPES

# the version whose behaviour these modules follow, for programs that ask
VERSION = "1.0.5"


def _dump(obj: Any, file_handler: Any, protocol: int = pickle.DEFAULT_PROTOCOL, persistent_id: Any = None) -> None:
    """Pickle an object into a file that is open for writing bytes; Theano's own format is not written."""
    pickle.dump(obj, file_handler, protocol)


def _load(f: Any, persistent_load: Any = None) -> Any:
    """What `dump` has written; Theano's own format is not read."""
    return pickle.load(f)


def _from(source: Any, listed: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in listed.split()}


_MODES = _from(functions, "Mode DebugMode MonitorMode NanGuardMode")
_INPUTS = _from(functions, "In Param function shared") | {"Out": Out}
_GRAPH = {"Variable": Variable, "Constant": Constant, "Apply": Apply, "Op": functions.Op}
_PRINTING = {"pp": pprint, "pprint": pprint, "debugprint": composed.debugprint}
_SHARED = {"SharedVariable": SharedVariable, "shared": functions.shared}
_UPDATES = {"OrderedUpdates": functions.OrderedUpdates, "Updates": functions.OrderedUpdates}

_GPU_BLAS = convops.CORRELATIONS[2, "Gpu"] | convops.CORRELATIONS[3, "Gpu"]
_GPUARRAY = {"pygpu_activated": cudnn.asked_for("cuda"), "pygpu": None}

# what programs took from here to run on Python 2.4 and later
_PYTHON2 = {
    "OrderedDict": OrderedDict, "Counter": Counter, "partial": partial, "izip": zip, "imap": map, "ifilter": filter,
    "any": any, "all": all, "next": next, "PY3": True,
}  # fmt: skip

# The module `theano` is "". What is missing in a module is added from the table of `missing`.
CONTENTS: dict[str, dict[str, Any]] = {
    "": {
        **_INPUTS, **_GRAPH, **_PRINTING, **_UPDATES, **_from(functions, "Mode"), "clone": graphs.clone,
        "SharedVariable": SharedVariable, "config": config, "change_flags": config.change_flags,
        "grad": names.TENSOR["grad"], "Lop": names.TENSOR["Lop"], "Rop": names.TENSOR["Rop"],
        "OpFromGraph": pieces.OpFromGraph, "subgraph_grad": pieces.subgraph_grad,
        "dot": names.TENSOR["dot"], **SCAN, "_asarray": np.asarray, "__version__": VERSION,
    },
    "compat": _PYTHON2,
    "compat.python2x": _PYTHON2,
    "compile": {
        **_from(functions, "get_default_mode get_mode"), **_INPUTS, **_MODES, **_SHARED,
        "pfunc": functions.function, "UnusedInputError": UnusedInputError, "OpFromGraph": pieces.OpFromGraph,
    },
    "compile.builders": {"OpFromGraph": pieces.OpFromGraph},
    "compile.debugmode": {"DebugMode": functions.DebugMode},
    "compile.function_module": {"UnusedInputError": UnusedInputError, "Function": Function},
    "compile.io": {"In": functions.In, "Out": Out},
    "compile.mode": {
        **_from(functions, "Mode get_default_mode get_mode"),
        **{name: functions.get_default_mode() for name in ("FAST_RUN", "FAST_COMPILE")},
    },
    "compile.monitormode": {"MonitorMode": functions.MonitorMode},
    "compile.nanguardmode": {"NanGuardMode": functions.NanGuardMode},
    "compile.pfunc": {"Param": functions.Param, "pfunc": functions.function},
    "compile.profiling": {"ProfileStats": functions.ProfileStats},
    "compile.sharedvalue": _SHARED,
    "configdefaults": {"config": config},
    "configparser": {"change_flags": config.change_flags},
    "gof": {**_GRAPH, "MissingInputError": MissingInputError},
    "gof.null_type": {"NullType": pieces.NoGradient},
    "gof.graph": {**_GRAPH, **_from(graphs, "inputs ancestors is_same_graph"), "io_toposort": io_toposort},
    "gof.op": {"Op": functions.Op},
    "gof.utils": {"MissingInputError": MissingInputError},
    "gpuarray": _GPUARRAY,
    "gpuarray.basic_ops": cudnn.MOVES,
    "gpuarray.blas": _GPU_BLAS,
    "gpuarray.dnn": cudnn.CUDNN,
    "gradient": names.GRADIENT,
    "ifelse": {"ifelse": ifelse},
    "misc": {},
    "misc.pkl_utils": {"dump": _dump, "load": _load},
    "printing": {**_PRINTING, "Print": PrintValue, "min_informative_str": pprint},
    "sandbox": {},
    "sandbox.blocksparse": blocks.BLOCKS,
    "sandbox.linalg": linear.SANDBOX | names.NLINALG | names.SLINALG,
    "sandbox.linalg.ops": linear.SANDBOX | names.NLINALG | names.SLINALG,
    "sandbox.multinomial": choosing.OPS,
    "sandbox.neighbours": images.NEIGHBOURS,
    "sandbox.softsign": {"softsign": names.NNET["softsign"]},
    "sandbox.cuda": {
        **dict.fromkeys(("cuda_available", "cuda_enabled"), cudnn.asked_for("gpu")), "host_from_gpu": cudnn.same,
        "gpu_from_host": cudnn.same,
    },
    "sandbox.cuda.basic_ops": cudnn.MOVES,
    "sandbox.cuda.blas": _GPU_BLAS,
    "sandbox.cuda.dnn": cudnn.CUDNN,
    "sandbox.gpuarray": _GPUARRAY,
    "sandbox.gpuarray.basic_ops": cudnn.MOVES,
    "sandbox.gpuarray.blas": _GPU_BLAS,
    "sandbox.gpuarray.dnn": cudnn.CUDNN,
    "sandbox.rng_mrg": {
        **_from(streams, "MRG_RandomStreams guess_n_streams"), "M1": mrg.M1, "M2": mrg.M2,
    },
    "scalar": {"upcast": upcast, "constant": composed.constant, **{name: name for name in DTYPES}},
    "scalar.basic": {"upcast": upcast},
    "scan_module": {**_UPDATES, **SCAN, "clone": graphs.clone},
    "scan_module.scan": {"scan": SCAN["scan"]},
    "scan_module.scan_checkpoints": {"scan_checkpoints": SCAN["scan_checkpoints"]},
    "scan_module.scan_op": {"Scan": Scan},
    "scan_module.scan_utils": {
        **_from(graphs, "clone equal_computations"), "until": SCAN["until"], "map_variables": pieces.map_variables,
    },
    "scan_module.scan_views": SCAN,
    "sparse": SPARSE,
    "sparse.basic": SPARSE,
    "sparse.sharedvar": SPARSE,
    "sparse.type": {"SparseType": SPARSE["SparseType"]},
    "tensor": names.TENSOR,
    "tensor.basic": names.TENSOR,
    "tensor.elemwise": names.TENSOR,
    "tensor.extra_ops": names.TENSOR,
    "tensor.fft": _from(fft, "rfft irfft"),
    "tensor.fourier": {"fft": fft.fft},
    "tensor.inplace": names.INPLACE,
    "tensor.nlinalg": names.NLINALG,
    "tensor.nnet.blocksparse": blocks.BLOCKS,
    "tensor.nnet": {**blocks.COLUMNS, **names.NNET, **images.NNET, "h_softmax": places.h_softmax},
    "tensor.nnet.abstract_conv": {**names.NNET, **images.NNET, **sizes.SIZES, **convops.CLASSES},
    "tensor.nnet.bn": {**names.NNET, **images.NNET},
    "tensor.nnet.conv": images.CONV,
    "tensor.nnet.conv3d2d": {"conv3d": places.conv3d_of_films},
    "tensor.nnet.corr": convops.CORRELATIONS[2, ""],
    "tensor.nnet.corr3d": convops.CORRELATIONS[3, ""],
    "tensor.nnet.neighbours": images.NEIGHBOURS,
    "tensor.nnet.nnet": {**blocks.COLUMNS, **names.NNET, "h_softmax": places.h_softmax},
    "tensor.nnet.sigm": names.NNET,
    "tensor.optimize": _from(optimizing, "minimize minimize_scalar root root_scalar"),
    "tensor.opt": {"Assert": functions.Assert, "assert_op": functions.assert_op, "assert_": functions.assert_op},
    "tensor.shared_randomstreams": {
        "RandomStreams": streams.RandomStreams, "RandomStateSharedVariable": streams.RandomStateSharedVariable,
    },
    "tensor.sharedvar": {**_SHARED, "TensorSharedVariable": SharedVariable, "tensor_constructor": functions.shared},
    "tensor.signal": {},
    "tensor.signal.conv": images.SIGNAL_CONV,
    "tensor.signal.downsample": images.DOWNSAMPLE,
    "tensor.signal.pool": images.POOL | pooling.OPS,
    "tensor.slinalg": names.SLINALG,
    "tensor.sort": {n: names.TENSOR[n] for n in ("sort", "argsort", "topk", "argtopk", "topk_and_argtopk")},
    "tensor.subtensor": {**names.TENSOR, "Subtensor": Subtensor},
    "tensor.type": names.TENSOR,
    "tensor.var": names.TENSOR,
    "tensor.xlogx": {"xlogx": composed.xlogx, "xlogy0": composed.xlogy0},
    "updates": _UPDATES,
    "version": {"version": VERSION, "full_version": VERSION},
}  # fmt: skip


def fill(modules: dict[str, ModuleType], root: ModuleType) -> None:
    """Make the modules below `root`, which stands for `theano`, and put them into `modules` (`sys.modules`).

    Each has what the table says, its submodules, `__all__`, and an empty `__path__`: there are no others.
    """
    made = {"": root}
    for name in CONTENTS:
        if name:
            made[name] = modules[f"{root.__name__}.{name}"] = ModuleType(f"{root.__name__}.{name}")
    for name, module in made.items():
        title = f"theano.{name}".rstrip(".")
        found = missing.absent(title) | CONTENTS[name]
        below = {n.rpartition(".")[2]: made[n] for n in CONTENTS if n and n.rpartition(".")[0] == name}
        # where both have a name, as `theano.compile.pfunc`, it is what the module has
        vars(module).update(below | found, __path__=[], __all__=sorted(below | found))
        if name:
            module.__doc__ = f"`{title}`, over numgraph."
