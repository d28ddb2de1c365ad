"""The slow path of `slowpath` as LLVM IR: a function for one value, and its variants for vectors."""

import numpy as np
from llvmlite import ir

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
        before, loop, done = (builder.block, *(function.append_basic_block(name) for name in ("loop", "done")))
        builder.branch(loop)
        builder.position_at_end(loop)
        lane = builder.phi(index)
        at = [builder.gep(builder.bitcast(slot, single.as_pointer()), [lane]) for slot in slots]
        builder.store(builder.call(scalar, [builder.load(pointer) for pointer in at]), at[1])
        following = builder.add(lane, index(1))
        lane.add_incoming(index(0), before)
        lane.add_incoming(following, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, index(lanes)), loop, done)
        builder.position_at_end(done)
        builder.ret(builder.load(slots[1]))
    builder.ret(y)
    return function


def _with_text(function, text):
    """Give a function an attribute that llvmlite does not know."""
    kind = type(function.attributes)
    function.attributes.__class__ = type(kind.__name__, (kind,), {"_known": kind._known | {text}})
    function.attributes.add(text)


def define_beyond(module, name, far, kind):
    """The function `name` of an LLVM module, defined with its variants when it is not there."""
    if name in module.globals:
        return module.globals[name]
    scalar = _scalar_variant(module, name, far, kind)
    for attribute in ("noinline", "nounwind", "readnone"):
        scalar.attributes.add(attribute)
    lanes = LANES[32 if isinstance(kind, ir.FloatType) else 64]
    variants = [_vector_variant(module, scalar, n) for n in lanes]
    mapping = ",".join(f"_ZGV_LLVM_N{n}vv_{name}({v.name})" for n, v in zip(lanes, variants, strict=True))
    _with_text(scalar, f'"vector-function-abi-variant"="{mapping}"')
    _keep(module, variants)
    return scalar


def _keep(module, functions):
    """Have LLVM keep functions that nothing calls before loops are vectorised."""
    pointer = ir.IntType(8).as_pointer()
    used = module.globals.get("llvm.compiler.used")
    kept = [*(used.initializer.constant if used else []), *(f.bitcast(pointer) for f in functions)]
    array = ir.ArrayType(pointer, len(kept))
    if used is None:
        used = ir.GlobalVariable(module, array, "llvm.compiler.used")
        used.linkage, used.section = "appending", "llvm.metadata"
    used.value_type, used.type, used.initializer = array, array.as_pointer(), ir.Constant(array, kept)
