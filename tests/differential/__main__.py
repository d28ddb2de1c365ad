"""`python -m tests.differential --target cpu --seed 0 --minutes 120`: random programs until the time is over."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--target", default="cpu", choices=("cpu", "cuda-sim", "cuda", "reference"))
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the others follow")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--programs", type=int, help="stop after so many")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--kinds", default="", help="themes, separated by commas: only these; see draw.THEMES")
    parser.add_argument("--no-shrink", action="store_true", help="print failing programs as they were drawn")
    parser.add_argument("--with-old-bug", help="put an old fault back, see bugs.BUGS; stop when it is found")
    return parser.parse_args()


def main() -> int:
    """Run; the exit status is 1 where a program failed."""
    options = parsed()
    # A folder of its own: thousands of programs would push everything else out of the user's.
    with tempfile.TemporaryDirectory(prefix="numgraph-differential-") as folder:
        os.environ["NUMGRAPH_CACHE_DIR"] = folder
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # schedules are looked through, and memory that was not written holds a pattern
        os.environ.setdefault("NUMGRAPH_VERIFY", "1")
        from tests.differential.workers import Run, Task

        task = Task(options.target, tuple(filter(None, options.kinds.split(","))), options.with_old_bug)
        start = time.monotonic()
        tally = Run(task, options.seed, options.minutes, options.programs, not options.no_shrink).go(options.jobs)
        print(tally.table(time.monotonic() - start))
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
