"""`function`: expressions made callable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as replaced
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from numpy.typing import NDArray

from numgraph.arguments import check_lengths, convert
from numgraph.binder import Binder, Stats
from numgraph.call import executor_for, general_call
from numgraph.config import config
from numgraph.errors import InputError, OptionError, SizeError
from numgraph.givens import type_mismatch
from numgraph.graph import Constant, Variable, describe, label, toposort
from numgraph.inspectable import Inspectable
from numgraph.inspector.record import LIVE
from numgraph.nonfinite import Guard
from numgraph.op import FUNCTIONS
from numgraph.prints import with_prints
from numgraph.program import Argument, Program, build_program
from numgraph.shared import SharedVariable, Together
from numgraph.storage import Storage, owned
from numgraph.substitution import substitute
from numgraph.sweep import sweep
from numgraph.whole import uncollected

if TYPE_CHECKING:
    from numgraph.runtime.executor import Executor

TARGETS = ("cpu", "cuda", "cuda-sim", "reference")
# Theano's names for degrees of optimisation: accepted, and without effect
_MODES = (None, "FAST_RUN", "FAST_COMPILE")


def function(
    inputs: Sequence[Any],
    outputs: Any = None,
    updates: Any = None,
    givens: Any = None,
    *,
    mode: str | None = None,
    target: str | None = None,
    no_default_updates: bool | list[SharedVariable] = False,
    name: str | None = None,
    allow_input_downcast: bool | None = None,
    on_unused_input: str | None = None,
    accept_inplace: bool = False,
    rebuild_strict: bool = True,
    profile: Any = None,
) -> Function:
    """A callable that computes `outputs` for values of `inputs`, and then carries out `updates`.

    inputs: a list of variables or `In(...)`. A variable that is the result of an operation cuts the graph there.
    outputs: a variable or `Out(...)` (a call returns an array), a list or tuple (a list), a dict with string keys (a
        dict), or None (a call returns None). Outputs are fresh arrays: they alias nothing and no later call changes
        them; or those that a call says, `f(x, out=array)`, see docs/data.md.
    updates: pairs (shared variable, new value), a dict or any iterable. Outputs and updates see the values before the
        call.
    givens: pairs (variable, what stands for it), substituted all at once in outputs and new values.
    target: "cpu" for compiled code, "cuda" for a GPU, "cuda-sim" for its simulator, "reference" for NumPy op by op;
        None is `config.target`. `mode="reference"` is the same as `target="reference"`.
    no_default_updates: True, or the list of shared variables whose default update is left out.
    allow_input_downcast: `allow_downcast` of the inputs that do not say. on_unused_input: "raise", "warn" or "ignore".
    rebuild_strict: False lets a given value have another type than its key, where the operations accept it.
    profile: True times the function's phases at each call, for a table when the process ends, see docs/profile.md; None
        is `config.profile`.
    accept_inplace: accepted from Theano programs, without effect.

    Raises InputError for wrong inputs or outputs, UnusedInputError, MissingInputError for a leaf without a value,
    UpdateError and RepeatedUpdateError, GivensError, and OptionError.

    >>> x = scalar("x")
    >>> n = shared(0, "n")
    >>> f = function([x], x * x, updates={n: n + 1})
    >>> f(3.0)
    array(9.)
    """
    where = _target(mode, target)
    program = build_program(
        inputs,
        outputs,
        updates,
        givens,
        no_default_updates=no_default_updates,
        name=name,
        allow_input_downcast=allow_input_downcast,
        on_unused_input=on_unused_input,
        strict_givens=rebuild_strict,
    )
    return Function(with_prints(program), where, profile=None if profile is None else bool(profile))


def _target(mode: str | None, target: str | None) -> str:
    if mode == "reference":
        if target not in (None, "reference"):
            raise OptionError(f'mode="reference" and target={target!r} contradict each other')
        return "reference"
    if mode not in _MODES:
        raise OptionError(f'mode must be "reference", "FAST_RUN", "FAST_COMPILE" or None, not {mode!r}')
    chosen = config.target if target is None else target
    if chosen not in TARGETS:
        raise OptionError(f"target must be one of {', '.join(TARGETS)}, not {chosen!r}")
    return chosen


class Function(Inspectable):
    """What `function` returns. Call it with values by position or, for named inputs, by keyword.

    `f(..., out=)` computes outputs in arrays of the caller's: one, or a list or dict of arrays and None as the function
    returns them. `f[variable]` (or the input's name or position) reads the default or private state of an input,
    `f[variable] = value` sets it. Pickling and copying keep the links between functions and shared variables that are
    pickled or copied together.
    """

    # A call goes straight to the function in this slot: what it does is in `numgraph.call.general_call` or was
    # generated. It computes the outputs, then carries out the updates, and raises InputError for missing, unknown or
    # repeated arguments, DtypeError or ArgumentShapeError for a value that does not fit its input, ShapeError and
    # IndexOutOfRange for what the computation finds. Nothing is updated then.
    __slots__ = ("__call__",)
    __call__: Callable[..., Any]

    program: Program
    target: str

    def __init__(
        self, program: Program, target: str, unset: frozenset[int] | None = None, profile: bool | None = None
    ) -> None:
        self.program = program
        self.target = target
        self._binder = Binder(program, unset)
        for variable, _ in program.updates:
            _to_be_written(variable)
        updated = [variable for variable, _ in program.updates]
        # looks at what is borrowed later, too
        self._together = Together(program.shared(), updated) if updated else None
        make = partial(executor_for, program, target)
        if config.profile if profile is None else profile:
            from numgraph.profiling.session import watched_executor

            make = partial(watched_executor, program, target, self._binder.stats)
        self.executor: Executor[Any] = uncollected(make)
        self._record = None
        self._guard = Guard(program, self._binder) if config.check_nan else None
        self._before: Callable[[Function], None] | None = None
        self._choose_call()
        self.executor.switched = _weakly(self)
        LIVE.append(self)

    def _choose_call(self) -> None:
        """Use the executor's own call where it has one, and again whenever it changes."""
        call = self._guarded(self.executor.call(self._binder, general_call(self.executor, self._binder)))
        prints = self.program.prints
        call = call if prints is None else prints.calling(call)
        self.__call__ = call if self._before is None else partial(_watched, self, call)

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, looked at for NaN where that was wanted when the function was made."""
        return call if self._guard is None else self._guard.calling(call)

    def watch(self, before: Callable[[Function], None] | None) -> None:
        """Have `before(function)` called before each call and sweep, which does not begin if that raises; None ends
        it."""
        self._before = before
        self._choose_call()

    def __repr__(self) -> str:
        return f"<{self._binder.signature()} on {self.target}>"

    @property
    def name(self) -> str | None:
        """The name given to `function`."""
        return self.program.name

    @property
    def inputs(self) -> tuple[Argument, ...]:
        """The inputs, in order."""
        return self.program.inputs

    @property
    def outputs(self) -> tuple[Variable, ...]:
        """The output expressions, after `givens`, and what is printed."""
        return self.program.outputs

    @property
    def updates(self) -> tuple[tuple[SharedVariable, Variable], ...]:
        """The shared variables that calls change, and their new values; default updates included."""
        private = set(self.program.private)
        return tuple(pair for pair in self.program.updates if pair[0] not in private)

    @property
    def stats(self) -> Stats:
        """Counts of calls, seconds and bytes; assign 0 to a field to start it again."""
        return self._binder.stats

    def export(self, path: str | Path, data: str = "npz") -> None:
        """Write a module that computes the same with NumPy and Numba alone: its `step` is called as the function.

        data: "npz" writes the values of shared variables to a file beside it; "none" leaves them to whoever uses the
        module, `step.shared["W"] = array`. OptionError for another `data`, for another target than "cpu", and for a
        function that prints; FunctionError for functions of yours that cannot be imported.
        """
        if data not in ("npz", "none"):
            raise OptionError(f'export: data must be "npz" or "none", not {data!r}')
        if self.program.prints is not None:
            raise OptionError(f"{self._binder.signature()}: a function that prints is not exported; leave Print out")
        self.executor.export(path, data, self._binder.unset)

    def get_shared(self) -> list[SharedVariable]:
        """The shared variables that a call reads or writes."""
        return self.program.shared()

    def sweep(self, /, *args: Any, steps: int | None = None, progress: bool = False, **named: Any) -> Any:
        """Call the function once per step and return the outputs stacked along a new first axis.

        An argument is a range, a list or an array with one more axis than its input (a value per step), or one value
        for all steps. steps: their number, where no argument says it. progress: show a bar.

            costs = train.sweep(index=range(n_batches))     # as [train(i) for i in range(n_batches)]

        Bit for bit what single calls give. Where the lengths of the outputs are known when compiling and every update
        happens in place, the steps run in one native call. Ctrl-C ends it within a fraction of a second, between two
        steps; the updates of the steps before are done. Raises what a call raises, the step in a note;
        ArgumentShapeError for arguments with different numbers of steps; ShapeError for outputs whose shapes differ.
        """
        if self._before is not None:
            self._before(self)
        call = self._guarded(general_call(self.executor, self._binder))
        found = sweep(self._binder, self.executor, call, args, named, steps, progress, self._guard is not None)
        return found if self.program.prints is None else self.program.prints.swept(found)

    def __getitem__(self, key: Variable | str | int) -> NDArray[Any]:
        """The default or the private state of an input, as a copy; KeyError for an input without."""
        argument = self._binder.argument(key)
        if argument.default is None or argument.index in self._binder.unset:
            raise KeyError(f"{self._binder.signature()}: {label(argument.variable)} has no value")
        return argument.default.get_value()

    def __setitem__(self, key: Variable | str | int, value: Any) -> None:
        """Set the default or the private state of an input, by the rules of arguments."""
        argument = self._binder.argument(key)
        if argument.default is None:
            raise KeyError(
                f"{self._binder.signature()}: {label(argument.variable)} has no value to set; use In(..., value=)"
            )
        array = convert(value, argument.variable.dtype, argument.variable, argument.strict, argument.downcast)
        check_lengths(array, argument.variable.type, argument.variable)
        argument.default.storage.put(owned(array))
        self._binder.unset.discard(argument.index)

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
    ) -> Function:
        """Another function that computes the same, with private states of its own.

        swap: shared variables to exchange for others of the same type; those not named stay common to both functions.
        delete_updates: leave all updates out. name: by default this function's name and " copy". share_memory: accepted
        from Theano programs, without effect. InputError for a pair of different types, OptionError for a shared
        variable that the function does not use.
        """
        program = self.program
        new: dict[Variable, Variable] = {v: v for v in program.roots()}
        new |= {s: SharedVariable(Storage(s.get_value()), s.name, s.line) for s in program.private}
        if swap:
            exchanged = self._checked_swap(swap)
            cut = {v: v for v in program.variables} | exchanged
            results = (*program.results, *program.remembered)
            new |= dict(zip(results, substitute(results, cut), strict=True))
            new |= exchanged
        copied = program.mapped(new)
        title = name or (f"{self.name} copy" if self.name else None)
        copied = replaced(copied, name=title, updates=() if delete_updates else copied.updates)
        return Function(copied, self.target, frozenset(self._binder.unset))

    def _checked_swap(self, swap: Mapping[SharedVariable, SharedVariable]) -> dict[Variable, Variable]:
        known = self.program.shared()
        for old, other in swap.items():
            if not isinstance(old, SharedVariable) or old not in known:
                raise OptionError(f"{self._binder.signature()}: swap: does not use the shared variable {_name(old)}")
            reason = type_mismatch(old.type, other.type) if isinstance(other, SharedVariable) else "it is not shared"
            if reason is not None:
                raise InputError(
                    f"{self._binder.signature()}: swap: {_name(other)} cannot stand for {label(old)}: {reason}\n"
                    f"  {describe(old)}"
                )
        return {old: new for old, new in swap.items()}

    def __copy__(self) -> Function:
        """As `copy()`, under the same name: it has private states of its own, shared variables are common."""
        return self.copy(name=self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        """A function with copies of its shared variables, those that were copied under the same memo."""
        return Function(self.program.__deepcopy__(memo), self.target, frozenset(self._binder.unset))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the program with the values of its shared variables; it is compiled again, or found in the cache."""
        return Function, (self.program, self.target, frozenset(self._binder.unset))


def _watched(function: Function, call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    """A call that is told to who watches the function."""
    before = function._before
    if before is not None:
        before(function)
    return call(*args, **named)


def _to_be_written(variable: SharedVariable) -> None:
    """What makes updates of a shared variable possible; SizeError where its value would have to be copied and is too
    large."""
    try:
        variable.storage.to_be_written()
    except MemoryError:
        value = variable.storage.held
        raise SizeError(
            f"{label(variable)}: its value is read-only, and a copy for the updates takes {value.nbytes:,} bytes, more "
            f"than there is memory for\n  {describe(variable)}\n"
            '  fix: borrow an array that can be written (np.memmap with mode="r+"), or leave out its update'
        ) from None


def _weakly(function: Function) -> Callable[[], None]:
    """`function._choose_call` for its executor, which must not keep the function alive.

    Without a cycle its memory is freed as soon as the last reference goes.
    """
    known = ref(function)

    def choose() -> None:
        alive = known()
        if alive is not None:
            alive._choose_call()

    return choose


def _name(value: Any) -> str:
    return label(value) if isinstance(value, Variable) else repr(value)


# variable -> (its inputs, target, function): the last function that `eval` made
_evaluators: WeakKeyDictionary[Variable, tuple[tuple[Variable, ...], str, Function]] = WeakKeyDictionary()


def evaluated(variable: Variable, inputs: Mapping[Any, Any] | None = None) -> NDArray[Any]:
    """The value of `variable` for values of the variables that it depends on, `{x: 3.0}` or, by a name that one of them
    alone has, `{"x": 3.0}`; the function is kept.

    Raises what `function` and its calls raise, and InputError for a name that none or several have. Default updates of
    shared variables are carried out, as by any function.
    """
    given = {named(variable, k) if isinstance(k, str) else k: v for k, v in (inputs or {}).items()}
    for key in given:
        if not isinstance(key, Variable):
            raise InputError(f"eval: the keys of inputs must be variables or their names, got {key!r}")
    keys = tuple(given)
    known = _evaluators.get(variable)
    if known is None or known[0] != keys or known[1] != config.target:
        known = keys, config.target, function(list(keys), _twin(variable, keys))
        # who watches the functions of a program did not mean this one
        known[2].watch(None)
        if variable.op is not None and variable not in keys:
            _evaluators[variable] = known
    result: NDArray[Any] = known[2](*given.values())
    return result


def named(variable: Variable, name: str) -> Variable:
    """The variable of that name among those that `variable` depends on."""
    found = [v for v in toposort([variable]) if v.name == name]
    if len(found) != 1:
        listed = "".join(f"\n  {describe(v)}" for v in found)
        raise InputError(f"eval: {'several variables have' if found else 'no variable has'} the name {name!r}{listed}")
    return found[0]


def _twin(variable: Variable, keys: Sequence[Variable]) -> Variable:
    """The same result as another variable: a function of `variable` itself would keep its own entry alive for ever."""
    if variable.op is None or isinstance(variable, Constant | SharedVariable) or variable in keys:
        return variable
    return Variable(variable.type, variable.name, variable.op, variable.inputs, variable.attrs, variable.line)


FUNCTIONS["eval"] = evaluated
