"""Programs written for other libraries: `numgraph.compat.theano` has Theano's modules under their own names.

`python -m numgraph.compat run PROGRAM.py` runs a program with these in the place of `theano`; see docs/theano.md.
"""
