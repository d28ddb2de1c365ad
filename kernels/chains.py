"""Elementary functions that loops over long chains of them call, each with variants for the vectors of a loop.

Else functions are copied to where they are used. In a long body LLVM works long on the copies, and of two vectors side
by side not all that they need fits into the registers.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numgraph.kernels.loops_ir import note, note_loop
from numgraph.kernels.machine import this_machine
from numgraph.kernels.variants import give_attribute, keep


@intrinsic(prefer_literal=True)
def call_functions(typingctx, count):
    """Said first in a loop: elementary functions are called in it, and `count` vectors of its rounds are computed side
    by side. Numba's own passes copy the functions all the same."""

    def codegen(context, builder, sig, args):
        note_loop(builder, ("interleave.count", ir.IntType(32)(count.literal_value)))
        # up to the end of the loop
        builder.function.__dict__["instead"] = shared
        return context.get_dummy_value()

    return types.void(count), codegen


def shared(scalar):
    """A function that does what `scalar` does, of numbers of one float type, and is not inlined; made once. `scalar`
    itself where a vector has two lanes, for which calls are dear."""
    module, single, count = scalar.module, scalar.return_value.type, len(scalar.args)
    name = f"{scalar.name}_shared"
    # where there are vectors of 64 bytes, LLVM may prefer those of 32
    sizes = sorted({min(this_machine().vector, most) for most in (32, 64)})
    lanes = [size // (4 if isinstance(single, ir.FloatType) else 8) for size in sizes]
    if name in module.globals or lanes[0] == 2:
        return module.globals.get(name, scalar)
    function = ir.Function(module, ir.FunctionType(single, [single] * count), name)
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.call(scalar, function.args))
    variants = {n: _for_lanes(scalar, f"{name}_x{n}", n) for n in lanes}
    for made in (function, *variants.values()):
        # of an internal function LLVM would drop an argument that is the same in all calls, and not of its variants
        made.linkage = "linkonce_odr"
        made.attributes.add("noinline")
        made.attributes.add("nounwind")
    function.attributes.add("readnone")
    mapping = ",".join(f"_ZGV_LLVM_N{n}{'v' * count}_{name}({v.name})" for n, v in variants.items())
    give_attribute(function, f'"vector-function-abi-variant"="{mapping}"')
    keep(module, variants.values())
    return function


def _for_lanes(scalar, name, lanes):
    """`scalar` for vectors: a loop of one round per lane, of which LLVM makes one round over vectors in registers."""
    index, single = ir.IntType(64), scalar.return_value.type
    vector = ir.VectorType(single, lanes)
    function = ir.Function(scalar.module, ir.FunctionType(vector, [vector] * len(scalar.args)), name)
    before, loop, done = (function.append_basic_block(part) for part in ("entry", "loop", "done"))
    builder = ir.IRBuilder(before)
    slots = [builder.alloca(vector) for _ in (*function.args, function)]
    for value, slot in zip(function.args, slots, strict=False):
        builder.store(value, slot)
    builder.branch(loop)
    builder.position_at_end(loop)
    lane = builder.phi(index)
    *operands, result = (builder.gep(builder.bitcast(slot, single.as_pointer()), [lane]) for slot in slots)
    builder.store(builder.call(scalar, [builder.load(place) for place in operands]), result)
    following = builder.add(lane, index(1))
    lane.add_incoming(index(0), before)
    lane.add_incoming(following, loop)
    again = builder.cbranch(builder.icmp_unsigned("<", following, index(lanes)), loop, done)
    # not the number of lanes, too: of loops that are then not made of vectors after all LLVM prints remarks
    note(again, "unroll.disable")
    note(again, "interleave.count", 1)
    builder.position_at_end(done)
    builder.ret(builder.load(slots[-1]))
    return function
