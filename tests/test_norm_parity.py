# SPDX-License-Identifier: BSD-3-Clause
"""Normalisation layers with pydl and with PyTorch from the same weights: outputs, gradients, buffers, texts, errors."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import pydl

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = pytest.mark.parity

DTYPES = {"f32": np.float32, "f64": np.float64}
FLAGS = [
    f"momentum={m}, affine={a}, track_running_stats={t}"
    for m in (0.1, 0.7, None)
    for a in (True, False)
    for t in (True, False)
]
BATCH = [
    *((f"BatchNorm1d(5, {flags})", (6, 5)) for flags in FLAGS),
    *((f"BatchNorm2d(5, {flags})", (3, 5, 7, 6)) for flags in FLAGS),
    ("BatchNorm1d(3)", (4, 3, 9)),
    ("BatchNorm1d(17, bias=False)", (31, 17)),
    ("BatchNorm2d(3, eps=0.1)", (2, 3, 13, 31)),
    ("BatchNorm2d(1)", (1, 1, 7, 7)),
    ("BatchNorm2d(33)", (2, 33, 1, 13)),
    ("BatchNorm2d(100)", (3, 100, 1, 1)),
    ("BatchNorm3d(5)", (2, 5, 3, 4, 2)),
]
INSTANCE = [
    *(
        (f"InstanceNorm{n}d(5, affine={a}, track_running_stats={t})", (2, 5, 4, 3, 6)[: n + 2])
        for n in (1, 2, 3) for a in (True, False) for t in (True, False)
    ),
    ("InstanceNorm1d(5, affine=True, bias=False)", (2, 5, 7)),
    ("InstanceNorm1d(5, affine=True)", (5, 7)),
    ("InstanceNorm2d(5, affine=True, track_running_stats=True, momentum=0.4)", (5, 7, 3)),
    ("InstanceNorm3d(3)", (3, 2, 3, 4)),
]  # fmt: skip
OTHER = [
    ("LayerNorm(7)", (3, 5, 7)), ("LayerNorm((5, 7), eps=0.1)", (3, 5, 7)), ("LayerNorm([3, 5, 7])", (3, 5, 7)),
    ("LayerNorm(33, bias=False)", (4, 33)), ("LayerNorm(33, elementwise_affine=False)", (4, 33)),
    ("GroupNorm(3, 6)", (2, 6, 5, 7)), ("GroupNorm(1, 6, eps=0.1)", (2, 6, 5)),
    ("GroupNorm(6, 6, affine=False)", (2, 6, 5, 7)), ("GroupNorm(2, 6, bias=False)", (2, 6, 3, 5)),
    ("GroupNorm(4, 100)", (2, 100)), ("GroupNorm(2, 4)", (2, 4, 2, 3, 4)), ("RMSNorm(7)", (3, 5, 7)),
    ("RMSNorm((5, 7), eps=0.1)", (3, 5, 7)), ("RMSNorm(7, elementwise_affine=False)", (3, 5, 7)),
    ("LocalResponseNorm(3)", (2, 6, 5, 7)), ("LocalResponseNorm(4, alpha=0.5, beta=1.5, k=2.0)", (2, 6, 5)),
    ("LocalResponseNorm(9, 1.0)", (2, 3, 2, 3, 4)),
]  # fmt: skip
LAYERS = [*BATCH, *INSTANCE, *OTHER]


def make(T: Any, text: str) -> Any:
    return eval(f"nn.{text}", {"nn": T.nn})


def pair(text: str, dtype: Any) -> tuple[Any, Any]:
    """Both layers in `dtype` with the same random parameters and buffers."""
    peer, layer = make(torch, text), make(pydl, text)
    peer, layer = (peer.double(), layer.double()) if dtype == np.float64 else (peer, layer)
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for name, value in peer.state_dict().items():
            if value.is_floating_point():
                drawn = rng.uniform(0.5, 2, tuple(value.shape)) * (1 if "var" in name else rng.choice((-1, 1)))
                value.copy_(torch.from_numpy(drawn))
    result = layer.load_state_dict({k: pydl.tensor(v.numpy()) for k, v in peer.state_dict().items()})
    assert not result.missing_keys and not result.unexpected_keys
    assert list(layer.state_dict()) == list(peer.state_dict())
    return layer, peer


def step(T: Any, layer: Any, x: np.ndarray, dy: np.ndarray, last: bool) -> dict[str, np.ndarray]:
    """Output, gradients and buffers after one call forward and backward."""
    layer.zero_grad()
    tx = T.from_numpy(x.copy())
    if last:
        tx = tx.contiguous(memory_format=T.channels_last)
    tx = tx.requires_grad_()
    y = layer(tx)
    if last:
        assert y.is_contiguous(memory_format=T.channels_last)
    y.backward(T.from_numpy(dy))
    found = {"y": y, "dx": tx.grad, **dict(layer.named_buffers())}
    found.update({f"d{name}": p.grad for name, p in layer.named_parameters()})
    return {name: np.array(v.detach().numpy()) for name, v in found.items() if v is not None}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text, shape", LAYERS, ids=[text for text, _ in LAYERS])
def test_training_and_evaluation(text: str, shape: tuple[int, ...], dtype: str) -> None:
    """Three steps in training, two in evaluation, in C order and in channels-last memory."""
    eps = float(np.finfo(DTYPES[dtype]).eps)
    for last in (False, True) if len(shape) == 4 and "Instance" not in text and "Local" not in text else (False,):
        layer, peer = pair(text, DTYPES[dtype])
        rng = np.random.default_rng(1)
        for i in range(5):
            if i == 3:
                layer, peer = layer.eval(), peer.eval()
            x, dy = ((rng.standard_normal(shape) + 0.5).astype(DTYPES[dtype]) for _ in range(2))
            ours, theirs = step(pydl, layer, x, dy, last), step(torch, peer, x, dy, last)
            assert ours.keys() == theirs.keys()
            for name, a in ours.items():
                b = theirs[name]
                assert a.dtype == b.dtype and a.shape == b.shape, name
                bound = 16 * eps * np.sqrt(x.size) * max(1.0, float(np.abs(b).max()))
                assert np.abs(a.astype(float) - b).max() <= bound, f"{name}, step {i}, channels-last {last}"


@pytest.mark.parametrize("text", [text for text, _ in LAYERS])
def test_texts(text: str) -> None:
    assert repr(make(pydl, text)) == repr(make(torch, text))


def outcome(T: Any, line: str) -> Any:
    """The shape or text that a line gives, or the type of its error."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = eval(line, {"T": T, "nn": T.nn, "F": T.nn.functional})
    except Exception as error:
        return type(error)
    text = tuple(value.shape) if hasattr(value, "shape") else re.sub(r"\b(torch|pydl)\.", "", repr(value))
    return text, [w.category for w in caught]


LINES = """
nn.BatchNorm1d(3)(T.ones(3))
nn.BatchNorm1d(3)(T.ones(2, 3, 4, 5))
nn.BatchNorm2d(3)(T.ones(2, 3, 4))
nn.BatchNorm3d(3)(T.ones(2, 3, 4, 5))
nn.BatchNorm1d(3)(T.ones(1, 3))
nn.BatchNorm1d(3).eval()(T.ones(1, 3))
nn.BatchNorm2d(3)(T.ones(1, 3, 1, 1))
nn.BatchNorm2d(3)(T.ones(2, 4, 5, 5))
nn.BatchNorm2d(3)(T.ones(0, 3, 5, 5))
nn.BatchNorm2d(3).eval()(T.ones(0, 3, 5, 5))
nn.BatchNorm2d(3)(T.ones(2, 3, 5, 5, dtype=T.float64))
nn.BatchNorm2d(3)(T.ones(2, 3, 5, 5, dtype=T.int64))
nn.BatchNorm1d(3, track_running_stats=False).eval()(T.ones(1, 3))
nn.InstanceNorm1d(3)(T.ones(2, 3))
nn.InstanceNorm1d(3)(T.ones(2, 3, 4))
nn.InstanceNorm1d(3)(T.ones(2, 4, 5))
nn.InstanceNorm1d(3, affine=True)(T.ones(2, 4, 5))
nn.InstanceNorm1d(3)(T.ones(2, 3, 4, 5))
nn.InstanceNorm2d(3)(T.ones(2, 3, 1, 1))
nn.InstanceNorm2d(3)(T.ones(3, 4))
nn.InstanceNorm3d(3)(T.ones(2, 3, 4))
nn.LayerNorm(5)(T.ones(2, 4))
nn.LayerNorm((2, 5))(T.ones(3, 5))
nn.LayerNorm(5)(T.ones(0, 5))
nn.LayerNorm(5)(T.ones(2, 5, dtype=T.int64))
nn.GroupNorm(4, 6)
nn.GroupNorm(3, 6)(T.ones(2, 5, 4))
nn.GroupNorm(3, 6)(T.ones(2, 9, 4))
nn.GroupNorm(3, 6)(T.ones(6))
nn.GroupNorm(3, 3)(T.ones(1, 3))
nn.GroupNorm(3, 6)(T.ones(0, 6, 4))
nn.RMSNorm(5)(T.ones(2, 4))
nn.LocalResponseNorm(2)(T.ones(3, 4))
nn.LocalResponseNorm(0)(T.ones(3, 4, 5))
F.normalize(T.ones(2, 3), dim=2)
F.normalize(T.zeros(2, 3)).sum()
nn.BatchNorm1d(3).load_state_dict({})
nn.BatchNorm1d(2, affine=False).load_state_dict({"running_mean": T.ones(2), "running_var": T.ones(2)})
T.rms_norm(T.ones(2, 5), (5,))
""".strip().split("\n")


@pytest.mark.parametrize("line", LINES)
def test_same_outcome(line: str) -> None:
    ours, theirs = outcome(pydl, line), outcome(torch, line)
    if isinstance(theirs, type):
        assert isinstance(ours, type) and issubclass(ours, theirs), f"pydl gives {ours}, PyTorch raises {theirs}"
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "batch_norm", "instance_norm", "normalize", "rms_norm"])
def test_signatures_of_functions(name: str) -> None:
    import inspect

    def signature(T: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(getattr(T.nn.functional, name)).parameters.values()]

    assert signature(pydl) == signature(torch)


def test_normalize_writes_into_out() -> None:
    for T in (pydl, torch):
        out = T.zeros(2, 2)
        assert T.nn.functional.normalize(T.tensor([[3.0, 4.0], [0.0, 0.0]]), out=out) is out
        np.testing.assert_allclose(out.numpy(), [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_a_network_with_every_norm_trains_as_in_pytorch() -> None:
    """Ten steps in float64 from the same weights."""

    def network(T: Any) -> Any:
        nn = T.nn
        return nn.Sequential(
            nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True),
            nn.LocalResponseNorm(3), nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8, momentum=None),
            nn.Tanh(), nn.LayerNorm(8), nn.RMSNorm(8),
            nn.Linear(8, 3),
        ).double()  # fmt: skip

    peer, model = network(torch), network(pydl)
    model.load_state_dict({k: pydl.tensor(v.numpy()) for k, v in peer.state_dict().items()})
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((12, 4, 3, 3)), rng.integers(0, 3, 12)
    losses: list[list[float]] = []
    for T, net in ((pydl, model), (torch, peer)):
        optimizer = T.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        losses.append([])
        for _ in range(10):
            optimizer.zero_grad()
            loss = T.nn.functional.cross_entropy(net(T.tensor(x)), T.tensor(target))
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), peer.state_dict()[name].numpy(), rtol=1e-8, atol=1e-10, err_msg=name)
