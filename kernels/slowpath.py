"""A slow path for the few arguments that a vectorised function cannot treat, at the price of one branch per vector.

`beyond(far, x, y)` is y where |x| is at most FAR, and far(x) elsewhere. A branch or a call would keep a loop scalar, so
the call is declared to LLVM with *vector variants* (the attribute "vector-function-abi-variant"): the loop vectoriser
calls the variant for its number of lanes, and that one looks whether any lane is beyond before it goes through them
one by one.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numgraph.kernels.variants import give_attribute, keep

# The largest |x| that is treated in vectors; also the limit of the reductions in `vectortrig`.
FAR = 2.0**20
# Lanes of the variants: those of SSE or NEON, AVX and AVX-512, also for float64 beside float32 in one loop.
LANES = {32: (4, 8, 16), 64: (2, 4, 8, 16)}


def _scalar_variant(module, name, far, kind):
    """Define `name(x, y)`: y, or far(x) where |x| > FAR. far: a function (builder, float64 value) -> value."""
    function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), name)
    function.linkage = "linkonce_odr"
    builder = ir.IRBuilder(function.append_basic_block())
    x, y = function.args
    with builder.if_then(_is_beyond(builder, x), likely=False):
        if isinstance(kind, ir.FloatType):
            builder.ret(builder.fptrunc(far(builder, builder.fpext(x, ir.DoubleType())), kind))
        else:
            builder.ret(far(builder, x))
    builder.ret(y)
    return function


def _is_beyond(builder, x):
    """Whether |x| > FAR, by its bits (so NaN is beyond), for a float or each float of a vector."""
    single = x.type.element if isinstance(x.type, ir.VectorType) else x.type
    width, dtype = (32, "float32") if isinstance(single, ir.FloatType) else (64, "float64")
    integer = ir.IntType(width)
    limit_bits = int(np.array(FAR, dtype).view(f"int{width}"))
    mask, bound = 2 ** (width - 1) - 1, limit_bits
    if isinstance(x.type, ir.VectorType):
        integer = ir.VectorType(integer, x.type.count)
        mask, bound = [mask] * x.type.count, [bound] * x.type.count
    bits = builder.and_(builder.bitcast(x, integer), ir.Constant(integer, mask))
    return builder.icmp_unsigned(">", bits, ir.Constant(integer, bound))


def _vector_variant(module, scalar, lanes):
    """Define the variant of the function `scalar` for a vector of `lanes`."""
    single, index = scalar.args[0].type, ir.IntType(32)
    vector = ir.VectorType(single, lanes)
    function = ir.Function(module, ir.FunctionType(vector, [vector, vector]), f"{scalar.name}_x{lanes}")
    function.linkage = "linkonce_odr"
    for attribute in ("noinline", "nounwind"):
        function.attributes.add(attribute)
    builder = ir.IRBuilder(function.append_basic_block())
    x, y = function.args
    flags = ir.IntType(lanes)
    beyond = builder.bitcast(_is_beyond(builder, x), flags)
    slots = [builder.alloca(vector) for _ in function.args]
    with builder.if_then(builder.icmp_unsigned("!=", beyond, flags(0)), likely=False):
        for value, slot in zip(function.args, slots, strict=True):
            builder.store(value, slot)
        with cgutils.for_range(builder, index(lanes)) as loop:
            at = [builder.gep(builder.bitcast(slot, single.as_pointer()), [loop.index]) for slot in slots]
            builder.store(builder.call(scalar, [builder.load(pointer) for pointer in at]), at[1])
        builder.ret(builder.load(slots[1]))
    builder.ret(y)
    return function


def _define(module, name, far, kind):
    """The function `name` of an LLVM module, defined with its variants when it is not there."""
    if name in module.globals:
        return module.globals[name]
    scalar = _scalar_variant(module, name, far, kind)
    for attribute in ("noinline", "nounwind", "readnone"):
        scalar.attributes.add(attribute)
    lanes = LANES[32 if isinstance(kind, ir.FloatType) else 64]
    variants = [_vector_variant(module, scalar, n) for n in lanes]
    mapping = ",".join(f"_ZGV_LLVM_N{n}vv_{name}({v.name})" for n, v in zip(lanes, variants, strict=True))
    give_attribute(scalar, f'"vector-function-abi-variant"="{mapping}"')
    keep(module, variants)
    return scalar


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
    return builder.call(_define(builder.module, name, far, args[1].type), args[1:])
