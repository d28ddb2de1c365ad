"""Arithmetic on lengths and indices.

`dims` has the operators that ops state their shape rules with, `rules` simplifies each operation when its node is made
and finds what it is at least, `known` says what holds of lengths in every call, `values` what they are in one, and
`sources` which arrays they are read from.
"""
