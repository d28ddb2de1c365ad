"""Runs PTX, instruction by instruction: what the compiler made of a kernel does what its source says.

As much of PTX as the kernels use (PTX ISA 8, "Instruction Set"). Threads of a block run in turn from barrier to
barrier. Integers are kept as unsigned numbers of their width, floats as NumPy scalars, which round as the device
does; `ex2.approx` and the like are rounded correctly here, to an ulp or two there. Global memory is the arrays, each
at an address of its own; an access outside of them is an error, as is one that is not aligned.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
import struct
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

FAR = 1 << 40  # between the addresses of arrays
SHARED = 1 << 60
WIDTHS = {"8": 8, "16": 16, "32": 32, "64": 64}
LINE = re.compile(r"^\s*(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*);")
OPERANDS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s|]+")


def width(kind: str) -> int:
    return WIDTHS[kind[1:]]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def to_bits(value: Any) -> int:
    """The bits of a register's value."""
    if isinstance(value, np.floating):
        return int.from_bytes(value.tobytes(), "little")
    return int(value)


def from_bits(value: int, register: str) -> Any:
    """The value of a register of which the bits are known: its name tells its type."""
    if register.startswith("%fd"):
        return np.float64(struct.unpack("<d", value.to_bytes(8, "little"))[0])
    if register.startswith("%f"):
        return np.frombuffer((value & 0xFFFFFFFF).to_bytes(4, "little"), np.float32)[0]
    return value & (0xFFFFFFFF if register.startswith("%r") and not register.startswith("%rd") else (1 << 64) - 1)


ARITHMETIC = {"add": operator.add, "sub": operator.sub, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
              "mul": operator.mul, "min": min, "max": max}  # fmt: skip
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": lambda a, b: a != b and a == a and b == b, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "neu": operator.ne, "geu": lambda a, b: not a < b,
    "leu": lambda a, b: not a > b, "gtu": lambda a, b: not a <= b, "ltu": lambda a, b: not a >= b,
    "equ": lambda a, b: not (a < b or a > b), "nan": lambda a, b: a != a or b != b,
    "num": lambda a, b: a == a and b == b,
}  # fmt: skip
FLOAT = {"f32": np.float32, "f64": np.float64}


def whole(name: str, kinds: list[str], values: list[int]) -> int:
    """An instruction on integers."""
    kind = kinds[-1]
    bits = width(kind)
    if kind[0] == "s" or name in ("neg", "abs"):
        values = [signed(v & (1 << bits) - 1, bits) for v in values]
    if name in ("shl", "shr"):
        shift = min(values[1] & 0xFFFFFFFF, bits)
        result = values[0] << shift if name == "shl" else values[0] >> shift
    elif name == "mad":
        result = values[0] * values[1] + values[2]
    elif name in ("div", "rem"):
        quotient = abs(values[0]) // abs(values[1]) * (-1 if (values[0] < 0) != (values[1] < 0) else 1)
        result = quotient if name == "div" else values[0] - quotient * values[1]
    elif name in ("not", "neg", "abs"):
        result = {"not": ~values[0], "neg": -values[0], "abs": abs(values[0])}[name]
    elif name == "bfi":
        a, b, at, length = values
        mask = (1 << length) - 1 << at
        result = b & ~mask | a << at & mask
    else:
        result = ARITHMETIC[name](*values)
    if "hi" in kinds:
        return result >> bits & (1 << bits) - 1
    return result & (1 << (2 * bits if "wide" in kinds else bits)) - 1


def real(name: str, kinds: list[str], values: list[Any]) -> Any:
    """An instruction on floats."""
    kind = FLOAT[kinds[-1]]
    if name == "fma":
        if kind is np.float64:
            return values[0] * values[1] + values[2]
        exact = np.float64(values[0]) * np.float64(values[1]) + np.float64(values[2])
        made = np.float32(exact)
        # towards minus infinity, which exp uses to find a whole number
        return np.nextafter(made, np.float32(-np.inf)) if "rm" in kinds and made > exact else made
    one = kind(1)
    return kind({
        "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
        "neg": lambda a: -a, "abs": np.abs, "sqrt": np.sqrt, "ex2": np.exp2, "lg2": np.log2, "rcp": lambda a: one / a,
        "min": np.fmin, "max": np.fmax,
            "copysign": lambda a, b: np.copysign(b, a),
    }[name](*values))  # fmt: skip


def converted(kinds: list[str], value: Any) -> Any:
    """cvt: between widths and types, with the rounding that is asked for."""
    target, source = kinds[-2:]
    if target in FLOAT:
        if source[0] == "s":
            value = signed(value, width(source))
        elif "rni" in kinds or "rzi" in kinds:
            value = np.rint(value) if "rni" in kinds else np.trunc(value)
        if "sat" in kinds:
            value = min(max(value, 0), 1) if value == value else 0
        return FLOAT[target](value)
    if source in FLOAT:
        number = 0 if value != value else int(np.clip(float(value), -(2.0**63), 2.0**63 - 1024))
    else:
        number = signed(value & (1 << width(source)) - 1, width(source)) if source[0] == "s" else value
    return number & (1 << width(target)) - 1


class Memory:
    """Arrays at addresses of their own, and the shared memory of a block."""

    def __init__(self, arrays: list[np.ndarray], shared_bytes: int) -> None:
        self.spaces = {(k + 1) * FAR: a.reshape(-1).view(np.uint8) for k, a in enumerate(arrays)}
        self.spaces[SHARED] = np.full(shared_bytes + 16, 0x7F, np.uint8)

    def at(self, address: int, size: int) -> np.ndarray:
        """The bytes at an address."""
        base = SHARED if address >= SHARED - FAR else address // FAR * FAR
        begin = address - base
        space = self.spaces.get(base, np.empty(0, np.uint8))
        assert 0 <= begin <= len(space) - size, f"{size} bytes at {address:#x} are outside of the arrays"
        assert begin % size == 0, f"{size} bytes at {address:#x} are not aligned"
        return space[begin : begin + size]


class Kernel:
    """The instructions of a kernel."""

    def __init__(self, ptx: str) -> None:
        self.parameters = re.findall(r"\.param \.\w+ (\w+)[,\n)]", ptx)
        self.shared: dict[str, int] = {}
        self.shared_bytes = 0
        for align, name, size in re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\];", ptx):
            self.shared_bytes = -(-self.shared_bytes // int(align)) * int(align)
            self.shared[name] = SHARED + self.shared_bytes
            self.shared_bytes += int(size)
        self.code: list[tuple[str, str, str, list[str], list[str]]] = []
        self.labels: dict[str, int] = {}
        # whether blocks wait for one another
        self.meets = "ld.acquire" in ptx
        for line in ptx.partition("\n{")[2].splitlines():
            label = re.match(r"(\$\w+):", line)
            if label:
                self.labels[label[1]] = len(self.code)
            match = LINE.match(line)
            if match and not line.strip().startswith("."):
                negated, predicate, op, rest = match.groups()
                name, *kinds = op.split(".")
                self.code.append((negated or "", predicate or "", name, kinds, OPERANDS.findall(rest)))

    def run(self, grid: tuple[int, ...], block: tuple[int, ...], arguments: list[Any]) -> None:
        """Run all threads. arguments: arrays and numbers of the parameters' types."""
        arrays = [a for a in arguments if isinstance(a, np.ndarray)]
        addresses = iter(range(FAR, FAR * (len(arrays) + 1), FAR))
        words = [next(addresses) if isinstance(a, np.ndarray) else a for a in arguments]
        values = dict(zip(self.parameters, words, strict=True))
        blocks: list[Iterator[bool]] = []
        with np.errstate(all="ignore"):
            for position in _positions(grid):
                memory = Memory(arrays, self.shared_bytes)
                threads = []
                for place in _positions(block):
                    special = {}
                    for k, axis in enumerate("xyz"):
                        special |= {f"%tid.{axis}": place[k], f"%ctaid.{axis}": position[k]}
                        special |= {f"%ntid.{axis}": (*block, 1, 1)[k], f"%nctaid.{axis}": (*grid, 1, 1)[k]}
                    threads.append(Thread(self, memory, special | values).run())
                blocks.append(_together(threads))
                if not self.meets:
                    list(blocks.pop())
            while blocks:
                # each goes on until it looks whether all have come
                blocks = [b for b in blocks if next(b, False)]


def _positions(lengths: tuple[int, ...]) -> list[tuple[int, int, int]]:
    x, y, z = (*lengths, 1, 1)[:3]
    return [(i, j, k) for k, j, i in itertools.product(range(z), range(y), range(x))]


def _together(threads: list[Generator[Any, Any, None]]) -> Iterator[bool]:
    """Run the threads of a block, which exchange values and meet at barriers; true whenever one looks at what other
    blocks do."""
    stops: list[Any] = [next(thread, None) for thread in threads]
    while any(stop is not None for stop in stops):
        for begin in range(0, len(threads), 32):
            warp = range(begin, min(begin + 32, len(threads)))
            while any(stops[r] and stops[r][0] == "shfl" for r in warp):
                answers = [_moved(stops, warp, r) for r in warp]
                for r, answer in zip(warp, answers, strict=True):
                    stops[r] = _next(threads[r], answer)
        looking = [r for r, stop in enumerate(stops) if stop and stop[0] == "look"]
        if looking:
            yield True
            for r in looking:
                stops[r] = _next(threads[r], None)
            continue
        assert len({stop and stop[0] for stop in stops}) == 1, "threads do not meet at a barrier"
        if stops[0] is not None:
            stops = [_next(thread, None) for thread in threads]


def _moved(stops: list[Any], warp: range, r: int) -> int:
    """What a shuffle gives to a thread."""
    _, way, value, step = stops[r]
    lane = r - warp.start
    source = {"bfly": lane ^ step, "up": lane - step, "down": lane + step, "idx": step}[way]
    return int(stops[warp.start + source][2] if 0 <= source < len(warp) else value)


def _next(thread: Generator[Any, Any, None], answer: Any) -> Any:
    try:
        return thread.send(answer)
    except StopIteration:
        return None


class Thread:
    """One thread: its registers and what it executes."""

    def __init__(self, kernel: Kernel, memory: Memory, registers: dict[str, Any]) -> None:
        self.kernel, self.memory, self.registers = kernel, memory, registers

    def run(self) -> Generator[Any, Any, None]:
        """Execute until the end; yields at barriers and shuffles."""
        at = 0
        code, registers = self.kernel.code, self.registers
        while at < len(code):
            negated, predicate, name, kinds, operands = code[at]
            at += 1
            if predicate and bool(registers[predicate]) == bool(negated):
                continue
            if name == "bra":
                at = self.kernel.labels[operands[0]]
            elif name == "ret":
                return
            elif name == "bar":
                yield ("bar",)
            elif name == "ld" and kinds[0] == "acquire":
                self.execute(name, kinds, operands)
                yield ("look",)
            elif name == "shfl":
                target, *sources = (o for o in operands if not o.startswith("%p"))
                value, step = to_bits(registers[sources[0]]), self.value(sources[1], "u32")
                registers[target] = from_bits((yield ("shfl", kinds[1], value, step)), target)
            else:
                self.execute(name, kinds, operands)

    def value(self, operand: str, kind: str) -> Any:
        """The value of an operand for an instruction of a type."""
        if operand.startswith("%"):
            value = self.registers[operand]
            if kind[0] in "sub" and isinstance(value, np.floating):
                return to_bits(value)
            return value
        if operand.startswith("0f"):
            return from_bits(int(operand[2:], 16), "%f")
        if operand.startswith("0d"):
            return from_bits(int(operand[2:], 16), "%fd")
        if operand in self.kernel.shared:
            return self.kernel.shared[operand]
        if operand in self.kernel.parameters:
            return self.registers[operand]
        return int(operand, 0) & (1 << width(kind)) - 1 if kind[0] in "sub" and kind != "pred" else int(operand, 0)

    def address(self, operand: str) -> int:
        """The address of `[%rd1+16]`."""
        match = re.fullmatch(r"\[([%\w]+)(?:([+-]+)(\d+))?\]", operand)
        assert match is not None, operand
        name, sign, offset = match.groups()
        base = self.value(name, "u64")
        return base + int(offset or 0) * (-1 if sign and "-" in sign else 1)

    def execute(self, name: str, kinds: list[str], operands: list[str]) -> None:
        """One instruction that neither jumps nor waits."""
        registers = self.registers
        kind = kinds[-1] if kinds else ""
        if name == "ld":
            self.load(kinds, operands)
        elif name == "st":
            self.store(kinds, operands)
        elif name == "atom":
            assert kinds == ["add", "acq_rel", "gpu", "u32"], kinds
            word = self.memory.at(self.address(operands[1]), 4).view(np.uint32)
            registers[operands[0]] = int(word[0])
            word[0] = (int(word[0]) + self.value(operands[2], "u32")) & 0xFFFFFFFF
        elif name == "setp":
            a, b = (self.value(o, kind) for o in operands[1:])
            if kind[0] == "s":
                a, b = signed(a, width(kind)), signed(b, width(kind))
            registers[operands[0]] = bool(COMPARE[kinds[0]](a, b))
        elif name == "selp":
            chosen = operands[1] if registers[operands[3]] else operands[2]
            registers[operands[0]] = self.value(chosen, kind)
        elif name == "mov" and "{" in "".join(operands):
            self.split(operands)
        elif kind == "pred":
            values = [self.value(o, kind) for o in operands[1:]]
            registers[operands[0]] = not values[0] if name == "not" else bool(
                values[0] if name == "mov" else ARITHMETIC[name](*(bool(v) for v in values)))  # fmt: skip
        elif name in ("mov", "cvta"):
            value = self.value(operands[1], kind)
            registers[operands[0]] = value if kind[0] == "f" else from_bits(to_bits(value), operands[0])
        elif name == "cvt":
            registers[operands[0]] = converted(kinds, self.value(operands[1], kind))
        else:
            values = [self.value(o, kind) for o in operands[1:]]
            registers[operands[0]] = (real if kind in FLOAT else whole)(name, kinds, values)

    def split(self, operands: list[str]) -> None:
        """mov.b64 from two registers into one, or from one into two."""
        parts = re.findall(r"[%\w]+", operands[0]), re.findall(r"[%\w]+", operands[1])
        if len(parts[0]) == 2:
            bits = to_bits(self.registers[parts[1][0]])
            for k, register in enumerate(parts[0]):
                self.registers[register] = bits >> 32 * k & 0xFFFFFFFF
        else:
            low, high = (to_bits(self.registers[register]) for register in parts[1])
            self.registers[parts[0][0]] = from_bits(low | high << 32, parts[0][0])

    def load(self, kinds: list[str], operands: list[str]) -> None:
        """ld: parameters, or one to four elements of memory."""
        targets = re.findall(r"%\w+", operands[0])
        if kinds[0] == "param":
            value = self.registers[operands[1].strip("[]")]
            self.registers[targets[0]] = from_bits(to_bits(value), targets[0]) if kinds[-1][0] != "f" else value
            return
        size = width(kinds[-1]) // 8
        data = self.memory.at(self.address(operands[1]), size * len(targets))
        for k, target in enumerate(targets):
            bits = int.from_bytes(data[k * size : (k + 1) * size].tobytes(), "little")
            wide = 64 if target.startswith("%rd") else 32
            if kinds[-1][0] == "s":
                bits = signed(bits, 8 * size) & (1 << wide) - 1
            self.registers[target] = from_bits(bits, target)

    def store(self, kinds: list[str], operands: list[str]) -> None:
        """st: one to four elements."""
        sources = re.findall(r"[%\w]+", operands[1])
        size = width(kinds[-1]) // 8
        data = self.memory.at(self.address(operands[0]), size * len(sources))
        for k, source in enumerate(sources):
            bits = to_bits(self.value(source, kinds[-1])) & (1 << 8 * size) - 1
            data[k * size : (k + 1) * size] = np.frombuffer(bits.to_bytes(size, "little"), np.uint8)


def run_ptx(ptx: str, grid: tuple[int, ...], block: tuple[int, ...], arguments: list[Any]) -> None:
    """Run the kernel of a text; arguments as for the simulator, typed: floats as NumPy scalars."""
    kernel = Kernel(ptx)
    numbers = [a & (1 << 64) - 1 if isinstance(a, int) else a for a in arguments]
    kernel.run(grid, block, numbers)
    assert math.prod(block) <= 1024
