# SPDX-License-Identifier: BSD-3-Clause
"""Recurrent layers with pydl and with PyTorch from the same weights: outputs, states, gradients, texts, signatures."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pydl

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),  # PyTorch's
]

Array = np.ndarray[Any, Any]
DTYPES = {"f32": np.float32, "f64": np.float64}
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("RNN", {}), "relu": ("RNN", {"nonlinearity": "relu"}), "LSTM": ("LSTM", {}),
    "LSTM-proj": ("LSTM", {"proj_size": 3}), "GRU": ("GRU", {}),
}  # fmt: skip
FORMS = ("one sequence", "padded", "packed", "packed, unsorted")
LENGTHS = {"packed": [5, 5, 3, 1], "packed, unsorted": [3, 1, 5, 5]}
T, B, I, H = 5, 4, 3, 7


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """For PyTorch, which spends two thirds of its time on these small layers in waiting for its second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair(kind: str, dtype: Any, *sizes: int, **options: Any) -> tuple[Any, Any]:
    """Both layers with PyTorch's initial weights in `dtype`."""
    torch.manual_seed(0)
    name = "float64" if dtype == np.float64 else "float32"
    peer = getattr(torch.nn, kind)(*sizes, **options, dtype=getattr(torch, name))
    layer = getattr(pydl.nn, kind)(*sizes, **options, dtype=getattr(pydl, name))
    result = layer.load_state_dict({k: pydl.tensor(v.numpy()) for k, v in peer.state_dict().items()})
    assert not result.missing_keys and not result.unexpected_keys
    assert list(layer.state_dict()) == list(peer.state_dict())
    return layer, peer


def flat(value: Any) -> list[Any]:
    """The tensors of a result, one after the other."""
    if value is None:
        return []
    return [t for v in value for t in flat(v)] if isinstance(value, tuple | list) else [value]


def run(lib: Any, layer: Any, form: str, x: Array, states: tuple[Array, ...]) -> list[Array]:
    """Outputs, states, and the gradients of a random sum of them in the input, the states and the weights."""
    tx = lib.from_numpy(x.copy()).requires_grad_()
    given = [lib.from_numpy(s.copy()).requires_grad_() for s in states]
    hx = None if not given else given[0] if len(given) == 1 else tuple(given)
    entered = tx
    if form in LENGTHS:
        entered = lib.nn.utils.rnn.pack_padded_sequence(
            tx, LENGTHS[form], batch_first=layer.batch_first, enforce_sorted=form == "packed"
        )
    results = [t for t in flat(layer(entered, hx)) if t.dtype in (lib.float32, lib.float64)]
    rng = np.random.default_rng(5)
    loss = sum((t * lib.from_numpy(rng.standard_normal(tuple(t.shape)).astype(x.dtype))).sum() for t in results)
    for parameter in layer.parameters():
        parameter.grad = None
    loss.backward()
    gradients = [tx.grad, *(s.grad for s in given), *(p.grad for p in layer.parameters())]
    return [np.array(t.detach().numpy()) for t in (*results, *gradients)]


def shapes(form: str, options: dict[str, Any]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Those of the input and of the states h, c."""
    n = options["num_layers"] * (2 if options["bidirectional"] else 1)
    width = options.get("proj_size", H)
    if form == "one sequence":
        return (T, I), [(n, width), (n, H)]
    return (B, T, I) if options["batch_first"] else (T, B, I), [(n, B, width), (n, B, H)]


def check_close(ours: list[Array], theirs: list[Array], factor: float, what: str) -> None:
    """Within `factor` roundings of the largest element each, whose sums run over at most T · B · (I + H) terms."""
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.dtype == b.dtype and a.shape == b.shape, (what, i)
        bound = factor * np.finfo(a.dtype).eps * np.sqrt(T * B * (I + H)) * max(1.0, float(np.abs(b).max(initial=0)))
        assert np.abs(a - b).max(initial=0) <= bound, (what, i, np.abs(a - b).max(), bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_every_combination_of_flags(mode: str, num_layers: int, dtype: str) -> None:
    kind, extra = MODES[mode]
    rng = np.random.default_rng(num_layers)
    for bidirectional, batch_first, bias, given, form in itertools.product(*[(False, True)] * 4, FORMS):
        options = {
            "num_layers": num_layers, "bidirectional": bidirectional, "batch_first": batch_first, "bias": bias,
            "dropout": 0.0, **extra,
        }  # fmt: skip
        layer, peer = pair(kind, DTYPES[dtype], I, H, **options)
        input_shape, state_shapes = shapes(form, options)
        x = rng.standard_normal(input_shape).astype(DTYPES[dtype])
        n_states = (2 if kind == "LSTM" else 1) if given else 0
        states = tuple(rng.standard_normal(s).astype(DTYPES[dtype]) for s in state_shapes[:n_states])
        ours, theirs = (run(lib, m, form, x, states) for lib, m in ((pydl, layer), (torch, peer)))
        check_close(ours, theirs, 4, f"{mode}, {options}, {form}, hx {given}")


@pytest.mark.parametrize("kind, gates", [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_wide_layers(kind: str, gates: int) -> None:
    """Sizes that are no multiple of a vector and of a block."""
    for sizes in ((1, 1), (17, 33), (64, 70)):
        layer, peer = pair(kind, np.float32, *sizes, num_layers=2, bidirectional=True)
        assert layer.weight_hh_l0.shape == (gates * sizes[1], sizes[1])
        x = np.random.default_rng(0).standard_normal((9, 5, sizes[0])).astype(np.float32)
        ours, theirs = (run(lib, m, "padded", x, ()) for lib, m in ((pydl, layer), (torch, peer)))
        check_close(ours, theirs, 4, f"{kind} {sizes}")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_dropout_of_everything_between_the_layers(kind: str) -> None:
    """With probability 1 the second layer reads zeros, in training only: the same numbers in both libraries."""
    layer, peer = pair(kind, np.float64, I, H, num_layers=2, dropout=1.0)
    x = np.random.default_rng(0).standard_normal((T, B, I))
    check_close(run(pydl, layer, "padded", x, ()), run(torch, peer, "padded", x, ()), 4, "training")
    layer.eval(), peer.eval()
    check_close(run(pydl, layer, "padded", x, ()), run(torch, peer, "padded", x, ()), 4, "evaluation")


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("shape", [(I,), (B, I), (1, I)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("text", ["RNNCell(3, 7)", "RNNCell(3, 7, False, 'relu')", "LSTMCell(3, 7)", "GRUCell(3, 7)",
                                  "LSTMCell(3, 7, bias=False)", "GRUCell(3, 7, False)"])  # fmt: skip
def test_cells(text: str, dtype: str, shape: tuple[int, ...], given: bool) -> None:
    """Two steps, the second from the state of the first."""
    peer, layer = (eval(f"nn.{text}", {"nn": lib.nn}) for lib in (torch, pydl))
    if dtype == "f64":
        peer, layer = peer.double(), layer.double()
    layer.load_state_dict({k: pydl.tensor(v.numpy()) for k, v in peer.state_dict().items()})
    assert repr(layer) == repr(peer)
    rng = np.random.default_rng(3)
    x = rng.standard_normal(shape).astype(DTYPES[dtype])
    h = [rng.standard_normal((*shape[:-1], H)).astype(DTYPES[dtype]) for _ in range(2 if "LSTM" in text else 1)]

    def steps(lib: Any, cell: Any) -> list[Array]:
        tx = lib.from_numpy(x.copy()).requires_grad_()
        states = [lib.from_numpy(s.copy()).requires_grad_() for s in h]
        state = None if not given else tuple(states) if "LSTM" in text else states[0]
        state = cell(tx, cell(tx, state))
        sum((s * s).sum() for s in flat(state)).backward()
        gradients = [tx.grad, *(s.grad for s in states if given), *(p.grad for p in cell.parameters())]
        return [np.array(t.detach().numpy()) for t in (*flat(state), *gradients)]

    check_close(steps(pydl, layer), steps(torch, peer), 4, text)


TEXTS = """
RNN(2, 4)
RNN(2, 4, 1, 'relu')
RNN(2, 4, 2, 'relu', False, True, 0.5, True)
LSTM(2, 4)
LSTM(2, 4, 3, False, True, 0.25, True, 3)
LSTM(input_size=2, hidden_size=4, proj_size=1)
GRU(2, 4, 2, True, False, 0.5)
GRU(2, 4, batch_first=True)
RNNBase('LSTM', 2, 3, proj_size=1, bidirectional=True, num_layers=2, batch_first=True, dropout=.5, bias=False)
RNNBase('GRU', 2, 3)
RNNCell(2, 3)
RNNCell(2, 3, False, 'relu')
LSTMCell(2, 3)
GRUCell(2, 3, bias=False)
""".strip().split("\n")


@pytest.mark.parametrize("text", TEXTS)
def test_texts_and_parameters(text: str) -> None:
    ours, theirs = (eval(f"nn.{text}", {"nn": lib.nn}) for lib in (pydl, torch))
    assert repr(ours) == repr(theirs)
    assert [(n, tuple(p.shape)) for n, p in ours.named_parameters()] == [
        (n, tuple(p.shape)) for n, p in theirs.named_parameters()
    ]
    if "Cell" not in text:
        assert [[tuple(p.shape) for p in ps] for ps in ours.all_weights] == [
            [tuple(p.shape) for p in ps] for ps in theirs.all_weights
        ]
        assert ours._flat_weights_names == theirs._flat_weights_names


# PyTorch shows (*args, **kwargs) for the layers; these are the arguments of its documentation, in its order.
COMMON = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
POSITIONAL = {
    "RNN": [*COMMON[:3], "nonlinearity", *COMMON[3:], "device", "dtype"],
    "LSTM": [*COMMON, "proj_size", "device", "dtype"],
    "GRU": [*COMMON, "device", "dtype"],
    "RNNBase": ["mode", *COMMON, "proj_size", "device", "dtype"],
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_signatures(name: str) -> None:
    """PyTorch's arguments in its order with its defaults; what pydl adds can only be given by name."""
    ours = inspect.signature(getattr(pydl.nn, name)).parameters.values()
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == POSITIONAL[name]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours if p not in positional)
    base = inspect.signature(torch.nn.RNNBase).parameters
    for p in positional:
        assert p.default == ("tanh" if p.name == "nonlinearity" else base[p.name].default), p.name


def test_the_warning_of_a_dropout_that_has_no_layer_to_follow() -> None:
    for lib in (pydl, torch):
        with pytest.warns(UserWarning, match=r"dropout option adds dropout after all but last recurrent layer"):
            lib.nn.GRU(2, 3, dropout=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lib.nn.GRU(2, 3, 2, dropout=0.5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_batch_of_no_sequence(kind: str) -> None:
    layer, peer = pair(kind, np.float64, I, H, num_layers=2, bidirectional=True)
    x = np.zeros((T, 0, I))
    check_close(run(pydl, layer, "padded", x, ()), run(torch, peer, "padded", x, ()), 0, "empty")


def test_training_follows_pytorch() -> None:
    """Twenty steps of Adam in float64 on sequences of unequal length, from the same weights."""
    layer, peer = pair("LSTM", np.float64, I, H, num_layers=2, bidirectional=True)
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((T, B, I)), rng.standard_normal((4, B, H))
    losses: list[list[float]] = []
    for lib, net in ((pydl, layer), (torch, peer)):
        optimizer = lib.optim.Adam(net.parameters(), lr=0.01)
        losses.append([])
        for _ in range(20):
            optimizer.zero_grad()
            packed = lib.nn.utils.rnn.pack_padded_sequence(lib.tensor(x), LENGTHS["packed, unsorted"], False, False)
            _, (h, _) = net(packed)
            loss = lib.nn.functional.mse_loss(h, lib.tensor(target))
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
