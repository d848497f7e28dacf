# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: F403, F405
"""The operations: one declaration each, with check, forward and backward side by side.

`__all__` is what PyTorch has in its main namespace; the rest belongs to `nn.functional`, tensors or other operations.
"""

from pydl._core.shape import set_advanced_indexing
from pydl.ops import (
    arranging,
    bags,
    combining,
    comparing,
    convolving,
    convolving_transposed,
    dividing,
    einstein,
    encoding,
    extrema,
    folding,
    gathering,
    indexing,
    joining,
    lookups,
    masking,
    matrices,
    native,
    normalizing,
    padding,
    pointwise,
    reducing,
    resampling,
    sorting,
    statistics,
)
from pydl.ops.activations import *
from pydl.ops.activations_gated import *
from pydl.ops.arranging import *
from pydl.ops.bags import *
from pydl.ops.combining import *
from pydl.ops.comparing import *
from pydl.ops.convolving import *
from pydl.ops.convolving_transposed import *
from pydl.ops.dividing import *
from pydl.ops.dropping import *
from pydl.ops.einstein import *
from pydl.ops.encoding import *
from pydl.ops.extrema import *
from pydl.ops.folding import *
from pydl.ops.gathering import *
from pydl.ops.indexing import *
from pydl.ops.joining import *
from pydl.ops.layer_norms import *
from pydl.ops.lookups import *
from pydl.ops.losses_binary import *
from pydl.ops.losses_classes import *
from pydl.ops.losses_regression import *
from pydl.ops.masking import *
from pydl.ops.matrices import *
from pydl.ops.native import *
from pydl.ops.normalizing import *
from pydl.ops.norms import *
from pydl.ops.padding import *
from pydl.ops.pointwise import *
from pydl.ops.pooling import *
from pydl.ops.pooling_average import *
from pydl.ops.pooling_inverse import *
from pydl.ops.reducing import *
from pydl.ops.resampling import *
from pydl.ops.sorting import *
from pydl.ops.statistics import *

_MODULES = (
    arranging, bags, combining, comparing, convolving, convolving_transposed, dividing, einstein, encoding, extrema,
    folding, gathering, indexing, joining, lookups, masking, matrices, native, normalizing, padding, pointwise,
    reducing, resampling, sorting, statistics,
)  # fmt: skip
_NOT_IN_TORCH = {
    "add_", "bag_sum", "cast", "col2im", "contiguous", "conv_bwd_bias", "conv_bwd_data", "conv_bwd_weight", "copy_",
    "div_", "embedding", "embedding_backward", "embedding_bag", "expand", "fold", "getitem", "im2col", "index",
    "index_add_", "interpolate", "linear", "log_softmax_backward", "masked_fill_", "mul_", "one_hot", "pad", "pow_",
    "repeat", "resample", "scatter_", "scatter_add_", "setitem", "sigmoid_backward", "softmax_backward", "sub_",
    "sum_to_size", "tanh_backward", "threshold_backward", "unfold", "view",
}  # fmt: skip
_ACTIVATIONS_IN_TORCH = {  # of the names of the modules of activations and dropout
    "alpha_dropout", "celu", "celu_", "dropout", "erf", "erf_", "erfc", "erfc_", "feature_alpha_dropout", "hardshrink",
    "prelu", "rrelu", "rrelu_", "selu", "selu_", "threshold", "threshold_",
}  # fmt: skip
_POOLING_IN_TORCH = {  # of the names of the pooling modules
    "adaptive_avg_pool1d", "avg_pool1d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool3d",
}  # fmt: skip

__all__ = sorted(
    {name for module in _MODULES for name in module.__all__} - _NOT_IN_TORCH
    | _POOLING_IN_TORCH | _ACTIVATIONS_IN_TORCH | {"rms_norm"}
)  # fmt: skip

set_advanced_indexing(getitem, setitem)
