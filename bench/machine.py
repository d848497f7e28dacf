# SPDX-License-Identifier: BSD-3-Clause
"""This machine: its name, and what it can do at most, measured in the same run as the libraries."""

import ctypes
import os
import platform
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.peers import build_shared

ROOT = Path(__file__).resolve().parents[1]


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Return the vector extensions of an x86 processor that matter here."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    return [f for f in ("avx2", "fma", "avx512f", "avx512bw", "avx512_bf16", "asimd") if f in words]


def commit() -> str:
    """Return the commit of the source tree, with + where files differ from it; "unknown" outside git."""
    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def about() -> dict[str, object]:
    """Return what every record says about the machine."""
    return {
        "cpu": cpu_name(),
        "cpu_flags": cpu_flags(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


class Limits:
    """Measured limits of the machine on `threads` threads: FMA peak and bandwidth."""

    def __init__(self, folder: Path, threads: int):
        source = (Path(__file__).parent / "peak.c").read_text()
        library = build_shared(source, "peak", folder, "-O3", "-march=native", "-Wno-psabi")
        if library is None:
            raise RuntimeError("no C compiler (cc, or $CC): shares of the machine's peak are not given")
        self.lib = ctypes.CDLL(str(library))
        self.threads = threads

    def _sum(self, measure: Callable[[], float]) -> float:
        """Run `measure` on all threads at once and add up; ctypes lets go of the interpreter lock."""
        results: list[float] = []
        barrier = threading.Barrier(self.threads)

        def work() -> None:
            barrier.wait()
            results.append(measure())

        workers = [threading.Thread(target=work) for _ in range(self.threads)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return sum(results)

    def peak(self, dtype: str, seconds: float = 0.01) -> float:
        """Return the FMA peak in operations per second."""
        function = getattr(self.lib, f"peak_{dtype}")
        function.restype = ctypes.c_double
        real = ctypes.c_float if dtype == "float32" else ctypes.c_double
        return self._sum(lambda: function(ctypes.c_double(seconds), ctypes.byref(real())))

    def bandwidth(self, kind: str, n_bytes: int, seconds: float = 0.01) -> float:
        """Return bytes per second of kind "read", or "copy" (read + written), over `n_bytes` in all threads."""
        function = getattr(self.lib, f"{kind}_bandwidth")
        function.restype = ctypes.c_double
        share = max(4096, n_bytes // self.threads // (2 if kind == "copy" else 1))

        def measure() -> float:
            source = np.ones(share, np.uint8)
            args = [ctypes.c_void_p(source.ctypes.data), ctypes.c_ssize_t(share)]
            if kind == "read":
                return function(ctypes.c_double(seconds), *args, ctypes.byref(ctypes.c_float()))
            target = np.ones(share, np.uint8)
            return function(ctypes.c_double(seconds), ctypes.c_void_p(target.ctypes.data), *args)

        return self._sum(measure)

    def summary(self) -> dict[str, float]:
        """Return the peaks in GFLOP/s and the bandwidths in GB/s for cache-resident and for large data."""
        figures = {f"{d}_gflops": self.peak(d, 0.2) / 1e9 for d in ("float32", "float64")}
        for name, n_bytes in (("4MB", 4 << 20), ("256MB", 256 << 20)):
            for kind in ("read", "copy"):
                figures[f"{kind}_{name}_gb_s"] = self.bandwidth(kind, n_bytes, 0.2) / 1e9
        return {k: round(v, 1) for k, v in figures.items()}
