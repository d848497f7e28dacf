# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from typing import Any, Literal

from pydl._core.tape import TensorBase

def set_composed_gradient(function: Callable[..., TensorBase]) -> None: ...
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
def cross_entropy_rows(
    x: TensorBase,
    t: TensorBase,
    weight: TensorBase | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: Literal["none", "mean", "sum"],
) -> TensorBase: ...
def usual_case(x: Any, t: Any, ignore_index: int, label_smoothing: float, reduction: str) -> TensorBase | None: ...
