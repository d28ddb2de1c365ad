"""Which scalar functions have a vectorised version: its module and its name there; importable without Numba."""

_FAMILIES = {
    "vectormath": ("exp exp2 expm1 log log2 log10 log1p",) * 2,
    "vectorhyper": ("tanh sigmoid softplus sinh cosh asinh acosh atanh",) * 2,
    "vectortrig": ("sin cos tan",) * 2,
    "vectorarcs": ("atan atan2 asin acos",) * 2,
    "vectorerf": ("erf erfc",) * 2,
    "vectorpow": ("power hypot",) * 2,
}
VECTOR: dict[tuple[str, str], str] = {
    (name, dtype): f"{module}.{name}_{short}"
    for module, families in _FAMILIES.items()
    for dtype, short, listed in (("float32", "f32", families[0]), ("float64", "f64", families[1]))
    for name in listed.split()
}

# The same for the kernels of a grid; the others are functions of `math` there.
GRID: dict[tuple[str, str], str] = {
    **{
        (name, dtype): f"cuda.scalar.{name}_{short}"
        for dtype, short in (("float32", "f32"), ("float64", "f64"))
        for name in "trunc floor ceil rint sigmoid softplus mod floordiv".split()
    },
    **{(name, dtype): f"math.{name}" for dtype in ("float32", "float64") for name in ("exp2", "log2")},
}
