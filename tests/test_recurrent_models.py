# SPDX-License-Identifier: BSD-3-Clause
"""Ready-made recurrent networks: sizes, lengths, what they keep of a sequence, PyTorch's results."""

from __future__ import annotations

import numpy as np
import pytest

import pydl
import pydl as torch  # the classifier below is written as for PyTorch
import pydl.nn as nn
from pydl import ShapeError
from pydl.autograd import gradcheck_module
from pydl.models import Forecaster, SequenceClassifier, TextClassifier

KINDS = ("rnn", "lstm", "gru")


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(autouse=True)
def seeded():
    pydl.manual_seed(0)


# ---- the text classifier -----------------------------------------------------------------------------------------


class AsWrittenForPyTorch(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_classes):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(hidden_dim * 2, num_classes)

    def forward(self, x):
        x = self.embedding(x)
        out, (_hidden, _cell) = self.lstm(x)
        return self.fc(out[:, -1, :])


def test_text_classifier_has_the_promised_size():
    """Embedding 10,000 · 128, LSTM 128 → 256 in two directions 2 · 395,264, Linear 512 → 2."""
    model = TextClassifier(10_000)
    assert count(model) == 10_000 * 128 + 2 * 395_264 + 512 * 2 + 2 == 2_071_554
    assert count(model.lstm) == 2 * 395_264
    written = AsWrittenForPyTorch(10_000, 128, 256, 2)
    assert count(written) == 2_071_554
    assert {k: v.shape for k, v in written.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_a_script_for_pytorch_trains():
    model = AsWrittenForPyTorch(50, 8, 12, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    criterion = nn.CrossEntropyLoss()
    x = torch.randint(1, 50, (32, 9))
    y = (x[:, -1] > 25).long()
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
    assert (model(x).argmax(1) == y).all()


def test_text_classifier_equals_pytorch():
    peer = pytest.importorskip("torch", reason="compares with PyTorch")

    class Peer(peer.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = peer.nn.Embedding(40, 6)
            self.lstm = peer.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
            self.fc = peer.nn.Linear(10, 3)

        def forward(self, x):
            out, _ = self.lstm(self.embedding(x))
            return self.fc(out[:, -1, :])

    theirs, ours = Peer().double(), TextClassifier(40, 6, 5, 3).double()
    ours.load_state_dict({k: pydl.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    x = np.random.RandomState(0).randint(0, 40, (4, 7))
    a, b = ours(pydl.from_numpy(x)), theirs(peer.from_numpy(x))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-14)
    a.square().sum().backward()
    b.square().sum().backward()
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=1e-13, err_msg=name)


def test_text_classifier_refuses_unknown_words():
    with pytest.raises(IndexError, match="10"):
        TextClassifier(10, 4, 3)(pydl.tensor([[1, 10]]))


# ---- the sequence classifier -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("summary", ["last", "mean"])
@pytest.mark.parametrize("layers", [1, 2])
def test_padding_changes_nothing(kind, bidirectional, summary, layers):
    """A batch of padded sequences gives what each gives alone; what is behind an end has no influence, no gradient."""
    net = SequenceClassifier(3, 5, 4, kind, layers, bidirectional, summary).double()
    lengths = [4, 7, 1, 6]
    x = pydl.randn(4, 7, 3, dtype=pydl.float64).requires_grad_()
    whole = net(x, lengths=pydl.tensor(lengths))
    assert whole.shape == (4, 4)
    for i, n in enumerate(lengths):
        alone = net(x[i : i + 1, :n])
        np.testing.assert_allclose(whole[i].detach().numpy(), alone[0].detach().numpy(), rtol=0, atol=1e-14)
    whole.square().sum().backward()
    for i, n in enumerate(lengths):
        assert (x.grad[i, n:] == 0).all() and (x.grad[i, :n] != 0).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("summary", ["last", "mean"])
def test_what_is_kept_of_a_sequence(kind, summary):
    net = SequenceClassifier(3, 5, 4, kind, bidirectional=True, summary=summary).double()
    x = pydl.randn(2, 6, 3, dtype=pydl.float64)
    out, _ = net.rnn(x)
    ends = pydl.cat([out[:, -1, :5], out[:, 0, 5:]], 1)
    expected = net.fc(ends if summary == "last" else out.mean(1))
    np.testing.assert_allclose(net(x).detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_classifier(kind):
    net = SequenceClassifier(2, 3, 2, kind, bidirectional=True, summary="mean").double()
    x = pydl.randn(3, 4, 2, dtype=pydl.float64)
    result = gradcheck_module(net, x, verbose=False)
    assert result.ok, str(result)
    assert len(result.rows) == len(list(net.parameters())) + 1


def test_dropout_only_in_training():
    net = SequenceClassifier(3, 8, 4, "gru", 2, dropout=0.5)
    x = pydl.randn(2, 5, 3)
    assert not pydl.equal(net(x), net(x))
    net.eval()
    assert pydl.equal(net(x), net(x))
    assert net.rnn.dropout == 0.5 and SequenceClassifier(3, 8, 4, dropout=0.5).rnn.dropout == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SequenceClassifier(3, 5, 4, kind="cnn"), ValueError, "kind is rnn, lstm or gru, not 'cnn'"),
        (lambda: SequenceClassifier(3, 5, 4, summary="max"), ValueError, "summary is last or mean, not 'max'"),
        (lambda: Forecaster(kind="ar"), ValueError, "kind is rnn, lstm or gru, not 'ar'"),
        (lambda: SequenceClassifier(3, 5, 4)(pydl.zeros(2, 6, 7)), ShapeError, "7"),
        (lambda: SequenceClassifier(3, 5, 4)(pydl.zeros(2, 6, 3), lengths=pydl.tensor([7, 1])), ValueError, "7"),
        (lambda: SequenceClassifier(3, 5, 4)(pydl.zeros(2, 6, 3), lengths=pydl.tensor([6])), ValueError, "1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- the forecaster ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_anchored_forecaster_begins_with_persistence(kind):
    net = Forecaster(2, 7, 4, kind, anchored=True)
    x = pydl.randn(3, 9, 2)
    said = net(x)
    assert said.shape == (3, 4) and pydl.equal(said, x[:, -1, :1].expand(3, 4))
    assert not pydl.equal(Forecaster(2, 7, 4, kind)(x), said)


def test_a_forecaster_learns_a_sine():
    t = pydl.arange(200, dtype=pydl.float32) * (2 * np.pi / 11)
    wave = t.sin()
    x = pydl.stack([wave[i : i + 22] for i in range(160)]).unsqueeze(2)
    y = pydl.stack([wave[i + 22 : i + 26] for i in range(160)])
    net = Forecaster(1, 12, 4, "gru")
    optimizer = pydl.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * y.square().mean().item()
