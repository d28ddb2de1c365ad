"""What an executor knows of a device, real or simulated: memory by address, kernels, launches, recordings.

Work happens in the order in which it is asked for, on the device's own stream, and the host does not wait for it:
only `download` and `wait` do. Every method may be called from any thread; the calls of one thread stay in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from numgraph.binder import Counts

Array = NDArray[Any]
# Lengths of a grid or of a block: one number, or up to three, x first.
Lengths = int | tuple[int, ...]
Parameters = Sequence[int | float]

# Addresses of allocations are multiples of this, so that whatever is placed in one at such offsets is aligned.
ALIGNMENT = 256
# Of DLPack: memory of the host, memory of a CUDA device.
HOST, CUDA = 1, 2
# Limits of every device since capability 2.0.
MOST_THREADS = 1024
MOST_BLOCKS = (2**31 - 1, 65535, 65535)


@dataclass(frozen=True)
class Copying:
    """Bytes that are copied on the device."""

    to: int
    source: int
    size: int


@dataclass(frozen=True)
class Product:
    """C = alpha * op(A) @ op(B) + beta * C as cuBLAS takes it, of `count` column-major matrices each.

    op(A) is (m, k), op(B) (k, n), C (m, n); a_turned, b_turned: whether op transposes. a, b, c: (address, elements from
    one column to the next, elements from one matrix to the next). With beta = 0, C is not read. tf32: whether elements
    of A and B may be rounded to that.
    """

    dtype: str
    a_turned: bool
    b_turned: bool
    m: int
    n: int
    k: int
    alpha: float
    a: tuple[int, int, int]
    b: tuple[int, int, int]
    beta: float
    c: tuple[int, int, int]
    count: int = 1
    tf32: bool = False


class Blas(Protocol):
    """What computes large products on a device."""

    def multiply(self, product: Product) -> None:
        """Put a product on the device's stream; `bindings.Refused` where the library does."""


class Kernel(Protocol):
    """A kernel that is ready to be launched. signature: the types of its parameters, as "float32*" or "int64"."""

    @property
    def name(self) -> str:
        """The function's name, for messages."""

    @property
    def signature(self) -> tuple[str, ...]:
        """The types of the parameters."""


class Recording(Protocol):
    """Launches that were recorded once and are replayed in one piece. It does not keep the memory alive that it uses.

    launches: of kernels per replay.
    """

    @property
    def launches(self) -> int:
        """Kernels that one replay launches."""

    def replay(self, times: int = 1) -> None:
        """Do what was recorded so many times, one after the other, with no Python in between; does not wait."""

    def release(self) -> None:
        """Forget the recording, once what was replayed is done; harmless when repeated."""


class Device(Protocol):
    """A device, real or simulated."""

    @property
    def name(self) -> str:
        """As it calls itself."""

    @property
    def capability(self) -> tuple[int, int]:
        """As (9, 0)."""

    @property
    def multiprocessors(self) -> int:
        """How many blocks run at once at least."""

    @property
    def counts(self) -> Counts:
        """What it has done so far."""

    @property
    def dlpack(self) -> tuple[int, int]:
        """Kind (HOST or CUDA) and number, as DLPack has them."""

    @property
    def stream(self) -> int | None:
        """The handle of its stream; None for a device without one."""

    @property
    def blas(self) -> Blas | None:
        """What `multiply` uses, None where there is none."""

    @property
    def asynchronous(self) -> bool:
        """Whether work may be under way after it was asked for."""

    def allocate(self, size: int) -> int:
        """The address of `size` bytes (at least 1), a multiple of 256. DeviceMemoryError when there is not enough.

        The content is undefined. Not while something is recorded.
        """

    def release(self, address: int) -> None:
        """Give an allocation back, once what uses it is done. Never waits, never raises: finalizers call it."""

    def upload(self, address: int, array: Array) -> None:
        """Copy a C-contiguous array to the device. The array may be changed as soon as this returns.

        Not while something is recorded: the bytes of that moment would be replayed.
        """

    def download(self, address: int, array: Array) -> None:
        """Copy from the device into a C-contiguous, writable array; waits for what was asked for before."""

    def clear(self, address: int, size: int) -> None:
        """Set bytes to 0."""

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy bytes within the device; the two ranges do not overlap."""

    def load(
        self,
        function: Callable[..., Any],
        signature: tuple[str, ...],
        max_threads: int | None = None,
        min_blocks: int = 1,
        together: bool = False,
    ) -> Kernel:
        """The kernel that a function is with these types of parameters, compiled once.

        max_threads, min_blocks: see `numgraph.cuda.compiler`, whose DeviceError and OptionError it may raise. together:
        its blocks wait for one another; a launch has at most `multiprocessors` of them then.
        """

    def launch(self, kernel: Any, grid: Lengths, block: Lengths, parameters: Parameters) -> None:
        """Run a kernel. parameters: addresses for pointers, numbers for the others, in the order of the signature.

        LaunchError for a grid, block or parameters that cannot be, and where the device refuses.
        """

    def multiply(self, product: Product) -> None:
        """Have `blas` compute a product; counts as a launch. LaunchError where it refuses."""

    def record(self, launches: Callable[[], None]) -> Recording:
        """What `launches` asks for is recorded and not done: `launch`, `multiply`,
        `copy`, `clear` and nothing else.

        Kernels must be loaded before. What `launches` raises is raised, and nothing is recorded then.
        """

    def wait(self) -> None:
        """Until everything asked for is done. LaunchError when something of it failed. Ctrl-C interrupts the wait."""

    def before(self, stream: int) -> None:
        """What another stream does from now on waits for what was asked for here."""

    def after(self, stream: int) -> None:
        """What is asked for here from now on waits for what another stream was asked for."""

    def let_go(self, owner: Any, stream: int) -> None:
        """Drop `owner`, once what is asked for here comes after what another stream was asked for until now. Never
        waits, never raises: finalizers call it."""
