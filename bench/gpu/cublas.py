"""cuBLAS through whichever library is there, in true float32: the product that ours is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

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
    """PyTorch's, CuPy's or nvmath's cuBLAS, the first that works."""
    for make in (_torch, _cupy, _nvmath):
        try:
            return make(device)
        except Exception:
            continue
    return None


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


def _nvmath(device: Device) -> Cublas:
    import numpy as np

    from numgraph.cuda.array import empty

    blas = import_module("nvmath.bindings.cublas")
    handle = blas.create()
    blas.set_stream(handle, device.stream)
    one, zero = np.ones(1, "float32"), np.zeros(1, "float32")

    def product(m: int, n: int, k: int) -> Callable[[], Any]:
        a, b, out = (empty(device, s, "float32") for s in ((m, k), (k, n), (m, n)))

        def run() -> None:
            # column-major: the transposes of all three
            for _ in range(REPEATS):
                blas.sgemm(handle, 0, 0, n, m, k, one.ctypes.data, b.address, n, a.address, k, zero.ctypes.data,
                           out.address, n)  # fmt: skip

        return run

    product(8, 8, 8)()
    return Cublas("nvmath.bindings.cublas, no graph", product, device.wait)
