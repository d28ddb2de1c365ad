"""Errors of users' functions in compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.emit.statements import Raised
from numgraph.errors import FunctionError
from numgraph.ops.user import called
from numgraph.types import FLOATS


def raised_error(cause: Raised, words: Sequence[int], shown: str) -> FunctionError:
    """The error for a call that raised. words: its arguments, as compiled code has left them; shown: the operands and
    lines, for the message.

    The function is called once more with them, to see what it raises.
    """
    node = cause.node
    assert node.op is not None and node.op.user is not None
    user = node.op.user
    values = [_number(word, v.dtype) for word, v in zip(words, node.inputs, strict=True)]
    found: BaseException | None = None
    try:
        called(user, values)
        said = f"raised an exception for ({', '.join(map(str, values))}), and none when it was called again"
    except FunctionError as problem:
        found, said = problem.__cause__, str(problem)
    error = FunctionError(f"{node.op.title}: {said}\n{shown}  {user.name} is defined at {user.line}")
    error.__cause__ = found
    return error


def _number(word: int, dtype: str) -> Any:
    """The number that a word of the table holds."""
    if dtype in FLOATS:
        return np.array(word, np.int64).view(np.float64).astype(dtype)[()]
    return np.array(word, np.int64).astype(dtype)[()]
