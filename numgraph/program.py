"""A function before it is compiled: what goes in, what comes out, what is updated, all checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import check_lengths, convert
from numgraph.config import config
from numgraph.errors import InputError, MissingInputError, OptionError, UnusedInputError, UpdateError
from numgraph.givens import replacements, type_mismatch
from numgraph.grad import leaner
from numgraph.graph import Constant, Variable, describe, label, packed, toposort
from numgraph.op import FUNCTIONS
from numgraph.scanning.lean import kept
from numgraph.shared import SharedVariable
from numgraph.source import SourceLine, current_line, lines_of, warn
from numgraph.storage import Storage, owned
from numgraph.substitution import keys_within, substitute, written_with
from numgraph.text import plain, printable
from numgraph.updates import Updates, explicit_updates, with_default_updates


@dataclass(eq=False)
class In:
    """An input of a function with options.

    variable: what the argument stands for; an intermediate result cuts the graph there.
    name: the keyword for calls; None is the variable's name.
    value: the default. It is back at each call, whatever was passed before.
    update: an expression of the variable's type. The input is then private state of the function, which starts as
        `value` and takes the expression's value after each call; `f[variable]` reads it, `f[variable] = v` sets it.
    mutable, borrow: permissions to overwrite the argument's memory and to keep it; `mutable` implies `borrow`.
    strict: accept only arrays of exactly the variable's dtype.
    allow_downcast: True converts any numbers, False only without loss, None also lets a Python float become a float32.
    """

    variable: Variable
    name: str | None = None
    value: Any = None
    update: Variable | None = None
    mutable: bool | None = None
    borrow: bool | None = None
    strict: bool = False
    allow_downcast: bool | None = None

    def __post_init__(self) -> None:
        """Check the options: InputError for contradictions, UpdateError for an update of another type."""
        if not isinstance(self.variable, Variable):
            raise InputError(f"In: expected a variable, got {self.variable!r}")
        if self.name is None:
            self.name = self.variable.name
        if self.mutable and self.borrow is False:
            raise InputError(
                f"In({label(self.variable)}): mutable=True implies borrow=True, but borrow=False was given"
            )
        self.mutable = bool(self.mutable)
        self.borrow = self.mutable if self.borrow is None else self.borrow
        if self.update is not None:
            _check_state_update(self.variable, self.update)


@dataclass(eq=False)
class Out:
    """An output with options. borrow: permission to return memory that the next call overwrites."""

    variable: Variable
    borrow: bool = False

    def __post_init__(self) -> None:
        """InputError for what is no variable."""
        if not isinstance(self.variable, Variable):
            raise InputError(f"Out: expected a variable, got {self.variable!r}")


@dataclass(frozen=True, eq=False)
class Argument:
    """One input of a `Program`.

    default: holds the value of an argument that is not passed; with `update` it is the function's private state, and
        one of the program's updates writes it. required: whether the first call must pass it all the same (state
        without a value).
    """

    variable: Variable
    name: str | None
    index: int
    default: SharedVariable | None = None
    required: bool = True
    update: Variable | None = None
    mutable: bool = False
    borrow: bool = False
    strict: bool = False
    downcast: bool | None = None


@dataclass(frozen=True, eq=False)
class Program:
    """A function to be compiled. `givens` and default updates are already carried out.

    inputs: in the order of positional arguments. Their variables are leaves here even where they are results of an op.
    outputs: what a call computes, in order. form: how it is returned: "none", "single", "list" or "dict" (with `keys`).
    updates: (shared variable, its new value), private states of inputs among them; all see the values before the call.
    givens: the pairs that were substituted, for display. borrowed: per output, whether its memory may be used again.
    line: the user's line that made the function. prints: what calls print of the last outputs, see `prints.Prints`.
    remembered: the results with gradients that remember what they are of, if there are such: see `leaner`. written: the
    outputs, and the new values of updates that were given, as they were before `givens`: for display; none in a copy.
    """

    name: str | None
    inputs: tuple[Argument, ...]
    outputs: tuple[Variable, ...]
    form: str
    keys: tuple[str, ...]
    updates: tuple[tuple[SharedVariable, Variable], ...]
    givens: tuple[tuple[Variable, Variable], ...] = ()
    borrowed: tuple[bool, ...] = ()
    line: SourceLine | None = None
    prints: Any = None
    remembered: tuple[Variable, ...] = ()
    written: tuple[Sequence[Variable], Sequence[Variable]] = ((), ())

    def leaner(self) -> Program:
        """The program with gradients of scans that keep less, if there are such."""
        if not self.remembered:
            return self
        results = leaner(self.remembered)
        count = len(self.outputs)
        updates = tuple((s, new) for (s, _), new in zip(self.updates, results[count:], strict=True))
        return replace(self, outputs=tuple(results[:count]), updates=updates)

    @property
    def title(self) -> str:
        """`train`, or `the function made at train.py:40`."""
        if self.name:
            return printable(self.name)
        return f"the function made at {self.line}" if self.line else "the function"

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The input variables, where the graph is cut."""
        return tuple(a.variable for a in self.inputs)

    @property
    def results(self) -> tuple[Variable, ...]:
        """All that a call computes: the outputs, then the new values of the updates."""
        return (*self.outputs, *(value for _, value in self.updates))

    @property
    def private(self) -> tuple[SharedVariable, ...]:
        """The shared variables that hold defaults and states of inputs."""
        return tuple(a.default for a in self.inputs if a.default is not None)

    def nodes(self) -> list[Variable]:
        """Every variable that a call needs, operands first."""
        return toposort(self.results, stop=self.variables)

    def shared(self) -> list[SharedVariable]:
        """The shared variables that a call reads or writes, private ones left out."""
        found = [v for v in self.nodes() if isinstance(v, SharedVariable)]
        private = set(self.private)
        return list(dict.fromkeys(v for v in (*found, *(s for s, _ in self.updates)) if v not in private))

    def named_givens(self) -> dict[Variable, str]:
        """The name of each key of `givens` by what stands for it: formulas are shorter with it."""
        return {value: key.name for key, value in self.givens if key.name and not value.name}

    def named_gradients(self) -> dict[Variable, str]:
        """Gradients without names that results are made of, and what to call each: no two the same, nor as another
        variable."""
        nodes = self.nodes()
        taken = {v.name for v in (*nodes, *self.variables) if v.name}
        found: dict[Variable, str] = {}
        for node in nodes:
            if node.hint and not node.name and node.hint not in taken:
                taken.add(node.hint)
                found[node] = printable(node.hint)
        return found

    def roots(self) -> list[Variable]:
        """All variables that the program's fields name, for copying and pickling."""
        named: list[Variable] = [*self.variables, *self.private, *self.results, *(s for s, _ in self.updates)]
        named += [a.update for a in self.inputs if a.update is not None]
        return [*named, *self.remembered, *(v for pair in self.givens for v in pair)]

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """A copy with its own shared variables; what was copied before under the same memo is used again."""
        for node in toposort(self.roots()):
            if id(node) not in memo:
                memo[id(node)] = node._deep_copied(memo)
        return self.mapped({v: memo[id(v)] for v in self.roots()})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the graph first, as one flat list, so that the pickler never recurses over it."""
        fields = tuple(getattr(self, name) for name in self.__dataclass_fields__ if name != "written")
        return _unpickled, (packed(self.roots()), fields)

    def mapped(self, new: dict[Variable, Any]) -> Program:
        """The program with every variable that its fields name replaced by `new[variable]`; shared stay shared."""
        inputs = tuple(
            replace(
                a,
                variable=new[a.variable],
                default=None if a.default is None else new[a.default],
                update=None if a.update is None else new[a.update],
            )
            for a in self.inputs
        )
        updates = tuple((new[s], new[v]) for s, v in self.updates)
        return replace(
            self,
            inputs=inputs,
            outputs=tuple(new[v] for v in self.outputs),
            updates=updates,
            givens=tuple((new[k], new[v]) for k, v in self.givens),
            remembered=tuple(new[v] for v in self.remembered),
            written=((), ()),
        )


def _unpickled(nodes: list[Variable], fields: tuple[Any, ...]) -> Program:
    return Program(*fields)


def build_program(
    inputs: Any,
    outputs: Any,
    updates: Any = None,
    givens: Any = None,
    *,
    no_default_updates: Any = False,
    name: str | None = None,
    allow_input_downcast: bool | None = None,
    on_unused_input: str | None = None,
    strict_givens: bool = True,
) -> Program:
    """The checked program of `numgraph.function` with these arguments; see there for what it raises."""
    arguments = _arguments(inputs, allow_input_downcast)
    variables = [a.variable for a in arguments]
    form, keys, outs = _outputs(outputs)
    replaced = replacements(givens, variables, strict_givens)
    if config.on_empty_givens == "raise":
        replaced = {key: _with_rows(value) for key, value in replaced.items()}
    # inputs stand for themselves: the graph is cut at an intermediate one, and its identity survives the substitution
    inner = any(v.op is not None for v in variables)
    cut = {v: v for v in variables} | replaced if replaced or inner else {}
    explicit = explicit_updates(updates)
    explicit |= {a.default: a.update for a in arguments if a.default is not None and a.update is not None}
    written = [*(o.variable for o in outs), *explicit.values()]
    values = substitute(written, cut)
    new_outputs, new_values = values[: len(outs)], values[len(outs) :]
    all_updates: Updates = dict(zip(explicit, new_values, strict=True))
    all_updates = with_default_updates(new_outputs, all_updates, variables, cut, no_default_updates)
    remembered = (*new_outputs, *all_updates.values())
    results = kept(remembered)
    program = Program(
        name=name,
        inputs=tuple(arguments),
        outputs=tuple(results[: len(outs)]),
        form=form,
        keys=keys,
        updates=tuple(zip(all_updates, results[len(outs) :], strict=True)),
        remembered=() if all(a is b for a, b in zip(results, remembered, strict=True)) else remembered,
        givens=tuple(replaced.items()),
        borrowed=tuple(o.borrow for o in outs),
        line=current_line(),
        written=(written[: len(outs)], written[len(outs) :]),
    )
    on_unused = config.on_unused_input if on_unused_input is None else on_unused_input
    _check_inputs(program, on_unused)
    if replaced and on_unused != "ignore":
        _check_givens(program, written_with(written, cut, {}) | {id(v) for v in keys_within(written, cut)})
    return program


def _arguments(inputs: Any, downcast: bool | None) -> list[Argument]:
    if not isinstance(inputs, list | tuple):
        named = label(inputs) if isinstance(inputs, Variable) and inputs.name else "x"
        fix = f"\n  fix: write [{named}]" if isinstance(inputs, Variable) else ""
        raise InputError(f"function: inputs must be a list or tuple of variables, got {_shown(inputs)}{fix}")
    result: list[Argument] = []
    seen: set[Variable] = set()
    for index, item in enumerate(inputs):
        if not isinstance(item, Variable | In):
            raise InputError(f"function: input {index} must be a variable or In(...), got {item!r}")
        given = item if isinstance(item, In) else In(item)
        variable = given.variable
        if variable in seen:
            raise UnusedInputError(f"function: {label(variable)} is used twice in inputs\n  {describe(variable)}")
        _check_kind(variable)
        seen.add(variable)
        result.append(_argument(given, index, downcast))
    return result


def _check_kind(variable: Variable) -> None:
    """InputError for variables that have a value already."""
    if isinstance(variable, SharedVariable):
        raise InputError(
            f"function: the shared variable {label(variable)} cannot be an input\n  {describe(variable)}\n"
            "  fix: it is found by itself; to put another value in its place, use givens"
        )
    if isinstance(variable, Constant):
        raise InputError(
            f"function: a constant cannot be an input\n  {describe(variable)}\n  fix: make it ng.In(x, value=...)"
        )


def _argument(given: In, index: int, downcast: bool | None) -> Argument:
    downcast = given.allow_downcast if given.allow_downcast is not None else downcast
    variable = given.variable
    default = None
    if given.value is not None:
        array = convert(given.value, variable.dtype, variable, given.strict, downcast)
        check_lengths(array, variable.type, variable)
        default = _private(variable, owned(array))
    elif given.update is not None:
        default = _private(variable, np.zeros((0,) * variable.ndim, variable.dtype))
    return Argument(
        variable=variable,
        name=given.name,
        index=index,
        default=default,
        required=given.value is None,
        update=given.update,
        mutable=bool(given.mutable),
        borrow=bool(given.borrow),
        strict=given.strict,
        downcast=downcast,
    )


def _private(variable: Variable, array: NDArray[Any]) -> SharedVariable:
    return SharedVariable(Storage(array), variable.name, variable.line)


def _check_state_update(variable: Variable, update: Any) -> None:
    """UpdateError unless `update` has the variable's type."""
    if not isinstance(update, Variable):
        raise UpdateError(f"In({label(variable)}): update must be a variable, got {update!r}")
    reason = type_mismatch(variable.type, update.type)
    if reason is not None:
        raise UpdateError(
            f"In({label(variable)}): the update's type differs from the variable's: {reason}\n"
            f"  {describe(variable)}\n  update: {describe(update)}"
        )


def _outputs(outputs: Any) -> tuple[str, tuple[str, ...], list[Out]]:
    """(form, keys, outputs) of what the user asked for; InputError for what is no variable."""
    if outputs is None:
        return "none", (), []
    if isinstance(outputs, Variable | Out):
        return "single", (), [_out(outputs)]
    if isinstance(outputs, dict):
        for key in outputs:
            if not isinstance(key, str):
                raise InputError(f"function: the keys of outputs must be strings, got {key!r}")
        # plain strings: what a subclass makes of `repr` or of equality is none of a program's business
        return "dict", tuple(map(plain, outputs)), [_out(v) for v in outputs.values()]
    if isinstance(outputs, list | tuple):
        return "list", (), [_out(v) for v in outputs]
    raise InputError(
        f"function: outputs must be a variable, or a list, tuple or dict of variables, got {_shown(outputs)}"
    )


def _out(value: Any) -> Out:
    if isinstance(value, Out):
        return value
    if not isinstance(value, Variable):
        raise InputError(
            f"function: an output must be a variable, got {_shown(value)}"
            + ("" if callable(value) else "\n  fix: ng.constant(...) makes one of a value")
        )
    return Out(value)


def _check_inputs(program: Program, on_unused: str) -> None:
    """Every leaf must have a value, and every input a use."""
    if on_unused not in ("raise", "warn", "ignore"):
        raise OptionError(f"on_unused_input must be 'raise', 'warn' or 'ignore', not {on_unused!r}")
    reached = set(program.nodes())
    given = set(program.variables)
    missing = [v for v in reached if v.op is None and v not in given and not isinstance(v, Constant | SharedVariable)]
    if missing:
        raise MissingInputError(_missing_text(program, missing))
    unused = [v for v in program.variables if v not in reached]
    if unused:
        written = written_with(program.results, program.variables, dict(program.givens))
        unused = [v for v in unused if id(v) not in written]
    if unused and on_unused != "ignore":
        text = (
            f"{program.title}: no output and no update depends on the input{'s' if len(unused) > 1 else ''}\n"
            + "".join(f"  {describe(v)}\n" for v in unused)
            + "  fix: remove it from inputs, or pass on_unused_input='ignore'"
        )
        if on_unused == "raise":
            raise UnusedInputError(text)
        warn(text)


def _with_rows(value: Variable) -> Variable:
    """A given value, refused at run time where it is a part that has no rows."""
    if value.op is None or not value.ndim or value.type.shape[0] is not None:
        return value
    with lines_of(value.line):
        checked: Variable = FUNCTIONS["given"](value)
    return checked


def _check_givens(program: Program, written: set[int]) -> None:
    """A warning for keys of `givens` that occur nowhere: not in `written` (ids), and in no default update."""
    keys = [key for key, _ in program.givens]
    unused = [key for key in keys if id(key) not in written]
    defaults = [s.default_update for s, _ in program.updates if s.default_update is not None]
    if unused and defaults:
        written = written_with(defaults, keys, {})
        unused = [key for key in unused if id(key) not in written]
    if unused:
        warn(
            f"{program.title}: no output and no update depends on what givens replace{'s' * (len(unused) == 1)}\n"
            + "".join(f"  {describe(v)}\n" for v in unused)
            + "  fix: remove the pair, or pass on_unused_input='ignore'"
        )


def _missing_text(program: Program, missing: Iterable[Variable]) -> str:
    replaced = {k for k, _ in program.givens}
    ordered = [v for v in program.nodes() if v in set(missing)]
    lines = [f"{program.title}: nothing gives a value to"]
    for v in ordered[:5]:
        note = "  (replaced by givens, but another given value uses it)" if v in replaced else ""
        lines.append(f"  {describe(v)}{note}")
    if len(ordered) > 5:
        lines.append(f"  and {len(ordered) - 5} more")
    return "\n".join([*lines, "  fix: add it to inputs, or replace it with givens"])


def _shown(value: Any) -> str:
    if isinstance(value, Variable):
        return describe(value)
    called = (
        f"\n  fix: call it, with () after {value.__name__}" if callable(value) and hasattr(value, "__name__") else ""
    )
    return f"{value!r}{called}"
