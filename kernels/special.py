"""SciPy's special functions of float64, called at the addresses that `scipy.special.cython_special` has for Cython.

Each is an intrinsic: a call of the C function that machine code knows by the name `scipy_special_` and SciPy's own.
Whoever loads the code says where that is. The last argument is Cython's: 0.
"""

from llvmlite import ir
from numgraph.kernels.primitives import external
from numgraph.kernels.wrapping import wrapped

PREFIX = "scipy_special_"


def _call(builder, name, *values):
    double, integer = ir.DoubleType(), ir.IntType(32)
    kind = ir.FunctionType(double, [double] * len(values) + [integer])
    return builder.call(external(builder, PREFIX + name, kind), [*values, integer(0)])


def _called(name, count):
    """The intrinsic of a function of `count` numbers."""
    # Numba asks how many arguments there are
    builds = (
        lambda builder, a: _call(builder, name, a),
        lambda builder, a, b: _call(builder, name, a, b),
        lambda builder, a, b, c: _call(builder, name, a, b, c),
        lambda builder, a, b, c, d: _call(builder, name, a, b, c, d),
    )
    return wrapped(name, (builds[count - 1], ("float64",) * count, "float64", f"SciPy's {name}."))


gammainc_f64 = _called("gammainc", 2)
gammaincc_f64 = _called("gammaincc", 2)
tgamma_f64 = _called("gamma", 1)
beta_f64 = _called("beta", 2)
betaln_f64 = _called("betaln", 2)
betainc_f64 = _called("betainc", 3)
i0_f64 = _called("i0", 1)
i1_f64 = _called("i1", 1)
i0e_f64 = _called("i0e", 1)
i1e_f64 = _called("i1e", 1)
iv_f64 = _called("iv", 2)
ive_f64 = _called("ive", 2)
j0_f64 = _called("j0", 1)
j1_f64 = _called("j1", 1)
jv_f64 = _called("jv", 2)
k0_f64 = _called("k0", 1)
k1_f64 = _called("k1", 1)
kv_f64 = _called("kv", 2)
kve_f64 = _called("kve", 2)
owens_t_f64 = _called("owens_t", 2)
hyp2f1_f64 = _called("hyp2f1", 4)
