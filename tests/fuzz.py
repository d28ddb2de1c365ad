"""Random programs, compiled and by the reference executor: `python -m tests.fuzz N [SEED]` tries N of them.

`--target cuda-sim` compiles for the simulated device, `--minutes M` stops after that time, `--jobs J` are processes.

A program is drawn through one function, `choose(n)`, that gives a number below n: hypothesis chooses in the test suite,
a seeded generator here. While a program grows, every new variable is computed at once with NumPy, so that the next
operation can be chosen to fit the lengths at hand. Then the whole program runs on both targets: with these lengths, and
with others, where both must fail or both must succeed.

Values of inputs are multiples of 1/4. Whatever is made of them by +, -, * and the like is exact in any order of
computing, and only such values are compared, rounded or sorted: a rewrite may change the last digit of others.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.errors import DeviceError, KernelError, LaunchError
from numgraph.graph import Constant, Variable
from numgraph.reference import evaluate
from tests.fuzz_ops import OPERATIONS

Choose = Callable[[int], int]
# Lengths by name: those that a program is drawn for, and others to call it with.
LENGTHS = ({"a": 3, "b": 1, "c": 4, "d": 0}, {"a": 5, "b": 1, "c": 4, "d": 2}, {"a": 1, "b": 3, "c": 2, "d": 1},
           {"a": 0, "b": 0, "c": 1, "d": 3}, {"a": 9, "b": 1, "c": 17, "d": 0})  # fmt: skip
SHAPES = ("", "a", "b", "c", "d", "ab", "ac", "ca", "ba", "da", "bc", "abc", "cab", "bda")
KINDS = ("float64", "float64", "float32", "int64", "int32", "bool", "uint8")
# Values that grow beyond this are dropped: float32 would round sums of them.
LARGE = 2.0**16
# Relative to the largest value in the program, since differences of large values keep their errors.
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


@dataclass
class Value:
    """A variable with what it is worth for the lengths at hand; exact: no rounding went into it."""

    variable: Variable
    array: np.ndarray
    exact: bool = True

    @property
    def dtype(self) -> str:
        return self.variable.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape


@dataclass
class Program:
    """What both targets run: inputs with the shapes they are drawn in, outputs, updates."""

    choose: Choose
    inputs: list[tuple[Variable, str]] = field(default_factory=list)
    shared: list[tuple[ng.SharedVariable, np.ndarray]] = field(default_factory=list)
    pool: list[Value] = field(default_factory=list)
    outputs: list[Variable] = field(default_factory=list)
    updates: list[tuple[ng.SharedVariable, Variable]] = field(default_factory=list)
    largest: float = 1.0
    # whether float32 was rounded somewhere: then a float64 may be no better
    single: bool = False

    def pick(self, *wanted: Callable[[Value], bool]) -> Value | None:
        """One of the values that fit, newer ones more often; None for none."""
        fitting = [v for v in self.pool if all(w(v) for w in wanted)]
        if not fitting:
            return None
        late = fitting[len(fitting) // 2 :] if self.choose(2) else fitting
        return late[self.choose(len(late))]

    def one_of(self, options: Sequence[Any]) -> Any:
        return options[self.choose(len(options))]

    def add(self, variable: Variable | None, exact: bool) -> None:
        """Compute a new variable and keep it, unless its values are out of bounds."""
        if variable is None:
            return
        known = {v.variable: v.array for v in self.pool if not isinstance(v.variable, Constant)}
        with np.errstate(all="ignore"):
            (array,) = evaluate([variable], known)
        size = float(np.max(np.abs(array.astype(np.float64)), initial=0.0))
        if array.size > 2000 or (variable.dtype.startswith("float") and not size <= LARGE):
            return
        self.largest = max(self.largest, size if variable.dtype.startswith("float") else 0.0)
        self.single = self.single or (variable.dtype == "float32" and not exact)
        self.pool.append(Value(variable, array, exact or not variable.dtype.startswith("float")))
        self.outputs.append(variable)


def fill(shape: Sequence[int], dtype: str, seed: int) -> np.ndarray:
    """Small values of a dtype: quarters, integers, booleans."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith("float"):
        return np.asarray(rng.integers(-12, 13, shape) / 4).astype(dtype)
    return np.asarray(rng.integers(0 if dtype == "uint8" else -4, 7, shape)).astype(dtype)


def lengths_of(shape: str, lengths: dict[str, int]) -> tuple[int, ...]:
    return tuple(lengths[n] for n in shape)


def draw(choose: Choose, size: int = 14) -> Program:
    """A program of about `size` operations, drawn for the first lengths."""
    program = Program(choose)
    for k in range(3 + choose(3)):
        shape, dtype = program.one_of(SHAPES), program.one_of(KINDS)
        # some axes are declared to have one element
        known = tuple(1 if n == "b" and choose(2) else None for n in shape)
        variable = ng.tensor(f"x{k}", dtype=dtype, shape=known)
        program.inputs.append((variable, shape if 1 not in known else shape.replace("b", "1")))
        program.pool.append(Value(variable, fill(sizes(program.inputs[-1][1], LENGTHS[0]), dtype, k)))
    for k in range(1 + choose(2)):
        shape, dtype = program.one_of(SHAPES[1:]), program.one_of(("float64", "float32", "int64"))
        array = fill(lengths_of(shape, LENGTHS[0]), dtype, 50 + k)
        shared = ng.shared(array, f"s{k}")
        program.shared.append((shared, array))
        program.pool.append(Value(shared, array))
    for _ in range(size):
        program.add(*program.one_of(OPERATIONS)(program))
    for shared, array in program.shared:
        program.updates.append((shared, new_value(program, shared, array)))
    return program


def sizes(shape: str, lengths: dict[str, int]) -> tuple[int, ...]:
    return tuple(1 if n == "1" else lengths[n] for n in shape)


def new_value(program: Program, shared: ng.SharedVariable, array: np.ndarray) -> Variable:
    """An update: often another value of its type, else a mixture with some value that fits its shape."""
    dtype, ndim = shared.dtype, shared.ndim
    same = program.pick(lambda v: v.dtype == dtype and v.variable.ndim == ndim and v.variable is not shared)
    if same is not None and program.choose(2):
        return same.variable
    other = program.pick(lambda v: fits_into(v.shape, array.shape))
    way = program.choose(4)
    if way == 0 and array.shape[0] > 1:
        return ng.inc_subtensor(shared[1:], ng.cast(1, dtype))
    if way == 1:
        return shared[::-1]
    if other is None:
        return ng.cast(shared * 2, dtype)
    return ng.cast(ng.cast(other.variable, dtype) + shared, dtype)


def fits_into(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of `shape` broadcasts to `target` without changing it."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


Outcome = tuple[Any, list[np.ndarray]]


def run(program: Program, function: ng.Function, lengths: dict[str, int], seed: int) -> list[Outcome]:
    """Two calls from the same start: outputs, or the error, and the shared values afterwards."""
    for k, (shared, array) in enumerate(program.shared):
        shared.set_value(array if lengths is LENGTHS[0] else fill(array.shape, array.dtype.name, seed + k))
    outcomes: list[Outcome] = []
    for call in range(2):
        arrays = [fill(sizes(s, lengths), v.dtype, seed + call + k) for k, (v, s) in enumerate(program.inputs)]
        try:
            with np.errstate(all="ignore"):
                result: Any = [np.asarray(r) for r in function(*arrays)]
        except ng.NumgraphError as error:
            result = error
        outcomes.append((result, [s.get_value() for s, _ in program.shared]))
    return outcomes


def check(program: Program, target: str = "cpu") -> None:
    """Both targets give the same for all lengths; AssertionError says what differs."""
    inputs = [v for v, _ in program.inputs]
    make = {
        t: ng.function(inputs, program.outputs, program.updates, target=t, on_unused_input="ignore")
        for t in ("reference", target)
    }
    for number, lengths in enumerate(LENGTHS):
        seed = 1000 * number
        wanted, got = (run(program, make[t], lengths, seed) for t in ("reference", target))
        for call, pair in enumerate(zip(wanted, got, strict=True)):
            compare(program, *pair, f"lengths {lengths}, call {call}")


def compare(program: Program, wanted: Outcome, got: Outcome, where: str) -> None:
    expected, result = wanted[0], got[0]
    if isinstance(expected, Exception) or isinstance(result, Exception):
        same = isinstance(expected, Exception) and isinstance(result, Exception) and not undefined(result)
        assert same, f"{where}: reference gives {shown(expected)}, compiled {shown(result)}"
    else:
        for k, (e, r) in enumerate(zip(expected, result, strict=True)):
            if not same_bits(e, r):
                # to print an expression takes longer than all calls
                same_array(program, e, r, f"{where}, output {k} = {ng.pprint(program.outputs[k])}")
    for k, (e, r) in enumerate(zip(wanted[1], got[1], strict=True)):
        if not same_bits(e, r):
            same_array(program, e, r, f"{where}, s{k}")


def undefined(error: Exception) -> bool:
    """Whether the simulator has found what is undefined on a card: a race, an address that is not there."""
    return isinstance(error, KernelError | DeviceError | LaunchError) or "is outside of its elements" in str(error)


def same_bits(expected: np.ndarray, got: np.ndarray) -> bool:
    return (got.dtype, got.shape) == (expected.dtype, expected.shape) and got.tobytes() == expected.tobytes()


def same_array(program: Program, expected: np.ndarray, got: np.ndarray, what: str) -> None:
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, expected {expected.dtype}"
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    tolerance = TOLERANCE.get(
        "float32" if program.single and expected.dtype.name == "float64" else expected.dtype.name, 0.0
    )
    size = max(
        program.largest, float(np.max(np.abs(expected.astype(np.float64)), initial=0.0, where=expected == expected))
    )
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * size, err_msg=what)


def shown(result: Any) -> str:
    return f"{type(result).__name__}: {result}" if isinstance(result, Exception) else "values"


def seeded(seed: int) -> Choose:
    generator = random.Random(seed)
    return lambda n: generator.randrange(n)


def failure(program: Program, target: str = "cpu") -> str | None:
    """What goes wrong with a program, None if nothing does."""
    try:
        check(program, target)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def reduced(program: Program, target: str = "cpu") -> Program:
    """A failing program without the outputs and updates that have no part in it."""
    for part in ("updates", "outputs"):
        for number in reversed(range(len(getattr(program, part)))):
            kept = getattr(program, part)
            setattr(program, part, kept[:number] + kept[number + 1 :])
            if failure(program, target) is None:
                setattr(program, part, kept)
    return program


def text(program: Program) -> str:
    """The inputs, outputs and updates."""
    lines = [f"{v.name}: {v.type} as {shape!r}" for v, shape in program.inputs]
    lines += [f"{s.name}: {s.dtype}{list(array.shape)}" for s, array in program.shared]
    lines += [f"return {ng.pprint(v)}" for v in program.outputs]
    lines += [f"{s.name} := {ng.pprint(v)}" for s, v in program.updates]
    return "\n".join(lines)


def tried(seed: int, target: str = "cpu") -> str | None:
    """A program that fails, made smaller, with what goes wrong; None for one that does not."""
    try:
        program = draw(seeded(seed))
        if failure(program, target) is None:
            return None
        small = reduced(program, target)
        return f"seed {seed}: {failure(small, target)}\n{text(small)}"
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"


def answers(seeds: Iterator[int], target: str, jobs: int) -> Iterator[str | None]:
    """What `tried` says of each seed, by several processes."""
    if jobs < 2:
        yield from (tried(seed, target) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting: set[Future[str | None]] = set()
        while True:
            waiting |= {pool.submit(tried, s, target) for s in itertools.islice(seeds, 2 * jobs - len(waiting))}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)


def main() -> int:
    """Try programs; 1 where one has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="of programs, at most")
    parser.add_argument("seed", type=int, nargs="?", default=0, help="the first one's")
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    seeds = range(options.seed, options.seed + options.count)
    begun = itertools.takewhile(lambda _: time.monotonic() < end, seeds)
    count = failed = 0
    for told in answers(begun, options.target, options.jobs):
        count += 1
        if told is not None:
            failed += 1
            print(f"{told}\n", flush=True)
    print(f"{count} programs on {options.target}, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
