# SPDX-License-Identifier: BSD-3-Clause
"""Networks that read sequences: classifiers and a forecaster."""

from __future__ import annotations

from typing import Any

import pydl
from pydl import nn
from pydl.tensor import Tensor

__all__ = ["Forecaster", "SequenceClassifier", "TextClassifier"]

KINDS = ("rnn", "lstm", "gru")


def _layers(owner: str, kind: str, inputs: int, hidden: int, layers: int, **options: Any) -> nn.Module:
    """nn.RNN, nn.LSTM or nn.GRU, batch first."""
    if kind not in KINDS:
        raise ValueError(f"{owner}: kind is rnn, lstm or gru, not {kind!r}")
    made: nn.Module = getattr(nn, kind.upper())(inputs, hidden, layers, batch_first=True, **options)
    return made


class SequenceClassifier(nn.Module):
    """Scores of a whole sequence: s = W dropout(r) + b, r what a recurrent network has kept of it.

    `kind` is "rnn", "lstm" or "gru"; r is the state after the last step of each sequence (`summary="last"`; of both
    directions where `bidirectional`, the backward one after the first step), or the mean of the outputs of all its
    steps (`summary="mean"`). With `lengths` of the sequences, what is behind them in x changes nothing.
    Shapes: x (N, T, inputs); lengths (N,) integers from 1 to T, a tensor, an array or a list; s (N, classes), scores
    without softmax.
    Gradient: to every weight and bias, and to x.
    Errors: ValueError for another kind or summary; ShapeError for other shapes.
    Source: the many-to-one network of the textbooks.

    Example:
        >>> import pydl
        >>> from pydl.models import SequenceClassifier
        >>> net = SequenceClassifier(12, 64, 9, kind="gru", bidirectional=True)
        >>> net(pydl.zeros(5, 29, 12), lengths=pydl.tensor([29, 7, 12, 20, 9])).shape
        pydl.Size([5, 9])
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        classes: int,
        kind: str = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        summary: str = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if summary not in ("last", "mean"):
            raise ValueError(f"SequenceClassifier: summary is last or mean, not {summary!r}")
        self.summary = summary
        between = dropout if layers > 1 else 0.0
        self.rnn = _layers(
            "SequenceClassifier", kind, inputs, hidden, layers, bidirectional=bidirectional, dropout=between
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear((2 if bidirectional else 1) * hidden, classes)

    def forward(self, x: Tensor, lengths: Any = None) -> Tensor:
        """The scores of a batch of sequences."""
        out, state = self.rnn(x, lengths=lengths)
        if self.summary == "mean":
            steps = x.shape[1] if lengths is None else pydl.as_tensor(lengths, dtype=x.dtype).unsqueeze(1)
            kept = out.sum(1) / steps  # outputs behind the end of a sequence are 0
        else:
            h = state[0] if isinstance(state, tuple) else state
            kept = h[-2:].transpose(0, 1).flatten(1) if self.rnn.bidirectional else h[-1]  # the last layer's directions
        return self.fc(self.dropout(kept))


class TextClassifier(nn.Module):
    """Scores of a text: s = W out_T + b, out of a bidirectional LSTM over the embedded words.

    `out[:, -1, :]` is the output at the last step of the padded text. There the forward half has read all, the
    backward half only that one step; `SequenceClassifier(bidirectional=True)` takes both ends, and lengths.
    Shapes: x (N, T) int64 word numbers below `vocab_size`; s (N, num_classes), scores without softmax.
    Gradient: to every weight and bias.
    Errors: IndexError for a word number outside the vocabulary.
    Source: the course's text classifier: 2,071,554 parameters for 10,000 words.

    Example:
        >>> import pydl
        >>> from pydl.models import TextClassifier
        >>> net = TextClassifier(10_000)
        >>> net(pydl.tensor([[4, 17, 9, 2]])).shape, sum(p.numel() for p in net.parameters())
        (pydl.Size([1, 2]), 2071554)
    """

    def __init__(self, vocab_size: int, embed_dim: int = 128, hidden_dim: int = 256, num_classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(hidden_dim * 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of a batch of texts."""
        x = self.embedding(x)
        out, _ = self.lstm(x)
        return self.fc(out[:, -1, :])


class Forecaster(nn.Module):
    """The next `horizon` values of a series: ŷ = W h_T + b, h_T the state of a recurrent network after the known ones.

    With `anchored`, ŷ is added to the last known value: the network says what changes, and at first that nothing does
    (W and b begin as zeros).
    Shapes: x (N, T, inputs), the series to be forecast is the first of the inputs; ŷ (N, horizon).
    Gradient: to every weight and bias, and to x.
    Errors: ValueError for another kind; ShapeError for other shapes.
    Source: direct forecasting of several steps at once.

    Example:
        >>> import pydl
        >>> from pydl.models import Forecaster
        >>> Forecaster(hidden=16, horizon=11)(pydl.zeros(4, 44, 1)).shape
        pydl.Size([4, 11])
    """

    def __init__(
        self, inputs: int = 1, hidden: int = 32, horizon: int = 1, kind: str = "gru", layers: int = 1,
        anchored: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.anchored = anchored
        self.rnn = _layers("Forecaster", kind, inputs, hidden, layers)
        self.fc = nn.Linear(hidden, horizon)
        if anchored:
            for parameter in self.fc.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """The forecasts for a batch of beginnings."""
        out, _ = self.rnn(x)
        change = self.fc(out[:, -1, :])
        return change + x[:, -1, :1] if self.anchored else change
