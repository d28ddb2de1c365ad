"""The cases: a model at a batch size. Each is checked before it is timed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench import byhand, programs
from bench.harness import Timing, alternate
from numgraph.demo.digits import Digits
from numgraph.demo.models import Program

# Steps from equal weights after which both sides must agree, and how closely: float32, sums in another order.
CHECKED_STEPS, RTOL, ATOL = 10, 2e-4, 2e-5


@dataclass(frozen=True)
class Case:
    """One training step: model "logreg" or "mlp", rows of a minibatch."""

    model: str
    batch: int

    @property
    def name(self) -> str:
        """`logreg/20`."""
        return f"{self.model}/{self.batch}"


CASES = [Case(model, batch) for model in ("logreg", "mlp") for batch in (20, 600)]


def sides(case: Case, digits: Digits, target: str | None = None) -> tuple[Program, byhand.LogReg | byhand.Mlp]:
    """Both sides of a case, with equal weights in arrays of their own."""
    program = programs.build(case.model, digits, case.batch, target)
    start = [p.get_value() for p in program.model.params]
    return program, byhand.STEPS[case.model](start, digits.train, case.batch, programs.rate(case.model))


def check(case: Case, program: Program, step: byhand.LogReg | byhand.Mlp) -> None:
    """Take a few steps on both sides, the clipped last minibatch among them; AssertionError where results differ."""
    count = len(program.batches("train"))
    indices = [*(k % count for k in range(CHECKED_STEPS)), count - 1]
    for index in indices:
        got, want = program.train(index), step(index)
        np.testing.assert_allclose(got, want, RTOL, ATOL, err_msg=f"{case.name}: cost of step {index}")
    for parameter, array in zip(program.model.params, step.params, strict=True):
        np.testing.assert_allclose(
            parameter.get_value(),
            array,
            RTOL,
            ATOL,
            err_msg=f"{case.name}: {parameter.name} after {len(indices)} steps",
        )


def run(case: Case, digits: Digits, repeats: int, least: float, target: str | None = None) -> Timing:
    """Check the case, then time it on full minibatches."""
    program, step = sides(case, digits, target)
    check(case, program, step)
    full = range(len(digits.train) // case.batch)
    return alternate(program.train, step, full, repeats, least)
