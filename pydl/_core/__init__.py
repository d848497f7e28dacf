# SPDX-License-Identifier: BSD-3-Clause
"""The compiled core: kernel tables, memory, tape and operations. Importing it loads the OpenMP runtime."""

import os
import sys

# Iterations an idle OpenMP thread spins before it sleeps, about 80 us. libgomp's own default starves other libraries'
# threads for milliseconds, no spinning at all makes every parallel region pay for waking up.
_SPIN_COUNT = "4000"
_SPIN_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def _openmp_loaded() -> bool:
    """Whether another library brought libgomp into the process before pydl."""
    try:
        with open("/proc/self/maps") as maps:
            return "libgomp" in maps.read()
    except OSError:
        return False


openmp_was_loaded = _openmp_loaded()


def _load() -> None:
    """Load the first compiled module; libgomp reads its settings at that moment and never again."""
    ours = not any(name in os.environ for name in _SPIN_SETTINGS)
    if ours:
        os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        from pydl._core import kernels  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "pydl._core.kernels":
            raise
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        what = (
            "This is pydl's source folder, and its compiled core has not been built here. Either leave the folder "
            f"({root}) to use an installed pydl, or build in place: python -m pip install -e ."
            if os.path.exists(os.path.join(root, "CMakeLists.txt"))
            else f"pydl's compiled core is missing from {root}: python -m pip install --force-reinstall pydl-nn"
        )
        raise ImportError(f"{what} (Python {sys.version.split()[0]})") from None
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]


_load()
