"""Checks a loop program: every name is assigned before it is used, dtypes fit, and no refusal is lost. For tests, see
`config.verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NoReturn

from numgraph.loops.inline import assigned
from numgraph.loops.program import (
    Assign,
    Binary,
    Call,
    Choice,
    Compare,
    Do,
    Expression,
    For,
    Function,
    If,
    Load,
    Logic,
    Name,
    Number,
    Return,
    Statement,
    Store,
    While,
    bodies,
    children,
    statements_in,
    walk,
)
from numgraph.types import INTEGERS


class Malformed(AssertionError):
    """A loop program that makes no sense."""


def verify(functions: Iterable[Function], known: Iterable[str] = ()) -> None:
    """Malformed where a function makes no sense. known: names of the module."""
    names = set(known)
    functions = list(functions)
    names |= {function.name for function in functions}
    refusing = _refusing(functions)
    for function in functions:
        Checker(function, names).run()
        for statement in statements_in(function.body):
            lost = _called(statement.call) & refusing if isinstance(statement, Do) else ()
            for name in lost:
                raise Malformed(f"{function.name}: {name}: what it refuses is not looked at")


def _refusing(functions: Sequence[Function]) -> set[str]:
    """The names of the functions that may say that a call is refused: they return neither 0 nor what one says that
    never does."""
    refusing: set[str] = set()
    names, count = {function.name for function in functions}, -1
    while count != len(refusing):
        count = len(refusing)
        for function in functions:
            if any(_refuses(value, names - refusing) for value in _returned(function)):
                refusing.add(function.name)
    return refusing


def _returned(function: Function) -> list[Expression]:
    """What a function may return; instead of a name what that is assigned."""
    statements = list(statements_in(function.body))
    values = [s.value for s in statements if isinstance(s, Return) and s.value is not None]
    targets = {value.text for value in values if isinstance(value, Name)}
    values += [s.value for s in statements if isinstance(s, Assign) and isinstance(s.target, Name)
               and s.target.text in targets]  # fmt: skip
    return [value for value in values if not isinstance(value, Name)]


def _refuses(value: Expression, never: set[str]) -> bool:
    if isinstance(value, Call):
        return not _called(value) & never
    return not isinstance(value, Number) or value.value != 0


def _called(call: Call) -> set[str]:
    """The name of a function that is called, and those that it is given: it calls them."""
    return {call.function, *(part.text for part in call.arguments if isinstance(part, Name))}


class Checker:
    """Goes through one function in the order in which it runs."""

    def __init__(self, function: Function, known: set[str]) -> None:
        self.function = function
        self.known = known
        # dtypes of names that have values
        self.dtypes = {argument.text: argument.dtype for argument in function.arguments}

    def run(self) -> None:
        """Check the function."""
        counts = Counter(name for s in statements_in(self.function.body) for name in assigned(s))
        for name, count in counts.items():
            if count > 1 and name.plain:
                self._refuse(name.text, "is assigned more than once")
        self._body(self.function.body)

    def _refuse(self, what: object, problem: str) -> NoReturn:
        raise Malformed(f"{self.function.name}: {what}: {problem}")

    def _body(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            targets = assigned(statement)
            for part in children(statement):
                if isinstance(part, Expression) and part not in targets:
                    self._expression(part)
            if isinstance(statement, If | While) and statement.condition.dtype != "bool":
                self._refuse(statement.condition, "is no condition")
            if isinstance(statement, For):
                for bound in statement.bounds:
                    if bound.dtype != "int64":
                        self._refuse(bound, f"is {bound.dtype}, and bounds a loop")
            if isinstance(statement, Store):
                self._store(statement)
            self._assigned(statement, targets)
            for body in bodies(statement).values():
                # what is assigned in a body is not known behind it
                outer = dict(self.dtypes)
                self._body(body)
                self.dtypes = {k: v for k, v in self.dtypes.items() if k in outer}

    def _store(self, statement: Store) -> None:
        pointer, found = statement.pointer.dtype, statement.value.dtype
        wanted = pointer.removesuffix("*")
        if pointer == wanted:
            self._refuse(statement.pointer, "is no pointer")
        if found != wanted:
            self._refuse(statement.value, f"is {found}, and stored as {wanted}")

    def _assigned(self, statement: Statement, targets: Iterable[Name]) -> None:
        for name in targets:
            if isinstance(statement, Assign) and not isinstance(statement.target, tuple):
                value = statement.value
                if value.dtype != name.dtype:
                    self._refuse(name, f"gets {value}, which is {value.dtype}")
            old = self.dtypes.setdefault(name.text, name.dtype)
            if old != name.dtype:
                self._refuse(name, f"was {old}")

    def _expression(self, root: Expression) -> None:
        for node in walk([root]):
            if isinstance(node, Name):
                if node.text not in self.known and "." not in node.text:
                    self._known(node)
            elif isinstance(node, Load):
                if not node.pointer.dtype.endswith("*"):
                    self._refuse(node, "reads what is no pointer")
                if node.index.dtype not in INTEGERS:
                    self._refuse(node, "has no whole number as its index")
            elif isinstance(node, Binary | Compare):
                if not fit(node.left, node.right):
                    self._refuse(node, f"is of {node.left.dtype} and {node.right.dtype}")
            elif isinstance(node, Logic):
                if any(part.dtype != "bool" for part in node.parts):
                    self._refuse(node, "is not of conditions")
            elif isinstance(node, Choice):
                if node.condition.dtype != "bool":
                    self._refuse(node, "has no condition")
                if not fit(node.yes, node.no):
                    self._refuse(node, f"is of {node.yes.dtype} and {node.no.dtype}")

    def _known(self, name: Name) -> None:
        found = self.dtypes.get(name.text)
        if found is None:
            self._refuse(name, "has no value here")
        if found != name.dtype:
            self._refuse(name, f"was {found}")


def fit(a: Expression, b: Expression) -> bool:
    """Whether two operands have one dtype; whole numbers and truths may be of two, which Numba widens."""
    return a.dtype == b.dtype or {a.dtype, b.dtype} <= {*INTEGERS, "bool"}
