"""The demo: programs of the Deep Learning Tutorial, trained on handwritten digits.

These are user programs: they use numgraph as anybody would, and the lines that messages and listings name lie in them.
"""
