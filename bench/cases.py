"""The cases: problems at certain sizes, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bench.problems import KINDS, Sizes

# Steps that a timed sweep takes, and calls whose results are compared before anything is timed.
SWEPT, CHECKED = 300, 6
# Who takes part in scaling unless all are asked for: those that need no minute of compilation for each size.
SCALING_PEERS = ("numgraph", "numpy", "jax", "torch")


@dataclass(frozen=True)
class Case:
    """A problem that workers time in turn.

    way: "call" or "sweep". threads: None is the suite's number. series, at: the plot that it belongs to and its place
    on the horizontal axis. peers: who takes part, None for all.
    """

    name: str
    group: str
    kind: str
    sizes: Sizes = field(default_factory=dict)
    way: str = "call"
    threads: int | None = None
    series: str = ""
    at: int = 0
    peers: tuple[str, ...] | None = None

    def full_sizes(self) -> Sizes:
        """The sizes, with the kind's usual ones where the case has none."""
        return KINDS[self.kind].sizes | self.sizes

    @property
    def checked(self) -> int:
        """How many calls are compared."""
        return min(CHECKED, self.available) if KINDS[self.kind].steps else 1

    @property
    def available(self) -> int:
        """How many different calls there are."""
        sizes = self.full_sizes()
        return sizes["R"] // sizes["B"] if "R" in sizes else sizes.get("T", 1)

    def tiny(self) -> Case:
        """The same case at the least sizes, for tests."""
        least = {"R": 30, "B": 5, "F": 7, "C": 3, "H": 4, "I": 3, "T": 8, "N": 40, "M": 9, "K": 4, "G": 16, "L": 5}
        return replace(self, sizes={k: min(n, least[k]) for k, n in self.full_sizes().items()})


def _steps() -> list[Case]:
    return [
        Case(f"{kind} step, batch {batch}{end}", "steps", kind, {"B": batch}, way)
        for kind in ("logreg", "mlp")
        for batch in (1, 20, 600)
        for way, end in (("call", ""), ("sweep", ", swept"))
    ]


def _scaling(threads: int) -> list[Case]:
    made = [
        Case(f"logreg step, {n:,} rows", "scaling", "logreg", {"R": n, "B": n, "F": 32}, series="rows", at=n)
        for n in (100, 1000, 10_000, 100_000, 1_000_000)
    ]
    made += [
        Case(f"logreg step, {n} features", "scaling", "logreg", {"R": 2400, "F": n}, series="features", at=n)
        for n in (16, 64, 256, 1024, 4096)
    ]
    made += [
        Case(f"logreg step, {n} classes", "scaling", "logreg", {"R": 2400, "F": 256, "C": n}, series="classes", at=n)
        for n in (2, 10, 100, 1000)
    ]
    counts = sorted({1, *(2**k for k in range(1, 10) if 2**k < threads), threads})
    names = {"logreg": "logreg step, batch 600", "mlp": "mlp step, batch 600", "chain": "elementwise chain"}
    made += [
        Case(f"{name}, {n} thread{'s' * (n > 1)}", "threads", kind, threads=n, series=f"threads: {name}", at=n)
        for kind, name in names.items()
        for n in counts
    ]
    return [replace(case, peers=SCALING_PEERS) for case in made]


def cases(threads: int) -> list[Case]:
    """All that workers time. threads: the greatest number of threads."""
    arrays = {
        "chain": "elementwise chain",
        "chain_sum": "chain and sum",
        "softmax": "softmax rows",
        "sum_axis0": "sum over axis 0",
        "sum_axis1": "sum over axis 1",
        "mean_axis0": "mean over axis 0",
        "mean_axis1": "mean over axis 1",
        "life": "Game of Life by rolls",
        "fft": "Fourier transform of rows",
        "filter": "filter by Fourier transforms",
    }
    return [
        *_steps(),
        Case("lstm cell step", "steps", "lstm"),
        Case("lstm cell step, swept", "steps", "lstm", way="sweep"),
        *(Case(name, "arrays", kind) for kind, name in arrays.items()),
        Case("call of a scalar function", "calls", "scalar"),
        Case("call with two small vectors", "calls", "vector"),
        *_scaling(threads),
    ]


@dataclass(frozen=True)
class Start:
    """A program in fresh processes, with an empty cache and then with the cache that it left.

    title: of the problem. cold, warm: how many processes of each. shows: which of "first" (from starting the process to
    the first result), "compile" (from the expression to the first result), "compile again" (with a warm cache) and
    "memory" (peak resident set) are reported. peers: who takes part unless all are asked for, None for
    all.
    """

    title: str
    kind: str
    sizes: Sizes
    cold: int
    warm: int
    shows: tuple[str, ...]
    peers: tuple[str, ...] | None = None

    def tiny(self) -> Start:
        """The same at the least sizes, for tests."""
        sizes = Case("", "", self.kind, self.sizes).tiny().sizes
        return replace(self, sizes=sizes, cold=1, warm=min(self.warm, 1))


_FEW = {"R": 1200, "B": 20}
STARTS = (
    Start("logreg", "logreg", _FEW, cold=2, warm=3, shows=("first", "compile")),
    Start("mlp", "mlp", {"B": 600}, cold=2, warm=0, shows=("compile", "memory")),
    Start("gradient of a 100-op chain", "gradient", {"K": 100}, cold=2, warm=0, shows=("compile",)),
    Start(
        "gradient of a 1,000-op chain",
        "gradient",
        {"K": 1000},
        cold=2,
        warm=0,
        shows=("compile",),
        peers=("numgraph", "jax"),
    ),
)
