# SPDX-License-Identifier: BSD-3-Clause
"""The operations: one declaration each, with check, forward and backward side by side.

A family is a file whose name stands in one of two lists. Those of tensors are loaded here, those of networks
(convolution, pooling, norms, losses …) by `pydl.nn.functional`, or when one is asked for: `import pydl` stays light.
`__all__` is what `pydl` offers by its own name; the rest belongs to `nn.functional`, tensors or other operations.
"""

from importlib import import_module
from typing import Any

from pydl._core.shape import set_advanced_indexing

_OF_TENSORS = (
    "arranging", "combining", "comparing", "diagonals", "dividing", "einstein", "encoding", "extrema", "gathering",
    "indexing", "joining", "masking", "matrices", "native", "pointwise", "reducing", "softmaxes", "sorting",
    "statistics",
)  # fmt: skip
_OF_NETWORKS = (
    "activations_gated", "attention", "bags", "convolving", "convolving_transposed", "dropping", "folding",
    "layer_norms", "lookups", "losses_binary", "losses_classes", "losses_ctc", "losses_regression", "norms", "padding",
    "pooling", "pooling_average", "pooling_inverse", "recurrent", "recurrent_cells", "resampling",
)  # fmt: skip
# Of the families of tensors, what PyTorch has as a method, in nn.functional or not at all.
_NOT_IN_PYDL = {
    "add_", "cast", "contiguous", "copy_", "div_", "expand", "getitem", "index", "index_add_", "linear",
    "log_softmax_backward", "masked_fill_", "mul_", "one_hot", "pow_", "repeat", "scatter_", "scatter_add_", "setitem",
    "sigmoid_backward", "softmax_backward", "sub_", "sum_to_size", "tanh_backward", "threshold_backward", "view",
}  # fmt: skip
_ACTIVATIONS_IN_PYDL = {
    "celu", "celu_", "erf", "erf_", "erfc", "erfc_", "expm1", "expm1_", "hardshrink", "log1p", "log1p_", "selu",
    "selu_", "threshold", "threshold_",
}  # fmt: skip

_MODULES = [import_module(f"pydl.ops.{family}") for family in _OF_TENSORS]
for _module in (import_module("pydl.ops.activations"), *_MODULES):
    globals().update({name: getattr(_module, name) for name in _module.__all__})
__all__ = sorted({name for module in _MODULES for name in module.__all__} - _NOT_IN_PYDL | _ACTIVATIONS_IN_PYDL)

# What tensors have and nn.functional offers too.
_OFFERED_TWICE = ("linear", "log_softmax", "one_hot", "relu", "relu_", "sigmoid", "softmax", "tanh")
# Declared for gradients, layers or tensors: not in nn.functional.
_INNER = {
    "avg_pool", "avg_pool_backward", "bag_sum", "col2im", "constant_pad_nd", "conv_bwd_bias", "conv_bwd_data",
    "conv_bwd_weight", "convolution", "cross_entropy_rows", "embedding_backward", "erf", "erf_", "erfc", "erfc_",
    "expm1", "expm1_", "gru_cell", "gru_sequence", "im2col", "log1p", "log1p_", "lstm_cell", "lstm_sequence",
    "masked_softmax", "max_pool", "max_pool_backward", "max_pool_take", "max_unpool", "max_unpool_add",
    "max_unpool_backward", "resample", "rnn_relu_cell", "rnn_sequence", "rnn_tanh_cell", "window_sum",
}  # fmt: skip

set_advanced_indexing(globals()["getitem"], globals()["setitem"])


def of_networks() -> dict[str, Any]:
    """The operations of nn.functional by name; loads the families of networks."""
    families = [import_module(f"pydl.ops.{family}") for family in ("activations", *_OF_NETWORKS)]
    found = {name: getattr(family, name) for family in families for name in family.__all__ if name not in _INNER}
    return found | {name: globals()[name] for name in _OFFERED_TWICE}


def __getattr__(name: str) -> Any:
    """An operation of networks: `pydl.ops.max_pool`."""
    for family in () if name.startswith("__") else _OF_NETWORKS:
        module = import_module(f"pydl.ops.{family}")
        if name in module.__all__:
            found = globals()[name] = getattr(module, name)
            return found
    raise AttributeError(f"module 'pydl.ops' has no attribute {name!r}")
