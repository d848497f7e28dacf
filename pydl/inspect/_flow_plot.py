# SPDX-License-Identifier: BSD-3-Clause
"""The gradient flow as a picture."""

from __future__ import annotations

import math
from typing import Any

from pydl.io.atomic import write_atomically

OUTPUT, WEIGHTS = "#1f6fb4", "#e07b1a"
STEPS = ("#1f6fb4", "#e07b1a", "#2a9d4a", "#c4161c", "#7a4fb5", "#6b5b4d", "#0f9aa8", "#b5257a")
MAX_NAMES = 24


def _positive(norms: Any) -> list[float]:
    """For a logarithmic axis: what is 0 or not finite is left out."""
    return [v if v is not None and 0 < v < math.inf else math.nan for v in norms]


def _tidy(axes: Any, title: str, label: str) -> None:
    axes.set_yscale("log")
    axes.set_title(title, fontsize=13)
    axes.set_ylabel(label, fontsize=11)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=11, frameon=False)


def _layers(axes: Any, layers: Any) -> None:
    at = range(len(layers))
    marker = "o" if len(layers) <= MAX_NAMES else None
    axes.plot(at, _positive(x.output for x in layers), color=OUTPUT, marker=marker, linewidth=2, label="output")
    own = [(i, math.sqrt(sum(v * v for v in x.parameters.values()))) for i, x in enumerate(layers) if x.parameters]
    style = {"color": WEIGHTS, "marker": "s" if marker else None, "linewidth": 2, "label": "parameters"}
    axes.plot([i for i, _ in own], _positive(norm for _, norm in own), **style)
    step = max(1, -(-len(layers) // MAX_NAMES))
    axes.set_xticks(at[::step], [x.name for x in layers[::step]], rotation=40, ha="right", fontsize=10)
    _tidy(axes, "Layers, in the order of their calls", "‖∂L/∂output‖, ‖∂L/∂parameters‖")


def _steps(axes: Any, steps: Any) -> None:
    for i, s in enumerate(steps):
        label = f"{s.name}{' (from the end)' if s.reverse else ''}: {s.verdict}, first/last {s.ratio:.1e}"
        color = STEPS[i % len(STEPS)]
        marker = "o" if len(s.norms) <= MAX_NAMES else None
        axes.plot(range(1, len(s.norms) + 1), _positive(s.norms), color=color, marker=marker, linewidth=2, label=label)
    axes.set_xlabel("step t", fontsize=11)
    axes.xaxis.get_major_locator().set_params(integer=True)
    _tidy(axes, "States of recurrent layers over time", "‖∂L/∂$h_t$‖")


def draw(flow: Any, path: str | None) -> Any:
    """A figure that needs no display and leaves pyplot's state alone; written as PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(p, rows) for p, rows in ((_layers, flow.layers), (_steps, flow.steps)) if rows]
    figure: Any = Figure(figsize=(max(6.5, 7 * len(panels)), 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"Gradient flow, loss {flow.loss:.4g}", fontsize=16)
    for (panel, rows), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        panel(axes, rows)
    if path is not None:
        write_atomically(path, lambda file: figure.savefig(file, format="png"))
    return figure
