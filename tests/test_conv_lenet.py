# SPDX-License-Identifier: BSD-3-Clause
"""LeNet-5: its parameters, PyTorch's steps from the same weights, the same bits for any number of threads."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

import pydl
from pydl.models import LeNet5


def test_parameters_and_sizes() -> None:
    net = LeNet5()
    assert sum(p.numel() for p in net.parameters()) == 61_706
    assert [p.numel() for p in net.parameters()] == [150, 6, 2400, 16, 48000, 120, 10080, 84, 840, 10]
    for n in (0, 1, 3):
        assert net(pydl.zeros(n, 1, 28, 28)).shape == (n, 10)
    assert LeNet5(classes=7, activation="relu", pool="max")(pydl.zeros(2, 1, 28, 28)).shape == (2, 7)


def test_errors() -> None:
    with pytest.raises(ValueError, match="activation is tanh or relu"):
        LeNet5(activation="gelu")
    with pytest.raises(ValueError, match="pool avg or max"):
        LeNet5(pool="median")
    with pytest.raises(RuntimeError, match=r"x has 3 channels"):
        LeNet5()(pydl.zeros(1, 3, 28, 28))


def test_receptive_field_of_c5() -> None:
    """One unit of C5, whose window covers both poolings, sees 32×32 pixels: the whole padded image."""
    net = LeNet5(activation="relu").double()
    with pydl.no_grad():
        for p in net.parameters():
            p.fill_(0.01)
    x = pydl.ones(1, 1, 28, 28, dtype=pydl.float64, requires_grad=True)
    (c5,) = [net.fc1.weight[:1]]
    y = net._halve(net._bend(net.conv2(net._halve(net._bend(net.conv1(x))))))
    (y.view(1, -1) @ c5.t()).sum().backward()
    assert x.grad is not None and bool((x.grad > 0).all())


def _batches(n: int, dtype: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(11)
    return [(rng.standard_normal((8, 1, 28, 28)).astype(dtype), rng.integers(0, 10, 8)) for _ in range(n)]


def _train(T: Any, net: Any, batches: Any) -> list[float]:
    opt = T.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for x, t in batches:
        opt.zero_grad()
        loss = T.nn.functional.cross_entropy(net(T.from_numpy(x)), T.from_numpy(t))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses


@pytest.mark.long
@pytest.mark.parity
@pytest.mark.parametrize("activation, pool", [("tanh", "avg"), ("relu", "max")])
def test_steps_are_torchs(activation: str, pool: str) -> None:
    import torch
    from torch import nn

    bend, halve = (nn.Tanh, nn.AvgPool2d) if pool == "avg" else (nn.ReLU, nn.MaxPool2d)
    peer = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), bend(), halve(2), nn.Conv2d(6, 16, 5), bend(), halve(2), nn.Flatten(),
        nn.Linear(400, 120), bend(), nn.Linear(120, 84), bend(), nn.Linear(84, 10),
    ).double()  # fmt: skip
    net = LeNet5(activation=activation, pool=pool).double()
    with pydl.no_grad():
        for ours, theirs in zip(net.parameters(), peer.parameters(), strict=True):
            ours.copy_(pydl.from_numpy(theirs.detach().numpy()))
    batches = _batches(8, np.float64)
    np.testing.assert_allclose(_train(pydl, net, batches), _train(torch, peer, batches), rtol=1e-10)
    for ours, theirs in zip(net.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-8, atol=1e-11)


def test_weights_are_the_same_bits_for_any_number_of_threads(threads: None) -> None:
    hashes = set()
    for n in (1, 2, 3):
        pydl.set_num_threads(n)
        pydl.manual_seed(5)
        net = LeNet5(activation="relu", pool="max")
        losses = _train(pydl, net, _batches(10, np.float32))
        assert np.isfinite(losses).all()
        digest = hashlib.sha256()
        for p in net.parameters():
            digest.update(p.detach().numpy().tobytes())
        hashes.add(digest.hexdigest())
    assert len(hashes) == 1


def test_channels_last_images_give_the_same() -> None:
    net, x = LeNet5(), pydl.rand(3, 1, 28, 28)
    wanted = net(x)
    assert pydl.equal(net(x.to(memory_format=pydl.channels_last)), wanted)
    net.to(memory_format=pydl.channels_last)
    assert pydl.equal(net(x), wanted)
