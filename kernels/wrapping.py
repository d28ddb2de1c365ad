"""Numba's intrinsics of the primitives."""

import inspect

from numba import types
from numba.extending import intrinsic
from numgraph.kernels.primitives import PRIMITIVES


def numba_type(name, real):
    """The Numba type of that name in a `Primitive`."""
    if name == "real":
        return real
    if name.startswith("pointer "):
        return types.CPointer(getattr(types, name.removeprefix("pointer ")))
    return getattr(types, name)


def signature_of(arguments, result, given):
    """The signature for arguments of the types `given`, None where they do not fit."""
    real = next((t for name, t in zip(arguments, given, strict=True) if name == "real"), None)
    found = []
    for name, t in zip(arguments, given, strict=True):
        if name == "pointer":
            fits, wanted = isinstance(t, types.CPointer), t
        elif name == "real":
            fits, wanted = isinstance(t, types.Float) and t == real, t
        elif name == "reals":
            fits, wanted = isinstance(t, types.UniTuple) and t.dtype == real, t
        elif name == "words":
            fits, wanted = isinstance(t, types.BaseTuple), types.UniTuple(types.int64, len(t))
        else:
            fits, wanted = True, numba_type(name, real)
        if not fits:
            return None
        found.append(wanted)
    kind = found[0] if result == "pointer" else numba_type(result, real)
    return kind(*found)


def unpacked(builder, kind, value):
    """A value as `Primitive.build` takes it: a tuple as a list."""
    if not isinstance(kind, types.BaseTuple):
        return value
    return [builder.extract_value(value, k) for k in range(len(kind))]


def wrapped(name, primitive=None):
    """The Numba intrinsic of a primitive: of that name, "module.name", in the table, or the one given."""
    build, arguments, result, doc = primitive or PRIMITIVES[name]

    def define(typingctx, *given):
        signature = signature_of(arguments, result, given)

        def codegen(context, builder, sig, args):
            values = [unpacked(builder, kind, v) for kind, v in zip(sig.args, args, strict=True)]
            made = build(builder, *values)
            return context.get_dummy_value() if result == "void" else made

        return signature and (signature, codegen)

    parameters = list(inspect.signature(build).parameters.values())
    # Numba asks for the names of the arguments
    define.__signature__ = inspect.Signature(
        [p.replace(name="typingctx") if k == 0 else p for k, p in enumerate(parameters)]
    )
    define.__name__ = define.__qualname__ = name.rpartition(".")[2]
    define.__doc__ = doc
    return intrinsic(define)
