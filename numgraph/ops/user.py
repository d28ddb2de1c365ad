"""Users' functions as ops: element by element (`elementwise`), and of whole arrays (`call`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import DtypeError, FunctionError, GradientError
from numgraph.graph import Variable, apply, as_operands, describe
from numgraph.op import Op
from numgraph.ops import formula
from numgraph.ops.fitted import as_part
from numgraph.source import current_line
from numgraph.types import DTYPES, HALF, check_dtype
from numgraph.userfunctions.function import UserFunction, check_compiles, imported, user_function
from numgraph.whole import compiled

__all__ = ["elementwise"]

# An element costs more than arithmetic, and is not computed twice.
COST = 12

# The ops in use, by all that makes one: the same function of the same dtypes is the same op.
_ops: WeakValueDictionary[tuple[Any, ...], Op] = WeakValueDictionary()

Gradient = Callable[..., Any]


def elementwise(function: Any, *inputs: Any, dtype: Any = None, grad: Gradient | None = None) -> Variable:
    """A function of your own, element by element: `numba.njit` has made it, or makes it now of a plain function.

    function: of as many numbers as there are `inputs`, which broadcast and keep their dtypes (Python numbers take those
        of the arrays beside them, as for any op); returns a number. It must depend on its arguments alone: how often it
        is called for an element is not said. What it uses (globals, closure, functions that it calls) is taken as it is
        at this call.
    dtype: of the result, to which what it returns is converted. None: what Numba says that it returns for these dtypes
        (which loads Numba, and compiles the function, where an expression otherwise does neither).
    grad: `(g, *inputs) -> one expression per input`, None for an input without a gradient; g is the gradient with
        respect to the result. One expression alone for one input. Without it `ng.grad` refuses to go through.

    Plain functions divide by zero as NumPy does; what `numba.njit` has made does as it was told there (by default it
    raises ZeroDivisionError). Where a function raises, the call of the graph raises a FunctionError that names it;
    shared variables are then as they were before.

    OptionError for what is no function, TypeError for another number of arguments, DtypeError for dtypes that Numba
    cannot compile it for or that an array cannot have; FunctionError when it raises, is pickled and cannot be imported
    by its name, or cannot do on a device what it does.

    >>> import numgraph as ng
    >>> def squareplus(x):
    ...     return 0.5 * (x + (x * x + 4.0) ** 0.5)
    >>> x = ng.vector("x")
    >>> y = ng.elementwise(squareplus, x, dtype="float64")
    >>> ng.function([x], y)([0.0, 1.5])
    array([1., 2.])
    """
    user = user_function(function)
    operands = as_operands(*inputs)
    check_count(user, operands)
    dtypes = tuple(v.type.dtype for v in operands)
    given = check_dtype(dtype) if dtype is not None else None
    refuse_halves(user, [given, *dtypes], operands)
    result = given if given is not None else _inferred(user, dtypes, operands)
    return apply(elementwise_op(user, dtypes, result, dtype is not None, grad), operands)


def elementwise_op(
    user: UserFunction, dtypes: tuple[str, ...], dtype: str, converts: bool, grad: Gradient | None
) -> Op:
    """The op of a function for operands of these dtypes. converts: whether Numba may say another dtype than `dtype`."""

    def made() -> Op:
        args = argument_names(user, len(dtypes))
        return Op(
            user.where, args, f"{user.where}, element by element.", lambda dtypes: dtype, _elements(user, dtype),
            given_gradient(user, grad, True), no_grad=NO_GRADIENT.format("elementwise"),
            scalar=f"users({', '.join(args)})", keeps=tuple(range(len(args))), cost=COST,
            show=partial(formula.call, user.name), says=user.name, user=user, converts=converts,
            raises=user.may_raise,
            pickled=lambda: (_unpickled, (*named(user), dtypes, dtype, converts, name_of(grad))),
        )  # fmt: skip

    return kept_op((user, dtypes, dtype, converts, grad), made)


NO_GRADIENT = "none was given for this function\n  fix: pass grad=, a function (g, *inputs) -> expressions, to ng.{}"


def kept_op(key: tuple[Any, ...], made: Callable[[], Op]) -> Op:
    """The op that is in use for a key, or a new one."""
    found = _ops.get(key)
    return _ops.setdefault(key, made()) if found is None else found


def argument_names(user: UserFunction, count: int) -> tuple[str, ...]:
    """The names of the first parameters."""
    names = [p.name for p in user.arguments if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    return (*names, *(f"x{k}" for k in range(len(names), count)))


def check_count(user: UserFunction, operands: Sequence[Variable], results: int = 0) -> None:
    """TypeError if a function cannot be called with these operands, and arrays for the results."""
    if not (operands or results) or not user.takes(len(operands) + results):
        shown = ", ".join(map(str, user.arguments))
        behind = f" and {results} array{'s' * (results > 1)} for results" if results else ""
        count = "1 input" if len(operands) == 1 else f"{len(operands)} inputs"
        listed = "".join(f"\n  {describe(v)}" for v in operands)
        raise TypeError(
            f"{user.where}({shown}) cannot be called with {count}{behind}{listed}\n  defined at {user.line}"
        )


def refuse_halves(user: UserFunction, dtypes: Sequence[str | None], operands: Sequence[Variable]) -> None:
    """DtypeError for a dtype that Numba's functions have no numbers of."""
    if HALF in dtypes:
        listed = "".join(f"\n  {describe(v)}" for v in operands)
        raise DtypeError(
            f"{user.where}: functions get and give no float16{listed}\n  fix: x.astype('float32'), and the result back"
        )


def _inferred(user: UserFunction, dtypes: Sequence[str], operands: Sequence[Variable]) -> str:
    """What Numba says that a function of numbers returns."""
    called_at = current_line()
    told = [*map(describe, operands), *([f"{user.name} called at {called_at}"] if called_at else [])]
    return number_returned(user, dtypes, told)


def number_returned(user: UserFunction, dtypes: Sequence[str], told: Sequence[str]) -> str:
    """The dtype of what a function of numbers returns; DtypeError, with the lines `told`, where that is no number."""
    found = result_type(user, [number_type(d) for d in dtypes], told)
    name = {"boolean": "bool", "bool": "bool"}.get(str(found), str(found))
    if name not in DTYPES:
        listed = "".join(f"\n  {line}" for line in (*told, f"{user.name} is defined at {user.line}"))
        raise DtypeError(
            f"{user.where} returns {name} for ({', '.join(dtypes)}), which is no element of an array{listed}\n"
            "  fix: return a number; with dtype= it is converted"
        )
    return name


def number_type(dtype: str) -> Any:
    """Numba's type of a number."""
    from numba import types

    return types.boolean if dtype == "bool" else getattr(types, dtype)


def array_type(dtype: str, ndim: int, readonly: bool) -> Any:
    """Numba's type of an array that a function of arrays gets."""
    from numba import types

    return types.Array(number_type(dtype), ndim, "C", readonly=readonly)


def result_type(user: UserFunction, types: Sequence[Any], told: Sequence[str]) -> Any:
    """What Numba says that a function returns for these types; DtypeError where it cannot compile it. told: lines of
    the message, about the arguments and the call."""
    check_compiles(f"say what {user.name} returns, dtype=, and use target='reference'")
    from numba.core.errors import NumbaError

    def call_type() -> Any:
        # with what stands for arguments that have defaults
        _, _, whole, _ = user.dispatcher.get_call_template(tuple(types), {})
        return user.dispatcher.overloads[tuple(whole)].signature.return_type

    try:
        return compiled(call_type)
    except NumbaError as error:
        raise DtypeError(_uncompiled(user, types, str(error), told)) from error


def _uncompiled(user: UserFunction, types: Sequence[Any], said: str, told: Sequence[str]) -> str:
    """The message for a function that Numba does not compile."""
    lines = [line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", said).splitlines() if line.strip()]
    return "\n".join(
        [
            f"{user.where} cannot be compiled by Numba for ({', '.join(map(str, types))})",
            *(f"  {line}" for line in told),
            f"  {user.name} is defined at {user.line}",
            "  Numba says:",
            *(f"    {line}" for line in lines[:12]),
        ]
    )


def _elements(user: UserFunction, dtype: str) -> Callable[..., NDArray[Any]]:
    """The reference: the function as Numba compiles it by itself, called for one element after the other."""

    def run(*arrays: Any, **attrs: Any) -> NDArray[Any]:
        spread = np.broadcast_arrays(*arrays)
        result = np.empty(spread[0].shape, dtype)
        flat = result.reshape(-1)
        for k, numbers in enumerate(zip(*(a.flat for a in spread), strict=True)):
            flat[k] = np.asarray(called(user, numbers)).astype(dtype)
        return result

    return run


def called(user: UserFunction, values: Sequence[Any]) -> Any:
    """What a function returns; FunctionError, with what it raised as the cause, which an index out of bounds does."""
    try:
        return user.guarded(*values)
    except Exception as error:
        raise FunctionError(raised(error, values)) from error


def raised(error: BaseException, values: Sequence[Any]) -> str:
    """What an error of a user's function is called."""
    numbers = [str(v) for v in values if np.ndim(v) == 0]
    behind = f" for ({', '.join(numbers)})" if numbers and len(numbers) == len(values) else ""
    return f"raised {type(error).__name__}{behind}: {error}".rstrip(": ")


def given_gradient(
    user: UserFunction, grad: Gradient | None, numbers: bool = False
) -> Callable[..., Sequence[Any]] | None:
    """The gradient as the sweep asks for it. numbers: of a function of numbers, called for each element."""
    if grad is None:
        return None

    def parts(g: Variable, out: Variable, *inputs: Variable, **attrs: Any) -> Sequence[Any]:
        found = grad(g, *inputs)
        if len(inputs) == 1 and not isinstance(found, list | tuple):
            found = [found]
        if not isinstance(found, list | tuple) or len(found) != len(inputs):
            given = f"{len(found)} parts" if isinstance(found, list | tuple) else repr(found)
            raise GradientError(
                f"grad: the gradient given for {user.where} must be a list with an expression, or None, for each of "
                f"its {len(inputs)} inputs, not {given}\n  {describe(out)}"
            )
        # the sweep adds up along axes that numbers were broadcast along
        like = [out] * len(inputs) if numbers else inputs
        what = f"the gradient given for {user.where}"
        return [None if part is None else as_part(part, v, what) for part, v in zip(found, like, strict=True)]

    return parts


# -- pickling -------------------------------------------------------------------------------------------------------


def named(user: UserFunction) -> tuple[str, str]:
    """Where a function is found again; FunctionError for one that is not."""
    return user.checked_importable("pickled")


def name_of(function: Any) -> tuple[str, str] | None:
    """The same for a gradient or a shape, None for none."""
    return None if function is None else named(user_function(function))


def function_named(where: tuple[str, str] | None) -> Any:
    """The function that `named` has told of."""
    return None if where is None else imported(*where)


def _unpickled(
    module: str, qualname: str, dtypes: tuple[str, ...], dtype: str, converts: bool, grad: tuple[str, str] | None
) -> Op:
    return elementwise_op(user_function(imported(module, qualname)), dtypes, dtype, converts, function_named(grad))
