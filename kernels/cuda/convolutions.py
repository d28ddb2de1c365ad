"""Convolutions and their two adjoints: products of matrices of which one is made of images while it is read.

Each is an implicit product, sums[m, n] = sum over p of left[m, p] * right[p, n], in tiles as `products.tiled` has them:

* `convolve`: m counts filters, n pixels of the result of all images, p (channel, pixel of a filter)
* `image_gradient`: m counts channels, n pixels of all images, p (filter, pixel of a filter)
* `filter_gradient`: m counts (channel, pixel of a filter), n filters, p pixels of the result of a part of the images

An element of a *patch* is the pixel at place + tap, where one of n (m for filters) and p decides the place and the
other one the tap. Threads of a tile keep what does not vary with p; what varies is in a *table* in shared memory, which
the block makes for `entries` values of p at a time: where it leads to in memory, 64 bits, and for each axis the tap, or
which taps are inside of the image. So no number is divided in the loop over p. Taps have 32 bits: a filter reaches,
with its dilation and the margin, over fewer than 2^30 pixels; images may be longer.

With strides each pixel of an image meets only those taps whose distance is a multiple: pixels of `image_gradient` are
taken in phases, those of equal remainders together, so that no product with 0 is made.

axes: how many axes there are, the last ones; those before have length 1 everywhere. inside: no tap is outside of the
image, and none is looked for there. Sums are in the dtype, along p in order: at most as many roundings as there are p.
Numbers behind the pointers are those of `kernels/convolutions.py`. Block: tile_m * tile_n / (thread_m * thread_n)
threads. Grid: ceil(rows / tile_m) times ceil(columns / tile_n) times groups (times phases, or parts), on one axis.
Source: Chetlur et al., cuDNN: Efficient primitives for deep learning (2014), for making patches in shared memory.
"""

from math import gcd, prod

from numgraph.kernels.cuda.flat import quotient
from numgraph.kernels.cuda.pointers import advance
from numgraph.kernels.cuda.products import guarded, runs_of
from numgraph.kernels.cuda.registers import (
    add_outer,
    cell,
    load4,
    pair,
    put,
    scattering_of,
    start_of,
    within,
    writing_of,
)
from numgraph.kernels.cuda.support import TYPES, generated, helper

# What stands for a place, or tap, that no other one meets; and a tap that is nowhere.
FAR, NOWHERE = 1 << 30, (1 << 31) - 1
# Of an axis: lengths of image, filter, result, and the margin before the image.
_NAMES = {"z": ("depth", "kd", "od", "bd"), "y": ("height", "kh", "oh", "bh"), "x": ("width", "kw", "ow", "bw")}

_TEXT = """\
def {name}(out, {operands}, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw,
        dd, dh, dw, bd, bh, bw{parts}):
    left = cuda.shared.array(left_size, kind, 16)
    right = cuda.shared.array(right_size, kind, 16)
{arrays}\
    thread = cuda.threadIdx.x
    tx = thread % across
    ty = thread // across
    image, window, pixels = {image}, {window}, {pixels}
{lengths}\
    row_tiles = quotient(rows + (tile_m - 1), tile_m)
    column_tiles = quotient(widest + (tile_n - 1), tile_n)
    others = quotient(cuda.blockIdx.x, row_tiles)
    row0 = (cuda.blockIdx.x - others * row_tiles) * tile_m
    group = quotient(others, column_tiles)
    col0 = (others - group * column_tiles) * tile_n
{begin}\
    # what only tables and results need has no register in between
    ends = cuda.shared.array({kept}, int64)
    if thread == 0:
        ends[0], ends[1], ends[2], ends[3] = {place}, rows - row0, columns - col0, {apart}
{keep}\
    sums = start()
    half = 0
    chunk = 0 * count
    cuda.syncthreads()
    while chunk < count:
        slot = thread + 0 * count
        while slot < entries:
            p = chunk + slot
{table}\
            slot += cuda.blockDim.x
        cuda.syncthreads()
        end = min(chunk + entries, count)
        base = chunk
{first}\
{store}\
        cuda.syncthreads()
        while base < end:
            base += deep
{load}\
            i = half * left_half + ty * run_m
            j = half * right_half + tx * run_n
{multiply}\
            half = 1 - half
{store_next}\
            cuda.syncthreads()
        chunk += entries
    rooms, room, apart = ends[1] - ty * run_m, ends[2] - tx * run_n, ends[3]
    {write}
"""


@helper
def bounded(value):
    """A place in 32 bits: what is farther than any tap reaches is FAR."""
    return min(max(value, -FAR), FAR)


def _lines(indent, *lines):
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


class _Convolution:
    """What the three kernels have in common: tiles, axes, and the text about them."""

    def __init__(self, dtype, tile_m, tile_n, deep, thread_m, thread_n, entries, axes, stride, dilation, inside):
        self.threads = tile_m * tile_n // (thread_m * thread_n)
        self.letters = "zyx"[3 - axes :]
        self.stride = dict(zip("zyx", stride, strict=True))
        self.dilation = dict(zip("zyx", dilation, strict=True))
        self.inside, self.deep, self.tile_m, self.tile_n = inside, deep, tile_m, tile_n
        if entries % deep or self.threads % deep or entries & (entries - 1):
            raise ValueError(f"{entries} entries, {self.threads} threads: no powers of two, or multiples of {deep}")
        self.kind = kind = TYPES[dtype]
        self.rows, self.columns = runs_of(tile_m, thread_m), runs_of(tile_n, thread_n)
        # rows of a tile are a little apart where threads along p store into one column
        left_row, right_row = tile_m + 4, tile_n + 4
        self.names = dict(
            kind=kind, zero=kind(0), one=kind(1), int64=TYPES["int64"], int32=TYPES["int32"], deep=deep, tile_m=tile_m,
            tile_n=tile_n, across=tile_n // thread_n, threads=self.threads, entries=entries, mask=entries - 1,
            left_row=left_row, right_row=right_row, left_half=deep * left_row, right_half=deep * right_row,
            left_size=2 * deep * left_row, right_size=2 * deep * right_row, run_m=min(4, thread_m),
            run_n=min(4, thread_n), start=start_of(dtype, thread_m * thread_n), guarded=guarded, load4=load4,
            add_outer=add_outer, within=within, bounded=bounded, quotient=quotient,
            advance=advance, cell=cell, pair=pair, put=put, NOWHERE=NOWHERE,
            scatter=scattering_of(self.rows, self.columns), write=writing_of(self.rows, self.columns),
        )  # fmt: skip

    def length(self, what, letter):
        """The name of a length of an axis: of "image", "window", "result", or the margin before it, "low"."""
        return _NAMES[letter][("image", "window", "result", "low").index(what)]

    def linear(self, place, what):
        """The number of an element: place("y") along each axis, whose lengths are those of `what`."""
        text = place(self.letters[0])
        for letter in self.letters[1:]:
            text = f"({text}) * {self.length(what, letter)} + {place(letter)}"
        return text

    def size(self, what):
        """The product of lengths."""
        return " * ".join(self.length(what, letter) for letter in self.letters)

    def split(self, first, number, lengths, prefix=""):
        """Statements that split a number into one of `first`, and one along each axis: prefix + "y"."""
        found, rest = [], number
        for letter in reversed(self.letters):
            onward = f"over_{letter}"
            found += [f"{onward} = quotient({rest}, {lengths(letter)})",
                      f"{prefix}{letter} = {rest} - {onward} * {lengths(letter)}"]  # fmt: skip
            rest = onward
        return [*found, f"{first} = {rest}"]

    def each(self, text):
        """A statement for each axis where it may be outside of the image; # is its letter."""
        return [] if self.inside else [text.replace("#", letter) for letter in self.letters]

    def met(self, tap, low, span, there):
        """Whether a tap is inside of the image; # is an axis' letter, which `tap` gets. there: whether there is one."""
        if self.inside:
            return there
        return " & ".join(
            f"within({tap(letter)}, {low}, {span})".replace("#", letter) for letter in self.letters
        )  # fmt: skip

    def packed(self, table, slot, place, taps):
        """Statements that put a place and the taps along the last two axes side by side into a table; one before these
        has a table of its own. taps: of the letter of an axis, text."""
        x, y = (f"bounded({taps(a)})" if a in self.letters else "0" for a in "xy")
        found = [f"put({table}, 2 * {slot}, {place})"]
        if not self.inside:
            found.append(f"put({table}, 2 * {slot} + 1, ({y} << 32) | ({x} & 0xFFFFFFFF))")
            found += [f"put({table}_z, {slot}, bounded({taps(a)}))" for a in self.letters if a == "z"]
        return found

    def unpacked(self, table, e, slot):
        """(statement, tap along an axis) that read what `packed` has put: place{e} and taps{e}."""
        places = {"x": f"int32(taps{e})", "y": f"int32(taps{e} >> 32)", "z": f"cell({table}_z, {slot})"}
        if self.inside:
            return f"place{e} = cell({table}, 2 * {slot})", places.get
        return f"place{e}, taps{e} = pair({table}, {slot})", places.get

    def table(self, name):
        """The arrays that `packed` puts into."""
        return [name, *(f"{name}_z" for letter in self.each("#") if letter == "z")]

    def fragment(self, name, at, runs):
        """What a thread reads of a tile in shared memory."""
        if len(runs) == 1:
            return f"(cell({name}, {at}),)"
        return " + ".join(f"load4({name}, {at} + {run})" for run in runs[::4])

    def moves(self, tile, across):
        """(how many elements of a tile a thread moves, how far apart); across: adjoining threads have the same p."""
        apart = self.threads // (tile if across else self.deep)
        return max(1, (self.deep if across else tile) // apart), apart

    def side(self, name, tile, value):
        """(loads, stores) of a tile whose elements adjoin along p: thread % deep counts p. value(e, shift): the load of
        the thread's e-th element, `shift` rows on."""
        moves, apart = self.moves(tile, False)
        place = f"half * {name}_half + {name}_lane * {name}_row + {name}_at"
        loads = [f"{name}{e} = {value(e, e * apart)}" for e in range(moves)]
        stores = [f"put({name}, {place} + {e * apart}, {name}{e})" for e in range(moves)]
        # a small tile has no element for each thread
        if apart > tile:
            stores = [f"if {name}_at < {tile}:", *(f"    {s}" for s in stores)]
        return loads, stores

    def made(self, name, operands, arrays, lengths, begin, table, left, right, place, apart, write, parts="", kept=()):
        """The kernel. left, right: (loads, stores). place: of the tile in the result, whose rows are `apart`. kept:
        names of numbers that the table needs, which it knows with a _ behind."""
        known = [f"{name}_ = ends[{4 + e}]" for e, name in enumerate(kept)]
        kinds = {"there": "int64", "beside": "int64", "where": "int64", "lines": "int64"}
        entries = self.names["entries"]
        sizes = {"where": self.tile_n, "there": 2 * entries, "lines": 2 * self.tile_m, "lines_z": self.tile_m}
        text = _TEXT.format(
            name=name, operands=", ".join(operands), parts=parts,
            arrays=_lines(4, *(f"{a} = cuda.shared.array({sizes.get(a, entries)}, {kinds.get(a, 'int32')}, 16)"
                               for a in arrays)),
            kept=4 + len(kept), keep=_lines(8, *(f"ends[{4 + e}] = {name}" for e, name in enumerate(kept))),
            image=self.size("image"), window=self.size("window"), pixels=self.size("result"),
            lengths=_lines(4, *lengths), begin=_lines(4, *begin), table=_lines(12, *known, *table),
            first=_lines(8, *left[0], *right[0]), store=_lines(8, *left[1], *right[1]),
            load=_lines(12, *left[0], *right[0]), store_next=_lines(12, *left[1], *right[1]),
            multiply=_lines(12, *(
                f"sums = add_outer(sums, {self.fragment('left', f'i + {step} * left_row', self.rows)}, "
                f"{self.fragment('right', f'j + {step} * right_row', self.columns)})" for step in range(self.deep)
            )),
            place=place, apart=apart, write=write,
        )  # fmt: skip
        return generated(name, text, self.names)


def _filters_side(of, base, along=""):
    """The left side of what is over pixels: filters. along: how far an element of p is from the first, if not p."""
    return of.side("left", of.tile_m, lambda e, shift: (
        f"guarded(own, {along or 'base'} + {shift} * {base}, "
        f"(row0 + left_at + {shift} < rows) & (base + left_lane < end), zero)"
    ))  # fmt: skip


def _pixels_side(of, source):
    """The right side of what is over pixels: patches, whose columns have adjoining threads."""
    moves, apart = of.moves(of.tile_n, True)
    loads, stores = [], []
    for e in range(moves):
        lane = f"right_lane + {e * apart}"
        found, taps = of.unpacked("there", e, f"slot{e}")
        met = of.met(taps, "low_#", "span_#", f"base + {lane} < end")
        loads += [f"slot{e} = (base & mask) + {lane}", found, f"right{e} = guarded(seen, place{e}, {met}, zero)"]
        stores.append(f"put(right, half * right_half + ({lane}) * right_row + right_at, right{e})")
    return loads, stores


def _column(lengths):
    """Statements that find the pixel of a thread's column; one behind the last is the last one, and is not written."""
    return ["right_at = thread % tile_n", "right_lane = thread // tile_n", "left_at = thread // deep",
            "left_lane = thread % deep", "column = min(col0 + right_at, columns - 1)", *lengths]  # fmt: skip


def _tap(tap):
    """A tap in the table; NOWHERE behind the last p."""
    return f"{tap} if p < count else NOWHERE"


def _over_pixels(of, name, operands, lengths, begin, table, left, channels, pixels, kept=()):
    """`convolve` and `image_gradient`, whose result has so many channels of a group, of so many pixels."""
    arrays = ["where", *(["beside"] if "beside" in "".join(table) else []), *of.table("there")]
    starts = of.fragment("where", "tx * run_n", of.columns)
    write = f"scatter(out, {starts}, ends[0] + ty * run_m * apart, apart, rooms, room, sums)"
    place = f"(group * {channels} + row0) * {pixels}"
    right = _pixels_side(of, operands[0])
    return of.made(name, operands, arrays, lengths, begin, table, left, right, place, pixels, write, kept=kept)


def convolve(dtype, tile_m=64, tile_n=128, thread_m=8, thread_n=8, deep=8, entries=256, axes=2, stride=(1, 1, 1),
             dilation=(1, 1, 1), inside=False):  # fmt: skip
    """out[n, k, q] = sum over p of w[k, p] * patches[p, q] of image n; see the module's text.

    x: dtype, [images, groups * c, depth, height, width]; w: [groups * k, c, kd, kh, kw]; out: [images, groups * k, od,
    oh, ow], not overlapping x or w. No length of out is 0; c may be. inside: all margins are 0.
    Limit: 2 * images * groups * k * c * window * pixels floating-point operations at 67 TFLOP/s; x, w, out in memory.
    Each element of a patch is loaded, from caches mostly, once for tile_m filters.
    """
    of = _Convolution(dtype, tile_m, tile_n, deep, thread_m, thread_n, entries, axes, stride, dilation, inside)
    steps, apart = of.stride, of.dilation
    lengths = ["rows, columns, count = k, images * pixels, c * window", "widest = columns"]
    pixel = {a: f"o_{a} * {steps[a]} - {of.length('low', a)}" for a in of.letters}
    begin = _column([
        *of.split("n", "column", lambda a: of.length("result", a), "o_"),
        f"seen = advance(x, (n * groups + group) * c * image + {of.linear(lambda a: f'({pixel[a]})', 'image')})",
        *(f"low_{a} = int32(bounded(-({pixel[a]})))" for a in of.each("#")),
        *(f"span_{a} = int32(bounded({of.length('image', a)} - ({pixel[a]})) - low_{a})" for a in of.each("#")),
        "if thread < tile_n:", "    where[thread] = n * (groups * k - 1) * pixels + column",
        "own = advance(w, (group * k + row0 + left_at) * count + left_lane)",
    ])  # fmt: skip
    table = [*of.split("channel", "p", lambda a: of.length("window", a), "t_"),
             *of.packed("there", "slot", f"channel * image + {of.linear(lambda a: f't_{a} * {apart[a]}', 'image')}",
                        lambda a: _tap(f"t_{a} * {apart[a]}"))]  # fmt: skip
    return _over_pixels(of, "convolution", "xw", lengths, begin, table, _filters_side(of, "count"),
                        "k", "pixels")  # fmt: skip


def image_gradient(dtype, tile_m=64, tile_n=128, thread_m=8, thread_n=8, deep=8, entries=256, axes=2, stride=(1, 1, 1),
                   dilation=(1, 1, 1), inside=False):  # fmt: skip
    """The gradient for the images of `convolve`, of which g is that for the result: each pixel's sum over the filters
    and the pixels of these that it was multiplied by.

    g: dtype, [images, groups * k, od, oh, ow]; w: [groups * k, c, kd, kh, kw]; out: [images, groups * c, depth, height,
    width]. No length of out is 0; k, and those of g, may be. inside: filters of one pixel, at each pixel of the images.
    Grid: pixels of the largest phase, and as many phases as the product of the steps.
    Limit: as `convolve`; phases of few pixels fill their last tiles badly.
    """
    of = _Convolution(dtype, tile_m, tile_n, deep, thread_m, thread_n, entries, axes, stride, dilation, inside)
    widest = " * ".join(["images", *(_phase_most(of, a) for a in of.letters)])
    begin = [*_phases(of), f"columns = images * {' * '.join(f'm_{a}' for a in of.letters)}", "if col0 >= columns:",
             "    return", f"count = k * {' * '.join(f'r_{a}' for a in of.letters)}",
             *_column(of.split("n", "column", lambda a: f"m_{a}", "u_"))]  # fmt: skip
    pixel = of.linear(lambda a: f"(u_{a} * {of.stride[a]} + f_{a})", "image")
    begin += [
        f"seen = advance(g, (n * groups + group) * k * pixels + {of.linear(lambda a: f'u_{a}', 'result')})",
        *of.each("low_# = int32(bounded(-u_#))"),
        *(f"span_{a} = int32(bounded({of.length('result', a)} - u_{a}) - low_{a})" for a in of.each("#")),
        "if thread < tile_n:", f"    where[thread] = n * groups * c * image + {pixel}",
        "own = advance(w, (group * k * c + row0 + left_at) * window)",
    ]  # fmt: skip
    step = {a: (of.stride[a] // gcd(of.stride[a], of.dilation[a])) for a in of.letters}
    back = {a: (of.dilation[a] // gcd(of.stride[a], of.dilation[a])) for a in of.letters}
    kept = ["pixels", *(f"{what}_{a}" for a in of.letters if of.stride[a] > 1 for what in ("r", "first", "begin"))]
    known = {a: "_" if of.stride[a] > 1 else "" for a in of.letters}
    table = [*of.split("filter", "p", lambda a: f"r_{a}{known[a]}", "j_"),
             *(f"e_{a} = begin_{a}{known[a]} - j_{a} * {back[a]}" for a in of.letters),
             *of.packed("there", "slot", f"filter * pixels_ + {of.linear(lambda a: f'e_{a}', 'result')}",
                        lambda a: _tap(f"e_{a}")),
             "beside[slot] = filter * c * window + "
             + of.linear(lambda a: f"(first_{a}{known[a]} + j_{a} * {step[a]})", "window")]  # fmt: skip
    loads, stores = _filters_side(of, "window", "cell(beside, left_slot)")
    return _over_pixels(of, "convolution_images", "gw", ["rows = c", f"widest = {widest}"], begin, table,
                        (["left_slot = (base & mask) + left_lane", *loads], stores), "c", "image", kept)  # fmt: skip


def _phase_most(of, letter):
    """The most pixels that a phase has along an axis."""
    step, length = of.stride[letter], of.length("image", letter)
    return length if step == 1 else f"quotient({length} + {step - 1}, {step})"


def _phases(of):
    """Statements that find the phase of a block. f_: its remainder along each axis; m_: its pixels; first_ and r_: the
    first pixel of a filter that they meet, and how many; begin_: the distance of the result's pixel at that."""
    phases = prod(of.stride[a] for a in of.letters)
    found = []
    if phases > 1:
        found += [f"phase = group % {phases}", f"group = quotient(group, {phases})"]
    for a in reversed(of.letters):
        s, d, low, length = of.stride[a], of.dilation[a], of.length("low", a), of.length("window", a)
        if s == 1:
            found += [f"f_{a}, m_{a}, first_{a}, r_{a}, begin_{a} = 0, {of.length('image', a)}, 0, {length}, {low}"]
            continue
        step = s // gcd(s, d)
        found += [
            f"f_{a} = phase % {s}", f"phase = phase // {s}",
            f"m_{a} = quotient({of.length('image', a)} - f_{a} + {s - 1}, {s})", f"first_{a} = 0 * {length}",
            f"while (first_{a} < {step}) & ((f_{a} + {low} - first_{a} * {d}) % {s} != 0):", f"    first_{a} += 1",
            f"r_{a} = quotient(max({length} - first_{a}, 0) + {step - 1}, {step}) if first_{a} < {step} else 0",
            f"begin_{a} = (f_{a} + {low} - first_{a} * {d}) // {s}",
        ]  # fmt: skip
    return found


def filter_gradient(dtype, tile_m=64, tile_n=64, thread_m=4, thread_n=4, deep=8, entries=256, axes=2, stride=(1, 1, 1),
                    dilation=(1, 1, 1), inside=False):  # fmt: skip
    """out[part, group, p, k] = the gradient for the filters of `convolve`, of a part of the images each.

    x and g as above; parts: how many, image n being of part n * parts // images. No length of out is 0; the images of a
    part, and the lengths of g, may be. What adds up the parts is another launch: no result depends on an order.
    Limit: as `convolve`; the parts are written and read again. Each element of a patch is loaded once for tile_n
    filters, each of g once for tile_m rows of the patches: 8 adjoining ones, of one sector of memory, at a time.
    """
    of = _Convolution(dtype, tile_m, tile_n, deep, thread_m, thread_n, entries, axes, stride, dilation, inside)
    pixel = {a: f"o_{a} * {of.stride[a]} - {of.length('low', a)}" for a in of.letters}
    begin = ["part = quotient(group, groups)", "group -= part * groups", "n0 = quotient(images * part, parts)",
             "count = (quotient(images * (part + 1), parts) - n0) * pixels", "left_at = thread // deep",
             "left_lane = thread % deep", "right_at, right_lane = left_at, left_lane",
             "x_apart, g_apart = groups * c * image, groups * k * pixels",
             "own = advance(g, (group * k + col0 + right_at) * pixels)"]  # fmt: skip
    # of each row of the tile the taps, and where they lead to
    begin += ["line = thread + 0 * count", "while line < tile_m:", *(f"    {text}" for text in [
        "row = min(row0 + line, rows - 1)", *of.split("channel", "row", lambda a: of.length("window", a), "t_"),
        *of.packed("lines", "line", "(group * c + channel) * image + "
                   + of.linear(lambda a: f"t_{a} * {of.dilation[a]}", "image"), lambda a: f"t_{a} * {of.dilation[a]}"),
        "line += cuda.blockDim.x",
    ])]  # fmt: skip
    table = [*of.split("n", "p", lambda a: of.length("result", a), "o_"),
             f"put(there, 2 * slot, (n0_ + n) * x_apart_ + {of.linear(lambda a: f'({pixel[a]})', 'image')})",
             "put(there, 2 * slot + 1, (n0_ + n) * g_apart_ + p - n * pixels)"]  # fmt: skip
    for a in of.each("#"):
        table += [
            f"low = bounded(-({pixel[a]}))",
            f"put(low_{a}, slot, low)",
            f"put(span_{a}, slot, bounded({of.length('image', a)} - ({pixel[a]})) - low if p < count else 0)",
        ]
    there = "base + left_lane < end"
    found = {}

    def patch(e, shift):
        found[e], taps = of.unpacked("lines", e, f"min(left_at + {shift}, tile_m - 1)")
        return f"guarded(x, seen + place{e}, {of.met(taps, 'here_#', 'span_here_#', there)}, zero)"

    loads, stores = of.side("left", tile_m, patch)
    loads = ["slot = (base & mask) + left_lane", "seen, beside = pair(there, slot)",
             *of.each("here_# = cell(low_#, slot)"), *of.each("span_here_# = cell(span_#, slot)"),
             *(text for e, load in enumerate(loads) for text in (found[e], load))]  # fmt: skip
    right = of.side("right", tile_n, lambda e, shift: (
        f"guarded(own, beside, (col0 + right_at + {shift} < columns) & ({there}), zero)"
    ))  # fmt: skip
    pace = f"beside += {of.moves(tile_n, False)[1]} * pixels"
    right = ([text for load in right[0] for text in (load, pace)][:-1], right[1])
    place = "((part * groups + group) * rows + row0) * columns + col0"
    write = "write(out, ends[0] + ty * run_m * apart + tx * run_n, apart, rooms, room, sums, one, zero)"
    arrays = ["there", *of.each("low_#"), *of.each("span_#"), *of.table("lines")]
    return of.made("convolution_filters", "xg", arrays, ["rows, columns, widest = c * window, k, k"], begin, table,
                   (loads, stores), right, place, "columns", write, ", parts",
                   ("n0", "x_apart", "g_apart"))  # fmt: skip
