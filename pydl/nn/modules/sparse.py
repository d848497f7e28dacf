# SPDX-License-Identifier: BSD-3-Clause
"""Tables of vectors: Embedding and EmbeddingBag. Their gradients are dense."""

from __future__ import annotations

from typing import Any

from pydl import autograd
from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """num_embeddings vectors of embedding_dim elements, drawn from N(0, 1) unless given; row padding_idx is zero."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    weight: Parameter

    def _make(
        self, rows: int, dim: int, padding_idx: int | None, given: Tensor | None, freeze: bool, made: Any
    ) -> None:
        self.num_embeddings, self.embedding_dim = rows, dim
        if padding_idx is not None and not -rows <= padding_idx < rows:
            raise AssertionError(
                f"{type(self).__name__}: Padding_idx must be within num_embeddings: {padding_idx} of {rows}"
            )
        self.padding_idx = padding_idx if padding_idx is None or padding_idx >= 0 else rows + padding_idx
        if given is None:
            self.weight = new_parameter(rows, dim, **made)
            self.weight.requires_grad_(not freeze)
            self.reset_parameters()
            return
        if tuple(given.shape) != (rows, dim):
            raise AssertionError(
                f"{type(self).__name__}: Shape of weight {tuple(given.shape)} does not match num_embeddings and "
                f"embedding_dim {(rows, dim)}"
            )
        self.weight = Parameter(given, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draws new values from N(0, 1); the padding row becomes zero."""
        init.normal_(self.weight)
        self._fill_padding_idx_with_zero()

    def _fill_padding_idx_with_zero(self) -> None:
        if self.padding_idx is not None:
            with autograd.no_grad():
                self.weight[self.padding_idx].fill_(0)


def _check_pretrained(embeddings: Tensor) -> tuple[int, int]:
    if embeddings.ndim != 2:
        raise AssertionError(
            f"from_pretrained: Embeddings parameter is expected to be 2-dimensional, not {tuple(embeddings.shape)}"
        )
    rows, dim = embeddings.shape
    return rows, dim


class Embedding(_Table):
    """y[…] = weight[ids[…]]: a vector for every number, to be learnt.

    weight starts as N(0, 1); row `padding_idx` as zero, and its gradient is exactly zero. max_norm shrinks the rows
    used to that norm_type-norm at each call; scale_grad_by_freq divides gradients by how often a number occurs in it.
    Shapes: ids (…) int64 or int32, weight (num_embeddings, embedding_dim), y (…, embedding_dim).
    Gradient: dweight[v] = Σ dy where ids = v, in a fixed order. Errors: IndexError naming a number outside of the
    table; NotImplementedError for sparse=True. Source: torch.nn.Embedding.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Embedding(10, 3, padding_idx=0)
        >>> m(pydl.tensor([[0, 2], [4, 0]])).shape == (2, 2, 3)
        True
        >>> m(pydl.tensor([0]))
        tensor([[0., 0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        made = {"device": device, "dtype": dtype}
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, _freeze, made)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2),
            ("scale_grad_by_freq", False),
        ):
            value = getattr(self, name)
            text += f", {name}={value}" if value != default else ""
        return text + (", sparse=True" if self.sparse else "")

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An Embedding on the memory of a (rows, features) tensor, not to be trained unless freeze=False."""
        rows, dim = _check_pretrained(embeddings)
        return cls(
            rows,
            dim,
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """y[b] = the sum, mean or maximum of the vectors of bag b, see F.embedding_bag.

    Shapes: ids (B, n), or (n) with offsets (B); y (B, embedding_dim); an empty bag gives zeros.
    Gradient: as Embedding. Errors: IndexError naming a number outside of the table; ValueError for offsets that do not
    fit; NotImplementedError for sparse=True. Source: torch.nn.EmbeddingBag.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.EmbeddingBag(10, 3, mode="sum")
        >>> m(pydl.tensor([1, 2, 4, 5, 4, 3]), pydl.tensor([0, 4])).shape == (2, 3)
        True
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.mode, self.sparse = scale_grad_by_freq, mode, sparse
        self.include_last_offset = include_last_offset
        made = {"device": device, "dtype": dtype}
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, False, made)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            value = getattr(self, name)
            text += f", {name}={value}" if value != default else ""
        text += f", mode={self.mode!r}"
        return text + (f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "")

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """An EmbeddingBag on the memory of a (rows, features) tensor, not to be trained unless freeze=False."""
        rows, dim = _check_pretrained(embeddings)
        bag = cls(
            rows,
            dim,
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        bag.weight.requires_grad_(not freeze)
        return bag
