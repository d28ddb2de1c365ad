"""What is known of the kernels of a grid: sizes, parameters, and what was printed so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from numgraph.loops.grid.scans import GridScan
from numgraph.loops.names import Names
from numgraph.loops.program import Expression, Function, Name, Statement
from numgraph.loops.values import Values
from numgraph.schedule.gridproduct import Patch
from numgraph.schedule.tasks import Task

# Steps of one native sweep, and index checks of a function, at most. The status has a word for each check, which says
# whether it failed, and behind these one for each step of each check.
STEPS = 1024
FLAGS = 256

# Which thread this is, of how many; the same for its place in its block, and for the block.
THREAD, THREADS, LANE, LANES, BLOCK, BLOCKS = map(Name, "thread threads lane THREADS block blocks".split())
# The same along the second axis of the grid.
BLOCK_Y, BLOCKS_Y = map(Name, "block_y blocks_y".split())
# Lanes that exchange values at once, and the mask of them all.
WARP, FULL = map(Name, "WARP FULL".split())


@dataclass(frozen=True)
class Geometry:
    """Sizes of a grid. threads: of a block, a power of two; blocks: at most, of one launch; small: iterations up to
    which one block does a phase, so that several phases are one launch; part: iterations of a sum for each block that
    shares in it, of which there are at most `shares`."""

    threads: int = 256
    blocks: int = 1024
    small: int = 16384
    part: int = 4096
    shares: int = 256
    # of products: the most multiply-adds that a thread of a skinny one keeps, its threads, the most that divide the
    # rows of x.T @ d, and (tile, elements of a thread, depth) of the others, the largest first
    sums: int = 64
    skinny: int = 128
    columns: int = 512
    tiles: tuple[tuple[int, int, int], ...] = ((128, 8, 8), (64, 4, 8), (32, 4, 8))
    # of kernels that are products in tiles: the tiles, the largest first; those for few rows and for few columns; how
    # far along the sums a tile goes, and how far the table of what varies along them
    patches: tuple[Patch, ...] = (
        Patch(64, 128, 8, 8, 3), Patch(128, 64, 8, 8, 3), Patch(32, 128, 4, 8), Patch(128, 32, 8, 4),
        Patch(64, 64, 4, 4), Patch(32, 32, 4, 4),
    )  # fmt: skip
    narrow: tuple[Patch, Patch] = (Patch(4, 128, 4, 1), Patch(32, 4, 4, 1))
    deep: int = 8
    entries: int = 256
    # blocks of threads that a product wants to have
    wanted: int = 132
    # blocks that may wait for one another, as all of them are on the device at the same time: one for each
    # multiprocessor; and whether kernels are to go through scans by themselves
    together: int = 132
    loops: bool = True
    # lengths from which on cuBLAS computes products, None where the device has none; and whether in TF32
    large: int | None = None
    tf32: bool = False

    @property
    def warp(self) -> int:
        """Lanes that exchange values at once."""
        return min(32, self.threads)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    dtype: of the elements of a pointer ("float32*") or the number ("int64"). source: where the value comes from:
    ("leaf", node), ("array", digest), ("arena", stage, offset), ("output", k), ("fresh", slot), ("own", offset)
    memory behind the arena that only this launch uses, ("arguments",), ("status",), ("barrier",) a word that barriers
    of all blocks count in, ("behind", source, bytes), ("slot", slot of the plan's table).
    """

    name: str
    dtype: str
    source: tuple[Any, ...]


@dataclass(frozen=True)
class Region:
    """What a block has made of a matrix: `rows` rows from `row` on, of these `columns` columns from `column` on, or
    all if columns is 0. task: of a kernel that is a product in tiles, whose result's axes these count; then row and
    column are worked out where they are asked for."""

    row: Expression
    rows: int
    column: Expression
    columns: int = 0
    task: Task | None = None


@dataclass
class Kernel:
    """A printed kernel, of one or several phases.

    grid: for each of its axes (count, per_block, most): it has count / per_block thread blocks, from 1 to `most`.
    threads: of a block; resident: how many blocks a multiprocessor is to hold; together: whether blocks wait for one
    another. own: bytes that each block has for
    itself, while it runs. counts and own are numbers, or slots of the plan's table as -1 - slot. helpers: functions
    that it calls; made: those that an expression makes.
    code: the name of its function, that of an earlier kernel where the two are the same but for what they are given.
    function: it; where it has none of its own, `remark` says what stands for it. scan: for the steps of a scan, what
    the host does; inner: the kernels of a step.
    """

    name: str
    names: Names
    parameters: dict[Any, Parameter] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    grid: list[tuple[int, int, int]] = field(default_factory=lambda: [(1, 1, 1)])
    threads: int = 0
    resident: int = 1
    together: bool = False
    own: Any = 0
    # a named kernel: its name, (parameter, offset in elements) of the result and the operands, and its numbers
    library: str = ""
    operands: list[tuple[str, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    # of a product by cuBLAS: alpha and beta
    factors: tuple[float, ...] = ()
    # names of numbers that depend on arguments and lengths alone: all phases use them
    known: dict[Any, Expression] = field(default_factory=dict)
    helpers: dict[str, Function] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    code: str = ""
    function: Function | None = None
    remark: str = ""
    scan: GridScan | None = None
    inner: list[Kernel] = field(default_factory=list)
    # of a product: what each block has made
    region: Region | None = None

    def __post_init__(self) -> None:
        self.code = self.name

    @property
    def signature(self) -> tuple[str, ...]:
        """The types of the parameters, for the compiler."""
        return tuple(p.dtype for p in self.parameters.values())

    @property
    def kind(self) -> str:
        """How its phases are divided among threads."""
        return ", ".join(dict.fromkeys(self.shapes))

    def close(self, values: Values) -> None:
        """Add what was made, and keep the numbers that depend on arguments and lengths alone."""
        self.statements += values.statements
        names = values.bodies[0].names
        self.known |= {v: name for v, name in names.items() if v.planned and not v.reads}

    def make(self, maker: str, expression: str) -> str:
        """The name of a function that is made by an expression when the module is loaded."""
        if expression not in self.made:
            self.made[expression] = f"{maker}_{len(self.made)}" if self.made else f"{maker}_kernel"
        return self.made[expression]

    def parameter(self, key: Any, wish: str | None, prefix: str, dtype: str, source: tuple[Any, ...]) -> Name:
        """The name of a parameter, which is added when it is new."""
        if key not in self.parameters:
            self.parameters[key] = Parameter(self.names.fresh(wish, prefix), dtype, source)
        return Name(self.parameters[key].name, dtype)


def flat(kernels: Iterable[Kernel]) -> Iterator[Kernel]:
    """Kernels, and those of the steps of scans before these."""
    for kernel in kernels:
        yield from flat(kernel.inner)
        yield kernel
