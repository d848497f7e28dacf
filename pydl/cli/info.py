# SPDX-License-Identifier: BSD-3-Clause
"""`pydl info`: versions, and what the core found on this machine."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata

import numpy as np

import pydl
from pydl.cli.refusal import Commands

__all__ = ["add"]

OPTIONAL = ("scikit-learn", "matplotlib", "tqdm", "scipy", "safetensors", "torch")


def add(commands: Commands) -> None:
    """Declare the command."""
    p = commands.add_parser(
        "info",
        help="show versions, processor, instruction set, threads, memory pool",
        description="Shows what a report about a problem should contain: versions, processor, instruction set, threads,"
        " memory pool.",
    )
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Print everything."""
    print(f"pydl {pydl.__version__} in {os.path.dirname(os.path.abspath(pydl.__file__))}")
    print(f"Python {platform.python_version()} on {platform.platform()}")
    print(f"NumPy {np.__version__}")
    installed = [f"{name} {version}" for name in OPTIONAL if (version := _version(name))]
    print(f"beside it: {', '.join(installed) or 'nothing optional'}\n")
    pydl.show_config()
    return 0


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
