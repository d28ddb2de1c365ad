"""Functions that differ in numbers only are printed once: the numbers in which they differ become arguments.

A long chain of operations is printed as many phases that differ in nothing but places in the table and in the arena,
factors, and codes of failures. Their common body, the *shape*, is read once, and compiled once. Other whole numbers are
lengths, which LLVM makes use of: they must be equal. So must names be, since they are the user's.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache as remember
from itertools import chain, count

from numgraph.emit.writer import Call, Function, Line
from numgraph.ir import MAX_LINES
from numgraph.source import SourceLine

# Lines that a body has at least: a shorter one is read sooner than a call of it.
LEAST = 8
# Functions that a comment names.
NAMED = 4


@dataclass(frozen=True)
class Pattern:
    """A statement but for its numbers: the text before, between and behind them, what arguments for them are called
    (`at0`, `by0`, `c0`, `code0`) but for the digit, and the names in it."""

    pieces: tuple[str, ...]
    kinds: tuple[str, ...]
    names: frozenset[str]

    def text(self, numbers: Sequence[str]) -> str:
        """The statement with these numbers, or with names for them."""
        return self.pieces[0] + "".join(map("".join, zip(numbers, self.pieces[1:], strict=True)))


@dataclass
class Group:
    """Functions that are alike: the patterns of their lines, and for the numbers of all lines those that have them."""

    patterns: tuple[Pattern, ...]
    members: dict[tuple[tuple[str, ...], ...], list[Function]] = field(default_factory=dict)

    @property
    def firsts(self) -> list[Function]:
        """Of those that are the same the first one."""
        return [same[0] for same in self.members.values()]


@dataclass
class Merged:
    """What is printed in the place of each function, and how it is called, by its name."""

    printed: dict[str, list[Function]]
    calls: dict[str, Call]


def merge(functions: Sequence[Function]) -> Merged:
    """The functions, those that are the same or alike merged: before the first of those stands their shape.

    A function of shares remains as one that calls the shape, for threads are given a function with these arguments; of
    one of the address nothing remains but its call.
    """
    merged = Merged({f.name: [f] for f in functions}, {f.name: Call(f.name, f.arguments) for f in functions})
    shapes = 0
    for group in _groups(functions):
        for first, *others in group.members.values():
            note = f"{first.note}; also {_listed(others)}" if others else first.note
            merged.printed[first.name] = [replace(first, note=note)]
        if len(group.members) > 1 and len(group.firsts[0].body) >= LEAST:
            _share(f"shape_{shapes}", group, merged)
            shapes += 1
        for first, *others in group.members.values():
            for other in others:
                merged.printed[other.name] = []
                merged.calls[other.name] = _noted(merged.calls[first.name], other)
    return merged


def _groups(functions: Sequence[Function]) -> list[Group]:
    """The functions, those together that are alike, in the order of the first ones."""
    read = remember(_read)

    def pattern_of(line: int) -> Callable[[Function], Pattern]:
        return lambda function: read(function.body[line].code)[0]

    groups = []
    for part in _split([functions], lambda f: (f.arguments, tuple(line.indent for line in f.body))):
        parts = [part]
        # line by line, since most that are not alike differ soon
        for k in range(len(part[0].body)):
            parts = _split(parts, pattern_of(k))
        for alike in parts:
            group = Group(tuple(read(line.code)[0] for line in alike[0].body))
            for function in alike:
                group.members.setdefault(tuple(read(line.code)[1] for line in function.body), []).append(function)
            groups.append(group)
    order = {function.name: number for number, function in enumerate(functions)}
    return sorted(groups, key=lambda group: order[group.firsts[0].name])


def _split(parts: Iterable[Sequence[Function]], key: Callable[[Function], object]) -> list[list[Function]]:
    """Parts in each of which all functions have the same key; those of one function are left out."""
    found: dict[object, list[Function]] = defaultdict(list)
    for number, part in enumerate(parts):
        for function in part:
            found[number, key(function)].append(function)
    return [part for part in found.values() if len(part) > 1]


def _share(name: str, group: Group, merged: Merged) -> None:
    """Print the body of a group of functions once."""
    arguments = Arguments(frozenset(chain.from_iterable(p.names for p in group.patterns)))
    shape = _shape(name, group, arguments)
    for place, function in enumerate(group.firsts):
        call = Call(name, (*function.arguments, *(numbers[place] for _, numbers in arguments.names)))
        call = _noted(call, function)
        if len(function.arguments) == 1:
            merged.printed[function.name] = []
            merged.calls[function.name] = call
        else:
            (kept,) = merged.printed[function.name]
            merged.printed[function.name] = [replace(kept, body=replace(call, note="").lines(0, "return "))]
    merged.printed[group.firsts[0].name].insert(0, shape)


# -- numbers --------------------------------------------------------------------------------------------------------


def _read(code: str) -> tuple[Pattern, tuple[str, ...]]:
    """A line's pattern, and its numbers."""
    start = len(code) - len(code.lstrip())
    # the head of a loop or a condition is no statement without a body
    tree = ast.parse(f"{code[start:]} pass" if code.endswith(":") else code[start:])
    found = sorted(_numbers(tree), key=lambda number: number[0].col_offset)
    # the parser counts bytes
    text = code.encode()
    begins = [start + node.col_offset for node, _ in found]
    ends = [start + (node.end_col_offset or 0) for node, _ in found]
    pieces = tuple(text[a:b].decode() for a, b in zip([0, *ends], [*begins, len(text)], strict=True))
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    numbers = tuple(text[a:b].decode() for a, b in zip(begins, ends, strict=True))
    return Pattern(pieces, tuple(kind for _, kind in found), names), numbers


def _numbers(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """The numbers in a statement in which alike ones may differ, and what arguments for them are called."""
    signed = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(ast.Name("table" | "reals"), ast.Constant() as number):
                yield number, "at"
            case ast.BinOp(left, ast.Add(), ast.Constant(int()) as number) if _is_address(left):
                yield number, "by"
            case ast.Call(ast.Name("fail"), [*_, ast.Constant() as number]):
                yield number, "code"
            case ast.UnaryOp(ast.USub(), ast.Constant(float()) as number):
                signed.add(number)
                yield node, "c"
            case ast.Constant(float()) if node not in signed:
                yield node, "c"


def _is_address(tree: ast.expr) -> bool:
    """Whether an expression is an address, to which bytes are added."""
    match tree:
        case ast.Subscript(ast.Name("table")) | ast.Name("own"):
            return True
        case ast.BinOp(left, ast.Add()):
            return _is_address(left)
    return False


# -- shapes ---------------------------------------------------------------------------------------------------------


class Arguments:
    """The arguments of a shape: names, by what they are and the numbers of all members for which they stand."""

    def __init__(self, taken: frozenset[str]) -> None:
        self.taken = set(taken)
        self.names: dict[tuple[str, tuple[str, ...]], str] = {}

    def name(self, kind: str, numbers: tuple[str, ...]) -> str:
        """The argument for these numbers."""
        if (kind, numbers) not in self.names:
            name = next(n for n in (f"{kind}{k}" for k in count()) if n not in self.taken)
            self.taken.add(name)
            self.names[kind, numbers] = name
        return self.names[kind, numbers]


def _shape(name: str, group: Group, arguments: Arguments) -> Function:
    """The function with the common body; adds the arguments that it needs."""
    first = group.firsts[0]
    body = []
    for k, pattern in enumerate(group.patterns):
        columns = zip(*(numbers[k] for numbers in group.members), strict=True)
        texts = [
            column[0] if len(set(column)) == 1 else arguments.name(kind, column)
            for kind, column in zip(pattern.kinds, columns, strict=True)
        ]
        lines = [function.body[k] for function in group.firsts]
        comment = lines[0].comment
        if any(line.comment != comment for line in lines):
            comment = f"{comment} ({first.name})".lstrip()
        body.append(Line(lines[0].indent, pattern.text(texts), comment, _user_lines(lines)))
    note = _listed(list(chain.from_iterable(group.members.values())))
    if all(function.note == first.note for function in group.firsts):
        note = f"{first.note}: {note}"
    return Function("shape", name, (*first.arguments, *arguments.names.values()), note, body)


def _listed(functions: Sequence[Function]) -> str:
    """The names of the first of some functions, and how many more there are."""
    names = ", ".join(function.name for function in functions[:NAMED])
    return names + (f" and {len(functions) - NAMED} more" if len(functions) > NAMED else "")


def _noted(call: Call, function: Function) -> Call:
    """A call that stands for one of a function."""
    return replace(call, note=f"{function.name}: {function.note}", user_lines=_user_lines(function.body))


def _user_lines(lines: Iterable[Line]) -> tuple[SourceLine, ...]:
    """The user's lines behind several, as many as are kept for one."""
    return tuple(dict.fromkeys(chain.from_iterable(line.lines for line in lines)))[:MAX_LINES]
