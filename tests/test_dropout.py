# SPDX-License-Identifier: BSD-3-Clause
"""Dropout: its law, the same mask for any threads, instruction set and memory order, gradients, and the layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl._core import dropout as core
from pydl._core import formats, random
from pydl.nn import functional as F
from tests.kernel_calls import EACH, EACH_IDS, Array, function

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "dropout": (F.dropout, (6, 7, 5, 9)),
    "dropout1d": (F.dropout1d, (6, 7, 9)),
    "dropout2d": (F.dropout2d, (6, 7, 5, 9)),
    "dropout3d": (F.dropout3d, (6, 7, 5, 3, 2)),
    "alpha_dropout": (F.alpha_dropout, (6, 7, 5, 9)),
    "feature_alpha_dropout": (F.feature_alpha_dropout, (6, 7, 5, 9)),
}
each_function = pytest.mark.parametrize("name", FUNCTIONS)
ALPHA = 1.7580993408473766


def seeded(seed: int, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    pydl.manual_seed(seed)
    return call(*args, **kwargs)


def ones(*shape: int) -> Any:
    return pydl.ones(*shape, dtype=pydl.float64)


# --- the law ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [pydl.float32, pydl.float64])
def test_the_share_of_zeros_and_the_scale(p: float, dtype: Any) -> None:
    n = 400_000
    y = seeded(1, F.dropout, pydl.ones(n, dtype=dtype), p).numpy()
    kept = y != 0
    assert abs((~kept).mean() - p) < 5 * math.sqrt(p * (1 - p) / n)
    assert (y[kept] == np.asarray(1 / (1 - p), y.dtype)).all()


def test_elements_are_independent() -> None:
    """Neighbors at every distance up to a counter's words and beyond agree as often as chance says."""
    p, n = 0.3, 400_000
    kept = seeded(2, F.dropout, pydl.ones(n), p).numpy() != 0
    agree = p * p + (1 - p) * (1 - p)
    for lag in (*range(1, 20), 64, 256, 1024):
        assert abs((kept[lag:] == kept[:-lag]).mean() - agree) < 6 * math.sqrt(agree * (1 - agree) / n), lag


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"])
def test_whole_channels(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = ones(40, 50, *shape[2:])
    y = seeded(3, call, x, 0.4, training=True).numpy().reshape(40, 50, -1)
    assert (y == y[:, :, :1]).all()
    low = y[:, :, 0].min()
    assert abs((y[:, :, 0] == low).mean() - 0.4) < 5 * math.sqrt(0.24 / 2000)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    x = seeded(4, pydl.randn, 400_000, dtype=pydl.float64)
    y = F.alpha_dropout(x, p, training=True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.std() - 1) < 0.02
    a = 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    dropped = np.isclose(y, -ALPHA * a + ALPHA * a * p, rtol=1e-14)
    assert abs(dropped.mean() - p) < 0.01
    np.testing.assert_allclose(y[~dropped], (a * x.numpy() + ALPHA * a * p)[~dropped], rtol=1e-13, atol=1e-15)


@pytest.mark.parity
@pytest.mark.parametrize("p", [0.2, 0.7, 1.0])
@each_function
def test_the_values_are_torchs(name: str, p: float) -> None:
    """What kept and dropped elements become, for ordinary and special values."""
    import torch

    base = np.array([1.5, -2.0, 0.0, -0.0, np.inf, -np.inf, np.nan])
    for value, kind in itertools.product(base, (np.float32, np.float64)):
        found = []
        for T in (pydl, torch):
            T.manual_seed(0)
            x = T.from_numpy(np.full((30, 40, 2, 2, 2)[: len(FUNCTIONS[name][1])], value, kind))
            y = getattr(T.nn.functional, name)(x, p, training=True).numpy()
            found.append(
                sorted(
                    {(math.copysign(1, v), str(v)) if v == 0 or v != v else (0, f"{v:.6g}") for v in y.ravel().tolist()}
                )
            )
        ours, theirs = ([(0 if v[1] == "nan" else v[0], v[1]) for v in side] for side in found)
        assert sorted(set(ours)) == sorted(set(theirs)), (value, kind)


# --- where the mask comes from ------------------------------------------------------------------------------------


def plain_mask(n: int, key: int, offset: int, p: float) -> Array:
    """Word i % 4 of counter offset + i / 4, against (1 − p) 2³²."""
    words = [
        random.philox((c % 2**32, c >> 32, 0, 0), (key % 2**32, key >> 32))
        for c in range(offset, offset + (n + 3) // 4)
    ]
    return np.array(words, np.uint64).reshape(-1)[:n] < int((1 - p) * 2**32 + 0.5)


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_the_mask_is_that_of_the_plain_generator(isa: str, dtype: Any) -> None:
    key, offset, p = 0x1234_5678_9ABC_DEF0, 2**32 - 20, 0.3
    keep = int((1 - p) * 2**32 + 0.5)
    for n in (1, 3, 4, 15, 16, 31, 64, 65, 300, 1000):
        want = plain_mask(n, key, offset, p)
        x, y, mask, alone = (
            np.linspace(-1, 1, n).astype(dtype),
            np.zeros(n, dtype),
            np.zeros(n, np.uint8),
            np.zeros(n, np.uint8),
        )
        places = (a.ctypes.data for a in (x, y, mask))
        function(isa, dtype, "activation.dropout")(*places, n, key, offset, keep, 1 / (1 - p))
        function(isa, dtype, "activation.dropout_mask")(alone.ctypes.data, n, key, offset, keep)
        assert (mask == want).all() and (alone == want).all()
        assert y.tobytes() == (x * np.where(want, dtype(1 / (1 - p)), dtype(0))).tobytes()


@pytest.mark.parametrize("keep, share", [(0, 0), (1, 0), (2**32 - 1, 1), (2**32, 1)])
def test_the_ends_of_the_threshold(keep: int, share: int) -> None:
    mask = np.full(4096, 7, np.uint8)
    function(pydl._core.kernels.isa(), np.float32, "activation.dropout_mask")(mask.ctypes.data, mask.size, 5, 0, keep)
    assert (mask == share).all()


@each_function
def test_seeds_repeat_and_calls_move_on(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = ones(*shape)
    first = seeded(7, call, x, 0.5, training=True).numpy()
    second = call(x, 0.5, training=True).numpy()
    assert (seeded(7, call, x, 0.5, training=True).numpy() == first).all()
    assert (first != second).any()
    assert (seeded(8, call, x, 0.5, training=True).numpy() != first).any()


@each_function
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_two_threads_give_the_bits_of_one(name: str, kind: str, threads: None) -> None:
    call, shape = FUNCTIONS[name]
    x = pydl.randn(*(s * 6 for s in shape[:2]), *(s * 4 for s in shape[2:]), dtype=getattr(pydl, kind)).requires_grad_()
    found = []
    for n in (1, 2):
        pydl.set_num_threads(n)
        y = seeded(5, call, x, 0.3, training=True)
        (g,) = pydl.autograd.grad(y, x, x.detach())
        found.append((y.detach().numpy().tobytes(), g.numpy().tobytes()))
    assert found[0] == found[1]


@each_function
def test_the_memory_order_does_not_matter(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = pydl.randn(*shape)
    wanted = seeded(5, call, x, 0.3, training=True).numpy()
    array = x.numpy()
    strided = np.zeros((*shape[:-1], 2 * shape[-1]), np.float32)[..., ::2]
    strided[...] = array
    turned = np.ascontiguousarray(array.T).T
    layouts = [pydl.from_numpy(strided), pydl.from_numpy(turned), formats.in_own_format(x)]
    for other in layouts:
        kept = other.clone() if other is layouts[-1] else other
        y = seeded(5, call, kept, 0.3, training=True)
        if other is layouts[-1]:
            assert formats.has_own_format(y)
        assert y.numpy().tobytes() == wanted.tobytes()
    own = formats.in_own_format(x).clone().requires_grad_()
    (g,) = pydl.autograd.grad(seeded(5, call, own, 0.3, training=True).sum(), own)
    plain = x.clone().requires_grad_()
    (h,) = pydl.autograd.grad(seeded(5, call, plain, 0.3, training=True).sum(), plain)
    assert (g.numpy() == h.numpy()).all()


# --- gradients, in place, the ends --------------------------------------------------------------------------------


@each_function
def test_gradients(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = pydl.randn(*(2 for _ in shape), dtype=pydl.float64).requires_grad_()

    def fixed(t: Any) -> Any:
        return seeded(6, call, t, 0.4, training=True)

    assert pydl.autograd.gradcheck(fixed, [x])
    assert pydl.autograd.gradgradcheck(fixed, [x])


@each_function
def test_in_place(name: str) -> None:
    call, shape = FUNCTIONS[name]
    leaf = pydl.randn(*shape).requires_grad_()
    wanted = seeded(5, call, leaf, 0.3, training=True)
    (g,) = pydl.autograd.grad(wanted, leaf, pydl.ones(*shape))
    target = leaf * 1
    address, version = target.data_ptr(), target._version
    result = seeded(5, call, target, 0.3, training=True, inplace=True)
    assert result is target and target.data_ptr() == address and target._version == version + 1
    assert target.detach().numpy().tobytes() == wanted.detach().numpy().tobytes()
    (h,) = pydl.autograd.grad(target, leaf, pydl.ones(*shape))
    assert h.numpy().tobytes() == g.numpy().tobytes()
    with pytest.raises(RuntimeError, match="leaf"):
        call(leaf, 0.3, training=True, inplace=True)


@pytest.mark.parametrize(("name", "shape"), [("dropout1d", (7, 9)), ("dropout3d", (7, 5, 3, 2))])
def test_without_a_batch_dimension(name: str, shape: tuple[int, ...]) -> None:
    call = getattr(F, name)
    y = seeded(5, call, ones(*shape), 0.5)
    batch = seeded(5, call, ones(1, *shape), 0.5)
    assert tuple(y.shape) == shape and (y.numpy() == batch.numpy()[0]).all()
    x = ones(*shape)
    assert seeded(5, call, x, 0.5, inplace=True) is x
    assert (x.numpy() == y.numpy()).all()


@each_function
def test_nothing_happens_in_evaluation(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = pydl.randn(*shape)
    state, version = pydl.get_rng_state().numpy().tobytes(), x._version
    assert call(x, 0.5, training=False) is x
    assert call(x, 0.0, training=True) is x
    assert call(x, 0.5, training=False, inplace=True) is x and x._version == version
    assert pydl.get_rng_state().numpy().tobytes() == state


@each_function
def test_everything_may_be_dropped(name: str) -> None:
    call, shape = FUNCTIONS[name]
    x = pydl.randn(*shape).requires_grad_()
    y = call(x, 1.0, training=True)
    assert not y.any()
    (g,) = pydl.autograd.grad(y.sum(), x)
    assert not g.any()


def test_a_number_that_is_neither() -> None:
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            F.dropout(pydl.ones(2), p)
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            nn.Dropout(p)


def test_unusual_shapes_warn() -> None:
    with pytest.warns(UserWarning, match="dropout2d: Received a 2-D input"):
        F.dropout2d(pydl.ones(2, 3))
    with pytest.warns(UserWarning, match="assuming that channel-wise 1D dropout"):
        F.dropout2d(pydl.ones(2, 3, 4))
    with pytest.warns(UserWarning, match="dropout3d: Received a 3-D input"):
        F.dropout3d(pydl.ones(2, 3, 4))


def test_the_core_checks_what_it_is_given() -> None:
    mask, x = pydl.zeros(4, dtype=pydl.bool), pydl.ones(4)
    with pytest.raises(ValueError, match="p must be"):
        core.draw_mask(mask, 0, 0, 1.0, None, None)
    with pytest.raises(TypeError, match="bytes"):
        core.draw_mask(x, 0, 0, 0.5, None, None)
    with pytest.raises(ValueError, match="contiguous"):
        core.draw_mask(mask, 0, 0, 0.5, x, pydl.ones(5))
    assert core.draw_mask(mask, 0, 0, 0.5, None, None) == 1


# --- layers -------------------------------------------------------------------------------------------------------

LAYERS = {
    "Dropout": "dropout",
    "Dropout1d": "dropout1d",
    "Dropout2d": "dropout2d",
    "Dropout3d": "dropout3d",
    "AlphaDropout": "alpha_dropout",
    "FeatureAlphaDropout": "feature_alpha_dropout",
}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer: str) -> None:
    call, shape = FUNCTIONS[LAYERS[layer]]
    m = getattr(nn, layer)(0.3)
    x = pydl.randn(*shape)
    wanted = seeded(5, call, x, 0.3, training=True)
    assert (seeded(5, m, x).numpy() == wanted.numpy()).all()
    assert m.eval()(x) is x
    m = getattr(nn, layer)(0.3, inplace=True)
    assert seeded(5, m, x) is x and (x.numpy() == wanted.numpy()).all()
    assert repr(m) == f"{layer}(p=0.3, inplace=True)"


def test_a_network_trains_with_dropout() -> None:
    """The expected output of the layer is its input: an average over masks comes near the evaluation."""
    pydl.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 300), nn.Dropout(0.5), nn.Linear(300, 1)).double()
    x = pydl.randn(3, 5, dtype=pydl.float64)
    mean = sum(net(x) for _ in range(2000)) / 2000
    assert (mean - net.eval()(x)).abs().max().item() < 0.05
