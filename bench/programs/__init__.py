"""The Deep Learning Tutorials' programs, written for numgraph: each is read from top to bottom and run by itself,

    python -m bench.programs.logistic_sgd

on the 10,000 digits that come with numgraph; and a Gaussian process, on points that it draws.
"""
