"""SciPy: `scipy.fft`, which divides rows among as many workers as it is asked for."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

from scipy import fft

from bench import problems
from bench.peers import NotOffered, Program
from bench.problems import Sizes


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """Calls of `scipy.fft`. option: the number of workers, empty for that of the threads."""
    if kind not in problems.TRANSFORMS:
        raise NotOffered("Fourier transforms only")
    workers = int(option or threads)
    names = {name: partial(getattr(fft, name), workers=workers) for name in ("rfft", "irfft")}
    maths = SimpleNamespace(fft=SimpleNamespace(**names))
    formula = problems.FORMULAS[kind]
    return Program(lambda *a: formula(maths, *a), [tuple(problems.data(kind, sizes))], f"scipy.fft, workers={workers}")
