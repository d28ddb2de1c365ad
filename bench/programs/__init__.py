"""The Deep Learning Tutorials' programs, written for numgraph: each is read from top to bottom and run by itself,

    python -m bench.programs.logistic_sgd    or    numgraph demo --model logistic_sgd

on the 10,000 digits that come with numgraph, or on what it makes by a rule. And a Gaussian process, on points that it
draws.
"""
