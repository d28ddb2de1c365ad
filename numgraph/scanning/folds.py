"""Loops with less to say than `scan`: over elements alone, or with what is left after the last one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.errors import OptionError
from numgraph.scanning.api import scan, scanned
from numgraph.updates import Updates

__all__ = ["foldl", "foldr", "map", "reduce", "scan_checkpoints"]


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


def scan_checkpoints(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    name: str | None = None,
    n_steps: Any = None,
    save_every_N: int = 10,
    no_padding: bool = False,
) -> tuple[Any, Updates]:
    """A `scan` that has its outputs after every `save_every_N` steps alone, and after the last one. Returns (outputs,
    updates).

    Gradients keep the states there, and compute the steps in between again: less memory, for one more pass over the
    steps. `scan(..., checkpoint=N)` does the same, and has the outputs of all steps. An output whose `outputs_info` is
    None is computed for all steps. no_padding: as in Theano, without effect: any number of steps will do.

    OptionError for a `save_every_N` that is no number of steps; else as `scan`.
    """
    if type(save_every_N) is not int or save_every_N < 1:
        raise OptionError(f"scan_checkpoints: save_every_N is a number of steps, not {save_every_N!r}")
    scanner = scanned(fn, sequences, outputs_info, non_sequences, n_steps, False, name)
    scanner.graph.checkpoint = save_every_N
    return scanner.results(False, every=save_every_N)
