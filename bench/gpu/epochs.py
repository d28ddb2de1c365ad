"""Whole epochs against other libraries on the same device, each in a process of its own, asked in turn."""

from __future__ import annotations

import math
import os
import time
from typing import Any

from bench import machine, problems
from bench.gpu.programs import BATCHES, KINDS, sizes_of
from bench.gpu.tools import Context, Section
from bench.peers import GPU_PEERS, PEERS
from bench.pool import Pool

# Of one build and check; torch.compile takes the most.
PATIENCE = 75.0
LEAST, REPEATS = 0.05, 5
CHECKED = 3
# The steps of a swept epoch that are timed.
SWEPT = 300


def epochs(context: Context) -> Section:
    """Per step of a swept epoch: numgraph here and on the processor, PyTorch three ways, JAX."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    found = Section()
    us = context.pick("numgraph-sim", "numgraph-cuda")
    names = [us] if context.simulated else [us, "numgraph", "torch-cuda", "torch-cuda-compile", "torch-cuda-graphs",
                                            "jax-cuda"]  # fmt: skip
    known = PEERS | GPU_PEERS
    labels = [known[n].label + (" on the processor" if n == "numgraph" else "") for n in names]
    rows = found.table("µs per step of an epoch, swept", "program", *labels, "numgraph / best other")
    with Pool(names, machine.usable(), PATIENCE) as pool:
        here = _present(found, pool, names)
        if us not in here:
            found.check("numgraph", False, found.facts.get(us, ""))
            return found
        # the middle batch first: it is the one that an aim is about
        for batch in context.pick((5,), (BATCHES[1], BATCHES[0], BATCHES[2])):
            for kind in KINDS:
                name = f"{kind}, batch {batch}"
                if context.over(found, name):
                    return found
                left = context.end - time.monotonic()
                asked = [n for n in here if n != "torch-cuda-compile" or left > 1.5 * PATIENCE]
                took = _case(found, pool, asked, kind, sizes_of(context, batch), name, us)
                cells = [None if took.get(n) is None else took[n] * 1e6 for n in names]
                others = [took[n] for n in asked if n not in (us, "numgraph") and took.get(n) is not None]
                ratio = took[us] / min(others) if others and took.get(us) is not None else None
                rows.append([name, *cells, ratio])
                if (kind, batch) == ("logreg", 600) and ratio is not None:
                    found.aim("logreg, batch 600, swept: at most 0.5 of the best other", ratio <= 0.5, f"{ratio:.2f}")
    return found


def _present(found: Section, pool: Pool, names: list[str]) -> list[str]:
    """The peers whose libraries are installed; the facts say which."""
    here = []
    for name, (status, content) in pool.all(names, "hello").items():
        found.facts[name] = (
            ", ".join(f"{n} {v}" for n, v in content.items()) if status == "ok" else f"{status}: {content}"
        )
        if status == "ok":
            here.append(name)
    return here


def _case(
    found: Section, pool: Pool, names: list[str], kind: str, sizes: problems.Sizes, title: str, us: str
) -> dict[str, Any]:
    """Seconds per step of the peers that are right."""
    steps = min(SWEPT, sizes["R"] // sizes["B"])
    checked = min(CHECKED, steps)
    want = problems.expected(kind, sizes, checked)
    right = []
    for name, (status, content) in pool.all(names, "build", kind, sizes, "sweep", checked, steps).items():
        wrong = problems.difference(kind, content[1], want) if status == "ok" else f"{status}: {content}"
        if wrong:
            found.facts[f"{title}: {name}"] = wrong
        else:
            right.append(name)
    found.check(f"{title}: numgraph is right", us in right, found.facts.get(f"{title}: {us}", ""))
    took = pool.in_turn(right, LEAST, REPEATS)
    pool.all(names, "drop")
    return {n: min(v) if isinstance(v, list) and v and math.isfinite(min(v)) else None for n, v in took.items()}
