# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.tape import TensorBase

def strided_view(x: TensorBase, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> TensorBase: ...
