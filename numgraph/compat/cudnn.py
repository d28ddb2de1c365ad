"""What Theano calls from its modules for GPUs: cuDNN's convolutions, pooling and normalisation, as numgraph computes
them wherever a function runs, and moves between memories, which numgraph does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.compat.convops import CLASSES
from numgraph.compat.flags import config
from numgraph.compat.images import pooled
from numgraph.compat.normalizing import batch_normalization_test, batch_normalization_train
from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f


def asked_for(*names: str) -> bool:
    """Whether `theano.config.device` is one of a GPU, "gpu0" for "gpu"."""
    return str(config.device).startswith(names)


def dnn_available(context_name: Any = None) -> bool:
    """Whether a program is to call these functions: where it asks for a GPU."""
    return asked_for("gpu", "cuda")


# what programs show where it says no
dnn_available.msg = "numgraph does not use cuDNN; device=gpu in THEANO_FLAGS has its functions taken"  # type: ignore[attr-defined]

# -- convolutions -----------------------------------------------------------------------------------------------------

# what is computed, and how Theano's classes of convolutions end that do it
_CONV, _WEIGHTS, _INPUTS = "", "_gradWeights", "_gradInputs"
_FLIPS = {"conv": True, "convolution": True, "cross": False, "cross_correlation": False}
_POOLS = {"max_deterministic": "max", "average": "average_inc_pad"}


class GpuDnnConvDesc:
    """The arguments of a convolution that are no variables; called with shapes it is what the ops take. OptionError
    for another conv_mode. precision: without effect."""

    def __init__(
        self, border_mode: Any, subsample: Sequence[int] = (1, 1), dilation: Any = None, conv_mode: str = "conv",
        precision: Any = None, num_groups: int = 1,
    ) -> None:  # fmt: skip
        if conv_mode not in _FLIPS:
            raise OptionError(f"conv_mode must be one of {', '.join(_FLIPS)}, not {conv_mode!r}")
        self.count = len(subsample)
        self.options: dict[str, Any] = {
            "border_mode": border_mode, "subsample": subsample, "filter_flip": _FLIPS[conv_mode],
            "filter_dilation": dilation, "num_groups": num_groups,
        }  # fmt: skip

    def __call__(self, *shapes: Any) -> GpuDnnConvDesc:
        """These arguments; lengths are known when a function runs."""
        return self

    def compute(self, kind: str, first: Any, second: Any, *shape: Any, num_groups: int = 1) -> Variable:
        """The convolution, or its gradient for images or filters of the lengths `shape`, two less than axes."""
        groups = max(num_groups, self.options["num_groups"])
        op = CLASSES[f"AbstractConv{self.count}d{kind}"](**self.options | {"num_groups": groups})
        found: Variable = op(first, second, *shape)
        return found


def _op(name: str, kind: str) -> type:
    """An op of cuDNN: called with two arrays, one whose shape the result has, and a description."""

    def init(self: Any, algo: Any = None, inplace: bool = False, num_groups: int = 1, workmem: Any = None) -> None:
        self.num_groups = num_groups

    def call(self: Any, first: Any, second: Any, output: Any, desc: Any, alpha: Any = None, beta: Any = None) -> Any:
        """alpha times what is computed, and beta times `output`, of which else only the shape counts."""
        shape = [ln.dims_of(as_variable(output))[2:]] if kind else []
        found = desc.compute(kind, first, second, *shape, num_groups=self.num_groups)
        found = found if alpha is None else found * alpha
        return found if beta is None else found + beta * output

    return type(name, (), {"__init__": init, "__call__": call, "__doc__": f"cuDNN's op, AbstractConv{kind}."})


def _functions(count: int, ending: str) -> dict[str, Any]:
    """`dnn_conv` of images of `count` axes, and its gradients, which take the shape of what they are for."""
    ones = (1,) * count

    def convolution(
        img: Any, kerns: Any, border_mode: Any = "valid", subsample: Any = ones, dilation: Any = None,
        conv_mode: str = "conv", direction_hint: Any = None, workmem: Any = None, algo: Any = None,
        precision: Any = None, num_groups: int = 1,
    ) -> Variable:  # fmt: skip
        """Images convolved with filters, which conv_mode="cross" does not flip."""
        desc = GpuDnnConvDesc(border_mode, subsample, dilation, conv_mode, precision, num_groups)
        return desc.compute(_CONV, img, kerns)

    def gradient(kind: str, first: Any, topgrad: Any, shape: Any, *described: Any) -> Variable:
        """The gradient for what has `shape`. described: what a description is made of."""
        return GpuDnnConvDesc(*described).compute(kind, first, topgrad, [shape[k + 2] for k in range(count)])

    def for_filters(
        img: Any, topgrad: Any, kerns_shp: Any, border_mode: Any = "valid", subsample: Any = ones, dilation: Any = None,
        conv_mode: str = "conv", precision: Any = None, algo: Any = None, num_groups: int = 1,
    ) -> Variable:  # fmt: skip
        """The gradient for filters of shape `kerns_shp`."""
        described = border_mode, subsample, dilation, conv_mode, precision, num_groups
        return gradient(_WEIGHTS, img, topgrad, kerns_shp, *described)

    def for_images(
        kerns: Any, topgrad: Any, img_shp: Any, border_mode: Any = "valid", subsample: Any = ones, dilation: Any = None,
        conv_mode: str = "conv", precision: Any = None, algo: Any = None, num_groups: int = 1,
    ) -> Variable:  # fmt: skip
        """The gradient for images of shape `img_shp`, a transposed convolution."""
        described = border_mode, subsample, dilation, conv_mode, precision, num_groups
        return gradient(_INPUTS, kerns, topgrad, img_shp, *described)

    return {
        f"dnn_conv{ending}": convolution, f"dnn_gradweight{ending}": for_filters, f"dnn_gradinput{ending}": for_images,
    }  # fmt: skip


# -- pooling and normalisation ----------------------------------------------------------------------------------------


def dnn_pool(img: Any, ws: Sequence[int], stride: Any = None, mode: str = "max", pad: Any = None) -> Variable:
    """The last axes pooled, as many as `ws` has; windows that would reach beyond the border are left out. stride: 1
    along each axis unless it is given."""
    count = len(ws)
    step = (1,) * count if stride is None else stride
    return pooled("dnn_pool", count, img, ws, True, step, (0,) * count if pad is None else pad, _POOLS.get(mode, mode))


def dnn_batch_normalization_train(
    inputs: Any, gamma: Any, beta: Any, mode: str = "per-activation", *args: Any, **named: Any
) -> tuple[Variable, ...]:
    """`batch_normalization_train`, whose axes are called mode here."""
    return batch_normalization_train(inputs, gamma, beta, mode, *args, **named)


def dnn_batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, mode: str = "per-activation", epsilon: float = 1e-4
) -> Variable:
    """`batch_normalization_test`, whose axes are called mode here."""
    return batch_normalization_test(inputs, gamma, beta, mean, var, mode, epsilon)


# -- moves ------------------------------------------------------------------------------------------------------------


def same(x: Any, context_name: Any = None) -> Variable:
    """A variable where it is: numgraph moves values by itself."""
    return as_variable(x)


def gpu_alloc_empty(*shape: Any) -> Variable:
    """An array of float32 of this shape; in Theano nothing is written to it, here zeros are."""
    return f.zeros(shape, "float32")


class _Move:
    """An op that moves values between memories, of which numgraph has none."""

    def __init__(self, context_name: Any = None) -> None:
        pass

    def __call__(self, x: Any) -> Variable:
        """x."""
        return as_variable(x)


_OPS = ("HostFromGpu", "GpuFromHost", "GpuToGpu", "GpuContiguous")
_PLACED = ("host_from_gpu", "gpu_from_host", "gpu_contiguous", "as_cuda_ndarray_variable", "as_gpuarray_variable")
MOVES: dict[str, Any] = {
    **{name: type(name, (_Move,), {"__doc__": _Move.__doc__}) for name in _OPS},
    **dict.fromkeys(_PLACED, same),
    "gpu_alloc_empty": gpu_alloc_empty,
}
CUDNN: dict[str, Any] = {
    "dnn_available": dnn_available, "dnn_present": dnn_available, **_functions(2, ""), **_functions(3, "3d"),
    "GpuDnnConvDesc": GpuDnnConvDesc, "dnn_pool": dnn_pool,
    "dnn_batch_normalization_train": dnn_batch_normalization_train,
    "dnn_batch_normalization_test": dnn_batch_normalization_test,
    **{
        name: _op(name, kind)
        for name, kind in (("GpuDnnConv", _CONV), ("GpuDnnConvGradW", _WEIGHTS), ("GpuDnnConvGradI", _INPUTS))
    },
}  # fmt: skip
