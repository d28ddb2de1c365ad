"""A CUDA device through the driver: one stream, memory in its order, recordings as CUDA graphs.

Locks: every call holds the device's lock while it talks to the driver, never while it waits. Finalizers do not take
the lock unless it is free; what they give back is given back by the next call. After a fork the child's device says so
in an error, since the driver does not work there; at exit nothing is given back.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from numgraph.binder import Counts
from numgraph.config import config
from numgraph.cuda import blas, compiler
from numgraph.cuda.bindings import Bindings, CudaBindings, Handle, Refused
from numgraph.cuda.device import CUDA, Array, Blas, Lengths, Parameters, Product
from numgraph.cuda.kernel import CudaKernel, checked_lengths
from numgraph.cuda.recording import CudaRecording
from numgraph.cuda.staging import SMALL, Staging
from numgraph.cuda.use import Use
from numgraph.errors import DeviceError, DeviceMemoryError, LaunchError, NumgraphError

# A wait asks again and again for this long, since most are short, and then sleeps in between.
EAGER, NAP = 0.002, 0.0002


class CudaDevice:
    """The device with a number, see `numgraph.cuda.device.Device`. compile: from functions to machine code.

    DeviceError where it cannot be used.
    """

    asynchronous = True

    def __init__(
        self, bindings: Bindings, number: int = 0, compile: Callable[..., compiler.Cubin] = compiler.compile_cubin
    ) -> None:
        self.bindings, self.compile = bindings, compile
        try:
            about = bindings.open(number)
        except Refused as error:
            raise DeviceError(
                f"CUDA device {number} cannot be used: {error}\n  fix: see what nvidia-smi says"
            ) from None
        self.name, self.capability, self.multiprocessors = about.name, about.capability, about.multiprocessors
        self.driver = about.driver
        self.counts = Counts()
        self.dlpack = bindings.kind, number if bindings.kind == CUDA else 0
        self.stream = bindings.stream
        self.kernels: WeakKeyDictionary[Callable[..., Any], dict[Any, CudaKernel]] = WeakKeyDictionary()
        self.lock = threading.RLock()
        self.use = Use(self)
        # launches since the recording under way began; None when there is none
        self.recorded: int | None = None
        # False at exit and in the child of a fork
        self.usable = True
        self.returned: deque[int] = deque()
        self.dropped: deque[tuple[Handle, Handle]] = deque()
        self.left: deque[tuple[Any, int]] = deque()
        self.events: list[Handle] = []
        self.buffers: list[int] = []
        with self.lock, self.use:
            self.staging = Staging(bindings, self._until)
        _DEVICES.add(self)

    @cached_property
    def blas(self) -> Blas | None:
        """See `Device`."""
        with self.lock, self.use:
            return blas.find(self)

    # -- memory -------------------------------------------------------------------------------------------------------

    def allocate(self, size: int) -> int:
        """See `Device`. Before it fails, what is garbage is collected and the device waited for."""
        with self.lock, self.use:
            self.nothing_recorded("memory is allocated")
            try:
                address = self.bindings.allocate(max(size, 1))
            except Refused as error:
                if "OUT_OF_MEMORY" not in error.status:
                    raise
                address = self._second_try(max(size, 1))
            self.counts.allocations += 1
            return address

    def _second_try(self, size: int) -> int:
        gc.collect()
        self.give_back()
        self.bindings.synchronize()
        try:
            return self.bindings.allocate(size)
        except Refused as error:
            if "OUT_OF_MEMORY" not in error.status:
                raise
            free, total = self.bindings.memory()
            raise DeviceMemoryError(
                f"{self.name}: {amount(size)} of memory were asked for, {amount(free)} of {amount(total)} are free\n"
                "  fix: smaller minibatches or fewer resident arrays; nvidia-smi lists other programs on the device"
            ) from None

    def release(self, address: int) -> None:
        """See `Device`."""
        self.returned.append(address)
        self._tidy()

    def discard(self, graph: Handle, executable: Handle) -> None:
        """Give back a graph and its executable form; never waits for the lock, never raises."""
        self.dropped.append((graph, executable))
        self._tidy()

    def let_go(self, owner: Any, stream: int) -> None:
        """See `Device`."""
        self.left.append((owner, stream))
        self._tidy()

    def _tidy(self) -> None:
        """Give back now if no other thread talks to the driver; else its next call will."""
        if not self.usable:
            return
        # RuntimeError: there was nothing to release
        with suppress(RuntimeError, NumgraphError):
            try:
                if self.lock.acquire(blocking=False):
                    with self.use:
                        pass
            finally:
                self.lock.release()

    def give_back(self) -> None:
        """What finalizers have left: memory in the stream's order, graphs once the device is past them."""
        while self.left:
            owner, stream = self.left.popleft()
            try:
                self._after(stream)
            except Refused:
                # a stream that is gone, perhaps: whatever was asked of it
                self.bindings.finish()
            # what it keeps alive comes back now, behind what the other stream does with it
            del owner
        while self.returned:
            self.bindings.free(self.returned.popleft())
        if self.dropped:
            self.bindings.synchronize()
        while self.dropped:
            self.bindings.drop(*self.dropped.popleft())

    def upload(self, address: int, array: Array) -> None:
        """See `Device`. Up to 64 KiB go through pinned memory; for more, the host waits until they are there."""
        assert array.flags.c_contiguous, "upload takes contiguous arrays"
        size = array.nbytes
        with self.lock, self.use:
            self.nothing_recorded("an array is uploaded")
            if size == 0:
                return
            if size <= SMALL:
                self.staging.send(address, array.data)
            else:
                self.bindings.to_device(address, array.ctypes.data, size)
            self.counts.bytes_in += size
        if size > SMALL:
            self._settle()

    def download(self, address: int, array: Array) -> None:
        """See `Device`."""
        assert array.flags.c_contiguous and array.flags.writeable, "download takes contiguous, writable arrays"
        size = array.nbytes
        if size > SMALL or not size:
            self._receive(array.ctypes.data, address, size)
            return
        try:
            buffer = self.buffers.pop()
        except IndexError:
            with self.lock, self.use:
                buffer = self.bindings.host(SMALL)
        try:
            self._receive(buffer, address, size)
            ctypes.memmove(array.ctypes.data, buffer, size)
        finally:
            self.buffers.append(buffer)

    def _receive(self, to: int, address: int, size: int) -> None:
        with self.lock, self.use:
            self.nothing_recorded("an array is downloaded")
            if size:
                self.bindings.to_host(to, address, size)
            self.counts.bytes_out += size
        self._settle()

    def _settle(self) -> None:
        """Wait for a copy from or to the caller's memory, which may be gone after an interrupt: that waits, too."""
        try:
            self.wait()
        except BaseException:
            with suppress(NumgraphError), self.lock, self.use:
                self.bindings.synchronize()
            raise

    def clear(self, address: int, size: int) -> None:
        """See `Device`."""
        if size:
            with self.lock, self.use:
                self.bindings.fill(address, size)

    def copy(self, to: int, source: int, size: int) -> None:
        """See `Device`."""
        if size:
            with self.lock, self.use:
                self.bindings.on_device(to, source, size)

    # -- kernels ------------------------------------------------------------------------------------------------------

    def load(
        self,
        function: Callable[..., Any],
        signature: tuple[str, ...],
        max_threads: int | None = None,
        min_blocks: int = 1,
        together: bool = False,
    ) -> CudaKernel:
        """See `Device`."""
        with self.lock, self.use:
            self.nothing_recorded("a kernel is loaded")
            known = self.kernels.setdefault(function, {})
            key = signature, max_threads, min_blocks, together
            kernel = known.get(key)
            if kernel is None:
                limits: dict[str, Any] = {"max_threads": max_threads, "min_blocks": min_blocks}
                made = self.compile(function, signature, self.capability, **limits)
                handle = self.bindings.load(made.code, made.entry)
                kernel = known[key] = CudaKernel(function.__name__, signature, handle, made, together)
            return kernel

    def launch(self, kernel: CudaKernel, grid: Lengths, block: Lengths, parameters: Parameters) -> None:
        """See `Device`."""
        with self.lock, self.use:
            blocks, threads = checked_lengths(kernel.name, grid, block)
            kernel.pack(parameters)
            try:
                self.bindings.launch(kernel.handle, blocks, threads, kernel.address, kernel.together)
            except Refused as error:
                raise self.failed(error, f"the launch of {kernel.name}, grid {grid}, block {block}") from None
            self._launched(kernel.name)

    def multiply(self, product: Product) -> None:
        """See `Device`."""
        assert self.blas is not None, "there is nothing that multiplies"
        what = f"a product by cuBLAS, ({product.m}, {product.k}) @ ({product.k}, {product.n}), column-major,"
        with self.lock, self.use:
            try:
                self.blas.multiply(product)
            except Refused as error:
                raise self.failed(error, what) from None
            self._launched(what)

    def _launched(self, what: str) -> None:
        """Count something that was just launched."""
        if self.recorded is not None:
            self.recorded += 1
            return
        self.counts.launches += 1
        self.checked(what)

    def record(self, launches: Callable[[], None]) -> CudaRecording:
        """See `Device`. Other threads wait until the recording is over."""
        with self.lock, self.use:
            self.nothing_recorded("another recording begins")
            self.bindings.begin()
            self.recorded = 0
            try:
                launches()
            except BaseException:
                self.recorded = None
                # an error of the recording itself would hide the one that broke it
                with suppress(Refused):
                    self.bindings.drop(self.bindings.end(), None)
                raise
            count, self.recorded = self.recorded, None
            return CudaRecording(self, self.bindings.end(), count)

    # -- order --------------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """See `Device`."""
        with self.lock, self.use:
            self.nothing_recorded("the device is waited for")
            event = self._event()
            self.bindings.mark(event)
        try:
            self._until(event)
        finally:
            self.events.append(event)

    def before(self, stream: int) -> None:
        """See `Device`."""
        with self.lock, self.use:
            self.nothing_recorded("an array is handed over")
            event = self._event()
            self.bindings.mark(event)
            self.bindings.follow(event, stream)
            self.events.append(event)

    def after(self, stream: int) -> None:
        """See `Device`."""
        with self.lock, self.use:
            self.nothing_recorded("an array is taken over")
            self._after(stream)

    def _after(self, stream: int) -> None:
        event = self._event()
        try:
            self.bindings.mark(event, stream)
            self.bindings.follow(event)
        finally:
            self.events.append(event)

    def _event(self) -> Handle:
        return self.events.pop() if self.events else self.bindings.event()

    def _until(self, event: Handle) -> None:
        """Wait for an event, in steps that let Ctrl-C and other threads in."""
        eager = time.perf_counter() + EAGER
        while True:
            with self.lock, self.use:
                if self.bindings.passed(event):
                    return
            if time.perf_counter() > eager:
                time.sleep(NAP)

    # -- failures -----------------------------------------------------------------------------------------------------

    def nothing_recorded(self, what: str) -> None:
        """DeviceError within `record`: other threads do not get here while it holds the lock."""
        if self.recorded is not None:
            raise DeviceError(
                f"{what} while launches are recorded\n  fix: load kernels, allocate and copy before the recording"
            )

    def checked(self, what: str) -> None:
        """With `config.cuda_wait`, wait for what was just launched; LaunchError names it."""
        if config.cuda_wait:
            try:
                self.bindings.synchronize()
            except Refused as error:
                raise self.failed(error, what) from None

    def failed(self, error: Refused, what: str = "") -> LaunchError:
        """The error for a refusal of the driver. what: was going on, where that is known."""
        where = what or "something launched earlier, perhaps long before"
        fix = "" if what else "\n  fix: ng.config.cuda_wait = True waits for each launch and names the one that fails"
        return LaunchError(f"{self.name}: {where} failed: {error.status} ({error.text}), said by {error.call}{fix}")

    def forked(self) -> None:
        """In the child of a fork: whatever is asked for is refused from now on."""
        self.usable, self.bindings, self.recorded = False, _Forked(self.name), None
        self.lock, self.use = threading.RLock(), Use(self)


class _Forked:
    """In place of the bindings in the child of a fork."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, call: str) -> Any:
        raise DeviceError(
            f"{self.name}: CUDA was used before this process was forked, and does not work in the child\n"
            '  fix: start processes with multiprocessing\'s "spawn", or use CUDA only in the children'
        )


def amount(size: int) -> str:
    """`1.5 GiB`, `100 bytes`."""
    for unit, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << unit:
            return f"{size / (1 << unit):.1f} {name}"
    return f"{size} bytes"


_DEVICES: WeakSet[CudaDevice] = WeakSet()
_OPEN: dict[int, CudaDevice] = {}
_OPENING = threading.Lock()


def device(number: int = 0) -> CudaDevice:
    """The CUDA device with that number, opened once per process.

    DeviceError, with what to do, when packages, driver or device are missing.
    """
    with _OPENING:
        if number not in _OPEN:
            problem = compiler.missing("run")
            if problem is not None:
                raise DeviceError(f'target "cuda": {problem}')
            _OPEN[number] = CudaDevice(CudaBindings(), number)
        return _OPEN[number]


def adopt(new: CudaDevice, number: int = 0) -> None:
    """Have `device(number)` give this one: a device on other bindings, or with machine code from elsewhere."""
    with _OPENING:
        _OPEN[number] = new


def _at_exit() -> None:
    """The driver may be gone before the last arrays are: nothing is given back from now on."""
    for each in list(_DEVICES):
        each.usable = False


def _after_fork() -> None:
    global _OPENING
    _OPENING = threading.Lock()
    for each in list(_DEVICES):
        each.forked()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
