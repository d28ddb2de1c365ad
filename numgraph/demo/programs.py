"""The tutorials' programs, which stand in a package of their own and are run by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NAMES = "logistic_sgd logistic_cg convolutional_mlp dA cA SdA rbm DBN hmc rnnrbm rnnslu lstm gaussian_process".split()


def load(name: str) -> Any:
    """The module of a program: in `numgraph.programs`, which is `bench/programs` of the source tree."""
    there = find_spec("numgraph.programs") is not None
    return import_module(f"{'numgraph' if there else 'bench'}.programs.{name}")


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a program with these arguments."""
    load(name).main(arguments)
