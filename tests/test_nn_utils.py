# SPDX-License-Identifier: BSD-3-Clause
"""Clipping of gradients; parameters as a vector."""

import math

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn import utils


def parameters(*grads):
    made = []
    for grad in grads:
        made.append(nn.Parameter(pydl.zeros(2) if grad is None else pydl.zeros(*np.shape(grad))))
        made[-1].grad = None if grad is None else pydl.tensor(np.array(grad, np.float32))
    return made


@pytest.mark.parametrize("norm_type", [1, 2, 2.0, 3, 0.5, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clip_grad_norm(norm_type, max_norm):
    grads = [[3.0, -4.0], None, [[1.0, 2.0, -2.0]]]
    params = parameters(*grads)
    flat = np.array([3.0, -4.0, 1.0, 2.0, -2.0])
    p = float(norm_type)
    norm = np.abs(flat).max() if p == math.inf else (np.abs(flat) ** p).sum() ** (1 / p)
    assert utils.clip_grad_norm_(iter(params), max_norm, norm_type).item() == pytest.approx(norm, rel=1e-6)
    factor = min(1.0, max_norm / (norm + 1e-6))
    got = np.concatenate([q.grad.numpy().ravel() for q in params if q.grad is not None])
    np.testing.assert_allclose(got, flat * factor, rtol=1e-6)
    assert params[1].grad is None and params[0].tolist() == [0.0, 0.0]


def test_clip_grad_norm_of_one_and_of_none():
    (param,) = parameters([3.0, 4.0])
    assert utils.clip_grad_norm_(param, 1.0).item() == 5
    assert utils.clip_grad_norm_([], 1.0).item() == 0 and utils.get_total_norm([]).item() == 0
    assert utils.get_total_norm(pydl.tensor([3.0, 4.0])).item() == 5


def test_norms_that_are_not_finite():
    for bad in (math.nan, math.inf):
        params = parameters([1.0, bad])
        with pytest.raises(RuntimeError, match="non-finite"):
            utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
        assert params[0].grad[0].item() == 1.0
    assert math.isinf(utils.clip_grad_norm_(parameters([1.0, math.inf]), 1.0).item())
    params = parameters([1.0, math.nan])
    utils.clip_grad_norm_(params, 1.0)
    assert np.isnan(params[0].grad.numpy()).all()


def test_clip_grad_value():
    params = parameters([-3.0, 0.5], None, [[9.0]])
    utils.clip_grad_value_(params, 1)
    assert params[0].grad.tolist() == [-1.0, 0.5] and params[2].grad.tolist() == [[1.0]]


def test_vector_of_parameters():
    model = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(model.parameters())
    assert vector.shape == (8,)
    vector.sum().backward()
    assert model.weight.grad.tolist() == [[1.0] * 3] * 2
    weight = model.weight
    utils.vector_to_parameters(pydl.tensor(np.arange(8, dtype=np.float32)), model.parameters())
    assert model.weight is weight and weight.is_leaf and weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert model.bias.tolist() == [6, 7]
    with pytest.raises(ValueError, match="8 elements, but vec 3"):
        utils.vector_to_parameters(pydl.ones(3), model.parameters())
    with pytest.raises(TypeError, match="must be a Tensor"):
        utils.vector_to_parameters([1.0], model.parameters())
