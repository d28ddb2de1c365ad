"""Settings, and the only place that reads the environment.

`config.floatX` and the others are read at each use, never captured at import, so that assigning one takes effect at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


def _default_cache_dir() -> Path:
    """The folder of compiled code: NUMGRAPH_CACHE_DIR, else the user's cache folder."""
    chosen = os.environ.get("NUMGRAPH_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "numgraph"


@dataclass
class Config:
    """The settings of this process.

    floatX: dtype of floats whose dtype is not given ("float64" or "float32").
    target: where functions run unless they say otherwise ("cpu" or "reference").
    on_unused_input: "raise", "warn" or "ignore".
    cache_dir: folder of generated source and compiled code.
    verify: check the graph after each stage (slow; for tests).
    debug: 1 prints a line per compilation, 2 the rewrites too, 3 the graph, 4 the generated source.
    """

    floatX: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_FLOATX", "float64"))
    target: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_TARGET", "cpu"))
    on_unused_input: str = "raise"
    cache_dir: Path = field(default_factory=_default_cache_dir)
    verify: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_VERIFY", "0") == "1")
    debug: int = field(default_factory=lambda: int(os.environ.get("NUMGRAPH_DEBUG", "0")))


config = Config()
