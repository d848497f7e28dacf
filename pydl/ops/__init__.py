# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: F403, F405
"""The operations: one declaration each, with check, forward and backward side by side.

`__all__` is what PyTorch has in its main namespace; the rest belongs to `nn.functional`, tensors or other operations.
"""

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
    padding,
    pointwise,
    reducing,
    sorting,
    statistics,
)
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
from pydl.ops.losses_binary import *
from pydl.ops.losses_classes import *
from pydl.ops.losses_regression import *
from pydl.ops.masking import *
from pydl.ops.matrices import *
from pydl.ops.native import *
from pydl.ops.normalizing import *
from pydl.ops.padding import *
from pydl.ops.pointwise import *
from pydl.ops.reducing import *
from pydl.ops.sorting import *
from pydl.ops.statistics import *

_MODULES = (
    arranging, combining, comparing, dividing, einstein, encoding, extrema, gathering, indexing, joining, masking,
    matrices, native, normalizing, padding, pointwise, reducing, sorting, statistics,
)  # fmt: skip
_NOT_IN_TORCH = {
    "add_", "cast", "contiguous", "copy_", "div_", "expand", "getitem", "index", "index_add_", "linear",
    "log_softmax_backward", "masked_fill_", "mul_", "one_hot", "pad", "pow_", "repeat", "resample", "scatter_", "scatter_add_", "setitem",
    "sigmoid_backward", "softmax_backward", "sub_", "sum_to_size", "tanh_backward", "threshold_backward", "view",
}  # fmt: skip

__all__ = sorted({name for module in _MODULES for name in module.__all__} - _NOT_IN_TORCH)

set_advanced_indexing(getitem, setitem)
