"""Settings, and the only place that reads the environment.

`config.floatX` and the others are read at each use, never captured at import, so that assigning one takes effect at
once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from numgraph.errors import OptionError


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
    debug: 1 prints a line per compilation on standard error, 2 also the generated source with the user's lines.

    AttributeError for another name, OptionError for a value that is none of those listed.
    """

    floatX: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_FLOATX", "float64"))
    target: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_TARGET", "cpu"))
    on_unused_input: str = "raise"
    cache_dir: Path = field(default_factory=_default_cache_dir)
    debug: int = field(default_factory=lambda: int(os.environ.get("NUMGRAPH_DEBUG", "0")))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set one of the settings."""
        if name not in _SETTINGS:
            raise AttributeError(f"numgraph has no setting {name!r}; there are: {', '.join(_SETTINGS)}")
        allowed = _ALLOWED.get(name)
        if allowed and value not in allowed:
            raise OptionError(f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}")
        object.__setattr__(self, name, Path(value) if name == "cache_dir" else value)


_SETTINGS = tuple(f.name for f in fields(Config))
_ALLOWED = {
    "floatX": ("float64", "float32"),
    "target": ("cpu", "reference"),
    "on_unused_input": ("raise", "warn", "ignore"),
}


config = Config()
