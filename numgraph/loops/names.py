"""Names that generated code uses, and names for its variables that do not clash."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from numgraph.loops.scalar import HELPERS, POINTERS
from numgraph.op import OPS
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.text import identifier

# What generated code may use of `support`, `calls`, `foreign`, `loops`, `users` in `kernels/`; what occurs is imported.
SUPPORT = (
    frozenset(
        """add_up argument_address argument_length divided entry fail from_python helper
    items_of jit largest launch multiply_up real_of relock resident_address resident_length resident_shape shape
    chunk_count smallest table_of to_python unlock""".split()
    )
    | set(POINTERS.values())
    | HELPERS
    | {row.numba for row in SCALAR_FUNCTIONS.values() if "." not in row.numba}
) - {"", "abs"}
PRODUCTS = frozenset({"sgemm", "dgemm", "sgemm_rows", "dgemm_rows"})
FOREIGN = frozenset({"call_at"})
HINTS = frozenset({"apart", "interleave", "with_masks", "not_unrolled", "one_copy"})
CHAINS = frozenset({"call_functions"})
USERS = frozenset({"bools", "checked", "refuse", "room", "view"})
# How generated code finds users' functions, of `userfunctions.function`.
FINDERS = frozenset({"users_function", "plain_users_function"})
DTYPES = "complex128 complex64 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
COUNTERS = "ijklmnopq"
# Names that variables of generated functions may not have: those that all such functions use,
RESERVED = (
    frozenset(
        """address table reals arena own chunk chunks begin end tile tiles first last step status call many words each
        items objects i j k l m n o p q acc math np range complex abs min max return_code""".split()
    )
    | SUPPORT
    | PRODUCTS
    | FOREIGN
    | HINTS
    | CHAINS
    | USERS
    | FINDERS
    | frozenset(DTYPES)
)
# those of a kernel's variables: the functions and types of any module, and what says which thread it is,
HOST = frozenset(
    "i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 c64 c128 argument_length resident_length resident_shape fail".split()
)
KERNEL_NAMES = (
    (RESERVED - set("table reals arena own chunk chunks begin end step status call many words return_code".split()))
    | HOST
    | HELPERS
    | set("block blocks block_y blocks_y thread threads lane cuda helper THREADS WARP FULL".split())
    | set("advance aligned all_blocks load4 quotient store4".split())
)
# and those of the functions and constants of a module.
FUNCTION = re.compile(
    r"(plan|phase|shape|step|join|kernel|find|each)_\d+(_\d+)?|enter|timed_\w*|AT_\w*|join_\w+_(float|u?int|bool)\d*"
    r"|(tiled|skinny_rows|skinny_columns)_(kernel|\d+)"
)


def imported(functions: Iterable[str]) -> frozenset[str]:
    """The names of functions ("module.name") and of the named kernels as a module that imports them knows them."""
    kernels = [name for op in OPS.values() if op.kernel for name in (op.kernel.function, op.kernel.small)]
    return frozenset(function.rpartition(".")[2] for function in (*functions, *kernels))


@dataclass
class Names:
    """Gives names: the user's where there is one, else a letter with a number; each name is assigned once in a
    function."""

    taken: set[str] = field(default_factory=lambda: set(RESERVED))
    counts: dict[str, int] = field(default_factory=dict)

    def counter(self, level: int) -> str:
        """The counter of a loop: i, j, k... by nesting, numbered from the second loop at a level on.

        A counter shared by loops one after the other would be assigned again, which costs Numba dearly. Arrays may have
        more axes than there are letters.
        """
        if level >= len(COUNTERS):
            return self.fresh(None, "axis")
        letter = COUNTERS[level]
        count = self.counts.get(letter, 0)
        name = f"{letter}{count}" if count else letter
        while count and name in self.taken:
            count += 1
            name = f"{letter}{count}"
        self.counts[letter] = count + 1
        self.taken.add(name)
        return name

    def fresh(self, wish: str | None, prefix: str = "t", partner: str = "") -> str:
        """A name that is not taken: `wish` made into an identifier, or `prefix` and a number.

        partner: an ending; the name with it is not taken either, and for the caller to use.
        """
        base = identifier(wish) if wish else ""
        if base and self._take(base, partner):
            return base
        stem = base + "_"
        if not base or FUNCTION.fullmatch(f"{stem}0"):
            stem = prefix
        while True:
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
            name = f"{stem}{count}"
            if self._take(name, partner):
                return name

    def _take(self, name: str, partner: str) -> bool:
        """Whether the name was free; it is taken then."""
        wanted = {name, name + partner}
        if wanted & self.taken or any(map(FUNCTION.fullmatch, wanted)):
            return False
        self.taken |= wanted
        return True
