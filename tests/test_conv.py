# SPDX-License-Identifier: BSD-3-Clause
"""Convolution against what is known: SciPy, the course's example, the formula of its sizes, counted parameters."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn

NUMPY_MODE = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}


def _sides(kernel: tuple[int, int], mode: str) -> list[tuple[int, int]]:
    """SciPy's sizes: how much stands before and after the image."""
    full = [(k - 1, k - 1) for k in kernel]
    if mode == "full":
        return full
    return [(0, 0)] * 2 if mode == "valid" else [((k - 1) // 2, k // 2) for k in kernel]


def _padded(x: Any, sides: list[tuple[int, int]], boundary: str, fill: float) -> Any:
    (top, bottom), (left, right) = sides
    if boundary == "symm":  # no mode of F.pad: the edge itself is repeated
        return pydl.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), *sides), mode="symmetric"))
    mode = {"fill": "constant", "wrap": "circular"}[boundary]
    return F.pad(x, [left, right, top, bottom], mode=mode, value=fill if boundary == "fill" else None)


@pytest.mark.parametrize("boundary", NUMPY_MODE)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_scipys_correlate2d(mode: str, boundary: str) -> None:
    signal = pytest.importorskip("scipy.signal", reason="compares with SciPy")
    rng = np.random.default_rng(1)
    for size, kernel in itertools.product(((7, 8), (9, 5), (13, 13)), ((3, 3), (2, 4), (1, 5), (5, 2), (4, 4))):
        x, w = rng.standard_normal(size), rng.standard_normal(kernel)
        for fill in (0.0, 1.5) if boundary == "fill" else (0.0,):
            wanted = signal.correlate2d(x, w, mode, boundary, fill)
            image = _padded(pydl.from_numpy(x)[None, None], _sides(kernel, mode), boundary, fill)
            got = pydl.conv2d(image, pydl.from_numpy(w)[None, None])[0, 0].numpy()
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-14 * w.size * np.abs(x).max())


def test_padding_same_is_scipys() -> None:
    signal = pytest.importorskip("scipy.signal", reason="compares with SciPy")
    rng = np.random.default_rng(2)
    for kernel in ((1, 1), (3, 3), (5, 3), (7, 1), (2, 2), (4, 3), (1, 6)):
        x, w = rng.standard_normal((8, 9)), rng.standard_normal(kernel)
        got = pydl.conv2d(pydl.from_numpy(x)[None, None], pydl.from_numpy(w)[None, None], padding="same")
        np.testing.assert_allclose(got[0, 0].numpy(), signal.correlate2d(x, w, "same"), rtol=0, atol=1e-13)


def test_edges_of_the_course_square() -> None:
    """A 3×3 square of ones in a 5×5 image under the outline filter: 0 within, 3 at its sides, 5 at its corners."""
    image = pydl.zeros(1, 1, 5, 5)
    image[:, :, 1:4, 1:4] = 1
    outline = pydl.tensor([[[[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]]])
    assert F.conv2d(image, outline)[0, 0].tolist() == [[5, 3, 5], [3, 0, 3], [5, 3, 5]]


def test_output_size_is_the_formula() -> None:
    """⌊(W − D (F − 1) − 1 + 2P) / S⌋ + 1 for every small case; where it is below 1 the call raises."""
    grid = itertools.product(range(1, 13), range(1, 7), range(4), range(1, 5), range(1, 4))
    n_made, n_refused = 0, 0
    for w, f, p, s, d in grid:
        wanted = (w - d * (f - 1) - 1 + 2 * p) // s + 1
        positions = [i for i in range(0, w + 2 * p, s) if i + d * (f - 1) < w + 2 * p]
        x, kernel = pydl.ones(1, 1, w), pydl.ones(1, 1, f)
        if wanted < 1:
            n_refused += 1
            assert not positions
            with pytest.raises(ValueError, match="larger than the padded input"):
                F.conv1d(x, kernel, stride=s, padding=p, dilation=d)
            continue
        n_made += 1
        y = F.conv1d(x, kernel, stride=s, padding=p, dilation=d)
        assert y.shape == (1, 1, wanted) == (1, 1, len(positions))
        inside = [sum(0 <= i + t * d - p < w for t in range(f)) for i in positions]
        assert y[0, 0].tolist() == inside, (w, f, p, s, d)
    assert n_made > 2000 and n_refused > 500


@pytest.mark.parametrize("n", [2, 3])
def test_output_size_in_several_dimensions(n: int) -> None:
    conv = {2: F.conv2d, 3: F.conv3d}[n]
    rng = np.random.default_rng(n)
    for _ in range(150):
        w, f = rng.integers(3, 8, n), rng.integers(1, 4, n)
        p, s = rng.integers(0, 3, n), rng.integers(1, 4, n)
        y = conv(
            pydl.ones(2, 1, *w.tolist()), pydl.ones(3, 1, *f.tolist()), stride=tuple(s.tolist()), padding=p.tolist()
        )
        assert tuple(y.shape[2:]) == tuple(((w - f + 2 * p) // s + 1).tolist())


def test_transposed_sizes_undo_those_of_convolution() -> None:
    for w, f, p, s, d in itertools.product(range(1, 11), range(1, 5), range(3), range(1, 4), range(1, 3)):
        smaller = (w - d * (f - 1) - 1 + 2 * p) // s + 1
        if smaller < 1:
            continue
        rest = (w - d * (f - 1) - 1 + 2 * p) % s
        if rest >= max(s, d):
            continue
        y = F.conv_transpose1d(
            pydl.ones(1, 1, smaller), pydl.ones(1, 1, f), stride=s, padding=p, output_padding=rest, dilation=d
        )
        assert y.shape == (1, 1, w)


def test_transposed_convolution_is_the_adjoint() -> None:
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ with the same weight."""
    rng = np.random.default_rng(3)
    for s, p, d, g in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2)):
        w = pydl.from_numpy(rng.standard_normal((6, 4 // g, 3, 2)))
        x = pydl.from_numpy(rng.standard_normal((2, 4, 9, 8)))
        y = pydl.conv2d(x, w, stride=s, padding=p, dilation=d, groups=g)
        v = pydl.from_numpy(rng.standard_normal(tuple(y.shape)))
        rest = tuple((n + 2 * p - d * (k - 1) - 1) % s for n, k in zip((9, 8), (3, 2), strict=True))
        back = pydl.conv_transpose2d(v, w, stride=s, padding=p, dilation=d, groups=g, output_padding=rest)
        left, right = float((y * v).sum()), float((x * back).sum())
        assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


def test_the_counted_layer() -> None:
    layer = nn.Conv2d(3, 16, 3, 1, 1)
    assert sum(p.numel() for p in layer.parameters()) == 448
    assert layer(pydl.zeros(1, 3, 32, 32)).shape == (1, 16, 32, 32)


def test_three_small_kernels_see_what_one_large_one_sees() -> None:
    """Receptive field 7 of three 3×3 layers; 27 C² weights against 49 C²."""
    c = 4
    small = nn.Sequential(*[nn.Conv2d(c, c, 3, bias=False) for _ in range(3)])
    large = nn.Conv2d(c, c, 7, bias=False)
    assert sum(p.numel() for p in small.parameters()) == 27 * c * c
    assert sum(p.numel() for p in large.parameters()) == 49 * c * c
    for net in (small, large):
        x = pydl.zeros(1, c, 7, 7, requires_grad=True)
        y = net(x)
        assert y.shape == (1, c, 1, 1)
        y.sum().backward()
        assert x.grad is not None and int((x.grad != 0).sum()) == c * 49


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d])
def test_initial_values_are_uniform_in_the_bound(layer: Any) -> None:
    pydl.manual_seed(0)
    m = layer(64, 48, 3, groups=2)
    fan_in = m.weight[0].numel()
    for p in (m.weight, m.bias):
        scaled = p.detach().numpy().astype(float) * np.sqrt(fan_in)
        assert np.abs(scaled).max() <= 1
        assert abs(scaled.mean()) < 4 / np.sqrt(3 * scaled.size)
        assert abs(scaled.var() - 1 / 3) < 4 * np.sqrt(4 / 45 / scaled.size)


def test_layers_check_their_arguments() -> None:
    for build, message in (
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels=3 must be divisible"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "out_channels=3 must be divisible"),
        (lambda: nn.Conv2d(3, 4, 3, groups=0), "groups must be a positive"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "invalid padding 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "'same' is not supported"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), 'only "zeros"'),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size must be one number or 2"),
        (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2)(pydl.ones(3, 5), output_size=[13]), r"\(11,\) to \(12,\)"),
        (lambda: nn.ConvTranspose1d(3, 4, 3)(pydl.ones(3, 5), output_size=[1, 2, 3]), "1 or 2 elements"),
        (lambda: nn.Conv2d(3, 4, 3)(pydl.ones(1, 4, 5, 5)), "x has 4 channels"),
    ):
        with pytest.raises(ValueError, match=message):
            build()


SPECIAL = (np.nan, np.inf, -np.inf, 3e38)
EXACT = (("w", "dw"), ("dy", "y"), ("dy", "dx"))  # no zero of the padding meets the special value


def _passes(T: Any, x: np.ndarray, w: np.ndarray, dy: np.ndarray, padding: int) -> list[np.ndarray]:
    leaves = [T.from_numpy(v.copy()).requires_grad_() for v in (x, w)]
    y = T.conv2d(*leaves, padding=padding)
    y.backward(T.from_numpy(dy.copy()))
    return [v.detach().numpy() for v in (y, *(t.grad for t in leaves))]


def _torch_with_zeros_as_pixels(x: np.ndarray, w: np.ndarray, dy: np.ndarray, padding: int) -> list[np.ndarray]:
    """The three passes without padding, of an image and of a dy that have the zeros in them."""
    import torch

    around = ((0, 0), (0, 0), *((padding, padding),) * 2)
    y, _, dw = _passes(torch, np.pad(x, around), w, dy, 0)
    around = ((0, 0), (0, 0), *((2 - padding, 2 - padding),) * 2)
    flipped = np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
    return [y, torch.conv2d(torch.from_numpy(np.pad(dy, around)), torch.from_numpy(flipped)).numpy(), dw]


def _not_finite_in_the_same_places(ours: np.ndarray, theirs: np.ndarray, text: str) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs), err_msg=text)
    infinite = np.isinf(theirs)
    np.testing.assert_array_equal(np.isinf(ours), infinite, err_msg=text)
    np.testing.assert_array_equal(ours[infinite], theirs[infinite], err_msg=text)


@pytest.mark.parity
@pytest.mark.parametrize("where", ["x", "w", "dy"])
@pytest.mark.parametrize("shape", [(1, 3, 5, 6), (2, 17, 4, 3)])
def test_values_that_are_not_finite_spread_as_in_torch(shape: tuple[int, ...], where: str) -> None:
    """One NaN or infinity reaches the same outputs and gradients, and no other.

    Zeros of the padding are pixels: 0 · NaN is NaN. PyTorch skips such products in some of its algorithms and not in
    others, so that w and dy are compared on images that have the zeros in them.
    """
    import torch

    rng = np.random.default_rng(4)
    for special, padding in itertools.product(SPECIAL, (0, 1)):
        out = (shape[0], 5, shape[2] - 2 + 2 * padding, shape[3] - 2 + 2 * padding)
        given = {
            name: rng.standard_normal(s).astype(np.float32)
            for name, s in (("x", shape), ("w", (5, shape[1], 3, 3)), ("dy", out))
        }
        for position in rng.choice(given[where].size, 4, replace=False):
            arrays = {name: a.copy() for name, a in given.items()}
            arrays[where].flat[position] = special
            results = _passes(pydl, **arrays, padding=padding)
            plain = _passes(torch, **arrays, padding=padding)
            explicit = _torch_with_zeros_as_pixels(**arrays, padding=padding)
            for what, ours, theirs, padded in zip(("y", "dx", "dw"), results, plain, explicit, strict=True):
                text = f"{what} for {special} in {where}, padding {padding}"
                _not_finite_in_the_same_places(ours, padded, text)
                if where == "x" or (where, what) in EXACT or (what, padding) == ("y", 0):
                    _not_finite_in_the_same_places(ours, theirs, text)


def test_nothing_is_computed_that_nobody_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydl.ops import convolving as module

    called: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            called.append(name)
            return getattr(core, name)

    core = module.core
    monkeypatch.setattr(module, "core", Watched())
    layer = nn.Conv2d(2, 3, 3)
    for what, expected in (
        ("parameters", ["conv_fwd", "conv_bwd_weight", "conv_bwd_bias"]),
        ("input", ["conv_fwd", "conv_bwd_data"]),
        ("bias", ["conv_fwd", "conv_bwd_bias"]),
        ("nothing", ["conv_fwd"]),
    ):
        x = pydl.ones(1, 2, 5, 5, requires_grad=what == "input")
        layer.weight.requires_grad = what == "parameters"
        layer.bias.requires_grad = what in ("parameters", "bias")
        called.clear()
        y = layer(x)
        if what != "nothing":
            y.sum().backward()
        assert called == expected


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"])
def test_huge_numbers_are_refused(name: str) -> None:
    """Sizes that overflow 64 bits must not reach a kernel."""
    n = int(name[-2])
    x, w = pydl.ones(1, 1, *(5,) * n), pydl.ones(1, 1, *(3,) * n)
    for huge in (2**30 + 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**70):
        for options in ({"stride": huge}, {"padding": huge}, {"dilation": huge}, {"dilation": huge, "padding": huge}):
            with pytest.raises(ValueError, match="must not be larger than 1073741824"):
                getattr(pydl, name)(x, w, **options)
        with pytest.raises(ValueError, match="not divisible by groups"):
            getattr(pydl, name)(x, w, groups=huge)
    if n > 1 and "transpose" in name:
        with pytest.raises((MemoryError, ValueError)):
            pydl.conv_transpose2d(x, w, stride=2**30)


@pytest.mark.parametrize("changed", ["x", "w"])
def test_a_change_between_forward_and_backward_is_noticed(changed: str) -> None:
    leaves = {name: pydl.ones(2, 2, 3, 3, requires_grad=True) for name in ("x", "w")}
    h = {name: t * 1 for name, t in leaves.items()}
    y = pydl.conv2d(h["x"], h["w"])
    h[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d])
def test_layers_are_checked_copied_and_pickled(layer: Any) -> None:
    m = layer(2, 4, 2, stride=2, groups=2, padding=1)
    n = len(m.kernel_size)
    x = pydl.rand(2, 2, *(4,) * n)
    assert pydl.autograd.gradcheck_module(m, x, verbose=False)
    for other in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert repr(other) == repr(m)
        assert pydl.equal(other(x), m(x))


def test_derivatives_of_higher_order() -> None:
    """The set is closed: gradgradcheck of the gradients themselves, third derivatives included."""
    rng = np.random.default_rng(5)
    x, w = (pydl.from_numpy(rng.standard_normal(s)).requires_grad_() for s in ((1, 2, 4, 4), (2, 2, 2, 3)))
    for transposed in (False, True):
        conv = pydl.conv_transpose2d if transposed else pydl.conv2d

        def gradient(a: Any, b: Any, conv: Any = conv) -> Any:
            y = conv(a, b, stride=2, padding=1)
            return pydl.autograd.grad((y * y * y).sum(), (a, b), create_graph=True)

        assert pydl.autograd.gradcheck(gradient, (x, w))
        assert pydl.autograd.gradgradcheck(gradient, (x, w))
