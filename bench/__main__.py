# SPDX-License-Identifier: BSD-3-Clause
"""`python -m bench`: run the rows, keep the records as JSON lines, print a table, draw a plot."""

import argparse
import datetime
import json
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from bench import install, machine, report
from bench.machine import ROOT
from bench.peers import PEERS
from bench.row import Row
from bench.rows import ROWS, chosen
from bench.run import FULL, QUICK, ending_workers, measure, start

Record = dict[str, Any]
README_ROWS = (
    "gemm float32 256", "gemm float32 512", "gemm float32 1024", "gemm float64 512", "64x784x256", "1x1024x1024",
    "conv 3x3 64@56 B32 fwd+bwd channels_last", "conv 3x3 512@7 B32 fwd+bwd channels_last",
    "conv 5x5 6-16@14 B64 fwd+bwd channels_last", "depthwise 3x3 128@28 B32 fwd+bwd channels_last",
    "maxpool 2x2 s2 NHWC fwd+bwd", "batchnorm fwd+bwd 32x64x56x56 channels_last", "fwd+bwd T100", "useful fwd+bwd",
    "softmax-CE", "CTC", "SGD", "relu 1000000", "tanh", "exp", "tiny", "chain", "train", "import",
)  # fmt: skip


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line."""
    p = argparse.ArgumentParser("python -m bench", description=__doc__, epilog="peers: " + ", ".join(PEERS))
    p.add_argument("--rows", default="", help="comma-separated parts of row names (import, 'op gelu' too)")
    p.add_argument("--threads", default="1,2", help="comma-separated thread counts (default 1,2)")
    p.add_argument("--peers", default="", help="comma-separated; default: pydl and what can be imported")
    p.add_argument("--quick", action="store_true", help="smoke run: few, short turns and no large rows")
    p.add_argument("--out", type=Path, help="append the records to this file of JSON lines")
    p.add_argument("--plot", type=Path, help="draw times relative to pydl's into this PNG")
    p.add_argument("--wheel", type=Path, help="a built wheel of pydl, to record its size")
    p.add_argument("--read", type=Path, help="do not measure: report the last run in this file")
    p.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    p.add_argument("--readme", action="store_true", help="put the table of README_ROWS into README.md")
    a = p.parse_args(argv)
    a.peer_names = a.peers.split(",") if a.peers else [n for n, peer in PEERS.items() if peer.default]
    if unknown := [n for n in a.peer_names if n not in PEERS]:
        p.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    try:
        a.thread_counts = [int(t) for t in a.threads.split(",")]
    except ValueError:
        p.error(f"--threads takes numbers, got {a.threads!r}")
    a.chosen = choose(a.rows.split(","), a.quick)
    if not a.chosen:
        p.error(f"no row's name contains {a.rows!r}")
    return a


def choose(parts: list[str], quick: bool) -> list[Row]:
    """Return the rows whose names contain one of `parts`; a quick run leaves out products above 1 GFLOP."""
    return [row for row in chosen(parts) if not (quick and row.flops > 1e9)]


def keep(records: list[Record], out: Path | None) -> list[Record]:
    """Append records to `out` as soon as they are there, so that a run that is cut short keeps what it has."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("a") as f:
            f.writelines(json.dumps(r) + "\n" for r in records)
    return records


def run(a: argparse.Namespace, folder: Path) -> list[Record]:
    """Measure the chosen rows and return the records."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    common: Record = {"run": uuid.uuid4().hex[:12], "date": now, **machine.about()}
    records: list[Record] = []
    versions: dict[str, Any] = {}
    for threads in a.thread_counts:
        rows = [r for r in a.chosen if threads in r.threads]
        with ending_workers() as workers:
            start(workers, a.peer_names, threads, folder, required=bool(a.peers))
            versions |= {w.peer.name: w.about for w in workers}
            limits = next((w.about for w in workers if w.peer.name == "machine"), None)
            for row in rows:
                print(f"{threads}T {row.name}", file=sys.stderr)
                found = []
                for record in measure(row, workers, QUICK if a.quick else FULL):
                    extra = {"threads": threads, "machine": limits, "version": versions[record["library"]]["version"]}
                    extra["isa"] = versions[record["library"]].get("isa")
                    found.append({**common, **extra, **record})
                records += keep(found, a.out)
    if any(part in "import" for part in a.rows.split(",")):
        for record in install.records(a.peer_names, a.quick, a.wheel):
            version = versions.get(record["library"], {}).get("version")
            records += keep([{**common, "threads": 1, "version": version, **record}], a.out)
    return records


def end_as_by_ctrl_c() -> None:
    """SIGTERM and SIGHUP become an exception, so that the worker processes end too; nohup stays nohup."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def main() -> int:
    """Run the command; 1 where pydl failed a row, 0 otherwise."""
    a = arguments()
    end_as_by_ctrl_c()
    if a.read:
        parts = a.rows.split(",")
        records = [r for r in report.last_run(a.read) if any(part in r["row"] for part in parts)]
    else:
        with tempfile.TemporaryDirectory(prefix="pydl-bench-") as folder:
            records = run(a, Path(folder))
    if a.markdown:
        print(report.markdown(records))
    else:
        report.print_table(records, {r.name: r for r in (ROWS if a.read else a.chosen)})
    if a.readme:
        report.fill_readme([r for r in records if any(part in r["row"] for part in README_ROWS)], ROOT / "README.md")
    if a.plot:
        report.plot(records, a.plot)
    return int(any(r["library"] == "pydl" and "failed" in r for r in records))


if __name__ == "__main__":
    raise SystemExit(main())
