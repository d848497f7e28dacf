# SPDX-License-Identifier: BSD-3-Clause
"""The compiled recurrent sequences: the same bits for any threads, memory, interrupts, kept graphs, long sequences."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydl
from pydl._core import storage
from pydl.ops import _unrolled
from pydl.ops.recurrent import gru_sequence, lstm_sequence, rnn_sequence

ROOT = Path(__file__).resolve().parent.parent
Tensors = list[Any]
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "projected": 4, "gru_after": 3, "gru_before": 3}
CELLS = pytest.mark.parametrize("cell", GATES)
TIES = (9, 9, 9, 7, 7, 4, 1, 1)


def arguments(cell: str, sizes: tuple[int, ...], n_in: int, hidden: int, dtype: Any = np.float64) -> Tensors:
    """x, h0, (c0,) w_ih, w_hh, b_ih, b_hh, (w_hr) as leaves that require gradients."""
    rng, rows = np.random.default_rng(3), GATES[cell] * hidden
    out = max(hidden // 2, 1) if cell == "projected" else hidden
    shapes = [(sum(sizes), n_in), (sizes[0], out), (rows, n_in), (rows, out), (rows,), (rows,)]
    if GATES[cell] == 4:
        shapes.insert(2, (sizes[0], hidden))
    if cell == "projected":
        shapes.append((out, hidden))
    arrays = [rng.standard_normal(s) * (1 if i < 2 else hidden**-0.5) for i, s in enumerate(shapes)]
    return [pydl.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]


def outputs(cell: str, sizes: tuple[int, ...], given: Tensors, fused: bool = True, **options: Any) -> Tensors:
    """y and the last states."""
    x, *rest = given
    if GATES[cell] == 4:
        lstm: Any = lstm_sequence if fused else _unrolled.lstm_unrolled
        return list(lstm(x, sizes, *rest, **options)[:3])
    if GATES[cell] == 3:
        gru: Any = gru_sequence if fused else _unrolled.gru_unrolled
        return list(gru(x, sizes, *rest, reset_after=cell == "gru_after", **options)[:2])
    rnn: Any = rnn_sequence if fused else _unrolled.rnn_unrolled
    return list(rnn(x, sizes, *rest, nonlinearity=cell[4:], **options))


def cotangents(results: Tensors) -> Tensors:
    rng = np.random.default_rng(8)
    return [pydl.from_numpy(rng.standard_normal(tuple(y.shape)).astype(y.detach().numpy().dtype)) for y in results]


def everything(cell: str, sizes: tuple[int, ...], given: Tensors, **options: Any) -> list[np.ndarray]:
    """Results and all gradients as arrays."""
    results = outputs(cell, sizes, given, **options)
    grads = pydl.autograd.grad(results, given, cotangents(results))
    return [t.detach().numpy().copy() for t in (*results, *grads)]


def same_bits(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


# ---- values ---------------------------------------------------------------------------------------------------------


@CELLS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("sizes", "n_in", "hidden"), [(TIES, 5, 17), ((300, 300, 280), 3, 20), ((2,) * 40, 70, 33), ((1,) * 9, 600, 300)],
    ids=["ties", "many rows", "steps", "wide"],
)  # fmt: skip
def test_equals_the_steps_one_by_one(cell: str, reverse: bool, sizes: tuple[int, ...], n_in: int, hidden: int) -> None:
    given = arguments(cell, sizes, n_in, hidden)
    ours = everything(cell, sizes, given, reverse=reverse)
    exact = everything(cell, sizes, given, reverse=reverse, fused=False)
    for a, b in zip(ours, exact, strict=True):
        assert np.abs(a - b).max() <= 1e-12 * max(1.0, np.abs(b).max())
    single = [pydl.from_numpy(t.detach().numpy().astype(np.float32)).requires_grad_() for t in given]
    bound = float(np.finfo(np.float32).eps) * 8 * np.sqrt(n_in + hidden + len(sizes))
    for a, b in zip(everything(cell, sizes, single, reverse=reverse), exact, strict=True):
        assert np.abs(a - b).max() <= bound * max(1.0, np.abs(b).max())


@pytest.mark.parametrize("cell", [cell for cell, n_gates in GATES.items() if n_gates > 1])
def test_gates_are_those_of_the_steps(cell: str) -> None:
    given = arguments(cell, TIES, 5, 11)
    sequence, steps = (
        (lstm_sequence, _unrolled.lstm_unrolled) if GATES[cell] == 4 else (gru_sequence, _unrolled.gru_unrolled)
    )
    options = {} if GATES[cell] == 4 else {"reset_after": cell == "gru_after"}
    x, *rest = given
    *results, gates = sequence(x, TIES, *rest, **options, return_gates=True)
    np.testing.assert_allclose(gates.numpy(), steps(x, TIES, *rest, **options)[-1].numpy(), rtol=0, atol=1e-13)
    assert not gates.requires_grad
    before = gates.numpy().copy()
    grads = pydl.autograd.grad(results, given, cotangents(results))
    assert same_bits([gates.numpy()], [before])
    plain = everything(cell, TIES, given)[len(results) :]
    assert same_bits([g.numpy() for g in grads], plain)
    *results, gates = sequence(x, TIES, *rest, **options, return_gates=True)
    gates.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        results[0].sum().backward()


@CELLS
def test_only_what_is_needed_gets_a_gradient(cell: str) -> None:
    given = arguments(cell, TIES, 5, 6)
    full = everything(cell, TIES, given)[-len(given) :]
    for i in range(len(given)):
        some = [t.detach().requires_grad_(i == j) for j, t in enumerate(given)]
        results = outputs(cell, TIES, some)
        (grad,) = pydl.autograd.grad(results, [some[i]], cotangents(results))
        assert same_bits([grad.numpy()], [full[i]])


def test_sequences_do_not_see_each_other() -> None:
    """What is not finite stays with its sequence, from its step on."""
    for cell in GATES:
        for value in (np.nan, np.inf):
            given = [t.detach() for t in arguments(cell, (4,) * 5, 3, 9, np.float32)]
            clean = outputs(cell, (4,) * 5, given)[0].numpy().reshape(5, 4, -1)
            given[0][2 * 4 + 1] = value
            marked = outputs(cell, (4,) * 5, given)[0].numpy().reshape(5, 4, -1)
            wanted = outputs(cell, (4,) * 5, given, fused=False)[0].numpy().reshape(5, 4, -1)
            others = [0, 2, 3]
            assert same_bits([clean[:, others]], [marked[:, others]]) and same_bits([clean[:2]], [marked[:2]])
            assert (np.isnan(marked) == np.isnan(wanted)).all() and np.isnan(marked[2:, 1]).any()


@CELLS
def test_long_sequences(cell: str) -> None:
    """20,000 steps; in parts with the state carried on they give the same."""
    sizes = (1,) * 20_000
    given = arguments(cell, sizes, 2, 3)
    results = outputs(cell, sizes, given)
    grads = pydl.autograd.grad(results, given, cotangents(results))
    assert all(np.isfinite(g.numpy()).all() for g in grads)
    x, *rest = [t.detach() for t in given]
    n_states = 2 if GATES[cell] == 4 else 1
    states, parts = rest[:n_states], []
    for start in range(0, 20_000, 5_000):
        y, *states = outputs(cell, sizes[:5_000], [x[start : start + 5_000], *states, *rest[n_states:]])
        parts.append(y.numpy())
    np.testing.assert_allclose(np.concatenate(parts), results[0].detach().numpy(), rtol=0, atol=1e-12)


# ---- threads --------------------------------------------------------------------------------------------------------


@CELLS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_bits_do_not_depend_on_the_threads(cell: str, dtype: Any, reverse: bool, threads: None) -> None:
    sizes = (60, 60, 60, 55, 40, 40, 13, 2)
    given = arguments(cell, sizes, 21, 170, dtype)
    pydl.set_num_threads(1)
    wanted = everything(cell, sizes, given, reverse=reverse)
    for n in (2, 3, 4, 7, 8):
        pydl.set_num_threads(n)
        assert same_bits(everything(cell, sizes, given, reverse=reverse), wanted), n


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_team_that_is_smaller_than_asked_for(limit: int) -> None:
    """OpenMP may give fewer threads; the barrier must not wait for those that do not exist."""
    script = """if True:
        import hashlib, numpy as np, pydl
        from tests.test_recurrent_core import arguments, everything
        pydl.set_num_threads(8)
        given = arguments("gru_before", (60,) * 6, 21, 170, np.float32)
        print(hashlib.sha256(b"".join(a.tobytes() for a in everything("gru_before", (60,) * 6, given))).hexdigest())
    """
    environment = {**os.environ, "OMP_THREAD_LIMIT": str(limit)}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    given = arguments("gru_before", (60,) * 6, 21, 170, np.float32)
    wanted = hashlib.sha256(b"".join(a.tobytes() for a in everything("gru_before", (60,) * 6, given)))
    assert run.stdout.split() == [wanted.hexdigest()]


def test_many_python_threads_at_once(threads: None) -> None:
    sizes = (32,) * 6
    given = arguments("lstm", sizes, 16, 96, np.float32)
    pydl.set_num_threads(2)
    wanted, got = everything("lstm", sizes, given), []

    def work() -> None:
        own = [t.detach().requires_grad_() for t in given]
        got.extend(everything("lstm", sizes, own) for _ in range(5))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(got) == 20 and all(same_bits(g, wanted) for g in got)


# ---- the graph ------------------------------------------------------------------------------------------------------


@CELLS
def test_a_kept_graph_gives_the_same_again(cell: str) -> None:
    given = arguments(cell, TIES, 5, 7)
    wanted = everything(cell, TIES, given)[-len(given) :]
    results = outputs(cell, TIES, given)
    v = cotangents(results)
    for keep in (True, True, False):
        grads = pydl.autograd.grad(results, given, v, retain_graph=keep)
        assert same_bits([g.numpy() for g in grads], wanted)
    with pytest.raises(RuntimeError, match="second time"):
        pydl.autograd.grad(results, given, v)


@CELLS
def test_recomputed_gates_give_the_same_bits(cell: str) -> None:
    given = arguments(cell, TIES, 5, 7, np.float32)
    assert same_bits(everything(cell, TIES, given, checkpoint=True), everything(cell, TIES, given))
    results = outputs(cell, TIES, given, checkpoint=True)
    v = cotangents(results)
    twice = [pydl.autograd.grad(results, given, v, retain_graph=True) for _ in range(2)]
    assert same_bits([g.numpy() for g in twice[0]], [g.numpy() for g in twice[1]])


@CELLS
@pytest.mark.parametrize("checkpoint", [False, True])
def test_what_is_saved_may_not_change(cell: str, checkpoint: bool) -> None:
    names = ["x", "h0", *(["c0"] if GATES[cell] == 4 else []), "w_ih", "w_hh", "b_ih", "b_hh", "w_hr"]
    for i, name in enumerate(names[: len(arguments(cell, TIES, 2, 3))]):
        given = arguments(cell, TIES, 2, 3)
        results = outputs(cell, TIES, given, checkpoint=checkpoint)
        with pydl.no_grad():
            given[i].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            results[0].sum().backward()
            pytest.fail(name)
    results = outputs(cell, TIES, arguments(cell, TIES, 2, 3))
    with pydl.no_grad():
        results[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        results[1].sum().backward()


# ---- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("cell", "checkpoint", "per_row"),
    [("rnn_tanh", False, 0), ("lstm", False, 6), ("lstm", True, 0), ("projected", False, 7), ("gru_after", False, 4),
     ("gru_before", False, 4), ("gru_before", True, 0)],
)  # fmt: skip
def test_memory_per_row_is_as_stated(cell: str, checkpoint: bool, per_row: int) -> None:
    hidden, sizes = 64, (16,) * 64
    given = arguments(cell, sizes, 4, hidden, np.float32)

    def held() -> int:
        gc.collect()
        before = storage.stats()["bytes_in_use"]
        results = outputs(cell, sizes, given, checkpoint=checkpoint)
        after = storage.stats()["bytes_in_use"]
        del results
        return after - before

    with pydl.no_grad():
        plain = held()
    room = 4 * (64 + 4096)  # of the pool around blocks; one state of all rows more would be 262,144 bytes
    assert abs(held() - plain - per_row * hidden * sum(sizes) * 4) <= room


def test_inference_keeps_a_region_of_gates_at_most() -> None:
    sizes = (8,) * 4096
    given = arguments("lstm", sizes, 4, 64, np.float32)
    storage.empty_cache()
    before = storage.stats()
    with pydl.no_grad():
        y = outputs("lstm", sizes, given)[0]
    after = storage.stats()
    used = sum(after[k] - before[k] for k in ("bytes_in_use", "bytes_cached"))
    assert y.numel() * 4 <= used < y.numel() * 4 + 6_000_000 < 4 * y.numel() * 4


# ---- interrupts -----------------------------------------------------------------------------------------------------


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of a call: on one thread what else the machine does hardly changes it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def interrupted(work: Callable[[], Any], whole: Callable[[], Any]) -> bool:
    """Whether Ctrl-C ends `work` at once: within 0.2 s of processor time, and half of what `whole`, as long, takes.

    The signal comes after 10 ms of processor time, when any machine is still at the beginning of the work.
    """
    limit = min(0.2, min(seconds(whole) for _ in range(2)) / 2)

    def stopped() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.01)
        with pytest.raises(KeyboardInterrupt):
            work()

    old = signal.signal(signal.SIGPROF, signal.default_int_handler)
    try:
        return seconds(stopped) < 0.01 + limit
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of POSIX")
def test_ctrl_c_returns_at_once_and_nothing_is_broken(threads: None) -> None:
    pydl.set_num_threads(1)
    sizes = (32,) * 1_500
    given = arguments("lstm", sizes, 64, 128, np.float32)
    short = [given[0].detach()[: 32 * 50].requires_grad_(), *given[1:]]
    wanted = everything("lstm", sizes[:50], short)
    in_use = storage.stats()["bytes_in_use"]

    def forward() -> list[Any]:
        return outputs("lstm", sizes, given)

    assert interrupted(forward, forward)
    gc.collect()
    assert storage.stats()["bytes_in_use"] == in_use
    results = forward()
    v = cotangents(results)

    def backward(keep: bool = True) -> list[Any]:
        return pydl.autograd.grad(results, given, v, retain_graph=keep)

    assert interrupted(backward, backward)
    first, again = backward(), backward()
    assert same_bits([g.numpy() for g in first], [g.numpy() for g in again])
    assert interrupted(lambda: backward(keep=False), backward)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):  # its gates are half gradients now
        backward(keep=False)
    assert same_bits(everything("lstm", sizes[:50], short), wanted)


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((), "sizes is empty"), ((2, 3), r"sizes\[1\] is 3 after 2"), ((3, 0), r"sizes\[1\] is 0 after 3"),
     ((-1,), r"sizes\[0\] is -1"), ((2, 2), "sum to 4 but x has 5 rows"), ((3, 3), "more than the 5 rows of x"),
     ((2**62, 2**62), "more than the 5 rows")],
)  # fmt: skip
@CELLS
def test_sizes_that_do_not_fit(cell: str, sizes: tuple[int, ...], message: str) -> None:
    given = arguments(cell, (3, 2), 2, 4)
    for fitting in (sizes, list(sizes)):
        with pytest.raises(ValueError, match=message):
            outputs(cell, fitting, given)  # type: ignore[arg-type]


def test_arguments_of_the_wrong_kind() -> None:
    x, h0, c0, w_ih, w_hh, b, b2, w_hr = arguments("projected", (3, 2), 2, 4)
    with pytest.raises(TypeError, match=r"sizes must be integers, but sizes\[0\] is 3.0"):
        lstm_sequence(x, (3.0, 2.0), h0, c0, w_ih, w_hh, w_hr=w_hr)
    with pytest.raises(TypeError, match="h0 must be a Tensor, not NoneType"):
        lstm_sequence(x, (3, 2), None, c0, w_ih, w_hh)
    with pytest.raises(TypeError, match="w_hr must be a Tensor, not ndarray"):
        lstm_sequence(x, (3, 2), h0, c0, w_ih, w_hh, b, b2, w_hr.detach().numpy())
    with pytest.raises(ValueError, match=r"c0 has shape \(3, 2\) but must be \(3, 4\)"):
        lstm_sequence(x, (3, 2), h0, h0, w_ih, w_hh, w_hr=w_hr)
    with pytest.raises(ValueError, match=r"w_hr has shape \(2, 3\) but must be \(2, 4\)"):
        lstm_sequence(x, (3, 2), h0, c0, w_ih, w_hh, w_hr=w_hr[:, :3])
    with pytest.raises(ValueError, match=r"w_ih must have the shape \(4 · hidden, features\), not \(15, 2\)"):
        lstm_sequence(x, (3, 2), h0, c0, w_ih[:15], w_hh, w_hr=w_hr)
    with pytest.raises(ValueError, match=r"x must have the shape .* not \(5,\)"):
        lstm_sequence(x[:, 0], (3, 2), h0, c0, w_ih, w_hh, w_hr=w_hr)
    with pytest.raises(NotImplementedError, match="int64"):
        lstm_sequence(x.detach().long(), (3, 2), h0, c0, w_ih, w_hh, w_hr=w_hr)
    with pytest.raises(ValueError, match="'tanh' or 'relu', not 'sine'"):
        rnn_sequence(x, (3, 2), h0, w_ih, w_hh, nonlinearity="sine")
