"""Complex numbers: their parts, and how they are made of them.

A cotangent g of z = x + iy is, within a sweep, dC/dx - i dC/dy, so that it is passed on by products with derivatives:
what the table says of floats holds for all functions that have a complex derivative. Those here have none. `grad` takes
and returns conjugates, dC/dx + i dC/dy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.graph import Variable, apply, as_operands, as_variable, elementwise
from numgraph.op import OPS, Op, floating, same
from numgraph.op import real as parts
from numgraph.ops.define import f
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import BOOL, COMPLEX, DISCRETE, complex_of, promote

__all__ = ["angle", "complex", "complex_from_polar", "conj", "conjugate", "imag", "real"]
# Functions of expressions that gradients use.
INTERNAL = ["absolute_square", "unit"]

NUMBERS = ("float32", "float64", "complex64", "complex128")


def _turned(g: Variable) -> Variable:
    """-i * g, for real g."""
    return complex(0.0, f.neg(g))


REAL = Op("real", ("x",), "The real part.", parts, np.real, lambda g, out, x: (g,), scalar="real(x)", complex=True,
   dtypes=NUMBERS)  # fmt: skip
_real = elementwise("real")

IMAG = Op("imag", ("x",), "The imaginary part.", parts, np.imag, lambda g, out, x: (_turned(g),), scalar="imag(x)",
   complex=True, dtypes=("complex64", "complex128"))  # fmt: skip
_imag = elementwise("imag")

Op("conj", ("x",), "The conjugate.", same, np.conj, lambda g, out, x: (conj(g),), scalar="conj(x)", complex=True,
   dtypes=NUMBERS)  # fmt: skip
_conj = elementwise("conj")


def _angle_grad(g: Variable, out: Variable, x: Variable) -> tuple[Any, ...]:
    return (f.masked_div(_turned(g), x),)


Op("angle", ("x",), "The angle in the plane, in [-pi, pi].", lambda dtypes: parts([floating(dtypes)]), np.angle,
   _angle_grad, scalar="angle(x)", complex=True, cost=30, dtypes=("complex64", "complex128"))  # fmt: skip
_angle = elementwise("angle")


def _unit_grad(g: Variable, out: Variable, x: Variable) -> tuple[Any, ...]:
    """What turns x, over its length: (g - conj(out) * Re(g * out)) / abs(x)."""
    along = f.mul(_conj(out), _real(f.mul(g, out)))
    return (f.masked_div(f.sub(g, along), f.abs(x)),)


Op("unit", ("x",), "x / abs(x), and 0 for 0.", same, np.sign, _unit_grad, scalar="unit(x)", complex=True, cost=12,
   dtypes=("complex64", "complex128"))  # fmt: skip
unit = elementwise("unit")


def _made_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return real(g), f.neg(imag(g))


MADE = Op("complex", ("x", "y"), "x + y * 1j.", lambda dtypes: complex_of(promote(dtypes)),
   SCALAR_FUNCTIONS["made"].numpy, _made_grad, scalar="made(x, y)", dtypes=("float32", "float64"))  # fmt: skip


def real(x: Any) -> Variable:
    """The real part, of the dtype of x's parts; x itself where it is real."""
    v = as_variable(x)
    return _real(v) if v.type.dtype in COMPLEX else v


def imag(x: Any) -> Variable:
    """The imaginary part, of the dtype of x's parts; zeros where x is real."""
    v = as_variable(x)
    if v.type.dtype in COMPLEX:
        return _imag(v)
    zeros: Variable = f.zeros_like(v)
    return zeros


def conj(x: Any) -> Variable:
    """The conjugate; x itself where it is real."""
    v = as_variable(x)
    return _conj(v) if v.type.dtype in COMPLEX else v


def angle(x: Any) -> Variable:
    """The angle of x in the plane, in [-pi, pi], floats; of real numbers 0 or pi.

    Its gradient at 0 is 0, where it has none.
    """
    v = as_variable(x)
    if v.type.dtype in COMPLEX:
        return _angle(v)
    v = v if v.type.dtype not in DISCRETE else f.cast(v, floating([v.type.dtype]))
    return f.arctan2(f.zeros_like(v), v)


def complex(x: Any, y: Any) -> Variable:
    """x + y * 1j of real arrays, which broadcast: complex64 of float32, else complex128. DtypeError for others."""
    operands = as_operands(x, y)
    dtype = promote([v.type.dtype for v in operands])
    wide = floating([dtype]) if dtype == BOOL or dtype in DISCRETE else dtype
    return apply(OPS["complex"], [v if v.type.dtype in COMPLEX else f.cast(v, wide) for v in operands])


def absolute_square(x: Variable) -> Variable:
    """abs(x) ** 2, whose slope is finite everywhere."""
    if x.type.dtype in COMPLEX:
        a, b = _real(x), _imag(x)
        return f.add(f.mul(a, a), f.mul(b, b))
    return f.mul(x, x)


def complex_from_polar(r: Any, theta: Any) -> Variable:
    """r * exp(theta * 1j) of real arrays: what has the absolute value r and the angle theta."""
    length, turn = as_operands(r, theta)
    return complex(f.mul(length, f.cos(turn)), f.mul(length, f.sin(turn)))


conjugate = conj
