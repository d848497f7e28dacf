# SPDX-License-Identifier: BSD-3-Clause
"""Imports run one way: csrc ← _core ← ops ← tensor, autograd ← nn, optim ← models, utils, inspect, io ← the CLI."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYDL = ROOT / "pydl"

# What stands on a floor may import from its own floor and from those below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("_core",),
    ("ops",),
    ("tensor", "autograd", "random", "_printing"),
    ("nn", "optim"),
    ("models", "text", "utils", "io", "inspect", "distributed", "distributions"),
    ("cli", "__main__", "__init__"),
)
FORBIDDEN = {"torch", "scipy", "sklearn", "pandas", "tests", "bench", "jax", "tensorflow"}
# Read by the command line and by pictures only, and inside functions only.
EXTRAS = {"matplotlib", "tqdm", "sklearn"}


def floor(room: str) -> int:
    found = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    return found[0] if found else 2


def python_imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each imported module's full name, and whether the import is at the top of the file."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module, id(node) in top
            yield from ((f"{module}.{alias.name}", id(node) in top) for alias in node.names)


def cython_imports(path: Path) -> Iterator[tuple[str, bool]]:
    for line in path.read_text().splitlines():
        match = re.match(r"\s*(?:from\s+([\w.]+)\s+)?c?import\s+([\w.]+)", line)
        if match:
            module, name = match.groups()
            yield (f"{module}.{name}" if module else name), not line[0].isspace()


def modules() -> list[Path]:
    return sorted([*PYDL.rglob("*.py"), *PYDL.rglob("*.pyx"), *PYDL.rglob("*.pxd")])


def imports(path: Path) -> list[tuple[str, bool]]:
    return list(python_imports(path) if path.suffix == ".py" else cython_imports(path))


def room_of(path: Path) -> str:
    return path.relative_to(PYDL).with_suffix("").parts[0]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    here = floor(room_of(path))
    for name, _ in imports(path):
        parts = name.split(".")
        if (
            parts[0] == "pydl"
            and len(parts) > 1
            and (PYDL / parts[1]).with_suffix(".py").exists() | (PYDL / parts[1]).is_dir()
        ):
            assert floor(parts[1]) <= here, f"{path.name} imports {name}, which stands above it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_numpy_is_the_only_package_needed(path: Path) -> None:
    for name, top in imports(path):
        root = name.split(".")[0]
        if room_of(path) in ("cli", "inspect") and root in EXTRAS:
            assert not top, f"{path.name} needs {root} at import"
        else:
            assert root not in FORBIDDEN | EXTRAS, f"{path.name} imports {root}"


def test_kernels_include_only_each_other_and_the_c_library() -> None:
    own = {p.name for p in (ROOT / "csrc").iterdir()}
    forbidden = {"Python.h", "omp.h", "pthread.h", "numpy/arrayobject.h"}
    excepted = {("barrier.h", "omp.h")}  # the threads of a step wait for each other: cython.parallel has no barrier
    for path in sorted((ROOT / "csrc").glob("*.[ch]")):
        for kind, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', path.read_text(), re.M):
            if kind == '"':
                assert name in own, f"{path.name} includes {name}"
            assert name not in forbidden or (path.name, name) in excepted, f"{path.name} includes {name}"


def test_kernels_do_not_allocate() -> None:
    for path in sorted((ROOT / "csrc").glob("*.[ch]")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
        found = re.findall(r"\b(malloc|calloc|realloc|free|alloca|aligned_alloc|posix_memalign)\s*\(", text)
        assert not found, f"{path.name} calls {found[0]}"


def test_the_rule_catches_a_wrong_import(tmp_path: Path) -> None:
    wrong = PYDL / "_core" / "imagined.py"
    tree = "from pydl.nn import Linear\nimport torch\n"
    names = [
        n.name if isinstance(node, ast.Import) else node.module for node in ast.parse(tree).body for n in node.names[:1]
    ]
    assert floor(names[0].split(".")[1]) > floor(room_of(wrong))
    assert names[1] in FORBIDDEN


def test_every_file_has_its_licence_line_and_a_bounded_size() -> None:
    for path in [*modules(), *sorted((ROOT / "csrc").glob("*.[ch]")), *sorted((ROOT / "tests").rglob("*.py"))]:
        lines = path.read_text().splitlines()
        assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2]), f"{path}: no SPDX line"
        assert len(lines) <= 400 or any("more than 400 lines" in line for line in lines), f"{path}: {len(lines)} lines"
