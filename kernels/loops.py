"""What generated code tells LLVM's loop vectoriser about a loop.

A processor looks about a hundred instructions ahead. Elementary functions are chains of dependent instructions, so of a
loop over one of them few rounds are under way at a time, and most of the time it waits for results. Several vectors
side by side in one round of the loop keep it busy, which LLVM by itself does for short bodies only.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def note_interleaving(builder, count):
    """Note on the function that is being built what `interleave` says of the loop whose body begins at this place."""
    builder.function.__dict__.setdefault("interleaved", {})[builder.block.name] = count


@intrinsic(prefer_literal=True)
def interleave(typingctx, count):
    """Said first in a loop: `count` vectors of its rounds are to be computed side by side.

    Nothing is computed, and without `with_loop_hints` nothing happens.
    """

    def codegen(context, builder, sig, args):
        note_interleaving(builder, count.literal_value)
        return context.get_dummy_value()

    return types.void(count), codegen


def with_loop_hints(module):
    """The module (llvmlite.ir), in which the loops that `interleave` was said in now have LLVM's metadata for it."""
    for function in module.functions:
        blocks = {block.name: block for block in function.blocks}
        for name, count in getattr(function, "interleaved", {}).items():
            text = ir.MetaDataString(module, "llvm.loop.interleave.count")
            wanted = module.add_metadata([text, ir.IntType(32)(count)])
            # a loop's node refers to itself, so that it is like no other
            loop = ir.MDValue(module, [], name=str(len(module.metadata)))
            loop.operands = (loop, wanted)
            for block in latches(function, blocks[name]):
                block.terminator.set_metadata("llvm.loop", loop)
    return module


def latches(function, first):
    """The blocks of a function that jump back to the top of the loop whose body begins with the block `first`."""
    place = {block.name: k for k, block in enumerate(function.blocks)}
    before = [block for block in function.blocks if first in _following(block)]
    if len(before) > 1:
        # the condition is tested at the loop's end
        return [block for block in before if place[block.name] >= place[first.name]]
    seen, waiting = [], [first]
    while waiting:
        block = waiting.pop()
        if block not in seen and block not in before:
            seen.append(block)
            waiting += _following(block)
    return [block for block in seen if any(top in _following(block) for top in before)]


def _following(block):
    return [v for v in block.terminator.operands if isinstance(v, ir.Block)]
