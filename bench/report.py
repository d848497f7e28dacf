# SPDX-License-Identifier: BSD-3-Clause
"""Reads the records of one run: a table for the terminal, a Markdown table for the README, a plot."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.row import Row

Record = dict[str, Any]


def last_run(path: Path) -> list[Record]:
    """Return the records of the last run in a file: figures of different runs are never compared."""
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [r for r in records if r["run"] == records[-1]["run"]]


def grouped(records: Iterable[Record]) -> dict[tuple[str, int], dict[str, Record]]:
    """Return {(row, threads): {library: record}} for the records that are timings."""
    groups: dict[tuple[str, int], dict[str, Record]] = {}
    for r in records:
        if "seconds" in r or "failed" in r:
            groups.setdefault((r["row"], r.get("threads", 1)), {})[r["library"]] = r
    return groups


def best_peer(libraries: dict[str, Record]) -> Record | None:
    """Return the record of the fastest library that is not pydl."""
    peers = [r for name, r in libraries.items() if name != "pydl" and "seconds" in r]
    return min(peers, key=lambda r: r["seconds"], default=None)


def time_text(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def verdict(row: Row | None, threads: int, ours: Record, best: Record | None) -> str:
    """Return whether the row's goal was reached, in a word."""
    if row is None:
        return ""
    if row.at_most is not None:
        return f"{'met' if ours['seconds'] <= row.at_most else 'MISSED'} (≤ {time_text(row.at_most)})"
    goal = row.goal.get(threads)
    if goal is None or best is None or "ratio_to_pydl" not in best:
        return ""
    return f"{'met' if best['ratio_to_pydl'] >= goal else 'MISSED'} (≥ {goal:g})"


def print_table(records: list[Record], rows: dict[str, Row]) -> None:
    """Print one line per row and thread count: pydl, share of the machine's limit, best peer, ratio, goal."""
    print(f"{'row':40} {'T':>1} {'pydl':>9} {'limit':>6}  {'best peer':24} {'ratio':>6}  goal")
    for (name, threads), libraries in grouped(records).items():
        ours, best = libraries.get("pydl"), best_peer(libraries)
        peer = f"{time_text(best['seconds']):>9} {best['library']}" if best else "-"
        if ours is None or "failed" in ours:
            state = "-" if ours is None else f"FAILED {ours['failed']}"
            print(f"{name:40} {threads} {state:>16}  {peer}")
            continue
        share = f"{100 * ours['share_of_limit']:5.0f}%" if "share_of_limit" in ours else ""
        ratio = f"{best['ratio_to_pydl']:6.2f}" if best and "ratio_to_pydl" in best else ""
        goal = verdict(rows.get(name), threads, ours, best)
        print(f"{name:40} {threads} {time_text(ours['seconds']):>9} {share:>6}  {peer:24} {ratio:>6}  {goal}")
    for r in records:
        if r["library"] != "pydl" and "failed" in r:
            print(f"{r['library']} on {r['row']} ({r['threads']}T): {r['failed']}")
        if r.get("n_bytes") and "seconds" not in r:
            print(f"{r['row']} of {r['library']}: {r['n_bytes'] / 1e6:.2f} MB")


def markdown(records: list[Record]) -> str:
    """Return a Markdown table: every row and thread count, every library's median time, the fastest in bold."""
    groups = grouped(records)
    libraries = list(dict.fromkeys(name for group in groups.values() for name in group))
    lines = ["| work | threads | " + " | ".join(libraries) + " |", "|---" * (len(libraries) + 2) + "|"]
    for (row, threads), group in groups.items():
        times = {name: r["seconds"] for name, r in group.items() if "seconds" in r}
        fastest = min(times, key=times.__getitem__, default="")
        cells = [time_text(times[n]) if n in times else "–" for n in libraries]
        cells = [f"**{c}**" if n == fastest else c for n, c in zip(libraries, cells, strict=True)]
        lines.append(f"| {row} | {threads} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def caption(records: list[Record]) -> str:
    """Return a sentence that says where, when and with which versions a run was made."""
    first = records[0]
    versions = {r["library"].split("-")[0]: r["version"] for r in records if r.get("version")}
    isa = next((r["isa"] for r in records if r.get("isa")), "unknown")
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    load = f", load {first['load']} before" if first.get("load") else ""
    return (
        f"Medians of one run on {first['cpu']} ({first['cpus']} cores, kernels for {isa}), {first['date'][:10]}, "
        f"commit {first['commit'].rstrip('+')}{load}; {libraries}. torch-mklfix is PyTorch whose MKL treats this CPU "
        "as an Intel one. The fastest is in bold."
    )


def fill_readme(records: list[Record], path: Path) -> None:
    """Replace what stands between the README's two bench marks by the caption and the table of the run."""
    before, rest = path.read_text(encoding="utf-8").split("<!-- bench -->\n")
    after = rest.split("<!-- /bench -->\n")[1]
    text = f"<!-- bench -->\n{caption(records)}\n\n{markdown(records)}\n<!-- /bench -->\n"
    path.write_text(before + text + after, encoding="utf-8")


def plot(records: list[Record], path: Path) -> None:
    """Draw every peer's time relative to pydl's, one line per row, one panel per thread count."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    groups = {k: g for k, g in grouped(records).items() if "seconds" in g.get("pydl", {}) and len(g) > 1}
    counts = sorted({threads for _, threads in groups})
    names = list(dict.fromkeys(name for group in groups.values() for name in group if name != "pydl"))
    tallest = max(sum(t == c for _, t in groups) for c in counts)
    size = (6.2 * len(counts), 1.3 + 0.25 * tallest)
    figure, axes = plt.subplots(1, len(counts), figsize=size, squeeze=False, layout="constrained")
    for axis, threads in zip(axes[0], counts, strict=True):
        rows = [row for row, t in groups if t == threads]
        for library in names:
            points = [(groups[row, threads][library]["ratio_to_pydl"], -i) for i, row in enumerate(rows)
                      if "ratio_to_pydl" in groups[row, threads].get(library, {})]
            if points:
                x, y = zip(*points, strict=True)
                axis.plot(x, y, "o", ms=5, alpha=0.8, label=library, color=f"C{names.index(library)}")
        axis.axvline(1, color="black", lw=1)
        axis.set_xscale("log")
        axis.set_yticks([-i for i in range(len(rows))], rows, fontsize=8)
        axis.set_title(f"{threads} thread{'s' if threads > 1 else ''}")
        axis.set_xlabel("time / pydl's time\n(right of the line: pydl is faster)")
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
