"""Checks a loop program: every name is assigned before it is used, and dtypes fit. For tests, see `config.verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from numgraph.loops.inline import assigned
from numgraph.loops.program import (
    Assign,
    Binary,
    Choice,
    Compare,
    Expression,
    For,
    Function,
    If,
    Load,
    Logic,
    Name,
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
    for function in functions:
        Checker(function, names).run()


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
            self._ask(count == 1 or not name.plain, name.text, "is assigned more than once")
        self._body(self.function.body)

    def _ask(self, good: bool, what: object, problem: str) -> None:
        if not good:
            raise Malformed(f"{self.function.name}: {what}: {problem}")

    def _body(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            for part in children(statement):
                if isinstance(part, Expression) and part not in assigned(statement):
                    self._expression(part)
            if isinstance(statement, If | While):
                self._ask(statement.condition.dtype == "bool", statement.condition, "is no condition")
            if isinstance(statement, For):
                for bound in statement.bounds:
                    self._ask(bound.dtype == "int64", bound, f"is {bound.dtype}, and bounds a loop")
            if isinstance(statement, Store):
                self._ask(statement.pointer.dtype.endswith("*"), statement.pointer, "is no pointer")
                wanted = statement.pointer.dtype.removesuffix("*")
                problem = f"is {statement.value.dtype}, and stored as {wanted}"
                self._ask(statement.value.dtype == wanted, statement.value, problem)
            for name in assigned(statement):
                if isinstance(statement, Assign) and not isinstance(statement.target, tuple):
                    value = statement.value
                    self._ask(value.dtype == name.dtype, name, f"gets {value}, which is {value.dtype}")
                old = self.dtypes.setdefault(name.text, name.dtype)
                self._ask(old == name.dtype, name, f"was {old}")
            for body in bodies(statement).values():
                # what is assigned in a body is not known behind it
                outer = dict(self.dtypes)
                self._body(body)
                self.dtypes = {k: v for k, v in self.dtypes.items() if k in outer}

    def _expression(self, root: Expression) -> None:
        for node in walk([root]):
            if isinstance(node, Name) and node.text not in self.known and "." not in node.text:
                self._ask(node.text in self.dtypes, node, "has no value here")
                self._ask(self.dtypes[node.text] == node.dtype, node, f"was {self.dtypes[node.text]}")
            elif isinstance(node, Load):
                self._ask(node.pointer.dtype.endswith("*"), node, "reads what is no pointer")
                self._ask(node.index.dtype in INTEGERS, node, "has no whole number as its index")
            elif isinstance(node, Binary | Compare):
                self._ask(fit(node.left, node.right), node, f"is of {node.left.dtype} and {node.right.dtype}")
            elif isinstance(node, Logic):
                self._ask(all(part.dtype == "bool" for part in node.parts), node, "is not of conditions")
            elif isinstance(node, Choice):
                self._ask(node.condition.dtype == "bool", node, "has no condition")
                self._ask(fit(node.yes, node.no), node, f"is of {node.yes.dtype} and {node.no.dtype}")


def fit(a: Expression, b: Expression) -> bool:
    """Whether two operands have one dtype; whole numbers and truths may be of two, which Numba widens."""
    return a.dtype == b.dtype or {a.dtype, b.dtype} <= {*INTEGERS, "bool"}
