"""Runs in a process of its own whose libcuda is `fakecuda.c`: numgraph's driver class on the real cuda-bindings.

Each function here is a case; `python child.py NAME...` runs some. Kernels are run by the simulator.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.cuda.array import DeviceArray
from numgraph.cuda.compiler import Cubin
from numgraph.cuda.driver import CudaDevice, device
from numgraph.cuda.recording import BATCH
from numgraph.cuda.simulator import simulate
from numgraph.errors import IndexOutOfRange, LaunchError

LIBRARY = ctypes.CDLL("libcuda.so.1")
LIBRARY.fake_log.restype = ctypes.c_char_p
Lengths, Pointers = ctypes.POINTER(ctypes.c_uint), ctypes.POINTER(ctypes.c_void_p)
Begin = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, Lengths, Pointers)
Run = ctypes.CFUNCTYPE(None, ctypes.c_int)
# Kernels by the names under which the driver has them, launches by their numbers, what went wrong in them.
KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {}
LAUNCHES: list[Callable[[], None]] = []
PROBLEMS: list[BaseException] = []


def compile_for_the_fake(
    function: Callable[..., Any], signature: tuple[str, ...], capability: Any, **limits: Any
) -> Cubin:
    """In place of `compiler.compile_cubin`: the driver looks at the first bytes only."""
    entry = f"{function.__name__}_{len(KERNELS)}"
    KERNELS[entry] = function, tuple(signature)
    return Cubin(b"\x7fELF", entry, 1, 0, 0, 0, "")


@Begin
def begin(name: bytes, lengths: Any, parameters: Any) -> int:
    """Note what a launch is to do: its parameters are those of now."""
    function, signature = KERNELS[name.decode()]
    grid, block = tuple(lengths[0:3]), tuple(lengths[3:6])
    words = [ctypes.string_at(parameters[k], 8) for k in range(len(signature))]

    def run() -> None:
        arguments = []
        for word, kind in zip(words, signature, strict=True):
            if kind.endswith("*"):
                address = int.from_bytes(word, "little")
                memory = (ctypes.c_char * (1 << 18)).from_address(address)
                arguments.append(np.frombuffer(memory, kind[:-1]))
            else:
                arguments.append(np.frombuffer(word, kind, 1)[0])
        simulate(function, grid, block, arguments, races=False)

    LAUNCHES.append(run)
    return len(LAUNCHES) - 1


@Run
def run(number: int) -> None:
    """Do what a launch is to do."""
    try:
        LAUNCHES[number]()
    except BaseException as problem:
        PROBLEMS.append(problem)


def opened() -> CudaDevice:
    """The device, as `target="cuda"` finds it."""
    found = device()
    found.compile = compile_for_the_fake
    return found


def alive() -> list[int]:
    """How many allocations, graphs and executable graphs there are, once what is garbage is given back."""
    gc.collect()
    device().wait()
    found = (ctypes.c_long * 3)()
    LIBRARY.fake_alive(found)
    return list(found)


def log(*wanted: str) -> list[str]:
    """The calls of those names since the last `fake_forget`, with their numbers."""
    lines = LIBRARY.fake_log().decode().splitlines()
    return [line for line in lines if line.split()[0] in wanted]


# -- cases ------------------------------------------------------------------------------------------------------------


def training() -> None:
    """A model, called and swept, against the reference; nothing is left of it."""
    before = alive()
    rng = np.random.default_rng(0)
    data, labels = rng.standard_normal((20, 9)).astype("float32"), rng.integers(0, 3, 20).astype("int32")

    def build(target: str) -> tuple[Any, Any]:
        x, y, index = ng.matrix("x", "float32"), ng.vector("y", "int32"), ng.lscalar("index")
        tx, ty, w = ng.shared(data, "tx"), ng.shared(labels, "ty"), ng.shared(np.zeros((9, 3), "float32"), "w")
        p = ng.softmax(ng.dot(x, w), axis=1)
        cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
        window = slice(index * 6, (index + 1) * 6)
        updates = [(w, w - 0.13 * ng.grad(cost, w))]
        return ng.function([index], cost, updates=updates, givens={x: tx[window], y: ty[window]}, target=target), w

    (f, w), (g, v) = build("cuda"), build("reference")
    for i in (0, 1, 2, 3, 0):
        np.testing.assert_allclose(float(f(i)), g(i), rtol=1e-5)
    steps = [0, 1, 2, 3] * 9
    np.testing.assert_allclose(f.sweep(index=steps), [g(i) for i in steps], rtol=1e-4)
    np.testing.assert_allclose(w.get_value(), v.get_value(), rtol=1e-4, atol=1e-6)
    del f, w, g, v
    assert [now - then for now, then in zip(alive(), before, strict=True)][1:] == [0, 0]


def together() -> None:
    """A recurrent layer: one launch of blocks that wait for one another, as many as there are multiprocessors."""
    rng = np.random.default_rng(0)
    X, U = (rng.standard_normal(shape).astype("float32") * 0.1 for shape in ((3, 4, 80), (80, 80)))

    def build(target: str) -> Any:
        x, u = ng.tensor3("x", "float32"), ng.shared(U, "u")
        h, _ = ng.scan(lambda v, h: ng.tanh(v + h @ u), x, ng.zeros((4, 80), "float32"))
        return ng.function([x], ng.sum(h[-1]), target=target)

    f, g = build("cuda"), build("reference")
    # the second call records the launch that the third one replays, too
    for wanted in (["together 4"], ["together 4"], []):
        LIBRARY.fake_forget()
        np.testing.assert_allclose(np.asarray(f(X)), g(X), rtol=1e-5, atol=1e-6)
        assert log("together") == wanted
    kernel = opened().load(spread, ("float32*",), 32, 1, True)
    try:
        opened().launch(kernel, 5, 32, (0,))
    except LaunchError as error:
        assert "COOPERATIVE_LAUNCH_TOO_LARGE" in str(error)
    else:
        raise AssertionError("five blocks are on four multiprocessors")


def spread(out: Any) -> None:
    """A kernel."""
    out[0] = 1


def failed_checks() -> None:
    """An index out of range is told when the result is read, and nothing is changed."""
    s = ng.shared(np.array([1]), "s")
    x = ng.shared(np.arange(3, dtype="float32"), "x")
    f = ng.function([], x[s[0]], updates=[(s, s + 5)], target="cuda")
    assert float(f()) == 1
    late = f()
    try:
        float(late)
    except IndexOutOfRange as error:
        assert "index 6 is out of range for an axis of length 3" in str(error)
    else:
        raise AssertionError("nothing was refused")
    assert s.get_value().tolist() == [6]


def cycles() -> None:
    """A result that dies in a reference cycle is not given back while the pool has it."""
    s = ng.shared(np.arange(3, dtype="float32"), "s")
    f = ng.function([], ng.sum(s), target="cuda")
    result = f()
    address, cycle = result.address, [result]
    cycle.append(cycle)  # type: ignore[arg-type]
    del result, cycle
    LIBRARY.fake_forget()
    assert alive() and f"free {address}" not in log("free")
    again = f()
    assert again.address == address and float(again) == 3


def recordings() -> None:
    """One that fails leaves no graph, whatever it is that fails."""
    here = opened()
    before = alive()
    for call in ("end", "ready", "upload"):
        LIBRARY.fake_refuse(call.encode(), 2)
        try:
            here.record(lambda: None)
        except LaunchError as error:
            assert "CUDA_ERROR_OUT_OF_MEMORY" in str(error)
        else:
            raise AssertionError(call)

    def launches() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with suppress(ZeroDivisionError):
            here.record(launches)
    for call in ("child", "ready"):
        recording = here.record(lambda: None)
        LIBRARY.fake_refuse(call.encode(), 2)
        with suppress(LaunchError):
            recording.replay(2 * BATCH)
        del recording
    left = [now - then for now, then in zip(alive(), before, strict=True)]
    assert left == [0, 0, 0], left


def consumers() -> None:
    """What another library did on its stream comes before what is done with the memory after it has let go."""
    s = ng.shared(np.arange(3, dtype="float32"), "s")
    f = ng.function([], s * 2, target="cuda")
    result: DeviceArray = f()
    assert result.__cuda_array_interface__["stream"] == opened().stream and result.__dlpack_device__() == (2, 0)
    for stream in (None, 1, 2, 4711):
        capsule = result.__dlpack__(stream=stream)
        LIBRARY.fake_forget()
        del capsule
        opened().clear(result.address, 4)
        wanted = [f"mark {stream or 1}", f"follow {opened().stream}", "fill 4"]
        assert log("mark", "follow", "fill") == wanted, log("mark", "follow", "fill")


def limits() -> None:
    """A product with more tiles than an axis of a grid has blocks."""
    x, w = ng.matrix("x", "float32"), ng.matrix("w", "float32")
    f = ng.function([x, w], ng.dot(x, w), target="cuda")
    # nothing is computed
    nothing = Begin(lambda *about: 0), Run(lambda number: None)
    LIBRARY.fake_callbacks(*nothing)
    try:
        f(np.zeros((32 * 65_535 + 1, 1), "float32"), np.zeros((1, 1), "float32"))
    finally:
        LIBRARY.fake_callbacks(begin, run)


def threads() -> None:
    """Calls of several threads, and copies that are too large for the ring."""
    large = np.arange(100_000, dtype="float32")
    s, t = ng.shared(large, "s"), ng.shared(np.arange(5, dtype="float32"), "t")
    ng.function([], s[:3] * 1, target="cuda")()
    np.testing.assert_array_equal(s.get_value(), large)
    f = ng.function([], ng.sum(t), target="cuda")
    found: list[float] = []
    several = [
        threading.Thread(target=lambda: found.extend(float(f()) for _ in range(10)), daemon=True) for _ in range(4)
    ]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join(100)
    assert found == [10.0] * 40


if __name__ == "__main__":
    LIBRARY.fake_callbacks(begin, run)
    opened()
    for case in sys.argv[1:]:
        globals()[case]()
        if PROBLEMS:
            raise PROBLEMS[0]
        print(case, "ok", flush=True)
