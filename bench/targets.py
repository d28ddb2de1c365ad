"""What numgraph aims at, as data, and whether a report shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench import figures
from bench.peers import PEERS

# A program by hand is no library: it imports nothing but NumPy, as numgraph does too, and has nothing to derive.
LIBRARIES = tuple(name for name, peer in PEERS.items() if peer.differentiates and name != figures.US)


@dataclass(frozen=True)
class Target:
    """A case may take at most this share of the best peer's time, and this multiple of the machine's limit.

    among: the peers that count, None for all.
    """

    case: str
    at_most: float
    limit: float | None = None
    among: tuple[str, ...] | None = None
    note: str = ""


TARGETS = (
    Target("logreg step, batch 20, swept", 0.4),
    Target("logreg step, batch 600", 0.6, limit=2.0),
    Target("mlp step, batch 20", 0.8),
    Target("mlp step, batch 600", 1.0),
    Target("elementwise chain", 1.0),
    Target("chain and sum", 1.0),
    Target("softmax rows", 1.0),
    Target("call of a scalar function", 0.3),
    Target("first result, warm cache (logreg)", 0.25, among=LIBRARIES, note="of the libraries that differentiate"),
    Target("first result, empty cache (logreg)", 1.0, among=LIBRARIES, note="of the libraries that differentiate"),
    Target("compile, gradient of a 1,000-op chain", 1.0, among=("jax",), note="of JAX"),
)


@dataclass(frozen=True)
class Outcome:
    """A target beside what was reached; `met` is None where that was not measured."""

    target: Target
    reached: str
    best: str
    met: bool | None


def judge(report: dict[str, Any]) -> list[Outcome]:
    """Every target, in order."""
    cases = {case["name"]: case for case in report["cases"]}
    return [_outcome(target, cases.get(target.case)) for target in TARGETS]


def required(target: Target) -> str:
    """`0.60; 2.0 of the limit`."""
    return f"{target.at_most:.2f}" + (f"; {target.limit:.1f} of the limit" if target.limit else "")


def _outcome(target: Target, case: dict[str, Any] | None) -> Outcome:
    found = figures.compare(case, target.among) if case else None
    if case is None or found is None:
        return Outcome(target, _why(case), "", None)
    reached, met = f"{found.ratio:.2f}", found.ratio <= target.at_most
    if target.limit:
        over = figures.over_limit(case)
        if over is None:
            return Outcome(target, reached, found.peer, None)
        reached, met = f"{reached}; {over:.1f} of the limit", met and over <= target.limit
    return Outcome(target, reached, found.peer, met)


def _why(case: dict[str, Any] | None) -> str:
    """Why there is no ratio."""
    if case is None:
        return "not measured"
    ours = case["results"].get(figures.US)
    if ours is None:
        return "numgraph not measured"
    return "no peer measured" if ours["status"] == "timed" else f"numgraph {ours['status']}"
