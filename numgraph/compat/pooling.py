"""Theano's ops of pooling, as functions: `Pool`, and what its gradients are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.compat.images import pooled
from numgraph.errors import ShapeError
from numgraph.grad import grad
from numgraph.graph import Variable, as_variable, describe
from numgraph.jacobians import Rop
from numgraph.ops import lengths as ln


class Pool:
    """Theano's op that pools the last `ndim` axes, as `pool_2d` does two.

    ignore_border, mode: as of `pool_2d`. openmp: without effect.
    """

    def __init__(self, ignore_border: bool = False, mode: str = "max", ndim: int = 2, openmp: Any = None) -> None:
        self.ignore_border, self.mode, self.ndim = ignore_border, mode, ndim

    def __call__(self, x: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        """The pooled x; ShapeError where it has fewer axes."""
        v = as_variable(x)
        if v.ndim < self.ndim:
            raise ShapeError(f"Pool: {self.ndim} axes are pooled of {describe(v)}")
        margins = (0,) * self.ndim if pad is None else pad
        return pooled("Pool", self.ndim, v, ws, self.ignore_border, stride, margins, self.mode)

    @staticmethod
    def out_shape(
        imgshape: Sequence[Any], ws: Any = None, ignore_border: bool = False, stride: Any = None, pad: Any = None,
        ndim: int = 2, ds: Any = None, st: Any = None, padding: Any = None,
    ) -> list[Any]:  # fmt: skip
        """The shape of what is pooled of an array of shape `imgshape`: integers, or scalars. ValueError without ws."""
        size, step = ws if ws is not None else ds, stride if stride is not None else st
        if size is None:
            raise ValueError("Pool.out_shape needs ws, the size of a window")
        step = size if step is None else step
        margins = (pad if padding is None else padding) or (0,) * ndim
        lead, last = list(imgshape)[: len(imgshape) - ndim], list(imgshape)[len(imgshape) - ndim :]
        axes = zip(last, size, step, margins, strict=True)
        return lead + [_length(n + 2 * m, w, s, ignore_border) for n, w, s, m in axes]


def _length(n: Any, window: Any, step: Any, ignore_border: bool) -> Any:
    """How many windows there are along an axis with its margins."""
    if ignore_border:
        return ln.natural((n - window) // step + 1)
    behind = -((window - n) // step) if isinstance(n, int) else (n - window + step - 1) // step
    return ln.natural(behind) + 1 if step < window else (n - 1) // step + 1


def _gradient(pool: Pool, x: Any, g: Any, ws: Any, stride: Any, pad: Any) -> Variable:
    """The gradient for x where that of what is pooled is g."""
    v = as_variable(x)
    found: Variable = grad(None, v, known_grads={pool(v, ws, stride, pad): as_variable(g)})
    return found


class MaxPoolGrad:
    """The gradient of `Pool(mode="max")`: of x, what was pooled of it, and that one's gradient. Largest elements share
    it."""

    def __init__(self, ignore_border: bool = False, ndim: int = 2, openmp: Any = None) -> None:
        self.pool = Pool(ignore_border, "max", ndim)

    def __call__(self, x: Any, maxout: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        """The gradient for x."""
        return _gradient(self.pool, x, gz, ws, stride, pad)


class AveragePoolGrad:
    """The gradient of `Pool` with another mode: of x and the gradient of what was pooled of it."""

    def __init__(self, ignore_border: bool = False, mode: str = "average_inc_pad", ndim: int = 2) -> None:
        self.pool = Pool(ignore_border, mode, ndim)

    def __call__(self, x: Any, gz: Any, ws: Any, stride: Any = None, pad: Any = None, dummy: Any = None) -> Variable:
        """The gradient for x."""
        return _gradient(self.pool, x, gz, ws, stride, pad)


class DownsampleFactorMaxGradGrad:
    """The gradient of `MaxPoolGrad` for the gradient that it is given: of ggx what stands at the largest elements."""

    def __init__(self, ignore_border: bool = False, mode: str = "max", ndim: int = 2, openmp: Any = None) -> None:
        self.pool = Pool(ignore_border, mode, ndim)

    def __call__(self, x: Any, maxout: Any, ggx: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        """The derivative of what is pooled along ggx."""
        v = as_variable(x)
        found: Variable = Rop(self.pool(v, ws, stride, pad), v, as_variable(ggx))
        return found


OPS: dict[str, Any] = {c.__name__: c for c in (Pool, MaxPoolGrad, AveragePoolGrad, DownsampleFactorMaxGradGrad)}
