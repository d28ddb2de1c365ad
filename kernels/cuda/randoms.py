"""Random numbers from counters: element i of a stream is a function of (seed, stream, i) alone, on any grid.

Philox-4x32-10 makes four words of 32 bits for each counter; the key is the seed.
Source: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011; the constants and the known
answers of the tests are those of its library Random123.

The limit is memory: each element is written once; ten rounds of two 32-bit products cost less than that.
"""

import math

from numgraph.kernels.cuda.support import TYPES, cuda, helper

MASK = 0xFFFFFFFF
# Multipliers, and the steps of the key: the golden ratio and the square root of 3 less 1.
M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
uint64 = TYPES["uint64"]


@helper
def philox(c0, c1, c2, c3, k0, k1):
    """Four random words of a counter of four words and a key of two, all uint64 below 2^32."""
    for _ in range(ROUNDS):
        first = uint64(M0) * c0
        second = uint64(M1) * c2
        c0, c2 = (second >> uint64(32)) ^ c1 ^ k0, (first >> uint64(32)) ^ c3 ^ k1
        c1, c3 = second & uint64(MASK), first & uint64(MASK)
        k0 = (k0 + uint64(W0)) & uint64(MASK)
        k1 = (k1 + uint64(W1)) & uint64(MASK)
    return c0, c1, c2, c3


@helper
def words_of(quad, stream, seed):
    """The four words of quad number `quad` of a stream. stream, seed: int64, of which all 64 bits count."""
    q, s, key = uint64(quad), uint64(stream), uint64(seed)
    return philox(
        q & uint64(MASK), q >> uint64(32), s & uint64(MASK), s >> uint64(32), key & uint64(MASK), key >> uint64(32)
    )


def _unit(dtype):
    """A helper that makes a number in [0, 1) of two words: multiples of 2^-24 from the first, or of 2^-53 from both."""
    kind = TYPES[dtype]
    if dtype == "float32":
        scale = kind(2.0**-24)

        @helper
        def unit(high, low):
            return kind(high >> uint64(8)) * scale
    else:
        scale = kind(2.0**-53)

        @helper
        def unit(high, low):
            return kind((high << uint64(21)) | (low >> uint64(11))) * scale

    return unit


def _around(dtype):
    """A helper: cos(pi * v) and sin(pi * v).

    math.cos would reduce its argument in float64, for angles that do not occur.
    """
    if dtype == "float32":

        @helper
        def around(v):
            return cuda.libdevice.cospif(v), cuda.libdevice.sinpif(v)
    else:

        @helper
        def around(v):
            return cuda.libdevice.cospi(v), cuda.libdevice.sinpi(v)

    return around


def bits(threads=256):
    """out[i] = word i of a stream, from word `begin` on: uniform integers of 32 bits.

    out: uint32, of length count. begin, seed, stream: int64, begin a multiple of 4: a later call goes on where an
    earlier one ended. Block: threads. Grid: ceil(count / (4 * threads)).
    """

    def random_bits(out, count, begin, stream, seed):
        i = 4 * cuda.grid(1)
        if i < count:
            a, b, c, d = words_of((begin + i) // 4, stream, seed)
            out[i] = a
            if i + 1 < count:
                out[i + 1] = b
            if i + 2 < count:
                out[i + 2] = c
            if i + 3 < count:
                out[i + 3] = d

    return random_bits


def uniform(dtype, threads=256):
    """out[i] = low + (high - low) * u[i], u uniform in [0, 1), numbers from `begin` on of a stream.

    out: dtype, of length count. float32 takes one word a number, with 24 bits, float64 two, with 53. begin: a
    multiple of 4. high itself may come out by rounding. Block: threads. Grid: ceil(count / (4 * threads)).
    """
    unit = _unit(dtype)
    single = dtype == "float32"

    def random_uniform(out, count, begin, stream, seed, low, high):
        i = 4 * cuda.grid(1)
        if i < count:
            width = high - low
            # float64 numbers i and i + 1 are made of quad i / 2
            a, b, c, d = words_of((begin + i) // 4 if single else (begin + i) // 2, stream, seed)
            out[i] = low + width * unit(a, b)
            if i + 1 < count:
                out[i + 1] = low + width * unit(b if single else c, d)
            if i + 2 < count:
                if not single:
                    a, b, c, d = words_of((begin + i) // 2 + 1, stream, seed)
                out[i + 2] = low + width * unit(c if single else a, b)
            if i + 3 < count:
                out[i + 3] = low + width * unit(d if single else c, d)

    return random_uniform


def normal(dtype, threads=256):
    """out[i] = mean + deviation * z[i], z normal with mean 0 and variance 1, numbers from `begin` on of a stream.

    Pairs of uniform numbers by the formulas of Box and Muller: float32 reaches |z| = 5.8, float64 8.6. Arguments, block
    and grid are those of `uniform`.
    Source: Box and Muller, A note on the generation of random normal deviates, Ann. Math. Stat. 29, 1958.
    """
    kind = TYPES[dtype]
    unit = _unit(dtype)
    single = dtype == "float32"
    one, two = kind(1), kind(2)

    around = _around(dtype)

    @helper
    def pair(u, v):
        """Two normal numbers of two uniform ones; 1 - u is never 0."""
        length = math.sqrt(-two * math.log(one - u))
        x, y = around(two * v)
        return length * x, length * y

    def random_normal(out, count, begin, stream, seed, mean, deviation):
        i = 4 * cuda.grid(1)
        if i < count:
            a, b, c, d = words_of((begin + i) // 4 if single else (begin + i) // 2, stream, seed)
            x, y = pair(unit(a, b), unit(b if single else c, d))
            out[i] = mean + deviation * x
            if i + 1 < count:
                out[i + 1] = mean + deviation * y
            if i + 2 < count:
                if not single:
                    a, b, c, d = words_of((begin + i) // 2 + 1, stream, seed)
                x, y = pair(unit(c if single else a, b), unit(d if single else c, d))
                out[i + 2] = mean + deviation * x
            if i + 3 < count:
                out[i + 3] = mean + deviation * y

    return random_normal
