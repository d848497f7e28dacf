# SPDX-License-Identifier: BSD-3-Clause
"""The gradient flow as a table."""

from __future__ import annotations

from typing import Any

MAX_COLUMNS, MAX_PARAMETERS = 8, 4


def shown_steps(n: int, most: int = MAX_COLUMNS) -> list[int]:
    """At most `most` steps, evenly spread, with the first and the last."""
    if n <= most:
        return list(range(n))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def aligned(rows: list[list[str]], right: set[int]) -> list[str]:
    """Rows of cells in columns; the columns in `right` end together."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [c.rjust(widths[i]) if i in right else c.ljust(widths[i]) for i, c in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def listed(parameters: dict[str, float]) -> str:
    """Each name with its norm; of many, the smallest and the largest."""
    texts = {name: f"{name} {norm:.2e}" for name, norm in parameters.items()}
    if len(texts) <= MAX_PARAMETERS:
        return "  ".join(texts.values())
    names = sorted(parameters, key=lambda name: parameters[name])
    return f"{texts[names[0]]} … {texts[names[-1]]} ({len(names)} parameters)"


def table(flow: Any) -> str:
    """Layers, then recurrent states at some of their steps; flows of another length have their own heading."""
    rows = [["layer", "kind", "‖dL/d output‖", "‖dL/d parameters‖"]]
    for layer in flow.layers:
        output = "–" if layer.output is None else f"{layer.output:.2e}"
        rows.append([layer.name, layer.kind, output, listed(layer.parameters)])
    lines = [f"Gradient flow, loss {flow.loss:.4g}", *aligned(rows, {2})]
    for length in dict.fromkeys(len(s.norms) for s in flow.steps):
        at = shown_steps(length)
        rows = [["‖dL/dh‖ at step", *(str(t + 1) for t in at), "first/last"]]
        for s in flow.steps:
            if len(s.norms) == length:
                name = f"{s.name} (from the end)" if s.reverse else s.name
                rows.append([name, *(f"{s.norms[t]:.2e}" for t in at), f"{s.ratio:.2e}", s.verdict])
        lines += ["", *aligned(rows, set(range(1, len(at) + 2)))]
    return "\n".join(lines)
