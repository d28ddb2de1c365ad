"""What the report says about a case, computed from its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

US = "numgraph"


@dataclass(frozen=True)
class Spread:
    """The least, the median and the quartiles of some measurements."""

    least: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Of at least one value."""
        low, median, high = (float(x) for x in np.percentile(values, [25, 50, 75]))
        return cls(min(values), median, low, high)


@dataclass(frozen=True)
class Comparison:
    """numgraph against another peer. pairs: the ratios of values of the same round, one measured after the other.
    least: the ratio of the least values, of whatever rounds, which is what each reaches undisturbed.

    Below 1, numgraph is better.
    """

    peer: str
    pairs: Spread
    least: float

    @property
    def ratio(self) -> float:
        """The case's ratio: the middle of those of the rounds."""
        return self.pairs.median


def timed(case: dict[str, Any]) -> dict[str, Spread]:
    """The peers that have figures."""
    return {name: Spread.of(r["values"]) for name, r in case["results"].items() if r["status"] == "timed"}


def compare(case: dict[str, Any], among: tuple[str, ...] | None = None) -> Comparison | None:
    """numgraph against the best other peer, of those in `among`; None where one of the two has no figures."""
    found = timed(case)
    others = {name: s for name, s in found.items() if name != US and (among is None or name in among)}
    if US not in found or not others:
        return None
    best = min(others, key=lambda name: others[name].median)
    a, b = (case["results"][name]["values"] for name in (US, best))
    pairs = [x / y for x, y in zip(a, b, strict=False)]
    return Comparison(best, Spread.of(pairs), found[US].least / others[best].least)


def over_limit(case: dict[str, Any], name: str = US) -> float | None:
    """The peer's least time over the machine's limit; None where there is no limit or no time."""
    found = timed(case)
    return found[name].least / case["limit"] if case.get("limit") and name in found else None


def limit_text(case: dict[str, Any]) -> str:
    """`3.2, bandwidth`: numgraph's least time over the machine's limit, and what that is; "" where there is none."""
    over = over_limit(case)
    # reports of before have no reason
    return ", ".join(filter(None, [f"{over:.1f}", case.get("limited_by")])) if over else ""


def amount(value: float, unit: str) -> str:
    """`12.3 µs`, `1.24 s` or `310 MB`: three digits."""
    if unit == "B":
        return f"{value / 1e6:,.0f} MB"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        scaled = value * factor
        if scaled >= 1 or name == "ns":
            break
    return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {name}"
