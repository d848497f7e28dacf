# SPDX-License-Identifier: BSD-3-Clause
"""Hands the compiled part to CMake; everything else stands in pyproject.toml.

An editable install has no build folder that lasts: setuptools gives CMake a temporary one, so each compiles everything.
Where the modules in the source tree are byte for byte what the same sources, tools and options gave the last time, they
stay: the second of two installs then takes the time of its environment.
"""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from scikit_build_core.setuptools import build_cmake
from setuptools import setup

CORE = Path("pydl", "_core")
RECORD = Path("build", "installed.json")
TOOLS = ("cython", "cython-cmake", "numpy", "scikit-build-core", "setuptools")
OPTIONS = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "ARCHFLAGS")


def digests(files: list[Path]) -> dict[str, str]:
    """SHA-256 of each file by its path."""
    return {f.as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}


def made_from(settings: object) -> dict[str, object]:
    """What the modules are made from: sources, interpreter, compiler, versions of the tools, options."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    version = subprocess.run(f"{compiler} --version", shell=True, capture_output=True, text=True).stdout
    chosen = {k: v for k, v in os.environ.items() if k in OPTIONS or k.startswith(("CMAKE_", "SKBUILD_"))}
    sources = [f for f in (*Path("csrc").rglob("*"), *CORE.rglob("*")) if f.suffix in (".c", ".h", ".pyx", ".pxd")]
    return {
        "sources": digests([Path("CMakeLists.txt"), Path("setup.py"), *sources]),
        "python": [sys.version, sysconfig.get_platform(), sysconfig.get_config_var("EXT_SUFFIX")],
        "compiler": version,
        "tools": {name: importlib.metadata.version(name) for name in TOOLS},
        "options": chosen,
        "settings": repr(settings),
    }


def record(sources: dict[str, object]) -> str:
    """The text that says from what the compiled modules in the source tree were made, and which they are."""
    modules = CORE.glob("*" + sysconfig.get_config_var("EXT_SUFFIX"))
    return json.dumps({"from": sources, "modules": digests(list(modules))})


class BuildCMake(build_cmake.BuildCMake):
    """CMake's build, left out where an editable install would make what is there."""

    def run(self) -> None:
        """Build, and write down from what; or find that nothing has changed."""
        # The plugin's own affair: where a later version has no such function, every install builds.
        read_settings = getattr(build_cmake, "_load_settings", None)
        in_place = self.editable_mode and self.distribution.get_command_obj("editable_wheel").mode != "strict"
        if not in_place or read_settings is None:
            return super().run()
        sources = made_from(read_settings(self.distribution, state="editable"))
        if RECORD.exists() and RECORD.read_text() == record(sources):
            return None
        super().run()
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(record(sources))
        return None


setup(cmake_source_dir=".", cmdclass={"build_cmake": BuildCMake})
