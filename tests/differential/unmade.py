"""Steps that no loop makes: what does not fit in one is refused all the same, see docs/scan.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import numgraph as ng
from numgraph import reference
from numgraph.ops.loop import Loop

Array = np.ndarray[Any, Any]


@contextmanager
def tried(problems: list[Exception]) -> Iterator[None]:
    """While the reference computes: of each loop that makes no steps, also within steps, one is tried.

    What the step raises goes to `problems`; zeros stand for the elements of sequences.
    """
    run = reference.run_loop

    def trying(results: Sequence[ng.Variable], arrays: Sequence[Array], *rest: Any) -> dict[ng.Variable, Array]:
        loop: Loop = results[0].attrs["loop"]
        if int(arrays[0]) == 0 and not loop.lazy:
            elements = [np.zeros((1, *s.shape[1:]), s.dtype) for s in loop.parts(arrays[1:])[0]]
            try:
                run(results, [np.ones_like(arrays[0]), *elements, *arrays[1 + len(elements) :]], *rest)
            except ng.NumgraphError as error:
                problems.append(error)
        return run(results, arrays, *rest)

    reference.run_loop = trying
    try:
        yield
    finally:
        reference.run_loop = run


def refusals(problems: Sequence[Exception]) -> tuple[type[Exception], ...]:
    """The errors that may be said: where a step has several, whichever is looked for first."""
    return (ng.ShapeError, ng.IndexOutOfRange, *map(type, problems)) if problems else ()
