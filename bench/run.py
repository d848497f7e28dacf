# SPDX-License-Identifier: BSD-3-Clause
"""The order of turns: every library in a process of its own, A B C A B C …, medians of turns and of their ratios."""

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers import PEERS, Peer, environment, interpreter
from bench.row import Row

WORKER = Path(__file__).parent / "worker.py"
MACHINE = Peer("machine", "machine", "the machine's own limits")


@dataclass(frozen=True)
class Plan:
    """How long to measure: turns per row, seconds per turn, and seconds of rest between turns."""

    turns: int
    seconds: float
    rest: float


FULL, QUICK = Plan(11, 0.03, 0.03), Plan(2, 0.003, 0.002)


class Worker:
    """A running worker process and the conversation with it.

    It stands still (SIGSTOP) while others have their turn: OpenMP threads spin for up to 200 ms after their work, and
    slowed the two-thread rows of the library that came next up to 30 times.
    """

    def __init__(self, peer: Peer, threads: int, folder: Path):
        self.peer, self.threads = peer, threads
        self.process: subprocess.Popen[str] | None = None
        env = environment(peer, threads, folder)
        if env is None:
            self.about: dict[str, Any] = {"failed": "needs Linux and a C compiler"}
            return
        python = sys.executable if peer is MACHINE else interpreter(peer)
        command = [python, "-P", str(WORKER), peer.package, str(threads), str(int(peer.compiled)), str(folder)]
        self.log = (folder / f"{peer.name}-{threads}.log").open("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=env, cwd=folder
        )
        try:
            self.about = self._answer()
            self._stand_still(True)
        except BaseException:
            self.kill()
            raise

    def _stand_still(self, still: bool) -> None:
        if self.process is not None and hasattr(signal, "SIGSTOP"):
            self.process.send_signal(signal.SIGSTOP if still else signal.SIGCONT)

    def _answer(self) -> dict[str, Any]:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.log.seek(0)
        last = self.log.read().strip().splitlines()[-1:] or ["no message"]
        return {"failed": f"process ended with {self.process.wait()}: {last[0]}"}

    def ask(self, row: Row, **request: Any) -> dict[str, Any]:
        """Send a request about `row` and wait for the answer."""
        assert self.process is not None and self.process.stdin is not None
        self._stand_still(False)
        try:
            print(json.dumps({"row": row.name, **request}), file=self.process.stdin, flush=True)
            return self._answer()
        except BrokenPipeError:
            return {"failed": "process has ended"}
        finally:
            self._stand_still(True)

    def close(self) -> None:
        """End the process by ending its input."""
        if self.process is None:
            return
        self._stand_still(False)
        self.process.communicate()
        self.log.close()

    def kill(self) -> None:
        """End the process at once, standing or at work."""
        if self.process is None:
            return
        self.process.kill()
        self.process.communicate()
        self.log.close()


@contextmanager
def ending_workers() -> Iterator[list[Worker]]:
    """A list of workers that end with the block: by themselves, but killed where Ctrl-C or an error ends it. A process
    that stands still would outlive this one."""
    workers: list[Worker] = []
    try:
        yield workers
    except BaseException:
        for worker in workers:
            worker.kill()
        raise
    for worker in workers:
        worker.close()


def start(workers: list[Worker], names: list[str], threads: int, folder: Path, required: bool) -> None:
    """Add a running worker per peer; say which cannot run here. With `required`, such a peer is an error."""
    for peer in [MACHINE, *(PEERS[n] for n in names)]:
        worker = Worker(peer, threads, folder)
        if "failed" not in worker.about:
            workers.append(worker)
            continue
        worker.close()
        message = f"{peer.name} ({threads}T) left out: {worker.about['failed']}"
        if peer.name == "pydl" or (required and peer is not MACHINE):
            raise SystemExit(f"bench: {message}")
        print(message, file=sys.stderr)


def measure(row: Row, workers: list[Worker], plan: Plan) -> Iterator[dict[str, Any]]:
    """Check `row` with every library, then time them in turn; yield one record per library."""
    ready: dict[str, Worker] = {}
    replies: dict[str, dict[str, Any]] = {}
    for worker in workers:
        reply = worker.ask(row)
        if "absent" in reply:
            continue
        replies[worker.peer.name] = reply
        if "failed" not in reply and reply["error"] <= row.tolerance:
            ready[worker.peer.name] = worker
        time.sleep(plan.rest)
    turns: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(plan.turns):
        for name, worker in list(ready.items()):
            reply = worker.ask(row, seconds=plan.seconds)
            if "failed" in reply:
                replies[name] = reply
                del ready[name], turns[name]
                continue
            turns[name].append(reply["seconds"])
            time.sleep(plan.rest)
    limit = turns.pop("machine", None)
    for name, reply in replies.items():
        if name != "machine":
            yield _record(row, name, reply, turns.get(name), turns.get("pydl"), limit)


def _record(row: Row, name: str, reply: dict[str, Any], turns: Any, ours: Any, limit: Any) -> dict[str, Any]:
    record: dict[str, Any] = {"row": row.name, "library": name, "dtype": row.dtype, "tolerance": row.tolerance}
    if "failed" in reply:
        return record | {"failed": reply["failed"]}
    if turns is None:
        return record | {"failed": f"wrong result: error {reply['error']:.2g} > {row.tolerance:.2g}"}
    seconds = statistics.median(turns)
    record |= {"error": reply["error"], "calls_per_sample": reply["n"], "seconds": seconds, "turns": turns}
    if row.flops:
        record["gflops"] = row.flops / seconds / 1e9
    if row.n_bytes:
        record["gb_s"] = row.n_bytes / seconds / 1e9
    if limit:
        record["share_of_limit"] = median_ratio(limit, turns)
    if ours:
        record["ratio_to_pydl"] = median_ratio(turns, ours)
    return record


def median_ratio(a: list[float], b: list[float]) -> float:
    """Return the median over the turns of a/b: neighbours in time are compared with each other."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))
