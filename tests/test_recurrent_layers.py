# SPDX-License-Identifier: BSD-3-Clause
"""Recurrent layers: against formulas, cells and the steps written out; what pydl adds to PyTorch; copies, memory."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn.utils import rnn
from pydl.ops import _unrolled
from tests.recurrent_runs import CELLS, KINDS, NAMES, SETTINGS, Array, B, H, I, T, drawn, flat, gradients, make

# --- definitions -----------------------------------------------------------------------------------------------------


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def by_hand(layer: Any, x: Array, h: Array, c: Array) -> tuple[Array, Array, Array, dict[str, Array]]:
    """Outputs, last states and gates of one layer in one direction, from its formulas."""
    w = {name.removesuffix("_l0"): p.detach().numpy() for name, p in layer.named_parameters()}
    none = np.zeros(len(w["weight_ih"]))
    b_ih, b_hh = w.get("bias_ih", none), w.get("bias_hh", none)
    outputs, kept = [], []
    for row in x:
        a, u = row @ w["weight_ih"].T + b_ih, h @ w["weight_hh"].T + b_hh
        if layer.mode == "LSTM":
            i, f, g, o = np.split(a + u, 4, axis=-1)
            gates = {"input": sigmoid(i), "forget": sigmoid(f), "cell": np.tanh(g), "output": sigmoid(o)}
            c = gates["forget"] * c + gates["input"] * gates["cell"]
            h = gates["output"] * np.tanh(c)
            h = h @ w["weight_hr"].T if "weight_hr" in w else h
        elif layer.mode == "GRU":
            n = H
            r, z = sigmoid(a[:, :n] + u[:, :n]), sigmoid(a[:, n : 2 * n] + u[:, n : 2 * n])
            inner = r * u[:, 2 * n :]
            if not layer.reset_after:
                inner = (r * h) @ w["weight_hh"][2 * n :].T + b_hh[2 * n :]
            gates = {"reset": r, "update": z, "new": np.tanh(a[:, 2 * n :] + inner)}
            h = (1 - z) * gates["new"] + z * h
        else:
            gates, h = {}, np.maximum(a + u, 0) if layer.mode == "RNN_RELU" else np.tanh(a + u)
        outputs.append(h)
        kept.append(gates)
    return np.stack(outputs), h, c, {name: np.stack([k[name] for k in kept]) for name in kept[0]}


@pytest.mark.parametrize("bias, bias_mode", [(True, "double"), (True, "single"), (False, "double")])
@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_formulas(kind: str, options: dict[str, Any], bias: bool, bias_mode: str) -> None:
    layer = make(kind, bias=bias, bias_mode=bias_mode, **options)
    x, h, c = drawn(1, T, B, I), drawn(2, 1, B, options.get("proj_size", H)), drawn(3, 1, B, H)
    hx = (pydl.tensor(h), pydl.tensor(c)) if kind == "LSTM" else pydl.tensor(h)
    y, h_n, c_n, gates = by_hand(layer, x, h[0], c[0])
    found = layer(pydl.tensor(x), hx, return_gates=kind != "RNN")
    expected = [y, h_n[None], *([c_n[None]] if kind == "LSTM" else [])]
    for a, b in zip(flat(found[:2]), expected, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b, rtol=0, atol=1e-14)
    if kind != "RNN":
        assert list(found[2]) == ["l0"] and list(found[2]["l0"]) == list(gates)
        for name, value in found[2]["l0"].items():
            assert not value.requires_grad
            np.testing.assert_allclose(value.numpy(), gates[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("lengths", [None, [7, 2, 5]])
@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_compiled_sequences_equal_the_steps_written_out(
    kind: str, options: dict[str, Any], lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs, states and all gradients within 1e-12 in float64, through two layers in both directions."""
    layer = make(kind, num_layers=2, bidirectional=True, **options)
    x = pydl.tensor(drawn(1, T, B, I), requires_grad=True)
    found = []
    for written_out in (False, True):
        if written_out:
            for name in ("rnn", "lstm", "gru"):
                steps = getattr(_unrolled, f"{name}_unrolled")
                plain = functools.partial(without_options, steps)
                monkeypatch.setattr(f"pydl.nn.modules.recurrent.{name}_sequence", plain)
        results = layer(x, lengths=lengths)
        found.append([*(t.detach().numpy() for t in flat(results)), *gradients(results, x, *layer.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))


def without_options(steps: Any, *args: Any, return_gates: bool = False) -> Any:
    """The written-out steps called as the compiled sequences are: the last positional argument says checkpoint."""
    return steps(*args[:-1])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind, options", [s for s in SETTINGS if not {"proj_size", "reset_after"} & set(s[1])])
def test_the_layer_equals_its_cell_step_by_step(kind: str, options: dict[str, Any], reverse: bool) -> None:
    """Outputs, states and all gradients within 1e-12 in float64."""
    pydl.manual_seed(0)
    layer = getattr(nn, kind)(I, 2 * H, bidirectional=True, **options).double()
    suffix = "_l0_reverse" if reverse else "_l0"
    cell = CELLS[kind](I, 2 * H, **options).double()
    with pydl.no_grad():
        for name, p in cell.named_parameters():
            p.copy_(getattr(layer, name + suffix))
    x = pydl.tensor(drawn(1, 40, B, I), requires_grad=True)
    y, states = layer(x)
    half = slice(2 * H, 4 * H) if reverse else slice(0, 2 * H)
    ours = (y[:, :, half], *(s[int(reverse)] for s in flat(states)))
    outputs, state = [None] * 40, None
    for t in range(39, -1, -1) if reverse else range(40):
        state = cell(x[t], state)
        outputs[t] = flat(state)[0]
    theirs = (pydl.stack(outputs), *flat(state))
    names = [name for name, _ in cell.named_parameters()]
    pairs = [
        *zip(ours, theirs, strict=True),
        *zip(
            gradients(ours, x, *(getattr(layer, n + suffix) for n in names)),
            gradients(theirs, x, *cell.parameters()),
            strict=True,
        ),
    ]
    for a, b in pairs:
        a, b = (v if isinstance(v, np.ndarray) else v.detach().numpy() for v in (a, b))
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(b).max()))


def test_parameter_counts() -> None:
    def count(module: Any) -> int:
        return sum(p.numel() for p in module.parameters())

    assert [count(getattr(nn, k)(128, 256)) for k in ("LSTM", "GRU", "RNN")] == [395_264, 296_448, 98_816]
    assert count(nn.GRU(128, 256)) / count(nn.LSTM(128, 256)) == 0.75
    network = [nn.RNN(5, 3, bias_mode="single"), nn.Linear(3, 1)]
    assert sum(map(count, network)) == 31
    assert sum(map(count, [nn.RNN(5, 3), nn.Linear(3, 1)])) == 34
    assert count(nn.LSTM(2, 3, 2, bidirectional=True, proj_size=2)) == sum(
        12 * i + 12 * 2 + 24 + 6 for i in (2, 2, 4, 4)
    )


# --- additions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_bias_is_a_second_one_of_zeros(kind: str) -> None:
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    one, two = make(kind, bias_mode="single", **options), make(kind, **options)
    assert {n for n, _ in two.named_parameters()} - {n for n, _ in one.named_parameters()} == {
        f"bias_hh_l{i}{s}" for i in (0, 1) for s in ("", "_reverse")
    }
    with pydl.no_grad():
        for name, p in two.named_parameters():
            p.copy_(getattr(one, name)) if hasattr(one, name) else p.fill_(0)
    x = pydl.tensor(drawn(1, T, B, I))
    for a, b in zip(flat(one(x)), flat(two(x)), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("bias_mode", ["double", "single"])
def test_forget_bias(bias_mode: str) -> None:
    layer = nn.LSTM(I, H, 2, bidirectional=True, forget_bias=1.5, bias_mode=bias_mode)
    bound = 1 / math.sqrt(H)
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        biases = [getattr(layer, name + suffix) for name in ("bias_ih", "bias_hh") if hasattr(layer, name + suffix)]
        total = sum(b.detach().numpy() for b in biases)
        assert (total[H : 2 * H] == 1.5).all()
        others = np.delete(biases[0].detach().numpy(), slice(H, 2 * H))
        assert (np.abs(others) <= bound).all() and len(set(others)) > 1
    assert all(p.requires_grad and p.is_leaf for p in layer.parameters())
    layer.reset_parameters()
    assert (layer.bias_ih_l0[H : 2 * H] == 1.5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_initial_values(kind: str) -> None:
    """Uniform in ±1/√H: the bound is nearly reached and never passed, the mean is near 0."""
    for layer in (getattr(nn, kind)(30, 64, 2), CELLS[kind](30, 64)):
        for p in layer.parameters():
            values = p.detach().numpy()
            assert np.abs(values).max() <= 0.125 and np.abs(values).max() > 0.1
            assert abs(values.mean()) < 4 * 0.125 / math.sqrt(3 * values.size)


def test_texts_show_what_was_added() -> None:
    assert repr(nn.LSTM(2, 3, forget_bias=1.0, bias_mode="single")) == "LSTM(2, 3, bias_mode=single, forget_bias=1.0)"
    assert repr(nn.GRU(2, 3, 2, reset_after=False)) == "GRU(2, 3, num_layers=2, reset_after=False)"
    assert repr(nn.RNN(2, 3, checkpoint=True)) == "RNN(2, 3, checkpoint=True)"


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_a_checkpoint_changes_memory_alone(kind: str, options: dict[str, Any]) -> None:
    """The same bits of outputs and gradients."""
    found = []
    for checkpoint in (False, True):
        layer = make(kind, num_layers=2, bidirectional=True, checkpoint=checkpoint, **options)
        x = pydl.tensor(drawn(1, T, B, I), requires_grad=True)
        results = layer(x, lengths=[4, 7, 2])
        found.append([*(t.detach().numpy() for t in flat(results)), *gradients(results, x, *layer.parameters())])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*found, strict=True))


# --- modules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_copies_and_state_dicts(kind: str, options: dict[str, Any]) -> None:
    layer = make(kind, num_layers=2, bidirectional=True, **options)
    x = pydl.tensor(drawn(1, T, B, I))
    expected = [t.tolist() for t in flat(layer(x))]
    fresh = getattr(nn, kind)(I, H, num_layers=2, bidirectional=True, dtype=pydl.float64, **options)
    fresh.load_state_dict(layer.state_dict())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), fresh):
        assert repr(other) == repr(layer)
        assert [t.tolist() for t in flat(other(x))] == expected
        assert not {id(p) for p in other.parameters()} & {id(p) for p in layer.parameters()}
        with pydl.no_grad():
            other.weight_ih_l0.fill_(0)
        assert [t.tolist() for t in flat(layer(x))] == expected
    assert layer.flatten_parameters() is None
    half = copy.deepcopy(layer).float()
    np.testing.assert_allclose(half(x.float())[0].detach().numpy(), np.array(expected[0]), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_replaced_weight_is_used(kind: str) -> None:
    layer = make(kind)
    layer.weight_hh_l0 = nn.Parameter(pydl.zeros_like(layer.weight_hh_l0))
    assert layer.all_weights[0][1] is layer.weight_hh_l0 is layer._flat_weights[1]
    x = pydl.tensor(drawn(1, 2, B, I))
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_in_training_alone(kind: str) -> None:
    layer, plain = make(kind, num_layers=3, dropout=0.5), make(kind, num_layers=3)
    x = pydl.tensor(drawn(1, T, B, I))
    first, second = layer(x)[0], layer(x)[0]
    assert (first != second).any() and (first != plain(x)[0]).any()
    pydl.manual_seed(1)
    a = layer(x)[0].tolist()
    pydl.manual_seed(1)
    assert layer(x)[0].tolist() == a
    assert layer.eval()(x)[0].tolist() == plain(x)[0].tolist()


@pytest.mark.long
@pytest.mark.parametrize("kind, form", list(itertools.product(KINDS, ("padded", "lengths", "packed", "cell"))))
def test_references_alone_free_a_graph(kind: str, form: str, no_gc: None) -> None:
    import gc

    layer = make(kind, num_layers=2, bidirectional=True) if form != "cell" else CELLS[kind](I, H).double()

    def step(size: int) -> None:
        x = pydl.tensor(drawn(1, T, B, I), requires_grad=True)
        if form == "cell":
            found: Any = layer(x[0])
        elif form == "packed":
            found = layer(rnn.pack_padded_sequence(x, [7, 3, 2]))[1]
        else:
            found = layer(x, lengths=[3, 7, 2] if form == "lengths" else None)
        sum(t.sum() for t in flat(found)).backward()

    step(0)
    gc.collect()
    for i in range(3):
        step(i)
    assert gc.collect() == 0


def test_hooks_and_containers() -> None:
    """A forward hook sees the pair; a Sequential hands it on."""
    seen = []
    layer = make("GRU")
    layer.register_forward_hook(lambda m, a, y: seen.append((len(a), len(y), tuple(y[1].shape))))

    class Last(nn.Module):
        def forward(self, found: Any) -> Any:
            return found[1][0]

    model = nn.Sequential(layer, Last(), nn.Linear(H, 2)).double()
    assert model(pydl.tensor(drawn(1, T, B, I))).shape == (B, 2)
    assert seen == [(1, 2, (1, B, H))]


@pytest.mark.parametrize("form", ["transposed", "every other", "backwards", "expanded", "read-only"])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_in_any_memory(kind: str, form: str) -> None:
    """The same bits as from a copy in C order, of states too."""
    layer = make(kind, num_layers=2, bidirectional=True)
    views: dict[str, Callable[[int, int, int], Any]] = {
        "transposed": lambda a, b, c: pydl.tensor(drawn(1, c, b, a)).transpose(0, 2),
        "every other": lambda a, b, c: pydl.tensor(drawn(1, 2 * a, b, 2 * c))[::2, :, ::2],
        "backwards": lambda a, b, c: pydl.from_numpy(drawn(1, a, b, c)[::-1, :, ::-1]),
        "expanded": lambda a, b, c: pydl.tensor(drawn(1, 1, b, 1)).expand(a, b, c),
        "read-only": lambda a, b, c: pydl.from_numpy(frozen(drawn(1, a, b, c))),
    }
    x, h = (views[form](*shape) for shape in ((T, B, I), (4, B, H)))
    found = []
    for given, state in ((x, h), (x.clone().contiguous(), h.clone().contiguous())):
        given = given.detach().requires_grad_()
        results = layer(given, (state, state) if kind == "LSTM" else state, lengths=[6, 7, 2])
        found.append([*(t.detach().numpy() for t in flat(results)), *gradients(results, given, *layer.parameters())])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*found, strict=True))


def frozen(a: Array) -> Array:
    a.setflags(write=False)
    return a


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_the_same_bits_for_any_number_of_threads(kind: str, options: dict[str, Any], threads: None) -> None:
    """Of a layer that is large enough for two."""
    pydl.manual_seed(0)
    layer = getattr(nn, kind)(96, 128, num_layers=2, bidirectional=True, **options)
    x = pydl.tensor(drawn(1, 30, 24, 96).astype(np.float32), requires_grad=True)
    lengths = np.random.default_rng(0).integers(1, 31, 24)
    found = []
    for n in (1, 2):
        pydl.set_num_threads(n)
        results = layer(x, lengths=lengths)
        loss = sum((t * t).sum() for t in flat(results))
        leaves = (x, *layer.parameters())
        found.append([t.detach().numpy().copy() for t in (*flat(results), *pydl.autograd.grad(loss, leaves))])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*found, strict=True))
