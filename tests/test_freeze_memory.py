# SPDX-License-Identifier: BSD-3-Clause
"""Planned memory: no two tensors that live at once share bytes, and what is overwritten is not read afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pydl
from pydl import nn
from pydl._core import kernels
from pydl.inference.memory import LINE, Place, lay_out

spans = st.tuples(st.integers(0, 3000), st.integers(0, 30), st.integers(0, 12))


@given(st.lists(spans, max_size=40))
def test_places_that_live_at_once_lie_apart(drawn: list[tuple[int, int, int]]) -> None:
    places = [Place(n, first, first + length) for n, first, length in drawn]
    total = lay_out(places)
    live: dict[int, int] = {}
    for p in places:
        assert p.offset % LINE == 0 and p.offset >= 0 and p.offset + p.nbytes <= total
        for t in range(p.first, p.last + 1):
            live[t] = live.get(t, 0) + p.nbytes
        for q in places:
            if q is not p and p.first <= q.last and q.first <= p.last and p.nbytes and q.nbytes:
                assert p.offset + p.nbytes <= q.offset or q.offset + q.nbytes <= p.offset
    assert total >= max(live.values(), default=0)
    assert total <= sum((p.nbytes + LINE - 1) // LINE * LINE for p in places)


def test_a_chain_needs_two_places() -> None:
    model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(10)]).eval()
    assert pydl.freeze(model, pydl.ones(32, 64)).nbytes == 2 * 32 * 64 * 4


def random_network(seed: int) -> Any:
    """A function of an image: convolutions, sums of any two tensors so far, activations, views, in place or not."""
    rng = np.random.default_rng(seed)
    c = int(rng.integers(1, 5))
    convs = [nn.Conv2d(c, c, 3, padding=1).eval() for _ in range(3)]
    norm = nn.BatchNorm2d(c).eval()
    plan = rng.integers(0, 9, 12).tolist()
    picks = rng.random((12, 2)).tolist()

    def model(x: Any) -> Any:
        found = [x]
        for kind, (u, v) in zip(plan, picks, strict=True):
            a, b = found[int(u * len(found))], found[int(v * len(found))]
            if kind <= 2:
                y = convs[kind](a)
            elif kind == 3:
                y = a + b
            elif kind == 4:
                y = nn.functional.relu(a * 0.5)
                y *= 1.25
            elif kind == 5:
                y = norm(convs[0](a)) + b
            elif kind == 6:
                y = a.flatten(2).transpose(1, 2).tanh().transpose(1, 2).reshape(a.shape)
            elif kind == 7:
                y = nn.functional.max_pool2d(a, 3, 1, 1)
            else:
                y = a.transpose(2, 3).sigmoid().transpose(2, 3)
            found.append(y)
        return found[-1], found[len(found) // 2], found[-3].reshape(-1)

    return model, pydl.tensor(rng.standard_normal((2, c, 6, 5)).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
@example(438)  # a view of what the model itself made channels-last
def test_random_networks(seed: int) -> None:
    model, x = random_network(seed)
    plan = pydl.freeze(model, x)
    other = pydl.tensor(np.random.default_rng(seed + 1).standard_normal(x.shape).astype(np.float32))
    for given_x in (x, other):
        with pydl.no_grad():
            want = model(given_x)
        for a, b in zip(plan(given_x), want, strict=True):
            bound = 200 * np.finfo(np.float32).eps * np.max(np.abs(b.detach().numpy()))
            assert a.shape == b.shape and np.max(np.abs(a.numpy() - b.detach().numpy())) <= bound


@pytest.mark.parametrize("isa", ["avx2", "base"])
def test_on_other_instruction_sets(isa: str) -> None:
    """Panels are packed for the table in use."""
    if isa not in kernels.isas():
        pytest.skip(f"this build or machine has no {isa}")
    code = (
        "import pydl; from pydl import nn; pydl.manual_seed(0); "
        "c = nn.Sequential(nn.Conv2d(3, 20, 3), nn.BatchNorm2d(20), nn.ReLU()); "
        "m = nn.Sequential(c, nn.Flatten(), nn.Linear(320, 37)).eval(); "
        "x = pydl.randn(5, 3, 6, 6); y = m(x).detach(); p = pydl.freeze(m, x); "
        "assert float((p(x) - y).abs().max() / y.abs().max()) < 1e-5"
    )
    env = {**os.environ, "PYDL_ISA": isa}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
