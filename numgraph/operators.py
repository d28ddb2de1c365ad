"""The operators and NumPy-like methods of variables.

Each looks up the function of the same name in the op table, so that this file defines nothing by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numgraph.absent import Absent, lacking
from numgraph.op import FUNCTIONS
from numgraph.protocols import NumpyProtocols, no_matrix, said


def _call(name: str, *args: Any, **kwargs: Any) -> Any:
    return FUNCTIONS[name](*args, **kwargs)


_TURNED = {"lt": "__gt__", "le": "__ge__", "gt": "__lt__", "ge": "__le__"}


def _left(name: str, self: Any, other: Any) -> Any:
    """An operator of two, unless the other operand has said, as NumPy's arrays are told, that it does it itself."""
    if getattr(other, "__array_ufunc__", True) is None:
        turned = _TURNED.get(name, f"__r{name}__")
        if getattr(type(other), turned, None) is not getattr(object, turned, None):
            return NotImplemented
    return _call(name, self, other)


def _valueless(what: str, variable: Any, fix: str) -> str:
    return f"{what} of {said(variable)} which has no value before a function runs\n  fix: {fix}"


class Operators(NumpyProtocols):
    """Mixed into `Variable`. `==` stays identity; use `ng.eq`. `a += b` rebinds the name `a`, it changes no
    variable."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return _left("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return _call("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return _left("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _call("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        no_matrix("*", other)
        return _left("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        no_matrix("*", other)
        return _call("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return _call("true_div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _call("true_div", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _call("floor_div", self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _call("floor_div", other, self)

    def __mod__(self, other: Any) -> Any:
        return _call("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return _call("mod", other, self)

    def __pow__(self, other: Any, modulo: Any = None) -> Any:
        if modulo is not None:
            raise TypeError("pow of variables takes no modulus\n  fix: (x ** y) % n, which may wrap")
        return _call("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        no_matrix("**", other)
        return _call("pow", other, self)

    def __matmul__(self, other: Any) -> Any:
        return _left("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _call("matmul", other, self)

    def __neg__(self) -> Any:
        return _call("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _call("abs", self)

    def __invert__(self) -> Any:
        return _call("invert", self)

    def __and__(self, other: Any) -> Any:
        return _call("and_", self, other)

    def __rand__(self, other: Any) -> Any:
        return _call("and_", other, self)

    def __or__(self, other: Any) -> Any:
        return _call("or_", self, other)

    def __ror__(self, other: Any) -> Any:
        return _call("or_", other, self)

    def __xor__(self, other: Any) -> Any:
        return _call("xor", self, other)

    def __rxor__(self, other: Any) -> Any:
        return _call("xor", other, self)

    def __lshift__(self, other: Any) -> Any:
        return _call("left_shift", self, other)

    def __rshift__(self, other: Any) -> Any:
        return _call("right_shift", self, other)

    def __rlshift__(self, other: Any) -> Any:
        return _call("left_shift", other, self)

    def __rrshift__(self, other: Any) -> Any:
        return _call("right_shift", other, self)

    def __lt__(self, other: Any) -> Any:
        return _left("lt", self, other)

    def __le__(self, other: Any) -> Any:
        return _left("le", self, other)

    def __gt__(self, other: Any) -> Any:
        return _left("gt", self, other)

    def __ge__(self, other: Any) -> Any:
        return _left("ge", self, other)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)

    def __divmod__(self, other: Any) -> Any:
        return _call("divmod", self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return _call("divmod", other, self)

    def __round__(self, decimals: int = 0) -> Any:
        return _call("round", self, decimals)

    def __getitem__(self, key: Any) -> Any:
        return _call("getitem", self, key)

    def __iter__(self) -> Any:
        return _call("iterate", self)

    def __len__(self) -> int:
        lengths = getattr(self, "type").shape  # noqa: B009  # of `Variable`, which this is mixed into
        if not lengths:
            raise TypeError(f"len() of {said(self)} which has no axes")
        if lengths[0] is not None:
            return int(lengths[0])
        raise TypeError(f"len() of {said(self)} is known only when a function runs\n  fix: use x.shape[0]")

    def __float__(self) -> float:
        raise TypeError(_valueless("float()", self, "use x.eval(...), or ng.exp and the like instead of math.exp"))

    def __int__(self) -> int:
        raise TypeError(_valueless("int()", self, "use x.astype('int64')"))

    def __index__(self) -> int:
        raise TypeError(_valueless("a Python index", self, "index a variable, such as ng.shared(array)[i]"))

    def __format__(self, spec: str) -> str:
        if spec:
            raise TypeError(_valueless(f"format {spec!r}", self, "format what a function gives, or x.eval(...)"))
        return str(self)

    if not TYPE_CHECKING:
        # asked for what there is not; types are checked without it
        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):
                # a property that said itself what is missing
                return object.__getattribute__(self, name)
            raise AttributeError(lacking(type(self).__name__, name), name=name, obj=self)

    def __contains__(self, item: Any) -> bool:
        raise TypeError(_valueless("`in`", self, "use ng.any(ng.eq(x, value))"))

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            f"a part of {said(self)} cannot be assigned: variables do not change\n"
            "  fix: y = ng.set_subtensor(x[key], value) makes another one"
        )

    @property
    def T(self) -> Any:
        """The transpose: axes in reverse order."""
        return _call("transpose", self)

    @property
    def mT(self) -> Any:
        """The matrices of the last two axes, transposed."""
        return _call("matrix_transpose", self)

    @property
    def real(self) -> Any:
        """The real part."""
        return _call("real", self)

    @property
    def imag(self) -> Any:
        """The imaginary part; zeros where the numbers are real."""
        return _call("imag", self)

    def conj(self) -> Any:
        """The conjugate."""
        return _call("conj", self)

    def conjugate(self) -> Any:
        """The conjugate."""
        return _call("conj", self)

    @property
    def shape(self) -> Any:
        """A tuple of int64 scalars, one per axis; a known length is a constant."""
        return _call("shape", self)

    @property
    def size(self) -> Any:
        """The number of elements, an int64 scalar."""
        return _call("size", self)

    def astype(self, dtype: Any) -> Any:
        """Converted elements (floats truncate towards zero)."""
        return _call("cast", self, dtype)

    def reshape(self, *shape: Any) -> Any:
        """The same elements with other lengths; one may be -1. Accepts `reshape(a, b)` and `reshape((a, b))`."""
        return _call("reshape", self, shape[0] if len(shape) == 1 else shape)

    def dimshuffle(self, *pattern: Any) -> Any:
        """Axes in another order; "x" inserts an axis of length 1."""
        return _call("dimshuffle", self, *pattern)

    def transpose(self, *axes: Any) -> Any:
        """Axes in the order given, or reversed."""
        return _call("transpose", self, *axes)

    def flatten(self, ndim: int = 1) -> Any:
        """The first ndim - 1 axes, and the others as one."""
        return _call("flatten", self, ndim)

    def ravel(self) -> Any:
        """All elements as a vector."""
        return _call("flatten", self, 1)

    def squeeze(self, axis: Any = None) -> Any:
        """Without axes of length 1."""
        return _call("squeeze", self, axis)

    def swapaxes(self, a: int, b: int) -> Any:
        """With two axes exchanged."""
        return _call("swapaxes", self, a, b)

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        """Each element repeated."""
        return _call("repeat", self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None, mode: str | None = "raise") -> Any:
        """Elements at `indices` of an axis."""
        return _call("take", self, indices, axis, mode)

    def dot(self, other: Any) -> Any:
        """Product of matrices or vectors, as `ng.dot`."""
        return _call("dot", self, other)

    def fill(self, value: Any) -> Any:
        """An array of this shape filled with `value`."""
        return _call("full_like", self, value)

    def copy(self, name: str | None = None) -> Any:
        """A variable with the same value and its own identity, and a name if one is given."""
        copied = _call("identity", self)
        copied.name = name
        return copied

    def set(self, value: Any) -> Any:
        """Of a part, `x[key].set(value)`: the whole with `value` there, as `set_subtensor`; x stays as it is."""
        return _call("set_subtensor", self, value)

    def inc(self, value: Any) -> Any:
        """Of a part, `x[key].inc(value)`: the whole with `value` added there, as `inc_subtensor`."""
        return _call("inc_subtensor", self, value)

    def clip(self, low: Any, high: Any) -> Any:
        """Limited to [low, high]."""
        return _call("clip", self, low, high)

    def round(self, decimals: int = 0) -> Any:
        """Rounded, halves to even."""
        return _call("round", self, decimals)

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """Sum over `axis` (None: all)."""
        return _call("sum", self, axis, dtype, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """Product over `axis`."""
        return _call("prod", self, axis, dtype, keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """Mean over `axis`."""
        return _call("mean", self, axis, dtype, keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        """Variance over `axis`."""
        return _call("var", self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        """Standard deviation over `axis`."""
        return _call("std", self, axis, ddof, keepdims)

    def norm(self, ord: Any = None, axis: Any = None, keepdims: bool = False, *, L: Any = None) -> Any:
        """Norm over `axis`, as `ng.norm`. L: Theano's order, of the vector of all elements along `axis`."""
        return _call("norm", self, ord, axis, keepdims) if L is None else _call("norm_of_all", self, L, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Maximum over `axis`; NaN wins."""
        return _call("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Minimum over `axis`; NaN wins."""
        return _call("min", self, axis, keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Index of the first maximum."""
        return _call("argmax", self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Index of the first minimum."""
        return _call("argmin", self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether any element is true."""
        return _call("any", self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether all elements are true."""
        return _call("all", self, axis, keepdims)

    def cumsum(self, axis: int | None = None) -> Any:
        """Running sum."""
        return _call("cumsum", self, axis)

    def cumprod(self, axis: int | None = None) -> Any:
        """Running product."""
        return _call("cumprod", self, axis)

    def sort(self, axis: int = -1) -> Any:
        """Sorted along `axis`."""
        return _call("sort", self, axis)

    def argsort(self, axis: int = -1) -> Any:
        """Indices that sort along `axis`, stable."""
        return _call("argsort", self, axis)

    def ptp(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The largest minus the smallest over `axis`."""
        return _call("ptp", self, axis, keepdims)

    def diagonal(self, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """The diagonals of the matrices along two axes."""
        return _call("diagonal", self, offset, axis1, axis2)

    def trace(self, offset: Any = 0) -> Any:
        """The sum of a diagonal."""
        return _call("trace", self, offset)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any:
        """Where v belongs in this sorted vector."""
        return _call("searchsorted", self, v, side, sorter)

    def choose(self, choices: Any, mode: str = "raise") -> Any:
        """Of each element that of the choice which this names."""
        return _call("choose", self, choices, mode)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """The parts where a vector is not 0."""
        return _call("compress", condition, self, axis)

    def nonzero(self) -> Any:
        """One index vector per axis, of the elements that are not 0."""
        return _call("nonzero", self)

    def eval(self, inputs: Any = None) -> Any:
        """The value, for values of the variables it depends on: `(x * 2).eval({x: 3.0})`."""
        return _call("eval", self, inputs)


# any other attribute may be set; these would be taken for the variable's value
for _name in ("value", "data", "grad", "requires_grad"):
    setattr(Operators, _name, Absent(_name))
