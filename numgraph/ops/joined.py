"""What parts of the images give for the filters of a convolution, added up and put where filters have it.

Sums over the first axis, and transposing them, would be loops of their own, of which each goes through memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import FLOAT
from numgraph.ops.shape import reshaped, shuffled

Array = NDArray[Any]
# a square of 16 x 16 elements, see kernels/convolutions.py
OWN_BYTES = 2048


def _shape(sums: Any, *lengths: Any) -> tuple[Any, ...]:
    return (sums.shape[1] * sums.shape[3], *ln.values(lengths))


def _joined(sums: Array, *lengths: Any) -> Array:
    total = sums.sum(axis=0, dtype=sums.dtype).transpose(0, 2, 1)
    return np.ascontiguousarray(total).reshape(sums.shape[1] * sums.shape[3], *(int(n) for n in lengths))


def _samples() -> list[tuple[list[Any], dict[str, Any]]]:
    rng = np.random.default_rng(6)
    shapes = [((1, 1, 12, 5), (2, 1, 2, 3)), ((3, 2, 6, 4), (1, 1, 3, 2)), ((2, 1, 0, 3), (0, 1, 2, 2))]
    return [([rng.uniform(-1, 1, shape), *lengths], {}) for shape, lengths in shapes]


def _composed(sums: Variable, *lengths: Variable) -> Variable:
    _, groups, _, filters = ln.dims_of(sums)
    sizes = [ln.integer(n, "conv") for n in lengths]
    turned = shuffled(reshaped(f.sum(sums, axis=0), [groups, *sizes, filters]), (0, 5, 1, 2, 3, 4))
    return reshaped(turned, [groups * filters, *sizes])


def joined(sums: Variable, lengths: Sequence[Length]) -> Variable:
    """The gradient for filters, of what parts of the images add up to. lengths: channels of a group, pixels of a filter
    along each axis."""
    return apply(OPS["convolution_joined"], [sums, *ln.operands(lengths)])


Op(
    "convolution_joined",
    ("sums", "*lengths"),
    "[filter, channel, depth, height, width], the sums over the parts of what `convolution_sums` gives. lengths: those "
    "of the last four axes.",
    same,
    _joined,
    None,
    "it is a part of convolution_filters, which has one",
    kernel=Kernel(
        "convolutions.join_parts",
        lambda sums, *lengths: tuple(sums.shape),
        own=lambda *sizes: OWN_BYTES,
        shares=True,
        multiplications=(0, 1, 2, 3),
    ),
    on_grid=_composed,
    shape=_shape,
    checks=(
        Check(
            "equal",
            lambda sums, *lengths: [(sums.shape[2], dims.product(ln.values(lengths)))],
            "{a} elements of a filter, lengths of {b}",
        ),
    ),
    dtypes=FLOAT,
    samples=_samples,
    cost=4,
)
