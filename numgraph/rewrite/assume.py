"""Assumptions: lengths that a program is compiled for as equal although only a call tells whether they are.

Where broadcasting meets two lengths that are not known, code for equal ones is short and fast, and nearly every call
has them; so a build assumes it. The plan of a call checks each assumption. One that fails is given up, and the program
is built again without it, for the lengths of that call. Assumptions that contradict each other, or what is certain, are
found here, while the program is built, and given up before anything is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from numgraph.errors import IndexOutOfRange, ShapeError
from numgraph.ir import Node, topological
from numgraph.lengths.values import Values

# What an assumption is known by, in every build of the same program.
Key = tuple[str, ...]
Keys = frozenset[Key]
# Stands for every assumption.
ALL: Key = ("all",)
# Stands for the assumption that what gradients of scans keep is not too much: the program is another one without it.
MEMORY: Key = ("memory",)
NOTHING: Keys = frozenset()
# So many lengths of a shared variable are compiled for, each for itself; one that goes on changing is taken as any.
MOST_LENGTHS = 4
# Builds that end in a contradiction, after which nothing is assumed any more.
MAX_ROUNDS = 8

# What a build raises for lengths that contradict each other; compositions of ops say it in their own words.
REFUSED = (ShapeError, IndexOutOfRange)

Built = TypeVar("Built")
# The array that a leaf is in a call, None where it is not known.
Leaf = Callable[[Node], Any]


class Contradiction(ShapeError):
    """Lengths that cannot be as they must, if all that the build assumes holds.

    key: the assumption that cannot be made beside the others, if it was one.
    """

    def __init__(self, message: str, key: Key | None = None) -> None:
        super().__init__(message)
        self.key = key


class Assumptions:
    """What one build may assume, and what it did.

    given_up: assumptions that are not made. only: where it is given, all that may be made. certain: conditions that
    fail whatever is assumed; they are left to the call. leaf: the array that an input, a shared variable or a constant
    is in the call that the program is built for, None where it is not known.
    """

    def __init__(
        self,
        given_up: Keys = NOTHING,
        only: Keys | None = None,
        certain: frozenset[Any] = frozenset(),
        leaf: Leaf | None = None,
    ) -> None:
        self.given_up = given_up
        self.only = only
        self.certain = certain
        self.values = Values(leaf) if leaf is not None else None
        # in order; whether it is about two lengths of the program, not one and what it was at the time
        self.made: dict[Key, bool] = {}
        self._digests: dict[Node, str] = {}

    def key(self, a: Any, b: Any) -> Key:
        """The key of the assumption that two lengths are equal."""
        return tuple(sorted((self._digest(a), self._digest(b))))

    def make(self, key: Key, a: Any, b: Any, pair: bool = True) -> bool:
        """Whether the build assumes `a` and `b` to be equal: not after that was given up, nor where they differ in the
        call that it is for."""
        if ALL in self.given_up or key in self.given_up or (self.only is not None and key not in self.only):
            return False
        if not pair and self._given_up_for(a) >= MOST_LENGTHS:
            return False
        if self.values is not None:
            x, y = self.values(a), self.values(b)
            if x is not None and y is not None and x != y:
                self.given_up |= {key}
                return False
        self.made[key] = pair
        return True

    def _given_up_for(self, length: Node) -> int:
        """How many numbers a length was assumed to keep, and did not."""
        digest = self._digest(length)
        return sum(digest in key and any(part.isdecimal() and part != digest for part in key) for key in self.given_up)

    def tolerates(self, condition: Any) -> bool:
        """Whether a condition on numbers that fails is left to the call: it is not for an assumption that it does."""
        if not self.made:
            self.certain |= {condition}
        return condition in self.certain

    def _digest(self, length: Any) -> str:
        """A length as text that is the same in every build of the same program, and short."""
        if not isinstance(length, Node):
            return str(length)
        for node in topological([length], self._digests):
            parts = [node.name, repr(node.attrs), *(self._digests[v] for v in node.inputs)]
            self._digests[node] = blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
        return self._digests[length]


def settled(
    build: Callable[[Assumptions], Built], given_up: Keys = NOTHING, leaf: Leaf | None = None
) -> tuple[Built, Keys]:
    """What `build` makes of as many assumptions as hold together, and those that it was made without.

    A build that ends in a contradiction is made again without the assumptions that lead to it. ShapeError where it
    does not come from assumptions.
    """
    certain: frozenset[Any] = frozenset()
    for _ in range(MAX_ROUNDS):
        assumptions = Assumptions(given_up, None, certain, leaf)
        try:
            return build(assumptions), assumptions.given_up
        except REFUSED as problem:
            found = _certain(build, certain)
            if not found <= certain:
                certain |= found
                continue
            given_up |= _culprits(build, assumptions, certain, problem)
    return build(Assumptions(frozenset({ALL}))), frozenset({ALL})


def _certain(build: Callable[[Assumptions], Any], certain: frozenset[Any]) -> frozenset[Any]:
    """The conditions that fail although nothing is assumed. ShapeError where that cannot even be built."""
    free = Assumptions(only=NOTHING, certain=certain)
    build(free)
    return free.certain


def _culprits(
    build: Callable[[Assumptions], Any], assumptions: Assumptions, certain: frozenset[Any], problem: Exception
) -> Keys:
    """What to give up: of a smallest set of assumptions that contradict each other those about two lengths of the
    program, else those about what lengths were."""

    def fails(keys: Sequence[Key]) -> bool:
        try:
            build(Assumptions(assumptions.given_up, frozenset(keys), certain))
        except REFUSED:
            return True
        return False

    conflict = smallest(fails, list(assumptions.made))
    pairs = {key for key in conflict if assumptions.made[key]}
    if pairs and isinstance(problem, Contradiction) and problem.key is not None:
        pairs.add(problem.key)
    return frozenset(pairs or conflict)


def smallest(fails: Callable[[Sequence[Any]], bool], parts: Sequence[Any], base: Sequence[Any] = ()) -> list[Any]:
    """A set of `parts` with which it fails and without any one of which it does not, in few tries: by halves (known as
    QuickXplain)."""
    if len(parts) <= 1:
        return list(parts)
    half = len(parts) // 2
    left, right = parts[:half], parts[half:]
    needed = [] if fails([*base, *left]) else smallest(fails, right, [*base, *left])
    more = [] if needed and fails([*base, *needed]) else smallest(fails, left, [*base, *needed])
    return [*more, *needed]
