# SPDX-License-Identifier: BSD-3-Clause
"""What this build is and what it runs on: `show_config`."""

from __future__ import annotations

import importlib
import os
import platform
import sys

import numpy as np

from pydl import _core
from pydl._core import kernels, storage
from pydl._core.dispatch import Op, registry
from pydl.memory import memory_summary

__all__ = ["config", "show_config"]


def _cpu() -> str:
    """The processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as f:
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def _openmp() -> str:
    version = kernels.openmp_version()
    if not version:
        return "none (serial build)"
    before = ", loaded before pydl by another library" if _core.openmp_was_loaded else ""
    spin = ", ".join(f"{k}={os.environ[k]}" for k in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if k in os.environ)
    return f"{version}{before}{'; ' + spin if spin else ''}"


def numpy_backed() -> list[str]:
    """The operations whose work NumPy does, by name."""
    importlib.import_module("pydl.nn.functional")  # declares the operations of networks
    return sorted(name for name, op in registry.items() if isinstance(op, Op) and op.numpy_backed)


def config() -> dict[str, object]:
    """The facts that `show_config` prints, as a dict.

    Example:
        >>> import pydl
        >>> pydl.config()["isa"] in ("base", "avx2", "avx512", "neon")
        True
    """
    from pydl import __version__

    return {
        "pydl": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "isa": kernels.isa(),
        "isas": kernels.isas(),
        "lanes": {"float32": kernels.lanes(False), "float64": kernels.lanes(True)},
        "threads": kernels.get_num_threads(),
        "openmp": _openmp(),
        "pool": memory_summary() if storage.is_pooling() else "off",
        "numpy_backed": numpy_backed(),
    }


def show_config() -> None:
    """Print version, processor, instruction set, threads, OpenMP, pool, and the operations that NumPy does.

    Example:
        >>> import pydl
        >>> pydl.show_config()  # doctest: +ELLIPSIS
        pydl          ...
    """
    facts = config()
    facts["isas"] = " ".join(kernels.isas())
    facts["lanes"] = f"float32 {kernels.lanes(False)}, float64 {kernels.lanes(True)}"
    facts["numpy_backed"] = " ".join(numpy_backed())
    for name, value in facts.items():
        print(f"{name:<13} {value}")
