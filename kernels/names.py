"""Which scalar functions have a vectorised version, by name; importable without Numba."""

VECTOR: dict[tuple[str, str], str] = {}
