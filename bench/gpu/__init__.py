"""`python -m bench gpu`: numgraph on an NVIDIA GPU, checked and measured in one command of at most eight minutes."""
