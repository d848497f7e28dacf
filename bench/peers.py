# SPDX-License-Identifier: BSD-3-Clause
"""The libraries that take turns: which interpreter, which environment, how to import each of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

MKL_FIX = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
KEEP_BLOCKS = {
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}


@dataclass(frozen=True)
class Peer:
    """A library in one configuration. `name` is what --peers takes, `package` what is imported."""

    name: str
    package: str
    about: str
    mkl_fix: bool = False
    keep_blocks: bool = False
    compiled: bool = False
    default: bool = True


PEERS = {
    p.name: p
    for p in (
        Peer("pydl", "pydl", "pydl"),
        Peer("numpy", "numpy", "NumPy as installed"),
        Peer("torch", "torch", "PyTorch as shipped"),
        Peer("torch-mklfix", "torch", "PyTorch whose MKL treats every CPU as an Intel one", mkl_fix=True),
        Peer("torch-malloc", "torch", "torch-mklfix, malloc keeps large blocks", True, keep_blocks=True, default=False),
        Peer("torch-compile", "torch", "torch-mklfix, torch.compile", True, compiled=True, default=False),
        Peer("jax", "jax", "JAX, jitted"),
        Peer("onnxruntime", "onnxruntime", "ONNX Runtime, weights known beforehand (inference only)"),
    )
}


def interpreter(peer: Peer) -> str:
    """Return the Python that runs `peer`: BENCH_PYTHON_<LIBRARY> where set, else this one."""
    return os.environ.get(f"BENCH_PYTHON_{peer.package.upper()}", sys.executable)


def compiler() -> str | None:
    """Return the C compiler's path, or None."""
    return shutil.which(os.environ.get("CC", "cc"))


def build_shared(source: str, name: str, folder: Path, *flags: str) -> Path | None:
    """Compile C text into folder/lib<name>.so; None where there is no C compiler."""
    cc = compiler()
    if cc is None:
        return None
    c_file, library = folder / f"{name}.c", folder / f"lib{name}.so"
    c_file.write_text(source)
    subprocess.run([cc, *flags, "-shared", "-fPIC", "-o", str(library), str(c_file)], check=True)
    return library


def environment(peer: Peer, threads: int, folder: Path) -> dict[str, str] | None:
    """Return the environment of the peer's process, or None where the peer cannot be set up here."""
    env = dict(os.environ)
    for name in ("PYDL", "OMP", "MKL", "OPENBLAS"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    if peer.keep_blocks:
        env |= KEEP_BLOCKS
    if peer.mkl_fix:
        library = build_shared(MKL_FIX, "mklfix", folder, "-O2") if sys.platform == "linux" else None
        if library is None:
            return None
        env["LD_PRELOAD"] = str(library)
    return env


def _torch(threads: int) -> object:
    torch = import_module("torch")
    torch.set_num_threads(threads)
    return torch


def _jax(threads: int) -> object:
    """JAX sizes its thread pool by the CPUs it may use, so the process is given as many as it may use threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def _onnxruntime(threads: int) -> object:
    onnxruntime: Any = import_module("onnxruntime")
    onnxruntime.bench_threads = threads
    return onnxruntime


_SPECIAL: dict[str, Callable[[int], object]] = {"torch": _torch, "jax": _jax, "onnxruntime": _onnxruntime}


def load(library: str, threads: int) -> object:
    """Import `library` and hold it to `threads` threads."""
    if library in _SPECIAL:
        return _SPECIAL[library](threads)
    return import_module(library)
