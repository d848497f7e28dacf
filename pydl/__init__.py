# SPDX-License-Identifier: BSD-3-Clause
"""A compiled neural-network core for Python on CPUs, with PyTorch's names.

    import pydl
    from pydl import nn

    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))
    loss = nn.functional.cross_entropy(model(pydl.randn(64, 20)), pydl.randint(5, (64,)))
    loss.backward()
"""

import math as _math
import typing as _typing

__version__ = "0.1.0"

from pydl import _core  # noqa: I001  (loads the compiled core and says what to do where it is missing)
from pydl._core.attributes import (
    Size, channels_last, channels_last_3d, contiguous_format, device, layout, memory_format, preserve_format, strided,
)  # fmt: skip
from pydl._core.dtypes import (
    can_cast, double, dtype, finfo, float, float32, float64, get_default_dtype, iinfo, int, int8, int16, int32, int64,
    long, promote_types, result_type, set_default_dtype, short, uint8,
)  # fmt: skip
from pydl._core.dtypes import bool
from pydl._core.errors import ShapeError
from pydl._core.kernels import get_num_threads, set_num_threads
from pydl import ops
from pydl.ops import *  # noqa: F403
from pydl.tensor import Tensor, is_tensor
from pydl.creation import *  # noqa: F403
from pydl.sequences import *  # noqa: F403
from pydl.random import *  # noqa: F403
from pydl import autograd, creation, random, sequences
from pydl.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from pydl._absent import backends, compile, cuda
from pydl._printing import set_printoptions

inf = _math.inf
nan = _math.nan
e = _math.e
pi = _math.pi

__all__ = [
    "ShapeError", "Size", "Tensor", "autograd", "backends", "bool", "can_cast", "channels_last", "channels_last_3d",
    "compile", "contiguous_format", "cuda", "device", "double", "dtype", "e", "enable_grad", "finfo", "float",
    "float32", "float64", "get_default_dtype", "get_num_threads", "iinfo", "inf", "inference_mode", "int", "int16",
    "int32", "int64", "int8", "is_grad_enabled", "is_tensor", "layout", "long", "memory_format", "nan", "no_grad",
    "ops", "pi", "preserve_format", "promote_types", "random", "result_type", "set_default_dtype", "set_grad_enabled",
    "set_num_threads", "set_printoptions", "short", "strided", "uint8",
]  # fmt: skip
__all__ += ops.__all__
__all__ += creation.__all__
__all__ += sequences.__all__
__all__ += random.__all__

# Loaded when they are first used, so that `import pydl` stays within milliseconds of `import numpy`.
_LATER = {
    "config": "pydl._config", "freeze": "pydl.inference", "load": "pydl.io", "save": "pydl.io",
    "show_config": "pydl._config",
    **{
        name: f"pydl.{name}"
        for name in ("inference", "inspect", "io", "memory", "models", "nn", "optim", "text", "utils")
    },
    **{
        name: f"pydl.ops.{family}"
        for family, names in {
            "activations_gated": "prelu rrelu rrelu_",
            "convolving": "conv1d conv2d conv3d convolution",
            "convolving_transposed": "conv_transpose1d conv_transpose2d conv_transpose3d",
            "dropping": "alpha_dropout dropout feature_alpha_dropout",
            "layer_norms": "rms_norm",
            "padding": "constant_pad_nd",
            "pooling": "max_pool1d max_pool1d_with_indices max_pool2d max_pool3d",
            "pooling_average": "adaptive_avg_pool1d avg_pool1d",
            "recurrent_cells": "gru_cell lstm_cell rnn_relu_cell rnn_tanh_cell",
            "resampling": "channel_shuffle pixel_shuffle pixel_unshuffle",
        }.items()
        for name in names.split()
    },
}  # fmt: skip


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])


if _typing.TYPE_CHECKING:  # no __getattr__ here, so that type checkers find names that do not exist
    from pydl import inference as inference
    from pydl import inspect as inspect
    from pydl import io as io
    from pydl import memory as memory
    from pydl import models as models
    from pydl import nn as nn
    from pydl import optim as optim
    from pydl import text as text
    from pydl import utils as utils
    from pydl._config import config as config
    from pydl._config import show_config as show_config
    from pydl.inference import freeze as freeze
    from pydl.io import load as load
    from pydl.io import save as save
    from pydl.nn.functional import adaptive_avg_pool1d as adaptive_avg_pool1d
    from pydl.nn.functional import alpha_dropout as alpha_dropout
    from pydl.nn.functional import avg_pool1d as avg_pool1d
    from pydl.nn.functional import channel_shuffle as channel_shuffle
    from pydl.nn.functional import conv1d as conv1d
    from pydl.nn.functional import conv2d as conv2d
    from pydl.nn.functional import conv3d as conv3d
    from pydl.nn.functional import conv_transpose1d as conv_transpose1d
    from pydl.nn.functional import conv_transpose2d as conv_transpose2d
    from pydl.nn.functional import conv_transpose3d as conv_transpose3d
    from pydl.nn.functional import dropout as dropout
    from pydl.nn.functional import feature_alpha_dropout as feature_alpha_dropout
    from pydl.nn.functional import max_pool1d as max_pool1d
    from pydl.nn.functional import max_pool1d_with_indices as max_pool1d_with_indices
    from pydl.nn.functional import max_pool2d as max_pool2d
    from pydl.nn.functional import max_pool3d as max_pool3d
    from pydl.nn.functional import pixel_shuffle as pixel_shuffle
    from pydl.nn.functional import pixel_unshuffle as pixel_unshuffle
    from pydl.nn.functional import prelu as prelu
    from pydl.nn.functional import rms_norm as rms_norm
    from pydl.nn.functional import rrelu as rrelu
    from pydl.nn.functional import rrelu_ as rrelu_
    from pydl.ops.convolving import convolution as convolution
    from pydl.ops.padding import constant_pad_nd as constant_pad_nd
    from pydl.ops.recurrent_cells import gru_cell as gru_cell
    from pydl.ops.recurrent_cells import lstm_cell as lstm_cell
    from pydl.ops.recurrent_cells import rnn_relu_cell as rnn_relu_cell
    from pydl.ops.recurrent_cells import rnn_tanh_cell as rnn_tanh_cell
else:
    __all__ += [name for name, home in _LATER.items() if home != f"pydl.{name}"]

    def __getattr__(name: str) -> _typing.Any:
        if name in _LATER:
            from importlib import import_module

            module = import_module(_LATER[name])
            found = module if _LATER[name] == f"pydl.{name}" else getattr(module, name)
            globals()[name] = found
            return found
        from pydl._absent import nearest

        raise AttributeError(nearest(name, [*globals(), *_LATER]))
