"""Data files of the demo and the benchmark; installed as `numgraph.data`."""
