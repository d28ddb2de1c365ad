"""Theano's names that numgraph has nothing for yet: they exist, and say so when they are called."""

from __future__ import annotations

from typing import Any

_IMAGES = "write it with conv2d or pool_2d"
_OPS = "ops of C code or Python are not taken over; numgraph.elementwise and numgraph.call take Numba functions"

# module -> (names, what to use instead)
_TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "theano": (
        ("as_op FunctionMaker", _OPS),
        ("sparse_grad", "gradients are dense"),
        ("function_dump", "pickle the function"),
    ),
    "theano.gradient": (
        ("numeric_grad", "use numgraph.testing.verify_grad"),
        ("undefined_grad grad_undefined grad_not_implemented grad_clip_", "gradients belong to numgraph's ops"),
    ),
    "theano.tensor": (("numeric_grad", "use numgraph.testing.verify_grad"),),
    "theano.tensor.nnet.conv": (("ConvOp", _IMAGES),),
    "theano.printing": (("pydotprint", "use debugprint, or `numgraph inspect`, which shows a function's stages"),),
    "theano.compile": (("as_op FunctionMaker ProfileStats", _OPS),),
    "theano.gpuarray": (("use", "functions run on a GPU with NUMGRAPH_TARGET=cuda in the environment"),),
    "theano.sandbox.cuda": (("use", "functions run on a GPU with NUMGRAPH_TARGET=cuda in the environment"),),
}


class Missing:
    """A name that raises NotImplementedError, with what to use instead, when it is called or indexed."""

    def __init__(self, name: str, instead: str) -> None:
        self.__name__ = self.__qualname__ = name.rpartition(".")[2]
        self.__doc__ = f"Not there: {instead}."
        self.said = f"{name} is not there: {instead}"

    def __call__(self, *args: Any, **named: Any) -> Any:
        """NotImplementedError."""
        raise NotImplementedError(self.said)

    def __getitem__(self, key: Any) -> Any:
        """NotImplementedError, as for `mgrid[0:5]`."""
        raise NotImplementedError(self.said)


def absent(module: str) -> dict[str, Missing]:
    """The missing names of one of Theano's modules."""
    return {
        name: Missing(f"{module}.{name}", instead)
        for names, instead in _TABLE.get(module, ())
        for name in names.split()
    }


MODULES = tuple(_TABLE)
