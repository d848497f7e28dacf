# SPDX-License-Identifier: BSD-3-Clause
"""Clipping against PyTorch, on every layout, with the same bits for any number of threads."""

import inspect
import math

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl._core import clipping
from pydl.nn import utils

SHAPES = [(3,), (50_000,), (), (0,), (4, 5, 6), (20_000, 2)]


def gradients(seed, dtype="float32", scale=1.0):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape) * scale, dtype) for shape in SHAPES]


def make(module, arrays, of):
    params = [module.Parameter(of(np.zeros_like(a))) for a in arrays]
    for param, array in zip(params, arrays, strict=True):
        param.grad = of(array.copy())
    return params


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [2, 1, "inf", 3, 0.5, 0])
@pytest.mark.parametrize("dtypes", [("float32",), ("float64",), ("float32", "float64")], ids="-".join)
def test_norms_and_clipped_gradients_are_pytorchs(norm_type, dtypes):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    arrays = [a.astype(dtypes[i % len(dtypes)]) for i, a in enumerate(gradients(0)) if a.size]
    ours, theirs = make(nn, arrays, pydl.tensor), make(torch.nn, arrays, torch.tensor)
    got = utils.clip_grad_norm_(ours, 0.7, norm_type)
    want = torch.nn.utils.clip_grad_norm_(theirs, 0.7, norm_type)
    # PyTorch sums the 90,000 elements in float32; its error grows with the logarithm of their number.
    assert got.item() == pytest.approx(want.item(), rel=40 * float(np.finfo(np.float32).eps))
    assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=50 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("max_norm", [0.7, 1e6])
@pytest.mark.parametrize("norm_type", [2, 1, math.inf, 3])
def test_gradients_are_shortened_to_the_bound_and_never_stretched(norm_type, max_norm):
    arrays = gradients(5, "float64")
    norm = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]), norm_type)
    params = make(nn, arrays, pydl.tensor)
    assert utils.clip_grad_norm_(params, max_norm, norm_type).item() == pytest.approx(norm, rel=1e-12)
    for param, a in zip(params, arrays, strict=True):
        np.testing.assert_allclose(param.grad.numpy(), a * min(1, max_norm / (norm + 1e-6)), rtol=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["clip_grad_norm_", "clip_grad_value_", "get_total_norm", "clip_grads_with_norm_"])
def test_signatures_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = (inspect.signature(getattr(where, name)).parameters for where in (utils, torch.nn.utils))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize("norm_type", [2, 1, math.inf])
def test_the_norm_is_that_of_float64(norm_type):
    arrays = gradients(1)
    flat = np.concatenate([a.ravel() for a in arrays]).astype(np.longdouble)
    want = np.linalg.norm(flat.astype(np.float64), norm_type)
    got = clipping.total_norm([pydl.tensor(a) for a in arrays], norm_type)
    assert got == pytest.approx(want, rel=1e-13)
    assert utils.get_total_norm([pydl.tensor(a) for a in arrays], norm_type).item() == np.float32(got)


def test_large_and_small_gradients_have_a_norm():
    """Squares of these do not fit float32."""
    for size in (1e25, 1e-30):
        params = make(nn, gradients(2, scale=size), pydl.tensor)
        norm = utils.clip_grad_norm_(params, size)
        assert norm.item() == pytest.approx(size * math.sqrt(90_124), rel=0.02)
        assert utils.get_total_norm([p.grad for p in params]).item() == pytest.approx(size, rel=0.02) or size < 1e-6


def test_same_bits_for_any_number_of_threads():
    before, results = pydl.get_num_threads(), set()
    try:
        for n in (1, 2, 3, 7):
            pydl.set_num_threads(n)
            params = make(nn, gradients(3), pydl.tensor)
            norm = utils.clip_grad_norm_(params, 1.0)
            utils.clip_grad_value_(params, 1e-3)
            results.add(norm.numpy().tobytes() + b"".join(p.grad.numpy().tobytes() for p in params))
    finally:
        pydl.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("layout", ["transposed", "strided", "channels_last"])
def test_layouts(layout):
    x = np.random.default_rng(4).standard_normal((2, 3, 4, 5)).astype(np.float32)
    param = nn.Parameter(pydl.zeros(2, 3, 4, 5))
    if layout == "transposed":
        param.grad = pydl.tensor(np.ascontiguousarray(x.T)).permute(3, 2, 1, 0)
    elif layout == "strided":
        param.grad = pydl.tensor(np.repeat(x, 2, axis=3))[..., ::2]
    else:
        param.grad = pydl.tensor(x).contiguous(memory_format=pydl.channels_last)
    norm = utils.clip_grad_norm_(param, 1.0)
    assert norm.item() == pytest.approx(np.linalg.norm(x.astype(np.float64)), rel=1e-7)
    np.testing.assert_allclose(param.grad.numpy(), x / np.linalg.norm(x), rtol=3e-6)
    utils.clip_grad_value_(param, 0.01)
    assert abs(param.grad.numpy()).max() == np.float32(0.01)


def test_clipping_is_a_change_in_place():
    x = pydl.ones(3, requires_grad=True)
    param = nn.Parameter(pydl.zeros(3))
    param.grad = pydl.full((3,), 5.0)
    y = (x * param.grad).sum()
    utils.clip_grad_norm_(param, 1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_nothing_is_written_unless_all_can_be():
    read_only = np.ones(3, np.float32)
    read_only.flags.writeable = False
    params = make(nn, [np.ones(3, np.float32)] * 2, pydl.tensor)
    params[1].grad = pydl.from_numpy(read_only)
    for act in (lambda: utils.clip_grad_norm_(params, 0.1), lambda: utils.clip_grad_value_(params, 0.1)):
        with pytest.raises(RuntimeError, match="read-only"):
            act()
        assert params[0].grad.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="int64"):
        utils.get_total_norm([pydl.tensor([1, 2])])
    with pytest.raises(ValueError, match="power must be 1, 2 or inf"):
        clipping.total_norm([], 3.0)
