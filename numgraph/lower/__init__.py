"""numgraph's own compiler: generated source and kernels -> LLVM IR, without Numba."""
