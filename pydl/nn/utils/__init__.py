# SPDX-License-Identifier: BSD-3-Clause
"""Tools for the parameters of a model: clipping of gradients, parameters as one vector."""

from pydl.nn.utils import rnn
from pydl.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from pydl.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector", "rnn",
    "vector_to_parameters",
]  # fmt: skip
