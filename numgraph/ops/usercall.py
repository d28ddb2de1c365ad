"""Users' functions of whole arrays as ops: `call`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import FunctionError, OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.lengths.dims import UNKNOWN, Arithmetic, Unknown
from numgraph.op import Check, Kernel, Op
from numgraph.ops import formula
from numgraph.ops.define import f
from numgraph.ops.user import (
    COST,
    NO_GRADIENT,
    Gradient,
    argument_names,
    called,
    check_count,
    function_named,
    given_gradient,
    kept_op,
    name_of,
    named,
    refuse_halves,
)
from numgraph.types import TensorType
from numgraph.userfunctions.function import UserFunction, user_function

__all__ = ["call"]

Lengths = tuple[Any, ...]
NEGATIVE = "shape= gave the length {a}, which is negative"


def call(function: Any, *inputs: Any, type: Any, shape: Callable[..., Any] | None = None, grad: Any = None) -> Any:
    """A function of your own on whole arrays: `numba.njit` has made it, or makes it now of a plain function.

    function: gets the inputs and then an array for each result, into which it writes all elements; what it returns is
        not looked at. The arrays are views of numgraph's memory: nothing is copied, but inputs that are not contiguous
        where they lie. Inputs are C-contiguous and read-only, those without axes are numbers (a Python int is int64).
    type: `ng.TensorType(dtype, lengths)` of the result; a list of them, of one dtype, for a list of results. A length
        of None is that of the first input with as many axes.
    shape: for other lengths, `(*shapes of the inputs) -> lengths`, or a list of them for a list of results. Each shape
        is a tuple of lengths, which may be known only at a call: use `+ - * // %` with them.
    grad: `(g, *inputs) -> one expression per input`, None for an input without a gradient; g is the gradient with
        respect to the result, a list for a list of results. Without it `ng.grad` refuses to go through.

    OptionError for what is no function, for results of several dtypes, or a length that nothing says; TypeError for
    another number of arguments. When a graph is built: DtypeError where Numba cannot compile the function for these
    types. In a call: FunctionError for what it raises, with shared variables as before; ShapeError where `shape` says
    another length than `type`. See `elementwise` for the rest; on devices it is refused.

    >>> import numgraph as ng
    >>> def reverse(x, out):
    ...     for i in range(len(x)):
    ...         out[i] = x[len(x) - 1 - i]
    >>> x = ng.vector("x")
    >>> ng.function([x], ng.call(reverse, x, type=x.type))([1.0, 2.0])
    array([2., 1.])
    """
    user = user_function(function)
    operands = [as_variable(v) for v in inputs]
    several = isinstance(type, list | tuple)
    types = tuple(type) if several else (type,)
    _check_types(user, types)
    check_count(user, operands, len(types))
    _check_writes(user, len(operands), len(types))
    refuse_halves(user, [*(t.dtype for t in types), *(v.type.dtype for v in operands)], operands)
    results = Results(user, types, several, shape, tuple(v.ndim for v in operands))
    results.check(operands)
    result = apply(call_op(results, len(operands), grad), operands)
    return results.parts(result, operands) if several else result


def call_op(results: Results, count: int, grad: Gradient | None) -> Op:
    """The op of a function of arrays."""
    user = results.user

    def made() -> Op:
        args = argument_names(user, count)
        return Op(
            user.where, args, f"{user.where}, of whole arrays.", lambda dtypes: results.dtype, results.computed,
            _gradient(results, grad), no_grad=NO_GRADIENT.format("call"),
            kernel=Kernel("", results.sizes, ranks=results.ranks), shape=results.shape_of, checks=results.checks,
            cost=COST, show=partial(formula.call, user.name), says=user.name, user=user, raises=user.may_raise,
            pickled=lambda: (_unpickled, (*named(user), *results.pickled(), count, name_of(grad))),
        )  # fmt: skip

    return kept_op((results, count, grad), made)


def _check_types(user: UserFunction, types: Sequence[Any]) -> None:
    for wrong in [t for t in types if not isinstance(t, TensorType)][:1]:
        raise OptionError(
            f"call of {user.where}: type= is a TensorType, or a list of them, not {wrong!r}\n"
            '  fix: type=x.type for a result like x, or type=ng.TensorType("float64", (None, 3))'
        )
    dtypes = list(dict.fromkeys(t.dtype for t in types))
    if len(dtypes) != 1:
        raise OptionError(
            f"call of {user.where}: results of one call have one dtype, not {', '.join(dtypes) or 'none'}\n"
            "  fix: convert in the function, or call two functions"
        )


def _check_writes(user: UserFunction, inputs: int, results: int) -> None:
    """OptionError if a function does not look at an array for a result, which it was to write."""
    for name in argument_names(user, inputs + results)[inputs:]:
        if name in user.unused:
            raise OptionError(
                f"call of {user.where}: nothing is written into the argument {name!r}, an array for a result; what "
                f"the function returns is not looked at\n  {user.name} is defined at {user.line}\n"
                f"  fix: {name}[...] = the result, or ng.elementwise for a function of numbers"
            )


@dataclass(frozen=True)
class Results:
    """What a function writes. axes: the number of axes of each input. Several results lie behind one another, in an
    array with one axis: the result of the op, of which they are parts."""

    user: UserFunction
    types: tuple[TensorType, ...]
    several: bool
    shape: Callable[..., Any] | None
    axes: tuple[int, ...]

    @property
    def dtype(self) -> str:
        """Of all results."""
        return self.types[0].dtype

    @property
    def ranks(self) -> tuple[int, ...]:
        """The number of axes of each result."""
        return tuple(t.ndim for t in self.types)

    def lengths(self, shapes: Sequence[Lengths]) -> list[Lengths]:
        """The lengths of each result, for inputs of these shapes."""
        if self.shape is None:
            return [self._like_inputs(t, shapes) for t in self.types]
        try:
            found = self.shape(*shapes)
        except TypeError as error:
            raise OptionError(
                f"call of {self.user.where}: shape= raised a TypeError for the shapes {shapes}: {error}\n"
                "  fix: it takes the shape of each input; lengths may be unknown, and know + - * // % alone"
            ) from error
        every = list(found) if self.several else [found]
        lengths = [tuple(n) if isinstance(n, list | tuple) else (n,) for n in every]
        if [len(n) for n in lengths] != list(self.ranks):
            raise ShapeError(f"call of {self.user.where}: shape= gave {found!r} for results of {self.ranks} axes")
        return [tuple(map(self._length, n)) for n in lengths]

    def _length(self, length: Any) -> Any:
        """A length that `shape` gives, of a plain type."""
        if isinstance(length, int | np.integer) and not isinstance(length, bool):
            return int(length)
        if isinstance(length, Unknown | Arithmetic | Variable):
            return length
        raise OptionError(
            f"call of {self.user.where}: shape= gave the length {length!r}; lengths are whole numbers\n"
            "  fix: round with //, as in (n + 1) // 2"
        )

    def _like_inputs(self, kind: TensorType, shapes: Sequence[Lengths]) -> Lengths:
        like = next((s for s in shapes if len(s) == kind.ndim), ())
        return tuple(like[k] if n is None else n for k, n in enumerate(kind.shape))

    def check(self, operands: Sequence[Variable]) -> None:
        """OptionError for a length that nothing says, ShapeError for one that is known to be negative."""
        listed = "".join(f"\n  {describe(v)}" for v in operands)
        for t in self.types:
            if self.shape is None and None in t.shape and t.ndim not in self.axes:
                raise OptionError(
                    f"call of {self.user.where}: the lengths of {t} are not known, since no input has {t.ndim} "
                    f"ax{'i' if t.ndim == 1 else 'e'}s{listed}\n  fix: give them, or shape=, a function of the inputs' "
                    "shapes"
                )
        known = [tuple(UNKNOWN if n is None else n for n in v.type.shape) for v in operands]
        for n in (n for lengths in self.lengths(known) for n in lengths if isinstance(n, int) and n < 0):
            raise ShapeError(f"call of {self.user.where}: {NEGATIVE.format(a=n)}{listed}")

    def shape_of(self, *operands: Any, **attrs: Any) -> Lengths:
        """The lengths of the op's result."""
        found = self.lengths([v.shape for v in operands])
        return (sum(map(dims.product, found)),) if self.several else found[0]

    def sizes(self, *operands: Any, **attrs: Any) -> Lengths:
        """The lengths of all results, one after the other."""
        return tuple(n for lengths in self.lengths([v.shape for v in operands]) for n in lengths)

    @property
    def checks(self) -> tuple[Check, ...]:
        """What `shape` says is no negative length, and what `type` says."""

        def pairs(*operands: Any, **attrs: Any) -> list[tuple[Any, Any]]:
            found = self.lengths([v.shape for v in operands])
            known = [n for t in self.types for n in t.shape]
            told = [n for lengths in found for n in lengths]
            return [(n, m) for n, m in zip(known, told, strict=True) if n is not None]

        def told(*operands: Any, **attrs: Any) -> list[tuple[Any, Any]]:
            return [(n, 0) for n in self.sizes(*operands)]

        equal = Check("equal", pairs, "type= says that a length is {a}, shape= that it is {b}")
        return (Check("at_least", told, NEGATIVE), equal) if self.shape else ()

    def computed(self, *arrays: NDArray[Any], **attrs: Any) -> NDArray[Any]:
        """The reference: the function as Numba compiles it by itself, with a look at the bounds of each index.

        FunctionError where it has written into an input, which Numba does not see everywhere (`x.flat[0] = 1`).
        """
        found = self.lengths([a.shape for a in arrays])
        counts = [prod(lengths) for lengths in found]
        flat = np.empty(sum(counts), self.dtype)
        ends = np.cumsum(counts)
        results = [flat[end - n : end].reshape(lengths) for end, n, lengths in zip(ends, counts, found, strict=True)]
        given = list(map(_passed, arrays))
        called(self.user, [*given, *results])
        for k, (array, passed) in enumerate(zip(arrays, given, strict=True)):
            if array.ndim and array.tobytes() != passed.tobytes():
                raise FunctionError(f"wrote into its input {k}, which is read-only\n  fix: work with a copy, x.copy()")
        return flat if self.several else results[0]

    def parts(self, result: Variable, operands: Sequence[Variable]) -> list[Variable]:
        """Each result, as an expression."""
        shapes = [tuple(n if n is not None else f.shape(v)[k] for k, n in enumerate(v.type.shape)) for v in operands]
        begin: Any = 0
        parts = []
        for lengths in self.lengths(shapes):
            count = prod(lengths)
            part = result[begin : begin + count]
            parts.append(f.reshape(part, lengths) if len(lengths) != 1 else part)
            begin = begin + count
        return parts

    def pickled(self) -> tuple[Any, ...]:
        """What makes this again, besides the function."""
        types = [(t.dtype, t.shape) for t in self.types]
        return types, self.several, name_of(self.shape), self.axes


def _passed(array: NDArray[Any]) -> Any:
    """An input as the function gets it."""
    if not array.ndim:
        return array[()]
    given = np.array(array, order="C")
    given.flags.writeable = False
    return given


def _gradient(results: Results, grad: Gradient | None) -> Callable[..., Sequence[Any]] | None:
    given = given_gradient(results.user, grad)
    if given is None or not results.several:
        return given
    return lambda g, out, *inputs, **attrs: given(results.parts(g, inputs), out, *inputs, **attrs)


def _unpickled(
    module: str, qualname: str, types: Any, several: bool, shape: Any, axes: tuple[int, ...], count: int, grad: Any
) -> Op:
    user, kinds = user_function(function_named((module, qualname))), tuple(TensorType(*t) for t in types)
    results = Results(user, kinds, several, function_named(shape), axes)
    return call_op(results, count, function_named(grad))
