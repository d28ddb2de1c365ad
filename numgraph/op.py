"""The `Op` record: everything that numgraph knows about one operation, in one value.

An op has a type rule, a NumPy reference, a gradient (or the reason why it has none), and exactly one *form*, from
which code is generated for every target:

* `scalar`   an elementwise expression over the argument names, `"max(x, 0.0)"`. Names and functions are those of
             `scalars`; literals take the result's dtype; the engine broadcasts the operands.
* `reduce`   a `Reduce`: start value and combination of a reduction over attribute `axis`, a sorted tuple of axes.
* `element`  a function `(idx, *operands, **attrs) -> value` that says which element of the operands stands at index
`idx` of
             the result: views, gathers, generated arrays. They cost nothing and fuse. With `injective=False` when one
             element of an operand may be read more than once.
* `scatter`  a `Scatter`: a copy of the first argument, in which a region is set or added to.
* `reshape`  True: the same elements in the same (C) order with other lengths; shares memory.
* `product`  True: the matrix product of two 2-D arrays, or batched of two 3-D arrays.
             With `accumulates` the arguments are (c, a, b, alpha, beta) and the result is beta * c + alpha * a @ b.
* `kernel`   a `Kernel`: a function of `kernels/` on contiguous arrays.
* `expand`   a function `(*variables, **attrs) -> Variable`: a composition of other ops, expanded before scheduling.
* `loop`     True: a result of a `Loop`, see `ops.loop`; attribute `loop` says what each step computes.

`shape` is needed for every form but `scalar` and `reduce`: `(*operands, **attrs) -> tuple of lengths`, written with
the arithmetic of `lengths.dims`. An *operand* offers `.shape` (lengths), `.ndim`, `.dtype`, `.value` (the value of a
0-d integer, as a length or index), `.settled` (whether that is known before any step of a scan) and, inside `element`
and `scatter`, `.at(*idx)`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgraph.errors import NumgraphError, ShapeError
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import COMPLEX, compared, float_of, promote, real_of, sum_of, true_division
from numgraph.userfunctions.function import UserFunction

DtypeRule = Callable[[Sequence[str]], str]


def same(dtypes: Sequence[str]) -> str:
    """The promoted dtype of all operands."""
    return promote(dtypes)


def real(dtypes: Sequence[str]) -> str:
    """As `same`, of complex numbers the dtype of their parts."""
    return real_of(promote(dtypes))


def floating(dtypes: Sequence[str]) -> str:
    """As `same`, integers turned into floats."""
    return float_of(promote(dtypes))


def division(dtypes: Sequence[str]) -> str:
    """dtype of true division."""
    return true_division(dtypes)


def boolean(dtypes: Sequence[str]) -> str:
    """bool whatever the operands."""
    return "bool"


def int64(dtypes: Sequence[str]) -> str:
    """int64 whatever the operands."""
    return "int64"


def first(dtypes: Sequence[str]) -> str:
    """The dtype of the first operand."""
    return dtypes[0]


def accumulated(dtypes: Sequence[str]) -> str:
    """dtype of sum and prod."""
    return sum_of(dtypes[0])


@dataclass(frozen=True)
class Reduce:
    """A reduction. `combine` is an expression over `acc` (what is accumulated) and `x` (the element).

    start: a number, or "lowest"/"highest" of the element's dtype. Then an empty axis is a ShapeError at run time,
    unless attribute `empty` of the op allows it: the result is the start.
    wide: accumulate float32 in float64. reassociate: elements may be combined in any order, so that the loop
    vectorises. position: the result is the index of the element that replaced `acc` last (argmax, argmin). The index
    counts along the single reduced axis.
    """

    start: float | bool | str
    combine: str
    wide: bool = False
    reassociate: bool = False
    position: bool = False


@dataclass(frozen=True)
class Scatter:
    """A copy of argument 0 in which a region is written with argument 1, which broadcasts to the region.

    region: `(*operands, **attrs) -> lengths` of the region. target: `(idx, *operands, **attrs) -> index into argument
    0` of the region's element `idx`. Attribute `mode` of the op is "set" or "add". Where an element is met more than
    once "add" accumulates, the last "set" wins. unique: whether each element is met at most once (a slice).
    """

    region: Callable[..., tuple[Any, ...]]
    target: Callable[..., tuple[Any, ...]]
    unique: bool


@dataclass(frozen=True)
class Tiles:
    """How the blocks of a grid compute a kernel: tiles of products of matrices, by a function of `kernels/cuda`.

    maker: "module.function", which makes it for a dtype and a tile; the kernel has the same sizes as the processor's.
    extents: `(*sizes) -> (rows, columns, how many products)`. options: `(*sizes) -> what else it is made for`, as
    arguments by name. inside: `(*sizes) -> pairs (length, least)`: where all hold, it is made with inside=True.
    result: the axis of the result that rows count within groups, and those that columns count; empty where these count
    otherwise.
    """

    maker: str
    extents: Callable[..., tuple[Any, Any, Any]]
    options: Callable[..., dict[str, Any]]
    inside: Callable[..., list[tuple[Any, Any]]]
    result: tuple[int, tuple[int, ...]] | tuple[()] = ()


@dataclass(frozen=True)
class Kernel:
    """A function of `kernels/`, called as `function(out, *operands, *sizes)` with pointers to C-contiguous arrays.

    function: "module.name"; "" for a user's function, which is passed arrays of the operands and then of the results.
    sizes: `(*operands, **attrs) -> numbers` passed as int64; for a user's function the lengths of all its results, of
    which `ranks` has the number of axes. wide: float32 is computed in float64 where sums are: then the function writes
    float64. routines: functions of LAPACK and BLAS without the letter of their dtype, "potrf", whose addresses are
    passed behind the sizes. Then the function returns a status: 0, the number of the first matrix (from 1) with which
    what `fails` says is wrong, or -1 if there was no memory. on_thread: the function for one thread of a grid, which
    has no routines; "" where it is that same one, and none where there are routines. own: bytes of memory that it works
    in, with matrix products; or `(*sizes) -> bytes`, without products. Then threads divide the rows of the result: it
    is passed, behind the sizes, the address of the product if it has any, the first row and the end, and the memory's
    address; and it is compiled once, for all functions. Of complex numbers it is passed the parts.
    addresses: it is passed addresses instead of pointers, since it is one for all dtypes.
    shares: threads divide the elements of the result, and the function knows how: it is passed which chunk it computes
    and of how many, instead of rows. multiplications: the positions of the sizes whose product says how many
    multiply-adds these are; or flops: `(*sizes) -> operations on floats`, of a kernel that no thread divides. tiles:
    what the blocks of a grid compute it by.
    """

    function: str
    sizes: Callable[..., tuple[Any, ...]]
    wide: bool = False
    ranks: tuple[int, ...] = ()
    routines: tuple[str, ...] = ()
    fails: str = ""
    on_thread: str = ""
    small: str = ""
    is_small: Callable[..., bool] | None = None
    own: int | Callable[..., Any] = 0
    addresses: bool = False
    shares: bool = False
    multiplications: tuple[int, ...] = ()
    flops: Callable[..., float] | None = None
    tiles: Tiles | None = None


@dataclass(frozen=True)
class Check:
    """A condition of an op on run-time lengths or index values: (what must hold, message).

    kind "range": `values(...)` yields (index operand, length of the axis) pairs; each element must lie in [-length,
    length). kind "equal": pairs of lengths that must be equal. kind "nonempty": lengths that must be at least 1. kind
    "at_least": pairs (length, least). kind "broadcast": pairs of lengths of which one is 1 or both are equal. error: of
    what class the error is; for "range" only AssertionFailed is looked at: then attribute `message` of the op says what
    is asserted, and an element is 0 where it holds.
    """

    kind: str
    values: Callable[..., Any]
    message: str
    error: type[NumgraphError] = ShapeError


@dataclass(frozen=True, eq=False)
class Op:
    """One operation; see the module's text for the forms.

    args: names of the arguments; one that starts with `*` takes the rest. grad: `(g, out, *inputs, **attrs) -> one
    Variable or None per input`; g has out's shape. The engine sums over broadcast
        axes and casts to the input's dtype. None: no gradient, and `no_grad` says why.
    undefined: the positions of arguments that it has no gradient for although it has one for others; `no_grad` says
    why. orders: how often all derivatives can be taken, 2 standing for any number of times.
    domain: interval from which tests draw floats; samples: `() -> list of (list of arrays or numbers, attrs)` for ops
    whose
        arguments are not alike.
    keeps: arguments of a scalar form that keep their own dtype (the condition of `where`); the others are converted
    to the
        result's, or to their common one where the result is bool.
    reach: `(counts, out, *inputs, **attrs) -> one bool array or None per input`: which elements of each input count
        (None: all), where only those elements of `out` count for which `counts` (None: all) holds. None: by the form,
        see `reach`.
    batch: `(batched, *inputs, **attrs) -> Variable or None`, the op over a new first axis, which those inputs have for
    which `batched` is True; None where that takes a loop. A result without the axis is the same for all. None: by the
    form, see `vectorizing`.
    on_grid: `(*inputs, **attrs) -> Variable`, what the op is composed of on a grid, whatever its form: where one thread
    would run its kernel, or more work is to be had for threads.
    show: `(*syntax trees of the operands, **attrs) -> syntax tree`, how formulas write it (`x[a:b]`); None: as a call.
    complex: whether it is defined for complex numbers; None: by the form, those that move elements and products are.
        Where it is True and `dtypes` has floats, tests take complex numbers, too.
    says: what messages call it where users know it by another name.
    user: for an op that calls a user's function, that function: the op is no row of the table then. converts: whether
    what it returns is converted to the result's dtype. raises: whether a call may end with an exception; so may all
    kernels with routines. pickled: `() -> (function, arguments)` that makes the op again.
    moves: each element of the result is one of the first argument's. uniform: where the first argument is one number
    all over, so is the result, that number. conversion: the result is the argument in the dtype of attribute `dtype`,
    and nothing else. windowed: `(**attrs) -> bool`, whether of the first argument only some rows are read, or their
    number. into: of a product, the op that adds a multiple of it to an array.
    pieces: of an index map, into how many pieces it cuts a loop, of the number of its operands.
    cost: relative cost of one element (an addition is 1): decides what is recomputed and what is stored. redrawn: its
    elements are made of their indices, and several users make them again whatever it costs: nothing is stored.
    """

    name: str
    args: tuple[str, ...]
    doc: str
    dtype: DtypeRule | None
    numpy: Callable[..., Any]
    grad: Callable[..., Sequence[Any]] | None
    no_grad: str = ""
    scalar: str | None = None
    reduce: Reduce | None = None
    element: Callable[..., Any] | None = None
    scatter: Scatter | None = None
    reshape: bool = False
    product: bool = False
    accumulates: bool = False
    kernel: Kernel | None = None
    expand: Callable[..., Any] | None = None
    on_grid: Callable[..., Any] | None = None
    loop: bool = False
    shape: Callable[..., tuple[Any, ...]] | None = None
    injective: bool = True
    keeps: tuple[int, ...] = ()
    undefined: tuple[int, ...] = ()
    orders: int = 2
    checks: tuple[Check, ...] = ()
    domain: tuple[float, float] = (-3.0, 3.0)
    samples: Callable[[], list[tuple[list[Any], dict[str, Any]]]] | None = None
    dtypes: tuple[str, ...] = ("float32", "float64", "int32", "int64", "uint8", "bool")
    reach: Callable[..., Sequence[Any]] | None = None
    batch: Callable[..., Any] | None = None
    show: Callable[..., ast.expr] | None = None
    moves: bool = False
    uniform: bool = False
    conversion: bool = False
    windowed: Callable[..., bool] | None = None
    into: Op | None = None
    pieces: Callable[[int], int] | None = None
    cost: int = 1
    redrawn: bool = False
    commutative: bool = False
    complex: bool | None = None
    says: str = ""
    user: UserFunction | None = None
    converts: bool = False
    raises: bool = False
    pickled: Callable[[], tuple[Any, ...]] | None = None
    tree: ast.expr | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Check the record: a wrong op fails at import, not at its first use."""
        forms = [f for f in FORMS if getattr(self, f)]
        if len(forms) != 1:
            raise ValueError(f"op {self.name}: needs exactly one form, has {forms}")
        if (self.grad is None or self.undefined) and not self.no_grad:
            raise ValueError(f"op {self.name}: no gradient, and no_grad does not say why")
        if self.shape is None and not (self.scalar or self.reduce or self.expand):
            raise ValueError(f"op {self.name}: form {forms[0]} needs a shape rule")
        if self.scalar:
            object.__setattr__(self, "tree", _parse(self.name, self.args, self.scalar))
        if self.complex and "float64" in self.dtypes and not self.conversion:
            object.__setattr__(self, "dtypes", tuple(dict.fromkeys((*self.dtypes, *COMPLEX))))
        if self.complex is None:
            object.__setattr__(self, "complex", self.form in ("element", "scatter", "reshape", "product", "loop"))
        if self.kernel is not None and self.kernel.routines:
            object.__setattr__(self, "raises", True)
        if self.user is not None:
            return
        if self.name in OPS:
            raise ValueError(f"op {self.name}: defined twice")
        OPS[self.name] = self

    @property
    def title(self) -> str:
        """What messages call the op."""
        return self.says or self.name

    def called(self, attrs: Mapping[str, Any]) -> str:
        """The function of the user's that an op with these attributes stands for: "what", or the op itself."""
        return str(attrs.get("what", self.title))

    def composition(self, grid: bool) -> Callable[..., Any] | None:
        """What the op is composed of, `(*inputs, **attrs) -> Variable`; None where it is none."""
        return (self.on_grid if grid else None) or self.expand

    def computes(self, dtypes: Sequence[str], dtype: str) -> str | None:
        """The dtype in which a scalar form of operands of `dtypes` computes its result of `dtype`; None where each
        operand keeps its own."""
        if self.dtype is boolean and dtypes:
            return compared(dtypes)
        if dtypes and not self.complex:
            # complex numbers are made of floats
            return real_of(dtype)
        return promote(dtypes) if any(d in COMPLEX for d in dtypes) else dtype

    @property
    def overwrites(self) -> bool:
        """Whether code for the op works in the memory of its first argument."""
        return self.scatter is not None or self.accumulates

    @property
    def form(self) -> str:
        """The name of the op's form."""
        return next(f for f in FORMS if getattr(self, f))

    def __repr__(self) -> str:
        return f"Op({self.name})"

    def __copy__(self) -> Op:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Op:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Ops pickle by name, those of users' functions by `pickled`."""
        return self.pickled() if self.pickled is not None else (_op_named, (self.name,))


FORMS = ("scalar", "reduce", "element", "scatter", "reshape", "product", "kernel", "expand", "loop")
OPS: dict[str, Op] = {}
# Functions that users call, by name; filled by `numgraph.ops`. Methods and operators of variables look here.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _op_named(name: str) -> Op:
    return OPS[name]


def _parse(name: str, args: tuple[str, ...], text: str) -> ast.expr:
    """The syntax tree of a scalar form; ValueError for a name that is neither an argument nor a known function."""
    tree = ast.parse(text, mode="eval").body
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in (SCALAR_FUNCTIONS if id(node) in called else args):
            raise ValueError(f"op {name}: unknown name {node.id!r} in {text!r}")
    return tree


def reference(op: Op, arrays: Sequence[Any], attrs: dict[str, Any], dtype: str) -> Any:
    """The op's value by NumPy, in the given dtype: the oracle of every other executor."""
    with np.errstate(all="ignore"):
        return np.asarray(op.numpy(*arrays, **attrs)).astype(dtype, copy=False)
