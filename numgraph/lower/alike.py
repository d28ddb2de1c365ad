"""Functions of equal structure are compiled once: constants in which they differ become arguments.

A long chain of operations is printed as many phases that differ in nothing but places in the table and numbers; LLVM
would optimise each anew. Other whole numbers are lengths, which LLVM makes use of: they must be equal.
"""

from __future__ import annotations

import re
from collections import defaultdict

_FUNCTION = re.compile(r"@(jit|divided)\ndef (\w+)\(([\w, ]+)\):[^\n]*\n(.*)", re.DOTALL)
_COMMENT = re.compile(r"[ ]+#.*")
# a place in the table, or a float
_CONSTANT = re.compile(r"(?<=table\[)\d+(?=\])|(?<=reals\[)\d+(?=\])|(?<![\w.])(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)")
_ARGUMENT = "constant__"


def merged(text: str) -> str:
    """Generated source in which functions that differ in constants only call one that takes these as arguments."""
    chunks = re.split(r"\n(?=@)", text)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    bodies: dict[int, str] = {}
    for k, chunk in enumerate(chunks):
        found = _FUNCTION.fullmatch(chunk)
        if found is not None and _ARGUMENT not in chunk:
            bodies[k] = _COMMENT.sub("", found[4]).rstrip() + "\n"
            groups[found[3], _CONSTANT.sub("?", bodies[k])].append(k)
    for number, ((arguments, _), members) in enumerate(groups.items()):
        if len(members) > 1:
            _merge(chunks, members, bodies, arguments, f"shape_{number}")
    return "\n".join(chunks)


def _merge(chunks: list[str], members: list[int], bodies: dict[int, str], arguments: str, name: str) -> None:
    """Replace the functions of a group by calls, and put the one that they call before the first."""
    constants = [_CONSTANT.findall(bodies[k]) for k in members]
    differing = [i for i, values in enumerate(zip(*constants, strict=True)) if len(set(values)) > 1]
    names = {i: f"{_ARGUMENT}{n}" for n, i in enumerate(differing)}
    places = iter(range(len(constants[0])))

    def replaced(found: re.Match[str]) -> str:
        return names.get(next(places), found[0])

    body = _CONSTANT.sub(replaced, bodies[members[0]])
    for k, own in zip(members, constants, strict=True):
        # it matched when the chunk was found
        decorator, function, *_ = _FUNCTION.fullmatch(chunks[k]).groups()  # type: ignore[union-attr]
        call = ", ".join([arguments, *(own[i] for i in differing)])
        chunks[k] = f"@{decorator}\ndef {function}({arguments}):\n    return {name}({call})\n\n"
    shared = f"@shape\ndef {name}({', '.join([arguments, *names.values()])}):\n{body}"
    chunks[members[0]] = f"{shared}\n{chunks[members[0]]}"
