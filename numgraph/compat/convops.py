"""Theano's classes of convolutions, `AbstractConv2d_gradInputs(...)(kern, topgrad, shape)`: what the functions of
`convolving` compute, for libraries that make the ops themselves, as those for transposed convolutions do."""

from __future__ import annotations

from typing import Any

from numgraph.compat.convolving import CONVOLVING
from numgraph.compat.images import conv2d, conv3d
from numgraph.graph import Variable


class AbstractConv:
    """A convolution, with the arguments that are no variables. count: of axes of an image. imshp, kshp: without
    effect, lengths are known when a function runs."""

    count = 2

    def __init__(
        self, imshp: Any = None, kshp: Any = None, border_mode: Any = "valid", subsample: Any = None,
        filter_flip: bool = True, filter_dilation: Any = None, num_groups: int = 1, unshared: bool = False,
    ) -> None:  # fmt: skip
        ones = (1,) * self.count
        self.imshp, self.kshp = imshp, kshp
        self.options: dict[str, Any] = {
            "border_mode": border_mode, "subsample": tuple(subsample or ones), "filter_flip": filter_flip,
            "filter_dilation": tuple(filter_dilation or ones), "num_groups": num_groups, "unshared": unshared,
        }  # fmt: skip

    def convolved(self, img: Any, kern: Any) -> Variable:
        """The images convolved with the filters."""
        if self.count == 2:
            return conv2d(img, kern, **self.options)
        if self.options["unshared"]:
            raise NotImplementedError("AbstractConv3d with unshared=True")
        return conv3d(img, kern, **{name: v for name, v in self.options.items() if name != "unshared"})

    def gradient(self, what: str, first: Any, second: Any, shape: Any) -> Variable:
        """The gradient for the images or the filters, `what`, whose last lengths are `shape`."""
        function: Any = CONVOLVING[f"conv{self.count}d_grad_wrt_{what}"]
        lengths = [shape[k] for k in range(self.count)]
        found: Variable = function(first, second, (None, None, *lengths), **self.options)
        return found


class AbstractConv2d(AbstractConv):
    """Images convolved with filters: `op(img, kern)`."""

    def __call__(self, img: Any, kern: Any) -> Variable:
        """img: [n, channels, ...]. kern: [filters, channels of a group, ...]."""
        return self.convolved(img, kern)


class AbstractConv2d_gradInputs(AbstractConv):  # noqa: N801  # Theano's name
    """The gradient for images of lengths `shape`: `op(kern, topgrad, shape)`, a transposed convolution."""

    def __call__(self, kern: Any, topgrad: Any, shape: Any) -> Variable:
        """kern: the filters. topgrad: as the convolution's result. shape: lengths of an image, or a vector of them."""
        return self.gradient("inputs", topgrad, kern, shape)


class AbstractConv2d_gradWeights(AbstractConv):  # noqa: N801  # Theano's name
    """The gradient for filters of lengths `shape`: `op(img, topgrad, shape)`."""

    def __call__(self, img: Any, topgrad: Any, shape: Any) -> Variable:
        """img: the images. topgrad: as the convolution's result. shape: lengths of a filter, or a vector of them."""
        return self.gradient("weights", img, topgrad, shape)


class AbstractConv3d(AbstractConv2d):
    """The same of three axes."""

    count = 3


class AbstractConv3d_gradInputs(AbstractConv2d_gradInputs):  # noqa: N801  # Theano's name
    """The same of three axes."""

    count = 3


class AbstractConv3d_gradWeights(AbstractConv2d_gradWeights):  # noqa: N801  # Theano's name
    """The same of three axes."""

    count = 3


CLASSES = {
    c.__name__: c
    for c in (
        AbstractConv2d, AbstractConv2d_gradInputs, AbstractConv2d_gradWeights, AbstractConv3d,
        AbstractConv3d_gradInputs, AbstractConv3d_gradWeights,
    )
}  # fmt: skip


def _correlation(name: str, of: type[AbstractConv]) -> type[AbstractConv]:
    """Theano's op of this name: filters are not flipped, and its arguments begin with border_mode. pad: an older
    name."""

    def init(
        self: AbstractConv, border_mode: Any = "valid", subsample: Any = None, filter_dilation: Any = None,
        num_groups: int = 1, unshared: bool = False, pad: Any = None,
    ) -> None:  # fmt: skip
        margins = border_mode if pad is None else pad
        of.__init__(self, None, None, margins, subsample, False, filter_dilation, num_groups, unshared)

    return type(name, (of,), {"__init__": init, "__doc__": f"`{of.__name__}`, of filters that are not flipped."})


_ENDINGS = ("", "_gradWeights", "_gradInputs")
# by the number of axes of an image, and before their names on a GPU
CORRELATIONS: dict[tuple[int, str], dict[str, Any]] = {
    (count, before): {
        (name := f"{before}{base}{ending}"): _correlation(name, CLASSES[f"AbstractConv{count}d{ending}"])
        for ending in _ENDINGS
    }
    for count, base in ((2, "CorrMM"), (3, "Corr3dMM"))
    for before in ("", "Gpu")
}
