"""Hand-written kernels: a leaf of the package, imported by generated code only."""

# The features of the processor that kernels are read for, as LLVM names them: numgraph sets it when it compiles. None:
# those of the processor that this runs on.
features = None
