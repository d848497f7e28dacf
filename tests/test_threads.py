# SPDX-License-Identifier: BSD-3-Clause
"""Thread counts, many Python threads at once, fork after parallel work, and other OpenMP users in the process."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent


def trained(n_threads: int, steps: int = 100) -> str:
    """SHA-256 of the weights of an MLP large enough for several threads."""
    pydl.set_num_threads(n_threads)
    pydl.manual_seed(3)
    model = nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 100), nn.Tanh(), nn.Linear(100, 10))
    optimizer = pydl.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, t = pydl.randn(130, 200), pydl.randint(0, 10, (130,))
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), t).backward()
        optimizer.step()
    digest = hashlib.sha256()
    for p in model.parameters():
        digest.update(p.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.long
def test_weights_are_the_same_for_any_number_of_threads(threads: None) -> None:
    assert len({trained(n) for n in (1, 2, 3, 4, 7, 8)}) == 1


@pytest.mark.slow
def test_weights_are_the_same_every_time(threads: None) -> None:
    assert len({trained(n) for n in (1, 2, 3, 4, 7, 8) for _ in range(20)}) == 1


def test_set_num_threads(threads: None) -> None:
    pydl.set_num_threads(3)
    assert pydl.get_num_threads() == 3
    for bad in (0, -1):
        with pytest.raises((ValueError, RuntimeError)):
            pydl.set_num_threads(bad)
    with pytest.raises(TypeError):
        pydl.set_num_threads("two")
    assert pydl.get_num_threads() == 3


def at_once(n: int, work: Callable[[int], bytes]) -> list[bytes]:
    results: list[bytes] = [b""] * n
    start = threading.Barrier(n)

    def body(i: int) -> None:
        start.wait()
        results[i] = work(i)

    bodies = [threading.Thread(target=body, args=(i,)) for i in range(n)]
    for thread in bodies:
        thread.start()
    for thread in bodies:
        thread.join()
    return results


def step(seed: int) -> bytes:
    """Work of every kind on tensors of its own."""
    rng = np.random.default_rng(seed)
    w = pydl.from_numpy(rng.normal(size=(120, 130))).requires_grad_()
    x = pydl.from_numpy(rng.normal(size=(140, 120)))
    for _ in range(5):
        loss = ((x @ w).tanh().log_softmax(1) * 0.1).sum() + (w * w).mean()
        (g,) = pydl.autograd.grad(loss, w)
        with pydl.no_grad():
            w -= 0.1 * g
    return w.detach().numpy().tobytes()


def test_python_threads_do_not_disturb_each_other() -> None:
    alone = [step(i) for i in range(4)]
    assert at_once(4, step) == alone


def test_backward_of_one_graph_per_thread_over_shared_weights() -> None:
    w = pydl.ones(50, 50, dtype=pydl.float64)

    def work(i: int) -> bytes:
        x = pydl.full((50, 50), float(i), dtype=pydl.float64, requires_grad=True)
        for _ in range(20):
            x.grad = None
            (x @ w).exp().log().sum().backward()
        return x.grad.numpy().tobytes()

    work_alone = [work(i) for i in range(4)]
    assert at_once(4, work) == work_alone


PARALLEL = (
    "import numpy as np, pydl\npydl.set_num_threads(2)\n"
    "def work():\n    a = pydl.ones(400, 400)\n    return float((a @ a).sum())\n"
)


def fresh(code: str, seconds: float = 120, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_after_parallel_work_does_not_hang() -> None:
    code = PARALLEL + (
        "import os, signal\nwork()\npid = os.fork()\n"
        "if pid == 0:\n    signal.alarm(60)\n    os._exit(0 if work() == 400.0 ** 3 else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), work() == 400.0 ** 3)\n"
    )
    assert fresh(code) == "0 True"


@pytest.mark.long
@pytest.mark.parametrize("order", ["pydl first", "sklearn first"])
def test_another_openmp_user_in_the_process(order: str) -> None:
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed")
    other = (
        "from sklearn.cluster import KMeans\n"
        "def fit(): return KMeans(3, n_init=1).fit(np.random.rand(500, 8)).inertia_ > 0\n"
    )
    code = PARALLEL + other if order == "pydl first" else "import numpy as np\n" + other + PARALLEL
    assert (
        fresh(code + "print(work() == 400.0 ** 3, bool(fit()), work() == 400.0 ** 3, bool(fit()))\n")
        == "True True True True"
    )


@pytest.mark.long
@pytest.mark.parity
@pytest.mark.parametrize("order", ["pydl first", "torch first"])
def test_torch_in_the_same_process(order: str) -> None:
    other = "import torch\ndef fit(): return float((torch.ones(400, 400) @ torch.ones(400, 400)).sum()) == 400.0 ** 3\n"
    code = PARALLEL + other if order == "pydl first" else other + PARALLEL
    assert (
        fresh(code + "print(work() == 400.0 ** 3, fit(), work() == 400.0 ** 3, fit())\n", 60) == "True True True True"
    )


WORKERS = """
import os, threading, time
import numpy as np, pydl
from pydl._core.dispatch import registry
from tests.cases import CASES
from tests.harness import Draw, bind, rounded, tensors

main = str(threading.get_native_id())

def worked():
    tasks = [t for t in os.listdir("/proc/self/task") if t != main]
    return sum(int(open(f"/proc/self/task/{t}/schedstat").read().split()[0]) for t in tasks)

def settled():
    '''The time when the threads have gone to sleep: the same for 20 ms.'''
    now = None
    while now != (now := worked()):
        time.sleep(0.02)
    return now

pydl.set_num_threads(2)
idle = []
for name, case in CASES.items():
    if case.bench is None or getattr(registry[name], "numpy_backed", False):
        continue
    given, _ = tensors(pydl, rounded(case.bench(Draw(name)), np.float32))
    call = bind(pydl, name, case)
    call(*given.args, **given.kwargs)
    before, end = settled(), time.monotonic() + 2
    call(*given.args, **given.kwargs)
    while worked() == before and time.monotonic() < end:  # the kernel writes it down when the thread goes to sleep
        time.sleep(0.001)
    if worked() == before:
        idle.append(name)
print(*idle)
"""

SERIAL = {"nll_loss"}  # made of steps that NumPy does


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads the time of each thread in /proc")
def test_two_threads_really_work() -> None:
    """Else the comparison of one and two threads in test_ops would compare one thread with itself."""
    path = os.pathsep.join(filter(None, sys.path))
    assert set(fresh(WORKERS, PYTHONPATH=path).split()) <= SERIAL
