"""Runs CUDA kernels on this machine, in this process and thread, with checks that no device makes.

A kernel is a plain function of pointers and numbers with `cuda.threadIdx`, `cuda.syncthreads()` and so on in it. Its
source is made into a generator that stops at each barrier, so that one loop can run the threads of a block in turn: a
simulated thread costs microseconds. The result is repeatable. What a device leaves undefined is an error here:

* an index outside of its array, negative ones too (IndexOutOfRange)
* an element that one thread writes and another uses without a barrier between them, or in another block
* shared memory that is read before it was written
* a barrier that some threads of a block reach and others do not; a shuffle that some threads of a warp miss

At `cuda.cg.this_grid().sync()` all blocks of a grid wait: each runs up to it before any goes on. Floats have their
dtype and integers wrap around, as in compiled code; a float literal is a float64, which divides as one. Nothing here
needs Numba or CUDA. Atomics are not simulated.
"""

from __future__ import annotations

import ast
import functools
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from numgraph.cuda import captured
from numgraph.cuda.memory import POISON, Cells, Pointer, SharedCells, Thread, Watch
from numgraph.cuda.numbers import CASTS, LIBDEVICE, MATH, Int64, complex_of
from numgraph.errors import KernelError

WARP = 32
Dim = tuple[int, int, int]
# Calls at which a thread waits: for all blocks, for its block, or for its warp.
GRID_CALL, THIS_GRID = "sync", "cg.this_grid()"
BLOCK_CALLS = {"syncthreads", "syncthreads_and", "syncthreads_or", "syncthreads_count"}
WARP_CALLS = {"syncwarp", "shfl_sync", "shfl_xor_sync", "shfl_down_sync", "shfl_up_sync", "ballot_sync", "any_sync",
              "all_sync"}  # fmt: skip
# A stop: the call's name, its place in the source, its arguments.
Stop = tuple[str, int, tuple[Any, ...]]
Body = Generator[Stop, Any, None]


@dataclass
class Offset:
    """An array that a kernel sees as a part of a larger one: its element 0 has the index `begin`."""

    array: np.ndarray
    begin: int


def simulate(
    function: Callable[..., Any],
    grid: int | Sequence[int],
    block: int | Sequence[int],
    arguments: Sequence[Any],
    shared_bytes: int = 0,
    *,
    races: bool = True,
    origin: Sequence[int] = (0, 0, 0),
) -> None:
    """Run a kernel for every thread of a grid.

    arguments: C-contiguous arrays, which are pointers to their elements for the kernel, `Offset`s of them, and numbers.
    shared_bytes: the size of `cuda.shared.array(0, dtype)`. races=False leaves the search for races out, which takes
    half of the time. origin: the first block; the kernel sees a grid that is larger by this.

    Raises KernelError and IndexOutOfRange, see above, and what the kernel itself raises.
    """
    run = _prepare(function)
    name = getattr(function, "__name__", "kernel")
    blocks, threads = _dim(grid), _dim(block)
    x0, y0, z0 = origin
    whole = (x0 + blocks[0], y0 + blocks[1], z0 + blocks[2])
    watch = Watch(Thread((0, 0, 0), (0, 0, 0), 0, name), races)
    parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
    if len(arguments) != len(parameters):
        raise KernelError(f"{name} takes {len(parameters)} arguments ({', '.join(parameters)}), not {len(arguments)}")
    passed = [_argument(a, p, watch) for a, p in zip(arguments, parameters, strict=True)]
    with np.errstate(all="ignore"):
        positions = ((x0 + x, y0 + y, z0 + z) for x, y, z in _positions(blocks))
        run.grid(watch, positions, whole, threads, passed, shared_bytes)


def _dim(lengths: int | Sequence[int]) -> Dim:
    """Three lengths of a grid or block; KernelError for those that no device takes."""
    given = (lengths,) if isinstance(lengths, int) else tuple(lengths)
    x, y, z = (*given, 1, 1, 1)[:3]
    if len(given) > 3 or min(x, y, z) < 1:
        raise KernelError(f"a grid or block has 1 to 3 lengths, which are positive, not {lengths!r}")
    return x, y, z


def _positions(lengths: Dim) -> Iterator[Dim]:
    """All positions in a grid or block, x fastest."""
    for z, y, x in itertools.product(*(range(n) for n in reversed(lengths))):
        yield x, y, z


def _argument(value: Any, name: str, watch: Watch) -> Any:
    """What a kernel gets for an argument."""
    if isinstance(value, Offset):
        return Pointer(value.array, name, watch, value.begin)
    if isinstance(value, np.ndarray) and value.ndim:
        return Pointer(value, name, watch)
    value = value[()] if isinstance(value, np.ndarray) else value
    return value.item() if isinstance(value, np.integer | np.bool_) else value


@functools.lru_cache(maxsize=512)
def _prepare(function: Callable[..., Any]) -> _Kernel:
    return _Kernel(function)


class _Kernel:
    """A kernel that can be run: its functions with stops at barriers, and the `cuda` that they see."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.cuda = _Cuda()
        self.functions: dict[int, Callable[..., Any]] = {}
        self.stopping: set[int] = set()
        # whether blocks wait for one another
        self.meets = False
        self.run = self._made(function)
        self.stops = id(function) in self.stopping

    def _made(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function for simulated threads: a generator if it has barriers, or calls a function that has."""
        if id(function) in self.functions:
            return self.functions[id(function)]
        names = captured.values(function)
        namespace: dict[str, Any] = {name: self._value(value) for name, value in names.items()} | {
            "complex": complex_of
        }
        cuda = {name for name, value in names.items() if namespace[name] is self.cuda}
        stopping = {name for name, value in names.items() if id(captured.simulated_function(value)) in self.stopping}
        definition = captured.tree(function)
        printer = _Stops(cuda, stopping, len(self.functions))
        printer.visit(definition)
        definition.returns = None
        for argument in definition.args.args:
            argument.annotation = None
        module = ast.fix_missing_locations(ast.Module([definition], []))
        namespace |= printer.literals
        exec(compile(module, function.__code__.co_filename, "exec"), namespace)
        made: Callable[..., Any] = namespace[definition.name]
        self.functions[id(function)] = made
        if printer.found:
            self.stopping.add(id(function))
        self.meets = self.meets or printer.meets
        return made

    def _value(self, value: Any) -> Any:
        """What a name stands for in a simulated kernel."""
        if isinstance(value, ModuleType):
            return {"math": MATH, "numba.cuda": self.cuda}.get(value.__name__, value)
        helper = captured.simulated_function(value)
        if helper is not None:
            return self._made(helper)
        # types of Numba and of NumPy, called as casts, have the same names
        name = getattr(value, "__name__", None) if isinstance(value, type) else str(value)
        numeric = type(value).__module__.startswith("numba.") or (
            isinstance(value, type) and issubclass(value, np.generic)
        )
        return CASTS.get(str(name), value) if numeric else value

    def grid(
        self, watch: Watch, positions: Iterator[Dim], blocks: Dim, lengths: Dim, passed: list[Any], shared: int
    ) -> None:
        """Run blocks one after the other; where they wait for one another, all of them up to where they do."""
        waiting, name = [], watch.thread.name
        for position in positions:
            self.cuda.begin(watch, position, blocks, lengths, shared)
            threads = [Thread(position, place, rank, name) for rank, place in enumerate(_positions(lengths))]
            if not self.stops:
                for thread in threads:
                    self.cuda.enter(thread)
                    self.run(*passed)
                continue
            waiting.append(_Block(self.cuda, [(thread, self.run(*passed)) for thread in threads]))
            if not self.meets:
                waiting.pop().run()
        while waiting and _met(waiting):
            watch.forget()


def _met(blocks: list[_Block]) -> bool:
    """Run blocks to their next barrier of all, or to their end; whether there was one. KernelError where they part."""
    at: dict[int | None, _Block] = {}
    for block in blocks:
        at.setdefault(block.run(), block)
    if len(at) > 1:
        told = [f"  {b.threads[0][0]}: " + (f"waits in line {s >> 12}" if s else "has ended") for s, b in at.items()]
        raise KernelError("blocks of a grid do not meet at one barrier\n" + "\n".join(told))
    return None not in at


class _Block:
    """The threads of one block as generators, run from barrier to barrier."""

    def __init__(self, cuda: _Cuda, threads: list[tuple[Thread, Body]]) -> None:
        self.cuda = cuda
        self.threads = threads
        self.stops: list[Stop | None] = [None] * len(threads)
        self.ended = [False] * len(threads)
        # what the threads see of the block
        self.context = cuda.context()

    def run(self) -> int | None:
        """Run all threads to their end, or to a barrier of all blocks, whose place is returned; KernelError where they
        do not meet."""
        self.cuda.resume(self.context)
        every = range(len(self.threads))
        self._go(every, [None] * len(every))
        while any(stop is not None for stop in self.stops):
            waiting = ""
            for begin in range(0, len(every), WARP):
                warp = every[begin : begin + WARP]
                while self._kind(warp) in WARP_CALLS:
                    self._go(warp, self._exchanged(warp))
                waiting = waiting or self._kind(warp)
            if waiting:
                self._together(every, "block")
                if waiting == GRID_CALL:
                    return next(stop[1] for stop in self.stops if stop is not None)
                self._go(every, self._voted(every))
        return None

    def _kind(self, ranks: range) -> str:
        """The call at which the first thread that has not ended waits, which all of a warp must have reached."""
        first = next((self.stops[r] for r in ranks if self.stops[r] is not None), None)
        if first is not None and first[0] in WARP_CALLS:
            self._together(ranks, "warp")
        return first[0] if first is not None else ""

    def _together(self, ranks: range, group: str) -> None:
        """Check that threads wait at one place."""
        at: dict[Any, int] = {}
        for r in ranks:
            stop = self.stops[r]
            at.setdefault(stop and stop[:2], r)
        if len(at) > 1:
            told = [
                f"  {self.threads[r][0]}: " + (f"at {stop[0]} in line {stop[1] >> 12}" if stop else "has ended")
                for stop, r in at.items()
            ]
            raise KernelError(f"threads of a {group} do not meet at one barrier\n" + "\n".join(told))

    def _go(self, ranks: range, answers: Sequence[Any]) -> None:
        """Run threads to their next stops, each with the value of the call at which it waited."""
        for r, answer in zip(ranks, answers, strict=True):
            if self.ended[r]:
                continue
            thread, body = self.threads[r]
            stop = self.stops[r]
            if stop is not None:
                thread.warp_epoch += 1
                thread.epoch += stop[0] in BLOCK_CALLS or stop[0] == GRID_CALL
            self.cuda.enter(thread)
            try:
                self.stops[r] = body.send(answer)
            except StopIteration:
                self.stops[r], self.ended[r] = None, True

    def _exchanged(self, ranks: range) -> list[Any]:
        """The results of a warp's call for its threads."""
        stops = [self.stops[r] for r in ranks]
        arguments = [stop[2] for stop in stops if stop is not None]
        assert stops[0] is not None
        name = stops[0][0]
        if name == "syncwarp":
            return [None] * len(ranks)
        if name in ("any_sync", "all_sync", "ballot_sync"):
            votes = [bool(a[1]) for a in arguments]
            value = {"any_sync": any(votes), "all_sync": all(votes)}.get(name)
            return [sum(v << k for k, v in enumerate(votes)) if value is None else value] * len(ranks)
        results = []
        for lane, (_, value, way) in enumerate(arguments):
            source = {"shfl_sync": way, "shfl_xor_sync": lane ^ way, "shfl_down_sync": lane + way,
                      "shfl_up_sync": lane - way}[name]  # fmt: skip
            inside = 0 <= source < WARP
            if inside and source >= len(ranks):
                raise KernelError(f"{name}: lane {source} is not in the block\n  in {self.threads[ranks[lane]][0]}")
            results.append(arguments[source][1] if inside else value)
        return results

    def _voted(self, ranks: range) -> list[Any]:
        """The results of a block's call for its threads."""
        stops = [self.stops[r] for r in ranks]
        votes = [bool(stop[2][0]) for stop in stops if stop is not None and stop[2]]
        name = stops[0][0] if stops[0] is not None else ""
        value = {"syncthreads_and": int(all(votes)), "syncthreads_or": int(any(votes)),
                 "syncthreads_count": sum(votes)}.get(name)  # fmt: skip
        return [value] * len(ranks)


class _Stops(ast.NodeTransformer):
    """Makes calls of barriers into `yield`, and calls of functions with barriers into `yield from`.

    Names literals, which are Python's otherwise: its floats raise where they are divided by 0, and its integers do not
    wrap around, which matters where a conditional expression has nothing else. number: of the function.
    """

    def __init__(self, cuda: set[str], stopping: set[str], number: int) -> None:
        self.number = number
        self.cuda, self.stopping, self.found, self.meets = cuda, stopping, False, False
        self.literals: dict[str, Any] = {}

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """A name for a float literal."""
        return self._named(np.float64(node.value), node) if isinstance(node.value, float) else node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """A choice; integers in it are int64."""
        for branch in ("body", "orelse"):
            value = getattr(node, branch)
            if isinstance(value, ast.Constant) and type(value.value) is int and value.value < 1 << 63:
                setattr(node, branch, self._named(Int64(value.value), value))
        self.generic_visit(node)
        return node

    def _named(self, value: Any, node: ast.expr) -> ast.expr:
        name = f"literal {len(self.literals)}"
        self.literals[name] = value
        return ast.copy_location(ast.Name(name, ast.Load()), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Replace one call."""
        self.generic_visit(node)
        called = node.func
        # a place in the source, as one number
        site = ast.Constant((node.lineno << 12) + node.col_offset)
        if isinstance(called, ast.Name) and called.id in self.stopping:
            self.found = True
            return ast.copy_location(ast.YieldFrom(node), node)
        if not isinstance(called, ast.Attribute):
            return node
        root = called.value
        if called.attr == GRID_CALL and ast.unparse(root).partition(".")[2] == THIS_GRID:
            self.found = self.meets = True
            return ast.copy_location(ast.Yield(ast.Tuple([ast.Constant(GRID_CALL), site], ast.Load())), node)
        if isinstance(root, ast.Attribute) and isinstance(root.value, ast.Name) and root.value.id in self.cuda:
            if (root.attr, called.attr) == ("shared", "array"):
                # functions that are made of one text have arrays of their own
                own = ast.Tuple([ast.Constant(self.number), site], ast.Load())
                node.keywords.append(ast.keyword("site", own))
        elif isinstance(root, ast.Name) and root.id in self.cuda and called.attr in BLOCK_CALLS | WARP_CALLS:
            self.found = True
            stop = ast.Tuple([ast.Constant(called.attr), site, ast.Tuple(node.args, ast.Load())], ast.Load())
            return ast.copy_location(ast.Yield(stop), node)
        return node


class _Cuda:
    """The names of `numba.cuda` for the simulated thread that runs now; what is missing here is not simulated."""

    warpsize = WARP
    libdevice = LIBDEVICE

    def __init__(self) -> None:
        self.shared = SimpleNamespace(array=self._shared)
        self.local = SimpleNamespace(array=lambda shape, dtype: Cells(_poisoned(shape, dtype), "local array", None))

    def __getattr__(self, name: str) -> Any:
        raise KernelError(f"cuda.{name} is not simulated\n  fix: see numgraph.cuda.simulator for what is")

    def begin(self, watch: Watch, position: Dim, blocks: Dim, lengths: Dim, shared_bytes: int) -> None:
        """The block at `position` begins: it has fresh shared memory."""
        self.watch, self.size = watch, shared_bytes
        self.own = Watch(watch.thread, watch.races)
        self.arrays: dict[tuple[int, int], SharedCells] = {}
        self.memory = np.frombuffer(bytearray(shared_bytes), np.uint8)
        self.blockIdx, self.gridDim = _xyz(position), _xyz(blocks)
        self.blockDim = _xyz(lengths)

    def context(self) -> dict[str, Any]:
        """What threads see of the block that has begun."""
        return dict(vars(self))

    def resume(self, context: dict[str, Any]) -> None:
        """The threads of a block go on that has begun before."""
        vars(self).update(context)

    def enter(self, thread: Thread) -> None:
        """A thread goes on."""
        self.watch.thread = self.own.thread = thread
        self.threadIdx = thread.at
        self.laneid = thread.rank % WARP

    def _shared(self, shape: Any, dtype: Any, alignment: int = 1, *, site: tuple[int, int]) -> SharedCells:
        kind = _dtype(dtype)
        if site not in self.arrays:
            data = self.memory[: self.size // kind.itemsize * kind.itemsize].view(kind)
            self.arrays[site] = SharedCells(data if shape == 0 else _poisoned(shape, dtype), "shared array", self.own)
        return self.arrays[site]

    def grid(self, axes: int) -> Any:
        """The thread's position in the grid."""
        at = [b * n + t for b, n, t in zip(*(vars(d).values() for d in (self.blockIdx, self.blockDim, self.threadIdx)),
                                          strict=True)]  # fmt: skip
        return at[0] if axes == 1 else tuple(at[:axes])

    def gridsize(self, axes: int) -> Any:
        """The number of threads of the grid."""
        sizes = [b * n for b, n in zip(vars(self.gridDim).values(), vars(self.blockDim).values(), strict=True)]
        return sizes[0] if axes == 1 else tuple(sizes[:axes])

    @staticmethod
    def fma(a: Any, b: Any, c: Any) -> Any:
        """a * b + c, rounded once in float32; twice in float64."""
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c)) if isinstance(a, np.float32) else a * b + c

    @staticmethod
    def selp(condition: Any, a: Any, b: Any) -> Any:
        """Either of two values."""
        return a if condition else b

    @staticmethod
    def popc(value: int) -> int:
        """The number of bits that are set."""
        return value.bit_count()

    @staticmethod
    def threadfence() -> None:
        """Nothing: simulated threads see each other's writes."""


def _xyz(at: Dim) -> SimpleNamespace:
    return SimpleNamespace(x=at[0], y=at[1], z=at[2])


def _dtype(kind: Any) -> np.dtype[Any]:
    """The NumPy dtype of a Numba type or NumPy scalar type, or of the cast that stands for it."""
    for name, cast in CASTS.items():
        if kind is cast:
            return np.dtype(name)
    return np.dtype(kind if isinstance(kind, type) else str(kind))


def _poisoned(shape: Any, kind: Any) -> np.ndarray:
    dtype = _dtype(kind)
    return np.full(shape, np.array(POISON[dtype.kind]).astype(dtype), dtype)
