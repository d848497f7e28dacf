# SPDX-License-Identifier: BSD-3-Clause
"""The matrix product for the other compiled modules."""

# C[b] = relu(C[b] + A[b]·B[b] + bias), C, bias and relu as `accumulate`, `bias` (n elements or NULL) and `relu` say, b < n_batch.
# Strides count elements; a batch stride of 0 shares the matrix; C has unit column stride and overlaps neither A nor B.
# threads: 0 = as many as pay, n = exactly n. The result depends on shapes, strides, dtype and ISA only, never on threads.
# Needs the interpreter lock, which it gives up around large work. MemoryError when there is no memory to pack into.
cdef int gemm(int f64, ptrdiff_t n_batch, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
              const void* a, ptrdiff_t a_batch, ptrdiff_t a_row, ptrdiff_t a_col,
              const void* b, ptrdiff_t b_batch, ptrdiff_t b_row, ptrdiff_t b_col,
              void* c, ptrdiff_t c_batch, ptrdiff_t c_row,
              const void* bias, int relu, int accumulate, int threads) except -1
