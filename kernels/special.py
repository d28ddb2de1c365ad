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


def _at_address(name, count):
    """The intrinsic of a function of `count` numbers."""
    # Numba asks how many arguments there are
    builds = (
        lambda builder, a: _call(builder, name, a),
        lambda builder, a, b: _call(builder, name, a, b),
        lambda builder, a, b, c: _call(builder, name, a, b, c),
        lambda builder, a, b, c, d: _call(builder, name, a, b, c, d),
    )
    return wrapped(name, (builds[count - 1], ("float64",) * count, "float64", f"SciPy's {name}."))


scipy_gammainc_f64 = _at_address("gammainc", 2)
scipy_gammaincc_f64 = _at_address("gammaincc", 2)
scipy_tgamma_f64 = _at_address("gamma", 1)
scipy_beta_f64 = _at_address("beta", 2)
scipy_betaln_f64 = _at_address("betaln", 2)
scipy_betainc_f64 = _at_address("betainc", 3)
scipy_i0_f64 = _at_address("i0", 1)
scipy_i1_f64 = _at_address("i1", 1)
scipy_i0e_f64 = _at_address("i0e", 1)
scipy_i1e_f64 = _at_address("i1e", 1)
scipy_iv_f64 = _at_address("iv", 2)
scipy_ive_f64 = _at_address("ive", 2)
scipy_j0_f64 = _at_address("j0", 1)
scipy_j1_f64 = _at_address("j1", 1)
scipy_jv_f64 = _at_address("jv", 2)
scipy_k0_f64 = _at_address("k0", 1)
scipy_k1_f64 = _at_address("k1", 1)
scipy_kv_f64 = _at_address("kv", 2)
scipy_kve_f64 = _at_address("kve", 2)
scipy_owens_t_f64 = _at_address("owens_t", 2)
scipy_hyp2f1_f64 = _at_address("hyp2f1", 4)
scipy_poch_f64 = _at_address("poch", 2)
scipy_gammaincinv_f64 = _at_address("gammaincinv", 2)
scipy_gammainccinv_f64 = _at_address("gammainccinv", 2)
scipy_betaincinv_f64 = _at_address("betaincinv", 3)
scipy_ndtri_exp_f64 = _at_address("ndtri_exp", 1)
