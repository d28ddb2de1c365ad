"""The names of `theano.tensor` and its parts: numgraph's own where they mean the same, by tables where they differ."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from numgraph.compat import (
    batching,
    composed,
    constants,
    functions,
    indexing,
    interpolating,
    linear,
    pieces,
    reducing,
    shaping,
    sparseops,
)
from numgraph.compat.missing import absent
from numgraph.errors import DisconnectedError, GradientError
from numgraph.graph import Constant, Variable
from numgraph.jacobians import Lop, Rop, hessian, hessian_vector_product, jacobian
from numgraph.op import FUNCTIONS
from numgraph.ops import MODULES
from numgraph.printing import pprint
from numgraph.shared import SharedVariable
from numgraph.types import COMPLEX, DISCRETE, REALS, Shape, TensorType

# the module: `numgraph.tensor` as an attribute is the function of that name
constructors: Any = import_module("numgraph.tensor")

# Functions whose arguments Theano calls otherwise: `theirs=ours`, `theirs=` for one that has no effect here.
_FORMS = """
sum: input=x axis dtype keepdims acc_dtype=
prod: input=x axis dtype keepdims acc_dtype= no_zeros_in_input=
var: input=x axis ddof keepdims corrected=
std: input=x axis ddof keepdims corrected=
ones_like: model=x dtype opt=
zeros_like: model=x dtype opt=
nonzero_values: a=x
tri: N=n M=m k dtype
tril: m=x k
triu: m=x k
split: x splits_size=sizes n_splits axis
concatenate: tensor_list=arrays axis
shape_padleft: t=x n_ones
shape_padright: t=x n_ones
shape_padaxis: t=x axis
reshape: x newshape=shape ndim
outer: x=a y=b
batched_tensordot: x=a y=b axes
diagonal: a=x offset axis1 axis2
diag: v=x k
ptp: a=x axis
swapaxes: y=x axis1 axis2
set_subtensor: x=target y=value inplace tolerate_inplace_aliasing
isclose: a=x b=y rtol atol equal_nan
allclose: a=x b=y rtol atol equal_nan
cov: m y rowvar bias ddof fweights aweights
take: a=x indices axis mode
trace: X=x
searchsorted: x=a v side sorter
choose: a choices out= mode
binary_crossentropy: output=p target=t
sigmoid_binary_crossentropy: output=x target=t
categorical_crossentropy: coding_dist=p true_dist=y
grad_clip: x lower_bound=lower upper_bound=upper
grad_scale: x multiplier=factor
jacobian: expression wrt consider_constant disconnected_inputs vectorize=
Lop: f=outputs wrt eval_points=vectors consider_constant disconnected_inputs
Rop: f=outputs wrt eval_points=vectors disconnected_outputs return_disconnected=
"""

# of `theano.gradient` alone
_PRODUCT = "cost wrt p=vectors consider_constant disconnected_inputs"

_COMPOSED = {
    "grad": pieces.grad, "alloc_diag": linear.diagonal_matrix, "vectorize": batching.vectorize,
    "get_scalar_constant_value": constants.get_scalar_constant_value, "inc_subtensor": composed.inc_subtensor,
    "interpolate1d": interpolating.interpolate1d,
    **{
        name: getattr(reducing, name)
        for name in "argmax argmin logaddexp max_and_argmax mean nan_to_num squeeze where".split()
    },
    **{
        name: getattr(shaping, name)
        for name in "argsort atleast_Nd bincount broadcast_shape flatnonzero identity_like sort".split()
    },
    "round": composed.round_, "second": composed.fill, "verify_grad": functions.verify_grad,
    **indexing.INDEXING, **linear.PRODUCTS, "dot": sparseops.any_dot,
    **{
        name: getattr(composed, name)
        for name in (
            "Elemwise TensorType as_tensor_variable constant tensor shape iround inv nonzero transpose flatten clip "
            "smallest largest bartlett "
            "permute_row_elements inverse_permutation fill addbroadcast unbroadcast patternbroadcast "
            "get_vector_length ceil_intdiv stacklists "
            "horizontal_stack vertical_stack round_half_away_from_zero"
        ).split()
    },
}  # fmt: skip
# other names of the same functions
_ALIASES = {
    "as_tensor": "as_tensor_variable", "extract_constant": "get_scalar_constant_value", "round_half_to_even": "round",
    "inverse": "inv", "alloc_like": "full_like", "Tensor": "TensorType",
}  # fmt: skip
# Functions that Theano has in nnet alone; `tensor` has them all the same, except where the two differ.
_NNET = (
    "sigmoid softplus elu softmax relu hard_sigmoid ultra_fast_sigmoid selu softsign logsoftmax softmax_graph "
    "softmax_with_bias "
    "binary_crossentropy sigmoid_binary_crossentropy categorical_crossentropy crossentropy_categorical_1hot "
    "crossentropy_softmax_1hot crossentropy_softmax_1hot_with_bias crossentropy_softmax_argmax_1hot_with_bias "
    "crossentropy_softmax_1hot_with_bias_dx crossentropy_softmax_max_and_argmax_1hot "
    "crossentropy_softmax_max_and_argmax_1hot_with_bias "
    "batch_normalization confusion_matrix"
).split()


def adapted(native: Callable[..., Any], form: str) -> Callable[..., Any]:
    """`native` with the arguments of a row of `_FORMS`."""
    pairs = [word.partition("=") for word in form.split()]
    theirs = [name for name, _, _ in pairs]
    ours = {name: mine if equals else name for name, equals, mine in pairs}

    def call(*args: Any, **named: Any) -> Any:
        if len(args) > len(theirs):
            raise TypeError(f"{call.__name__}() takes at most {len(theirs)} arguments, got {len(args)}")
        given = dict(zip(theirs, args, strict=False))
        twice = given.keys() & named.keys()
        if twice:
            raise TypeError(f"{call.__name__}() got several values for {', '.join(sorted(twice))}")
        given |= named
        return native(**{ours.get(name, name): value for name, value in given.items() if ours.get(name, name)})

    call.__name__ = call.__qualname__ = getattr(native, "__name__", "call")
    call.__doc__ = native.__doc__
    return call


def _families() -> dict[str, Any]:
    """The constructors by rank and letter: `dmatrix` is a type, which makes a variable when it is called, `matrix` a
    function with a dtype; and `dmatrices("x", "y")` makes several."""
    axes = {"scalar": (), "vector": (None,), "matrix": (None, None), "row": (1, None), "col": (None, 1)}
    axes |= {f"tensor{n}": (None,) * n for n in range(3, 8)}
    several = {"scalar": "scalars", "vector": "vectors", "matrix": "matrices", "row": "rows", "col": "cols"}
    found: dict[str, Any] = {}
    for rank, lengths in axes.items():
        found[rank] = _of_floatx(rank, lengths)
        for letter, dtype in constructors.LETTERS.items():
            found[letter + rank] = TensorType(dtype, lengths)
        for letter in ("", *constructors.LETTERS):
            found[letter + several.get(rank, rank + "s")] = _several(found[letter + rank])
    return found


def _of_floatx(rank: str, lengths: Shape) -> Callable[..., Variable]:
    def make(name: str | None = None, dtype: Any = None) -> Variable:
        made: Variable = constructors.tensor(name, dtype, lengths)
        return made

    return getattr(constructors, rank, make)


def _several(make: Callable[..., Variable]) -> Callable[..., list[Variable]]:
    def call(*names: Any, dtype: Any = None) -> list[Variable]:
        wanted: Any = [None] * names[0] if len(names) == 1 and isinstance(names[0], int) else names
        wanted = list(names[0]) if len(names) == 1 and isinstance(names[0], str) else wanted
        return [make(name) if dtype is None else make(name, dtype=dtype) for name in wanted]

    return call


def _own() -> dict[str, Any]:
    """What programs call in numgraph, by name: constructors, and the functions of the ops."""
    found = {name: getattr(constructors, name) for name in constructors.__all__}
    for module in MODULES:
        found |= {name: FUNCTIONS[name] for name in module.__all__}
    return found | {"jacobian": jacobian, "hessian": hessian, "Lop": Lop, "Rop": Rop}


def _tensor() -> dict[str, Any]:
    names = absent("theano.tensor") | _own() | _families()
    for line in _FORMS.strip().splitlines():
        name, _, form = line.partition(": ")
        names[name] = adapted(names[name], form)
    names |= _COMPOSED
    names |= {alias: names[name] for alias, name in _ALIASES.items()}
    return names | _dtypes() | {
        "Variable": Variable, "TensorVariable": Variable, "TensorConstant": Constant, "Constant": Constant,
        "TensorSharedVariable": SharedVariable, "pprint": pprint,
    }  # fmt: skip


def _dtypes() -> dict[str, list[str]]:
    """Theano's lists of the names of dtypes, without those that are not there."""
    signed, unsigned = ([d for d in DISCRETE if d.startswith(kind)] for kind in ("int", "uint"))
    floats, complexes = list(REALS), list(COMPLEX)
    return {
        "int_dtypes": signed, "uint_dtypes": unsigned, "float_dtypes": floats, "complex_dtypes": complexes,
        "integer_dtypes": signed + unsigned, "discrete_dtypes": ["bool", *signed, *unsigned],
        "continuous_dtypes": floats + complexes, "all_dtypes": ["bool", *signed, *unsigned, *floats, *complexes],
    }  # fmt: skip


TENSOR = _tensor()
# the words by which `softmax` of a vector differs
NNET = absent("theano.tensor.nnet") | {name: getattr(composed, name, None) or TENSOR[name] for name in _NNET}
GRADIENT = absent("theano.gradient") | {
    "subgraph_grad": pieces.subgraph_grad, "disconnected_type": pieces.disconnected_type,
    "DisconnectedType": pieces.NoGradient,
    "grad": TENSOR["grad"], "Lop": TENSOR["Lop"], "Rop": TENSOR["Rop"], "grad_scale": TENSOR["grad_scale"],
    "verify_grad": functions.verify_grad,
    "jacobian": TENSOR["jacobian"], "hessian": TENSOR["hessian"], "disconnected_grad": FUNCTIONS["disconnected_grad"],
    "zero_grad": FUNCTIONS["zero_grad"], "consider_constant": FUNCTIONS["zero_grad"], "grad_clip": TENSOR["grad_clip"],
    "hessian_vector_product": adapted(hessian_vector_product, _PRODUCT), "DisconnectedInputError": DisconnectedError,
    "NullTypeGradError": GradientError,
}  # fmt: skip
_LINEAR = {
    name: getattr(linear, name)
    for name in (
        "cho_solve cholesky eigh eigvalsh extract_diag lstsq lu lu_factor lu_solve norm pivot_to_permutation qr qz "
        "schur solve solve_lower_triangular solve_triangular solve_upper_triangular svd"
    ).split()
}
NLINALG = _LINEAR | {
    name: TENSOR[name]
    for name in "trace diag matrix_dot pinv matrix_inverse det eig matrix_power tensorinv tensorsolve slogdet".split()
} | {"alloc_diag": linear.alloc_diag, "qr": TENSOR["qr"]}  # fmt: skip
# where both have a name with other results, here is PyTensor's
SLINALG = _LINEAR | {
    name: TENSOR[name]
    for name in (
        "kron",
        "expm",
        "block_diag",
        "cho_factor",
        "solve_sylvester",
        "solve_continuous_lyapunov",
        "solve_discrete_lyapunov",
        "solve_discrete_are",
    )
}
# Theano's functions that may write over what they are given: no expression does here
INPLACE = {
    f"{name}_inplace": TENSOR[name]
    for name in (
        "lt gt le ge eq neq and_ or_ xor invert abs_ exp exp2 expm1 neg inv log log1p log2 log10 sgn ceil floor trunc "
        "round_half_to_even round_half_away_from_zero sqr sqrt deg2rad rad2deg cos arccos sin arcsin tan arctan "
        "arctan2 cosh arccosh sinh arcsinh tanh arctanh erf erfc erfcx gamma gammaln psi tri_gamma j0 j1 jv i0 i1 iv "
        "second fill maximum minimum add sub mul true_div int_div mod pow conj transpose"
    ).split()
}
