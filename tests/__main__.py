# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests`: what a developer runs before every commit; needs `pip install -e ".[dev,test]"`.

Builds into the source tree, writes the stubs of the operations, then runs a sample of the tests (pytest --quick), and
beside them the linters and mypy. `--all` runs every test, and the kernels' and operations' tests on each instruction
set of this machine with one thread and two. `--lint` only lints.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ONCE = ("torch_gives_the_same", "error_types_are_torchs", "errors_say_what_is_wrong")
# On each instruction set: values, derivatives, layouts, threads against the references. What does not reach the kernels
# (errors), and the comparison with PyTorch, which the references have passed, are done once.
KERNEL_TESTS = (
    "tests/test_gemm.py",
    "tests/test_ops.py",
    *(f"--deselect=tests/test_ops.py::test_{name}" for name in ONCE),
)


def run(name: str, *command: str, **environment: str) -> bool:
    """Run one step in the repository root, print its output and its time in one piece, return whether it succeeded."""
    start = time.perf_counter()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # cmake, pycodestyle of this venv
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
    print(f"{done.stdout}--- {name}: {verdict}, {time.perf_counter() - start:.1f} s", flush=True)
    return done.returncode == 0


def python(name: str, *arguments: str, **environment: str) -> bool:
    """Run `python -m …` as a step."""
    return run(name, sys.executable, "-m", *arguments, **environment)


def build() -> bool:
    """Build the extension modules into the source tree (CMake preset dev)."""
    modules = {"PYDL_CMAKE_MODULES": str(files("cython_cmake") / "cmake")}
    cache = ROOT / "build" / "dev" / "CMakeCache.txt"
    if not cache.with_name("build.ninja").exists():
        command = ["cmake", "--preset", "dev", f"-DPython_EXECUTABLE={sys.executable}"]
    elif "PYDL_ISAS:STRING=all\n" not in cache.read_text():  # somebody worked on the kernels of one
        command = ["cmake", "build/dev", "-DPYDL_ISAS=all"]
    else:
        command = []
    configured = not command or run("configure", *command, **modules)
    return configured and run("build", "cmake", "--build", "--preset", "dev", **modules)


def lint(stubs: bool) -> bool:
    """Run ruff, cython-lint and mypy; stubtest too where the modules are built and `stubs` is set."""
    cython = [str(p.relative_to(ROOT)) for p in sorted((ROOT / "pydl").rglob("*.p[yx][xd]"))]
    results = [
        python("ruff", "ruff", "check", "pydl", "tests", "bench", "docs", ".ci", "setup.py"),
        run("cython-lint", "cython-lint", *cython),
        python("mypy", "mypy"),
    ]
    if stubs:
        settings = ["--mypy-config-file", "pyproject.toml", "--allowlist", "tests/stubtest_allowlist.txt"]
        settings.append("--ignore-unused-allowlist")
        names = [f"pydl._core.{p.stem}" for p in sorted((ROOT / "pydl" / "_core").glob("*.pyx"))]
        results.append(python("stubtest", "mypy.stubtest", *settings, *names))
    return all(results)


def every_isa() -> bool:
    """Run the kernels' and operations' tests on each instruction set with one thread and two."""
    code = "import pydl._core.kernels as k; print(*k.isas())"
    isas = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return all(
        [
            python(f"{isa} {n}T", "pytest", "-q", *KERNEL_TESTS, PYDL_ISA=isa, PYDL_NUM_THREADS=n)
            for isa in isas.split()
            for n in ("1", "2")
        ]
    )


def main() -> int:
    """Run the steps; 0 where all succeeded."""
    parser = argparse.ArgumentParser("python -m tests", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every test, every ISA, 1 and 2 threads, stubtest")
    parser.add_argument("--lint", action="store_true", help="only ruff, cython-lint, mypy and stubtest")
    a = parser.parse_args()
    if a.lint:
        return int(not lint(stubs=True))
    if not (build() and python("stubs", "tests.stubs")):
        return 1
    with ThreadPoolExecutor() as pool:
        linted = pool.submit(lint, stubs=a.all)
        good = [python("pytest", "pytest", "-q", "--slow" if a.all else "--quick"), linted.result()]
    if a.all:
        good.append(every_isa())
    return int(not all(good))


if __name__ == "__main__":
    raise SystemExit(main())
