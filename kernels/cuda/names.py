"""The table of CUDA kernels: where each is, its arguments, the grid and block that it wants; importable without Numba.

`KERNELS[name].make(dtype)` is the kernel as a Python function, `.signature(dtype)` the types of its arguments, and
`.launch(lengths...)` grid and block. What arguments mean and what limits the kernel is in the docstring of the factory.
"""

import importlib
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

# The most blocks along the second and third axis of a grid.
MANY = 65_535
# Of those, how many the second axis has where the third one goes on.
HALF = 1 << 15


def ceil(a, b):
    """How many times b it takes to hold a."""
    return -(-a // b)


@dataclass(frozen=True)
class Kernel:
    """A kernel's place, arguments and launch.

    factory: "module.function" in this package. arguments: "type name" each, where T is the dtype. grid: a function of
    sizes and lengths that returns one to three numbers; lengths are those arguments that it names. threads: of a block,
    from the sizes, one or two numbers. sizes: the factory's parameters for a device; small: for the simulator. op: its
    first argument, if it has one, for the tests and the benchmark. dtypes: those that it is made for.
    """

    factory: str
    arguments: str
    grid: object
    threads: object
    sizes: dict = field(default_factory=dict)
    small: dict = field(default_factory=dict)
    op: str = ""
    min_blocks: int = 1
    dtypes: tuple = ("float32", "float64")

    def make(self, dtype="float32", op="", **sizes):
        """The kernel for a dtype; op and sizes other than those of the table may be given."""
        module, _, name = self.factory.partition(".")
        factory = getattr(importlib.import_module(f"numgraph.kernels.cuda.{module}"), name)
        first = [op or self.op] if self.op else []
        return factory(*first, dtype, **{**self.sizes, **sizes})

    def signature(self, dtype="float32"):
        """The types of the arguments, for the compiler."""
        types = (argument.split()[0] for argument in self.arguments.split(", "))
        return tuple(dtype + t[1:] if t.rstrip("*") == "T" else t for t in types)

    def names(self):
        """The names of the arguments, in order."""
        return tuple(argument.split()[1] for argument in self.arguments.split(", "))

    def launch(self, sizes=None, **lengths):
        """Grid and block, tuples, for sizes other than those of the table and for the lengths that the kernel gets."""
        chosen = {**self.sizes, **(sizes or {})}
        return tuple(max(n, 1) for n in self.grid(chosen, lengths)), self.threads(chosen)


def _threads(s):
    return (s["threads"],)


def _flat(s, n):
    return (ceil(n["outer"] * n["inner"], s["threads"]),)


def _lines(s, n):
    return ceil(n["length"], s["threads"]), min(n["lines"], MANY)


_TILED = Kernel(
    "products.tiled",
    "T* out, T* a, T* b, int64 m, int64 n, int64 k, int64 a_row, int64 a_col, int64 b_row, int64 b_col, int64 out_row, "
    "T alpha, T beta",
    lambda s, n: (ceil(n["n"], s["tile_n"]), min(ceil(n["m"], s["tile_m"]), HALF), ceil(n["m"], s["tile_m"] * HALF)),
    lambda s: (s["tile_m"] * s["tile_n"] // (s["thread_m"] * s["thread_n"]),),
    dict(tile_m=64, tile_n=64, depth=8, thread_m=4, thread_n=4),
    dict(tile_m=16, tile_n=16, depth=4, thread_m=4, thread_n=4),
)


def _tiled(dtypes=("float32",), **sizes):
    return Kernel(
        _TILED.factory, _TILED.arguments, _TILED.grid, _TILED.threads, {**_TILED.sizes, **sizes}, _TILED.small,
        min_blocks=2, dtypes=dtypes,
    )  # fmt: skip


def _of_step(along, width):
    """Blocks step over tiles: here each has two."""
    return Kernel(
        "together.shared_product",
        "T* out, T* a, T* b, int64 m, int64 n, int64 k, int64 a_row, int64 a_col, int64 b_row, int64 b_col, int64 "
        "out_row, T alpha, T beta",
        lambda s, n: (ceil(ceil(n["m"], s["rows"]) * ceil(n["n"], s["width"]), 2),), _threads,
        dict(rows=8, width=8, threads=256, along=along), dict(rows=3, width=width, threads=64),
    )  # fmt: skip


# What a convolution's kernel is told behind its operands: lengths, steps, and margins before the images.
GEOMETRY = "images groups c k depth height width kd kh kw od oh ow sd sh sw dd dh dw bd bh bw".split()
_CONVOLUTION = ", ".join(f"int64 {name}" for name in GEOMETRY)


def _convolution(factory, operands, extents, arguments="", **sizes):
    """A kernel of `convolutions`. extents: rows, columns and how many such products there are, from the lengths."""

    def grid(s, n):
        rows, columns, stack = extents(s, n)
        return (ceil(rows, s["tile_m"]) * ceil(columns, s["tile_n"]) * stack,)

    large = dict(tile_m=64, tile_n=128, thread_m=8, thread_n=8, entries=256, axes=2, stride=(1, 2, 2),
                 dilation=(1, 1, 1), inside=False)  # fmt: skip
    small = dict(tile_m=16, tile_n=16, thread_m=4, thread_n=4, deep=4, entries=16)
    return Kernel(
        f"convolutions.{factory}", f"T* out, {operands}, {_CONVOLUTION}{arguments}", grid, _TILED.threads,
        {**large, **sizes}, small,
    )  # fmt: skip


def _pixels(n, *names):
    return prod(n[name] for name in names)


def _of_phases(s, n):
    steps = s["stride"][3 - s["axes"] :]
    lengths = [n[name] for name in ("depth", "height", "width")[3 - s["axes"] :]]
    return n["c"], n["images"] * prod(map(ceil, lengths, steps)), n["groups"] * prod(steps)


_LARGE = dict(tile_m=128, tile_n=128, thread_m=8, thread_n=8)

KERNELS = MappingProxyType({
    # products of matrices: by tile sizes, then by how the factors lie in memory
    "product": _tiled(("float32", "float64")),
    "product_b_along": _tiled(b_along=True),
    "product_a_across": _tiled(a_along=False),
    "product_large": _tiled(**_LARGE),
    "product_whole_tiles": _tiled(**_LARGE, edges=False, vector=True),
    "skinny_product": Kernel(
        "products.skinny_rows",
        "T* out, T* x, T* w, int64 m, int64 k, int64 x_row, int64 w_row, int64 w_col, int64 out_row, T alpha, T beta",
        lambda s, n: (ceil(n["m"], s["rows"]),), _threads,
        dict(columns=10, rows=4, threads=128), dict(columns=3, rows=2, threads=64),
    ),
    "skinny_contraction": Kernel(
        "products.skinny_columns",
        "T* out, T* x, T* d, int64 m, int64 k, int64 part, int64 x_row, int64 d_row, int64 out_row, int64 out_part, "
        "T alpha, T beta",
        lambda s, n: (ceil(n["k"], s["width"]), ceil(n["m"], n["part"])), _threads,
        dict(columns=10, width=8, threads=256), dict(columns=3, width=4, threads=64),
    ),
    "product_of_step": _of_step(False, 4),
    "product_of_step_along": _of_step(True, 2),
    # convolutions
    "convolution": _convolution("convolve", "T* x, T* w", lambda s, n: (
        n["k"], n["images"] * _pixels(n, "od", "oh", "ow"), n["groups"])),
    "convolution_images": _convolution("image_gradient", "T* g, T* w", _of_phases),
    "convolution_filters": _convolution("filter_gradient", "T* x, T* g", lambda s, n: (
        n["c"] * _pixels(n, "kd", "kh", "kw"), n["k"], n["groups"] * n["parts"]), ", int64 parts",
        tile_m=64, tile_n=64, thread_m=4, thread_n=4),
    # running sums
    "scan_rows": Kernel("scans.rows", "T* out, T* totals, T* x, int64 rows, int64 length",
                        lambda s, n: (ceil(n["length"], 4 * s["threads"]), min(n["rows"], MANY)), _threads,
                        dict(threads=256), dict(threads=8), op="sum"),
    "scan_carry": Kernel("scans.carry", "T* out, T* totals, int64 rows, int64 length, int64 chunks",
                         lambda s, n: (ceil(n["length"], s["threads"]), min(n["rows"], MANY)), _threads,
                         dict(chunk=1024, threads=256), dict(chunk=32, threads=8), op="sum"),
    "scan_columns": Kernel("scans.columns", "T* out, T* x, int64 outer, int64 length, int64 inner", _flat, _threads,
                           dict(threads=128), dict(threads=4), op="sum"),
    # sorting
    "sort_blocks": Kernel("sorting.blocks", "T* keys, int64* ids, T* x, int64 outer, int64 length, int64 inner",
                          lambda s, n: (ceil(n["length"], s["run"]), min(n["outer"] * n["inner"], MANY)),
                          lambda s: (s["run"],), dict(run=512), dict(run=8), dtypes=("float32", "float64", "int64")),
    "sort_merge": Kernel(
        "sorting.merge",
        "T* new_keys, int64* new_ids, T* keys, int64* ids, int64 lines, int64 length, int64 width", _lines, _threads,
        dict(threads=256), dict(threads=8), dtypes=("float32", "float64", "int64"),
    ),
    # moving elements
    "transpose": Kernel("moves.transpose", "T* out, T* x, int64 batches, int64 rows, int64 columns",
                        lambda s, n: (ceil(n["columns"], s["tile"]), min(ceil(n["rows"], s["tile"]), MANY),
                                      min(n["batches"], MANY)),
                        lambda s: (s["tile"], s["groups"]), dict(tile=32, groups=8), dict(tile=8, groups=4)),
})  # fmt: skip
