"""What numgraph's functions mean, in NumPy: the step `ng.softmax(t1, axis=0)` is judged by `N.softmax(t1, axis=0)`.

Written from NumPy's definitions, without a look at numgraph's own references, so that a fault of those shows too.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from scipy import special

from tests.differential import elementwise, images, matrices

Array = np.ndarray[Any, Any]
_SOFTPLUS = re.compile(r"^ng\.log1p\(ng\.exp\((.+)\)\)$")
_WRITE = re.compile(r"^ng\.(set|inc)_subtensor\((\w+)\[(.+)\], (.+)\)$")


def translated(code: str) -> str | None:
    """The NumPy source of a step, None where there is none (gradients)."""
    if "ng.grad(" in code:
        return None
    # that exp overflows is no property of the value
    code = _SOFTPLUS.sub(r"ng.softplus(\1)", code)
    # of a scan, the parts of its steps, between two blanks each, see `loops.Body.code`
    return ",  ".join(map(_translated, code.split(",  ")))


def _translated(code: str) -> str:
    start = max((m.end() for m in re.finditer(r"\bb\d+ := ", code)), default=0)
    found = _WRITE.match(code[start:])
    if found:
        how, base, key, value = found.groups()
        code = f"{code[:start]}ng.{how}_subtensor({base}, np.s_[{key}], {value})"
    return code.replace("ng.", "N.")


def fits_whole(x: Array, dtype: Any) -> bool:
    """Whether a cast is the same on every processor: NumPy leaves open what integer a large float becomes."""
    if x.dtype.kind != "f" or np.dtype(dtype).kind not in "iu":
        return True
    info = np.iinfo(dtype)
    return bool(
        np.all(np.isfinite(x)) and np.all(x > max(info.min, -(2.0**62)) - 1.0) and np.all(x < min(info.max, 2.0**62))
    )


def complex(x: Any, y: Any) -> Array:
    # 1j * inf is NaN + infj
    dtype = np.result_type(x, y, np.complex64)
    x, y = np.broadcast_arrays(x, y)
    made = np.empty(x.shape, dtype)
    made.real, made.imag = x, y
    return made


def ifelse(condition: Any, x: Any, y: Any) -> Array:
    return np.asarray(x if condition else y)


def cast(x: Any, dtype: str) -> Array:
    return np.asarray(x).astype(dtype)


def set_subtensor(x: Array, key: Any, value: Any) -> Array:
    x = x.copy()
    x[key] = fitting(value, x[key].ndim)
    return x


def fitting(value: Any, ndim: int) -> Array:
    """Without leading axes of length 1 that the place does not have: NumPy drops them only for some keys."""
    value = np.asarray(value)
    while value.ndim > ndim:
        value = value[0]
    return value


def inc_subtensor(x: Array, key: Any, value: Any) -> Array:
    """NumPy's `add.at` adds what lies elsewhere where it has to broadcast the value (2.4.6)."""
    x = x.copy()
    place = x[key]
    np.add.at(x, key, np.broadcast_to(fitting(value, place.ndim).astype(x.dtype), place.shape).copy())
    return x


def assert_op(x: Array, *conditions: Array) -> Array:
    assert all(np.all(c) for c in conditions)
    return x


def dimshuffle(x: Array, *pattern: Any) -> Array:
    kept = [p for p in pattern if p != "x"]
    dropped = [a for a in range(x.ndim) if a not in kept]
    x = np.squeeze(x, tuple(dropped)).transpose([sorted(kept).index(p) for p in kept])
    return x[tuple(None if p == "x" else slice(None) for p in pattern)]


def flatten(x: Array, ndim: int = 1) -> Array:
    return x.reshape((*x.shape[: ndim - 1], int(np.prod(x.shape[ndim - 1 :], dtype=np.int64))))


def prod(x: Array, **options: Any) -> Array:
    """Of float32 in float64: a product of factors may leave the range although that of all does not."""
    if x.dtype == np.float32 and "dtype" not in options:
        return np.asarray(np.prod(x, dtype=np.float64, **options)).astype(np.float32)
    return np.asarray(np.prod(x, **options))


def stack(*arrays: Array, axis: int = 0) -> Array:
    return np.stack(arrays, axis)


def softmax(x: Array, axis: int = -1) -> Array:
    return np.asarray(special.softmax(x, axis))


def log_softmax(x: Array, axis: int = -1) -> Array:
    """The logarithm of softmax, which is nan beside inf, where SciPy's gives -inf."""
    return np.where(np.isposinf(np.max(x, axis, keepdims=True)), x.dtype.type(np.nan), special.log_softmax(x, axis))


def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """Of nothing it is -inf, where SciPy's raises."""
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, np.zeros((), x.dtype))
    summed = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return summed if keepdims else np.squeeze(summed, axis=tuple(range(x.ndim)) if axis is None else axis)


def sigmoid(x: Array) -> Array:
    return np.asarray(special.expit(x))


def softplus(x: Array) -> Array:
    return np.logaddexp(x, np.zeros((), x.dtype))


def relu(x: Array) -> Array:
    return np.maximum(x, np.zeros((), x.dtype))


def sqr(x: Array) -> Array:
    return x * x


def dot(x: Array, y: Array) -> Array:
    """Of arrays with axes, term by term: BLAS may leave out those with a factor 0, where inf * 0 is NaN."""
    moved = np.moveaxis(y, -2, 0) if y.ndim > 1 else y
    terms = x.reshape(*x.shape, *(1,) * (y.ndim - 1)) * moved
    return np.asarray(np.sum(terms, axis=x.ndim - 1, dtype=terms.dtype))


def matmul(x: Array, y: Array) -> Array:
    """Of stacks of matrices, as `dot`."""
    terms = x[..., None] * y[..., None, :, :]
    return np.asarray(np.sum(terms, axis=-2, dtype=terms.dtype))


def sort(x: Array, axis: int = -1) -> Array:
    return np.sort(x, axis)


def argsort(x: Array, axis: int = -1) -> Array:
    return np.argsort(x, axis, kind="stable")


def argtopk(x: Array, count: int, axis: int = -1) -> Array:
    if count > 0:
        order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    return np.take(order, range(abs(count)), axis)


def norm(x: Array) -> Array:
    return np.sqrt((np.abs(x) ** 2).sum())


def floor_div(x: Array, y: Any) -> Array:
    return np.asarray(x) // np.asarray(y)


def nonzero(x: Array) -> tuple[Array, ...]:
    return np.nonzero(x)


def flatnonzero(x: Array) -> Array:
    return np.flatnonzero(x)


def until(condition: Any) -> bool:
    return bool(condition)


class NoSteps(Exception):
    """A loop has no steps: what lengths its values would have, only the expression says."""


def elements(wholes: list[Array], taps: list[Any], backwards: bool) -> list[Array]:
    """For each tap of each sequence, what the steps go over."""
    found = []
    for whole, own in zip(wholes, taps, strict=True):
        low, high = min(*own, 0), max(*own, 0)
        for tap in own:
            cut = whole[tap - low : max(tap - low, len(whole) - (high - tap))]
            found.append(cut[::-1] if backwards else cut)
    return found


def before(first: Array, depth: int) -> list[Array]:
    """The values before the first step, from the last one on."""
    return [first[depth - 1 - k] for k in range(depth)]


def scan(
    step: Any, sequences: list[Any], outputs_info: list[Any], n_steps: Any = None, go_backwards: bool = False,
    truncate_gradient: int = -1, return_list: bool = True, checkpoint: Any = None,
) -> tuple[list[Array], None]:  # fmt: skip
    """One step after the other."""
    given = [entry if isinstance(entry, dict) else {"input": entry, "taps": [0]} for entry in sequences]
    wholes = elements([np.asarray(e["input"]) for e in given], [e["taps"] for e in given], go_backwards)
    steps = min([len(w) for w in wholes] + ([int(n_steps)] if n_steps is not None else []))
    states = [
        None if entry is None else before(entry["initial"], len(entry["taps"])) if isinstance(entry, dict) else [entry]
        for entry in outputs_info
    ]
    rows: list[list[Array]] = [[] for _ in outputs_info]
    for t in range(steps):
        found = step(*(w[t] for w in wholes), *(v for values in states if values is not None for v in values))
        found, ends = found if isinstance(found, tuple) else (found, False)
        found = found if isinstance(found, list) else [found]
        for row, values, new in zip(rows, states, found, strict=True):
            row.append(np.asarray(new))
            if values is not None:
                values.insert(0, row[-1])
                values.pop()
        if ends:
            break
    if not rows[0]:
        raise NoSteps
    return [np.stack(r) for r in rows], None


def eye(n: int, dtype: Any) -> Array:
    return np.eye(n, dtype=dtype)


def trace(x: Array) -> Array:
    return np.asarray(np.trace(x))


_OTHERS = {
    "sub": "subtract", "mul": "multiply", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "eq": "equal", "neq": "not_equal", "neg": "negative", "sgn": "sign", "abs": "absolute", "true_div": "true_divide",
}  # fmt: skip
_SCIPY = {"erf", "erfc", *(op.name for op in elementwise.SCIPY)}


def pad(x: Array, margins: Any, mode: str) -> Array:
    # NumPy 2.0 takes no margins by axis
    if isinstance(margins, dict):
        margins = [margins.get(axis, margins.get(axis - x.ndim, (0, 0))) for axis in range(x.ndim)]
    return np.pad(x, margins, mode)


def __getattr__(name: str) -> Any:
    """NumPy's function where the name and the meaning are the same."""
    for twins in (matrices.Twins, images.Twins):
        if hasattr(twins, name):
            return getattr(twins, name)
    return getattr(special, name) if name in _SCIPY else getattr(np, _OTHERS.get(name, name))
