"""Moving elements: transposition, gathering rows, adding rows into rows.

Their limit is memory: (bytes read + bytes written) / bandwidth, 3.35 TB/s on an H100.
"""

from numgraph.kernels.cuda.support import TYPES, cuda


def transpose(dtype, tile=32, groups=8):
    """out[b, j, i] = x[b, i, j].

    x: dtype, [batches, rows, columns]; out: [batches, columns, rows], another array. A tile of tile x tile elements
    goes through shared memory, so that reads and writes are both coalesced; its rows are one longer, so that its
    columns lie in different banks. Block: (tile, groups), groups dividing tile. Grid: ceil(columns / tile), ceil(rows
    / tile) and batches; blocks step over rows and batches where a grid's limit of 65,535 is too few.
    """
    kind = TYPES[dtype]
    shape = (tile, tile + 1)

    def transpose_tiles(out, x, batches, rows, columns):
        cells = cuda.shared.array(shape, kind)
        tx = cuda.threadIdx.x
        ty = cuda.threadIdx.y
        column = cuda.blockIdx.x * tile
        batch = cuda.blockIdx.z + 0
        while batch < batches:
            row = cuda.blockIdx.y * tile
            while row < rows:
                for k in range(0, tile, groups):
                    if row + ty + k < rows and column + tx < columns:
                        cells[ty + k, tx] = x[(batch * rows + row + ty + k) * columns + column + tx]
                cuda.syncthreads()
                for k in range(0, tile, groups):
                    if row + tx < rows and column + ty + k < columns:
                        out[(batch * columns + column + ty + k) * rows + row + tx] = cells[tx, ty + k]
                cuda.syncthreads()
                row += cuda.gridDim.y * tile
            batch += cuda.gridDim.z

    return transpose_tiles
