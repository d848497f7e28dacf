# SPDX-License-Identifier: BSD-3-Clause
"""Every convolution layer against PyTorch's from the same weights: forward and all gradients, over all arguments."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pydl

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = pytest.mark.parity

SIZES = {1: (9,), 2: (9, 8), 3: (6, 5, 7)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 1)}
MODES = ("zeros", "reflect", "replicate", "circular")


def _weights(rng: Any, layer: Any) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(tuple(p.shape)) for name, p in layer.state_dict().items()}


def _run(T: Any, layer: Any, weights: dict[str, np.ndarray], x: np.ndarray, **options: Any) -> list[np.ndarray]:
    """y, dx and the gradients of the parameters in order."""
    layer = layer.to(T.float64 if x.dtype == np.float64 else T.float32)
    layer.load_state_dict({k: T.from_numpy(v.astype(x.dtype)) for k, v in weights.items()})
    image = T.from_numpy(x.copy()).requires_grad_()
    y = layer(image, **options)
    v = np.cos(np.arange(y.numel())).reshape(tuple(y.shape)).astype(x.dtype)
    y.backward(T.from_numpy(v))
    return [t.detach().numpy() for t in (y, image.grad, *(p.grad for p in layer.parameters()))]


def _compare(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], x: np.ndarray, **options: Any) -> None:
    ours, theirs = (getattr(T.nn, name)(*args, **kwargs) for T in (pydl, torch))
    what = f"{name}{args} {kwargs} x {x.shape} {options}"
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    weights = _weights(np.random.default_rng(7), theirs)
    got = _run(pydl, ours, weights, x, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its copy where padding="same" is odd
        wanted = _run(torch, theirs, weights, x, **options)
    # Sums of positive and negative terms: relative to the largest, ε √(terms) with a factor of 8.
    channels = -len(ours.kernel_size) - 1
    n_terms = max(x.size // x.shape[channels], wanted[0].size // wanted[0].shape[channels])
    bound = 8 * np.finfo(x.dtype).eps * np.sqrt(max(n_terms, ours.weight[0].numel()))
    for which, a, b in zip(("y", "dx", "dw", "db"), got, wanted, strict=False):
        assert a.shape == b.shape, f"{what}: {which} is {a.shape}, not {b.shape}"
        error = np.abs(a - b).max(initial=0)
        assert error <= bound * max(1.0, np.abs(b).max(initial=0)), f"{what}: {which} differs by {error:.3g}"


def _conv_flags(n: int) -> Iterator[dict[str, Any]]:
    for stride, padding, dilation, groups, bias in itertools.product(
        (1, 2, 3), (0, 1, 2, "same", "valid"), (1, 2), (1, 2, 4), (True, False)[: 1 + (n == 1)]
    ):
        if padding != "same" or stride == 1:
            yield {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}


@pytest.mark.long
@pytest.mark.parametrize("n", [1, 2, 3])
def test_all_flags_of_convolution(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((2, 4, *SIZES[n]))
    for flags in _conv_flags(n):
        _compare(f"Conv{n}d", (4, 8, KERNELS[n]), flags, x)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES[1:])
def test_all_padding_modes(n: int, mode: str) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((2, 4, *SIZES[n]))
    for flags in _conv_flags(n):
        if flags["bias"] and flags["padding"] != "valid":
            _compare(f"Conv{n}d", (4, 8, KERNELS[n]), {**flags, "padding_mode": mode}, x)
    _compare(f"Conv{n}d", (4, 8, KERNELS[n]), {"padding": 1, "padding_mode": mode}, x[0])


@pytest.mark.long
@pytest.mark.parametrize("n", [1, 2, 3])
def test_all_flags_of_transposed_convolution(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((2, 4, *SIZES[n]))
    for stride, padding, extra, dilation, groups, bias in itertools.product(
        (1, 2, 3), (0, 1, 2), (0, 1, 2), (1, 2, 3), (1, 2, 4), (True, False)[: 1 + (n == 1)]
    ):
        if extra < max(stride, dilation):
            flags = {"stride": stride, "padding": padding, "output_padding": extra, "dilation": dilation}
            _compare(f"ConvTranspose{n}d", (4, 8, KERNELS[n]), {**flags, "groups": groups, "bias": bias}, x)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_output_size(n: int) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((2, 4, *SIZES[n]))
    kernel, name = KERNELS[n], f"ConvTranspose{n}d"
    for stride, padding, dilation in itertools.product((1, 2, 3), (0, 1), (1, 2)):
        both = zip(SIZES[n], kernel, strict=True)
        smallest = [(w - 1) * stride - 2 * padding + dilation * (k - 1) + 1 for w, k in both]
        flags = {"stride": stride, "padding": padding, "dilation": dilation}
        for extra in range(stride):
            size = [m + extra for m in smallest]
            _compare(name, (4, 6, kernel), flags, x, output_size=size)
            _compare(name, (4, 6, kernel), flags, x, output_size=[2, 6, *size])
            _compare(name, (4, 6, kernel), flags, x[0], output_size=size)


CHANNELS = (1, 3, 5, 17, 33, 100)
EDGES = (1, 7, 13, 31)


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_channel_counts_and_sizes(size: int, dtype: Any) -> None:
    rng = np.random.default_rng(size)
    for c, k in itertools.product(CHANNELS, CHANNELS):
        x = rng.standard_normal((1, c, size, size)).astype(dtype)
        for kernel, padding in ((1, 0), (3, 1)):
            _compare("Conv2d", (c, k, kernel), {"padding": padding}, x)
        if c == k:
            _compare("Conv2d", (c, c, 3), {"padding": 1, "groups": c}, x)
            _compare("Conv2d", (c, 2 * c, 3), {"padding": 1, "groups": c, "stride": 2}, x)
            _compare("ConvTranspose2d", (c, c, 3), {"stride": 2, "groups": c}, x)
        if c <= 33 and k <= 33:
            _compare("ConvTranspose2d", (c, k, 3), {"stride": 2, "padding": 1, "output_padding": 1}, x)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_known_layers(batch: int) -> None:
    rng = np.random.default_rng(batch)
    for args, kwargs, shape in (
        ((3, 64, 7), {"stride": 2, "padding": 3, "bias": False}, (3, 33, 31)),  # the stem of ResNet
        ((3, 96, 4), {"stride": 4}, (3, 32, 32)),  # patches, ConvNeXt
        ((3, 64, 11), {"stride": 4, "padding": 2}, (3, 47, 47)),  # AlexNet
        ((32, 32, 7), {"padding": 3, "groups": 32}, (32, 13, 13)),
        ((1, 6, 5), {"padding": 2}, (1, 28, 28)),
        ((6, 16, 5), {}, (6, 14, 14)),
    ):
        _compare("Conv2d", args, kwargs, rng.standard_normal((batch, *shape)).astype(np.float32))


def test_errors_of_layers_have_torchs_types() -> None:
    def outcome(T: Any, line: str) -> Any:
        try:
            return repr(eval(line, {"nn": T.nn, "T": T}))
        except Exception as error:
            return type(error)

    for line in (
        "nn.Conv2d(3, 4, 3, groups=2)",
        "nn.Conv2d(4, 3, 3, groups=2)",
        "nn.Conv2d(3, 4, 3, groups=0)",
        "nn.Conv2d(3, 4, 3, padding='full')",
        "nn.Conv2d(3, 4, 3, padding='same', stride=2)",
        "nn.Conv2d(3, 4, 3, padding_mode='mirror')",
        "nn.ConvTranspose2d(3, 4, 3, padding_mode='reflect')",
        "nn.ConvTranspose2d(3, 4, 3, stride=2)(T.zeros(1, 3, 8, 8), output_size=(20, 18))",
        "nn.ConvTranspose2d(3, 4, 3, stride=2)(T.zeros(1, 3, 8, 8), output_size=(3, 18, 18))",
        "nn.Conv2d(3, 4, 3)(T.zeros(3, 8))",
        "nn.Conv2d(3, 4, 3)(T.zeros(1, 1, 3, 8, 8))",
        "nn.Conv2d(3, 4, 3, padding=-1)(T.zeros(1, 3, 8, 8))",
        "nn.Conv2d(3, 4, 3, stride=0)(T.zeros(1, 3, 8, 8))",
        "nn.Conv2d(3, 4, 3, padding=5, padding_mode='reflect')(T.zeros(1, 3, 4, 4))",
        "nn.Conv2d(4, 16, (3, 5), 1, 'same', 2, groups=2, bias=False, padding_mode='circular')",
        "nn.ConvTranspose1d(4, 16, 3, 2, 1, 1, dilation=2, groups=4)",
        "nn.Conv3d(1, 1, [3, 3, 1], stride=[1, 1, 2])",
    ):
        ours, theirs = outcome(pydl, line), outcome(torch, line)
        if isinstance(theirs, type):
            assert isinstance(ours, type) and issubclass(ours, theirs), f"{line}: pydl {ours}, PyTorch {theirs}"
        else:
            assert ours == theirs


@pytest.mark.long
def test_a_network_of_convolutions_trains_as_pytorchs() -> None:
    def make(T: Any) -> Any:
        nn = T.nn
        layers = (
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.Tanh(),
            nn.ConvTranspose2d(6, 2, 3, stride=2), nn.Flatten(), nn.Linear(2 * 7 * 7, 3),
        )  # fmt: skip
        return nn.Sequential(*layers).double()

    rng = np.random.default_rng(8)
    x, t = rng.standard_normal((8, 1, 8, 8)), rng.integers(0, 3, 8)
    peer, model = make(torch), make(pydl)
    model.load_state_dict({k: pydl.from_numpy(v.numpy().copy()) for k, v in peer.state_dict().items()})
    losses: list[list[float]] = []
    for T, net in ((pydl, model), (torch, peer)):
        opt = T.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        losses.append([])
        for _ in range(10):
            opt.zero_grad()
            loss = T.nn.CrossEntropyLoss()(net(T.tensor(x)), T.tensor(t))
            loss.backward()
            opt.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-11)
    assert losses[0][-1] < losses[0][0]
