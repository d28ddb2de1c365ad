"""The generated source of small programs, compared as text with the files in tests/golden.

`pytest tests/compiler/test_golden.py --update-golden` writes them anew; read the difference before it is committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng

GOLDEN = Path(__file__).parents[1] / "golden"


def elementwise() -> ng.Function:
    """A chain in one loop over rows and columns; the row `b` is read in the inner loop, `a` is written as its sum."""
    x, b, a = ng.fmatrix("x"), ng.fvector("b"), ng.fscalar("a")
    h = ng.tanh(x * a + b)
    return ng.function([x, b, a], ng.where(h > 0, h, 0.1 * h), name="leaky")


def softmax() -> ng.Function:
    """Three passes over a row that stays in cache."""
    x = ng.fmatrix("x")
    return ng.function([x], ng.softmax(x), name="softmax")


def logistic_regression(batch: int = 10) -> ng.Function:
    """The tutorial's step: a minibatch is a window of resident data."""
    train_x = ng.shared(np.zeros((5 * batch, 8), "float32"), name="train_x")
    train_y = ng.shared(np.zeros(5 * batch, "int32"), name="train_y")
    W, b = ng.shared(np.zeros((8, 3), "float32"), name="W"), ng.shared(np.zeros(3, "float32"), name="b")
    x, y, index = ng.fmatrix("x"), ng.ivector("y"), ng.lscalar("index")
    p = ng.softmax(ng.dot(x, W) + b)
    cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
    gW, gb = ng.grad(cost, [W, b])
    # no comprehension, which is a function of its own before Python 3.12
    rows = slice(index * batch, (index + 1) * batch)
    return ng.function(
        [index],
        cost,
        updates=[(W, W - 0.13 * gW), (b, b - 0.13 * gb)],
        givens={x: train_x[rows], y: train_y[rows]},
        name="train",
    )


def tiles_of_rows() -> ng.Function:
    """The same for a larger minibatch, in one pass over blocks of its rows."""
    return logistic_regression(600)


def updates() -> ng.Function:
    """`v` is written in place and read by `p`, `a` and `b` exchange their memory, `grown` gets new memory."""
    p, v = ng.shared(np.zeros(4), name="p"), ng.shared(np.zeros(4), name="v")
    a, b = ng.shared(np.zeros(3), name="a"), ng.shared(np.zeros(3), name="b")
    grown = ng.shared(np.zeros(2), name="grown")
    lr = ng.scalar("lr", "float64")
    velocity = 0.9 * v - lr * 2.0 * p
    pairs = [(v, velocity), (p, p + velocity), (a, b), (b, a), (grown, ng.concatenate([grown, p[:1]]))]
    return ng.function([lr], ng.sum(p), updates=pairs, name="updates")


def gather_and_scatter() -> ng.Function:
    """Rows of a table read and written by index, checked before anything changes."""
    table, rows = ng.shared(np.zeros((6, 2), "float32"), name="table"), ng.lvector("rows")
    picked = table[rows]
    return ng.function([rows], ng.sum(picked), updates=[(table, ng.inc_subtensor(picked, -0.5 * picked))], name="embed")


def reductions() -> ng.Function:
    """Sums over the first, the last and all axes, a maximum and where it is; float32 is summed in float64."""
    x = ng.fmatrix("x")
    outputs = [
        ng.sum(x, axis=0),
        ng.mean(x, axis=1, keepdims=True),
        ng.sum(x * x),
        ng.max(x, axis=1),
        ng.argmax(x, axis=1),
    ]
    return ng.function([x], outputs, name="reductions")


def power_iteration() -> ng.Function:
    """Steps that are alike: their functions are there once, with what differs as arguments."""
    A, x = ng.fmatrix("A"), ng.fmatrix("x")
    v = x
    for _ in range(4):
        v = ng.dot(A, v)
        v = v / ng.sqrt(ng.sum(v * v, axis=0))
    return ng.function([A, x], v, name="power_iteration")


def dropout() -> ng.Function:
    """A mask is made in the loop that uses it, of a key, a position and the number of the element."""
    x, rng = ng.fmatrix("x"), ng.random.RandomStream(seed=1)
    h = ng.relu(x)
    return ng.function([x], rng.dropout(h, 0.25), name="dropout")


def recurrent() -> ng.Function:
    """A layer with a state: the products of the inputs before the loop, one step after the other, and only two places
    for the state."""
    x, h0 = ng.ftensor3("x"), ng.fmatrix("h0")
    W, U = ng.shared(np.zeros((3, 4), "float32"), name="W"), ng.shared(np.zeros((4, 4), "float32"), name="U")
    h, _ = ng.scan(lambda x_t, h: ng.tanh(ng.dot(x_t, W) + ng.dot(h, U)), sequences=x, outputs_info=h0, name="layer")
    return ng.function([x, h0], h[-1], name="recurrent")


PROGRAMS = (
    elementwise, softmax, logistic_regression, tiles_of_rows, updates, gather_and_scatter, reductions, power_iteration,
    dropout, recurrent,
)  # fmt: skip


def compare(name: str, text: str, update: bool) -> None:
    path = GOLDEN / name
    if update:
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: run pytest with --update-golden"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs: see --update-golden"


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda b: b.__name__)
def test_source(build: Callable[[], ng.Function], update_golden: bool) -> None:
    compare(f"{build.__name__}.py", build().source, update_golden)


def test_listing(update_golden: bool) -> None:
    """The source with the user's lines: of this file, as text that does not depend on where it lies."""
    lines = Path(__file__).read_text(encoding="utf-8").split("\n")
    first = lines.index("def logistic_regression(batch: int = 10) -> ng.Function:") + 1
    listing = re.sub(
        r"\S*test_golden\.py:(\d+(?:, \d+)*)",
        lambda found: f"test_golden.py:{{{', '.join(str(int(n) - first) for n in found[1].split(', '))}}}",
        logistic_regression().listing,
    )
    compare("logistic_regression.listing", listing, update_golden)


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda b: b.__name__)
def test_the_listing_is_the_source_with_more_comments(build: Callable[[], ng.Function]) -> None:
    function = build()
    pairs = list(zip(function.source.split("\n"), function.listing.split("\n"), strict=True))
    assert all(listed.startswith(line.rstrip()) for line, listed in pairs)
    assert any("test_golden.py:" in listed for _, listed in pairs)


def test_the_same_graph_gives_the_same_source() -> None:
    """Nothing in the source depends on identity, on the order of sets, or on where the user's lines are."""
    for build in (logistic_regression, updates):
        assert build().source == build().source


def test_no_folder_of_this_machine_is_written() -> None:
    for path in GOLDEN.iterdir():
        text = path.read_text(encoding="utf-8")
        assert str(Path.home()) not in text and str(GOLDEN.parents[1]) not in text
        assert not [line for line in text.split("\n") if len(line) > 200]
