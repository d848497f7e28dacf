# SPDX-License-Identifier: BSD-3-Clause
"""Imports run one way, down the floors of docs/imports.py, whose reader and picture serve here too."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from docs import imports as house
from docs.imports import PICTURE, PYDL, ROOT, Room, edges, edges_in, imported_room, imports, modules, room_of

pytestmark = pytest.mark.sources
FORBIDDEN = {"torch", "scipy", "sklearn", "pandas", "tests", "bench", "jax", "tensorflow"}
# Read by the command line and by pictures only, and inside functions only.
EXTRAS = {"matplotlib", "tqdm", "sklearn"}


def wrong_imports(path: Path, here: Room) -> list[str]:
    """What a file of a room imports from its own floor or one above."""
    rooms = [(name, imported_room(name)) for name, _ in imports(path)]
    return [name for name, room in rooms if room is not None and room is not here and room.floor >= here.floor]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    assert not wrong_imports(path, room_of(path)), f"{path.name} imports what does not stand below it"


@pytest.mark.parametrize("path", [p for p in modules() if p.suffix != ".py"], ids=lambda p: p.name)
def test_the_build_sees_what_a_module_is_made_of(path: Path) -> None:
    """Cython leaves the modules of `from package cimport module` out of what it tells the build, which then leaves this
    module as it is when one of them changes."""
    found = re.findall(r"^ *from pydl\._core cimport .*", path.read_text(encoding="utf-8"), re.M)
    assert found == [], "cimport pydl._core.module as module"


def test_every_part_of_pydl_has_its_room() -> None:
    parts = {p.relative_to(PYDL).with_suffix("").parts[0] for p in modules()}
    assert parts == set(house.BY_PART)


def test_the_map_of_the_core_names_every_module_and_no_other() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("`pydl/_core/` by what")[2].partition("\n## ")[0]
    said = re.findall(r"`([a-z_]+)(…?)`", table)
    names = {p.stem for p in modules() if p.parent.name == "_core"} - {"__init__"}
    found = {name: [n for n in names if n == name or (more and n.startswith(name))] for name, more in said}
    assert names == {n for those in found.values() for n in those}, "CONTRIBUTING.md, the table of pydl/_core"
    assert [name for name, those in found.items() if not those] == [], "not in pydl/_core"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_numpy_is_the_only_package_needed(path: Path) -> None:
    for name, top in imports(path):
        root = name.split(".")[0]
        if room_of(path).name in ("cli", "inspect") and root in EXTRAS:
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


def test_one_place_gives_the_interpreter_lock_up_and_starts_threads() -> None:
    """run_pieces and its kin in kernels.pyx; the recurrent steps need a team that waits for itself, a permutation one
    thread."""
    excepted = {"kernels.pyx": None, "recurrent_steps.pyx": "parallel(", "random.pyx": "with nogil"}
    for path in sorted((PYDL / "_core").glob("*.pyx")):
        found = re.findall(r"prange\(|with parallel\(|with nogil|parallel\(", path.read_text(encoding="utf-8"))
        allowed = excepted.get(path.name, "")
        assert allowed is None or all(allowed and allowed in f for f in found), f"{path.name}: {found}"


@pytest.mark.parametrize("text, suffix, wrong", [
    ("from pydl.nn import Linear\nimport pydl.ops.reducing\n", ".py", ["pydl.nn.Linear", "pydl.ops.reducing"]),
    ("from ..nn.modules import (\n    linear,\n)\n", ".py", ["pydl.nn.modules.linear"]),
    ("if TYPE_CHECKING:\n    from pydl import nn\nfrom pydl._core import tape\n", ".py", []),
    ("from pydl._core.tape cimport (\n    Node,\n)\nfrom pydl.ops cimport (\n    a,\n    b,\n)\n", ".pyx",
     ["pydl.ops.a", "pydl.ops.b"]),
    ("cimport numpy\n    from pydl import tensor    # late\n", ".pxd", ["pydl.tensor"]),
])  # fmt: skip
def test_the_rule_catches_wrong_imports(
    text: str, suffix: str, wrong: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pydl" / "_core" / f"imagined{suffix}"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(house, "ROOT", tmp_path)
    assert wrong_imports(path, house.BY_PART["_core"]) == wrong


def test_the_picture_shows_the_tree() -> None:
    assert edges_in(PICTURE) == set(edges()), "python docs/imports.py draws it anew"


@pytest.mark.long
def test_the_picture_can_be_drawn(tmp_path: Path) -> None:
    path = tmp_path / "imports.png"
    house.draw(path)
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    assert edges_in(path) == set(edges()) and min(width, height) > 500


def test_every_file_has_its_licence_line_and_a_bounded_size() -> None:
    for path in [*modules(), *sorted((ROOT / "csrc").glob("*.[ch]")), *sorted((ROOT / "tests").rglob("*.py"))]:
        lines = path.read_text().splitlines()
        assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2]), f"{path}: no SPDX line"
        assert len(lines) <= 400 or any("more than 400 lines" in line for line in lines), f"{path}: {len(lines)} lines"
