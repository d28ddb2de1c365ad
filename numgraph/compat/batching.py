"""PyTensor's `vectorize`: a function of variables over the axes that these have in front."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.lengths import Length
from numgraph.ops.shape import reshaped, stretch
from numgraph.types import TensorType
from numgraph.vectorizing import vectorize as native_vectorize


def _ranks(part: str) -> list[int]:
    """How many axes each of "(a,b),(c),()" has."""
    return [len([name for name in inside.split(",") if name.strip()]) for inside in re.findall(r"\(([^()]*)\)", part)]


def vectorize(func: Callable[..., Any], signature: str | None = None) -> Callable[..., Any]:
    """`func` over the axes that its arguments have in front, which broadcast, as np.vectorize with a signature.

    func: of variables with as many axes as the signature says, "(m,n),(n)->(m)" (None: of scalars); it is called once.
    ValueError for another number of arguments or results, or too few axes.
    """
    wanted = None if signature is None else [_ranks(part) for part in signature.split("->")]

    def call(*inputs: Any) -> Any:
        given = [as_variable(v) for v in inputs]
        ranks = [0] * len(given) if wanted is None else wanted[0]
        if len(ranks) != len(given):
            raise ValueError(f"vectorize: Number of inputs does not match signature {signature}")
        for v, rank in zip(given, ranks, strict=True):
            if v.ndim < rank:
                raise ValueError(f"vectorize: Input {describe(v)} has less dimensions than {rank}")
        cores = [
            v if v.ndim == rank else Variable(TensorType(v.type.dtype, v.type.shape[v.ndim - rank :]), v.name)
            for v, rank in zip(given, ranks, strict=True)
        ]
        outputs = func(*cores)
        if outputs is None:
            raise ValueError("vectorize: the function returned no outputs")
        count = len(outputs) if isinstance(outputs, list | tuple) else 1
        if wanted is not None and len(wanted[1]) != count:
            raise ValueError(f"vectorize: Number of outputs does not match signature {signature}")
        return _over(outputs, {core: v for core, v in zip(cores, given, strict=True) if core is not v})

    return call


def _over(outputs: Any, stands: dict[Variable, Variable]) -> Any:
    """Outputs over all the axes that stands have more than what they stand for."""
    if not stands:
        return outputs
    ndim = max(v.ndim - core.ndim for core, v in stands.items())
    lead: list[Length] = [1] * ndim
    for core, v in stands.items():
        own = ln.dims_of(v)[: v.ndim - core.ndim]
        lead = [ln.broadcast_length(n, m) for n, m in zip(lead, [*[1] * (ndim - len(own)), *own], strict=True)]
    flat = {}
    for core, v in stands.items():
        inside = ln.dims_of(v)[v.ndim - core.ndim :]
        flat[core] = reshaped(stretch(v, [*lead, *inside]), [ln.product(lead), *inside])
    found = native_vectorize(outputs, flat)
    if isinstance(found, list | tuple):
        return [reshaped(v, [*lead, *ln.dims_of(v)[1:]]) for v in found]
    return reshaped(found, [*lead, *ln.dims_of(found)[1:]])
