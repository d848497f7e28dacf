# SPDX-License-Identifier: BSD-3-Clause
"""The matrix product kernels and their driver, on arrays: every path, orientation, stride and thread count."""

import itertools
import subprocess
import sys
import textwrap
from functools import cache

import numpy as np
import pytest

from pydl._core import kernels
from pydl._core.errors import ShapeError
from pydl._core.gemm_array import PATHS, gemm_array

DTYPES = [np.float32, np.float64]
EXACT = ["direct", "pack_b", "pack_ab", "swapped"]  # paths that give an element the same bits
SMALL = [*range(0, 20), 23, 24, 29, 31, 32, 33, 35]


def matrix(rng, rows, cols, dtype, order="C"):
    """A random matrix stored by rows ("C") or columns ("F")."""
    x = rng.standard_normal((rows, cols) if order == "C" else (cols, rows)).astype(dtype)
    return x if order == "C" else x.T


def reference(a, b, bias=None, relu=False, start=None):
    """relu(start + a·b + bias) in float64 and the error allowed: eps·√(terms)·4 of |A|·|B| + |bias| + |start|."""
    want = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
    for extra in (bias, start):
        if extra is not None:
            want = want + extra.astype(np.float64)
            scale = scale + np.abs(extra.astype(np.float64))
    return np.maximum(want, 0) if relu else want, np.finfo(a.dtype).eps * np.sqrt(a.shape[-1] + 2) * 4 * scale


def expect(out, want, bound):
    assert out.shape == want.shape
    worst = np.max(np.abs(out - want) / np.maximum(bound, 1e-300), initial=0)
    assert worst <= 1, f"{worst} of the bound"


def run_paths(a, b, paths=PATHS, **options):
    """The results of the paths that can take these operands."""
    results = {}
    for path in paths:
        try:
            results[path] = gemm_array(a, b, path=path, **options)
        except ValueError as error:
            assert "cannot read operands" in str(error)
    return results


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", SMALL)
def test_small_sizes(m, dtype):
    rng = np.random.default_rng(m)
    for n, k in itertools.product(SMALL, (m % 5, 7 + m % 3, 16 + m % 2)):
        a, b = matrix(rng, m, k, dtype, "CF"[n % 2]), matrix(rng, k, n, dtype, "CF"[(n // 2 + k) % 2])
        results, want = run_paths(a, b), reference(a, b)
        for out in results.values():
            expect(out, *want)
        first = results["pack_b"].tobytes()
        assert all(results[path].tobytes() == first for path in EXACT if path in results)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "m,n,k,orders",
    [(61, 67, 71, "CC"), (61, 67, 71, "FF"), (1, 1021, 1031, "CC"), (1, 1021, 1031, "CF"), (1021, 1, 523, "CC"),
     (1021, 1, 523, "FC"),
     (64, 256, 784, "CF"), (64, 256, 784, "CC"), (32, 1024, 256, "CF"), (241, 97, 257, "CC"), (241, 97, 257, "FF"),
     (13, 3089, 300, "CC"), (13, 3089, 300, "CF"), (500, 33, 513, "CC"), (500, 33, 513, "FC"), (3, 5, 2053, "CF"),
     (256, 784, 64, "FC"), (199, 211, 769, "CC"), (199, 211, 769, "FC")],
)
def test_large_sizes(m, n, k, orders, dtype):
    rng = np.random.default_rng(m * n + k)
    a, b = matrix(rng, m, k, dtype, orders[0]), matrix(rng, k, n, dtype, orders[1])
    bias, start = rng.standard_normal(n).astype(dtype), matrix(rng, m, n, dtype)
    results, want = run_paths(a, b, bias=bias, relu=True), reference(a, b, bias, relu=True)
    for out in results.values():
        expect(out, *want)
    first = results["pack_b"].tobytes()
    assert all(results[path].tobytes() == first for path in EXACT if path in results)
    want = reference(a, b, start=start)
    for path in results:
        out = start.copy()
        assert gemm_array(a, b, out=out, accumulate=True, path=path) is out
        expect(out, *want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_error_stays_small(dtype):
    """6e-7 of the largest value in float32 (and the same number of eps in float64), also over a long sum."""
    rng = np.random.default_rng(5)
    for m, n, k in [(64, 48, 4096), (1, 300, 4096), (48, 1, 4096), (96, 96, 512)]:
        a, b = rng.random((m, k)).astype(dtype), rng.random((k, n)).astype(dtype)
        want = a.astype(np.longdouble) @ b.astype(np.longdouble)
        for path, out in run_paths(a, b).items():
            assert np.max(np.abs(out - want)) <= 5.03 * np.finfo(dtype).eps * np.max(np.abs(want)), path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("path", PATHS)
def test_epilogues(path, dtype):
    rng = np.random.default_rng(7)
    for (m, n, k), bias_on, relu, accumulate in itertools.product(
        [(7, 19, 33), (30, 5, 600), (1, 37, 300), (41, 1, 300)], (0, 1), (0, 1), (0, 1)
    ):
        a, b = matrix(rng, m, k, dtype), matrix(rng, k, n, dtype, "C" if path == "direct" or path == "sum" else "F")
        a = a if path != "sum" or n > 1 else np.asfortranarray(a)
        bias, start = (rng.standard_normal(n).astype(dtype) if bias_on else None), matrix(rng, m, n, dtype)
        out = start.copy()
        try:
            gemm_array(a, b, out=out, bias=bias, relu=bool(relu), accumulate=bool(accumulate), path=path)
        except ValueError:
            assert path == "direct" or (path in ("dot", "sum") and m > 1 and n > 1)
            continue
        expect(out, *reference(a, b, bias, bool(relu), start if accumulate else None))


def strided(rng, rows, cols, dtype, kind):
    """A rows × cols view of larger memory."""
    high, wide = (cols, rows) if kind == "transposed" else (rows, cols)
    base = rng.standard_normal((2 * high + 3, 2 * wide + 3)).astype(dtype)
    if kind == "row steps":
        return base[1 : 1 + 2 * rows : 2, 2 : 2 + cols]
    if kind == "column steps":
        return base[:rows, 1 : 1 + 2 * cols : 2]
    if kind == "both steps":
        return base[: 2 * rows : 2, : 2 * cols : 2]
    if kind == "transposed":
        return base[:cols, :rows].T
    if kind == "negative rows":
        return base[:rows, :cols][::-1]
    if kind == "negative columns":
        return base[:rows, :cols][:, ::-1]
    if kind == "zero rows":
        return np.broadcast_to(base[0, :cols], (rows, cols))
    return np.broadcast_to(base[:rows, :1], (rows, cols))


KINDS = ["row steps", "column steps", "both steps", "transposed", "negative rows", "negative columns", "zero rows"]
KINDS.append("zero columns")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind_b", KINDS)
@pytest.mark.parametrize("kind_a", KINDS)
def test_strides(kind_a, kind_b, dtype):
    """Any strides give the bits of contiguous operands on the same path."""
    rng = np.random.default_rng(11)
    for m, n, k in [(1, 9, 20), (9, 1, 20), (4, 4, 4), (21, 37, 45), (40, 70, 300)]:
        a, b = strided(rng, m, k, dtype, kind_a), strided(rng, k, n, dtype, kind_b)
        want = reference(a, b)
        bits = gemm_array(np.ascontiguousarray(a), np.ascontiguousarray(b), path="pack_b").tobytes()
        for path, out in run_paths(a, b).items():
            expect(out, *want)
            assert path not in EXACT or out.tobytes() == bits


@pytest.mark.parametrize("dtype", DTYPES)
def test_output_strides(dtype):
    rng = np.random.default_rng(13)
    a, b = matrix(rng, 23, 40, dtype), matrix(rng, 40, 19, dtype)
    want = gemm_array(a, b, path="pack_b")
    for path in EXACT:
        memory = np.full((60, 30), 7, dtype)
        out = memory[50:4:-2, 3:22]
        gemm_array(a, b, out=out, path=path)
        assert out.tobytes() == want.tobytes()
        out[...] = 7
        assert np.all(memory == 7)


@cache
def batches_of_one_thread(dtype):
    """Batches of products, checked: the factors and, by path, the bits of the result."""
    rng = np.random.default_rng(17)
    sizes = [(1, 61, 67, 71), (1, 1, 300, 300), (1, 300, 1, 300), (5, 33, 35, 37), (2, 130, 40, 300), (1, 3, 2, 5)]
    sizes += [(9, 4, 4, 4), (1, 250, 500, 270), (1, 241, 97, 257), (1, 490, 97, 257), (1, 20, 6152, 40)]
    sizes += [(1, 25, 490, 70)]
    found = []
    for items, m, n, k in sizes:
        a = rng.standard_normal((items, m, k)).astype(dtype)
        for b in (rng.standard_normal((items, k, n)).astype(dtype), rng.standard_normal((n, k)).astype(dtype).T):
            want = [reference(a[i], b[i] if b.ndim == 3 else b) for i in range(items)]
            results = run_paths(a, b, threads=1)
            for out in results.values():
                for i in range(items):
                    expect(out[i], *want[i])
            found.append((a, b, {path: out.tobytes() for path, out in results.items()}))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7, 8])
def test_batches_and_threads(threads, dtype):
    """The bits do not depend on the number of threads, nor on how a batch is shared among them."""
    for a, b, bits in batches_of_one_thread(dtype):
        results = run_paths(a, b, threads=threads)
        assert results.keys() == bits.keys()
        for path, out in results.items():
            assert out.tobytes() == bits[path], (path, a.shape, b.shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_more_tasks_than_threads_keep_the_bits(dtype):
    """Strips over several blocks of rows and of k, and cells; no task is left out or done twice, whoever takes it."""
    rng = np.random.default_rng(18)
    for items, m, n, k in [(1, 2090, 500, 40), (1, 1031, 500, 1100), (3, 150, 490, 300), (1, 150, 700, 270)]:
        a, b = rng.standard_normal((items, m, k)).astype(dtype), rng.standard_normal((n, k)).astype(dtype).T
        start = np.full((items, m, n), 0.5, dtype)
        for path in ("pack_b", "pack_ab", "swapped"):
            want = gemm_array(a, b, out=start.copy(), accumulate=True, threads=1, path=path)
            if m < 1000:
                expect(want[-1], *reference(a[-1], b, start=start[-1]))
            for threads in (2, 3):
                out = gemm_array(a, b, out=start.copy(), accumulate=True, threads=threads, path=path)
                assert np.array_equal(out, want), (path, items, m, n, k, threads)


def test_a_large_product_of_no_terms_is_zero():
    out = np.full((70000, 490), np.nan, np.float32)
    gemm_array(np.empty((70000, 0), np.float32), np.empty((0, 490), np.float32), out=out, threads=2, path="pack_ab")
    assert not np.any(out)


def test_automatic_threads_keep_the_bits():
    rng = np.random.default_rng(19)
    a, b = matrix(rng, 300, 400, np.float32), matrix(rng, 400, 350, np.float32)
    before = kernels.get_num_threads()
    try:
        results = set()
        for threads in (1, 2, 3):
            kernels.set_num_threads(threads)
            results.add(gemm_array(a, b).tobytes())
    finally:
        kernels.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_stay_in_their_rows_and_columns(special, dtype):
    rng = np.random.default_rng(23)
    for m, n, k in [(5, 7, 9), (13, 19, 17), (31, 33, 300), (1, 11, 13), (11, 1, 13), (8, 32, 8)]:
        for order in "CF":
            for row, inner in [(0, 0), (m - 1, k - 1), (m // 2, k // 2)]:
                a, b = rng.random((m, k)).astype(dtype) + 1, matrix(rng, k, n, dtype, order)
                a[row, inner] = special
                for path, out in run_paths(a, b).items():
                    bad = ~np.isfinite(out)
                    assert bad[row].all(), path
                    bad[row] = False
                    assert not bad.any(), path
            for inner, col in [(0, 0), (k - 1, n - 1), (k // 2, n // 2)]:
                a, b = rng.random((m, k)).astype(dtype) + 1, matrix(rng, k, n, dtype, order)
                b[inner, col] = special
                for path, out in run_paths(a, b).items():
                    bad = ~np.isfinite(out)
                    assert bad[:, col].all(), path
                    bad[:, col] = False
                    assert not bad.any(), path


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_keeps_nan(dtype):
    a, b = np.array([[1.0, np.nan], [-1.0, -1.0], [1.0, 2.0]], dtype), np.ones((2, 9), dtype)
    for out in run_paths(a, b, relu=True).values():
        assert np.isnan(out[0]).all() and (out[1] == 0).all() and (out[2] == 3).all()


def test_k_zero_is_bias():
    a, b, bias = np.zeros((3, 0), np.float32), np.zeros((0, 5), np.float32), np.arange(-2, 3, dtype=np.float32)
    for out in run_paths(a, b, bias=bias, relu=True).values():
        assert np.array_equal(out, np.broadcast_to(np.maximum(bias, 0), (3, 5)))


def test_misaligned_and_foreign_byte_order():
    rng = np.random.default_rng(29)
    a, b = matrix(rng, 9, 11, np.float32), matrix(rng, 11, 13, np.float32)
    want = gemm_array(a, b).tobytes()
    memory = np.zeros(a.nbytes + 8, np.uint8)
    for offset in (1, 2, 4):
        x = memory[offset : offset + a.nbytes].view(np.float32).reshape(a.shape)
        x[...] = a
        assert gemm_array(x, b).tobytes() == want
    swapped = np.lib.stride_tricks.as_strided(np.zeros((9, 22), np.float32), (9, 11), (88, 8))
    swapped[...] = a
    assert gemm_array(swapped, b).tobytes() == want


def test_errors():
    a, b = np.zeros((3, 4), np.float32), np.zeros((4, 5), np.float32)
    with pytest.raises(ShapeError, match=r"a \(3, 4\) and b \(5, 4\)"):
        gemm_array(a, b.reshape(5, 4))
    with pytest.raises(TypeError, match="float64"):
        gemm_array(a, b.astype(np.float64))
    with pytest.raises(TypeError, match="int32"):
        gemm_array(a.astype(np.int32), b)
    with pytest.raises(TypeError, match="ndarray"):
        gemm_array([[1.0]], b)
    with pytest.raises(ShapeError, match="bias"):
        gemm_array(a, b, bias=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="overlaps an input"):
        gemm_array(np.zeros((4, 4), np.float32), b[:, :4], out=b[:, :4])
    with pytest.raises(ValueError, match="contiguous rows"):
        gemm_array(a, b, out=np.zeros((5, 3), np.float32).T)
    with pytest.raises(ValueError, match="contiguous rows"):
        gemm_array(a, b, out=np.lib.stride_tricks.as_strided(np.zeros(50, np.float32), (3, 5), (8, 4)))
    read_only = np.zeros((3, 5), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        gemm_array(a, b, out=read_only)
    with pytest.raises(ValueError, match="accumulate needs out"):
        gemm_array(a, b, accumulate=True)
    with pytest.raises(ValueError, match="path must be one of"):
        gemm_array(a, b, path="fast")
    with pytest.raises(ValueError, match="threads"):
        gemm_array(a, b, threads=-1)
    with pytest.raises(ValueError, match="cannot read operands"):
        gemm_array(a, b.reshape(5, 4).T, path="direct")


GUARDED = textwrap.dedent("""
    import ctypes, itertools, mmap
    import numpy as np
    from pydl._core.gemm_array import PATHS, gemm_array

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    PAGE = mmap.PAGESIZE
    keep = []

    def guarded(values, at_end):
        '''A copy that ends right before, or starts right behind, a page that cannot be touched.'''
        pages = -(-values.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        start = np.frombuffer(memory, np.uint8).ctypes.data
        keep.append(memory)
        for page in (0, pages + 1):
            assert libc.mprotect(start + page * PAGE, PAGE, 0) == 0
        offset = PAGE + (pages * PAGE - values.nbytes if at_end else 0)
        x = np.frombuffer(memory, values.dtype, values.size, offset).reshape(values.shape)
        x[...] = values
        return x

    rng = np.random.default_rng(0)
    count = 0
    for dtype, at_end in itertools.product((np.float32, np.float64), (False, True)):
        sizes = [(m, n, k) for m in (1, 3, 7, 13) for n in (1, 3, 9, 17, 35) for k in (1, 5, 17)]
        for m, n, k in [*sizes, (45, 50, 300), (14, 31, 770)]:
            a, at = (guarded(rng.random(s).astype(dtype), at_end) for s in ((m, k), (k, m)))
            b, bt = (guarded(rng.random(s).astype(dtype), at_end) for s in ((k, n), (n, k)))
            out, bias = guarded(np.zeros((m, n), dtype), at_end), guarded(rng.random(n).astype(dtype), at_end)
            for x, y, path in itertools.product((a, at.T), (b, bt.T), PATHS):
                try:
                    gemm_array(x, y, out=out, bias=bias, accumulate=True, path=path)
                except ValueError:
                    continue
                count += 1
            keep.clear()
    print("done", count)
""")


def test_guard_pages():
    """No path reads or writes outside of its operands (a masked access beyond an array would fault)."""
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    assert done.stdout.startswith("done") and int(done.stdout.split()[1]) > 3000
