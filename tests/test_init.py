# SPDX-License-Identifier: BSD-3-Clause
"""Initialization laws: exact ones by value, random ones by bounds, moments and the whole distribution."""

import math
import statistics

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn import init
from pydl.nn._normal_quantile import normal_cdf, normal_quantile

SHAPES = [(60, 40), (40, 60), (16, 8, 3), (8, 16, 3, 3), (4, 8, 3, 3, 3)]


def generator(seed=0):
    return pydl.Generator().manual_seed(seed)


def fans(shape):
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def distance_from_law(sample, cdf):
    """Kolmogorov–Smirnov's √n sup |F_n − F|: above 2.3 with probability 5e-5."""
    sample = np.sort(np.ravel(sample))
    law = np.array([cdf(x) for x in sample])
    n = len(sample)
    steps = np.arange(n + 1) / n
    return math.sqrt(n) * max(np.max(steps[1:] - law), np.max(law - steps[:-1]))


def uniform_law(bound):
    return lambda x: min(max((x + bound) / (2 * bound), 0.0), 1.0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_laws(shape):
    fan_in, fan_out = fans(shape)
    gain = math.sqrt(2.0)
    xavier = gain * math.sqrt(2.0 / (fan_in + fan_out))
    laws = {
        "uniform_": ((-0.5, 0.5), uniform_law(0.5)),
        "normal_": ((1.0, 3.0), statistics.NormalDist(1.0, 3.0).cdf),
        "xavier_uniform_": ((gain,), uniform_law(xavier * math.sqrt(3))),
        "xavier_normal_": ((gain,), statistics.NormalDist(0, xavier).cdf),
        "kaiming_uniform_": ((0, "fan_in", "relu"), uniform_law(math.sqrt(6.0 / fan_in))),
        "kaiming_normal_": ((0.2, "fan_out"), statistics.NormalDist(0, math.sqrt(2 / 1.04 / fan_out)).cdf),
    }
    for seed, (name, (args, cdf)) in enumerate(laws.items()):
        t = pydl.empty(shape)
        assert getattr(init, name)(t, *args, generator=generator(seed)) is t, name
        assert distance_from_law(t.numpy().astype(np.float64), cdf) < 2.3, name


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (1, 2, 0, 1.5), (0, 1, -0.1, 3), (0, 1, 1.5, 2.5), (0, 1, -40, -1), (-3, 0.5, -3, 9)],
)
def test_truncated_normal_law(mean, std, a, b):
    t = init.trunc_normal_(pydl.empty(4000), mean, std, a, b, generator=generator(1))
    x = t.numpy().astype(np.float64)
    assert x.min() >= a and x.max() <= b
    law = statistics.NormalDist(mean, std)
    low, high = law.cdf(a), law.cdf(b)
    assert distance_from_law(x, lambda v: (law.cdf(v) - low) / (high - low)) < 2.3


def test_truncated_normal_far_out():
    with pytest.warns(UserWarning, match="more than 2 std"):
        x = init.trunc_normal_(pydl.empty(2000, dtype=pydl.float64), a=9.0, b=20.0, generator=generator(2)).numpy()
    # Beyond t the normal law is nearly exponential of rate t: E x ≈ 9 + 1/9 − 2/9³.
    assert x.min() >= 9 and abs(x.mean() - 9.1085) < 0.01
    with pytest.warns(UserWarning, match="more than 2 std"):
        y = init.trunc_normal_(pydl.empty(2000, dtype=pydl.float64), a=-20.0, b=-9.0, generator=generator(2)).numpy()
    assert y.max() <= -9 and abs(y.mean() + 9.1085) < 0.01


def test_normal_quantile():
    p = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 999), 10.0 ** -np.arange(7, 300, 13)])
    want = np.array([statistics.NormalDist().inv_cdf(q) for q in p])
    np.testing.assert_allclose(normal_quantile(p), want, rtol=1e-15, atol=1e-15)
    assert normal_quantile(np.array([0.0]))[0] < -37 and normal_quantile(np.array([1.0]))[0] > 8
    assert normal_cdf(-30.0) == pytest.approx(4.906713927148187e-198, rel=1e-12)


def test_constants():
    assert init.constant_(pydl.empty(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(pydl.empty(2)).tolist() == [1, 1] and init.zeros_(pydl.ones(2)).tolist() == [0, 0]
    assert init.eye_(pydl.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("shape", [(4, 4, 3), (5, 3, 2, 3), (2, 4, 1, 2, 3)], ids=str)
def test_dirac(shape):
    w = init.dirac_(pydl.ones(shape)).numpy()
    center = tuple(n // 2 for n in shape[2:])
    assert w.sum() == min(shape[:2])
    assert all(w[(i, i, *center)] == 1 for i in range(min(shape[:2])))


def test_dirac_with_groups():
    w = init.dirac_(pydl.ones(4, 2, 3), groups=2).numpy()
    assert w.sum() == 4 and [w[i, i % 2, 1] for i in range(4)] == [1] * 4


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (4, 2, 3), (64, 32), (1, 1), (1, 5), (5, 1)], ids=str)
def test_orthogonal(shape):
    w = init.orthogonal_(pydl.empty(shape, dtype=pydl.float64), gain=2.0, generator=generator()).numpy()
    w = w.reshape(shape[0], -1)
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-14 * 4 * len(gram))


def test_orthogonal_is_the_qr_factor_with_positive_diagonal():
    drawn = pydl.empty(6, 4, dtype=pydl.float64).normal_(generator=generator(3)).numpy()
    q, r = np.linalg.qr(drawn)
    got = init.orthogonal_(pydl.empty(6, 4, dtype=pydl.float64), generator=generator(3)).numpy()
    np.testing.assert_allclose(got, q * np.sign(np.diag(r)), atol=1e-14)


def test_orthogonal_is_uniform_over_signs():
    signs = [init.orthogonal_(pydl.empty(2, 2), generator=generator(s)).numpy() > 0 for s in range(400)]
    share = np.mean(signs, axis=0)
    assert np.all(np.abs(share - 0.5) < 4 * 0.5 / 20)


def test_sparse():
    w = init.sparse_(pydl.empty(10, 300), sparsity=0.25, std=2.0, generator=generator()).numpy()
    assert ((w == 0).sum(axis=0) == 3).all()
    assert len({tuple(np.flatnonzero(c == 0)) for c in w.T}) > 60  # of 120 choices
    assert distance_from_law(w[w != 0].astype(np.float64), statistics.NormalDist(0, 2).cdf) < 2.3


def test_gains():
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "sigmoid"):
        assert init.calculate_gain(name) == 1
    assert init.calculate_gain("tanh") == 5 / 3 and init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(1.6)


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: init.calculate_gain("gelu"), "Unsupported nonlinearity gelu"),
        (lambda: init.calculate_gain("leaky_relu", "a"), "negative_slope a not a valid number"),
        (lambda: init.calculate_gain("leaky_relu", True), "negative_slope True not a valid number"),
        (lambda: init.xavier_uniform_(pydl.empty(3)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(pydl.empty(3)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_uniform_(pydl.empty(3, 3), mode="x"), "Mode x not supported"),
        (lambda: init.sparse_(pydl.empty(3), 0.5), "2 dimensions"),
        (lambda: init.eye_(pydl.empty(3)), "2 dimensions"),
        (lambda: init.dirac_(pydl.empty(3, 3)), "3, 4, or 5 dimensions"),
        (lambda: init.dirac_(pydl.empty(3, 3, 3), groups=2), "divisible by groups"),
        (lambda: init.orthogonal_(pydl.empty(3)), "2 or more dimensions"),
    ],
)
def test_errors(act, text):
    with pytest.raises(ValueError, match=text):
        act()


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_",
                                  "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "sparse_"])  # fmt: skip
def test_generators_repeat_and_differ(name):
    args = (0.5,) if name == "sparse_" else ()
    a, b, c = (getattr(init, name)(pydl.empty(5, 4), *args, generator=generator(s)).numpy() for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    pydl.manual_seed(7)
    a = getattr(init, name)(pydl.empty(5, 4), *args).numpy()
    pydl.manual_seed(7)
    assert np.array_equal(a, getattr(init, name)(pydl.empty(5, 4), *args).numpy())


def test_parameters_views_and_empty_tensors():
    layer = nn.Linear(4, 3)
    for fill in (init.ones_, init.eye_, init.orthogonal_, init.trunc_normal_, init.kaiming_uniform_):
        assert fill(layer.weight) is layer.weight and layer.weight.is_leaf and layer.weight.requires_grad
    whole = pydl.zeros(4, 6)
    init.eye_(whole[:, :3].t())
    assert whole.sum().item() == 3 and whole[2, 2].item() == 1
    for fill in (init.uniform_, init.xavier_uniform_, init.orthogonal_, init.trunc_normal_, init.zeros_):
        assert fill(pydl.empty(2, 0)).shape == (2, 0)
    with pytest.warns(UserWarning, match="no-op"):
        assert init.kaiming_normal_(pydl.empty(2, 0)).shape == (2, 0)


@pytest.mark.parity
def test_signatures_are_pytorchs():
    import inspect

    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for name in dir(init):
        if name.endswith("_") and not name.startswith("_"):
            ours, theirs = (inspect.signature(getattr(m, name)) for m in (init, torch.nn.init))
            assert [(p.name, p.default) for p in ours.parameters.values()] == [
                (p.name, p.default) for p in theirs.parameters.values()
            ], name
