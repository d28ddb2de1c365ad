"""Calls of functions of other libraries at their addresses, and the memory that they work in."""

from numgraph.kernels.wrapping import wrapped

place = wrapped("foreign.place")
at = wrapped("foreign.at")
fortran = wrapped("foreign.fortran")
call_at = wrapped("foreign.call_at")
allocate = wrapped("foreign.allocate")
release = wrapped("foreign.release")

# letters that LAPACK and BLAS are told: yes or no, which triangle, transposed, the conjugate of it, from the right,
# which vectors
NO, UNIT, LOWER, UPPER, TURNED, ADJOINT, RIGHT, ALL, SOME, VECTORS = 78, 85, 76, 85, 84, 67, 82, 65, 83, 86
# bytes of the memory for what is passed by reference, of a real number at most, and of a complex one; rows of LAPACK's
# blocks at most
CELLS, WIDE, WIDEST, BLOCK = 128, 8, 16, 64
# the largest size that LAPACK can be told
MOST = 2147483647
