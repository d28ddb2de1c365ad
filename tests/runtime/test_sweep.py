"""`f.sweep`: equal to single calls, bit for bit, whatever the arguments, the outputs and the updates."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import ArgumentShapeError, DtypeError, IndexOutOfRange, InputError, OptionError, ShapeError
from tests.waits import PATIENCE

RNG = np.random.default_rng(8)
DATA = RNG.normal(size=(50, 6)).astype("float32")


def training(target: str = "cpu") -> tuple[ng.Function, ng.SharedVariable]:
    """A least-squares step on a minibatch of four."""
    data, w = ng.shared(DATA, name="data"), ng.shared(np.zeros(6, "float32"), name="w")
    x, index, rate = ng.matrix("x", dtype="float32"), ng.scalar("index", dtype="int64"), ng.scalar("rate", "float32")
    cost = ng.mean((ng.dot(x, w) - 1) ** 2)
    f = ng.function(
        [index, rate],
        [cost, w],
        updates=[(w, w - rate * ng.grad(cost, w))],
        givens={x: data[index * 4 : (index + 1) * 4]},
        target=target,
    )
    return f, w


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_sweep_is_its_single_calls(target: str) -> None:
    f, w = training(target)
    g, v = training(target)
    rates = RNG.random(13).astype("float32") * np.float32(0.1)
    swept = f.sweep(range(13), rate=rates)
    single = [g(i, r) for i, r in enumerate(rates)]
    for k, stacked in enumerate(swept):
        assert stacked.tobytes() == np.stack([s[k] for s in single]).tobytes()
    assert w.get_value().tobytes() == v.get_value().tobytes()
    assert f.stats.calls == 13


def test_it_is_one_native_program() -> None:
    f, _ = training()
    assert "while call < end" in f.source
    assert f.sweep(range(5), rate=0.1)[0].shape == (5,)
    assert f.stats.bytes_in == 5 * (8 + 4)


def test_ranges_with_steps_and_one_value_for_all() -> None:
    x, y = ng.scalar("x", dtype="int32"), ng.vector("y")
    f = ng.function([x, y], y * x)
    values = f.sweep(range(10, 0, -3), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(values, [[10, 20], [7, 14], [4, 8], [1, 2]])


def test_arrays_with_a_row_per_step() -> None:
    x = ng.tensor("x", "float32", (3,))
    f = ng.function([x], x.sum() * 2)
    rows = RNG.normal(size=(7, 3)).astype("float32")
    for value in (rows, rows[::-1], np.asfortranarray(rows), [list(map(float, row)) for row in rows]):
        np.testing.assert_array_equal(f.sweep(value), [f(np.asarray(row, "float32")) for row in value])


def test_every_dtype_of_numbers() -> None:
    for dtype in ("float32", "float64", "int8", "uint8", "int64", "uint64", "bool"):
        x = ng.scalar("x", dtype=dtype)
        f = ng.function([x], x)
        values = np.array([0, 1, 1, 0]).astype(dtype)
        assert f.sweep(values).tobytes() == values.tobytes()
    big = np.array([2**63 + 5, 3], np.uint64)
    x = ng.scalar("x", dtype="uint64")
    np.testing.assert_array_equal(ng.function([x], x).sweep(big), big)


def test_forms_of_outputs() -> None:
    x = ng.scalar("x")
    assert ng.function([x], [], on_unused_input="ignore").sweep(range(3)) == []
    total = ng.shared(0.0, name="total")
    assert ng.function([x], updates=[(total, total + x)]).sweep(range(4)) is None
    assert total.get_value() == 6
    named = ng.function([x], {"a": x, "b": x * x}).sweep(range(3))
    np.testing.assert_array_equal(named["b"], [0, 1, 4])


def test_no_step_at_all() -> None:
    x = ng.scalar("x")
    assert ng.function([x], ng.zeros((3, 2)) + x).sweep(range(0)).shape == (0, 3, 2)
    f, w = training()
    assert f.sweep(range(0), 0.1)[1].shape == (0, 6)
    np.testing.assert_array_equal(w.get_value(), np.zeros(6))


def test_lengths_that_vary_with_the_step() -> None:
    n = ng.scalar("n", dtype="int64")
    f = ng.function([n], ng.arange(n))
    np.testing.assert_array_equal(f.sweep([3, 3]), [[0, 1, 2], [0, 1, 2]])
    with pytest.raises(ShapeError, match=r"output 0 .* its shape is \(3,\) in step 0 and \(4,\) in step 2"):
        f.sweep([3, 3, 4])


def test_the_last_short_minibatch() -> None:
    f, _ = training()
    g, _ = training()
    costs = f.sweep(range(13), 0.05)[0]
    np.testing.assert_array_equal(costs, [g(i, 0.05)[0] for i in range(13)])


def test_state_and_fresh_buffers_and_exchanges() -> None:
    def build() -> tuple[ng.Function, list[ng.SharedVariable]]:
        a, b = ng.shared(np.arange(3.0), name="a"), ng.shared(np.ones(3), name="b")
        c = ng.shared(np.zeros(3), name="c")
        x = ng.scalar("x")
        return ng.function([x], a * x, updates=[(a, b), (b, a), (c, c[::-1] + x)]), [a, b, c]

    (f, left), (g, right) = build(), build()
    np.testing.assert_array_equal(f.sweep([1.0, 2.0, 3.0]), [g(1.0), g(2.0), g(3.0)])
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.get_value(), other.get_value())
    total = ng.scalar("total")
    count = ng.function([ng.In(total, value=0.0, update=total + 2)], total * 10)
    np.testing.assert_array_equal(count.sweep(steps=3), [0, 20, 40])
    assert count[total] == 6


def test_a_data_set_that_grew_and_assumptions_that_fail() -> None:
    f, _ = training()
    g, _ = training()
    more = RNG.normal(size=(90, 6)).astype("float32")
    for h in (f, g):
        next(v for v in h.get_shared() if v.name == "data").set_value(more)
    np.testing.assert_array_equal(f.sweep(range(22), 0.01)[0], [g(i, 0.01)[0] for i in range(22)])
    x, y = ng.vector("x"), ng.vector("y")
    add = ng.function([x, y], ng.sum(x + y))
    np.testing.assert_array_equal(add.sweep(np.ones((3, 4)), np.ones((3, 1))), [8, 8, 8])


def test_an_argument_that_is_the_updated_value_itself() -> None:
    w = ng.shared(np.arange(4.0), name="w")
    x = ng.scalar("x")
    f = ng.function([x], w.sum() + x, updates=[(w, w * 2)])
    values = w.get_value(borrow=True)
    np.testing.assert_array_equal(f.sweep(values), [6, 13, 26, 51])


def test_an_error_in_the_middle_says_where() -> None:
    table, total = ng.shared(np.arange(5.0), name="table"), ng.shared(0.0, name="total")
    k = ng.scalar("k", dtype="int64")
    f = ng.function([k], table[k], updates=[(total, total + table[k])])
    with pytest.raises(IndexOutOfRange, match="index 9 is out of range for an axis of length 5") as caught:
        f.sweep([1, 2, 9, 3])
    assert "in step 2 of a sweep; the updates of the 2 steps before it are done" in caught.value.__notes__
    assert total.get_value() == 3


@pytest.mark.parametrize(
    ("args", "named", "error", "text"),
    [
        ((), {}, InputError, "missing argument 0"),
        ((1, 2.0), {}, InputError, "no argument has a value per step"),
        ((range(3), np.ones(4, "float32")), {}, ArgumentShapeError, r"numbers of steps \(index: 3, rate: 4\)"),
        ((range(3), 0.1), {"steps": 4}, ArgumentShapeError, "different numbers of steps"),
        ((range(3), 0.1), {"speed": 1}, InputError, "has no input named speed"),
        ((range(3), 0.1, 5), {}, InputError, "takes 2 arguments, got 3"),
        (([0.5], 0.1), {}, DtypeError, "does not survive the conversion to dtype int64"),
        ((np.ones((2, 2)), 0.1), {}, DtypeError, "index"),
        ((np.ones((2, 2), "int64"), 0.1), {}, ArgumentShapeError, "index"),
    ],
)
def test_mistakes(args: Any, named: Any, error: type[Exception], text: str) -> None:
    f, w = training()
    with pytest.raises(error, match=text):
        f.sweep(*args, **named)
    np.testing.assert_array_equal(w.get_value(), np.zeros(6))


def test_a_range_for_a_vector_and_one_past_the_dtype() -> None:
    x = ng.vector("x")
    with pytest.raises(ArgumentShapeError, match="whose values are numbers"):
        ng.function([x], x).sweep(range(3))
    k = ng.scalar("k", dtype="int8")
    with pytest.raises(DtypeError, match="the value 199"):
        ng.function([k], k).sweep(range(200))


def test_a_bar_shows_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    f, _ = training()
    f.sweep(range(10), 0.1, progress=True)
    assert "10/10" in capsys.readouterr().out


# A process that was started in the background ignores the signal, and so do its children.
SCRIPT = """
import signal
import numpy as np, numgraph as ng
signal.signal(signal.SIGINT, signal.default_int_handler)
w, x = ng.shared(np.zeros(20000), name="w"), ng.scalar("x")
f = ng.function([x], ng.sum(ng.exp(w)), updates=[(w, ng.sin(w) + x)])
f(1.0)
print("ready", flush=True)
try:
    f.sweep(np.zeros(10**7))
except KeyboardInterrupt:
    print("stopped", np.isfinite(w.get_value()).all(), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
def test_ctrl_c_ends_a_sweep() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as process:
        # what ends the process also ends the waits for what it prints
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped True\n"
            assert process.wait(PATIENCE) == 0
        finally:
            timer.cancel()
            process.kill()


def test_arguments_are_looked_at_as_those_of_a_call() -> None:
    """A mask would be lost; what gives no array says so in numgraph's words."""
    x = ng.scalar("x")
    f = ng.function([x], x * 2)
    masked = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    refused: list[tuple[Any, str]] = [
        (masked, "x: got a masked array: its mask would be lost"),
        ([1, [2]], "x: this list is no array of numbers"),
        ((v for v in (1.0, 2.0)), r"(?s)x: got generator, .*fix: make a list of it"),
        (np.array([1, 2], object), "x: got ndarray of shape"),
    ]
    for value, said in refused:
        with pytest.raises(DtypeError, match=said):
            f.sweep(value)
    with pytest.raises(InputError, match="x: got a variable, but a value is needed"):
        f.sweep(x)
    for steps in (-1, 2.5, "3", True):
        with pytest.raises(OptionError, match="sweep: steps must be a whole number of at least 0"):
            f.sweep(1.0, steps=steps)
    np.testing.assert_array_equal(f.sweep(1.0, steps=np.int64(2)), [2.0, 2.0])
