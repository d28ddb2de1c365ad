"""cuBLAS through numgraph, or whichever library is there, in true float32: what our own product is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.gpu.cases import draw
from bench.gpu.tools import placed
from numgraph.cuda.array import empty
from numgraph.cuda.blas import product_of
from numgraph.cuda.device import Device

REPEATS, ATTEMPTS = 20, 3


class Cublas:
    """product(m, n, k) makes a function that multiplies REPEATS times, wait() waits for it. how: which library."""

    def __init__(
        self, how: str, product: Callable[[int, int, int], Callable[[], Any]], wait: Callable[[], Any]
    ) -> None:
        self.how, self.product, self.wait = how, product, wait

    def seconds(self, m: int, n: int, k: int) -> float:
        """The least time of a product, of many in a row."""
        run = self.product(m, n, k)
        run()
        self.wait()
        best = float("inf")
        for _ in range(ATTEMPTS):
            began = time.perf_counter()
            run()
            self.wait()
            best = min(best, (time.perf_counter() - began) / REPEATS)
        return best


def find(device: Device) -> Cublas | None:
    """numgraph's cuBLAS, PyTorch's or CuPy's, the first that works."""
    for make in (_numgraph, _torch, _cupy):
        try:
            return make(device)
        except Exception:  # not installed, or broken in whatever way: the next one
            continue
    return None


def _numgraph(device: Device) -> Cublas:
    """As a function runs it: recorded."""
    if device.blas is None:
        raise LookupError("numgraph finds no cuBLAS")

    def product(m: int, n: int, k: int) -> Callable[[], Any]:
        a, b = (placed(device, draw(*s)) for s in ((m, k), (k, n)))
        out = empty(device, (m, n), "float32")
        asked: Any = product_of("float32", (out.address, a.address, b.address), (m, n, k, k, 1, n, 1))

        def multiply(times: int) -> None:
            for _ in range(times):
                device.multiply(asked)

        # what cuBLAS does at the first product of a shape does not belong into a recording
        multiply(1)
        recording = device.record(lambda: multiply(REPEATS))
        return lambda keep=(a, b, out): recording.replay()

    product(8, 8, 8)()
    device.wait()
    return Cublas("numgraph", product, device.wait)


def _torch(device: Device) -> Cublas:
    """In a CUDA graph, as ours are: small products are not about the host."""
    torch = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = False

    def product(m: int, n: int, k: int) -> Callable[[], Any]:
        a, b, out = (torch.rand(*s, device="cuda") for s in ((m, k), (k, n), (m, n)))
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            torch.mm(a, b, out=out)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(REPEATS):
                torch.mm(a, b, out=out)
        return lambda keep=(a, b, out): graph.replay()

    made = Cublas(f"PyTorch {torch.__version__}", product, torch.cuda.synchronize)
    product(8, 8, 8)()
    torch.cuda.synchronize()
    return made


def _cupy(device: Device) -> Cublas:
    cupy = import_module("cupy")

    def product(m: int, n: int, k: int) -> Callable[[], Any]:
        a, b = (cupy.random.rand(*s, dtype="float32") for s in ((m, k), (k, n)))
        out = cupy.empty((m, n), "float32")

        def run() -> None:
            for _ in range(REPEATS):
                cupy.matmul(a, b, out=out)

        return run

    product(8, 8, 8)()
    return Cublas(f"CuPy {cupy.__version__}, no graph", product, cupy.cuda.Device().synchronize)
