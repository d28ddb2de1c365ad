"""The ops. Importing this package fills `numgraph.op.OPS` and `numgraph.op.FUNCTIONS`."""

from __future__ import annotations

from numgraph.graph import iterate
from numgraph.op import FUNCTIONS, OPS
from numgraph.ops import (
    activations,
    bessel,
    bounds,
    calculus,
    compare,
    complexes,
    convolution,
    create,
    custom,
    eigen,
    einsum,
    elementwise,
    fitted,
    fourier,
    gammas,
    grids,
    halves,
    hermitian,
    hypergeometric,
    index,
    indexmaps,
    inverses,
    join,
    layout,
    leastsquares,
    linalg,
    loop,
    lu,
    nans,
    nnet,
    normal,
    normalize,
    orthogonal,
    packing,
    padding,
    pool,
    powers,
    random,
    reduce,
    riccati,
    schur,
    search,
    select,
    sets,
    shape,
    signal,
    solve,
    sort,
    sparse,
    special,
    spectral,
    statistics,
    sylvester,
    tensorsystems,
    triangular,
    ufuncs,
    user,
    usercall,
    windows,
)

MODULES = (
    bounds, elementwise, complexes, compare, special, normal, gammas, inverses, bessel, hypergeometric, ufuncs,
    reduce, statistics, nnet, normalize, create, shape, fitted, indexmaps, join, select, index, linalg, loop, halves,
    sort, padding, search, triangular, lu, solve, spectral, hermitian, orthogonal, eigen, schur, sylvester, riccati,
    leastsquares, tensorsystems, powers, windows, nans, sets, layout, packing, calculus, fourier, einsum, convolution,
    signal, pool, grids, activations, user, usercall, random, custom, sparse,
)  # fmt: skip

for _module in MODULES:
    for _name in (*_module.__all__, *getattr(_module, "INTERNAL", ())):
        if _name in FUNCTIONS:
            raise ValueError(f"function {_name}: defined in {_module.__name__} and before")
        FUNCTIONS[_name] = getattr(_module, _name)
FUNCTIONS["iterate"] = iterate

# The ops whose whole definition is in this package: others may be defined anywhere, and change.
TABLE = frozenset(OPS.values())
