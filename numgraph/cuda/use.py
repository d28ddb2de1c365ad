"""Talking to the driver: the lock and the context of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numgraph.cuda.bindings import Refused

if TYPE_CHECKING:
    from numgraph.cuda.driver import CudaDevice


class Use:
    """The lock and the context of a device, for a `with`; what finalizers gave back is given back first.

    Refusals of the driver come out as LaunchError.
    """

    def __init__(self, device: CudaDevice) -> None:
        self.device = device
        # of each `with` that is under way, the inner ones last: whether it has changed the thread's context
        self.entered: list[bool] = []

    def __enter__(self) -> None:
        device = self.device
        device.lock.acquire()
        try:
            self.entered.append(device.bindings.enter())
        except BaseException as error:
            device.lock.release()
            raise (device.failed(error) if isinstance(error, Refused) else error) from None
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
        try:
            if self.entered.pop():
                self.device.bindings.leave()
        finally:
            self.device.lock.release()
