"""Values for a try: while an expression is being built, what it computes of the values that its inputs were given.

With `config.test_values` each operation whose operands have such values is computed at once, by the NumPy reference. So
an error of shapes is raised by the line that makes the operation, as in an eager library, and `v.test_value` can be
looked at. Theano's name for it is `tag.test_value`, with the setting `compute_test_value`.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import check_lengths, convert
from numgraph.graph import Constant, Variable, describe, label
from numgraph.op import FUNCTIONS
from numgraph.reference import evaluate
from numgraph.shared import SharedVariable
from numgraph.storage import owned

Array = NDArray[Any]

# Values that variables were given, or that were computed of these.
_values: WeakKeyDictionary[Variable, Array] = WeakKeyDictionary()


def value_of(variable: Variable) -> Array | None:
    """The value for a try, not a copy: of a shared variable its own, None where there is none."""
    if isinstance(variable, Constant):
        return variable.data
    if isinstance(variable, SharedVariable):
        return variable.get_value(borrow=True)
    return _values.get(variable)


def shown(variable: Variable) -> Array:
    """`variable.test_value`, a copy; AttributeError for a variable that has none."""
    found = value_of(variable)
    if found is None:
        raise AttributeError(
            f"{label(variable)} has no test value\n  {describe(variable)}\n"
            "  fix: give one to each input, x.test_value = array, and set ng.config.test_values = True before the "
            "expression is built"
        )
    return np.array(found)


def given(variable: Variable, value: Any) -> None:
    """`variable.test_value = value`, by the rules of arguments; None takes it away. TypeError for a variable whose
    value is known otherwise."""
    if value is None:
        _values.pop(variable, None)
        return
    if variable.op is not None or isinstance(variable, Constant | SharedVariable):
        kind = "is computed" if variable.op is not None else "has a value of its own"
        raise TypeError(f"{label(variable)} {kind}, so it takes no test value\n  {describe(variable)}")
    array = convert(value, variable.dtype, variable)
    check_lengths(array, variable.type, variable)
    _values[variable] = owned(array)


def tried(variable: Variable) -> None:
    """Compute a new result, where each of its operands has a value; raises what the operation raises then."""
    operands: dict[Variable, Array] = {}
    for v in variable.inputs:
        found = value_of(v)
        if found is None:
            return
        operands[v] = found
    with np.errstate(all="ignore"):
        (_values[variable],) = evaluate([variable], operands)


FUNCTIONS["test_value"] = shown
FUNCTIONS["give_test_value"] = given
FUNCTIONS["try_values"] = tried
