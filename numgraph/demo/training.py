"""Gradient descent with the tutorial's early stopping."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from numgraph.demo.models import Program

# A better validation error must be this much better before the patience grows, and then it grows to this many times
# the steps.
IMPROVEMENT, INCREASE = 0.995, 2


@dataclass
class Progress:
    """Where training stands.

    step: training steps so far. limit: steps after which it stops unless the validation error improves. cost: mean
    over the steps since the last report. valid: the last validation error, best: the lowest; test: test error at the
    best. Errors are shares, 0 to 1. step_seconds: time in the training function alone, all steps together.
    """

    epoch: int = 0
    step: int = 0
    limit: int = 0
    cost: float = np.inf
    valid: float = 1.0
    best: float = 1.0
    best_step: int = 0
    test: float = 1.0
    step_seconds: float = 0.0
    stopped: str = ""


def fit(program: Program, epochs: int, patience: int, every: float = np.inf) -> Iterator[Progress]:
    """Train, and yield the progress (one object, changed in place) after each validation, and each `every` seconds.

    The validation error is looked at every epoch, or more often when the patience is shorter than two epochs.
    Training goes on for at least `patience` steps and for twice the steps that led to the last clear improvement, but
    never more than `epochs`.
    """
    batches = program.batches("train")
    longest = epochs * len(batches)
    interval = max(1, min(len(batches), patience // 2))
    now = Progress(limit=min(patience, longest))
    costs: list[float] = []
    seen = time.perf_counter()
    for now.epoch in range(1, epochs + 1):
        for index in batches:
            began = time.perf_counter()
            cost = program.train(index)
            now.step_seconds += time.perf_counter() - began
            costs.append(float(cost))
            now.step += 1
            if now.step % interval and now.step < now.limit:
                if time.perf_counter() - seen > every:
                    now.cost = float(np.mean(costs))
                    yield now
                    seen = time.perf_counter()
                continue
            now.cost = float(np.mean(costs))
            costs.clear()
            patience = _validate(program, now, patience)
            now.limit = max(now.step, min(patience, longest))
            if now.step == now.limit:
                now.stopped = f"{epochs} epochs done" if now.step == longest else "no improvement"
            yield now
            seen = time.perf_counter()
            if now.stopped:
                return


def _validate(program: Program, now: Progress, patience: int) -> int:
    """Measure the validation error, and the test error where it is the best so far; the patience from now on."""
    now.valid = program.error("valid")
    if now.valid < now.best:
        if now.valid < now.best * IMPROVEMENT:
            patience = max(patience, now.step * INCREASE)
        now.best, now.best_step = now.valid, now.step
        now.test = program.error("test")
    return patience
