"""Calls of users' functions: `checked` ones say whether they have raised, and arrays are views of numgraph's memory.

After `value, raised = checked(function, 1)(x)` an exception is a truth value: nothing is raised in generated code.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj


def checked(function, count):
    """What generated code calls for a dispatcher with `count` arguments.

    It gives what that returns, and whether it raised; then the value is any of its type.
    """
    names = "".join(f", x{k}" for k in range(count))
    space = {"called": _called, "function": function}
    return intrinsic(eval(f"lambda context{names}: called(context, function{names})", space))


def _called(typingctx, function, *arguments):
    inner = types.Dispatcher(function).get_call_type(typingctx, arguments, {})
    result = types.Tuple((inner.return_type, types.boolean))

    def codegen(context, builder, signature, values):
        overload = function.overloads[inner.args]
        context.add_linking_libs([overload.library])
        native = context.declare_function(builder.module, overload.fndesc)
        pairs = zip(values, signature.args, inner.args[: len(values)], strict=True)
        # what is left out has no value
        left = [ir.Constant(context.get_value_type(t), ir.Undefined) for t in inner.args[len(values) :]]
        values = [*(context.cast(builder, v, have, want) for v, have, want in pairs), *left]
        status, found = context.call_conv.call_function(builder, native, inner.return_type, inner.args, values)
        if found.type != context.get_value_type(inner.return_type):
            found = context.get_constant_null(inner.return_type)
        return context.make_tuple(builder, result, (found, cgutils.as_bool_bit(builder, status.is_error)))

    return result(*arguments), codegen


@intrinsic
def refuse(typingctx, table, slot, status, values):
    """Leave numbers, the arguments of a call that raised, in `slot` and those behind it; returns the status."""

    def codegen(context, builder, signature, arguments):
        pointer, first, code, numbers = arguments
        for k, kind in enumerate(signature.args[3]):
            value = builder.extract_value(numbers, k)
            place = builder.gep(pointer, [builder.add(first, first.type(k))])
            builder.store(_word(builder, value, kind), place)
        return code

    return types.int64(table, types.int64, types.int64, values), codegen


def _word(builder, value, kind):
    """The bits of a number as the table holds them: of floats those of a float64."""
    word = ir.IntType(64)
    if isinstance(kind, types.Float):
        wide = value if kind.bitwidth == 64 else builder.fpext(value, ir.DoubleType())
        return builder.bitcast(wide, word)
    if value.type.width == 64:
        return value
    return builder.sext(value, word) if getattr(kind, "signed", False) else builder.zext(value, word)


@intrinsic
def bools(typingctx, address):
    """A pointer to truth values, as `u8` is one to bytes."""
    kind = types.CPointer(types.boolean)

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.int64), codegen


@intrinsic
def view(typingctx, pointer, lengths):
    """A C-contiguous array, which nobody may write, of the elements at a pointer. lengths: a tuple."""
    return types.Array(pointer.dtype, len(lengths), "C", readonly=True)(pointer, lengths), _array


@intrinsic
def room(typingctx, pointer, lengths):
    """A C-contiguous array of the elements at a pointer, to be written. lengths: a tuple."""
    return types.Array(pointer.dtype, len(lengths), "C")(pointer, lengths), _array


def _array(context, builder, signature, arguments):
    """The array of a pointer and lengths. Nobody counts references to it: the memory is numgraph's."""
    kind = signature.return_type
    array = arrayobj.make_array(kind)(context, builder)
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    lengths = cgutils.unpack_tuple(builder, arguments[1], kind.ndim)
    word = context.get_value_type(types.intp)
    steps = [ir.Constant(word, size)]
    for length in lengths[:0:-1]:
        steps.insert(0, builder.mul(steps[0], length))
    arrayobj.populate_array(
        array,
        data=builder.bitcast(arguments[0], array.data.type),
        shape=lengths,
        strides=steps[: kind.ndim],
        itemsize=ir.Constant(word, size),
        meminfo=None,
    )
    return array._getvalue()
