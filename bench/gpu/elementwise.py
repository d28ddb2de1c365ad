"""The elementwise chain by other libraries on the same device, each as it fuses: what numgraph is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench import problems
from bench.gpu.tools import Array, Section, relative_error

REPEATS, ATTEMPTS, TOLERANCE = 20, 3, 1e-5


@dataclass
class Chain:
    """run: computes the chain once; wait: waits for the device; result: what was computed, on the host."""

    run: Callable[[], Any]
    wait: Callable[[], Any]
    result: Callable[[], Array]


def torch_chain(x: Array, y: Array) -> Chain:
    """PyTorch, operation by operation: a compilation takes longer than the section has."""
    torch = import_module("torch")
    a, b = (torch.from_numpy(v).to("cuda") for v in (x, y))
    return Chain(
        lambda: problems.chain(torch, a, b),
        torch.cuda.synchronize,
        lambda: problems.chain(torch, a, b).cpu().numpy(),
    )


def jax_chain(x: Array, y: Array) -> Chain:
    """JAX, compiled."""
    jax = import_module("jax")
    if jax.default_backend() != "gpu":
        raise LookupError("JAX finds no GPU")
    a, b = jax.numpy.asarray(x), jax.numpy.asarray(y)
    f = jax.jit(lambda u, v: problems.chain(jax.numpy, u, v))
    last = [f(a, b)]

    def run() -> None:
        last[0] = f(a, b)

    return Chain(run, lambda: last[0].block_until_ready(), lambda: last[0].__array__())


def cupy_chain(x: Array, y: Array) -> Chain:
    """CuPy, fused."""
    cupy = import_module("cupy")
    a, b = cupy.asarray(x), cupy.asarray(y)
    f = cupy.fuse()(lambda u, v: problems.chain(cupy, u, v))
    return Chain(lambda: f(a, b), cupy.cuda.Device().synchronize, lambda: cupy.asnumpy(f(a, b)))


OTHERS: dict[str, Callable[[Array, Array], Chain]] = {"PyTorch": torch_chain, "JAX": jax_chain, "CuPy": cupy_chain}


def compared(found: Section, x: Array, y: Array, want: Array) -> dict[str, float]:
    """Seconds of those libraries that are installed and right; the facts say why others are missing."""
    took = {}
    for name, make in OTHERS.items():
        try:
            chain = make(x, y)
            error = relative_error(chain.result(), want)
        except Exception as problem:  # not installed, or broken in whatever way
            found.facts[name] = f"{type(problem).__name__}: {problem}"
            continue
        if error > TOLERANCE:
            found.facts[name] = f"wrong: relative error {error:.2g}"
        else:
            took[name] = seconds(chain)
    return took


def seconds(chain: Chain) -> float:
    """The least time of one of many in a row."""
    chain.wait()
    best = float("inf")
    for _ in range(ATTEMPTS):
        began = time.perf_counter()
        for _ in range(REPEATS):
            chain.run()
        chain.wait()
        best = min(best, (time.perf_counter() - began) / REPEATS)
    return best
