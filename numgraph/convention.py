"""The convention between compiled code and what runs it: the slots that every table has, and what an entry answers.

The table is the one argument of compiled code, int64 slots that the runtime fills and the code reads.

* 0 and 1: the two values that a failed condition was about.
* 2: where an ndarray object keeps its data pointer. 3 and 4: the addresses of what matrix products are told, see
  `runtime.products`. 5 and 6: the address of the launcher, and the number of threads. 7: cycles of work that the plan
  expects, about.
* 8, 9 and 10: for several steps in one call, the address of their arguments and outputs (a row of words per step), the
  first step, and the end.

The others differ from program to program, see `loops.table`.
"""

from __future__ import annotations

from typing import NamedTuple

# Another convention must not find code of this one in the cache.
VERSION = "7"

FAILED_A, FAILED_B, HEADER, SGEMM, DGEMM, LAUNCH, THREADS, WORK, WORDS, BEGIN, END, FIRST = range(12)
FIXED = "failed_a failed_b header sgemm dgemm launch threads work words begin end".split()

# What the entry answers instead of a status when the arena is too small; it has changed nothing then.
GROW = -1


class Products(NamedTuple):
    """The matrix products of a dtype that a program calls.

    columns: the numbers of columns that those by dot products take at a time; none if there are no such ones. narrow:
    whether there may be some whose rows are shorter than a vector.
    """

    dtype: str
    columns: tuple[int, ...] = ()
    narrow: bool = False
