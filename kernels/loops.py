"""What generated code tells LLVM's loop vectoriser about a loop.

A processor looks about a hundred instructions ahead. Elementary functions are chains of dependent instructions, so of a
loop over one of them few rounds are under way at a time, and most of the time it waits for results. Several vectors
side by side in one round of the loop keep it busy, which LLVM by itself does for short bodies only.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic(prefer_literal=True)
def interleave(typingctx, count):
    """Said first in a loop: `count` vectors of its rounds are to be computed side by side.

    Nothing is computed, and without `with_loop_hints` nothing happens.
    """

    def codegen(context, builder, sig, args):
        hints = builder.function.__dict__.setdefault("interleaved", {})
        hints[builder.block.name] = count.literal_value
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
    """The blocks of a function that jump back to the head of the loop whose body begins with the block `first`."""
    heads = [block for block in function.blocks if first in _following(block)]
    seen, waiting = [], [first]
    while waiting:
        block = waiting.pop()
        if block not in seen and block not in heads:
            seen.append(block)
            waiting += _following(block)
    return [block for block in seen if any(head in _following(block) for head in heads)]


def _following(block):
    return [v for v in block.terminator.operands if isinstance(v, ir.Block)]
