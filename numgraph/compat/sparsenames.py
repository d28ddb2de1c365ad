"""The names of `theano.sparse`: functions, and classes of ops, which are made and called."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numgraph.compat import sparseops, sparsevars
from numgraph.compat.sparsevars import SparseShared, SparseType, SparseVariable
from numgraph.op import FUNCTIONS
from numgraph.types import COMPLEX, DISCRETE, REALS


def _class_of(function: Callable[..., Any], *attributes: str) -> Any:
    """An op's class: what it is made with, by position or name, is passed on if it is among `attributes`."""

    def make(*args: Any, **named: Any) -> Callable[..., Any]:
        given = {k: v for k, v in (dict(zip(attributes, args, strict=False)) | named).items() if k in attributes}
        return partial(function, **given)

    return make


def _csm(format: str, kmap: Any = None) -> Callable[..., SparseVariable]:
    """Theano's op that makes a matrix of vectors."""
    return {"csr": sparsevars.CSR, "csc": sparsevars.CSC}[format]


def _stack(stack: Callable[..., SparseVariable]) -> Any:
    return _class_of(lambda *blocks, **named: stack(blocks, **named), "format", "dtype")


_FUNCTIONS = (
    "add add_s_s_data cast clean col_scale construct_sparse_from_list csc_from_dense csm_properties csr_from_dense "
    "dense_from_sparse diag dot ensure_sorted_indices eq ge get_item_2lists get_item_list get_item_scalar gt hstack le "
    "lt mul mul_s_v neg neq remove0 row_scale sampling_dot sp_ones_like sp_sum sp_zeros_like square_diagonal "
    "structured_add_s_v structured_dot sub transpose true_dot usmm vstack"
).split()
# of the numbers alone: those that leave zeros as they are by their names, the others with a word in front
_STRUCTURED = (
    "sin tan arcsin arctan sinh arcsinh tanh arctanh rint sgn ceil floor log1p expm1 deg2rad rad2deg trunc sqr sqrt "
    "conj"
).split()
_MONOIDS = "add exp log maximum minimum pow sigmoid".split()


def _dense_of(x: Any, structured: bool = True) -> Any:
    return sparseops.dense_from_sparse(x)


def _sparse_of(x: Any, format: str = "csr") -> SparseVariable:
    return {"csr": sparseops.csr_from_dense, "csc": sparseops.csc_from_dense}[format](x)


_OPS = {
    "AddSS": _class_of(sparseops.add), "AddSD": _class_of(sparseops.add), "MulSS": _class_of(sparseops.mul),
    "MulSD": _class_of(sparseops.mul), "MulSV": _class_of(sparseops.mul_s_v), "Neg": _class_of(sparseops.neg),
    "AddSSData": _class_of(sparseops.add_s_s_data), "StructuredAddSV": _class_of(sparseops.structured_add_s_v),
    "CSM": _csm, "CSMProperties": _class_of(sparseops.csm_properties), "Cast": _class_of(sparseops.cast, "dtype"),
    "ColScaleCSC": _class_of(sparseops.col_scale), "RowScaleCSC": _class_of(sparseops.row_scale),
    "ConstructSparseFromList": _class_of(sparseops.construct_sparse_from_list),
    "DenseFromSparse": _class_of(_dense_of, "structured"), "SparseFromDense": _class_of(_sparse_of, "format"),
    "Diag": _class_of(sparseops.diag), "SquareDiagonal": _class_of(sparseops.square_diagonal),
    "Dot": _class_of(sparseops.dot), "StructuredDot": _class_of(sparseops.structured_dot),
    "TrueDot": _class_of(sparseops.true_dot), "SamplingDot": _class_of(sparseops.sampling_dot),
    "Usmm": _class_of(sparseops.usmm), "EnsureSortedIndices": _class_of(sparseops.ensure_sorted_indices),
    "GetItemList": _class_of(sparseops.get_item_list), "GetItem2Lists": _class_of(sparseops.get_item_2lists),
    "GetItemScalar": _class_of(sparseops.get_item_scalar), "Remove0": _class_of(sparseops.remove0),
    "SpSum": _class_of(sparseops.sp_sum, "axis"),
    "Transpose": _class_of(sparseops.transpose), "HStack": _stack(sparseops.hstack),
    "VStack": _stack(sparseops.vstack), "SparseVariable": SparseVariable, "SparseType": SparseType,
    "SparseTensorSharedVariable": SparseShared,
}  # fmt: skip
_VARIABLES = "CSC CSR as_sparse_or_tensor_variable as_sparse_variable csc_matrix csr_matrix matrix shared".split()
_DTYPES = {
    "sparse_formats": sparsevars.FORMATS, "float_dtypes": [d for d in REALS if d != "float16"],
    "complex_dtypes": list(COMPLEX), "int_dtypes": [d for d in DISCRETE if d.startswith("int")],
    "uint_dtypes": [d for d in DISCRETE if d.startswith("uint")],
}  # fmt: skip


def _sparse() -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(sparseops, name) for name in _FUNCTIONS}
    found |= {name: getattr(sparsevars, name) for name in _VARIABLES}
    found |= {name: sparseops.structured(name, FUNCTIONS[name]) for name in _STRUCTURED}
    found |= {f"structured_{name}": sparseops.structured(name, FUNCTIONS[name]) for name in _MONOIDS}
    found |= {"as_sparse": sparsevars.as_sparse_variable, "sparse_constructor": sparsevars.shared}
    for k, name in enumerate(("csm_data", "csm_indices", "csm_indptr", "csm_shape")):
        found[name] = lambda csm, k=k: sparseops.csm_properties(csm)[k]
    for letter, dtype in (("d", "float64"), ("f", "float32")):
        found |= {f"{form}_{letter}matrix": SparseType(form, dtype) for form in sparsevars.FORMATS}
    kinds = _DTYPES["int_dtypes"] + _DTYPES["uint_dtypes"], _DTYPES["float_dtypes"] + _DTYPES["complex_dtypes"]
    lists = {"integer_dtypes": kinds[0], "discrete_dtypes": kinds[0], "continuous_dtypes": kinds[1]}
    return found | _OPS | _DTYPES | lists | {"all_dtypes": kinds[0] + kinds[1], "enable_sparse": True}


SPARSE = _sparse()
