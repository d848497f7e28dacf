# SPDX-License-Identifier: BSD-3-Clause
"""What `freeze` and a plan refuse, and in which words."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl.inference import RecordingError


def branches(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x


def reads(x: Any) -> Any:
    return x * x.max().item()


def outside(x: Any) -> Any:
    return pydl.from_numpy(np.cumsum(x.numpy(), 1))


def random(x: Any) -> Any:
    return x + pydl.randn(2, 3)


def drops(x: Any) -> Any:
    return F.dropout(x, 0.5, training=True)


def stale(x: Any) -> Any:
    y = x * 2
    y[:, 0] = 0.0
    return y


class Counts(nn.Module):
    """Changes a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("n", pydl.zeros(3))

    def forward(self, x: Any) -> Any:
        self.n.add_(1)
        return x + self.n


@pytest.mark.parametrize("model, message", [
    (branches, "looks at the values"), (reads, "looks at the values"), (outside, "looks at the values"),
    (random, "random numbers"), (drops, "at random"), (stale, "changed through another tensor"),
    (Counts(), "that the run does not make"),
    (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), "1 (BatchNorm1d) is in training mode"),
    (nn.Sequential(nn.Dropout()), "0 (Dropout) is in training mode"),
    (lambda x: F.batch_norm(x, pydl.zeros(3), pydl.ones(3), training=True), "batch_norm runs in training mode"),
    (lambda x: pydl.ones(2), "a plan"),
    (lambda x: object(), "returns a object"), (lambda x: (), "returns no Tensor"),
])  # fmt: skip
def test_refuses(model: Any, message: str) -> None:
    if message == "a plan":  # a constant is a result as any other
        assert pydl.freeze(model, pydl.ones(2, 3))(pydl.zeros(2, 3)).tolist() == [1, 1]
        return
    with pytest.raises(RecordingError) as error:
        pydl.freeze(model, pydl.ones(2, 3))
    assert message in str(error.value)
    if model in (branches, reads, outside):
        assert "test_freeze_refusals.py, line" in str(error.value)


def test_refuses_other_inputs() -> None:
    model = nn.Linear(3, 2)
    plan = pydl.freeze(model, pydl.ones(4, 3))
    with pytest.raises(pydl.ShapeError, match=r"input \(4, 3\), not \(5, 3\)"):
        plan(pydl.ones(5, 3))
    with pytest.raises(TypeError, match=r"made for pydl\.float32, not pydl\.float64"):
        plan(pydl.ones(4, 3, dtype=pydl.float64))
    with pytest.raises(TypeError, match="takes 1 tensors"):
        plan(pydl.ones(4, 3), pydl.ones(4, 3))
    with pytest.raises(TypeError, match="takes Tensors, not ndarray"):
        plan(np.ones((4, 3)))
    with pytest.raises(RuntimeError, match="no gradients"):
        plan(pydl.ones(4, 3, requires_grad=True))
    with pydl.no_grad():
        assert not plan(pydl.ones(4, 3, requires_grad=True)).requires_grad
    with pytest.raises(TypeError, match="example must be"):
        pydl.freeze(model, 3)
    for way in (pickle.dumps, copy.deepcopy, copy.copy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            way(plan)


def test_a_result_whose_shape_depends_on_values_is_refused_when_it_differs() -> None:
    class Positive(pydl.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return pydl.from_numpy(np.flatnonzero(x.numpy() > 0))

    plan = pydl.freeze(Positive.apply, pydl.tensor([1.0, -1.0, 1.0]))
    assert plan(pydl.tensor([-1.0, 1.0, 1.0])).tolist() == [1, 2]
    with pytest.raises(pydl.ShapeError, match="cannot hold Positive"):
        plan(pydl.ones(3))


def test_recording_ends_with_an_error() -> None:
    def fails(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        pydl.freeze(fails, pydl.ones(2))
    assert pydl.freeze(lambda x: x + 1, pydl.ones(2))(pydl.zeros(2)).tolist() == [1, 1]


def test_another_thread_is_not_recorded() -> None:
    def model(x: Any) -> Any:
        y = x * 2
        t = threading.Thread(target=lambda: [pydl.ones(3).exp() + i for i in range(20)])
        t.start()
        t.join()
        return y + 1

    plan = pydl.freeze(model, pydl.ones(2))
    assert len(plan.steps) == 2 and plan(pydl.ones(2)).tolist() == [3, 3]
