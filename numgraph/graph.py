"""The expression graph: what a user builds.

A `Variable` has a type, perhaps a name, and either is a leaf (input, constant, shared) or the result of an op.
Variables have identity: `==` is `is`, two `x * x` written twice are two variables. Nothing here recurses over the
graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph import pickled
from numgraph.config import config
from numgraph.errors import DtypeError, ShapeError, ValueOverflowError
from numgraph.foreign import advice_for, hidden_in, plain
from numgraph.lengths.dims import UNKNOWN
from numgraph.op import FUNCTIONS, OPS, Op, floating
from numgraph.operators import Operators
from numgraph.source import SourceLine, current_line, lines_of
from numgraph.text import printable
from numgraph.types import (
    COMPLEX,
    DISCRETE,
    DTYPES,
    INEXACT,
    OF_PARTS,
    Shape,
    TensorType,
    check_axes,
    check_dtype,
    complex_of,
    promote,
)

Attrs = dict[str, Any]


class Variable(Operators):
    """A node of an expression graph; see `numgraph.operators` for its operators and methods.

    type: dtype and known lengths. op, inputs, attrs: how it is computed (op is None for a leaf). line: where it was
    made. steps: for the result of `x[key]`, of how many operations, one after the other and this one the last, the key
    consists; else 0. about: variables that it was written with but whose values it does not need, as x in `x.size`
    where that is known: functions count them as used. hint: what generated code calls it if it has no name, such as
    `gW` for a gradient. Attributes of a program's own may be added; copies do not have them.
    """

    __slots__ = ("__dict__", "__weakref__", "about", "attrs", "hint", "inputs", "line", "name", "op", "steps", "type")

    type: TensorType
    op: Op | None
    inputs: tuple[Variable, ...]
    attrs: Attrs
    name: str | None
    line: SourceLine | None
    steps: int
    about: tuple[Variable, ...]
    hint: str | None

    def __init__(
        self,
        type: TensorType,
        name: str | None = None,
        op: Op | None = None,
        inputs: tuple[Variable, ...] = (),
        attrs: Attrs | None = None,
        line: SourceLine | None = None,
    ) -> None:
        self.type = type
        self.name = name
        self.op = op
        self.inputs = inputs
        self.attrs = attrs if attrs is not None else {}
        self.line = line if line is not None else current_line()
        self.steps = 0
        self.about = ()
        self.hint = None

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.type.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each axis, whether its length is known to be 1."""
        return self.type.broadcastable

    @property
    def test_value(self) -> NDArray[Any]:
        """What the variable is worth for the values that its inputs were given, see `numgraph.testvalues`."""
        found: NDArray[Any] = FUNCTIONS["test_value"](self)
        return found

    @test_value.setter
    def test_value(self, value: Any) -> None:
        FUNCTIONS["give_test_value"](self, value)

    def copy_with(self, inputs: tuple[Variable, ...]) -> Variable:
        """The same operation on other inputs: type worked out anew, name and line kept."""
        assert self.op is not None
        with lines_of(self.line):
            new = apply(self.op, inputs, **self.attrs)
        new.name, new.steps, new.about, new.hint = self.name, self.steps, self.about, self.hint
        return new

    def __repr__(self) -> str:
        """`x float32[?,784]` for a named variable, `add float32[?]` for a result."""
        shown = printable(self.name) if self.name else self.op.name if self.op else "<unnamed>"
        return f"<{shown} {self.type}>"

    def __bool__(self) -> bool:
        """True, as for any object; TypeError for the result of a comparison, whose truth is known only at run time."""
        if self.op is not None and self.type.dtype == "bool":
            raise TypeError(
                f"{label(self)} is true or false only when a function runs\n  {describe(self)}\n"
                "  fix: ng.where(condition, a, b) for a choice, (a < x) & (x < b) for `and` and a < x < b"
            )
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        for node in toposort([self]):
            if id(node) not in memo:
                memo[id(node)] = node._deep_copied(memo)
        copied: Variable = memo[id(self)]
        return copied

    def _deep_copied(self, memo: dict[int, Any]) -> Variable:
        inputs = tuple(memo[id(v)] for v in self.inputs)
        new = Variable(self.type, self.name, self.op, inputs, dict(self.attrs), self.line)
        new.steps, new.hint = self.steps, self.hint
        return new

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle the ancestors first, as a flat list in order, so that the pickler never recurses over the graph."""
        if self.op is None or pickled.listed(self):
            return _unpickle, self._pickled()
        ancestors = toposort(list(self.inputs))
        return _unpickle_after, (ancestors, *self._pickled(), pickled.begin(ancestors))

    def __copy__(self) -> Variable:
        return _unpickle(*self._pickled())

    def _pickled(self) -> tuple[Any, ...]:
        # plain tuples: pickling a dataclass per node takes several times as long
        line = None if self.line is None else tuple(self.line)
        return (
            type(self),
            self.type.dtype,
            self.type.shape,
            self.name,
            self.op,
            self.inputs,
            self.attrs,
            line,
            self.steps,
            self.hint,
        )


class Constant(Variable):
    """A value that is part of the program. `data` is read-only."""

    __slots__ = ("data",)

    data: NDArray[Any]

    def __init__(self, data: NDArray[Any], name: str | None = None, line: SourceLine | None = None) -> None:
        check_axes(data.ndim, "a constant")
        super().__init__(TensorType(data.dtype.name, data.shape), name, line=line)
        self.data = frozen(data)

    def __index__(self) -> int:
        return int(self.data) if self.type.dtype.strip("u").startswith("int") and not self.ndim else super().__index__()

    def __copy__(self) -> Constant:
        return Constant(self.data, self.name, self.line)

    def _deep_copied(self, memo: dict[int, Any]) -> Variable:
        return Constant(self.data, self.name, self.line)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Constant, (self.data, self.name, self.line)

    def __repr__(self) -> str:
        shown = printable(self.name) if self.name else np.array2string(self.data, threshold=6)
        return f"<constant {shown} {self.type}>"


class _Packed:
    """Pickled before what refers to the roots: all their ancestors and they themselves, as one flat list."""

    def __init__(self, roots: Iterable[Variable]) -> None:
        self.roots = roots

    def __reduce__(self) -> tuple[Any, ...]:
        nodes = toposort(self.roots)
        return _first, (nodes, pickled.begin(nodes))


def packed(roots: Iterable[Variable]) -> Any:
    """What to put before `roots` in a pickle: many roots with common ancestors take one walk and no recursion."""
    return _Packed(roots)


def _first(nodes: list[Variable], done: None) -> list[Variable]:
    return nodes


def _unpickle(cls: type[Variable], dtype: str, shape: Shape, name: str | None, op: Op | None, *rest: Any) -> Variable:
    new = cls.__new__(cls)
    inputs, attrs, line, new.steps, new.hint = rest
    new.type, new.name, new.op, new.inputs, new.attrs = TensorType(dtype, shape), name, op, inputs, attrs
    new.line = None if line is None else SourceLine(*line)
    new.about = ()
    return new


def _unpickle_after(ancestors: list[Variable], *rest: Any) -> Variable:
    return _unpickle(*rest[:-1])


class TypeOperand:
    """What a shape rule sees of an argument while the expression is built."""

    __slots__ = ("dtype", "ndim", "shape", "value")
    settled = True

    def __init__(self, variable: Variable) -> None:
        self.shape = tuple(UNKNOWN if n is None else n for n in variable.type.shape)
        self.ndim = len(self.shape)
        self.dtype = variable.type.dtype
        is_number = isinstance(variable, Constant) and not self.shape and self.dtype in DISCRETE
        self.value: Any = int(variable.data) if is_number else UNKNOWN  # type: ignore[attr-defined]


def infer_type(op: Op, inputs: Sequence[Variable], attrs: Attrs) -> TensorType:
    """The type of `op` applied to `inputs`; ShapeError or DtypeError when they do not fit."""
    if not op.complex:
        for v in inputs:
            if v.type.dtype in COMPLEX:
                raise DtypeError(f"{op.title} is not defined for complex numbers\n  {describe(v)}\n{OF_PARTS}")
    dtype = attrs.get("dtype")
    if dtype is None:
        assert op.dtype is not None, op.name
        dtype = op.dtype([v.type.dtype for v in inputs])
    if op.shape is not None:
        lengths = op.shape(*map(TypeOperand, inputs), **attrs)
        return TensorType(dtype, tuple(None if n is UNKNOWN else int(n) for n in lengths))
    if op.reduce is not None:
        return TensorType(dtype, reduced_shape(inputs[0].type.shape, attrs["axis"], attrs["keepdims"]))
    return TensorType(dtype, broadcast_types(op.name, inputs))


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """`shape` without `axes`, or with 1 there."""
    if keepdims:
        return tuple(1 if k in axes else n for k, n in enumerate(shape))
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def broadcast_types(name: str, inputs: Sequence[Variable]) -> Shape:
    """The shape that `inputs` broadcast to; ShapeError naming both sides where known lengths do not fit."""
    if all(v.type.shape == inputs[0].type.shape for v in inputs):
        return inputs[0].type.shape
    ndim = max(v.ndim for v in inputs)
    result: list[int | None] = []
    for axis in range(-ndim, 0):
        known = {v.type.shape[axis] for v in inputs if v.ndim >= -axis}
        fixed = known - {1, None}
        if len(fixed) > 1:
            lengths = ", ".join(str(v.type.shape[axis]) for v in inputs if v.ndim >= -axis)
            raise ShapeError(
                f"{name}: axis {axis + ndim}: lengths [{lengths}] do not broadcast\n"
                + "".join(f"  {describe(v)}\n" for v in inputs)
                + "  fix: make the lengths equal, or insert an axis with y[:, None]"
            )
        result.append(fixed.pop() if fixed else (None if None in known else 1))
    return tuple(result)


def apply(op: Op, inputs: Sequence[Variable], **attrs: Any) -> Variable:
    """The variable `op(*inputs)`; its line is the user's. SizeError if known lengths already make it too large."""
    inputs = tuple(inputs)
    made = Variable(infer_type(op, inputs, attrs).counted(op.name), None, op, inputs, attrs)
    if config.test_values:
        FUNCTIONS["try_values"](made)
    return made


def elementwise(name: str) -> Callable[..., Variable]:
    """The user-level function of an elementwise op: converts its arguments (Python scalars are weak) and applies it."""
    op = OPS[name]

    def build(*args: Any) -> Variable:
        if len(args) != len(op.args):
            raise TypeError(f"{name}() takes {len(op.args)} arguments ({', '.join(op.args)}), got {len(args)}")
        if op.dtype is floating and all(type(v) is int for v in args):
            # alone, a Python number is floatX where floats are made: sqrt(9) as sqrt(9.0)
            args = tuple(float(v) for v in args)
        return apply(op, as_operands(*args))

    build.__name__ = build.__qualname__ = name
    build.__doc__ = op.doc
    return build


def as_operands(*values: Any) -> list[Variable]:
    """Variables for the operands of one operation; Python numbers take the dtype of the arrays beside them (NumPy
    2)."""
    if all(isinstance(v, Variable) for v in values):
        return list(values)
    strong = [v if _is_weak(v) else as_variable(v) for v in values]
    dtypes = [v.type.dtype for v in strong if isinstance(v, Variable)]
    beside = promote(dtypes) if dtypes else None
    return [v if isinstance(v, Variable) else weak_constant(v, beside) for v in strong]


def _is_weak(value: Any) -> bool:
    return type(value) in (bool, int, float, complex)


def weak_constant(value: bool | int | float | complex, beside: str | None) -> Constant:
    """A constant for a Python number beside arrays of dtype `beside` (None: alone)."""
    if isinstance(value, bool):
        dtype = "bool" if beside is None else beside
    elif isinstance(value, int):
        dtype = "int64" if beside in (None, "bool") else str(beside)
    elif isinstance(value, complex):
        dtype = complex_of(str(beside) if beside in INEXACT else config.floatX)
    else:
        dtype = str(beside) if beside in INEXACT else config.floatX
    if isinstance(value, int) and dtype not in INEXACT and dtype != "bool":
        info = np.iinfo(dtype)
        if not info.min <= value <= info.max:
            raise ValueOverflowError(
                f"the Python integer {value} does not fit dtype {dtype} ({info.min} to {info.max}). "
                f"Convert one side, for example x.astype('int64') or np.int64({value})."
            )
    return Constant(frozen(np.array(value, dtype)))


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, made read-only."""
    array.setflags(write=False)
    return array


def as_variable(value: Any, name: str | None = None) -> Variable:
    """`value` as a variable: itself, or a constant holding a copy.

    Python floats take floatX, ints int64; arrays and NumPy scalars keep their dtype; a list or tuple that holds
    variables is stacked. DtypeError for what is no array of a supported dtype.
    """
    if isinstance(value, Variable):
        return value
    if _is_weak(value):
        return weak_constant(value, None)
    if isinstance(value, list | tuple) and _holds_variable(value):
        stacked: Variable = FUNCTIONS["stack"](value)
        return stacked
    if hidden := hidden_in(value):
        raise DtypeError(f"a {hidden.kind} cannot be part of an expression: {hidden.matter}\n  fix: {hidden.fix}")
    try:
        array = plain(value)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise DtypeError(f"cannot make an array of {value!r}: {error}") from error
    if array.dtype.kind in "fc" and isinstance(value, list | tuple) and not _holds_numpy(value):
        array = array.astype(config.floatX if array.dtype.kind == "f" else complex_of(config.floatX))
    if array.dtype.name not in DTYPES:
        shown = "an array" if isinstance(value, np.ndarray) else " ".join(repr(value)[:60].split())
        advice = advice_for(value, f"use numbers or booleans: {', '.join(DTYPES)}")
        raise DtypeError(f"{shown} (dtype {array.dtype}) cannot be part of an expression\n  fix: {advice}")
    dtype = check_dtype(array.dtype)
    return Constant(frozen(np.array(array, dtype, order="C")), name)


def _holds_variable(values: Iterable[Any]) -> bool:
    return any(isinstance(v, Variable) or (isinstance(v, list | tuple) and _holds_variable(v)) for v in values)


def _holds_numpy(values: Iterable[Any]) -> bool:
    return any(
        isinstance(v, np.ndarray | np.generic) or (isinstance(v, list | tuple) and _holds_numpy(v)) for v in values
    )


def toposort(
    outputs: Iterable[Variable],
    stop: Iterable[Variable] = (),
    inputs: Callable[[Variable], Sequence[Variable]] = attrgetter("inputs"),
) -> list[Variable]:
    """Every ancestor of `outputs` and they themselves, inputs before users; nothing above the variables in `stop`."""
    done: dict[int, Variable] = {}
    stops = {id(v) for v in stop}
    for output in outputs:
        stack = [(output, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if ready or id(node) in stops or not (above := inputs(node)):
                done[id(node)] = node
                continue
            stack.append((node, True))
            stack.extend((v, False) for v in reversed(above) if id(v) not in done)
    return list(done.values())


def label(variable: Variable) -> str:
    """The name that messages use: the user's name, fit to be printed, or what the variable is."""
    if variable.name:
        return printable(variable.name)
    if variable.op:
        return f"the result of {variable.op.title}"
    return "a constant" if isinstance(variable, Constant) else "an unnamed variable"


def instead(value: Any) -> str:
    """What a message says was given, where something else was wanted: a variable on a line of its own."""
    return f"\n  {describe(value)}" if isinstance(value, Variable) else f" {value!r}"


def describe(variable: Variable) -> str:
    """`x: float32[?,784]  made at train.py:34 in loss`, for messages."""
    made = f"  made at {variable.line}" if variable.line else ""
    return f"{label(variable)}: {variable.type}{made}"


def iterate(variable: Variable) -> Iterator[Variable]:
    """The elements along axis 0, where their number is known."""
    if not variable.ndim:
        raise TypeError(f"{label(variable)} cannot be iterated, since it has no axes\n  {describe(variable)}")
    length = variable.type.shape[0]
    if length is None:
        raise TypeError(
            f"{label(variable)} cannot be iterated, since its length is known only when a function runs\n"
            f"  {describe(variable)}\n  fix: use operations on the whole, or declare its length"
        )
    return iter([variable[k] for k in range(length)])
