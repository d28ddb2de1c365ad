"""A slow path for the few arguments that a vectorised function cannot treat, at the price of one branch per vector.

`beyond(far, x, y)` is y where |x| is at most FAR, and far(x) elsewhere. A branch or a call would keep a loop scalar, so
the call is declared to LLVM with *vector variants* (the attribute "vector-function-abi-variant"): the loop vectoriser
calls the variant for its number of lanes, and that one looks whether any lane is beyond before it goes through them
one by one.
"""

import numpy as np
from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numgraph.kernels.slowpath_ir import FAR, define_beyond


def beyond(far, x, y):
    """y where |x| <= FAR, far(x) elsewhere; x and y are two float32 or two float64.

    far: a function float64 -> float64 that compiled code can call; computes in float64 for float32, too.
    """
    return y if abs(x) <= FAR else type(x)(far(np.float64(x)))


@infer_global(beyond)
class _BeyondType(AbstractTemplate):
    def generic(self, args, kws):
        far, x, y = args
        if not (isinstance(far, types.Function) and isinstance(x, types.Float) and x == y):
            return None
        far.get_call_type(self.context, (types.float64,), {})
        return signature(x, far, x, y)


@lower_builtin(beyond, types.Function, types.Float, types.Float)
def _lower_beyond(context, builder, sig, args):
    source, double = sig.args[0].typing_key, types.float64
    compiled = context.compile_subroutine(builder, source, double(double))
    callee = context.declare_function(builder.module, compiled.fndesc)

    def far(inside, value):
        # there are no exceptions in it
        _, result = context.call_conv.call_function(inside, callee, double, (double,), [value])
        return result

    name = f"numgraph_{source.__name__}_f{sig.return_type.bitwidth}"
    return builder.call(define_beyond(builder.module, name, far, args[1].type), args[1:])
