"""`theano.scan` and what is written with it: numgraph's own, with Theano's class of updates."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from numgraph.compat.functions import OrderedUpdates
from numgraph.scanning import api, folds


def _ordered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with `OrderedUpdates` for the updates."""

    @wraps(function)
    def wrapped(*args: Any, **named: Any) -> Any:
        outputs, updates = function(*args, **named)
        return outputs, OrderedUpdates(updates)

    return wrapped


_FUNCTIONS = (api.scan, folds.map, folds.reduce, folds.foldl, folds.foldr, folds.scan_checkpoints)

SCAN = {**{f.__name__: _ordered(f) for f in _FUNCTIONS}, "until": api.until}
