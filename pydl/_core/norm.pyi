# SPDX-License-Identifier: BSD-3-Clause
from pydl._core.tape import TensorBase

def batch_norm_fwd(
    x: TensorBase,
    running_mean: TensorBase | None,
    running_var: TensorBase | None,
    weight: TensorBase | None,
    bias: TensorBase | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[TensorBase, TensorBase]: ...
def batch_norm_bwd(
    dy: TensorBase,
    x: TensorBase,
    stats: TensorBase,
    weight: TensorBase | None,
    training: bool,
    need_dx: bool,
    need_dw: bool,
    need_db: bool,
) -> tuple[TensorBase | None, TensorBase | None, TensorBase | None]: ...
def group_norm_fwd(
    x: TensorBase,
    n_groups: int,
    running_mean: TensorBase | None,
    running_var: TensorBase | None,
    weight: TensorBase | None,
    bias: TensorBase | None,
    momentum: float,
    eps: float,
) -> tuple[TensorBase, TensorBase]: ...
def group_norm_bwd(
    dy: TensorBase,
    x: TensorBase,
    stats: TensorBase,
    n_groups: int,
    weight: TensorBase | None,
    need_dx: bool,
    need_dw: bool,
    need_db: bool,
) -> tuple[TensorBase | None, TensorBase | None, TensorBase | None]: ...
