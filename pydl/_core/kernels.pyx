# SPDX-License-Identifier: BSD-3-Clause
"""Chooses the kernel table once at import, counts threads, and answers questions about both."""

import os

from cython.parallel cimport prange
from libc.stddef cimport size_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>
    #include <time.h>
    #include "kernels.h"
    #include "eltwise_kernels.h"
    #include "reduce_kernels.h"
    #include "softmax_kernels.h"
    #include "gemm_kernels.h"
    #include "activation_kernels.h"
    #include "gather_kernels.h"
    #include "layout_kernels.h"
    #include "pool_kernels.h"
    #include "conv_kernels.h"
    #include "ctc_kernels.h"
    #include "norm_kernels.h"
    #include "recurrent_kernels.h"
    #include "update_kernels.h"
    #ifdef _OPENMP
    #include <omp.h>
    #define PYDL_HAVE_OPENMP 1
    static int pydl_omp_version(void) { return _OPENMP; }
    static int pydl_pause(void) { return omp_pause_resource_all(omp_pause_soft); }
    #else
    #define PYDL_HAVE_OPENMP 0
    static int pydl_omp_version(void) { return 0; }
    static int pydl_pause(void) { return 0; }
    #endif

    static int64_t pydl_now_ns(void) {
        struct timespec t;
        timespec_get(&t, TIME_UTC);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }

    /* Every entry of the families' tables by name, for tests that call kernels directly. */
    #define PYDL_FIELD(family, n) {#family "." #n, offsetof(pydl_kernels, family), offsetof(pydl_##family, n)},
    #define PYDL_ITEM(list, family, field, code, n) {list "." #n, offsetof(pydl_kernels, family), \
                                                     offsetof(pydl_##family, field) + code##n * sizeof(void *)},
    #define PYDL_UNARY_ENTRY(n) PYDL_ITEM("unary", eltwise, unary, PYDL_U_, n)
    #define PYDL_BINARY_ENTRY(n) PYDL_ITEM("binary", eltwise, binary, PYDL_B_, n)
    #define PYDL_COMPARE_ENTRY(n) PYDL_ITEM("compare", eltwise, compare, PYDL_C_, n)
    #define PYDL_FWD_ENTRY(n) PYDL_ITEM("activation_fwd", activation, fwd, PYDL_A_, n)
    #define PYDL_BWD_ENTRY(n) PYDL_ITEM("activation_bwd", activation, bwd, PYDL_A_, n)
    #define PYDL_ELTWISE_ENTRY(n) PYDL_FIELD(eltwise, n)
    #define PYDL_REDUCE_ENTRY(n) PYDL_FIELD(reduce, n)
    #define PYDL_SOFTMAX_ENTRY(n) PYDL_FIELD(softmax, n)
    #define PYDL_GEMM_ENTRY(n) PYDL_FIELD(gemm, n)
    #define PYDL_ACTIVATION_ENTRY(n) PYDL_FIELD(activation, n)
    #define PYDL_GATHER_ENTRY(n) PYDL_FIELD(gather, n)
    #define PYDL_CONV_ENTRY(n) PYDL_FIELD(conv, n)
    #define PYDL_CTC_ENTRY(n) PYDL_FIELD(ctc, n)
    #define PYDL_LAYOUT_ENTRY(n) PYDL_FIELD(layout, n)
    #define PYDL_POOL_ENTRY(n) PYDL_FIELD(pool, n)
    #define PYDL_NORM_ENTRY(n) PYDL_FIELD(norm, n)
    #define PYDL_RECURRENT_ENTRY(n) PYDL_FIELD(recurrent, n)
    #define PYDL_UPDATE_ENTRY(n) PYDL_FIELD(update, n)
    static const struct { const char *name; ptrdiff_t family; size_t offset; } pydl_entries[] = {
        {"fma_chains", -1, offsetof(pydl_kernels, fma_chains)},
        PYDL_UNARY(PYDL_UNARY_ENTRY) PYDL_BINARY(PYDL_BINARY_ENTRY) PYDL_COMPARE(PYDL_COMPARE_ENTRY) PYDL_ELTWISE(PYDL_ELTWISE_ENTRY)
        PYDL_REDUCE(PYDL_REDUCE_ENTRY) PYDL_SOFTMAX(PYDL_SOFTMAX_ENTRY) PYDL_GEMM(PYDL_GEMM_ENTRY)
        PYDL_ACTIVATION(PYDL_FWD_ENTRY) PYDL_ACTIVATION(PYDL_BWD_ENTRY) PYDL_ACTIVATION_SINGLE(PYDL_ACTIVATION_ENTRY)
        PYDL_GATHER(PYDL_GATHER_ENTRY) PYDL_CONV(PYDL_CONV_ENTRY) PYDL_CTC(PYDL_CTC_ENTRY) PYDL_LAYOUT(PYDL_LAYOUT_ENTRY)
        PYDL_POOL(PYDL_POOL_ENTRY) PYDL_NORM(PYDL_NORM_ENTRY) PYDL_RECURRENT(PYDL_RECURRENT_ENTRY) PYDL_UPDATE(PYDL_UPDATE_ENTRY)
    };
    enum { PYDL_N_ENTRIES = sizeof pydl_entries / sizeof pydl_entries[0] };
    static const char *pydl_entry_name(int i) { return pydl_entries[i].name; }
    static size_t pydl_entry_address(const pydl_kernels *k, int i) {
        size_t address;
        const char *table = (const char *)k;
        if (pydl_entries[i].family >= 0) memcpy(&table, table + pydl_entries[i].family, sizeof table);
        memcpy(&address, table + pydl_entries[i].offset, sizeof address);
        return address;
    }
    """
    const pydl_kernels* pydl_table(const char* isa, int f64)
    const char* pydl_best_isa()
    const char* pydl_isas()
    int PYDL_HAVE_OPENMP
    int PYDL_N_ENTRIES
    int pydl_omp_version()
    int pydl_pause() nogil
    int64_t pydl_now_ns() nogil
    const char* pydl_entry_name(int i)
    size_t pydl_entry_address(const pydl_kernels* k, int i)

# Below this much work a second thread costs more than it brings (fork-join about 5 us when the team sleeps).
cdef double THREAD_NS = 20000.0

cdef const pydl_kernels* tables[2]
cdef int n_threads = 1
cdef int in_kernels = 0
cdef int team_exists = 0
cdef bint clock_on = False
cdef int64_t clock_ns = 0


cdef const pydl_kernels* table(int f64) noexcept nogil:
    return tables[1] if f64 else tables[0]


cdef int threads_for(double work_ns) noexcept:
    global team_exists
    cdef int n = n_threads
    if n == 1 or work_ns < 2 * THREAD_NS:
        return 1
    if in_kernels > 0:
        n = max(1, n // (in_kernels + 1))
    if n * THREAD_NS > work_ns:
        n = <int>(work_ns / THREAD_NS)
    if n > 1:
        team_exists = 1
    return n


cdef void each_piece(piece_fn f, const void* job, ptrdiff_t n, int threads) noexcept nogil:
    cdef ptrdiff_t i
    if threads == 1:
        for i in range(n):
            f(job, i)
        return
    for i in prange(n, num_threads=threads, schedule="static"):
        f(job, i)


cdef void each_uneven_piece(piece_fn f, const void* job, ptrdiff_t n, int threads) noexcept nogil:
    cdef ptrdiff_t i
    for i in prange(n, num_threads=threads, schedule="dynamic"):
        f(job, i)


cdef struct Cut:
    piece_fn f
    const void* job
    ptrdiff_t n
    bint uneven


cdef void run_cut(const void* job, int threads) noexcept nogil:
    cdef const Cut* cut = <const Cut*>job
    if cut.uneven and threads > 1:
        each_uneven_piece(cut.f, cut.job, cut.n, threads)
    else:
        each_piece(cut.f, cut.job, cut.n, threads)


cdef void run_pieces(piece_fn f, const void* job, ptrdiff_t n, double work_ns) noexcept:
    cdef Cut cut
    cut.f, cut.job, cut.n, cut.uneven = f, job, n, False
    run_team(run_cut, &cut, threads_for(work_ns), work_ns)


cdef void run_uneven_pieces(piece_fn f, const void* job, ptrdiff_t n, double work_ns) noexcept:
    cdef Cut cut
    cut.f, cut.job, cut.n, cut.uneven = f, job, n, True
    run_team(run_cut, &cut, threads_for(work_ns), work_ns)


cdef void run_team(team_fn f, const void* job, int threads, double work_ns) noexcept:
    global in_kernels
    cdef int64_t start = tick()
    if threads == 1 and work_ns < RELEASE_GIL_NS:
        f(job, 1)
    else:
        in_kernels += 1
        with nogil:
            f(job, threads)
        in_kernels -= 1
    tock(start)


cdef bint kernels_run() noexcept:
    return in_kernels > 0


cdef int64_t tick() noexcept nogil:
    return pydl_now_ns() if clock_on else 0


cdef void tock(int64_t start) noexcept nogil:
    global clock_ns
    if clock_on:
        clock_ns += pydl_now_ns() - start


def set_kernel_clock(on: bool) -> None:
    """Starts or stops counting the time inside compiled kernels; starting sets the count to zero."""
    global clock_on, clock_ns
    clock_on = on
    if on:
        clock_ns = 0


def kernel_clock() -> int:
    """Nanoseconds spent inside compiled kernels since the clock was started."""
    return clock_ns


def address(isa: str, f64: bool, name: str) -> int:
    """The address of one kernel, for tests that call it directly; KeyError for an unknown ISA or name."""
    cdef const pydl_kernels* k = pydl_table(isa.encode(), f64)
    if k == NULL:
        raise KeyError(f"address: no kernels for ISA {isa!r} on this machine; there are {isas()}")
    wanted = name.encode()
    for i in range(PYDL_N_ENTRIES):
        if wanted == pydl_entry_name(i):
            return pydl_entry_address(k, i)
    raise KeyError(f"address: no kernel is named {name!r}")


def entries() -> list[str]:
    """The names of all kernels in the table."""
    return [pydl_entry_name(i).decode() for i in range(PYDL_N_ENTRIES)]


def isas() -> list[str]:
    """The instruction sets that this build has kernels for and this machine can run, narrowest first."""
    return pydl_isas().decode().split()


def isa() -> str:
    """The instruction set in use."""
    return tables[0].isa.decode()


def lanes(f64: bool) -> int:
    """Elements in one vector of the instruction set in use."""
    return table(f64).lanes


def measure_peak(f64: bool = False, seconds: float = 0.2) -> float:
    """Best GFLOP/s of independent vector FMA chains on the calling thread: the roof of every compute-bound kernel."""
    cdef double out[16]
    cdef const pydl_kernels* k = table(f64)
    cdef int64_t start, stop, end
    cdef double flops, best = 0
    if not 0 <= seconds <= 60:
        raise ValueError(f"measure_peak: seconds must lie between 0 and 60, not {seconds}")
    end = pydl_now_ns() + <int64_t>(seconds * 1e9)
    with nogil:
        while True:
            start = pydl_now_ns()
            flops = k.fma_chains(100000, <void*>out)
            stop = pydl_now_ns()
            best = max(best, flops / <double>(stop - start))
            if stop > end:
                break
    return best


def openmp_version() -> int:
    """The OpenMP version (yyyymm) that threads the kernels; 0 in a serial build."""
    return pydl_omp_version()


def get_num_threads() -> int:
    """How many threads a kernel may use."""
    return n_threads


def set_num_threads(n: int) -> None:
    """Lets kernels use up to `n` threads; results do not depend on it. ValueError unless 1 <= n <= 1024."""
    global n_threads
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"set_num_threads: n must be an int, not {type(n).__name__}")
    if not 1 <= n <= 1024:
        raise ValueError(f"set_num_threads: n must be between 1 and 1024, not {n}")
    n_threads = n if PYDL_HAVE_OPENMP else 1


def _quota() -> float:
    """CPUs that the control group allows (cgroup v2, then v1); infinity without a limit."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as f:
            limit, period = f.read().split()[:2]
        return float("inf") if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        with open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") as f, open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as g:
            limit_us = int(f.read())
            return limit_us / int(g.read()) if limit_us > 0 else float("inf")
    except (OSError, ValueError):
        return float("inf")


def default_threads() -> int:
    """PYDL_NUM_THREADS or OMP_NUM_THREADS when set, else min(CPUs of the affinity mask, quota of the control group)."""
    for name in ("PYDL_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value:
            if not value.isdecimal() or not 1 <= int(value) <= 1024:
                raise ValueError(f"{name}={value}: expected a whole number from 1 to 1024")
            return int(value)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cpus, _quota() + 0.5)))


def _before_fork():
    """A forked child would wait for ever for OpenMP threads that it does not have: give the team up first."""
    global team_exists
    if team_exists:
        pydl_pause()
        team_exists = 0


def _choose():
    name = os.environ.get("PYDL_ISA", "") or pydl_best_isa().decode()
    tables[0] = pydl_table(name.encode(), 0)
    tables[1] = pydl_table(name.encode(), 1)
    if tables[0] == NULL or tables[1] == NULL:
        raise ImportError(f"PYDL_ISA={name}: this build and machine offer {' '.join(isas())}")
    set_num_threads(default_threads())
    if PYDL_HAVE_OPENMP and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork)


_choose()
