"""Gradients against differences, and against those of the same loops with nothing in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.reference import evaluate
from tests.differential import draws, grades, users
from tests.differential.grades import Grade, Worth
from tests.differential.program import Program, Step, names_in

Array = np.ndarray[Any, Any]
Values = dict[str, Worth]


class Fault(AssertionError):
    """Something that differs. sort: in few words, for grouping."""

    def __init__(self, sort: str, message: str) -> None:
        super().__init__(message)
        self.sort = sort


def check_slope(slope: tuple[str, str], worth: Worth, variables: Mapping[str, Any], values: Values) -> None:
    """A few elements of a gradient against central differences, where those of two widths agree."""
    cost, x = slope
    variable = eval(cost, {"np": np, "ng": ng, "users": users, "draws": draws, **variables})
    known = {variables[n]: values[n].array for n in names_in(cost)}
    point = values[x].array
    if not np.all(np.isfinite(worth.array)) or not point.size:
        return

    def at(index: tuple[int, ...], h: float, near: Array = point) -> float:
        moved = near.copy()
        moved[index] += h
        return float(evaluate([variable], {**known, variables[x]: moved})[0])

    try:
        at((0,) * point.ndim, 0.0)
    except ng.NumgraphError:
        # a gradient that is 0 whatever the cost is does not need a cost that can be computed
        if worth.array.any():
            raise
        return
    for flat in {0, point.size // 2, point.size - 1}:
        index = tuple(int(k) for k in np.unravel_index(flat, point.shape))
        middle = at(index, 0.0)
        sides = [(at(index, h) - middle) / h for h in (1e-5, -1e-5, 4e-5, -4e-5)]
        size = max(map(abs, sides)) + abs(middle) * 1e-3 + 1
        if not np.isfinite(size) or max(sides) - min(sides) > 1e-2 * size:
            continue
        wanted, got = (sides[0] + sides[1]) / 2, float(worth.array[index])
        if abs(got - wanted) > 2e-2 * size:
            # where elements are equal, a sort has no slope, though differences may happen to agree: nearby they do not
            random = np.random.default_rng(0)
            near = [point + 1e-3 * random.uniform(-1, 1, point.shape).astype(point.dtype) for _ in range(10)]
            slopes = [(at(index, 1e-6, p) - at(index, -1e-6, p)) / 2e-6 for p in near]
            if max(abs(slope - wanted) for slope in slopes) > 2e-2 * size:
                continue
            raise Fault(
                "gradient differs from differences",
                f"gradient of {cost} for {x} at {index}: {got}, differences {wanted}",
            )


def check_apart(step: Step, worth: Worth, program: Program, variables: Mapping[str, Any], values: Values) -> None:
    """A gradient of gradients of loops against the same of loops that are written anew at each place."""
    loops = {s.name: s.code for s in program.steps if s.body is not None and s.name in step.uses}
    if not loops or worth.grade == Grade.UNSURE:
        return
    code = re.sub(r"\b(?:" + "|".join(loops) + r")\b", lambda found: loops[found[0]], step.code)
    variable = eval(code, {"np": np, "ng": ng, "users": users, "draws": draws, **variables})
    known = {variables[n]: worth.array for n, worth in values.items() if n not in loops}
    try:
        loose = replace(worth, grade=min(worth.grade, Grade.ROUNDED))
        grades.check(loose, evaluate([variable], known)[0], f"{step.name} = {step.code}, loops apart")
    except AssertionError as error:
        raise Fault("gradient differs from that of loops apart", str(error)) from None
