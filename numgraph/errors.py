"""The exceptions that numgraph raises.

Every class derives from `NumgraphError` and from the builtin that a user would catch. A message says what happened,
with which values, where each value came from (the user's line) and what to do about it.
"""

from __future__ import annotations

import numpy as np


class NumgraphError(Exception):
    """Base of every error that numgraph raises on purpose."""


class ShapeError(NumgraphError, ValueError):
    """Lengths that do not fit together: broadcasting, products, reshapes, an empty maximum.

    Cause: two axes of lengths that are neither equal nor 1. Fix: make them equal, or insert an axis with `y[:, None]`.
    """


class SizeError(ShapeError, MemoryError):
    """An array that is larger than there can be or is memory for; nothing was computed.

    Cause: lengths whose product is far beyond what was meant, such as a broadcast of two long vectors. Fix: sum in
    parts, or with `ng.dot`, which does not make the products as an array.
    """


class DtypeError(NumgraphError, TypeError):
    """A dtype that is not supported, or a conversion that would lose information.

    Cause: for example a float64 array for a float32 variable. Fix: convert with `.astype(...)` where the loss is meant.
    """


class IndexOutOfRange(NumgraphError, IndexError):
    """An index past the end of its axis. Negative indices count from the end, as in NumPy."""


class AxisError(IndexOutOfRange, np.exceptions.AxisError):
    """An axis that an array has not; caught as IndexError, as ValueError and as NumPy's AxisError, which is both."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class IndexShapeError(IndexOutOfRange, ShapeError):
    """A mask of another length than its axis, or index arrays that do not broadcast; an IndexError in NumPy."""


class InputError(NumgraphError, TypeError):
    """Missing, unknown, repeated or wrongly typed arguments of a compiled function."""


class ArgumentShapeError(InputError, ShapeError):
    """An argument of the wrong rank, or with a length that its variable's type excludes.

    Fix: pass an array of that rank, for example `x[None, :]` for a matrix of one row.
    """


class OptionError(NumgraphError, ValueError):
    """An option that is none of those allowed, or that does not apply here."""


class UnusedInputError(InputError, ValueError):
    """An input that no output and no update depends on.

    Fix: remove it, or pass `on_unused_input="ignore"`.
    """


class MissingInputError(InputError, ValueError):
    """A variable that the outputs depend on and that nothing gives a value to.

    Fix: add it to `inputs`, or replace it with `givens`.
    """


class GivensError(NumgraphError, TypeError):
    """A `givens` pair that cannot be substituted: types that differ, a key that is an input, a repeated key."""


class UpdateError(NumgraphError, TypeError):
    """An update whose type differs from that of its shared variable, or whose target is not shared."""


class RepeatedUpdateError(UpdateError, ValueError):
    """The same shared variable is updated twice in one function."""


class SharedMemoryError(NumgraphError, ValueError):
    """Two shared variables of a function that updates one of them borrow the same memory.

    Fix: leave out `borrow=True` for one of them, which then has a copy.
    """


class DisconnectedError(NumgraphError, ValueError):
    """The cost does not depend on the variable that its gradient is asked for.

    Fix: check the graph with `ng.debugprint(cost)`, or pass `disconnected_inputs="ignore"` for zeros.
    """


class GradientError(NumgraphError, TypeError):
    """A gradient that does not exist: a cost that is no float scalar, an integer variable, an op without a gradient."""


class FunctionError(NumgraphError, RuntimeError):
    """A user's function in a graph has raised, or cannot be used where it is needed.

    Cause: what it raised is `__cause__`. Shared variables are as they were before the call. Fix: in the function, or in
    the values that it is called with, which the message shows.
    """


class FileError(NumgraphError, ValueError):
    """A file from which values of shared variables cannot be taken: damaged, of another format, or without a name.

    Shared variables are as they were before. Fix: the message says what the file has.
    """


class PackageError(NumgraphError, ImportError):
    """A package that numgraph needs for this alone is not installed. Fix: the message says which."""


class NotFiniteError(NumgraphError, FloatingPointError):
    """A call ends with NaN or an infinity, with `config.check_nan`. Shared variables are as they were before.

    The message names the operation that made it, with the values that it was made of. Fix: keep these away from it
    (`ng.log(x + 1e-8)`, `ng.clip`), or use a form that is made for them (`ng.logsumexp`, `ng.log_softmax`).
    """


class AssertionFailed(NumgraphError, AssertionError):
    """A condition of `ng.assert_op` does not hold in a call. Shared variables are as they were before."""


class MatrixError(NumgraphError, np.linalg.LinAlgError):
    """A matrix that a function of linear algebra is not defined for; a `numpy.linalg.LinAlgError`.

    Cause: it is singular, not positive definite, or an iteration did not converge, as with NaN. Shared variables are as
    they were before the call. Fix: look at the matrix that the message names; `A + 1e-6 * ng.eye(n)` moves the
    eigenvalues of one that is singular by rounding alone, and `ng.pinv` and `ng.lstsq` take any.
    """


class ValueOverflowError(NumgraphError, OverflowError):
    """A Python integer that does not fit the dtype of the array beside it, as in NumPy 2 (`uint8 + 300`)."""


class RecallError(NumgraphError, AssertionError):
    """What the cache keeps of a program is not what the passes make of it: a fault of numgraph.

    Only `config.verify` looks for it. Fix: clear the cache (`numgraph cache clear`), and please report the program.
    """


class ScheduleError(NumgraphError, AssertionError):
    """A function would read memory that nothing has written, or write over what is still needed: a fault of numgraph.

    Only `config.verify` looks for it. Fix: please report the program that it happens with.
    """


class DeviceError(NumgraphError, RuntimeError):
    """CUDA cannot be used here: packages, a driver or a device are missing, or a kernel was refused.

    Fix: the message names what to install; `target="cuda-sim"` needs none of it and runs kernels on this machine,
    slowly.
    """


class KernelError(NumgraphError, RuntimeError):
    """A simulated kernel does what no device defines, or cannot be simulated.

    Cause: threads of a block at different barriers, an element that one thread writes and another uses with no barrier
    between them, shared memory that nothing has written. Fix: in the kernel; on a device it may work by chance.
    """


class DeviceMemoryError(NumgraphError, MemoryError):
    """The device has less free memory than was asked for. The message says how much there is.

    Fix: smaller minibatches, fewer resident arrays, or end the other programs that use the device (see nvidia-smi).
    """


class LaunchError(NumgraphError, RuntimeError):
    """A device did not do what it was asked for: a grid that it does not take, or a kernel that failed while it ran.

    Kernels run later than they are launched, so the message may come from a later call. Fix: `config.cuda_wait = True`
    waits for each kernel and names the one that fails. After an illegal access the process has to be started again.
    """


class ForeignArrayError(NumgraphError, BufferError):
    """An array of another library that cannot be used in place: not contiguous, read-only, or elsewhere.

    Fix: make it contiguous and put it on the device first; or pass a NumPy array, which is copied.
    """
