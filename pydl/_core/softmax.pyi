# SPDX-License-Identifier: BSD-3-Clause
from typing import Literal

from pydl._core.tape import TensorBase

def softmax_fwd(x: TensorBase, dim: int) -> TensorBase: ...
def softmax_bwd(dy: TensorBase, y: TensorBase, dim: int) -> TensorBase: ...
def log_softmax_fwd(x: TensorBase, dim: int) -> TensorBase: ...
def log_softmax_bwd(dy: TensorBase, y: TensorBase, dim: int) -> TensorBase: ...
def cross_entropy_fwd(
    x: TensorBase,
    target: TensorBase,
    weight: TensorBase | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: Literal["none", "mean", "sum"],
    save: bool,
) -> tuple[TensorBase, TensorBase | None, TensorBase | None, float]: ...
def cross_entropy_bwd(
    dy: TensorBase,
    exps: TensorBase,
    sums: TensorBase,
    target: TensorBase,
    weight: TensorBase | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: Literal["none", "mean", "sum"],
    total_weight: float,
) -> TensorBase: ...
