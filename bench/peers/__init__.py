"""The libraries that are compared, one module each. A module imports its library when it is imported, and nothing else.

A peer's module has `build(kind, sizes, threads, option) -> Program`, and raises NotOffered for what the library has no
answer to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench import training
from bench.kinds import Sizes


class NotOffered(Exception):
    """The library does not do this; the text says why."""


def _nothing() -> None:
    return None


def _no_state() -> list[Any]:
    return []


@dataclass
class Program:
    """What a peer makes of a problem.

    call: one call; what it returns is ready for use. arguments: those of successive calls, which start again at the
    end. sweep(n): the calls with the first n arguments in whatever way the library does many steps best; returns their
    outputs. loops: that is a loop over `call`. reset, state: set and get what calls change. how, sweep_how: the idiom,
    for the report. given(n): of steps that draw, the outputs of n calls with the numbers of `bench.training.reference`.
    """

    call: Callable[..., Any]
    arguments: Sequence[tuple[Any, ...]]
    how: str
    sweep: Callable[[int], Any] | None = None
    sweep_how: str = ""
    reset: Callable[[], None] = _nothing
    state: Callable[[], list[Any]] = _no_state
    loops: bool = False
    given: Callable[[int], Any] | None = None

    def looped(self, why: str) -> Program:
        """This program, sweeping by a Python loop over its calls."""

        def sweep(count: int) -> list[Any]:
            return [self.call(*arguments) for arguments in self.arguments[:count]]

        self.sweep, self.sweep_how, self.loops = sweep, why, True
        return self


@dataclass(frozen=True)
class Peer:
    """A way to use a library. module: within bench.peers. packages: whose versions matter; the first must be installed.

    caches: environment variables (or formats of one) that place its cache of compiled code; empty if it has none.
    differentiates: it makes the gradient and the step itself. compiles: something is compiled at run time.
    """

    name: str
    label: str
    module: str
    packages: tuple[str, ...]
    option: str = ""
    caches: tuple[tuple[str, str], ...] = ()
    differentiates: bool = True
    compiles: bool = True


_JAX_CACHE = (
    ("JAX_COMPILATION_CACHE_DIR", "{}/jax"),
    ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0"),
    ("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1"),
)
_PYTENSOR_CACHE = (("PYTENSOR_FLAGS", "floatX=float32,base_compiledir={}/pytensor"), ("NUMBA_CACHE_DIR", "{}/numba"))
_INDUCTOR_CACHE = (("TORCHINDUCTOR_CACHE_DIR", "{}/inductor"), ("TORCHINDUCTOR_FX_GRAPH_CACHE", "1"))

# What numgraph is installed as.
DISTRIBUTION = "numgraph-compiler"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "numgraph",
            "numgraph",
            "with_numgraph",
            (DISTRIBUTION, "numba", "llvmlite"),
            caches=(("NUMGRAPH_CACHE_DIR", "{}/numgraph"), ("NUMBA_CACHE_DIR", "{}/numba")),
        ),
        Peer("numpy", "NumPy by hand", "with_numpy", ("numpy",), differentiates=False, compiles=False),
        Peer("scipy", "SciPy", "with_scipy", ("scipy",), differentiates=False, compiles=False),
        Peer("scipy-1", "SciPy, 1 worker", "with_scipy", ("scipy",), option="1", differentiates=False, compiles=False),
        Peer("jax", "JAX", "with_jax", ("jax", "jaxlib"), caches=_JAX_CACHE),
        Peer("torch", "PyTorch eager", "with_torch", ("torch",), compiles=False),
        Peer("torch.compile", "torch.compile", "with_torch", ("torch",), option="compile", caches=_INDUCTOR_CACHE),
        Peer("pytensor", "PyTensor default", "with_pytensor", ("pytensor",), caches=_PYTENSOR_CACHE),
        Peer("pytensor-c", "PyTensor C", "with_pytensor", ("pytensor",), option="CVM", caches=_PYTENSOR_CACHE),
        Peer("numexpr", "numexpr", "with_numexpr", ("numexpr",), differentiates=False, compiles=False),
    )
}

# On an NVIDIA GPU; each takes one that is there, or is not offered.
GPU_PEERS = {
    peer.name: peer
    for peer in (
        Peer("numgraph-cuda", "numgraph on the GPU", "with_numgraph", (DISTRIBUTION, "cuda-bindings"), option="cuda"),
        Peer("numgraph-sim", "numgraph, simulated", "with_numgraph", (DISTRIBUTION,), option="cuda-sim"),
        Peer("torch-cuda", "PyTorch eager", "with_torch", ("torch",), option="cuda"),
        Peer("torch-cuda-compile", "torch.compile", "with_torch", ("torch",), option="cuda compile"),
        Peer("torch-cuda-graphs", "PyTorch in a CUDA graph", "with_torch", ("torch",), option="cuda graphs"),
        Peer("jax-cuda", "JAX, scan", "with_jax", ("jax", "jaxlib"), option="cuda"),
    )
}

# Only in the training steps of `bench.training`.
LAYER_PEERS = {
    peer.name: peer
    for peer in (Peer("torch.nn", "PyTorch's own layer", "with_torch", ("torch",), option="layer", compiles=False),)
}


def named(name: str) -> Peer:
    """The peer of that name."""
    return (PEERS | GPU_PEERS | LAYER_PEERS)[name]


def build(peer: Peer, kind: str, sizes: Sizes, threads: int) -> Program:
    """The peer's program; ImportError where its library is missing, NotOffered, or whatever the library raises."""
    folder = "training" if kind in training.KINDS else "peers"
    if peer.module not in training.MODULES and folder == "training":
        raise NotOffered("no training steps with loops")
    if peer.name in LAYER_PEERS and folder == "peers":
        raise NotOffered("no layer of that kind")
    made: Program = import_module(f"bench.{folder}.{peer.module}").build(kind, sizes, threads, peer.option)
    return made
