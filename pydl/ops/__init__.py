# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: F403, F405
"""The operations: one declaration each, with check, forward and backward side by side.

Here are the operations of tensors. Those of networks (convolution, pooling, norms, losses …) are imported when they are
first asked for, by `pydl.nn.functional` from the file of their family, so that `import pydl` stays light.
`__all__` is what PyTorch has in its main namespace; the rest belongs to `nn.functional`, tensors or other operations.
"""

from importlib import import_module
from typing import Any

from pydl._core.shape import set_advanced_indexing
from pydl.ops import (
    arranging,
    combining,
    comparing,
    diagonals,
    dividing,
    einstein,
    encoding,
    extrema,
    gathering,
    indexing,
    joining,
    masking,
    matrices,
    native,
    normalizing,
    pointwise,
    reducing,
    sorting,
    statistics,
)
from pydl.ops.activations import *
from pydl.ops.arranging import *
from pydl.ops.combining import *
from pydl.ops.comparing import *
from pydl.ops.diagonals import *
from pydl.ops.dividing import *
from pydl.ops.einstein import *
from pydl.ops.encoding import *
from pydl.ops.extrema import *
from pydl.ops.gathering import *
from pydl.ops.indexing import *
from pydl.ops.joining import *
from pydl.ops.masking import *
from pydl.ops.matrices import *
from pydl.ops.native import *
from pydl.ops.normalizing import *
from pydl.ops.pointwise import *
from pydl.ops.reducing import *
from pydl.ops.sorting import *
from pydl.ops.statistics import *

_MODULES = (
    arranging, combining, comparing, diagonals, dividing, einstein, encoding, extrema, gathering, indexing, joining,
    masking, matrices, native, normalizing, pointwise, reducing, sorting, statistics,
)  # fmt: skip
_NOT_IN_TORCH = {
    "add_", "cast", "contiguous", "copy_", "div_", "expand", "getitem", "index", "index_add_", "linear",
    "log_softmax_backward", "masked_fill_", "mul_", "one_hot", "pow_", "repeat", "scatter_", "scatter_add_", "setitem",
    "sigmoid_backward", "softmax_backward", "sub_", "sum_to_size", "tanh_backward", "threshold_backward", "view",
}  # fmt: skip
_ACTIVATIONS_IN_TORCH = {
    "celu", "celu_", "erf", "erf_", "erfc", "erfc_", "expm1", "expm1_", "hardshrink", "log1p", "log1p_", "selu",
    "selu_", "threshold", "threshold_",
}  # fmt: skip

__all__ = sorted({name for module in _MODULES for name in module.__all__} - _NOT_IN_TORCH | _ACTIVATIONS_IN_TORCH)

_OF_NETWORKS = (
    "activations_gated", "attention", "bags", "convolving", "convolving_transposed", "dropping", "folding",
    "layer_norms", "lookups", "losses_binary", "losses_classes", "losses_ctc", "losses_regression", "norms", "padding",
    "pooling", "pooling_average", "pooling_inverse", "recurrent", "recurrent_cells", "resampling",
)  # fmt: skip
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

set_advanced_indexing(getitem, setitem)


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
            return getattr(module, name)
    raise AttributeError(f"module 'pydl.ops' has no attribute {name!r}")
