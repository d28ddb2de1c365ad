"""The Python side of a call, generated for one function: checks by identity of types, numbers straight into the table.

A general call costs several microseconds of Python; a function of a few scalars takes less than one. So the code
below is written out per function, with the slots as literals. Whatever it does not recognise goes the general way,
which explains errors; it never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import getitem
from time import perf_counter
from typing import Any

import numpy as np

from numgraph.binder import Binder
from numgraph.program import Argument, Program
from numgraph.runtime.variant import NativeVariant
from numgraph.types import COMPLEX, FLOATS, HALF, REALS
from numgraph.whole import CALLS, WITHIN, at_once

_LIMIT = float(np.finfo(np.float32).max)


class FastCall:
    """Builds the call of one function over one compiled variant.

    general: the call that handles everything. away: not empty while a shared variable's value may be on a device.
    """

    def __init__(
        self,
        program: Program,
        binder: Binder,
        variant: NativeVariant,
        general: Callable[..., Any],
        away: Sequence[Any] = (),
    ) -> None:
        self.program = program
        self.binder = binder
        self.variant = variant
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {
            "general": general, "missing": object(), "empty": variant.empty, "perf_counter": perf_counter,
            "stats": binder.stats,
            "entry": variant.entry, "ints": variant.integers, "reals": variant.reals,
            "acquire": CALLS.acquire, "release": CALLS.release, "away": away, "within": WITHIN,
            "at_once": at_once, "partial": partial, "getitem": getitem, "rest": slice(1, None),
            "ndarray": np.ndarray, "np_float": np.float64, "np_int": np.int64, "variant": variant,
        }  # fmt: skip

    def build(self) -> Callable[..., Any]:
        """The callable."""
        count = len(self.program.inputs)
        names = [f"a{k}" for k in range(count)]
        head = ", ".join([*(f"{n}=missing" for n in names), "/"] if names else [])
        everything = f"general({', '.join([*names, '*rest'])}, **named)" if names else "general(*rest, **named)"
        if names:
            # a missing argument must not reach the general call as a value
            guard = f"rest or named or {names[-1]} is missing"
            fallback = f"return general(*[a for a in ({', '.join(names)},) if a is not missing], *rest, **named)"
        else:
            guard, fallback = "rest or named", f"return {everything}"
        self.lines = [
            f"def call({head + ', ' if head else ''}*rest, **named):",
            f"    if {guard}:",
            f"        {fallback}",
        ]
        plain = f"return general({', '.join(names)})"
        self.lines.append("    start = perf_counter()")
        known = [self._known_form(k, argument) for k, argument in enumerate(self.program.inputs)]
        if known:
            # once for all arguments: the general call names each of them
            self._say("if not (")
            self.lines += [f"        {'and ' if k else ''}{form}" for k, form in enumerate(known)]
            self._say("):")
            self._say(plain, 2)
        self._run(plain)
        exec("\n".join(self.lines), self.scope)
        call: Callable[..., Any] = self.scope["call"]
        return call

    def _say(self, text: str, indent: int = 1) -> None:
        self.lines.append("    " * indent + text)

    def _known_form(self, k: int, argument: Argument) -> str:
        """Whether an argument has one of the common forms; everything else goes the general way."""
        variable = argument.variable
        name, dtype = f"a{k}", variable.dtype
        if variable.ndim:
            self.scope[f"dtype{k}"] = np.dtype(dtype)
            known = [f"{name}.shape[{axis}] == {n}" for axis, n in enumerate(variable.type.shape) if n is not None]
            tests = [
                f"type({name}) is ndarray",
                f"{name}.dtype is dtype{k}",
                f"{name}.ndim == {variable.ndim}",
                # each look at `flags` makes an object
                f"(flags := {name}.flags).c_contiguous",
                "flags.aligned",
                *known,
            ]
            return " and ".join(tests)
        if dtype == HALF:
            return "False"
        if dtype == "float32":
            return f"type({name}) is float and -{_LIMIT!r} <= {name} <= {_LIMIT!r}"
        if dtype in FLOATS:
            return f"(type({name}) is float or type({name}) is np_float)"
        if dtype == "bool":
            return f"type({name}) is bool"
        info = np.iinfo(dtype)
        high = min(info.max, 2**63 - 1)
        return f"(type({name}) is int or type({name}) is np_int) and {info.min} <= {name} <= {high}"

    def _run(self, plain: str) -> None:
        """The outputs, and the native call, which takes the arguments and them: one where lengths allow it."""
        variant = self.variant
        artifact = variant.artifact
        if len(variant.arenas) > 1 or artifact.fresh:
            self._run_stages(plain)
            return
        sizes = [artifact.making.sizes["output", k] for k in range(len(artifact.outputs))]
        lengths = [[self._length(n) for n in output] for output in sizes]
        outputs = [f"o{k}" for k in range(len(lengths))]
        objects = [f"a{k}" for k in range(len(artifact.arguments))] + outputs
        indent = 1 if variant.alone else self._locked()
        if variant.patterned:
            self._say("variant.spoil()", indent)
        if all(n is not None for output in lengths for n in output):
            self._make(lengths, indent)
            self._enter(f"({', '.join(objects)}{',' if len(objects) == 1 else ''})", indent)
        else:
            self._plan_and_run(indent)
        if not variant.alone:
            self._released(plain)
        self._say("if status:")
        self._say(plain, 2)
        if variant.is_static:
            self._count(str(sum(self._bytes(k) for k in range(len(outputs)))))
        else:
            self._count(" + ".join(f"{o}.nbytes" for o in outputs))
        self._return(outputs)

    def _locked(self) -> int:
        """The lock, as `with` takes it and in two thirds of the time; returns the indentation of what it guards."""
        self._say("try:")
        self._say("try:", 2)
        self._say("acquire()", 3)
        return 3

    def _released(self, plain: str) -> None:
        """What there is no memory for is explained the general way.

        An interrupt comes behind one of these calls, or while `acquire` waits: only then there is nothing to release,
        and `release` says so.
        """
        self._say("finally:", 2)
        self._say("release()", 3)
        self._say("except (MemoryError, ValueError):")
        self._say(plain, 2)
        self._say("except RuntimeError as error:")
        self._say("raise (error.__context__ or error) from None", 2)

    def _enter(self, part: str, indent: int) -> None:
        """The native call that computes everything, and with it, at once, updates that exchange buffers."""
        call = f"variant.exchanged({part})" if self.variant.exchanges else f"entry({part})"
        self._say(f"status = {self._elsewhere()}{call}", indent)

    def _elsewhere(self) -> str:
        """Where a value is on a device, or a call is under way that a signal handler has interrupted for this one, the
        general call does it."""
        return "away or within or " if self.variant.shared else "" if self.variant.alone else "within or "

    def _length(self, slot: int) -> str | None:
        """An output's length as a literal or that of an argument; None where the plan has to find it."""
        if slot < 0:
            return str(-1 - slot)
        found = self.variant.artifact.extents.get(slot)
        return None if found is None else f"a{found[0]}.shape[{found[1]}]"

    def _bytes(self, k: int) -> int:
        """The size of an output of known lengths."""
        making = self.variant.making
        lengths = making.known(("output", k)) or ()
        return int(np.prod(lengths, dtype=np.int64)) * making.dtypes["output", k].itemsize

    def _make(self, lengths: Sequence[Sequence[str | None]], indent: int) -> None:
        """Fresh arrays for the outputs."""
        for k, output in enumerate(lengths):
            self.scope[f"out_dtype{k}"] = self.variant.making.dtypes["output", k]
            shape = ", ".join(map(str, output)) + ("," if len(output) == 1 else "")
            self._say(f"o{k} = empty(({shape}), out_dtype{k})", indent)

    def _plan_and_run(self, indent: int) -> None:
        """Outputs of lengths that the plan finds: plan, make them, run. What a signal handler does meanwhile leaves an
        item in `within`; no handler runs between the look at it and the native call."""
        artifact = self.variant.artifact
        self._say(f"status = {self._elsewhere()}within.append(True)", indent)
        self._say("if not status:", indent)
        self._fill(indent + 1)
        self._say("status = within[1:] or entry(0)", indent + 1)
        self._say("if not status:", indent)
        sizes = [artifact.making.sizes["output", k] for k in range(len(artifact.outputs))]
        found = [[str(-1 - n) if n < 0 else f"ints[{n}]" for n in output] for output in sizes]
        self._make(found, indent + 1)
        for k, slot in enumerate(artifact.outputs):
            self._say(f"ints[{slot}] = id(o{k})", indent + 1)
        self._say(f"if ints[{artifact.needed[0]}] > ints[{artifact.capacity[0]}]:", indent + 1)
        self._say(f"variant.grow(0, ints[{artifact.needed[0]}])", indent + 2)
        if self.variant.exchanges:
            self._say(
                "status = at_once(partial(getitem, within, rest), partial(entry, 1), *variant.commit())", indent + 1
            )
        else:
            self._say("status = within[1:] or entry(1)", indent + 1)
        self._say("within.clear()", indent + 1)

    def _run_stages(self, plain: str) -> None:
        """Several stages, or new arrays for shared variables, go through `NativeVariant`."""
        outputs = range(len(self.variant.artifact.outputs))
        indent = self._locked()
        self._say("outputs = None", indent)
        self._say(f"if not ({self._elsewhere()}within.append(True)):", indent)
        self._fill(indent + 1)
        self._say("outputs = variant.run_stages()", indent + 1)
        self._say("within.clear()", indent + 1)
        self._released(plain)
        self._say("if outputs is None:")
        self._say(plain, 2)
        self._count("sum([a.nbytes for a in outputs])")
        self._return([f"outputs[{k}]" for k in outputs])

    def _fill(self, indent: int) -> None:
        """Write the arguments into the table."""
        for k, argument in enumerate(self.program.inputs):
            slot = self.variant.artifact.arguments[k]
            variable = argument.variable
            words = "reals" if not variable.ndim and variable.dtype in REALS else "ints"
            self._say(f"{words}[{slot}] = {f'id(a{k})' if variable.ndim else f'a{k}'}", indent)

    def _count(self, size: Any) -> None:
        """Statistics: bytes in and out, allocations, time."""
        arrays = [f"a{k}.nbytes" for k, a in enumerate(self.program.inputs) if a.variable.ndim]
        fixed = sum(np.dtype(a.variable.dtype).itemsize for a in self.program.inputs if not a.variable.ndim)
        inside = " + ".join([str(fixed)] * bool(fixed) + arrays)
        self._say("stats.calls += 1")
        if inside:
            self._say(f"stats.bytes_in += {inside}")
        if size not in ("0", 0):
            self._say(f"size = {size}")
            self._say("stats.bytes_out += size")
            self._say("stats.bytes_allocated += size")
        self._say("stats.seconds += perf_counter() - start")

    def _return(self, outputs: Sequence[str]) -> None:
        form = self.program.form
        if form == "single":
            self._say(f"return {outputs[0]}")
        elif form == "list":
            self._say(f"return [{', '.join(outputs)}]")
        elif form == "dict":
            pairs = ", ".join(f"{k!r}: {o}" for k, o in zip(self.program.keys, outputs, strict=True))
            self._say(f"return {{{pairs}}}")
        else:
            self._say("return None")


def can_be_fast(program: Program) -> bool:
    """Whether calls may skip the general way: no defaults or state, no strictness, and no array that an update may
    overwrite."""
    for argument in program.inputs:
        if argument.default is not None or argument.strict or argument.downcast is False:
            return False
        if argument.variable.ndim and program.updates:
            return False
        if argument.variable.dtype in COMPLEX and not argument.variable.ndim:
            # its words are two
            return False
    return True
