# SPDX-License-Identifier: BSD-3-Clause
"""From one sequence to another: a recurrent encoder, a recurrent decoder, attention between them."""

from __future__ import annotations

from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl._core.errors import ShapeError
from pydl._generator import Generator
from pydl.models._states import turned
from pydl.tensor import Tensor
from pydl.text import Hypothesis, beam_search, greedy_search

__all__ = ["Decoder", "Encoder", "EncoderDecoder"]

RNNS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}
ATTENTIONS = (None, "additive", "dot", "scaled", "general")


def _recurrent(name: str, kind: str, *sizes: int, **settings: Any) -> Any:
    if kind not in RNNS:
        raise ValueError(f"{name}: rnn must be one of {', '.join(RNNS)}, not {kind!r}")
    return RNNS[kind](*sizes, batch_first=True, **settings)


def _check_ids(name: str, what: str, ids: Any) -> None:
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype.is_floating_point:
        found = f"{tuple(ids.shape)}, {ids.dtype}" if isinstance(ids, Tensor) else type(ids).__name__
        raise ShapeError(f"{name}: {what} must be a tensor (N, T) of numbers of tokens, not {found}")


def length_mask(lengths: Any, size: int) -> Tensor:
    """True at the first `lengths` positions of each row, (N, size)."""
    numbers = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    return pydl.from_numpy(np.arange(size) < numbers[:, None])


class Encoder(nn.Module):
    """Embedding, then an LSTM or GRU over the source, in both directions unless told otherwise.

    A direction has hidden_size / 2 units, so that both together give hidden_size features per position and states of
    that size, which the decoder starts from. Row 0 of the embedding is padding.
    Shapes: source (N, S) int64, lengths (N); memory (N, S, hidden_size), 0 behind each length; states (num_layers, N,
    hidden_size): (h, c) of an LSTM, h of a GRU. Gradient: to all weights. Errors: ValueError for an odd hidden_size of
    two directions; ShapeError; IndexError for a number outside of the embedding.
    Source: Sutskever et al. 2014; Bahdanau et al. 2015 for both directions.

    Example:
        >>> import pydl
        >>> from pydl.models import Encoder
        >>> memory, (h, c) = Encoder(30, 8, 16)(pydl.ones(2, 5, dtype=pydl.int64), [5, 3])
        >>> memory.shape, h.shape, bool((memory[1, 3:] == 0).all())
        (pydl.Size([2, 5, 16]), pydl.Size([1, 2, 16]), True)
    """

    def __init__(
        self,
        n_tokens: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        rnn: str = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if bidirectional and hidden_size % 2:
            raise ValueError(f"Encoder: two directions share hidden_size equally, which {hidden_size} does not allow")
        self.embedding = nn.Embedding(n_tokens, embedding_size, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.n_directions = 1 + bool(bidirectional)
        self.rnn = _recurrent(
            "Encoder", rnn, embedding_size, hidden_size // self.n_directions, num_layers,
            dropout=dropout if num_layers > 1 else 0.0, bidirectional=bidirectional,
        )  # fmt: skip

    def forward(self, source: Tensor, lengths: Any = None) -> tuple[Tensor, Any]:
        _check_ids("Encoder", "source", source)
        memory, states = self.rnn(self.dropout(self.embedding(source)), lengths=lengths)
        return memory, tuple(map(self._joined, states)) if isinstance(states, tuple) else self._joined(states)

    def _joined(self, states: Tensor) -> Tensor:
        """Both directions' states side by side, (num_layers, N, hidden_size)."""
        if self.n_directions == 1:
            return states
        n, batch, width = states.shape
        return states.reshape(n // 2, 2, batch, width).transpose(1, 2).reshape(n // 2, batch, 2 * width)


class Decoder(nn.Module):
    """An LSTM or GRU over the target so far, started from the encoder's states; with attention, h̃ = tanh(W [c; h]).

    At each position the scores of the next token are W_o h̃, or W_o h without attention. c = Σ p_j memory_j looks at the
    encoder's positions with the query h: attention is "general", "dot", "scaled", "additive" or None. As in Luong's
    article without input feeding, what was looked at does not enter the recurrence: the steps of a given target are one
    call of the recurrent layer.
    Shapes: target (N, T) int64, states (num_layers, N, H), memory (N, S, memory_size), mask (N, S) True at its real
    positions; scores (N, T, n_tokens), weights p (N, T, S) or None. Gradient: to all weights, states and memory.
    Errors: ValueError for another attention or rnn; ShapeError; IndexError.
    Source: Luong et al. 2015, section 3 (global attention); Sutskever et al. 2014 without attention.

    Example:
        >>> import pydl
        >>> from pydl.models import Decoder
        >>> decoder = Decoder(20, 8, 16, attention="additive")
        >>> states = (pydl.zeros(1, 2, 16), pydl.zeros(1, 2, 16))
        >>> scores, states, weights = decoder(pydl.ones(2, 3, dtype=pydl.int64), states, pydl.randn(2, 5, 16))
        >>> scores.shape, weights.shape
        (pydl.Size([2, 3, 20]), pydl.Size([2, 3, 5]))
    """

    def __init__(
        self,
        n_tokens: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int = 1,
        rnn: str = "lstm",
        attention: str | None = "general",
        dropout: float = 0.0,
        memory_size: int | None = None,
    ) -> None:
        super().__init__()
        memory_size = hidden_size if memory_size is None else memory_size
        self.n_tokens = n_tokens
        self.embedding = nn.Embedding(n_tokens, embedding_size, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.rnn = _recurrent(
            "Decoder", rnn, embedding_size, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0
        )
        if attention not in ATTENTIONS:
            raise ValueError(f"Decoder: attention must be one of {', '.join(map(str, ATTENTIONS))}, not {attention!r}")
        self.attention: nn.Module | None = None
        if attention == "additive":
            self.attention = nn.AdditiveAttention(hidden_size, memory_size, hidden_size)
        elif attention is not None:
            self.attention = nn.DotProductAttention(hidden_size, memory_size, attention)
        self.combine = nn.Linear(memory_size + hidden_size, hidden_size) if attention is not None else None
        self.output = nn.Linear(hidden_size, n_tokens)

    def forward(
        self,
        target: Tensor,
        states: Any,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Any = None,
        projected: Tensor | None = None,
    ) -> tuple[Tensor, Any, Tensor | None]:
        _check_ids("Decoder", "target", target)
        h, states = self.rnn(self.dropout(self.embedding(target)), states, lengths=lengths)
        weights = None
        if self.attention is not None and self.combine is not None:
            if memory is None:
                raise ValueError("Decoder: attention needs memory, the encoder's output")
            context, weights = self.attention(h, memory, mask=mask, projected_keys=projected)
            h = self.combine(pydl.cat([context, h], 2)).tanh()
        return self.output(self.dropout(h)), states, weights


class EncoderDecoder(nn.Module):
    """Encoder and decoder of one hidden size, trained on pairs of sequences; greedy and beam search for new ones.

    Called with a source and the target so far (from the begin token on), it returns the scores of the next token at
    each position. `teacher_forcing` is the share of the target's tokens that are fed as given; the others, from the
    second on and drawn for each row and step, are replaced by the network's own most probable token. 1 feeds all of
    them, and all steps are one call of the recurrent layer. Train it by cross_entropy with ignore_index=0.
    Shapes: source (N, S), target (N, T) int64, 0 being padding; lengths (N); scores (N, T, n_target).
    Gradient: to all weights; through given tokens and choices none. Errors: ValueError for a teacher_forcing outside of
    [0, 1], other attention or rnn; ShapeError; IndexError for a number outside of a table.
    Source: Sutskever et al. 2014, Bahdanau et al. 2015, Luong et al. 2015; Bengio et al. 2015 (scheduled sampling).

    Example:
        >>> import pydl
        >>> from pydl.models import EncoderDecoder
        >>> pydl.manual_seed(0)
        <...>
        >>> model = EncoderDecoder(30, 20, embedding_size=8, hidden_size=16)
        >>> source, target = pydl.randint(1, 30, (2, 5)), pydl.randint(1, 20, (2, 4))
        >>> model(source, [5, 3], target).shape
        pydl.Size([2, 4, 20])
        >>> found = model.greedy(source, [5, 3], begin=1, end=2, max_length=6)
        >>> len(found), all(len(hypothesis.tokens) <= 6 for hypothesis in found)
        (2, True)
    """

    def __init__(
        self,
        n_source: int,
        n_target: int,
        embedding_size: int = 64,
        hidden_size: int = 128,
        num_layers: int = 1,
        rnn: str = "lstm",
        attention: str | None = "general",
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(n_source, embedding_size, hidden_size, num_layers, rnn, bidirectional, dropout)
        self.decoder = Decoder(n_target, embedding_size, hidden_size, num_layers, rnn, attention, dropout)

    def forward(
        self,
        source: Tensor,
        lengths: Any,
        target: Tensor,
        target_lengths: Any = None,
        *,
        teacher_forcing: float = 1.0,
        generator: Generator | None = None,
    ) -> Tensor:
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"EncoderDecoder: teacher_forcing must be from 0 to 1, not {teacher_forcing}")
        _check_ids("EncoderDecoder", "target", target)
        if teacher_forcing < 1 and target.shape[1] > 1:
            return self._partly_own(source, lengths, target, teacher_forcing, generator)
        memory, states, mask = self._encoded(source, lengths)
        return self.decoder(target, states, memory, mask, target_lengths)[0]

    def attention_weights(self, source: Tensor, lengths: Any, target: Tensor) -> Tensor:
        """p (N, T, S): where the decoder looks at each position of the target. Errors: ValueError without attention."""
        if self.decoder.attention is None:
            raise ValueError("EncoderDecoder: this one has no attention")
        memory, states, mask = self._encoded(source, lengths)
        weights: Tensor = self.decoder(target, states, memory, mask)[2]
        return weights

    def _encoded(self, source: Tensor, lengths: Any) -> tuple[Tensor, Any, Tensor | None]:
        memory, states = self.encoder(source, lengths)
        return memory, states, None if lengths is None else length_mask(lengths, source.shape[1])

    def _partly_own(
        self, source: Tensor, lengths: Any, target: Tensor, share: float, generator: Generator | None
    ) -> Tensor:
        """Step by step, as the network's own tokens are known only then."""
        n, n_steps = target.shape
        given = pydl.rand(n, n_steps, generator=generator) < share
        state, fed = self.start(source, lengths), target[:, 0]
        scores: list[Tensor] = []
        for t in range(n_steps):
            if t:
                fed = pydl.where(given[:, t], target[:, t], scores[-1].argmax(1))
            found, state = self.step(fed, state)
            scores.append(found)
        return pydl.stack(scores, 1)

    # ---- token by token --------------------------------------------------------------------------------------------

    def start(self, source: Tensor, lengths: Any = None) -> dict[str, Any]:
        """The state before the first step of `step`, for the searches of `pydl.text`: a dict of tensors (N, …)."""
        memory, states, mask = self._encoded(source, lengths)
        state: dict[str, Any] = {"states": turned(states)}
        if self.decoder.attention is not None:
            state |= {"memory": memory, "mask": mask, "projected": self.decoder.attention.project_keys(memory)}
        return state

    def step(self, tokens: Tensor, state: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """The scores (N, V) of the tokens that may follow `tokens` (N), and the new state."""
        states = turned(state["states"])
        memory, mask, projected = (state.get(name) for name in ("memory", "mask", "projected"))
        scores, states, _ = self.decoder(tokens.unsqueeze(1), states, memory, mask, projected=projected)
        return scores.squeeze(1), {**state, "states": turned(states)}

    @pydl.no_grad()
    def greedy(
        self, source: Tensor, lengths: Any = None, *, begin: int, end: int | None, max_length: int
    ) -> list[Hypothesis]:
        """For each source the most probable token at each step: see pydl.text.greedy_search."""
        start = pydl.full((len(source),), begin, dtype=pydl.int64)
        return greedy_search(self.step, start, self.start(source, lengths), end=end, max_length=max_length)

    @pydl.no_grad()
    def beam(
        self,
        source: Tensor,
        lengths: Any = None,
        *,
        begin: int,
        end: int | None,
        max_length: int,
        beam_size: int = 4,
        length_penalty: float = 1.0,
        n_best: int = 1,
    ) -> list[list[Hypothesis]]:
        """For each source the n_best sequences of a beam search: see pydl.text.beam_search."""
        start = pydl.full((len(source),), begin, dtype=pydl.int64)
        return beam_search(
            self.step, start, self.start(source, lengths), end=end, max_length=max_length, beam_size=beam_size,
            length_penalty=length_penalty, n_best=n_best,
        )  # fmt: skip
