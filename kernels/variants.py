"""Vector variants: functions that LLVM's loop vectoriser may call for several lanes at once, and what they change.

The attribute "vector-function-abi-variant" of a function or call names them.
"""

from llvmlite import ir

# Lanes of the variant of a fused multiply-add; any number has the effect.
FUSED_LANES = 8


def give_attribute(function, text):
    """Give a function or a call an attribute that llvmlite does not know."""
    kind = type(function.attributes)
    function.attributes.__class__ = type(kind.__name__, (kind,), {"_known": kind._known | {text}})
    function.attributes.add(text)


def keep(module, functions):
    """Have LLVM keep functions that nothing calls before loops are vectorised."""
    name, pointer = "llvm.compiler.used", ir.IntType(8).as_pointer()
    used = module.globals.get(name)
    kept = [*(used.initializer.constant if used else []), *(f.bitcast(pointer) for f in functions)]
    array = ir.ArrayType(pointer, len(kept))
    used = used or ir.GlobalVariable(module, array, name)
    used.value_type, used.type = array, array.as_pointer()
    used.linkage, used.section, used.initializer = "appending", "llvm.metadata", ir.Constant(array, kept)


def offer_lanes(builder, call):
    """Have loops with this call of llvm.fmuladd.f32 computed in as many lanes as float32 has.

    Without vector variants LLVM takes as many lanes as fit the widest type that a loop reads, writes or accumulates: a
    sum in float64 of float32 exponentials would use half of each register. With one it tries all numbers of lanes and
    takes the cheapest. It never calls this variant, which costs more than the instruction.
    """
    module = builder.module
    if "nvptx" in module.triple:
        return
    name = f"numgraph_fused_x{FUSED_LANES}"
    if name not in module.globals:
        vector = ir.VectorType(ir.FloatType(), FUSED_LANES)
        kind = ir.FunctionType(vector, [vector] * 3)
        variant = ir.Function(module, kind, name)
        variant.linkage = "linkonce_odr"
        inside = ir.IRBuilder(variant.append_basic_block())
        fma = f"llvm.fmuladd.v{FUSED_LANES}f32"
        fused = module.globals.get(fma) or ir.Function(module, kind, fma)
        inside.ret(inside.call(fused, variant.args))
        keep(module, [variant])
    mapping = f"_ZGV_LLVM_N{FUSED_LANES}vvv_{call.callee.name}({name})"
    give_attribute(call, f'"vector-function-abi-variant"="{mapping}"')
