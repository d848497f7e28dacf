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
    arranging, combining, comparing, dividing, einstein, encoding, extrema, gathering, indexing, joining, masking,
    matrices, native, normalizing, pointwise, reducing, sorting, statistics,
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

set_advanced_indexing(getitem, setitem)


def __getattr__(name: str) -> Any:
    """An operation of networks: `pydl.ops.max_pool`."""
    for family in () if name.startswith("__") else _OF_NETWORKS:
        module = import_module(f"pydl.ops.{family}")
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module 'pydl.ops' has no attribute {name!r}")
