"""Reads PTX for what the tests ask of it: which instructions there are, how many threads a multiprocessor holds,
whether an address may come out of 32-bit arithmetic that overflows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

# The largest values of special registers; the first axis of a grid has 2^31 - 1 blocks.
SPECIAL = {"tid": 1023, "ntid": 1024, "laneid": 31, "ctaid.x": 2**31 - 2, "nctaid.x": 2**31 - 1, "ctaid": 65_534,
           "nctaid": 65_535}  # fmt: skip
LINE = re.compile(r"^\s*(?:@!?%p\d+\s+)?([a-z][\w.:]*)\s+(.*);")
LIMIT = 2**31
SHORT = ("u32", "s32", "b32")
# Of a multiprocessor of capability 9.0: registers, which warps get in pieces; shared memory, of which each block takes
# some for the system; threads; blocks.
REGISTERS, PIECE, SHARED, SYSTEM, THREADS, BLOCKS = 65536, 256, 233472, 1024, 2048, 32


def instructions(ptx: str) -> list[str]:
    """The operations of a kernel, in order, such as "ld.global.v4.f32"."""
    return [match[1] for match in map(LINE.match, ptx.splitlines()) if match]


def occupancy(registers: int, shared: int, threads: int) -> float:
    """The share of the threads that a multiprocessor may hold which it holds of a kernel. shared: bytes of a block."""
    warps = -(-threads // 32)
    warp = -(-registers * 32 // PIECE) * PIECE
    blocks = min(REGISTERS // (warp * warps), SHARED // (shared + SYSTEM), THREADS // threads, BLOCKS)
    return blocks * warps * 32 / THREADS


class Program:
    """The instructions of a kernel, by the registers that they write."""

    def __init__(self, ptx: str) -> None:
        self.writes: dict[str, list[tuple[str, list[str]]]] = {}
        self.addresses: set[str] = set()
        # by register, the instructions that read it
        self.reads: dict[str, list[tuple[str, list[str]]]] = {}
        for line in ptx.splitlines():
            match = LINE.match(line)
            if match is None:
                continue
            op, rest = match.groups()
            operands = [o.strip() for o in re.split(r"[,{}|]", rest) if o.strip()]
            parts = op.split(".")
            if parts[0] in ("ld", "st", "atom", "red") and not {"shared", "param", "local"} & set(parts):
                self.addresses |= set(re.findall(r"\[(%rd\d+)", rest))
            if parts[0] not in ("st", "bra", "bar", "setp"):
                written = re.findall(r"%\w+", rest.partition("[")[0]) if parts[0] == "ld" else operands[:1]
                sources = [] if parts[0] == "ld" else operands[1:]
                for register in written:
                    self.writes.setdefault(register, []).append((op, sources))
                operands = [o for o in operands if o not in written]
            for register in re.findall(r"%\w+", " ".join(operands)):
                self.reads.setdefault(register, []).append((op, operands))

    def narrow(self) -> list[str]:
        """The instructions behind addresses of global memory whose 32-bit results may not hold the number."""
        found, waiting, seen = [], sorted(self.addresses), set(self.addresses)
        while waiting:
            current = waiting.pop()
            for op, sources in self.writes.get(current, []):
                if self._only_low_bits(current):
                    continue
                if self._is_short_division(op, sources) or self._is_short_remainder(op, sources):
                    continue
                if (_narrows(op) or self._cuts(op, sources)) and self._bound(op, sources, ()) >= LIMIT:
                    found.append(f"{op} {', '.join(sources)}")
                for register in _registers(sources):
                    if register not in seen:
                        seen.add(register)
                        waiting.append(register)
        return found

    def _only_low_bits(self, register: str) -> bool:
        """Whether all that is read of a register is some of its low bits, which are right whatever overflows."""
        readers = self.reads.get(register, [])
        return bool(readers) and all(
            op == "and.b32" and any(re.fullmatch(r"\d+", o) for o in operands) for op, operands in readers
        )

    def _is_short_division(self, op: str, sources: list[str]) -> bool:
        """Whether this is the fast way of a 64-bit division, taken where both numbers turned out to have 32 bits."""
        return op in ("div.u32", "rem.u32") and all(
            [o for o, _ in self.writes.get(source, [])] == ["cvt.u32.u64"] for source in sources
        )

    def _is_short_remainder(self, op: str, sources: list[str]) -> bool:
        """Whether this is what that way leaves over: a - a // b * b."""
        for product in sources if op == "sub.s32" else ():
            for inner, factors in self.writes.get(product, []):
                quotients = [written for factor in factors for written in self.writes.get(factor, [])]
                if inner == "mul.lo.s32" and any(self._is_short_division(*written) for written in quotients):
                    return True
        return False

    def _cuts(self, op: str, sources: list[str]) -> bool:
        """Whether a 64-bit instruction keeps 32 bits of its operand: by a mask, or by a shift to the left and back."""
        if op == "and.b64":
            return "4294967295" in sources
        before = self.writes.get(sources[0], []) if op in ("shr.s64", "shr.u64") else []
        return any(o == "shl.b64" and s[1] == "32" for o, s in before)

    def _value(self, operand: str, inside: tuple[str, ...]) -> float:
        """The largest value of an operand; infinity for what is not known, and around loops."""
        if re.fullmatch(r"-?\d+", operand):
            return abs(int(operand))
        if operand in inside:
            return math.inf
        name = operand.removeprefix("%")
        for special, value in SPECIAL.items():
            if name == special or name in (f"{special}.x", f"{special}.y", f"{special}.z"):
                return value
        writes = self.writes.get(operand, [])
        return max((self._bound(op, sources, (*inside, operand)) for op, sources in writes), default=math.inf)

    def _bound(self, op: str, sources: list[str], inside: tuple[str, ...]) -> float:
        """The largest result of an instruction, for operands that are not negative."""
        name, *kinds = op.split(".")
        if name == "ld":
            # a number of 32 bits that comes from memory holds itself
            return LIMIT - 1 if kinds[-1] in SHORT else math.inf
        values = [self._value(source, inside) for source in sources]
        if name in ("mov", "cvt", "abs"):
            return values[0]
        if name in ("selp", "max"):
            return max(values[:2])
        if name in ("min", "and"):
            return min(values)
        if name in ("sub", "div"):
            return values[0]
        if name == "rem":
            return min(values[0], values[1] - 1)
        if name in ("add", "or", "xor"):
            return values[0] + values[1]
        if name == "shr":
            return values[0] / 2 ** values[1] if values[1] < 64 else values[0]
        if name == "shl":
            return values[0] * 2 ** values[1] if values[1] < 64 else math.inf
        if name in ("mul", "mad") and "hi" not in kinds:
            return values[0] * values[1] + (values[2] if name == "mad" else 0)
        return math.inf


def _narrows(op: str) -> bool:
    """Whether the result has 32 bits and is computed, rather than moved or read."""
    name, *kinds = op.split(".")
    if name == "cvt":
        return kinds[0] in SHORT and kinds[-1] not in SHORT
    if "wide" in kinds or name in ("mov", "ld", "selp", "min", "max", "shfl"):
        return False
    return bool(kinds) and kinds[-1] in SHORT


def _registers(sources: list[str]) -> Iterator[str]:
    for source in sources:
        yield from re.findall(r"%(?:r|rd)\d+", source)
