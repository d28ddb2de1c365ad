"""`theano.function`, `shared`, `In` and what goes with them: numgraph's own, with Theano's arguments and results."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numgraph.compat import graphs, sparsecalls, sparsevars
from numgraph.compat.variables import shape_vector
from numgraph.config import config
from numgraph.errors import GivensError, OptionError, ShapeError, UpdateError
from numgraph.foreign import is_sparse
from numgraph.function import evaluated as native_evaluated
from numgraph.function import function as native_function
from numgraph.function import named
from numgraph.givens import clone as native_clone
from numgraph.givens import pairs
from numgraph.graph import Variable, toposort
from numgraph.ops.custom import assert_op as assertion
from numgraph.ops.lengths import Lengths
from numgraph.program import In as NativeIn
from numgraph.shared import SharedVariable
from numgraph.shared import shared as native_shared
from numgraph.source import warn
from numgraph.testing import verify_grad as native_verify_grad

Pairs = list[tuple[Any, Any]]
# Theano's names for what compares values while a function runs; here nothing does.
_CHECKING = ("DebugMode", "DEBUG_MODE")
_PLAIN = ("Mode", "FAST_RUN", "FAST_COMPILE", "ProfileMode", "PROFILE_MODE", "JAX", "NUMBA")


class Mode:
    """Theano's mode of compilation: kept, and without effect. call_time: 0."""

    def __init__(self, linker: Any = None, optimizer: Any = None, *args: Any, **named: Any) -> None:
        self.linker, self.optimizer = linker, optimizer
        self.call_time = self.fn_time = 0.0

    def including(self, *tags: str) -> Mode:
        """The mode itself."""
        return self

    def excluding(self, *tags: str) -> Mode:
        """The mode itself."""
        return self

    def __repr__(self) -> str:
        return "Mode()"


class _CheckingMode(Mode):
    """A mode that Theano checks values with."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__()
        warn(f"{type(self).__name__} checks nothing here; function(..., target='reference') computes op by op in NumPy")


class DebugMode(_CheckingMode):
    """Theano's mode that compares every optimisation: without effect."""


class NanGuardMode(Mode):
    """Theano's mode that looks for NaN: as `numgraph.config.check_nan`, for NaN and infinities that calls end with."""

    def __init__(self, nan_is_error: bool = True, inf_is_error: bool = True, big_is_error: bool = True, **named: Any):
        super().__init__()
        self.checks = nan_is_error or inf_is_error or big_is_error


class MonitorMode(_CheckingMode):
    """Theano's mode that calls functions between ops: without effect."""


class ProfileStats:
    """The class of Theano's profiles, for programs that ask; `f.profile(...)` gives numgraph's."""


_DEFAULT = Mode()


def get_default_mode() -> Mode:
    """The mode of functions that name none."""
    return _DEFAULT


def get_mode(mode: Any) -> Mode:
    """A mode, by its name or as it is."""
    return mode if isinstance(mode, Mode) else _DEFAULT


def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: bool | list[SharedVariable] = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
) -> Any:
    """As `numgraph.function`, with Theano's order of arguments. A call without outputs returns [].

    inputs: also the older forms in tuples, `((state, state + x), 0.0)`. outputs: `x.shape` is one vector. mode: a name
    or a `Mode`, without effect but for "reference" and NanGuardMode. givens: as in numgraph, and a later pair is built
    through the earlier ones, `[(b, c), (a, b)]` puts c in the place of a. OptionError for an unknown mode.
    """
    # read twice, so an iterator would be empty the second time
    updates, givens = list(pairs(updates, "updates", UpdateError)), list(pairs(givens, "givens", GivensError))
    given = [_input(item) for item in inputs] if isinstance(inputs, list | tuple) else inputs
    updates, givens = _for_originals(outputs, updates, givens, no_default_updates)
    options = {
        "mode": _native_mode(mode), "no_default_updates": no_default_updates, "accept_inplace": accept_inplace,
        "name": name, "rebuild_strict": rebuild_strict, "allow_input_downcast": allow_input_downcast,
        "profile": profile, "on_unused_input": on_unused_input,
    }  # fmt: skip

    def build(given: Any, outputs: Any, updates: Any, givens: Any) -> Any:
        return native_function(given, _outputs(outputs), updates, _chained(givens, outputs, updates), **options)

    if sparsecalls.holds_sparse(given, outputs, updates, givens):
        # the lengths of a matrix belong to it, whether they are used or not
        options["on_unused_input"] = "ignore"
        return sparsecalls.build(build, given, outputs, updates, givens)
    checked = mode == "NanGuardMode" or getattr(mode, "checks", False)
    return _checking(build, given, outputs, updates, givens) if checked else build(given, outputs, updates, givens)


def evaluated(self: Variable, inputs_to_values: Any = None) -> Any:
    """As the native `eval`, also of what depends on clones of shared variables."""
    if not graphs.clones_of([self]):
        return native_evaluated(self, inputs_to_values)
    given = {named(self, k) if isinstance(k, str) else k: v for k, v in (inputs_to_values or {}).items()}
    return function(list(given), self, on_unused_input="ignore")(*given.values())


def _checking(build: Callable[..., Any], *what: Any) -> Any:
    """A function made with `config.check_nan`."""
    before = config.check_nan
    config.check_nan = True
    try:
        return build(*what)
    finally:
        config.check_nan = before


def _input(item: Any) -> Any:
    """An input; the older forms of tuples, `("name", variable)`, `(variable, value)` and `((variable, update), value)`,
    as an `In`."""
    if not isinstance(item, list | tuple) or not item:
        return item
    name, rest = (item[0], item[1:]) if isinstance(item[0], str) else (None, item)
    if not rest or len(rest) > 2:
        return item
    variable, update = rest[0] if isinstance(rest[0], list | tuple) and len(rest[0]) == 2 else (rest[0], None)
    return NativeIn(variable, name, rest[1] if len(rest) == 2 else None, update)


def _outputs(outputs: Any) -> Any:
    """The outputs; `x.shape`, a tuple of scalars here and a vector in Theano, as that vector, alone or among others."""
    if outputs is None:
        return []
    whole = _shape_vector(outputs)
    if whole is not None:
        return whole
    if isinstance(outputs, dict):
        return {name: _shape_vector(v, v) for name, v in outputs.items()}
    return type(outputs)(_shape_vector(v, v) for v in outputs) if type(outputs) in (list, tuple) else outputs


def _shape_vector(value: Any, other: Any = None) -> Any:
    """The vector that `x.shape`, or a part of it, is in Theano; `other` for what is neither."""
    return shape_vector(value) if isinstance(value, Lengths) else other


def _native_mode(mode: Any) -> str | None:
    if mode is None or isinstance(mode, Mode) or mode in _PLAIN or mode == "NanGuardMode":
        return None
    if mode in _CHECKING:
        warn(f"mode {mode} checks nothing here; target='reference' of numgraph.function computes op by op in NumPy")
        return None
    if mode == "reference":
        return "reference"
    raise OptionError(f"mode must be one of {', '.join((*_PLAIN, *_CHECKING))}, a Mode or None, not {mode!r}")


def _chained(givens: Any, outputs: Any, updates: Any) -> list[tuple[Any, Any]]:
    """The pairs, each value built through the pairs before it; without those that only later values use.

    Where a key is used in an earlier value, Theano refuses the pairs; they are then substituted all at once.
    """
    found = list(pairs(givens, "givens", GivensError))
    values = [v for _, v in found if isinstance(v, Variable)]
    used: set[int] = set()
    for key, value in found:
        if id(key) in used:
            return found
        if isinstance(value, Variable):
            used.update(id(v) for v in toposort([value]) if v is not key)
    if not values or len(found) < 2:
        return found
    result: list[tuple[Any, Any]] = []
    spent: set[int] = set()
    for key, value in found:
        if isinstance(value, Variable) and result:
            before = {id(v) for v in toposort([value])}
            spent.update(id(k) for k, _ in result if id(k) in before and k is not key)
            value = native_clone(value, [(k, v) for k, v in result if k is not key])
        result.append((key, value))
    needed = _reached(outputs, updates) if spent else set()
    return [(k, v) for k, v in result if id(k) not in spent or id(k) in needed]


def _for_originals(outputs: Any, updates: Pairs, givens: Pairs, no_default_updates: Any) -> tuple[Pairs, Pairs]:
    """Updates and givens with the originals in the place of clones of shared variables, and their default updates."""
    roots = [getattr(v, "variable", v) for v in (*_listed(outputs), *(v for _, v in (*updates, *givens)))]
    found = graphs.clones_of([v for v in roots if isinstance(v, Variable)])
    if not found and not any(isinstance(v, graphs.SharedClone) for v, _ in updates):
        return updates, givens
    updates = [(v.original if isinstance(v, graphs.SharedClone) else v, new) for v, new in updates]
    given = list(givens)
    replaced = {key for key, _ in given}
    kept = no_default_updates if isinstance(no_default_updates, list) else []
    for v in found:
        if v in replaced:
            continue
        given.append((v, v.original))
        by_default = not (no_default_updates is True or v in kept or v.original in kept)
        if by_default and v.default_update is not None and not any(v.original is target for target, _ in updates):
            updates.append((v.original, v.default_update))
    return updates, given


def _listed(outputs: Any) -> list[Any]:
    """The outputs, in whatever they come; none for None."""
    listed = list(outputs.values()) if isinstance(outputs, dict) else outputs
    return [v for v in (listed if isinstance(listed, list | tuple) else [listed]) if v is not None]


def _reached(outputs: Any, updates: Any) -> set[int]:
    """What outputs and updates depend on, default updates among them."""
    waiting = [*_listed(outputs), *(v for _, v in pairs(updates, "updates", UpdateError))]
    found: set[int] = set()
    while waiting:
        root = getattr(waiting[-1], "variable", waiting[-1])
        waiting.pop()
        for v in toposort([root]) if isinstance(root, Variable) else ():
            if isinstance(v, SharedVariable) and v.default_update is not None and id(v) not in found:
                waiting.append(v.default_update)
            found.add(id(v))
    return found


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    target: str = "cpu",
    shape: Sequence[int | None] | None = None,
) -> Any:
    """As `numgraph.shared`. broadcastable: ShapeError where an axis that it names has not length 1; the variable
    has it as an attribute, and lengths decide what broadcasts. shape: of PyTensor, likewise. strict, allow_downcast,
    target: without effect. A matrix of SciPy gives a `SparseShared`."""
    if is_sparse(value):
        return sparsevars.shared(value, name, borrow=borrow)
    made = native_shared(value, name, borrow)
    if shape is not None:
        lengths = made.get_value(borrow=True).shape
        if len(shape) != len(lengths) or any(n not in (None, m) for n, m in zip(shape, lengths, strict=True)):
            raise ShapeError(f"shared: shape={tuple(shape)} for a value of shape {lengths}")
    if broadcastable is not None:
        lengths = made.get_value(borrow=True).shape
        if len(broadcastable) != len(lengths) or any(b and n != 1 for b, n in zip(broadcastable, lengths, strict=True)):
            raise ShapeError(f"shared: broadcastable={tuple(broadcastable)} for a value of shape {lengths}")
        vars(made)["_broadcastable"] = tuple(map(bool, broadcastable))
    return made


def In(
    variable: Variable,
    name: str | None = None,
    value: Any = None,
    update: Variable | None = None,
    mutable: bool | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    autoname: bool = True,
    implicit: bool | None = None,
    borrow: bool | None = None,
    shared: bool = False,
) -> Any:
    """`numgraph.In` with Theano's order of arguments. autoname, implicit, shared: without effect. TypeError for a value
    or an update of a sparse variable."""
    if isinstance(variable, sparsevars.SparseVariable):
        if value is not None or update is not None:
            raise TypeError(f"In: {variable!r} takes no value and no update: use a shared variable")
        return variable
    return NativeIn(variable, name, value, update, mutable, borrow, strict, allow_downcast)


def Param(
    variable: Variable,
    default: Any = None,
    name: str | None = None,
    mutable: bool | None = None,
    update: Variable | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    implicit: bool | None = None,
    borrow: bool | None = None,
) -> NativeIn:
    """The older name of `In`, whose `value` is called `default`."""
    return NativeIn(variable, name, default, update, mutable, borrow, strict, allow_downcast)


class OrderedUpdates(OrderedDict[SharedVariable, Any]):
    """Updates as a dict in order. TypeError for a key that is not shared; KeyError in `update` for one that is there
    already with another value."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__()
        self.update(*args, **named)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise TypeError(f"OrderedUpdates: a key must be a shared variable, not {key!r}")
        super().__setitem__(key, value)

    def update(self, other: Any = None) -> None:
        """Add the pairs of a mapping or an iterable."""
        items: Iterable[tuple[Any, Any]] = OrderedDict(() if other is None else other).items()
        for key, value in items:
            if key in self and self[key] is not value:
                raise KeyError("Collision", key)
            self[key] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        result = OrderedUpdates(self)
        result.update(other)
        return result

    def __radd__(self, other: Any) -> OrderedUpdates:
        result = OrderedUpdates(other)
        result.update(self)
        return result


class Op:
    """Theano's base of ops. Subclasses may be defined, and are refused when one is made."""

    def __new__(cls, *args: Any, **named: Any) -> Op:
        """NotImplementedError."""
        raise NotImplementedError(
            f"{cls.__name__}: ops of C code or Python are not taken over; numgraph.elementwise and numgraph.call make "
            "ops of Numba functions"
        )


class Assert:
    """Theano's op that checks conditions at a call: `numgraph.assert_op` with a message."""

    def __init__(self, msg: str = "Theano Assert failed!") -> None:
        self.msg = msg

    def __call__(self, value: Any, *conditions: Any) -> Any:
        """`value`, in a function that raises an AssertionError unless all conditions hold."""
        return assertion(value, *conditions, message=self.msg)


assert_op = Assert()


def verify_grad(
    fun: Any, pt: Sequence[Any], n_tests: int = 2, rng: Any = None, eps: float | None = None, out_type: Any = None,
    abs_tol: float | None = None, rel_tol: float | None = None, mode: Any = None, cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
) -> None:  # fmt: skip
    """`numgraph.testing.verify_grad`, in float64. rng, eps, out_type, mode and the rest: without effect."""
    native_verify_grad(fun, pt, n_tests, max(abs_tol or 0.0, rel_tol or 0.0) or 1e-5)
