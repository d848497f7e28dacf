# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.tape import TensorBase

def sgd(
    params: list[TensorBase],
    grads: list[TensorBase],
    bufs: list[TensorBase],
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: list[bool],
) -> None: ...
