"""CUDA kernels: plain functions of pointers and numbers, made by factories for a dtype and a size of block.

`names.KERNELS` is the list of them, with the meaning of their arguments and the grid that each wants.
"""
