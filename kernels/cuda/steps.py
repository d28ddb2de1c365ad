"""The step from one row of arguments to the next, for recordings that are replayed many times."""

from numgraph.kernels.cuda.support import cuda


def advance(at, rows, slots, width, results, kept, out_width, last, move):
    """Keep the results of the step before, fetch the arguments of the next one, count the step.

    at: int64[1], the step that comes next. rows: int64[n, width], the arguments of all steps; row at[0] goes to slots,
    int64[width], unless the step is `last`. results: int64[out_width], of the step before; they go to row at[0] - 1 of
    kept, int64[n, out_width], unless at[0] is 0. move: 1 to count at[0] up, which only a grid of one block may.
    """
    step = at[0]
    thread = cuda.grid(1)
    threads = cuda.gridsize(1)
    if step > 0:
        k = thread
        while k < out_width:
            kept[(step - 1) * out_width + k] = results[k]
            k += threads
    if step < last:
        k = thread
        while k < width:
            slots[k] = rows[step * width + k]
            k += threads
    cuda.syncthreads()
    if move == 1 and cuda.threadIdx.x == 0:
        at[0] = step + 1
