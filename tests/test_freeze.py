# SPDX-License-Identifier: BSD-3-Clause
"""Inference plans give what the model gives in eval mode, whatever it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl._core import storage


class Residual(nn.Module):
    """Convolutions with batch norm, a sum with the input or with a projection of it, relu."""

    def __init__(self, c: int, k: int, stride: int = 1) -> None:
        super().__init__()
        self.one, self.norm1 = nn.Conv2d(c, k, 3, stride, 1, bias=False), nn.BatchNorm2d(k)
        self.two, self.norm2 = nn.Conv2d(k, k, 3, 1, 1, bias=False), nn.BatchNorm2d(k)
        self.project = None
        if stride != 1 or c != k:
            self.project = nn.Sequential(nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k))

    def forward(self, x: Any) -> Any:
        y = self.norm2(self.two(F.relu(self.norm1(self.one(x)))))
        y += x if self.project is None else self.project(x)
        return F.relu(y)


class MobileBlock(nn.Module):
    """Expansion, depthwise convolution, projection, and the sum with the input."""

    def __init__(self, c: int, wide: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(c, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            nn.Conv2d(wide, c, 1, bias=False), nn.BatchNorm2d(c),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return x + self.layers(x)


class Attention(nn.Module):
    """Attention behind an embedding with positions, masked; a sum, layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(20, 8), nn.LayerNorm(8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, ids: Any) -> Any:
        x = self.embedding(ids) + 0.01 * pydl.arange(ids.shape[1])[None, :, None]
        q, k, v = (f(x).reshape(len(ids), -1, 2, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = (q @ k.mT / 2).masked_fill((ids == 3)[:, None, None, :], -1e9)
        h = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        return self.norm(x + h + F.scaled_dot_product_attention(x, x, x, is_causal=True)).mean(1)


class Text(nn.Module):
    """An embedding, an LSTM in both directions, a product of the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 3)

    def forward(self, ids: Any) -> Any:
        rows, _ = self.lstm(self.embedding(ids))
        return F.log_softmax(self.out(rows[:, -1, :]), dim=1)


class Several(nn.Module):
    """Two inputs; a tuple, a dict and a number come out, the input among them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, a: Any, b: Any) -> Any:
        h = self.fc(a)
        parts = h.chunk(2, 1)
        return {"h": h, "more": (parts[0], a, h.t(), 3, None)}, (h * 2 - b).abs().clamp(max=1.5)


def images(*shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.standard_normal(shape)


def ids(*shape: int) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.integers(0, 20, shape)


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 84), nn.GELU(), nn.Linear(84, 10), nn.Softmax(dim=1),
    )  # fmt: skip


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(28, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Dropout(0.5), nn.Linear(33, 17),
        nn.Sigmoid(), nn.Linear(17, 5), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), Residual(8, 8), Residual(8, 12, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[np.random.Generator], Any]]] = {
    "mlp": (mlp, images(9, 4, 7)),
    "mlp of one row": (mlp, images(1, 4, 7)),
    "lenet": (lenet, images(3, 1, 28, 28)),
    "lenet of one": (lenet, images(1, 1, 28, 28)),
    "resnet": (resnet, images(2, 3, 10, 9)),
    "mobile": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3), MobileBlock(8, 24), MobileBlock(8, 16)), images(2, 3, 9, 8)),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(3, 5, 3, dilation=2), nn.SiLU(), nn.MaxPool1d(2)), images(2, 3, 17)),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(2, 4, 3, groups=2), nn.ELU(), nn.Flatten(2)), images(2, 2, 5, 6, 7)),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3)), images(2, 3, 6, 6)),
    "others": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.GroupNorm(2, 4), nn.PReLU(), nn.Upsample(scale_factor=2)),
        images(2, 3, 5, 4),
    ),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GLU()), images(2, 3, 6)),
    "text": (Text, ids(4, 7)),
    "attention": (Attention, ids(3, 6)),
}  # fmt: skip


def prepared(name: str, dtype: Any = pydl.float32) -> tuple[nn.Module, Any]:
    """The model in eval mode, with running statistics that are not those of the start, and an input."""
    pydl.manual_seed(5)
    rng = np.random.default_rng(7)
    make, draw = MODELS[name]
    model = make().to(dtype).eval()
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("running_mean"):
            buffer.copy_(pydl.tensor(rng.uniform(-0.3, 0.3, tuple(buffer.shape))))
        elif buffer_name.endswith("running_var"):
            buffer.copy_(pydl.tensor(rng.uniform(0.5, 1.5, tuple(buffer.shape))))
    x = draw(rng)
    return model, pydl.tensor(x if x.dtype.kind == "i" else x.astype(dtype.np))


def assert_near(got: Any, want: Any, factor: float = 64) -> None:
    assert got.dtype is want.dtype and got.shape == want.shape
    a, b = got.detach().numpy(), want.detach().numpy()
    bound = factor * np.finfo(b.dtype).eps * np.max(np.abs(b)) if b.dtype.kind == "f" else 0
    assert np.max(np.abs(a - b), initial=0) <= bound, f"off by {np.max(np.abs(a - b)) / bound * factor:.1f} eps"


@pytest.mark.parametrize("dtype", [pydl.float32, pydl.float64], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_plan_gives_what_the_model_gives(name: str, dtype: Any) -> None:
    model, x = prepared(name, dtype)
    plan = pydl.freeze(model, x)
    other = pydl.tensor(np.roll(x.numpy(), 1, 0) if x.shape[0] > 1 else x.numpy()[..., ::-1].copy())
    for given in (x, other, x):
        with pydl.no_grad():
            assert_near(plan(given), model(given))


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_do_not_depend_on_threads_or_on_the_call(name: str) -> None:
    model, x = prepared(name)
    plan, old = pydl.freeze(model, x), pydl.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 1):
            pydl.set_num_threads(threads)
            results.append(plan(x).numpy().tobytes())
    finally:
        pydl.set_num_threads(old)
    assert len(set(results)) == 1


def test_large_products_have_the_same_bits_on_two_threads() -> None:
    pydl.manual_seed(1)
    model = nn.Sequential(nn.Linear(300, 500), nn.Tanh(), nn.Linear(500, 301), nn.GELU()).eval()
    old = pydl.get_num_threads()
    try:
        for rows in (1, 7, 130, 600):
            x = pydl.randn(rows, 300)
            plan, results = pydl.freeze(model, x), []
            for threads in (1, 2, 4):
                pydl.set_num_threads(threads)
                results.append(plan(x).numpy().tobytes())
            assert len(set(results)) == 1
            with pydl.no_grad():
                assert_near(plan(x), model(x))
    finally:
        pydl.set_num_threads(old)


def steps(plan: Any) -> list[str]:
    return [str(step).split(" (")[0] for step in plan.steps]


def test_what_is_joined() -> None:
    model, x = prepared("resnet")
    found = steps(pydl.freeze(model, x))
    one = "conv2d + batch_norm + relu"
    assert found == [
        "to channels-last", one, one, "conv2d + batch_norm + add + relu", one, "conv2d + batch_norm",
        "conv2d + batch_norm + add + relu", "avg_pool", "linear",
    ]  # fmt: skip
    model, x = prepared("mlp")
    assert steps(pydl.freeze(model, x)) == [
        "view", "linear + batch_norm + relu", "linear + sigmoid", "linear", "log_softmax",
    ]  # fmt: skip


def test_a_sum_whose_other_operand_is_needed_again() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Any) -> Any:
            h = F.relu(self.a(x))
            y = self.b(h) + h
            return y * h + x, y

    model, x = Model().eval(), pydl.randn(5, 6)
    plan = pydl.freeze(model, x)
    for _ in range(2):
        for got, want in zip(plan(x), model(x), strict=True):
            assert_near(got, want)
    assert steps(plan)[:3] == ["linear + relu", "what is added to", "linear + add"]


def test_any_structure_of_results() -> None:
    model, a, b = Several().eval(), pydl.randn(3, 4), pydl.randn(3, 4)
    plan = pydl.freeze(model, (a, b))
    for _ in range(2):
        got, want = plan(a, b), model(a, b)
        assert got[0]["more"][3:] == (3, None)
        pairs = zip((got[0]["h"], *got[0]["more"][:3]), (want[0]["h"], *want[0]["more"][:3]), strict=True)
        for x, y in [*pairs, (got[1], want[1])]:
            assert_near(x, y)
    kept = plan(a, b)[0]["h"]
    before = kept.numpy().copy()
    plan(a + 1, b)
    assert np.array_equal(kept.numpy(), before), "a result is the caller's own"


def test_constants_are_folded_and_views_of_planned_memory_are_free() -> None:
    w = pydl.randn(4, 4)

    def model(x: Any) -> Any:
        scale = (w * 2).sum(0)
        h = F.relu(x) * scale
        h = h.view(2, 2, 4).transpose(0, 1)[:, :, 1:]
        return h.exp().reshape(4, 3)

    x = pydl.randn(4, 4)
    plan = pydl.freeze(model, x)
    assert_near(plan(x), model(x))
    assert steps(plan) == ["relu", "mul", "exp", "to the output"]


def test_training_afterwards_changes_nothing() -> None:
    model, x = prepared("resnet")
    plan = pydl.freeze(model, x)
    before = plan(x).numpy().tobytes()
    with pydl.no_grad():
        for p in [*model.parameters(), *model.buffers()]:
            if p.dtype.is_floating_point:
                p.mul_(2)
    assert plan(x).numpy().tobytes() == before


def test_no_memory_is_taken_after_the_first_call() -> None:
    for name in ("mlp", "lenet", "resnet", "mobile", "text"):
        model, x = prepared(name)
        plan = pydl.freeze(model, x)
        for _ in range(3):
            plan(x)
        before = storage.stats()
        for _ in range(5):
            plan(x)
        after = storage.stats()
        assert after["misses"] == before["misses"]
        assert after["bytes_in_use"] == before["bytes_in_use"] and after["blocks_live"] == before["blocks_live"]


def test_several_threads_call_one_plan() -> None:
    model, x = prepared("resnet")
    plan, wrong = pydl.freeze(model, x), []
    inputs = [pydl.randn(*x.shape) for _ in range(4)]
    want = [plan(given).numpy().tobytes() for given in inputs]

    def work(i: int) -> None:
        for _ in range(50):
            if plan(inputs[i]).numpy().tobytes() != want[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_any_memory_order_of_the_input() -> None:
    model, x = prepared("resnet")
    plan = pydl.freeze(model, x)
    want = plan(x).numpy().tobytes()
    last = x.contiguous(memory_format=pydl.channels_last)
    wide = pydl.tensor(np.repeat(x.numpy(), 2, 3))[..., ::2]
    assert plan(last).numpy().tobytes() == want and plan(wide).numpy().tobytes() == want
