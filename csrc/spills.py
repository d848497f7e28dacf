# SPDX-License-Identifier: BSD-3-Clause
"""Counts vector registers spilled in the inner loops of GEMM, depthwise and recurrent tiles, from the machine code.

    python csrc/spills.py [build directory or kernel objects ...]        (default: build/dev)

Prints one line per object and tile; exits with 1 if an inner loop keeps a vector register on the stack.
"""

import re
import subprocess
import sys
from pathlib import Path

VECTOR = re.compile(r"%[xyz]mm\d+")
STACK = re.compile(r"\((%[er]sp|%[er]bp)[,)]")
MULTIPLY = re.compile(r"^v?f?n?m(add|ul)\d*[ps][sd]|^fml[as]")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S.*)$")
FUNCTION = re.compile(r"^[0-9a-f]+ <((?:tile_(?:wide|rows|packed|narrow|masked)|depthwise)_\d+|thin)>:$")
JUMP = re.compile(r"^j\w+\s+([0-9a-f]+)|^b\.\w+\s+([0-9a-f]+)")


def functions(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The instructions (address, text) of each tile function of an object file."""
    command = ["objdump", "-d", "--no-show-raw-insn", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[tuple[int, str]]] = {}
    current: list[tuple[int, str]] | None = None
    for line in text.splitlines():
        if line.endswith(">:"):
            head = FUNCTION.match(line)
            current = found.setdefault(head[1], []) if head else None
        elif current is not None and (parts := INSTRUCTION.match(line)):
            current.append((int(parts[1], 16), parts[2]))
    return found


def inner_loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """The bodies of the loops that multiply vectors and contain no other such loop."""
    ranges = []
    for address, text in code:
        jump = JUMP.match(text)
        if jump and (target := int(jump[1] or jump[2], 16)) <= address:
            body = [t for a, t in code if target <= a <= address]
            if any(MULTIPLY.match(t) and VECTOR.search(t) for t in body):
                ranges.append((target, address, body))
    spans = [(lo, hi) for lo, hi, _ in ranges]
    return [body for lo, hi, body in ranges if not any(lo <= a and b <= hi and (lo, hi) != (a, b) for a, b in spans)]


def report(path: Path, label: str) -> int:
    """Prints the tiles of one object; returns the number of spilled accesses in their inner loops."""
    total = 0
    found = functions(path)
    for name in sorted(found, key=lambda tile: (tile.rstrip("0123456789"), len(tile), tile)):
        code = found[name]
        loops = inner_loops(code)
        products = sum(bool(MULTIPLY.match(t)) for body in loops for t in body)
        spills = sum(bool(STACK.search(t) and VECTOR.search(t)) for body in loops for t in body)
        instructions = sum(len(body) for body in loops)
        counts = f"{instructions:>3} instructions, {products:>2} vector products, {spills} spills"
        print(f"{label:<12} {name:<16} inner loop {counts}")
        if not loops:
            print(f"{label:<12} {name:<16} has no inner loop: this script does not understand the code")
        total += spills + (not loops)
    return total


def main(arguments: list[str]) -> int:
    """Reports every kernel object below the arguments."""
    paths: list[Path] = []
    for argument in arguments or ["build/dev"]:
        path = Path(argument)
        names = ("gemm.c.o", "conv.c.o", "recurrent.c.o")
        paths += sorted(p for name in names for p in path.rglob(name)) if path.is_dir() else [path]
    if not paths:
        print(f"no kernel objects in {arguments or ['build/dev']}: build first")
        return 2
    total = 0
    for path in paths:
        label = next((part[8:-4] for part in path.parts if part.startswith("kernels_")), path.stem)
        total += report(path, label)
    print(f"{total} spills" if total else "no spills")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
