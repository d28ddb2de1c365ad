"""The whole texts of the errors that users meet: what happened, with which values, from which lines, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng

HERE = "tests/language/test_errors.py"


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in messages are relative to the working directory."""
    monkeypatch.chdir(Path(__file__).parents[2])


def text(error: type[Exception], call: Callable[[], Any]) -> str:
    """The message of the error that `call` raises; its class must be exactly `error`."""
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    return str(caught.value)


def notes(error: type[Exception], call: Callable[[], Any]) -> list[str]:
    with pytest.raises(error) as caught:
        call()
    return list(getattr(caught.value, "__notes__", []))


def test_a_line_names_file_number_and_function() -> None:
    x = ng.vector("x")
    assert str(x.line).startswith(f"{HERE}:") and str(x.line).endswith(" in test_a_line_names_file_number_and_function")
    assert x.line is not None and Path(x.line.file).read_text().splitlines()[x.line.line - 1].strip() == (
        'x = ng.vector("x")'
    )


# -- arguments of calls ---------------------------------------------------------------------------------------------


class Train:
    """A small function, the same in all the tests of calls."""

    def __init__(self) -> None:
        self.x, self.lr = ng.vector("x", "float32"), ng.scalar("lr", "float32")
        self.f = ng.function([self.x, self.lr], self.x * self.lr, name="train")


@pytest.fixture(name="train")
def train_(target: str) -> Train:
    return Train()


def test_an_array_of_another_dtype(train: Train) -> None:
    call = lambda: train.f(np.array([0.1, 0.2]), 0.5)  # noqa: E731
    assert text(ng.DtypeError, call) == (
        "x: an array of dtype float64 (shape (2,)) may not fit dtype float32 without loss\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: convert it with .astype('float32') where the loss is meant"
    )
    assert notes(ng.DtypeError, call) == ["argument 0 of train(x, lr)"]


def test_a_value_that_does_not_survive(train: Train) -> None:
    assert text(ng.DtypeError, lambda: train.f([0.5, 0.1], 0.5)) == (
        "x: the value 0.1 (float64) does not survive the conversion to dtype float32\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: convert it with np.asarray(value, 'float32') where the loss is meant"
    )
    assert text(ng.DtypeError, lambda: train.f([1], 1e300)) == (
        "lr: the value 1e+300 is too large for dtype float32\n"
        f"  lr: float32  made at {train.lr.line}\n"
        "  fix: pass np.asarray(value, 'float32')"
    )


@pytest.mark.parametrize(
    ("value", "what", "fix"),
    [
        ("a", "str 'a'", "pass numbers of a supported dtype, all rows of the same length"),
        (None, "NoneType None", "pass numbers of a supported dtype, all rows of the same length"),
        ({}, "dict", "make a list of it, such as list(value)"),
        (2**70, f"int {2**70}", "an integer is at least -2**63 and below 2**64; pass a float"),
    ],
)
def test_no_number(train: Train, value: Any, what: str, fix: str) -> None:
    assert text(ng.DtypeError, lambda: train.f([1], value)) == (
        f"lr: got {what}, which is no array of numbers or booleans\n"
        f"  lr: float32  made at {train.lr.line}\n  fix: {fix}"
    )


def test_structured_arrays(train: Train) -> None:
    assert text(ng.DtypeError, lambda: train.f(np.zeros(2, [("a", "f4")]), 1)) == (
        "x: got ndarray of shape (2,) and dtype [('a', '<f4')], which is no array of numbers or booleans\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: pass numbers of a supported dtype, all rows of the same length"
    )


def test_complex_and_ragged_values(train: Train) -> None:
    assert text(ng.DtypeError, lambda: train.f(np.zeros(2, complex), 1)) == (
        "x: an array of dtype complex128 (shape (2,)) may not fit dtype float32 without loss\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: convert it with .astype('float32') where the loss is meant"
    )
    assert text(ng.DtypeError, lambda: train.f([[1, 2], [3]], 1)) == (
        "x: this list is no array of numbers: setting an array element with a sequence\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: pass rows of the same length"
    )


def test_masked_arrays(train: Train) -> None:
    value = np.ma.masked_array([1.0, 2.0], [False, True])
    assert text(ng.DtypeError, lambda: train.f(value, 1)) == (
        "x: got a masked array: its mask would be lost\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: pass value.filled(...), or the mask as an array of its own"
    )


def test_a_variable_as_argument(train: Train) -> None:
    y = ng.vector("y")
    assert text(ng.InputError, lambda: train.f(y, 1)) == (
        "x: got a variable, but a value is needed\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        f"  value: y: float64[?]  made at {y.line}\n"
        "  fix: pass an array or a number; to put one expression in place of another, use givens"
    )


def test_another_rank(train: Train) -> None:
    assert text(ng.ArgumentShapeError, lambda: train.f(np.ones((2, 2), "float32"), 1)) == (
        "x: got 2 axes (shape (2, 2)), expected 1 axis\n"
        f"  x: float32[?]  made at {train.x.line}\n"
        "  fix: pass an array of that rank"
    )


def test_another_length(target: str) -> None:
    t = ng.tensor("t", "float64", (None, 3))
    f = ng.function([t], t)
    assert text(ng.ArgumentShapeError, lambda: f(np.zeros((2, 2)))) == (
        "t: axis 1 has length 2 (shape (2, 2)), its type says 3\n"
        f"  t: float64[?,3]  made at {t.line}\n"
        "  fix: pass an array of that length, or declare the variable with None there"
    )


def test_strict(target: str) -> None:
    x = ng.vector("x", "float32")
    f = ng.function([ng.In(x, strict=True)], x)
    assert text(ng.DtypeError, lambda: f(np.zeros(2))) == (
        "x: strict accepts only a numpy.ndarray of dtype float32, got ndarray of shape (2,) and dtype float64\n"
        f"  x: float32[?]  made at {x.line}\n"
        "  fix: pass np.asarray(value, 'float32')"
    )


def test_missing_unknown_and_repeated_arguments(train: Train) -> None:
    assert text(ng.InputError, lambda: train.f([1])) == (
        f"train(x, lr): missing argument 1\n  lr: float32  made at {train.lr.line}"
    )
    assert text(ng.InputError, lambda: train.f(lr=1)) == (
        f"train(x, lr): missing argument 0\n  x: float32[?]  made at {train.x.line}"
    )
    assert text(ng.InputError, lambda: train.f([1], 2, 3)) == "train(x, lr): takes 2 arguments, got 3"
    assert text(ng.InputError, lambda: train.f([1], rate=2)) == (
        "train(x, lr): has no input named rate\n  inputs with a name: x, lr"
    )
    assert text(ng.InputError, lambda: train.f([1], 2, x=[1])) == "train(x, lr): got several values for the input x"


def test_ambiguous_and_unnamed_inputs(target: str) -> None:
    a, b, c = ng.scalar("q"), ng.scalar("q"), ng.scalar()
    f = ng.function([a, b, c], a + b + c, name="f")
    assert f(1, 2, 3) == 6
    assert text(ng.InputError, lambda: f(1, 2, q=1)) == (
        "f(q, q, <input 2>): several inputs are named q\n  fix: pass them by position"
    )


def test_state_without_a_value(target: str) -> None:
    k = ng.scalar("k")
    f = ng.function([ng.In(k, update=k + 1)], k, name="f")
    assert text(ng.InputError, f) == (
        f"f(k): missing argument 0\n  k: float64  made at {k.line}\n"
        "  fix: its state has no value yet; pass one in the first call"
    )


def test_errors_of_the_computation_name_the_users_lines(target: str) -> None:
    x, y = ng.vector("x"), ng.vector("y")
    f = ng.function([x, y], x + y, name="f")
    call = lambda: f([1.0, 2.0, 3.0], [1.0, 2.0])  # noqa: E731
    message = text(ng.ShapeError, call)
    assert "3" in message and "2" in message and f"{x.line}" in message and f"{y.line}" in message
    assert notes(ng.ShapeError, call) == ["in a call of f(x, y)"]


# -- inputs and outputs of functions --------------------------------------------------------------------------------


def test_inputs_that_cannot_be_inputs() -> None:
    x, W, c = ng.vector("x"), ng.shared(np.zeros(2), "W"), ng.constant(1.0)
    assert text(ng.InputError, lambda: ng.function(x, x)) == (
        f"function: inputs must be a list or tuple of variables, got x: float64[?]  made at {x.line}\n  fix: write [x]"
    )
    assert text(ng.InputError, lambda: ng.function([x, "y"], x)) == (
        "function: input 1 must be a variable or In(...), got 'y'"
    )
    assert text(ng.InputError, lambda: ng.function([W], W)) == (
        "function: the shared variable W cannot be an input\n"
        f"  W: float64[?]  made at {W.line}\n"
        "  fix: it is found by itself; to put another value in its place, use givens"
    )
    assert text(ng.InputError, lambda: ng.function([c], c)) == (
        f"function: a constant cannot be an input\n  a constant: float64  made at {c.line}\n"
        "  fix: make it ng.In(x, value=...)"
    )
    assert text(ng.UnusedInputError, lambda: ng.function([x, x], x)) == (
        f"function: x is used twice in inputs\n  x: float64[?]  made at {x.line}"
    )


def test_outputs_that_are_no_variables() -> None:
    x = ng.scalar("x")
    assert text(ng.InputError, lambda: ng.function([x], 3)) == (
        "function: outputs must be a variable, or a list, tuple or dict of variables, got 3"
    )
    assert text(ng.InputError, lambda: ng.function([x], [x, 3])) == (
        "function: an output must be a variable, got 3\n  fix: ng.constant(...) makes one of a value"
    )
    assert text(ng.InputError, lambda: ng.function([x], {1: x})) == (
        "function: the keys of outputs must be strings, got 1"
    )


def test_missing_inputs() -> None:
    x, lr, d = ng.vector("x"), ng.scalar("lr"), ng.scalar()
    assert text(ng.MissingInputError, lambda: ng.function([x], x * lr + d, name="train")) == (
        "train: nothing gives a value to\n"
        f"  lr: float64  made at {lr.line}\n"
        f"  an unnamed variable: float64  made at {d.line}\n"
        "  fix: add it to inputs, or replace it with givens"
    )
    many = ng.scalars(8)
    message = text(ng.MissingInputError, lambda: ng.function([], ng.stack(many)))
    assert message.splitlines()[-2] == "  and 3 more"
    assert text(ng.MissingInputError, lambda: ng.function([], x[0] * d, name="f", givens=[(x, x * 2), (d, 1.0)])) == (
        "f: nothing gives a value to\n"
        f"  x: float64[?]  made at {x.line}  (replaced by givens, but another given value uses it)\n"
        "  fix: add it to inputs, or replace it with givens"
    )


def test_unused_inputs() -> None:
    x, y, z = ng.scalars("x", "y", "z")
    assert text(ng.UnusedInputError, lambda: ng.function([x, y, z], x, name="f")) == (
        "f: no output and no update depends on the inputs\n"
        f"  y: float64  made at {y.line}\n"
        f"  z: float64  made at {z.line}\n"
        "  fix: remove it from inputs, or pass on_unused_input='ignore'"
    )


def test_in() -> None:
    x = ng.scalar("x", "float32")
    assert text(ng.InputError, lambda: ng.In(3)) == "In: expected a variable, got 3"  # type: ignore[arg-type]
    assert text(ng.InputError, lambda: ng.In(x, mutable=True, borrow=False)) == (
        "In(x): mutable=True implies borrow=True, but borrow=False was given"
    )
    update = x * np.float64(2)
    assert text(ng.UpdateError, lambda: ng.In(x, update=update)) == (
        "In(x): the update's type differs from the variable's: dtype float64 for dtype float32\n"
        f"  x: float32  made at {x.line}\n"
        f"  update: the result of mul: float64  made at {update.line}"
    )
    assert text(ng.DtypeError, lambda: ng.function([ng.In(x, value=np.float64(0.1))], x)) == (
        "x: the value 0.1 (float64) does not survive the conversion to dtype float32\n"
        f"  x: float32  made at {x.line}\n"
        "  fix: convert it with np.asarray(value, 'float32') where the loss is meant"
    )


def test_options() -> None:
    x = ng.scalar("x")
    assert text(ng.OptionError, lambda: ng.function([x], x, on_unused_input="no")) == (
        "on_unused_input must be 'raise', 'warn' or 'ignore', not 'no'"
    )
    assert text(ng.OptionError, lambda: ng.function([x], x, target="abacus")) == (
        "target must be one of cpu, cuda, cuda-sim, reference, not 'abacus'"
    )
    f = ng.function([x], x, target="reference", name="f")
    for read in (lambda: f.source, lambda: f.listing, lambda: f.export("f.py")):
        assert text(ng.OptionError, read).startswith('f runs on target "reference", which compiles nothing and has no ')
    assert text(ng.OptionError, lambda: f.source) == (
        'f runs on target "reference", which compiles nothing and has no source\n  fix: make it with target="cpu"'
    )


# -- givens and updates ---------------------------------------------------------------------------------------------


def test_givens() -> None:
    y, labels = ng.ivector("y"), ng.shared(np.arange(3), "labels")
    assert text(ng.GivensError, lambda: ng.function([], y, givens={y: labels})) == (
        "givens: labels cannot stand for y: dtype int64 for dtype int32\n"
        f"  replaced: y: int32[?]  made at {y.line}\n"
        f"  by: labels: int64[?]  made at {labels.line}\n"
        "  fix: convert the value with .astype('int32'), or declare y as int64"
    )
    m = ng.imatrix("m")
    assert text(ng.GivensError, lambda: ng.function([m], y, givens={y: m})) == (
        "givens: m cannot stand for y: 2 axes for 1\n"
        f"  replaced: y: int32[?]  made at {y.line}\n"
        f"  by: m: int32[?,?]  made at {m.line}\n"
        "  fix: give the value the type int32[?], for example by reshape or by indexing with None"
    )
    assert text(ng.GivensError, lambda: ng.function([], y, givens={y: np.arange(3)})) == (
        "givens: y: an array of dtype int64 (shape (3,)) may not fit dtype int32 without loss\n"
        f"  y: int32[?]  made at {y.line}\n"
        "  fix: convert it with .astype('int32') where the loss is meant"
    )
    assert text(ng.GivensError, lambda: ng.function([y], y, givens={y: y * 2})) == (
        "givens: y cannot be replaced, since it is an input of the function\n"
        f"  y: int32[?]  made at {y.line}\n"
        "  fix: remove it from the inputs, or write the expression with another variable"
    )
    assert text(ng.GivensError, lambda: ng.function([], y, givens=[(y, [1]), (y, [2])])) == (
        "givens: y is replaced twice\n"
        f"  y: int32[?]  made at {y.line}\n"
        f"  first by: a constant: int32[1]  made at {y.line}\n"
        "  fix: keep one of the pairs"
    )
    assert text(ng.GivensError, lambda: ng.function([], y, givens={"y": [1]})) == (
        "givens: a key must be a variable, got 'y'"
    )
    assert text(ng.GivensError, lambda: ng.function([], y, givens=[y])) == (
        f"givens: expected (variable, value) pairs, got {y!r}\n  fix: write [(variable, value)]"
    )
    assert text(ng.GivensError, lambda: ng.function([], y, givens=3)) == (
        "givens: expected a dict or an iterable of pairs, got 3"
    )


def test_updates() -> None:
    W, d = ng.shared(np.ones((2, 2), "float32"), "W"), ng.vector("d")
    twice, product, total = W * 2, W * d, ng.sum(W)
    assert text(ng.UpdateError, lambda: ng.function([d], updates=[(W, product)])) == (
        "updates: the result of mul cannot update W: dtype float64 for dtype float32, which may lose information\n"
        f"  updated: W: float32[?,?]  made at {W.line}\n"
        f"  by: the result of mul: float64[?,?]  made at {product.line}\n"
        "  fix: convert the update with .astype('float32'), or look for the operand that made it float64"
    )
    assert text(ng.UpdateError, lambda: ng.function([], updates=[(W, total)])) == (
        "updates: the result of sum cannot update W: 0 axes for 2\n"
        f"  updated: W: float32[?,?]  made at {W.line}\n"
        f"  by: the result of sum: float32  made at {total.line}\n"
        "  fix: make the update's rank that of the variable"
    )
    assert text(ng.UpdateError, lambda: ng.function([], updates=[(W, np.zeros((2, 2)))])) == (
        "updates: W: an array of dtype float64 (shape (2, 2)) may not fit dtype float32 without loss\n"
        f"  W: float32[?,?]  made at {W.line}\n"
        "  fix: convert it with .astype('float32') where the loss is meant"
    )
    assert text(ng.UpdateError, lambda: ng.function([], updates={W: 1.0})) == (
        "updates: W: got 0 axes (shape ()), expected 2 axes\n"
        f"  W: float32[?,?]  made at {W.line}\n"
        "  fix: pass an array of that rank"
    )
    assert text(ng.RepeatedUpdateError, lambda: ng.function([], updates=[(W, twice), (W, W)])) == (
        "updates: W is updated twice\n"
        f"  W: float32[?,?]  made at {W.line}\n"
        f"  first to: the result of mul: float32[?,?]  made at {twice.line}\n"
        "  fix: keep one of the pairs, or combine the two expressions"
    )
    assert text(ng.UpdateError, lambda: ng.function([d], d, updates=[(d, d)])) == (
        f"updates: only a shared variable can be updated, got\n  d: float64[?]  made at {d.line}\n"
        "  fix: make it with ng.shared(value); to keep the value of an input, In(x, update=...)"
    )
    assert text(ng.UpdateError, lambda: ng.function([], updates=[W, W + 1])) == (
        f"updates: expected (variable, value) pairs, got {W!r}\n  fix: write [(variable, value)]"
    )
    assert text(ng.UpdateError, lambda: ng.function([], W, no_default_updates="W")) == (
        "no_default_updates: expected a bool or a list of shared variables, got 'W'"
    )


def test_functions_without_a_name_are_called_by_their_line() -> None:
    x, y = ng.scalars("x", "y")
    message = text(ng.MissingInputError, lambda: ng.function([x], x + y))
    assert message.startswith(f"the function made at {HERE}:")


# -- shared variables -----------------------------------------------------------------------------------------------


def test_shared_variables() -> None:
    x, W = ng.scalar("x"), ng.shared(np.zeros((2, 2), "float32"), "W")
    assert text(ng.DtypeError, lambda: W.set_value(np.zeros((2, 2)))) == (
        "W: an array of dtype float64 (shape (2, 2)) may not fit dtype float32 without loss\n"
        f"  W: float32[?,?]  made at {W.line}\n"
        "  fix: convert it with .astype('float32') where the loss is meant"
    )
    assert text(ng.ArgumentShapeError, lambda: W.set_value([1.0])) == (
        "W: got 1 axis (shape (1,)), expected 2 axes\n"
        f"  W: float32[?,?]  made at {W.line}\n"
        "  fix: pass an array of that rank"
    )
    assert text(ng.DtypeError, lambda: ng.shared(x)) == (
        f"shared() takes a value, not a variable (x: float64  made at {x.line})"
    )
    assert text(ng.DtypeError, lambda: ng.shared("a")) == (
        "shared(): got str 'a', which is no array of numbers or booleans\n"
        "  fix: pass numbers of a supported dtype, all rows of the same length"
    )
    long = np.zeros(2, "longdouble")
    assert text(ng.DtypeError, lambda: ng.shared(long, "h")).startswith(
        f"shared(name='h'): dtype {long.dtype.name} is not supported. Supported: bool, int8"
    )
    assert text(ng.DtypeError, lambda: ng.shared(np.zeros(2, object), "h")).startswith(
        "shared(name='h'): got ndarray of shape (2,) and dtype object, which is no array of numbers"
    )
