"""Hand-written kernels: a leaf of the package, imported by generated code only."""
