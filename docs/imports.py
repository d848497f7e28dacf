# SPDX-License-Identifier: BSD-3-Clause
"""The rooms of the source and what they import from each other; `python docs/imports.py` draws them.

An import that only the type checker reads is none, nor is what `pydl.__getattr__` loads by name when it is asked for.
The picture keeps its edges, so that a test can see whether it is still the tree's. All but `draw` needs Python alone.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYDL = ROOT / "pydl"
PICTURE = ROOT / "docs" / "imports.png"


@dataclass(frozen=True)
class Room:
    """A part of the source: what stands in pydl/ under one of these names. It imports from lower floors alone."""

    name: str
    floor: int
    holds: str
    parts: tuple[str, ...]


ROOMS = (
    Room("cli", 9, "python -m pydl: train, info, bench, run, check", ("cli", "__main__")),
    Room("models", 8, "networks to begin with, and those of the tasks", ("models",)),
    Room("inspect", 7, "where gradients go, layer by layer, step by step", ("inspect",)),
    Room("inference", 6, "plans: a model as compiled steps on planned memory", ("inference",)),
    Room("text", 7, "vocabularies; greedy and beam search, drawing", ("text",)),
    Room("io", 6, "safetensors, checkpoints, atomic writes", ("io",)),
    Room("optim", 6, "optimizers and schedules of the learning rate", ("optim",)),
    Room("nn", 5, "modules, one file per layer family; functional, init", ("nn",)),
    Room("utils", 5, "data sets, samplers, loaders and their workers", ("utils",)),
    Room("pydl", 5, "the front door: names where users expect them", ("__init__", "_config", "memory")),
    Room("autograd", 4, "gradient modes, Function, gradcheck, Jacobians", ("autograd",)),
    Room("creation", 3, "what makes tensors: zeros, arange, randn, …", ("creation", "sequences", "random")),
    Room("tensor", 2, "the Tensor: methods, conversion, fills, printing",
         ("tensor", "_methods", "_conversion", "_data", "_random_fills", "_generator", "_printing", "_absent")),
    Room("ops", 1, "operations: check, forward, backward, side by side", ("ops",)),
    Room("_core", 0, "Cython: memory, tape, dispatch, blocks and threads", ("_core",)),
    Room("csrc", -1, "C: kernels, once per instruction set and element type", ()),
)  # fmt: skip
BY_PART = {part: room for room in ROOMS for part in room.parts}
KERNELS = ROOMS[-1]


def modules() -> list[Path]:
    """Every source file of pydl, Python's and Cython's."""
    return sorted([*PYDL.rglob("*.py"), *PYDL.rglob("*.pyx"), *PYDL.rglob("*.pxd")])


def room_of(path: Path) -> Room:
    """The room in which a source file stands; KeyError for one that no room has."""
    return BY_PART[path.relative_to(PYDL).with_suffix("").parts[0]]


def _python_imports(path: Path) -> Iterator[tuple[str, bool]]:
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    unread = {id(n) for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
              for n in ast.walk(node)}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from ((f"{module}.{alias.name}", id(node) in top) for alias in node.names)


def _cython_imports(path: Path) -> Iterator[tuple[str, bool]]:
    text = re.sub(r'""".*?"""', "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"\(([^()]*)\)", lambda m: m[1].replace("\n", " "), text)  # names in parentheses: one line
    for line in text.splitlines():
        match = re.match(r"\s*(?:from\s+([\w.]+)\s+)?c?import\s+(.+)", line)
        if match:
            names = [name.split()[0] for name in match[2].split("#")[0].split(",") if name.strip()]
            yield from ((f"{match[1]}.{name}" if match[1] else name, not line[0].isspace()) for name in names)
        elif header := re.match(r'\s*cdef\s+extern\s+from\s+"([^"]+)"', line):
            yield f"C:{header[1]}", True


def imports(path: Path) -> list[tuple[str, bool]]:
    """What a file imports: each name in full ("C:header.h" for a header of C), and whether at the top of the file."""
    return list(_python_imports(path) if path.suffix == ".py" else _cython_imports(path))


def imported_room(name: str) -> Room | None:
    """The room that an imported name leads to; None for what is not pydl's."""
    if name.startswith("C:"):
        return KERNELS if (ROOT / "csrc" / name[2:]).exists() else None
    parts = name.split(".")
    if parts[0] != "pydl":
        return None
    return BY_PART.get(parts[1], BY_PART["__init__"]) if len(parts) > 1 else BY_PART["__init__"]


def edges() -> Counter[tuple[str, str]]:
    """(room, room that it imports from) → in how many of its files."""
    found: Counter[tuple[str, str]] = Counter()
    for path in modules():
        rooms = {imported_room(name) for name, _ in imports(path)} - {None, room_of(path)}
        found.update((room_of(path).name, room.name) for room in rooms if room)
    return found


def edges_in(picture: Path) -> set[tuple[str, str]]:
    """The edges that a picture was drawn from."""
    text = re.search(rb"tEXtDescription\0(\[.*?\]\])", picture.read_bytes())
    return {(a, b) for a, b in json.loads(text[1])} if text else set()


# ---- the picture ---------------------------------------------------------------------------------------------------

INK, PAPER, BAND = "#20303c", "#fbfaf6", "#f1eee5"
COLORS = ("#8d5a97", "#b5485d", "#d1743c", "#c79a2b", "#7d9b3f", "#3f8f63", "#2f8f9d", "#3f74b0", "#56549b", "#8a6d5a")
LEFT, WIDTH, HEIGHT, GAP = 0.0, 6.5, 0.8, 0.36  # of a box; between the boxes and the first rail
LANE = 0.42  # between rails


def _size(room: Room) -> str:
    """"38 files, 9,400 lines"."""
    folders = [ROOT / "csrc"] if room is KERNELS else [PYDL / part for part in room.parts]
    files = [p for f in folders for p in (f.rglob("*") if f.is_dir() else [f.with_suffix(".py")])]
    files = [p for p in files if p.suffix in (".py", ".pyx", ".pxd", ".c", ".h")]
    lines = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in files)
    return f"{len(files)} file{'s' * (len(files) > 1)}, {lines:,} lines"


def _rows() -> dict[str, float]:
    """The middle of each room's box; a little more space between floors than within one."""
    y, rows = 0.0, {}
    for above, room in zip((None, *ROOMS), ROOMS, strict=False):
        y -= 0 if above is None else HEIGHT + (0.16 if above.floor == room.floor else 0.34)
        rows[room.name] = y
    return rows


def _box(axes: Any, room: Room, y: float, color: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (LEFT, y - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.09"
    axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, style, fc="white", ec=color, lw=1.8, zorder=3))
    axes.text(LEFT + 0.2, y + 0.16, room.name, weight="bold", size=12.5, color=color, va="center", zorder=4)
    axes.text(LEFT + WIDTH - 0.2, y + 0.16, _size(room), size=7.5, color="#8a8f94", va="center", ha="right", zorder=4)
    axes.text(LEFT + 0.2, y - 0.18, room.holds, size=8.2, color=INK, va="center", zorder=4)


def _wires(axes: Any, found: set[tuple[str, str]], rows: dict[str, float], colors: dict[str, str]) -> float:
    """One rail for each imported room, from its highest importer down to it; returns where the last one stands."""
    targets = [room.name for room in ROOMS if any(b == room.name for _, b in found)]
    rails = {name: LEFT + WIDTH + GAP + LANE * (i + 1) for i, name in enumerate(targets)}
    edge = LEFT + WIDTH
    for room in ROOMS:
        y = rows[room.name] + 0.17
        if mine := [rails[b] for a, b in found if a == room.name]:
            axes.plot([edge, max(mine)], [y, y], color="#b9bcc0", lw=1.1, zorder=1, solid_capstyle="round")
    for name, x in rails.items():
        users = [rows[a] + 0.17 for a, b in found if b == name]
        y = rows[name] - 0.17
        axes.plot([x, x], [max(users), y], color=colors[name], lw=2.2, zorder=2, solid_capstyle="round")
        arrow = {"arrowstyle": "-|>,head_width=0.24,head_length=0.5", "color": colors[name], "lw": 2.2, "shrinkA": 0}
        axes.annotate("", (edge + 0.02, y), (x, y), arrowprops={**arrow, "shrinkB": 0}, zorder=2)
        axes.scatter([x] * len(users), users, s=34, color=colors[name], edgecolor=PAPER, linewidth=0.8, zorder=4)
        label = {"size": 7.5, "color": colors[name], "ha": "center", "va": "bottom", "rotation": 90, "zorder": 5}
        axes.text(x, max(users) + 0.16, name, bbox={"fc": PAPER, "ec": "none", "pad": 0.5}, **label)
    return max(rails.values())


def draw(path: Path = PICTURE) -> None:
    """Draw the house into a PNG: rooms on their floors, arrows from above to below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found, rows = set(edges()), _rows()
    colors = {room.name: COLORS[i % len(COLORS)] for i, room in enumerate(ROOMS)}
    figure, axes = plt.subplots(figsize=(10.4, 12.2), facecolor=PAPER)
    right = _wires(axes, found, rows, colors)
    top, bottom = rows[ROOMS[0].name] + HEIGHT / 2, rows[KERNELS.name] - HEIGHT / 2
    for floor in sorted({room.floor for room in ROOMS})[::2]:
        ys = [rows[room.name] for room in ROOMS if room.floor == floor]
        low, high = min(ys) - HEIGHT / 2 - 0.17, max(ys) + HEIGHT / 2 + 0.17
        axes.fill_between([LEFT - 0.25, right + 0.5], low, high, color=BAND, lw=0, zorder=0)
    for room in ROOMS:
        _box(axes, room, rows[room.name], colors[room.name])
    roof = [(LEFT - 0.35, top + 0.22), (LEFT + WIDTH / 2, top + 1.75), (LEFT + WIDTH + 0.35, top + 0.22)]
    axes.add_patch(plt.Polygon(roof, closed=True, fc="#e9e2d3", ec="#b8ac94", lw=1.5, zorder=2, joinstyle="round"))
    middle = {"ha": "center", "va": "center", "color": INK, "zorder": 3}
    axes.text(LEFT + WIDTH / 2, top + 0.62, "who imports whom", size=12, weight="bold", **middle)
    note = "a dot: this room imports from the rail's room;\nevery arrow goes down"
    axes.text(right + 0.45, bottom - 0.15, note, size=8, color="#6b7076", ha="right", va="top")
    axes.set_xlim(LEFT - 0.5, right + 0.7)
    axes.set_ylim(bottom - 0.7, top + 1.9)
    axes.set_aspect("equal")
    axes.axis("off")
    description = json.dumps(sorted(found))
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor=PAPER, metadata={"Description": description})
    plt.close(figure)


if __name__ == "__main__":
    draw()
    print(PICTURE.relative_to(ROOT))
