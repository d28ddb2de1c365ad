"""What `numgraph.arguments` needs of the rest of numgraph: `export` copies it in front of that, so that an exported
module converts and refuses values as the function does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

REALS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")


class InputError(TypeError):
    """The arguments of a call do not fit its inputs."""


class DtypeError(TypeError):
    """A value that may not fit a dtype without loss."""


class ArgumentShapeError(InputError, ValueError):
    """An argument of another rank or length than its input."""


class Variable:
    """An input or a shared variable, and how messages call it. shape: its lengths, None where any is possible."""

    def __init__(self, dtype: str, shape: Sequence[int | None], title: str, said: str) -> None:
        self.dtype, self.shape, self.ndim = dtype, tuple(shape), len(shape)
        self.title, self.said = title, said


# a variable has the fields of its type
TensorType = Variable


def label(variable: Variable) -> str:
    """The name that messages use."""
    return variable.title


def describe(variable: Variable) -> str:
    """`x: float32[?,784]  made at train.py:34 in loss`."""
    return variable.said


def is_lossless(source: str, target: str) -> bool:
    """Whether every value of one dtype is one of the other."""
    return bool(np.can_cast(source, target, casting="safe"))


def embedded(text: str, dtype: str, shape: Sequence[int]) -> Any:
    """An array that is written in the module."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape).copy()
