"""cuBLAS through numgraph, or whichever library is there, in true float32: what our own product is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bench.gpu.cases import draw
from bench.gpu.tools import placed
from numgraph.cuda.array import empty
from numgraph.cuda.blas import product_of
from numgraph.cuda.device import Device

REPEATS, ATTEMPTS = 20, 3


@dataclass
class Product:
    """`draw(m, k) @ draw(k, n, seed=1)`. run: multiplies REPEATS times; result: waits, and gives the array."""

    run: Callable[[], Any]
    result: Callable[[], Any]


class Cublas:
    """product(m, n, k) makes a `Product`, wait() waits for what runs. how: which library."""

    def __init__(self, how: str, product: Callable[[int, int, int], Product], wait: Callable[[], Any]) -> None:
        self.how, self.product, self.wait = how, product, wait

    def seconds(self, product: Product) -> float:
        """The least time of a product, of many in a row."""
        product.run()
        self.wait()
        best = float("inf")
        for _ in range(ATTEMPTS):
            began = time.perf_counter()
            product.run()
            self.wait()
            best = min(best, (time.perf_counter() - began) / REPEATS)
        return best


def factors(m: int, n: int, k: int) -> tuple[Any, Any]:
    """The factors of a product."""
    return draw(m, k), draw(k, n, seed=1)


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

    def product(m: int, n: int, k: int) -> Product:
        a, b = (placed(device, f) for f in factors(m, n, k))
        out = empty(device, (m, n), "float32")
        asked: Any = product_of("float32", (out.address, a.address, b.address), (m, n, k, k, 1, n, 1))

        def multiply(times: int) -> None:
            for _ in range(times):
                device.multiply(asked)

        # what cuBLAS does at the first product of a shape does not belong into a recording
        multiply(1)
        recording = device.record(lambda: multiply(REPEATS))
        return Product(lambda keep=(a, b, out): recording.replay(), lambda: out.__array__())

    product(8, 8, 8).run()
    device.wait()
    return Cublas("numgraph", product, device.wait)


def _torch(device: Device) -> Cublas:
    """In a CUDA graph, as ours are: small products are not about the host."""
    torch = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = False

    def product(m: int, n: int, k: int) -> Product:
        a, b = (torch.from_numpy(f).to("cuda") for f in factors(m, n, k))
        out = torch.empty((m, n), device="cuda")
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            torch.mm(a, b, out=out)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(REPEATS):
                torch.mm(a, b, out=out)
        return Product(lambda keep=(a, b, out): graph.replay(), lambda: out.cpu().numpy())

    made = Cublas(f"PyTorch {torch.__version__}", product, torch.cuda.synchronize)
    product(8, 8, 8).run()
    torch.cuda.synchronize()
    return made


def _cupy(device: Device) -> Cublas:
    cupy = import_module("cupy")

    def product(m: int, n: int, k: int) -> Product:
        a, b = map(cupy.asarray, factors(m, n, k))
        out = cupy.empty((m, n), "float32")

        def run() -> None:
            for _ in range(REPEATS):
                cupy.matmul(a, b, out=out)

        return Product(run, lambda: cupy.asnumpy(out))

    product(8, 8, 8).run()
    return Cublas(f"CuPy {cupy.__version__}, no graph", product, cupy.cuda.Device().synchronize)
