"""The benchmark suite: numgraph against the libraries that people would use instead. `python -m bench --help`."""
