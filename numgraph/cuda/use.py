"""Talking to the driver: the context of a device, within its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numgraph.cuda.bindings import Refused

if TYPE_CHECKING:
    from numgraph.cuda.driver import CudaDevice


class Use:
    """The context of a device, for `with device.lock, device.use`; what finalizers gave back is given back first.

    Refusals of the driver come out as LaunchError. The lock is not taken here: behind a call of Python's an interrupt
    may come before the `with` knows that there is something to release.
    """

    def __init__(self, device: CudaDevice) -> None:
        self.device = device
        # of each `with` that is under way, the inner ones last: whether it has changed the thread's context
        self.entered: list[bool] = []

    def __enter__(self) -> None:
        device = self.device
        try:
            self.entered.append(device.bindings.enter())
        except Refused as error:
            raise device.failed(error) from None
        if (device.returned or device.dropped or device.left) and device.recorded is None:
            try:
                device.give_back()
            except BaseException as error:
                self._leave()
                raise (device.failed(error) if isinstance(error, Refused) else error) from None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._leave()
        if error is not None and isinstance(error, Refused):
            raise self.device.failed(error) from None

    def _leave(self) -> None:
        if self.entered.pop():
            self.device.bindings.leave()
