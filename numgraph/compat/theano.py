"""Theano's modules under their own names: `import numgraph.compat.theano as theano`.

What differs, and what is not there yet, is in docs/theano.md. The names come from the tables in
`numgraph.compat.modules`; importing this gives variables the attributes of `numgraph.compat.variables`.
"""

from __future__ import annotations

import sys
from typing import Any

from numgraph.compat import functions, modules, variables

variables.install(functions.evaluated)
modules.fill(sys.modules, sys.modules[__name__])


def __getattr__(name: str) -> Any:
    """AttributeError for a name that Theano has not, or that nobody has asked for yet."""
    raise AttributeError(f"numgraph.compat.theano has no {name!r}")
