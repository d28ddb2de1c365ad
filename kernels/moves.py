"""Copies and sums of a few elements at once: LLVM's loops would look longer for how many there are than they copy."""

from llvmlite import ir
from numgraph.kernels.primitives import Primitive
from numgraph.kernels.wrapping import wrapped


def _moved(lanes, add=False):
    """A copy of elements that lie side by side; or they are added to what is there."""

    def build(builder, to, t, x, f):
        element = to.type.pointee
        vector = ir.VectorType(element, lanes).as_pointer()
        align = 4 if isinstance(element, ir.FloatType) else 8
        source = builder.bitcast(builder.gep(x, [f]), vector)
        target = builder.bitcast(builder.gep(to, [t]), vector)
        value = builder.load(source, align=align)
        if add:
            value = builder.fadd(builder.load(target, align=align), value)
        builder.store(value, target, align=align)

    return build


def _cleared(builder, to, t):
    element = to.type.pointee
    zeros = ir.VectorType(element, 8)
    align = 4 if isinstance(element, ir.FloatType) else 8
    builder.store(ir.Constant(zeros, None), builder.bitcast(builder.gep(to, [t]), zeros.as_pointer()), align=align)


def _primitive(lanes, add=False):
    return Primitive(_moved(lanes, add), ("pointer", "int64", "pointer", "int64"), "void", "")


# (to, t, x, f): x[f], x[f + 1], ... go to, or are added to, to[t], to[t + 1], ...; floats of either size
move_four = wrapped("move_four", _primitive(4))
move_eight = wrapped("move_eight", _primitive(8))
# 32 of them
move_many = wrapped("move_many", _primitive(32))
add_four = wrapped("add_four", _primitive(4, True))
add_eight = wrapped("add_eight", _primitive(8, True))
# (to, t): eight elements from to[t] on become 0
clear_eight = wrapped("clear_eight", Primitive(_cleared, ("pointer", "int64"), "void", ""))
