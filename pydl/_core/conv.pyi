# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.tape import TensorBase

def conv_fwd(
    x: TensorBase,
    w: TensorBase,
    b: TensorBase | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> TensorBase: ...
def conv_bwd_data(
    dy: TensorBase,
    w: TensorBase,
    input_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> TensorBase: ...
def conv_bwd_weight(
    dy: TensorBase,
    x: TensorBase,
    weight_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> TensorBase: ...
def conv_bwd_bias(dy: TensorBase) -> TensorBase: ...
