"""Calls of functions of other libraries at their addresses, and the memory that they work in."""

from numgraph.kernels.wrapping import wrapped

place = wrapped("foreign.place")
at = wrapped("foreign.at")
fortran = wrapped("foreign.fortran")
allocate = wrapped("foreign.allocate")
release = wrapped("foreign.release")
