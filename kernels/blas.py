"""Matrix products through a BLAS library, for exported modules: there numgraph's own are not at hand."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable


def _fortran_gemm(real, llvm_real):
    """An intrinsic that calls a Fortran-style ?gemm at an address, everything by reference.

    Sizes are 64-bit; a library with 32-bit integers reads the lower halves, on little-endian machines the values.
    """

    @intrinsic
    def call(typingctx, function, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        whole = types.int64
        signature = types.void(
            whole, whole, whole, whole, whole, whole, real, whole, whole, whole, whole, real, whole, whole
        )

        def codegen(context, builder, sig, args):
            byte = ir.IntType(8)
            i64 = ir.IntType(64)
            pointer = byte.as_pointer()

            def by_reference(value, kind):
                slot = context_alloca(builder, kind)
                builder.store(value, slot)
                return builder.bitcast(slot, pointer)

            function, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = args
            letters = [by_reference(builder.trunc(t, byte), byte) for t in (ta, tb)]
            sizes = {
                name: by_reference(v, i64)
                for name, v in (("m", m), ("n", n), ("k", k), ("lda", lda), ("ldb", ldb), ("ldc", ldc))
            }
            scalars = [by_reference(v, llvm_real) for v in (alpha, beta)]
            arrays = [builder.inttoptr(v, pointer) for v in (a, b, c)]
            kind = ir.FunctionType(ir.VoidType(), [pointer] * 13)
            builder.call(
                builder.inttoptr(function, kind.as_pointer()),
                [
                    *letters,
                    sizes["m"],
                    sizes["n"],
                    sizes["k"],
                    scalars[0],
                    arrays[0],
                    sizes["lda"],
                    arrays[1],
                    sizes["ldb"],
                    scalars[1],
                    arrays[2],
                    sizes["ldc"],
                ],
            )
            return context.get_dummy_value()

        return signature, codegen

    return call


def context_alloca(builder, kind):
    """A stack slot in the function's entry block, so that loops do not grow the stack."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


_sgemm = _fortran_gemm(types.float32, ir.FloatType())
_dgemm = _fortran_gemm(types.float64, ir.DoubleType())

_N, _T = 78, 84


@register_jitable
def leading(a, b):
    """The leading dimension that BLAS accepts: at least the row length."""
    return a if a > b else b


@register_jitable
def sgemm(function, chunk, chunks, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """out[m, n] = alpha * a[m, k] @ b[k, n] + beta * out, float32, row-major out with out_row elements per row.

    The first chunk does it all; scratch is not used.

    a and b are addresses with strides in elements; one of each pair of strides is 1. With beta 0 out is only written.
    BLAS works in column-major order, where a row-major matrix is its transpose: out.T = b.T @ a.T.
    """
    if m > 0 and n > 0 and chunk == 0:
        tb, ldb = (_N, leading(b_row, n)) if b_col == 1 else (_T, leading(b_col, k))
        ta, lda = (_N, leading(a_row, k)) if a_col == 1 else (_T, leading(a_col, m))
        _sgemm(function, tb, ta, n, m, k, alpha, b, leading(ldb, 1), a, leading(lda, 1), beta, out, leading(out_row, n))


@register_jitable
def dgemm(function, chunk, chunks, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm`, for float64."""
    if m > 0 and n > 0 and chunk == 0:
        tb, ldb = (_N, leading(b_row, n)) if b_col == 1 else (_T, leading(b_col, k))
        ta, lda = (_N, leading(a_row, k)) if a_col == 1 else (_T, leading(a_col, m))
        _dgemm(function, tb, ta, n, m, k, alpha, b, leading(ldb, 1), a, leading(lda, 1), beta, out, leading(out_row, n))


@register_jitable
def sgemm_rows(function, near, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm`, all of it; `near`, where the operands of the next product lie, is not used."""
    sgemm(function, 0, 1, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row)


@register_jitable
def dgemm_rows(function, near, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm_rows`, for float64."""
    dgemm(function, 0, 1, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row)


def multiply(function, like, m, n, k, a, a_row, a_col, b, b_row, b_col, added, out, out_row, scratch):
    """out[m, n] = a[m, k] @ b[k, n], or out += it where `added`; the dtype is that of the elements of `like`."""
    # for Numba alone, which takes `_typed_multiply`
    raise NotImplementedError


@overload(multiply)
def _typed_multiply(function, like, m, n, k, a, a_row, a_col, b, b_row, b_col, added, out, out_row, scratch):
    gemm, one = (sgemm, np.float32(1)) if like.dtype == types.float32 else (dgemm, np.float64(1))

    def run(function, like, m, n, k, a, a_row, a_col, b, b_row, b_col, added, out, out_row, scratch):
        beta = one if added else one - one
        gemm(function, 0, 1, scratch, m, n, k, one, a, a_row, a_col, b, b_row, b_col, beta, out, out_row)

    return run
