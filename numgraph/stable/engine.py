"""Applies the rules of `stable.rules` to an expression graph.

This happens in two places: `grad` does it to a cost before it differentiates, so that gradients are stable too, and
every function does it to its outputs and updates, whatever its target. So the value of `log(1 + exp(x))` and its slope
are right for `x = 1000` on each target, the reference included.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from numgraph.graph import Constant, Variable, apply, as_operands, toposort
from numgraph.op import OPS
from numgraph.ops.define import f
from numgraph.ops.loop import Loop
from numgraph.patterns import Bindings, Rule, is_number, keywords, match, op_name, operands
from numgraph.source import current_line, lines_of
from numgraph.stable.rules import RULES
from numgraph.substitution import HIDDEN, STAND_INS
from numgraph.types import DISCRETE, FLOATS

# More rules than ever apply to what one expression becomes, in case two undo each other.
MAX_STEPS = 20


def by_root(rules: Sequence[Rule]) -> Mapping[str, list[Rule]]:
    """The rules by the op that their patterns start with."""
    return {r.root: [q for q in rules if q.root == r.root] for r in rules}


BY_ROOT = by_root(RULES)


class Stable:
    """One pass over an expression graph.

    keep: variables that must stay what they are (those to differentiate for, those held constant): no rule looks at
    what is above them, and none takes them away. rules: those to apply, by the op that their patterns start with;
    dtypes: to variables of which dtypes. new: what stands for each variable, by its id. fired: (rule, before, after).
    """

    def __init__(
        self,
        keep: Iterable[Variable] = (),
        rules: Mapping[str, list[Rule]] = BY_ROOT,
        dtypes: Container[str] = FLOATS,
    ) -> None:
        self.kept = {id(v): v for v in keep}
        self.rules = rules
        self.dtypes = dtypes
        self.new: dict[int, Variable] = {}
        self.fired: list[tuple[Rule, Variable, Variable]] = []
        self.originals: dict[int, Variable] = {}
        self.looked_at: dict[int, Variable] = {}
        self.numbers = Numbers()
        self.roots: list[Variable] = []

    def run(self, roots: Sequence[Variable], stop: Iterable[Variable] = ()) -> list[Variable]:
        """`roots` rewritten; nothing above `stop` is."""
        leaves = list(stop)
        self.kept |= {id(v): v for v in leaves}
        here = current_line()
        for node in toposort(roots, stop=leaves):
            result = node
            if node.op is not None and id(node) not in self.new:
                inputs = tuple(self.new.get(id(v), v) for v in node.inputs)
                changed = any(a is not b for a, b in zip(inputs, node.inputs, strict=True))
                result = node.copy_with(inputs) if changed else node
                if node.op.name in self.rules and node.type.dtype in self.dtypes:
                    with lines_of(node.line or here):
                        result = self._applied(node, result)
            self.new.setdefault(id(node), result)
            self.originals.setdefault(id(result), node)
        self.roots = [self.new[id(v)] for v in roots]
        return self.roots

    def _applied(self, node: Variable, rebuilt: Variable) -> Variable:
        """`rebuilt` after all rules that apply to it, and to what they made of it."""
        result = rebuilt
        for _ in range(MAX_STEPS):
            found = self._step(result)
            if found is None:
                break
            self.fired.append((found[0], result, found[1]))
            result = found[1]
        if result is rebuilt:
            return rebuilt
        if id(node) in self.kept:
            result = f.identity(result)
        if result.name is None and id(result) not in self.originals and not isinstance(result, Constant):
            result.name, result.hint = node.name, node.hint
        return result

    def _step(self, node: Variable) -> tuple[Rule, Variable] | None:
        for r in self.rules.get(node.op.name, ()) if node.op is not None else ():
            bound = match(r.pattern, node, self, {})
            if bound is None or (r.when is not None and not r.when(self, bound)):
                continue
            if r.build is not None:
                made = r.build(self, node, bound)
            else:
                assert r.replacement is not None
                made = _constructed(r.replacement, bound)
            if made is not None and made is not node and _fits(made, node):
                return r, made
        return None

    # -- the graph as patterns see it -------------------------------------------------------------------------------

    def attributes(self, node: Variable) -> dict[str, Any]:
        """The op's attributes."""
        return node.attrs

    def number(self, node: Variable) -> Any:
        """The number that a variable of one element is known to be, else None."""
        if any(n != 1 for n in node.type.shape):
            return None
        while not isinstance(node, Constant):
            op = node.op
            if op is None or not op.uniform or (op.conversion and node.type.dtype in DISCRETE):
                return None
            node = node.inputs[0]
        return node.data.item() if node.data.size == 1 else None

    def same(self, a: Variable, b: Variable) -> bool:
        """Whether two variables are the same expression of the same leaves."""
        return a is b or self.numbers.of(a) == self.numbers.of(b)

    def enter(self, node: Variable) -> bool:
        """Whether a rule may take away what the variable is made of: not where somebody asks for it."""
        original = self.originals.get(id(node), node)
        self.looked_at[id(original)] = original
        return id(original) not in self.kept and id(node) not in self.kept

    def hidden(self) -> list[Variable]:
        """The variables that the rewritten roots no longer contain, neither themselves nor a copy of them."""
        left = {id(v) for v in toposort(self.roots)}
        gone = [v for v in self.looked_at.values() if id(self.new.get(id(v), v)) not in left]
        # a root of a rule that has become another variable of the user's
        return gone + [v for v in self.originals.values() if self.originals.get(id(self.new[id(v)])) is not v]


def remember_rewritten(stable: Stable, results: Iterable[Variable]) -> None:
    """Note what the gradients in `results` contain instead of variables of the user's, for `givens` and inputs.

    A copy stands for its original when somebody replaces that. What a rule has taken away cannot be replaced any more.
    """
    if not stable.fired:
        return
    for node in stable.originals.values():
        new = stable.new[id(node)]
        if new is not node and stable.originals.get(id(new)) is node:
            STAND_INS[new] = node
    hidden = tuple(stable.hidden())
    for result in results:
        if id(result) not in stable.new:
            HIDDEN[result] = hidden


def _constructed(tree: ast.expr, bound: Bindings) -> Variable:
    """The variable that a replacement describes."""
    if isinstance(tree, ast.Name):
        found: Variable = bound[tree.id]
        return found
    parts = operands(tree)
    inputs = as_operands(*(ast.literal_eval(p) if is_number(p) else _constructed(p, bound) for p in parts))
    op = OPS[op_name(tree)]
    # -(-x)
    if isinstance(tree, ast.UnaryOp) and inputs[0].op is op:
        return inputs[0].inputs[0]
    return apply(op, inputs, **keywords(tree, bound))


def _fits(made: Variable, node: Variable) -> bool:
    """Whether the two have one dtype and as many axes, of lengths that do not contradict."""
    pairs = zip(made.type.shape, node.type.shape, strict=False)
    return (
        made.type.dtype == node.type.dtype
        and made.ndim == node.ndim
        and all(n == m or (None in (n, m) and 1 not in (n, m)) for n, m in pairs)
    )


class Numbers:
    """Numbers of variables, equal for equal expressions: `exp(x)` written twice is two variables with one number."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.table: dict[Any, int] = {}
        # ids are those of living variables only
        self.alive: list[Variable] = []

    def of(self, variable: Variable) -> int:
        """The variable's number."""
        stack = [variable]
        while stack:
            v = stack[-1]
            waiting = [w for w in v.inputs if id(w) not in self.known]
            if id(v) in self.known or not waiting:
                stack.pop()
                if id(v) not in self.known:
                    self.alive.append(v)
                    self.known[id(v)] = self.table.setdefault(self._key(v), len(self.table))
            else:
                stack.extend(waiting)
        return self.known[id(variable)]

    def _key(self, v: Variable) -> Any:
        if v.op is not None:
            attrs = sorted((name, id(a) if isinstance(a, Loop) else repr(a)) for name, a in v.attrs.items())
            return v.op.name, repr(attrs), tuple(self.known[id(w)] for w in v.inputs)
        if isinstance(v, Constant) and v.data.size <= 16:
            return v.type.dtype, v.type.shape, v.data.tobytes()
        return id(v)


# What a rule did: itself, and the expression before and after.
Fired = tuple[Rule, Variable, Variable]


def stabilised(
    outputs: Sequence[Variable], stop: Iterable[Variable] = (), fired: list[Fired] | None = None
) -> list[Variable]:
    """`outputs` with what overflows, cancels or underflows replaced; nothing above the variables in `stop` is. fired:
    gets what rules did."""
    stable = Stable()
    results = stable.run(outputs, stop)
    if fired is not None:
        fired += stable.fired
    return results
