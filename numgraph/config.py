"""Settings, and the only place that reads the environment.

`config.floatX` and the others are read at each use, never captured at import, so that assigning one takes effect at
once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from numgraph.errors import OptionError

MAX_THREADS = 1024


def _default_cache_dir() -> Path:
    """The folder of compiled code: NUMGRAPH_CACHE_DIR, else the user's cache folder."""
    chosen = os.environ.get("NUMGRAPH_CACHE_DIR")
    if chosen:
        return Path(chosen)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        # a user without a home, as in containers: a folder that cannot be made, so that nothing is kept
        base = Path(os.devnull)
    return Path(base) / "numgraph"


def _bytes_of(name: str) -> int:
    """The bytes that an environment variable says, perhaps with a unit: 500M; else 1 GiB."""
    chosen = os.environ.get(name, "1G").strip()
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)(?:i?B)?", chosen, re.IGNORECASE)
    if found is None:
        raise OptionError(f"{name} must be bytes such as 500M or 2G, or 0 for no limit, not {chosen!r}")
    unit: int = 1024 ** " KMGT".index(found[2].upper() or " ")
    return int(found[1]) * unit


def _default_threads() -> int:
    """NUMGRAPH_THREADS, else NUMBA_NUM_THREADS or OMP_NUM_THREADS, else the processors that this process may use."""
    for name in ("NUMGRAPH_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        # OpenMP allows a list, one number per nested level
        chosen = os.environ.get(name, "").split(",")[0].strip()
        if chosen.isdigit() and int(chosen) > 0:
            return min(int(chosen), MAX_THREADS)
        if chosen and name.startswith("NUMGRAPH"):
            raise OptionError(f"{name} must be a whole number from 1 on, not {chosen!r}")
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(count, _quota(), MAX_THREADS))


def _quota() -> int:
    """Processors that the control group (version 2, as containers have it) grants; fractions are rounded up."""
    best = MAX_THREADS
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()[-1].split(":", 2)[2].strip("/")
    except (OSError, IndexError, ValueError):
        return best
    folder = Path("/sys/fs/cgroup") / group
    for place in (folder, *folder.parents):
        try:
            quota, period = (place / "cpu.max").read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            best = min(best, -(-int(quota) // int(period)))
    return max(best, 1)


def _default_profile() -> bool | str:
    """What NUMGRAPH_PROFILE says: 1, 0, or a file."""
    chosen = os.environ.get("NUMGRAPH_PROFILE", "").strip()
    return {"": False, "0": False, "1": True}.get(chosen, chosen)


def _default_check_bounds() -> bool:
    """What NUMGRAPH_CHECK_BOUNDS says, or Numba's own variable."""
    return (os.environ.get("NUMGRAPH_CHECK_BOUNDS") or os.environ.get("NUMBA_BOUNDSCHECK") or "0") != "0"


def theano_flags() -> str:
    """What THEANO_FLAGS says, for programs that run through `numgraph.compat.theano`."""
    return os.environ.get("THEANO_FLAGS", "")


@dataclass
class Config:
    """The settings of this process.

    floatX: dtype of floats whose dtype is not given ("float64" or "float32").
    target: where functions run unless they say otherwise ("cpu", "cuda", "cuda-sim" or "reference").
    on_unused_input: "raise", "warn" or "ignore".
    on_empty_givens: "ignore", or "raise": functions made from now on refuse a call in which a part that `givens` put in
        the place of a variable, such as a minibatch, has no rows.
    cache_dir: folder of generated source and compiled code.
    cache_limit: bytes that the files in it may take; beyond it the least recently used ones are removed. 0: no limit.
    scan_memory: bytes that the temporaries of a function made from now on may take; beyond them gradients of scans make
        steps again rather than keep what they need of them, see `checkpoint` of `scan`. 0: no limit.
    threads: processor threads of a function compiled from now on (1 to 1024). The default is what NUMGRAPH_THREADS,
        NUMBA_NUM_THREADS or OMP_NUM_THREADS says, else the processors this process may use.
    cuda_graphs: a function on a CUDA device records its launches once and replays them. False launches one by one.
    cuda_loops: one kernel goes through the steps of a scan, where it can, in functions compiled from now on. False
        launches what each step does.
    cuda_tf32: cuBLAS may round what it multiplies to 11 bits (TF32) in float32 products of functions compiled from now
        on.
    cuda_wait: wait for each launch, so that an error names the kernel that failed.
    cpu: the processor that code is made for from now on: "native", this one; or a level that it has, "x86-64-v2"
        (128-bit vectors, no fused multiply-add), "x86-64-v3" (AVX2) or "x86-64-v4" (AVX-512). Results may differ in
        the last digits between levels. The default is what NUMGRAPH_CPU says, else "native".
    standard_passes: have Numba compile generated source by its own passes alone, without numgraph's for type
        inference and lowering: the same bits, several times slower. For tests of numgraph itself. The default is what
        NUMGRAPH_STANDARD_PASSES says, else False.
    verify: look whether each function compiled from now on uses memory rightly (ScheduleError if not), and fill memory
        that a call has not written yet with a pattern, so that a result which was never written is seen: not a number
        as a float, 2146950829 as an int32. For tests of numgraph itself; calls are slower.
    check_nan: calls of functions made from now on raise NotFiniteError where a result or an update is NaN or infinite,
        with the operation and the line that made it; updates are not done then. Such calls are slower: they copy what
        they update, and a sweep calls one step after the other. The default is what NUMGRAPH_CHECK_NAN says.
    check_bounds: functions of yours (`elementwise`, `call`) that come into a graph from now on look whether each index
        is within its array, and raise IndexError if not, unless they were made with `boundscheck=False`. Without it
        such a function may write anywhere. The reference always looks. The default is what NUMGRAPH_CHECK_BOUNDS says,
        or else NUMBA_BOUNDSCHECK.
    test_values: each operation that is made from now on is computed at once where its operands have values, by
        `x.test_value = array`, as constants or as shared variables: so an error of shapes is raised by the line that
        makes it. The default is what NUMGRAPH_TEST_VALUES says, else False.
    profile: functions made from now on say when each phase begins and ends, and when the process ends a table on
        standard error tells what their calls took; a file "NAME.json" gets a trace instead. The default is what
        NUMGRAPH_PROFILE says (1, or a file), else False.
    perf: write the names and addresses of functions that are compiled or loaded from now on to /tmp/perf-PID.map, where
        Linux's `perf` looks for them. The default is what NUMGRAPH_PERF says, else False.
    debug: 1 prints a line per compilation on standard error, 2 also the generated source with the user's lines,
        3 also each pass of the compiler with its time and what it made.

    AttributeError for another name, OptionError for a value that is none of those listed.
    """

    floatX: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_FLOATX", "float64"))
    target: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_TARGET", "cpu"))
    on_unused_input: str = "raise"
    on_empty_givens: str = "ignore"
    cache_dir: Path = field(default_factory=_default_cache_dir)
    cache_limit: int = field(default_factory=lambda: _bytes_of("NUMGRAPH_CACHE_LIMIT"))
    scan_memory: int = field(default_factory=lambda: _bytes_of("NUMGRAPH_SCAN_MEMORY"))
    threads: int = field(default_factory=_default_threads)
    cuda_graphs: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_CUDA_GRAPHS", "1") != "0")
    cuda_loops: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_CUDA_LOOPS", "1") != "0")
    cuda_tf32: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_CUDA_TF32", "0") != "0")
    cuda_wait: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_CUDA_WAIT", "0") != "0")
    cpu: str = field(default_factory=lambda: os.environ.get("NUMGRAPH_CPU", "native"))
    standard_passes: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_STANDARD_PASSES", "0") != "0")
    verify: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_VERIFY", "0") != "0")
    check_nan: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_CHECK_NAN", "0") != "0")
    check_bounds: bool = field(default_factory=_default_check_bounds)
    test_values: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_TEST_VALUES", "0") != "0")
    profile: bool | str = field(default_factory=_default_profile)
    perf: bool = field(default_factory=lambda: os.environ.get("NUMGRAPH_PERF", "0") != "0")
    debug: int = field(default_factory=lambda: int(os.environ.get("NUMGRAPH_DEBUG", "0")))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set one of the settings."""
        if name not in _SETTINGS:
            raise AttributeError(f"numgraph has no setting {name!r}; there are: {', '.join(_SETTINGS)}")
        allowed = _ALLOWED.get(name)
        if allowed and value not in allowed:
            raise OptionError(f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}")
        if name == "threads" and (type(value) is not int or not 1 <= value <= MAX_THREADS):
            raise OptionError(f"threads must be a whole number from 1 to {MAX_THREADS}, not {value!r}")
        if name in ("cache_limit", "scan_memory") and (type(value) is not int or value < 0):
            raise OptionError(f"{name} must be a whole number of bytes, or 0 for no limit, not {value!r}")
        if name == "profile" and not (value is True or value is False or str(value).endswith(".json")):
            raise OptionError(f"profile must be True, False or a file NAME.json, not {value!r}")
        if name == "debug" and (type(value) is not int or value < 0):
            raise OptionError(f"debug must be 0, 1, 2 or 3, not {value!r}")
        if name == "cache_dir" and not isinstance(value, str | os.PathLike):
            raise OptionError(f"cache_dir must be a folder, not {value!r}")
        if name == "cache_dir" or (name == "profile" and not isinstance(value, bool)):
            value = Path(value) if name == "cache_dir" else str(value)
        object.__setattr__(self, name, value)


_SETTINGS = tuple(f.name for f in fields(Config))
_ALLOWED = {
    "floatX": ("float64", "float32"),
    "target": ("cpu", "cuda", "cuda-sim", "reference"),
    "cpu": ("native", "x86-64-v2", "x86-64-v3", "x86-64-v4"),
    "on_unused_input": ("raise", "warn", "ignore"),
    "on_empty_givens": ("ignore", "raise"),
    "cuda_graphs": (True, False),
    "cuda_loops": (True, False),
    "cuda_tf32": (True, False),
    "cuda_wait": (True, False),
    "standard_passes": (True, False),
    "verify": (True, False),
    "check_nan": (True, False),
    "check_bounds": (True, False),
    "perf": (True, False),
    "test_values": (True, False),
}


config = Config()
