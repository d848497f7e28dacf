# SPDX-License-Identifier: BSD-3-Clause
"""Where gradients go: states over time against their definition, the promised figures, layers, text, picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.inspect import GradientFlow, StepFlow, gradient_flow

f64 = pydl.float64
LAYERS: dict[str, Callable[..., Any]] = {
    "rnn": lambda i, h, **k: nn.RNN(i, h, dtype=f64, **k),
    "relu": lambda i, h, **k: nn.RNN(i, h, nonlinearity="relu", dtype=f64, **k),
    "lstm": lambda i, h, **k: nn.LSTM(i, h, dtype=f64, **k),
    "lstm-projected": lambda i, h, **k: nn.LSTM(i, h, proj_size=2, dtype=f64, **k),
    "gru": lambda i, h, **k: nn.GRU(i, h, dtype=f64, **k),
    "gru-reset-before": lambda i, h, **k: nn.GRU(i, h, reset_after=False, dtype=f64, **k),
}


def last_square(result: Any) -> Any:
    return result[0][-1].square().sum()


@pytest.mark.parametrize("kind", LAYERS)
def test_states_gradients_are_those_of_a_run_from_that_state(kind: str) -> None:
    """∂L/∂h_t by definition: stop after step t, go on from a leaf with the values of h_t, differentiate in it."""
    pydl.manual_seed(0)
    layer, x = LAYERS[kind](3, 5), pydl.randn(7, 4, 3, dtype=f64)

    def loss(result: Any) -> Any:  # reads every step
        y = result[0]
        return (y * pydl.arange(1.0, y.shape[0] + 1, dtype=f64).reshape(-1, 1, 1).flip(0)).square().sum()

    flow = gradient_flow(layer, x, loss)
    assert flow.loss == pytest.approx(loss(layer(x)).item(), rel=1e-13)
    (steps,) = flow.steps
    assert len(steps.norms) == 7 and not steps.reverse
    for t in range(6):
        _, state = layer(x[: t + 1])
        parts = [s.detach() for s in (state if isinstance(state, tuple) else (state,))]
        h = parts[0].requires_grad_()
        rest = layer(x[t + 1 :], (h, *parts[1:]) if len(parts) > 1 else h)
        own = pydl.cat((h, rest[0]))  # h_t itself and what comes of it, with the weights of their steps
        (g,) = pydl.autograd.grad(loss((own,)), h)
        assert steps.norms[t] == pytest.approx(g.norm().item(), rel=1e-11)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_promised_figures(seed: int) -> None:
    """T = 100, H = 64, I = 8, B = 16, loss Σ h_T²: default LSTM, forget bias 2, relu RNN of 2 × orthogonal.

    Seen: 3.2e-22, 1.1e-21, 6.0e-20; 1.1e-2, 1.1e-2, 3.5e-3; 8.8e14, 2.4e14, 6.0e19.
    """
    pydl.manual_seed(seed)
    x = pydl.randn(100, 16, 8, dtype=f64)
    relu = nn.RNN(8, 64, nonlinearity="relu", dtype=f64)
    nn.init.orthogonal_(relu.weight_hh_l0, gain=2.0)
    ratios, verdicts = [], []
    for layer in (nn.LSTM(8, 64, dtype=f64), nn.LSTM(8, 64, forget_bias=2.0, dtype=f64), relu):
        flow = gradient_flow(layer, x, last_square)
        ratios.append(flow.steps[0].ratio)
        verdicts.append(flow.steps[0].verdict)
    assert ratios[0] < 1e-15 and ratios[1] > 1e-4 and ratios[2] > 1e6, ratios
    assert verdicts == ["vanishes", "arrives", "explodes"]


class Tagger(nn.Module):
    """Words to vectors, two layers in both directions, a line at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4, dtype=f64)
        self.norm = nn.BatchNorm1d(4, dtype=f64)
        self.layers = nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True, dtype=f64)
        self.out = nn.Linear(10, 3, dtype=f64)

    def forward(self, ids: Any, lengths: Any) -> Any:
        x = self.norm(self.embedding(ids).transpose(1, 2)).transpose(1, 2)
        return self.out(self.layers(x, lengths=lengths)[0])


def test_layers_parameters_lengths_and_directions() -> None:
    """Norms are those of an ordinary backward pass; the model is left as it was."""
    pydl.manual_seed(1)
    model, ids, lengths = Tagger(), pydl.randint(0, 11, (5, 9)), [9, 2, 7, 1, 4]
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    keys = set(vars(model.layers))
    flow = gradient_flow(model, (ids, lengths), lambda y: y.square().sum())
    assert [layer.name for layer in flow.layers] == ["embedding", "norm", "layers", "out"]
    assert [s.name for s in flow.steps] == ["layers.l0", "layers.l0_reverse", "layers.l1", "layers.l1_reverse"]
    assert [s.reverse for s in flow.steps] == [False, True] * 2 and {len(s.norms) for s in flow.steps} == {9}
    assert all(p.grad is None for p in model.parameters()) and set(vars(model.layers)) == keys
    assert not any(m._forward_hooks for m in model.modules())
    for name, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value)
    value = model(ids, lengths).square().sum()
    value.backward()
    assert flow.loss == pytest.approx(value.item(), rel=1e-13)
    for layer in flow.layers:
        for name, norm in layer.parameters.items():
            g = model.get_parameter(f"{layer.name}.{name}").grad
            assert g is not None and norm == pytest.approx(g.norm().item(), rel=1e-11, abs=1e-14)


def test_packed_sequences_and_one_sequence() -> None:
    pydl.manual_seed(2)
    layer = nn.GRU(3, 4, dtype=f64)
    x, lengths = pydl.randn(6, 3, 3, dtype=f64), [6, 4, 1]
    packed = nn.utils.rnn.pack_padded_sequence(x, pydl.tensor(lengths))
    flows = [
        gradient_flow(layer, packed, lambda result: result[0].data.square().sum()),
        gradient_flow(layer, (x,), lambda result: sum(result[0][:n, i].square().sum() for i, n in enumerate(lengths))),
    ]
    alone = [
        gradient_flow(layer, x[:n, i], lambda r: r[0].square().sum()).steps[0].norms for i, n in enumerate(lengths)
    ]
    for t in range(6):
        together = math.sqrt(sum(norms[t] ** 2 for norms in alone if t < len(norms)))
        for flow in flows:
            assert flow.steps[0].norms[t] == pytest.approx(together, rel=1e-12)


def test_a_cell_in_a_loop_is_listed_by_its_calls() -> None:
    pydl.manual_seed(3)
    layer = nn.LSTM(3, 4, dtype=f64)

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(3, 4, dtype=f64)

        def forward(self, x: Any) -> Any:
            state = None
            for step in x:
                state = self.cell(step, state)
            return state[0] if state else None

    loop, x = Loop(), pydl.randn(8, 2, 3, dtype=f64)
    loop.cell.load_state_dict({name.removesuffix("_l0"): t for name, t in layer.state_dict().items()})
    flow = gradient_flow(loop, x, lambda h: h.square().sum())
    expected = gradient_flow(layer, x, last_square).steps[0]
    assert flow.steps[0].name == "cell"
    np.testing.assert_allclose(flow.steps[0].norms, expected.norms, rtol=1e-12)
    assert flow.steps[0].verdict == expected.verdict == "arrives"


def test_skips_carry_gradients_through_depth() -> None:
    """40 layers of tanh with small weights: the first one gets 1e-8 of the last one's gradient, with skips a tenth."""

    class Block(nn.Linear):
        skip = False

        def forward(self, x: Any) -> Any:
            y = super().forward(x).tanh()
            return x + y if self.skip else y

    shares = []
    for skip in (False, True):
        pydl.manual_seed(4)
        blocks = [Block(16, 16, dtype=f64) for _ in range(40)]
        for block in blocks:
            block.skip = skip
        flow = gradient_flow(nn.Sequential(*blocks), pydl.randn(8, 16, dtype=f64), lambda y: y.square().mean())
        outputs = [layer.output or 0.0 for layer in flow.layers]
        assert len(outputs) == 40 and not flow.steps
        shares.append(outputs[0] / outputs[-1])
    assert shares[0] < 1e-8 and shares[1] > 0.1, shares


def test_verdicts() -> None:
    assert StepFlow("a", (1e-5, 0.1, 1.0), 1.0).verdict == "vanishes"
    assert (
        StepFlow("a", (1.0, 0.1, 1e-5), 1.0, True).verdict == "vanishes" and StepFlow("a", (2.0, 1.0), 1.0).ratio == 2
    )
    assert StepFlow("a", (2.0, 1.0), 1.0, True).ratio == 0.5
    assert StepFlow("a", (1.0, 2e4, 1.0), 1.0).verdict == StepFlow("a", (math.inf, 1.0), 1.0).verdict == "explodes"
    assert StepFlow("a", (math.nan, 1.0), 1.0).verdict == StepFlow("a", (1.0, math.nan), 1.0).verdict == "explodes"
    assert StepFlow("a", (0.0, 0.0), 0.0).verdict == "arrives" and math.isnan(StepFlow("a", (0.0, 0.0), 0.0).ratio)


@pytest.mark.long
def test_data_text_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws a figure")
    pydl.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    plain = gradient_flow(model, pydl.randn(6, 3), lambda y: y.square().mean())
    flow = gradient_flow(nn.GRU(3, 4, 2), pydl.randn(30, 2, 3), last_square)
    data = json.loads(json.dumps(flow.to_dict()))
    assert data["loss"] == flow.loss and len(data["steps"]) == 2 and data["steps"][1]["verdict"] == "vanishes"
    assert data["steps"][0]["norms"] == list(flow.steps[0].norms)
    lines = str(flow).splitlines()
    assert lines[0].startswith("Gradient flow, loss ") and "GRU.l1" in lines[-1] and max(map(len, lines)) < 160
    assert lines[-1].endswith("vanishes") and len(str(plain).splitlines()) == 5
    for found, n_lines in ((plain, [2]), (flow, [2, 2])):
        path = tmp_path / "flow.png"
        figure = found.plot(str(path))
        assert [len(axes.lines) for axes in figure.axes] == n_lines
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), flow.steps[0].norms)


def test_what_cannot_be_shown_is_refused_and_the_model_stays() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    x = pydl.ones(1, 2)
    with pytest.raises(TypeError, match="must be a Module"):
        gradient_flow(lambda x: x, x, lambda y: y.sum())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must return a Tensor, not float"):
        gradient_flow(model, x, lambda y: 1.0)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match=r"one number, not a Tensor of shape \(1, 3\)"):
        gradient_flow(model, x, lambda y: y)
    with pytest.raises(ValueError, match="depends on nothing"):
        gradient_flow(model, x, lambda y: y.detach().sum())
    layer = nn.LSTM(2, 3)
    with pytest.raises(ZeroDivisionError):
        gradient_flow(layer, pydl.ones(2, 1, 2), lambda result: 1 / 0)  # type: ignore[arg-type,return-value]
    assert "_sequence" not in vars(layer) and not layer._forward_hooks
    with pydl.no_grad():
        assert isinstance(gradient_flow(model, x, lambda y: y.sum()), GradientFlow)
