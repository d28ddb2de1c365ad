"""The benchmark suite: training steps in numgraph against the same steps by hand in NumPy."""
