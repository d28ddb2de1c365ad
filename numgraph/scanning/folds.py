"""Loops with less to say than `scan`: over elements alone, or with what is left after the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.scanning.api import scan, scanned
from numgraph.updates import Updates

__all__ = ["foldl", "foldr", "map", "reduce"]


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """fn of each element along axis 0 of the sequences. Returns (outputs, updates), see `scan`."""
    return scan(
        fn, sequences, [], non_sequences, truncate_gradient=truncate_gradient, go_backwards=go_backwards, name=name
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """What is left of outputs_info when fn(element, so far) has gone over the sequences. Returns (outputs, updates)."""
    scanner = scanned(fn, sequences, outputs_info, non_sequences, None, go_backwards, name)
    return scanner.results(False, reduced=True)


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """`reduce` from the first element to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """`reduce` from the last element to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)
