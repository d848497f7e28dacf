# SPDX-License-Identifier: BSD-3-Clause
"""A model's parameters as one vector and back."""

from __future__ import annotations

from collections.abc import Iterable

from pydl import ops
from pydl.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other in a vector. Gradient: the part of dy that belongs to each.

    Source: torch.nn.utils.parameters_to_vector.

    Example:
        >>> from pydl import nn
        >>> nn.utils.parameters_to_vector(nn.Linear(3, 2).parameters()).shape == (8,)
        True
    """
    return ops.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Gives the parameters the values of the vector, whose memory they then share.

    Errors: TypeError if `vec` is no tensor; ValueError if it is too short. Source: torch.nn.utils.vector_to_parameters.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Linear(1, 1)
        >>> nn.utils.vector_to_parameters(pydl.tensor([2.0, 3.0]), m.parameters())
        >>> m.weight.item(), m.bias.item()
        (2.0, 3.0)
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, but is a {type(vec).__name__}")
    parameters = list(parameters)
    n = sum(param.numel() for param in parameters)
    if vec.numel() < n:
        raise ValueError(f"vector_to_parameters: the parameters have {n} elements, but vec {vec.numel()}")
    start = 0
    for param in parameters:
        end = start + param.numel()
        param.data = vec[start:end].view(param.shape).detach()
        start = end
