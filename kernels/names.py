"""Which scalar functions have a vectorised version, and its name in `vectormath`; importable without Numba."""

VECTOR: dict[tuple[str, str], str] = {
    (name, dtype): f"{name}_{short}"
    for dtype, short, names in (
        ("float32", "f32", "exp expm1 tanh sigmoid softplus log log1p erf sin cos"),
        ("float64", "f64", "exp expm1 tanh sigmoid softplus log log1p"),
    )
    for name in names.split()
}
