"""What a refused call means to the user: the error, in the terms of the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.binder import Array
from numgraph.errors import AssertionFailed, IndexOutOfRange, MatrixError, NumgraphError, ShapeError, SizeError
from numgraph.ir import Graph, Node, Requirement, involved
from numgraph.lengths.values import Values
from numgraph.loops.values import Broken, Raised
from numgraph.program import Program
from numgraph.reference import evaluate
from numgraph.rewrite.assume import Leaf
from numgraph.runtime.users import raised_again, raised_error
from numgraph.shared import SharedVariable
from numgraph.source import SourceLine
from numgraph.target import GONE, Cause, CheckFailed


def refused(program: Program, problem: CheckFailed, arguments: Sequence[Array], leaf: Leaf) -> NumgraphError:
    """The error for a call with these arguments, whose arrays `leaf` knows."""
    error = error_of(problem, leaf)
    if isinstance(problem.cause, Raised) and not problem.words:
        return raised_again(program, problem.cause, arguments, error)
    return asserted_again(program, arguments, error) if isinstance(error, AssertionFailed) else error


def asserted_again(program: Program, arguments: Sequence[Array], error: AssertionFailed) -> NumgraphError:
    """The error that the reference meets, with the value that fails; `error` if it meets none.

    Shared variables are as they were, so the assertion sees the same arrays.
    """
    try:
        evaluate(program.results, dict(zip(program.variables, arguments, strict=True)))
    except NumgraphError as found:
        return found if isinstance(found, AssertionFailed) else error
    return error


def asserts(cause: Cause) -> bool:
    """Whether a condition on indices is an assertion of the user's."""
    node = cause.node
    return isinstance(node, Node) and node.op is not None and any(c.error is AssertionFailed for c in node.op.checks)


def leaves_of(shared: Sequence[SharedVariable], arguments: Sequence[Array]) -> Leaf:
    """The arrays that the leaves of any variant of a program are in a call; of what is on a device the shape alone."""

    def leaf(node: Node) -> Any:
        if node.kind == "shared":
            storage = shared[node.attrs[0]].storage
            return storage.held if storage.remote is None else storage
        return node.graph.arrays[node.attrs[0]] if node.kind == "array" else arguments[node.attrs[0]]

    return leaf


def is_mismatch(problem: CheckFailed) -> bool:
    """Whether an assumption of equal lengths failed on lengths that do not broadcast either."""
    cause, a, b = problem.cause, problem.a, problem.b
    node = cause.node
    if isinstance(cause, Requirement) and cause.idle:
        return False
    return isinstance(node, tuple) and len(node) > 1 and a != b and 1 not in (a, b)


def error_of(problem: CheckFailed, leaf: Leaf | None = None) -> NumgraphError:
    """The error that a failed check means to the user: what, with which values, the arrays and lines involved, with
    their lengths in the call where `leaf` knows it."""
    graph, cause, values = problem.graph, problem.cause, Values(leaf or (lambda node: None))
    shapes = cause.shapes if isinstance(cause, Requirement) else {v: v.dims for v in involved(cause.node)}
    shown = "".join(graph.where(v, [values(n) for n in lengths]) for v, lengths in shapes.items())
    shown += called_at(graph, cause)
    if isinstance(cause, Raised):
        return raised_error(cause, problem.words, shown)
    if isinstance(cause, Broken):
        return broken_error(graph, cause, problem.a, values)
    a, b = problem.a, problem.b
    if asserts(cause):
        return AssertionFailed(f"assert_op: {cause.node.attributes['message']}\n{shown}".rstrip("\n"))
    if (a, b) == GONE and not isinstance(cause, Requirement):
        return IndexOutOfRange(f'an index is out of range\n{shown}  fix: target="cpu" says which one, for what length')
    if not isinstance(cause, Requirement) or cause.kind == "range":
        what = f"index {a} is out of range for an axis of length {b}"
        return IndexOutOfRange(f"{what}\n{shown}  fix: indices must lie in [-{b}, {b})")
    if isinstance(cause.node, tuple):
        # in the order of the operands, whichever the condition names first
        met = [n for lengths in shapes.values() for n in map(values, lengths)]
        if a in met and b in met and met.index(b) < met.index(a):
            a, b = b, a
    text = cause.message.format(a=a, b=b)
    if "{a}" not in cause.message and cause.kind != "nonempty":
        text += f" ({a} and {b})"
    return class_of(cause)(f"{text}\n{shown}".rstrip("\n"))


def broken_error(graph: Graph, cause: Broken, status: int, values: Values) -> NumgraphError:
    """The error for a status of a kernel: what is wrong with which matrix, and the array that it is a part of."""
    node = cause.node
    assert node.op is not None and node.op.kernel is not None
    matrix = node.inputs[0]
    while matrix not in graph.names and matrix.op is not None and matrix.op.raises and matrix.op.user is None:
        # the factors of an array that users know
        matrix = matrix.inputs[0]
    shown = graph.where(matrix, [values(n) for n in matrix.dims]) + called_at(graph, cause)
    what = node.op.called(node.attributes)
    if status < 0:
        return SizeError(f"{what}: there is no memory for the work\n{shown}".rstrip("\n"))
    which = f", matrix {status - 1} of the stack" if len(matrix.dims) > 2 else ""
    return MatrixError(f"{what}: {node.op.kernel.fails}{which}\n{shown}".rstrip("\n"))


def called_at(graph: Graph, cause: Cause) -> str:
    """`  dot called at train.py:34`, the operation that needs a condition."""
    node, what = cause.node, ""
    lines: Sequence[SourceLine] = ()
    if isinstance(node, Node) and node.op is not None:
        lines, what = graph.lines.get(node, ()), node.op.called(node.attributes)
    elif isinstance(cause, Requirement):
        lines, what = cause.lines, cause.message.partition(":")[0]
    return f"  {what} called at {', '.join(map(str, lines))}\n" if lines and what and cause.kind != "length" else ""


def class_of(cause: Requirement) -> type[NumgraphError]:
    """The class of the error for a condition: what the op that needs it says."""
    if cause.kind == "fits":
        return SizeError
    checks = cause.node.op.checks if isinstance(cause.node, Node) and cause.node.op is not None else ()
    return next((check.error for check in checks if cause.message.endswith(check.message)), ShapeError)
