# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.activation import celu as celu
from pydl._core.activation import celu_ as celu_
from pydl._core.activation import elu as elu
from pydl._core.activation import elu_ as elu_
from pydl._core.activation import erf as erf
from pydl._core.activation import erf_ as erf_
from pydl._core.activation import erfc as erfc
from pydl._core.activation import erfc_ as erfc_
from pydl._core.activation import gelu as gelu
from pydl._core.activation import hardshrink as hardshrink
from pydl._core.activation import hardsigmoid as hardsigmoid
from pydl._core.activation import hardswish as hardswish
from pydl._core.activation import hardtanh as hardtanh
from pydl._core.activation import hardtanh_ as hardtanh_
from pydl._core.activation import leaky_relu as leaky_relu
from pydl._core.activation import leaky_relu_ as leaky_relu_
from pydl._core.activation import logsigmoid as logsigmoid
from pydl._core.activation import mish as mish
from pydl._core.activation import relu6 as relu6
from pydl._core.activation import selu as selu
from pydl._core.activation import selu_ as selu_
from pydl._core.activation import silu as silu
from pydl._core.activation import softplus as softplus
from pydl._core.activation import softshrink as softshrink
from pydl._core.activation import softsign as softsign
from pydl._core.activation import tanhshrink as tanhshrink
from pydl._core.activation import threshold as threshold
from pydl._core.activation import threshold_ as threshold_

__all__: list[str]
