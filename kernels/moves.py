"""Copies and sums of a few elements at once: LLVM's loops would look longer for how many there are than they copy."""

from numgraph.kernels.wrapping import wrapped

add_four = wrapped("moves.add_four")
add_eight = wrapped("moves.add_eight")
move_four = wrapped("moves.move_four")
move_eight = wrapped("moves.move_eight")
