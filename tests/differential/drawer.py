"""A program while it grows: every step is built and computed at once, so that the next one fits the lengths at hand."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

import numgraph as ng
from numgraph.reference import evaluate
from numgraph.stable.engine import stabilised
from tests.differential import draws, grades, users
from tests.differential.grades import Grade, Worth
from tests.differential.program import Program, Source, Step, names_in

if TYPE_CHECKING:
    from tests.differential.loops import Body

# Elements that one value may have while a program is drawn.
LARGEST = 3000
Array = np.ndarray[Any, Any]
Test = Callable[[Worth], bool]


def is_number(w: Worth) -> bool:
    return w.array.dtype.kind != "b"


def is_bool(w: Worth) -> bool:
    return w.array.dtype.kind == "b"


def is_whole(w: Worth) -> bool:
    return w.array.dtype.kind in "iu"


def is_float(w: Worth) -> bool:
    return w.floating


def is_tame(w: Worth) -> bool:
    return w.tame


def is_exact(w: Worth) -> bool:
    return w.grade == Grade.EXACT


def is_full(w: Worth) -> bool:
    return w.array.size > 0


def is_empty(w: Worth) -> bool:
    return w.array.size == 0


def has_axes(n: int) -> Test:
    return lambda w: w.array.ndim >= n


def of_dtype(dtype: Any) -> Test:
    return lambda w: w.array.dtype == dtype


def broadcasts(*arrays: np.ndarray) -> Test:
    """Whether a value broadcasts with arrays to no more than four axes."""

    def fits(w: Worth) -> bool:
        try:
            shape = np.broadcast_shapes(w.array.shape, *(a.shape for a in arrays))
        except ValueError:
            return False
        return len(shape) <= 4 and int(np.prod(shape)) <= LARGEST

    return fits


@contextmanager
def quiet() -> Iterator[None]:
    """NumPy does not say that values are NaN, infinite or means of nothing: they are meant to be."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


class Drawer:
    """What the kinds draw from. `choose` below a number, `pick` among values, `step` adds a line."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # for a device, of which little is asked, and no loop that ends by a condition
        self.small = False
        self.program = Program(seed)
        self.lengths: dict[str, int] = {}
        self.variables: dict[str, Any] = {}
        self.worth: dict[str, Worth] = {}

    def choose(self, n: int) -> int:
        return self.random.randrange(n)

    def one_of(self, options: Sequence[Any]) -> Any:
        return self.random.choice(options)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, *wanted: Test) -> str | None:
        """The name of a value that fits, newer ones more often; None where there is none."""
        fitting = [n for n, w in self.worth.items() if w.grade > Grade.UNSURE and all(t(w) for t in wanted)]
        if not fitting:
            return None
        late = fitting[len(fitting) // 2 :] if self.chance(0.5) else fitting
        return str(self.one_of(late))

    def leaf(self, *wanted: Test) -> str | None:
        """The name of an input or a shared variable of tame floats, with axes, that fits; None where there is none."""
        tests = (is_float, is_tame, is_exact, has_axes(1), *wanted)
        leaves = [n for n, w in self.worth.items() if n[0] in "xs" and all(t(w) for t in tests)]
        leaves = [n for n in leaves if n not in dict(self.program.givens)]
        return self.one_of(leaves) if leaves else None

    def array(self, name: str) -> np.ndarray:
        return self.worth[name].array

    def source(self, source: Source) -> None:
        """Add an input."""
        array = source.filled(self.lengths, self.program.seed)
        self.program.inputs.append(source)
        self._add(source.name, ng.tensor(source.label, dtype=source.dtype, shape=source.known), Worth(array))

    def share(self, source: Source) -> None:
        """Add a shared variable."""
        array = source.filled(self.lengths, self.program.seed + 50)
        self.program.shared.append(source)
        self.program.values.append(array)
        self._add(source.name, ng.shared(array, source.label), Worth(array))

    def _add(self, name: str, variable: Any, worth: Worth) -> None:
        self.variables[name] = variable
        self.worth[name] = worth
        worth.scale = grades.largest(worth.array) if worth.floating else 0.0

    def built(self, code: str) -> Any:
        """The variable of a piece of source."""
        return eval(code, {"np": np, "ng": ng, "users": users, "draws": draws, **self.variables})

    def step(
        self, code: str, mode: str, kind: str, slope: tuple[str, str] | None = None, body: Body | None = None
    ) -> str | None:
        """Add `name = code`; None where it cannot be built or computed here, or nothing can be said about it."""
        name = f"t{len(self.program.steps)}"
        operands = names_in(code)
        try:
            variable = self.built(code)
            worth = computed(variable, mode, operands, self.variables, self.worth, body)
        except Exception:
            return None
        if worth.grade == Grade.UNSURE or worth.array.size > LARGEST or worth.array.ndim > 4:
            return None
        self.variables[name], self.worth[name] = variable, worth
        self.program.steps.append(Step(name, code, mode, kind, slope, body))
        return name

    def refused(self, code: str, kind: str) -> None:
        """Add an output that every call must refuse."""
        name = f"t{len(self.program.steps)}"
        self.program.steps.append(Step(name, code, "move", kind))
        self.program.outputs.append(name)


def computed(
    variable: Any,
    mode: str,
    operands: Sequence[str],
    variables: dict[str, Any],
    worth: dict[str, Worth],
    body: Body | None = None,
) -> Worth:
    """What a step is worth by the reference, given the values before it; raises what the reference raises."""
    known = {variables[n]: w.array for n, w in worth.items()}
    # by itself, log(softmax(x)) is a logarithm of numbers that may have lost their digits
    wanted = stabilised([variable], known) if mode in ("smooth", "stable") else [variable]
    (array,) = evaluate(wanted, known)
    if body is not None:
        from tests.differential.loops import worth_of  # which needs NumPy's twins of all kinds

        return worth_of(body, worth, array)
    made = grades.grade(mode, [worth[n] for n in operands if n in worth], array)
    if made.grade == Grade.UNSURE:
        return made

    def again(values: dict[Any, Array]) -> Array:
        return np.asarray(evaluate(wanted, known | values)[0])

    zeros = {variables[n]: w for n, w in worth.items() if not w.signed}
    rounded = {variables[n]: w for n, w in worth.items() if w.grade == Grade.ROUNDED}
    try:
        if made.floating and zeros and mode != "move":
            made.settle([again({v: w.resigned(k) for v, w in zeros.items()}) for k in (1, -1)])
        if made.grade == Grade.ROUNDED and rounded:
            made.spread([again({v: w.moved(k) for v, w in rounded.items()}) for k in (1, -1)])
    except ng.NumgraphError:  # a user's function refuses what is that close
        made.grade = Grade.UNSURE
    return made
