"""What a program must give: computed step by step, each step compared with NumPy; and what a target gave instead."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.graph import toposort
from numgraph.op import Op
from numgraph.schedule import chunks
from tests.differential import draws, grades, plain, session, slopes, unmade, users
from tests.differential.drawer import computed, quiet
from tests.differential.grades import Grade, Worth
from tests.differential.program import Program, Step, text
from tests.differential.slopes import Fault

Array = np.ndarray[Any, Any]
Values = dict[str, Worth]


def outcomes(program: Program, target: str) -> list[Any] | Exception:
    """What a target gives for each call; an exception where the program cannot be built."""
    arrays: list[Array] = []

    def shown(array: Array) -> str:
        for k, known in enumerate(arrays):
            if known is array:
                return f"A[{k}]"
        arrays.append(array)
        return f"A[{len(arrays) - 1}]"

    source = text(program, shown)
    space: dict[str, Any] = {
        "np": np, "ng": ng, "users": users, "draws": draws, "A": arrays, "Session": session.Session,
        "Block": session.Block,
        "arranged": session.arranged,
    }  # fmt: skip
    before = ng.config.threads, ng.config.floatX, chunks.GRAIN
    try:
        exec(compile(source, f"<program {program.seed}>", "exec"), space)
        return list(space["run"](target))
    except Exception as error:
        return error
    finally:
        ng.config.threads, ng.config.floatX, chunks.GRAIN = before


@dataclass
class Expected:
    """The state of the program between calls, and the values within one."""

    program: Program
    variables: dict[str, Any]
    state: Values
    # what the steps of the last call gave, as far as none failed
    values: Values
    # the steps that the function computes: a gradient may name a value that it does not need
    reached: set[str]
    # and those of which it computes elements: of others it knows the lengths without
    elements: set[str]
    # and those of which a view or a choice of elements stands before every result
    partly: set[str]
    # what steps would raise that loops did not make
    unmade: list[Exception] = field(default_factory=list)

    @classmethod
    def of(cls, program: Program) -> Expected:
        """The program's variables, built once more."""
        space: dict[str, Any] = {"np": np, "ng": ng, "users": users, "draws": draws}
        for v in program.inputs:
            space[v.name] = ng.tensor(v.label, dtype=v.dtype, shape=v.known)
        state = {}
        for v, array in zip(program.shared, program.values, strict=True):
            space[v.name] = ng.shared(array, v.label)
            state[v.name] = leaf(array)
        for step in program.steps:
            space[step.name] = eval(step.code, space)
        variables = {k: v for k, v in space.items() if isinstance(v, ng.Variable)}
        wanted = program.outputs + [value for _, value in program.updates + program.givens]
        roots = [variables[n] for n in wanted]
        inside = {id(v) for v in toposort(roots)}
        reached = {n for n, v in variables.items() if id(v) in inside}
        needed, whole = of_elements(roots), read_whole(roots)
        elements = {n for n in reached if id(variables[n]) in needed}
        partly = {n for n in reached if id(variables[n]) not in whole}
        return cls(program, variables, state, {}, reached, elements, partly)

    def call(self, arrays: list[Array]) -> tuple[Values, dict[str, Exception]]:
        """The values of a call, and the steps that fail; the state afterwards is kept."""
        program = self.program
        start = dict(self.state)
        start |= {v.name: leaf(a) for v, a in zip(program.arguments, arrays, strict=True)}
        with unmade.tried(self.unmade):
            values, problems = self.computed(start)
            if program.givens:
                start |= {key: values[value] for key, value in program.givens if value in values}
                values, problems = self.computed(start)
        if not problems:
            self.state |= {s: values[value] for s, value in program.updates}
        self.values = values
        return values, problems

    def computed(self, start: Values) -> tuple[Values, dict[str, Exception]]:
        values, problems = dict(start), dict[str, Exception]()
        for step in self.program.steps:
            if step.name not in self.reached or any(n in problems for n in step.uses):
                continue
            try:
                worth = computed(self.variables[step.name], step.mode, step.uses, self.variables, values, step.body)
            except ng.MissingInputError:
                continue  # what stands for an input, before it does
            except (ng.NumgraphError, MemoryError) as error:
                problems[step.name] = error
                continue
            self.compare(step, worth, values)
            values[step.name] = worth
        return values, problems

    def compare(self, step: Step, worth: Worth, values: Values) -> None:
        """A step against NumPy, and a slope against differences."""
        code = plain.translated(step.code)
        if step.slope is not None:
            slopes.check_slope(step.slope, worth, self.variables, values)
        if step.code.count("ng.grad(") > 1:
            slopes.check_apart(step, worth, self.program, self.variables, values)
        if code is None or worth.grade == Grade.UNSURE or any(n not in values for n in step.uses):
            return
        known = {n: values[n].array for n in step.uses}
        if step.kind == "fourier" and not all(array.size for array in known.values()):
            return  # of an empty line NumPy's irfft reads memory that is not its own (2.4.6)
        if step.kind == "cast" and not plain.fits_whole(next(iter(known.values())), worth.array.dtype):
            return
        try:
            got = np.asarray(eval(code, {"np": np, "N": plain, "users": users.Twins, "draws": draws.Twins, **known}))
        except plain.NoSteps:
            return
        except Exception as error:
            # numgraph takes (0, -1) where the other lengths tell what is missing, and softmax of nothing
            if ("-1" in code and "reshape" in code) or (step.kind == "softmax" and not worth.array.size):
                return
            if isinstance(error, MemoryError):
                return
            raise Fault(f"NumPy refuses: {step.kind}", f"{step.name} = {step.code}: {error!r}") from error
        if worth.floating and got.dtype != worth.array.dtype:
            got = got.astype(worth.array.dtype)
        if "ng.log(" in step.code and worth.floating and got.shape == worth.array.shape:
            # NumPy's logarithm of a number below the smallest normal one is that of few digits
            rough = np.abs(worth.array) > -np.log(np.finfo(worth.array.dtype).smallest_normal)
            got = np.where(rough & (np.isfinite(got) | (got == -np.inf)), worth.array, got)
        try:
            loose = replace(worth, grade=min(worth.grade, Grade.ROUNDED)) if worth.floating else worth
            grades.check(loose, got, f"{step.name} = {step.code}, NumPy")
        except AssertionError as error:
            raise Fault(f"NumPy differs from the reference: {step.kind}", str(error)) from None


def of_elements(roots: list[ng.Variable]) -> set[int]:
    """The variables whose elements those of the roots are made of."""
    return made_of(roots, lambda op: op.name != "length")


def read_whole(roots: list[ng.Variable]) -> set[int]:
    """The variables that the roots are made of without a view or a choice of elements in between."""
    return made_of(roots, lambda op: op.element is None)


def made_of(roots: list[ng.Variable], through: Callable[[Op], bool]) -> set[int]:
    """The variables that the roots are made of, as far as `through` holds for the ops in between."""
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        v = waiting.pop()
        if id(v) not in found:
            found.add(id(v))
            waiting += v.inputs if v.op is None or through(v.op) else []
    return found


def leaf(array: Array) -> Worth:
    return Worth(array, Grade.EXACT, grades.largest(array) if array.dtype.kind == "f" else 0.0)


# Elements of the results and values of a call that a simulated device computes within seconds.
MOST = 20_000


def affordable(given: list[Any] | Exception) -> int:
    """How many calls a target is to make: updates may lengthen a value each time."""
    for number, outcome in enumerate([] if isinstance(given, Exception) else given):
        result, state = outcome
        arrays = state if isinstance(result, Exception) else [*result, *state]
        if sum(a.size for a in arrays) > MOST:
            return number
    return 1_000


@quiet()
def judge(program: Program, target: str) -> int:
    """How many calls were compared, none where no target can build the program.

    Fault for the first difference between a target, the reference and NumPy.
    """
    given = {"reference": outcomes(program, "reference")}
    session.Session.most = affordable(given["reference"])
    try:
        given[target] = outcomes(program, target)
    finally:
        session.Session.most = 1_000
    refused = {t: o for t, o in given.items() if isinstance(o, Exception)}
    if any(isinstance(error, MemoryError) for error in refused.values()):
        return 0  # arrays that grew from call to call beyond what the process may have
    if "loop" in program.kinds and is_refused_loop(refused.get(target)):
        return 0
    if refused:
        same = len(refused) == len(given) and len({type(e) for e in refused.values()}) == 1
        if same and isinstance(next(iter(refused.values())), ng.NumgraphError):
            return 0
        listed = "; ".join(f"{t}: {type(e).__name__}: {str(e)[:300]}" for t, e in refused.items())
        raise Fault(f"refused: {', '.join(sorted({type(e).__name__ for e in refused.values()}))}", listed)
    expected = Expected.of(program)
    number = 0
    for action in program.actions:
        if action.what == "set_value":
            expected.state[program.shared[action.number].name] = leaf(action.arrays[0])
        elif action.what in ("call", "sweep"):
            if given[target][number] is None:
                return number
            expected.unmade.clear()
            wanted = one_call(expected, action.arrays) if action.what == "call" else one_sweep(expected, action.arrays)
            if undecided(expected, target, wanted, given[target][number][0]):
                return number
            for t, list_ in given.items():
                compare(expected, wanted, list_[number], f"{t}, {action.what} {number}")
            number += 1
    return number


def undecided(expected: Expected, target: str, wanted: Wanted, result: Any) -> bool:
    """Whether a call may fail where the reference does not, or need not where it does."""
    # a step that is not made is looked at before the loop
    if isinstance(result, unmade.refusals(expected.unmade)):
        return True
    if not isinstance(wanted, dict):
        return False
    # an array of which only a length is used need not be computed, nor its indices be looked at
    if not expected.elements.issuperset(filter(None, wanted)):
        return True
    # a user's function is called for the elements that somebody reads
    if all(n in expected.partly and isinstance(error, ng.FunctionError) for n, error in wanted.items()):
        return True
    if isinstance(result, Exception):
        return False
    # of what a loop is given, only what its results need is computed; and a device does not tell of matrices
    given = {step.name for step in expected.program.steps if "ng.scan(" in step.code}
    for step in reversed(expected.program.steps):
        if step.name in given:
            given.update(step.uses)
    of_matrices = all(isinstance(e, ng.MatrixError) for e in wanted.values())
    return not given.isdisjoint(wanted) or (target != "cpu" and of_matrices)


def is_refused_loop(error: Exception | None) -> bool:
    """Whether a target says that it does not do such a loop, which the reference does."""
    words = ("length of a value varies from step to step", "a length depends on what a step computes")
    return isinstance(error, ng.ShapeError) and any(w in str(error) for w in words)


Wanted = list[Worth] | dict[str, Exception]


def one_call(expected: Expected, arrays: list[Array]) -> Wanted:
    values, problems = expected.call(arrays)
    return problems or [values[n] for n in expected.program.outputs]


def one_sweep(expected: Expected, arrays: list[Array]) -> Wanted:
    rows: list[list[Worth]] = []
    for k in range(len(arrays[0])):
        row = one_call(expected, [a[k] for a in arrays])
        if isinstance(row, dict):
            return row
        rows.append(row)
    columns = list(zip(*rows, strict=True))
    if any(len({w.array.shape for w in column}) > 1 for column in columns):
        return {"": ValueError("outputs of different lengths")}
    return [stacked(column) for column in columns]


def stacked(column: Sequence[Worth]) -> Worth:
    return Worth(
        np.stack([w.array for w in column]),
        min(w.grade for w in column),
        max(w.scale for w in column),
        any(w.single for w in column),
        np.stack([np.broadcast_to(w.error, w.array.shape) for w in column]),
        all(w.signed for w in column),
    )


def compare(expected: Expected, wanted: Wanted, got: tuple[Any, list[Array]], where: str) -> None:
    """One outcome of a target."""
    program, (result, shared) = expected.program, got
    target = where.split(",")[0]
    if isinstance(wanted, dict):
        compare_error(expected, wanted, result, where)
    elif isinstance(result, MemoryError) and "huge" in program.kinds:
        pass  # the reference makes views of a single element as long as one likes
    elif isinstance(result, Exception):
        raise Fault(
            f"{target}: {type(result).__name__}: {str(result).splitlines()[0][:60]}",
            f"{where}: {type(result).__name__}: {result}",
        )
    else:
        for name, worth, array in zip(program.outputs, wanted, result, strict=True):
            checked(worth, array, f"{where}, output {name}", f"{target}: wrong output")
    for source, array in zip(program.shared, shared, strict=True):
        sort = f"{target}: wrong shared value" + (" after an error" if isinstance(wanted, dict) else "")
        checked(expected.state[source.name], array, f"{where}, {source.name}", sort)


def compare_error(expected: Expected, wanted: dict[str, Exception], result: Any, where: str) -> None:
    target = where.split(",")[0]
    listed = ", ".join(f"{n}: {type(e).__name__}: {str(e).splitlines()[0]}" for n, e in wanted.items())
    steps = {step.name: step for step in expected.program.steps}
    loops = any(n in steps and "ng.scan(" in steps[n].code for n in wanted)
    if not isinstance(result, Exception):
        raise Fault(f"{target}: no error", f"{where}: no error, expected one of {listed}")
    allowed = tuple(type(e) for e in wanted.values())
    failing = set(wanted)
    followers: list[Step] = []
    for step in expected.program.steps:
        if failing.intersection(step.uses):
            failing.add(step.name)
            followers.append(step)
    scatters = any("_subtensor(" in step.code for step in expected.program.steps if step.name in failing)
    if loops or scatters or any(issubclass(e, ng.IndexOutOfRange) for e in allowed):
        # both the index and a value, or what the result is used with, may be wrong, and either is said
        allowed = (*allowed, ng.ShapeError, ng.IndexOutOfRange)
    if MemoryError in allowed or any("huge" in str(e) for e in wanted.values()):
        return
    if not isinstance(result, allowed) and not may_follow(result, followers, expected):
        raise Fault(f"{target}: another error", f"{where}: {type(result).__name__}: {result}, expected one of {listed}")


_OUTSIDE = re.compile(r"index (-?\d+) is out of range for an axis of length (\d+)\b")


def may_follow(error: Exception, followers: list[Step], expected: Expected) -> bool:
    """Whether one of the steps that need a value which cannot be computed may be wrong in itself, as `error` says.

    The lengths of such a value are known without it. So they may not fit what it meets; or an index into it is outside,
    which must be so of the numbers in the message, and the index one that the step reads.
    """
    found = _OUTSIDE.match(str(error))
    if found is None:
        return isinstance(error, ng.ShapeError) and bool(followers)
    index, length = int(found[1]), int(found[2])
    if not isinstance(error, ng.IndexOutOfRange) or -length <= index < length:
        return False
    used = {n for step in followers for n in step.uses if expected.variables[n].dtype.startswith(("int", "uint"))}
    return any(n not in expected.values or index in expected.values[n].array for n in used)


def checked(worth: Worth, array: Array, what: str, sort: str) -> None:
    try:
        grades.check(worth, array, what)
    except AssertionError as error:
        raise Fault(sort, str(error)) from None


def script(program: Program, target: str) -> str:
    """The program as a file of its own, with what it prints."""
    source = inspect.getsource(session)
    most = affordable(outcomes(program, "reference"))
    tail = f"""
Session.most = {most}
for number, (wanted, got) in enumerate(zip(run("reference"), run({target!r}))):
    if wanted is None:
        break
    print(number, "reference", *wanted, {target!r}, *got, sep="\\n   ")
"""
    used = [name for name in ("draws", "users") if any(f"{name}." in step.code for step in program.steps)]
    more = f"from tests.differential import {', '.join(used)}\n" if used else ""
    return f"{source}\nimport numgraph as ng\n{more}from numpy import inf, nan\n\n\n{text(program)}\n\n{tail}"
