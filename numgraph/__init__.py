"""Expressions over symbolic variables, compiled to short and readable Numba source.

    import numgraph as ng

    x = ng.vector("x")
    f = ng.function([x], ng.sum(x**2))
    f([1.0, 2.0])           # array(5.)

Importing this loads neither Numba nor SciPy: the compiler is loaded when the first function is made.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import Any as _Any

from numgraph import fft, linalg, optim, optimize, random, sparse
from numgraph import tensor as _tensor
from numgraph import testvalues as _testvalues  # noqa: F401  # what is behind `Variable.test_value`
from numgraph.checkout import find_kernels as _find_kernels
from numgraph.config import config
from numgraph.errors import (
    ArgumentShapeError,
    AssertionFailed,
    AxisError,
    DisconnectedError,
    DtypeError,
    FileError,
    FunctionError,
    GivensError,
    GradientError,
    IndexOutOfRange,
    IndexShapeError,
    InputError,
    MatrixError,
    MissingInputError,
    NumgraphError,
    OptionError,
    PackageError,
    RepeatedUpdateError,
    ShapeError,
    SharedMemoryError,
    UnusedInputError,
    UpdateError,
    ValueOverflowError,
)
from numgraph.function import Function, function
from numgraph.givens import clone
from numgraph.grad import grad
from numgraph.graph import Constant, Variable
from numgraph.jacobians import Lop, Rop, hessian, hessian_vector_product, jacobian
from numgraph.minimizing import minimize
from numgraph.ops import (
    activations as _activations,
)
from numgraph.ops import (
    bessel as _bessel,
)
from numgraph.ops import (
    calculus as _calculus,
)
from numgraph.ops import (
    compare as _compare,
)
from numgraph.ops import (
    complexes as _complexes,
)
from numgraph.ops import (
    convolution as _convolution,
)
from numgraph.ops import (
    create as _create,
)
from numgraph.ops import (
    custom as _custom,
)
from numgraph.ops import (
    eigen as _eigen,
)
from numgraph.ops import (
    einsum as _einsum,
)
from numgraph.ops import (
    elementwise as _elementwise,
)
from numgraph.ops import (
    fitted as _fitted,
)
from numgraph.ops import (
    gammas as _gammas,
)
from numgraph.ops import (
    grids as _grids,
)
from numgraph.ops import (
    hypergeometric as _hypergeometric,
)
from numgraph.ops import (
    index as _index,
)
from numgraph.ops import (
    inverses as _inverses,
)
from numgraph.ops import (
    join as _join,
)
from numgraph.ops import (
    layout as _layout,
)
from numgraph.ops import (
    leastsquares as _leastsquares,
)
from numgraph.ops import (
    linalg as _linalg,
)
from numgraph.ops import (
    lu as _lu,
)
from numgraph.ops import (
    nans as _nans,
)
from numgraph.ops import (
    nnet as _nnet,
)
from numgraph.ops import (
    normal as _normal,
)
from numgraph.ops import (
    normalize as _normalize,
)
from numgraph.ops import (
    orthogonal as _orthogonal,
)
from numgraph.ops import (
    packing as _packing,
)
from numgraph.ops import (
    padding as _padding,
)
from numgraph.ops import (
    pool as _pool,
)
from numgraph.ops import (
    powers as _powers,
)
from numgraph.ops import (
    reduce as _reduce,
)
from numgraph.ops import (
    riccati as _riccati,
)
from numgraph.ops import (
    schur as _schur,
)
from numgraph.ops import (
    search as _search,
)
from numgraph.ops import (
    select as _select,
)
from numgraph.ops import (
    sets as _sets,
)
from numgraph.ops import (
    shape as _shape,
)
from numgraph.ops import (
    signal as _signal,
)
from numgraph.ops import (
    solve as _solve,
)
from numgraph.ops import (
    sort as _sort,
)
from numgraph.ops import (
    special as _special,
)
from numgraph.ops import (
    spectral as _spectral,
)
from numgraph.ops import (
    statistics as _statistics,
)
from numgraph.ops import (
    sylvester as _sylvester,
)
from numgraph.ops import (
    tensorsystems as _tensorsystems,
)
from numgraph.ops import (
    triangular as _triangular,
)
from numgraph.ops import (
    ufuncs as _ufuncs,
)
from numgraph.ops import (
    user as _user,
)
from numgraph.ops import (
    usercall as _usercall,
)
from numgraph.ops import (
    windows as _windows,
)
from numgraph.ops.activations import *
from numgraph.ops.bessel import *
from numgraph.ops.calculus import *
from numgraph.ops.compare import *
from numgraph.ops.complexes import *
from numgraph.ops.convolution import *
from numgraph.ops.create import *
from numgraph.ops.custom import *
from numgraph.ops.eigen import *
from numgraph.ops.einsum import *
from numgraph.ops.elementwise import *
from numgraph.ops.fitted import *
from numgraph.ops.gammas import *
from numgraph.ops.grids import *
from numgraph.ops.hypergeometric import *
from numgraph.ops.index import *
from numgraph.ops.inverses import *
from numgraph.ops.join import *
from numgraph.ops.layout import *
from numgraph.ops.leastsquares import *
from numgraph.ops.linalg import *
from numgraph.ops.lu import *
from numgraph.ops.nans import *
from numgraph.ops.nnet import *
from numgraph.ops.normal import *
from numgraph.ops.normalize import *
from numgraph.ops.orthogonal import *
from numgraph.ops.packing import *
from numgraph.ops.padding import *
from numgraph.ops.pool import *
from numgraph.ops.powers import *
from numgraph.ops.reduce import *
from numgraph.ops.riccati import *
from numgraph.ops.schur import *
from numgraph.ops.search import *
from numgraph.ops.select import *
from numgraph.ops.sets import *
from numgraph.ops.shape import *
from numgraph.ops.signal import *
from numgraph.ops.solve import *
from numgraph.ops.sort import *
from numgraph.ops.special import *
from numgraph.ops.spectral import *
from numgraph.ops.statistics import *
from numgraph.ops.sylvester import *
from numgraph.ops.tensorsystems import *
from numgraph.ops.triangular import *
from numgraph.ops.ufuncs import *
from numgraph.ops.user import *
from numgraph.ops.usercall import *
from numgraph.ops.windows import *
from numgraph.printing import debugprint, pprint
from numgraph.program import In, Out
from numgraph.saving import load, save
from numgraph.scanning import api as _scanning
from numgraph.scanning import branches as _branches
from numgraph.scanning import folds as _folds
from numgraph.scanning.api import *
from numgraph.scanning.branches import *
from numgraph.scanning.folds import *
from numgraph.shared import SharedVariable, shared
from numgraph.subgraphs import Subgraph, subgraph
from numgraph.tensor import *
from numgraph.types import TensorType
from numgraph.vectorizing import vectorize

__version__ = "0.1.0"
_find_kernels(__name__, _Path(__file__).parent)


def __getattr__(name: str) -> _Any:
    """AttributeError that says what to use in the place of a name that is not there."""
    if name == "testing":
        # loaded when somebody asks for it
        return _import_module("numgraph.testing")
    from numgraph.absent import absent

    raise AttributeError(absent(name, __all__))


__all__ = [
    "ArgumentShapeError", "AssertionFailed", "AxisError", "Constant", "DisconnectedError", "DtypeError", "FileError",
    "Function", "FunctionError", "GivensError", "GradientError", "In", "IndexOutOfRange", "IndexShapeError",
    "InputError", "Lop", "MatrixError", "MissingInputError", "NumgraphError", "OptionError", "Out", "PackageError",
    "RepeatedUpdateError", "Rop", "ShapeError", "SharedMemoryError", "SharedVariable", "Subgraph", "TensorType",
    "UnusedInputError", "UpdateError", "ValueOverflowError", "Variable", "__version__", "clone", "config",
    "debugprint", "fft", "function", "grad", "hessian", "hessian_vector_product", "jacobian", "linalg", "load",
    "minimize", "optim", "optimize", "pprint", "random", "save", "shared", "sparse", "subgraph", "vectorize",
]  # fmt: skip
# what the ops are called, and what makes variables
__all__ += _activations.__all__
__all__ += _branches.__all__
__all__ += _compare.__all__
__all__ += _complexes.__all__
__all__ += _convolution.__all__
__all__ += _create.__all__
__all__ += _custom.__all__
__all__ += _eigen.__all__
__all__ += _einsum.__all__
__all__ += _elementwise.__all__
__all__ += _fitted.__all__
__all__ += _grids.__all__
__all__ += _index.__all__
__all__ += _join.__all__
__all__ += _leastsquares.__all__
__all__ += _linalg.__all__
__all__ += _nnet.__all__
__all__ += _normalize.__all__
__all__ += _packing.__all__
__all__ += _padding.__all__
__all__ += _pool.__all__
__all__ += _powers.__all__
__all__ += _reduce.__all__
__all__ += _search.__all__
__all__ += _select.__all__
__all__ += _scanning.__all__
__all__ += _folds.__all__
__all__ += _shape.__all__
__all__ += _solve.__all__
__all__ += _triangular.__all__
__all__ += _lu.__all__
__all__ += _schur.__all__
__all__ += _sylvester.__all__
__all__ += _riccati.__all__
__all__ += _orthogonal.__all__
__all__ += _sort.__all__
__all__ += _special.__all__
__all__ += _spectral.__all__
__all__ += _bessel.__all__
__all__ += _gammas.__all__
__all__ += _inverses.__all__
__all__ += _hypergeometric.__all__
__all__ += _normal.__all__
__all__ += _nans.__all__
__all__ += _sets.__all__
__all__ += _layout.__all__
__all__ += _calculus.__all__
__all__ += _signal.__all__
__all__ += _statistics.__all__
__all__ += _tensorsystems.__all__
__all__ += _ufuncs.__all__
__all__ += _user.__all__
__all__ += _usercall.__all__
__all__ += _windows.__all__
__all__ += _tensor.__all__
