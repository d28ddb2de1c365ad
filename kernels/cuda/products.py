"""Matrix products in full float32 or float64: a register-tiled one, and two for a skinny side.

An element is a sum in a fixed order, so results are the same at each run. All write out = alpha * product + beta * out;
with beta = 0, what was in out is not read. The limits on an H100 are 67 TFLOP/s in float32 (34 in float64) and 3.35
TB/s.
"""

from numgraph.kernels.cuda.registers import add_outer, load4, loaded_of, start_of, totals_of, writing_of
from numgraph.kernels.cuda.support import TYPES, WARP, cuda, generated, helper

# -- both sides large ----------------------------------------------------------------------------------------------

_TILED = """\
def tiled_product(out, a, b, m, n, k, a_row, a_col, b_row, b_col, out_row, alpha, beta):
    left = cuda.shared.array(left_size, kind, 16)
    right = cuda.shared.array(right_size, kind, 16)
    thread = cuda.threadIdx.x
    tx = thread % across
    ty = thread // across
    row0 = (cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y) * tile_m
    col0 = cuda.blockIdx.x * tile_n
    if row0 >= m:
        return
    sums = start()
    half = 0
{begin}\
{first}\
{store}\
    cuda.syncthreads()
    base = 0 * k
    while base < k:
        base += depth
{load}\
        for l in range(depth):
            p = half * left_half + l * left_row + ty * 4
            q = half * right_half + l * right_row + tx * 4
            sums = add_outer(sums, {rows}, {columns})
        # never negative, which the compiler sees: no index has to count from the end
        half = (half + 1) & 1
{store_next}\
        cuda.syncthreads()
    row0 += ty * 4
    col0 += tx * 4
    write(out, row0 * out_row + col0, out_row, {rooms}, sums, alpha, beta)
"""


@helper
def guarded(pointer, index, inside, zero):
    """An element, or zero where there is none. A function: Numba takes long to compile a branch for each element."""
    return pointer[index] if inside else zero


class _Side:
    """One factor of a tiled product: the text that moves its tile from memory through registers into shared memory.

    along: whether elements adjoin along k (a row of a) or along the outer axis (a row of b). A thread moves elements
    number thread, thread + threads, .. of the tile, `width` adjoining ones each time.
    """

    def __init__(self, name, shared, outer, offset, length, along, sizes):
        self.name, self.shared, self.outer, self.offset, self.length = name, shared, outer, offset, length
        self.along, self.sizes = along, sizes
        self.moves = range(outer * sizes["depth"] // (sizes["threads"] * sizes["width"]))

        # the place in the tile of a thread's first move: along k, along the outer axis; and how far each move goes on
        width, depth, threads = sizes["width"], sizes["depth"], sizes["threads"]
        inner = (depth if along else outer) // width
        if threads % inner:
            raise ValueError(f"{threads} threads cannot move {inner} times {width} elements of a tile in step")
        steps = (f"thread % {inner} * {width}", f"thread // {inner}")
        self.k, self.row = steps if along else steps[::-1]
        self.next_k, self.next_row = (0, threads // inner) if along else (threads // inner, 0)

    def begin(self):
        """Lines before the loop: where the thread's elements are in memory."""
        name = self.name
        outer_step, k_step = self._steps()
        return (
            f"    {name}_k = {self.k}\n"
            f"    {name}_put = {name}_k * {self.shared}_row + {self.row}\n"
            f"    {name}_outer = {self.offset} + {self.row}\n"
            f"    {name}_at = {name}_outer * {outer_step} + {name}_k * {k_step}\n"
            f"    {name}_skip = {f'{self.next_row} * {outer_step}' if self.along else f'{self.next_k} * {k_step}'}\n"
        )

    def _steps(self):
        return (f"{self.name}_row", f"{self.name}_col")[:: 1 if self.name == "a" else -1]

    def load(self, base, indent):
        """Lines that load the tile at `base` into registers."""
        lines = []
        for e in self.moves:
            index = f"{self.name}_at + {base} * {self._steps()[1]} + {e} * {self.name}_skip"
            value = f"{self.name}[{index}]"
            if self.sizes["width"] == 4:
                value = f"load4({self.name}, {index})"
            elif self.sizes["edges"]:
                outer = f"{self.name}_outer + {e * self.next_row} < {self.length}"
                inside = f"({outer}) & ({base} + {self.name}_k + {e * self.next_k} < k)"
                value = f"guarded({self.name}, {index}, {inside}, zero)"
            lines.append(f"{indent}{self.name}{e} = {value}\n")
        return "".join(lines)

    def store(self, indent):
        """Lines that write the registers into shared memory."""
        lines = []
        row = f"{self.shared}_row"
        for e in self.moves:
            place = f"half * {self.shared}_half + {self.name}_put + {e * self.next_k} * {row} + {e * self.next_row}"
            for w in range(self.sizes["width"]):
                value = f"{self.name}{e}[{w}]" if self.sizes["width"] > 1 else f"{self.name}{e}"
                lines.append(f"{indent}{self.shared}[{place} + {w} * {row if self.along else 1}] = {value}\n")
        return "".join(lines)


def tiled(dtype, tile_m=128, tile_n=128, depth=8, thread_m=8, thread_n=8, a_along=True, b_along=False, edges=True,
          vector=False):  # fmt: skip
    """out[i, j] = alpha * sum over l of a[i, l] * b[l, j] + beta * out[i, j].

    a: dtype, [m, k], element (i, l) at i * a_row + l * a_col; b: [k, n], likewise with b_row and b_col; out: [m, n]
    with rows out_row apart, not overlapping a or b. k at least 1. a_along: a's elements adjoin along k (a_col = 1)
    rather than along m; b_along: b's along k (b_row = 1) rather than along n: this decides which threads load
    together, not what is right. edges=False is for m, n, k that are multiples of tile_m, tile_n, depth; vector=True
    besides for pointers and steps that are multiples of 16 bytes, with a_along and b_along as the elements adjoin:
    four are loaded at once.

    thread_m, thread_n: multiples of 4; the threads a multiple of depth and of the tile's lengths. Block: tile_m *
    tile_n / (thread_m * thread_n) threads, in one dimension. Grid: ceil(n / tile_n), then ceil(m / tile_m) on
    two axes, since each of them ends at 65,535: those of the second axis for each one of the third.

    Each thread keeps thread_m x thread_n sums in registers, in runs of four rows and columns that lie apart, so that
    reads from shared memory are of 16 bytes and in different banks. Two halves of shared memory: the next tile is
    loaded while this one is multiplied, one barrier a tile. Each element of a is read from memory n / tile_n times,
    of b m / tile_m times. 64 multiply-adds for 4 loads of 16 bytes: such kernels reach 70 to 80% of cuBLAS.
    Error: sums along k in order, at most k roundings.
    Source: the tiling of Volkov and Demmel, Benchmarking GPUs to tune dense linear algebra, SC 2008, with the double
    buffering of Nath, Tomov and Dongarra, An improved MAGMA GEMM for Fermi GPUs, 2010.
    """
    threads = tile_m * tile_n // (thread_m * thread_n)
    sizes = {"threads": threads, "depth": depth, "width": 4 if vector else 1, "edges": edges}
    left = _Side("a", "left", tile_m, "row0", "m", a_along, sizes)
    right = _Side("b", "right", tile_n, "col0", "n", b_along, sizes)
    # what is loaded behind the last tile is never used
    after = "base" if edges else "min(base, k - depth)"
    text = _TILED.format(
        begin=left.begin() + right.begin(),
        first=left.load("0", " " * 4) + right.load("0", " " * 4),
        store=left.store(" " * 4) + right.store(" " * 4),
        load=left.load(after, " " * 8) + right.load(after, " " * 8),
        store_next=left.store(" " * 8) + right.store(" " * 8),
        rows=" + ".join(f"load4(left, p + {p})" for p in runs_of(tile_m, thread_m)[::4]),
        columns=" + ".join(f"load4(right, q + {q})" for q in runs_of(tile_n, thread_n)[::4]),
        rooms="m - row0, n - col0" if edges else "tile_m, tile_n",
    )
    # rows of a tile are a little apart where threads along k store into one column, so that they use different banks
    left_row, right_row = tile_m + 4 * a_along, tile_n + 4 * b_along
    kind = TYPES[dtype]
    names = dict(kind=kind, depth=depth, tile_m=tile_m, tile_n=tile_n, across=tile_n // thread_n, left_row=left_row,
                 right_row=right_row, left_half=depth * left_row, right_half=depth * right_row,
                 left_size=2 * depth * left_row, right_size=2 * depth * right_row, zero=kind(0), guarded=guarded,
                 load4=load4, add_outer=add_outer, start=start_of(dtype, thread_m * thread_n),
                 write=writing_of(runs_of(tile_m, thread_m), runs_of(tile_n, thread_n)))  # fmt: skip
    return generated("tiled_product", text, names)


def runs_of(tile, count):
    """The places of a thread's rows or columns, from its first: runs of 4 (or fewer, if that is all), evenly apart."""
    return [i // 4 * (tile // max(count // 4, 1)) + i % 4 for i in range(count)]


# -- a skinny side ---------------------------------------------------------------------------------------------------


def _finishing(columns, count, threads):
    """A helper that writes the results of a block, rows of `columns` elements, of which each warp has left its part of
    all `count` in shared memory: out[begin + row * out_row + j], as far as there are rows from `first` on."""
    warps = threads // min(threads, WARP)

    @helper
    def finish(out, cells, first, rows, begin, out_row, alpha, beta):
        place = cuda.threadIdx.x + 0 * rows
        while place < count:
            row = first + place // columns
            if row < rows:
                value = cells[place]
                for warp in range(1, warps):
                    value += cells[warp * count + place]
                at = begin + row * out_row + place % columns
                out[at] = alpha * value if beta == 0 else alpha * value + beta * out[at]
            place += threads

    return finish


def skinny_rows(dtype, columns=10, rows=4, threads=128):
    """out[i, j] = alpha * sum over l of x[i, l] * w[l, j] + beta * out[i, j] for few columns (1 to 32).

    x: dtype, [m, k], rows x_row apart; w: [k, columns], element (l, j) at l * w_row + j * w_col; out: [m, columns],
    rows out_row apart. A block makes `rows` rows: its threads divide k, each has rows * columns sums (64 or so at
    most, that they stay in registers), which are added by shuffles within warps and through shared memory between
    warps. Block: threads, a power of two up to 32 or a multiple of 32. Grid: ceil(m / rows).
    Limit: x read once, m * k * itemsize / bandwidth; w comes from the caches, m / rows times. 600 x 784 x 10 reads
    1.9 MB, less than a microsecond, in 150 blocks: the launch takes longer.
    Error: chains of k / threads additions, then a tree.
    """
    kind = TYPES[dtype]
    lanes = min(threads, WARP)
    warps = threads // lanes
    count = rows * columns
    size = warps * count
    start, store_totals, pick = start_of(dtype, count), totals_of(lanes), loaded_of(columns)
    text = """\
def skinny_product(out, x, w, m, k, x_row, w_row, w_col, out_row, alpha, beta):
    cells = cuda.shared.array(size, kind)
    thread = cuda.threadIdx.x
    row0 = cuda.blockIdx.x * rows
    sums = start()
    l = thread + 0 * k
    while l < k:
        sums = add_outer(sums, ({loads},), pick(w, l * w_row, w_col))
        l += threads
    store_totals(cells, thread // lanes * count, sums, thread % lanes)
    cuda.syncthreads()
    finish(out, cells, row0, m, 0, out_row, alpha, beta)
""".format(loads=", ".join(f"x[min(row0 + {r}, m - 1) * x_row + l]" for r in range(rows)))
    names = dict(size=size, kind=kind, rows=rows, count=count, threads=threads, lanes=lanes, start=start,
                 add_outer=add_outer, pick=pick, store_totals=store_totals,
                 finish=_finishing(columns, count, threads))  # fmt: skip
    return generated("skinny_product", text, names)


def skinny_columns(dtype, columns=10, width=8, threads=256):
    """out[p, l, j] = alpha * sum over i of x[i, l] * d[i, j] + beta * out[p, l, j]: x.T @ d for a d of 1 to 32 columns.

    x: dtype, [m, k], rows x_row apart; d: [m, columns], rows d_row apart; out: [k, columns], rows out_row apart. With
    alpha = -rate and beta = 1 this is a gradient and its step in one: W is read and written once, the gradient not
    stored. i goes over part p: p * part .. min((p + 1) * part, m); parts are out_part elements apart in out. One part
    gives the result. For few columns of x and many rows several parts do, with beta = 0; what adds them is another
    launch. Block: threads, a power of two, at least width; width columns of x, 8 being what one sector of memory holds.
    Grid: ceil(k / width), ceil(m / part). Each thread takes every (threads / width)th row; the sums are added by
    shuffles in a warp and through shared memory between warps, in a fixed order.
    Limit: x read once, m * k * itemsize / bandwidth; d from the caches, k / width times.
    Error: chains of part * width / threads additions, then a tree.
    """
    kind = TYPES[dtype]
    lanes = min(threads, WARP)
    warps = threads // lanes
    groups = threads // width
    count = width * columns
    size = warps * count
    start, store_totals, pick = start_of(dtype, columns), totals_of(lanes, width), loaded_of(columns)
    finish = _finishing(columns, count, threads)

    def skinny_contraction(out, x, d, m, k, part, x_row, d_row, out_row, out_part, alpha, beta):
        cells = cuda.shared.array(size, kind)
        thread = cuda.threadIdx.x
        column0 = cuda.blockIdx.x * width
        column = min(column0 + thread % width, k - 1)
        i = cuda.blockIdx.y * part + thread // width
        end = min((cuda.blockIdx.y + 1) * part, m)
        sums = start()
        # four rows are under way at a time: there are few threads for the memory's latency
        while i + 3 * groups < end:
            x0, d0 = x[i * x_row + column], pick(d, i * d_row, 1)
            x1, d1 = x[(i + groups) * x_row + column], pick(d, (i + groups) * d_row, 1)
            x2, d2 = x[(i + 2 * groups) * x_row + column], pick(d, (i + 2 * groups) * d_row, 1)
            x3, d3 = x[(i + 3 * groups) * x_row + column], pick(d, (i + 3 * groups) * d_row, 1)
            sums = add_outer(add_outer(sums, (x0,), d0), (x1,), d1)
            sums = add_outer(add_outer(sums, (x2,), d2), (x3,), d3)
            i += 4 * groups
        while i < end:
            sums = add_outer(sums, (x[i * x_row + column],), pick(d, i * d_row, 1))
            i += groups
        store_totals(cells, thread // lanes * count + thread % width * columns, sums, thread % lanes)
        cuda.syncthreads()
        finish(out, cells, column0, k, cuda.blockIdx.y * out_part, out_row, alpha, beta)

    return skinny_contraction
