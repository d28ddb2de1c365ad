"""Random numbers: elementwise ops of a key, a position and the number of the element.

They are made within the loops that use them. `numgraph.random` has what users call, and says where keys and positions
come from.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numgraph import randoms
from numgraph.graph import Variable, apply
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Op, int64
from numgraph.ops import formula
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import FLOATS

__all__: list[str] = []


def _float64(dtypes: Sequence[str]) -> str:
    """float64 whatever the operands."""
    return "float64"


# -- which element --------------------------------------------------------------------------------------------------


def _flat(idx: Sequence[Dim], lengths: Sequence[Dim]) -> Dim:
    """The position of an element in C order."""
    position: Dim = 0
    for i, n in zip(idx, lengths, strict=True):
        position = position * n + i
    return position


Op(
    "element_number",
    ("*lengths",),
    "For each element of an array of these lengths, how many come before it in C order.",
    int64,
    lambda *lengths: np.arange(math.prod(map(int, lengths))).reshape([int(n) for n in lengths]),
    None,
    no_grad="made of numbers",
    element=lambda idx, *lengths: _flat(idx, ln.values(lengths)),
    shape=lambda *lengths: ln.values(lengths),
    checks=(Check("at_least", lambda *lengths: [(n, 0) for n in ln.values(lengths)], "a length of {a} is negative"),),
    samples=lambda: [([2, 3], {}), ([4], {}), ([0, 2], {}), ([2, 1, 3], {})],
    redrawn=True,
)


def element_number(lengths: Sequence[Length]) -> Variable:
    """For each element of an array, how many come before it in C order; int64."""
    return apply(OPS["element_number"], ln.operands(lengths))


# -- numbers of a counter -------------------------------------------------------------------------------------------

COUNTER = ("key", "position", "index")
# What tests draw: three elements of a draw, the second time that it is made.
SAMPLE = [np.uint64(0x0123456789ABCDEF), np.uint64(1), np.arange(3)]


def _shown(name: str) -> Callable[..., ast.expr]:
    """How formulas write a draw: `uniform(size=(n, m))`, its parameters in front."""

    def show(key: ast.expr, position: ast.expr, index: ast.expr, *more: ast.expr, **attrs: Any) -> ast.expr:
        lengths = index.args if isinstance(index, ast.Call) else []
        return formula.call(name, *more, **({"size": formula.shape(lengths)} if lengths else {}))

    return show


def _real(name: str, doc: str, function: Callable[..., Any], scalar: str, cost: int) -> None:
    """An op of the counter alone, of the dtype in attribute `dtype`. scalar: the function that it calls."""
    Op(
        f"random_{name}", COUNTER, doc, None, function, None,
        no_grad="made of numbers", scalar=f"{scalar}({', '.join(COUNTER)})", keeps=(0, 1, 2), dtypes=("float64",),
        samples=lambda: [(SAMPLE, {"dtype": dtype}) for dtype in FLOATS], cost=cost, redrawn=name == "uniform",
        show=_shown(name),
    )  # fmt: skip


_real("uniform", "Uniform in [0, 1).", randoms.uniform, "uniform", 40)
_real("normal", "Normal with mean 0 and variance 1.", randoms.normal, "standard_normal", 90)
_real("exponential", "Exponential with mean 1.", randoms.exponential, "exponential", 70)


def _discrete(name: str, doc: str, function: Callable[..., Any], more: tuple[str, ...], samples: list[Any]) -> None:
    """An op of the counter and of integers, an int64."""
    Op(
        f"random_{name}", (*COUNTER, *more), doc, int64, function, None,
        no_grad="made of integers", scalar=f"{name}({', '.join((*COUNTER, *more))})", keeps=tuple(range(3 + len(more))),
        dtypes=("float64",), samples=lambda: [([*SAMPLE, *values], {}) for values in samples], cost=40, redrawn=True,
        show=_shown(name),
    )  # fmt: skip


_discrete("bits", "64 random bits, as int64.", randoms.bits, (), [[]])
_discrete(
    "integer",
    "Uniform in [low, high), low where that is empty.",
    randoms.integer,
    ("low", "high"),
    [[0, 10], [-5, 2**62], [-(2**63), 2**63 - 1], [3, 3], [np.array([0, 5, 7]), np.array([1, 3, 2**40])]],
)


def _rejecting(name: str, doc: str, function: Callable[..., Any], more: tuple[str, ...], samples: list[Any]) -> None:
    """An op of the counter and of parameters, float64, which tries until a number is accepted."""
    Op(
        f"random_{name}", (*COUNTER, *more), doc, _float64, function, None,
        no_grad=f"a {name} number does not follow {' and '.join(more)} smoothly\n"
                "  fix: put what it is drawn from into consider_constant",
        scalar=f"{name}({', '.join((*COUNTER, *more))})", keeps=(0, 1, 2), dtypes=("float64",),
        samples=lambda: [([*SAMPLE, *values], {}) for values in samples], cost=200, show=_shown(name),
    )  # fmt: skip


_rejecting("gamma", "Gamma with scale 1.", randoms.gamma, ("shape",), [[np.array([0.1, 1.0, 20.0])], [0.0], [-1.0]])
_rejecting("poisson", "Poisson, a whole number.", randoms.poisson, ("mean",), [[np.array([0.5, 9.0, 300.0])], [-1.0]])
_rejecting(
    "binomial", "Binomial, a whole number.", randoms.binomial, ("n", "p"),
    [[np.array([1.0, 10.0, 1000.0]), 0.3], [100.0, np.array([0.0, 0.9, 1.0])], [5.0, 1.5]],
)  # fmt: skip


# -- quantile -------------------------------------------------------------------------------------------------------


def _quantile_grad(g: Variable, out: Variable, p: Variable) -> tuple[Any, ...]:
    """One over the density."""
    return (f.masked_mul(g, f.mul(math.sqrt(2 * math.pi), f.exp(f.mul(0.5, f.mul(out, out))))),)


Op("normal_quantile", ("p",), "The number below which a normal number is with probability p; float64.", _float64,
   SCALAR_FUNCTIONS["quantile"].numpy, _quantile_grad, scalar="quantile(p)", domain=(0.01, 0.99), cost=90,
   dtypes=("float64",))  # fmt: skip


def normal_quantile(p: Any) -> Variable:
    """The number below which a normal number is with probability p, float64."""
    return apply(OPS["normal_quantile"], [f.cast(p, "float64")])


def drawn(name: str, state: Variable, lengths: Sequence[Length], *parameters: Variable, **attrs: Any) -> Variable:
    """`random_name` of a state, uint64 [key, position], for an array of these lengths."""
    key, position = state[0], state[1]
    key.name, position.name = "key", "position"
    index = element_number(lengths) if lengths else ln.int_constant(0)
    return apply(OPS[f"random_{name}"], [key, position, index, *parameters], **attrs)
