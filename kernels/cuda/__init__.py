"""CUDA kernels: plain functions of pointers and numbers, made by factories for a dtype and sizes of blocks.

`names.KERNELS` is the table of them: arguments, and the grid and block that each wants. What arguments mean, in which
order a kernel computes, how large its error is and what limits it, is in the docstrings of the factories.

Rules that all of them keep, and that generated kernels keep too:

* Arrays are pointers to adjoining elements, indexed by int64 numbers; threadIdx.x times a length is 64 bits in Numba.
* Literals are typed (`kind(0)`): an untyped 0.5 is a float64, and so is a number of `math.cos` for large arguments.
* No atomics on floats: sums have one order, given by lengths and block sizes, so that results are the same at each run.
* All threads of a block reach each barrier and shuffle; a thread with nothing to do goes along with neutral values.
* Truth values in memory are bytes of 0 or 1 (uint8 for Numba, which stores its own booleans through pointers wrongly).
* Grids along the second and third axis have at most 65,535 blocks; kernels step over what is more.
* Reads of what another block wrote need another launch.
"""
