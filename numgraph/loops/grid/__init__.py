"""The loop program of a grid of threads: kernels, and the plans that the host runs."""
