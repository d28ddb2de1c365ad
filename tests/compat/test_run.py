"""`python -m numgraph.compat run`: programs as they were written for Theano."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.waits import python

ROOT = Path(__file__).parents[2]

# As a program of that time is written: two layers, noise, minibatches by givens, a pickled model.
PROGRAM = """
from __future__ import print_function
import pickle
import sys

import numpy
import theano
import theano.tensor as T
from theano import config, function, shared
from theano.sandbox.rng_mrg import MRG_RandomStreams as RandomStreams
from theano.tensor.shared_randomstreams import RandomStreams as OtherStreams
from helper import layer


class Model(object):
    def __init__(self, rng, input, n_in, n_out, W=None, activation=T.nnet.sigmoid):
        if not W:
            value = numpy.asarray(rng.uniform(-1, 1, (n_in, n_out)), dtype=theano.config.floatX)
            if activation == theano.tensor.nnet.sigmoid:
                value *= 4
            W = theano.shared(value=value, name='W', borrow=True)
        self.W = W
        self.theano_rng = RandomStreams(rng.randint(2 ** 30))
        self.input = input
        noisy = input * self.theano_rng.binomial(size=input.shape, n=1, p=0.9, dtype=config.floatX)
        self.p = T.nnet.softmax(layer(noisy, self.W))

    def cost(self, y):
        return -T.mean(T.log(self.p)[T.arange(y.shape[0]), y])


def main():
    rng = numpy.random.RandomState(123)
    data = numpy.asarray(rng.randn(60, 5), dtype=config.floatX)
    labels = (data.sum(axis=1) > 0)
    x_all = shared(data, borrow=True)
    y_all = T.cast(shared(numpy.asarray(labels, dtype=config.floatX), borrow=True), 'int32')
    index, x, y = T.lscalar('index'), T.matrix('x'), T.ivector('y')
    lr = T.scalar('lr')
    model = Model(rng, x, 5, 2)
    cost = model.cost(y)
    gW, = T.grad(cost, [model.W])
    train = theano.function(
        inputs=[index, theano.In(lr, value=0.5)], outputs=cost, updates=[(model.W, model.W - lr * gW)],
        givens={x: x_all[index * 20:(index + 1) * 20], y: y_all[index * 20:(index + 1) * 20]})
    first = numpy.mean([train(index=i) for i in range(3)])
    for epoch in range(40):
        last = numpy.mean([train(index=i, lr=1.0) for i in range(3)])
    print('fell', last < 0.7 * first, model.W.dtype, sys.argv[1:], __name__)
    with open('model.pkl', 'wb') as f:
        pickle.dump(model, f)
    with open('model.pkl', 'rb') as f:
        print(pickle.load(f).W.name)


if __name__ == '__main__':
    main()
"""
HELPER = "import theano.tensor as T\n\n\ndef layer(x, W):\n    return T.dot(x, W)\n"


def run(
    folder: Path, text: str, *arguments: str, flags: str = "", options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[Any]:
    (folder / "program.py").write_text(text, encoding="utf-8")
    (folder / "helper.py").write_text(HELPER, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "THEANO_FLAGS": flags}
    return python("-m", "numgraph.compat", "run", *options, "program.py", *arguments, cwd=folder, env=environment)


def test_a_program_runs_unmodified(tmp_path: Path) -> None:
    done = run(tmp_path, PROGRAM, "--epochs", "3", flags="floatX=float32,device=gpu,warn.sum_div_dimshuffle_bug=False")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["fell True float32 ['--epochs', '3'] __main__", "W"]


def test_tracebacks_show_the_programs_lines(tmp_path: Path) -> None:
    done = run(tmp_path, "import theano\nimport theano.tensor as T\n\n\nT.nnet.conv.ConvOp(T.dmatrix('x'), 1)\n")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback") and "program.py" in lines[1] and "line 5" in lines[1]
    assert lines[-1].startswith("NotImplementedError: theano.tensor.nnet.conv.ConvOp is not there")
    assert "runpy" not in done.stderr


def test_exit_statuses_pass(tmp_path: Path) -> None:
    assert run(tmp_path, "import sys\nsys.exit(7)\n").returncode == 7


def test_advice(tmp_path: Path) -> None:
    cases = {
        "import theano.sandbox.nothing\n": "no module theano.sandbox.nothing",
        "from theano.tensor import nothing\n": "no such name in theano.tensor;",
        "print 'hello'\n": "Python 2",
        "for i in xrange(3): pass\n": "xrange is a name of Python 2",
        "import cPickle\n": "cPickle is a module of Python 2",
        "import sys\nsys.modules['six'] = None\nfrom six.moves import cPickle\n": "pip install six",
    }
    for text, advice in cases.items():
        done = run(tmp_path, text)
        assert done.returncode == 1 and advice in done.stderr.splitlines()[-1], done.stderr


def test_a_real_theano_is_not_replaced(tmp_path: Path) -> None:
    program = "import sys, types\nsys.modules['pytensor'] = types.ModuleType('pytensor')\n"
    program += "from numgraph.compat.run import install\ninstall()\n"
    done = python("-c", program, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and "pytensor is imported already" in done.stderr


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = python(
        "-m", "numgraph.compat", "run", "nothing.py", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 2 and "there is no file nothing.py" in done.stderr


OLD = """
import inspect
import numpy as np
import theano.tensor as T

if True:
    {first}
from collections import Iterable
assert isinstance([], Iterable) and inspect.getargspec(lambda a, b=1: a) == (["a", "b"], None, None, (1,))
assert np.cast["float32"](1).dtype == "float32" and np.product([2, 3]) == 6
assert np.int is int and np.bool in (bool, np.bool_)
print(T.sum(np.ones(3)).eval())
"""


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("collections.Iterable", "from collections import Iterable"), ("numpy.int", "np.int(3)"),
        ("inspect.getargspec", "inspect.getargspec(len)"), ("numpy.cast", "np.cast"),
    ],
)  # fmt: skip
def test_a_name_of_that_time_says_how_it_comes_back(tmp_path: Path, name: str, line: str) -> None:
    plain = run(tmp_path, OLD.format(first=line))
    assert plain.returncode == 1 and f"{name} was there in older versions: --old-names" in plain.stderr


def test_names_of_that_time_come_back(tmp_path: Path) -> None:
    made = run(tmp_path, OLD.format(first="pass"), options=("--old-names",))
    assert made.returncode == 0 and made.stdout.split() == ["3.0"], made.stderr


LISTS = """
import numpy as np
import theano
import theano.tensor as T

x, y = T.dvectors("x", "y")
held = np.array([x, y])
assert held.dtype == object and held[0] is x and held[1] is y
made = theano.function([x, y], [np.prod([x, y, 3]), np.sum((x, y, x))])
print(*(v.tolist() for v in made([1.0, 2.0], [4.0, 5.0])))
try:
    np.asarray(x, dtype="float64")
except TypeError as error:
    print("no value before a function computes it" in str(error))
"""


def test_numpy_multiplies_and_adds_a_list_of_variables(tmp_path: Path) -> None:
    """As objects, which they are to NumPy in Theano."""
    made = run(tmp_path, LISTS)
    assert made.returncode == 0 and made.stdout.splitlines() == ["[12.0, 30.0] [6.0, 9.0]", "True"], made.stderr
