# SPDX-License-Identifier: BSD-3-Clause
"""Connectionist temporal classification: against every path and PyTorch, at the ends, in parallel, as a loss."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl._core import kernels
from tests import reference_ctc as reference
from tests.kernel_calls import EACH, EACH_IDS, Array
from tests.kernel_calls_ctc import backward_call, forward_call

INT64 = np.iinfo(np.int64)


def log_probs(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Array:
    x = rng.standard_normal(shape) * 2
    return (x - np.log(np.exp(x).sum(-1, keepdims=True))).astype(dtype)


def test_loss_is_the_sum_over_all_paths() -> None:
    rng = np.random.default_rng(0)
    for labels in ([], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 2]):
        for steps in range(1, 7):
            lp = log_probs(rng, steps, 1, 3)
            total = reference.enumerated(np.exp(lp[:, 0]), np.array(labels), 0)
            loss = F.ctc_loss(
                pydl.from_numpy(lp), pydl.tensor([labels], dtype=pydl.int64), (steps,), (len(labels),), reduction="sum"
            )
            assert loss.item() == pytest.approx(-math.log(total) if total else math.inf, rel=1e-12)


def test_gradient_is_the_probability_of_each_class() -> None:
    """Which is the derivative for numbers that need not be logarithms of probabilities."""
    rng = np.random.default_rng(1)
    lp = log_probs(rng, 5, 1, 3)
    p = np.exp(lp[:, 0])
    x = pydl.from_numpy(lp).requires_grad_()
    F.ctc_loss(x, pydl.tensor([[1, 2]]), (5,), (2,), reduction="sum").backward()
    assert x.grad is not None
    whole = reference.enumerated(p, np.array([1, 2]), 0)
    for t in range(5):
        for c in range(3):
            only = p.copy()
            only[t, np.arange(3) != c] = 0
            share = reference.enumerated(only, np.array([1, 2]), 0) / whole
            assert x.grad[t, 0, c].item() == pytest.approx(-share, abs=1e-13)
    free = pydl.from_numpy(rng.standard_normal((6, 2, 4))).requires_grad_()
    targets = pydl.tensor([[1, 3], [2, 2]])

    def loss(x: Any) -> Any:
        return F.ctc_loss(x, targets, (6, 5), (2, 2))

    assert pydl.autograd.gradcheck(loss, [free])
    assert pydl.autograd.gradgradcheck(loss, [free], fast_mode=True)


def both(x: Array, *args: Any, **kwargs: Any) -> list[Any]:
    """Loss and gradient of logits by PyTorch and by pydl."""
    import torch

    results = []
    for T in (torch, pydl):
        logits = T.from_numpy(x.copy()).requires_grad_()
        given = [T.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in args]
        y = T.nn.functional.ctc_loss(logits.log_softmax(-1), *given, **kwargs)
        y.sum().backward()
        results.append((y.detach().numpy(), logits.grad.numpy()))
    return results


@pytest.mark.parity
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_impossible_and_empty_targets_follow_pytorch(reduction: str, zero_infinity: bool) -> None:
    """Too short inputs: inf and a gradient of NaN, or 0 and 0; no steps; no labels; repeated labels; every spelling."""
    rng = np.random.default_rng(2)
    x, padded = rng.standard_normal((12, 4, 6)), rng.integers(1, 6, (4, 5))
    padded[3] = 2  # needs a blank between: 3 labels in 5 steps at least
    how = {"reduction": reduction, "zero_infinity": zero_infinity}
    for steps in ((12, 9, 3, 0), (2, 12, 0, 4), (12, 12, 12, 5)):
        for counts in ((5, 0, 3, 3), (0, 0, 0, 0), (5, 5, 1, 2)):
            joined = np.concatenate([row[:n] for row, n in zip(padded, counts, strict=True)])
            for targets in (padded, joined, padded.astype(np.int32)):
                for lengths in ((steps, counts), (np.array(steps), np.array(counts, np.int32))):
                    theirs, ours = both(x, targets, *lengths, **how)
                    for a, b in zip(theirs, ours, strict=True):
                        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12, equal_nan=True)
    for lengths in ((np.array(12), np.array(3)), ((12,), (3,)), (np.array([2]), np.array([3]))):
        theirs, ours = both(x[:, 0], padded[0, :3], *lengths, **how)
        assert theirs[0].shape == ours[0].shape
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("value", [5, -1, 2**31, 2**62, -(2**62), INT64.max, INT64.min])
def test_labels_out_of_range(value: int) -> None:
    """Named before anything is written; what lies behind a target's length is no label."""
    targets = np.array([[1, 2, 3], [4, value, 1]])
    lp = pydl.from_numpy(log_probs(np.random.default_rng(3), 7, 2, 5)).requires_grad_()
    with pytest.raises(IndexError, match=rf"Target {value} is out of bounds: label 1 of sequence 1, 5 classes"):
        F.ctc_loss(lp, pydl.from_numpy(targets), (7, 7), (3, 2))
    with pytest.raises(IndexError, match=rf"Target {value} is out of bounds: label 4 of sequence 0"):
        F.ctc_loss(lp, pydl.from_numpy(targets.reshape(-1)), (7, 7), (6, 0))
    loss = F.ctc_loss(lp, pydl.from_numpy(targets), (7, 7), (3, 1))
    targets[:] = value  # copied in the forward pass
    loss.backward()
    assert lp.grad is not None and np.isfinite(lp.grad.numpy()).all()


def test_other_arguments_are_refused() -> None:
    lp, t = pydl.zeros(4, 1, 3), pydl.tensor([[1]])
    with pytest.raises(NotImplementedError, match="floating-point"):
        F.ctc_loss(lp.long(), t, (4,), (1,))
    with pytest.raises(RuntimeError, match="must be integral"):
        F.ctc_loss(lp, t, pydl.tensor([4.0]), (1,))
    with pytest.raises(RuntimeError, match=r"integers, not 0\.5"):
        F.ctc_loss(lp, pydl.tensor([[0.5]]), (4,), (1,))
    with pytest.raises(TypeError, match="targets must be a Tensor"):
        F.ctc_loss(lp, [[1]], (4,), (1,))  # type: ignore[arg-type]
    assert F.ctc_loss(lp, t.double(), (4,), (1,)) == F.ctc_loss(lp, t, (4,), (1,))


def test_infinite_and_nan_log_probabilities() -> None:
    rng = np.random.default_rng(4)
    lp = log_probs(rng, 6, 3, 4)
    lp[2, 0, 1] = -np.inf  # one way less
    lp[3, 1] = -np.inf  # no way
    lp[1, 2, 2] = np.nan
    x = pydl.from_numpy(lp).requires_grad_()
    targets = pydl.tensor([[1, 3], [1, 2], [2, 2]])
    losses = F.ctc_loss(x, targets, (6, 6, 6), (2, 2, 2), reduction="none", zero_infinity=True)
    losses.sum().backward()
    assert x.grad is not None
    g = x.grad.numpy()
    exact = -np.log(reference.likelihood(np.exp(lp[:, 0]), np.array([1, 3]), 0))
    assert losses[0].item() == pytest.approx(exact, rel=1e-12)
    assert g[2, 0, 1] == 0 and np.isfinite(g[:, 0]).all() and g[:, 0].sum() == pytest.approx(-6)
    assert losses[1].item() == 0 and (g[:, 1] == 0).all()
    assert math.isnan(losses[2].item()) and np.isnan(g[:, 2]).all()
    y = F.ctc_loss(pydl.from_numpy(lp[:, 2:]), pydl.tensor([[1, 3]]), (6,), (2,))  # a class that no path is in
    assert math.isfinite(y.item())
    second = pydl.from_numpy(lp[:, :2]).requires_grad_()
    loss = F.ctc_loss(second, targets[:2], (6, 6), (2, 2), reduction="sum", zero_infinity=True)
    (dx,) = pydl.autograd.grad(loss, second, create_graph=True)
    np.testing.assert_allclose(dx.detach().numpy(), g[:, :2], atol=1e-12)
    (ddx,) = pydl.autograd.grad(dx.square().sum(), second)
    assert np.isfinite(ddx.numpy()).all() and (ddx[:, 1] == 0).all() and ddx[:, 0].abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_sequences_stay_exact(dtype: Any) -> None:
    """2000 steps with 300 labels: every row has its own offset, so the errors of logarithms near −3000 do not enter."""
    rng = np.random.default_rng(5)
    lp, labels = log_probs(rng, 2000, 1, 8, dtype=dtype), rng.integers(1, 8, 300)
    exact = -np.log(reference.likelihood(np.exp(lp[:, 0].astype(np.longdouble)), labels, 0))
    x = pydl.from_numpy(lp).requires_grad_()
    loss = F.ctc_loss(x, pydl.from_numpy(labels), (2000,), (300,), reduction="sum")
    loss.backward()
    assert x.grad is not None and exact > 2500
    length = 1 if dtype is np.float32 else 2000  # of the sum that is rounded in this type: the offsets' is in double
    assert abs(loss.item() / float(exact) - 1) < 4 * np.finfo(dtype).eps * math.sqrt(length)
    np.testing.assert_allclose(x.grad.sum(-1).numpy(), -1, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_kernels_on_every_instruction_set(isa: str, dtype: Any) -> None:
    """Both recursions for 0 … 3 vectors of labels, against probabilities in extended precision."""
    rng = np.random.default_rng(6)
    eps = float(np.finfo(dtype).eps)
    for n in range(3 * kernels.lanes(np.dtype(dtype) == np.float64) + 2):
        labels, steps, blank = rng.integers(0, 5, n), 2 * n + 3, int(rng.integers(0, 5))
        lp = log_probs(rng, steps, 5, dtype=dtype)
        p = np.exp(lp.astype(np.longdouble))
        forward = forward_call(lp, 5, steps, labels, blank, True)
        rows, _, got = forward.run(isa, dtype)
        assert forward_call(lp, 5, steps, labels, blank, False).run(isa, dtype)[-1] == got
        whole = reference.likelihood(p, labels, blank)
        assert abs(float(got) - float(np.log(whole))) <= 8 * eps * max(1.0, abs(float(np.log(whole))))
        dlp, _ = backward_call(lp, 5, steps, labels, blank, rows, 2.0).run(isa, dtype)
        for t in (0, steps // 2, steps - 1):
            for c in range(5):
                only = p.copy()
                only[t, np.arange(5) != c] = 0
                share = float(reference.likelihood(only, labels, blank) / whole)
                assert abs(dlp.reshape(steps, 5)[t, c] + 2 * share) <= 40 * eps * math.sqrt(steps)


def test_threads_give_the_same_bits(threads: None) -> None:
    rng = np.random.default_rng(7)
    x = log_probs(rng, 90, 23, 12, dtype=np.float32)
    targets, counts = rng.integers(1, 12, (23, 20)), rng.integers(0, 21, 23)
    steps = rng.integers(41, 91, 23)
    digests = set()
    for n in (1, 2, 3, 4, 7, 8):
        pydl.set_num_threads(n)
        lp = pydl.from_numpy(x.copy()).requires_grad_()
        y = F.ctc_loss(lp, pydl.from_numpy(targets), pydl.from_numpy(steps), pydl.from_numpy(counts), reduction="none")
        y.backward(pydl.from_numpy(np.cos(np.arange(23)).astype(np.float32)))
        assert lp.grad is not None
        for i in (0, 7):
            assert (lp.grad.numpy()[steps[i] :, i] == 0).all()  # padding: exactly nothing
        digests.add(hashlib.sha256(y.detach().numpy().tobytes() + lp.grad.numpy().tobytes()).hexdigest())
    assert len(digests) == 1


def test_a_sequence_alone_has_the_bits_it_has_in_a_batch() -> None:
    rng = np.random.default_rng(8)
    x, targets = log_probs(rng, 30, 5, 9, dtype=np.float32), rng.integers(1, 9, (5, 12))
    steps, counts = (30, 25, 28, 30, 26), (12, 3, 0, 7, 9)

    def run(lp: Array, *rest: Any) -> tuple[bytes, Array]:
        a = pydl.from_numpy(lp.copy()).requires_grad_()
        y = F.ctc_loss(a, *rest, reduction="none")
        y.sum().backward()
        assert a.grad is not None
        return y.detach().numpy().tobytes(), a.grad.numpy()

    value, gradient = run(x, pydl.from_numpy(targets), steps, counts)
    for i in range(5):
        one = run(x[: steps[i], i], pydl.from_numpy(targets[i, : counts[i]]), (steps[i],), (counts[i],))
        assert one[0] == value[4 * i : 4 * i + 4] and one[1].tobytes() == gradient[: steps[i], i].tobytes()


def test_module_has_pytorchs_signature() -> None:
    lp = pydl.from_numpy(log_probs(np.random.default_rng(9), 6, 2, 4))
    args = (lp, pydl.tensor([[1, 3], [3, 2]]), (6, 4), (2, 1))
    assert nn.CTCLoss(1, "sum", True)(*args[:1], pydl.tensor([[2, 3], [3, 2]]), *args[2:]).ndim == 0
    assert nn.CTCLoss()(*args) == F.ctc_loss(*args) and repr(nn.CTCLoss()) == "CTCLoss()"


def test_a_network_learns_labels_without_their_places() -> None:
    """Each label fills two or three steps, blanks lie between; only the order is told. The best path reads as it."""
    rng = np.random.default_rng(10)
    codes = rng.standard_normal((5, 6))
    targets = rng.integers(1, 5, (24, 4))
    frames = np.zeros((24, 24), np.int64)
    for row, labels in zip(frames, targets, strict=True):
        at = 0
        for label in labels:
            at += int(rng.integers(1, 3))
            width = int(rng.integers(2, 4))
            row[at : at + width] = label
            at += width
    x = pydl.from_numpy((codes[frames] + 0.1 * rng.standard_normal((24, 24, 6))).transpose(1, 0, 2).astype(np.float32))
    pydl.manual_seed(0)
    model, t = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 5), nn.LogSoftmax(-1)), pydl.from_numpy(targets)
    optimizer = pydl.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.ctc_loss(model(x), t, (24,) * 24, (4,) * 24)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    best = model(x).argmax(-1).numpy().T
    read = [[c for c, before in zip(row, [-1, *row[:-1]], strict=True) if c and c != before] for row in best.tolist()]
    right = sum(r == labels for r, labels in zip(read, targets.tolist(), strict=True))
    assert losses[-1] < losses[0] / 10 and right >= 22, (losses[0], losses[-1], right)


def test_a_dead_sequence_is_found_at_its_first_dead_step() -> None:
    """−inf, or NaN where one of its numbers is."""
    lp = np.full((3, 2), -np.inf)
    call = forward_call(lp, 2, 3, np.array([1]), 0, True)
    assert call.run(kernels.isa(), np.float64)[-1] == -np.inf
    lp[0, 1] = np.nan
    assert np.isnan(call.run(kernels.isa(), np.float64)[-1])
