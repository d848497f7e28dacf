# SPDX-License-Identifier: BSD-3-Clause
"""A recurrent language model: the scores of each next token."""

from __future__ import annotations

from typing import Any

from pydl import nn
from pydl.models._states import turned
from pydl.tensor import Tensor

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """Embedding, LSTM or GRU, dropout, Linear: at each position the scores of the token that comes next.

    The states that a call returns, given to the next one, carry on: a long text is read part by part. Detach them in
    training (truncated backpropagation through time). `start` and `step` serve the searches of `pydl.text`.
    Shapes: tokens (N, T) int64; states None, h (num_layers, N, hidden_size) or (h, c); scores (N, T, n_tokens).
    Gradient: to all weights and the states. Errors: ValueError for another rnn; ShapeError; IndexError for a number
    outside of the table. Source: Mikolov et al. 2010; Graves 2013 for characters.

    Example:
        >>> import pydl
        >>> from pydl.models import LanguageModel
        >>> model = LanguageModel(84, 32, 64)
        >>> tokens = pydl.randint(1, 84, (2, 10))
        >>> scores, states = model(tokens)
        >>> first, carried = model(tokens[:, :4])
        >>> rest, _ = model(tokens[:, 4:], carried)
        >>> scores.shape, pydl.allclose(pydl.cat([first, rest], 1), scores, atol=1e-6)
        (pydl.Size([2, 10, 84]), True)
    """

    def __init__(
        self,
        n_tokens: int,
        embedding_size: int = 64,
        hidden_size: int = 256,
        num_layers: int = 1,
        rnn: str = "lstm",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kinds: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}
        if rnn not in kinds:
            raise ValueError(f"LanguageModel: rnn must be one of {', '.join(kinds)}, not {rnn!r}")
        self.embedding = nn.Embedding(n_tokens, embedding_size, padding_idx=0)
        self.rnn = kinds[rnn](
            embedding_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, n_tokens)

    def forward(self, tokens: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        h, states = self.rnn(self.embedding(tokens), states)
        return self.output(self.dropout(h)), states

    def start(self, n: int) -> Any:
        """The state before the first token of n sequences, for `step`: zeros (n, num_layers, hidden_size)."""
        zeros = self.output.weight.new_zeros((n, self.rnn.num_layers, self.rnn.hidden_size))
        return (zeros, zeros) if isinstance(self.rnn, nn.LSTM) else zeros

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The scores (N, V) of the tokens that may follow `tokens` (N), and the new state."""
        scores, states = self(tokens.unsqueeze(1), turned(state))
        return scores.squeeze(1), turned(states)
