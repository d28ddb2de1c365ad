"""The rules that keep numbers right, each with its reason. Patterns are explained in `patterns`.

They are applied from the inputs up, so that a pattern is written in terms of what the others make of its parts.
"""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable, apply
from numgraph.op import OPS
from numgraph.ops.define import f
from numgraph.ops.loop import COUNT, ROWS, last
from numgraph.ops.subtensor import SUBTENSOR
from numgraph.patterns import Bindings, Rule, rule
from numgraph.stable.logs import log_of, never_negative


def _softmax(site: Any, node: Variable, bound: Bindings) -> Variable | None:
    """exp(x) / sum(exp(x)), where the sum has an axis of length 1 for each that it was taken over, or is one number."""
    x, axes, total = bound["x"], bound["@A"], node.inputs[1]
    whole = tuple(range(x.ndim))
    if total.op is OPS["dimshuffle"] and not bound["@K"]:
        kept = iter(range(x.ndim))
        if total.attrs["pattern"] != tuple(-1 if k in axes else next(kept) for k in whole):
            return None
    elif not bound["@K"] and axes != whole:
        return None
    if len(axes) == 1:
        return apply(OPS["softmax"], [x], axis=axes[0])
    return f.exp(f.sub(x, f.logsumexp(x, axis=axes, keepdims=True)))


def _stable_log(site: Any, node: Variable, bound: Bindings) -> Variable | None:
    """The logarithm of products, quotients and sums of what overflows or underflows, in terms of theirs."""
    x = bound["x"]
    written = site.originals.get(id(x), x)
    if x.op is None or (written.op is not None and written.op.name == "exp"):
        # log(exp(x)) as the user wrote it overflows as in NumPy
        return None
    found = log_of(site, x, loose=True)
    return found.value if found is not None and found.extreme else None


def _log_to_base(scale: float) -> Any:
    def build(site: Any, node: Variable, bound: Bindings) -> Variable | None:
        found = _stable_log(site, node, bound)
        return None if found is None else f.mul(found, scale)

    return build


def _quotient(site: Any, node: Variable, bound: Bindings) -> Variable | None:
    """exp(log a - log b), where both overflow or underflow, though what they stand for does not."""
    above = log_of(site, bound["a"])
    below = log_of(site, bound["b"]) if above is not None and above.extreme else None
    if above is None or below is None or not below.extreme:
        return None
    return f.exp(f.sub(above.value, below.value))


def _of_squares(site: Any, bound: Bindings) -> bool:
    return never_negative(site, bound["x"])


_WHOLE = ("slice", False, False, 1)


def _made_rows(cut: Variable) -> Variable | None:
    """The rows of a loop of which `cut` has those that were made."""
    first, *others = cut.attrs["key"]
    if first != ("slice", False, True, 1) or any(entry != _WHOLE for entry in others) or len(cut.inputs) != 2:
        return None
    rows, count = cut.inputs
    same = rows.op is ROWS and count.op is COUNT and rows.attrs["loop"] is count.attrs["loop"]
    return rows if same and rows.inputs == count.inputs else None


def _last_step(site: Any, node: Variable, bound: Bindings) -> Variable | None:
    """`rows[-1]` of a loop, of which a condition may have cut off rows that were not made, `rows[:count][-1]`."""
    rows, index, *more = node.inputs
    if more or site.number(index) != -1 or any(entry != _WHOLE for entry in node.attrs["key"][1:]):
        return None
    made = _made_rows(rows) if rows.op is SUBTENSOR else rows
    if made is None or made.op is not ROWS or (made is rows) != (made.attrs["loop"].until is None):
        return None
    rows = made
    return last(rows.attrs["loop"], rows.inputs, rows.attrs["value"])


SUMS = ("sum(exp(x), axis=A, keepdims=K)", "dimshuffle(sum(exp(x), axis=A, keepdims=K))")

RULES: tuple[Rule, ...] = (
    # sigmoid and tanh written out
    rule("exp(x) / (1 + exp(x))", "sigmoid(x)", "exp overflows for x > 88 (float32), and inf / inf is NaN"),
    rule("1 / (1 + exp(x))", "sigmoid(-x)", "the slope is 0 * inf where exp overflows"),
    rule("reciprocal(1 + exp(x))", "sigmoid(-x)", "as 1 / (1 + exp(x))"),
    rule("(1 + exp(x)) ** -1", "sigmoid(-x)", "as 1 / (1 + exp(x))"),
    rule("expm1(x) / (1 + exp(x))", "tanh(x * 0.5)", "exp overflows, and inf / inf is NaN"),
    rule("-expm1(x) / (1 + exp(x))", "-tanh(x * 0.5)", "exp overflows, and inf / inf is NaN"),
    rule("y / (1 + exp(x))", "y * sigmoid(-x)", "the slope is 0 * inf where exp overflows"),
    rule("exp(x) / (exp(x) + exp(y))", "sigmoid(x - y)", "exp overflows, and inf / inf is NaN"),
    rule("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)", "exp overflows, and inf / inf is NaN"),
    rule("1 - sigmoid(x)", "sigmoid(-x)", "cancellation for large x"),
    # logarithms of probabilities
    rule("log(softmax(x, axis=A))", "log_softmax(x, axis=A)", "softmax underflows to 0 and its log to -inf"),
    rule("log(sigmoid(x))", "-softplus(-x)", "sigmoid underflows to 0 for x < -88 (float32)"),
    rule("log1p(-sigmoid(x))", "-softplus(x)", "1 - sigmoid rounds to 0 for x > 17 (float32)"),
    rule("log(1 + exp(x))", "softplus(x)", "exp overflows for x > 88 (float32)"),
    rule("log1p(exp(x))", "softplus(x)", "exp overflows for x > 88 (float32)"),
    rule(
        "softmax(x, axis=A) * log_softmax(x, axis=A)",
        "softmax_plogp(x, axis=A)",
        "0 * -inf where x is -inf, though p * log(p) goes to 0",
    ),
    # tails
    rule("exp(x) - 1", "expm1(x)", "cancellation for small x"),
    rule("1 - exp(x)", "-expm1(x)", "cancellation for small x"),
    rule("log(-expm1(x))", "log1mexp(x)", "exp(x) rounds to 0 or 1"),
    rule("log1p(-exp(x))", "log1mexp(x)", "exp(x) rounds to 1 for small x"),
    rule("1 - erf(x)", "erfc(x)", "cancellation for large x"),
    rule("1 + erf(x)", "erfc(-x)", "cancellation for very negative x"),
    rule("1 - erfc(x)", "erf(x)", "cancellation for small x"),
    *(
        rule(f"exp({square}) * erfc(x)", "erfcx(x)", "exp overflows and erfc underflows for x > 10 (float32)")
        for square in ("x * x", "x ** 2", "square(x)")
    ),
    rule("1 - ndtr(x)", "ndtr(-x)", "cancellation for large x"),
    rule("1 - gammainc(a, x)", "gammaincc(a, x)", "cancellation for large x"),
    rule("1 - gammaincc(a, x)", "gammainc(a, x)", "cancellation for small x"),
    rule("log(erfc(x))", "log_erfc(x)", "erfc underflows to 0 for x > 9 (float32)"),
    # softmax and logsumexp written out, and all that is made of exponentials
    *(rule(f"exp(x) / {total}", None, "exp overflows", build=_softmax) for total in SUMS),
    rule("log(x)", None, "exponentials and probabilities leave the range of floats", build=_stable_log),
    rule("log2(x)", None, "as log(x)", build=_log_to_base(1.4426950408889634)),
    rule("log10(x)", None, "as log(x)", build=_log_to_base(0.4342944819032518)),
    rule("a / b", None, "inf / inf and 0 / 0 of what has a limit", build=_quotient),
    rule("log(1 + x)", "log1p(x)", "1 + x rounds small x away"),
    # roots
    rule("sqrt(x) ** 2", "x", "the slope of the root at 0 is infinite, that of its square is not", when=_of_squares),
    rule("square(sqrt(x))", "x", "as sqrt(x) ** 2", when=_of_squares),
    rule("sqrt(x) * sqrt(x)", "x", "as sqrt(x) ** 2", when=_of_squares),
    # loops
    rule("subtensor(x, i, key=K)", None, "of all steps of a loop only the last one is kept", build=_last_step),
)
