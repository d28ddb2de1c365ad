"""What generated code tells LLVM's loop vectoriser about a loop.

A processor looks about a hundred instructions ahead. Elementary functions are chains of dependent instructions, so of a
loop over one of them few rounds are under way at a time, and most of the time it waits for results. Several vectors
side by side in one round of the loop keep it busy, which LLVM by itself does for short bodies only.

Rounds can be computed side by side only where none writes what another reads. LLVM asks before the loop, of each pair
of arrays, whether they overlap, and gives up where these are many.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable
from numgraph.kernels.loops_ir import MASKED, UNROLLED, note_loop, stay_single


@intrinsic(prefer_literal=True)
def interleave(typingctx, count):
    """Said first in a loop: `count` vectors of its rounds are to be computed side by side.

    Nothing is computed, and without `loops_ir.with_loop_hints` nothing happens.
    """

    def codegen(context, builder, sig, args):
        note_loop(builder, ("interleave.count", ir.IntType(32)(count.literal_value)))
        return context.get_dummy_value()

    return types.void(count), codegen


@intrinsic
def not_unrolled(typingctx):
    """Said first in a loop of a few dozen rounds: LLVM is to make vectors of them.

    It would rather make as many copies of the body, each for one round, and find no vectors in these.
    """

    def codegen(context, builder, sig, args):
        note_loop(builder, UNROLLED)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def with_masks(typingctx, rounds):
    """As `not_unrolled`, and rounds that fill no vector are a part of one: said of so many rounds, where they are fewer
    than a vector has lanes, or leave most of the last one.

    Nothing is said on a processor that has no masks for its lanes, if the rounds are fewer than 16.
    """

    def codegen(context, builder, sig, args):
        note_loop(builder, (MASKED, rounds.literal_value))
        return context.get_dummy_value()

    return types.void(rounds), codegen


@register_jitable
def apart(*pointers):
    """Said first in a loop: no other array that it reads or writes overlaps what lies at each of these pointers.

    Nothing is computed. LLVM then compares no addresses before the loop, and moves several rounds of it together
    without asking; numgraph's pass tells it (`lower.statements`), Numba's own passes do not.
    """


@intrinsic
def one_copy(typingctx):
    """Said in a loop around others: LLVM is not to make copies of it, each for what some conditions in it are.

    The loops inside are the pieces of one. For each of them it would ask whether it has any rounds, and make two copies
    of the whole loop, and so on: compilation takes much longer, and the code is not faster.
    """

    def codegen(context, builder, sig, args):
        stay_single(builder)
        return context.get_dummy_value()

    return types.void(), codegen
