"""Errors of users' functions in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from numgraph.errors import FunctionError, NumgraphError
from numgraph.graph import toposort
from numgraph.ir import Graph, Node
from numgraph.loops.values import Raised
from numgraph.ops.user import array_type, called, number_returned, number_type, result_type
from numgraph.program import Program
from numgraph.reference import evaluate
from numgraph.types import FLOATS

Result = TypeVar("Result")


def raised_error(cause: Raised, words: Sequence[int], shown: str) -> FunctionError:
    """The error for a call that raised. words: its arguments, as compiled code has left them; shown: the operands and
    lines, for the message.

    The function is called once more with them, to see what it raises.
    """
    node = cause.node
    assert node.op is not None and node.op.user is not None
    user = node.op.user
    if cause.slot is None:
        return FunctionError(f"{node.op.title}: raised an exception\n{shown}  {user.name} is defined at {user.line}")
    values = [_number(word, v.dtype) for word, v in zip(words, node.inputs, strict=True)]
    found: BaseException | None = None
    try:
        called(user, values)
        said = (
            f"raised an exception for ({', '.join(map(str, values))}), and none when it was called again\n"
            "  one that prints or works with objects cannot be called from generated code"
        )
    except FunctionError as problem:
        found, said = problem.__cause__, str(problem)
    error = FunctionError(f"{node.op.title}: {said}\n{shown}  {user.name} is defined at {user.line}")
    error.__cause__ = found
    return error


def raised_again(program: Program, cause: Raised, arrays: Sequence[Any], error: NumgraphError) -> NumgraphError:
    """The error that the reference meets in the calls of the same function, with what it raised; `error` if in none.

    Shared variables are as they were, so the function gets the same arrays.
    """
    known = {a.variable: array for a, array in zip(program.inputs, arrays, strict=True)}
    roots = [*program.outputs, *(value for _, value in program.updates)]
    for variable in toposort(roots, stop=known):
        if variable.op is cause.node.op:
            try:
                evaluate([variable], known)
            except FunctionError as found:
                return found
    return error


def explained(build: Callable[[], Result], graph: Graph) -> Result:
    """What `build` gives; DtypeError, with the user's line, where Numba refuses a user's function in it."""
    users = [v for v in graph.table.values() if v.op is not None and v.op.user is not None]
    if not users:
        return build()
    from numba.core.errors import NumbaError

    try:
        return build()
    except NumbaError:
        for node in users:
            _check_compiles(graph, node)
        raise


def _check_compiles(graph: Graph, node: Node) -> None:
    """DtypeError if Numba does not compile the function of a node by itself, for the types that it gets there."""
    assert node.op is not None and node.op.user is not None
    user, kernel = node.op.user, node.op.kernel
    lines = ", ".join(map(str, graph.lines.get(node, ())))
    told = [*(graph.where(v).strip() for v in node.inputs), *([f"{user.name} called at {lines}"] if lines else [])]
    if kernel is None:
        number_returned(user, [v.dtype for v in node.inputs], told)
        return
    types = [array_type(v.dtype, len(v.dims), True) if v.dims else number_type(v.dtype) for v in node.inputs]
    result_type(user, [*types, *(array_type(node.dtype, rank, False) for rank in kernel.ranks)], told)


def _number(word: int, dtype: str) -> Any:
    """The number that a word of the table holds."""
    if dtype in FLOATS:
        return np.array(word, np.int64).view(np.float64).astype(dtype)[()]
    return np.array(word, np.int64).astype(dtype)[()]
